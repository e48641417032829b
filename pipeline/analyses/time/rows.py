"""Follow loans month by month: cumulative incidence by arm, hazards, competing exits, and contacts before and after."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import cohorts, results
from pipeline.core.params import Params, Study
from pipeline.core.scope import Scope, column_in, scope
from pipeline.runtime import places, store
from pipeline.runtime.errors import StudyError
from pipeline.stats import survival
from pipeline.stats.histories import shifted, spells, window_sum
from pipeline.stats.inference import codes
from pipeline.stats.marginal_structural import dispersion, stabilised_weights, truncated
from pipeline.stats.month_regression import Fitted, month_regression, separate_slopes
from pipeline.stats.regression import Effect
from pipeline.stats.samples import number_treated

MONTHLY = 36
"""Months up to which curves are written month by month; longer ones year by year."""

RISK_TABLE = 5
"""Moments at which the numbers under observation are written."""

WINDOW = 3
"""Months in which earlier contacts count, as in the generator and in the stage effects."""

TRUNCATED = 0.01
"""Share of months at either end whose weights are moved to the quantile there (Cole & Hernan 2008)."""

WEIGHTS_NEAR_ONE = 0.05
"""Distance of the stabilised weights' mean from one beyond which a model of contacts is doubtful."""

LARGEST_WEIGHT = 20.0
"""A weight from which single loan-months decide much: some contacts hardly ever occur in their history."""

DISPERSION = 1.25
"""Variance of contacts over their mean from which, or below whose reciprocal, they are not Poisson's."""

LOG_ODDS, POINTS = "log odds ratio", "percentage points"
PROACTIVE, REACTIVE = "proactive_contacts", "reactive_contacts"

Row = dict[str, Any]


class FollowUp(NamedTuple):
    """When and how each loan of the cohort left."""

    months: np.ndarray
    """Whole months from 1 until it left or was seen for the last time (loans,)."""
    way: np.ndarray
    """0 still there, 1 default, 2 repaid early."""
    ways: tuple[str, ...]
    last: int
    stays: np.ndarray
    """Which loans (boolean) have a date."""
    note: str


def run(study: str, params: Params) -> str:
    """Write the rows on time of the results table; none where defaults carry no date."""
    protocol = params.study(study)
    folder = places.processed(study)
    cohort = cohorts.read(study, protocol)
    allowed = scope(protocol, cohort)
    protocol, level = allowed.protocol, params.inference.level
    rows: list[Row] = []
    followed = follow_up(cohort, folder / "more" / "loan_ends.parquet", protocol.horizon_months)
    if followed is not None and allowed.models:
        rows += _tried("curves", partial(_curves, cohort, followed, allowed, level))
    more = {path.stem: path for path in (folder / "more").glob("*.parquet")}
    if "loan_months" in more and allowed.models:
        market = store.read_parquet(more["market_months"]) if "market_months" in more else None
        months = Months(store.read_parquet(more["loan_months"]), cohort, followed, market, protocol, level)
        for part in (_hazards, _contacts, _lags, _structural, _market, _kinds_of_arrears):
            rows += _tried(part.__name__.lstrip("_"), partial(part, months))
    results.write(places.results(study, "time"), results.table(study, "time", rows))
    return f"{len(rows):,} rows" if rows else "defaults carry no date here"


def follow_up(cohort: pd.DataFrame, ends: Path, horizon: int | None) -> FollowUp | None:
    """Return when and how loans left: from the table of their ends, or from their defaults alone.

    Month t ends t months after origination and begins when the month before it ends; a default on the very day of
    origination belongs to month 1.
    """
    if ends.exists():
        table = store.read_parquet(ends).set_index("loan_id").loc[cohort["loan_id"]]
        way = table["end"].map({"default": 1, "repaid": 2, "open": 0}).to_numpy(dtype=int)
        months = table["months"].to_numpy(dtype=int)
        stays = np.ones(len(cohort), dtype=bool)
        return FollowUp(months, way, ("default", "repaid"), int(months.max()), stays, "")
    if "months_to_default" not in cohort or cohort["months_to_default"].isna().all():
        return None
    to_default = np.ceil(cohort["months_to_default"].to_numpy(dtype=float))
    defaults = cohort["default"].to_numpy() == 1
    undated = defaults & np.isnan(to_default)
    last = int(horizon or np.nanmax(to_default))
    note = "no dates of repayment: loans that never default count as loans that have not defaulted yet"
    if undated.any():
        note += f"; left out: {int(undated.sum())} defaults without a date"
    months = np.where(defaults & ~undated, np.maximum(np.nan_to_num(to_default, nan=last), 1), last).astype(int)
    return FollowUp(months, (defaults & ~undated).astype(int), ("default",), last, ~undated, note)


