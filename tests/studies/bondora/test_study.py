import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.feather
import pytest

from pipeline.core.params import load
from pipeline.core.shared import Checks
from pipeline.runtime.errors import StudyError
from pipeline.sources.records import load_source
from pipeline.stats.design import column_of
from pipeline.studies.bondora import study
from tests.studies.bondora.sample import PARAMS, protocol, raw_table

CHECKS = Checks(quarantine_share=0.01, balance=0.1)


def prepare(raw, **changes):
    return study.prepare({"bondora": raw}, protocol(**changes), CHECKS)


@pytest.fixture(scope="module")
def raw():
    return raw_table(400, 1)


@pytest.fixture(scope="module")
def prepared(raw):
    return prepare(raw)


def rows_of(raw, cohort):
    """The raw rows behind a cohort: a loan is known by its row."""
    return raw.loc[cohort["loan_id"].astype(int) - 1].reset_index(drop=True)


def test_a_loan_is_known_by_its_row_and_dated_by_the_count_of_days(raw, prepared):
    cohort = prepared.cohort
    behind = rows_of(raw, cohort)
    days = (cohort["origination_date"] - pd.Timestamp("2009-02-28")).dt.days
    np.testing.assert_allclose(days, 1000 * behind["time"])
    assert (cohort["default"] == behind["default"]).all()
    np.testing.assert_allclose(np.log(cohort["amount"]), behind["log.amount"], atol=1e-4)


def test_loans_that_were_watched_briefly_leave_and_stay_in_the_wider_sample(raw, prepared):
    assert prepared.cohort["origination_month"].astype(str).max() <= "2018-12" < "2019"
    assert len(prepared.robustness) == len(raw)
    left = prepared.flow.set_index("reason").loc["watched_briefly", "loans"]
    assert left == len(raw) - len(prepared.cohort) > 0


def test_a_category_without_a_column_that_is_one_is_the_level_that_was_dropped(raw, prepared):
    behind = rows_of(raw, prepared.cohort)
    best = behind[["A", "B", "C"]].eq(0).all(axis=1)
    assert (prepared.cohort["credit_grade"].eq("AA") == best).all() and best.any()
    assert list(prepared.cohort["credit_grade"].cat.categories) == ["AA", "A", "B", "C"]
    assert (prepared.cohort["term"].eq("60") == behind["duration.60"].eq(1)).all()
    neither = behind[["ver.3", "ver.4"]].eq(0).all(axis=1)
    assert (prepared.cohort["information_sharing"] == 1 - neither).all()
    assert (prepared.cohort["information_sharing_expenses"] == behind["ver.4"]).all()


def test_a_returning_customer_is_one_whom_the_platform_does_not_call_new(raw, prepared):
    behind = rows_of(raw, prepared.cohort)
    assert (prepared.cohort["treated"] == 1 - behind["new"]).all()
    record = prepared.cohort["relationship_depth_prior_loans"] > 0
    assert (record != prepared.cohort["treated"].astype(bool)).any()


def test_a_term_is_over_only_where_it_is_known_and_had_run_out(prepared):
    loans = prepared.cohort
    assert (loans.loc[loans["term"] == "other", "term_over"] == 0).all()
    months = loans["watched_years"] * 12
    known = loans[loans["term"] != "other"]
    over = months[known.index] >= known["term"].astype(str).astype(int)
    assert (known["term_over"] == over).all() and over.any() and not over.all()


def test_earlier_repayment_and_interest_are_never_held_fixed():
    terms = load(PARAMS).study("bondora")
    used = [*terms.matching.exact, *terms.matching.score]
    used += [term for block in terms.controls.ladder().values() for term in block]
    assert not {"repaid_early", "interest_rate", *terms.factors} & {column_of(term) for term in used}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": ["loyalty"]}, "cannot be measured here"),
        ({"treatment": None}, "which customers"),
        ({"eligibility": {}}, "must hold last_month"),
    ],
)
def test_a_wrong_protocol_gets_a_sentence(raw, changes, message):
    with pytest.raises(StudyError, match=message):
        prepare(raw, **changes)


def test_what_breaks_a_rule_is_quarantined(raw):
    found = prepare(raw.assign(Age=raw["Age"].mask(raw.index == 7, 7.0)))
    assert found.flow.set_index("reason").loc["data_rule", "loans"] == 1
    assert "Age" in found.quarantined["reason"].item()


def test_the_file_is_read_as_the_preparation_wants_it(tmp_path, raw, prepared):
    path = tmp_path / "loans.feather"
    # Some columns of the published file are whole numbers, and it holds more than are used.
    pyarrow.feather.write_feather(raw.astype({"new": "int32"}).assign(Gender=1.0), path)
    pd.testing.assert_frame_equal(prepare(study.read("bondora", [path])).cohort, prepared.cohort)


def test_the_published_counts_come_out():
    """Against the file: loans and defaults before 2019, and the rates that were known before the study was built."""
    folder = os.environ.get("CRM_DATA_MIRROR")
    if not folder:
        pytest.skip("CRM_DATA_MIRROR names no folder with the platform's file")
    source = load_source("bondora")
    raw = study.read("bondora", [Path(folder, source.folder, file.name) for file in study.files(source, [])])
    assert len(raw) == source.files[0].rows
    found = study.prepare({"bondora": raw}, load(PARAMS).study("bondora"), CHECKS)
    cohort = found.cohort
    assert (len(cohort), cohort["default"].sum()) == (15914, 6975)
    arms = cohort.groupby("treated")["default"].agg(["size", "mean"])
    assert arms["size"].tolist() == [4098, 11816]
    np.testing.assert_allclose(arms["mean"], [0.396, 0.453], atol=6e-4)
    earlier = cohort["relationship_depth_prior_loans"].clip(upper=6)
    rates = cohort.groupby(earlier)["default"].mean()
    np.testing.assert_allclose(rates, [0.381, 0.386, 0.455, 0.476, 0.497, 0.502, 0.496], atol=6e-4)
    assert ((cohort["treated"] == 0) & (earlier > 0)).sum() == 455 and (
        (cohort["treated"] == 1) & (earlier == 0)
    ).sum() == 52
    grades = cohort.groupby("credit_grade", observed=True)["default"].agg(["size", "mean"])
    assert grades["size"].tolist() == [1290, 2214, 5515, 6895]
    np.testing.assert_allclose(grades["mean"], [0.330, 0.419, 0.429, 0.472], atol=6e-4)
    checked = cohort.groupby("verification", observed=True)["default"].agg(["size", "mean"])
    assert checked["size"].to_dict() == {"neither": 7791, "income": 1815, "income_and_expenses": 6308}
    np.testing.assert_allclose(checked["mean"], [0.459, 0.433, 0.414], atol=6e-4)
