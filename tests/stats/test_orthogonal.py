import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression

from pipeline.runtime.errors import StudyError
from pipeline.stats.cross_fitting import Nuisances, assign_folds, cross_fit, features, hashes, penalised_logit
from pipeline.stats.inference import Effect
from pipeline.stats.logistic import maximum
from pipeline.stats.orthogonal import balancing, effect_on_treated, median_of


def probability(index):
    return 1 / (1 + np.exp(-index))


def world(loans, seed, effect=0.08):
    """Loans whose treatment goes, not in a straight line, to those who default anyway; the effect on each is given."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(loans, 3))
    score = probability(-0.4 + 1.2 * (np.abs(x[:, 0]) - 0.8) + 0.8 * x[:, 1])
    risk = 0.15 + 0.25 * probability(2 * np.abs(x[:, 0]) - 2 + x[:, 1])
    treated = (rng.random(loans) < score).astype(int)
    default = (rng.random(loans) < risk - effect * treated).astype(int)
    return x, treated, default, score, risk


def names(loans):
    return np.array([f"L{number:06d}" for number in range(loans)])


def fitted(learner, loans=6000, seed=3, folds=3):
    x, treated, default, *_ = world(loans, seed)
    fold = assign_folds(hashes(names(loans), "test"), 2 * treated + default, folds)
    return x, treated, default, cross_fit(learner, x, treated, default, fold)


def test_folds_are_even_in_every_cell_and_do_not_depend_on_the_order_of_rows():
    hashed, cell = hashes(names(1001), "salt"), np.arange(1001) % 4
    fold = assign_folds(hashed, cell, 5)
    table = pd.crosstab(cell, fold).to_numpy()
    assert table.max() - table.min() <= 1 and np.ptp(np.bincount(fold)) <= 1
    order = np.random.default_rng(0).permutation(1001)
    assert (assign_folds(hashes(names(1001)[order], "salt"), cell[order], 5) == fold[order]).all()
    # Another repetition, or another salt, is another split: a fifth of the loans fall into the same fold.
    for other in (assign_folds(hashed, cell, 5, 1), assign_folds(hashes(names(1001), "more"), cell, 5)):
        assert 0.14 < (other == fold).mean() < 0.26


def test_the_penalised_logit_is_that_of_scikit_learn():
    x, treated, _, *_ = world(800, 1)
    weights = np.random.default_rng(2).uniform(0.5, 3, 800)
    z = (x - x.mean(0)) / x.std(0)
    theirs = LogisticRegression(C=1 / 7.0, tol=1e-10, max_iter=1000).fit(z, treated, weights / weights.mean())
    ours = penalised_logit(x, treated, weights, penalty=7.0)
    assert ours(x) == pytest.approx(theirs.predict_proba(z)[:, 1], abs=1e-5)


def test_the_start_does_not_move_the_maximum():
    x, treated, _, *_ = world(900, 6)
    whole, part = penalised_logit(x, treated), penalised_logit(x[:800], treated[:800])
    # The scale is that of the start, so the penalty differs a little.
    assert penalised_logit(x[:800], treated[:800], start=whole)(x) == pytest.approx(part(x), abs=2e-4)


def test_a_start_on_the_wrong_side_of_a_rare_category_is_left():
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.normal(size=4000), np.arange(4000) < 7])
    y = (rng.random(4000) < 0.5).astype(float)
    never, once = y.copy(), y.copy()
    never[:7], once[:7] = 0, [1, 1, 0, 1, 0, 1, 1]
    start = penalised_logit(x, never)
    assert start(x)[0] < 0.02
    assert penalised_logit(x, once, start=start)(x) == pytest.approx(penalised_logit(x, once)(x), abs=1e-7)


def test_a_start_that_leads_nowhere_costs_steps_and_no_fit():
    generator = np.random.default_rng(0)
    x = np.eye(150)[generator.integers(0, 150, 2000)]
    y = (generator.random(2000) < 0.3).astype(float)
    whole = penalised_logit(x, y)
    far = whole._replace(slopes=np.where(np.arange(151) % 2 == 0, 100.0, -100.0))
    z = np.column_stack([np.ones(len(x)), (x - whole.centre) / whole.spread])
    assert maximum(z, y, ridge=np.append(0.0, np.ones(150)), start=far.slopes) is None
    assert penalised_logit(x, y, start=far)(x) == pytest.approx(whole(x), abs=1e-9)


def test_the_penalised_logit_has_a_maximum_where_one_arm_is_alone():
    x = np.r_[np.zeros(50), np.ones(50)][:, None]
    share = penalised_logit(x, x[:, 0])(x)
    assert share[0] < 0.1 and share[-1] > 0.9
    assert penalised_logit(x, np.zeros(100))(x).max() < 1e-3


def test_trees_take_categories_by_their_order():
    frame = pd.DataFrame({"grade": pd.Categorical(["B", "A"], ["A", "B"]), "size": [1.5, 2.0]})
    assert features(frame).tolist() == [[1.0, 1.5], [0.0, 2.0]]


def test_boosting_recovers_the_effect_where_the_raw_difference_and_straight_lines_fail():
    x, treated, default, nuisances = fitted("boosting", loans=12_000)
    found = effect_on_treated(default, treated, nuisances, names(12_000), 0.95, highest=0.99).difference
    assert found.estimate == pytest.approx(-0.08, abs=2.5 * found.std_error)
    assert found.std_error < 0.012
    raw = default[treated == 1].mean() - default[treated == 0].mean()
    straight = sm.OLS(default, sm.add_constant(np.column_stack([treated, x]))).fit().params[1]
    assert raw > -0.04 and abs(straight + 0.08) > 2.5 * found.std_error


@pytest.mark.parametrize("wrong", ["score", "untreated"])
def test_either_model_may_be_wrong_and_not_both(wrong):
    _, treated, default, score, risk = world(20_000, 5)
    right = Nuisances(score, risk)
    half = right._replace(**{wrong: np.full(len(score), {"score": treated.mean(), "untreated": 0.3}[wrong])})
    neither = Nuisances(np.full(len(score), treated.mean()), np.full(len(score), 0.3))
    bias = {}
    for name, nuisances in (("right", right), ("half", half), ("neither", neither)):
        found = effect_on_treated(default, treated, nuisances, names(len(score)), 0.95).difference
        bias[name] = (found.estimate + 0.08) / found.std_error
    assert abs(bias["right"]) < 2.5 and abs(bias["half"]) < 2.5 and bias["neither"] > 5


def test_the_error_is_that_of_repeated_samples():
    estimates, errors = [], []
    for seed in range(150):
        _, treated, default, score, risk = world(800, 100 + seed)
        found = effect_on_treated(default, treated, Nuisances(score, risk), names(800), 0.95).difference
        estimates.append(found.estimate)
        errors.append(found.std_error)
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.15)
    assert np.mean(estimates) == pytest.approx(-0.08, abs=0.006)


def test_without_models_it_is_the_difference_of_means_with_clustered_errors():
    _, treated, default, *_ = world(600, 9)
    clusters = np.arange(600) % 30
    flat = Nuisances(np.full(600, 0.5), np.zeros(600))
    found = effect_on_treated(default, treated, flat, clusters, 0.95)
    theirs = sm.OLS(default, sm.add_constant(treated)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    # Their correction has (n-1)/(n-k) besides.
    assert found.difference.estimate == pytest.approx(theirs.params[1])
    assert found.difference.std_error == pytest.approx(theirs.bse[1] / np.sqrt(599 / 598))
    poisson = sm.GLM(default, sm.add_constant(treated), family=sm.families.Poisson()).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    assert found.log_ratio.estimate == pytest.approx(poisson.params[1])
    assert found.log_ratio.std_error == pytest.approx(poisson.bse[1] * np.sqrt(30 / 29), rel=1e-6)


def test_sampling_weights_stand_for_loans():
    x, treated, default, *_ = world(500, 4)
    times = np.where(default == 1, 1, 3)
    repeated = np.repeat(np.arange(500), times)
    nuisances = Nuisances(probability(x[:, 0]), probability(x[:, 1] - 1))
    many = Nuisances(*(part[repeated] for part in nuisances))
    weighted = effect_on_treated(default, treated, nuisances, names(500), 0.95, weights=times.astype(float))
    counted = effect_on_treated(default[repeated], treated[repeated], many, names(500)[repeated], 0.95)
    for one, other in zip(weighted, counted, strict=True):
        assert one == pytest.approx(other)


def test_loans_without_a_like_leave():
    treated, score = np.array([1, 1, 0, 0]), np.array([0.5, 0.999, 0.2, 0.995])
    found = balancing(treated, score, 0.99)
    assert found.kept.tolist() == [True, False, True, False]
    assert found.weight == pytest.approx([1, 0, 0.25, 0])
    with pytest.raises(StudyError, match="do not overlap"):
        balancing(treated, np.full(4, 0.999), 0.99)


def test_the_median_counts_how_repetitions_differ():
    found = [Effect(estimate, 1.0, 0, 0, 0) for estimate in (1.0, 2.0, 6.0)]
    middle = median_of(found, 0.95)
    assert middle.estimate == 2.0 and middle.std_error == pytest.approx(np.sqrt(2.0))
    same = median_of([Effect(2.0, 0.5, 0, 0, 0)] * 3, 0.95)
    assert (same.estimate, same.std_error) == (2.0, 0.5)
