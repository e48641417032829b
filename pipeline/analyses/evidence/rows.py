"""Give each claim of the literature its verdict in each study and over all."""

import fnmatch
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import pandas as pd

from pipeline.core.params import Params
from pipeline.core.results import KEY, Results, cleared, rounded
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import ROWS, Claim, Limit, Selector
from pipeline.stats import verdicts
from pipeline.stats.verdicts import Found, Judged

FOLDER = "evidence"
"""Folder under reports."""

OVERALL = "overall"
"""What stands for a study in the rows that put all studies together."""

LANGUAGES = ("en", "zh")

NOT_ESTIMATED = "not_estimated"
"""What stands for a specification where a whole analysis could not be estimated."""

NO_FONT = (
    "no font here has Chinese characters, so there is no Chinese PDF: install one, such as Noto Sans CJK, and run again"
)

COLUMNS = (
    "claim",
    "study",
    "verdict",
    "strength",
    "estimate",
    "ci_low",
    "ci_high",
    "p_value",
    "p_adjusted",
    "unit",
    "smallest_detectable",
    "n",
    "stage",
    "estimator",
    "specification",
    "factor",
    "outcome",
    "estimand",
    "reason",
)

UNDECIDED = {"verdict": "not_testable", "reason": "the study measures nothing that bears on it"}
"""The line of a claim on which a study is silent."""

NUMBERS = ("estimate", "ci_low", "ci_high", "p_value", "p_adjusted", "smallest_detectable")


def check(selector: Selector, studies: list[str], simulated: set[str], params: Params) -> None:
    """Refuse a selector that names an unknown study or claims more strength than the study's design has."""
    where = f"{ROWS}: claim {selector.claim}"
    if selector.study not in studies:
        raise StudyError(f"{where} names study {selector.study}, which synthesis.studies in params.yaml does not.")
    if (selector.design == "simulated") != (selector.study in simulated):
        raise StudyError(f"{where}: rows of study {selector.study} cannot have the design {selector.design}.")
    if selector.design == "randomised" and params.study(selector.study).design != "randomised":
        raise StudyError(f"{where}: lots were not drawn in study {selector.study}.")


def verdicts_table(
    claims: list[Claim],
    selectors: list[Selector],
    found: Mapping[str, Results],
    simulated: set[str],
    level: float,
    limits: Sequence[Limit] = (),
) -> pd.DataFrame:
    """Return one row a claim and study, and one a claim over all studies, in the order of ledger and studies.

    Where a study cannot answer a claim that is asked of it, its row gives the reason.
    """
    lines = []
    silent = {(limit.claim, limit.study): {"reason": limit.reason_en} for limit in limits if limit.answer == "none"}
    for claim in claims:
        own: dict[str, dict[str, Any]] = {}
        for study, has in found.items():
            mine = [item for item in selectors if (item.claim, item.study) == (claim.id, study)]
            own[study] = decided(claim, mine, has, level) if mine else UNDECIDED | silent.get((claim.id, study), {})
            lines.append({"claim": claim.id, "study": study} | own[study])
        real = {name: line["verdict"] for name, line in own.items() if name not in simulated}
        made = {name: line["verdict"] for name, line in own.items() if name in simulated}
        verdict, reason = verdicts.overall(real, made, required=claim.kind == "method")
        lines.append({"claim": claim.id, "study": OVERALL, "verdict": verdict, "reason": reason})
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    for name in NUMBERS:
        tidy = rounded if name.startswith("p_") else cleared
        frame[name] = [None if pd.isna(number) else tidy(float(number)) for number in frame[name]]
        frame[name] = frame[name].astype("Float64")
    frame["n"] = frame["n"].astype("Int64")
    return frame


def decided(claim: Claim, selectors: list[Selector], has: Results, level: float) -> dict[str, Any]:
    """Return the line of a claim that a study's rows decide."""
    rows = {item: rows_of(item, has) for item in selectors}
    deciding = next(item for item in selectors if item.role == "primary")
    parts = [deciding, *(item for item in selectors if item.role == "also")]
    found = numbers(rows[deciding].iloc[0])
    judged: Judged
    if claim.rule == "trend":
        fitted = verdicts.slope([numbers(row) for _, row in rows[deciding].iterrows()], deciding.expected, level)
        found, judged = fitted.found, verdicts.trend(fitted, deciding.expected, level)
    elif claim.rule == "value":
        every = [number for part in parts for number in rows[part]["estimate"]]
        largest, judged = verdicts.value(every, deciding.expected, deciding.threshold)
        found = Found(largest, unit=found.unit)
    elif claim.rule == "ratio":
        share = rows[deciding]["estimate"].iloc[0] / rows[parts[1]]["estimate"].iloc[0]
        share, judged = verdicts.value([share], deciding.expected, deciding.threshold)
        found = Found(share, unit="ratio of the two")
    elif claim.rule == "present":
        there = all(stands(part, rows[part].iloc[0]) for part in parts)
        judged = Judged("met", "the rows are there") if there else verdicts.NO_NUMBER
    else:
        place, judged = verdicts.all_of([judge(part, rows[part], level) for part in parts])
        deciding = parts[place]
        found = numbers(rows[deciding].iloc[0])
    loans = rows[deciding]["n"]
    why = rows[deciding]["note"].iloc[0] if judged.verdict == "not_testable" else ""
    return {
        "verdict": judged.verdict,
        "strength": deciding.design,
        **found._asdict(),
        "smallest_detectable": judged.smallest_detectable,
        "n": loans.sum() if claim.rule == "trend" else loans.iloc[0],
        **{name: value for name, value in deciding.columns().items() if name != "study"},
        "reason": why or judged.reason,
    }


