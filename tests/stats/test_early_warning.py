"""Early warning: hand-worked months, another implementation's areas, and a planted signal found with its lead."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import norm

from pipeline.runtime.errors import StudyError
from pipeline.stats.discrimination import compare, placements
from pipeline.stats.early_warning import (
    ahead,
    at_risk,
    calibration,
    caught_at_random,
    clustered_areas,
    in_time,
    lead_times,
    matched_difference,
    median_by_clusters,
    relative_change,
    riskiest,
    share,
    signals,
)
from pipeline.stats.histories import shifted
from pipeline.stats.logistic import predicted_log_odds

LEVEL = 0.95

# Three loans: one pays, one is late in months 2 and 3 and defaults in month 4, one ends after month 2.
LOAN = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
MONTH = np.array([1, 2, 3, 4, 1, 2, 3, 4, 1, 2])
DEFAULT = np.array([0, 0, 0, 0, 0, 0, 0, 1, 0, 0])
LATE = np.array([0, 0, 0, 0, 0, 1, 1, 0, 0, 0])
SCORE = np.array([0.1, 0.1, 0.1, 0.2, 0.3, 0.1, 0.6, 0.9, 0.2, 0.2])


def months(**more):
    current = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1, 1])
    columns = {"month_number": MONTH, "current_at_start": current, "delinquent": LATE, **more}
    return pd.DataFrame(columns)


def test_earlier_months_of_the_same_loan_alone():
    found = shifted(np.arange(10.0), LOAN, MONTH, 2)
    assert np.array_equal(found, [np.nan, np.nan, 0, 1, np.nan, np.nan, 4, 5, np.nan, np.nan], equal_nan=True)


def test_a_month_that_is_not_on_record_is_not_the_one_before_it():
    assert np.isnan(shifted(np.array([1.0, 2.0]), np.array([0, 0]), np.array([1, 3]), 1)).all()


def test_windows_count_their_own_month_and_are_complete_only_inside_the_table():
    found = ahead(LOAN, MONTH, DEFAULT, 2)
    assert found.event.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 0, 0]
    assert found.complete.tolist() == [True, True, True, False] * 2 + [True, True]
    assert found.default_month.tolist() == [0] * 4 + [4] * 4 + [0] * 2


def test_signals_know_nothing_of_their_own_month():
    plain = signals(months(), LOAN)
    assert plain["late_recent"].tolist() == [0, 0, 0, 0, 0, 0, 1, 2, 0, 0]
    assert plain["late_before"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 0, 0]
    assert plain["late_two_months"].tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    changed = months()
    changed.loc[7, "delinquent"] = 1
    pd.testing.assert_frame_equal(signals(changed, LOAN), plain)


def test_contacts_without_a_log_are_marked_and_no_zeros():
    contacts = np.array([1, 3, 0, 2, *[np.nan] * 4, 0, 0], dtype=float)
    found = signals(months(proactive_contacts=contacts), LOAN)
    assert found["proactive_contacts"].iloc[2] == pytest.approx(np.log(3))
    assert found["no_contact_log"].tolist() == [1, 0, 0, 0, 1, 1, 1, 1, 1, 0]
    assert found.notna().all().all()


def test_precision_recall_and_lead_by_hand():
    # One of the open loans in each of months 1 to 4 (of 3, 3, 2, 2).
    alerted = riskiest(SCORE, MONTH, LOAN, 0.5)
    assert np.flatnonzero(alerted).tolist() == [4, 6, 7, 9]
    found = ahead(LOAN, MONTH, DEFAULT, 2)
    judged = found.complete
    hit, event = alerted[judged].astype(float), found.event[judged].astype(float)
    clusters = LOAN[judged]
    # Judged are months 1 to 3: alerts in all three, one of them (month 3) ahead of the default.
    assert share(hit * event, hit, clusters, LEVEL).estimate == pytest.approx(1 / 3)
    assert share(hit * event, event, clusters, LEVEL).estimate == 1
    lead = lead_times(LOAN, MONTH, alerted, found.default_month)
    assert (lead.months.tolist(), lead.loan.tolist(), lead.defaulted.tolist()) == ([3], [1], [1])


# Five loans: default in month 3, alerted in month 3 alone; default in month 3, alerted in months 2 and 3; default in
# month 5, alerted in month 1; default in month 2, never alerted; no default, alerted throughout.
ENDS = np.array([3, 3, 5, 2, 0])
OF = np.repeat(np.arange(5), [3, 3, 5, 2, 4])
AT = np.concatenate([np.arange(1, length + 1) for length in (3, 3, 5, 2, 4)])
ALERTED = np.isin(10 * OF + AT, [3, 12, 13, 21, 41, 42, 43, 44])


def test_an_alert_is_in_time_from_the_month_before_the_month_of_default():
    timely = in_time(AT, ENDS[OF])
    assert AT[timely & (OF == 0)].tolist() == [1, 2]
    assert not timely[OF == 4].any()
    assert AT[in_time(AT, ENDS[OF], 3) & (OF == 2)].tolist() == [1, 2]
    lead = lead_times(OF, AT, ALERTED, ENDS[OF])
    assert (lead.loan.tolist(), lead.months.tolist(), lead.defaulted.tolist()) == ([1, 2], [1, 4], [0, 1, 2, 3])
    # After the month of default nothing counts either.
    assert lead_times(OF, AT, OF == 0, np.where(OF == 0, 1, 0)).months.tolist() == []


@pytest.mark.parametrize("before", [1, 2, 3])
def test_random_alerts_catch_as_many_as_all_their_draws_do_on_average(before):
    """Loans of the calendar months 0 to 3, of which 1, 2, 0 and 1 are alerted: every way to draw them is counted."""
    loan, month = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2]), np.array([1, 2, 3, 4, 1, 2, 3, 1, 2])
    period = np.array([0, 1, 2, 3, 0, 1, 2, 1, 2])
    default_month = np.array([4, 0, 2])[loan]
    number = {0: 1, 1: 2, 2: 0, 3: 1}
    alerted = np.zeros(9, dtype=bool)
    for one, many in number.items():
        alerted[np.flatnonzero(period == one)[:many]] = True
    ways = [itertools.combinations(np.flatnonzero(period == one), many) for one, many in number.items()]
    caught = []
    for drawn in itertools.product(*ways):
        chosen = np.isin(np.arange(9), np.concatenate([*map(list, drawn)]).astype(int))
        lead = lead_times(loan, month, chosen, default_month)
        caught.append(np.isin([0, 2], lead.loan[lead.months >= before]))
    assert len(caught) == 2 * 3 * 1 * 1
    found = caught_at_random(loan, month, period, alerted, default_month, before)
    assert found == pytest.approx(np.mean(caught, axis=0), abs=1e-12)


def loans_at_a_constant_risk(seed, loans=400, length=12, hazard=0.03):
    """Return loan numbers, months, calendar months and default months of loans that all run the same risk."""
    rng = np.random.default_rng(seed)
    when = rng.geometric(hazard, loans)
    when = np.where(when > length, 0, when)
    ends = np.where(when > 0, when, length)
    loan = np.repeat(np.arange(loans), ends)
    month = np.concatenate([np.arange(1, end + 1) for end in ends])
    return loan, month, month - 1 + rng.integers(0, 6, loans)[loan], when[loan]


def test_a_random_score_catches_what_random_alerts_are_expected_to():
    loan, month, period, default_month = loans_at_a_constant_risk(1)
    rng = np.random.default_rng(2)
    gains = []
    for _ in range(400):
        alerted = riskiest(rng.normal(size=len(loan)), period, loan, 0.1)
        lead = lead_times(loan, month, alerted, default_month)
        chance = caught_at_random(loan, month, period, alerted, default_month)
        gains.append(np.isin(lead.defaulted, lead.loan).mean() - chance.mean())
    assert abs(np.mean(gains)) < 3 * np.std(gains, ddof=1) / 20
    # A standard error of half a point or less, where a tenth and more is caught.
    assert np.std(gains, ddof=1) / 20 < 0.005 and chance.mean() > 0.1


def test_a_worse_score_leads_by_longer_and_catches_no_more_than_chance():
    loan, month, period, default_month = loans_at_a_constant_risk(3, loans=4000)
    rng = np.random.default_rng(4)
    near = in_time(month, default_month) & (default_month - month <= 3)
    found = {}
    for name, score in {"good": near + rng.normal(0, 0.2, len(loan)), "random": rng.normal(size=len(loan))}.items():
        alerted = riskiest(score, period, loan, 0.05)
        lead = lead_times(loan, month, alerted, default_month)
        chance = caught_at_random(loan, month, period, alerted, default_month)
        gain = share(np.isin(lead.defaulted, lead.loan) - chance, np.ones(len(chance)), lead.defaulted, LEVEL)
        found[name] = lead.months.mean(), gain
    assert found["random"][0] > found["good"][0] + 1
    assert found["good"][1].ci_low > 0.3
    assert found["random"][1].ci_low < 0 < found["random"][1].ci_high


def test_the_risk_set_holds_those_that_default_later_and_nobody_who_has():
    default_month, last = np.array([3, 5, 0, 0]), np.array([3, 5, 6, 2])
    assert at_risk(3, last, default_month).tolist() == [True, True, True, False]
    assert at_risk(4, last, default_month).tolist() == [False, True, True, False]
    # Records that go on after default are none of a loan at risk.
    assert at_risk(4, np.full(4, 6), default_month).tolist() == [False, True, True, True]


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 3)), min_size=1, max_size=60),
    st.floats(0.01, 0.99),
    st.randoms(use_true_random=False),
)
def test_capacity_is_respected_in_every_period_and_the_order_of_rows_is_no_matter(rows, capacity, random):
    score, period = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    loan = np.arange(len(rows))
    alerted = riskiest(score, period, loan, capacity)
    for number in np.unique(period):
        inside = period == number
        assert alerted[inside].sum() == int(np.floor(capacity * inside.sum() + 1e-9))
        if alerted[inside].any() and not alerted[inside].all():
            rest = np.round(score[inside & ~alerted], 6).max()
            assert np.round(score[inside & alerted], 6).min() >= rest
    order = np.array(random.sample(range(len(rows)), len(rows)))
    assert np.array_equal(riskiest(score[order], period[order], loan[order], capacity), alerted[order])


def test_area_at_one_age_by_hand():
    event = np.array([1, 0, 1, 0, 0])
    first = np.array([0.9, 0.1, 0.4, 0.4, 0.2])
    # Six pairs: the first bad beats all three, the second beats two and ties with one.
    found = clustered_areas(event, first, -first, np.arange(5), LEVEL)
    assert found.first.estimate == pytest.approx(5.5 / 6)
    assert found.difference.estimate == pytest.approx(-2 * (5.5 / 6 - 0.5))


def test_areas_are_delongs_when_every_row_is_a_cluster():
    rng = np.random.default_rng(1)
    event = (rng.random(3000) < 0.2).astype(int)
    first, second = event + rng.normal(0, 1.5, 3000), event + rng.normal(0, 1, 3000)
    mine, theirs = clustered_areas(event, first, second, np.arange(3000), LEVEL), compare(event, first, second, LEVEL)
    for one, other in zip(mine, theirs, strict=True):
        assert one.estimate == pytest.approx(other.estimate, abs=1e-12)
        assert one.std_error == pytest.approx(other.std_error, rel=2e-3)


def test_copies_of_a_loan_widen_no_interval_when_clusters_say_so():
    rng = np.random.default_rng(2)
    event = (rng.random(500) < 0.3).astype(int)
    score = event + rng.normal(0, 1.5, 500)
    once = clustered_areas(event, score, -score, np.arange(500), LEVEL).first
    copied = [np.repeat(values, 4) for values in (event, score, -score, np.arange(500))]
    assert clustered_areas(*copied, LEVEL).first.std_error == pytest.approx(once.std_error)
    alone = clustered_areas(*copied[:3], np.arange(2000), LEVEL).first.std_error
    assert alone == pytest.approx(once.std_error / 2, rel=0.01)


def test_areas_need_two_of_each_kind():
    with pytest.raises(StudyError, match="at least two"):
        clustered_areas(np.array([1, 0, 0]), np.arange(3), np.arange(3), np.arange(3), LEVEL)


def test_a_share_is_the_mean_when_every_row_counts_once():
    rng = np.random.default_rng(3)
    values = (rng.random(400) < 0.3).astype(float)
    found = share(values, np.ones(400), np.arange(400), LEVEL)
    assert found.estimate == values.mean()
    assert found.std_error == pytest.approx(values.std(ddof=1) / 20)


def test_calibration_of_true_probabilities_and_of_ones_that_are_too_extreme():
    import statsmodels.api as sm

    rng = np.random.default_rng(4)
    log_odds = rng.normal(-2, 1, 20_000)
    event = (rng.random(20_000) < 1 / (1 + np.exp(-log_odds))).astype(int)
    clusters = np.arange(20_000)
    true = calibration(event, log_odds, clusters, LEVEL)
    assert true.slope.ci_low < 1 < true.slope.ci_high
    assert true.ratio.ci_low < 1 < true.ratio.ci_high
    extreme = calibration(event, 2 * log_odds, clusters, LEVEL)
    theirs = sm.Logit(event, sm.add_constant(2 * log_odds)).fit(disp=0, cov_type="HC0")
    assert extreme.slope.estimate == pytest.approx(theirs.params[1], rel=1e-6)
    assert extreme.slope.std_error == pytest.approx(theirs.bse[1], rel=1e-3)
    assert extreme.slope.ci_high < 1
    # Both p-values are of the hypothesis that predictions are right: one.
    for found in (true.slope, true.ratio, extreme.slope, extreme.ratio):
        assert found.p_value == pytest.approx(2 * norm.sf(abs(found.estimate - 1) / found.std_error))


def test_counted_rows_give_the_scores_of_repeated_ones():
    rng = np.random.default_rng(5)
    design, event, weights = rng.normal(size=(200, 3)), rng.integers(0, 2, 200), rng.integers(1, 5, 200)
    every = np.repeat(np.arange(200), weights)
    # The scale of the columns is that of the distinct rows in one and of all rows in the other; the ridge is the same.
    counted = predicted_log_odds(design, event, design, weights)
    repeated = predicted_log_odds(design[every], event[every], design)
    assert counted == pytest.approx(repeated, abs=0.02)


def test_matched_difference_is_a_regression_with_an_effect_for_every_stratum_of_cases():
    values = np.array([1.0, 0, 1, 0, 0, 1, 1, 1])
    case = np.array([1, 0, 0, 1, 1, 0, 0, 1])
    stratum = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    # Stratum 0: 1 less 1/2; stratum 1: 0 less 1, twice; stratum 2 has no others.
    found, cases, others, number = matched_difference(values, case, stratum, np.arange(8), LEVEL)
    assert (cases, others, number) == (pytest.approx(1 / 3), pytest.approx(5 / 6), 3)
    assert found.estimate == pytest.approx(-0.5)


def test_matched_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(300):
        stratum = rng.integers(0, 4, 400)
        case = (rng.random(400) < 0.1 + 0.1 * stratum).astype(int)
        values = (rng.random(400) < 0.2 + 0.1 * stratum + 0.1 * case).astype(float)
        found = matched_difference(values, case, stratum, np.arange(400), LEVEL)[0]
        held += found.ci_low < 0.1 < found.ci_high
    assert 0.91 < held / 300 < 0.985


def test_median_of_whole_clusters():
    values = np.array([1, 1, 2, 3, 3, 3])
    found = median_by_clusters(values, np.array([0, 0, 0, 1, 1, 1]), LEVEL, 500, [1])
    assert (found.estimate, found.ci_low, found.ci_high) == (2, 1, 3)
    with pytest.raises(StudyError):
        median_by_clusters(values, np.zeros(6, dtype=int), LEVEL, 500, [1])


def test_relative_change():
    found = relative_change(np.array([0.0, 50, 100, -50]), np.array([0.0, 100, 50, 50]))
    assert found == pytest.approx([0, -1 / 3, 1 / 3, -1])


def test_a_planted_signal_is_found_with_its_lead():
    """Two in a hundred loans default in month 9, and all of them are late for the first time in month 5."""
    rng = np.random.default_rng(7)
    loans, length = 2000, 12
    loan, month = np.repeat(np.arange(loans), length), np.tile(np.arange(1, length + 1), loans)
    # Ties go to lower numbers, so no defaulting loan is alerted by its number.
    bad = np.arange(loans) >= loans - 40
    kept = ~(bad[loan] & (month > 9))
    loan, month = loan[kept], month[kept]
    default = (bad[loan] & (month == 9)).astype(int)
    late = (bad[loan] & (month >= 5) & (month < 9)).astype(int)
    current = 1 - np.nan_to_num(shifted(late.astype(float), loan, month, 1))
    table = pd.DataFrame({"month_number": month, "current_at_start": current, "delinquent": late})
    found = ahead(loan, month, default, 5)
    known = signals(table, loan).to_numpy()
    static = rng.normal(size=loans)[loan]
    half = loan % 2 == 0
    fit = half & found.complete
    score = predicted_log_odds(known[fit], found.event[fit], known[~half])
    areas = clustered_areas(found.event[~half], static[~half], score, loan[~half], LEVEL)
    assert areas.difference.ci_low > 0.2
    alerted = riskiest(score, month[~half], loan[~half], 0.02)
    lead = lead_times(loan[~half], month[~half], alerted, found.default_month[~half])
    # Late in month 5 is known at the beginning of month 6, three whole months before month 9.
    assert len(lead.loan) == len(lead.defaulted) == 20
    assert np.median(lead.months) == 3


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_each_row_beats_the_rows_of_the_other_kind_below_it(rows):
    score, bad = np.array([float(one) for one, _ in rows]), np.array([kind for _, kind in rows])
    assume(0 < bad.sum() < len(bad))
    above = (score[:, None] > score) + (score[:, None] == score) / 2
    of_bad, of_good = placements(bad, score)
    assert of_bad == pytest.approx(above[bad][:, ~bad].mean(axis=1))
    assert of_good == pytest.approx(1 - above[~bad][:, bad].mean(axis=1))


def test_a_row_that_stands_there_several_times_counts_as_often():
    rng = np.random.default_rng(6)
    parts = rng.integers(0, 2, 60).astype(float), rng.integers(0, 2, 60), rng.integers(0, 3, 60), rng.integers(0, 9, 60)
    times = rng.integers(1, 4, 60)
    once = matched_difference(*parts, LEVEL, times)
    repeated = matched_difference(*(np.repeat(part, times) for part in parts), LEVEL)
    assert once[0] == pytest.approx(repeated[0])
    assert once[1:] == pytest.approx(repeated[1:])
