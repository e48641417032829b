"""Which values are missing, together with what, and whether at random."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.analyses.missing.loans import Row, askable, row
from pipeline.core import results
from pipeline.core.protocol import Study
from pipeline.core.scope import column_in
from pipeline.runtime.errors import StudyError
from pipeline.stats.design import independent
from pipeline.stats.inference import cluster_codes
from pipeline.stats.missing_data import little, patterns
from pipeline.stats.robust_errors import clustered, partial_out

LEFT = ("missing_", "incomplete_")
"""How the reasons begin for which preparation leaves a loan out because something of it is not known."""

COMMONEST = 8
"""Patterns of missing values that are listed."""


def left_out(flow: pd.DataFrame) -> Iterator[Row]:
    """Yield how many loans preparation left out because something was not known, by reason and together."""
    gone = flow[flow["reason"].str.startswith(LEFT)]
    for step in gone.itertuples():
        common = {"estimator": "left_out_for_gaps", "specification": step.reason, "unit": "loans"}
        yield common | {"estimand": "loans", "estimate": step.loans}
        yield common | {"estimand": "defaults", "estimate": step.defaults}


def shares(cohort: pd.DataFrame, gaps: list[str], protocol: Study) -> Iterator[Row]:
    """Yield the share of loans that lack each column with gaps, or that nothing is missing."""
    if not gaps:
        note = "no factor, control or treatment lacks a value"
        yield row(cohort, protocol, "share_missing", specification="any", estimate=0.0, unit="percent", note=note)
    for name in gaps:
        loans = askable(cohort, name, protocol)
        late = name in protocol.after_origination()
        yield row(loans, protocol, "share_missing", specification="column", factor=name) | {
            "estimate": 100 * loans[name].isna().mean(),
            "unit": "percent",
            "note": "of the loans open at the landmark" if late else "of all loans",
        }


def commonest(cohort: pd.DataFrame, gaps: list[str], protocol: Study) -> Iterator[Row]:
    """Yield the commonest patterns of gaps, among loans in which every column could have been measured."""
    loans = _common(cohort, gaps, protocol)
    found = patterns(loans[gaps].isna())
    for place, one in found.head(COMMONEST).iterrows():
        gone = [name for name in gaps if one[name]]
        yield {
            "estimator": "pattern",
            "specification": f"{place:02d}",
            "estimand": "share",
            "estimate": 100 * one["loans"] / len(loans),
            "n": int(one["loans"]),
            "unit": "percent",
            "note": ", ".join(gone) if gone else "nothing",
        }


def _common(cohort: pd.DataFrame, names: list[str], protocol: Study) -> pd.DataFrame:
    """Return the loans in which all columns could have been measured, with the default that belongs to them."""
    late = [name for name in names if name in protocol.after_origination()]
    return askable(cohort, (late or names)[0], protocol)


def against(cohort: pd.DataFrame, gaps: list[str], protocol: Study, level: float, *, arms: bool) -> Iterator[Row]:
    """Yield by how much default, and treatment, differ between loans that lack a column and loans that do not."""
    for name in gaps:
        loans = askable(cohort, name, protocol)
        design = pd.DataFrame({"intercept": 1.0, "missing": loans[name].isna().astype(float)}, loans.index)
        for outcome in ("default", *(("treated",) if arms and name != "treated" else ())):
            about = {"factor": name, "outcome": outcome, "estimand": "missing_less_known"}
            try:
                fit = partial_out(loans[outcome], design, "missing", loans.get("weight"))
                found = clustered(fit, cluster_codes(loans[protocol.cluster]), level)
            except StudyError as error:
                yield row(loans, protocol, "missing_against", **about, note=str(error))
                continue
            yield row(loans, protocol, "missing_against", **about, **results.in_points(found))


def by_chance(
    cohort: pd.DataFrame, gaps: list[str], incomplete: list[str], protocol: Study, level: float, factors: list[str]
) -> Iterator[Row]:
    """Yield Little's test that values are missing completely at random, on all columns that are numbers.

    Parameters
    ----------
    cohort : (loans x columns)
    gaps : list of str
        Columns that lack values of some loans.
    incomplete : list of str
        Terms that would be controls if they had no gaps.
    protocol : Study
    level : float
        One less the significance level of the test.
    factors : list of str
    """
    loans = _common(cohort, gaps, protocol)
    ladder = protocol.controls.ladder()
    controls = [column_in(term) for term in ([*ladder.values()][-1] if ladder else [])]
    names = dict.fromkeys(["default", *factors, *controls, *map(column_in, incomplete)])
    numeric = [name for name in names if pd.api.types.is_numeric_dtype(loans[name]) and loans[name].nunique() > 1]
    values = loans[numeric].to_numpy(dtype=float)
    complete = values[~np.isnan(values).any(axis=1)]
    if len(complete) <= len(numeric):
        note = "too few loans without gaps"
        yield row(loans, protocol, "little", specification="missing_completely_at_random", note=note)
        return
    # A factor that makes the arms stands twice, and series of few months determine each other.
    centred = complete - complete.mean(axis=0)
    values = values[:, independent(centred)]
    try:
        found = little(values)
    except (StudyError, np.linalg.LinAlgError) as error:
        yield row(loans, protocol, "little", specification="missing_completely_at_random", note=str(error))
        return
    note = f"{found.degrees} degrees of freedom; {found.patterns} patterns; {values.shape[1]} columns"
    about = {"estimand": "d_squared", "estimate": found.statistic, "p_value": found.p_value, "unit": "chi-squared"}
    yield row(loans, protocol, "little", specification="missing_completely_at_random", **about, note=note)
    significance = 1 - level
    checked = results.assumption(
        "completely_at_random", found.p_value, significance, passed=found.p_value >= significance
    )
    yield row(loans, protocol, **checked, estimand="p_value", p_value=found.p_value)
