"""Measurements: what a command takes, the history that is kept, and the page that is written from it."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

from benchmarks import history, machine, matching, months, page, since, stages, whole
from pipeline.core import params, yaml
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError

DERIVED = ("data/code", "data/interim", "data/processed", "data/raw", "data/truth")


def row(name="prepare", seconds=10.0, size=1.0, peak=1.0, group="reference", part="stages", by="ours", **more):
    found = history.measurement(part, group, name, size, [seconds], peak, by, [seconds])
    return found._replace(**{"date": "2026-01-01", "code": "abc", **more})


@pytest.fixture()
def file(tmp_path):
    return tmp_path / "history.csv"


def test_a_command_is_timed_and_its_memory_and_that_of_its_children_watched():
    child = "import time; held = bytearray(200_000_000); time.sleep(1)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('done')"
    spent = machine.run([sys.executable, "-c", parent])
    assert spent.output == "done\n" and not spent.error
    assert 1 < spent.seconds < 30
    assert 0.18 < spent.peak < 0.6


def test_a_command_that_fails_says_why():
    spent = machine.run([sys.executable, "-c", "raise SystemExit('no room')"])
    assert spent.error == "no room"


def test_neither_the_machines_name_nor_paths_are_told():
    told = machine.name() + machine.versions()
    host = subprocess.run([sys.executable, "-c", "import platform; print(platform.node())"], capture_output=True)
    assert host.stdout.decode().strip() not in told
    assert not re.search(r"/(home|root|tmp|usr|work)\b", told)


def test_measurements_come_back_as_they_were_written(file):
    what = ("large", "one cohort", "pairs, by three keys", 10_000_000)
    several = history.measurement(*what, [3.0, 1.0, 2.0], 4.5, processor=[1.0, 2.5])
    for found in (several, row()):
        history.add(found, file)
    assert history.read(file) == [several, row()]
    assert (several.seconds, several.smallest, several.largest, several.repeats) == (2.0, 1.0, 3.0, 3)


def test_other_machines_do_not_count(file):
    history.add(row(machine="another"), file)
    history.add(row(seconds=20.0), file)
    assert [found.seconds for found in history.read(file)] == [20.0]
    assert history.slower(history.read(file)) == []


@pytest.mark.parametrize(("now", "grown"), [(13.0, True), (11.9, False), (5.0, False)])
def test_what_became_slower_by_more_than_a_fifth_is_named(now, grown):
    rows = [row(seconds=1.0), row(seconds=10.0), row(seconds=now)]
    assert bool(history.slower(rows)) is grown
    text = page.text(rows)
    assert ("| reference: prepare (1, ours) | 10.00 |" in text) is grown
    assert f"{now / 10 - 1:+.0%}" in text


def test_the_same_stage_of_another_study_or_scale_is_another_thing():
    rows = [row(seconds=1.0), row(seconds=9.0, size=10.0), row(seconds=9.0, group="sba")]
    assert history.slower(rows) == []


def test_the_page_prints_exponents_of_growth():
    rows = [row(seconds=2.0, peak=0.5), row(seconds=20.0, size=10.0, peak=5.0)]
    rows += [row("match", seconds=1.0, peak=1.0), row("match", seconds=100.0, size=10.0, peak=1.0)]
    lines = page.text(rows).splitlines()
    of = {line.split(" | ")[0].strip("| "): [cell.strip(" |") for cell in line.split(" | ")] for line in lines}
    assert of["prepare"][-2:] == ["1.00", "1.00"]
    assert of["match"][-2:] == ["2.00", "0.00"]


def test_the_page_says_what_would_not_fit_at_ten_times_the_size(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 24.0)
    rows = [row(peak=1.0), row(peak=10.0, size=10.0), row("match", peak=1.0), row("match", peak=2.0, size=10.0)]
    text = page.text(rows)
    assert "Scale 100 is not measured where this machine has 24 GB" in text
    assert "it holds all but prepare (100 GB)." in text
    assert "Scale 100" not in page.text(rows[2:])


def test_the_page_says_whether_targets_are_met():
    names = stages.stages_of("reference")
    rows = [row(name, seconds=1.0, size=size) for name in names for size in (1.0, 10.0)]
    assert "Target: scale 10 from raw tables to report in under 6 minutes and 8 GB. Not known" in page.text(rows)

    def whole(seconds, size, peak=5.0):
        return row("all stages, 2 at a time", seconds, size, peak, part="whole")

    def to_report(seconds, peak=5.0):
        return row(stages.TO_REPORT, seconds, 10.0, peak, part="to_report")

    text = page.text([*rows, whole(40.0, 1.0), whole(1500.0, 10.0), to_report(1200.0)])
    assert "all stages at scale 1 in under 60 s. Met." in text
    assert "in under 6 minutes and 8 GB; it took 20.0 minutes and 5.0 GB. Not met." in text
    assert "it took 5.0 minutes and 5.0 GB. Met." in page.text([*rows, to_report(300.0)])
    assert "it took 5.0 minutes and 9.0 GB. Not met." in page.text([*rows, to_report(300.0, 9.0)])
    assert "Not measured at scale 10: report." in page.text([one for one in rows if one.key[2:5:2] != ("report", 10.0)])
    prepared = row(months.PREPARED, seconds=250.0, size=months.ROWS, peak=7.0, group="loan-months", part="months")
    assert "within 8 GB. Met." in page.text([prepared])
    assert "within 8 GB. Not met." in page.text([prepared._replace(peak=9.0)])


def test_a_study_cut_short_meets_no_target():
    assert "at scale 1 in" not in page.text([row(seconds=1.0)])


def test_ratios_to_peers_are_those_of_the_same_size():
    rows = [row("Logistic regression", 4.0, 1e6, part="regression", group="regression")]
    rows.append(row("Logistic regression", 10.0, 1e6, part="regression", group="regression", by="pyfixest"))
    rows.append(row("Logistic regression", 1.0, 5e4, part="regression", group="regression"))
    rows.append(row("Logistic regression", 7.0, 5e4, part="regression", group="regression", by="statsmodels"))
    text = page.text(rows)
    assert re.search(r"1,000,000 loans, pyfixest \| 10\.00 .*\| 2\.5 \|", text)
    assert re.search(r"50,000 loans, statsmodels \| 7\.00 .*\| 7\.0 \|", text)


def test_the_page_says_what_stages_take_of_the_first_versions_time():
    taken = {"curve": (100.0, 61.0), "predict": (50.0, 30.0), "match": (8.0, 4.0), "time": (9.0, None)}
    both = [
        row(name=name, seconds=seconds, part="since", by=by)
        for name, pair in taken.items()
        for by, seconds in zip((since.FIRST, "ours"), pair, strict=True)
        if seconds is not None
    ]
    text = page.text(both)
    for line in ("curve | 100.00 | 61.00 | 0.61 | 0.6, not met", "predict | 50.00 | 30.00 | 0.60 | 0.6, met"):
        assert f"| {line} |" in text
    assert "| match | 8.00 | 4.00 | 0.50 |  |" in text and "| time |" not in text
    assert "| these stages together | 158.00 | 95.00 | 0.60 |  |" in text


def test_the_first_version_is_unpacked_beside_this_one(monkeypatch):
    monkeypatch.setattr(since, "VERSION", "HEAD")
    with since.first() as folder:
        assert since._there(folder, "curve") and since._there(folder, since.RECOVERY)
        assert not since._there(folder, "no stage")
    monkeypatch.setattr(since, "VERSION", "0" * 40)
    with pytest.raises(StudyError, match="version 1 is not here"), since.first():
        pass


def test_the_page_says_what_whole_commands_take_and_what_dvc_adds():
    def of(name, by, seconds, processor, part="commands"):
        return row(name=name, seconds=seconds, part=part, by=by)._replace(processor=processor)

    rows = [of(whole.ONE, since.FIRST, 400.0, 500.0), of(whole.ONE, "ours", 160.0, 250.0)]
    text = page.text(rows)
    assert f"| {whole.ONE}: processor | 500.0 | 250.0 | 0.50 | 0.45, not met |" in text
    assert f"| {whole.ONE}: clock | 400.0 | 160.0 | 0.40 | 0.4, met |" in text
    assert whole.ADDED not in text and whole.EVERY not in text
    for stage, then, now in (("curve", 300.0, 200.0), ("match", 100.0, 44.0), (since.RECOVERY, 9.0, 9.0)):
        rows += [of(stage, since.FIRST, 1.0, then, "since"), of(stage, "ours", 1.0, now, "since")]
    rows.append(of(whole.ADDED, "ours", 0.0, 3.0))
    assert f"| {whole.ADDED}: processor | 50.0 | 3.0 | 0.06 | 2 s, not met |" in page.text(rows)


def test_what_stages_took_is_read_from_their_logs(tmp_path):
    folder = tmp_path / places.log(whole.STUDY) / "times"
    folder.mkdir(parents=True)
    for stage, seconds in (("match", 2.5), ("curve", 40.0)):
        (folder / f"{stage}.json").write_text(json.dumps({"processor_seconds": seconds}))
    assert whole.processor_of_stages(tmp_path) == [40.0, 2.5]


def test_a_clone_has_every_stage_out_of_date_but_the_recovery(tmp_path):
    lock = """schema: '2.0'
