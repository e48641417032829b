"""Scores, splits, curves, bounds and draws beside scikit-learn, scipy and pandas, or enumerated."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from pipeline.runtime.errors import StudyError
from pipeline.stats import (
    accuracy,
    added_information,
    balance,
    bounds,
    cases,
    classifiers,
    dependence,
    discrimination,
    early_warning,
    features,
    grading,
    growth,
    logistic,
    matching,
    missing_data,
    moderation,
    neighbours,
    optimal,
    prediction,
    rates,
    samples,
    sampling,
    saved_score,
    scorecard,
    specification_curve,
    splits,
    trend,
    verdicts,
    weighting,
)
from tests.stats.test_bounds import lee_bounds

LEVEL = 0.95


def made(seed, number=600):
    """Loans of several lenders with a date, a category, two numbers and their default."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, number))
    kind = rng.choice(["a", "b", "c"], number, p=[0.5, 0.3, 0.2])
    share = 1 / (1 + np.exp(1.5 - x + 0.5 * z - 0.6 * (kind == "c")))
    frame = pd.DataFrame({"x": x, "z": z, "size": np.exp(z), "kind": pd.Categorical(kind)})
    frame = frame.assign(
        lender=[f"l{one:02d}" for one in rng.integers(0, 15, number)],
        date=pd.Timestamp("2010-01-01") + pd.to_timedelta(rng.integers(0, 900, number), unit="D"),
    )
    return frame, (rng.random(number) < share).astype(int), share


def test_reliability_is_scikit_learns_calibration_curve():
    from sklearn.calibration import calibration_curve
    from statsmodels.stats.proportion import proportion_confint

    _, default, share = made(1)
    found = accuracy.reliability(default, share, None, LEVEL, groups=8)
    rate, predicted = calibration_curve(default, share, n_bins=8, strategy="quantile")
    assert found["rate"].to_numpy() == pytest.approx(rate)
    assert found["predicted"].to_numpy() == pytest.approx(predicted)
    ends = proportion_confint(found["rate"] * found["n"], found["n"], 0.05, "wilson")
    assert found["low"].to_numpy() == pytest.approx(ends[0].to_numpy())


def test_lift_is_the_rate_among_those_flagged_over_that_of_all():
    _, default, share = made(2)
    found = accuracy.gains(default, share, None, places=20)
    order = np.argsort(-share)
    for place, row in found.iterrows():
        number = round(row["flagged"] * 600)
        assert number == 30 * (place + 1)
        assert row["lift"] == pytest.approx(default[order[:number]].mean() / default.mean())


def test_the_curve_and_its_area_are_scikit_learns():
    from sklearn.metrics import roc_auc_score, roc_curve

    _, default, share = made(3)
    found = accuracy.roc(default, share, places=37)
    false_alarms, hits, _ = roc_curve(default, share, drop_intermediate=False)
    # Between the steps, where the curve is flat.
    inside = ~np.isin(np.round(found["false_alarms"], 9), np.round(false_alarms, 9))
    assert found["found"][inside].to_numpy() == pytest.approx(
        np.interp(found["false_alarms"][inside], false_alarms, hits)
    )
    assert accuracy.area(default, share, LEVEL).estimate == pytest.approx(roc_auc_score(default, share))


def test_the_error_of_a_gain_by_cluster_is_the_derivative_by_whole_clusters():
    """Counting a cluster's loans slightly more often moves scikit-learn's weighted areas by its influence."""
    from sklearn.metrics import roc_auc_score

    frame, default, share = made(4)
    second = share + 0.05 * np.random.default_rng(1).normal(size=600)
    first, lender = frame["x"].to_numpy(), frame["lender"].to_numpy()

    def gain(weight):
        return roc_auc_score(default, second, sample_weight=weight) - roc_auc_score(
            default, first, sample_weight=weight
        )

    moved = [(gain(1 + 1e-5 * (lender == one)) - gain(1 - 1e-5 * (lender == one))) / 2e-5 for one in np.unique(lender)]
    found = accuracy.gain(default, first, second, LEVEL, lender)
    assert found.estimate == pytest.approx(gain(np.ones(600)))
    assert found.std_error == pytest.approx(np.sqrt(15 / 14 * np.square(moved).sum()), rel=1e-5)
    assert discrimination.area(default, second) == pytest.approx(roc_auc_score(default, second))
    numbers = np.unique(lender, return_inverse=True)[1]
    areas = early_warning.clustered_areas(default, first, second, numbers, LEVEL)
    assert areas.difference.std_error == pytest.approx(found.std_error, rel=1e-9)
    assert areas.second.estimate == pytest.approx(roc_auc_score(default, second))


