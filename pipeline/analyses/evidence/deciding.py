"""Which row decides a claim in a study: one rule a class of claims, and no picking (docs/protocol.md, section 2)."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pipeline.core.results import KEY, Results
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import ADDRESS, ROWS, Bearing, Claim

Address = dict[str, str]

LADDER = ("M5", "M4", "M3", "M2")
"""Regressions of all loans from the one with all controls down: a study without a market has no M4 or M5."""

PENALISED = "firth"
"""Estimator of the row that stands in for least squares where all loans of an arm end alike."""

PERIODS = ("out_of_time", "same_period", "same_period_spans")
"""How loans for the test of a score were set apart, the strictest first."""


def addresses(claim: Claim, one: Bearing) -> Iterator[Address]:
    """Yield where the deciding row may stand, in order of preference; the first that holds a number decides."""
    if one.named:
        yield {name: getattr(one, name) for name in ADDRESS} | {"factor": one.column}
        return
    regression = {"stage": "regress", "estimator": "linear_probability", "outcome": "default", "factor": one.column}
    regression["estimand"] = "risk_difference"
    larger = regression | {"stage": "effects", "estimator": "all_loans"}
    if claim.kind == "effect":
        # Under a lottery its own regression: the strata within which lots were drawn, and the test by those lots.
        yield regression | {
            "stage": "effects",
            "estimator": "randomisation_test",
            "specification": "strata_rates",
            "estimand": "difference",
        }
        # Then the largest valid sample, with all controls.
        yield larger | {"specification": "controls"}
        for rung in LADDER:
            yield from _of_all_loans(regression | {"specification": rung})
    elif claim.kind == "association":
        yield larger | {"specification": "alone"}
        yield from _of_all_loans(regression | {"specification": "M1"})
    elif claim.kind == "moderation":
        # The larger sample first; then yes or no, or per standard deviation, or the last class against the first.
        yield regression | {
            "stage": "effects",
            "estimator": f"moderated_by_{one.moderator}",
            "specification": "interaction",
        }
        for estimand in ("difference_per_standard_deviation", "last_against_first"):
            yield {
                "stage": "heterogeneity",
                "estimator": "interaction",
                "specification": one.moderator,
                "factor": one.column,
                "outcome": "default",
                "estimand": estimand,
            }
    elif claim.kind == "prediction":
        # The learner that the training loans alone prefer, on loans that it has not seen.
        for period in PERIODS:
            yield {
                "stage": "predict",
                "estimator": "chosen",
                "specification": period,
                "factor": one.column,
                "outcome": one.outcome,
                "estimand": one.estimand or "auc",
            }


def _of_all_loans(regression: Address) -> Iterator[Address]:
    """Yield penalised likelihood before the linear regression: its row is there where all loans of an arm end alike."""
    yield regression | {"estimator": PENALISED}
    yield regression


def deciding(claim: Claim, one: Bearing, has: Results) -> Any:
    """Return the row that decides, as a named tuple with the table's columns.

    Where the loans did not allow the analysis, it is the row without a number that the stage wrote instead. No row for
    no such reason is a StudyError: a name is mistyped, or a stage did not run.
    """
    tried = list(addresses(claim, one))
    for address in tried:
        rows = has.where(**{name: value for name, value in address.items() if value})
        if address.get("estimator") == PENALISED and len(rows):
            # It is there because the linear row behind it has no valid error, whether or not it found a number.
            return next(rows.itertuples(index=False))
        rows = rows[rows["estimate"].notna()]
        if len(rows) > 1:
            raise StudyError(f"claim {claim.id} of study {one.study}: {len(rows)} rows fit {_text(address)}.")
        if len(rows):
            return next(rows.itertuples(index=False))
    for address in tried:
        if len(instead := not_estimated(address, has)):
            return next(instead.itertuples(index=False))
    nearest = next((address for address in tried if _analysed(address, has)), tried[0])
    raise StudyError(
        f"claim {claim.id} of study {one.study} needs the row {_text(nearest)}, and the results hold none: run its "
        f"stage, or correct {ROWS}{_similar(nearest, has)}"
    )


def _analysed(address: Address, has: Results) -> bool:
    return bool(len(has.where(stage=address["stage"], estimator=address["estimator"])))


def not_estimated(address: Address, has: Results) -> Any:
    """Return the row, or none, in which a stage says why it could not estimate what stands at an address.

    It has a note and no number, the same estimator, and for the other parts the same names or none; the estimand may be
    another one of the same analysis, which gives its reason once.
    """
    rows = has.where(stage=address["stage"], estimator=address["estimator"])
    rows = rows[rows["estimate"].isna() & (rows["note"] != "")]
    for name in ("specification", "factor", "outcome"):
        if name in address:
            rows = rows[rows[name].isin([address[name], "", "not_estimated"])]
    return rows.head(1)


def _text(address: Address) -> str:
    return " / ".join(address[name] for name in KEY[1:] if address.get(name))


def _similar(address: Address, has: Results) -> str:
    """Return the end of a sentence on a row that is not there: the most similar one that is."""
    rows = has.where(stage=address["stage"])
    known = [" / ".join(filter(None, row)) for row in rows[list(KEY[1:])].itertuples(index=False)]
    near = get_close_matches(_text(address), known, n=1)
    return f": did you mean {near[0]}?" if near else "."
