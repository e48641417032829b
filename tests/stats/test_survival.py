import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight, survdiff

from pipeline.analyses.time.curves import follow_up
from pipeline.runtime.errors import StudyError
from pipeline.stats.survival import MOST, cumulative_incidence, jackknife, jackknife_groups, life_table, log_rank

LAST = 10


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(4)
    number = 600
    lender = rng.integers(0, 12, number)
    treated = (rng.random(number) < 0.3 + 0.03 * lender).astype(int)
    fails = rng.geometric(0.05 + 0.04 * treated, number)
    repays = rng.geometric(0.06, number)
    months = np.minimum(np.minimum(fails, repays), LAST)
    way = np.where(months == fails, 1, np.where(months == repays, 2, 0))
    way[(fails > LAST) & (repays > LAST)] = 0
    return pd.DataFrame({"months": months, "way": way, "treated": treated, "lender": lender})


def test_one_way_out_is_kaplan_meier(loans):
    failed = (loans["way"] == 1).to_numpy()
    table = life_table(loans["months"].to_numpy(), failed.astype(int), 1, loans["lender"].to_numpy(), LAST)
    theirs = SurvfuncRight(loans["months"], failed.astype(int))
    mine = 1 - cumulative_incidence(table)[0, 0]
    assert mine[theirs.surv_times.astype(int) - 1] == pytest.approx(theirs.surv_prob, rel=1e-12)
    assert table.at_risk[0][theirs.surv_times.astype(int) - 1] == pytest.approx(theirs.n_risk)


def test_competing_exits_are_those_of_statsmodels(loans):
    table = life_table(loans["months"].to_numpy(), loans["way"].to_numpy(), 2, loans["lender"].to_numpy(), LAST)
    theirs = CumIncidenceRight(loans["months"], loans["way"])
    for way in range(2):
        mine = cumulative_incidence(table)[0, way]
        assert mine[theirs.times.astype(int) - 1] == pytest.approx(theirs.cinc[way], rel=1e-10)


@pytest.mark.parametrize("months", [[0, 1, 2, 3], [-1, 1, 2, 3], [1, 1.5, 2, 3], [np.nan, 1, 2, 3]])
def test_months_that_are_no_whole_numbers_from_one_are_refused(months):
    months, way = np.array(months), np.array([1, 1, 0, 1])
    with pytest.raises(StudyError, match="whole numbers from 1"):
        life_table(months, way, 1, np.arange(4), 3)
    with pytest.raises(StudyError, match="whole numbers from 1"):
        log_rank(months, way == 1, np.array([0, 1, 0, 1]), np.arange(4), 3)
    with pytest.raises(StudyError, match="0 to 1"):
        life_table(np.array([1, 1, 2, 3]), np.array([2, 1, 0, 1]), 1, np.arange(4), 3)


def test_a_default_on_the_day_of_origination_is_one_is_one_of_month_one():
    cohort = pd.DataFrame({"default": [1, 1, 1, 0, 1], "months_to_default": [0.0, 0.4, 1.2, np.nan, 3.0]})
    followed = follow_up(cohort, None, 3)
    assert followed.months.tolist() == [1, 1, 2, 3, 3]
    table = life_table(followed.months, followed.way, 1, np.arange(5), 3)
    assert table.exits[0, 0].tolist() == [2, 1, 1]
    # Ends of months in continuous time, the first event at nought: no event is lost.
    theirs = SurvfuncRight([0, 1, 2, 3, 3], [1, 1, 1, 0, 1])
    mine = 1 - cumulative_incidence(table)[0, 0]
    assert mine == pytest.approx(theirs.surv_prob[theirs.surv_times >= 1])


def test_cumulative_incidence_by_hand():
    # Five loans: default in 1, repaid in 2, default in 3, repaid in 3, open after 3.
    months, way = np.array([1, 2, 3, 3, 3]), np.array([1, 2, 1, 2, 0])
    table = life_table(months, way, 2, np.arange(5), 3)
    assert table.at_risk[0].tolist() == [5, 4, 3]
    # 1/5; nothing more in month 2; then 3/5 are left, of whom a third defaults.
    assert cumulative_incidence(table)[0, 0] == pytest.approx([0.2, 0.2, 0.4])
    assert cumulative_incidence(table)[0, 1] == pytest.approx([0.0, 0.2, 0.4])
    # Taking repayment for censoring would say more than two fifths ever default.
    alone = life_table(months, (way == 1).astype(int), 1, np.arange(5), 3)
    assert cumulative_incidence(alone)[0, 0, -1] == pytest.approx(1 - 4 / 5 * 2 / 3)


