"""Every design, on simulated loans: against brute force, against its definition, and against shuffled rows."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.runtime.errors import StudyError
from pipeline.stats import scores
from pipeline.stats.coarsening import coarsen, strata, stratum_weights
from pipeline.stats.comparison import compare
from pipeline.stats.neighbours import Caliper, mahalanobis, nearest, on_support
from pipeline.stats.optimal import optimal
from pipeline.stats.scores import maximum_likelihood, propensity
from pipeline.stats.subclassification import subclasses
from pipeline.stats.weighting import effective_size, entropy_balance, inverse_probability, overlap, probability

METHODS = (
    "nearest",
    "optimal",
    "exact",
    "coarsened_exact",
    "subclassification",
    "inverse_probability",
    "overlap",
    "entropy_balancing",
)


def loans(number, seed, digits=1):
    """Make up loans whose covariates and scores tie often."""
    rng = np.random.default_rng(seed)
    covariates = pd.DataFrame(
        {"size": rng.normal(size=number).round(digits), "age": rng.integers(0, 6, number).astype(float)}
    )
    logit = (0.7 * covariates["size"] - 0.2 * covariates["age"]).to_numpy().round(3)
    treated = (rng.random(number) < probability(logit - 0.3)).astype(int)
    treated[:2] = 0, 1
    keys = pd.DataFrame({"grade": rng.choice(list("AB"), number)})
    keys.loc[:1, "grade"] = "A"
    return covariates, treated, logit, keys


def plainly(treated, points, stratum, identifier, *, ratio, replacement, caliper, within, order, score):
    """The definition, pair by pair."""
    limit = np.inf if caliper is None else caliper

    def reach(loan, control):
        return (
            stratum[loan] == stratum[control]
            and round(float(np.sqrt(((points[loan] - points[control]) ** 2).sum())), 9) <= limit
            and all(round(abs(values[loan] - values[control]), 9) <= width for values, width in within)
        )

    def length(loan, control):
        return round(float(np.sqrt(((points[loan] - points[control]) ** 2).sum())), 9)

    rows = range(len(treated))
    edges = [(loan, control) for loan in rows for control in rows if treated[loan] > treated[control]]
    edges = [(length(*edge), identifier[edge[0]], identifier[edge[1]], *edge) for edge in edges if reach(*edge)]
    if replacement:
        found = []
        for loan in rows:
            # All that are as near as the last one that fits.
            own = sorted(edge for edge in edges if edge[3] == loan)
            found += [edge[3:] for edge in own if edge[0] <= own[min(ratio, len(own)) - 1][0]]
        return sorted(found, key=lambda pair: identifier[pair[0]])
    taken, found = set(), []
    for _ in range(ratio):
        served = set()
        while True:
            open_edges = [edge for edge in edges if edge[3] not in served and edge[4] not in taken]
            if not open_edges:
                break
            if order != "closest":
                by = {"largest": -1, "smallest": 1, "data": 0}[order]
                turn = min((by * score[edge[3]], edge[1]) for edge in open_edges)
                open_edges = [edge for edge in open_edges if edge[1] == turn[1]]
            *_, loan, control = min(open_edges)
            found.append((loan, control))
            served.add(loan)
            taken.add(control)
    return sorted(found, key=lambda pair: identifier[pair[0]])


CHOICES = st.fixed_dictionaries(
    {
        "ratio": st.integers(1, 2),
        "replacement": st.booleans(),
        "caliper": st.sampled_from([None, 0.5, 1.5]),
        "order": st.sampled_from(["closest", "largest", "smallest", "data"]),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.integers(4, 40), st.integers(0, 10_000), CHOICES, st.booleans(), st.sampled_from([1, 2]))
def test_neighbours_are_those_of_the_definition(number, seed, choices, further, dimensions):
    covariates, treated, logit, keys = loans(number, seed)
    points = logit if dimensions == 1 else covariates.to_numpy()
    stratum = strata(keys)
    identifier = np.random.default_rng(seed).permutation(number)
    within = [Caliper(covariates["age"].to_numpy(), 1.0)] if further else []
    found = nearest(treated, points, stratum, identifier, **choices, within=within, score=logit)
    table = points.reshape(number, -1)
    expected = plainly(treated, table, stratum, identifier, **choices, within=within, score=logit)
    assert list(zip(found.treated.tolist(), found.control.tolist(), strict=True)) == expected


def test_many_controls_are_looked_through():
    """More treated loans than a first look holds want the same controls."""
    rng = np.random.default_rng(2)
    treated = np.repeat([1, 0], [60, 80])
    points = rng.integers(0, 3, (140, 2)).astype(float)
    choices = {"ratio": 1, "replacement": False, "caliper": None, "within": [], "order": "data", "score": points[:, 0]}
    found = nearest(treated, points, np.zeros(140), np.arange(140), **choices)
    expected = plainly(treated, points, np.zeros(140), np.arange(140), **choices)
    assert list(zip(*(side.tolist() for side in found), strict=True)) == expected


def test_mahalanobis_distance_is_that_of_the_pooled_covariance():
    covariates, treated, _, _ = loans(60, 1)
    values = covariates.to_numpy()
    pooled = sum((treated == arm).sum() * np.cov(values[treated == arm].T, ddof=0) for arm in (0, 1)) / 58
    points = mahalanobis(values, treated)
    gap = values[3] - values[17]
    assert ((points[3] - points[17]) ** 2).sum() == pytest.approx(gap @ np.linalg.inv(pooled) @ gap)


def test_columns_that_others_determine_change_no_mahalanobis_distance():
    covariates, treated, _, keys = loans(60, 1)
    values = covariates.assign(a=(keys["grade"] == "A") * 1.0)
    wider = values.assign(b=(keys["grade"] == "B") * 1.0, same=3.0)
    one, other = mahalanobis(values.to_numpy(), treated), mahalanobis(wider.to_numpy(), treated)
    assert np.linalg.norm(one[5] - one[9]) == pytest.approx(np.linalg.norm(other[5] - other[9]))


@settings(max_examples=100, deadline=None)
@example(2006, 0.4, 2)
@given(st.integers(0, 10_000), st.sampled_from([None, 0.4]), st.integers(1, 2))
def test_optimal_pairs_have_the_least_distance(seed, caliper, ratio):
    _covariates, treated, logit, _ = loans(9, seed)
    found = optimal(treated, logit, np.zeros(9), np.arange(9), ratio=ratio, caliper=caliper)
    seekers, controls = np.flatnonzero(treated), np.flatnonzero(treated == 0)
    # As in the protocol, distances are rounded before the caliper is laid on them: .4 is not beyond .4.
    distance = np.round(np.abs(logit[:, None] - logit), 9)
    places = np.repeat(seekers, ratio)
    best = None
    for size in range(min(len(places), len(controls)), 0, -1):
        totals = [
            distance[some, who].sum()
            for some in combinations(places.tolist(), size)
            for who in permutations(controls.tolist(), size)
            if caliper is None or (distance[some, who] <= caliper).all()
        ]
        if totals:
            best = size, min(totals)
            break
    total = np.abs(logit[found.treated] - logit[found.control]).sum()
    if best is None:
        assert not len(found.treated)
    else:
        assert (len(found.treated), total) == (best[0], pytest.approx(best[1], abs=1e-9))
        assert len(set(found.control)) == len(found.control)


def test_optimal_pairs_are_never_further_apart_than_greedy_ones():
    _covariates, treated, logit, keys = loans(300, 3, digits=3)
    greedy = nearest(treated, logit, strata(keys), np.arange(300))
    best = optimal(treated, logit, strata(keys), np.arange(300))
    assert len(best.treated) >= len(greedy.treated)
    if len(best.treated) == len(greedy.treated):
        distances = [np.abs(logit[found.treated] - logit[found.control]).sum() for found in (best, greedy)]
        assert distances[0] <= distances[1] + 1e-9


def test_optimal_matching_says_its_limit():
    treated = np.repeat([1, 0], [5001, 5000])
    with pytest.raises(StudyError, match=r"5,001 treated loans with 5,000 controls.*more than 25,000,000"):
        optimal(treated, np.zeros(10_001), np.zeros(10_001), np.arange(10_001))


def test_cut_points_open_bins():
    values = pd.Series([1.0, 2.0, 3.0, 10.0], name="x")
    assert coarsen(values, [2, 3]).tolist() == [0, 1, 2, 2]
    assert coarsen(values, 3).tolist() == [0, 0, 0, 2]
    assert coarsen(values, "automatic").tolist() == [0, 0, 0, 2]
    with pytest.raises(StudyError, match="cut points of 'x' must rise"):
        coarsen(values, [3, 2])
    with pytest.raises(StudyError, match="'x' has missing values"):
        coarsen(values.where(values < 5), 2)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=4, max_size=40), st.sampled_from(["ATT", "ATE"])
)
def test_stratum_weights_bring_both_arms_to_one_mix(rows, estimand):
    treated, stratum = np.array(rows).T
    both = set(stratum[treated == 1]) & set(stratum[treated == 0])
    if not both:
        with pytest.raises(StudyError, match="no stratum holds both"):
            stratum_weights(treated, stratum, estimand)
        return
    weight = stratum_weights(treated, stratum, estimand)
    target = (treated == 1) if estimand == "ATT" else np.ones(len(treated), bool)
    target = target & np.isin(stratum, list(both))
    for arm in (0, 1):
        kept = (treated == arm) & (weight > 0)
        assert weight[kept].sum() == pytest.approx(kept.sum())
        for label in both:
            share = weight[kept & (stratum == label)].sum() / weight[kept].sum()
            assert share == pytest.approx((target & (stratum == label)).sum() / target.sum())
    assert set(stratum[weight > 0]) == both


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 8), st.sampled_from(["ATT", "ATE"]))
def test_subclasses_rise_with_the_score_and_hold_both_arms(seed, number, estimand):
    _, treated, _, _ = loans(60, seed)
    score = np.random.default_rng(seed).normal(size=60)
    if min(treated.sum(), (1 - treated).sum()) < number:
        return
    subclass = subclasses(treated, score, number, estimand)
    for arm in (0, 1):
        assert set(subclass[treated == arm]) == set(range(number))
        assert (np.diff(subclass[treated == arm][np.argsort(score[treated == arm])]) >= 0).all()


def test_subclasses_hold_equal_numbers_of_treated_loans():
    treated, score = np.repeat([1, 0], 600), np.tile(np.random.default_rng(1).permutation(600) / 600, 2)
    assert set(np.bincount(subclasses(treated, score, 6)[:600])) == {100}


def test_too_many_subclasses():
    with pytest.raises(StudyError, match=r"ask for fewer in match\.subclasses"):
        subclasses(np.array([1, 0, 0, 0]), np.arange(4.0), 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_entropy_balancing_meets_its_moments(seed):
    covariates, treated, _, keys = loans(150, seed, digits=3)
    moments = covariates.assign(square=covariates["size"] ** 2, a=(keys["grade"] == "A") * 1.0, one=1.0).to_numpy()
    try:
        weight = entropy_balance(moments, treated)
    except StudyError as error:
        # Only where the treated mean truly lies outside of what weights can reach.
        from scipy.optimize import linprog

        inner = moments[treated == 0]
        target = moments[treated == 1].mean(axis=0)
        reach = linprog(np.zeros(len(inner)), A_eq=np.vstack([inner.T, np.ones(len(inner))]), b_eq=[*target, 1])
        assert not reach.success, error
        return
    arm = treated == 1
    means = [np.average(moments[side], axis=0, weights=weight[side]) for side in (arm, ~arm)]
    assert np.abs(means[0] - means[1]).max() < 1e-8
    assert (weight > 0).all()
    assert weight[~arm].sum() == pytest.approx(arm.sum())
    # Of all weights that balance, those of least divergence are an exponential family in the moments.
    design = np.column_stack([np.ones((~arm).sum()), moments[~arm]])
    left = np.log(weight[~arm]) - design @ np.linalg.lstsq(design, np.log(weight[~arm]), rcond=None)[0]
    assert np.abs(left).max() < 1e-8


def test_what_cannot_be_balanced_is_said():
    treated = np.array([1, 1, 0, 0, 0])
    with pytest.raises(StudyError, match="no positive weights"):
        entropy_balance(np.array([[5.0], [6.0], [1.0], [2.0], [3.0]]), treated)


def test_overlap_weights_balance_the_score_s_covariates_exactly():
    covariates, treated, _, _ = loans(400, 5, digits=3)
    design = np.column_stack([np.ones(400), covariates])
    weight = overlap(treated, probability(design @ maximum_likelihood(design, treated)))
    means = [np.average(covariates[treated == arm], axis=0, weights=weight[treated == arm]) for arm in (0, 1)]
    assert np.abs(means[0] - means[1]).max() < 1e-8


def test_inverse_probability_weights():
    treated, score = np.array([1, 1, 0, 0, 0]), np.array([0.5, 0.8, 0.5, 0.2, 0.75])
    np.testing.assert_allclose(inverse_probability(treated, score), [1, 1, 1, 0.25, 3])
    np.testing.assert_allclose(inverse_probability(treated, score, estimand="ATE"), [2, 1.25, 2, 1.25, 4])
    stabilised = inverse_probability(treated, score, estimand="ATE", stabilised=True)
    np.testing.assert_allclose(stabilised, [0.8, 0.5, 1.2, 0.75, 2.4])
    # Three controls over two treated loans.
    np.testing.assert_allclose(inverse_probability(treated, score, stabilised=True), [1, 1, 1.5, 0.375, 4.5])
    assert inverse_probability(treated, score, trim=0.5).tolist() == [1, 1, 1, 0.25, 1]
    with pytest.raises(StudyError, match="a propensity score is 0 or 1"):
        inverse_probability(treated, np.array([1.0, 0.5, 0.5, 0.5, 0.5]))


def test_inverse_probability_weights_recover_the_size_of_the_target():
    """At the maximum of the likelihood the weighted controls add up to the treated loans, nearly."""
    covariates, treated, _, _ = loans(5000, 8, digits=3)
    design = np.column_stack([np.ones(5000), covariates])
    score = probability(design @ maximum_likelihood(design, treated))
    assert inverse_probability(treated, score)[treated == 0].sum() == pytest.approx(treated.sum(), rel=0.02)
    assert inverse_probability(treated, score, estimand="ATE")[treated == 1].sum() == pytest.approx(5000, rel=0.02)


def test_effective_size():
    assert effective_size(np.ones(7)) == 7
    assert effective_size(np.array([1.0, 0.0, 0.0])) == 1
    assert effective_size(np.array([2.0, 1.0])) == pytest.approx(1.8)


@pytest.mark.parametrize("seed", range(8))
def test_what_other_covariates_determine_has_no_dimension(seed):
    rng = np.random.default_rng(seed)
    treated, values = np.repeat([0, 1], 50), rng.normal(size=(100, 3))
    # A full set of indicators, a sum, and the same in another unit: three numbers and two indicators are left.
    full = np.column_stack([np.eye(3)[rng.integers(0, 3, 100)], values, values.sum(axis=1), 7 * values[:, 0]])
    assert mahalanobis(full, treated).shape == (100, 5)


def test_boosting_takes_all_its_trees_whatever_the_seed():
    # Stopping early would judge on loans held out by lot.
    covariates, treated, _, _ = loans(300, 2)
    values = covariates.to_numpy(dtype=float)
    one, other = (scores._boosted(values, treated, values, seed) for seed in (1, 2))
    assert (one == other).all()


def test_support():
    treated, score = np.array([1, 1, 1, 0, 0]), np.array([0.0, 2.0, 5.0, 1.0, 3.0])
    assert on_support(treated, score, "treated").tolist() == [False, True, False, True, True]
    assert on_support(treated, score, "controls").all()
    assert on_support(treated[::-1], score, "both").tolist() == [False, True, False, True, False]
    # What stands at the other arm's smallest or largest score is not beyond it.
    assert on_support(np.array([1, 1, 0, 0]), np.array([1.0, 3.0, 1.0, 3.0]), "both").all()


def designed(method, place, **choices):
    covariates, treated, logit, keys = loans(120, 6)
    found = compare(
        covariates.iloc[place].reset_index(drop=True),
        treated[place],
        np.array([f"loan {row:03d}" for row in place], dtype=object),
        method=method,
        exact=keys.iloc[place].reset_index(drop=True),
        logit=logit[place],
        number=3,
        cuts={"size": 3, "age": [2, 4]},
        **choices,
    )
    weight, group = np.empty(120), np.empty(120, dtype=int)
    weight[place], group[place] = found.weight, found.group
    return weight, group, treated, keys["grade"].to_numpy(), logit


VARIANTS = [
    *((method, {}) for method in METHODS),
    ("nearest", {"replacement": True, "ratio": 2}),
    ("nearest", {"distance": "mahalanobis", "caliper": 0.5}),
    ("nearest", {"distance": "probability", "caliper": 0.5, "order": "largest", "calipers": {"age": 0.6}}),
    ("nearest", {"discard": "both", "ratio": 2, "order": "data"}),
    ("optimal", {"caliper": 0.5, "ratio": 2}),
    ("subclassification", {"estimand": "ATE"}),
    ("inverse_probability", {"estimand": "ATE", "stabilised": True, "trim": 0.9}),
]


@pytest.mark.parametrize(("method", "choices"), VARIANTS)
def test_the_order_of_the_rows_plays_no_part_in_any_design(method, choices):
    rng = np.random.default_rng(9)
    weight, group, *_ = designed(method, np.arange(120), **choices)
    for _ in range(10):
        other, pairs, *_ = designed(method, rng.permutation(120), **choices)
        assert (other == weight).all()
        assert (pd.factorize(pairs)[0] == pd.factorize(group)[0]).all()


@pytest.mark.parametrize(("method", "choices"), VARIANTS)
def test_weights_sum_as_they_should(method, choices):
    weight, group, treated, grade, _ = designed(method, np.arange(120), **choices)
    arm = treated == 1
    assert (weight >= 0).all()
    assert ((group >= 0) == (weight > 0)).all()
    if method in ("nearest", "optimal", "exact", "coarsened_exact", "subclassification"):
        for side in (arm, ~arm):
            assert weight[side].sum() == pytest.approx((weight[side] > 0).sum())
    if method in ("nearest", "optimal"):
        assert set(weight[arm]) <= {0, 1}
        if not choices.get("replacement"):
            # Whoever belongs to one pair shares the exact key.
            assert all(len(set(grade[group == pair])) == 1 for pair in set(group) - {-1})
    if method == "exact":
        for label in set(grade):
            shares = [weight[side & (grade == label)].sum() / weight[side].sum() for side in (arm, ~arm)]
            assert shares[0] == pytest.approx(shares[1])


def test_a_sample_and_its_copy_differ_by_nothing():
    covariates, _, logit, keys = loans(80, 7)
    outcome = np.random.default_rng(7).integers(0, 2, 80)
    twice = pd.concat([covariates, covariates], ignore_index=True)
    both_keys = pd.concat([keys, keys], ignore_index=True)
    treated = np.repeat([1, 0], 80)
    # Flat scores would be separation; these say how alike the copies are.
    score = np.tile(logit + np.arange(80) / 1e5, 2)
    for method in METHODS:
        found = compare(
            twice, treated, np.arange(160), method=method, exact=both_keys, logit=score, caliper=1e-9, number=4
        )
        means = [
            np.average(np.tile(outcome, 2)[treated == arm], weights=found.weight[treated == arm]) for arm in (0, 1)
        ]
        if method in ("inverse_probability", "overlap"):
            # Their score is given here, not fitted: constant odds are what a fit would give.
            found = compare(twice, treated, np.arange(160), method=method, logit=np.zeros(160))
            means = [np.average(np.tile(outcome, 2)[treated == a], weights=found.weight[treated == a]) for a in (0, 1)]
        assert means[0] == pytest.approx(means[1], abs=1e-9), method


ERRORS = [
    ({"treated": np.zeros(120, int)}, "there is no treated loan"),
    ({"treated": np.ones(120, int)}, "there is no control"),
    ({"caliper": 1e-12, "logit": np.arange(120.0)}, "no pair keeps the caliper"),
    ({"method": "exact"}, "needs columns under matching.exact"),
    ({"method": "optimal", "replacement": True}, "use match.method nearest"),
    ({"calipers": {"height": 1.0}}, "matching.calipers names height"),
    ({"method": "overlap", "logit": None}, "overlap needs a propensity score"),
    ({"distance": "mahalanobis", "order": "largest", "logit": None}, "needs a propensity score"),
]


@pytest.mark.parametrize(("change", "sentence"), ERRORS)
def test_what_cannot_be_done_is_one_sentence(change, sentence):
    covariates, treated, logit, _ = loans(120, 6)
    choices = {"treated": treated, "logit": logit, **change}
    with pytest.raises(StudyError, match=sentence):
        compare(covariates, choices.pop("treated"), np.arange(120), **choices)


def test_strata_without_controls_are_left_out_and_not_fatal():
    covariates, treated, logit, keys = loans(120, 6)
    keys.loc[treated == 1, "grade"] = np.where(np.arange(treated.sum()) < 5, "C", "A")
    for method in ("nearest", "optimal", "exact", "subclassification"):
        found = compare(covariates, treated, np.arange(120), method=method, exact=keys, logit=logit, number=2)
        assert not found.weight[keys["grade"] == "C"].any()
        assert found.weight[treated == 1].any()


@pytest.mark.parametrize(("model", "folds"), [("logistic", 1), ("logistic", 5), ("boosting", 3)])
def test_scores_do_not_depend_on_the_order_of_the_rows(model, folds):
    covariates, treated, _, _ = loans(400, 2, digits=3)
    names = np.arange(400).astype(str).astype(object)
    place = np.random.default_rng(1).permutation(400)
    one = propensity(covariates, treated, names, model=model, folds=folds, seed=3)
    other = propensity(covariates.iloc[place], treated[place], names[place], model=model, folds=folds, seed=3)
    assert (one[place] == other).all()


def test_a_boosted_score_sees_what_a_line_cannot():
    rng = np.random.default_rng(4)
    covariates = pd.DataFrame({"x": rng.normal(size=3000), "y": rng.normal(size=3000)})
    truth = 2 * np.sign(covariates["x"] * covariates["y"]).to_numpy()
    treated = (rng.random(3000) < probability(truth)).astype(int)
    names = np.arange(3000)
    line = propensity(covariates, treated, names)
    trees = propensity(covariates, treated, names, model="boosting", folds=5)
    assert np.corrcoef(line, truth)[0, 1] < 0.3
    assert np.corrcoef(trees, truth)[0, 1] > 0.9


def test_no_loan_helps_to_fit_its_own_score():
    covariates, treated, _, _ = loans(300, 2, digits=3)
    before = propensity(covariates, treated, np.arange(300), folds=5)
    # Turning one control into a treated loan changes the folds; so one covariate is moved instead.
    moved = covariates.copy()
    moved.loc[7, "size"] += 0.5
    after = propensity(moved, treated, np.arange(300), folds=5)
    changed = np.flatnonzero(before != after)
    own = np.flatnonzero(before == after)
    # Scores of its own fold come from models without it, so they stay; its own score moves with its covariate.
    assert 7 in changed
    assert len(own) >= 50


def test_errors_of_scores():
    covariates, treated, _, _ = loans(50, 2)
    with pytest.raises(StudyError, match="have missing values: size"):
        propensity(covariates.assign(size=np.nan), treated, np.arange(50))
    with pytest.raises(StudyError, match=r"must be cross-fitted: set match\.folds"):
        propensity(covariates, treated, np.arange(50), model="boosting")
    with pytest.raises(StudyError, match="80 folds need at least 80 loans"):
        propensity(covariates, treated, np.arange(50), folds=80)
    design = np.column_stack([np.ones(6), np.arange(6.0)])
    with pytest.raises(StudyError, match="separate the two arms"):
        maximum_likelihood(design, np.array([0, 0, 0, 1, 1, 1]))


def test_the_score_is_that_of_a_tight_newton_fit():
    """200,000 loans: scikit-learn's own settings would move the sixth decimal and with it the pairs."""
    rng = np.random.default_rng(1)
    covariates = pd.DataFrame(rng.normal(size=(200_000, 4)), columns=list("abcd"))
    covariates["d"] = 1000 + 50 * covariates["d"]
    truth = covariates[["a", "b", "c"]].to_numpy() @ [0.5, -0.3, 0.2] + (covariates["d"].to_numpy() - 1000) / 100
    treated = (rng.random(200_000) < probability(truth - 1)).astype(int)
    design = np.column_stack([np.ones(200_000), covariates])
    tight = design @ maximum_likelihood(design, treated)
    assert np.abs(propensity(covariates, treated, np.arange(200_000)) - tight).max() < 1e-6
    # At the maximum the scores of the likelihood are zero.
    assert np.abs(design.T @ (treated - probability(tight))).max() / 200_000 < 1e-9
