"""The stages adjust and heterogeneity, with their chapters, on made-up loans."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.stats.multitest import multipletests

from pipeline.analyses.adjust.checks import permuted, selection
from pipeline.analyses.adjust.loans import Loans
from pipeline.analyses.heterogeneity import rows as by_groups
from pipeline.analyses.heterogeneity.interactions import interactions
from pipeline.analyses.heterogeneity.page import moderated
from pipeline.analyses.heterogeneity.sample import grouping
from pipeline.core import params, results
from pipeline.core.protocol import Window
from pipeline.core.scope import scope
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.stages import adjust, heterogeneity, match
from pipeline.stats.design import design_matrix
from tests.sample import PARAMS, market_tables, protocol, raw_loans

STUDY = "lendingclub"


def prepared(loans):
    from pipeline.studies.lendingclub import study

    choices = params.load(PARAMS)
    return study.prepare({STUDY: raw_loans(loans, seed=3), **market_tables()}, protocol(), choices.checks).cohort


@pytest.fixture(scope="module")
def cohort():
    return prepared(1500)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(cohort, most=200_000, stages=(adjust, heterogeneity), **changes):
    choices = params.load(PARAMS)
    study = protocol(**changes)
    study = study.model_copy(
        update={"matching": study.matching.model_copy(update={"exact": ["credit_grade", "term_months"]})}
    )
    of_stage = choices.adjust.model_copy(update={"folds": 2, "repetitions": 1, "permutations": 40, "most_loans": most})
    choices = choices.model_copy(update={"adjust": of_stage, "studies": {**choices.studies, STUDY: study}})
    store.write_parquet(places.processed(STUDY) / "cohort.parquet", cohort)
    match.run(STUDY, choices)
    for stage in stages:
        stage.run(STUDY, choices)
    return results.read(*(places.results(STUDY, stage.__name__.rpartition(".")[2]) for stage in stages))


@pytest.fixture(scope="module")
def plain(cohort, tmp_path_factory):
    """Return the rows of the made-up loans as they come, which several tests compare with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("plain"))
        return ran(cohort)


def test_the_rows_do_not_depend_on_the_order_of_the_loans_nor_on_a_limit_that_they_just_keep(folder, cohort, plain):
    first = plain.frame
    again = ran(cohort.sample(frac=1, random_state=1).reset_index(drop=True), most=len(cohort)).frame
    pd.testing.assert_frame_equal(first, again)
    there = set(first["estimator"])
    assert {"doubly_robust", "double_machine_learning", "placebo_outcome", "permuted_treatment", "oster"} <= there
    assert {"by_group", "moderation", "rosenbaum_bounds", "e_value", "individual_effects"} <= there
    effects = first[first["estimand"] == "risk_difference_of_treated"]
    assert effects["estimate"].notna().all() and (effects["n_clusters"] > 0).all()
    tests = first[
        (first["estimator"] == "moderation") & first["estimand"].str.startswith("wald") & first["p_value"].notna()
    ]
    assert (tests["p_adjusted"] >= tests["p_value"]).all()


def test_interactions_are_one_family_of_products_in_a_formula(cohort, plain):
    rows = plain.where(estimator="interaction")
    study = protocol()
    moderators = list(study.moderators)
    factors = {"treated", *(name for name in study.factors if (cohort[name] != cohort["treated"]).any())}
    assert set(zip(rows["factor"], rows["specification"], strict=True)) == {
        (factor, name) for factor in factors for name in moderators if name != factor
    }
    tested = rows[rows["p_value"].notna()]
    assert tested["p_adjusted"].to_numpy() == pytest.approx(multipletests(tested["p_value"], method="holm")[1])
    factor = "communication_frequency"
    number = next(name for name, how in study.moderators.items() if how != "levels" and name in study.controls.borrower)
    scaled = cohort.assign(**{name: cohort[name] / cohort[name].std() for name in (factor, number)})
    terms = [*study.controls.time, *(term for term in [*study.controls.ladder().values()][-1])]
    design = design_matrix(scaled, [factor, *dict.fromkeys(terms)]).matrix
    design = design.assign(product=scaled[factor] * scaled[number])
    region = pd.factorize(cohort[study.cluster], sort=True)[0]
    fit = sm.OLS(cohort["default"].to_numpy(), design).fit(cov_type="cluster", cov_kwds={"groups": region})
    found = plain.one(estimator="interaction", specification=number, factor=factor)
    assert found.estimate == pytest.approx(100 * fit.params["product"], rel=1e-6)
    assert found.std_error == pytest.approx(100 * fit.bse["product"], rel=1e-6)


