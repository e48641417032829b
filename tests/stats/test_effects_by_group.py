"""Effects by group against statsmodels' formulas, and under a known truth."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import design_matrix
from pipeline.stats.moderation import Controlled


def sample(seed, rows=3000, effects=(0.0, 0.0, 0.0)):
    rng = np.random.default_rng(seed)
    place = rng.integers(0, 3, rows)
    frame = pd.DataFrame(
        {
            "treated": rng.integers(0, 2, rows),
            "group": pd.Categorical.from_codes(place, ["low", "medium", "high"], ordered=True),
            "x": rng.normal(size=rows),
            "cluster": rng.integers(0, 50, rows),
        }
    )
    return frame.assign(y=0.5 * frame["x"] + np.array(effects)[place] * frame["treated"] + rng.normal(size=rows))


def fit(frame, level=0.95):
    design = design_matrix(frame, ["treated", "group", "x"]).matrix
    return Controlled(frame["y"], design, "treated", frame["cluster"], level).differences(frame["group"])


def test_it_agrees_with_another_implementation():
    frame = sample(1, effects=(0.1, -0.2, 0.3))
    found = fit(frame)
    other = smf.ols("y ~ C(group) + x + treated:C(group)", frame.assign(group=frame["group"].astype(str))).fit(
        cov_type="cluster", cov_kwds={"groups": frame["cluster"]}
    )
    for name, effect in found.effects.items():
        key = f"treated:C(group)[{name}]"
        assert effect.estimate == pytest.approx(other.params[key])
        assert effect.std_error == pytest.approx(other.bse[key])
        assert effect.p_value == pytest.approx(other.pvalues[key])
        assert (effect.ci_low, effect.ci_high) == pytest.approx(tuple(other.conf_int().loc[key]))
    contrast = other.t_test("treated:C(group)[high] - treated:C(group)[low] = 0")
    assert found.last_against_first.estimate == pytest.approx(contrast.effect.item())
    assert found.last_against_first.std_error == pytest.approx(contrast.sd.item())
    equal = other.wald_test(
        "treated:C(group)[high] = treated:C(group)[low], treated:C(group)[medium] = treated:C(group)[low]",
        use_f=False,
        scalar=True,
    )
    assert found.p_value == pytest.approx(equal.pvalue)


def test_groups_come_in_their_own_order():
    assert list(fit(sample(2)).effects) == ["low", "medium", "high"]


@pytest.mark.long
def test_equal_effects_are_seldom_called_different_and_different_ones_are_found():
    equal = [fit(sample(seed, 600, (0.5, 0.5, 0.5))).p_value < 0.05 for seed in range(100)]
    assert np.mean(equal) < 0.15
    assert fit(sample(3, effects=(0.0, 0.0, 0.8))).p_value < 1e-6


def test_a_group_without_variation_is_refused():
    frame = sample(4)
    frame.loc[frame["group"] == "high", "treated"] = 1
    with pytest.raises(StudyError, match="does not vary within every group"):
        fit(frame)
    with pytest.raises(StudyError, match="at least two groups"):
        fit(frame[frame["group"] == "low"])
