import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pipeline.stats import saved_score, scorecard
from pipeline.stats.classifiers import logistic
from pipeline.stats.features import learn

ROWS = 4_000


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "score": rng.normal(600, 50, ROWS),
            "income": np.exp(rng.normal(10, 0.5, ROWS)),
            "kind": pd.Categorical(rng.choice(["car", "home", "boat"], ROWS, p=[0.5, 0.47, 0.03])),
            "answer": np.where(rng.random(ROWS) < 0.3, np.nan, rng.integers(1, 11, ROWS)),
            "noise": rng.normal(size=ROWS),
        }
    )
    odds = -2 - (frame["score"] - 600) / 50 + 0.8 * (frame["kind"] == "home") - 0.1 * (frame["answer"].fillna(2) - 5)
    return frame.assign(default=(rng.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(float))


TERMS = ["score", "log(income)", "kind", "answer", "noise"]


@pytest.fixture(scope="module")
def card(loans):
    return scorecard.fit(loans, TERMS, loans["default"].to_numpy())


def test_weights_of_evidence_by_hand():
    # Good loans 300, 500, 200 and bad ones 10, 20, 70 in three bins, without smoothing.
    found = scorecard.weights_of_evidence(np.array([300, 500, 200]), np.array([10, 20, 70]), smoothing=0)
    assert found.weights == pytest.approx([np.log(0.3 / 0.1), np.log(0.5 / 0.2), np.log(0.2 / 0.7)])
    # .2 ln 3 + .3 ln 2.5 - .5 ln(2/7)
    assert found.information == pytest.approx(0.2 * 1.0986123 + 0.3 * 0.9162907 + 0.5 * 1.2527630, abs=1e-6)


def test_an_empty_count_has_a_finite_weight():
    assert np.isfinite(scorecard.weights_of_evidence(np.array([10, 90]), np.array([0, 20])).weights).all()


def test_bins_follow_the_order_of_the_number(loans, card):
    one = next(one for one in card["characteristics"] if one["term"] == "score")
    rates = np.array(one["rates"])[: len(one["edges"]) + 1]
    assert (np.diff(rates) < 0).all() and len(rates) > 3
    place = scorecard.bin_of(loans["score"], one)
    assert pd.Series(place).groupby(place).size().div(ROWS).min() >= scorecard.SMALLEST_BIN - 1e-9
    assert loans["default"].groupby(place).mean().to_numpy() == pytest.approx(rates)
    # An edge belongs to the bin below it.
    assert scorecard.bin_of(pd.Series([one["edges"][0]]), one)[0] == 0


def test_gaps_and_rare_levels_have_bins_of_their_own(loans, card):
    of_term = {one["term"]: one for one in card["characteristics"]}
    answer, kind = of_term["answer"], of_term["kind"]
    assert scorecard.count_bins(answer) == len(answer["edges"]) + 2
    assert (scorecard.bin_of(loans["answer"], answer)[loans["answer"].isna()] == len(answer["edges"]) + 1).all()
    assert kind["levels"] == ["car", "home"] and kind["known"] == ["boat", "car", "home"]
    assert scorecard.bin_of(pd.Series(["boat", "car", "plane"]), kind).tolist() == [2, 0, 2]


def test_a_characteristic_that_the_others_turn_round_leaves():
    rng = np.random.default_rng(8)
    debt = rng.normal(size=6_000)
    # Alone the echo goes with default as debt does; beside debt it goes the other way, by less than its own evidence.
    frame = pd.DataFrame({"debt": debt, "echo": debt + 0.5 * rng.normal(size=6_000)})
    odds = 1.6 * frame["debt"] - 0.6 * frame["echo"] - 1
    default = (rng.random(6_000) < 1 / (1 + np.exp(-odds))).astype(float)
    found = scorecard.fit(frame, ["debt", "echo"], default)["characteristics"]
    assert [one["column"] for one in found] == ["debt"]
    assert found[0]["coefficient"] < 0


def test_what_says_nothing_gets_no_points_and_no_coefficient_has_the_wrong_sign(card):
    assert "noise" not in [one["term"] for one in card["characteristics"]]
    assert all(one["coefficient"] <= 0 for one in card["characteristics"])


def test_points_follow_the_odds(loans, card):
    scale = scorecard.Scale(600, 20, 20)
    points = scorecard.points(card, scale)
    total = sum(
        np.array(of_bins)[scorecard.bin_of(loans[one["column"]], one)]
        for one, of_bins in zip(card["characteristics"], points, strict=True)
    )
    exact = 600 + 20 / np.log(2) * (-scorecard.log_odds(loans, card) - np.log(20))
    # Each characteristic's points are rounded.
    assert np.abs(total - exact).max() <= 0.5 * len(points)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_saved_model_gives_the_same_probabilities_as_scikit_learn(loans, weighted):
    default = loans["default"].to_numpy()
    weights = np.where(default == 1, 1.0, 4.0) if weighted else None
    encoder = learn(loans, TERMS, weights)
    matrix = encoder.matrix(loans)
    intercept, slopes = logistic(matrix, default, weights)
    theirs = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10)
    theirs.fit(matrix, default, sample_weight=None if weights is None else weights / weights.mean())
    saved = {"logistic": saved_score.saved_logistic(encoder, intercept, slopes, matrix.mean(axis=0))}
    read = json.loads(json.dumps(saved))
    found = saved_score.probability(read, "logistic", loans)
    assert np.abs(found - theirs.predict_proba(matrix)[:, 1]).max() < 1e-12
    # At the digits that are written the difference stays invisible.
    again = saved_score.probability(json.loads(json.dumps(saved_score.tidied(saved))), "logistic", loans)
    assert np.abs(again - found).max() < 1e-6


