import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from benchmarks.measures import weighted_difference
from pipeline.runtime.errors import StudyError
from pipeline.stats.randomisation import Studentised, permute
from pipeline.stats.regression import linear_probability
from pipeline.stats.specification_curve import ManyOutcomes, SignChanges, joint, sign_changes


def test_every_sign_is_as_likely_and_drawn_alike_for_a_seed():
    found = sign_changes(3, 8000, 1)
    counts = pd.DataFrame(found.T).value_counts()
    assert len(counts) == 8 and set(np.unique(found)) == {-1, 1}
    assert counts.between(*binom.ppf([0.0001, 0.9999], 8000, 1 / 8)).all()
    assert (found == sign_changes(3, 8000, 1)).all() and (found != sign_changes(3, 8000, 2)).any()


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


def clustered(seed, effect=0.0, banks=40, each=12, strata=6):
    """Loans of banks that differ in how many they treat and in how many default, as strata do, without an effect."""
    rng = np.random.default_rng(seed)
    bank, number = np.repeat(np.arange(banks), each), banks * each
    stratum = rng.integers(0, strata, number)
    risk = stratum / (strata - 1) - 0.5
    leaning, worse = rng.normal(0, 0.7, (2, banks))
    frame = pd.DataFrame({"bank": bank, "stratum": stratum, "size": rng.normal(size=number), "intercept": 1.0})
    frame["treated"] = (rng.normal(size=number) + leaning[bank] + 1.5 * risk > 0).astype(int)
    noise = worse[bank] + 0.3 * frame["size"] + rng.normal(size=number)
    return frame.assign(default=2 * risk + noise + effect * frame["treated"])


def specified(frame, seed):
    """Three specifications of the same loans, none of which holds the strata equal: rows and controls."""
    rows, half = np.arange(len(frame)), np.flatnonzero(np.random.default_rng(seed).random(len(frame)) < 0.5)
    both = frame[["intercept", "size"]].to_numpy()
    return [(rows, both[:, :1]), (rows, both), (half, both[half])]


def curve_of(frame, draws, seed):
    signs, found = sign_changes(frame["bank"].nunique(), draws, seed), []
    arrays = [frame[name].to_numpy() for name in ("treated", "stratum", "bank", "default")]
    for rows, controls in specified(frame, seed):
        treated, stratum, bank, outcome = (array[rows] for array in arrays)
        found.append(SignChanges(treated, controls, stratum, bank)(outcome[:, None], signs))
    return joint(*(np.concatenate(part) for part in zip(*found, strict=True)), 1.96)


@pytest.mark.parametrize("weighted", [False, True])
def test_real_data_come_first_and_are_the_regression_with_strata_of_another_package(weighted):
    import statsmodels.formula.api as smf

    frame = clustered(3, 0.2).assign(weight=np.random.default_rng(1).integers(1, 5, 480) if weighted else 1)
    arrays = (frame[name].to_numpy() for name in ("treated", "stratum", "bank"))
    controls, weights = frame[["intercept", "size"]].to_numpy(), frame["weight"].to_numpy(float)
    treated, stratum, bank = arrays
    changed = SignChanges(treated, controls, stratum, bank, weights if weighted else None)
    signs = np.column_stack([np.ones(40), -np.ones(40), sign_changes(40, 1, 5)[:, 0]])
    effects, errors = changed(frame[["default", "size"]].to_numpy(), signs)

    def of(outcome):
        fit = smf.wls(f"{outcome} ~ treated + size + C(stratum)", frame, weights=weights).fit(
            cov_type="cluster", cov_kwds={"groups": frame["bank"]}
        )
        return fit.params["treated"], fit.bse["treated"], fit

    estimate, error, _ = of("default")
    assert effects[0, :3] == pytest.approx([estimate, estimate, -estimate], rel=1e-8)
    assert errors[0, :3] == pytest.approx([error] * 3, rel=1e-8)
    # A draw is the same regression on what the controls leave of the outcome, with its signs.
    rest = smf.wls("default ~ size + C(stratum)", frame, weights=weights).fit().resid
    frame["drawn"] = rest * signs[frame["bank"], 2]
    estimate, error, _ = of("drawn")
    assert (effects[0, 3], errors[0, 3]) == pytest.approx((estimate, error), rel=1e-8)


