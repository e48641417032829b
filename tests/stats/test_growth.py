import numpy as np
import pandas as pd
import pytest

from pipeline.stats.growth import lagged_growth


def growth(rows, least=1):
    frame = pd.DataFrame(rows, columns=["lender", "year", "weight"])
    return lagged_growth(frame["lender"], frame["year"], frame["weight"], least)


def test_growth_is_that_of_the_two_years_before():
    rows = [("a", 2000, 1.0)] * 2 + [("a", 2001, 1.0)] * 4 + [("a", 2002, 1.0)]
    # From two loans to four: a doubling is 2/3 on this scale.
    assert growth(rows).iloc[-1] == pytest.approx(2 / 3)


def test_a_lender_that_enters_or_leaves_has_a_growth():
    entering = [("a", 2001, 3.0), ("a", 2002, 1.0)]
    leaving = [("b", 2000, 3.0), ("b", 2002, 1.0)]
    assert growth(entering).iloc[-1] == 2
    assert growth(leaving).iloc[-1] == -2


def test_the_loans_own_year_never_enters():
    past = [("a", 2000, 1.0), ("a", 2001, 3.0)]
    few, many = growth([*past, ("a", 2002, 1.0)]), growth([*past, *[("a", 2002, 9.0)] * 50])
    assert few.iloc[-1] == many.iloc[-1] == 1


def test_weights_count_for_loans_and_few_loans_tell_nothing():
    rows = [("a", 2000, 2.0), ("a", 2001, 6.0), ("a", 2002, 1.0), ("b", 2002, 1.0)]
    assert growth(rows).tolist()[2] == 1
    assert np.isnan(growth(rows, least=3).iloc[2])
    # Nothing is known of a lender without a past.
    assert np.isnan(growth(rows).iloc[3])
