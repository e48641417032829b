"""Give each claim of the literature its verdict and its certainty, in each study and over all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from pipeline.analyses.evidence import requirements
from pipeline.analyses.evidence.checks import checks_of, doubly_robust, lives_on_the_top
from pipeline.analyses.evidence.deciding import deciding
from pipeline.analyses.evidence.margins import default_rate, deviation, margin_of, start_of
from pipeline.core.params import Params
from pipeline.core.protocol import Study
from pipeline.core.results import Results, cleared, rounded
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import ALL, CLAIMS, Bearing, Claim, Limit
from pipeline.stats import certainty, verdicts
from pipeline.stats.verdicts import Found, Judged

FOLDER = "evidence"
"""Folder under reports."""

OVERALL = "overall"
"""What stands for a study in the rows that put all studies together."""

NUMBERS = (
    "estimate",
    "ci_low",
    "ci_high",
    "p_value",
    "p_adjusted",
    "p_family",
    "margin",
    "smallest_detectable",
)
NAMES = ("stage", "estimator", "specification", "factor", "outcome", "estimand")
COLUMNS = (
    "claim",
    "class",
    "study",
    "verdict",
    "certainty",
    "why",
    "design",
    *NUMBERS,
    "unit",
    "per",
    "n",
    *NAMES,
    "reason",
)
"""Columns of the table of verdicts. `p_adjusted` counts all deciding rows of real lenders (Benjamini and Hochberg),
`p_family` the family that the row belongs to (Holm): effects of CRM on default, or a study's interactions. `per` says
where a number is per standard deviation, `why` holds the reasons that lowered certainty."""

UNDECIDED = {"verdict": "not_testable", "reason": "the study measures nothing that bears on it"}
"""The line of a claim on which a study is silent."""

PER_UNIT = ("risk_difference", "change_per_unit")
"""Estimands that are told per unit of the factor, and so are brought to a standard deviation of it."""

OF_CRM = ("effect", "association")
"""Classes of which the first screen, the abstract and the advice speak."""

OF_EFFECTS = ("effect", "other_outcome", "moderation")
"""Classes that say what CRM does, so that certainty starts with the design; what CRM is not asked of starts high."""

HETEROGENEOUS = 0.5
"""Share of the variation between lenders that is not chance (I squared) from which they do not agree."""

FAMILIES = ("effect", "moderation")
"""Classes whose rows are tests of one family, for which Holm's correction decides."""


class Part(NamedTuple):
    """A row that decides a claim in a study, or a part of it, with all that its verdict needs."""

    claim: Claim
    bearing: Bearing
    row: Any
    found: Found
    """The number, per standard deviation where `per` says so."""
    margin: float
    most: float
    per: str
    design: str
    beside: tuple[float, float] | None
    """The interval of the doubly robust estimate of the same effect, which equivalence must not contradict."""

    @property
    def key(self) -> tuple[str, ...]:
        """What tells coefficients apart: parts with one key are one piece of evidence, whatever the row is called."""
        numbers = (self.row.estimate, self.row.ci_low, self.row.ci_high, self.row.p_value, self.row.n)
        return (self.bearing.study, *map(str, numbers))


def check(claims: Sequence[Claim], bearings: Sequence[Bearing], names: Sequence[str]) -> None:
    """Refuse ledgers that name a study which is not laid beside the others, or a requirement without a check."""
    for claim in claims:
        if unknown := set(claim.studies) - set(names):
            raise StudyError(
                f"{CLAIMS}: claim {claim.id} asks {min(unknown)}, which is not among the studies that are compared."
            )
        if claim.kind == "requirement" and claim.id not in requirements.CHECKS:
            raise StudyError(f"{CLAIMS}: no check stands behind the requirement {claim.id}.")
    for one in bearings:
        if one.study not in names:
            raise StudyError(
                f"claim {one.claim} names study {one.study}, which is not among the studies that are compared."
            )


