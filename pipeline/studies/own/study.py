"""A reader's own loans: columns of any table by role in, loan cohort out.

The intake gave every role that params.yaml maps a typed column; `prepare` makes the cohort of them. A role that the
file lacks is a column without values, which tells the stages what these data cannot say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from pipeline.core.cohorts import AT_LANDMARK
from pipeline.core.protocol import Study
from pipeline.core.schema import LARGEST, Checked, check_cohort
from pipeline.core.scope import FILLED
from pipeline.core.scope import NOT_STATED as INDICATOR
from pipeline.core.shared import Checks
from pipeline.runtime import store
from pipeline.runtime.engine import Engine
from pipeline.runtime.errors import StudyError
from pipeline.stats.ties import hashes
from pipeline.studies.own import months, roles
from pipeline.studies.own.choices import KEYS, Eligibility, checked
from pipeline.studies.own.choices import choices as choices
from pipeline.studies.preparation import Preparation, SampleFlow, meet, stop_if_too_many, tidy

NOT_STATED = "not stated"
"""The level of a category where its cell is empty."""
OTHER = "other"
"""The level that takes the rare ones."""
MOST_LEVELS = 20
"""Categories keep this many levels, the most frequent ones; a control with hundreds of rare levels fits noise."""
LUMPED = ("region", "industry", "credit_grade", "loan_type")
POSITIVE = ("amount", "term_months")
YEARS = (1900, 2100)
"""Years in which loans of these studies can have been granted."""


def load(folder: Path, engine: Engine) -> dict[str, pd.DataFrame]:
    """Return the tables that the intake wrote: ``loans`` by role, ``columns`` that says where each comes from.

    Of loans that are followed month by month also ``ends``, ``months`` and ``signals`` (`intake.Intake`).

    They fit into memory, and no engine is needed.
    """
    return {
        name: store.read_parquet(folder / f"{name}.parquet")
        for name in ("loans", "columns", "ends", "months", "signals")
        if (folder / f"{name}.parquet").exists()
    }


def prepare(tables: Mapping[str, pd.DataFrame], study: Study, checks: Checks) -> Preparation:
    """Turn the columns by role into the loan cohort.

    Where something dates defaults they count within the horizon, and loans that were granted too late for it leave.
    No loan leaves for a gap, but of the outcome and the treatment: a category has a level for it, a number a column
    with the median in its place and an indicator; factors keep theirs, which only their own analyses mind.
    Raises StudyError when two different rows have one loan_id, or when too many rows break a data rule.
    """
    eligible = checked(Eligibility, study.eligibility, "eligibility")
    raw, source = tables["loans"].reset_index(drop=True), tables["columns"]
    column_named = dict(zip(source["role"], source["column"], strict=True))
    file = str(source["file"].iloc[0])

    found = _check(raw, column_named)
    stop_if_too_many(found, len(raw), checks, file)
    default = (raw["default"] == 1).astype("int64")
    flow = SampleFlow(raw, default)
    flow.leave("data_rule", pd.Series(~raw.index.isin(found.good.index), raw.index))
    good = found.good
    measured = good.drop(columns=["row", "fault"])
    nothing = pd.Series(False, good.index)
    flow.leave("recorded_twice", measured.duplicated() if "loan_id" in good else nothing)
    if "other_currency" in good:
        flow.leave("other_currency", good["other_currency"].astype(bool))
    flow.leave("missing_default", good["default"].isna())
    flow.leave("left_out", good["default"] == -1)
    if study.horizon_months and "ends" in tables:
        ends = tables["ends"].set_index("loan_id").reindex(good["loan_id"].astype(str)).set_axis(good.index)
        flow.leave("undated", ends["end"].isna())
        last = study.landmark.months if study.landmark else 0
        flow.leave("too_young", months.within(ends, study.horizon_months, last).isna())
    meet(study.expected.ended, len(flow.frame), "ended")
    meet(study.expected.ended_defaults, int(default[flow.frame.index].sum()), "ended_defaults")
    _one_row_a_loan(flow.frame, file, column_named)

    loans = _columns(good, study)
    month = loans["origination_month"].astype("string")
    if eligible.first_month or eligible.last_month:
        flow.leave("missing_date", month.isna())
        flow.leave("before_first_month", (month < (eligible.first_month or "")).fillna(False).astype(bool))
        flow.leave("after_last_month", (month > (eligible.last_month or "9999-12")).fillna(False).astype(bool))
    loans = loans.loc[flow.frame.index]
    flow.leave("missing_treated", loans["treated"].isna() & loans["treated"].notna().any())
    if study.landmark:
        loans = _at_landmark(loans, tables.get("ends"), study)
    loans = _with_gaps_marked(loans.loc[flow.frame.index], study)
    meet(study.expected.cohort, len(flow.frame), "cohort")
    cohort = _tidy(loans.loc[flow.frame.index])
    panels = {}
    if "ends" in tables:
        ends = tables["ends"]
        kept = ends.loc[ends["loan_id"].isin(cohort["loan_id"]), ["loan_id", "months", "end"]]
        panels["loan_ends"] = kept.reset_index(drop=True)
    if "months" in tables:
        panels["loan_months"] = months.panel(tables["months"], tables.get("signals"), cohort, study.horizon_months)
    return Preparation(check_cohort(cohort, _schema(cohort)), flow.table(), found.quarantined, panels=panels)


def _at_landmark(loans: pd.DataFrame, ends: pd.DataFrame | None, study: Study) -> pd.DataFrame:
    """Say which loans were open at the landmark, and which defaulted after it."""
    if ends is None:
        raise StudyError(
            "landmark: no table, no column of months and no date of default tells which loans were open then: leave it "
            "blank, and map no factor that may hold what came after the loan."
        )
    assert study.landmark is not None
    found = months.at_landmark(ends.set_index("loan_id"), study.landmark.months, study.horizon_months)
    # A loan without any month on record was never seen open.
    at = found.reindex(loans["loan_id"]).fillna(0).astype("int64").set_axis(loans.index)
    return loans.assign(**{name: at[name] for name in AT_LANDMARK})


def _with_gaps_marked(loans: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Add for each number with gaps, factors apart, the median in their place and whether it is not stated (0/1)."""
    made = {}
    for name in loans.select_dtypes("number").columns.difference([*study.factors, *AT_LANDMARK, "treated", "default"]):
        gaps = loans[name].isna()
        if gaps.any() and not gaps.all():
            made[f"{name}{FILLED}"] = loans[name].fillna(loans[name].median())
            made[f"{name}{INDICATOR}"] = gaps.astype(float)
    return loans.assign(**made)