def test_ratios_of_sums_have_the_derivative_by_clusters():
    frame, default, share = made(5)
    values, numbers = default * 2.0, np.unique(frame["lender"], return_inverse=True)[1]

    def ratio(weight):
        return (weight * values).sum() / (weight * share).sum()

    def error(groups):
        count = groups.max() + 1
        moved = [(ratio(1 + 1e-6 * (groups == one)) - ratio(1 - 1e-6 * (groups == one))) / 2e-6 for one in range(count)]
        return np.sqrt(np.square(moved).sum())

    found = early_warning.share(values, share, numbers, LEVEL)
    assert (found.estimate, found.std_error) == pytest.approx((ratio(1), np.sqrt(15 / 14) * error(numbers)), rel=1e-6)
    plain = accuracy.ratio_of_means(values, share, None, LEVEL)
    assert (plain.estimate, plain.std_error) == pytest.approx((ratio(1), error(np.arange(600))), rel=1e-6)
    mean = accuracy.mean_effect(values, share, LEVEL)
    fit = sm.WLS(values, np.ones(600), share).fit(cov_type="HC0")
    assert (mean.estimate, mean.std_error) == pytest.approx((fit.params[0], fit.bse[0]))


def test_stability_is_the_sum_of_two_divergences():
    before, after = np.array([30.0, 50, 20]), np.array([10.0, 60, 30])
    p, q = before / 100, after / 100
    both = stats.entropy(p, q) + stats.entropy(q, p)
    assert accuracy.stability(before, after) == pytest.approx(both)
    rng = np.random.default_rng(6)
    train, test = rng.normal(size=1000), rng.normal(0.3, 1, 500)
    edges = np.quantile(train, np.arange(0.1, 1, 0.1))
    counts = [pd.cut(one, [-np.inf, *edges, np.inf], labels=False) for one in (train, test)]
    p, q = (np.bincount(one) / len(one) for one in counts)
    assert accuracy.score_stability(train, test) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))


def test_what_follow_up_saves_is_what_each_loan_brings():
    default, share = np.array([1, 1, 0, 0]), np.array([0.5, 0.01, 0.5, 0.01])
    found = accuracy.savings(default, share, loss=40, contact=2, prevented=0.25)
    # .5 x .25 x 40 = 5 is above 2, .01 x .25 x 40 = .1 is not.
    assert found.tolist() == [8.0, 0.0, -2.0, 0.0]


def test_columns_are_encoded_as_scikit_learn_and_pandas_do():
    from sklearn.preprocessing import StandardScaler

    frame, _, _ = made(7)
    encoder = features.learn(frame, ["x", "log(size)", "kind"])
    assert encoder.columns == ["x", "log(size)", "kind[b]", "kind[c]"]
    assert encoder.terms == ["x", "log(size)", "kind", "kind"]
    found = encoder.matrix(frame)
    assert found[:, :2] == pytest.approx(StandardScaler().fit_transform(frame[["x", "z"]]))
    assert found[:, 2:] == pytest.approx(pd.get_dummies(frame["kind"], drop_first=True, dtype=float).to_numpy())
    assert (
        features.level_codes(frame["kind"], ["c", "a"]).tolist()
        == frame["kind"].map({"c": 0, "a": 1, "b": -1}).tolist()
    )
    test = pd.Series(["a", "d", None, "b"], dtype="category")
    assert features.unseen_share(frame["kind"], test) == 1 / 4
    indicators = balance.indicators(frame[["x", "kind"]])
    theirs = pd.get_dummies(frame[["x", "kind"]], columns=["kind"], dtype=float)
    assert indicators.to_numpy() == pytest.approx(theirs.to_numpy())


