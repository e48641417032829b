"""Repeat each factor's headline regression with other standard errors, other effects and another shape."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import cohorts, results
from pipeline.core.params import Params, Study
from pipeline.core.scope import FEWEST, column_in, scope
from pipeline.runtime import places
from pipeline.runtime.errors import StudyError
from pipeline.stats import robust_errors
from pipeline.stats.absorbed import SMALLEST_GROUP, Absorbed, absorbed_linear, absorbed_logit
from pipeline.stats.conditional import conditional_logit
from pipeline.stats.design import design_matrix
from pipeline.stats.gelbach import WHOLE, gelbach
from pipeline.stats.inference import CORRECTION, cluster_codes, codes
from pipeline.stats.regression import Effect, LogitEffects
from pipeline.stats.samples import number_treated, sample_for
from pipeline.stats.shape import constant_proportion, link_test, thirds

ENOUGH = 40
"""Clusters from which the errors by formula are usually near enough (Angrist & Pischke 2009, section 8.2.3)."""

DOMINANT = 0.1
"""Share of all loans from which one cluster alone decides much of an error."""

OUTSIDE = 0.05
"""Share of fitted probabilities beyond nought and one that puts a linear model in doubt (Horrace & Oaxaca 2006)."""

DRAWS = 9_999
"""Draws of the wild bootstrap: with one more, a multiple of the reciprocals of usual significance levels."""

Row = dict[str, Any]


class Sample(NamedTuple):
    """A factor with the loans, controls and labels of its headline regression."""

    factor: str
    loans: pd.DataFrame
    design: pd.DataFrame
    dropped: list[str]
    protocol: Study
    level: float
    seed: int

    @property
    def default(self) -> pd.Series:
        """The outcome of each loan, nought or one."""
        return self.loans["default"]

    @property
    def weights(self) -> pd.Series | None:
        """How many loans of the population each one stands for, where that was sampled by outcome."""
        return self.loans.get("weight")

    @property
    def clusters(self) -> pd.Series:
        """The cluster of each loan."""
        return self.loans[self.protocol.cluster]

    @property
    def alone(self) -> bool:
        """Whether every loan is a cluster of its own."""
        return bool(self.clusters.is_unique)

    @property
    def time(self) -> str | None:
        """The column of time effects, or of quarters, where there are periods enough."""
        of_time = [*self.protocol.controls.time, "origination_quarter"]
        there = (name for name in of_time if name in self.loans and self.loans[name].nunique() >= FEWEST)
        return next(there, None)

    @property
    def period(self) -> str | None:
        """The column whose effects can be taken out instead of standing in the design, where there is one."""
        of_time = self.protocol.controls.time
        if len(of_time) == 1 and self.loans[of_time[0]].dtype == "category":
            return of_time[0]
        return self.stratum

    @property
    def stratum(self) -> str | None:
        """The column of strata within which a lottery was drawn, where they stand among the controls."""
        strata = self.protocol.controls.strata
        return strata[0] if len(strata) == 1 and self.protocol.controls.ladder() else None

    @property
    def periods(self) -> pd.Series | None:
        """The period of each loan, where periods can be taken out."""
        return None if self.period is None else self.loans[self.period]

    @property
    def slim(self) -> pd.DataFrame:
        """The design without the effects that can be taken out."""
        return self.design[[name for name in self.design if not name.startswith(f"{self.period}[")]]

    @property
    def group(self) -> str | None:
        """The column of lenders, or of clusters, where each has several loans."""
        for name in ("institution_id", self.protocol.cluster):
            if name in self.loans and self.loans[name].notna().all():
                number = self.loans[name].nunique()
                if FEWEST <= number <= len(self.loans) / 2:
                    return name
        return None

    def row(self, estimator: str, specification: str, estimand: str, **more: Any) -> Row:
        """Return a row of this factor, with the numbers of its loans."""
        stays = more.pop("stays", None)
        loans = self.loans if stays is None else self.loans[stays]
        return {
            "estimator": estimator,
            "specification": specification,
            "factor": self.factor,
            "outcome": "default",
            "estimand": estimand,
            "n": len(loans),
            "n_treated": number_treated(loans),
            "n_clusters": loans[self.protocol.cluster].nunique(),
        } | more


def run(study: str, params: Params) -> str:
    """Write the rows on robustness of the results table."""
    protocol = params.study(study)
    cohort = cohorts.read(study, protocol)
    allowed = scope(protocol, cohort)
    protocol = allowed.protocol
    ladder = protocol.controls.ladder()
    terms = [*ladder.values()][-1] if ladder else []
    # Time effects first: where they determine national series, those are dropped, as in the regressions.
    terms = [*protocol.controls.time, *(term for term in terms if term not in protocol.controls.time)]
    factors = allowed.factors if allowed.models else []

    rows: list[Row] = []
    for factor in factors:
        loans = sample_for(cohort, factor, protocol.after_origination())
        design = design_matrix(loans, [factor, *terms])
        seed = zlib.crc32(f"{params.seed} {study} {factor}".encode())
        dropped = [name for name in design.dropped if name.split("[")[0] not in protocol.controls.strata]
        sample = Sample(factor, loans, design.matrix, dropped, protocol, params.inference.level, seed)
        try:
            fit = robust_errors.partial_out(sample.default, sample.design, factor, sample.weights)
        except StudyError as error:
            rows.append(sample.row("errors", "clustered", "risk_difference", note=str(error)))
            continue
        without = None if sample.alone else robust_errors.leave_one_out(fit, cluster_codes(sample.clusters))
        rows += _errors(sample, fit, without)
        rows += _without_clusters(sample, without)
        rows += _group_effects(sample)
        rows += _gelbach(sample)
        rows += _shape(sample)
        rows += _thirds(sample)
        if factor == factors[0]:
            rows += _assumptions(sample, fit, terms)
    results.write(places.results(study, "robustness"), results.table(study, "robustness", rows))
    return f"{len(rows):,} rows"


def _errors(sample: Sample, fit: robust_errors.Partialled, without: np.ndarray | None) -> Iterator[Row]:
    """Yield the headline coefficient under every error; the note says which small-sample correction it carries."""
    level, clusters = sample.level, cluster_codes(sample.clusters)

    def by_both() -> Effect:
        if sample.time is None:
            raise StudyError("no column of time has periods enough to cluster by.")
        return robust_errors.two_way(fit, clusters, codes(sample.loans[sample.time]), level)

    seed = [sample.seed]
    ways: dict[str, tuple[Callable[[], Effect], str]] = {
        "robust": (lambda: robust_errors.heteroskedastic(fit, level), "n/(n-k); normal distribution"),
        "clustered": (lambda: robust_errors.clustered(fit, clusters, level), f"{CORRECTION}; normal distribution"),
        "clustered_t": (
            lambda: robust_errors.clustered(fit, clusters, level, student=True),
            f"{CORRECTION}; Student's t with G-1 degrees of freedom",
        ),
        "two_way": (
            by_both,
            f"{CORRECTION} in each part; Student's t with G-1 degrees of freedom; clusters and {sample.time}",
        ),
        "jackknife": (
            lambda: robust_errors.jackknife(fit, without, level),
            "(G-1)/G (CV3); Student's t with G-1 degrees of freedom",
        ),
        "wild_bootstrap": (
            lambda: robust_errors.wild_bootstrap(fit, clusters, level, DRAWS, seed),
            f"null imposed, {DRAWS} draws; p-value and interval from the draws, standard error as clustered",
        ),
    }
    for name, (find, note) in ways.items():
        if sample.alone and name not in ("robust", "clustered"):
            yield sample.row("errors", name, "risk_difference", note="every loan is a cluster of its own.")
            continue
        try:
            found = _in_points(find())
        except StudyError as error:
            found, note = {}, str(error)
        yield sample.row("errors", name, "risk_difference", **found, note=note)


def _without_clusters(sample: Sample, without: np.ndarray | None) -> Iterator[Row]:
    """Yield the smallest and the largest effect that leaving one cluster out gives."""
    if without is None or np.isnan(without).all():
        return
    # Clusters are numbered in the order of their names.
    names = np.sort(sample.clusters.unique())
    sizes = sample.clusters.value_counts()
    for estimand, place in (("smallest", np.nanargmin(without)), ("largest", np.nanargmax(without))):
        name = names[place]
        yield sample.row(
            "leave_one_cluster_out",
            "linear_probability",
            estimand,
            stays=(sample.clusters != name).to_numpy(),
            estimate=100 * without[place],
            unit="percentage points",
            note=f"without {name}, {sizes[name]} loans",
        )


def _group_effects(sample: Sample) -> Iterator[Row]:
    """Yield the effect inside lenders (or clusters): linear, logistic, and given each one's number of defaults."""
    group, factor, level = sample.group, sample.factor, sample.level
    forms = {"linear_probability": "risk_difference", "group_by_time": "risk_difference"}
    forms |= {"logit": "odds_ratio", "conditional_logit": "odds_ratio"}
    if group is None:
        for form, estimand in forms.items():
            note = "no column of lenders or clusters has several loans for each of enough of them."
            yield sample.row("group_effects", form, estimand, note=note)
        return
    default, weights, groups = sample.default, sample.weights, sample.loans[group]
    design = sample.slim
    absorb = sample.loans[[name for name in (group, sample.period) if name]]
    said = "effects of " + " and ".join(absorb)

    def linear(taken_out: pd.Series | pd.DataFrame) -> Effect:
        found = absorbed_linear(default, design, [factor], taken_out, sample.clusters, level, weights)
        return found.effects[factor]

    def inside() -> Iterator[Row]:
        note = f"{said}; {CORRECTION}, effects of groups counted in k"
        found = _in_points(linear(absorb))
        yield sample.row("group_effects", "linear_probability", "risk_difference", **found, note=note)

    def in_cells() -> Iterator[Row]:
        if sample.time is None:
            raise StudyError("no column of time has periods enough.")
        cells = codes(groups) * 1_000_000 + codes(sample.loans[sample.time])
        found = _in_points(linear(pd.Series(cells, groups.index)))
        note = f"an effect for each {group} in each {sample.time}; {CORRECTION}, effects of groups counted in k"
        yield sample.row("group_effects", "group_by_time", "risk_difference", **found, note=note)

    def logistic() -> Iterator[Row]:
        # A lottery's strata are small by design: all with both outcomes take part, and the note says their size.
        smallest = SMALLEST_GROUP if sample.stratum is None else 1
        found = absorbed_logit(default, design, factor, absorb, sample.clusters, level, weights, smallest)
        if found.groups < FEWEST:
            raise StudyError(
                f"only {found.groups} of {groups.nunique()} groups are large enough to estimate an effect of their own."
            )
        stays, effects = found.stays, _logit_effects(found, factor)
        note = (
            f"{said}; {CORRECTION}; {found.groups} groups with both outcomes, "
            f"{found.loans / found.groups:.0f} loans each: "
            "estimating their effects moves slopes away from zero by about one part in that number"
        )
        ratio = effects.odds_ratio._asdict()
        yield sample.row("group_effects", "logit", "odds_ratio", **ratio, unit="ratio", note=note, stays=stays)
        marginal = _in_points(effects.average_marginal_effect)
        yield sample.row("group_effects", "logit", "average_marginal_effect", **marginal, note=note, stays=stays)

    def conditional() -> Iterator[Row]:
        within, note = sample.design, ""
        if sample.stratum is not None:
            # A lottery's strata may lie across lenders, whose numbers of defaults this likelihood is given.
            terms = [term for term in [*sample.protocol.controls.ladder().values()][-1] if term != sample.stratum]
            within, note = design_matrix(sample.loans, [factor, *terms]).matrix, "; without the strata of the lottery"
        found = conditional_logit(default, within, factor, groups, groups, level)
        note = f"given the number of defaults of each of {found.groups} groups with both outcomes; {CORRECTION}{note}"
        yield sample.row(
            "group_effects",
            "conditional_logit",
            "odds_ratio",
            **found.odds_ratio._asdict(),
            unit="ratio",
            note=note,
            stays=found.stays,
        )

    for (form, estimand), find in zip(forms.items(), (inside, in_cells, logistic, conditional), strict=True):
        try:
            yield from [*find()]
        except StudyError as error:
            yield sample.row("group_effects", form, estimand, note=str(error))


