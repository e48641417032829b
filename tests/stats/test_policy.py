"""Rules of treatment: values by hand, and on simulated loans whose potential outcomes are known."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from pipeline.runtime.errors import StudyError
from pipeline.stats.early_warning import share
from pipeline.stats.policy import (
    PENALTIES,
    Learned,
    avoided,
    by_lot,
    halves,
    learn,
    r_learner,
    ridge,
    tiers,
    top,
    untreated_scores,
)

LEVEL = 0.95


class World:
    """Loans whose treatment depends on what is measured; it helps where the second column is high, else it harms."""

    def __init__(self, number: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.design = rng.normal(size=(number, 3))
        first, second, _ = self.design.T
        self.without = 1 / (1 + np.exp(-(-1.0 + 0.7 * first)))
        self.with_it = np.clip(self.without - 0.12 * second, 0.02, 0.98)
        self.treated = (rng.random(number) < 1 / (1 + np.exp(-0.8 * first))).astype(int)
        risk = np.where(self.treated == 1, self.with_it, self.without)
        self.event = (rng.random(number) < risk).astype(int)
        self.part = halves(number, [seed])
        self.alone = np.arange(number)

    @property
    def true(self) -> np.ndarray:
        return self.without - self.with_it

    def value(self, rule: np.ndarray, gain: np.ndarray):
        return share(rule * gain, np.ones(len(gain)), self.alone, LEVEL)


@pytest.fixture(scope="module")
def world():
    return World(20_000, 1)


@pytest.fixture(scope="module")
def learned(world):
    return learn(world.design, world.treated, world.event, world.part)


def test_scores_by_hand():
    learned = Learned(np.array([0.5, 0.2]), np.array([0.3, 0.4]), np.array([0.1, 0.3]), np.zeros(2))
    treated, event = np.array([1, 0]), np.array([0, 1])
    # With treatment .1 + (0 - .1)/.5 = -.1 and .3; without it .3 and .4 + (1 - .4)/.8 = 1.15.
    assert untreated_scores(treated, event, learned) == pytest.approx([0.3, 1.15])
    assert avoided(treated, event, learned) == pytest.approx([0.4, 0.85])
    # The lot moves half a place either way; expected are .5 x .1 + .5 x .3 = .2 and .2 x .3 + .8 x .4 = .38.
    lot = by_lot(np.array([1, 0]), treated, event, learned)
    assert lot.event == pytest.approx([0.5 * 0.2, 0.5 * 0.62])
    assert lot.treated == pytest.approx([0.5 * 0.5, 0.5 * 0.2])


def test_halves_are_equal_and_follow_the_seed_alone():
    part = halves(101, [7])
    assert part.sum() == 50
    assert np.array_equal(part, halves(101, [7]))
    assert not np.array_equal(part, halves(101, [8]))


def test_values_are_near_the_truth(world, learned):
    scores = avoided(world.treated, world.event, learned)
    for rule in (np.ones(len(scores)), world.design[:, 1] > 0, world.design[:, 0] > 0.5):
        found = world.value(rule, scores)
        truth = (rule * world.true).mean()
        assert abs(found.estimate - truth) < 4 * found.std_error
        assert found.std_error < 0.008


def test_raw_rates_would_not_be(world):
    raw = world.event[world.treated == 0].mean() - world.event[world.treated == 1].mean()
    assert abs(raw - world.true.mean()) > 0.08


@pytest.mark.long
def test_intervals_hold_the_truth_as_often_as_they_say():
    held = 0
    for seed in range(40):
        world = World(1000, seed)
        learned = learn(world.design, world.treated, world.event, world.part)
        rule = world.design[:, 1] > 0
        found = world.value(rule, avoided(world.treated, world.event, learned) - world.true)
        held += found.ci_low < 0 < found.ci_high
    assert held >= 34


def test_the_learned_rule_beats_everybody_and_no_rule_beats_the_true_benefit(world, learned):
    best = world.value(world.true > 0, world.true).estimate
    mine = world.value(learned.benefit > 0, world.true)
    assert mine.ci_low > world.value(np.ones(len(world.true)), world.true).ci_high
    assert mine.estimate > 0.9 * best
    rng = np.random.default_rng(2)
    for rule in (learned.benefit > 0, learned.untreated > 0.3, *(rng.random((20, len(world.true))) < 0.5)):
        assert world.value(rule, world.true).estimate <= best + 1e-12


def test_benefit_follows_the_true_one(world, learned):
    assert np.corrcoef(learned.benefit, world.true)[0, 1] > 0.9
    assert learned.benefit.mean() == pytest.approx(world.true.mean(), abs=0.02)


def test_no_benefit_is_made_up_where_treatment_does_nothing():
    rng = np.random.default_rng(3)
    design = rng.normal(size=(8000, 5))
    treated = rng.integers(0, 2, 8000)
    event = (rng.random(8000) < 1 / (1 + np.exp(2 - design[:, 0]))).astype(int)
    found = r_learner(design[:4000], treated[:4000], event[:4000], design[4000:])
    assert np.abs(found.mean()) < 0.03
    assert found.std() < 0.03


def test_what_is_learned_for_a_half_does_not_know_its_outcomes(world, learned):
    event = world.event.copy()
    event[world.part == 0] = 1 - event[world.part == 0]
    other = learn(world.design, world.treated, event, world.part)
    for mine, theirs in zip(learned, other, strict=True):
        assert np.array_equal(mine[world.part == 0], theirs[world.part == 0])
    assert not np.array_equal(learned.benefit[world.part == 1], other.benefit[world.part == 1])


def test_the_top_share_of_each_part():
    score, part = np.array([1.0, 3, 2, 2, 5, 4]), np.array([0, 0, 0, 0, 1, 1])
    assert top(score, 0.5, part).tolist() == [False, True, True, False, True, False]
    assert top(score, 1.0, part).all()


def test_tiers_begin_at_their_thresholds():
    assert tiers(np.array([0.0, 0.02, 0.049, 0.05, 0.5]), 0.02, 0.05).tolist() == [0, 1, 1, 2, 2]


def test_an_arm_without_events_is_a_sentence(world):
    with pytest.raises(StudyError, match="nobody defaults"):
        learn(world.design, world.treated, world.event * world.treated, world.part)


def test_the_lottery_finds_what_hidden_quality_distorts():
    rng = np.random.default_rng(5)
    number = 40_000
    design, hidden, lot = rng.normal(size=(number, 2)), rng.normal(size=number), rng.integers(0, 2, number)
    treated = (rng.random(number) < 1 / (1 + np.exp(-(1.5 * hidden + 2.5 * (lot - 0.5))))).astype(int)
    risk = 1 / (1 + np.exp(1 + hidden - 0.5 * design[:, 0]))
    event = (rng.random(number) < risk - 0.05 * treated * (design[:, 1] > 0)).astype(int)
    learned = learn(design, treated, event, halves(number, [5]))
    alone, alike = np.arange(number), design[:, 1] > 0
    plain = share(alike * avoided(treated, event, learned), alike.astype(float), alone, LEVEL)
    assert plain.ci_low > 0.06
    found = by_lot(lot, treated, event, learned)
    drawn = share(alike * found.event, alike * found.treated, alone, LEVEL)
    assert drawn.ci_low < 0.05 < drawn.ci_high
    assert 0.005 < drawn.std_error < 0.03


def test_units_and_columns_that_never_vary_change_no_benefit(world):
    rows, wanted = slice(0, 3_000), slice(3_000, 4_000)
    plain = r_learner(world.design[rows], world.treated[rows], world.event[rows], world.design[wanted])
    other = np.column_stack([world.design * [100, 0.01, 1] + [5, 0, 0], np.full(len(world.design), 7.0)])
    found = r_learner(other[rows], world.treated[rows], world.event[rows], other[wanted])
    assert found == pytest.approx(plain, abs=1e-5)
    assert plain.std() > 0.03


@pytest.mark.parametrize("noise", [0.1, 1.0, 30.0])
def test_the_ridge_and_its_penalty_are_those_of_scikit_learn(noise):
    rng = np.random.default_rng(4)
    x, weights = rng.normal(size=(500, 6)), rng.random(500) + 0.01
    x[:, 5] = x[:, 4]
    y = x @ rng.normal(size=6) + noise * rng.normal(size=500)
    theirs = RidgeCV(alphas=PENALTIES).fit(x, y, sample_weight=weights)
    intercept, slopes = ridge(x, y, weights)
    assert [intercept, *slopes] == pytest.approx([theirs.intercept_, *theirs.coef_], abs=1e-10)
