import numpy as np
import pytest
import statsmodels.api as sm

from pipeline.analyses.procedure import rows as procedure
from pipeline.analyses.procedure.rows import Lender
from pipeline.core import params

LENDER = Lender(20_000, 50, 0.2, {"treated": 0.4, "contacts": None, "waiting": None}, frozenset({"waiting"}))


def test_made_up_loans_have_the_rate_the_leaning_and_the_effect_that_were_asked_for():
    loans, default = procedure.made_up(LENDER, True, 0.05, np.random.default_rng(1))
    assert default.mean().to_numpy() == pytest.approx([0.2] * 3, abs=0.01)
    assert loans["treated"].mean() == pytest.approx(0.4, abs=0.001)
    leaning = loans.corr()["trait"]
    assert abs(leaning["treated"]) < 0.02 and leaning["contacts"] == pytest.approx(procedure.LEANING, abs=0.02)
    for column, effect in (("treated", -0.05), ("contacts", -0.05), ("waiting", 0.05)):
        design = sm.add_constant(loans[[column, "trait"]])
        assert sm.OLS(default[column], design).fit().params[column] == pytest.approx(effect, abs=0.012)


def test_without_an_effect_all_practices_share_one_default():
    _, default = procedure.made_up(LENDER, False, 0.0, np.random.default_rng(1))
    assert default["treated"].equals(default["contacts"]) and default["treated"].equals(default["waiting"])


def test_the_rows_are_those_of_the_library():
    loans, default = procedure.made_up(LENDER, True, 0.05, np.random.default_rng(2))
    found = procedure.regressed("berka", loans, default, LENDER, 0.95)
    row = found.one(stage="regress", factor="contacts")
    design = sm.add_constant(loans[["contacts", "trait"]])
    fit = sm.OLS(default["contacts"], design).fit(cov_type="cluster", cov_kwds={"groups": loans["group"]})
    assert row.estimate == pytest.approx(100 * fit.params["contacts"])
    assert row.std_error == pytest.approx(100 * fit.bse["contacts"])
    assert found.one(stage="describe", estimator="default_rate").estimate == pytest.approx(20, abs=1)


def test_shares_are_counted_with_their_monte_carlo_error():
    sets = [{"E09": "supported", "E10": "inconclusive"}] * 3 + [{"E09": "inconclusive", "E10": "inconclusive"}]
    rows = {(row["factor"], row["outcome"]): row for row in procedure.told("nothing_works", sets)}
    assert rows["E09", "supported"]["estimate"] == rows["any", "supported"]["estimate"] == 0.75
    assert rows["any", "supported"]["std_error"] == pytest.approx((0.75 * 0.25 / 4) ** 0.5)
    assert rows["any", "contradicted"]["estimate"] == 0


def test_one_set_goes_from_loans_to_verdicts():
    from tests.analyses.test_evidence import bearing, claim

    choices = params.load()
    lenders = {"berka": Lender(20_000, 50, 0.2, {"treated": 0.4}, frozenset())}
    task = procedure.Task([claim()], [bearing()], lenders, choices)
    assert procedure.one_set(task, ("twice_what_matters", 0)) == {"E09": "supported"}
    assert procedure.one_set(task, ("nothing_works", 0))["E09"] in ("inconclusive", "no_important_effect")
