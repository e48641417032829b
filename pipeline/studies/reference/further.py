"""Further tables beside the cohort: how loans end, what alerts are answered with, the market of each month."""

from __future__ import annotations

from collections.abc import Mapping

import ibis.expr.types as ir
import pandas as pd
from ibis import _

from pipeline.runtime.engine import frame, local
from pipeline.studies.reference import prepare_months

SERIES = {
    "unemployment": "unemployment",
    "gdp_growth": "gdp_growth",
    "inflation": "inflation",
    "policy_rate": "treasury_bill_rate",
}
"""The market environment and the column of ``macro`` that holds it."""


def loan_ends(tables: Mapping[str, ir.Table], loans: pd.DataFrame, landmark: int) -> pd.DataFrame:
    """Return one row for each loan of the cohort: how and when it ended, what came after, how its client was reached.

    Columns: ``loan_id``; ``months`` recorded and ``end`` (default, repaid: early, open: still so when records end);
    ``months_to_next_loan`` and ``months_to_leaving`` (empty: neither is recorded); ``assessment_score``, the index on
    which the lender decided; ``reached_share``, of the lender's own contacts up to the landmark those that reached the
    client (empty without such a contact).
    """
    start = local(loans[["loan_id", "origination_index"]], tables["loans"])
    found = (
        start.inner_join(prepare_months.ends(tables["repayments"]), "loan_id")
        .inner_join(prepare_months.afterwards(tables["loans"], tables["applications"]), "loan_id")
        .left_join(prepare_months.reached(tables["contacts"], start, landmark), "loan_id")
        .mutate(loan_id=_.loan_id.cast("string"))
    )
    columns = ("months", "end", "months_to_next_loan", "months_to_leaving", "assessment_score", "reached_share")
    rows = frame(found.select("loan_id", *columns).order_by("loan_id"))
    return rows.assign(end=pd.Categorical(rows["end"], ["default", "repaid", "open"]))


def market_months(macro: ir.Table) -> pd.DataFrame:
    """Return the market's state in each calendar month, that of its quarter: what loans meet, not what was published.

    Columns: ``calendar_month`` such as 2004-11, and one for each of `SERIES`.
    """
    quarters = frame(macro.order_by("year", "quarter"))
    months = quarters.loc[quarters.index.repeat(3), ["year", "quarter", *SERIES.values()]].reset_index(drop=True)
    number = 3 * (months["quarter"].astype(int) - 1) + months.index % 3 + 1
    calendar = months["year"].astype(str) + "-" + number.map("{:02d}".format)
    return months[[*SERIES.values()]].set_axis([*SERIES], axis=1).astype(float).assign(calendar_month=calendar)


def alert_answers(tables: Mapping[str, ir.Table], loans: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each early warning of `loans`: those of the cohort whose lender keeps a log of contacts.

    Columns: ``loan_id``; ``month_number`` of the warning; ``current_at_start``, whether the loan was current when its
    month began; ``answer_days`` to the lender's own next contact; ``arrears_after`` and ``default_after``, in the
    months that follow.
    """
    start = local(loans, tables["alerts"])
    found = prepare_months.answers(tables["alerts"].inner_join(start, "loan_id"), tables["contacts"])
    found = prepare_months.after_alerts(found, tables["repayments"])
    return frame(found.mutate(loan_id=_.loan_id.cast("string")).order_by("loan_id", "month_number"))
