"""Tables as people keep them: text in any common encoding, Excel, parquet, Stata, SPSS, SAS, R, JSON; one reader."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runtime.errors import StudyError
from pipeline.sources import columnar, delimited, encodings, foreign, workbooks
from pipeline.sources.tables import KINDS, Form, Table, opened

if TYPE_CHECKING:
    import pandas as pd

READERS = {
    "text": delimited.read,
    "parquet": columnar.parquet,
    "arrow": columnar.arrow,
    "stata": columnar.stata,
    "SPSS": foreign.statistical,
    "SAS": foreign.statistical,
    "R": foreign.r,
    "json": foreign.json_,
    "excel": workbooks.read,
}

INSTEAD = {
    ".xls": "save it as .xlsx",
    ".gz": "unpack it",
    ".zip": "unpack it, and give the file or the folder",
}
"""What to do with a file of a kind that is not read, by the end of its name."""


def path_of(text: str) -> Path:
    """Return the path that a reader wrote, ``~`` among it; a StudyError when it can be none."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise StudyError(f"{text}: there is no such user, so no such path: write the path without ~.") from error


def _must_be_file(path: Path) -> None:
    try:
        if path.is_file():
            return
        if path.is_dir():
            raise StudyError(f"{path} is a folder: give the name of a file in it{_beside(path)}.")
        if path.is_symlink() and not path.exists():
            raise StudyError(f"{path} is a link to {path.readlink()}, which does not exist: correct the link.")
        if path.exists():
            raise StudyError(f"{path} is a pipe, socket or device, not a file: save its content in a file first.")
        raise StudyError(f"{path} does not exist{_beside(path.parent)}: correct the path.")
    except OSError as error:  # such as a name that is too long
        raise StudyError(f"{str(path)[:80]} ... cannot be looked for ({error.strerror}): correct the path.") from error


def _beside(folder: Path) -> str:
    """Return what to add to a sentence on a wrong path: the first files of a folder that could be read."""
    there = [file.name for file in sorted(folder.glob("*")) if file.suffix.lower() in KINDS][:5]
    return f" (the folder holds {', '.join(there)})" if there else ""


def form_of(
    path: Path,
    *,
    encoding: str | None = None,
    separator: str | None = None,
    sheet: str | None = None,
    names: int | None = None,
    header: Sequence[str] = (),
) -> Form:
    """Tell how a file is to be read from its name and content; what is given is taken as given.

    Parameters
    ----------
    path
        The file.
    encoding, separator
        Of a text file.
    sheet
        Of a workbook.
    names
        How many lines of names stand above the rows of a text file or a sheet.
    header
        Names of the columns of one without such a line.

    Raises
    ------
    StudyError
        When there is no such file, it is empty, of a kind that is not read, or its encoding cannot be told.

    """
    path = Path(path)
    _must_be_file(path)
    names = 0 if header else names
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        hint = next((f" ({advice})" for end, advice in INSTEAD.items() if path.name.lower().endswith(end)), "")
        raise StudyError(f"{path} is no kind of file that is read here{hint}: give one of {', '.join(KINDS)}.")
    if path.stat().st_size == 0:
        raise StudyError(f"{path} is empty: give a file with a line of column names and a line for each loan.")
    if kind == "excel":
        sheet = sheet or workbooks.first_sheet(path)
        above_ = workbooks.lines_above(path, sheet) if names is None else names
        return Form(kind, sheet=sheet, names=above_, header=tuple(header))
    if kind != "text":
        return Form(kind)
    delimited.refuse_what_is_no_text(path)
    if encoding is not None:
        encoding = encodings.known(path, encoding)
    if separator and (len(separator) > 1 or not separator.isascii() or separator in '\0\r\n"'):
        raise StudyError(f"{path}: '{separator}' cannot be the separator: give one character such as , or ;.")
    encoding = encoding or encodings.encoding_of(path)
    separator = separator or delimited.separator_of(path, encoding)
    above = delimited.above(path, encoding, separator, names)
    return Form(kind, encoding, separator, names=above.names, idle=above.idle, header=tuple(header))


def header_of(path: Path, form: Form) -> list[str]:
    """Return the names of a file's columns, made distinct; a column without a name is called by its place."""
    if form.kind == "text":
        return delimited.names_of(path, form)
    if form.kind in ("parquet", "arrow"):
        return columnar.names_of(path, form)
    return list(read_table(path, form, rows=1).frame.columns)


def labels_of(path: Path, form: Form) -> dict[str, str]:
    """Return what a file calls its columns beside their names, where it does (Stata, SPSS, SAS)."""
    of_programs = {"SPSS": foreign.statistical_labels, "SAS": foreign.statistical_labels}
    readers = {"stata": columnar.stata_labels, **of_programs}
    return readers[form.kind](path) if form.kind in readers else {}


