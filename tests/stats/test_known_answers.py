"""Our regressions on textbook data that come with the packages, beside the figures printed in their documentation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from linearmodels.datasets import mroz, munnell, wage_panel
from linearmodels.panel import PanelOLS

from pipeline.core import results
from pipeline.stats.absorbed import absorbed_linear, grouped_logit
from pipeline.stats.design import design_matrix
from pipeline.stats.regression import linear_probability, logit
from pipeline.stats.robust_errors import partial_out


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
    for name in terms:
        assert found[name].std_error == pytest.approx(theirs.std_errors[name], rel=1e-8)


# Mroz (1987); Wooldridge, Introductory Econometrics, table 17.1: who works for a wage.
MROZ = {
    "nwifeinc": (-0.0034, -0.021, 0.008),
    "educ": (0.038, 0.221, 0.043),
    "exper": (0.039, 0.206, 0.032),
    "expersq": (-0.00060, -0.0032, 0.0010),
    "age": (-0.016, -0.088, 0.015),
    "kidslt6": (-0.262, -1.443, 0.204),
    "kidsge6": (0.013, 0.060, 0.075),
}


def test_mroz():
    data = mroz.load()
    design = design_matrix(data, list(MROZ)).matrix
    alone = rows_alone(data)
    x = design.drop(columns="intercept")
    fit = grouped_logit(
        data["inlf"].to_numpy(dtype=float), x.to_numpy(), [np.zeros(len(x), dtype=int)], alone.to_numpy()
    )
    errors = np.sqrt(np.diag(np.linalg.inv(fit.information)))
    for place, (name, (linear, log_odds, error)) in enumerate(MROZ.items()):
        digits = 4 if name in ("nwifeinc", "expersq") else 3
        found = linear_probability(data["inlf"], design, name, alone, 0.95).estimate
        assert found == printed(linear, 3 if name == "exper" else digits)
        odds = logit(data["inlf"], design, name, alone, 0.95).odds_ratio.estimate
        assert np.log(odds) == pytest.approx(fit.slopes[place], abs=1e-8)
        assert fit.slopes[place] == printed(log_odds, 4 if name == "expersq" else 3)
        assert errors[place] == printed(error, 4 if name == "expersq" else 3)
    assert fit.log_likelihood == printed(-401.77, 2)


# Munnell (1990); Baltagi & Pinnoi (1995), and the table on it in Baltagi, Econometric Analysis of Panel Data.
@pytest.mark.parametrize(
    ("name", "pooled", "within"),
    [("public", 0.155, -0.026), ("private", 0.309, 0.292), ("labour", 0.594, 0.768), ("unemployment", -0.007, -0.005)],
)
def test_munnell(name, pooled, within):
    data = munnell.load()
    logs = {"public": np.log(data["P_CAP"]), "private": np.log(data["PC"]), "labour": np.log(data["EMP"])}
    design = pd.DataFrame({"intercept": 1.0, **logs, "unemployment": data["UNEMP"]})
    output, state = np.log(data["GSP"]), data["STATE"]
    assert linear_probability(output, design, name, state, 0.95).estimate == printed(pooled, 3)
    found = absorbed_linear(output, design, [name], state, state, 0.95).effects[name]
    assert found.estimate == printed(within, 3)


# Longley (1967): nearly collinear on purpose. The National Institute of Standards and Technology certifies the slopes.
LONGLEY = {
    "GNPDEFL": 15.0618722713733,
    "GNP": -0.0358191792925910,
    "UNEMP": -2.02022980381683,
    "ARMED": -1.03322686717359,
    "POP": -0.0511041056535807,
    "YEAR": 1829.15146461355,
}


@pytest.mark.parametrize(("name", "certified"), LONGLEY.items())
def test_longley(name, certified):
    data = sm.datasets.longley.load_pandas().data
    design = data[list(LONGLEY)].assign(intercept=1.0)
    alone = rows_alone(data)
    assert linear_probability(data["TOTEMP"], design, name, alone, 0.95).estimate == pytest.approx(certified, rel=1e-8)
    assert partial_out(data["TOTEMP"], design, name).slope == pytest.approx(certified, rel=1e-8)
    one = pd.Series(0, data.index)
    found = absorbed_linear(data["TOTEMP"], design, [name], one, alone, 0.95).effects[name]
    assert found.estimate == pytest.approx(certified, rel=1e-8)


# Li, Mickel & Taylor (2018), the teaching case on loans to firms in Californian real estate. Statsmodels' fit of the
# article's model stands in a public notebook on the case (mehdi-jafarov/SBA-Default-Risk-Prediction, SBA-Model.ipynb).
SBA_CASE = {
    "intercept": (1.3931, 0.322, 0.763, 2.023),
    "real_estate": (-2.1282, 0.345, -2.804, -1.452),
    "portion": (-2.9875, 0.539, -4.044, -1.931),
    "recession": (0.5041, 0.241, 0.031, 0.977),
}


@pytest.mark.parametrize(("name", "figures"), SBA_CASE.items())
def test_the_teaching_case_of_small_firms(name, figures):
    # The data are fetched, so what is looked at are the rows of the last run.
    rows = results.read(Path(__file__).parents[2] / "reports" / "sba" / "results" / "effects.csv")
    row = rows.one(estimator="teaching_case", specification="fitted", factor=name)
    assert row.n == 1051
    for found, figure, digits in zip(
        (row.estimate, row.std_error, row.ci_low, row.ci_high), figures, (4, 3, 3, 3), strict=True
    ):
        assert found == printed(figure, digits)
