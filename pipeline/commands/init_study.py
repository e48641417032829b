"""Set up a study of a reader's own file: look at the file, and write what the reader then fills in."""

import argparse
import re
import shutil
import sys
from pathlib import Path

from pipeline import studies
from pipeline.core import params
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="the study's name: small letters, digits and underscores"
    )
    parser.add_argument(
        "--data",
        metavar="PLACE",
        help="a file (text, Excel, parquet, Stata, SPSS, R ...), a folder of them, or a workbook of several sheets",
    )
    parser.add_argument("--loans", metavar="FILE", help="the file with the loans, where --data is a folder of tables")
    parser.add_argument(
        "--before", nargs="+", metavar="FILE", help="tables without dates of which all came before the loans"
    )
    parser.add_argument(
        "--names", nargs="+", metavar="FILE", help="names of columns of a file without them, or TABLE=FILE in a folder"
    )
    parser.add_argument("--default", metavar="COLUMN", help="the column that says which loans defaulted")
    parser.add_argument(
        "--lost", metavar="COLUMN", help="amounts lost: above nought a loan defaulted, whatever its state"
    )
    parser.add_argument("--treated", metavar="COLUMN", help="the column that says which loans the programme reached")
    parser.add_argument("--treated-when", nargs="+", metavar="VALUE", help="its values of loans that were reached")
    parser.add_argument("--role", nargs="+", metavar="ROLE=COLUMN", help="columns of other roles: term_months=Tenure")
    for name, meaning in (("default", "default"), ("repaid", "repaid"), ("left-out", "neither")):
        parser.add_argument(
            f"--{name}-when", nargs="+", metavar="VALUE", help=f"values of the outcome that mean {meaning} ('': empty)"
        )
    parser.add_argument(
        "--default-at-least", type=float, metavar="DAYS", help="days past due from which a loan counts as in default"
    )
    parser.add_argument(
        "--horizon", type=int, metavar="MONTHS", help="count default within so many months, where something dates it"
    )
    parser.add_argument("--decimal", nargs="+", metavar="COLUMN=MARK", help="decimal marks of columns of text: rate=,")
    parser.add_argument("--day-first", choices=("yes", "no"), help="whether 03/01/2015 is the third of January")
    parser.add_argument(
        "--term-in", choices=("month", "year", "fortnight", "week", "day"), help="the unit of terms without one"
    )
    parser.add_argument("--rate-in", choices=("percent", "fraction"), help="whether .125 is .125%% or 12.5%%")
    parser.add_argument(
        "--times", nargs="+", metavar="COLUMN=NUMBER", help="what numbers are multiplied by: rate=12 for one a month"
    )
    parser.add_argument("--currency", metavar="CODE", help="study the loans of one currency, or any: all are in one")
    parser.add_argument("--encoding", metavar="NAME", help="the encoding of a text file")
    parser.add_argument("--sheet", metavar="NAME", help="the sheet of a workbook")
    parser.add_argument("--template", metavar="DIR", help="write empty tables for a lender to fill, and what to record")
    parser.add_argument("--language", choices=("en", "zh"), default="en", help="of the template")


def run(options: argparse.Namespace) -> str:
    """Write the study's choices, its line in params.yaml and the dictionary; return what was found and is missing."""
    from pipeline.sources import packed, tabular
    from pipeline.studies.own import template, told
    from pipeline.studies.own.choices import unused

    if options.template:
        written = template.write(Path(options.template), options.language)
        return "\n".join(["Written:", *(f"  {one}" for one in written), "Next:    fill in tables, then",
                          f"         python -m pipeline init-study NAME --data {options.template}/tables"])  # fmt: skip
    if options.name is None or options.data is None:
        raise StudyError("give the study's NAME and --data, or --template DIR for empty tables to fill.")
    _may_be_called(options.name)
    if options.treated and options.treated == options.default:
        raise StudyError(f"--default and --treated both name '{options.default}': name two columns, or leave one out.")
    given = tabular.path_of(options.data)
    if (place := packed.unpacked(given, places.RAW / options.name)) != given:
        options.data = str(place)
    draft = _asked(options)
    target = _write(draft)
    looked = f"all {draft.rows:,} rows" if draft.whole else f"the first {draft.rows:,} rows"
    form = draft.form
    written = " ".join(filter(None, (form.kind, form.encoding, form.sheet and f"sheet {form.sheet}")))
    lines = [f"{draft.file}: {written}, {len(draft.columns)} columns; looked at {looked}."]
    if place != given:
        lines.append(f"{given} was unpacked there, into a folder that git ignores: it is what the study reads.")
    lines += ["", f"Outcome, column {draft.outcome.column}:", *draft.outcome.shown(), *told.horizon(draft)]
    lines += ["", "Found (role, column, why, first cells):", *told.found(draft)]
    for title, said in (
        ("Joined:", _listed(told.joined(draft))),
        ("Not taken:", told.refused(draft)),
        ("Assumed:", _listed(told.assumed(draft))),
    ):
        lines += ["", title, *said] if said else []
    advised = told.advice(draft)
    if idle := unused(params.load().study(draft.name), str(places.choices(draft.name))):
        advised.append(f"Nothing uses {', '.join(idle)}: add them where they belong, or leave the role blank.")
    if advised:
        lines += ["", "Still missing, or to look at:", *_listed(advised)]
    lines += [
        "",
        f"Written: {places.choices(draft.name)} (fill in or correct the roles there), its line in params.yaml,",
        f"         {target} (what each column holds; give it labels, pages use them).",
        f"Next:    make reproduce STUDY={draft.name}",
    ]
    return "\n".join(lines)


def _listed(sentences):
    return [f"  - {sentence}" for sentence in sentences]


def _may_be_called(name: str) -> None:
    """Raise a StudyError when no study can have this name, or one has it."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise StudyError(
            f"'{name}' cannot be a study's name: use small letters, digits and underscores, such as my_loans."
        )
    if name in places.NO_STUDY:
        raise StudyError(f"'{name}' cannot be a study's name: reports/{name} holds other pages; choose another.")
    code = Path(studies.__file__).parent / name
    there = any(path.exists() for path in (places.choices(name).parent, code, code.with_suffix(".py")))
    if there or name in params.load().studies:
        raise StudyError(f"there is a study '{name}' already: choose another name, or remove its folder and its line.")


def _asked(options):
    """Return the draft of the study; at a terminal, what cannot be read for certain is asked."""
    from pipeline.studies.own.questions import Question
    from pipeline.studies.own.setup import draft

    while True:
        try:
            return draft(options.name, vars(options))
        except Question as question:
            if not sys.stdin.isatty():
                raise
            print(question)
            answer = question.answered(input(f"{question.asked}: "))
            # What was told of other columns still holds.
            told = getattr(options, question.option) if question.option in ("decimal", "role", "times") else None
            setattr(options, question.option, [*(told or []), *answer] if isinstance(answer, list) else answer)
            if question.option == "default_when":
                options.repaid_when = [value for value in question.others if value not in answer]


def _write(draft) -> Path:
    """Write the study's files, all of them or none; return where the data dictionary stands."""
    from pipeline.sources import dictionary
    from pipeline.studies.own import section, told

    listed, choices = Path("params.yaml"), places.choices(draft.name)
    old = listed.read_bytes()
    new = section.with_study(old.decode(), draft)
    described = told.dictionary(draft).apply(store.no_formula).to_csv(index=False, lineterminator="\n")
    target = dictionary.FOLDER / f"{draft.name}.csv"
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
    return target
