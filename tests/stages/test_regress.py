import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.regress.rows import Rung, _effects
from pipeline.stats.firth import standardised_difference


def loans(with_it, without):
    """Loans with a factor and without, of each so many in default and so many repaid."""
    held = np.repeat([1.0, 1.0, 0.0, 0.0], [*with_it, *without])
    default = np.repeat([1, 0, 1, 0], [*with_it, *without])
    return pd.DataFrame({"held": held, "default": default, "bank": np.arange(len(held)) % 20, "treated": 0})


def told(cohort, **more):
    found = _effects(Rung("M1", cohort.assign(**more), [], "bank"), "held", 0.95, "bank")
    return {(row["estimator"], row["estimand"]): row for row in found}


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (((0, 36), (76, 570)), "no default among loans with it"),
        (((36, 0), (76, 570)), "only defaults among loans with it"),
        (((6, 30), (0, 600)), "no default among loans without it"),
        (((6, 30), (90, 0)), "only defaults among loans without it"),
    ],
)
def test_where_all_loans_of_an_arm_end_alike_penalised_likelihood_stands_beside_the_linear_regression(cells, said):
    cohort = loans(*cells)
    row = told(cohort)["firth", "risk_difference"]
    design = pd.DataFrame({"intercept": 1.0, "held": cohort["held"]})
    expected = standardised_difference(cohort["default"], design, "held", 0.95)
    assert (row["estimate"], row["p_value"]) == (pytest.approx(100 * expected.estimate), expected.p_value)
    assert row["note"].startswith(said) and row["unit"] == "percentage points"


def test_elsewhere_and_for_factors_of_several_values_it_does_not():
    assert ("firth", "risk_difference") not in told(loans((1, 35), (76, 570)))
    cohort = loans((0, 36), (76, 570))
    assert ("firth", "risk_difference") not in told(cohort, held=cohort["held"] + np.arange(len(cohort)) % 3)


def test_with_weights_it_says_that_there_is_no_valid_interval():
    row = told(loans((0, 36), (76, 570)), weight=2.0)["firth", "risk_difference"]
    assert "estimate" not in row and "takes no weights" in row["note"]
