import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from pipeline.runtime.errors import StudyError
from pipeline.stats.discrimination import area, compare


def made_up(seed, n=80):
    rng = np.random.default_rng(seed)
    default = (rng.random(n) < 0.4).astype(int)
    # Rounded, so that there are ties.
    return default, np.round(default + rng.normal(0, 1.5, n), 1), np.round(default + rng.normal(0, 0.8, n), 1)


def by_definition(default, score):
    """Areas and structural components as DeLong et al. define them: every pair is compared."""
    bad, good = score[default == 1], score[default == 0]
    wins = (bad[:, None] > good[None, :]) + 0.5 * (bad[:, None] == good[None, :])
    return wins.mean(), wins.mean(axis=1), wins.mean(axis=0)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_definition(seed):
    default, first, second = made_up(seed)
    found = compare(default, first, second, 0.95)
    (a, a_bad, a_good), (b, b_bad, b_good) = by_definition(default, first), by_definition(default, second)
    assert (found.first.estimate, found.second.estimate) == pytest.approx((a, b))
    assert a == pytest.approx(roc_auc_score(default, first))
    variance = np.var(b_bad - a_bad, ddof=1) / len(a_bad) + np.var(b_good - a_good, ddof=1) / len(a_good)
    assert found.difference.std_error == pytest.approx(variance**0.5)
    alone = np.var(a_bad, ddof=1) / len(a_bad) + np.var(a_good, ddof=1) / len(a_good)
    assert found.first.std_error == pytest.approx(alone**0.5)
    assert found.first.ci_high - found.first.estimate == pytest.approx(1.959964 * alone**0.5, rel=1e-6)


def test_a_score_that_knows_nothing_is_one_half_and_gains_nothing():
    default, first, _ = made_up(1)
    found = compare(default, np.zeros(len(default)), np.zeros(len(default)), 0.95)
    assert found.first.estimate == 0.5
    assert found.difference.estimate == 0
    assert compare(default, first, first, 0.95).difference.std_error == pytest.approx(0, abs=1e-12)


def test_one_kind_of_loan_cannot_be_judged():
    with pytest.raises(StudyError, match="fewer than two"):
        compare(np.ones(9), np.arange(9.0), np.arange(9.0), 0.95)


