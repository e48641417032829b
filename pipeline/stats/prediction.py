"""Scores of default on nested blocks of columns: learnt on a split's training loans, predicted for its test loans."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from pipeline.stats import boosting, classifiers, scorecard
from pipeline.stats.classifiers import DECIMALS
from pipeline.stats.discrimination import area
from pipeline.stats.features import Encoder, learn
from pipeline.stats.logistic import sigmoid
from pipeline.stats.samples import places_by_lot
from pipeline.stats.splits import Split

Kind = Literal["logistic", "scorecard", "tree", "forest", "boosting"]
KINDS: tuple[Kind, ...] = ("logistic", "scorecard", "tree", "forest", "boosting")

SORTING: tuple[Kind, ...] = ("tree", "forest")
"""Models whose learning sorts every column at every split."""

MOSTLY_UNSEEN = 0.5
"""Share of test loans at levels that no training loan has, from which a category says nothing of later loans."""


class Sample(NamedTuple):
    """Loans at a moment, with what happened to them afterwards."""

    loans: pd.DataFrame
    default: np.ndarray
    """0/1 (loans,), counted after the moment."""
    weights: np.ndarray | None
    """How many loans of the population each one stands for, where they were sampled by outcome."""

    def part(self, rows: np.ndarray) -> Sample:
        """Return the loans of a mask or of places."""
        weights = None if self.weights is None else self.weights[rows]
        return Sample(self.loans[rows] if rows.dtype == bool else self.loans.iloc[rows], self.default[rows], weights)


class Fitted(NamedTuple):
    """A model fitted on one fold."""

    kind: Kind
    encoder: Encoder | None
    """None for the scorecard, which has bins instead."""
    model: Any
    """Intercept and slopes, scorecard, or scikit-learn's model."""

    def probability(self, loans: pd.DataFrame) -> np.ndarray:
        """Return the probabilities of default (loans,)."""
        if self.kind == "scorecard":
            return np.round(sigmoid(scorecard.log_odds(loans, self.model)), DECIMALS)
        assert self.encoder is not None
        return self.of_matrix(self.encoder.matrix(loans))

    def of_matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Return the probabilities of default (loans,) for encoded loans."""
        if self.kind == "logistic":
            intercept, slopes = self.model
            return np.round(sigmoid(intercept + matrix @ slopes), DECIMALS)
        return classifiers.probability(self.model, matrix)


def fit(sample: Sample, terms: Sequence[str], kind: Kind, seed: int = 0) -> Fitted:
    """Fit a model of default on `terms` to all loans of a sample, on one thread; StudyError for too many loans."""
    from threadpoolctl import threadpool_limits

    loans, default, weights = sample
    classifiers.learnable(len(default), kind)
    if kind == "scorecard":
        return Fitted(kind, None, scorecard.fit(loans, terms, default, weights))
    encoder = learn(loans, terms, weights)
    matrix = encoder.matrix(loans)
    # Sums of several threads differ in their last bits, and a split may turn on one.
    with threadpool_limits(1):
        if kind == "logistic":
            return Fitted(kind, encoder, classifiers.logistic(matrix, default, weights))
        make = {"tree": classifiers.pruned_tree, "forest": classifiers.forest, "boosting": classifiers.boosted}[kind]
        scaled = None if weights is None else weights / weights.mean()
        return Fitted(kind, encoder, make(matrix, default, scaled, seed))


class Judged(NamedTuple):
    """What a model says of the loans that are judged."""

    share: np.ndarray
    """Each test loan's probability of default from its fold's model, in the order of ``split.test``."""
    fitted: Fitted
    """The model of the last fold, which has learnt from most loans."""


def by_lot(sample: Sample, most: int, seed: int) -> Sample:
    """Return `most` loans of a sample, each as likely as any other, in their order; all where there are no more."""
    number = len(sample.loans)
    return sample if number <= most else sample.part(places_by_lot(number, most, seed))


def predict(
    sample: Sample, split: Split, terms: Sequence[str], kind: Kind, seed: int = 0, most: int | None = None
) -> Judged:
    """Fit a model on each fold's training loans and return what it says of its test loans.

    Of more training loans than `most`, a ``tree`` and a ``forest`` learn from so many, drawn by lot.
    """
    most = len(sample.loans) if most is None or kind not in SORTING else most
    found = [fit(by_lot(sample.part(fold.train), most, seed), terms, kind, seed) for fold in split.folds]
    shares = [one.probability(sample.loans[fold.test]) for one, fold in zip(found, split.folds, strict=True)]
    return Judged(np.concatenate(shares), found[-1])


def lasting(sample: Sample, split: Split, terms: Sequence[str]) -> list[str]:
    """Return the terms whose levels training loans have seen: a category that is new to most test loans is left out."""
    from pipeline.stats.design import column_of
    from pipeline.stats.features import unseen_share

    kept = []
    for term in terms:
        column = sample.loans[column_of(term)]
        numeric = pd.api.types.is_numeric_dtype(column)
        if numeric or all(unseen_share(column[f.train], column[f.test]) < MOSTLY_UNSEEN for f in split.folds):
            kept.append(term)
    return kept


def importance(
    fitted: Fitted, test: Sample, blocks: dict[str, list[str]], repeats: int, seed: list[int]
) -> dict[str, tuple[float, float]]:
    """Return how much area under the ROC curve is lost when a block's columns are permuted among test loans.

    The columns of a block move together, so that a block is not spared because its columns say the same (Breiman 2001,
    by groups as in Gregorutti et al. 2015). Mean and standard deviation over `repeats`.
    """
    assert fitted.encoder is not None
    matrix, terms = fitted.encoder.matrix(test.loans), np.array(fitted.encoder.terms)
    whole = area(test.default, fitted.of_matrix(matrix), test.weights)
    binned = boosting.Binned(fitted.model, matrix) if fitted.kind == "boosting" else None
    found = {}
    for place, (block, of_block) in enumerate(blocks.items()):
        columns = np.isin(terms, of_block)
        if not columns.any():
            continue
        share = partial(_permuted, fitted, matrix, columns) if binned is None else binned.permuted(columns)
        lost = []
        for number in range(repeats):
            rng = np.random.default_rng(np.random.SeedSequence([*seed, place, number]))
            moved = np.round(share(rng.permutation(len(matrix))), DECIMALS)
            lost.append(whole - area(test.default, moved, test.weights))
        found[block] = (float(np.mean(lost)), float(np.std(lost, ddof=1)))
    return found


def _permuted(fitted: Fitted, matrix: np.ndarray, columns: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the probabilities of default (loans,) where each loan has `columns` (a mask) of the one in its place."""
    moved = matrix.copy()
    moved[:, columns] = matrix[order][:, columns]
    return fitted.of_matrix(moved)


