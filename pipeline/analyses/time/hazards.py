"""Hazards of default and early repayment, arrears by the state of the market, and how arrears end."""

from collections.abc import Iterator

import numpy as np

from pipeline.analyses.time.months import LOG_ODDS, PROACTIVE, WINDOW, Months, Row
from pipeline.core import results
from pipeline.stats.histories import spells
from pipeline.stats.inference import codes


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
