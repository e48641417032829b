"""What an earlier stage wrote and something damaged, and commands that ask for what is not there."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline.runtime import places
from tests.hostile.place import ROOT, STUDY, refused, write

COHORT = Path(f"data/processed/{STUDY}/cohort.parquet")
SCORES = Path(f"reports/{STUDY}/results/predict.csv")
SCORE = Path(f"reports/{STUDY}/model.json")
OF_STUDY = ("--study", STUDY)


def a_folder(path):
    path.unlink()
    path.mkdir()


def a_gap(path):
    frame = pd.read_parquet(path)
    frame.assign(default=frame["default"].where(frame.index > 0)).to_parquet(path)


def a_line_more(path):
    path.write_text(path.read_text(encoding="utf-8") + "garbage,1\n", encoding="utf-8")


DAMAGED = {
    "a_cohort_of_text": (COHORT, lambda path: write(path, "loan_id,default\n"), "match", "is damaged"),
    "half_a_cohort": (COHORT, lambda path: write(path, path.read_bytes()[:3000]), "describe", "is damaged"),
    "a_cohort_with_a_gap_in_default": (COHORT, a_gap, "match", "column default: 1 of "),
    "an_empty_cohort": (COHORT, lambda path: write(path, b""), "regress", "is damaged"),
    "a_folder_for_a_cohort": (COHORT, a_folder, "match", "is a folder: remove it"),
    "no_cohort": (COHORT, Path.unlink, "predict", "does not exist: run the earlier stages"),
    "empty_results": (SCORES, lambda path: write(path, ""), "report", "is no table of results"),
    "results_of_one_line": (SCORES, lambda path: write(path, "study,stage\n"), "report", "is no table of results"),
    "results_with_a_line_more": (SCORES, a_line_more, "report", "is no table of results"),
    "results_in_bytes": (SCORES, lambda path: write(path, b"\xff\xfe\x00"), "report", "is no table of results"),
    "results_with_words_for_numbers": (
        SCORES,
        lambda path: write(path, path.read_text(encoding="utf-8").replace("0.", "O.")),
        "report",
        "is no table of results",
    ),
    "a_score_in_bytes": (SCORE, lambda path: write(path, b'{"a": "\xff"}'), "grade", "is not valid JSON"),
    "a_workbook_for_results": (SCORES, lambda path: write(path, b"PK\x03\x04" * 9), "report", "is no table of results"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_an_earlier_stage_wrote_and_something_damaged(place, capsys, name):
    path, damage, stage, needle = DAMAGED[name]
    damage(path)
    refused(capsys, place, [stage, *OF_STUDY], (str(path), needle, "make reproduce"))


def without(*columns):
    pd.read_parquet(COHORT).drop(columns=list(columns)).to_parquet(COHORT)


READERS = sorted(
    path.stem
    for path in (ROOT / "pipeline" / "stages").glob("*.py")
    if "cohorts.read(" in path.read_text(encoding="utf-8") and path.stem not in ("cases", "effects")
)
"""Stages that read a reader's cohort."""


def test_most_stages_read_the_cohort():
    assert len(READERS) > 14 and {"match", "describe", "regress", "predict", "curve"} <= set(READERS)


@pytest.mark.parametrize("stage", READERS)
def test_a_cohort_without_a_column(place, capsys, stage):
    without("income")
    named = f"which matching.score in {places.choices(STUDY)}"
    needles = (f"{COHORT} has no column 'income', {named}", f"make reproduce STUDY={STUDY}")
    refused(capsys, place, [stage, *OF_STUDY], needles)
    without("default")
    refused(capsys, place, [stage, *OF_STUDY], f"{COHORT} has no column 'default', which this stage needs: run make")


def test_a_report_before_anything_was_found(place, capsys):
    refused(capsys, place, ["report", *OF_STUDY], ("holds no rows of the stage describe", f"STUDY={STUDY}"))
    shutil.rmtree(SCORES.parent)
    refused(capsys, place, ["report", *OF_STUDY], "holds no results: run the study first")


COMMANDS = {
    "a_study_misspelt": (["match", "--study", "mime"], "no study 'mime' (did you mean 'mine'?)"),
    "a_study_of_no_name_near": (["match", "--study", "xyz"], "no study 'xyz' (known: berka, mine)"),
    "a_readers_study_to_simulate": (["simulate", *OF_STUDY], f"{places.choices(STUDY)} has no scenario"),
    "a_readers_study_to_recover": (["recovery", *OF_STUDY], f"{places.choices(STUDY)} has no section recovery"),
    "a_public_study_to_take_in": (["intake", "--study", "berka"], f"{places.choices('berka')} has no section own"),
    "findings_of_nothing": (["findings", *OF_STUDY], f"run make reproduce STUDY={STUDY}"),
    "a_study_named_as_other_pages": (["init-study", "evidence", "--data", "loans.csv"], "reports/evidence"),
    "a_study_named_as_logs": (["init-study", "log", "--data", "loans.csv"], "reports/log"),
    "one_column_for_outcome_and_treatment": (
        ["init-study", "theirs", "--data", "loans.csv", "--default", "default", "--treated", "default"],
        "--default and --treated both name 'default'",
    ),
    "versions_where_git_keeps_none": (["compare", "main", "HEAD"], ("git finds no versions here", "in a clone")),
    "a_claim_before_there_are_verdicts": (["explain", "E09"], "verdicts.csv does not exist"),
    "a_row_that_is_not_there": (["explain", *OF_STUDY, "nothing / at all"], "no rows of stage nothing; it has predict"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_asks_for_what_is_not_there(place, capsys, name):
    # Where a stage's log goes, whatever became of it.
    Path("reports/berka").mkdir()
    arguments, needles = COMMANDS[name]
    refused(capsys, place, arguments, needles)


@pytest.mark.parametrize("mirror", ["/nowhere", "loans.csv"])
def test_a_mirror_that_is_no_folder_is_said_once(place, capsys, monkeypatch, mirror):
    monkeypatch.setenv("CRM_DATA_MIRROR", mirror)
    Path("reports/berka").mkdir()
    said = refused(capsys, place, ["collect", "--study", "berka"], (mirror, "correct or unset CRM_DATA_MIRROR"))
    assert said.count("is not a folder") == 1
