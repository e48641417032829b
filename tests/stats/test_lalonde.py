"""Agreement with MatchIt (R, 4.7.2) on the LaLonde data.

Data and numbers come with a GPL package and stay where they are: CRM_REFERENCE names the folder that holds
lalonde.csv, matchit_4.7.2_summary.csv and matchit_4.7.2_pairs.csv.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.stats import ties
from pipeline.stats.balance import balance
from pipeline.stats.coarsening import strata, stratum_weights
from pipeline.stats.comparison import compare, pair_weights
from pipeline.stats.matching import Matches
from pipeline.stats.regression import linear_probability
from pipeline.stats.scores import maximum_likelihood
from pipeline.stats.subclassification import subclasses

FOLDER = os.environ.get("CRM_REFERENCE")

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="CRM_REFERENCE does not name the folder of the LaLonde data and MatchIt's numbers"
)

COARSE = {"age": [20, 25, 30, 40], "educ": [8.5, 11.5, 12.5], "re74": 5, "re75": 5}
RACES = {"hispan": "race_hispan", "white": "race_white", "black": "race_black"}


class Lalonde:
    """The data, with the score that MatchIt estimates."""

    def __init__(self):
        self.data = pd.read_csv(Path(FOLDER) / "lalonde.csv", index_col=0)
        self.treated, self.outcome = self.data["treat"].to_numpy(), self.data["re78"].to_numpy()
        numbers = self.data.drop(columns=["treat", "race", "re78"]).astype(float)
        self.every = numbers.assign(**{to: (self.data["race"] == race) * 1.0 for race, to in RACES.items()})
        self.covariates = self.every.drop(columns="race_black")
        design = np.column_stack([np.ones(len(numbers)), self.covariates])
        self.logit = design @ maximum_likelihood(design, self.treated)
        self.probability = 1 / (1 + np.exp(-self.logit))
        self.summary = pd.read_csv(Path(FOLDER) / "matchit_4.7.2_summary.csv", index_col=0)
        pairs = pd.read_csv(Path(FOLDER) / "matchit_4.7.2_pairs.csv").dropna(subset="control")
        row = pd.Series(range(len(self.data)), self.data.index)
        self.pairs = {
            run: Matches(found["treated"].map(row).to_numpy(), found["control"].map(row).to_numpy())
            for run, found in pairs.groupby("run")
        }


@pytest.fixture(scope="module")
def lalonde():
    return Lalonde()


# Each run: what it matches on, and the choices of `compare`.
LARGEST = {"order": "largest"}
RUNS = {
    "nn_default": {"distance": "probability", **LARGEST},
    "nn_linear_logit": {"distance": "logit", **LARGEST},
    "nn_caliper0.2_ps": {"distance": "probability", "caliper": 0.2, **LARGEST},
    "nn_caliper0.2_logit": {"distance": "logit", "caliper": 0.2, **LARGEST},
    "nn_caliper0.1_logit_exact_race": {"distance": "logit", "caliper": 0.1, "exact": ["race"], **LARGEST},
    "nn_exact_married_nodegree": {"distance": "probability", "exact": ["married", "nodegree"], **LARGEST},
    "nn_smallest": {"distance": "probability", "order": "smallest"},
    "nn_mahalanobis": {"distance": "mahalanobis", "order": "data"},
}


def carried_out(lalonde, identifier, choices):
    """Carry out a design with ties broken by the order of the identifiers, and not by one drawn from them."""
    choices = dict(choices)
    if "exact" in choices:
        choices["exact"] = lalonde.data[choices["exact"]].reset_index(drop=True)
    covariates = lalonde.covariates.reset_index(drop=True)
    # Scores of twelve digits, as MatchIt's ties are told apart.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ties, "order", lambda identifier, seed: np.argsort(identifier))
        return compare(covariates, lalonde.treated, identifier, logit=lalonde.logit.round(12), **choices)


def ties_as_in(lalonde, reference, order):
    """Identifiers that break ties as MatchIt happened to: a control that it took earlier has a lower one.

    Where controls tie, MatchIt takes one that depends on the order of the rows and on the side from which it comes,
    so no one rule gives its choices. What this keeps of the test is that each of its choices was a nearest control.
    """
    turn = {"largest": -lalonde.logit, "smallest": lalonde.logit, "data": np.zeros(len(lalonde.logit))}[order].round(12)
    taken = reference.control[np.lexsort((reference.treated, turn[reference.treated]))]
    identifier = np.arange(len(turn)) + 10_000
    identifier[lalonde.treated == 1] -= 10_000
    identifier[taken] = 1_000 + np.arange(len(taken))
    return identifier


def differences(columns, treated, weight):
    """Standardised by the deviation of all treated loans, that of a 0/1 column as sqrt(p(1-p)): MatchIt's choice."""
    own = columns[treated == 1]
    share = own.mean()
    scale = own.std().where(~columns.isin([0, 1]).all(), np.sqrt((share * (1 - share)).clip(lower=0)))
    return balance(columns, treated, scale, weight)["standardised_mean_difference"]


