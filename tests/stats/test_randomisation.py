"""Randomisation inference against full enumeration, another implementation, and lotteries without any effect."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import design_matrix
from pipeline.stats.randomisation import permute, randomisation_test, units_of
from pipeline.stats.regression import linear_probability


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(4, 40))
def test_a_permutation_keeps_the_number_of_treated_in_every_stratum(seed, rows):
    rng = np.random.default_rng(seed)
    assignment, stratum = rng.integers(0, 2, rows), rng.integers(0, 3, rows)
    permuted = permute(assignment, np.arange(rows), stratum, 20, seed)
    assert permuted.shape == (rows, 20)
    for one in np.unique(stratum):
        assert (permuted[stratum == one].sum(axis=0) == assignment[stratum == one].sum()).all()


def test_a_branch_is_permuted_as_one_and_its_exceptions_stay_exceptions():
    unit = np.repeat(["a", "b", "c", "d"], 5)
    assignment = np.repeat([1, 1, 0, 0], 5)
    assignment[0], assignment[10] = 0, 1
    permuted = permute(assignment, unit, np.zeros(20), 200, 7)
    for draw in permuted.T:
        by_branch = draw.reshape(4, 5)
        usual = by_branch[:, 4]
        assert usual.sum() == 2
        assert (by_branch[1] == usual[1]).all() and (by_branch[3] == usual[3]).all()
        for branch in (0, 2):
            assert by_branch[branch, 0] == 1 - usual[branch] and (by_branch[branch, 1:] == usual[branch]).all()
    # All six ways to choose two branches of four come up.
    assert len({tuple(draw) for draw in permuted.T}) == 6


def test_permutations_are_the_same_for_a_seed_and_differ_between_seeds():
    assignment, unit, stratum = np.tile([0, 1], 20), np.arange(40), np.zeros(40)
    first = permute(assignment, unit, stratum, 10, 1)
    assert (first == permute(assignment, unit, stratum, 10, 1)).all()
    assert (first != permute(assignment, unit, stratum, 10, 2)).any()


def test_a_unit_in_two_strata_is_refused():
    with pytest.raises(StudyError, match="two strata"):
        permute(np.array([0, 1]), np.array(["a", "a"]), np.array([0, 1]), 5, 1)


def sample(seed, rows=60, clusters=12):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "treated": rng.permutation(np.tile([0, 1], rows // 2)),
            "x": rng.normal(size=rows),
            "cluster": rng.integers(0, clusters, rows),
        }
    )
    return frame.assign(y=0.3 * frame["x"] + rng.normal(size=rows) + 0.2 * frame["cluster"] % 3)


def test_the_statistic_is_the_coefficient_over_its_clustered_error():
    loans = sample(3)
    design = design_matrix(loans, ["treated", "x"]).matrix
    effect = linear_probability(loans["y"], design, "treated", loans["cluster"], 0.95)
    permuted = permute(loans["treated"].to_numpy(), np.arange(len(loans)), np.zeros(len(loans)), 10, 1)
    test = randomisation_test(
        loans["y"].to_numpy(),
        loans["treated"].to_numpy(),
        design.drop(columns="treated").to_numpy(),
        loans["cluster"].to_numpy(),
        permuted,
    )
    assert test.statistic == pytest.approx(effect.estimate / effect.std_error, rel=1e-9)
    assert test.draws == 10


def test_the_p_value_is_the_share_of_all_assignments_that_are_as_far_from_zero():
    """Eight persons, four treated: all seventy assignments, each with the statistic of another implementation."""
    rng = np.random.default_rng(11)
    outcome = rng.normal(size=8)
    treated = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    outcome[treated == 1] += 1
    persons, intercept = np.arange(8), np.ones((8, 1))

    def statistic(assigned):
        design = pd.DataFrame({"intercept": 1.0, "treated": assigned.astype(float)})
        effect = linear_probability(pd.Series(outcome), design, "treated", pd.Series(persons), 0.95)
        return abs(effect.estimate / effect.std_error)

    every = np.array([[int(person in chosen) for person in persons] for chosen in combinations(persons, 4)])
    exact = np.mean([statistic(one) >= statistic(treated) - 1e-9 for one in every])
    # Given every assignment once, the test counts them, and the real one once more.
    found = randomisation_test(outcome, treated, intercept, persons, every.T)
    assert found.p_value == pytest.approx((1 + 70 * exact) / 71)
    # And random permutations come near.
    permuted = permute(treated, persons, np.zeros(8), 20_000, 5)
    close = randomisation_test(outcome, treated, intercept, persons, permuted)
    assert close.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


def test_without_an_effect_small_p_values_come_as_often_as_they_should():
    """A lottery by branch over branches that differ: the person-level error would see effects everywhere."""
    rng = np.random.default_rng(2)
    branch = np.repeat(np.arange(12), 10)
    small = []
    for world in range(300):
        outcome = rng.normal(size=12)[branch] + rng.normal(size=120)
        treated = rng.permutation(np.tile([0, 1], 6))[branch]
        permuted = permute(treated, branch, np.zeros(120), 199, world)
        small.append(randomisation_test(outcome, treated, np.ones((120, 1)), branch, permuted).p_value <= 0.1)
    assert np.mean(small) == pytest.approx(0.1, abs=3 * np.sqrt(0.09 / 300))


def test_an_assignment_that_the_controls_determine_is_refused():
    treated = np.array([0, 1, 0, 1])
    with pytest.raises(StudyError, match="controls determine"):
        randomisation_test(
            np.arange(4.0), treated, np.column_stack([np.ones(4), treated]), np.arange(4), treated[:, None]
        )


def lottery(seed, effect=0.0, strata=8, units=6):
    """A lottery by person within strata that differ in their chances and in their outcomes, clusters across strata."""
    rng = np.random.default_rng(seed)
    stratum = np.repeat(np.arange(strata), units)
    chance = np.where(np.arange(strata) % 2 == 0, 4, 2)
    treated = np.concatenate([rng.permutation(np.arange(units) < number) for number in chance]).astype(int)
    cluster = rng.integers(0, 12, len(stratum))
    outcome = 2.0 * (chance[stratum] == 4) + rng.normal(size=12)[cluster] + rng.normal(size=len(stratum))
    frame = pd.DataFrame({"treated": treated, "stratum": pd.Categorical(stratum), "cluster": cluster})
    return frame.assign(y=outcome + effect * treated)


def by_lottery(frame, terms, draws=199, seed=1, outcome=None):
    assigned, stratum = frame["treated"].to_numpy(), frame["stratum"].cat.codes.to_numpy()
    permuted = permute(assigned, np.arange(len(frame)), stratum, draws, seed)
    y = (frame["y"] if outcome is None else outcome).to_numpy()
    controls = design_matrix(frame, terms).matrix.to_numpy()
    return randomisation_test(y, assigned, controls, frame["cluster"].to_numpy(), permuted)


def test_with_its_strata_the_lottery_centres_on_zero_and_the_regression_is_that_of_other_packages():
    import pyfixest
    import statsmodels.formula.api as smf

    frame = lottery(4, strata=20, units=8)
    found = by_lottery(frame, ["stratum"], 999)
    text = frame.assign(stratum=frame["stratum"].astype(str))
    fit = smf.ols("y ~ treated + C(stratum)", text).fit(cov_type="cluster", cov_kwds={"groups": text["cluster"]})
    assert found.estimate == pytest.approx(fit.params["treated"], rel=1e-9)
    assert found.statistic == pytest.approx(fit.params["treated"] / fit.bse["treated"], rel=1e-9)
    absorbed = pyfixest.feols("y ~ treated | stratum", text, vcov={"CRV1": "cluster"})
    assert found.estimate == pytest.approx(absorbed.coef()["treated"], rel=1e-8)
    assert abs(found.centre) < 3.5 * found.centre_error
    # Without them chances and outcomes go together: the centre is off, by far.
    assert by_lottery(frame, [], 999).centre > 20 * found.centre_error


def test_the_interval_ends_where_the_test_of_the_shifted_outcome_rejects():
    frame = lottery(7, effect=0.5)
    found = by_lottery(frame, ["stratum"])
    assert found.ci_low < found.estimate < found.ci_high
    for end, inside in ((found.ci_low, 1), (found.ci_high, -1)):
        for step, kept in ((inside * 1e-6, True), (-inside * 1e-6, False)):
            p_value = by_lottery(frame, ["stratum"], outcome=frame["y"] - (end + step) * frame["treated"]).p_value
            assert (p_value > 0.05) == kept
    assert found.p_value == by_lottery(frame, ["stratum"]).p_value


def test_of_many_persons_the_interval_is_that_of_the_regression():
    frame = lottery(9, effect=0.3, strata=40, units=10).assign(cluster=np.arange(400))
    found = by_lottery(frame, ["stratum"], 1999)
    design = design_matrix(frame, ["treated", "stratum"]).matrix
    effect = linear_probability(frame["y"], design, "treated", frame["cluster"], 0.95)
    width = effect.ci_high - effect.ci_low
    assert found.ci_low == pytest.approx(effect.ci_low, abs=0.07 * width)
    assert found.ci_high == pytest.approx(effect.ci_high, abs=0.07 * width)


@pytest.mark.long
def test_the_interval_holds_the_effect_as_often_as_it_should():
    held = [
        found.ci_low <= 0.4 <= found.ci_high for found in (by_lottery(lottery(s, 0.4), ["stratum"]) for s in range(200))
    ]
    low, high = binom.ppf([0.001, 0.999], 200, 0.95) / 200
    assert low <= np.mean(held) <= high


def test_too_few_draws_bound_nothing():
    found = by_lottery(lottery(3), ["stratum"], draws=9)
    assert (found.ci_low, found.ci_high) == (-np.inf, np.inf)


def test_whole_clusters_are_permuted_where_none_has_both_arms():
    cluster = np.repeat(np.arange(6), 3)
    shared, mixed = (cluster % 2).astype(int), np.arange(18) % 2
    stratum = cluster // 3
    assert [list(part) for part in units_of(shared, cluster, stratum)] == [list(cluster), list(stratum)]
    # Strata that cut through clusters cannot hold them.
    assert list(units_of(shared, cluster, np.arange(18) % 2)[1]) == [0] * 18
    assert list(units_of(mixed, cluster, stratum)[0]) == list(range(18))
