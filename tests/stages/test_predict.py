"""How loans are split for scores, what is said of a score, the saved score, and its card, against other packages."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, precision_score, recall_score, roc_auc_score

from pipeline.analyses.predict import card as model_card
from pipeline.analyses.predict import judged as predict_judged
from pipeline.analyses.predict import saved as predict_saved
from pipeline.analyses.predict.chosen import FOLDS, chosen, cross_validated
from pipeline.analyses.predict.moments import ALL, HARD, moments, split_loans
from pipeline.core import params, results
from pipeline.core.shared import OutcomeWindow
from pipeline.present.words import Words
from pipeline.stats import prediction, saved_score, splits
from tests.commands.test_score import cohort
from tests.sample import completed

ROOT = Path(__file__).parents[2]
STUDY = "berka"


@pytest.fixture(scope="module")
def choices():
    return params.load(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def protocol(choices):
    return choices.study(STUDY).model_copy(update={"undated": []})


@pytest.fixture(scope="module")
def loans():
    frame = completed(cohort(), STUDY)
    return frame.sort_values(["origination_date", "loan_id"], kind="stable", ignore_index=True)


@pytest.fixture(scope="module")
def moment(loans, protocol, choices):
    (one,) = moments(loans, protocol, None, choices, 1)
    return one


@pytest.fixture(scope="module")
def share(moment):
    return prediction.predict(moment.sample, moment.split, moment.rungs[ALL], "logistic").share


@pytest.fixture(scope="module")
def model(moment):
    return predict_saved.model_of(moment)


def test_the_rule_decides_what_is_out_of_time(loans, protocol, choices):
    date = loans["origination_date"]
    plain = split_loans(loans, "default", protocol, None, choices, 1)
    assert (plain.outcome, plain.saved.name, plain.months) == ("default", "same_period", None)
    horizon = protocol.model_copy(update={"horizon_months": 12})
    found = split_loans(loans, "default", horizon, None, choices, 1)
    assert (found.outcome, found.saved.name, found.months) == ("default", "out_of_time", 12)
    assert date[found.saved.folds[0].train].max() + pd.DateOffset(months=12) <= pd.Timestamp(found.saved.cut)
    # A horizon as long as all the dates leaves nobody to learn from.
    endless = protocol.model_copy(update={"horizon_months": 120})
    assert split_loans(loans, "default", endless, None, choices, 1).saved.name == "same_period"
    rng = np.random.default_rng(0)
    dated = loans.assign(
        months_to_default=pd.Series(rng.uniform(0, 30, len(loans))).where(loans["default"] == 1),
        wait=rng.uniform(0, 4, len(loans)),
    )
    window = OutcomeWindow(months=12, column="months_to_default", after="wait")
    found = split_loans(dated, "default", protocol, window, choices, 1)
    within = (dated["months_to_default"] + dated["wait"] <= 12).to_numpy(dtype=float)
    assert found.outcome == "default_within_12" and (found.default == within).all()
    assert found.saved.forecasts and 0 < within.sum() < loans["default"].sum()


def numbers(rows):
    return {row["estimand"]: row for row in rows}


def test_what_is_said_of_a_score_is_what_scikit_learn_says(moment, share):
    default, clusters = moment.test.default, moment.test.loans["region"].astype(str).to_numpy()
    found = numbers(predict_judged.quality(moment, "logistic", ALL, share))
    assert {row["specification"] for row in found.values()} == {"same_period"}
    assert found["auc"]["estimate"] == pytest.approx(roc_auc_score(default, share))
    assert found["brier"]["estimate"] == pytest.approx(brier_score_loss(default, share))
    picked = share >= np.sort(share)[::-1][round(0.1 * len(share)) - 1]
    assert found["precision"]["estimate"] == pytest.approx(100 * precision_score(default, picked))
    assert found["recall"]["estimate"] == pytest.approx(100 * recall_score(default, picked))
    assert found["lift"]["estimate"] == pytest.approx(precision_score(default, picked) / default.mean())
    odds = np.log(share / (1 - share))[:, None]
    slope = LogisticRegression(C=np.inf, tol=1e-10).fit(odds, default).coef_[0, 0]
    assert found["calibration_slope"]["estimate"] == pytest.approx(slope, rel=1e-4)
    # The error is clustered: of the same loans with regions drawn together.
    rng, names = np.random.default_rng(0), np.unique(clusters)
    drawn = []
    for _ in range(300):
        rows = np.concatenate([np.flatnonzero(clusters == one) for one in rng.choice(names, len(names))])
        drawn.append(roc_auc_score(default[rows], share[rows]))
    assert found["auc"]["std_error"] == pytest.approx(np.std(drawn), rel=0.15)


def test_gains_are_differences_on_the_same_loans(moment, share):
    hard = prediction.predict(moment.sample, moment.split, moment.rungs[HARD], "logistic").share
    scores = {("logistic", HARD): hard, ("logistic", ALL): share}
    found = numbers(predict_judged.gains(moment, "logistic", ALL, share, scores))
    default = moment.test.default
    gain = roc_auc_score(default, share) - roc_auc_score(default, hard)
    assert found["auc_gain"]["estimate"] == pytest.approx(gain) == found["auc_gain_clustered"]["estimate"]
    brier = brier_score_loss(default, hard) - brier_score_loss(default, share)
    assert found["brier_gain"]["estimate"] == pytest.approx(brier)
    # Followed up where the probability x 25% x 45 is above the cost of 1.
    saved = [np.where(one * 0.25 * 45 > 1, default * 0.25 * 45 - 1, 0).mean() for one in (share, hard)]
    assert found["saving_gain"]["estimate"] == pytest.approx(saved[0] - saved[1])


def test_the_training_loans_alone_choose_the_learner(moment, protocol):
    kinds = ("tree", "logistic")
    first = moment.split.folds[0].train
    areas, number = cross_validated(moment, HARD, kinds)
    assert number == first.sum()
    # By scikit-learn: each cluster is held out once, and those held out are told apart by the others' model.
    train = moment.sample.part(first)
    clusters = train.loans[protocol.cluster].astype(str).to_numpy()
    held, share = np.zeros(len(clusters), dtype=bool), np.empty(len(clusters))
    for fold in splits.by_group(pd.Series(clusters), FOLDS).folds:
        assert not set(clusters[fold.train]) & set(clusters[fold.test])
        held |= fold.test
        share[fold.test] = prediction.fit(train.part(fold.train), moment.rungs[HARD], "logistic").probability(
            train.loans[fold.test]
        )
    assert held.all()
    assert areas["logistic"] == pytest.approx(roc_auc_score(train.default, share))

    found = {
        (kind, rung): prediction.predict(moment.sample, moment.split, moment.rungs[rung], kind, moment.seed).share
        for rung in (HARD, ALL)
        for kind in kinds
    }
    rows = {(row["factor"], row["estimand"]): row for row in chosen(moment, found)}
    best = max(kinds, key=lambda kind: areas[kind])
    for rung in (HARD, ALL):
        note = rows[rung, "auc"]["note"]
        assert note.startswith(f"{best}; ") and "training loans, with hard information: tree 0." in note
    assert rows[ALL, "auc"]["estimate"] == pytest.approx(roc_auc_score(moment.test.default, found[best, ALL]))
    gain = rows[ALL, "auc_gain_clustered"]
    assert gain["estimate"] == pytest.approx(rows[ALL, "auc"]["estimate"] - rows[HARD, "auc"]["estimate"])
    assert gain["note"] == f"{best} with CRM less {best} without"
    # However the loans that are judged turned out, the choice stays.
    turned = moment.sample.default.copy()
    turned[moment.split.test] = 1 - turned[moment.split.test]
    changed = moment._replace(sample=moment.sample._replace(default=np.where(first, moment.sample.default, turned)))
    assert cross_validated(changed, HARD, kinds)[0] == areas


@pytest.mark.parametrize("preferred", ["logistic", "scorecard"])
def test_what_crm_adds_is_the_gain_of_one_learner_whichever_would_be_chosen_with_crm(moment, preferred, monkeypatch):
    """A change of learner is no information: that of hard information stays, of those that learn without CRM too."""
    asked = []

    def validated(of, rung, kinds):
        asked.append((rung, tuple(kinds)))
        better = {HARD: preferred, ALL: "forest"}[rung]
        return {kind: 0.7 if kind == better else 0.6 for kind in kinds}, 100

    monkeypatch.setattr("pipeline.analyses.predict.chosen.cross_validated", validated)
    rng, default = np.random.default_rng(4), moment.test.default
    shares = {
        (kind, rung): rng.uniform(size=len(default)) for rung in (HARD, ALL) for kind in ("logistic", "scorecard")
    }
    shares["forest", ALL] = default * 0.5 + 0.2
    rows = {(row["factor"], row["estimand"]): row for row in chosen(moment, shares)}
    assert asked == [(HARD, ("logistic", "scorecard"))]
    areas = [roc_auc_score(default, shares[preferred, rung]) for rung in (HARD, ALL)]
    assert [rows[rung, "auc"]["estimate"] for rung in (HARD, ALL)] == pytest.approx(areas)
    assert rows[ALL, "auc_gain_clustered"]["estimate"] == pytest.approx(areas[1] - areas[0])
    assert rows[ALL, "auc_gain_clustered"]["note"] == f"{preferred} with CRM less {preferred} without"


def test_where_only_one_kind_of_information_is_there_it_chooses(moment, monkeypatch):
    monkeypatch.setattr(
        "pipeline.analyses.predict.chosen.cross_validated",
        lambda of, rung, kinds: (dict.fromkeys(kinds, 0.6) | {"tree": 0.7}, 100),
    )
    alone = moment._replace(rungs={ALL: moment.rungs[ALL]})
    shares = {(kind, ALL): np.linspace(0.1, 0.9, len(moment.test.default)) for kind in ("logistic", "tree")}
    (row,) = chosen(alone, shares)
    assert (row["factor"], row["estimand"]) == (ALL, "auc")
    assert row["note"].startswith("tree; ") and "with all there is: " in row["note"]


def test_curves_are_those_of_the_areas(moment, share):
    rows = pd.DataFrame(predict_judged.curves(moment, {"logistic": share}, ALL))
    roc = rows[rows["estimator"] == "roc"]
    area = np.trapezoid(roc["estimate"], roc["outcome"].astype(float))
    assert area == pytest.approx(roc_auc_score(moment.test.default, share), abs=0.01)
    reliable = rows[rows["estimator"] == "reliability"]
    assert np.average(reliable["estimate"], weights=reliable["n"]) == pytest.approx(100 * moment.test.default.mean())


def test_the_saved_score_is_a_regression_and_its_cuts_hold_their_shares(moment, model, choices):
    fold = moment.saved.folds[0]
    train = moment.sample.part(fold.train)
    assert model["trained"]["loans"] == len(train.loans) and model["trained"]["months_to_outcome"] is None
    assert (model["trained"]["split"], model["trained"]["outcome"]) == ("same_period", "default")
    encoded = prediction.fit(train, moment.rungs[ALL], "logistic").encoder.matrix(train.loans)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=1_000).fit(encoded, train.default)
    share = saved_score.probability(model, "logistic", train.loans)
    assert share == pytest.approx(theirs.predict_proba(encoded)[:, 1], abs=1e-5)
    for kind in saved_score.KINDS:
        judged = saved_score.judged(saved_score.probability(model, kind, train.loans), model["cuts"][kind])
        assert judged["alert"].mean() <= choices.predict.capacity + 1e-9
        reached = (judged["grade"] <= 4).mean()
        assert reached >= 0.5 - 1e-9 and (kind == "scorecard" or reached == pytest.approx(0.5, abs=0.01))


def test_groups_and_assumptions_are_counted_on_later_loans(moment, model):
    test = moment.sample.part(moment.saved.folds[0].test)
    share = saved_score.probability(model, "scorecard", test.loans)
    rows = list(predict_saved.groups(moment, model))
    female = {row["estimand"]: row for row in rows if row["factor"] == "female[1]"}
    inside = (test.loans["female"] == 1).to_numpy()
    assert female["observed_rate"]["estimate"] == pytest.approx(100 * test.default[inside].mean())
    assert female["predicted_rate"]["estimate"] == pytest.approx(100 * share[inside].mean())
    held = {row["specification"]: row for row in predict_saved.assumptions(moment, model)}
    assert (
        held["outcomes_known"]["note"].startswith("failed")
        and held["judged_defaults"]["estimate"] == test.default.sum()
    )
    largest = moment.test.loans["region"].value_counts(normalize=True).iloc[0]
    assert held["no_dominant_cluster"]["estimate"] == pytest.approx(largest)
    assert held["no_dominant_cluster"]["note"].startswith("passed" if largest <= 0.1 else "failed")
    # The best column by scikit-learn, either way round.
    train = moment.sample.part(moment.saved.folds[0].train)
    one = roc_auc_score(train.default, train.loans[held["no_column_tells_all"]["factor"]].astype(float))
    assert held["no_column_tells_all"]["estimate"] == pytest.approx(max(one, 1 - one))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_card_says_what_the_rows_say(moment, model, share, language, tmp_path):
    rows = [moment.row("split", "", "dates", estimate=1.0)]
    rows += predict_judged.quality(moment, "logistic", ALL, share)
    rows += predict_saved.groups(moment, model)
    rows += predict_saved.assumptions(moment, model)
    results.write(tmp_path / "predict.csv", results.table(STUDY, "predict", rows))
    found = results.read(tmp_path / "predict.csv")
    card = model_card.card(found, model, Words(language, STUDY, STUDY), 0.95, simulated=False)
    area = next(row for row in rows if row["estimand"] == "auc")
    assert f"{area['estimate']:.3f} [{area['ci_low']:.3f}, {area['ci_high']:.3f}]" in card
    assert f"{model['trained']['loans']:,}" in card and model["trained"]["cut"] in card
    # It is called what it is.
    assert {"en": "so this is not out of time", "zh": "因此并非时间外检验"}[language] in card.replace("\n", " ")
    points = model["scorecard"]["characteristics"][0]["points"]
    assert all(str(one).replace("-", "\N{MINUS SIGN}") in card for one in points[:2])
    # The window is that of the outcome; how long before the cut loans were granted is another number.
    dated = model | {"trained": model["trained"] | {"outcome": "default_within_48", "months_to_outcome": 36}}
    renamed = results.Results(found.frame.assign(outcome="default_within_48"))
    windowed = model_card.card(renamed, dated, Words(language, STUDY, STUDY), 0.95, simulated=False)
    assert {"en": "within 48 months of origination", "zh": "放款后 48 个月以内"}[language] in windowed
    assert model_card.card(found, {"nothing": "why"}, Words(language, STUDY, STUDY), 0.95, simulated=False).endswith(
        "why"
    )