def read_table(path: Path, form: Form, columns: Sequence[str] | None = None, rows: int | None = None) -> Table:
    """Read a table, or some of its columns, or its first rows.

    Raises StudyError when the file cannot be read as what it is, lacks a column, or holds no row.
    """
    path = Path(path)
    if columns is not None:
        known = header_of(path, form)
        if missing := [name for name in columns if name not in known]:
            from difflib import get_close_matches

            near = get_close_matches(missing[0], known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known[:40])}."
            raise StudyError(f"{path} has no column '{missing[0]}': {hint}")
        if twice := [name for name in columns if f"{name} (2)" in known]:
            raise StudyError(f"{path} has several columns '{twice[0]}': rename or remove all but one.")
    asked = columns
    if columns is not None and form.kind in WITH_OTHER_LINES:
        asked = list(dict.fromkeys([*columns, *known[:LABELS]]))
    table = opened(path, lambda: READERS[form.kind](path, form, asked, rows))
    if table.frame.empty and rows is None:
        broken = f" ({table.broken[0][1]} in line {table.broken[0][0]})" if table.broken else ""
        raise StudyError(f"{path} holds column names and no row{broken}: give a line for each loan.")
    if form.kind in WITH_OTHER_LINES:
        table = _loans_alone(table, list(table.frame if columns is None else known)[:LABELS])
    return table if columns is None else table._replace(frame=table.frame[list(columns)])


WITH_OTHER_LINES = ("text", "excel")
"""Kinds of files that people write lines into which are no loans."""
LABELS = 3
"""Columns at the left in which a line says that it holds totals ..."""
SELDOM = 0.05
"""... and leaves cells empty that are so up to this share of other lines."""
TOTALS = (
    r"^\s*(?i:(?:grand|sub|over)?[ -]?totals?|.+ (?:sub)?total|合计|合計|小计|小計|总计|總計|итого|всего|toplam|"
    r"gesamt(?:summe)?|summe|suma|razem|totale|jumlah|tổng(?: cộng)?|المجموع|الإجمالي|합계)\s*:?\s*$"
)
"""What such lines are called."""
KEY = re.compile(r"(?i:(?:^|[\W_])(?:id|no|nr|num|number|ref|reference|key|code)\W*$)|[a-z]I[Dd]$|编号|号码|号$")
"""Names of columns that lines of totals leave empty: one with a number there is the loan of a client called so."""


def _loans_alone(table: Table, labels: Sequence[str]) -> Table:
    """Return a table without the lines that repeat its names, and without totals beside empty cells of its `labels`."""
    frame = table.frame
    what = {place: "repeat the names" for place in _places(_repeats_names(frame))}
    left = frame[list(labels)]
    empty = _empty(left)
    # A sentence below the loans, or above them, stands in one cell.
    alone = frame[empty.iloc[:, 1:].all(axis=1) & ~empty.iloc[:, 0]].select_dtypes("string")
    if labels[0] in alone and len(frame.columns) > LABELS:
        others = _empty(frame.loc[alone.index].drop(columns=labels[0])).all(axis=1)
        said = alone[labels[0]].str.contains(r"\w\s+\w").fillna(value=False)
        what = dict.fromkeys(_places(others & said), "hold a sentence") | what
    # Words are looked for in few lines: those that leave a cell empty which most do not.
    few = left[empty.loc[:, empty.mean() <= 0.5].any(axis=1)].select_dtypes("string")
    called = [few.index[few[name].str.contains(TOTALS, regex=True).fillna(value=False)] for name in few]
    if totals := sorted({place for places in called for place in places}):
        # A client may be called so: other lines leave no such cell empty.
        always = empty.drop(index=totals).mean() <= SELDOM
        keys = left.loc[totals, [name for name in left if KEY.search(str(name))]]
        numbered = keys.notna() & keys.ne("") & ~keys.astype("string").apply(lambda one: one.str.contains(TOTALS))
        beside = empty.loc[totals, always].any(axis=1) & ~numbered.fillna(value=False).any(axis=1)
        what = dict.fromkeys(_places(beside), "hold totals") | what
    if not what:
        return table
    rows = frame.drop(index=list(what)).reset_index(drop=True)
    return table._replace(frame=rows, dropped=sorted(what.items()))


def _empty(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.isna() | frame.eq("").fillna(value=False)


def _places(said: pd.Series) -> list[int]:
    return said[said].index.tolist()


def _repeats_names(frame: pd.DataFrame) -> pd.Series:
    """Say which lines repeat the names, as where files were put one below the other."""
    import pandas as pd

    names = [name for name in frame.select_dtypes("string") if not re.fullmatch(r".* \(\d+\)", name)]
    again = pd.Series(len(names) > 1 and len(names) >= len(frame.columns) / 2, frame.index)
    for name in names:
        if not again.any():
            break
        again &= (frame[name].str.strip() == name).fillna(value=False).astype(bool)
    return again
