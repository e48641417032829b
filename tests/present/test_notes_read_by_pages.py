"""Where a page reads the text of a note, the notes of all studies have the form that it reads."""

import re

import pytest

from pipeline.core import params
from pipeline.core.protocol import rungs_of
from pipeline.present.words import Words
from tests.present.test_first_sentence import report, rows

STUDIES = params.load().compared

FORMS = [
    ("regress", "linear_probability", "M6", "", r"(.*; )?clustered (two ways, by pair and by \w+|by pair|by \w+)"),
    (
        "adjust",
        "double_machine_learning",
        "",
        "risk_difference",
        r"median .+; \d+ treated loans without a like left out",
    ),
    (
        "adjust",
        "permuted_treatment",
        "",
        "rejection_rate",
        r"\d+ of \d+ permutations; (whole clusters, )?within strata of .+",
    ),
    ("adjust", "oster", "", "delta", r"[\d.]+ times the R-squared with controls"),
    ("robustness", "leave_one_cluster_out", "", "", r"without .+, \d+ loans"),
    ("robustness", "group_effects", "linear_probability", "", r"effects of \w+( and \w+)?; .+"),
    ("missing", "complete_cases", "incomplete_controls", "", r"with .+"),
    ("heterogeneity", "by_group", "", "", r"\d+ of \d+"),
    ("predict", "split", "", "", r"(\d{4}-\d\d-\d\d)?"),
    ("predict", "logistic", "", "precision", r"the [\d.]+% of loans with the highest scores"),
    ("predict", "partial_dependence", "", "", r"tree|forest|boosting"),
    ("grade", "assessment", "", "", r"\d+ lenders.*"),
    ("correlate", "relation", "", "", r"given .+"),
    ("mechanism", "mediation", "sensitivity_interval", "", r".+ up to [\d.]+ either way.*"),
]
"""By stage, estimator, specification and the beginning of the estimand: what a page takes for granted of the note."""


@pytest.mark.parametrize(("stage", "estimator", "specification", "estimand", "form"), FORMS)
def test_notes_have_the_form_that_the_page_reads(stage, estimator, specification, estimand, form):
    seen = 0
    for study in STUDIES:
        found = rows(study).where(stage=stage, estimator=estimator)
        found = found[found["estimate"].notna() & found["estimand"].str.startswith(estimand)]
        for row in found[found["specification"].eq(specification) | (specification == "")].itertuples():
            seen += 1
            assert re.fullmatch(form, row.note), (study, row.note)
    assert seen


@pytest.mark.parametrize("study", STUDIES)
def test_every_assumption_says_whether_it_held(study):
    found = rows(study).where(estimator="assumption")
    notes = found.loc[found["estimate"].notna(), "note"]
    assert len(notes) and notes.str.fullmatch(r"(passed|failed); threshold [\d.e+-]+").all()


@pytest.mark.parametrize("study", STUDIES)
def test_treatment_is_permuted_in_strata_of_lots_where_it_was_randomised(study):
    row = rows(study).one(stage="adjust", estimator="permuted_treatment", estimand="rejection_rate")
    randomised = params.load().study(study).design == "randomised"
    assert ("strata of lots" in row.note) == randomised
    page = report(study)
    said = next(block for block in page.chapters() if "Treatment was permuted" in block)
    assert ("the strata of the actual randomisation" in said) == randomised


@pytest.mark.parametrize("study", STUDIES)
def test_the_recommended_r_squared_stands_among_the_rows(study):
    found = rows(study).where(stage="adjust", estimator="oster", estimand="delta")
    assert found["note"].str.startswith("1.3 ").sum() == 1


@pytest.mark.parametrize("study", STUDIES)
def test_columns_that_a_note_names_have_labels(study):
    protocol = params.load().study(study)
    words = Words("en", study, protocol.module)
    inside = rows(study).where(stage="robustness", estimator="group_effects", specification="linear_probability")
    for note in inside.loc[inside["estimate"].notna(), "note"]:
        for column in note.split(";")[0].removeprefix("effects of ").split(" and "):
            assert words.known("columns", column)
    assert list(rungs_of(protocol))
