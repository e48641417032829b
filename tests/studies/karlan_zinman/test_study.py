import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.params import load
from pipeline.core.shared import Checks
from pipeline.runtime.errors import StudyError
from pipeline.sources.records import load_source
from pipeline.stats.design import column_of, design_matrix
from pipeline.stats.randomisation import permute, randomisation_test
from pipeline.studies.karlan_zinman import study
from tests.studies.karlan_zinman.sample import PARAMS, protocol, raw_offers

CHECKS = Checks(quarantine_share=0.01, balance=0.1)


def prepare(raw, **changes):
    return study.prepare({"karlan_zinman": raw}, protocol(**changes), CHECKS)


@pytest.fixture(scope="module")
def raw():
    return raw_offers(2000, 1)


@pytest.fixture(scope="module")
def prepared(raw):
    return prepare(raw)


def test_the_flow_counts_letters_loans_and_waves(raw, prepared):
    left = prepared.flow.set_index("reason")["loans"]
    borrowed = raw["tookup"] == 1
    assert left["no_loan"] == (~borrowed).sum()
    assert left["other_wave"] == (borrowed & (raw["wave"] == 1)).sum()
    assert prepared.flow["remaining"].iloc[0] == 2000
    assert prepared.flow["remaining"].iloc[-1] == len(prepared.cohort) == (borrowed & (raw["wave"] > 1)).sum()
    assert prepared.flow["remaining_defaults"].iloc[-1] == prepared.cohort["default"].sum()


def test_the_offers_hold_every_letter_and_outcomes_of_borrowers_only(raw, prepared):
    offers = prepared.panels["offers"]
    assert len(offers) == len(raw)
    assert (offers["default"].notna() == (offers["took_up"] == 1)).all()
    loans = offers[offers["loan_id"].isin(prepared.cohort["loan_id"])].reset_index(drop=True)
    assert (loans["default"].to_numpy() == prepared.cohort["default"].to_numpy()).all()


def test_outcomes_are_shares_of_the_loan_and_the_threshold_is_a_parameter(raw):
    for above in (0.1, 0.2):
        cohort = prepare(raw, eligibility={"waves": [2, 3], "past_due_above": above}).cohort
        rows = raw.set_index(raw["row"].map("{:05d}".format)).loc[cohort["loan_id"]]
        share = (rows["pstdue_average"] / rows["loansize"]).to_numpy()
        np.testing.assert_allclose(cohort["past_due_share"], share)
        assert (cohort["default"] == (share > above)).all()
        assert (cohort["past_due_any"] == (share > 0)).all()
        assert (cohort["past_due_above_fifth"] == (share > 0.2)).all()


def test_other_waves_can_be_studied(raw):
    cohort = prepare(raw, eligibility={"waves": [3], "past_due_above": 0.1}).cohort
    assert set(cohort["origination_month"]) == {"2003-10"}
    assert list(cohort["stratum"].cat.categories) == ["2003-10, low", "2003-10, medium", "2003-10, high"]


def test_the_lottery_drew_branches_in_the_second_wave_and_clients_in_the_third(prepared):
    offers = prepared.panels["offers"]
    by_wave = {
        month: rows.groupby("lottery_unit")["treated"]
        for month, rows in offers.groupby("origination_month", observed=True)
    }
    assert by_wave["2003-09"].ngroups == 12 and (by_wave["2003-09"].nunique() == 1).all()
    assert by_wave["2003-10"].size().max() == 1
    assert (offers.groupby("lottery_unit")["lottery_stratum"].nunique() == 1).all()
    # Clients were drawn within branch and risk class.
    third = offers[offers["origination_month"] == "2003-10"]
    assert (third.groupby("lottery_stratum")[["institution_id", "credit_grade"]].nunique() == 1).all(axis=None)


def test_clients_of_a_branch_with_few_letters_stay_as_drawn(raw):
    few = raw.copy()
    chosen = few.index[few["wave"] == 2][:5]
    few.loc[chosen, "branchuse"] = "FEW"
    offers = prepare(few).panels["offers"]
    rows = offers[offers["institution_id"] == "FEW"]
    assert rows["lottery_unit"].is_unique and rows["lottery_stratum"].is_unique and len(rows) == 5


def test_the_order_of_rows_plays_no_part(raw, prepared):
    again = prepare(raw.sample(frac=1, random_state=3))
    pd.testing.assert_frame_equal(again.cohort, prepared.cohort)
    pd.testing.assert_frame_equal(again.flow, prepared.flow)
    pd.testing.assert_frame_equal(again.panels["offers"], prepared.panels["offers"])


def test_missing_borrowers_leave_and_broken_rows_are_quarantined(raw):
    damaged = raw.copy()
    borrowers = damaged.index[(damaged["tookup"] == 1) & (damaged["wave"] > 1)]
    damaged.loc[borrowers[0], "age"] = 0.0
    damaged.loc[borrowers[1], "trcount"] = np.nan
    damaged.loc[borrowers[2], "risk"] = "NONE"
    prepared = prepare(damaged)
    left = prepared.flow.set_index("reason")["loans"]
    assert left["missing_borrower"] == 2 and left["data_rule"] == 1
    assert prepared.quarantined["reason"].tolist() == ["risk: isin(['LOW', 'MEDIUM', 'HIGH'])"]


