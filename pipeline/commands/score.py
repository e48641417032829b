"""Score the loans of a reader's file with a study's saved score."""

import argparse
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import params, results
from pipeline.core.protocol import Study
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.sources import cells, packed, tabular
from pipeline.sources.scores import load_score
from pipeline.stats import saved_score, scorecard

REASONS = 3
"""Reasons that are given for a loan: what raises its risk most against the average loan."""

FORMS = (".csv", ".parquet")

OF_STAGES = ("reports", *(f"data/{name}" for name in ("code", "raw", "interim", "processed", "truth")))
"""Folders that stages fill: what stands there is read as theirs."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--study", dest="name", required=True, metavar="NAME", help="the study whose score is used")
    parser.add_argument(
        "--data",
        required=True,
        metavar="FILE",
        help="CSV, TSV, Excel (.xlsx), parquet or Stata (.dta), or one of them as .gz or .zip",
    )
    parser.add_argument("--out", metavar="FILE", help="where to write, .csv or .parquet (beside the data, _scored.csv)")
    parser.add_argument("--model", choices=saved_score.KINDS, default=saved_score.KINDS[0], help="the model to use")
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")


def run(options: argparse.Namespace) -> str:
    """Write the scores; return what was scored and what lies outside what the score has seen."""
    protocol = params.load().study(options.name)
    model = _model(options.name)
    data = tabular.path_of(options.data)
    stem = Path(data.stem).stem if data.suffix.lower() == ".gz" else data.stem
    out = tabular.path_of(options.out) if options.out else data.with_name(f"{stem}_scored.csv")
    _may_write(out, data, force=options.force)
    with tempfile.TemporaryDirectory() as folder:
        table = packed.unpacked(data, Path(folder) / "table")
        if table.is_dir() and table != data:
            raise StudyError(f"{data} holds several tables: unpack it, and give the one of the loans.")
        try:
            loans = read(table, saved_score.columns_of(model, options.model), protocol)
        except StudyError as error:
            # What was unpacked is gone when this is read.
            raise StudyError(str(error).replace(str(table), str(data))) from error
    outside = outside_of(loans, saved_score.columns_of(model, options.model))
    scored = scores(model, options.model, loans, outside)
    _write(out, scored)
    return "\n".join(_said(options, data, out, scored, outside, model))


def _model(study: str) -> dict[str, Any]:
    again = f"run the stage predict again (make reproduce STUDY={study})"
    return load_score(places.reports(study) / "model.json", saved_score.VERSION, again)


def _may_write(out: Path, data: Path, *, force: bool) -> None:
    if out.suffix.lower() not in FORMS:
        raise StudyError(f"{out} is no kind of file that is written here: give one of {', '.join(FORMS)}.")
    if data.exists() and out.resolve() == data.resolve():
        raise StudyError(f"{out} is the file of the loans itself: give another name with --out.")
    if out.is_dir():
        raise StudyError(f"{out} is a folder: give the name of a file with --out.")
    if (whose := _kept(out)) is not None:
        raise StudyError(f"{out} is {whose}: give another name with --out.")
    if out.exists() and not force:
        raise StudyError(f"{out} is there already: give another name with --out, or --force to replace it.")


def _kept(out: Path) -> str | None:
    """Say whose a file of the repository is, that scores would take the place of; None where it is the reader's."""
    place, here = out.resolve(), Path.cwd().resolve()
    if any(place.is_relative_to(here / folder) for folder in OF_STAGES):
        return "in a folder of the stages"
    if not place.is_relative_to(here) or not place.exists():
        return None
    try:
        asked = subprocess.run(
            ["git", "ls-files", "--error-unmatch", "--", place.relative_to(here).as_posix()],
            capture_output=True,
            check=False,
        ).returncode
    except OSError:
        asked = None
    # Without git nobody knows which files came with the project.
    return {0: "a file of the project, which git keeps", 1: None}.get(asked, "there already, and may be the project's")


