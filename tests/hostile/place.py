"""Where bad files are tried: a small furnished folder, what a refusal must look like, and ways to spoil a table."""

import io
from functools import cache
from pathlib import Path

import pandas as pd

from pipeline.__main__ import main
from tests import own_loans

ROOT = Path(__file__).parents[2]
STUDY = "mine"


def loans(number=60, seed=5):
    """Return loans with plain names and plain cells, as text."""
    return _loans(number, seed).copy()


@cache
def _loans(number, seed):
    made = own_loans.loans(number, seed)
    made["date"] = made["date"].dt.strftime("%Y-%m-%d")
    names = {
        "id": "loan_id", "date": "issue_date", "kind": "purpose", "rate": "interest_rate", "treated": "crm_programme",
    }  # fmt: skip
    return made.drop(columns=["branch", "satisfaction"]).rename(columns=names).astype(str)


def text(frame=None):
    """Return a table as CSV text."""
    return (loans() if frame is None else frame).to_csv(index=False)


def with_cell(column, value, row=5, frame=None):
    """Return a table in which the cell in a line of the file (the names are line 1) holds something else."""
    frame = loans() if frame is None else frame
    frame = frame.astype(object)
    frame.loc[row - 2, column] = value
    return frame


def with_column(column, value):
    """Return a table in which a whole column holds something else."""
    return loans().assign(**{column: value})


def write(path, content):
    """Write text or bytes as they are."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))


def picture(folder):
    """Return every file of a folder with its bytes, and every folder; not what the program keeps on its own runs."""
    there = {path.relative_to(folder): path for path in sorted(folder.rglob("*"))}
    return {
        str(name): path.read_bytes() if path.is_file() else None
        for name, path in there.items()
        if not {".cache", "log"} & set(name.parts)
    }


def refused(capsys, folder, arguments, needles):
    """Run what must be refused: one sentence that names what to change, exit code 1 or 2, and nothing changed."""
    before = picture(folder)
    capsys.readouterr()
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stopped:
        code = stopped.code
    printed = capsys.readouterr()
    said = printed.err.rstrip("\n")
    assert code in (1, 2), f"exit code {code}: {said or printed.out}"
    if code == 2:
        # A wrong command line comes with its usage, which argparse breaks into lines.
        said = said.rsplit("\n", 1)[-1]
    for part in ("Traceback", "defect of the program"):
        assert part not in printed.err
    assert printed.out == ""
    assert "\n" not in said and said.isprintable() and len(said) < 2_500, said
    for needle in [needles] if isinstance(needles, str) else needles:
        assert needle in said, f"{needle!r} is not in: {said}"
    assert picture(folder) == before, "something was written, changed or lost"
    return said


def table(content):
    """Read CSV text as text."""
    return pd.read_csv(io.StringIO(content), dtype=str, keep_default_na=False)
