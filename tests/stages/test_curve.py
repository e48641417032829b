"""The specification curve on made-up loans: the same numbers as other stages, resumed, and on any number of workers."""

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.curve import batches
from pipeline.analyses.curve import page as chapter
from pipeline.analyses.curve import rows as curve_rows
from pipeline.core import params, results
from pipeline.core.protocol import Alternatives
from pipeline.present.figures import draw
from pipeline.present.words import Words, filled
from pipeline.runtime import places, store
from pipeline.runtime.code import Code
from pipeline.runtime.errors import StudyError
from pipeline.stages import curve, match, regress
from tests.sample import PARAMS, market_tables, protocol, raw_loans

STUDY = "lendingclub"
BATCHES = 2 * 2 + 4 * 2 * 2
FEW = {"samples": {"from_2010": {"window": {"first_month": "2010-01"}}}}
"""Alternatives of a small curve."""


@pytest.fixture(scope="module")
def cohort():
    from pipeline.studies.lendingclub import study

    choices = params.load(PARAMS)
    return study.prepare({STUDY: raw_loans(1500, seed=3), **market_tables()}, protocol(), choices.checks).cohort


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def in_turn(monkeypatch):
    computed = []
    monkeypatch.setattr(batches, "each", in_process(computed))
    return computed


def in_process(computed):
    """Return what computes batches in this process, one after the other, and notes which."""

    def each(function, items, settings, label=None):
        for item in items:
            computed.append(item.name)
            yield function(item)

    return each


