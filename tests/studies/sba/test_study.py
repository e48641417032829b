import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.shared import Checks
from pipeline.runtime.errors import StudyError
from pipeline.sources.records import load_source
from pipeline.stats.design import column_of
from pipeline.studies.sba import study
from pipeline.studies.sba.rows import LONG_TERM
from tests.studies.sba.made_up import protocol, raw_loans, tables, teaching_case, write_draw

CHECKS = Checks(quarantine_share=0.05, balance=0.1)


def prepare(raw, checks=CHECKS, **changes):
    return study.prepare(tables(raw), protocol(**changes), checks)


def choosing(**choices):
    return {"eligibility": protocol().eligibility | choices}


@pytest.fixture(scope="module")
def raw():
    """Rows that all reach the cohort."""
    return raw_loans(400, 3)


@pytest.fixture(scope="module")
def plain(raw):
    return prepare(raw)


def planted(raw, rows, **values):
    changed = raw.copy()
    for name, value in values.items():
        changed.loc[rows, name] = value
    return changed


def steps(prepared):
    return prepared.flow.set_index("reason")["loans"].to_dict()


ROWS = [3, 50, 101]


# What leaks the outcome


def test_the_term_stands_apart_from_all_that_is_analysed(raw, plain):
    assert "term" in study.NEVER_COVARIATES
    assert "term" not in study.RAW.columns
    other = prepare(raw.assign(term=0.0))
    pd.testing.assert_frame_equal(plain.cohort, other.cohort)
    pd.testing.assert_frame_equal(plain.robustness, other.robustness)
    for name, panel in plain.panels.items():
        assert ("term_months" in panel) == (name == "terms")
        if name != "terms":
            pd.testing.assert_frame_equal(panel, other.panels[name])
    assert plain.panels["terms"].set_index("loan_id")["term_months"].to_dict() == dict(
        zip(raw["loan_nr_chk_dgt"], raw["term"], strict=True)
    )


def test_nothing_that_tells_how_the_loan_went_is_matched_on_or_controlled_for(plain):
    chosen = protocol()
    terms = [term for block in chosen.controls.model_dump().values() for term in block]
    used = {column_of(term) for term in [*terms, *chosen.matching.score, *chosen.matching.exact, *chosen.groups]}
    outcome = {"default", "months_to_default", "loss_given_default", "weight", "term_months"}
    assert not used & (study.NEVER_COVARIATES | outcome)
    assert not study.NEVER_COVARIATES & set(plain.cohort.columns)


def test_covariates_do_not_move_with_the_outcome(raw, plain):
    """What happens to a loan after approval changes its outcome, and nothing of what is known at approval."""
    row = raw.index[raw["mis_status"] == "PIF"][-1]
    failed = planted(raw, [row], mis_status="CHGOFF", chg_off_prin_gr=5_000.0, disbursement_gross=9e5)
    failed.loc[row, "chg_off_date"] = pd.Timestamp("2010-05-05")
    same, other = plain.cohort, prepare(failed).cohort
    outcome = ["default", "months_to_default", "loss_given_default", "weight"]
    pd.testing.assert_frame_equal(same.drop(columns=outcome), other.drop(columns=outcome))
    assert other["default"].sum() == same["default"].sum() + 1


# Reading


def test_the_draws_are_read_as_one_table(tmp_path, raw):
    parts = [raw.iloc[:150].reset_index(drop=True), raw.iloc[150:].reset_index(drop=True)]
    paths = [tmp_path / f"draw{number}.rds" for number in (1, 2)]
    for path, part in zip(paths, parts, strict=True):
        write_draw(path, part)
    expected = raw.assign(draw=[1] * 150 + [2] * 250)
    pd.testing.assert_frame_equal(study.read("sba_loans", paths), expected)


def test_the_classroom_file_is_read_whatever_else_it_holds(tmp_path):
    case = teaching_case(20, 1)
    path = tmp_path / "case.csv"
    path.write_text("\ufeff" + case.assign(Name="FIRM", xx=1).to_csv(index=False), encoding="utf-8")
    pd.testing.assert_frame_equal(study.read("sba_teaching_case", [path]), case)
    path.write_text("Selected,Default\n1,0\n")
    with pytest.raises(StudyError, match="not the teaching case"):
        study.read("sba_teaching_case", [path])