def _tried(name: str, part: Callable[[], Iterable[Row]]) -> list[Row]:
    """Return a part's rows, or one that says why there are none."""
    try:
        return [*part()]
    except StudyError as error:
        return [{"estimator": name, "specification": "not_estimated", "note": str(error)}]


def _curves(cohort: pd.DataFrame, followed: FollowUp, allowed: Scope, level: float) -> Iterator[Row]:
    """Yield cumulative incidence by arm, the arms' difference, loans at risk, and the log-rank tests."""
    protocol, stays = allowed.protocol, followed.stays
    clusters = codes(cohort[protocol.cluster])
    groups = survival.deal(clusters)
    weights = cohort["weight"].to_numpy() if "weight" in cohort else None
    treated = cohort["treated"].to_numpy() == 1 if allowed.arms else np.zeros(len(cohort), dtype=bool)
    arms = {"treated": stays & treated, "control": stays & ~treated} if allowed.arms else {"all": stays}
    last = followed.last
    step = 1 if last <= MONTHLY else 12
    shown = np.arange(step, last + 1, step)
    moments = np.unique(np.linspace(0, shown[-1], RISK_TABLE).round().astype(int) // step * step)

    def counts(loans: np.ndarray) -> Row:
        return {
            "n": int(loans.sum()),
            "n_treated": number_treated(cohort[loans]),
            "n_clusters": len(np.unique(clusters[loans])),
        }

    def row(estimator: str, specification: str, factor: str, of: Row, month: int, **more: Any) -> Row:
        named = {"estimator": estimator, "specification": specification, "factor": factor}
        return named | {"estimand": f"month_{month:03d}", "note": followed.note} | of | more

    def incidence(loans: np.ndarray) -> np.ndarray:
        table = survival.life_table(
            followed.months, followed.way, len(followed.ways), groups, last, weights, loans & stays
        )
        return 100 * survival.cumulative_incidence(table)

    of_arm = {name: incidence(loans) for name, loans in arms.items()}
    for name, loans in arms.items():
        of = counts(loans)
        for place, way in enumerate(followed.ways):
            found = survival.jackknife(of_arm[name][:, place], level)
            for month in shown:
                yield row(
                    "cumulative_incidence",
                    name,
                    "treated",
                    of,
                    month,
                    outcome=way,
                    unit="percent",
                    **found[month - 1]._asdict(),
                )
        table = survival.life_table(followed.months, followed.way, 2, groups, last, None, loans)
        at_risk, still = table.at_risk[0], table.at_risk[0, -1] - table.exits[0, :, -1].sum()
        for month in moments:
            # Under observation after so many months: when the next one begins.
            there = at_risk[month] if month < last else still
            yield row("at_risk", name, "treated", of, month, estimate=there, unit="loans")
    if not allowed.arms:
        return
    contrasts = {"treated": ("difference", of_arm["treated"], of_arm["control"], stays)}
    if "programme_lot" in cohort and cohort["programme_lot"].notna().any():
        lot = cohort["programme_lot"].to_numpy()
        offered = stays & ~np.isnan(lot)
        contrasts["programme_lot"] = ("difference", incidence(lot == 1), incidence(lot == 0), offered)
    for factor, (name, one, other, loans) in contrasts.items():
        of = counts(loans)
        for place, way in enumerate(followed.ways):
            found = survival.jackknife(one[:, place] - other[:, place], level)
            for month in shown:
                yield row(
                    "cumulative_incidence",
                    name,
                    factor,
                    of,
                    month,
                    outcome=way,
                    unit=POINTS,
                    **found[month - 1]._asdict(),
                )
    exact = [name for name in protocol.matching.exact if name in cohort]
    strata = cohort.groupby(exact, observed=True).ngroup().to_numpy() if exact else None
    ways_of_comparing = {"all_loans": None} | ({"within_strata": strata[stays]} if strata is not None else {})
    of = counts(stays)
    for place, way in enumerate(followed.ways):
        for name, layer in ways_of_comparing.items():
            tested = survival.log_rank(
                followed.months[stays],
                followed.way[stays] == place + 1,
                treated[stays],
                clusters[stays],
                last,
                layer,
                None if weights is None else weights[stays],
            )
            note = f"observed {tested.observed:.0f}, expected {tested.expected:.1f}"
            note += f"; within {', '.join(exact)}" if layer is not None else ""
            more = {"outcome": way, "unit": "chi-squared"}
            if weights is None:
                yield row("log_rank", name, "treated", of, last, **more) | {
                    "estimand": "loans_independent",
                    "estimate": tested.chi_squared,
                    "p_value": tested.p_value,
                    "note": note,
                }
            yield row("log_rank", name, "treated", of, last, **more) | {
                "estimand": "clustered",
                "estimate": tested.clustered,
                "p_value": tested.clustered_p,
                "note": note,
            }


class Months:
    """Loan-months with their controls, lenders and what came before and after."""

    def __init__(
        self,
        panel: pd.DataFrame,
        cohort: pd.DataFrame,
        followed: FollowUp | None,
        market: pd.DataFrame | None,
        protocol: Study,
        level: float,
    ) -> None:
        """Take the panel sorted by loan and month, the loans it follows and the market by calendar month."""
        self.panel, self.level, self.protocol = panel, level, protocol
        # A loan is looked up once, not month by month; from here on its number stands for it.
        self.loan, known = pd.factorize(panel.pop("loan_id"))
        place = pd.Index(cohort["loan_id"]).get_indexer(known)

        def of_loans(values: np.ndarray) -> np.ndarray:
            if (place < 0).any():
                raise StudyError(f"{int((place < 0).sum())} loans have months and are not in the cohort.")
            return values[place]

        self.month = panel["month_number"].to_numpy(dtype=int)
        missing = [name for name in (protocol.cluster, "institution_id") if name not in panel]
        for name in dict.fromkeys(missing):
            if name in cohort:
                panel[name] = of_loans(cohort[name].to_numpy())[self.loan]
        self.cluster = codes(panel[protocol.cluster])
        self.lender = codes(panel["institution_id"]) if "institution_id" in panel else np.zeros(len(panel), dtype=int)
        self.market = None
        if market is not None:
            row = market.set_index("calendar_month").index.get_indexer(
                panel["calendar_month"].cat.categories.astype(str)
            )
            series = (
                market.drop(columns="calendar_month").iloc[row].to_numpy(dtype=float)[panel["calendar_month"].cat.codes]
            )
            self.market = dict(zip(market.columns.drop("calendar_month"), series.T, strict=True))
        year = codes(panel["calendar_month"].astype("category").cat.rename_categories(str).str[:4])
        self.lender_year = self.lender * (year.max() + 1) + year
        self.treated = panel["treated"].to_numpy(dtype=float)
        self.repaid = np.zeros(len(panel))
        if followed is not None and "repaid" in followed.ways:
            last = of_loans(np.where(followed.way == 2, followed.months, 0))
            self.repaid = (self.month == last[self.loan]).astype(float)

    @property
    def logged(self) -> np.ndarray:
        """Which months (boolean) belong to lenders that keep a log of contacts."""
        if not {PROACTIVE, REACTIVE} <= set(self.panel):
            raise StudyError("the months do not say who began a contact.")
        found = self.panel[PROACTIVE].notna().to_numpy()
        if not found.any():
            raise StudyError("no lender keeps a log of contacts.")
        return found

    @property
    def clean(self) -> np.ndarray:
        """Which months (boolean) begin without arrears, in them or in the months just before."""
        return (self.panel["current_at_start"] == 1).to_numpy() & (self.panel["delinquent_before"] == 0).to_numpy()

    @cached_property
    def arrears(self) -> np.ndarray:
        """Whether the loan is in arrears or in default when the month ends (0/1)."""
        return np.maximum(self.panel["delinquent"].to_numpy(), self.panel["default"].to_numpy()).astype(float)

    @cached_property
    def controls(self) -> pd.DataFrame:
        """What the lenders' files say of the loan, and its age, in no more bytes than it needs."""
        protocol, panel = self.protocol, self.panel
        named = [*protocol.matching.score, *protocol.controls.loan, *protocol.controls.borrower]
        parts = {}
        for term in dict.fromkeys(named):
            name = column_in(term)
            if name not in panel or panel[name].isna().any():
                continue
            if str(panel[name].dtype) in ("category", "str", "object"):
                number, labels = pd.factorize(panel[name])
                levels = labels.astype(str)
                for level in sorted(levels)[1:]:
                    parts[f"{name}[{level}]"] = (number == levels.get_loc(level)).astype(np.int8)
            else:
                value = panel[name].to_numpy()
                logarithm = term != name and (value > 0).all()
                parts[term] = np.log(value.astype(float)) if logarithm else value
        parts["month_number"] = self.month.astype(np.int16)
        parts["log(month_number)"] = np.log(self.month)
        return pd.DataFrame(parts)

    def lagged(self, name: str, back: int) -> np.ndarray:
        """Return the logarithm of one plus the contacts of `back` months before (negative: after)."""
        return np.log1p(shifted(self.panel[name].to_numpy(), self.loan, self.month, back))

    @cached_property
    def recent(self) -> np.ndarray:
        """The logarithm of one plus the mean of the lender's own contacts in the months of the window before."""
        total = window_sum(self.panel[PROACTIVE].to_numpy(dtype=float), self.loan, self.month, WINDOW)
        return np.log1p(total / WINDOW)

    def fit(
        self,
        outcome: np.ndarray,
        columns: dict[str, np.ndarray],
        stays: np.ndarray,
        family: Any = "logit",
        groups: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        without: tuple[str, ...] = (),
    ) -> Fitted:
        """Fit a regression on the months that stay, with the controls and an effect of each lender in each year."""
        groups = self.lender_year if groups is None else groups
        every = columns | {name: self.controls[name].to_numpy() for name in self.controls if name not in without}
        return month_regression(outcome, pd.DataFrame(every, copy=False), groups, family, weights, stays)

    def row(self, estimator: str, specification: str, factor: str, outcome: str, estimand: str, **more: Any) -> Row:
        """Return a row; the months that stay say how many rows, treated ones and clusters it rests on."""
        stays = more.pop("stays", None)
        counts = {}
        if stays is not None:
            counts = {
                "n": int(stays.sum()),
                "n_treated": int(self.treated[stays].sum()),
                "n_clusters": int((np.bincount(self.cluster[stays]) > 0).sum()),
            }
        named = {
            "estimator": estimator,
            "specification": specification,
            "factor": factor,
            "outcome": outcome,
            "estimand": estimand,
        }
        return named | counts | more


def _in_points(found: Effect) -> Row:
    return {name: value if name == "p_value" else 100 * value for name, value in found._asdict().items()}


def _hazards(months: Months) -> Iterator[Row]:
    """Yield the programme's cause-specific hazards of default and of early repayment, and whether they are constant."""
    everyone = np.ones(len(months.panel), dtype=bool)
    outcomes = {"default": months.panel["default"].to_numpy(dtype=float)}
    if months.repaid.any():
        outcomes["repaid"] = months.repaid
    for outcome, event in outcomes.items():
        fit = months.fit(event, {"treated": months.treated}, everyone)
        slopes = fit.effects(months.cluster, months.level)
        note = "cause-specific: the other way out ends observation; effects of each lender in each year"
        # Of the relationship's length only default is asked.
        for name in ("treated", *(("relationship_length",) if outcome == "default" else ())):
            if name in slopes:
                yield months.row(
                    "hazard",
                    "controls",
                    name,
                    outcome,
                    "log_odds_ratio",
                    **slopes[name]._asdict(),
                    unit=LOG_ODDS,
                    note=note,
                    stays=everyone,
                )
        if outcome != "default":
            continue
        tested = fit.adds(months.treated * np.log(months.month), months.cluster)
        yield results.assumption(
            "proportional_hazards",
            tested.p_value,
            1 - months.level,
            passed=tested.p_value >= 1 - months.level,
            factor="treated",
            outcome=outcome,
            estimand="p_value",
            p_value=tested.p_value,
            n=len(event),
            n_clusters=int(months.cluster.max()) + 1,
        )


def _contacts(months: Months) -> Iterator[Row]:
    """Yield contacts of the months before, the same and the next, by who began them, as they go with arrears."""
    logged = months.logged
    ways = {"before_3": 3, "before_2": 2, "before_1": 1, "same_month": 0, "after_1": -1}
    columns = {
        f"{kind}_{when}": months.lagged(kind, back) for kind in (PROACTIVE, REACTIVE) for when, back in ways.items()
    }
    frame = pd.DataFrame(columns, copy=False)
    controls = months.controls.assign(treated=months.treated)
    # A loan that ends has no next month: only contacts after it are asked of the others alone.
    after = [name for name in columns if name.endswith("_after_1")]
    parts = {False: frame.drop(columns=after), True: frame[after]}
    for specification, of in (("all_months", logged), ("clean_history", logged & months.clean)):
        for ahead, part in parts.items():
            stays = of & part.notna().all(axis=1).to_numpy()
            slopes = separate_slopes(
                months.arrears, part, controls, months.lender_year, months.cluster, months.level, stays
            )
            note = "of one unit of ln(1 + contacts), each month and kind in a regression of its own"
            note += "; of loans that are there a month later" if ahead else ""
            for name in part:
                if name not in slopes:
                    none = "none of these contacts among months with a clean history"
                    yield months.row("contacts", specification, name, "arrears", "risk_difference", note=none)
                    continue
                yield months.row(
                    "contacts",
                    specification,
                    name,
                    "arrears",
                    "risk_difference",
                    **_in_points(slopes[name]),
                    unit=POINTS,
                    note=note,
                    stays=stays,
                )
    # Arrears of a month and the contacts of the next: the other direction.
    for kind in (PROACTIVE, REACTIVE):
        after = shifted(months.panel[kind].to_numpy(), months.loan, months.month, -1)
        stays = logged & ~np.isnan(after)
        fit = months.fit(after, {"arrears": months.arrears, "treated": months.treated}, stays, "linear")
        slopes = fit.effects(months.cluster, months.level)
        for name in ("arrears", "treated"):
            yield months.row(
                "contacts_after_arrears",
                "controls",
                name,
                f"{kind}_after_1",
                "mean_difference",
                **slopes[name]._asdict(),
                unit="contacts a month",
                stays=stays,
            )


def _lags(months: Months) -> Iterator[Row]:
    """Yield the hazard of arrears on the lender's own contacts of each month before, among clean histories."""
    stays = months.logged & months.clean & (months.month > WINDOW)
    columns = {f"{PROACTIVE}_before_{back}": months.lagged(PROACTIVE, back) for back in range(1, WINDOW + 1)}
    fit = months.fit(months.arrears, columns | {"treated": months.treated}, stays)
    together = f"{PROACTIVE}_before"
    slopes = fit.effects(months.cluster, months.level, **{together: [*columns]})
    for name in (*columns, together, "treated"):
        yield months.row(
            "lagged_hazard",
            "clean_history",
            name,
            "arrears",
            "log_odds_ratio",
            **slopes[name]._asdict(),
            unit=LOG_ODDS,
            stays=stays,
        )


def _structural(months: Months) -> Iterator[Row]:
    """Yield the marginal structural model of the lender's own contacts, beside the same without weights.

    What drives contacts month by month: arrears when the month begins, an alert of this month or the last, contacts of
    both kinds just before. What is fixed at the start stays in both models of contacts, and in that of arrears.
    """
    logged, panel = months.logged, months.panel
    alert = panel["alert"].to_numpy(dtype=float)
    # In a loan's first month nothing has happened yet.
    history = {
        "late": 1.0 - panel["current_at_start"].to_numpy(dtype=float),
        "alert": alert,
        "alert_before": np.nan_to_num(shifted(alert, months.loan, months.month, 1)),
        "proactive_before": np.nan_to_num(months.lagged(PROACTIVE, 1)),
        "reactive_before": np.nan_to_num(months.lagged(REACTIVE, 1)),
    }
    count = panel[PROACTIVE].to_numpy(dtype=float)
    expected = {}
    for name, columns in (("start", {}), ("history", history)):
        fit = months.fit(count, {"treated": months.treated} | columns, logged, "poisson", months.lender)
        mean = np.full(len(panel), np.nan)
        # A lender without any contact is expected to have none.
        mean[logged] = 0.0
        mean[fit.rows] = fit.fitted
        expected[name] = mean
    weights = stabilised_weights(count, expected["start"], expected["history"], months.loan, months.month, WINDOW)
    at_risk = logged & ~np.isnan(weights) & ~np.isnan(months.recent)
    cut = np.full(len(panel), np.nan)
    cut[at_risk] = truncated(weights[at_risk], TRUNCATED)
    risk_sets = {
        "arrears": (months.arrears, at_risk & (panel["current_at_start"] == 1).to_numpy()),
        "default": (panel["default"].to_numpy(dtype=float), at_risk),
    }
    for outcome, (event, stays) in risk_sets.items():
        columns = {PROACTIVE: months.recent, "treated": months.treated}
        for specification, own in (("unweighted", None), ("weighted", cut)):
            found = months.fit(event, columns, stays, weights=own).effects(months.cluster, months.level)[PROACTIVE]
            yield months.row(
                "marginal_structural",
                specification,
                PROACTIVE,
                outcome,
                "log_odds_ratio",
                **found._asdict(),
                unit=LOG_ODDS,
                note=f"of one unit of ln(1 + mean contacts of {WINDOW} months before)",
                stays=stays,
            )

    def checked(name: str, value: float, threshold: float, passed: bool) -> Row:
        return results.assumption(
            name,
            value,
            threshold,
            passed=passed,
            factor=PROACTIVE,
            outcome="arrears",
            n=int(at_risk.sum()),
            n_clusters=int((np.bincount(months.cluster[at_risk]) > 0).sum()),
        )

    mean, largest = float(weights[at_risk].mean()), float(weights[at_risk].max())
    yield checked("contact_weights_mean", mean, WEIGHTS_NEAR_ONE, abs(mean - 1) <= WEIGHTS_NEAR_ONE)
    yield checked("contact_weights_largest", largest, LARGEST_WEIGHT, largest <= LARGEST_WEIGHT)
    spread = dispersion(count[logged], expected["history"][logged])
    yield checked("contacts_poisson", spread, DISPERSION, 1 / DISPERSION <= spread <= DISPERSION)


def _market(months: Months) -> Iterator[Row]:
    """Yield arrears by the market's state, and whether firms, old clients and contacted ones feel growth less."""
    if months.market is None:
        return
    stays = months.logged & months.clean & (months.month > WINDOW)
    series = {name: values - values[stays].mean() for name, values in months.market.items()}
    growth = series["gdp_growth"]
    moderators = {PROACTIVE: months.recent}
    for name in ("relationship_length", "small_firm"):
        if name in months.controls:
            moderators[name] = months.controls[name].to_numpy(dtype=float)
    columns = {**series, "treated": months.treated, PROACTIVE: months.recent}
    columns |= {f"{name} x growth": growth * (values - values[stays].mean()) for name, values in moderators.items()}
    fit = months.fit(months.arrears, columns, stays, groups=months.lender)
    calendar = codes(months.panel["calendar_month"].astype("category").cat.codes)
    # The series are the same for all loans of a month: only months are independent draws of them.
    slopes = fit.effects(calendar, months.level)
    for name in series:
        if name in slopes:
            yield months.row(
                "market",
                "clean_history",
                name,
                "arrears",
                "log_odds_ratio",
                **slopes[name]._asdict(),
                unit=LOG_ODDS,
                stays=stays,
            ) | {"n_clusters": len(np.unique(calendar[stays])), "note": "of one point; clustered by calendar month"}
    slopes = fit.effects(months.cluster, months.level)
    for name in moderators:
        yield months.row(
            "market_interaction",
            "gdp_growth",
            name,
            "arrears",
            "log_odds_ratio",
            **slopes[f"{name} x growth"]._asdict(),
            unit=LOG_ODDS,
            note="change of the slope with one point of growth more; above zero: the slope is lower in bad times",
            stays=stays,
        )


def _kinds_of_arrears(months: Months) -> Iterator[Row]:
    """Yield, of arrears that begin, how much likelier those of treated loans are to end in default than to be cured.

    The same of a relationship one year longer, where the months tell its length.

    In a logistic regression among spells of arrears, a slope is the difference between the slopes that a multinomial
    regression on all months would give to arrears that end in default and to arrears that are cured (Begg & Gray 1984).
    """
    panel = months.panel
    ends = spells(
        panel["delinquent"].to_numpy(), panel["current_at_start"].to_numpy(), panel["default"].to_numpy(), months.loan
    )
    stays = ~np.isnan(ends)
    fit = months.fit(ends, {"treated": months.treated}, stays, groups=months.lender)
    found = fit.effects(months.cluster, months.level)
    notes = {
        "treated": "below zero: the programme moves arrears that end in default more than short ones",
        "relationship_length": "below zero: arrears of older clients are cured more often",
    }
    for factor, note in notes.items():
        if factor in found:
            yield months.row(
                "arrears_end_in_default",
                "controls",
                factor,
                "default",
                "log_odds_ratio",
                **found[factor]._asdict(),
                unit=LOG_ODDS,
                note=f"of arrears that begin; {note}",
                stays=stays,
            )
