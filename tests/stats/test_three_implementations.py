"""One regression by three libraries and by ours: what each counts, and why clustered errors differ by a few percent.

All four share the same sandwich of sums by cluster. They differ by a factor before it:

| implementation                          | G/(G-1) | (n-1)/(n-k) with k =                                            |
|-----------------------------------------|---------|-----------------------------------------------------------------|
| ours, `linear_probability`              | yes     | all columns, indicators among them                              |
| statsmodels, OLS                        | yes     | all columns, indicators among them                              |
| pyfixest, `k_fixef="full"`              | yes     | slopes and all absorbed effects                                 |
| linearmodels, `group_debias`            | yes     | slopes and all absorbed effects                                 |
| ours, `absorbed_linear`                 | yes     | slopes and all absorbed effects                                 |
| pyfixest, its default ("nonnested")     | yes     | slopes, intercept, absorbed effects that clusters do not hold   |
| pyfixest, `k_fixef="none"`              | yes     | slopes alone                                                    |
| linearmodels, its default               | no      | slopes and all absorbed effects, with n in place of n-1         |
| linearmodels, `debiased=False`          | no      | no such factor                                                  |

Ours counts every coefficient, so that a regression has one error however its effects are written. Others leave out
effects of banks where banks are the clusters: each bank's scores add up to nought inside its own cluster (Cameron &
Miller 2015, section 3.2). The errors are then smaller.
"""

import numpy as np
import pandas as pd
import pyfixest
import pytest
import statsmodels.api as sm
from linearmodels.panel import PanelOLS

from pipeline.stats.absorbed import absorbed_linear
from pipeline.stats.design import design_matrix
from pipeline.stats.regression import linear_probability

BANKS, QUARTERS = 15, 12
LOANS = BANKS * QUARTERS


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(4)
    bank, quarter = np.divmod(np.arange(LOANS), QUARTERS)
    crm = rng.normal(size=LOANS) + rng.normal(size=BANKS)[bank]
    noise = rng.normal(size=LOANS) + 0.7 * rng.normal(size=BANKS)[bank] * rng.normal(size=QUARTERS)[quarter]
    frame = pd.DataFrame({"bank": bank, "quarter": quarter, "crm": crm, "size": rng.normal(size=LOANS)})
    return frame.assign(rate=0.3 * crm - 0.2 * frame["size"] + rng.normal(size=BANKS)[bank] + noise)


@pytest.fixture(scope="module")
def errors(panel):
    """Standard errors of `crm` with effects of banks and quarters, clustered by bank, by implementation."""
    categories = panel.astype({"bank": "category", "quarter": "category"})
    dummies = design_matrix(categories, ["crm", "size", "bank", "quarter"]).matrix
    slopes = design_matrix(panel, ["crm", "size"]).matrix
    found = {
        "ours, indicators": linear_probability(panel["rate"], dummies, "crm", panel["bank"], 0.95).std_error,
        "ours, absorbed": absorbed_linear(
            panel["rate"], slopes, ["crm"], panel[["bank", "quarter"]], panel["bank"], 0.95
        )
        .effects["crm"]
        .std_error,
        "statsmodels": sm.OLS(panel["rate"], dummies)
        .fit(cov_type="cluster", cov_kwds={"groups": panel["bank"].to_numpy()})
        .bse["crm"],
    }
    for name in ("full", "nonnested", "none"):
        fit = pyfixest.feols(
            "rate ~ crm + size | bank + quarter", panel, vcov={"CRV1": "bank"}, ssc=pyfixest.ssc(k_fixef=name)
        )
        found[f"pyfixest, {name}"] = fit.se()["crm"]
    indexed = panel.set_index(["bank", "quarter"])
    model = PanelOLS(indexed["rate"], indexed[["crm", "size"]], entity_effects=True, time_effects=True)
    for name, choices in {
        "plain": {"debiased": False, "group_debias": False, "auto_df": False, "count_effects": False},
        "debiased": {"debiased": True, "group_debias": True, "auto_df": False, "count_effects": True},
        "default": {},
    }.items():
        found[f"linearmodels, {name}"] = model.fit(cov_type="clustered", cluster_entity=True, **choices).std_errors[
            "crm"
        ]
    return found


def factor(parameters, groups=True, start=LOANS - 1):
    """By what a variance is multiplied."""
    return (BANKS / (BANKS - 1) if groups else 1) * start / (LOANS - parameters)


EVERY = 2 + BANKS + QUARTERS - 1
NOT_NESTED = 2 + QUARTERS


@pytest.mark.parametrize(
    ("name", "reason", "expected"),
    [
        ("ours, indicators", "every indicator counts", factor(EVERY)),
        ("statsmodels", "every indicator counts", factor(EVERY)),
        ("pyfixest, full", "every absorbed effect counts", factor(EVERY)),
        ("ours, absorbed", "every absorbed effect counts", factor(EVERY)),
        ("pyfixest, nonnested", "banks lie inside clusters, quarters do not", factor(NOT_NESTED)),
        ("pyfixest, none", "no effect counts, the intercept neither", factor(2)),
        ("linearmodels, debiased", "every effect counts", factor(EVERY)),
        (
            "linearmodels, default",
            "no G/(G-1); every effect counts; n",
            factor(EVERY, groups=False, start=LOANS),
        ),
        ("linearmodels, plain", "no factor at all", 1.0),
    ],
)
def test_each_implementation_is_one_sandwich_times_its_own_factor(errors, name, reason, expected):
    sandwich = errors["ours, indicators"] ** 2 / factor(EVERY)
    assert errors[name] ** 2 / sandwich == pytest.approx(expected, rel=1e-7), reason


def test_all_give_one_coefficient(panel):
    slopes = design_matrix(panel, ["crm", "size"]).matrix
    ours = absorbed_linear(panel["rate"], slopes, ["crm"], panel[["bank", "quarter"]], panel["bank"], 0.95)
    indexed = panel.set_index(["bank", "quarter"])
    theirs = PanelOLS(indexed["rate"], indexed[["crm", "size"]], entity_effects=True, time_effects=True).fit()
    third = pyfixest.feols("rate ~ crm + size | bank + quarter", panel)
    assert ours.effects["crm"].estimate == pytest.approx(theirs.params["crm"], rel=1e-9)
    assert ours.effects["crm"].estimate == pytest.approx(third.coef()["crm"], rel=1e-7)
