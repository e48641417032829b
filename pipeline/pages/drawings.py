"""The report's figures, each drawn into one folder."""

import shutil
from pathlib import Path
from typing import Any

from pipeline.core import results
from pipeline.core.params import Params
from pipeline.core.protocol import rungs_of
from pipeline.core.scope import Scope
from pipeline.pages.chapters import INSIDE, chapters
from pipeline.present import figures
from pipeline.present.page import correlation_kinds, effects_parts, raw_factor, shown_factors
from pipeline.present.words import Words
from pipeline.runtime import journal


def rungs_shown(allowed: Scope) -> list[str]:
    """Return the rungs of the regression ladder that the page shows."""
    return [*rungs_of(allowed.protocol), *(("M6", "M7") if allowed.matching else ())]


def draw_all(rows: results.Results, words: Words, allowed: Scope, params: Params, folder: Path) -> None:
    """Draw the page's figures into a folder, which then holds nothing else."""
    protocol, factors = allowed.protocol, shown_factors(rows, allowed)
    shutil.rmtree(folder, ignore_errors=True)
    drawings: dict[str, tuple[Any, ...]] = {"flow": (figures.flow,)}
    if allowed.arms or protocol.doses:
        drawings["raw"] = (figures.raw, raw_factor(protocol, allowed.arms))
    if protocol.groups:
        drawings["rates"] = (figures.rates, protocol.groups)
    if allowed.matching:
        drawings["balance"] = (figures.balance, params.checks.balance)
        drawings["overlap"] = (figures.overlap,)
    if allowed.models:
        drawings["correlations"] = (figures.correlations, factors, correlation_kinds(protocol))
        drawings["ladder"] = (figures.ladder, factors, rungs_shown(allowed))
    if protocol.recovery:
        drawings["recovery"] = (figures.recovery,)
    for part in effects_parts(words):
        if part.get("figure") == "event_study":
            drawings["event_study"] = (figures.event_study,)
        elif "figure" in part:
            drawings[part["figure"]] = (figures.forest, part["estimators"])
    for chapter in [*chapters(rows, INSIDE), *chapters(rows)]:
        drawings |= chapter.drawings(rows, words, allowed)
    for name, (figure, *choices) in journal.counted(drawings.items(), len(drawings), f"figures in {folder}"):
        figures.draw(figure, folder / f"{name}.svg", rows, words, *choices)
