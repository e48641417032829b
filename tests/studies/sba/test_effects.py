import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.multitest import multipletests

from pipeline.core import results
from pipeline.core.params import load
from pipeline.core.shared import Checks
from pipeline.studies.sba import study
from pipeline.studies.sba.effects import effects
from tests.sample import PARAMS
from tests.studies.sba.made_up import protocol, raw_loans, tables


@pytest.fixture(scope="module")
def everything():
    # Two draws from one file.
    file = raw_loans(8_000, 5, last="2008-12-31")
    raw = pd.concat([file.sample(4_000, random_state=number).assign(draw=number) for number in (1, 2)])
    prepared = study.prepare(tables(raw), protocol(), Checks(quarantine_share=0.01, balance=0.1))
    rows = effects(prepared.cohort, prepared.panels, protocol(), load(PARAMS))
    return prepared, results.Results(results.table("sba", "effects", rows))


def test_rows_fit_the_results_table_and_every_one_has_a_number(everything):
    _, found = everything
    assert found.frame["estimate"].notna().all()
    assert {"linear_within_banks", "prevalence", "overlap_of_draws", "losses", "lender_growth", "grade"} <= set(
        found.frame["estimator"]
    )


def test_a_near_bank_is_seen_to_go_with_less_default(everything):
    _, found = everything
    name = {"estimator": "all_loans", "factor": "relationship_depth_same_state", "specification": "within_banks"}
    # The world has .4 of near and .6 of far loans fail in the draws.
    odds = found.one(**name, estimand="odds_ratio")
    assert odds.ci_low < (0.4 / 0.6) / (0.6 / 0.4) < odds.ci_high
    assert found.one(**name, estimand="risk_difference").ci_high < 0


def test_moderators_of_loans_that_decide_are_one_family(everything):
    prepared, found = everything
    names = ["moderated_by_unemployment", "moderated_by_small_firm"]
    family = found.where(estimator=names, specification="interaction")
    assert len(family) == 9
    assert family["p_adjusted"].to_numpy() == pytest.approx(multipletests(family["p_value"], method="holm")[1])
    others = found.frame[found.frame["estimator"].str.startswith("moderated_by")]
    assert others.loc[others["specification"] != "interaction", "p_adjusted"].isna().all()
    of_choice = family[family["factor"] == "information_sharing"]
    assert set(of_choice["n"]) == {len(prepared.cohort)} and set(of_choice["estimator"]) == set(names)


def test_more_months_of_waiting_are_read_inside_banks(everything):
    _, found = everything
    factor = "communication_effectiveness_months"
    slope = found.one(estimator="dose", specification="linear", factor=factor)
    inside = found.one(estimator="all_loans", specification="within_banks", factor=factor, estimand="risk_difference")
    assert (slope.estimate, slope.std_error, slope.n) == (inside.estimate, inside.std_error, inside.n)
    parts = found.where(estimator="dose", factor=factor)
    groups = parts[parts["specification"].str.startswith("group")]
    assert groups["n"].sum() == slope.n and (groups["n"] < slope.n / 4).all()


def test_documentation_that_does_nothing_is_not_said_to(everything):
    _, found = everything
    row = found.one(estimator="linear_within_banks", specification="all_years")
    assert row.ci_low < 0 < row.ci_high


def test_the_share_of_defaults_moves_with_the_prevalence(everything):
    prepared, found = everything
    rates = [
        found.one(estimator="prevalence", specification=s, estimand="rate").estimate
        for s in ("lower", "stated", "higher")
    ]
    cohort = prepared.cohort
    stated = 100 * (cohort["default"] * cohort["weight"]).sum() / cohort["weight"].sum()
    assert rates[1] == pytest.approx(stated)
    # The cohort is much like the whole file, so its rate moves by about the two points.
    assert rates[1] - rates[0] == pytest.approx(2, abs=0.2) and rates[2] - rates[1] == pytest.approx(2, abs=0.2)


def test_the_overlap_of_draws_is_the_estimate_of_two_samples(everything):
    prepared, found = everything
    draws = prepared.panels["draws"]
    for name, value in {"charged_off": 1, "paid": 0}.items():
        of_kind = draws[draws["default"] == value]
        first, second = (set(of_kind.loc[of_kind["draw"] == number, "loan_id"]) for number in (1, 2))
        row = found.one(estimator="overlap_of_draws", specification=name)
        assert row.estimate == pytest.approx(len(first) * len(second) / len(first & second), rel=1e-6)
    # Draws of plain chance from a file that half failed: its own share comes out.
    share = found.one(estimator="overlap_of_draws", specification="share_charged_off")
    assert share.ci_low < 100 * draws["default"].mean() < share.ci_high