class Node(NamedTuple):
    """A node of a decision tree."""

    path: str
    """Way from the root: ``n`` for the root, then ``l`` (rule holds) or ``r`` for each step."""
    column: str
    """Column that is asked; nothing at a leaf."""
    threshold: float
    """The left branch holds what is at most this, in the column's own units (levels: 0.5, so left is not the level)."""
    rate: float
    """Default rate of the training loans in it, weighted."""
    loans: int


def nodes(fitted: Fitted) -> list[Node]:
    """Return the nodes of a fitted tree, from the root, thresholds in units of the columns."""
    assert fitted.encoder is not None
    tree = fitted.model.tree_
    names = fitted.encoder.columns
    scale = {feature["term"]: feature for feature in fitted.encoder.features if feature["kind"] == "number"}
    found: list[Node] = []

    def visit(number: int, path: str) -> None:
        column, threshold = "", np.nan
        leaf = tree.children_left[number] < 0
        if not leaf:
            column = names[tree.feature[number]]
            threshold = float(tree.threshold[number])
            if column in scale:
                threshold = threshold * scale[column]["scale"] + scale[column]["mean"]
                if scale[column]["logarithm"]:
                    column, threshold = scale[column]["column"], float(np.exp(threshold))
        value = tree.value[number][0]
        rate = float(value[1] / value.sum())
        found.append(Node(path, column, threshold, rate, int(tree.n_node_samples[number])))
        if not leaf:
            visit(tree.children_left[number], f"{path}l")
            visit(tree.children_right[number], f"{path}r")

    visit(0, "n")
    return found
