"""Stages side by side: none before what it reads has been written, the long ones first, one large one at a time."""

import threading
import time

import pytest

from pipeline.commands.reproduce import of_study
from pipeline.commands.side_by_side import LARGE, LONG, in_turn, needed
from pipeline.runtime.errors import StudyError

STUDY = [one for one in of_study("reference") if one not in ("recovery", "synthesis", "evidence")]


class Watched:
    """Runs of stages that take a moment, of which it keeps the order and who ran beside whom."""

    def __init__(self, failing=()):
        self.lock, self.now, self.began, self.beside = threading.Lock(), set(), [], []
        self.failing = failing

    def __call__(self, stage):
        with self.lock:
            self.now.add(stage)
            self.began.append(stage)
            self.beside.append(frozenset(self.now))
        time.sleep(0.01)
        with self.lock:
            self.now.remove(stage)
        if stage in self.failing:
            raise StudyError(f"{stage} fails")
        return f"{stage} is done"


def test_what_a_stage_reads_is_told_by_the_files_of_dvc():
    needs = needed(STUDY)
    assert needs["simulate"] == set() and needs["prepare"] == {"simulate"}
    assert "predict" in needs["grade"] and "prepare" in needs["curve"] and "curve" not in needs["adjust"]
    # It reads a folder into which every analysis writes.
    assert {"regress", "curve", "grade"} <= needs["report"] and "report" not in needs["notebook"]


def test_stages_stand_in_an_order_in_which_they_can_run():
    needs = needed(STUDY)
    for place, stage in enumerate(STUDY):
        assert needs[stage] <= set(STUDY[:place]), stage


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_every_stage_runs_once_and_after_what_it_needs(jobs):
    run, needs = Watched(), needed(STUDY)
    done = dict(in_turn(run, needs, jobs))
    assert done == {stage: f"{stage} is done" for stage in STUDY} and len(run.began) == len(STUDY)
    for place, stage in enumerate(run.began):
        assert needs[stage] <= set(run.began[:place])
    assert max(map(len, run.beside)) == jobs
    assert not any(len(group & set(LARGE)) > 1 for group in run.beside)


def test_long_ones_begin_first():
    run = Watched()
    list(in_turn(run, {stage: () for stage in ("cases", "notebook", *reversed(LONG), "report")}, 1))
    assert run.began == [*LONG, "cases", "report", "notebook"]


def test_stages_of_several_studies_take_turns_as_those_of_one():
    run = Watched()
    names = ["report@a", "cases@a", "curve@b", "effects@a", "time@b", "warning@a"]
    list(in_turn(run, {name: () for name in names}, 1))
    assert run.began == ["curve@b", "time@b", "effects@a", "cases@a", "warning@a", "report@a"]
    run = Watched()
    list(in_turn(run, {name: () for name in names}, 3))
    assert not any(len({name for name in group if name.partition("@")[0] in LARGE}) > 1 for group in run.beside)


def test_what_needs_one_that_failed_does_not_run_and_the_others_do():
    run = Watched(failing=("predict",))
    done = dict(in_turn(run, needed(STUDY), 2))
    assert str(done["predict"]) == "predict fails" and str(done["grade"]).startswith("needs predict")
    assert isinstance(done["report"], StudyError) and "report" not in run.began
    assert done["curve"] == "curve is done" and set(done) == set(STUDY)


def test_who_takes_no_more_waits_and_nothing_new_begins():
    run = Watched(failing=("first",))
    for _, result in in_turn(run, {stage: () for stage in ("first", "second", "third", "fourth")}, 2):
        if isinstance(result, StudyError):
            break
    assert not run.now and set(run.began) <= {"first", "second", "third"}


def test_another_error_is_raised():
    def run(stage):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_turn(run, {"one": ()}, 2))