def part_of(claim: Claim, one: Bearing, has: Results, protocol: Study, params: Params) -> Part:
    """Read a deciding row, bring it to a scale on which it can be judged, and say what design it has."""
    row = deciding(claim, one, has)
    if claim.kind == "effect" and any(lives_on_the_top(has, one.column)):
        # Such a slope does not decide: the one without the top does.
        row = has.one(stage="robustness", estimator="dose", specification="without_top", factor=one.column)
    unit = row.unit or ("area" if row.estimator == "chosen" else "")
    rate = default_rate(has)
    margin = margin_of(unit, row.outcome, rate, params.evidence.margins, protocol)
    numbers = [row.estimate, row.ci_low, row.ci_high]
    per = ""
    # Of an interaction the moderator is what there can be a standard deviation more of.
    sd = deviation(one.moderator or one.column, has) if row.estimand in PER_UNIT else None
    if sd is not None and unit != "percent for one percent":
        numbers, per = [sd * number for number in numbers], "standard_deviation"
    elif row.estimand == "difference_per_standard_deviation":
        per = "standard_deviation"
    found = Found(*numbers, p_value=row.p_value, unit=unit, start=start_of(row.estimand, row.specification))
    design = design_of(claim, one, row, protocol)
    adjusted = claim.kind == "effect" and design == "matched_observational" and row.outcome == "default" and not per
    beside = doubly_robust(has) if adjusted and is_treatment(one.column, protocol) else None
    return Part(claim, one, row, found, margin.size, margin.most, per, design, beside)


def is_treatment(column: str, protocol: Study) -> bool:
    """Say whether a column is the study's treatment, or what defines it."""
    return column == "treated" or (protocol.treatment is not None and column == protocol.treatment.factor)


def design_of(claim: Claim, one: Bearing, row: Any, protocol: Study) -> str:
    """Return the design behind a row: lots speak for what they drew, controls for the rest, nothing for raw rows."""
    if protocol.simulated:
        return "simulated"
    if claim.kind in ("association", "prediction", "credit"):
        return "descriptive"
    drawn = one.column == "treated" and protocol.design == "randomised"
    return "randomised" if drawn else "matched_observational"


class Evidence(NamedTuple):
    """The verdicts, and the rows that decide them; both have `COLUMNS`."""

    verdicts: pd.DataFrame
    """One row a claim and study, and one a claim over all studies, in the order of ledger and studies."""
    parts: pd.DataFrame
    """One row a deciding row: a claim of several parts has several in a study, and the worst is its verdict."""


def weigh(
    claims: Sequence[Claim],
    bearings: Sequence[Bearing],
    limits: Sequence[Limit],
    found: Mapping[str, Results],
    params: Params,
) -> Evidence:
    """Judge every deciding row, and put together what they say of each claim.

    Parameters
    ----------
    claims, bearings, limits
        The ledgers.
    found
        Each study's rows, real and simulated, in the order in which they are laid side by side.
    params
        Margins, level and studies.

    Raises
    ------
    StudyError
        Where a deciding row is not there, or its unit has no margin.
    """
    known = {claim.id: claim for claim in claims}
    protocols = {name: params.study(name) for name in found}
    parts = [part_of(known[one.claim], one, found[one.study], protocols[one.study], params) for one in bearings]
    counted = correct(parts)
    told: dict[tuple[str, str], list[Told]] = {}
    for part in parts:
        study = part.bearing.study
        one = tell(part, counted, limits, found[study], protocols[study], params.inference.level)
        told.setdefault((part.claim.id, study), []).append(one)
    lines: list[dict[str, Any]] = []
    for claim in claims:
        if claim.kind == "requirement":
            lines += required(claim, found, protocols)
        elif claim.kind != "none":
            lines += answered(claim, {study: told.get((claim.id, study), []) for study in found}, limits, params)
    each = [one.line for several in told.values() for one in several]
    return Evidence(framed(lines), framed(each))


