"""The reference study: from the raw tables of simulated lenders to the loan cohort.

Reads the raw tables only, never what is known of the truth. Rules that matter to every reading:

- The cohort is every loan granted whose records hold what the analysis needs; who leaves, and why, is in the
  sample flow. There is no debatable exclusion, so there is no robustness sample.
- `default` is default within `horizon_months` after origination. Factors known at origination (relationship,
  sharing) are studied on it.
- The landmark: factors that are measured afterwards (contacts, satisfaction, alerts, reviews) are counted up to
  the end of month `landmark.months` and studied on `default_after_landmark`, among the loans with
  `open_at_landmark`. A loan that defaults or is repaid before keeps its place in the cohort and leaves those
  analyses alone.
- Loyalty is no factor. The dates of a next loan or of leaving could be read up to the landmark, but the lenders
  record them only for clients who never defaulted: their presence would give the outcome away. They stand in the
  table ``loan_ends``, where they can be outcomes of the programme.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd
import pandera.pandas as pa
import pyarrow
from ibis import _

from pipeline.core.protocol import Study
from pipeline.core.schema import Checked, check_cohort, cohort_schema
from pipeline.core.shared import Checks
from pipeline.runtime.engine import Engine, frame, local, put, store, store_parts, value
from pipeline.runtime.errors import StudyError
from pipeline.studies import market
from pipeline.studies.preparation import Parts, Preparation, SampleFlow, stop_if_too_many
from pipeline.studies.reference import prepare_months
from pipeline.studies.reference.further import SERIES, alert_answers, loan_ends, market_months
from pipeline.studies.reference.panel import OF_LOAN, loan_months, month_names, panel
from pipeline.studies.reference.prepare_months import month_index
from pipeline.studies.reference.prepare_records import LOAN_LEAVES, REPEATED, Records, clean
from pipeline.studies.reference.schemas import SCHEMAS
from pipeline.studies.reference.tables import GRADES

TABLES = tuple(SCHEMAS)
"""The raw tables that the study reads."""

OPTIONAL = ("surveys", "documents", "reviews")
"""Tables that a replication may leave out; their factors are then missing."""

FACTORS = (
    "relationship_length",
    "information_sharing",
    "communication_frequency",
    "communication_frequency_client",
    "satisfaction",
    "early_warning",
    "review_sentiment",
)
"""What the lenders let one measure before the landmark; params.yaml, beside, says which of them the study looks at."""

CATEGORIES = ("institution_id", "branch_id", "institution_type", "region", "industry", "loan_type")
"""Columns of the loans that hold one of a few texts, beside the grade."""

LEAVING = ("loan_id", "origination_date", "amount", "industry", "loan_type", "complete", "default", *SERIES)
"""Columns that say which loans leave."""

ZERO_OR_ONE = pa.Check.isin([0, 1])

STUDY_COLUMNS = {
    "borrower_id": pa.Column(str),
    "institution_id": pa.Column("category"),
    "branch_id": pa.Column("category"),
    "industry": pa.Column("category"),
    "income": pa.Column(float, pa.Check.gt(0), nullable=True),
    "debt_to_income": pa.Column(float, pa.Check.ge(0)),
    "small_firm": pa.Column(float, ZERO_OR_ONE),
    "collateral": pa.Column(float, ZERO_OR_ONE),
    "service_audit_score": pa.Column(float),
    "adopted": pa.Column(int, ZERO_OR_ONE),
    "adoption_month": pa.Column("category", nullable=True),
    "programme_lot": pa.Column(float, ZERO_OR_ONE, nullable=True),
    "months_to_default": pa.Column(float, pa.Check.gt(0), nullable=True),
    "open_at_landmark": pa.Column(int, ZERO_OR_ONE),
    "default_after_landmark": pa.Column(int, ZERO_OR_ONE),
    "stress_within_horizon": pa.Column(int, ZERO_OR_ONE),
    "relationship_length": pa.Column(float, pa.Check.ge(0)),
    "information_sharing": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),
    "communication_frequency": pa.Column(float, pa.Check.ge(0), nullable=True),
    "communication_frequency_client": pa.Column(float, pa.Check.ge(0), nullable=True),
    "satisfaction": pa.Column(float, pa.Check.in_range(1, 10), nullable=True),
    "early_warning": pa.Column(float, ZERO_OR_ONE),
    "review_sentiment": pa.Column(float, pa.Check.in_range(-1, 1), nullable=True),
}
"""Columns beyond those that all studies share. Missing where nothing was measured, nothing offered, no default."""


def load(folder: Path, engine: Engine) -> dict[str, ir.Table]:
    """Return the raw tables in `folder`, read by the engine when they are needed."""
    paths = {name: Path(folder) / f"{name}.parquet" for name in TABLES}
    missing = [str(path) for path in paths.values() if not path.exists()]
    if missing:
        raise StudyError(f"{missing[0]} does not exist: run the stage that simulates the lenders (make reproduce).")
    return engine.read(folder, TABLES)


def from_frames(frames: Mapping[str, pd.DataFrame]) -> dict[str, ir.Table]:
    """Return the raw tables from frames in memory, as ``generator.simulate`` gives them."""
    missing = [name for name in TABLES if name not in frames and name not in OPTIONAL]
    if missing:
        raise StudyError(f"the reference study needs the raw tables {', '.join(missing)}.")
    backend = Engine().connect(threads=1)
    tables = {}
    for name, schema in SCHEMAS.items():
        # The same types as in the files: in a frame, a column of whole numbers with gaps is one of floats.
        rows = (
            pyarrow.Table.from_pandas(frames[name], schema, preserve_index=False)
            if name in frames
            else schema.empty_table()
        )
        tables[name] = put(backend, rows, name)
    return tables


def market_known(macro: ir.Table, lags: Mapping[str, int], first: int, last: int) -> pd.DataFrame:
    """Return the market environment as known in each calendar month: ``calendar_index`` and one column a series."""
    quarters = frame(macro.order_by("year", "quarter"))
    # A quarter ends with its third month.
    period_end = quarters["year"].astype(str) + "-" + (3 * quarters["quarter"]).map("{:02d}".format)
    series = {
        name: pd.DataFrame({"period_end": period_end, name: quarters[column].astype(float)})
        for name, column in SERIES.items()
    }
    index = pd.RangeIndex(first, last + 1)
    dates = pd.to_datetime([f"{month // 12}-{month % 12 + 1:02d}-01" for month in index])
    known = market.join(pd.DataFrame({"origination_date": dates}), series, lags)
    return known.assign(calendar_index=index)


def _loans(tables: Mapping[str, ir.Table], landmark: int, horizon: int) -> ir.Table:
    """Return one row a loan with everything that is known of it at origination, and its outcomes."""
    applications = tables["applications"].select(
        "application_id",
        "annual_income",
        "debt_to_income",
        "relationship_months",
        "credit_score",
        "credit_grade",
        "client_segment",
        "industry",
        applied_type="loan_type",
    )
    branches = tables["branches"].select("branch_id", "region", "service_audit_score")
    institutions = tables["institutions"].drop("founded_year")
    outcomes = store(prepare_months.outcomes(tables["repayments"], landmark, horizon), "outcomes")
    loans = tables["loans"]
    for other, key in (
        (branches, "branch_id"),
        (institutions, "institution_id"),
        (outcomes, "loan_id"),
    ):
        loans = loans.left_join(other, key).drop(f"{key}_right")
    # One step after the other: an engine of little memory cannot hold millions of outcomes and of applications at once.
    loans = store(loans, "loans").left_join(applications, "application_id").drop("application_id_right")
    return loans.select(
        "loan_id",
        "client_id",
        "institution_id",
        "branch_id",
        "institution_type",
        "region",
        "industry",
        "origination_date",
        "credit_grade",
        "credit_score",
        "amount",
        "debt_to_income",
        "contact_log_available",
        "service_audit_score",
        origination_index=month_index(_.origination_date),
        loan_type=_.loan_type.coalesce(_.applied_type),
        term_months=_.term_months.cast("int64"),
        interest_rate=100 * _.interest_rate,
        income=_.annual_income,
        small_firm=(_.client_segment == "small_business").cast("float64"),
        collateral=_.collateral.cast("float64"),
        adopted=(month_index(_.origination_date) >= month_index(_.crm_adoption_date)).fill_null(False).cast("int64"),
        adoption_index=month_index(_.crm_adoption_date),
        programme_lot=(_.programme_lot == "drawn").cast("float64"),
        treated=_.crm_enrolled.cast("int64"),
        relationship_length=_.relationship_months / 12,
        default=(_.default_month <= horizon).fill_null(False).cast("int64"),
        months_to_default=(_.default_month <= horizon).ifelse(_.default_month, ibis.null("int32")).cast("float64"),
        open_at_landmark=_.open_at_landmark.fill_null(False).cast("int64"),
        default_after_landmark=(_.default_month > landmark).fill_null(False).cast("int64"),
        complete=_.complete.fill_null(False),
    )


def _compact(loans: pd.DataFrame) -> pd.DataFrame:
    """Return the loans with their few texts as categories, which take a byte or two each."""
    return loans.astype(dict.fromkeys((*CATEGORIES, "credit_grade"), "category"))


def _leaves(loans: pd.DataFrame) -> dict[str, pd.Series]:
    """Return who leaves, by reason, in the order in which the sample flow counts them."""
    return {
        REPEATED: loans["repeated"],
        "impossible_date": loans["origination_date"].isna(),
        "not_a_number": loans["amount"].isna(),
        "unknown_code": loans["industry"].isna() | loans["loan_type"].isna(),
        "incomplete_repayments": ~loans["complete"],
        "missing_market": loans[list(SERIES)].isna().any(axis=1),
    }


def _sentiment(reviews: ir.Table, loans: ir.Table, landmark: int) -> pd.Series:
    """Return the mean sentiment of each loan's reviews written up to the landmark, by loan."""
    written = frame(prepare_months.reviews_in_time(reviews, loans, landmark))
    if written.empty:
        return pd.Series(dtype=float)
    from pipeline.studies.reference import sentiment

    texts = written.drop_duplicates("review_id").sort_values("review_id")
    scores = pd.Series(sentiment.sentiments(list(texts["text"]), texts["stars"]), texts["review_id"])
    return scores.loc[written["review_id"]].groupby(written["loan_id"].to_numpy()).mean()