def stands(selector: Selector, row: Any) -> bool:
    """Say whether a row is the one that a selector names, and not the one that says why there is none."""
    return all(fnmatch.fnmatchcase(row[name], value.replace("[", "[[]")) for name, value in named(selector).items())


def named(selector: Selector) -> dict[str, str]:
    """Return the columns by which a selector names rows among those of its study."""
    return {name: value for name, value in selector.columns().items() if name != "study"}


def judge(selector: Selector, rows: pd.DataFrame, level: float) -> Judged:
    """Judge the one row of a selector."""
    threshold = math.nan if selector.threshold is None else selector.threshold
    return verdicts.interval(numbers(rows.iloc[0]), selector.expected, level, threshold)


def numbers(row: Any) -> Found:
    """Take the numbers of a row of the results table."""
    return Found(row["estimate"], row["ci_low"], row["ci_high"], row["p_value"], row["p_adjusted"], row["unit"])


def rows_of(selector: Selector, has: Results) -> pd.DataFrame:
    """Return the rows that a selector names, in the order of their keys.

    Where the loans did not allow the analysis, it is the row without a number that the stage wrote instead. A row that
    is not there for no such reason is a StudyError: its name is mistyped, or its stage did not run.
    """
    frame = has.frame
    for name, value in named(selector).items():
        if value.endswith("*"):
            pattern = value.replace("[", "[[]")
            frame = frame[[fnmatch.fnmatchcase(text, pattern) for text in frame[name]]]
        else:
            frame = frame[frame[name] == value]
    if frame.empty and len(instead := not_estimated(selector, has)):
        return instead
    if frame.empty or ("*" not in str(selector) and len(frame) > 1):
        raise StudyError(
            f"claim {selector.claim} of study {selector.study} needs the row {selector}, and the results hold "
            f"{len(frame) or 'none'}: run the stage {selector.stage}, or correct {ROWS}{similar(selector, has)}"
        )
    return frame.sort_values(["specification", "factor"], kind="stable", ignore_index=True)


def not_estimated(selector: Selector, has: Results) -> pd.DataFrame:
    """Return the row, or none, in which a stage says why it could not estimate what a selector names.

    It has a note and no number, the selector's estimator, and for the other parts the selector's own names or none; the
    estimand may be another one of the same analysis, which gives its reason once.
    """
    rows = has.where(stage=selector.stage, estimator=selector.estimator)
    rows = rows[rows["estimate"].isna() & rows["p_value"].isna() & (rows["note"] != "")]
    for name, value in selector.columns().items():
        if name in ("specification", "factor", "outcome"):
            rows = rows[rows[name].isin([value, "", NOT_ESTIMATED])]
    return rows.head(1)


def similar(selector: Selector, has: Results) -> str:
    """Return the end of a sentence on a row that is not there: the most similar one that is."""
    rows = has.where(stage=selector.stage)
    known = [" / ".join(filter(None, row)) for row in rows[list(KEY[1:])].itertuples(index=False)]
    near = get_close_matches(str(selector), known, n=1)
    return f": did you mean {near[0]}?" if near else "."


class Supporting(NamedTuple):
    """A further row on a claim that the page shows and no rule reads, or a further part of the claim."""

    selector: Selector
    row: Any


def supporting_rows(
    selectors: list[Selector], found: Mapping[str, Results], table: pd.DataFrame
) -> dict[tuple[str, str], list[Supporting]]:
    """Return the rows beside the deciding one, by claim and study."""
    names = ["stage", "estimator", "specification", "factor", "outcome", "estimand"]
    deciding = {
        (line["claim"], line["study"]): [line[name] for name in names] for line in table.to_dict(orient="records")
    }
    more: dict[tuple[str, str], list[Supporting]] = {}
    for item in selectors:
        key = item.claim, item.study
        if "*" not in str(item) and [getattr(item, name) for name in names] != deciding[key]:
            row = rows_of(item, found[item.study]).iloc[0]
            if stands(item, row):
                more.setdefault(key, []).append(Supporting(item, row))
    return more