def framed(lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Bring lines into the table's form: all columns, rounded."""
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    for name in NUMBERS:
        tidy = rounded if name.startswith("p_") else cleared
        frame[name] = [None if pd.isna(number) else tidy(float(number)) for number in frame[name]]
        frame[name] = frame[name].astype("Float64")
    frame["n"] = frame["n"].astype("Int64")
    return frame


class Corrected(NamedTuple):
    """p-values of a row after counting the other tests."""

    adjusted: float = math.nan
    family: float = math.nan


def correct(parts: Sequence[Part]) -> dict[tuple[str, ...], Corrected]:
    """Correct the p-values of all distinct deciding rows of real lenders, by row."""
    real = {part.key: part for part in parts if part.design != "simulated" and math.isfinite(part.row.p_value)}
    keys = list(real)
    adjusted = dict(zip(keys, verdicts.corrected([real[key].row.p_value for key in keys], "fdr_bh"), strict=True))
    of_crm = {part.key for part in parts if part.claim.kind == "effect" and part.row.outcome == "default"}
    effects = [key for key in keys if key in of_crm]
    family = dict(zip(effects, verdicts.corrected([real[key].row.p_value for key in effects], "holm"), strict=True))
    for key, part in real.items():
        if part.claim.kind == "moderation" and key not in family:
            # The study's own family of interactions, all of which stand in its rows.
            family[key] = part.row.p_adjusted
    return {key: Corrected(adjusted[key], family.get(key, math.nan)) for key in keys}


def judged(part: Part, counted: Mapping[tuple[str, ...], Corrected], level: float) -> Judged:
    """Judge one row; simulated ones stand apart and are corrected for nothing."""
    expected = part.claim.expected_sign
    if part.bearing.reverse:
        expected = {"lower": "higher", "higher": "lower"}[expected]
    p = part.found.p_value
    if part.design != "simulated":
        by = counted.get(part.key, Corrected())
        p = by.family if part.claim.kind in FAMILIES and math.isfinite(by.family) else by.adjusted
    if math.isnan(p):
        # No p-value stands in the row, and its interval speaks alone.
        p = 0.0
    more = {"corrected": p, "most": part.most, "beside": part.beside}
    return verdicts.judge(part.found, expected, part.margin, level, **more)  # type: ignore[arg-type]


def reasons_of(
    part: Part, verdict: verdicts.Verdict, limits: Sequence[Limit], has: Results, protocol: Study
) -> list[str]:
    """Return why a row is less sure than its design: codes that the words explain."""
    start = part.found.neutral
    log = verdicts.is_ratio(part.found.unit)
    low, high = (math.log(x / start) if log and x > 0 else x - start for x in (part.found.ci_low, part.found.ci_high))
    scored, column = part.claim.kind == "prediction", part.bearing.column
    treated = is_treatment(column, protocol)
    names = {check.name for check in checks_of(has, column, treated=treated, scored=scored)}
    if column in protocol.undated:
        names.add("undated")
    of_file = [limit for limit in limits if (limit.claim, limit.study) == (ALL, part.bearing.study)]
    proxy = any(
        (limit.claim, limit.study, limit.answer) == (part.claim.id, part.bearing.study, "proxy") for limit in limits
    )
    found = [f"bias:{name}" for name in sorted(names)]
    found += ["selection"] * bool(of_file) + ["indirectness"] * proxy
    return found + ["imprecision"] * certainty.imprecise(verdict, low, high, part.margin)


class Told(NamedTuple):
    """What one deciding row says: its verdict, its certainty (none in a simulation), and its line of the table."""

    part: Part
    judged: Judged
    graded: certainty.Graded | None
    line: dict[str, Any]


def tell(
    part: Part,
    counted: Mapping[tuple[str, ...], Corrected],
    limits: Sequence[Limit],
    has: Results,
    protocol: Study,
    level: float,
) -> Told:
    """Judge a deciding row and say how sure it is; of `counted` see `correct`, `has` holds its study's rows."""
    judgement = judged(part, counted, level)
    line = {"claim": part.claim.id, "class": part.claim.kind, "study": part.bearing.study}
    line |= shown(part, judgement, counted)
    if judgement.verdict == "not_testable" or part.design == "simulated":
        return Told(part, judgement, None, line)
    start = certainty.start_of(part.design, effect=part.claim.kind in OF_EFFECTS)
    graded = certainty.grade(start, reasons_of(part, judgement.verdict, limits, has, protocol))
    return Told(part, judgement, graded, line | {"certainty": graded.level, "why": " ".join(graded.reasons)})


def answered(
    claim: Claim, told: Mapping[str, Sequence[Told]], limits: Sequence[Limit], params: Params
) -> list[dict[str, Any]]:
    """Return the lines of a claim about the world: each study's, which is its worst part's, and the one over all."""
    silent = {(limit.claim, limit.study): {"reason": limit.reason_en} for limit in limits if limit.answer == "none"}
    lines, weakest = [], {}
    for study, parts in told.items():
        if not parts:
            line = {"claim": claim.id, "class": claim.kind, "study": study}
            lines.append(line | UNDECIDED | silent.get((claim.id, study), {}))
            continue
        one = parts[verdicts.worst([each.judged for each in parts])]
        weakest[study] = one
        lines.append(one.line)
    common = {"claim": claim.id, "class": claim.kind, "study": OVERALL}
    single = all(len(parts) == 1 for parts in told.values() if parts)
    return [*lines, common | over_all(claim, weakest, params.inference.level, single=single)]


def over_all(claim: Claim, told: Mapping[str, Told], level: float, *, single: bool) -> dict[str, Any]:
    """Return what all lenders say together of a claim: pooled where measures are alike, put together where not.

    `told` holds the deciding row of each study, `single` says that no claim has several parts, which are never pooled.
    """
    real = {study: one for study, one in told.items() if one.graded is not None}
    graded = [one.graded for one in real.values() if one.graded is not None]
    alike = {
        (one.part.found.unit, one.part.per, one.part.bearing.column, one.part.row.estimand) for one in real.values()
    }
    if len(alike) == 1 and claim.kind == "prediction" and single:
        parts = [one.part for one in real.values()]
        pooled = verdicts.pooled([part.found for part in parts], level)
        if pooled:
            number, whole = pooled
            margin = max(part.margin for part in parts)
            expected: Any = claim.expected_sign
            judgement = verdicts.judge(number, expected, margin, level, corrected=number.p_value)
            both = certainty.several(graded, agree=whole.heterogeneity < HETEROGENEOUS, pooled=True)
            return {
                "verdict": judgement.verdict,
                "certainty": both.level,
                "why": " ".join(both.reasons),
                **numbers_of(number),
                "margin": margin,
                "unit": number.unit,
                "n": sum(int(part.row.n) for part in parts),
                "estimator": "random_effects",
                "estimand": parts[0].row.estimand,
                "reason": f"{whole.studies} lenders pooled (I squared {100 * whole.heterogeneity:.0f}%)",
            }
    made = [one.judged.verdict for one in told.values() if one.part.design == "simulated"]
    verdict, reason = verdicts.together({study: one.judged.verdict for study, one in real.items()}, made)
    line: dict[str, Any] = {"verdict": verdict, "reason": reason}
    if graded:
        agree = len({one.judged.verdict for one in real.values()}) == 1
        both = certainty.several(graded, agree=agree, pooled=False)
        line |= {"certainty": both.level, "why": " ".join(both.reasons)}
    return line


def numbers_of(found: Found) -> dict[str, float]:
    """Return a number's columns."""
    return {name: getattr(found, name) for name in ("estimate", "ci_low", "ci_high", "p_value")}


def shown(part: Part, judgement: Judged, counted: Mapping[tuple[str, ...], Corrected]) -> dict[str, Any]:
    """Return the columns of a row that decides, and of its verdict."""
    by = counted.get(part.key, Corrected())
    untested = judgement.verdict == "not_testable"
    return {
        "verdict": judgement.verdict,
        "design": part.design,
        **numbers_of(part.found),
        "p_adjusted": by.adjusted,
        "p_family": by.family,
        "margin": part.margin,
        "smallest_detectable": judgement.smallest_detectable,
        "unit": part.found.unit,
        "per": part.per,
        "n": part.row.n,
        **{name: getattr(part.row, name) for name in NAMES},
        "reason": part.row.note if untested and part.row.note else judgement.reason,
    }


def required(claim: Claim, found: Mapping[str, Results], protocols: Mapping[str, Study]) -> list[dict[str, Any]]:
    """Return the lines of a requirement on the method."""
    common = {"claim": claim.id, "class": claim.kind}
    checks = {study: requirements.CHECKS[claim.id](has, protocols[study]) for study, has in found.items()}
    lines = [
        common
        | {"study": study, "verdict": one.status, "estimate": one.value, "reason": f"{one.value:g} of {one.of:g}"}
        for study, one in checks.items()
    ]
    whole = requirements.over_all(one.status for one in checks.values())
    met = sum(one.status == "met" for one in checks.values())
    return [*lines, common | {"study": OVERALL, "verdict": whole, "reason": f"met in {met} of {len(checks)} studies"}]
