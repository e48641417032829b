"""The whole pipeline as a user runs it, on a small made-up sample in a temporary folder."""

import filecmp
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.runtime import places
from tests.choices import copied, edit
from tests.sample import write_mirror

ROOT = Path(__file__).parents[1]
PUBLISHED = ("notebooks", "reports")

pytestmark = pytest.mark.end_to_end


def run(folder, *command, fails=False, **environment):
    # Started from make itself, an inner make would speak of folders.
    outer = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        command,
        cwd=folder,
        env=outer | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
    )
    # What was asked for comes last, behind progress and warnings.
    said = done.stderr + done.stdout
    assert (done.returncode != 0) == fails, said
    return said


def commands(page):
    """Return the commands of a page of docs, but for the one that activates the environment."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, flags=re.S) for line in block.splitlines()]
    return [line for line in lines if not line.startswith(". ")]


def few_loans(study):
    """Take made-up loans."""
    study["vintages"] = [2009, 2010, 2011]
    study["expected"] = dict.fromkeys(study["expected"])


def few_worlds(study):
    """Simulate few loans, and few worlds."""
    study["scale"] = 0.1
    study["recovery"] |= {"replications": 2, "scale": 0.05, "scenarios": ["base"]}


def make_small(choices):
    """Of what is repeated take little: here no number is looked at but to compare it with itself."""
    few = {"permutations": 20, "scores": ["logistic"], "calipers": [0.1, 0.2], "ratios": [1]}
    choices["specification_curve"] |= few
    choices["adjust"] |= {"repetitions": 1, "permutations": 20}
    choices["missing"]["imputations"] = 2
    choices["procedure"]["sets"] = 2


def clone(folder, mirror):
    """Copy the repository without anything published, and let its records name the made-up files."""
    names = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in names:
        published = Path(name).name == "dvc.lock" or name.startswith("reports/") or name.endswith(".ipynb")
        if not published and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)

    def use_sample(record):
        for file in record["files"]:
            path = mirror / record["folder"] / file["name"]
            if path.exists():
                content = path.read_bytes()
                file |= {"sha256": sha256(content).hexdigest(), "git_blob": None, "bytes": len(content), "rows": None}

    for path in (folder / "pipeline").glob("**/sources/*.yaml"):
        edit(path, use_sample)

    edit(folder / "params.yaml", make_small)
    edit(folder / places.choices("lendingclub"), few_loans)
    edit(folder / places.choices("reference"), few_worlds)
    with_environment(folder)
    run(folder, "git", "init", "--quiet")
    commit(folder)
    return folder


def with_environment(folder):
    """Let the tests' own environment stand in for the one that make would build."""
    (folder / ".venv").symlink_to(sys.prefix)
    # Older than that environment, so that make builds no other.
    os.utime(folder / "requirements.lock", (0, 0))


def commit(folder):
    run(folder, "git", "add", "--all")
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
    run(folder, "git", *identity, "commit", "--quiet", "--message", "state")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror")
    write_mirror(folder, 4000, seed=1)
    return folder


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory, mirror):
    folder = clone(tmp_path_factory.mktemp("first"), mirror)
    said = run(folder, "make", "reproduce", "STUDY=lendingclub", CRM_DATA_MIRROR=str(mirror))
    commit(folder)
    return folder, said


def test_ends_with_the_headline_and_the_path_of_the_report(reproduced):
    folder, said = reproduced
    findings = (folder / "reports/lendingclub/findings.txt").read_text()
    assert findings in said
    assert said.rstrip().endswith("(also report.pdf and report.md)")
    assert (folder / "reports/lendingclub/report.pdf").read_bytes().startswith(b"%PDF")
    # The first sentence of the report says what becomes of the claim.
    first = findings.splitlines()[0]
    assert first in (folder / "reports/lendingclub/report.md").read_text().split("##")[0]


def test_a_second_run_does_nothing(reproduced):
    folder, _ = reproduced
    said = run(folder, "make", "reproduce", "STUDY=lendingclub")
    assert "Running stage" not in said
    assert run(folder, "git", "status", "--porcelain") == ""


def of_colleague(origin, folder, *options):
    """Clone a repository as somebody else would."""
    run(origin, "git", "clone", "--quiet", *options, str(origin), str(folder))
    with_environment(folder)
    return folder


