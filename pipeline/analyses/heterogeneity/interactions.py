"""Whether the effect of each factor differs by each moderator: one family of tests on the scale of differences."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from pipeline.analyses import headline
from pipeline.analyses.heterogeneity.sample import Row, Sample, controlled, grouping, large_enough, moderator
from pipeline.core import results
from pipeline.core.protocol import Moderator, Window
from pipeline.core.scope import FEWEST, Scope
from pipeline.runtime.errors import StudyError
from pipeline.stats.correlation import adjusted
from pipeline.stats.moderation import Controlled
from pipeline.stats.samples import sample_for

UNITS = {True: "per standard deviation of the factor", False: "the factor as it is, yes or no"}
"""In what a factor is counted, by whether it is a number."""


def interactions(cohort: pd.DataFrame, allowed: Scope, moderators: Mapping[str, Moderator], level: float) -> list[Row]:
    """Return how much each factor's effect differs by each moderator, with all controls.

    A factor that is the treatment under another name is not asked twice. Holm's method runs over all pairs that can be
    estimated. `moderators` says how groups of each are formed: numbers that are parted for other tables count here as
    numbers, in standard deviations, by their logarithm where that is how they are controlled for.
    """
    protocol, found = allowed.protocol, []
    for factor in allowed.factors:
        if factor != "treated" and allowed.arms and _is_treatment(cohort, factor):
            continue
        try:
            loans = sample_for(cohort, factor, protocol.after_origination())
        except StudyError as error:
            found.append({"estimator": "interaction", "factor": factor, "outcome": "default", "note": str(error)})
            continue
        number = loans[factor].nunique() > 2
        if number:
            loans = loans.assign(**{factor: loans[factor] / loans[factor].std()})
        sample = Sample(factor, loans, headline.terms(protocol), protocol, level)
        asked = {name: how for name, how in moderators.items() if name != factor}
        found += _of_factor(sample, asked, UNITS[number])
    return adjusted(found)


def _is_treatment(cohort: pd.DataFrame, factor: str) -> bool:
    return bool((cohort[factor] == cohort["treated"]).all())


def _both_fates(loans: pd.DataFrame, factor: str) -> None:
    """Raise a StudyError where an arm of a yes-or-no factor has too few defaults, or too few other loans."""
    if loans[factor].nunique() > 2:
        return
    sizes = loans.groupby([factor, "default"]).size()
    if len(sizes) < 4 or sizes.min() < FEWEST:
        raise StudyError(f"an arm of {factor} holds fewer than {FEWEST} defaults or other loans.")


def _number(sample: Sample, name: str) -> tuple[str, pd.Series]:
    """Return a moderator that is a number, and as what: its logarithm where it is controlled for as that."""
    values = moderator(sample.loans, name)
    if not pd.api.types.is_numeric_dtype(values):
        raise StudyError(f"{name} is no number: its groups are its levels.")
    values = values.astype(float)
    return (f"log({name})", np.log(values)) if f"log({name})" in sample.terms else (name, values)


def _of_factor(sample: Sample, moderators: Mapping[str, Moderator], unit: str) -> Iterator[Row]:
    """Yield one row for each moderator; loans without its value leave, and so do groups too small to compare."""
    everyone: Controlled | None = None
    for name, how in moderators.items():
        category = isinstance(how, Window) or how == "levels"
        estimand = "last_against_first" if category else "difference_per_standard_deviation"
        try:
            if category:
                group = grouping(sample.loans, name, how)
                kept, gone = large_enough(sample, group)
            else:
                term, values = _number(sample, name)
                kept, gone = values.notna(), []
            _both_fates(sample.loans[kept], sample.factor)
            if kept.all():
                everyone = everyone or controlled(sample, kept)
            of_loans = everyone if everyone is not None and kept.all() else controlled(sample, kept)
            if category:
                found = of_loans.differences(group[kept].cat.remove_unused_categories())
                first, *_, last = found.effects
                effect, by = found.last_against_first, f"{last} against {first}"
            else:
                standardised = (values[kept] / values[kept].std()).to_numpy()
                effect, by = of_loans.slope_of_effect(standardised), f"per standard deviation of {term}"
        except (StudyError, np.linalg.LinAlgError) as error:
            yield sample.row("interaction", name, estimand, note=str(error))
            continue
        note = "; ".join([by, unit, *([f"left out: {', '.join(gone)}"] if gone else [])])
        yield sample.row("interaction", name, estimand, kept.to_numpy(), **results.in_points(effect), note=note)
