"""The same bytes whatever surrounds a run: cores, hash seeds, clock, time zone, language, version of Python."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.choices import edit
from tests.faults import driver

HOUR = 3600
YEARS = 20 * 365 * 24 * HOUR

# The clock is moved together with the rest, since running all stages takes minutes.
SURROUNDINGS = {
    "one core, plain C": {
        "TZ": "Asia/Shanghai",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONHASHSEED": "0",
        # All that the processor has, and in the next but what every one has: digits that are written do not differ.
        "NPY_DISABLE_CPU_FEATURES": "",
    },
    "Turkish, twenty years behind": {
        "TZ": "America/St_Johns",
        "LC_ALL": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "1",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
        "CLOCK_OFFSET": str(-YEARS),
    },
    "Chinese, twenty years ahead": {
        "TZ": "UTC",
        "LC_ALL": "zh_CN.UTF-8",
        "PYTHONHASHSEED": "random",
        "CLOCK_OFFSET": str(YEARS),
    },
    "no language, any hash, the clock set back while it runs": {
        "TZ": None,
        "LC_ALL": None,
        "LANG": None,
        "PYTHONHASHSEED": "4294967295",
        "CLOCK_OFFSET": str(HOUR),
        "CLOCK_TURN": "200",
    },
}

OTHER_PYTHONS = "CRM_OTHER_PYTHON"
"""Variable that names other Pythons, parted as in PATH; else those of the PATH are taken."""


def all_removed(state, folder, stages):
    """Return a copy of an undisturbed folder without anything that its stages wrote."""
    shutil.copytree(state.folder, folder, symlinks=True)
    for stage in stages:
        driver.remove_written(folder, stage, state.folder)
    shutil.rmtree(folder / "data/truth")
    return folder


def with_locale(name, folder):
    """Return what makes a locale known that the machine may lack; nothing where it cannot be made."""
    if not name or name == "C" or shutil.which("localedef") is None:
        return {}
    language, _, coding = name.partition(".")
    folder.mkdir()
    made = subprocess.run(["localedef", "-i", language, "-f", coding, folder / name], capture_output=True)
    # Warnings give another code than 0.
    return {"LOCPATH": str(folder)} if made.returncode in (0, 1) and (folder / name).exists() else {}


def run_all(folder, state, stages, around, **more):
    """Run the stages again and compare all that they wrote."""
    for stage in stages:
        driver.must_run(folder, stage, around, **more)
    driver.assert_same(folder, state.files)


def in_surroundings(name, state, stages, folder, clock, python=sys.executable):
    path = f"{Path(python).parent}:{os.environ['PATH']}"
    around = driver.surroundings(state.mirror, PATH=path, LD_PRELOAD=clock and str(clock), **SURROUNDINGS[name])
    around |= with_locale(around.get("LC_ALL"), folder.parent / "locales")
    copy = all_removed(state, folder, stages)
    one_core = name.startswith("one core")
    if one_core:
        edit(copy / "params.yaml", lambda choices: choices["parallel"].update(workers=1))
    before = ("taskset", "-c", str(min(os.sched_getaffinity(0)))) if one_core and shutil.which("taskset") else ()
    run_all(copy, state, stages, around, before=before, python=str(python))


@pytest.fixture(scope="session")
def clock(tmp_path_factory):
    """A library that moves the clock of whatever loads it; None where it cannot be made."""
    if not sys.platform.startswith("linux") or shutil.which("cc") is None:
        return None
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = driver.HOOKS / "clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def test_the_clock_is_moved(clock):
    """What the tests below rely on."""
    if clock is None:
        pytest.skip("the clock is moved by a small library, for which there is no C compiler here, or no Linux")
    read = [sys.executable, "-c", "import time, datetime; print(time.time(), datetime.datetime.now().year)"]
    plain, moved = (
        subprocess.run(read, env=os.environ | extra, capture_output=True, text=True, check=True).stdout.split()
        for extra in ({}, {"LD_PRELOAD": str(clock), "CLOCK_OFFSET": str(YEARS)})
    )
    assert abs(float(moved[0]) - float(plain[0]) - YEARS) < HOUR
    assert int(moved[1]) - int(plain[1]) in (19, 20)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in SURROUNDINGS if "set back" in name])
def test_the_first_stages_in_other_surroundings(name, beginning, clock, tmp_path):
    in_surroundings(name, beginning, driver.BEGINNING, tmp_path / "copy", clock)


def other_pythons():
    """Return Pythons of other versions than this one, by version."""
    named = [path for path in os.environ.get(OTHER_PYTHONS, "").split(os.pathsep) if path]
    candidates = named or [shutil.which(f"python3.{minor}") for minor in range(11, 20)]
    found = {}
    for path in filter(None, candidates):
        command = [path, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
        asked = subprocess.run(command, capture_output=True, text=True)
        version = asked.stdout.strip()
        if asked.returncode == 0 and version != f"{sys.version_info.major}.{sys.version_info.minor}":
            found[version] = Path(path)
    return found


def with_packages(python, folder):
    """Return a Python that has the packages of the lock: this one, or one of an environment that is built."""
    if subprocess.run([python, "-c", "import dvc, pandas, typst"], capture_output=True).returncode == 0:
        return python
    subprocess.run([python, "-m", "venv", folder], check=True)
    command = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r", driver.ROOT / "requirements.lock"]
    made = subprocess.run([folder / "bin/python", *command], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"the packages cannot be installed for {python}: {made.stderr[-300:]}")
    return folder / "bin/python"


def all_runs():
    """Yield surroundings with a version of Python, None for this one: each of both at least once."""
    versions = [None, *other_pythons()]
    for place in range(max(len(SURROUNDINGS), len(versions))):
        yield list(SURROUNDINGS)[place % len(SURROUNDINGS)], versions[place % len(versions)]


@pytest.mark.long
@pytest.mark.parametrize(("name", "version"), list(all_runs()))
def test_all_stages_in_other_surroundings(name, version, everything, clock, tmp_path):
    python = with_packages(other_pythons()[version], tmp_path / "environment") if version else sys.executable
    in_surroundings(name, everything, driver.every_stage(), tmp_path / "copy", clock, python)
