import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pipeline.__main__ import main
from pipeline.runtime import journal, places, runs, store
from pipeline.runtime.errors import StudyError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_second_run_of_the_same_is_told_of_the_first():
    with runs.alone("match sba"):
        assert [name for name, _ in runs.under_way()] == ["match sba"]
        with (
            pytest.raises(StudyError, match=r"under way \(process \d+, since [\d :-]+ UTC\): wait"),
            runs.alone("match sba"),
        ):
            raise AssertionError("two at once")
        with runs.alone("match berka"):
            assert len(runs.under_way()) == 2
    assert runs.under_way() == []
    with runs.alone("match sba"):
        pass


def test_a_killed_run_holds_no_lock():
    code = (
        "import os, signal; from pipeline.runtime import runs\n"
        "with runs.alone('match sba'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)})
    assert killed.returncode == -9
    assert (places.LOCKS / "match@sba.lock").read_text().startswith("process ")
    assert runs.under_way() == []
    with runs.alone("match sba"):
        pass


def test_a_lock_that_cannot_be_made_is_said_in_a_sentence():
    Path(".cache").write_text("in the way")
    with pytest.raises(StudyError, match=r"cannot be written .*change its rights"), runs.alone("match sba"):
        pass


def of(study, stage):
    return json.loads((places.log(study) / f"{stage}.json").read_text())


def test_the_log_tells_what_a_run_did():
    with journal.kept() as entries, runs.logged("match", "sba", entries) as run:
        store.write_text(Path("a.txt"), "x")
        run.said = "3 pairs"
    assert of("sba", "match") == {
        "stage": "match",
        "study": "sba",
        "ended": "done",
        "said": "3 pairs",
        "read": [],
        "written": [{"file": "a.txt", "rows": None}],
    }
    times = json.loads((places.log("sba") / "times" / "match.json").read_text())
    assert times["seconds"] >= 0 and times["peak_memory_mb"] > 10
    # Of the whole process, whose imports come before the stage.
    assert times["processor_seconds"] > times["seconds"] / 2
    assert times["began"].endswith("Z")


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (StudyError("no loan is left."), "no loan is left."),
        (KeyboardInterrupt(), "interrupted"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
def test_the_log_tells_why_a_run_ended(error, ended):
    with pytest.raises(type(error)), journal.kept() as entries, runs.logged("synthesis", None, entries):
        raise error
    assert of(None, "synthesis")["ended"] == ended


def test_the_same_run_gives_the_same_log():
    logs = []
    for _ in range(2):
        with journal.kept() as entries, runs.logged("match", "sba", entries) as run:
            store.write_text(Path("a.txt"), "x")
            run.said = "3 pairs"
        logs.append((places.log("sba") / "match.json").read_bytes())
    assert logs[0] == logs[1]


def test_a_log_that_cannot_be_written_does_not_undo_the_run(capsys):
    Path("reports").write_text("in the way")
    with journal.kept() as entries, runs.logged("match", "sba", entries):
        pass
    assert capsys.readouterr().err.startswith("No log: reports/sba/log/match.json cannot be written")


def test_quiet_is_quiet_and_verbose_tells_all(capsys):
    for loudness in ("quiet", "normal", "verbose"):
        with runs.told(loudness):
            print("said")
            store.write_csv(Path("a.csv"), pd.DataFrame({"a": [1]}))
        out, err = capsys.readouterr()
        assert out == ("" if loudness == "quiet" else "said\n")
        assert err.startswith("  written a.csv: 1 rows\n  0." if loudness == "verbose" else "")
        assert bool(err) == (loudness == "verbose")


def test_every_stage_and_command_takes_both(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["findings", "--study", "reference", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["findings", "--study", "referense", "--quiet"]) == 1
    assert "did you mean 'reference'?" in capsys.readouterr().err
    assert main(["explain", "E09", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    with pytest.raises(SystemExit):
        main(["findings", "--study", "reference", "--quiet", "--verbose"])


CLOCKS = {"time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime", "now", "utcnow", "today"}


def test_only_the_log_reads_the_clock():
    """A clock that is wrong, or set while a run goes on, then changes nothing that people read.

    How long a server has been silent is told by a clock that nobody can set.
    """
    reading = {
        (file.name, node.attr)
        for file in (ROOT / "pipeline").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("time", "datetime", "date", "pd", "Timestamp")
        and node.attr in CLOCKS
    }
    assert {name for name, clock in reading - {("fetch.py", "monotonic")}} == {"runs.py"}


def test_who_has_to_wait_says_for_whom(tmp_path):
    """Two `make reproduce` take turns: the second begins when the first has ended."""
    wait = (
        "import sys; from pipeline.runtime.runs import alone\nwith alone('reproduce', sys.argv[1]): exec(sys.argv[2])"
    )
    turn = [sys.executable, "-c", wait]
    around = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    code = "import sys; print('begun', flush=True); sys.stdin.read(); open('ended', 'w').close()"
    first = subprocess.Popen(
        [*turn, "sba", code],
        cwd=tmp_path,
        env=around,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout.readline() == "begun\n"
    second = subprocess.Popen(
        [*turn, "berka", "open('ended')"],
        cwd=tmp_path,
        env=around,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = second.stderr.readline()
    assert said.startswith("Another reproduce is under way (sba, process ") and second.poll() is None
    first.communicate()
    assert (first.wait(), second.wait()) == (0, 0)
    second.stderr.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux says what children take")
def test_children_that_wait_for_more_work_count():
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint(1, flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert runs._of_those_alive() > 0.25
        child.communicate(b"\n")
