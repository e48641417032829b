"""What the months before a default look like, and the months before a loan, for the stage warning."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.analyses.warning.book import Row, calendar, cluster_of, not_estimated, points
from pipeline.core.protocol import Study
from pipeline.core.scope import FEWEST
from pipeline.runtime.errors import StudyError
from pipeline.stats import early_warning
from pipeline.stats.correlation import holm
from pipeline.stats.discrimination import compare
from pipeline.stats.inference import codes
from pipeline.stats.power import minimum_detectable

SIGNALS = {
    "late_payment": "delinquent",
    "falling_activity": "falling_activity",
    "client_contact": "reactive_contacts",
    "lender_contact": "proactive_contacts",
    "alert": "alert",
}
"""What is compared in the months before default, by the column that records it: whether there was any in a month."""

BEFORE = 11
"""Months before default that are looked at."""

UNKNOWN = 2
"""Stands for a signal of which nothing is recorded, beside 0 and 1."""

FALLEN = 0.8
"""Share of its usual level below which what comes into a client's account counts as fallen."""

INFLOW = "account_inflow_ratio"
"""Column of the lenders' monthly records that holds what comes into a client's account over its usual level."""

POWER = 0.8
"""Chance with which the smallest detectable area would be found."""


def with_activity(months: pd.DataFrame, recorded: pd.DataFrame) -> pd.DataFrame:
    """Return loan-months with ``inflow``, the month's inflow to the client's account over its usual level.

    Beside it stands ``falling_activity`` (0/1, empty where nothing is recorded). Both come from the lenders' monthly
    records of repayment: ``loan_id``, ``month_number`` and `INFLOW`, of no later months than those that are followed.
    """
    last = int(months["month_number"].max())
    # Loans are looked up once each, not month by month; of a month recorded twice the first record counts.
    number, loans = pd.factorize(recorded["loan_id"])
    table = np.full((len(loans) + 1, last + 1), np.nan)
    # Written from the end, so that the first record is the last that is written. NumPy goes through copies in their
    # order, through views in that of memory.
    cell = (number * (last + 1) + recorded["month_number"].to_numpy())[::-1].copy()
    table.reshape(-1)[cell] = recorded[INFLOW].to_numpy(dtype=float)[::-1].copy()
    of_months, known = pd.factorize(months["loan_id"])
    row = pd.Index(loans.astype(str)).get_indexer(known)
    # The last row is that of loans without a record.
    inflow = pd.Series(table[row[of_months], months["month_number"]], months.index)
    return months.assign(inflow=inflow, falling_activity=(inflow < FALLEN).astype(float).where(inflow.notna()))


def before_default(
    cohort: pd.DataFrame, months: pd.DataFrame, place: np.ndarray, protocol: Study, level: float
) -> list[Row]:
    """Return how common each signal is in the months before default, beside loans like them at risk of it.

    Beside each default stands its risk set: loans of the same type of lender, grade, age and calendar month that were
    open then and had not defaulted, those that default later among them. Raises StudyError for calendar months that
    cannot be read.
    """
    month = months["month_number"].to_numpy(dtype=np.int64)
    when = np.zeros(len(cohort), dtype=np.int64)
    bad = months["default"].to_numpy() == 1
    when[place[bad]] = month[bad]
    last = np.zeros(len(cohort), dtype=np.int64)
    last[place] = month
    keys = [name for name in ("institution_type", "credit_grade") if name in cohort and cohort[name].notna().any()]
    # Loans that began in the same calendar month have the same age in every other.
    began = np.zeros(len(cohort), dtype=np.int64)
    began[place] = calendar(months["calendar_month"]) - month
    kind = cohort[keys].assign(began=began).groupby([*keys, "began"], observed=True, dropna=False).ngroup().to_numpy()
    cluster = codes(cohort[cluster_of(cohort, protocol)])
    same = ["age and calendar month"]
    steps = np.unique(when[when > 1])
    found: list[Row] = []
    if len(np.unique(when)) < 2 or int((when > 0).sum()) < FEWEST:
        return [not_estimated("signals", f"only {int((when > 0).sum())} loans default on record.")]
    treated = cohort["treated"].to_numpy(dtype=float)
    # Loans of one kind and cluster are counted together: by case or not, and by whether they have the signal.
    alike, cell = np.unique(kind * (int(cluster.max()) + 1) + cluster, return_inverse=True)
    kind_of, cluster_of_cell = np.divmod(alike, int(cluster.max()) + 1)
    open_at = {end: np.flatnonzero(early_warning.at_risk(end, last, when)) for end in steps}
    counted_as = {end: 3 * (2 * cell[loans] + (when[loans] == end)) for end, loans in open_at.items()}
    longest = int(month.max())
    for name, column in SIGNALS.items():
        if column not in months or months[column].isna().all():
            found.append(not_estimated(name, f"the loan-months have no {column}."))
            continue
        values = months[column].to_numpy(dtype=float)
        # 0, 1, or 2 where nothing is recorded; the loans of a month lie side by side.
        table = np.full((longest + 1, len(cohort)), UNKNOWN, dtype=np.int8)
        table[month, place] = np.where(np.isnan(values), UNKNOWN, values > 0)
        for back in range(1, min(BEFORE, longest - 1) + 1):
            ends = steps[steps > back]
            if not len(ends):
                continue
            counts = np.empty((len(ends), len(alike), 2, 3), dtype=np.int64)
            seen = np.zeros(len(cohort), dtype=bool)
            for number, end in enumerate(ends):
                had = table[end - back, open_at[end]]
                counts[number] = np.bincount(counted_as[end] + had, minlength=6 * len(alike)).reshape(-1, 2, 3)
                seen[open_at[end][had != UNKNOWN]] = True
            number, row_of, case, value = np.nonzero(counts[..., :UNKNOWN])
            row = {"estimator": "before_default", "specification": name, "factor": f"months_before[{back:02d}]"}
            row |= {"outcome": "default", "unit": "percentage points"}
            try:
                one, share, others, cases = early_warning.matched_difference(
                    value.astype(float),
                    case,
                    kind_of[row_of] * (longest + 1) + ends[number],
                    cluster_of_cell[row_of],
                    level,
                    counts[number, row_of, case, value],
                )
            except StudyError as error:
                found.append(row | {"estimand": "difference", "note": str(error)})
                continue

            def counted(loans: np.ndarray) -> Row:
                of = {"n": int(loans.sum()), "n_clusters": np.count_nonzero(np.bincount(cluster[loans]))}
                return of | {"n_treated": None if np.isnan(treated).any() else int(treated[loans].sum())}

            # A loan at risk stands beside several that default, at several ages.
            row |= counted(seen)
            note = f"{cases} defaults; beside them loans at risk of the same {', '.join(keys + same)}"
            found.append(row | {"estimand": "difference", "note": note} | points(one))
            more = {"estimand": "defaulting", "estimate": 100 * share, "unit": "percent"}
            found.append(row | more | counted(seen & (when > 0)))
            found.append(row | {"estimand": "others", "estimate": 100 * others, "unit": "percent"})
    return found