def read(data: Path, needed: list[dict[str, Any]], protocol: Study) -> pd.DataFrame:
    """Return the columns that a score needs, typed, with ``row`` (line of the file) and ``loan_id`` where it has one.

    Columns stand under the cohort's names or, in a study of a reader's own file, under that file's. Raises StudyError
    that names file, column and row for what is missing, of another type, or unknown.
    """
    form = tabular.form_of(data)
    header = tabular.header_of(data, form)
    own = _own(protocol)
    names = {one["column"]: _name(one["column"], header, own) for one in needed}
    if "row" in names:
        raise StudyError("a column of the score is called row, as the lines of the file are: name it otherwise.")
    missing = [name for name in names.values() if name not in header]
    if missing:
        raise StudyError(
            f"{data} has no column {', '.join(map(repr, missing))}, which the score needs: it has "
            f"{', '.join(header[:40]) or 'none'}."
        )
    identifier = _name("loan_id", header, own)
    wanted = list(dict.fromkeys([*names.values(), *([identifier] if identifier in header else [])]))
    table = tabular.read_table(data, form, columns=wanted)
    if table.broken:
        line, why = table.broken[0]
        raise StudyError(f"{data}, row {line or '?'}: {why}: correct the line.")
    raw = table.frame.reset_index(drop=True)
    found = {"row": table.lines(form.first)}
    if identifier in header:
        found["loan_id"] = cells.plain(raw[identifier])
    for one in needed:
        where = f"{data}, column {names[one['column']]}"
        column = raw[names[one["column"]]]
        typed = _category(column, one, where, own) if one["kind"] == "category" else _number(column, one, where, own)
        found[one["column"]] = typed
    return pd.DataFrame(found)


def _own(protocol: Study) -> Any:
    """Return how a reader's own study reads its file; None for others."""
    if protocol.own is None:
        return None
    from pipeline.studies.own.choices import Own, checked

    return checked(Own, protocol.own, "own")


def _name(role: str, header: list[str], own: Any) -> str:
    mapped = own.mapped() if own is not None else {}
    # A file scored with the cohort's names is as good as one with the reader's own.
    return mapped[role] if role in mapped and (mapped[role] in header or role not in header) else role


def _number(column: pd.Series, one: Mapping[str, Any], where: str, own: Any) -> pd.Series:
    of_reader = own is not None and own.mapped().get(one["column"])
    in_units = of_reader and (one["column"] in ("term_months", "interest_rate") or own.mark(of_reader) != ".")
    values = None if in_units else _plain_numbers(column)
    if values is None:
        if in_units:
            from pipeline.studies.own.intake import meaning

            # The choices speak of the columns of the study's own file.
            found, _ = meaning(one["column"], column.rename(of_reader), own, where, "the study's choices")
        else:
            factor = own is not None and one["column"] in own.factors
            found = cells.measures(column) if factor else cells.numbers(column)
        if found.wrong.any():
            first = found.wrong.idxmax()
            comma = of_reader and own.mark(of_reader) == ","
            marked = " where decimals have commas, as in the file of the study" if comma else ""
            raise StudyError(
                f"{where}, row {first + 2}: '{column[first]}' is no number{marked} ({int(found.wrong.sum())} in all)."
            )
        values = found.meaning
    if own is not None:
        values = _without_codes(values, one, where)
    gaps = values.isna()
    if gaps.any() and not one["missing"]:
        raise StudyError(
            f"{where}, row {gaps.idxmax() + 2} is empty ({int(gaps.sum())} in all): the score was learnt from loans "
            "that all have it."
        )
    if one["logarithm"] and (low := values <= 0).any():
        raise StudyError(f"{where}, row {low.idxmax() + 2}: {values[low.idxmax()]:g} must be above zero.")
    return values


def _without_codes(values: pd.Series, one: Mapping[str, Any], where: str) -> pd.Series:
    """Return numbers without those that stand for none, as 9999 of a score does, which were gaps to the study."""
    from pipeline.studies.own.ranges import beyond

    none = beyond(one["column"], values, one["high"])
    if none.any() and not one["missing"]:
        first = none.idxmax()
        raise StudyError(
            f"{where}, row {first + 2}: {values[first]:g} stands for no number beside {one['high']:g}, the largest "
            f"that the score knows ({int(none.sum())} in all), and it was learnt from loans that all have one."
        )
    return values.mask(none)


def _plain_numbers(column: pd.Series) -> pd.Series | None:
    """Return numbers, or text that is nothing but numbers and empty cells, at the speed of the machine; else None."""
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return None
    if pd.api.types.is_numeric_dtype(column):
        values = column.astype("Float64").astype(float)
        return None if np.isinf(values).any() else values
    bare = cells.bare_numbers(column)
    return None if bare is None else bare[1]


def _category(column: pd.Series, one: Mapping[str, Any], where: str, own: Any) -> pd.Series:
    texts = cells.plain(column)
    known = [str(level) for level in one["levels"]]
    if own is not None:
        from pipeline.studies.own.study import NOT_STATED, OTHER, readable

        levels = {level: readable(level) for level in texts.dropna().unique()}
        texts = texts.map(levels).astype("string")
        if OTHER in known:
            texts = texts.where(texts.isin(known) | texts.isna(), OTHER)
        if NOT_STATED in known:
            texts = texts.fillna(NOT_STATED)
    wrong = ~texts.isin(known)
    if wrong.any():
        first = wrong.idxmax()
        if pd.isna(texts[first]):
            raise StudyError(
                f"{where}, row {first + 2} is empty ({int(wrong.sum())} in all): give one of {_list(known)}."
            )
        raise StudyError(
            f"{where}, row {first + 2}: '{column[first]}' is unknown to the score ({int(wrong.sum())} cells in all): "
            f"it knows {_list(known)}."
        )
    return pd.Series(pd.Categorical(texts, known), column.index)


