"""What a cohort allows: the protocol without what these data cannot support, decided in this one place.

A study declares that it lacks a column by leaving it without a single value. Stages then ask the protocol for no more
than the cohort holds, and `describe` writes a row for each thing that was left out, which the report puts into words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Set
from typing import TYPE_CHECKING, NamedTuple

from pipeline.core.fields import BLOCKS
from pipeline.core.protocol import Study

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 10
"""Defaults, other loans, and loans in each arm, below which nothing is compared: intervals would hold everything."""

MOST_GROUPS = 4
"""Exposure levels of a factor, where the protocol of a reader's study gives none."""

REASONS = (
    "few_defaults",
    "no_arms",
    "few_in_arm",
    "no_covariate",
    "no_design",
    "no_factors",
    "absent",
    "constant",
    "few_measured",
    "before_landmark",
    "no_logarithm",
    "gaps",
    "few_clusters",
    "few_for_controls",
    "levels",
)
"""Why something is left out or done otherwise, in the order in which the report says so; ``levels`` are the exposure
levels of a factor, where the protocol gives none."""


FILLED, NOT_STATED = "_filled", "_not_stated"
"""How the columns end that stand for a number with gaps: the median where it is not known, and whether it is not."""


OPEN = "open_at_landmark"
"""Which loans were open when what is measured after origination had been."""


class LeftOut(NamedTuple):
    """One thing that the data cannot support."""

    reason: str
    """One of `REASONS`."""
    name: str = ""
    """The column or block of controls that it is about."""
    count: int = 0  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    """How many loans there are of what there are too few of, or that are in the way."""
    note: str = ""
    """A sentence that says more."""


class Scope(NamedTuple):
    """What the stages may do with a cohort."""

    protocol: Study
    """The protocol without what is left out; the same object where nothing is."""
    left_out: list[LeftOut]

    def lacks(self, *reasons: str) -> bool:
        """Say whether anything is left out for one of these reasons."""
        return any(item.reason in reasons for item in self.left_out)

    @property
    def models(self) -> bool:
        """Whether there are defaults enough to relate anything to them, and anything to relate."""
        return not self.lacks("few_defaults") and bool(self.factors)

    @property
    def arms(self) -> bool:
        """Whether there are two arms to compare."""
        return not self.lacks("few_defaults", "no_arms", "few_in_arm")

    @property
    def matching(self) -> bool:
        """Whether there is anything to match the arms on."""
        return self.arms and not self.lacks("no_covariate", "no_design")

    @property
    def of_reader(self) -> bool:
        """Whether the study is a reader's own, of which nobody knows beforehand what it allows."""
        return self.protocol.own is not None

    @property
    def factors(self) -> list[str]:
        """What default is related to: the treatment, where there is one, and the CRM factors."""
        return [*(["treated"] if self.arms else []), *self.protocol.factors]


def column_in(term: str) -> str:
    """Return the column that a term uses: ``log(income)`` -> ``income``."""
    return re.sub(r"^log\((.*)\)$", r"\1", term)


def scope(protocol: Study, cohort: pd.DataFrame) -> Scope:
    """Return what the cohort allows of the protocol.

    Left out are columns without any value, factors and matching covariates with a single one, and logarithms of what is
    not above zero (the column itself stays). In a reader's own study also factors measured for too few defaults, too
    few clusters, and blocks of controls with more columns than there are loans of the rarer
    outcome. A column that the cohort does not have at all is no concern here: `cohorts.read` refuses it.
    """
    found: list[LeftOut] = []

    def rarer(loans: pd.DataFrame) -> int:
        defaults = int(loans["default"].sum())
        return min(defaults, len(loans) - defaults)

    if (fewer := rarer(cohort)) < FEWEST:
        found.append(LeftOut("few_defaults", count=fewer))
    empty = {name for name in cohort if cohort[name].isna().all()}
    if "treated" in empty:
        found.append(LeftOut("no_arms"))
    else:
        treated = int(cohort["treated"].sum())
        if (smaller := min(treated, len(cohort) - treated)) < FEWEST:
            found.append(LeftOut("few_in_arm", count=smaller))
    found += [LeftOut("absent", name) for name in sorted(empty - {"treated"})]

    of_factors = [name for name in protocol.factors if name in cohort and name not in empty]
    of_score = [column_in(term) for term in protocol.matching.score]
    single = [
        name for name in dict.fromkeys([*of_factors, *of_score]) if name in cohort and cohort[name].nunique() == 1
    ]
    found += [LeftOut("constant", name) for name in single]
    for name in of_factors:
        if name not in single and protocol.own is not None:
            measured = cohort.loc[cohort[name].notna()]
            if rarer(measured) < FEWEST <= fewer:
                found.append(LeftOut("few_measured", name, rarer(measured)))
    if protocol.own is not None and protocol.landmark and (ended := int((cohort[OPEN] == 0).sum())):
        found += [LeftOut("before_landmark", name, ended) for name in protocol.landmark.factors if name in of_factors]
    found += _of_terms(protocol, cohort, empty)
    if protocol.own is not None and protocol.cluster in set(cohort) - empty:
        clusters = cohort[protocol.cluster].nunique()
        if clusters < FEWEST:
            found.append(LeftOut("few_clusters", protocol.cluster, clusters))
    if protocol.own is not None and not protocol.doses:
        levels = {name: quartile_edges(cohort[name]) for name in of_factors if name not in single}
        found += [LeftOut("levels", name, note=" ".join(map(repr, edges))) for name, edges in levels.items() if edges]
    allowed = reduced(protocol, found)
    if not allowed.protocol.factors:
        found.append(LeftOut("no_factors"))
    if not allowed.protocol.matching.score:
        found.append(LeftOut("no_covariate"))
    if protocol.own is not None:
        for block, terms in allowed.protocol.controls.ladder().items():
            columns = 1
            for name in map(column_in, terms):
                categories = name in cohort and str(cohort[name].dtype) == "category"
                columns += cohort[name].nunique() - 1 if categories else 1
            if columns > fewer:
                found.append(LeftOut("few_for_controls", block, columns))
                break
    return reduced(protocol, found)


