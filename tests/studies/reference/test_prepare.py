"""The reference cohort from raw tables: dirt found exactly, nothing from the future, the counts of plain pandas."""

from __future__ import annotations

import ast
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.protocol import Landmark, Study
from pipeline.core.shared import Checks
from pipeline.runtime.engine import Engine
from pipeline.runtime.errors import StudyError
from pipeline.studies.reference import generator, panel, sentiment, study
from pipeline.studies.reference.prepare_months import REACTIVE
from pipeline.studies.reference.prepare_records import KEYS
from pipeline.studies.reference.settings import Settings

SETTINGS = Settings(scale=0.05)
SEED = 11
CHECKS = Checks(quarantine_share=0.01, balance=0.1)
LANDMARK, HORIZON = 6, 12
LAGS = {"unemployment": 2, "gdp_growth": 2, "inflation": 2, "policy_rate": 1}
REASONS = {"duplicate_row": "recorded_twice", "text_in_number": "not_a_number"}
"""The names of the generator's kinds of dirt in the preparation, where they differ."""


def protocol(**changes):
    fields = {
        "factors": list(study.FACTORS),
        "landmark": Landmark(months=LANDMARK, factors=["satisfaction"]),
        "horizon_months": HORIZON,
        "release_lag_months": LAGS,
    }
    return Study.model_construct(**{**fields, **changes})


def prepare(frames, checks=CHECKS, **changes):
    return study.prepare(study.from_frames(frames), protocol(**changes), checks)


def months(dates):
    return dates.dt.year * 12 + dates.dt.month


def changed(frames, **tables):
    return {**frames, **tables}


def same(one, other):
    pd.testing.assert_frame_equal(one.cohort, other.cohort)
    pd.testing.assert_frame_equal(one.panels["loan_months"], other.panels["loan_months"])
    pd.testing.assert_frame_equal(one.flow, other.flow)
    pd.testing.assert_frame_equal(one.quarantined, other.quarantined)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lenders")
    generator.generate(SETTINGS, SEED, folder)
    return folder


@pytest.fixture(scope="module")
def frames():
    return generator.simulate(SETTINGS, SEED, generator.RAW_TABLES)


@pytest.fixture(scope="module")
def prepared(frames):
    return prepare(frames)


@pytest.fixture(scope="module")
def tiny():
    """Few lenders, no dirt: for tests that prepare again and again."""
    return generator.simulate(replace(SETTINGS, institutions=(3, 2, 4)), SEED, generator.RAW_TABLES, dirt=False)


@pytest.fixture(scope="module")
def tiny_prepared(tiny):
    return prepare(tiny)


def starts(frames):
    """Origination month of each loan, from clean records."""
    return pd.Series(months(pd.to_datetime(frames["loans"]["origination_date"])).array, frames["loans"]["loan_id"])


# Dirt and sample flow