def _list(known: list[str]) -> str:
    return ", ".join(known[:20]) + (" ..." if len(known) > 20 else "")


def outside_of(loans: pd.DataFrame, needed: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return by column which loans (boolean) lie outside what training loans held; columns without any are left out."""
    found = {}
    for one in needed:
        if one["kind"] == "number":
            values = loans[one["column"]].to_numpy()
            beyond = (values < one["low"]) | (values > one["high"])
            if beyond.any():
                found[one["column"]] = beyond
    return found


def scores(model: Mapping[str, Any], kind: str, loans: pd.DataFrame, outside: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return one row a loan: probability, grade, tier, alert, points (scorecard), reasons, and columns out of range."""
    share = saved_score.probability(model, kind, loans)
    found = {"loan_id": loans["loan_id"]} if "loan_id" in loans else {}
    found |= {"row": loans["row"], "probability": np.round(share, 8)}
    judged = saved_score.judged(share, model["cuts"][kind])
    found |= {name: judged[name] for name in judged}
    if kind == "scorecard":
        found["points"] = _points(model, loans)
    terms, adds = saved_score.contributions(model, kind, loans)
    names = np.array([term.removeprefix("log(").removesuffix(")") for term in terms] + [""], dtype=object)
    most = min(REASONS, len(terms))
    order = np.argsort(-adds, axis=1, kind="stable")[:, :most] if most else np.empty((len(loans), 0), dtype=int)
    for place in range(most):
        pick = order[:, place]
        raises = np.take_along_axis(adds, pick[:, None], axis=1)[:, 0] > 0
        found[f"reason_{place + 1}"] = pd.Categorical.from_codes(np.where(raises, pick, len(terms)), names)
    beyond = np.full(len(loans), "", dtype=object)
    for name, rows in outside.items():
        at = np.flatnonzero(rows)
        beyond[at] = [f"{text} {name}".strip() for text in beyond[at]]
    return pd.DataFrame(found | {"outside_training": beyond})


def _points(model: Mapping[str, Any], loans: pd.DataFrame) -> np.ndarray:
    total = np.zeros(len(loans), dtype=np.int64)
    for one in model["scorecard"]["characteristics"]:
        total += np.asarray(one["points"], dtype=np.int64)[scorecard.bin_of(loans[one["column"]], one)]
    return total


def _write(out: Path, scored: pd.DataFrame) -> None:
    if out.suffix.lower() == ".parquet":
        store.write_parquet(out, scored)
        return
    import pyarrow
    import pyarrow.csv

    plain = {name: store.no_formula(column) for name, column in scored.items()}
    plain = {name: column.astype("string") if column.dtype == "category" else column for name, column in plain.items()}
    with store.atomic(out) as temporary:
        pyarrow.csv.write_csv(
            pyarrow.Table.from_pandas(pd.DataFrame(plain), preserve_index=False),
            temporary,
            pyarrow.csv.WriteOptions(quoting_style="needed"),
        )


def _said(
    options: argparse.Namespace,
    data: Path,
    out: Path,
    scored: pd.DataFrame,
    outside: Mapping[str, np.ndarray],
    model: Mapping[str, Any],
) -> list[str]:
    number = len(scored)
    alerts = int(scored["alert"].sum())
    trained = model["trained"]
    learnt = f", learnt from {trained['loans']:,} loans" + (f" up to {trained['last']}" if trained["last"] else "")
    lines = [
        f"{out}: {number:,} loans of {data} by the {options.model} of {options.name}{learnt}.",
        f"Mean probability of default {100 * scored['probability'].mean():.1f}%; {alerts:,} alerts "
        f"({100 * alerts / number:.1f}%).",
    ]
    tiers = scored["tier"].value_counts()
    lines.append("Tiers: " + ", ".join(f"{name} {tiers.get(name, 0):,}" for name in saved_score.TIERS) + ".")
    if outside:
        lines.append("Outside what the score has seen, so to be read with care:")
        limits = {one["column"]: one for one in saved_score.columns_of(model, options.model)}
        for name, rows in outside.items():
            one = limits[name]
            lines.append(
                f"  {name}: {int(rows.sum()):,} loans beyond {results.figures(one['low'])} to "
                f"{results.figures(one['high'])} "
                f"(first in row {int(np.argmax(rows)) + 2})"
            )
    return lines
