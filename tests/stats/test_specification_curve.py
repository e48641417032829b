import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.stats import binom

from pipeline.core.errors import StudyError
from pipeline.stats.matched_effects import weighted_difference
from pipeline.stats.randomisation import Studentised
from pipeline.stats.regression import linear_probability
from pipeline.stats.specification_curve import ManyOutcomes, exchanges, joint


@settings(max_examples=40, deadline=None)
@given(some.lists(some.integers(0, 4), min_size=1, max_size=40), some.integers(0, 9))
def test_loans_change_places_within_their_strata(strata, seed):
    stratum = np.array(strata)
    found = exchanges(stratum, 5, seed)
    assert (np.sort(found, axis=0) == np.arange(len(stratum))[:, None]).all()
    assert (stratum[found] == stratum[:, None]).all()
    assert (found == exchanges(stratum, 5, seed)).all()


def test_every_arrangement_is_as_likely():
    found = exchanges(np.zeros(3), 6000, 1)
    counts = pd.DataFrame(found.T).value_counts()
    assert len(counts) == 6
    assert counts.between(*binom.ppf([0.0001, 0.9999], 6000, 1 / 6)).all()


def loans(number, seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"size": rng.normal(size=number), "cluster": rng.integers(0, number // 3, number)})
    frame["treated"] = (rng.random(number) < 0.4).astype(int)
    return frame.assign(default=(rng.random(number) < 0.2 + 0.1 * (frame["size"] > 0)).astype(int), intercept=1.0)


# Clusters of about three loans are added up one by one, those of many in one go.
@pytest.mark.parametrize("coarser", [1, 40])
def test_many_outcomes_are_as_many_regressions(coarser):
    frame = loans(400, 2)
    frame["cluster"] //= coarser
    controls = frame[["intercept", "size"]]
    outcomes = np.column_stack([frame["default"], np.roll(frame["default"], 5)]).astype(float)
    effects, errors = ManyOutcomes(frame["treated"].to_numpy(), controls.to_numpy(), frame["cluster"].to_numpy())(
        outcomes
    )
    for place in range(2):
        outcome = pd.Series(outcomes[:, place])
        by_hand = linear_probability(
            outcome, controls.assign(treated=frame["treated"]), "treated", frame["cluster"], 0.95
        )
        assert effects[place] == pytest.approx(by_hand.estimate, rel=1e-9)
        assert errors[place] == pytest.approx(by_hand.std_error, rel=1e-9)


def test_weighted_sets_are_as_a_weighted_difference():
    frame = loans(400, 3)
    weight = np.random.default_rng(1).integers(1, 4, 400) / 2
    regress = ManyOutcomes(frame["treated"].to_numpy(), np.ones((400, 1)), frame["cluster"].to_numpy(), weight)
    effects, errors = regress(frame[["default"]].to_numpy(dtype=float))
    arrays = (frame[name].to_numpy() for name in ("default", "treated"))
    by_hand = weighted_difference(*arrays, weight, 0.95, clusters=frame["cluster"].to_numpy())
    assert (effects[0], errors[0]) == pytest.approx((by_hand.estimate, by_hand.std_error), rel=1e-9)


def test_a_treatment_that_the_controls_determine_has_no_effect():
    frame = loans(60, 4)
    controls = frame[["intercept", "treated"]].to_numpy(dtype=float)
    with pytest.raises(StudyError, match="determine treatment"):
        ManyOutcomes(frame["treated"].to_numpy(), controls, frame["cluster"].to_numpy())
    regress = Studentised(frame["default"].to_numpy(), controls, frame["cluster"].to_numpy())
    assert np.isnan(regress.coefficients(frame[["treated"]].to_numpy(dtype=float))[0]).all()


def test_the_joint_statistics_by_hand():
    effects = np.array([[2.0, 0.1, -0.3], [3.0, -0.2, 0.2], [-1.0, 0.0, 0.1], [1.0, np.nan, 0.0]])
    errors = np.ones_like(effects)
    found = joint(effects, errors, 1.96)
    # The last one has no value in a permutation and takes no part.
    assert found.specifications == 3 and found.permutations == 2
    assert found.median == (2.0, pytest.approx(1 / 3))
    assert found.share.estimate == pytest.approx(2 / 3)
    assert found.z.estimate == pytest.approx(4 / np.sqrt(3))
    with pytest.raises(StudyError, match="no specification"):
        joint(np.full((2, 3), np.nan), np.ones((2, 3)), 1.96)


def curve_of(frame, draws, seed):
    """Three specifications that share loans: without and with a control, and on half of the loans."""
    permuted = exchanges(frame["grade"].to_numpy(), draws, seed)
    places = np.column_stack([np.arange(len(frame)), permuted])
    outcomes, treated = frame["default"].to_numpy(dtype=float)[places], frame["treated"].to_numpy()
    alone, half = np.arange(len(frame)), np.arange(len(frame)) % 2 == 0
    controls = frame[["intercept", "grade"]].to_numpy()
    found = [
        ManyOutcomes(treated, controls, alone)(outcomes),
        ManyOutcomes(treated, np.column_stack([controls, frame["size"]]), alone)(outcomes),
        ManyOutcomes(treated[half], controls[half], alone[half])(outcomes[half]),
    ]
    return joint(*(np.array(part) for part in zip(*found, strict=True)), 1.96)


def simulated(number, effect, seed):
    rng = np.random.default_rng(seed)
    grade = rng.integers(0, 2, number)
    treated = (rng.random(number) < 0.3 + 0.3 * grade).astype(int)
    default = (rng.random(number) < 0.2 + 0.3 * grade + effect * treated).astype(int)
    made = {"grade": grade, "treated": treated, "default": default, "size": rng.normal(size=number), "intercept": 1.0}
    return pd.DataFrame(made)


def test_the_joint_test_rejects_as_often_as_it_should_and_finds_what_is_there():
    worlds, draws, alpha = 300, 39, 0.1
    null = [curve_of(simulated(150, 0.0, seed), draws, seed) for seed in range(worlds)]
    # Grade goes with treatment and with default, so that loans may not change places across grades.
    for statistic in ("median", "z"):
        rejected = sum(getattr(one, statistic).p_value <= alpha for one in null)
        low, high = binom.ppf([0.001, 0.999], worlds, alpha)
        assert low <= rejected <= high
    # The share is nought in most worlds, and then as extreme as any: the test may only reject less often.
    assert sum(one.share.p_value <= alpha for one in null) <= binom.ppf(0.999, worlds, alpha)
    there = [curve_of(simulated(400, -0.2, seed), draws, seed) for seed in range(20)]
    assert sum(one.z.p_value <= alpha for one in there) >= 18