def before_loan(cohort: pd.DataFrame, accounts: pd.DataFrame, level: float) -> Iterator[Row]:
    """Yield whether falling activity of the account before the loan announces default of the loan.

    Compared are the last months before the loan with as many before them; columns other than keys are the activities.
    """
    wide = accounts[accounts["months_before"].between(1, 2 * early_warning.RECENT)]
    default = cohort.set_index("loan_id")["default"]
    arms = cohort.set_index("loan_id")["treated"]
    falls: list[Row] = []
    for name in [name for name in accounts if name not in ("loan_id", "months_before")]:
        table = wide.pivot(index="loan_id", columns="months_before", values=name).dropna()
        table = table[table.index.isin(default.index)]
        row = {"estimator": "falling_before_loan", "specification": name, "factor": "account_activity"}
        row |= {"outcome": "default", "unit": "area"}
        row |= {"n": len(table), "n_clusters": len(table)}
        if table.shape[1] < 2 * early_warning.RECENT:
            yield row | {"estimand": "area_under_curve", "note": "too few months before the loan are on record."}
            continue
        bad = default.loc[table.index].to_numpy()
        row["n_treated"] = None if arms.isna().any() else int(arms.loc[table.index].sum())
        near = table[range(1, early_warning.RECENT + 1)].mean(axis=1).to_numpy()
        far = table[range(early_warning.RECENT + 1, 2 * early_warning.RECENT + 1)].mean(axis=1).to_numpy()
        fall = -early_warning.relative_change(near, far)
        try:
            found = compare(bad, fall, -near, level)
        except StudyError as error:
            yield row | {"estimand": "area_under_curve", "note": str(error)}
            continue
        note = f"{int(bad.sum())} defaults; the fall from months 4-6 to months 1-3 before the loan"
        falls.append(row | found.first._asdict() | {"estimand": "area_under_curve", "note": note})
        note = f"{int(bad.sum())} defaults; how low it stood in months 1-3 before the loan"
        yield row | found.second._asdict() | {"estimand": "area_of_level", "note": note}
        number_bad, number_good = int(bad.sum()), int(len(bad) - bad.sum())
        # Under no difference, by the variance of the rank-sum statistic.
        error = np.sqrt((number_bad + number_good + 1) / (12 * number_bad * number_good))
        least = 0.5 + minimum_detectable(float(error), level, POWER)
        yield row | {"estimand": "minimum_detectable_area", "estimate": least, "note": f"with power {POWER:g}"}
    # One family: whichever activity falls, it is the same claim.
    adjusted = holm([row["p_value"] for row in falls]) if falls else []
    yield from (row | {"p_adjusted": p_value} for row, p_value in zip(falls, adjusted, strict=True))