def test_all_files_are_read():
    assert len(study.files(load_source("sba_loans"), [])) == 3


# Loans that several draws hold


def test_a_loan_of_two_draws_is_one_loan(raw, plain):
    prepared = prepare(pd.concat([raw, raw.loc[ROWS].assign(draw=2)]))
    assert steps(prepared)["recorded_twice"] == 3
    pd.testing.assert_frame_equal(prepared.cohort, plain.cohort)


def test_a_code_that_one_draw_lost_comes_from_the_other_in_any_order(raw):
    lost = planted(raw, ROWS, rev_line_cr=None)
    kept = planted(raw, ROWS, rev_line_cr="Y").loc[ROWS]
    for both in (pd.concat([lost, kept]), pd.concat([kept, lost])):
        line = prepare(both).cohort.set_index("loan_id")["relationship_depth_revolving_line"]
        assert line.loc[raw.loc[ROWS, "loan_nr_chk_dgt"]].tolist() == [1, 1, 1]


def test_records_that_contradict_each_other_leave(raw):
    other = raw.loc[ROWS].assign(gr_appv=raw.loc[ROWS, "gr_appv"] + 1)
    prepared = prepare(pd.concat([raw, other]))
    assert steps(prepared)["records_differ"] == 3
    assert not set(prepared.cohort["loan_id"]) & set(raw.loc[ROWS, "loan_nr_chk_dgt"])


def test_the_counts_that_the_protocol_expects_are_met(raw):
    expected = protocol().expected.model_copy(update={"ended": 400, "ended_defaults": 7})
    with pytest.raises(StudyError, match=r"expects 7 \(expected.ended_defaults\)"):
        prepare(raw, expected=expected)


# The sample flow


def test_rows_that_break_nothing_all_reach_the_cohort(raw):
    prepared = prepare(raw)
    assert len(prepared.cohort) == len(raw)
    assert set(steps(prepared).values()) == {0}
    assert len(prepared.panels["loans"]) == len(raw)


@pytest.mark.parametrize(
    ("reason", "values"),
    [
        ("no_disbursement", {"disbursement_date": None}),
        ("disbursed_before_approval", {"disbursement_date": pd.Timestamp("1980-01-01")}),
        ("disbursed_late", {"disbursement_date": pd.Timestamp("2011-01-01")}),
        ("no_lender", {"bank": None}),
        ("no_lender", {"bank": "LOANS FROM OLD CLOSED LENDERS"}),
        ("missing_market", {"state": "WY"}),
        ("missing_borrower", {"new_exist": 0.0}),
        ("outside_programme", {"approval_date": pd.Timestamp("1993-06-01")}),
        (
            "approved_late",
            {"approval_date": pd.Timestamp("2004-01-01"), "disbursement_date": pd.Timestamp("2004-02-01")},
        ),
        ("above_ceiling", {"gr_appv": 150_001.0, "sba_appv": 120_000.0}),
        ("programme_not_stated", {"low_doc": "C"}),
        ("programme_not_stated", {"low_doc": None}),
    ],
)
def test_each_reason_catches_the_rows_planted_for_it(raw, reason, values):
    prepared = prepare(planted(raw, ROWS, **values))
    gone = set(raw["loan_nr_chk_dgt"]) - set(prepared.cohort["loan_id"])
    assert gone == set(raw.loc[ROWS, "loan_nr_chk_dgt"])
    assert {name: count for name, count in steps(prepared).items() if count} == {reason: 3}


def test_paid_in_full_with_a_charge_off_is_a_contradiction(raw):
    paid = raw.index[raw["mis_status"] == "PIF"][:3]
    assert steps(prepare(planted(raw, paid, chg_off_prin_gr=10.0)))["outcome_contradicted"] == 3
    dated = planted(raw, paid, chg_off_date=pd.Timestamp("2009-01-01"))
    assert steps(prepare(dated))["outcome_contradicted"] == 3