def test_cleaning_finds_the_planted_dirt_and_nothing_else(written, prepared):
    record = pd.read_parquet(written / "truth" / "dirty_rows.parquet")
    row_id = record["row_id"].astype(str)
    months_of = record["table"] == "repayments"
    # The generator writes the key of a loan's month as loan_id x 100 + month.
    two_parts = (record["row_id"] // 100).astype(str) + "-" + (record["row_id"] % 100).astype(str)
    planted = record.assign(row_id=row_id.where(~months_of, two_parts), reason=record["kind"].replace(REASONS))
    columns = ["table", "row_id", "column", "reason"]
    planted = planted[columns].sort_values(columns, ignore_index=True)
    found = prepared.quarantined[columns].sort_values(columns, ignore_index=True)
    pd.testing.assert_frame_equal(found, planted, check_dtype=False)
    counts = json.loads((written / "truth" / "truth.json").read_text())["dirt"]["rows"]
    assert prepared.quarantined.groupby("table").size().to_dict() == {
        name: sum(kinds.values()) for name, kinds in counts.items()
    }


def test_clean_records_have_no_dirt(tiny_prepared):
    assert tiny_prepared.quarantined.empty
    assert list(tiny_prepared.quarantined) == ["table", "row_id", "column", "reason", "value", "consequence"]


def test_the_sample_flow_adds_up(frames, prepared):
    flow = prepared.flow.set_index("reason")
    assert flow.loc["read", "remaining"] == len(frames["loans"])
    assert flow["loans"].sum() + flow["remaining"].iloc[-1] == len(frames["loans"])
    assert flow["remaining"].iloc[-1] == len(prepared.cohort)
    assert flow["remaining_defaults"].iloc[-1] == prepared.cohort["default"].sum()
    dirt = prepared.quarantined[prepared.quarantined["table"] == "loans"]
    for reason in ("recorded_twice", "impossible_date"):
        assert flow.loc[reason, "loans"] == (dirt["reason"] == reason).sum() > 0
    assert flow.loc["incomplete_repayments", "loans"] == 0


def test_a_loan_type_that_nobody_knows_is_taken_from_the_application(frames, prepared):
    dirt = prepared.quarantined
    rows = dirt[(dirt["table"] == "loans") & (dirt["column"] == "loan_type")]["row_id"]
    loans = prepared.cohort.set_index("loan_id")["loan_type"]
    rows = [row for row in rows if row in loans.index]
    assert rows
    assert loans.loc[rows].isin(["personal", "car", "home_improvement", "working_capital", "equipment", "trade"]).all()


def test_too_much_dirt_stops_the_study(frames):
    loans = frames["loans"].copy()
    loans.loc[loans.index % 20 == 0, "amount"] = "much"
    with pytest.raises(StudyError, match=r"loans: \d+ of \d+ rows break a data rule.*amount not_a_number"):
        prepare(changed(frames, loans=loans))


def test_rows_that_contradict_each_other_stop_the_study(tiny):
    first = tiny["surveys"].head(1)
    surveys = pd.concat([tiny["surveys"], first.assign(satisfaction=11 - first["satisfaction"])])
    with pytest.raises(StudyError, match="surveys holds different rows with the same survey_id"):
        prepare(changed(tiny, surveys=surveys))


def test_mistakes_are_named(tiny, tmp_path):
    with pytest.raises(StudyError, match="needs the raw tables contacts"):
        study.from_frames({name: frame for name, frame in tiny.items() if name != "contacts"})
    with pytest.raises(StudyError, match=r"institutions\.parquet does not exist"):
        study.load(tmp_path, Engine())
    with pytest.raises(StudyError, match=r"'loyalty'.* cannot be measured"):
        prepare(tiny, factors=["loyalty"])
    with pytest.raises(StudyError, match="recorded for 24 months, fewer than"):
        prepare(tiny, horizon_months=24)
    with pytest.raises(StudyError, match="table loans holds no loan"):
        prepare(changed(tiny, loans=tiny["loans"].iloc[:0]))


# The same cohort from the same records


def test_files_without_the_truth_give_the_cohort_of_the_frames(written, prepared, tmp_path):
    folder = tmp_path / "raw"
    shutil.copytree(written, folder, ignore=shutil.ignore_patterns("truth"))
    assert not (folder / "truth").exists()
    same(study.prepare(study.load(folder, Engine()), protocol(), CHECKS), prepared)


def test_the_preparation_imports_nothing_of_the_truth():
    folder = Path(study.__file__).parent
    for path in (folder / "study.py", *folder.glob("prepare_*.py"), folder / "sentiment.py"):
        named = {
            f"{node.module}.{name.name}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        assert not any(word in name for name in named for word in ("truth", "dirt", "generator", "Course"))


def test_the_order_of_raw_rows_does_not_matter(frames, prepared):
    shuffled = {name: frame.sample(frac=1, random_state=3) for name, frame in frames.items()}
    same(prepare(shuffled), prepared)


def test_how_many_loans_are_taken_at_a_time_does_not_matter(tiny, tiny_prepared, monkeypatch):
    monkeypatch.setattr(panel, "PART", 150)
    parts = prepare(tiny)
    assert len([*parts.panels.parts("loan_months")]) > 2
    same(parts, tiny_prepared)


def test_what_is_not_recorded_is_missing(tiny, tiny_prepared):
    less = prepare({name: frame for name, frame in tiny.items() if name not in study.OPTIONAL})
    absent = ["satisfaction", "information_sharing", "review_sentiment"]
    assert less.cohort[absent].isna().all(axis=None)
    pd.testing.assert_frame_equal(less.cohort.drop(columns=absent), tiny_prepared.cohort.drop(columns=absent))


# Agreement with plain pandas


@pytest.fixture(scope="module")
def clean():
    return generator.simulate(SETTINGS, SEED, generator.RAW_TABLES, dirt=False)


@pytest.fixture(scope="module")
def by_loan(clean):
    return prepare(clean).cohort.assign(loan_id=lambda c: c["loan_id"].astype("int64")).set_index("loan_id")


def test_contacts_and_alerts_are_those_of_plain_pandas(clean, by_loan):
    start = starts(clean)
    open_months = clean["repayments"].query("month_number <= @LANDMARK").groupby("loan_id").size()
    contacts = clean["contacts"]
    early = months(contacts["contact_date"]) - contacts["loan_id"].map(start) <= LANDMARK
    reactive = contacts["reason"].isin(REACTIVE)
    log = clean["loans"].merge(clean["institutions"], on="institution_id").set_index("loan_id")["contact_log_available"]
    for name, kind in (("communication_frequency", ~reactive), ("communication_frequency_client", reactive)):
        count = contacts[early & kind].groupby("loan_id").size().reindex(by_loan.index, fill_value=0)
        expected = (count / open_months.loc[by_loan.index]).where(log.loc[by_loan.index])
        pd.testing.assert_series_equal(by_loan[name], expected, check_names=False)
        assert expected.isna().any()
    warned = clean["alerts"].query("month_number <= @LANDMARK")["loan_id"]
    assert (by_loan["early_warning"] == by_loan.index.isin(warned)).all()


def test_outcomes_are_those_of_plain_pandas(clean, by_loan):
    rows = clean["repayments"].set_index("loan_id")
    default = rows[rows["state"] == "default"]["month_number"].reindex(by_loan.index)
    assert (by_loan["default"] == (default <= HORIZON)).all()
    pd.testing.assert_series_equal(
        by_loan["months_to_default"], default.where(default <= HORIZON).astype(float), check_names=False
    )
    at = rows[(rows["month_number"] == LANDMARK) & rows["state"].isin(["current", "delinquent"])].index
    assert (by_loan["open_at_landmark"] == by_loan.index.isin(at)).all()
    late = default.between(LANDMARK + 1, LANDMARK + HORIZON)
    assert (by_loan["default_after_landmark"] == late).all()
    assert not by_loan.query("open_at_landmark == 0")["default_after_landmark"].any()
    assert by_loan.query("satisfaction.notna()")["open_at_landmark"].all()


def test_stress_arrives_where_an_ordinary_month_is_followed_by_two_low_ones(clean, by_loan):
    inflow = (
        clean["repayments"]
        .query("month_number <= @HORIZON")
        .pivot(index="loan_id", columns="month_number", values="account_inflow_ratio")
    )
    arrives = pd.Series(False, inflow.index)
    for month in range(2, HORIZON):
        arrives |= (inflow[month - 1] >= 0.8) & (inflow[month] < 0.8) & (inflow[month + 1] < 0.8)
    assert (by_loan["stress_within_horizon"] == arrives.loc[by_loan.index]).all()
    assert by_loan["stress_within_horizon"].mean() == pytest.approx(0.15, abs=0.03)


def test_factors_at_origination_are_those_of_plain_pandas(clean, by_loan):
    items = clean["documents"].groupby("loan_id")[["items_shared", "items_requested"]].sum().loc[by_loan.index]
    np.testing.assert_allclose(by_loan["information_sharing"], items["items_shared"] / items["items_requested"])
    loans = clean["loans"].merge(clean["applications"], on="application_id", suffixes=("", "_applied"))
    loans = loans.merge(clean["institutions"], on="institution_id").set_index("loan_id").loc[by_loan.index]
    np.testing.assert_allclose(by_loan["relationship_length"], loans["relationship_months"] / 12)
    np.testing.assert_allclose(by_loan["interest_rate"], 100 * loans["interest_rate"])
    adopted = pd.to_datetime(loans["origination_date"]) >= loans["crm_adoption_date"]
    assert (by_loan["adopted"] == adopted).all()
    assert (by_loan["programme_lot"].notna() == adopted).all()
    assert (by_loan["treated"] == loans["crm_enrolled"]).all()
    assert (
        by_loan["adoption_month"].astype(str).replace("nan", np.nan).notna() == loans["crm_adoption_date"].notna()
    ).all()
    assert list(by_loan["credit_grade"].cat.categories) == list("ABCDE")


def test_the_panel_is_that_of_plain_pandas(tiny, tiny_prepared):
    panel = tiny_prepared.panels["loan_months"]
    panel = panel.assign(loan_id=panel["loan_id"].astype("int64"))
    start = starts(tiny)
    rows = tiny["repayments"].query("month_number <= @HORIZON")
    rows = rows[rows["loan_id"].isin(panel["loan_id"])].reset_index(drop=True)
    assert (
        rows[["loan_id", "month_number"]].to_numpy().tolist() == panel[["loan_id", "month_number"]].to_numpy().tolist()
    )
    contacts = tiny["contacts"].assign(
        month_number=lambda c: months(c["contact_date"]) - c["loan_id"].map(start),
        reactive=lambda c: c["reason"].isin(REACTIVE),
    )
    counts = contacts.groupby(["loan_id", "month_number"])["reactive"].agg(["size", "sum"])
    counts = counts.reindex(pd.MultiIndex.from_frame(rows[["loan_id", "month_number"]]), fill_value=0)
    log = tiny["loans"].merge(tiny["institutions"], on="institution_id").set_index("loan_id")["contact_log_available"]
    known = rows["loan_id"].map(log).to_numpy()
    rows["proactive"] = np.where(known, counts["size"] - counts["sum"], np.nan)
    np.testing.assert_array_equal(panel["proactive_contacts"], rows["proactive"])
    np.testing.assert_array_equal(panel["reactive_contacts"], np.where(known, counts["sum"], np.nan))
    loans = rows.groupby("loan_id")
    before = loans["proactive"].transform(lambda count: count.shift().rolling(3, min_periods=1).mean())
    np.testing.assert_allclose(panel["proactive_before"], before, rtol=1e-6)
    assert panel.loc[panel["month_number"] == 1, "proactive_before"].isna().all()
    state = rows["state"]
    assert (panel["delinquent"] == (state == "delinquent")).all()
    assert (panel["default"] == (state == "default")).all()
    assert (panel["current_at_start"] == (loans["state"].shift().fillna("current") == "current")).all()
    late = (state == "delinquent").astype(float).groupby(rows["loan_id"])
    earlier = late.transform(lambda was: was.shift().rolling(3, min_periods=1).max()).fillna(0)
    assert (panel["delinquent_before"] == earlier).all()
    assert (
        panel.groupby("loan_id")["default"].sum() == tiny_prepared.cohort.set_index("loan_id")["default"].rename(int)
    ).all()


def test_the_market_is_what_was_published(tiny, tiny_prepared):
    """Unemployment of a quarter is known two months after its end, the Treasury bill rate after one."""
    macro = tiny["macro"].set_index(["year", "quarter"])
    cohort = tiny_prepared.cohort.drop_duplicates("origination_month").set_index("origination_month")
    for month, unemployment, rate in (
        ("2002-10", (2002, 2), (2002, 3)),
        ("2003-02", (2002, 4), (2002, 4)),
        ("2003-04", (2002, 4), (2003, 1)),
        ("2003-05", (2003, 1), (2003, 1)),
    ):
        assert cohort.loc[month, "unemployment"] == macro.loc[unemployment, "unemployment"]
        assert cohort.loc[month, "policy_rate"] == macro.loc[rate, "treasury_bill_rate"]


def test_a_loan_granted_before_anything_was_published_leaves(tiny, tiny_prepared):
    macro = tiny["macro"]
    late = prepare(changed(tiny, macro=macro[macro["year"] * 4 + macro["quarter"] >= 2002 * 4 + 4]))
    assert min(late.cohort["origination_month"]) == "2003-02"
    gone = late.flow.set_index("reason").loc["missing_market", "loans"]
    assert gone == len(tiny_prepared.cohort) - len(late.cohort) > 0


# Nothing from the future


def test_records_after_the_landmark_change_no_factor(tiny, tiny_prepared):
    start = starts(tiny)

    def after(frame, date, loan):
        return months(frame[date]) - loan.map(start) > LANDMARK

    client = tiny["loans"].set_index("client_id")["loan_id"]
    contacts, alerts, reviews = tiny["contacts"], tiny["alerts"], tiny["reviews"]
    late = {
        "contacts": after(contacts, "contact_date", contacts["loan_id"]),
        "alerts": after(alerts, "alert_date", alerts["loan_id"]),
        "reviews": after(reviews, "review_date", reviews["client_id"].map(client)),
    }
    assert all(rows.any() and not rows.all() for rows in late.values())
    other = {}
    for name, rows in late.items():
        # Of the late records every other one goes, and the rest stand there twice.
        key, gone = KEYS[name][0], rows & (rows.cumsum() % 2 == 0)
        twice = tiny[name][rows & ~gone]
        assert gone.any() and len(twice)
        other[name] = pd.concat([tiny[name][~gone], twice.assign(**{key: twice[key] + 50_000_000_000_000})])
    pd.testing.assert_frame_equal(prepare(changed(tiny, **other)).cohort, tiny_prepared.cohort)


def test_a_record_moved_behind_the_landmark_stops_counting(tiny, tiny_prepared):
    start = starts(tiny)
    loan = int(
        tiny_prepared.cohort.query("communication_frequency > 0 and early_warning == 1 and satisfaction.notna()")[
            "loan_id"
        ].iloc[0]
    )
    reviewed = int(tiny_prepared.cohort.query("review_sentiment.notna()")["borrower_id"].iloc[0])
    month = start[loan] - 1 + LANDMARK + 1
    late = pd.Timestamp(f"{month // 12}-{month % 12 + 1:02d}-25")
    tables = {}
    for name, date in (("contacts", "contact_date"), ("alerts", "alert_date"), ("surveys", "answer_date")):
        frame = tiny[name]
        tables[name] = frame.assign(**{date: frame[date].mask((frame["loan_id"] == loan) & (frame[date] < late), late)})
    reviews = tiny["reviews"]
    later = reviews["review_date"].mask(reviews["client_id"] == reviewed, pd.Timestamp("2009-09-01"))
    moved = prepare(changed(tiny, **tables, reviews=reviews.assign(review_date=later))).cohort
    row = moved.set_index("loan_id").loc[str(loan)]
    assert row["communication_frequency"] == row["communication_frequency_client"] == row["early_warning"] == 0
    assert np.isnan(row["satisfaction"])
    assert moved.set_index("borrower_id")["review_sentiment"].isna()[str(reviewed)]
    others = moved["loan_id"] != str(loan)
    measured = [name for name in study.FACTORS if name != "review_sentiment"]
    pd.testing.assert_frame_equal(moved.loc[others, measured], tiny_prepared.cohort.loc[others, measured])


def test_the_months_after_the_horizon_change_no_outcome_of_it(tiny, tiny_prepared):
    rows = tiny["repayments"]
    later = rows["month_number"] > HORIZON
    other = rows.assign(
        state=rows["state"].mask(later, "default"),
        account_inflow_ratio=rows["account_inflow_ratio"].mask(later, 0.0),
    )
    found = prepare(changed(tiny, repayments=other))
    after = ["default_after_landmark"]
    pd.testing.assert_frame_equal(found.cohort.drop(columns=after), tiny_prepared.cohort.drop(columns=after))
    pd.testing.assert_frame_equal(found.panels["loan_months"], tiny_prepared.panels["loan_months"])
    beyond = prepare(changed(tiny, repayments=rows[rows["month_number"] <= LANDMARK + HORIZON]))
    same(beyond, tiny_prepared)


def test_loyalty_cannot_be_read_without_the_outcome(clean):
    """Why it is left out: who ever comes back, or leaves, is recorded only for clients without default."""
    loans = clean["loans"]
    dated = loans[loans["next_loan_date"].notna() | loans["left_lender_date"].notna()]["loan_id"]
    defaulted = clean["repayments"].query("state == 'default'")["loan_id"]
    assert len(dated) > len(loans) / 4
    assert not dated.isin(defaulted).any()


# Sentiment


def test_no_text_scores_itself(frames):
    reviews = frames["reviews"].sort_values("review_id")
    texts, stars = list(reviews["text"]), reviews["stars"].to_numpy(dtype=float)
    scores = sentiment.sentiments(texts, stars)
    for row in np.flatnonzero(~np.isnan(stars))[:3]:
        same_words = np.array([text == texts[row] for text in texts])
        other = np.where(same_words, 6 - stars, stars)
        assert (sentiment.sentiments(texts, other)[same_words] == scores[same_words]).all()
        assert (sentiment.sentiments(texts, other) != scores).any()


def test_sentiment_tells_good_from_bad_in_both_languages(frames):
    reviews = frames["reviews"].sort_values("review_id")
    score = pd.Series(sentiment.sentiments(list(reviews["text"]), reviews["stars"]), reviews.index)
    assert score.between(-1, 1).all()
    for language in ("en", "zh"):
        rated = (reviews["language"] == language) & reviews["stars"].notna()
        assert score[rated].corr(reviews.loc[rated, "stars"].astype(float)) > 0.8
    assert np.isnan(sentiment.sentiments(["good", "bad"], [np.nan, np.nan])).all()


def test_sentiment_agrees_with_satisfaction(prepared):
    found = sentiment.agreement(prepared.cohort)
    assert found.loans > 150
    assert found.correlation == pytest.approx(0.5, abs=0.12)
    assert prepared.cohort["review_sentiment"].notna().mean() == pytest.approx(0.10, abs=0.02)