stages:
  code:
    cmd: python -m pipeline code
    deps:
  curve@reference:
    cmd: python -m pipeline curve --study reference
  recovery@reference:
    cmd: python -m pipeline recovery --study reference
"""
    changed = whole.outdated(lock).splitlines()
    same = [before for before, after in zip(lock.splitlines(), changed, strict=True) if before == after]
    assert [line for line in same if "cmd" in line] == ["    cmd: python -m pipeline recovery --study reference"]
    assert changed.count("    cmd: another command") == 2
    with whole.clone("HEAD") as folder:
        for file in ("dvc.lock", "analyses/dvc.lock"):
            assert "cmd: another command" in (folder / file).read_text()
    with pytest.raises(StudyError, match="is not here"), whole.clone("0" * 40):
        pass


def test_a_matchit_that_fails_is_not_one_that_is_missing(monkeypatch, tmp_path):
    program = tmp_path / "Rscript"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for does, expected in (("echo 2.5 3.5 4.5", 3.5), ("echo there is no package called MatchIt >&2; exit 1", None)):
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
        assert matching.matchit(50, "keys", "largest", 3) == expected
    program.write_text("#!/bin/sh\necho unknown order >&2\nexit 1\n")
    with pytest.raises(StudyError, match="does not match 50 loans by closest: unknown order"):
        matching.matchit(50, "keys", "closest", 3)


def test_a_page_of_nothing_is_a_page():
    assert page.text([]).startswith("# Benchmarks")


def test_stages_are_those_of_the_pipeline_but_what_waits_for_others():
    found = stages.stages_of("reference")
    assert found[:3] == ["simulate", "prepare", "match"] and "report" in found
    assert not set(found) & set(stages.NOT_TIMED)
    assert "simulate" not in stages.stages_of("sba") and "prepare" in stages.stages_of("sba")


def test_a_copy_has_the_scale_that_is_asked_for_and_leaves_this_repository_alone():
    before = params.load().studies["reference"].scale
    with stages.copy("reference", 2.5) as folder:
        assert params.load(folder / "params.yaml").studies["reference"].scale == 2.5
        assert (folder / "data" / "claims.csv").exists()
    assert not folder.exists()
    assert params.load().studies["reference"].scale == before


def test_a_stage_that_fails_is_named_with_its_complaint():
    # Nothing was simulated in the copy, so there is nothing to prepare.
    with pytest.raises(StudyError, match=r"reference at scale 1: prepare \(.*does not exist"):
        list(stages.measure("reference", 1.0, 1, ["prepare"]))


def spent(error=""):
    return machine.Spent(1.0, 1.0, 0.1, "", error)


def test_the_way_from_raw_tables_to_report_leaves_out_simulation_and_notebook(monkeypatch):
    def run(command, *_):
        time.sleep(0.2 if command[3] in ("simulate", "report") else 0.4 if command[3] == "notebook" else 0)
        return spent()

    monkeypatch.setattr(machine, "run", run)
    whole, to_report = [*stages.measure("reference", 0.02, 1)][-2:]
    assert (whole.part, to_report.name) == ("whole", stages.TO_REPORT)
    assert 0.2 <= to_report.seconds < whole.seconds - 0.35


@pytest.mark.long
def test_small_stages_are_measured_one_by_one():
    start = time.perf_counter()
    found = list(stages.measure("reference", 0.02, 1, ["simulate", "prepare"]))
    assert [one.name for one in found] == ["simulate", "prepare"]
    assert all(one.size == 0.02 and one.peak > 0.05 for one in found)
    assert sum(one.seconds for one in found) < time.perf_counter() - start


def test_a_copy_holds_whatever_a_stage_reads():
    read = yaml.stages().values()
    deps = {dep for stage in read for dep in stage.get("do", stage)["deps"] if "${" not in dep}
    with stages.copy("reference") as folder:
        missing = [dep for dep in deps if not (folder / dep).exists() and not dep.startswith(DERIVED)]
    assert missing == []