@pytest.fixture(scope="module")
def rows(cohort, tmp_path_factory):
    """The rows of a whole curve, and those of the stage regress."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("whole"))
        computed = []
        patch.setattr(batches, "each", in_process(computed))
        choices = choices_with()
        written(cohort, choices)
        assert len(computed) == len(set(computed)) == BATCHES
        match.run(STUDY, choices)
        regress.run(STUDY, choices)
        return results.read(places.results(STUDY, "curve"), places.results(STUDY, "regress"))


def choices_with(alternatives=None, permutations=19, workers=1, **grid):
    choices = params.load(PARAMS)
    study = protocol()
    alternatives = alternatives or {
        "treatments": {"second_message": {"column": "communication_frequency", "at_least": 2}},
        "outcomes": {"small_loans": {"column": "default", "among": [{"column": "amount", "at_most": 12000}]}},
        "samples": {"from_2010": {"window": {"first_month": "2010-01"}}},
        "exact": {"grade": ["credit_grade"]},
    }
    changes = {
        "matching": study.matching.model_copy(update={"exact": ["credit_grade", "term_months"]}),
        "alternatives": Alternatives.model_validate(alternatives),
    }
    grid = {"permutations": permutations, "scores": ["logistic"], "calipers": [0.1]} | grid
    return choices.model_copy(
        update={
            "specification_curve": choices.specification_curve.model_copy(update=grid),
            "parallel": choices.parallel.model_copy(update={"workers": workers}),
            "studies": {**choices.studies, STUDY: study.model_copy(update=changes)},
        }
    )


def written(cohort, choices):
    store.write_parquet(places.processed(STUDY) / "cohort.parquet", cohort)
    curve.run(STUDY, choices)
    return places.results(STUDY, "curve").read_bytes()


def test_the_studys_own_specifications_are_those_of_its_other_stages(rows):
    found = rows.where(stage="curve", estimator=["matching", "regression"])
    kind = {"factor": "treated", "stage": "regress"}
    for said, of_regress in (
        ("headline", {"estimator": "linear_probability", "specification": "M5"}),
        ("matched pairs", {"estimator": "linear_probability", "specification": "M6"}),
    ):
        (own,) = found[found["note"].str.startswith(said)].itertuples()
        other = rows.one(estimand="risk_difference", **kind, **of_regress)
        for name in ("estimate", "std_error", "ci_low", "ci_high", "p_value", "n", "n_treated", "n_clusters"):
            assert getattr(own, name) == pytest.approx(getattr(other, name), rel=1e-6), name
    for number, block in enumerate(("loan", "borrower", "market", "time"), start=2):
        text = f"controls={block}; model=logit; sample=protocol; treatment=protocol"
        own = rows.one(stage="curve", specification=text, outcome="default")
        other = rows.one(estimand="average_marginal_effect", specification=f"M{number}", **kind)
        assert (own.estimate, own.std_error) == pytest.approx((other.estimate, other.std_error), rel=1e-5)


def test_the_grid_is_whole_and_counted(rows):
    found = rows.where(estimator=["matching", "regression"])
    # Two samples, treatments and outcomes; keys, calipers, ratios and controls by twos; Mahalanobis with the study's
    # keys and caliper alone; four sets of controls and two forms.
    assert len(found) == 8 * (2 * 2 * 2 * 2 + 2 * 2) + 8 * 4 * 2
    known = found[found["estimate"].notna()]
    counted = {
        row.estimand: row.estimate
        for row in rows.where(estimator="specification_count", specification="all").itertuples()
    }
    assert counted["specifications"] == len(known)
    assert counted["lower"] == (known["estimate"] < 0).sum()
    assert counted["higher"] == (known["estimate"] > 0).sum()
    assert counted["significant_higher"] == (known["ci_low"] > 0).sum()
    permuted = rows.one(estimator="joint_inference", specification="all", estimand="permuted").estimate
    assert permuted == (~known["specification"].str.contains("model=logit")).sum()
    median = rows.one(estimator="spread", specification="all", estimand="median").estimate
    assert median == pytest.approx(known["estimate"].median())


@pytest.mark.parametrize("interrupted_after", [pytest.param(0, marks=pytest.mark.long), 3])
def test_an_interrupted_run_goes_on_where_it_was(folder, cohort, in_turn, monkeypatch, interrupted_after):
    choices = choices_with(FEW)
    whole = written(cohort, choices)
    every = list(in_turn)
    real, done = batches.compute, []

    def until(folder, batch):
        if len(done) == interrupted_after:
            raise KeyboardInterrupt
        done.append(batch.name)
        return real(folder, batch)

    monkeypatch.setattr(batches, "compute", until)
    with pytest.raises(KeyboardInterrupt):
        written(cohort, choices)
    monkeypatch.setattr(batches, "compute", real)
    in_turn.clear()
    assert written(cohort, choices) == whole
    assert in_turn == every[interrupted_after:]
    # Nothing stays behind, and other choices or loans begin anew.
    assert not list((folder / ".cache" / "curve" / STUDY).iterdir())


def test_what_was_kept_of_other_choices_is_not_used(folder, cohort, in_turn, monkeypatch):
    real = batches.compute
    monkeypatch.setattr(curve_rows, "_summary", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        written(cohort, choices_with(FEW))
    in_turn.clear()
    with pytest.raises(ZeroDivisionError):
        written(cohort, choices_with(FEW, permutations=20))
    assert len(in_turn) == len(set(in_turn)) > 0 and batches.compute is real
    in_turn.clear()
    with pytest.raises(ZeroDivisionError):
        written(cohort, choices_with(FEW, permutations=20))
    assert in_turn == []


def test_batches_are_kept_by_all_code_that_computes_them():
    root = PARAMS.parent
    runs = {name for name in Code(root).runs("curve") if name.split("/")[1] in ("analyses", "core", "stats")}
    hashed = {path.relative_to(root).as_posix() for path in batches.code()}
    packages = {name for name in runs if name.endswith("/__init__.py")}
    assert runs - packages <= hashed
    assert {"pipeline/stats/matching.py", "pipeline/core/scope.py", "pipeline/analyses/curve/matched.py"} <= hashed


def test_one_worker_and_two_write_the_same_bytes_in_any_order_of_the_loans(folder, cohort):
    first = written(cohort, choices_with(FEW, workers=1))
    mixed = cohort.sample(frac=1, random_state=1).reset_index(drop=True)
    assert written(mixed, choices_with(FEW, workers=2)) == first


@pytest.mark.parametrize(
    ("alternatives", "message"),
    [
        ({"samples": {"one": {"where": [{"column": "incme", "at_least": 1}]}}}, "incme.*did you mean 'income'"),
        ({"samples": {"one": {"where": [{"column": "credit_grade", "levels": ["H"]}]}}}, "level H of credit_grade"),
        ({"samples": {"one": {"where": [{"column": "credit_grade", "at_least": 1}]}}}, "no number"),
        ({"outcomes": {"one": {"column": "late"}}}, "late"),
        ({"exact": {"one": ["credit_grad"]}}, "did you mean 'credit_grade'"),
    ],
)
def test_an_alternative_that_the_cohort_does_not_know_is_said(folder, cohort, alternatives, message):
    with pytest.raises(StudyError, match=message):
        written(cohort, choices_with(alternatives))


def test_one_arm_is_said_in_a_row(folder, cohort):
    written(cohort.assign(treated=1), choices_with())
    rows = results.read(places.results(STUDY, "curve"))
    assert rows.frame["note"].tolist() == ["there are not two arms of loans to compare."]
    assert not chapter.drawings(rows, None, None)


def test_loans_sampled_by_outcome_keep_their_weight(folder, cohort, in_turn):
    weighted = cohort.assign(weight=np.where(cohort["default"] == 1, 1.0, 4.0))
    few = {"outcomes": {"small_loans": {"column": "default", "among": [{"column": "amount", "at_most": 12000}]}}}
    written(weighted, choices_with(few))
    rows = results.read(places.results(STUDY, "curve"))
    known = rows.where(estimator=["matching", "regression"])
    linear = known["estimate"].notna() & ~known["specification"].str.contains("model=logit")
    assert rows.one(estimator="joint_inference", specification="all", estimand="permuted").estimate == linear.sum()


def test_the_figure_holds_every_specification(folder, rows):
    shown = chapter.specifications(rows)
    assert shown["estimate"].is_monotonic_increasing
    assert sorted(shown.loc[shown["own"] != "", "own"]) == ["headline", "matched"]
    known = rows.where(estimator=["matching", "regression"])
    assert len(shown) == known["estimate"].notna().sum()
    for language in ("en", "zh"):
        draw(chapter.curve, folder / f"{language}.svg", rows, Words(language, STUDY))
    assert (folder / "zh.svg").stat().st_size > 0


def test_categories_of_a_wider_sample_stay_categories(folder, cohort, in_turn):
    wider = pd.concat([cohort, cohort.head(50).assign(loan_id=lambda loans: "9" + loans["loan_id"])])
    store.write_parquet(places.processed(STUDY) / "more" / "robustness.parquet", wider)
    written(cohort, choices_with({"samples": {"wider": {"wider": True}}}))
    rows = results.read(places.results(STUDY, "curve"))
    text = "controls=loan; model=linear; sample={}; treatment=protocol"
    sizes = [rows.one(specification=text.format(name)).n for name in ("protocol", "wider")]
    assert sizes == [len(cohort), len(cohort) + 50]


@pytest.mark.long
def test_of_more_loans_than_the_limit_a_random_subsample_is_taken_and_the_page_says_it(cohort, folder, in_turn):
    def with_most(loans, seed=20021001):
        return choices_with(FEW, most_loans=loans).model_copy(update={"seed": seed})

    whole = written(cohort, with_most(len(cohort)))
    assert b"every_loan" not in whole and written(cohort, with_most(10 * len(cohort))) == whole
    few = written(cohort, with_most(1_000))
    assert written(cohort, with_most(1_000)) == few != written(cohort, with_most(1_000, seed=5))
    store.write_text(places.results(STUDY, "curve"), few.decode())
    found = results.read(places.results(STUDY, "curve"))
    row = found.one(estimator="assumption", specification="every_loan")
    assert (row.n, row.estimate) == (1_000, pytest.approx(1_000 / len(cohort), rel=1e-7))
    own = found.where(estimator="regression")
    assert own["n"].max() == 1_000
    shown = {"row": row, "stage": "curve", "whole": str, "percent": "{:.0f}%".format}
    said = filled(Words("en", STUDY).text("assumptions.every_loan"), **shown)
    assert said.startswith("Not every loan took part in stage curve: 1000 form a random subsample, ")
    part = row._replace(factor="cross_fitting")
    for language, name in (("en", " (cross-fitting): "), ("zh", "（交叉拟合）")):
        assert name in filled(Words(language, STUDY).text("assumptions.every_loan"), **shown | {"row": part})
