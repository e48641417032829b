import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from pipeline.stats.design import design_matrix
from pipeline.stats.randomisation import Studentised, permute
from pipeline.stats.regression import linear_probability


def loans(number, seed, weighted=False):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"size": rng.normal(size=number), "bank": rng.integers(0, 60, number)})
    frame["grade"] = pd.Categorical(rng.choice(list("ABC"), number))
    risk = 0.2 + 0.05 * (frame["grade"] == "C") + 0.03 * frame["size"].clip(-2, 2)
    frame["default"] = (rng.random(number) < risk).astype(int)
    frame["treated"] = (rng.random(number) < 0.2 + 0.3 * (frame["grade"] == "C")).astype(int)
    return frame.assign(weight=np.where(frame["default"] == 1, 1.0, 4.0) if weighted else 1.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_each_statistic_is_that_of_the_headline_regression(weighted):
    frame = loans(700, 1, weighted)
    weights = frame["weight"] if weighted else None
    design = design_matrix(frame, ["treated", "size", "grade"]).matrix
    permuted = np.column_stack([frame["treated"], np.roll(frame["treated"], 3)]).astype(float)
    regress = Studentised(
        frame["default"].to_numpy(),
        design.drop(columns="treated").to_numpy(),
        frame["bank"].to_numpy(),
        None if weights is None else weights.to_numpy(),
    )
    for found, assigned in zip(regress(permuted), permuted.T, strict=True):
        theirs = linear_probability(
            frame["default"], design.assign(treated=assigned), "treated", frame["bank"], 0.95, weights
        )
        assert found == pytest.approx(theirs.estimate / theirs.std_error, rel=1e-8)


def test_several_outcomes_at_once_are_each_one_alone():
    frame = loans(500, 6, weighted=True)
    controls = design_matrix(frame, ["size", "grade"]).matrix.to_numpy()
    outcomes = np.column_stack([frame["default"], frame["size"] ** 2])
    permuted = np.column_stack([frame["treated"], np.roll(frame["treated"], 5), controls[:, 1]]).astype(float)

    def found(outcome):
        return Studentised(outcome, controls, frame["bank"].to_numpy(), frame["weight"].to_numpy()).coefficients(
            permuted
        )

    together = found(outcomes)
    assert together[0].shape == together[1].shape == (2, 3) and np.isnan(together[0][:, 2]).all()
    for place, outcome in enumerate(outcomes.T):
        for both, alone in zip(together, found(outcome), strict=True):
            np.testing.assert_allclose(both[place], alone, rtol=1e-10)


def test_what_the_controls_determine_is_left_out():
    frame = loans(200, 2)
    controls = design_matrix(frame, ["grade"]).matrix.to_numpy()
    regress = Studentised(frame["default"].to_numpy(), controls, frame["bank"].to_numpy())
    assert len(regress(np.column_stack([controls[:, 1], frame["treated"]]))) == 1


def test_treatment_permuted_by_lot_is_seen_at_the_level_of_the_test_and_a_real_effect_is_not():
    frame = loans(3000, 3)
    controls = design_matrix(frame, ["grade", "size"]).matrix.to_numpy()
    stratum = frame["grade"].cat.codes.to_numpy()
    permuted = permute(frame["treated"].to_numpy(), np.arange(len(frame)), stratum, 1000, seed=4)
    assert (permuted[stratum == 2].sum(axis=0) == frame["treated"][stratum == 2].sum()).all()
    regress = Studentised(frame["default"].to_numpy(), controls, frame["bank"].to_numpy())
    rejected = int((np.abs(regress(permuted.astype(float))) > 1.959964).sum())
    ends = binomtest(rejected, 1000).proportion_ci(method="exact")
    assert ends.low <= 0.05 <= ends.high
    harmed = np.maximum(frame["default"], frame["treated"] * (np.arange(len(frame)) % 6 == 0)).to_numpy()
    assert Studentised(harmed, controls, frame["bank"].to_numpy())(frame["treated"].to_numpy(float)[:, None])[0] > 4
