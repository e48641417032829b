"""Gelbach's decomposition against pyfixest's, the algebra of least squares, and a bootstrap over clusters."""

import numpy as np
import pandas as pd
import pyfixest
import pytest
import statsmodels.api as sm

from pipeline.runtime.errors import StudyError
from pipeline.stats.gelbach import WHOLE, gelbach

BANKS, EACH = 60, 20
BLOCKS = {"borrower": ["income", "age"], "loan": ["amount"]}


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(7)
    bank = np.repeat(np.arange(BANKS), EACH)
    of_bank, rows = rng.normal(size=BANKS)[bank], BANKS * EACH
    income, age = rng.normal(size=rows) + 0.5 * of_bank, rng.normal(size=rows)
    crm = 0.6 * income - 0.3 * age + 0.5 * of_bank + rng.normal(size=rows)
    amount = 0.4 * crm + rng.normal(size=rows)
    default = 0.2 - 0.05 * crm + 0.1 * income + 0.08 * amount - 0.04 * age + 0.3 * rng.normal(size=rows) + 0.1 * of_bank
    frame = pd.DataFrame({"default": default, "crm": crm, "income": 1e3 * income + 5e3, "age": age, "amount": amount})
    return frame.assign(bank=bank, weight=rng.uniform(0.5, 3, rows))


def design(frame):
    return frame[["crm", "income", "age", "amount"]].assign(intercept=1.0)


def decomposed(frame, weighted=False):
    weights = frame["weight"] if weighted else None
    return gelbach(frame["default"], design(frame), "crm", BLOCKS, frame["bank"], 0.95, weights)


def test_parts_are_those_of_pyfixest(loans):
    found = decomposed(loans)
    model = pyfixest.feols("default ~ crm + income + age + amount", loans)
    table = model.decompose(decomp_var="crm", combine_covariates=BLOCKS, only_coef=True).tidy()
    theirs = table.loc[table["panels"] == "Levels (units)", "coefficients"]
    assert found[WHOLE].estimate == pytest.approx(theirs["explained_effect"], rel=1e-7)
    for block in BLOCKS:
        assert found[block].estimate == pytest.approx(theirs[block], rel=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_parts_add_up_to_the_raw_slope_less_the_full_one(loans, weighted):
    found = decomposed(loans, weighted)
    weights = loans["weight"] if weighted else 1.0
    full = sm.WLS(loans["default"], design(loans), weights=weights).fit()
    raw = sm.WLS(loans["default"], sm.add_constant(loans["crm"]), weights=weights).fit()
    assert found[WHOLE].estimate == pytest.approx(raw.params["crm"] - full.params["crm"], rel=1e-9)
    for block, columns in BLOCKS.items():
        ways = [
            full.params[name] * sm.WLS(loans[name], sm.add_constant(loans["crm"]), weights=weights).fit().params["crm"]
            for name in columns
        ]
        assert found[block].estimate == pytest.approx(sum(ways), rel=1e-9)
    assert sum(found[block].estimate for block in BLOCKS) == pytest.approx(found[WHOLE].estimate, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_are_the_sandwich_of_all_regressions_together(loans, weighted):
    """The stacked equations of the full regression and of each control on the factor, by the delta method."""
    found = decomposed(loans, weighted)
    w = (loans["weight"] if weighted else loans["weight"] * 0 + 1).to_numpy()
    x, short = design(loans).to_numpy(), sm.add_constant(loans["crm"]).to_numpy()
    names = list(design(loans))
    full = np.linalg.solve((w[:, None] * x).T @ x, x.T @ (w * loans["default"].to_numpy()))
    of_full = x * (w * (loans["default"].to_numpy() - x @ full))[:, None] @ np.linalg.inv((w[:, None] * x).T @ x)
    inverse = np.linalg.inv((w[:, None] * short).T @ short)
    moved = {block: 0.0 for block in BLOCKS}
    for block, columns in BLOCKS.items():
        for name in columns:
            value = loans[name].to_numpy()
            slope = inverse @ (short.T @ (w * value))
            of_slope = (short * (w * (value - short @ slope))[:, None] @ inverse)[:, 1]
            place = names.index(name)
            moved[block] = moved[block] + full[place] * of_slope + slope[1] * of_full[:, place]
    moved[WHOLE] = sum(moved.values())
    rows = BANKS * EACH
    factor = BANKS / (BANKS - 1) * (rows - 1) / (rows - 5)
    for block, influence in moved.items():
        error = np.sqrt(factor * (np.bincount(loans["bank"], influence) ** 2).sum())
        assert found[block].std_error == pytest.approx(error, rel=1e-8)


@pytest.mark.long
def test_errors_are_near_those_of_a_bootstrap_over_banks(loans):
    rng = np.random.default_rng(1)
    rows = np.arange(BANKS * EACH).reshape(BANKS, EACH)
    drawn = [decomposed(loans.iloc[rows[rng.integers(0, BANKS, BANKS)].ravel()]) for _ in range(300)]
    for block, one in decomposed(loans).items():
        assert one.std_error == pytest.approx(np.std([again[block].estimate for again in drawn]), rel=0.15)


def test_a_factor_that_controls_determine_is_a_sentence(loans):
    with pytest.raises(StudyError, match="nothing can be said"):
        gelbach(loans["default"], design(loans).drop(columns="crm"), "crm", BLOCKS, loans["bank"], 0.95)