def _period(index: pd.Series) -> pd.Categorical:
    """Return calendar months such as 2004-11, in order, from months since the year 0."""
    names = month_names(index)
    return pd.Categorical(names, sorted(names.dropna().unique()))


def _cohort(loans: pd.DataFrame) -> pd.DataFrame:
    """Return the cohort's columns in their types, sorted by loan."""
    loans = loans.assign(loan_id=loans["loan_id"].astype(str))
    loans = loans.sort_values("loan_id", kind="stable", ignore_index=True)
    quarter = loans["origination_date"].dt.to_period("Q").astype(str)
    return loans.assign(
        **{name: pd.Categorical(loans[name]).remove_unused_categories() for name in CATEGORIES},
        borrower_id=loans["client_id"].astype(str),
        origination_date=loans["origination_date"].astype("datetime64[ms]"),
        origination_month=_period(loans["origination_index"]),
        origination_quarter=pd.Categorical(quarter),
        adoption_month=_period(loans["adoption_index"]),
        credit_grade=pd.Categorical(loans["credit_grade"], GRADES, ordered=True),
        early_warning=loans["early_warning"].astype(float),
        stress_within_horizon=loans["stress_within_horizon"].astype("int64"),
    )


def prepare(tables: Mapping[str, ir.Table], study: Study, checks: Checks) -> Preparation:
    """Turn the raw tables into the loan cohort and the panel ``loan_months``.

    `tables` are those of `load` or `from_frames`. The order of their rows does not matter. Raises StudyError when
    more rows break a data rule than `checks` allows, when rows contradict each other, or when the records end
    before landmark and horizon do.
    """
    landmark, horizon = _windows(study)
    records = clean(tables)
    _stop_if_too_dirty(records, tables, checks)
    tables = records.tables
    recorded = int(value(tables["repayments"].month_number.max()))
    if recorded < landmark + horizon:
        raise StudyError(
            f"studies.reference: repayments are recorded for {recorded} months, fewer than landmark.months plus "
            f"horizon_months ({landmark} + {horizon})."
        )

    loans = store(_loans(tables, landmark, horizon), "loans")
    if value(loans.count()) == 0:
        raise StudyError("the raw table loans holds no loan.")
    first, last = frame(loans.aggregate([loans.origination_index.min(), loans.origination_index.max()])).iloc[0]
    known = market_known(tables["macro"], study.release_lag_months, int(first), int(last) + horizon)
    months = store_parts(loan_months(loans, tables, landmark, horizon), "months")
    joined = loans
    for other, key in (
        (local(known.rename(columns={"calendar_index": "origination_index"}), loans), "origination_index"),
        (prepare_months.exposure(months, landmark), "loan_id"),
        (prepare_months.satisfaction(tables["surveys"], loans, landmark), "loan_id"),
        (prepare_months.information_sharing(tables["documents"]), "loan_id"),
    ):
        joined = joined.left_join(other, key).drop(f"{key}_right")
    rows = _compact(frame(joined.order_by("loan_id")))
    rows["review_sentiment"] = rows["loan_id"].map(_sentiment(tables["reviews"], loans, landmark)).astype(float)

    flow = _flow(rows[[*LEAVING]], records.dirt)
    stays = rows.loc[flow.frame.index]
    del rows
    logged = stays.loc[stays["contact_log_available"].astype(bool), ["loan_id"]]
    cohort, schema = _cohort(stays), cohort_schema(STUDY_COLUMNS, (), list(SERIES))
    return Preparation(
        cohort=check_cohort(cohort[[name for name in schema.columns if name in cohort]], schema),
        flow=flow.table(),
        quarantined=records.dirt,
        panels=Parts({"loan_months": partial(panel, months, stays[[*OF_LOAN]], known, horizon)}),
        further={
            "loan_ends": partial(loan_ends, tables, stays[["loan_id", "origination_index"]], landmark),
            "alert_answers": partial(alert_answers, tables, logged),
            "market_months": partial(market_months, tables["macro"]),
        },
    )