def test_treated_loans_that_choose_among_ties_are_counted_and_many_fail(folder, cohort, plain):
    few = plain.one(estimator="assumption", specification="tied_controls")
    assert few.estimate <= 0.1 and few.note.startswith("passed")
    coarse = cohort.assign(credit_score=(cohort["credit_score"] // 60) * 60.0)
    choices = {"score": ["credit_score"], "exact": ["credit_grade", "term_months"]}
    rows = ran(coarse, stages=[adjust], matching=protocol().matching.model_copy(update=choices))
    many = rows.one(estimator="assumption", specification="tied_controls")
    assert many.estimate > 0.5 and many.note.startswith("failed")
    spread = rows.one(estimator="renumbering", estimand="spread")
    assert spread.estimate > 0 and "20 orders" in spread.note


def test_of_more_loans_than_the_limit_models_are_cross_fitted_on_some_drawn_by_lot_and_the_checks_take_all(
    folder, cohort, plain
):
    whole = plain.frame
    few = ran(cohort, most=1_000)
    row = few.one(stage="adjust", specification="every_loan")
    assert (row.factor, row.n) == ("cross_fitting", 1_000)
    assert row.estimate == pytest.approx(1_000 / len(cohort), rel=1e-7)
    assert "drawn by lot" in row.note and not (whole["specification"] == "every_loan").any()
    models = few.where(estimator=["doubly_robust", "double_machine_learning", "entropy_balancing"])
    assert models["n"].max() <= 1_000
    checks = ["placebo_outcome", "permuted_treatment", "rosenbaum_bounds"]
    same = whole[whole["estimator"].isin(checks)].reset_index(drop=True)
    pd.testing.assert_frame_equal(few.where(estimator=checks), same)


def test_what_cannot_be_compared_is_said_in_a_row(folder, cohort):
    few = cohort.groupby("treated").head(120).reset_index(drop=True)
    for changed in (few.assign(treated=1), few.assign(default=0)):
        rows = ran(changed).frame
        # Effects of factors need no second arm, where there are defaults to relate them to.
        interactions = rows["estimator"] == "interaction"
        assert interactions.any() == changed["default"].any() and "treated" not in set(rows[interactions]["factor"])
        rows = rows[~interactions]
        assert rows["estimate"].isna().all() and (rows["note"] != "").all()
    bare = few.drop(columns=["public_records"]).assign(public_records=0.0)
    rows = ran(bare, moderators={"public_records": "thirds", "gdp_growth": "thirds"})
    assert "same value" in rows.one(estimator="placebo_outcome", outcome="public_records").note
    assert "thirds" in rows.one(estimator="moderation", specification="public_records").note


def test_groups_of_every_kind():
    loans = pd.DataFrame(
        {
            "origination_date": pd.to_datetime(["2009-12-31", "2010-01-01", "2010-03-31", "2010-04-01"]),
            "yes": [0.0, 1.0, 1.0, 0.0],
            "term": [36, 60, 36, 60],
            "size": [1.0, 2.0, None, 9.0],
        }
    )
    window = Window(first_month="2010-01", last_month="2010-03")
    assert grouping(loans, "crisis", window).tolist() == ["outside", "inside", "inside", "outside"]
    assert grouping(loans, "yes", "levels").tolist() == ["no", "yes", "yes", "no"]
    assert grouping(loans, "term", "levels").tolist() == ["36", "60", "36", "60"]
    assert grouping(loans, "size", [2.0]).tolist()[:2] == ["<2", ">=2"]
    with pytest.raises(StudyError, match="no column"):
        grouping(loans, "nowhere", "levels")


@pytest.mark.parametrize("arm", [0, 1])
@pytest.mark.parametrize("outcome", [0, 1])
def test_a_group_of_which_all_loans_of_an_arm_end_alike_has_no_effect_and_differs_from_none(
    cohort, plain, arm, outcome, tmp_path
):
    """Its linear error would be nearly nought, and the difference from other groups so significant by chance alone."""
    names = plain.where(estimator="by_group", factor="treated", estimand="risk_difference")["specification"]
    assert "credit_grade[A]" in set(names) and "credit_grade[B]" in set(names)
    alike = (cohort["credit_grade"] == "A") & (cohort["treated"] == arm)
    changed = cohort.assign(default=cohort["default"].where(~alike, outcome))
    study = protocol(moderators={"credit_grade": "levels"}, moderated={})
    found = by_groups.rows(changed, scope(study, changed), 0.95, 1)
    effects = [row for row in found if row["estimator"] == "by_group" and row["specification"].startswith("credit")]
    assert effects and not any(row["specification"] == "credit_grade[A]" for row in effects)
    tests = {row["estimand"]: row for row in found if row["estimator"] == "moderation"}
    assert tests["wald_difference"]["note"] == "2 degrees of freedom; left out: A"
    assert tests["last_against_first"]["note"] == "D against B"
    row = next(
        row
        for row in interactions(changed, scope(study, changed), study.moderators, 0.95)
        if (row["factor"], row.get("specification")) == ("treated", "credit_grade")
    )
    assert row["note"].startswith("D against B; ") and row["note"].endswith("left out: A")
    results.write(tmp_path / "heterogeneity.csv", results.table(STUDY, "heterogeneity", found))
    (one,) = moderated(results.read(tmp_path / "heterogeneity.csv"), scope(study, changed))
    assert one.left_out == ["A"] and list(one.groups["difference"]) == ["B", "C", "D"]


@pytest.mark.parametrize(
    ("level", "said"),
    [("<5", "below 5"), ("5-<20", "5 to below 20"), (">=20", "20 and more"), ("highest", "highest third")],
)
def test_groups_have_names(level, said):
    from pipeline.analyses.heterogeneity.page import group
    from pipeline.present.words import Words

    assert group(Words("en", STUDY), level) == said


def test_strata_that_the_regression_leaves_out_move_the_centre_of_the_permutations_and_not_their_spread():
    rng = np.random.default_rng(5)
    frame = prepared(2500).sort_values("loan_id", ignore_index=True)
    risky = frame["credit_grade"].cat.codes >= frame["credit_grade"].cat.codes.median()
    frame = frame.assign(treated=(rng.random(len(frame)) < 0.3 + 0.4 * risky).astype(int))
    frame["default"] = (rng.random(len(frame)) < 0.1 + 0.1 * risky).astype(int)
    # Many clusters, so that their errors are of the right size.
    frame["region"] = rng.integers(0, 300, len(frame))
    study = protocol()
    study = study.model_copy(update={"matching": study.matching.model_copy(update={"exact": ["credit_grade"]})})
    loans = Loans(frame, study, 0.95, params.load(PARAMS).adjust, 1)

    def found(terms):
        design = design_matrix(frame, ["treated", *terms]).matrix
        rows = [*permuted(loans, design)]
        checks = {row["specification"]: row for row in rows if row["estimator"] == "assumption"}
        return {row["estimand"]: row for row in rows if "estimand" in row} | checks

    without, given = found([]), found(["credit_grade"])
    assert without["centre"]["ci_low"] > 1 > given["centre"]["ci_high"]
    assert without["permuted_centre"]["note"].startswith("failed")
    assert given["permuted_centre"]["note"].startswith("passed")
    # By the distance from their centre the permutations say nearly what they say where the strata are held equal.
    assert without["t_statistic"]["p_value"] == pytest.approx(given["t_statistic"]["p_value"], abs=0.15)
    for rows in (without, given):
        assert rows["spread"]["ci_low"] < 1 < rows["spread"]["ci_high"]


def test_a_treatment_of_whole_clusters_is_permuted_by_clusters(cohort):
    rng = np.random.default_rng(8)
    frame = cohort.sort_values("loan_id", ignore_index=True)
    bank = np.arange(len(frame)) % 60
    frame = frame.assign(region=bank, treated=rng.permutation(np.arange(60) % 2)[bank])
    frame["default"] = (rng.random(len(frame)) < 0.1 + 0.3 * rng.random(60)[bank]).astype(int)
    study = protocol()
    study = study.model_copy(update={"matching": study.matching.model_copy(update={"exact": ["credit_grade"]})})
    loans = Loans(frame, study, 0.95, params.load(PARAMS).adjust, 1)
    design = design_matrix(frame, ["treated"]).matrix
    rows = {row["estimand"]: row for row in permuted(loans, design) if "estimand" in row}
    assert "whole clusters" in rows["rejection_rate"]["note"]
    # Loan by loan the same permutations would spread far less than one error of these clusters.
    assert rows["spread"]["ci_low"] < 1.1 and rows["spread"]["estimate"] > 0.85
    assert rows["centre"]["ci_low"] < 0 < rows["centre"]["ci_high"]


def test_controls_that_explain_nearly_all_have_one_row_where_multiples_come_to_the_most_there_can_be():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"treated": rng.integers(0, 2, 400), "default": rng.integers(0, 2, 400)})
    frame["bank"] = np.arange(400) % 20
    told = frame["default"] + rng.normal(size=400) / 10
    design = pd.DataFrame({"intercept": 1.0, "treated": frame["treated"].astype(float), "told": told})
    choices = params.load(PARAMS)
    study = choices.study(STUDY).model_copy(update={"cluster": "bank"})
    loans = Loans(frame, study, 0.95, choices.adjust, 1)
    rows = [row for row in selection(loans, design) if row["estimand"] == "delta"]
    assert rows[-1]["outcome"] == "1.000000" and len({row["outcome"] for row in rows}) == len(rows)
