"""docs/own-loans.md walks through a study of one's own loans: every command on it is run here."""

import re
import shlex

import pytest

from tests.test_end_to_end import ROOT, clone, commands, run

PAGE = (ROOT / "docs" / "own-loans.md").read_text(encoding="utf-8")
COMMANDS = commands("own-loans.md")


def test_the_page_has_commands_and_names_files_that_the_repository_has():
    assert sum("init-study" in line for line in COMMANDS) == 5
    assert "](docs/own-loans.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    for module in re.findall(r"-m (tests\.\w+)", PAGE):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists()


@pytest.mark.end_to_end
@pytest.mark.parametrize(
    "studies",
    [("my_loans",), pytest.param(("my_loans", "dai_kuan", "small"), marks=pytest.mark.long)],
    ids=["of its first study", "of all its studies"],
)
def test_every_command_of_the_page_works(tmp_path, studies):
    folder = clone(tmp_path / "copy", tmp_path / "no mirror")
    for line in COMMANDS:
        named = re.search(r"(?:init-study |STUDY=)(\w+)", line)
        if named and named[1] not in studies:
            continue
        said = run(folder, *shlex.split(line))
        if line.startswith("make reproduce"):
            name = named[1]
            findings = (folder / "reports" / name / "findings.txt").read_text(encoding="utf-8")
            assert findings in said
            assert (folder / "reports" / name / "report.pdf").read_bytes().startswith(b"%PDF")
            assert (folder / "notebooks" / f"{name}.ipynb").exists()
    # Nothing of the files stands where git would commit it.
    left = run(folder, "git", "status", "--porcelain", "--untracked-files=all")
    assert "data/raw" not in left and "data/interim" not in left and "data/dictionaries/my_loans.csv" in left
    for path in folder.glob("reports/my_loans/**/*"):
        if path.suffix in (".md", ".csv", ".json", ".txt", ".html"):
            assert "L-100" not in path.read_text(encoding="utf-8")
    # An experiment of the page's last section, and a second run that finds nothing to do.
    again = run(folder, "make", "reproduce", "STUDY=my_loans")
    assert "Running stage" not in again
    run(folder, "dvc", "repro", "--dry", "report@my_loans")
