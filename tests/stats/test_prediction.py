import numpy as np
import pandas as pd
import pytest

from pipeline.core.fields import CONSTRUCTS
from pipeline.runtime.errors import StudyError
from pipeline.stats import boosting, classifiers, features, prediction, splits
from pipeline.stats.prediction import Sample

ROWS = 2_400


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(2)
    risk, known = rng.normal(size=(2, ROWS))
    loans = pd.DataFrame(
        {
            "loan_id": [f"{place:05d}" for place in range(ROWS)],
            "origination_date": pd.Timestamp("2001-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 900, ROWS)), "D"),
            "debt": risk,
            "relationship_length": known,
            "kind": pd.Categorical(rng.choice(["a", "b"], ROWS)),
            "month": pd.Categorical(np.arange(ROWS) // 100),
            "bank": rng.integers(0, 30, ROWS),
        }
    )
    default = (rng.random(ROWS) < 1 / (1 + np.exp(1.5 - risk + 0.8 * known))).astype(float)
    return Sample(loans, default, None)


def test_every_construct_has_a_block():
    assert set(features.BLOCK_OF_CONSTRUCT) == set(CONSTRUCTS)
    assert set(features.BLOCK_OF_CONSTRUCT.values()) < set(features.LADDER)


def test_blocks_follow_from_the_construct():
    found = features.blocks_of(
        ["log(income)", "relationship_length"],
        ["relationship_length", "information_sharing", "information_sharing_words", "satisfaction"],
        {"income", "credit_grade"},
    )
    assert found == {
        # A control that measures the relationship is no hard information.
        "hard": ["credit_grade", "log(income)"],
        "relationship": ["relationship_length"],
        "contacts": ["information_sharing", "satisfaction"],
        "text": ["information_sharing_words"],
    }


@pytest.mark.parametrize(
    "leak",
    [
        "default_after_landmark",
        "months_to_default",
        "loss_given_default",
        "log(recoveries)",
        "past_due_share",
        "loan_id",
    ],
)
def test_what_follows_from_the_outcome_is_refused(leak):
    with pytest.raises(StudyError, match="no score may use it"):
        features.blocks_of(["income", leak], [], {"income"})


def test_an_encoder_knows_training_loans_alone():
    train = pd.DataFrame({"x": [1.0, 3.0, np.nan], "size": [1.0, np.e, np.e**2], "kind": ["a", "b", "a"]})
    later = pd.DataFrame({"x": [100.0, np.nan], "size": [1.0, -5.0], "kind": ["b", "new"]})
    encoder = features.learn(train, ["x", "log(size)", "kind"])
    assert encoder.columns == ["x", "x[missing]", "log(size)", "kind[b]"]
    found = encoder.matrix(later)
    assert found[:, 0].tolist() == [98, 0] and found[:, 1].tolist() == [0, 1]
    assert found[:, 2] == pytest.approx([-np.sqrt(1.5), 0])
    # A level that training loans never had is like the first.
    assert found[:, 3].tolist() == [1, 0]
    assert features.learn(train.assign(x=2.0, kind="a"), ["x", "kind"]).columns == []


def test_later_loans_judge_and_no_borrower_stands_on_both_sides(sample):
    date = sample.loans["origination_date"]
    borrower = pd.Series(np.random.default_rng(0).integers(0, 1_500, ROWS))
    split = splits.by_time(date, borrower, 0.7)
    fold = split.folds[0]
    assert date[fold.train].max() < date[fold.test].min() and fold.train.mean() == pytest.approx(0.7, abs=0.01)
    assert not set(borrower[fold.train]) & set(borrower[fold.test])
    assert (~fold.train & ~fold.test).any()
    rolled = splits.rolling(date, borrower, 4)
    assert len(rolled.folds) == 3
    for one in rolled.folds:
        assert date[one.train].max() < date[one.test].min() and not set(borrower[one.train]) & set(borrower[one.test])
    assert len(set(rolled.test)) == len(rolled.test)
    with pytest.raises(StudyError, match="one date"):
        splits.by_time(pd.Series(pd.Timestamp("2001-01-01"), range(9)), None, 0.7)


def test_only_outcomes_known_at_the_cut_teach(sample):
    date = sample.loans["origination_date"]
    known = date + pd.DateOffset(months=6)
    split = splits.by_time(date, None, 0.7, known)
    fold, cut = split.folds[0], pd.Timestamp(split.cut)
    assert split.name == "out_of_time" and split.forecasts
    assert (fold.train == (known <= cut)).all() and (fold.test == (date >= cut)).all()
    # Between them stand loans of six months.
    between = date[~fold.train & ~fold.test]
    assert len(between) and cut - between.min() > pd.Timedelta(days=170)
    plain = splits.by_time(date, None, 0.7)
    assert plain.name == "same_period" and not plain.forecasts and plain.cut == split.cut
    assert (plain.folds[0].train | plain.folds[0].test).all()
    rolled = splits.rolling(date, None, 4, known)
    assert rolled.name == "rolling_origin" and splits.rolling(date, None, 4).name == "same_period_spans"
    for one in rolled.folds:
        assert not one.train.any() or known[one.train].max() <= date[one.test].min()


def test_two_dates_are_cut_between_them():
    date = pd.Series(pd.to_datetime(["2003-09-01"] * 4 + ["2003-10-01"] * 6))
    assert splits.by_time(date, None, 0.9).folds[0].train.sum() == 4


def test_lenders_are_judged_by_others_and_each_once(sample):
    bank = sample.loans["bank"]
    split = splits.by_group(bank, 5)
    for fold in split.folds:
        assert not set(bank[fold.train]) & set(bank[fold.test])
        assert fold.test.mean() == pytest.approx(0.2, abs=0.03)
    assert sorted(split.test) == list(range(ROWS))


def test_draws_do_not_depend_on_the_order_of_loans(sample):
    identifier = sample.loans["loan_id"]
    fold = splits.at_random(identifier, None, 0.7, [3]).folds[0]
    turned = splits.at_random(identifier[::-1], None, 0.7, [3]).folds[0]
    assert (turned.train[::-1] == fold.train).all()


@pytest.mark.parametrize("kind", prediction.KINDS)
def test_a_block_that_matters_is_found_and_nothing_is_learnt_from_test_loans(sample, kind):
    split = splits.by_time(sample.loans["origination_date"], None, 0.7)
    terms = ["debt", "relationship_length", "kind"]
    found = prediction.predict(sample, split, terms, kind, 1)
    test = sample.part(split.test)
    good, bad = (found.share[test.default == kind_of].mean() for kind_of in (0, 1))
    assert bad > 1.25 * good
    # Other outcomes of the judged loans change no prediction.
    turned = sample._replace(default=np.where(split.folds[0].test, 1 - sample.default, sample.default))
    assert (prediction.predict(turned, split, terms, kind, 1).share == found.share).all()


def test_a_category_that_is_new_to_later_loans_is_left_out(sample):
    split = splits.by_time(sample.loans["origination_date"], None, 0.7)
    assert prediction.lasting(sample, split, ["debt", "month", "kind"]) == ["debt", "kind"]


def test_importance_is_that_of_the_block_that_makes_default(sample):
    split = splits.by_time(sample.loans["origination_date"], None, 0.7)
    blocks = {"hard": ["debt", "kind"], "relationship": ["relationship_length"], "contacts": ["bank"]}
    fitted = prediction.fit(
        sample.part(split.folds[0].train), [term for one in blocks.values() for term in one], "logistic"
    )
    found = prediction.importance(fitted, sample.part(split.folds[0].test), blocks, 5, [1])
    assert found["hard"][0] > found["relationship"][0] > 0.03 > abs(found["contacts"][0])


def test_the_tree_is_told_in_units_of_the_columns(sample):
    fitted = prediction.fit(sample, ["debt", "kind"], "tree")
    found = prediction.nodes(fitted)
    root = found[0]
    assert root.path == "n" and root.column == "debt" and root.loans == ROWS
    left = next(node for node in found if node.path == "nl")
    inside = (sample.loans["debt"] <= root.threshold).to_numpy()
    assert left.loans == inside.sum() and left.rate == pytest.approx(sample.default[inside].mean())


def test_of_more_loans_than_the_most_a_tree_learns_from_some_drawn_by_lot_and_a_regression_from_all(sample):
    split = splits.by_time(sample.loans["origination_date"], None, 0.7)
    teach, terms = int(split.folds[0].train.sum()), ["debt", "relationship_length", "kind"]

    def learnt(kind, most, seed=3):
        return prediction.predict(sample, split, terms, kind, seed, most)

    def number(judged):
        return prediction.nodes(judged.fitted)[0].loans

    assert number(learnt("tree", None)) == number(learnt("tree", teach)) == teach
    assert number(learnt("tree", 200)) == 200
    np.testing.assert_array_equal(learnt("tree", 200).share, learnt("tree", 200).share)
    assert not np.array_equal(learnt("forest", 200).share, learnt("forest", None).share)
    np.testing.assert_array_equal(learnt("logistic", 200).share, learnt("logistic", None).share)
    few = prediction.by_lot(sample, 200, 3)
    assert len(few.loans) == len(few.default) == 200 and few.loans.index.is_monotonic_increasing
    assert not few.loans.index.equals(prediction.by_lot(sample, 200, 4).loans.index)


@pytest.mark.parametrize("moving", [[0], [3], [0, 1, 2, 3]])
def test_boosted_trees_answer_by_bins_as_scikit_learn_does_by_numbers(moving):
    rng = np.random.default_rng(0)
    design = rng.normal(size=(2_000, 4))
    design[:, 1] = design[:, 1] > 0
    design[rng.random(2_000) < 0.2, 2] = np.nan
    default = (rng.random(2_000) < 1 / (1 + np.exp(2 - design[:, 0]))).astype(float)
    model, columns = classifiers.boosted(design[:1_500], default[:1_500], None, 1), np.isin(np.arange(4), moving)
    np.testing.assert_array_equal(boosting.probability(model, 3 * design), model.predict_proba(3 * design)[:, 1])
    moved = design.copy()
    moved[:, columns] = design[::-1, columns]
    # Trees that ask for no column of the block answer first, so sums differ in their last bits.
    found = boosting.Binned(model, design).permuted(columns)(np.arange(2_000)[::-1])
    assert found == pytest.approx(model.predict_proba(moved)[:, 1], abs=1e-14)
    assert np.abs(found - model.predict_proba(design)[:, 1]).max() > 1e-3