def approved(raw, *days):
    """Loans approved on these days, the first rows in turn, and paid out a month later."""
    rows = raw.index[: len(days)]
    months = [pd.Timestamp(day) + pd.Timedelta(days=30) for day in days]
    failed = pd.Series(months, rows) + pd.Timedelta(days=400)
    changed = planted(raw, rows, approval_date=list(map(pd.Timestamp, days)), disbursement_date=months)
    changed.loc[rows, "chg_off_date"] = failed.where(changed.loc[rows, "mis_status"] == "CHGOFF")
    return changed, raw.loc[rows, "loan_nr_chk_dgt"].tolist()


def test_approvals_of_the_months_that_decide_stand_apart_from_later_and_earlier_ones(raw):
    days = ["2003-12-31", "2004-01-01", "2005-09-30", "2007-05-01", "1993-12-01", "1991-02-01"]
    changed, (last, first_late, eligible_late, late, early, oldest) = approved(raw, *days)
    prepared = prepare(changed, **choosing(first_month="1992-01"))
    ids = {name: set(panel["loan_id"]) for name, panel in prepared.panels.items() if "loan_id" in panel}
    cohort, wider = set(prepared.cohort["loan_id"]), set(prepared.robustness["loan_id"])
    assert last in cohort and not {first_late, eligible_late, late, early, oldest} & cohort
    # Little documentation ended in 2005: what was approved after it is in no sample of the treatment.
    assert wider - cohort == ids["later_approvals"] == {first_late, eligible_late}
    assert ids["later"] == {first_late, eligible_late, late}
    # Records of the file begin with a month of their own; older approvals are in neither panel.
    assert {last, early} <= ids["loans"] and oldest not in ids["loans"] | ids["later"]
    assert not ids["loans"] & ids["later"]


def test_the_last_month_that_decides_is_ten_years_and_eight_months_before_the_file_ends():
    last = pd.Period(protocol().eligibility["last_month"], "M")
    assert last + LONG_TERM + 8 == pd.Period("2014-08", "M")


def test_the_ceiling_rises_when_the_protocol_says(raw):
    big = planted(raw, raw.index, gr_appv=120_000.0, sba_appv=96_000.0)
    month = big["approval_date"].dt.to_period("M").astype(str)
    cohort = prepare(big).cohort
    assert len(cohort) == (month >= "1998-10").sum() > 0
    assert cohort["origination_month"].astype(str).min() >= "1998-10"
    assert len(prepare(big, **choosing(ceiling_before=150_000.0)).cohort) == len(raw)


def test_loans_at_other_guarantees_stand_in_the_robustness_sample_alone(raw):
    express = planted(raw, ROWS, sba_appv=raw.loc[ROWS, "gr_appv"] / 2)
    prepared = prepare(express)
    assert steps(prepared)["other_guarantee"] == 3
    assert len(prepared.robustness) == len(prepared.cohort) + 3 == len(raw)
    assert set(prepared.panels["other_guarantees"]["loan_id"]) == set(raw["loan_nr_chk_dgt"])


def test_shares_in_whole_dollars_count_as_the_share_they_mean(raw):
    # 75% of 5,555 dollars is 4,166.25, kept as 4,166.
    rounded = planted(raw, ROWS, gr_appv=5_555.0, sba_appv=4_166.0)
    assert steps(prepare(rounded))["other_guarantee"] == 0


def test_a_row_that_breaks_a_rule_is_set_aside_with_its_reason(raw):
    broken = planted(planted(raw, [3], state="ZZ"), [50], sba_appv=raw.loc[50, "gr_appv"] + 1)
    # Two digits of a year, read as the wrong century.
    broken = planted(broken, [101], approval_date=pd.Timestamp("2071-03-01"))
    prepared = prepare(broken)
    assert steps(prepared)["data_rule"] == 3
    reasons = prepared.quarantined.set_index("loan_nr_chk_dgt")["reason"]
    assert "state: isin" in reasons.loc[raw.loc[3, "loan_nr_chk_dgt"]]
    assert "guarantee_within_loan" in reasons.loc[raw.loc[50, "loan_nr_chk_dgt"]]
    assert "approval_date: in_range" in reasons.loc[raw.loc[101, "loan_nr_chk_dgt"]]