@pytest.mark.long
def test_another_folder_time_zone_and_language_give_the_same_bytes_and_verify_notices_another(
    reproduced, mirror, tmp_path
):
    first, _ = reproduced
    assert "There is no study 'lendingclup'" in run(first, "make", "verify", "STUDY=lendingclup", fails=True)
    second = of_colleague(first, tmp_path / "second folder")
    metrics = second / "reports/lendingclub/metrics.json"
    metrics.write_text(metrics.read_text().replace("1", "2", 1))
    commit(second)
    surroundings = {"TZ": "Asia/Shanghai", "LANG": "zh_CN.UTF-8", "PYTHONHASHSEED": "7"}
    surroundings["CRM_DATA_MIRROR"] = str(mirror)
    said = run(second, "make", "verify", "STUDY=lendingclub", fails=True, **surroundings)
    assert "metrics.json" in said and "Same bytes." not in said
    # The lock file is compared too: it holds the checksum of everything that is not committed.
    assert run(second, "git", "diff", "--name-only").split() == ["reports/lendingclub/metrics.json"]
    for name in PUBLISHED:
        for file in (first / name).rglob("*"):
            # Logs tell of runs.
            if file.is_file() and "log" not in file.relative_to(first).parts:
                assert filecmp.cmp(file, second / file.relative_to(first), shallow=False), file.relative_to(first)


@pytest.mark.long
def test_every_recipe_for_experiments_works(reproduced, tmp_path):
    folder, _ = reproduced
    run(folder, "git", "init", "--quiet", "--bare", str(tmp_path / "shared.git"))
    run(folder, "git", "remote", "add", "origin", str(tmp_path / "shared.git"))
    run(folder, "git", "push", "--quiet", "origin", "HEAD:main")
    run(folder, "git", "branch", "--force", "main")
    colleague = tmp_path / "colleague"
    said = {}
    for line in commands("experiments.md"):
        where = colleague if colleague.exists() else folder
        said[line] = run(where, *shlex.split(line))
        if line.startswith("dvc exp push"):
            of_colleague(tmp_path / "shared.git", colleague, "--branch", "main")
        if line.startswith("dvc queue start"):
            wait_for_queue(folder)
    first = said["dvc exp run --name tight -S match.caliper=0.05 report@lendingclub"].splitlines()
    # The file of a stage may stand before its name.
    ran = {line.split("'")[1].split("@")[0].split(":")[-1] for line in first if line.startswith("Running stage")}
    assert {"match", "describe", "regress", "report"} <= ran and not {"collect", "prepare", "correlate"} & ran
    for line in ("make compare", "make compare A=main B=tight"):
        assert "  match.caliper: 0.2 became 0.05" in said[line]
        assert "  treated.matched: " in said[line] and "  treated.adjusted: " not in said[line]
    assert "  match.caliper: 0.1 became 0.3" in said["make compare A=caliper-1 B=caliper-2"]
    assert "treated.matched.risk_difference" in said["dvc metrics diff"]
    assert {"tight", "caliper-1", "caliper-2"} <= set(said["dvc exp show"].replace("[", " ").replace("]", " ").split())
    page = next(row.removeprefix("file://") for row in said["dvc plots diff"].splitlines() if row.startswith("file://"))
    assert "workspace_reports_lendingclub_figures_balance.svg" in Path(page).read_text()
    assert run(folder, "git", "status", "--porcelain", "--untracked-files=no") == ""
    assert "tight-caliper" in run(colleague, "git", "branch")


def wait_for_queue(folder, seconds=600):
    """Wait until no experiment of the queue waits or runs."""
    end = time.monotonic() + seconds
    while any(state in run(folder, "dvc", "queue", "status") for state in ("Queued", "Running")):
        assert time.monotonic() < end, "the queue did not end"
        time.sleep(1)


def test_a_stage_without_its_input_says_what_to_do(reproduced, tmp_path):
    folder, _ = reproduced
    copied(tmp_path, root=folder)
    said = run(
        tmp_path, sys.executable, "-m", "pipeline", "match", "--study", "lendingclub", fails=True, PYTHONPATH=folder
    )
    assert "cohort.parquet does not exist" in said and "Traceback" not in said