def test_the_classroom_model_is_fitted_on_its_part(everything):
    prepared, found = everything
    case = prepared.panels["teaching_case"]
    fit = smf.logit("Default ~ RealEstate + Portion + Recession", case[case["Selected"] == 1]).fit(disp=0)
    row = found.one(estimator="teaching_case", specification="fitted", factor="portion")
    assert row.estimate == pytest.approx(fit.params["Portion"], rel=1e-6)
    wrong = found.one(estimator="teaching_case", specification="tested")
    tested = case[case["Selected"] == 0]
    assert wrong.estimate == pytest.approx(100 * ((fit.predict(tested) > 0.5) != (tested["Default"] == 1)).mean())
    assert wrong.n == len(tested)


def test_spellings_and_banks_are_counted(everything):
    _, found = everything
    counts = {row.specification: row.estimate for row in found.where(estimator="crosswalk").itertuples()}
    # Six names; the generic one is another bank in each of four states and in North Carolina.
    assert counts == {"spellings": 6, "institutions": 10, "several_spellings": 0, "several_states": 5}


def test_losses_are_means_of_failed_loans(everything):
    prepared, found = everything
    lost = prepared.panels["loans"]["loss_given_default"].dropna()
    assert found.one(estimator="losses", specification="mean", outcome="loss_given_default").estimate == pytest.approx(
        100 * lost.mean()
    )


def test_lenders_near_their_clients_are_compared_between_banks(everything):
    prepared, found = everything
    row = found.one(estimator="lenders", specification="between_banks")
    loans = prepared.panels["loans"]
    sizes = loans["institution_id"].value_counts()
    assert row.n == sizes[sizes >= 10].sum() and row.n_clusters == (sizes >= 10).sum()


def test_whom_the_file_leaves_out_is_shown_by_years_of_approval(everything):
    prepared, found = everything
    loans = pd.concat([prepared.panels["loans"], prepared.panels["later"]])
    year = loans["approval_year"].astype(int)
    inside = loans[(year >= 1998) & (year <= 2001)]
    row = found.one(estimator="ended_loans", specification="charged_off", factor="approval_years[1998-2001]")
    assert row.n == len(inside)
    assert row.estimate == pytest.approx(100 * (inside["default"] * inside["weight"]).sum() / inside["weight"].sum())
    # The world holds long terms among the approvals up to 2003, half of them, and none among later ones.
    terms = {span: found.one(estimator="ended_loans", specification="long_terms_among_paid",
                             factor=f"approval_years[{span}]") for span in ("1998-2001", "2006-2007")}  # fmt: skip
    assert terms["1998-2001"].ci_low < 50 < terms["1998-2001"].ci_high and terms["2006-2007"].estimate == 0


def test_rows_that_decide_see_no_late_approval(everything):
    """Every default of late approvals may turn round, and no row without their name moves."""
    prepared, found = everything
    panels = dict(prepared.panels) | {"robustness": prepared.robustness}
    for name in ("later", "later_approvals"):
        turned = 1 - panels[name]["default"]
        weight = turned.map(panels[name].groupby("default")["weight"].first())
        panels[name] = panels[name].assign(default=turned, weight=weight)
    other = results.Results(results.table("sba", "effects", effects(prepared.cohort, panels, protocol(), load(PARAMS))))
    key = ["estimator", "specification", "factor", "outcome", "estimand"]
    both = found.frame.merge(other.frame, on=key, suffixes=("", "_other"))
    assert len(both) == len(found.frame)
    moved = both[(both["estimate"] - both["estimate_other"]).abs() > 1e-9]
    named = moved["specification"].str.contains("later|everyone")
    shown = moved["estimator"] == "ended_loans"
    assert (named | shown).all() and named.sum() > 20
    noted = moved[~moved["estimator"].eq("ended_loans")]["note"]
    assert noted.str.contains("decides nothing").all()


def test_the_weights_of_all_years_hold_in_the_years_that_decide(everything):
    prepared, found = everything
    loans = prepared.panels["loans"]
    row = found.one(estimator="overlap_of_draws", specification="weighted_deciding")
    assert row.estimate == pytest.approx(100 * (loans["default"] * loans["weight"]).sum() / loans["weight"].sum())
    draws = prepared.panels["draws"]
    draws = draws[draws["loan_id"].isin(loans["loan_id"])]
    for name, value in {"charged_off_deciding": 1, "paid_deciding": 0}.items():
        first, second = (set(draws.loc[(draws["default"] == value) & (draws["draw"] == n), "loan_id"]) for n in (1, 2))
        size = found.one(estimator="overlap_of_draws", specification=name)
        assert size.estimate == pytest.approx(len(first) * len(second) / len(first & second), rel=1e-6)
