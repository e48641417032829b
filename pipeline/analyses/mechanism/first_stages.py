"""What the programme moves: each factor, contacts that reach the client, quick answers; and whether lots were fair."""

from collections.abc import Iterator

import numpy as np

from pipeline.analyses.mechanism.programme import Programme, Row
from pipeline.core import results
from pipeline.stats.design import term_values
from pipeline.stats.inference import codes
from pipeline.stats.samples import sample_for

QUICK = 7
"""Days within which an answer to a warning is quick."""

LONGEST = 30
"""Days at which the wait for an answer is cut off, so that those who never got one count as well."""


def first_stages(programme: Programme) -> Iterator[Row]:
    """Yield what the programme does to each factor: with controls, and by the lot."""
    rule = programme.rule
    names = [name for name in programme.protocol.factors if rule is None or name != rule.factor]
    for name in names:
        loans = programme.cohort[programme.cohort[name].notna()]
        if name in programme.afterwards:
            loans = sample_for(programme.cohort, name, programme.afterwards)
        unit = f"units of {name}"
        controls = programme.controls(loans)
        if name not in controls:
            found = programme.linear(loans, name, ["treated"])["treated"]
            yield programme.row(
                "first_stage",
                "controls",
                "treated",
                name,
                "mean_difference",
                **found._asdict(),
                unit=unit,
                loans=loans,
            )
        if "programme_lot" not in loans:
            continue
        offered = loans[loans["programme_lot"].notna()]
        found = programme.lottery(offered, name).effect
        note = "fixed before the lot was drawn: it cannot be moved" if name in controls else ""
        yield programme.row(
            "first_stage",
            "lottery",
            "treated",
            name,
            "effect_on_compliers",
            **found._asdict(),
            unit=unit,
            note=note,
            loans=offered,
            clusters="loan_id",
        )


def lot(programme: Programme) -> Iterator[Row]:
    """Yield whether winners and losers of the lot were alike before it was drawn."""
    offered = programme.offered
    values = term_values(offered, programme.protocol.matching.score)
    lender, won = codes(offered["institution_id"]), offered["programme_lot"].to_numpy() == 1
    gaps = {}
    for name in values:
        value = values[name].to_numpy(dtype=float)
        value = value - (np.bincount(lender, value) / np.bincount(lender))[lender]
        if value.std() > 0:
            gaps[name] = float((value[won].mean() - value[~won].mean()) / value.std())
    if gaps:
        name = max(gaps, key=lambda one: abs(gaps[one]))
        row = programme.row("", "", name, "", "standardised_mean_difference", loans=offered)
        yield results.assumption(
            "lot_balance",
            gaps[name],
            programme.balance,
            passed=abs(gaps[name]) < programme.balance,
            **{key: row[key] for key in ("factor", "estimand", "n", "n_treated", "n_clusters")},
        )


def reached(programme: Programme) -> Iterator[Row]:
    """Yield whether contacts that reach the client do more than as many that do not."""
    names = ["reached_share", "communication_frequency", "treated"]
    if not set(names) <= set(programme.cohort) or "communication_frequency" not in programme.afterwards:
        return
    loans = sample_for(programme.cohort, "communication_frequency", programme.afterwards)
    loans = loans[loans["reached_share"].notna()]
    found = programme.linear(loans, "default", names)
    for name in names[:2]:
        yield programme.row(
            "reached",
            "given_frequency",
            name,
            "default_after_landmark",
            "risk_difference",
            **results.in_points(found[name]),
            note="both together; the share of contacts up to the landmark that reached the client",
            loans=loans,
        )


def answers(programme: Programme) -> Iterator[Row]:
    """Yield how quickly warnings are answered, by arm, and arrears after quick answers."""
    if "alert_answers" not in programme.more:
        return
    alerts = programme.more["alert_answers"]
    alerts = alerts[alerts["current_at_start"] == 1]
    loans = programme.cohort.set_index("loan_id").loc[alerts["loan_id"]].reset_index()
    for name in ("arrears_after", "default_after"):
        loans[name] = alerts[name].to_numpy()
    loans["alert_month"] = alerts["month_number"].to_numpy(dtype=float)
    days = alerts["answer_days"].to_numpy()
    loans["days"] = np.minimum(np.nan_to_num(days, nan=LONGEST), LONGEST)
    loans["quick"] = (loans["days"] <= QUICK).astype(float)
    found = programme.linear(loans, "days", ["treated", "alert_month"])["treated"]
    yield programme.row(
        "answers",
        "controls",
        "treated",
        "days_to_answer",
        "mean_difference",
        **found._asdict(),
        unit="days",
        note=f"to the lender's own next contact after a warning, {LONGEST} days where longer or never",
        loans=loans,
    )
    for outcome in ("arrears_after", "default_after"):
        found = programme.linear(loans, outcome, ["quick", "treated", "alert_month"])["quick"]
        yield programme.row(
            "answers",
            "controls",
            "quick_answer",
            outcome,
            "risk_difference",
            **results.in_points(found),
            note=f"answered within {QUICK} days against later or never, in months that follow the warning's",
            loans=loans,
        )
