"""Set up a study of a reader's own file: look at the file, and write what the reader then fills in."""

import argparse
import os
import re
import shutil
from pathlib import Path

from pipeline import studies
from pipeline.core import params
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("name", metavar="NAME", help="the study's name: small letters, digits and underscores")
    parser.add_argument(
        "--data", required=True, metavar="FILE", help="CSV, TSV, Excel (.xlsx), parquet or Stata (.dta)"
    )
    parser.add_argument("--default", metavar="COLUMN", help="the column that says which loans defaulted")
    parser.add_argument("--treated", metavar="COLUMN", help="the column that says which loans the programme reached")


def run(options: argparse.Namespace) -> str:
    """Write the study's choices, its line in params.yaml and the dictionary; return what was found and is missing."""
    from pipeline.sources import cells, dictionary, tabular
    from pipeline.studies.own import profile, roles, section

    name = options.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise StudyError(
            f"'{name}' cannot be a study's name: use small letters, digits and underscores, such as my_loans."
        )
    if name in places.NO_STUDY:
        raise StudyError(f"'{name}' cannot be a study's name: reports/{name} holds other pages; choose another.")
    if options.treated and options.treated == options.default:
        raise StudyError(f"--default and --treated both name '{options.default}': name two columns, or leave one out.")
    listed, choices = Path("params.yaml"), places.choices(name)
    code = Path(studies.__file__).parent / name
    if name in params.load(listed).studies or any(
        path.exists() for path in (choices.parent, code, code.with_suffix(".py"))
    ):
        raise StudyError(f"there is a study '{name}' already: choose another name, or remove its folder and its line.")
    path = tabular.path_of(options.data)
    form = tabular.form_of(path)
    table = tabular.read_table(path, form, rows=profile.SAMPLE_ROWS).frame
    if table.empty:
        tabular.read_table(path, form)
    decimal = profile.decimal_of(table)
    columns = profile.profile(table, decimal)

    fixed = {role: column for role, column in (("default", options.default), ("treated", options.treated)) if column}
    for role, column in fixed.items():
        if column not in columns:
            raise StudyError(f"{path} has no column '{column}' (--{role}): it has {', '.join(list(columns)[:40])}.")
    found = roles.guess(columns, fixed)
    if twice := [name for name in found.values() if f"{name} (2)" in columns]:
        raise StudyError(f"{path} has several columns '{twice[0]}': rename or remove all but one.")
    if "default" not in found:
        raise StudyError(
            f"{path}: no column was recognised as the outcome: name it with --default, one of "
            f"{', '.join(list(columns)[:40])}."
        )
    outcome = columns[found["default"]]
    if outcome.states is None:
        if outcome.distinct < 2:
            raise StudyError(
                f"{path}, column {outcome.name}: all cells are the same, so no loan defaulted or every one did."
            )
        if outcome.distinct > profile.FEW_LEVELS:
            raise StudyError(
                f"{path}, column {outcome.name} has {outcome.distinct} different values: the outcome must say yes or "
                "no, 1 or 0, or name states of a loan."
            )
        # Words that say nothing here: the reader sorts them in params.yaml.
        levels = sorted(re.sub(r" \(\d+\)$", "", level) for level in outcome.levels)
        outcome = outcome._replace(states=profile.States([], [], levels))
        columns = {**columns, outcome.name: outcome}
    doses = {}
    for role in roles.of_section("factors"):
        if role in found and (edges := section.quartile_edges(cells.measures(table[found[role]], decimal).meaning)):
            doses[role] = edges
    # A path inside the repository is written as seen from its root, so that a copy of it works elsewhere.
    inside = path.resolve().is_relative_to(Path.cwd().resolve())
    file = path.resolve().relative_to(Path.cwd().resolve()).as_posix() if inside else os.path.abspath(path)  # noqa: PTH100
    draft = section.Draft(name, file, form, decimal, columns, found, doses)
    old = listed.read_bytes()
    new = section.with_study(old.decode(), name, file)
    described = section.dictionary(draft).apply(store.no_formula).to_csv(index=False, lineterminator="\n")
    target = dictionary.FOLDER / f"{name}.csv"
    try:
        store.write_bytes(choices, section.choices(draft).encode())
        store.write_bytes(listed, new.encode())
        params.load(listed)
        # The mark at the beginning lets spreadsheet programs see that the text is UTF-8.
        store.write_bytes(target, described.encode("utf-8-sig"))
    except BaseException:
        # Whatever happens on the way, a study is there whole or not at all.
        if listed.read_bytes() != old:
            store.write_bytes(listed, old)
        shutil.rmtree(choices.parent, ignore_errors=True)
        raise

    looked = (
        f"the first {profile.SAMPLE_ROWS:,} rows" if len(table) == profile.SAMPLE_ROWS else f"all {len(table):,} rows"
    )
    written = " ".join(filter(None, (form.kind, form.encoding, form.sheet and f"sheet {form.sheet}")))
    lines = [f"{path}: {written}, {len(columns)} columns; looked at {looked}.", "", "Found:"]
    lines += [f"  {role:<28} {column}" for role, column in found.items()]
    if advised := section.advice(draft):
        lines += ["", "Still missing, or to look at:", *(f"  - {sentence}" for sentence in advised)]
    if not outcome.states.default or not outcome.states.repaid:
        lines.append(
            f"  - Which values of {outcome.name} mean default? Move them from left_out_when to default_when and "
            "repaid_when: no stage can run before."
        )
    lines += [
        "",
        f"Written: {choices} (fill in or correct the roles there), its line in params.yaml,",
        f"         {target} (what each column holds; edit its labels, pages use them).",
        f"Next:    make reproduce STUDY={name}",
    ]
    return "\n".join(lines)