def _logit_effects(found: Absorbed, factor: str) -> LogitEffects:
    effects = found.effects[factor]
    assert isinstance(effects, LogitEffects)
    return effects


def _gelbach(sample: Sample) -> Iterator[Row]:
    """Yield what each block of controls takes away from the raw effect."""
    controls = sample.protocol.controls
    blocks, before = {}, set()
    for block, rung in controls.ladder().items():
        # A lottery's strata stand with the first block.
        terms = set(rung) - before
        before |= terms
        columns = [name for name in sample.design if name != sample.factor and name.split("[")[0] in terms]
        if columns:
            blocks[block] = columns
        else:
            note = "the other controls determine this block: its part stands with theirs."
            yield sample.row("gelbach", block, "part_of_difference", note=note)
    if not blocks:
        return
    found = gelbach(sample.default, sample.design, sample.factor, blocks, sample.clusters, sample.level, sample.weights)
    note = f"left out as determined by other controls: {', '.join(sample.dropped)}" if sample.dropped else ""
    for block, one in found.items():
        estimand = "difference" if block == WHOLE else "part_of_difference"
        yield sample.row("gelbach", block, estimand, **_in_points(one), note=note)


def _shape(sample: Sample) -> Iterator[Row]:
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


def _thirds(sample: Sample) -> Iterator[Row]:
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
            yield sample.row("thirds", specification, name, **_in_points(found[name]), note="against the lowest third")