def test_strata_that_determine_treatment_leave_nothing_to_test():
    frame = clustered(1)
    treated, bank = frame["treated"].to_numpy(), frame["bank"].to_numpy()
    with pytest.raises(StudyError, match="determine treatment"):
        SignChanges(treated, frame[["intercept"]].to_numpy(), treated, bank)


def test_the_joint_statistics_by_hand():
    effects = np.array([[2.0, 0.1, -0.3], [3.0, -0.2, 0.2], [-1.0, 0.0, 0.1], [1.0, np.nan, 0.0]])
    errors = np.ones_like(effects)
    found = joint(effects, errors, 1.96)
    # The last one has no value in a permutation and takes no part.
    assert found.specifications == 3 and found.permutations == 2
    # Each less its mean over the three columns (.6, 1 and -.3): medians 1.4, -.5 and -.8.
    assert found.median == (pytest.approx(1.4), pytest.approx(1 / 3))
    assert found.share.estimate == pytest.approx(1 / 3)
    assert found.z.estimate == pytest.approx(2.7 / np.sqrt(3))
    assert found.centre == pytest.approx(-0.1 / 6)
    with pytest.raises(StudyError, match="no specification"):
        joint(np.full((2, 3), np.nan), np.ones((2, 3)), 1.96)


WORLDS, DRAWS, ALPHA = 200, 39, 0.1


@pytest.fixture(scope="module")
def without_effect():
    return [clustered(seed) for seed in range(WORLDS)]


@pytest.mark.long
def test_without_an_effect_the_joint_test_rejects_as_often_as_it_says(without_effect):
    found = [curve_of(frame, DRAWS, seed) for seed, frame in enumerate(without_effect)]
    low, high = binom.ppf([0.001, 0.999], WORLDS, ALPHA)
    for statistic in ("median", "z"):
        assert low <= sum(getattr(one, statistic).p_value <= ALPHA for one in found) <= high
    # The share is nought in most worlds, and then as extreme as any: the test may only reject less often.
    assert sum(one.share.p_value <= ALPHA for one in found) <= high
    assert np.mean([one.centre for one in found]) == pytest.approx(0, abs=0.05)


def test_an_effect_is_found():
    found = [curve_of(clustered(seed, 0.6), DRAWS, seed) for seed in range(30)]
    assert sum(one.median.p_value <= ALPHA for one in found) >= 27
    assert sum(one.z.p_value <= ALPHA for one in found) >= 27


def test_loans_that_change_places_one_by_one_would_see_effects_that_are_not_there():
    """Why whole clusters: loans permuted within strata, without errors that know clusters, are no such test."""
    rejected, worlds = 0, 100
    for seed in range(worlds):
        frame = clustered(seed, banks=20, each=40)
        treated, stratum, outcome = (frame[name].to_numpy() for name in ("treated", "stratum", "default"))
        permuted = np.column_stack([treated, permute(treated, np.arange(len(frame)), stratum, DRAWS, seed)]).astype(
            float
        )
        medians = np.median(
            [
                Studentised(outcome[rows], controls, frame["bank"].to_numpy()[rows]).coefficients(permuted[rows])[0]
                for rows, controls in specified(frame, seed)
            ],
            axis=0,
        )
        medians -= medians.mean()
        rejected += (np.abs(medians) >= abs(medians[0]) * (1 - 1e-9)).mean() <= ALPHA
    assert rejected > 1.5 * binom.ppf(0.999, worlds, ALPHA)


def test_a_specification_whose_controls_are_coarser_than_the_strata_is_measured_from_its_draws():
    """A lottery within strata that differ in chances and in default, and a regression without them."""
    found = []
    for seed in range(WORLDS):
        rng = np.random.default_rng(seed)
        stratum = np.repeat(np.arange(6), 20)
        treated = np.concatenate([rng.permutation(np.arange(20) < 4 + 2 * one) for one in range(6)]).astype(int)
        outcome = 0.5 * stratum + rng.normal(size=120)
        permuted = np.column_stack([treated, permute(treated, np.arange(120), stratum, DRAWS, seed)]).astype(float)
        regress = Studentised(outcome, np.ones((120, 1)), np.arange(120))
        found.append(joint(*(part[None] for part in regress.coefficients(permuted)), 1.96))
    # Treatment does nothing, and every draw sees an effect; measured from them it is none.
    assert np.mean([one.centre for one in found]) > 2
    rejected = sum(one.median.p_value <= ALPHA for one in found)
    low, high = binom.ppf([0.001, 0.999], WORLDS, ALPHA)
    assert low <= rejected <= high