def weighted_difference(outcome, treated, weight, level, clusters=None, covariates=None):
    used = weight > 0
    design = pd.DataFrame(covariates if covariates is not None else np.empty((len(used), 0))).add_prefix("x")
    design = design.assign(intercept=1.0, treated=treated.astype(float))[used].reset_index(drop=True)
    labels = np.arange(used.sum()) if clusters is None else clusters[used]
    y, own = pd.Series(outcome[used].astype(float)), pd.Series(labels)
    return linear_probability(y, design, "treated", own, level, pd.Series(weight[used]))


def agrees(lalonde, weight, group, run, *, clustered=True, score=None):
    """Compare counts, balance, effects and errors with MatchIt's to a millionth of the number."""
    row = lalonde.summary.loc[run]
    treated, outcome = lalonde.treated, lalonde.outcome
    control = weight[(treated == 0) & (weight > 0)]
    assert ((weight > 0) & (treated == 1)).sum() == row["nt"]
    assert len(control) == row["nc"]
    assert control.sum() ** 2 / (control**2).sum() == pytest.approx(row["ess_c"], rel=1e-6)

    columns = lalonde.every if score is None else lalonde.every.assign(distance=score)
    found = differences(columns, treated, weight)
    for name in ("distance", "age", "re74"):
        if name in found and not np.isnan(row[f"smd_{name}"]):
            assert found[name] == pytest.approx(row[f"smd_{name}"], abs=1e-6)
    if run != "exact_min":
        assert found.abs().max() == pytest.approx(row["max_abs_smd"], abs=1e-6)
        assert found.abs().mean() == pytest.approx(row["mean_abs_smd"], abs=1e-6)

    covariates = lalonde.covariates.to_numpy()
    alone = weighted_difference(outcome, treated, weight, 0.95)
    adjusted = weighted_difference(outcome, treated, weight, 0.95, covariates=covariates)
    assert (alone.estimate, alone.std_error) == pytest.approx((row["att"], row["se_hc1"]), rel=1e-6)
    assert adjusted.estimate == pytest.approx(row["att_adj"], rel=1e-6)
    if clustered:
        alone = weighted_difference(outcome, treated, weight, 0.95, clusters=group)
        adjusted = weighted_difference(outcome, treated, weight, 0.95, clusters=group, covariates=covariates)
        assert alone.std_error == pytest.approx(row["se_cl_pair"], rel=1e-6)
        assert adjusted.std_error == pytest.approx(row["se_adj_cl_pair"], rel=1e-6)


