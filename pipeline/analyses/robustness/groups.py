"""The effect inside lenders, or clusters."""

from collections.abc import Iterator

import pandas as pd

from pipeline.analyses.robustness.sample import Row, Sample
from pipeline.core import results
from pipeline.core.scope import FEWEST
from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import SMALLEST_GROUP, absorbed_linear, absorbed_logit
from pipeline.stats.conditional import conditional_logit
from pipeline.stats.design import design_matrix
from pipeline.stats.inference import CORRECTION, Effect, codes
from pipeline.stats.regression import LogitEffects

FORMS = {
    "linear_probability": "risk_difference",
    "group_by_time": "risk_difference",
    "logit": "odds_ratio",
    "conditional_logit": "odds_ratio",
}
"""Regressions with group effects, and what each estimates."""


def group_effects(sample: Sample) -> Iterator[Row]:
    """Yield the effect inside lenders (or clusters): linear, logistic, and given each one's number of defaults."""
    if sample.group is None:
        for form, estimand in FORMS.items():
            note = "no column of lenders or clusters has several loans for each of enough of them."
            yield sample.row("group_effects", form, estimand, note=note)
        return
    for (form, estimand), find in zip(FORMS.items(), (_inside, _in_cells, _logistic, _conditional), strict=True):
        try:
            yield from [*find(sample, sample.group)]
        except StudyError as error:
            yield sample.row("group_effects", form, estimand, note=str(error))


def _absorbed(sample: Sample, group: str) -> pd.DataFrame:
    """Return the columns whose effects are taken out: groups, and periods where there are any."""
    return sample.loans[[name for name in (group, sample.period) if name]]


def _linear(sample: Sample, taken_out: pd.Series | pd.DataFrame) -> Effect:
    found = absorbed_linear(
        sample.default, sample.slim, [sample.factor], taken_out, sample.clusters, sample.level, sample.weights
    )
    return found.effects[sample.factor]


def _inside(sample: Sample, group: str) -> Iterator[Row]:
    absorb = _absorbed(sample, group)
    note = f"effects of {' and '.join(absorb)}; {CORRECTION}, effects of groups counted in k"
    found = results.in_points(_linear(sample, absorb))
    yield sample.row("group_effects", "linear_probability", "risk_difference", **found, note=note)


def _in_cells(sample: Sample, group: str) -> Iterator[Row]:
    if sample.time is None:
        raise StudyError("no column of time has periods enough.")
    groups = sample.loans[group]
    cells = codes(groups) * 1_000_000 + codes(sample.loans[sample.time])
    found = results.in_points(_linear(sample, pd.Series(cells, groups.index)))
    note = f"an effect for each {group} in each {sample.time}; {CORRECTION}, effects of groups counted in k"
    yield sample.row("group_effects", "group_by_time", "risk_difference", **found, note=note)


def _logistic(sample: Sample, group: str) -> Iterator[Row]:
    absorb, factor = _absorbed(sample, group), sample.factor
    # A lottery's strata are small by design: all with both outcomes take part, and the note says their size.
    smallest = SMALLEST_GROUP if sample.stratum is None else 1
    found = absorbed_logit(
        sample.default, sample.slim, factor, absorb, sample.clusters, sample.level, sample.weights, smallest
    )
    if found.groups < FEWEST:
        number = sample.loans[group].nunique()
        raise StudyError(f"only {found.groups} of {number} groups are large enough to estimate an effect of their own.")
    effects = found.effects[factor]
    assert isinstance(effects, LogitEffects)
    more = {
        "stays": found.stays,
        "note": f"effects of {' and '.join(absorb)}; {CORRECTION}; {found.groups} groups with both outcomes, "
        f"{found.loans / found.groups:.0f} loans each: "
        "estimating their effects moves slopes away from zero by about one part in that number",
    }
    yield sample.row("group_effects", "logit", "odds_ratio", **effects.odds_ratio._asdict(), unit="ratio", **more)
    marginal = results.in_points(effects.average_marginal_effect)
    yield sample.row("group_effects", "logit", "average_marginal_effect", **marginal, **more)


def _conditional(sample: Sample, group: str) -> Iterator[Row]:
    groups, within, note = sample.loans[group], sample.design, ""
    if sample.stratum is not None:
        # A lottery's strata may lie across lenders, whose numbers of defaults this likelihood is given.
        terms = [term for term in [*sample.protocol.controls.ladder().values()][-1] if term != sample.stratum]
        within = design_matrix(sample.loans, [sample.factor, *terms]).matrix
        note = "; without the strata of the lottery"
    found = conditional_logit(sample.default, within, sample.factor, groups, groups, sample.level)
    note = f"given the number of defaults of each of {found.groups} groups with both outcomes; {CORRECTION}{note}"
    ratio = found.odds_ratio._asdict()
    yield sample.row(
        "group_effects", "conditional_logit", "odds_ratio", **ratio, unit="ratio", note=note, stays=found.stays
    )