def test_nothing_chosen_after_the_letter_is_a_covariate():
    protocol = load(PARAMS).study("karlan_zinman")
    terms = [*protocol.matching.exact, *protocol.matching.score]
    terms += [term for block in protocol.controls.ladder().values() for term in block]
    outcomes = {"default", "past_due_share", "past_due_any", "past_due_above_fifth"}
    assert not {column_of(term) for term in terms} & (study.POST_OFFER | outcomes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eligibility": {"waves": [4], "past_due_above": 0.1}}, "there is no wave"),
        ({"eligibility": {"waves": [2]}}, "must hold waves and past_due_above"),
        ({"factors": ["satisfaction"]}, "cannot be measured here"),
        ({"treatment": None}, "which factor was drawn by lot"),
    ],
)
def test_a_wrong_protocol_gets_a_sentence(raw, changes, message):
    with pytest.raises(StudyError, match=message):
        prepare(raw, **changes)


def test_counts_that_are_not_met_stop_the_study(raw):
    expected = load(PARAMS).study("karlan_zinman").expected
    with pytest.raises(StudyError, match=r"expected\.ended"):
        study.prepare({"karlan_zinman": raw}, protocol(expected=expected), CHECKS)


def test_the_file_is_read_as_the_preparation_wants_it(tmp_path, raw, prepared):
    path = tmp_path / "letters.dta"
    raw.drop(columns="row").assign(comment="not read").to_stata(path, write_index=False)
    read = study.read("karlan_zinman", [path])
    assert list(read) == [*study.RAW.columns, "row"]
    pd.testing.assert_frame_equal(prepare(read).cohort, prepared.cohort, rtol=1e-6)


def test_the_published_sample_and_effects_come_out():
    """Against the authors' file: 3,455 loans at 88 branches, and the effects that the design document records."""
    folder = os.environ.get("CRM_DATA_MIRROR")
    if not folder:
        pytest.skip("CRM_DATA_MIRROR names no folder with the authors' file")
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    source = load_source("karlan_zinman")
    raw = study.read("karlan_zinman", [Path(folder) / source.folder / source.files[0].name])
    assert len(raw) == source.files[0].rows
    cohort = study.prepare({"karlan_zinman": raw}, load(PARAMS).study("karlan_zinman"), CHECKS).cohort
    assert len(cohort) == 3455 and cohort["institution_id"].nunique() == 88

    # With the strata within which the lottery was drawn, 142 of branch and risk class in the third wave.
    third = cohort[cohort["origination_month"] == "2003-10"]
    assert third["lottery_stratum"].nunique() == 142
    design = design_matrix(cohort, ["treated", "stratum", "lottery_stratum", "offer_rate", "interest_rate"]).matrix
    fit = sm.OLS(cohort["default"], design).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(cohort["institution_id"])[0]}
    )
    assert (fit.params["treated"], fit.bse["treated"]) == pytest.approx((-0.0274, 0.0154), abs=5e-5)
    assert fit.pvalues["treated"] == pytest.approx(0.075, abs=5e-4)
    units = (cohort[name].to_numpy() for name in ("treated", "lottery_unit", "lottery_stratum"))
    test = randomisation_test(
        cohort["default"].to_numpy(),
        cohort["treated"].to_numpy(),
        design.drop(columns="treated").to_numpy(),
        cohort["institution_id"].to_numpy(),
        permute(*units, 1999, 1),
    )
    assert test.p_value == pytest.approx(0.092, abs=0.015)

    def effect(outcome, loans):
        text = loans.assign(stratum=loans["stratum"].astype(str))
        # The recorded errors carry no small-sample correction.
        fit = smf.ols(f"{outcome} ~ treated + stratum + offer_rate + interest_rate", text).fit(
            cov_type="cluster",
            cov_kwds={"groups": pd.factorize(loans["institution_id"])[0], "use_correction": False},
        )
        return fit.params["treated"], fit.bse["treated"]

    known = {
        "past_due_share": (-0.0186, 0.0088, 5e-5),
        "past_due_any": (-0.041, 0.017, 5e-4),
        "default": (-0.033, 0.014, 5e-4),
        # Recorded as -.021; it is -.0205.
        "past_due_above_fifth": (-0.0205, 0.013, 1e-4),
    }
    for outcome, (estimate, error, tolerance) in known.items():
        found = effect(outcome, cohort)
        assert found[0] == pytest.approx(estimate, abs=tolerance)
        assert found[1] == pytest.approx(error, abs=5e-4)
    assert effect("past_due_share", third) == pytest.approx((-0.0303, 0.0122), abs=5e-5)
