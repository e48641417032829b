"""Difference in differences over institutions and origination quarters: in ratios (Poisson) and in levels.

The loans enter as cells, one for each institution, origination quarter and event time. Because all regressors are
constant within a cell, coefficients and institution-clustered scores are exactly those of the same models on single
loans (in levels weighted by loans), at a hundredth of the rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect, cluster_codes, codes, correction, effect, group_sums, sandwich

REFERENCE = -1
"""Event quarter with which an event study compares: the last one before adoption."""


def month_numbers(months: pd.Series) -> pd.Series:
    """Return months such as 2004-05 as a running number, missing where they are missing."""
    # A few dozen months stand in very many rows: each is read once.
    place, known = pd.factorize(months)
    numbers = [12 * int(str(month)[:4]) + int(str(month)[5:7]) - 1 for month in known]
    return pd.Series(np.append(numbers, np.nan)[place], index=months.index)


def cells(cohort: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Count loans and outcomes in cells of institution x origination quarter x event quarter.

    `cohort` (one row a loan) has ``institution_id, origination_quarter, origination_month, adoption_month``
    (months such as 2004-05, adoption missing where the institution never adopts) and the 0/1 column `outcome`.

    Returns ``institution_id, origination_quarter, event_quarter, adopted, loans, events``. Event quarter 0 begins with
    the month of adoption and is missing where an institution never adopts; a calendar quarter may hold two of them.
    """
    since = month_numbers(cohort["origination_month"]) - month_numbers(cohort["adoption_month"])
    keys = pd.DataFrame(
        {
            "institution_id": cohort["institution_id"].astype(str),
            "origination_quarter": cohort["origination_quarter"].astype(str),
            "event_quarter": np.floor(since / 3),
            "events": cohort[outcome].to_numpy(),
        }
    )
    found = keys.groupby(["institution_id", "origination_quarter", "event_quarter"], dropna=False)["events"]
    found = found.agg(loans="size", events="sum").reset_index()
    return found.assign(adopted=(found["event_quarter"] >= 0).astype(float))


def informative(table: pd.DataFrame, keys: tuple[str, ...] = ("institution_id", "origination_quarter")) -> pd.DataFrame:
    """Return the cells of those groups that have any events.

    A Poisson effect of a group without events is minus infinity: it fits its cells perfectly, whatever the other
    coefficients are, so leaving them out changes nothing else (Correia, Guimaraes & Zylkin 2019).
    """
    while True:
        kept = table
        for key in keys:
            kept = kept[kept.groupby(key)["events"].transform("sum") > 0]
        if kept.empty:
            raise StudyError("no events in any cell: nothing to compare; check the outcome and the cohort.")
        if len(kept) == len(table):
            return kept.reset_index(drop=True)
        table = kept


def two_way_dummies(table: pd.DataFrame) -> np.ndarray:
    """Return indicators of every institution and of every origination quarter but the first."""
    columns = [np.eye(numbers.max() + 1)[numbers] for numbers in map(codes, _effects(table))]
    return np.hstack([columns[0], columns[1][:, 1:]])