def _check(raw: pd.DataFrame, column_named: Mapping[str, str]) -> Checked:
    """Set aside the rows with cells that have no meaning or lie outside any loan's range."""
    rules = [(role, raw[role] <= 0, "must be above zero") for role in POSITIVE if role in raw]
    if "interest_rate" in raw:
        outside = (raw["interest_rate"] < 0) | (raw["interest_rate"] > 1000)
        rules.append(("interest_rate", outside, "must lie in 0 to 1000 %"))
    if "origination_date" in raw:
        outside = raw["origination_date"].notna() & ~raw["origination_date"].dt.year.between(*YEARS)
        rules.append(("origination_date", outside, f"must lie in {YEARS[0]} to {YEARS[1]}"))
    for role in raw.select_dtypes("number").columns.difference(["row", "default", "interest_rate"]):
        rules.append((role, raw[role].abs() > LARGEST, f"must be at most {LARGEST:g} in size"))
    fault = raw["fault"].fillna("").astype("string")
    failures = []
    for text, rows in fault[fault != ""].groupby(fault.str.partition(":")[0], sort=True):
        failures.append((text, "cannot be read", len(rows), "; ".join(rows.head(3))))
    for role, broken, rule in rules:
        if broken.any():
            name = column_named[role]
            first = ", ".join(
                f"{value:g} in row {row}" if role != "origination_date" else f"{value:%Y-%m-%d} in row {row}"
                for value, row in raw.loc[broken, [role, "row"]].head(3).itertuples(index=False)
            )
            failures.append((name, rule, int(broken.sum()), first))
            fault = fault.mask(broken, fault + f"; {name} {rule}")
    bad = fault != ""
    quarantined = raw[bad].drop(columns="fault").assign(reason=fault[bad].str.strip("; ")).reset_index(drop=True)
    return Checked(raw[~bad], quarantined, pd.DataFrame(failures, columns=["column", "rule", "rows", "first_five"]))