def test_leaving_a_lender_out_is_a_table_without_its_loans(loans):
    whole = life_table(loans["months"].to_numpy(), loans["way"].to_numpy(), 2, loans["lender"].to_numpy(), LAST)
    rest = loans[loans["lender"] != 7]
    alone = life_table(rest["months"].to_numpy(), rest["way"].to_numpy(), 2, rest["lender"].to_numpy(), LAST)
    assert cumulative_incidence(whole)[8] == pytest.approx(cumulative_incidence(alone)[0])


def test_the_jackknife_of_single_loans_is_aalens_error(loans):
    table = life_table(loans["months"].to_numpy(), loans["way"].to_numpy(), 2, np.arange(len(loans)), LAST)
    found = jackknife(cumulative_incidence(table)[:, 0], 0.95)
    theirs = CumIncidenceRight(loans["months"], loans["way"]).cinc_se[0]
    assert [one.std_error for one in found] == pytest.approx(theirs, rel=0.01)


def test_weights_are_copies(loans):
    months, way = loans["months"].to_numpy(), loans["way"].to_numpy()
    copies = np.where(way == 1, 1, 3)
    weighted = life_table(months, way, 2, loans["lender"].to_numpy(), LAST, copies)
    twice = loans.loc[loans.index.repeat(copies)]
    plain = life_table(twice["months"].to_numpy(), twice["way"].to_numpy(), 2, twice["lender"].to_numpy(), LAST)
    assert cumulative_incidence(weighted) == pytest.approx(cumulative_incidence(plain))


def test_the_log_rank_test_is_that_of_statsmodels(loans):
    failed = (loans["way"] == 1).to_numpy()
    arguments = loans["months"].to_numpy(), failed, loans["treated"].to_numpy(), loans["lender"].to_numpy(), LAST
    statistic, p_value = survdiff(loans["months"], failed.astype(int), loans["treated"])
    found = log_rank(*arguments)
    assert (found.chi_squared, found.p_value) == pytest.approx((statistic, p_value))
    statistic, p_value = survdiff(loans["months"], failed.astype(int), loans["treated"], strata=loans["lender"])
    found = log_rank(*arguments, strata=loans["lender"].to_numpy())
    assert (found.chi_squared, found.p_value) == pytest.approx((statistic, p_value))


def test_the_log_rank_test_of_five_loans_by_hand():
    # Month 1: one of five leaves, treated; month 2: nobody; month 3: two of three, the treated one and another.
    months, left = np.array([1, 3, 2, 3, 3]), np.array([True, True, False, True, False])
    treated = np.array([1, 1, 0, 0, 0])
    found = log_rank(months, left, treated, np.arange(5), 3)
    # Month 1: 2/5 expected, variance 2/5 x 3/5; month 3: two of three leave, 2/3 expected, 2 x 1/3 x 2/3 x 1/2.
    assert (found.observed, found.expected) == pytest.approx((2, 2 / 5 + 2 / 3))
    assert found.chi_squared == pytest.approx((2 - 16 / 15) ** 2 / (6 / 25 + 2 / 9))


def test_the_clustered_log_rank_test_is_the_score_test_of_a_cox_regression(loans):
    # Breslow's partial likelihood at nought: scores by loan, summed by lender.
    months, failed = loans["months"].to_numpy(), (loans["way"] == 1).to_numpy()
    arm, lender = loans["treated"].to_numpy(), loans["lender"].to_numpy()
    score = np.zeros(len(loans))
    for month in range(1, LAST + 1):
        there = months >= month
        share, rate = arm[there].mean(), (failed & (months == month)).sum() / there.sum()
        score += ((failed & (months == month)) - there * rate) * (arm - share)
    sums = np.bincount(lender, score)
    found = log_rank(months, failed, arm, lender, LAST)
    assert found.clustered == pytest.approx(sums.sum() ** 2 / (12 / 11 * (sums**2).sum()))


def test_lenders_that_differ_make_the_plain_test_see_too_much():
    plain = clustered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        lender = np.repeat(np.arange(20), 40)
        treated = (np.arange(20) % 2)[lender]
        months = np.minimum(rng.geometric(0.05 * np.exp(0.6 * rng.normal(size=20))[lender]), 6)
        left = (months < 6) | (rng.random(800) < 0.05)
        found = log_rank(months, left, treated, lender, 6)
        plain += found.p_value < 0.05
        clustered += found.clustered_p < 0.05
    assert plain > 60
    assert clustered < 25


def test_arms_that_never_meet_are_a_sentence():
    with pytest.raises(StudyError, match="both arms"):
        log_rank(np.array([1, 2]), np.array([True, True]), np.array([1, 1]), np.array([0, 1]), 2)


def test_many_clusters_are_split_into_groups():
    assert jackknife_groups(np.array(["b", "a", "b"])).tolist() == [1, 0, 1]
    assert jackknife_groups(np.arange(5 * MOST)).max() == MOST - 1