def in_clusters(seed, sizes, spread=1.0):
    """Loans of clusters that differ in how high they score and in how often they default."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    level, risk = rng.normal(0, spread, (2, len(sizes)))
    truth = rng.normal(size=len(clusters))
    default = (rng.random(len(clusters)) < 1 / (1 + np.exp(1 - truth - risk[clusters]))).astype(float)
    first = truth + level[clusters] + rng.normal(size=len(clusters))
    second = truth + rng.normal(0, 0.8, len(clusters))
    return default, first, second, clusters


def leaving_out(default, score, clusters):
    """The jackknife over clusters, each left out in turn."""
    kept = [clusters != one for one in np.unique(clusters)]
    moved = [roc_auc_score(default[rows], score[rows]) - roc_auc_score(default, score) for rows in kept]
    return ((len(kept) - 1) / len(kept) * np.square(moved).sum()) ** 0.5


def obuchowski(default, score, clusters):
    """Obuchowski (1997), equations of section 3.2, cluster by cluster."""
    area, of_bad, of_good = by_definition(default, score)
    names = np.unique(clusters)
    bad, good = clusters[default == 1], clusters[default == 0]
    x = np.array([(of_bad[bad == one] - area).sum() for one in names])
    y = np.array([(of_good[good == one] - area).sum() for one in names])
    m, n, groups = len(bad), len(good), len(names)
    of_x, of_y = len(set(bad)), len(set(good))
    s10 = of_x / ((of_x - 1) * m) * (x**2).sum()
    s01 = of_y / ((of_y - 1) * n) * (y**2).sum()
    s11 = groups / (groups - 1) * (x * y).sum()
    return area, s10 / m + s01 / n + 2 * s11 / (m * n)


def test_clusters_give_obuchowskis_error_and_delongs_where_each_loan_is_one():
    default, first, second, clusters = in_clusters(0, [8, 9, 7, 5] * 12)
    found = compare(default, first, second, 0.95, clusters)
    for one, score in ((found.first, first), (found.second, second)):
        area, variance = obuchowski(default, score, clusters)
        assert (one.estimate, one.std_error) == pytest.approx((area, variance**0.5), rel=1e-12)
    alone, delong = (compare(default, first, second, 0.95, each) for each in (np.arange(len(default)), None))
    for one, other in zip(alone, delong, strict=True):
        assert (one.estimate, one.std_error) == pytest.approx((other.estimate, other.std_error), rel=1e-12)
    # Student's t with one degree of freedom less than the effective number of clusters.
    sizes = np.bincount(clusters)
    degrees = sizes.sum() ** 2 / (sizes**2).sum() - 1
    half = t.ppf(0.975, degrees) * found.difference.std_error
    assert found.difference.ci_high - found.difference.estimate == pytest.approx(half)


def test_where_a_cluster_dominates_the_error_is_that_of_leaving_clusters_out():
    default, first, second, clusters = in_clusters(1, [3, 60, 14, 2, 20, 11, 7, 6])
    found = compare(default, first, second, 0.95, clusters)
    for one, score in ((found.first, first), (found.second, second)):
        by_sums = obuchowski(default, score, clusters)[1] ** 0.5
        assert one.std_error == pytest.approx(max(by_sums, leaving_out(default, score, clusters)), rel=1e-9)
    rounded = np.round(first)
    both = (obuchowski(default, rounded, clusters)[1] ** 0.5, leaving_out(default, rounded, clusters))
    assert compare(default, rounded, second, 0.95, clusters).first.std_error == pytest.approx(max(both), rel=1e-9)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_cluster_may_dominate_one_kind_of_loan_alone(kind):
    default, first, second, clusters = in_clusters(1, [120] + [8] * 40)
    # Of the other kind the first cluster keeps two loans.
    gone = np.flatnonzero((clusters == 0) & (default != kind))[2:]
    default, first, second, clusters = (np.delete(part, gone) for part in (default, first, second, clusters))
    share = [(clusters[default == one] == 0).mean() for one in (0, 1)]
    assert share[kind] > 0.1 > share[1 - kind]
    by_sums, jackknife = obuchowski(default, first, clusters)[1] ** 0.5, leaving_out(default, first, clusters)
    found = compare(default, first, second, 0.95, clusters).first.std_error
    assert found == pytest.approx(jackknife, rel=1e-9) and jackknife > (1 + 1e-6) * by_sums


@pytest.mark.long
def test_errors_are_those_of_a_bootstrap_over_clusters():
    default, first, second, clusters = in_clusters(5, [30] * 80, 1.5)
    found = compare(default, first, second, 0.95, clusters)
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(clusters == one) for one in rng.integers(0, 80, 80)])
        areas = [roc_auc_score(default[rows], score[rows]) for score in (first, second)]
        drawn.append([*areas, areas[1] - areas[0]])
    spread = np.std(drawn, axis=0)
    assert [one.std_error for one in found] == pytest.approx(spread, rel=0.12)
    # Taken for independent, the loans would promise less than two thirds of that.
    assert compare(default, first, second, 0.95).first.std_error < 0.67 * spread[0]


@pytest.mark.long
@pytest.mark.parametrize(("sizes", "naive"), [([20] * 30, 0.8), ([150] + [10] * 35, 0.7), ([300] + [5] * 100, 0.6)])
def test_clustered_intervals_hold_the_truth_and_independent_ones_do_not(sizes, naive):
    default, first, *_ = in_clusters(99, [1] * 200_000, 1.5)
    truth = roc_auc_score(default, first)
    held = np.zeros(2)
    for seed in range(300):
        default, first, _, clusters = in_clusters(seed, sizes, 1.5)
        for place, labels in enumerate((clusters, None)):
            one = compare(default, first, first, 0.95, labels).first
            held[place] += one.ci_low <= truth <= one.ci_high
    # Three standard errors of 300 samples about the level; a dominant cluster may cost a little more.
    assert 0.91 <= held[0] / 300 <= 0.99
    assert held[1] / 300 < naive


def test_weights_are_copies():
    default, first, second, clusters = in_clusters(3, [4] * 12)
    copies = np.random.default_rng(0).integers(1, 4, len(default))
    found = compare(default, first, second, 0.95, clusters, copies.astype(float))
    repeated = compare(*(np.repeat(one, copies) for one in (default, first, second)), 0.95, np.repeat(clusters, copies))
    for one, other in zip(found, repeated, strict=True):
        assert one == pytest.approx(other, rel=1e-9)
    # Weights of the outcome alone, as where loans were sampled by it, change nothing.
    by_outcome = compare(default, first, second, 0.95, clusters, np.where(default == 1, 1.0, 9.0))
    plain = compare(default, first, second, 0.95, clusters)
    assert by_outcome.first[:2] == pytest.approx(plain.first[:2], rel=1e-9)
    assert area(default, first, copies.astype(float)) == pytest.approx(
        roc_auc_score(default, first, sample_weight=copies)
    )


def test_what_cannot_be_ranked_is_refused():
    default, first, second, clusters = in_clusters(3, [4] * 12)
    missing = np.where(np.arange(48) == 7, np.nan, first)
    with pytest.raises(StudyError, match="1 of 48 loans have no score"):
        compare(default, missing, second, 0.95)
    with pytest.raises(StudyError, match="have no score"):
        compare(default, first, missing, 0.95, clusters)
    with pytest.raises(StudyError, match="have no score"):
        area(default, missing)
    with pytest.raises(StudyError, match="0 or 1"):
        compare(np.where(np.arange(48) == 7, np.nan, default), first, second, 0.95)
    with pytest.raises(StudyError, match="1 of the judged loans have no cluster"):
        compare(default, first, second, 0.95, pd.Series(clusters).where(np.arange(48) != 7))
    with pytest.raises(StudyError, match="two clusters with defaults"):
        compare(default, first, second, 0.95, np.where(default == 1, 0, clusters + 1))