def test_a_saved_scorecard_gives_the_same_probabilities(loans, card):
    read = json.loads(json.dumps({"scorecard": card}))
    theirs = 1 / (1 + np.exp(-scorecard.log_odds(loans, card)))
    assert np.abs(saved_score.probability(read, "scorecard", loans) - theirs).max() < 1e-15


@pytest.mark.parametrize("kind", saved_score.KINDS)
def test_contributions_add_up_to_the_odds(loans, card, kind):
    default = loans["default"].to_numpy()
    encoder = learn(loans, TERMS)
    matrix = encoder.matrix(loans)
    line = saved_score.saved_logistic(encoder, *logistic(matrix, default), matrix.mean(axis=0))
    model = {"scorecard": card, "logistic": line}
    terms, adds = saved_score.contributions(model, kind, loans)
    odds = saved_score.log_odds(model, kind, loans)
    assert adds.shape == (ROWS, len(terms))
    # Against the average loan: what is left is the same for all.
    assert np.ptp(odds - adds.sum(axis=1)) < 1e-9
    assert adds.mean(axis=0) == pytest.approx(0, abs=1e-9)


def test_grades_tiers_and_alerts(loans):
    share = np.linspace(0, 1, 1_001)
    at = saved_score.cuts(share, [0.25, 0.5], [0.5, 0.9], 0.1, None)
    found = saved_score.judged(share, at._asdict())
    assert found["grade"].value_counts().sort_index().tolist() == [251, 250, 500]
    assert found["tier"].unique().tolist() == ["low", "medium", "high"]
    assert found["alert"].sum() == 100
    flat = saved_score.cuts(np.full(10, 0.3), [0.25, 0.5], [0.5, 0.9], 0.1, None)
    assert saved_score.judged(np.array([0.3, 0.4]), flat._asdict())["tier"].tolist() == ["low", "high"]


def test_information_by_chance_is_chi_squared():
    # Two bins, no smoothing to speak of: the information value is near Pearson's chi-squared over n g (1 - g).
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        default = (rng.random(2_000) < 0.2).astype(float)
        place = rng.integers(0, 3, 2_000)
        bad = np.bincount(place, default, 3)
        evidence = scorecard.weights_of_evidence(np.bincount(place, minlength=3) - bad, bad)
        binning = {"information_value": evidence.information, "shares": [0.3, 0.3, 0.4]}
        found.append(scorecard.by_chance(binning, default))
    # P-values of nothing are uniform.
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_regression_of_many_loans_is_that_of_few(monkeypatch, weighted):
    rng = np.random.default_rng(8)
    # A column in other units than its neighbours, a rare level and one that no loan has: the penalty sees their scale.
    design = rng.normal(size=(3_000, 4)) * [1, 20, 1, 0]
    design[:, 2] = rng.random(3_000) < 0.004
    default = (rng.random(3_000) < 1 / (1 + np.exp(2 - design[:, 0]))).astype(float)
    weights = rng.uniform(0.5, 4, 3_000) if weighted else None
    few = logistic(design, default, weights)
    monkeypatch.setattr("pipeline.stats.logistic.MANY", 3_000)
    many = logistic(design, default, weights)
    assert many[0] == pytest.approx(few[0], rel=1e-8)
    assert many[1] == pytest.approx(few[1], rel=1e-8, abs=1e-12)
    # One default alone is in no tenth part of the loans.
    default[:] = 0
    default[1] = 1
    assert np.isfinite(logistic(design, default, weights)[1]).all()


@pytest.mark.parametrize("low", [200501, 20050131, 2005013123])
def test_neighbouring_numbers_of_many_digits_are_parted(low):
    # Risk is .1 at the one value and .3 at the other, which six digits, or a tree's seven, hold for one.
    values = np.repeat([low, low + 1], 1_000)
    default = np.tile(np.repeat([1.0, 0.0], [1, 9]), 200)
    default[1_000:] = np.tile(np.repeat([1.0, 0.0], [3, 7]), 100)
    frame = pd.DataFrame({"when": values.astype(float)})
    card = scorecard.fit(frame, ["when"], default)
    one = card["characteristics"][0]
    assert one["rates"] == pytest.approx([0.1, 0.3])
    good, bad = np.array([900.5, 700.5]) / 1601, np.array([100.5, 300.5]) / 401
    assert one["information_value"] == pytest.approx(((good - bad) * np.log(good / bad)).sum())
    # Nor does the file round them.
    saved = json.loads(json.dumps(saved_score.tidied({"scorecard": card})))
    share = saved_score.probability(saved, "scorecard", frame)
    assert roc_auc_score(default, share) == pytest.approx(roc_auc_score(default, values))
    assert saved_score.columns_of(saved, "scorecard")[0]["high"] == low + 1