def _of_terms(protocol: Study, cohort: pd.DataFrame, empty: Set[str]) -> list[LeftOut]:
    """Return which terms of score and controls have gaps, or no logarithm."""
    found: list[LeftOut] = []
    terms = [*protocol.matching.score, *(term for block in BLOCKS for term in getattr(protocol.controls, block))]
    for term in dict.fromkeys(terms):
        name = column_in(term)
        gaps = int(cohort[name].isna().sum()) if name in set(cohort) - empty else 0
        if gaps and protocol.own is not None and ("gaps", name, gaps, "") not in found:
            found.append(LeftOut("gaps", name, gaps))
        if term != name and name in cohort and name not in empty and (count := int((cohort[name] <= 0).sum())):
            found.append(LeftOut("no_logarithm", name, count))
    return found


def quartile_edges(values: pd.Series) -> list[float]:
    """Return lower edges of up to four groups of about the same size: distinct quantiles, rounded to three digits."""
    measured = values.dropna()
    if measured.nunique() < 3:
        return []
    edges = [float(f"{edge:.3g}") for edge in measured.quantile([place / MOST_GROUPS for place in range(MOST_GROUPS)])]
    # Rounding up must not push the smallest value out of the first group.
    edges[0] = min(edges[0], float(math.floor(measured.min())))
    return sorted(set(edges))


def as_measured(protocol: Study, *, complete: bool = False) -> Study:
    """Return the protocol with the columns that have gaps in the place of what stands for them; or without either."""

    def there(terms: list[str]) -> list[str]:
        if complete:
            return [term for term in terms if not column_in(term).endswith((FILLED, NOT_STATED))]
        return [term.replace(f"{FILLED})", ")").removesuffix(FILLED) for term in terms if not term.endswith(NOT_STATED)]

    controls, matching = protocol.controls, protocol.matching
    changes = {
        "controls": controls.model_copy(update={block: there(getattr(controls, block)) for block in BLOCKS}),
        "matching": matching.model_copy(update={"score": there(matching.score)}),
    }
    return protocol.model_copy(update=changes)


def reduced(protocol: Study, left_out: Iterable[LeftOut]) -> Scope:
    """Return the protocol without what is left out."""
    left_out = sorted(left_out, key=lambda item: (REASONS.index(item.reason), item.name))

    def named(*reasons: str) -> set[str]:
        return {item.name for item in left_out if item.reason in reasons}

    levels = {item.name: list(map(float, item.note.split())) for item in left_out if item.reason == "levels"}
    absent, no_logarithm = named("absent"), named("no_logarithm")

    def there(terms: list[str], without: Set[str] = frozenset()) -> list[str]:
        plain = [column_in(term) if column_in(term) in no_logarithm else term for term in terms]
        return [term for term in plain if column_in(term) not in absent | without]

    gaps = named("gaps")

    def filled(terms: list[str]) -> list[str]:
        """Put the filled column and its indicator in the place of one with gaps."""
        put = [[term] if (name := column_in(term)) not in gaps else
               [term.replace(name, f"{name}{FILLED}"), f"{name}{NOT_STATED}"] for term in terms]  # fmt: skip
        return [term for terms in put for term in terms]

    matching, controls = protocol.matching, protocol.controls
    factors = there(protocol.factors, named("constant", "few_measured"))
    blocks = {block: filled(there(getattr(controls, block))) for block in ("strata", *BLOCKS)}
    for block in named("few_for_controls"):
        # Later rungs hold the blocks before them.
        blocks |= {later: [] for later in BLOCKS[BLOCKS.index(block) :]}
    changes = {
        "factors": factors,
        "matching": matching.model_copy(
            update={"exact": there(matching.exact), "score": filled(there(matching.score, named("constant")))}
        ),
        "controls": controls.model_copy(update=blocks),
        "groups": [*there(protocol.groups), *(f"{name}{NOT_STATED}" for name in sorted(gaps))],
        "doses": {name: edges for name, edges in (protocol.doses | levels).items() if name in factors},
        # Without clusters, every loan is one of its own.
        "cluster": "loan_id" if protocol.cluster in absent | named("few_clusters") else protocol.cluster,
    }
    changed = protocol.model_copy(update=changes)
    return Scope(protocol if changed == protocol else changed, left_out)
