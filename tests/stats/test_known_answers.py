"""Our regressions on textbook data that come with the packages, beside the figures printed in their documentation."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from linearmodels.datasets import wage_panel
from linearmodels.panel import PanelOLS

from pipeline.stats.absorbed import absorbed_linear, grouped_logit
from pipeline.stats.design import design_matrix
from pipeline.stats.regression import linear_probability, logit


def printed(value, digits):
    """A figure as printed: up to half a unit of its last digit."""
    return pytest.approx(value, abs=0.5001 * 10**-digits)


def rows_alone(frame):
    return pd.Series(np.arange(len(frame)), frame.index)


@pytest.fixture(scope="module")
def spector():
    return sm.datasets.spector.load_pandas().data.rename(columns={"GRADE": "outcome"})


# Spector & Mazzeo (1980); statsmodels' page on discrete choice models, and Greene's table of the same.
@pytest.mark.parametrize(
    ("factor", "linear", "log_odds", "std_error", "marginal"),
    [
        ("GPA", 0.4639, 2.8261, 1.263, 0.3626),
        ("TUCE", 0.0105, 0.0952, 0.142, 0.0122),
        ("PSI", 0.3786, 2.3787, 1.065, 0.3575),
    ],
)
def test_spector(spector, factor, linear, log_odds, std_error, marginal):
    design = design_matrix(spector, ["GPA", "TUCE", "PSI"]).matrix
    alone = rows_alone(spector)
    assert linear_probability(spector["outcome"], design, factor, alone, 0.95).estimate == printed(linear, 4)
    found = logit(spector["outcome"], design, factor, alone, 0.95)
    assert np.log(found.odds_ratio.estimate) == printed(log_odds, 4)
    assert found.average_marginal_effect.estimate == printed(marginal, 4)
    # By the other route: absorbing the intercept, with the error from the curvature.
    x = design.drop(columns="intercept")
    fit = grouped_logit(spector["outcome"].to_numpy(), x.to_numpy(), [np.zeros(len(x), dtype=int)], np.arange(len(x)))
    place = x.columns.get_loc(factor)
    assert fit.slopes[place] == printed(log_odds, 4)
    assert np.linalg.inv(fit.information)[place, place] ** 0.5 == printed(std_error, 3)
    assert fit.log_likelihood == printed(-12.890, 3)


# Fair (1978); statsmodels' notebook on affairs.
FAIR = {
    "occupation": (0.1602, 0.034),
    "educ": (-0.0392, 0.015),
    "occupation_husb": (0.0124, 0.023),
    "rate_marriage": (-0.7161, 0.031),
    "age": (-0.0605, 0.010),
    "yrs_married": (0.1100, 0.011),
    "children": (-0.0042, 0.032),
    "religious": (-0.3752, 0.035),
}


def test_fair():
    data = sm.datasets.fair.load_pandas().data
    affair = (data["affairs"] > 0) * 1.0
    x = data[list(FAIR)]
    fit = grouped_logit(affair.to_numpy(), x.to_numpy(), [np.zeros(len(x), dtype=int)], np.arange(len(x)))
    errors = np.sqrt(np.diag(np.linalg.inv(fit.information)))
    for place, (slope, error) in enumerate(FAIR.values()):
        assert fit.slopes[place] == printed(slope, 4)
        assert errors[place] == printed(error, 3)
    assert fit.log_likelihood == printed(-3471.5, 1)


# Grunfeld (1958), ten firms: Baltagi, Econometric Analysis of Panel Data, tables 2.1 and 3.1.
@pytest.mark.parametrize(("absorb", "value", "capital"), [(["firm"], 0.110, 0.310), (["firm", "year"], 0.118, 0.358)])
def test_grunfeld(absorb, value, capital):
    data = sm.datasets.grunfeld.load_pandas().data
    data = data[data["firm"] != "American Steel"].reset_index(drop=True)
    design = design_matrix(data, ["value", "capital"]).matrix
    found = absorbed_linear(data["invest"], design, ["value", "capital"], data[absorb], data["firm"], 0.95).effects
    assert found["value"].estimate == printed(value, 3)
    assert found["capital"].estimate == printed(capital, 3)


# Vella & Verbeek (1998); Wooldridge's example 14.4, and linearmodels' page on panel data.
def test_wage_panel():
    data = wage_panel.load()
    terms = ["expersq", "union", "married"]
    design = design_matrix(data, terms).matrix
    found = absorbed_linear(data["lwage"], design, terms, data[["nr", "year"]], data["nr"], 0.95).effects
    for name, slope in {"expersq": -0.0052, "union": 0.0800, "married": 0.0467}.items():
        assert found[name].estimate == printed(slope, 4)
    panel = data.set_index(["nr", "year"])
    theirs = PanelOLS(panel["lwage"], panel[terms], entity_effects=True, time_effects=True).fit(
        cov_type="clustered", cluster_entity=True, group_debias=True, debiased=True, count_effects=True, auto_df=False
    )
    # There all effects count, here those of persons, who are the clusters, do not.
    people, years = data["nr"].nunique(), data["year"].nunique()
    count = np.sqrt((len(data) - 3 - people - years + 1) / (len(data) - 3 - years))
    for name in terms:
        assert found[name].std_error == pytest.approx(theirs.std_errors[name] * count, rel=1e-8)