def _effects(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    return table["institution_id"], table["origination_quarter"]


class PoissonFit(NamedTuple):
    """Maximum of a Poisson likelihood with exposure."""

    coefficients: np.ndarray
    mean: np.ndarray
    """Expected events by cell."""
    inverse_information: np.ndarray


def fit_poisson(events: np.ndarray, exposure: np.ndarray, design: np.ndarray) -> PoissonFit:
    """Maximise the Poisson likelihood of `events` with mean exposure x exp(design @ b) by Newton's method.

    Raises StudyError when there is no maximum: the design is singular or separates events from their absence.
    """
    from scipy.sparse import csr_array

    # Nearly all of a design of indicators is nought: cross products of what is not take no time.
    columns = csr_array(design)

    def information(mean: np.ndarray) -> np.ndarray:
        return (columns.T @ columns.multiply(mean[:, None]).tocsr()).toarray()

    # Begins at the mean that iteratively reweighted least squares begins at, which no data can send astray.
    mean = (events + exposure * events.sum() / exposure.sum()) / 2
    linear = np.log(mean / exposure)
    b = np.zeros(design.shape[1])
    for step in range(60):
        working = linear + (events - mean) / mean
        try:
            new = np.linalg.solve(information(mean), columns.T @ (mean * working))
        except np.linalg.LinAlgError:
            break
        change, b = np.abs(new - b).max(), new
        linear = columns @ b
        if not np.isfinite(linear).all() or np.abs(linear).max() > 50:
            break
        mean = exposure * np.exp(linear)
        if step and change < 1e-9:
            return PoissonFit(b, mean, np.linalg.inv(information(mean)))
    raise StudyError("the Poisson regression has no maximum: some column of the design separates events perfectly.")


class Estimated(NamedTuple):
    """An effect and what it rests on."""

    effect: Effect
    loans: int
    treated: int
    clusters: int


def estimated(found: Effect, table: pd.DataFrame) -> Estimated:
    """Return an effect with the loans, treated loans and institutions of the cells it rests on."""
    treated = int(table.loc[table["adopted"] > 0, "loans"].sum())
    return Estimated(found, int(table["loans"].sum()), treated, table["institution_id"].nunique())


def poisson(table: pd.DataFrame, level: float) -> Estimated:
    """Poisson pseudo maximum likelihood difference in differences: the effect of adoption as a log rate ratio.

    E[events] = loans x exp(institution + quarter + b adopted) (Santos Silva & Tenreyro 2006; Wooldridge 2023).
    Assumes that without adoption the *ratio* of adopters' to others' rates would not have changed, and that the
    effect is alike across adoption dates and time since: where it is not, loans of institutions that have already
    adopted serve as comparisons for later adopters, with weights that can be negative (Goodman-Bacon 2021);
    `poisson_imputation` makes no such comparison. The mean must be right, the Poisson variance need not be: errors
    are clustered by institution, with the correction of `inference.correction` over cells, and t(G-1) intervals.

    `table` as `cells` gives it. The engine of thousands of made-up worlds, without the two seconds in which a library
    loads: see `libraries.poisson`, which has the same numbers from pyfixest.
    """
    table = informative(table)
    design = np.column_stack([table["adopted"], two_way_dummies(table)])
    events = table["events"].to_numpy(dtype=float)
    fit = fit_poisson(events, table["loans"].to_numpy(dtype=float), design)
    clusters = cluster_codes(table["institution_id"])
    covariance = sandwich(fit.inverse_information, design, events - fit.mean, clusters)
    found = effect(fit.coefficients[0], covariance[0, 0] ** 0.5, level, clusters.max())
    return estimated(found, table)


def poisson_imputation(table: pd.DataFrame, level: float) -> Estimated:
    """Log ratio of adopters' events to those that cells not yet under the programme predict for them.

    Institution and quarter effects of a Poisson model are fitted to cells before adoption and of institutions that
    never adopt; they give the expected events of adopted cells; b = ln(sum of events / sum of expected) (imputation:
    Borusyak, Jaravel & Spiess 2024; Poisson: Wooldridge 2023). Assumes parallel ratios as `poisson`, but lets the
    effect differ freely by institution, adoption date and time. Errors by the delta method from cluster scores of
    both steps, clustered by institution, with the correction of `inference.correction` over cells, where k counts the
    effects of the first step and the ratio, and t(G-1) intervals.
    """
    before = table[table["adopted"] == 0]
    untreated = informative(before)
    comparable = table["institution_id"].isin(before["institution_id"])
    comparable &= table["origination_quarter"].isin(untreated["origination_quarter"])
    table = table[comparable].reset_index(drop=True)
    # No event before adoption predicts none after it: a chance that must stay in, or the ratio leans downwards.
    fitted = table["institution_id"].isin(untreated["institution_id"]).to_numpy()
    adopted = table["adopted"].to_numpy() > 0
    events, loans = (table[name].to_numpy(dtype=float) for name in ("events", "loans"))
    if not events[adopted].any():
        raise StudyError("no events after adoption: there is no rate to compare.")
    design = np.zeros((len(table), untreated[["institution_id", "origination_quarter"]].nunique().sum() - 1))
    design[fitted] = two_way_dummies(table[fitted])
    use = fitted & ~adopted
    fit = fit_poisson(events[use], loans[use], design[use])
    expected = np.where(fitted, loans * np.exp(design @ fit.coefficients), 0.0)
    happened, predicted = events[adopted].sum(), expected[adopted].sum()
    gradient = (expected[adopted] @ design[adopted]) / predicted
    of_untreated = (design @ (fit.inverse_information @ gradient)) * (events - expected)
    of_adopted = (events - expected * happened / predicted) / happened
    clusters = cluster_codes(table["institution_id"])
    influence = group_sums(np.where(adopted, of_adopted, -of_untreated), clusters)
    number = len(influence)
    std_error = (correction(number, len(table), design.shape[1] + 1) * (influence**2).sum()) ** 0.5
    return estimated(effect(np.log(happened / predicted), std_error, level, number - 1), table)


def levels(table: pd.DataFrame, level: float) -> Estimated:
    """Difference in differences of the event *rate*: least squares with institution and quarter effects.

    Rates of the cells, weighted by loans (the linear probability model on loans). Assumes that without adoption the
    *difference* between adopters' and others' rates would not have changed, which fails where rates differ and what
    moves them acts in proportion. Errors as in `poisson`. The estimate is a share of loans.
    """
    design = np.column_stack([table["adopted"], two_way_dummies(table)])
    weights = table["loans"].to_numpy(dtype=float)
    rate = table["events"].to_numpy() / weights
    bread = np.linalg.inv(design.T @ (weights[:, None] * design))
    b = bread @ (design.T @ (weights * rate))
    clusters = cluster_codes(table["institution_id"])
    covariance = sandwich(bread, design, weights * (rate - design @ b), clusters)
    return estimated(effect(b[0], covariance[0, 0] ** 0.5, level, clusters.max()), table)


class EventStudy(NamedTuple):
    """Effects by quarters since adoption, and whether the leads are jointly zero."""

    effects: dict[int, Estimated]
    """By event quarter, log rate ratio against the quarter before adoption (`REFERENCE`, not listed). The first and
    last hold all earlier and later ones. Quarters without events are not listed: their ratio is minus infinity."""
    wald: float
    """F statistic of all leads being zero."""
    restrictions: int
    p_value: float
    """Of the leads being zero, from F(restrictions, G-1)."""


def event_study(table: pd.DataFrame, level: float, earliest: int, latest: int) -> EventStudy:
    """Poisson event study: one log rate ratio for each quarter from `earliest` to `latest` around adoption.

    E[events] = loans x exp(institution + quarter + sum of b_k 1{event quarter = k}), ends binned, quarter -1 left out
    (Freyaldenhoven, Hansen & Shapiro 2019). Institutions that never adopt identify the quarters. Leads that differ
    from zero speak against parallel ratios. Errors as in `poisson`.
    """
    bins = table["event_quarter"].clip(earliest, latest)
    table = table.assign(bin=bins.fillna(REFERENCE).astype(int))
    table = informative(table, ("institution_id", "origination_quarter", "bin"))
    quarters = sorted(set(table["bin"]) - {REFERENCE})
    indicators = [(table["bin"] == quarter).to_numpy(dtype=float) for quarter in quarters]
    design = np.column_stack([*indicators, two_way_dummies(table)])
    events = table["events"].to_numpy(dtype=float)
    fit = fit_poisson(events, table["loans"].to_numpy(dtype=float), design)
    clusters = cluster_codes(table["institution_id"])
    covariance = sandwich(fit.inverse_information, design, events - fit.mean, clusters)
    found = {}
    for place, quarter in enumerate(quarters):
        one = effect(fit.coefficients[place], covariance[place, place] ** 0.5, level, clusters.max())
        within = table[table["bin"] == quarter]
        found[quarter] = Estimated(
            one, int(within["loans"].sum()), int(within["loans"].sum()) if quarter >= 0 else 0, clusters.max() + 1
        )
    leads = [place for place, quarter in enumerate(quarters) if quarter < 0]
    wald, p_value = _wald(fit.coefficients[leads], covariance[np.ix_(leads, leads)], int(clusters.max()))
    return EventStudy(found, wald, len(leads), p_value)


def _wald(coefficients: np.ndarray, covariance: np.ndarray, degrees: int) -> tuple[float, float]:
    from scipy.special import fdtrc

    if not len(coefficients):
        return np.nan, np.nan
    statistic = coefficients @ np.linalg.solve(covariance, coefficients) / len(coefficients)
    return float(statistic), float(fdtrc(len(coefficients), degrees, statistic))


class Permuted(NamedTuple):
    """A randomisation test."""

    statistic: float
    """Studentised score of the adoption dates that happened."""
    p_value: float
    permutations: int


def permuted_adoption(cohort: pd.DataFrame, outcome: str, permutations: int, seed: int) -> Permuted:
    """Permute the adoption dates among institutions of one type and compare with those that happened.

    Under the sharp null of no effect on any loan the Poisson model without adoption is the same for every
    permutation, so it is fitted once, and the statistic is the cluster-robust score of `adopted` in it (Rao 1948;
    studentised: Chung & Romano 2013). p = (1 + number at least as extreme) / (1 + permutations): exact if dates are
    exchangeable within types, else a check of how unusual the estimate is among arbitrary dates. `cohort` as in
    `cells`, with ``institution_type``.
    """
    from scipy.sparse import csr_array

    months = cohort.assign(month=month_numbers(cohort["origination_month"]).astype(int), events=cohort[outcome])
    months["institution_id"] = months["institution_id"].astype(str)
    months["origination_quarter"] = months["origination_quarter"].astype(str)
    table = months.groupby(["institution_id", "origination_quarter", "month"])["events"]
    table = informative(table.agg(loans="size", events="sum").reset_index())
    lenders = months.assign(adoption=month_numbers(months["adoption_month"]).fillna(np.inf))
    lenders = lenders.drop_duplicates("institution_id").set_index("institution_id")
    lenders = lenders.loc[np.unique(table["institution_id"])]
    adoption, kind = lenders["adoption"].to_numpy(), codes(lenders["institution_type"])

    dates = np.tile(adoption, (permutations + 1, 1))
    rng = np.random.default_rng(seed)
    for one in range(kind.max() + 1):
        members = np.flatnonzero(kind == one)
        dates[1:, members] = rng.permuted(np.tile(adoption[members], (permutations, 1)), axis=1)

    design = two_way_dummies(table)
    events = table["events"].to_numpy(dtype=float)
    fit = fit_poisson(events, table["loans"].to_numpy(dtype=float), design)
    lender = codes(table["institution_id"])
    adopted = (table["month"].to_numpy()[:, None] >= dates.T[lender]).astype(float)
    columns = csr_array(design)
    projection = fit.inverse_information @ (columns.T @ (fit.mean[:, None] * adopted))
    scores = group_sums((adopted - columns @ projection) * (events - fit.mean)[:, None], lender)
    with np.errstate(invalid="ignore", divide="ignore"):
        statistics = np.nan_to_num(scores.sum(axis=0) / np.sqrt((scores**2).sum(axis=0)))
    # Rounded, so that what is equal counts as equal on every machine.
    sizes = np.round(np.abs(statistics), 9)
    return Permuted(float(statistics[0]), float((sizes >= sizes[0]).mean()), permutations)
