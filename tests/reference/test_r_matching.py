"""Matching and weighting beside MatchIt and Matching in R (matching.R) on the same loans, whose scores do not tie."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.stats.balance import balance
from pipeline.stats.coarsening import coarsen, strata, stratum_weights
from pipeline.stats.comparison import compare, pair_weights
from pipeline.stats.matched_effects import abadie_imbens
from pipeline.stats.matching import nearest_neighbour
from pipeline.stats.neighbours import nearest
from pipeline.stats.scores import maximum_likelihood, propensity, propensity_logit
from pipeline.stats.subclassification import subclasses
from pipeline.stats.weighting import effective_size, inverse_probability, overlap, probability

HERE = Path(__file__).parent
R = json.loads((HERE / "matching.json").read_text())
LOANS = pd.read_csv(HERE / "loans.csv")
TREATED, ONE = LOANS["treated"].to_numpy(), np.zeros(len(LOANS), dtype=int)
COVARIATES = LOANS[["x", "z"]].astype(float)
NUMBERS = np.arange(len(LOANS))


def logit():
    return propensity_logit(COVARIATES, TREATED)


SCALE = np.round(np.exp(logit()), 9)
"""On which no two distances are equal, as they are between scores of few decimals."""


def pairs(found):
    return set(zip(found.treated.tolist(), found.control.tolist(), strict=True))


def of_r(name):
    return {(one["treated"], one["control"]) for one in R[name]}


def test_the_score_is_glm():
    design = np.column_stack([np.ones(len(LOANS)), COVARIATES])
    found = maximum_likelihood(design, TREATED)
    assert design[:5] @ found == pytest.approx(R["logit"], abs=5.1e-7)
    assert logit()[:5].tolist() == R["logit"]
    assert propensity(COVARIATES, TREATED, NUMBERS)[:5].tolist() == R["logit"]


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("largest", {"order": "largest"}),
        ("smallest", {"order": "smallest"}),
        ("caliper", {"order": "largest", "caliper": 0.1}),
    ],
)
def test_pairs_by_score_are_those_of_the_definition(name, choices):
    found = compare(COVARIATES, TREATED, NUMBERS, logit=logit(), **choices)
    assert pairs(found.matches) == of_r(name)
    weight, group = pair_weights(found.matches, TREATED == 1)
    assert weight.tolist() == found.weight.tolist()
    assert np.array_equal(np.sort(np.flatnonzero(weight)), np.sort(np.concatenate(found.matches[:2])))
    assert (group[found.matches.treated] == group[found.matches.control]).all()


@pytest.mark.parametrize("name", ["in_turn", "in_turn_caliper", "in_turn_exact"])
def test_pairs_in_the_order_of_the_data_are_those_of_the_package_matching(name):
    stratum = LOANS["encouraged"].to_numpy() if name == "in_turn_exact" else ONE
    caliper = 0.1 * SCALE.std(ddof=1) if name == "in_turn_caliper" else None
    for match in (nearest_neighbour, nearest):
        assert pairs(match(TREATED, SCALE, stratum, NUMBERS, caliper=caliper, order="data")) == of_r(name)
    plane = np.column_stack([SCALE, np.zeros(len(SCALE))])
    assert pairs(nearest(TREATED, plane, stratum, NUMBERS, caliper=caliper, order="data")) == of_r(name)


def test_balance_before_and_after_is_that_of_matchit():
    scale = COVARIATES[TREATED == 1].std()
    before = balance(COVARIATES, TREATED, scale)
    found = compare(COVARIATES, TREATED, NUMBERS, logit=logit(), order="largest", caliper=0.1)
    after = balance(COVARIATES, TREATED, scale, found.weight)
    columns = {
        "treated": "mean_treated",
        "control": "mean_control",
        "smd": "standardised_mean_difference",
        "ratio": "variance_ratio",
    }
    for table, value in ((before, R["before"]), (after, R["after"])):
        for theirs, ours in columns.items():
            assert table.loc[["x", "z"], ours].tolist() == pytest.approx(value[theirs], rel=1e-10)
    plain = balance(COVARIATES, TREATED)
    assert plain["mean_treated"].tolist() == pytest.approx(R["before"]["treated"])
    assert plain["variance_ratio"].tolist() == pytest.approx(R["before"]["ratio"])


def test_strata_and_their_weights_are_those_of_matchit():
    exact = strata(LOANS[["z", "encouraged"]])
    assert stratum_weights(TREATED, exact) == pytest.approx(R["strata"])
    cuts = {"x": [-1, 0, 0.8], "z": [0.5, 1.5]}
    coarse = strata(COVARIATES, cuts)
    assert stratum_weights(TREATED, coarse) == pytest.approx(R["coarsened"])
    assert (
        coarsen(COVARIATES["x"], cuts["x"]).tolist()
        == pd.cut(COVARIATES["x"], [-np.inf, -1, 0, 0.8, np.inf], right=False, labels=False).tolist()
    )


def test_subclasses_and_their_weights_are_those_of_matchit():
    found = subclasses(TREATED, logit(), 5)
    assert found.tolist() == R["subclass"]
    assert stratum_weights(TREATED, found) == pytest.approx(R["subclass_weights"])
    every = subclasses(TREATED, logit(), 5, "ATE")
    assert stratum_weights(TREATED, every, "ATE") == pytest.approx(R["subclass_all"])


def test_weights_are_those_of_glm():
    p = probability(logit())
    assert inverse_probability(TREATED, p)[:5] == pytest.approx(R["weights"]["att"], rel=1e-5)
    assert inverse_probability(TREATED, p, estimand="ATE")[:5] == pytest.approx(R["weights"]["ate"], rel=1e-5)
    assert overlap(TREATED, p)[:5] == pytest.approx(R["weights"]["overlap"], rel=1e-5)


def test_matching_with_replacement_has_the_effect_and_error_of_the_package_matching():
    matches = nearest(TREATED, SCALE, ONE, NUMBERS, replacement=True)
    found = abadie_imbens(LOANS["amount"].to_numpy(), TREATED, SCALE, ONE, matches, 0.95)
    assert found.estimate == pytest.approx(R["abadie_imbens"]["estimate"], rel=1e-10)
    assert found.std_error == pytest.approx(R["abadie_imbens"]["std_error"], rel=1e-10)
    weight, _ = pair_weights(matches, TREATED == 1)
    assert effective_size(weight[TREATED == 0]) == pytest.approx(R["effective"], rel=1e-10)
