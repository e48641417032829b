import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pipeline.stats.cases import nearest_of_each_fate, on_and_off, studentised


def pairs(*rows):
    return pd.DataFrame(rows, columns=["treated", "control", "treated_default", "control_default", "distance"])


def test_the_nearest_pair_of_each_fate_is_chosen_whatever_the_order():
    frame = pairs(
        ("b", "x", 0, 1, 0.2),
        ("a", "y", 0, 1, 0.1),
        ("c", "z", 1, 0, 0.3),
        ("d", "u", 0, 0, 0.1),
        ("e", "v", 0, 0, 0.1),
    )
    chosen = nearest_of_each_fate(frame)
    assert chosen == {"with_claim": (1, 2), "against_claim": (2, 1), "both_repaid": (3, 2)}
    turned = frame.iloc[::-1].reset_index(drop=True)
    for name, (place, count) in nearest_of_each_fate(turned).items():
        assert turned["treated"][place] == frame["treated"][chosen[name][0]] and count == chosen[name][1]


def test_no_pairs_no_cases():
    assert nearest_of_each_fate(pairs()) == {}


def test_residuals_are_those_of_statsmodels():
    chance = np.random.default_rng(1)
    design = np.column_stack([np.ones(30), chance.normal(size=30)])
    weights = chance.uniform(1, 9, 30)
    outcome = design @ [1.0, 2.0] + chance.normal(size=30) / np.sqrt(weights)
    fitted, scaled = studentised(outcome, design, weights)
    model = sm.WLS(outcome, design, weights=weights).fit()
    root = np.sqrt(weights)
    influence = sm.OLS(outcome * root, design * root[:, None]).fit().get_influence()
    np.testing.assert_allclose(fitted, model.fittedvalues)
    np.testing.assert_allclose(scaled, influence.resid_studentized_internal)


def test_a_unit_that_has_its_own_coefficient_is_no_case():
    design = np.column_stack([np.ones(5), [1.0, 0, 0, 0, 0]])
    _, scaled = studentised(np.array([9.0, 1, 2, 3, 2]), design, np.ones(5))
    assert np.isnan(scaled[0])
    assert on_and_off(scaled, list("abcde")) == {"on_line": 2, "above_line": 3, "below_line": 1}


def test_a_column_too_many_changes_nothing():
    design = np.column_stack([np.ones(6), np.arange(6.0)])
    doubled = np.column_stack([design, design[:, 1]])
    outcome = np.array([1.0, 3, 2, 5, 4, 7])
    for one, two in zip(
        studentised(outcome, design, np.ones(6)), studentised(outcome, doubled, np.ones(6)), strict=True
    ):
        np.testing.assert_allclose(one, two)


def test_too_few_units_say_so():
    with pytest.raises(ValueError, match="2 units"):
        studentised(np.ones(2), np.eye(2), np.ones(2))
