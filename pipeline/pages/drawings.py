"""The report's figures, each drawn into one folder."""

import gc
import shutil
from pathlib import Path
from typing import Any

from pipeline.core import results
from pipeline.core.params import Params
from pipeline.core.protocol import rungs_of
from pipeline.core.scope import Scope
from pipeline.pages.chapters import INSIDE, chapters
from pipeline.present import effect_figures, figures, sample_figures
from pipeline.present.page import correlation_kinds, effects_parts, rate_groups, raw_factor, shown_factors
from pipeline.present.words import Words
from pipeline.runtime import journal


def rungs_shown(allowed: Scope) -> list[str]:
    """Return the rungs of the regression ladder that the page shows."""
    return [*rungs_of(allowed.protocol), *(("M6", "M7") if allowed.matching else ())]


def drawn(rows: results.Results, words: Words, allowed: Scope, params: Params) -> dict[str, tuple[Any, ...]]:
    """Return the page's figures by name: what draws each, and its choices."""
    protocol, factors = allowed.protocol, shown_factors(rows, allowed)
    drawings: dict[str, tuple[Any, ...]] = {}
    if len(sample_figures.flow_steps(rows)) > 1:
        drawings["flow"] = (sample_figures.flow,)
    if allowed.arms or protocol.doses:
        drawings["raw"] = (sample_figures.raw, raw_factor(protocol, allowed.arms))
    if groups := rate_groups(protocol, allowed.arms):
        drawings["rates"] = (sample_figures.rates, groups)
    if allowed.matching:
        drawings["balance"] = (sample_figures.balance, params.checks.balance)
        drawings["overlap"] = (sample_figures.overlap,)
    if allowed.models:
        drawings["correlations"] = (effect_figures.correlations, factors, correlation_kinds(protocol))
        drawings["ladder"] = (effect_figures.ladder, factors, rungs_shown(allowed))
    if protocol.recovery:
        drawings["recovery"] = (effect_figures.recovery,)
    for part in effects_parts(words, rows):
        if part.get("figure") == "event_study":
            if len(rows.where(stage="effects", estimator="event_study", estimand="log_rate_ratio")):
                drawings["event_study"] = (effect_figures.event_study,)
        elif "figure" in part:
            drawings[part["figure"]] = (effect_figures.forest, part["estimators"], part.get("first"))
    for chapter in [*chapters(rows, INSIDE), *chapters(rows)]:
        drawings |= chapter.drawings(rows, words, allowed)
    return drawings


def draw_all(rows: results.Results, words: Words, allowed: Scope, params: Params, folder: Path) -> None:
    """Draw the page's figures into a folder, which then holds nothing else."""
    # Figures are many small objects: to look them through for cycles at every 700 took a tenth of the time.
    gc.set_threshold(20_000)
    shutil.rmtree(folder, ignore_errors=True)
    drawings = drawn(rows, words, allowed, params)
    for name, (figure, *choices) in journal.counted(drawings.items(), len(drawings), f"figures in {folder}"):
        figures.draw(figure, folder / f"{name}.svg", rows, words, *choices)