@pytest.mark.parametrize("run", RUNS)
def test_nearest_neighbours(lalonde, run):
    reference, choices = lalonde.pairs[run], RUNS[run]
    found = carried_out(lalonde, ties_as_in(lalonde, reference, choices["order"]), choices)
    assert set(zip(*found.matches, strict=True)) == set(zip(*reference, strict=True))
    score = {"logit": lalonde.logit, "probability": lalonde.probability, "mahalanobis": None}[choices["distance"]]
    agrees(lalonde, found.weight, found.group, run, score=score)


@pytest.mark.parametrize("run", RUNS)
def test_ties_by_the_order_of_the_data_cost_no_distance(lalonde, run):
    """With identifiers in the order of the data, other pairs may form where controls tie, at the same distances."""
    reference, choices = lalonde.pairs[run], RUNS[run]
    found = carried_out(lalonde, np.arange(len(lalonde.data)), choices).matches
    if run == "nn_smallest":
        assert set(zip(*found, strict=True)) == set(zip(*reference, strict=True))
    if choices["distance"] != "mahalanobis":
        for matches in (found, reference):
            assert len(matches.treated) == len(reference.treated)
        scores = [np.sort(lalonde.logit[matches.control]) for matches in (found, reference)]
        assert np.abs(scores[0] - scores[1]).max() < 1e-10


def test_with_replacement(lalonde):
    reference = lalonde.pairs["nn_replace"]
    rows = np.arange(len(lalonde.data))
    choices = {"distance": "probability", "replacement": True}
    # Of controls that tie MatchIt takes one: the last in the data for a treated loan above them, else the first.
    every = carried_out(lalonde, rows, choices).matches
    assert set(zip(*reference, strict=True)) <= set(zip(*every, strict=True))
    assert set(every.treated) == set(reference.treated)
    distance = np.abs(lalonde.probability[every.treated] - lalonde.probability[every.control])
    taken = pd.Series(np.abs(lalonde.probability[reference.treated] - lalonde.probability[reference.control]))
    assert distance == pytest.approx(taken.set_axis(reference.treated).loc[every.treated].to_numpy(), abs=1e-9)
    weight, group = pair_weights(reference, lalonde.treated == 1)
    agrees(lalonde, weight, group, "nn_replace", clustered=False, score=lalonde.probability)


def test_coarsened_exact(lalonde):
    columns = lalonde.data[["age", "educ", "race", "married", "nodegree", "re74", "re75"]]
    stratum = strata(columns, COARSE)
    agrees(lalonde, stratum_weights(lalonde.treated, stratum), stratum, "cem_cut")


def test_exact(lalonde):
    stratum = strata(lalonde.data[["race", "married", "nodegree"]])
    weight = stratum_weights(lalonde.treated, stratum)
    agrees(lalonde, weight, stratum, "exact_min")
    keys = lalonde.every[["married", "nodegree", "race_black", "race_hispan", "race_white"]]
    assert differences(keys, lalonde.treated, weight).abs().max() < 1e-12


def test_subclasses(lalonde):
    stratum = subclasses(lalonde.treated, lalonde.probability, 6)
    weight = stratum_weights(lalonde.treated, stratum)
    agrees(lalonde, weight, stratum, "subclass6", score=lalonde.probability)


@pytest.mark.parametrize("run", [*RUNS, "nn_replace"])
def test_shuffled_rows_give_one_answer(lalonde, run):
    choices = RUNS.get(run, {"distance": "probability", "replacement": True})
    rng = np.random.default_rng(4)
    effects = set()
    for _ in range(50):
        order = rng.permutation(len(lalonde.data))
        keys = {"exact": lalonde.data[choices["exact"]].iloc[order]} if "exact" in choices else {}
        found = compare(
            lalonde.covariates.iloc[order].reset_index(drop=True),
            lalonde.treated[order],
            order,
            logit=lalonde.logit[order],
            **{**choices, **keys},
        )
        weight = np.empty(len(order))
        weight[order] = found.weight
        effects.add(weighted_difference(lalonde.outcome, lalonde.treated, weight, 0.95).estimate)
    assert len(effects) == 1
