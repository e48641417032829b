import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from pipeline.runtime.errors import StudyError
from pipeline.stats import classifiers
from pipeline.stats.classifiers import boosted, forest, learnable, least_leaf, logistic, probability, pruned_tree


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(4)
    design = rng.normal(size=(1_200, 3))
    odds = -1.5 + design[:, 0] + (design[:, 1] > 0.5)
    return design, (rng.random(1_200) < 1 / (1 + np.exp(-odds))).astype(float)


def test_a_leaf_holds_about_ten_defaults_and_at_most_a_tenth_of_all():
    assert least_leaf(1_000, 200) == 50
    assert least_leaf(1_000, 150) == 67
    assert least_leaf(1_000, 20) == 100
    assert least_leaf(60, 30) == 6
    assert least_leaf(40, 40) == 5
    assert least_leaf(1_000, 0) == 100


def test_the_tree_is_the_smallest_within_a_standard_error_of_the_best(loans):
    design, default = loans
    for seed in range(4):
        leaf = least_leaf(len(default), int(default.sum()))
        whole = DecisionTreeClassifier(max_depth=5, min_samples_leaf=leaf, random_state=seed)
        steps = whole.cost_complexity_pruning_path(design, default).ccp_alphas
        # Between two steps of the path every penalty gives the same tree; five of them are tried.
        penalties = np.unique(np.sqrt(np.maximum(steps[:-1] * steps[1:], 0)))
        penalties = penalties[np.linspace(0, len(penalties) - 1, min(5, len(penalties))).astype(int)]
        search = GridSearchCV(
            whole,
            {"ccp_alpha": penalties},
            scoring="neg_log_loss",
            cv=StratifiedKFold(3, shuffle=True, random_state=seed),
        ).fit(design, default)
        losses = -np.array([search.cv_results_[f"split{place}_test_score"] for place in range(3)])
        mean, error = losses.mean(axis=0), losses.std(axis=0, ddof=1) / np.sqrt(3)
        best = mean.argmin()
        expected = max(penalties[mean <= mean[best] + error[best]])
        found = pruned_tree(design, default, None, seed)
        assert found.ccp_alpha == pytest.approx(expected)
        theirs = DecisionTreeClassifier(max_depth=5, min_samples_leaf=leaf, ccp_alpha=expected, random_state=seed)
        assert probability(found, design) == pytest.approx(theirs.fit(design, default).predict_proba(design)[:, 1])


def test_a_tree_of_weighted_loans_is_that_of_repeated_ones(loans):
    design, default = loans
    times = np.where(default == 1, 1.0, 3.0)
    found = pruned_tree(design, default, times, 0)
    shares = probability(found, design)
    for share in np.unique(shares):
        inside = shares == share
        assert share == pytest.approx(np.average(default[inside], weights=times[inside]))


def test_choices_that_would_move_every_published_area(loans):
    design, default = loans
    assert {"learning_rate": 0.06, "max_iter": 60, "max_leaf_nodes": 8, "l2_regularization": 1.0}.items() <= (
        boosted(design, default, None, 1).get_params().items()
    )
    found = forest(design, default, None, 1).get_params()
    # A quarter of what a leaf of the single tree holds.
    leaf = max(3, least_leaf(len(default), int(default.sum())) // 4)
    assert (found["n_estimators"], found["min_samples_leaf"], found["max_samples"]) == (60, leaf, None)
    many = np.tile(design, (5, 1)), np.tile(default, 5)
    assert boosted(*many, None, 1).get_params()["max_iter"] == 120
    assert forest(*many, None, 1).get_params()["max_samples"] == 0.3
    assert found["random_state"] == 1


def test_without_a_column_it_is_the_rate():
    default, weights = np.array([1.0, 0, 0, 0]), np.array([1.0, 1, 1, 3])
    assert logistic(np.empty((4, 0)), default)[0] == pytest.approx(np.log(1 / 3))
    assert logistic(np.empty((4, 0)), default, weights)[0] == pytest.approx(np.log(1 / 5))


def test_too_many_loans_for_a_tree_are_a_sentence():
    learnable(classifiers.LIMIT, "tree")
    learnable(classifiers.LIMIT + 1, "boosting")
    for kind in ("tree", "forest"):
        with pytest.raises(StudyError, match="learns from at most 2,000,000 loans"):
            learnable(classifiers.LIMIT + 1, kind)
