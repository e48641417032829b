"""Whether each unit of a factor counts alike, and default by its thirds."""

from collections.abc import Iterator

import pandas as pd

from pipeline.analyses.robustness.sample import Row, Sample
from pipeline.core import results
from pipeline.runtime.errors import StudyError
from pipeline.stats.absorbed import absorbed_linear
from pipeline.stats.inference import CORRECTION
from pipeline.stats.shape import constant_proportion, thirds


def shape(sample: Sample) -> Iterator[Row]:
    """Yield the tests of one proportion for each unit, and the odds ratios at both ends, of factors that can bend."""
    if sample.loans[sample.factor].nunique() < 3:
        return
    try:
        found = constant_proportion(
            sample.default, sample.slim, sample.factor, sample.clusters, sample.level, sample.periods
        )
    except StudyError as error:
        yield sample.row("shape", "logit", "wald_test", note=str(error))
        return
    tests = {
        "wald_test": (found.wald, found.wald_p, f"cluster-robust, {CORRECTION}"),
        "likelihood_ratio_test": (found.likelihood_ratio, found.likelihood_ratio_p, "takes loans as independent"),
    }
    for name, (statistic, p_value, note) in tests.items():
        more = {"estimate": statistic, "p_value": p_value, "unit": "chi-squared"}
        note = f"{found.degrees} degrees of freedom; {note}"
        yield sample.row("shape", found.form, name, **more, note=note)
    for name, one in found.ends.items():
        yield sample.row("shape", found.form, name, **one._asdict(), unit="ratio", note="of one unit more")


def by_thirds(sample: Sample) -> Iterator[Row]:
    """Yield default in the middle and the top third of a factor against the lowest, with controls and inside groups."""
    columns = thirds(sample.loans[sample.factor])
    if columns is None:
        return
    design = pd.concat([columns, sample.slim.drop(columns=sample.factor)], axis=1)
    of_time = [sample.period] if sample.period else []
    ways = {"controls": sample.loans[of_time] if of_time else pd.Series(0, design.index)}
    if sample.group is not None:
        ways["group_effects"] = sample.loans[[sample.group, *of_time]]
    for specification, absorb in ways.items():
        try:
            found = absorbed_linear(
                sample.default, design, list(columns), absorb, sample.clusters, sample.level, sample.weights
            ).effects
        except StudyError as error:
            for name in columns:
                yield sample.row("thirds", specification, name, note=str(error))
            continue
        for name in columns:
            yield sample.row(
                "thirds", specification, name, **results.in_points(found[name]), note="against the lowest third"
            )
