"""The prepared cohort as stages read it: with every column that they and the study's section of params.yaml name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.fields import BLOCKS, nearest
from pipeline.core.protocol import Study
from pipeline.core.scope import column_in
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd

ALWAYS = (
    "loan_id",
    "institution_type",
    "origination_date",
    "origination_month",
    "origination_quarter",
    "credit_grade",
    "loan_type",
    "amount",
    "treated",
    "default",
)
"""Columns of every study's cohort (`schema.cohort_schema`)."""

AT_LANDMARK = ("open_at_landmark", "default_after_landmark")
"""Columns of the cohort of a study with a landmark."""


def path_of(study: str) -> Path:
    """Return where `prepare` puts the cohort of a study."""
    return places.processed(study) / "cohort.parquet"


def read(study: str, protocol: Study, also: Sequence[str] = ()) -> pd.DataFrame:
    """Read a study's cohort (loans x columns).

    `protocol` is the study's section of params.yaml, `also` are further columns that a stage cannot do without. A
    column that the data lack is there without a value (`scope`), so one that is not there at all is a StudyError: the
    name is mistyped, or the file is no longer the one that `prepare` wrote.
    """
    cohort, path = store.read_parquet(path_of(study)), path_of(study)
    again = f"run make reproduce STUDY={study} again"
    for name in (*ALWAYS, *(AT_LANDMARK if protocol.landmark else ()), *also):
        if name not in cohort:
            raise StudyError(f"{path} has no column '{name}', which this stage needs: {again}.")
    for section, name in named(protocol):
        if name not in cohort:
            raise StudyError(
                f"{path} has no column '{name}', which {section} in {places.choices(study)} names: {again}, or "
                f"correct the name{nearest(name, cohort)}"
            )
    for said in _faults(cohort, protocol):
        raise StudyError(f"{path}, {said}: {again}.")
    labels = cohort[protocol.cluster]
    # A column without any label is one that the data lack; errors then take every loan for itself.
    if labels.isna().any() and labels.notna().any():
        raise StudyError(
            f"{path}: {int(labels.isna().sum()):,} of {len(labels):,} loans have no {protocol.cluster}, by which "
            f"cluster in {places.choices(study)} clusters the errors: fill it in, let these loans leave in "
            "preparation, or name another column."
        )
    return cohort


def _faults(cohort: pd.DataFrame, protocol: Study) -> Iterator[str]:
    """Yield what in a cohort is not as `prepare` writes it: identifiers, outcome, arms, and numbers that are none."""
    loans = cohort["loan_id"]
    if (wrong := loans.isna() | loans.duplicated()).any():
        yield f"column loan_id: {int(wrong.sum()):,} of {len(loans):,} loans have none, or one that another has"
    for name in ("default", "treated"):
        # Treatment may be a column that the data lack; a default is never unknown.
        if (wrong := ~cohort[name].isin([0, 1])).any() and (name == "default" or cohort[name].notna().any()):
            where = wrong.to_numpy().argmax()
            yield (
                f"column {name}: {int(wrong.sum()):,} of {len(loans):,} loans have neither 0 nor 1 (the first: loan "
                f"{loans.iloc[where]}, {cohort[name].iloc[where]})"
            )
    for name in ("amount", *protocol.factors):
        if cohort[name].dtype.kind not in "biuf" and cohort[name].notna().any():
            yield f"column {name} should hold numbers and is {cohort[name].dtype}"


def named(protocol: Study) -> Iterator[tuple[str, str]]:
    """Yield each column of the cohort that a study's section of params.yaml names, after the part that names it.

    Left out is what a stage itself looks up, since it knows more names than the cohort: moderators and alternatives.
    """
    matching, controls = protocol.matching, protocol.controls
    terms = {
        "factors": protocol.factors,
        "matching.exact": matching.exact,
        "matching.score": matching.score,
        **{f"controls.{block}": getattr(controls, block) for block in ("strata", *BLOCKS)},
        "cluster": [protocol.cluster],
        "placebo": protocol.placebo,
        "moderated": protocol.moderated,
        "groups": protocol.groups,
        "relations": [term for one in protocol.relations for term in (one.outcome, one.factor, *one.controls)],
        "incomplete": protocol.incomplete,
    }
    for section, names in terms.items():
        for term in names:
            # A relation may name one level of a category: loan_type[car].
            yield section, column_in(term).partition("[")[0]
