"""What the programme moves: each factor, contacts that reach the client, quick answers; and whether lots were fair."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.analyses.mechanism.programme import Programme, Row
from pipeline.core import results
from pipeline.stats.absorbed import absorbed_linear
from pipeline.stats.design import term_values
from pipeline.stats.histories import shifted
from pipeline.stats.inference import codes, scaled
from pipeline.stats.samples import sample_for

QUICK = 7
"""Days within which an answer to a warning is quick."""

UNANSWERED = "in the simulation contacts take no notice of warnings"
"""What the records of simulated lenders cannot show."""

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


def answers_less_other_months(programme: Programme) -> Iterator[Row]:
    """Yield the same after warnings less after months without one: contacts come and act without warnings too.

    An answer is a contact that the lender begins in the month after the warning's. Months begin on time, and arrears
    are those that begin in the month after the answer's.
    """
    needed = ["loan_id", "month_number", "current_at_start", "delinquent", "default", "alert", "proactive_contacts"]
    if not set(needed) <= set(programme.more.get("loan_months", ())):
        return
    months = programme.more["loan_months"][needed].sort_values(["loan_id", "month_number"], ignore_index=True)
    loan, month = pd.factorize(months["loan_id"])[0], months["month_number"].to_numpy(dtype=int)

    def later(name: str, by: int) -> np.ndarray:
        return shifted(months[name].to_numpy(dtype=float), loan, month, -by)

    contacts = later("proactive_contacts", 1)
    months["warned"], months["quick"] = months["alert"].astype(float), (contacts > 0).astype(float)
    months["arrears_after"] = np.maximum(later("delinquent", 2), later("default", 2))
    on_time = (months["current_at_start"] == 1) & ~np.isnan(contacts)
    still = on_time & (later("current_at_start", 2) == 1)
    asked = {
        ("treated", "contact_in_next_month"): (on_time, "quick", ["warned"]),
        ("quick_answer", "arrears_after"): (still, "arrears_after", ["warned", "quick"]),
    }
    note = f"after warnings less after months without; {UNANSWERED}" if programme.protocol.simulated else ""
    for (factor, outcome), (stays, column, by) in asked.items():
        # A loan's months of one kind as one row, weighted by their number: all else but their age is the loan's.
        kinds = months[stays].groupby(["loan_id", *by])
        cells = kinds.agg(mean=(column, "mean"), size=(column, "size"), age=("month_number", "mean")).reset_index()
        loans = programme.cohort.drop(columns=by, errors="ignore").merge(cells, on="loan_id")
        own = {name: loans[name].astype(float) for name in (*by[1:], "treated")}
        design = pd.DataFrame(own | {f"{name} warned": values * loans["warned"] for name, values in own.items()})
        design = pd.concat([design, loans[["warned", "age"]], programme.controls(loans)], axis=1)
        wanted = "treated warned" if factor == "treated" else "quick warned"
        lenders, clusters = loans["institution_id"], loans[programme.protocol.cluster]
        found = absorbed_linear(
            loans["mean"], design, [wanted], lenders, clusters, programme.level, loans["size"].astype(float)
        )
        one = scaled(found.effects[wanted], 100)._asdict()
        row = programme.row("answers", "less_other_months", factor, outcome, "risk_difference", loans=loans)
        counts = {"n": int(loans["size"].sum()), "n_treated": int((loans["size"] * loans["treated"]).sum())}
        yield row | one | counts | {"unit": "percentage points", "note": note}