def _windows(study: Study) -> tuple[int, int]:
    """Return the months up to the landmark and the months of the horizon."""
    unknown = [name for name in study.factors if name not in FACTORS]
    if unknown:
        raise StudyError(
            f"studies.reference.factors: {unknown} cannot be measured here; there are {', '.join(FACTORS)}."
        )
    if study.landmark is None or study.horizon_months is None:
        raise StudyError("studies.reference needs landmark and horizon_months.")
    return study.landmark.months, study.horizon_months


def _stop_if_too_dirty(records: Records, tables: Mapping[str, ir.Table], checks: Checks) -> None:
    """Raise a StudyError when too many rows of a table break a data rule that a loan cannot do without."""
    broken = records.dirt[records.dirt["consequence"] == LOAN_LEAVES]
    for name, dirt in broken.groupby("table"):
        failures = (
            dirt.groupby(["column", "reason"])
            .agg(rows=("row_id", "size"), first_five=("value", lambda found: ", ".join(found[:5])))
            .reset_index()
            .rename(columns={"reason": "rule"})
        )
        rows = int(value(tables[name].count()))
        stop_if_too_many(Checked(dirt, dirt.drop_duplicates("row_id"), failures), rows, checks, name)


def _flow(loans: pd.DataFrame, dirt: pd.DataFrame) -> SampleFlow:
    """Return the sample flow from the rows of the raw table `loans` to the cohort."""
    copies = dirt[(dirt["table"] == "loans") & (dirt["reason"] == REPEATED)]["row_id"].astype("int64")
    repeated = loans.set_index("loan_id").loc[copies].reset_index()
    rows = pd.concat([loans.assign(repeated=False), repeated.assign(repeated=True)], ignore_index=True)
    flow = SampleFlow(rows, rows["default"])
    for reason, leaving in _leaves(rows).items():
        flow.leave(reason, leaving)
    return flow