def _assumptions(sample: Sample, fit: robust_errors.Partialled, terms: list[str]) -> Iterator[Row]:
    """Yield what the headline regression of the first factor assumes, checked."""
    sizes = sample.clusters.value_counts()
    common = {name: sample.row("", "", "")[name] for name in ("n", "n_treated", "n_clusters")}

    def checked(name: str, value: float, threshold: float, passed: bool, **more: Any) -> Row:
        return results.assumption(
            name, value, threshold, passed=passed, factor=sample.factor, outcome="default", **common, **more
        )

    if not sample.alone:
        yield checked("clusters_enough", len(sizes), ENOUGH, len(sizes) >= ENOUGH)
        share = float(sizes.iloc[0] / sizes.sum())
        yield checked("largest_cluster", share, DOMINANT, share <= DOMINANT)
    empty = _one_sided(sample, [sample.factor, *terms])
    yield checked("one_sided_levels", empty, 0, empty == 0)
    share = robust_errors.outside(sample.default, fit, sample.weights)
    yield checked("probabilities_in_range", share, OUTSIDE, share <= OUTSIDE)
    try:
        link = link_test(sample.default, sample.slim, sample.clusters, sample.factor, sample.periods)
    except StudyError as error:
        yield sample.row("link_test", "logit", "p_value", note=str(error))
        return
    significance = 1 - sample.level
    passed = link.p_value >= significance
    yield checked("link", link.p_value, significance, passed, estimand="p_value", p_value=link.p_value)


def _one_sided(sample: Sample, terms: list[str]) -> int:
    """Count the levels of categories and of yes-or-no columns at which all loans have the same outcome."""
    number = 0
    for name in dict.fromkeys(map(column_in, terms)):
        column = sample.loans[name]
        if column.dtype == "category" or column.nunique() == 2:
            numbers = codes(column)
            size, bad = np.bincount(numbers), np.bincount(numbers, sample.default)
            number += int(((bad == 0) | (bad == size)).sum())
    return number


def _in_points(effect: Effect) -> Row:
    scaled = {name: value if name == "p_value" else 100 * value for name, value in effect._asdict().items()}
    return scaled | {"unit": "percentage points"}
