"""Hazards of default and early repayment, arrears by the state of the market, and how arrears end."""

from collections.abc import Iterator, Mapping

import numpy as np

from pipeline.analyses.time.months import LOG_ODDS, PROACTIVE, WINDOW, Months, Row
from pipeline.core import results
from pipeline.stats.histories import spells
from pipeline.stats.power import minimum_detectable

POWER = 0.8
"""Chance with which the smallest slope that is named is found."""


def hazards(months: Months) -> Iterator[Row]:
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


def market(months: Months) -> Iterator[Row]:
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
    calendar = months.calendar
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


def stressed_market(months: Months) -> Iterator[Row]:
    """Yield whether contacts, long relationships and being a small firm matter more the further stress is above usual.

    Stress is what a lender could read off the published series: the mean of falling growth, unemployment and the real
    rate of interest, each in standard deviations over the calendar. What is below the calendar's mean counts as none,
    so that good times, which a line would weigh as much as bad ones, say nothing. Beside each slope stands the smallest
    one that a study of this size finds four times in five.
    """
    if months.market is None or not {"gdp_growth", "unemployment", "policy_rate", "inflation"} <= set(months.market):
        return
    stays = months.logged & months.clean & (months.month > WINDOW)
    index = stress(months.market, months.calendar)
    above = np.maximum(index, 0)
    moderators = {PROACTIVE: months.recent}
    for name in ("relationship_length", "small_firm"):
        if name in months.controls:
            moderators[name] = months.controls[name].to_numpy(dtype=float)
    columns = {"stress": index, "above": above, "treated": months.treated, PROACTIVE: months.recent}
    columns |= {f"{name} x above": above * (values - values[stays].mean()) for name, values in moderators.items()}
    slopes = months.fit(months.arrears, columns, stays, groups=months.lender).effects(months.cluster, months.level)
    for name in moderators:
        if f"{name} x above" not in slopes:
            continue
        one = slopes[f"{name} x above"]
        row = months.row("market_interaction", "stress_above_mean", name, "arrears", "log_odds_ratio", stays=stays)
        row |= {"unit": LOG_ODDS}
        yield row | one._asdict() | {"note": "change of the slope with one standard deviation of stress above the mean"}
        least = minimum_detectable(one.std_error, months.level, POWER)
        yield row | {"estimand": "minimum_detectable", "estimate": least, "note": f"either way, with power {POWER:g}"}


def stress(market: Mapping[str, np.ndarray], calendar: np.ndarray) -> np.ndarray:
    """Return the market's stress (rows,) from its series (rows,), with mean 0 and deviation 1 over calendar months."""
    first = np.unique(calendar, return_index=True)[1]

    def standardised(values: np.ndarray) -> np.ndarray:
        return (values - values[first].mean()) / values[first].std()

    real_rate = market["policy_rate"] - market["inflation"]
    parts = (-market["gdp_growth"], market["unemployment"], real_rate)
    return standardised(np.mean([standardised(values) for values in parts], axis=0))


def kinds_of_arrears(months: Months) -> Iterator[Row]:
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