def test_models_are_scikit_learns():
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    frame, default, _ = made(8)
    x = frame[["x", "z"]].to_numpy()
    leaf = math.ceil(10 * 600 / default.sum())
    assert classifiers.least_leaf(600, int(default.sum())) == leaf
    assert (classifiers.least_leaf(100, 1), classifiers.least_leaf(30, 30)) == (10, 5)
    forest = RandomForestClassifier(60, min_samples_leaf=max(3, leaf // 4), random_state=5).fit(x, default)
    ours = classifiers.forest(x, default, None, 5)
    assert classifiers.probability(ours, x) == pytest.approx(forest.predict_proba(x)[:, 1], abs=1e-9)
    trees = HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=60,
        max_leaf_nodes=8,
        min_samples_leaf=leaf,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=5,
    ).fit(x, default)
    assert classifiers.probability(classifiers.boosted(x, default, None, 5), x) == pytest.approx(
        trees.predict_proba(x)[:, 1], abs=1e-9
    )
    intercept, slopes = classifiers.logistic(x, default)
    theirs = LogisticRegression(C=1.0, tol=1e-10).fit(x, default)
    assert [intercept, *slopes] == pytest.approx([theirs.intercept_[0], *theirs.coef_[0]], abs=1e-5)
    with pytest.raises(StudyError, match="learns from at most"):
        classifiers.learnable(classifiers.LIMIT + 1, "forest")


def test_the_penalty_of_a_tree_is_the_largest_within_a_standard_error():
    """Cross-validated by scikit-learn on the same folds."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.tree import DecisionTreeClassifier

    frame, default, _ = made(9)
    x = frame[["x", "z"]].to_numpy()
    leaf = classifiers.least_leaf(600, int(default.sum()))
    found = classifiers.pruned_tree(x, default, None, 4)
    plain = {"max_depth": 5, "min_samples_leaf": leaf, "random_state": 4}
    steps = DecisionTreeClassifier(**plain).cost_complexity_pruning_path(x, default).ccp_alphas
    between = np.unique(np.sqrt(steps[:-1] * steps[1:]))
    tried = between[np.linspace(0, len(between) - 1, min(5, len(between))).astype(int)]
    folds = StratifiedKFold(3, shuffle=True, random_state=4)
    losses = np.array(
        [
            -cross_val_score(
                DecisionTreeClassifier(ccp_alpha=one, **plain), x, default, cv=folds, scoring="neg_log_loss"
            )
            for one in tried
        ]
    )
    mean, error = losses.mean(axis=1), losses.std(axis=1, ddof=1) / np.sqrt(3)
    best = mean.argmin()
    assert found.ccp_alpha == pytest.approx(tried[np.flatnonzero(mean <= mean[best] + error[best])[-1]])


def test_predictions_are_those_of_a_pipeline_of_scikit_learn():
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame, default, _ = made(10)
    sample = prediction.Sample(frame, default, None)
    split = splits.by_group(frame["lender"], 3)
    found = prediction.predict(sample, split, ["x", "z", "kind"], "logistic")
    columns = make_column_transformer(
        (StandardScaler(), ["x", "z"]), (OneHotEncoder(drop="first", sparse_output=False), ["kind"])
    )
    model = make_pipeline(columns, LogisticRegression(C=1.0, tol=1e-10, solver="newton-cholesky"))
    shares = [
        model.fit(frame[fold.train], default[fold.train]).predict_proba(frame[fold.test])[:, 1] for fold in split.folds
    ]
    assert found.share == pytest.approx(np.concatenate(shares), rel=1e-6)
    last = split.folds[-1]
    fitted = prediction.fit(sample.part(last.train), ["x", "z", "kind"], "logistic")
    assert fitted.probability(frame[last.test]) == pytest.approx(shares[-1], rel=1e-6)
    assert fitted.of_matrix(fitted.encoder.matrix(frame[last.test])) == pytest.approx(shares[-1], rel=1e-6)
    assert prediction.lasting(sample, split, ["x", "kind"]) == ["x", "kind"]

    added = added_information.added(sample, split, ["x"], ["z", "kind"], frame["lender"].to_numpy(), LEVEL)
    assert added.given.estimate == pytest.approx(roc_auc_score(default[split.test], found.share))
    saved = saved_score.saved_logistic(fitted.encoder, *fitted.model, fitted.encoder.matrix(frame).mean(axis=0))
    model = {"logistic": saved}
    assert saved_score.probability(model, "logistic", frame[last.test]) == pytest.approx(shares[-1], rel=1e-6)
    index = saved_score.log_odds(model, "logistic", frame)
    terms, parts = saved_score.contributions(model, "logistic", frame)
    assert terms == ["x", "z", "kind"]
    assert parts.sum(axis=1) == pytest.approx(index - index.mean())
    assert saved_score.tidied({"a": [1.23456789012, 3]}) == {"a": [1.2345679, 3]}
    assert [one["column"] for one in saved_score.columns_of(model, "logistic")] == ["x", "z", "kind"]


def test_importance_is_scikit_learns_on_average():
    from sklearn.inspection import permutation_importance

    frame, default, _ = made(11)
    sample = prediction.Sample(frame, default, None)
    fitted = prediction.fit(sample, ["x", "z"], "forest", seed=2)
    found = prediction.importance(fitted, sample, {"x": ["x"], "z": ["z"]}, 30, [1])
    theirs = permutation_importance(
        fitted.model, fitted.encoder.matrix(frame), default, scoring="roc_auc", n_repeats=30, random_state=0
    )
    for place, name in enumerate(("x", "z")):
        error = np.hypot(found[name][1], theirs.importances_std[place]) / np.sqrt(30)
        assert abs(found[name][0] - theirs.importances_mean[place]) < 4 * error
    tree = prediction.fit(sample, ["x", "log(size)"], "tree", seed=2)
    root = prediction.nodes(tree)[0]
    inner = tree.model.tree_
    assert (root.loans, root.rate) == pytest.approx((600, default.mean()))
    column = ["x", "z"][inner.feature[0]]
    threshold = inner.threshold[0] * frame[column].std(ddof=0) + frame[column].mean()
    assert root.threshold == pytest.approx(threshold if column == "x" else np.exp(threshold))
    few = dependence.thinned(sample, 100)
    assert len(few.loans) == 100 and few.loans.index[1] == 6


def test_groups_are_split_as_scikit_learns_group_k_fold_does():
    from sklearn.model_selection import GroupKFold

    frame, _, _ = made(12)
    found = splits.by_group(frame["lender"], 4)
    sizes = sorted(int(fold.test.sum()) for fold in found.folds)
    theirs = sorted(len(test) for _, test in GroupKFold(4).split(frame, groups=frame["lender"]))
    assert sizes == theirs
    assert sorted(found.test.tolist()) == list(range(600))
    for fold in found.folds:
        assert not set(frame["lender"][fold.train]) & set(frame["lender"][fold.test])
    drawn = splits.at_random(frame["lender"].astype(str) + frame.index.astype(str), frame["lender"], 0.6, [3])
    share = drawn.folds[0].train.mean()
    assert 0.6 - frame["lender"].value_counts(normalize=True).max() <= share <= 0.6


def test_spans_and_cuts_of_time_are_those_of_quantiles():
    frame, _, _ = made(13)
    found = splits.rolling(frame["date"], None, 4)
    edges = frame["date"].quantile([0.25, 0.5, 0.75], interpolation="higher").tolist()
    assert [frame["date"][fold.test].min() for fold in found.folds] == edges
    assert [frame["date"][fold.train].max() < edge for fold, edge in zip(found.folds, edges, strict=True)] == [True] * 3


def test_grades_hold_quantiles_and_move_as_pandas_counts():
    rng = np.random.default_rng(14)
    share = rng.random(1000)
    cuts = grading.cut_points(share, [0.2, 0.5, 0.9])
    theirs = np.quantile(share, [0.2, 0.5, 0.9], method="inverted_cdf")
    assert cuts == pytest.approx(theirs, rel=1e-5)
    found = grading.group_of(share, theirs)
    assert found.tolist() == pd.cut(share, [-1, *theirs, 2], labels=False).tolist()
    later = rng.integers(0, 4, 1000)
    counts = pd.crosstab(found, later, normalize="index").to_numpy()
    assert grading.migration(found, later, 4) == pytest.approx(counts)
    assert grading.steps_down([0.1, 0.2, 0.15, 0.15, 0.1]) == 2
    at = saved_score.cuts(share, [0.2, 0.5, 0.9], [0.5, 0.9], 0.1, None)
    judged = saved_score.judged(share, at._asdict())
    assert judged["alert"].mean() == pytest.approx(0.1, abs=0.002)
    assert judged.groupby("grade").size().tolist() == pytest.approx([200, 300, 400, 100], abs=1)


def test_bins_of_a_number_are_a_monotonic_tree_and_their_weights_logarithms_of_ratios():
    from sklearn.tree import DecisionTreeClassifier

    frame, default, _ = made(15)
    found = scorecard.bins_of(frame, "x", default, np.ones(600))
    tree = DecisionTreeClassifier(max_leaf_nodes=6, min_samples_leaf=30, monotonic_cst=[1], random_state=0)
    tree.fit(frame[["x"]].to_numpy(), default)
    edges = sorted(tree.tree_.threshold[tree.tree_.feature >= 0])
    assert found["edges"] == pytest.approx(edges, rel=1e-5)
    place = pd.cut(frame["x"], [-np.inf, *edges, np.inf], labels=False)
    assert scorecard.bin_of(frame["x"], found).tolist() == place.tolist()
    assert scorecard.count_bins(found) == len(edges) + 1
    table = pd.crosstab(place, default).to_numpy() + 0.5
    good, bad = (table / table.sum(axis=0)).T
    assert found["weights_of_evidence"] == pytest.approx(np.log(good / bad))
    assert found["information_value"] == pytest.approx(stats.entropy(good, bad) + stats.entropy(bad, good))
    evidence = scorecard.weights_of_evidence(table[:, 0] - 0.5, table[:, 1] - 0.5)
    assert evidence.weights == pytest.approx(found["weights_of_evidence"])
    card = scorecard.fit(frame, ["x", "z"], default)
    parts = scorecard.contributions(frame, card)
    from sklearn.linear_model import LogisticRegression

    of_bins = np.column_stack(
        [
            np.array(one["weights_of_evidence"])[scorecard.bin_of(frame[one["column"]], one)]
            for one in card["characteristics"]
        ]
    )
    model = LogisticRegression(C=1.0, tol=1e-10).fit(of_bins, default)
    assert parts == pytest.approx(of_bins * model.coef_, abs=1e-4)
    assert scorecard.log_odds(frame, card) == pytest.approx(model.decision_function(of_bins), abs=1e-4)
    scale = scorecard.Scale(600, 50, 20)
    score = sum(
        np.array(each)[scorecard.bin_of(frame[one["column"]], one)]
        for one, each in zip(card["characteristics"], scorecard.points(card, scale), strict=True)
    )
    exact = 600 - 20 / np.log(2) * (np.log(50) + scorecard.log_odds(frame, card))
    assert np.abs(score - exact).max() <= 1


def test_lee_bounds_by_counting_each_row_so_often_that_whole_rows_are_trimmed():
    rng = np.random.default_rng(16)
    treated, stratum = np.repeat([1, 0], 40), np.tile([0, 1], 40)
    observed = (rng.random(80) < 0.6 + 0.3 * treated).astype(int)
    outcome = rng.normal(size=80)
    found = lee_bounds(outcome, observed, treated, stratum)
    lower = upper = weight = 0.0
    for one in (0, 1):
        arms = []
        for arm in (1, 0):
            inside = (stratum == one) & (treated == arm)
            arms.append((np.sort(outcome[inside & (observed == 1)]), inside.sum()))
        rates = [len(values) / size for values, size in arms]
        ends = []
        for (values, _), rate in zip(arms, rates, strict=True):
            # Twenty rows an arm: of so many copies of each a whole number is set aside.
            copies = 20 * len(values)
            many = np.repeat(values, 20 * len(values))
            gone = round(max(0.0, 1 - min(rates) / rate) * len(many))
            ends.append((many[: len(many) - gone].mean(), many[gone:].mean()))
            assert copies > 0
        always = min(rates) * sum(size for _, size in arms)
        lower += always * (ends[0][0] - ends[1][1])
        upper += always * (ends[0][1] - ends[1][0])
        weight += always
    assert (found.lower, found.upper) == pytest.approx((lower / weight, upper / weight), abs=1e-9)
    values, ones = np.sort(outcome), np.ones(80)
    assert bounds.trimmed_means(values, ones, 0.25) == pytest.approx((values[:60].mean(), values[20:].mean()))


def test_the_bounds_interval_is_that_of_its_own_errors():
    """Imbens and Manski's quantile by its equation; errors are those of a bootstrap of clusters done again."""
    rng = np.random.default_rng(17)
    treated, cluster = np.tile([1, 0], 60), np.repeat(np.arange(30), 4)
    observed = (rng.random(120) < 0.7 + 0.2 * treated).astype(int)
    outcome = rng.normal(size=120) + 0.3 * treated
    found = bounds.lee_interval(outcome, observed, treated, np.zeros(120), cluster, level=0.95, draws=300, seed=4)
    width = (found.bounds.upper - found.bounds.lower) / max(found.lower_error, found.upper_error)
    quantile = (found.bounds.lower - found.ci_low) / found.lower_error
    assert stats.norm.cdf(quantile + width) - stats.norm.cdf(-quantile) == pytest.approx(0.95, abs=1e-9)
    assert found.ci_high == pytest.approx(found.bounds.upper + quantile * found.upper_error)
    again = []
    for _ in range(300):
        rows = np.concatenate([np.flatnonzero(cluster == one) for one in rng.integers(0, 30, 30)])
        again.append(lee_bounds(outcome[rows], observed[rows], treated[rows], np.zeros(120))[:2])
    assert [found.lower_error, found.upper_error] == pytest.approx(np.std(again, axis=0, ddof=1), rel=0.2)


def test_mahalanobis_is_scipys_and_optimal_pairs_are_those_of_all_permutations():
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(18)
    x, treated = rng.normal(size=(12, 2)), np.array([1] * 5 + [0] * 7)
    points = neighbours.mahalanobis(x, treated)
    inner = np.vstack([x[treated == arm] - x[treated == arm].mean(axis=0) for arm in (1, 0)])
    theirs = cdist(x, x, "mahalanobis", VI=np.linalg.inv(inner.T @ inner / 10))
    assert cdist(points, points) == pytest.approx(theirs)
    found = optimal.optimal(treated, points, np.zeros(12, dtype=int), np.arange(12))
    least = min(
        sum(theirs[place, one] for place, one in enumerate(chosen))
        for chosen in itertools.permutations(range(5, 12), 5)
    )
    assert theirs[found.treated, found.control].sum() == pytest.approx(least)
    score = np.array([0.1, 0.5, 0.9, 0.3, 0.6])
    arm = np.array([1, 1, 1, 0, 0])
    assert neighbours.on_support(arm, score, "treated").tolist() == [False, True, False, True, True]
    assert neighbours.on_support(arm, score, "controls").all()


def test_draws_and_permutations_are_as_likely_as_they_should_be():
    counts = np.bincount(np.concatenate([samples.places_by_lot(10, 3, seed) for seed in range(3000)]), minlength=10)
    assert stats.chisquare(counts).pvalue > 0.001
    assert samples.places_by_lot(3, 5, 1).tolist() == [0, 1, 2]
    frame = pd.DataFrame({"a": range(10), "treated": [1.0] * 4 + [0.0] * 6})
    assert samples.by_lot(frame, 3, 7)["a"].tolist() == samples.places_by_lot(10, 3, 7).tolist()
    assert samples.number_treated(frame) == 4 and samples.number_treated(frame.assign(treated=np.nan)) is None

    signs = specification_curve.sign_changes(3, 8000, 2)
    of_each = pd.Series([tuple(column) for column in np.reshape(signs, (3, -1)).T]).value_counts()
    assert len(of_each) == 8 and stats.chisquare(of_each).pvalue > 0.001


def test_ranks_are_places_in_the_sorted_order():
    assert matching.ranks(np.array(["c", "a", "b"])).tolist() == [2, 0, 1]


def test_answers_that_are_missing_by_pattern_and_imputed_controls():
    rng = np.random.default_rng(20)
    number = 300
    clusters = rng.integers(0, 20, number)
    x, z = rng.normal(size=(2, number))
    y = x + 0.5 * z + rng.normal(size=number)
    copies = z + 0.3 * rng.normal(size=(4, number))
    fits = [
        sm.OLS(y, np.column_stack([np.ones(number), x, copy])).fit(
            cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": True}
        )
        for copy in copies
    ]
    found = missing_data.with_imputed_controls(y, x, [copies], np.ones((number, 1)), clusters, LEVEL)
    estimates, variances = (np.array([getattr(fit, of)[1] for fit in fits]) for of in ("params", "bse"))
    total = (variances**2).mean() + 1.25 * estimates.var(ddof=1)
    assert (found.effect.estimate, found.effect.std_error**2) == pytest.approx((estimates.mean(), total))
    missing = pd.DataFrame({"x": rng.random(50) < 0.3, "z": rng.random(50) < 0.2})
    counted = missing_data.patterns(missing)
    assert counted["loans"].tolist() == sorted(missing.value_counts().tolist(), reverse=True)


def test_the_shifted_copies_are_regressions_of_statsmodels():
    rng = np.random.default_rng(21)
    number = 200
    clusters, gone = rng.integers(0, 15, number), rng.random(number) < 0.3
    y = rng.normal(size=number)
    copies = rng.normal(size=(3, number))
    regress = missing_data.Shifted(y, copies, np.ones((number, 1)), clusters, gone)
    fits = [
        sm.OLS(y, sm.add_constant(copy + 0.7 * gone)).fit(
            cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": True}
        )
        for copy in copies
    ]
    estimates = np.array([fit.params[1] for fit in fits])
    total = np.mean([fit.bse[1] ** 2 for fit in fits]) + 4 / 3 * estimates.var(ddof=1)
    found = regress.at(0.7, LEVEL).effect
    assert (found.estimate, found.std_error**2) == pytest.approx((estimates.mean(), total))


def test_medians_by_cluster_are_those_of_a_bootstrap_done_again():
    rng = np.random.default_rng(22)
    values, clusters = rng.poisson(6, 400), rng.integers(0, 40, 400)
    found = early_warning.median_by_clusters(values, clusters, 0.9, 2000, [1])
    members = [values[clusters == one] for one in range(40)]
    again = [np.median(np.concatenate([members[one] for one in rng.integers(0, 40, 40)])) for _ in range(2000)]
    assert found.estimate == np.median(values)
    assert [found.ci_low, found.ci_high] == pytest.approx(np.quantile(again, [0.05, 0.95]), abs=0.5)
    assert found.std_error == pytest.approx(np.std(again, ddof=1), abs=0.05)


def test_scores_of_months_are_scikit_learns():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    frame, default, _ = made(23)
    x = frame[["x", "z"]].to_numpy()
    scale = StandardScaler().fit(x[:400])
    model = LogisticRegression(C=1.0, tol=1e-10).fit(scale.transform(x[:400]), default[:400])
    theirs = model.decision_function(scale.transform(x[400:]))
    assert logistic.predicted_log_odds(x[:400], default[:400], x[400:]) == pytest.approx(theirs, abs=1e-4)


def test_alerts_are_the_highest_ranks_of_each_period():
    rng = np.random.default_rng(24)
    score, period = rng.normal(size=300).round(4), rng.integers(0, 5, 300)
    found = early_warning.riskiest(score, period, np.arange(300), 0.2)
    rank = pd.Series(-score).groupby(period).rank(method="first")
    size = pd.Series(score).groupby(period).transform("size")
    assert found.tolist() == (rank <= np.floor(0.2 * size)).tolist()
    standing = early_warning.Standing.of(score, period, np.arange(300))
    assert standing.place.tolist() == (rank - 1).astype(int).tolist()
    assert standing.within(0.2).tolist() == found.tolist()


def test_thirds_cuts_and_doses_are_those_of_pandas():
    values = pd.Series(np.random.default_rng(25).normal(size=301))
    thirds = pd.qcut(values, 3, labels=["lowest", "middle", "highest"])
    assert moderation.in_thirds(values).astype(str).tolist() == thirds.astype(str).tolist()
    found = moderation.cut(values, [-0.5, 0.5])
    assert found.cat.codes.tolist() == pd.cut(values, [-np.inf, -0.5, 0.5, np.inf], right=False).cat.codes.tolist()
    doses = rates.dose_groups(pd.Series([0, 1, 2, 7]), [0, 1, 2])
    assert doses.astype(str).tolist() == ["0", "1", "2+", "2+"]
    groups = trend.ordered_groups(values.to_numpy(), 5)
    assert np.abs(np.bincount(groups) - 301 / 5).max() <= 1
    assert stats.spearmanr(groups, values).statistic > 0.95


def test_growth_is_that_of_davis_haltiwanger_and_schuh_in_pandas():
    rng = np.random.default_rng(26)
    frame = pd.DataFrame({"lender": rng.choice(list("abc"), 400), "year": rng.integers(2000, 2008, 400), "weight": 1.0})
    lent = frame.groupby(["lender", "year"])["weight"].sum().unstack(fill_value=0)
    rate = (lent - lent.shift(1, axis=1)) / ((lent + lent.shift(1, axis=1)) / 2)
    found = rate.shift(1, axis=1).unstack().dropna().rename("growth")
    theirs = frame.join(found, on=["year", "lender"])["growth"]
    ours = growth.lagged_growth(frame["lender"], frame["year"], frame["weight"], 1)
    both = theirs.notna()
    assert ours[both].to_numpy() == pytest.approx(theirs[both].to_numpy())
    assert both.sum() > 200


def test_odds_of_a_population_and_the_size_of_one():
    rng = np.random.default_rng(27)
    whole = rng.random(200_000) < 0.04
    taken = whole | (rng.random(200_000) < 0.1)
    weights = np.where(whole[taken], 1.0, (~whole).sum() / (taken & ~whole).sum())
    ratio = sampling.prior_ratio(whole[taken].astype(int), weights)
    assert sampling.to_population(whole[taken].mean(), ratio) == pytest.approx(whole.mean(), rel=1e-9)
    # Darroch (1958): of two samples the maximum likelihood estimate is Lincoln and Petersen's.
    found = sampling.population_size([200, 150], 320)
    assert found.size == pytest.approx(200 * 150 / 30, rel=1e-6)


def test_smallest_detectable_effects_have_their_power():
    found = verdicts.Found(0.1, -0.4, 0.6, unit="points")
    error = 1.0 / 2 / stats.norm.ppf(0.975)
    least = verdicts.smallest_detectable(found, "higher", 0.95)
    assert stats.norm.sf(stats.norm.ppf(0.975) - least / error) == pytest.approx(0.8)
    assert (verdicts.is_ratio("odds ratio"), verdicts.is_ratio("log rate ratio")) == (True, False)
    assert (verdicts.neutral("odds ratio"), verdicts.neutral("points")) == (1, 0)


def test_cases_are_the_nearest_pairs_and_the_extreme_residuals():
    pairs = pd.DataFrame(
        {
            "treated": ["a", "b", "c"],
            "control": ["d", "e", "f"],
            "treated_default": [0, 0, 1],
            "control_default": [1, 1, 1],
            "distance": [0.2, 0.1, 0.0],
        }
    )
    assert cases.nearest_of_each_fate(pairs) == {"with_claim": (1, 2), "both_defaulted": (2, 1)}
    residuals = np.array([0.5, -2.0, 1.5, 0.1])
    assert cases.on_and_off(residuals, list("abcd")) == {"on_line": 3, "above_line": 2, "below_line": 1}


def test_kish_counts_equal_weights():
    assert weighting.effective_size(np.array([2.0] * 7 + [0.0])) == pytest.approx(7)