def test_the_order_of_the_rows_plays_no_part(raw):
    again = pd.concat([raw, raw.loc[ROWS].assign(rev_line_cr=None)])
    one, other = prepare(again), prepare(again.iloc[::-1])
    pd.testing.assert_frame_equal(one.cohort, other.cohort)
    pd.testing.assert_frame_equal(one.flow, other.flow)
    for name, panel in one.panels.items():
        if name != "draws":
            pd.testing.assert_frame_equal(panel, other.panels[name])


# Columns


def test_codes_become_factors(raw):
    coded = planted(raw, ROWS, low_doc=["Y", "N", "N"], rev_line_cr=["Y", "N", "T"], bank_state=["CA", "CA", None])
    coded = planted(coded, ROWS, state="CA")
    coded.loc[ROWS[2], "bank_state"] = "NY"
    cohort = prepare(coded).cohort.set_index("loan_id").loc[raw.loc[ROWS, "loan_nr_chk_dgt"]]
    assert cohort["information_sharing"].tolist() == [0, 1, 1]
    assert cohort["treated"].tolist() == [0, 1, 1]
    assert cohort["relationship_depth_revolving_line"].iloc[:2].tolist() == [1, 0]
    assert np.isnan(cohort["relationship_depth_revolving_line"].iloc[2])
    assert cohort["relationship_depth_same_state"].tolist() == [1, 1, 0]


def test_waiting_is_counted_in_months_up_to_a_limit(raw):
    rows = raw.index[raw["mis_status"] == "PIF"][:2]
    changed = raw.copy()
    changed.loc[rows[0], "disbursement_date"] = raw.loc[rows[0], "approval_date"] + pd.Timedelta(days=61)
    changed.loc[rows[1], "disbursement_date"] = raw.loc[rows[1], "approval_date"] + pd.Timedelta(days=1_200)
    cohort = prepare(changed).cohort.set_index("loan_id")
    months = cohort["communication_effectiveness_months"].loc[raw.loc[rows, "loan_nr_chk_dgt"]]
    assert months.tolist() == pytest.approx([61 * 12 / 365.25, study.LONGEST_WAIT])


def test_weights_bring_the_draws_to_the_population(raw):
    prepared = prepare(raw, **choosing(population_charged_off=1_000, population_paid=9_000))
    weight = prepared.cohort.groupby("default")["weight"].sum()
    assert weight.to_dict() == pytest.approx({0: 9_000, 1: 1_000})


def test_the_crosswalk_names_every_spelling(raw, plain):
    table = plain.panels["crosswalk"]
    assert table["loans"].sum() == len(raw)
    assert set(plain.cohort["institution_id"]) == set(table["institution_id"])


def test_choices_that_do_not_fit_are_refused(raw):
    with pytest.raises(StudyError, match=r"studies/sba/params\.yaml: eligibility\.ceiling:"):
        prepare(raw, **choosing(ceiling="much"))
    with pytest.raises(StudyError, match=r"factors: \['loyalty'\] cannot be measured here"):
        prepare(raw, factors=["information_sharing", "loyalty"])


@pytest.mark.skipif(not os.environ.get("CRM_DATA_MIRROR"), reason="CRM_DATA_MIRROR names no folder with public data")
def test_the_published_draws_give_the_counts_that_the_protocol_expects():
    source = load_source("sba_loans")
    folder = Path(os.environ["CRM_DATA_MIRROR"]) / source.folder
    loans = study.read("sba_loans", [folder / file.name for file in source.files])
    merged, differ = study.resolve(loans)
    assert (len(merged), (merged["mis_status"] == "CHGOFF").sum(), differ.sum()) == (63_645, 31_080, 0)
    # By these the months that decide are set.
    failed = merged.loc[merged["mis_status"] == "CHGOFF", "chg_off_date"].dt.to_period("M").astype(str)
    assert (failed.min(), failed.max()) == (protocol().eligibility["first_month"], "2014-08")