def _one_row_a_loan(loans: pd.DataFrame, file: str, column_named: Mapping[str, str]) -> None:
    if "loan_id" not in loans:
        return
    name = column_named["loan_id"]
    if loans["loan_id"].isna().any():
        first = loans[loans["loan_id"].isna()].iloc[0]
        raise StudyError(
            f"{file}, row {first['row']}, column {name} is empty: every loan needs its number, or leave loan_id blank."
        )
    if (twice := loans["loan_id"].duplicated(keep=False)).any():
        first = loans.loc[twice].sort_values("row").iloc[0]["loan_id"]
        rows = loans.loc[loans["loan_id"] == first, "row"].head(3)
        raise StudyError(
            f"{file}, column {name}: '{first}' stands in rows {' and '.join(map(str, rows))} "
            f"({int(twice.sum())} rows share a number): give one row a loan, or leave loan_id blank if the column "
            "names clients."
        )


def _columns(good: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the cohort's columns; what the file lacks is a column without values."""
    none = pd.Series(np.nan, good.index)
    no_level = pd.Series(pd.Categorical([None] * len(good)), good.index)

    def category(name: str) -> pd.Series:
        if name not in good:
            return no_level
        return _levels(good[name], MOST_LEVELS if name not in KEYS or name in LUMPED else None)

    columns = {
        "loan_id": good["loan_id"].astype(str) if "loan_id" in good else _named_by_content(good),
        "institution_type": pd.Series(pd.Categorical([study.institution_type] * len(good)), good.index),
        **{name: category(name) for name in ("institution_id", "client_id", *LUMPED)},
    }
    if "origination_date" in good:
        date = good["origination_date"].astype("datetime64[ms]")
        columns["origination_date"] = date
        for name, period in (("month", "M"), ("quarter", "Q"), ("year", "Y")):
            text = date.dt.to_period(period).astype("string").where(date.notna())
            columns[f"origination_{name}"] = text.astype("category") if name == "month" else _levels(text, None)
    else:
        columns["origination_date"] = pd.Series(pd.NaT, good.index, dtype="datetime64[ms]")
        columns |= {f"origination_{name}": no_level for name in ("month", "quarter", "year")}
    if "adoption_date" in good:
        columns |= _adoption(good)
    for name in roles.of_section("columns") + roles.of_section("market"):
        if name not in columns and name not in ("adoption_date", *roles.ENDINGS):
            columns[name] = good[name].astype(float) if name in good else none
    for name in good:
        if name not in columns and name not in ("row", "fault", "default", "treated", *roles.ENDINGS):
            numeric = pd.api.types.is_numeric_dtype(good[name])
            columns[name] = good[name].astype(float) if numeric else category(name)
    if "lottery_stratum" in good:
        columns.setdefault("lottery_unit", columns["loan_id"])
    for name in study.factors:
        columns.setdefault(name, none)
    treated = good.get("treated", none)
    if study.treatment is not None:
        factor = columns[study.treatment.factor]
        treated = (factor >= study.treatment.at_least).astype(float).where(factor.notna())
    columns["treated"] = treated.astype(float)
    columns["default"] = good["default"]
    return pd.DataFrame(columns, index=good.index)


def _adoption(good: pd.DataFrame) -> dict[str, pd.Series]:
    """Return when each loan's institution adopted the practice (missing: never), and whether it had then."""
    dates = good["adoption_date"].astype("datetime64[ms]")
    if "institution_id" not in good or "origination_date" not in good:
        raise StudyError("own.columns.adoption_date needs institution_id and origination_date: map them, or leave it.")
    if (several := dates.groupby(good["institution_id"]).nunique().gt(1)).any():
        raise StudyError(
            f"own.columns.adoption_date: {several.idxmax()} has several dates: give one for each institution_id."
        )
    month = dates.dt.to_period("M")
    adopted = (good["origination_date"].dt.to_period("M") >= month).where(month.notna(), other=False)
    return {
        "adoption_date": dates,
        "adoption_month": month.astype("string").where(month.notna()).astype("category"),
        "adopted": adopted.astype("int64"),
    }


def _named_by_content(good: pd.DataFrame) -> pd.Series:
    """Name loans without a number by a hash of what stands in their rows: the order of the file plays no part.

    Rows with the same content are numbered; which is which makes no difference.
    """
    told = good.drop(columns=["row", "fault"])
    content = pd.Series("", good.index)
    for name in sorted(told):
        content = content + "\x1f" + told[name].astype("string").fillna("")
    hashed = pd.Series([f"{number:016x}" for number in hashes(content.to_numpy(dtype=object), 0).tolist()], good.index)
    return hashed + "-" + hashed.groupby(hashed).cumcount().astype(str)


def _levels(column: pd.Series, most: int | None) -> pd.Series:
    """Return a category in natural order, its rare levels lumped and its empty cells a level of their own."""
    texts = column.astype("string").map(readable, na_action="ignore").astype("string")
    counts = texts.value_counts()
    if most is not None and len(counts) > most:
        kept = sorted(counts.index, key=lambda level: (-counts[level], level))[: most - 1]
        texts = texts.where(texts.isin(kept) | texts.isna(), OTHER)
    levels = sorted(set(texts.dropna().unique()) - {OTHER}, key=_natural)
    tail = [level for level in (OTHER,) if (texts == OTHER).any()]
    if texts.isna().any() and len(levels):
        texts, tail = texts.fillna(NOT_STATED), [*tail, NOT_STATED]
        levels = [level for level in levels if level != NOT_STATED]
    return pd.Series(pd.Categorical(texts.astype(object), [*levels, *tail]), column.index, name=column.name)


def readable(text: str) -> str:
    """Return a level or label without the characters that mean something in Markdown or in a figure."""
    text = re.sub(r"[\[{]", "(", re.sub(r"[\]}]", ")", str(text)))
    text = text.replace("<", "‹").replace(">", "›").replace("|", "/").replace("\\", "/")
    return " ".join(re.sub(r"[*_`$^~#\x00-\x1f]", " ", text).split()) or "(blank)"


def _natural(level: str) -> list[tuple[int, float, str]]:
    """Sort numbers inside text as numbers: 2 before 10, A2 before A10."""
    return [(0, float(part), "") if part.isdecimal() else (1, 0.0, part) for part in re.split(r"(\d+)", level) if part]


def _tidy(loans: pd.DataFrame) -> pd.DataFrame:
    loans = tidy(loans)
    whole = {"default": "int64"}
    if loans["treated"].notna().all():
        whole["treated"] = "int64"
    return loans.astype(whole)


def _schema(cohort: pd.DataFrame) -> pa.DataFrameSchema:
    """Return the schema of this cohort: its columns with their kinds, no loan twice, and amounts above zero."""
    zero_or_one = pa.Check.isin([0, 1])

    def column(name: str) -> pa.Column:
        gaps = bool(cohort[name].isna().any())
        if name in POSITIVE:
            return pa.Column(float, pa.Check.gt(0), nullable=gaps)
        return pa.Column(cohort[name].dtype, nullable=gaps)

    return pa.DataFrameSchema(
        {
            **{name: column(name) for name in cohort},
            "loan_id": pa.Column(str, unique=True),
            "treated": pa.Column(None, zero_or_one, nullable=True),
            "default": pa.Column("int64", zero_or_one),
        },
        strict=True,
    )
