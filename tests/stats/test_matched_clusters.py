"""Errors on matched loans: two ways against statsmodels, the wider of two, and coverage where groups are treated."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from benchmarks.measures import weighted_difference
from pipeline.stats.inference import WAYS, crossed, on_matched, two_way
from pipeline.stats.matched_effects import weighted_logit, widest
from pipeline.stats.regression import linear_probability, logit
from pipeline.stats.specification_curve import ManyOutcomes


def pairs_in_groups(seed, groups=30, size=12, effect=0.0):
    """Make up pairs of a treated loan and a control whose groups differ in default; most pairs cross groups."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    arm = rng.random(groups) < 0.5
    arm[:2] = True, False
    treated = np.where(rng.random(len(group)) < 0.95, arm[group], ~arm[group]).astype(int)
    risk = np.clip(0.3 + 0.15 * rng.normal(size=groups)[group] + effect * treated, 0.02, 0.98)
    frame = pd.DataFrame({"group": group, "treated": treated, "size": rng.normal(size=len(group))})
    frame["default"] = (rng.random(len(group)) < risk).astype(int)
    arms = [rng.permutation(np.flatnonzero(treated == side)) for side in (1, 0)]
    number = min(map(len, arms))
    kept = frame.iloc[np.concatenate([side[:number] for side in arms])]
    return kept.assign(pair=np.tile(np.arange(number), 2)).reset_index(drop=True)


@pytest.fixture(scope="module")
def frame():
    return pairs_in_groups(7)


@pytest.fixture(scope="module")
def design(frame):
    return pd.DataFrame({"intercept": 1.0, "treated": frame["treated"] * 1.0, "size": frame["size"]})


def by_ways(frame, fit):
    return {way: fit(pd.Series(labels)) for way, labels in crossed(frame["pair"], frame["group"]).items()}


def theirs(model, frame):
    """Statsmodels' variances by pair, by group and both ways."""
    labels = frame[["pair", "group"]].to_numpy()
    found = {}
    for way, groups in (("pair", labels[:, 0]), ("cluster", labels[:, 1]), ("two_way", labels)):
        found[way] = model.fit(disp=0, cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True}).bse[
            "treated"
        ]
    return found


def test_linear_errors_are_those_of_statsmodels(frame, design):
    expected = theirs(sm.OLS(frame["default"], design), frame)
    found = by_ways(frame, lambda labels: linear_probability(frame["default"], design, "treated", labels, 0.95))
    assert found["pair"].std_error == pytest.approx(expected["pair"], rel=1e-9)
    assert found["cluster"].std_error == pytest.approx(expected["cluster"], rel=1e-9)
    errors = {way: np.array(one.std_error) for way, one in found.items()}
    assert two_way(errors["pair"], errors["cluster"], errors["both"]) == pytest.approx(expected["two_way"], rel=1e-9)
    effect, way = widest(found, 0.95)
    assert effect.std_error == pytest.approx(max(expected["two_way"], expected["cluster"]), rel=1e-9)
    assert expected[way] == pytest.approx(effect.std_error, rel=1e-9)
    assert (effect.ci_high - effect.ci_low) / effect.std_error == pytest.approx(2 * 1.959964, rel=1e-6)


def test_logits_have_the_same_rule(frame, design):
    expected = theirs(sm.Logit(frame["default"], design), frame)
    found = by_ways(frame, lambda labels: logit(frame["default"], design, "treated", labels, 0.95))
    odds, _ = widest({way: one.odds_ratio for way, one in found.items()}, 0.95, ratio=True)
    assert odds.std_error == pytest.approx(max(expected["two_way"], expected["cluster"]), rel=1e-6)
    estimate = np.log(odds.estimate)
    ends = np.log([odds.ci_low, odds.ci_high])
    assert ends == pytest.approx([estimate - 1.959964 * odds.std_error, estimate + 1.959964 * odds.std_error], rel=1e-5)
    even = pd.Series(1.0, frame.index)
    weighted = by_ways(frame, lambda labels: weighted_logit(frame["default"], design, "treated", labels, 0.95, even))
    again, _ = widest({way: one.odds_ratio for way, one in weighted.items()}, 0.95, ratio=True)
    assert tuple(again) == pytest.approx(tuple(odds), rel=1e-6)
    marginal, _ = widest({way: one.average_marginal_effect for way, one in found.items()}, 0.95)
    one_way = [found[way].average_marginal_effect.std_error for way in ("pair", "cluster", "both")]
    two = np.sqrt(one_way[0] ** 2 + one_way[1] ** 2 - one_way[2] ** 2)
    assert marginal.std_error == pytest.approx(max(two, one_way[1]), rel=1e-12)


def test_many_outcomes_at_once_have_it_too(frame, design):
    rng = np.random.default_rng(1)
    outcomes = np.column_stack([frame["default"], rng.integers(0, 2, (len(frame), 40))]).astype(float)
    controls = design.drop(columns="treated").to_numpy()
    labels = np.column_stack([*crossed(frame["pair"], frame["group"]).values()])
    effects, errors = ManyOutcomes(frame["treated"].to_numpy(), controls, labels)(outcomes)
    ways = set()
    for outcome, estimate, error in zip(outcomes.T, effects, errors, strict=True):
        found = by_ways(
            frame, lambda labels, y=outcome: linear_probability(pd.Series(y), design, "treated", labels, 0.95)
        )
        one, way = widest(found, 0.95)
        assert (estimate, error) == pytest.approx((one.estimate, one.std_error), rel=1e-8)
        ways.add(way)
    assert {"two_way", "cluster"} <= ways


def test_the_wider_one_is_taken_and_named():
    pair, cluster = np.array([3.0, 1.0, 1.0, 2.0, 1.0]), np.array([4.0, 4.0, 1.0, 1.0, 2.0])
    both = np.array([1.0, 2.0, 1.5, 2.5, 1.0])
    # 9 + 16 - 1; by the cluster alone; 1 + 1 - 2.25 is no variance; neither is 4 + 1 - 6.25; pairs inside clusters.
    error, way = on_matched(pair, cluster, both)
    assert error == pytest.approx([np.sqrt(24), 4, 1, 2, 2])
    assert [WAYS[place] for place in way] == ["two_way", "cluster", "cluster", "pair", "cluster"]


def test_what_crosses_nothing_has_one_way():
    alone, groups, pairs = np.arange(8), np.arange(8) // 4, np.arange(8) // 2
    assert [*crossed(alone, groups)] == ["cluster"]
    assert [*crossed(pairs, alone)] == ["pair"]
    ways = crossed(np.array(list("aabbccdd")), np.array(list("xyxyzzzz")))
    assert [*ways] == ["pair", "cluster", "both"]
    assert len(set(ways["both"])) == 6


@pytest.mark.long
def test_intervals_cover_where_groups_are_treated_and_by_pair_alone_do_not():
    """In 200 worlds without an effect, groups treated together: 95% intervals by pair miss it many times too often."""
    held = {"pair": 0, "widest": 0}
    for world in range(200):
        made = pairs_in_groups(100 + world, groups=50, size=20)
        matrix = pd.DataFrame({"intercept": 1.0, "treated": made["treated"] * 1.0})
        found = by_ways(
            made, lambda labels, d=made, x=matrix: linear_probability(d["default"], x, "treated", labels, 0.95)
        )
        for name, one in (("pair", found["pair"]), ("widest", widest(found, 0.95)[0])):
            held[name] += one.ci_low <= 0 <= one.ci_high
    assert held["pair"] / 200 < 0.85
    assert 0.915 <= held["widest"] / 200 <= 0.985


def test_weights_and_strata_take_the_cluster_alone(frame):
    """Loans that belong to no pair: the error is that by cluster, whatever their weights."""
    weight = np.random.default_rng(3).uniform(0.5, 2, len(frame))
    design = sm.add_constant(frame["treated"])
    model = sm.WLS(frame["default"], design, weights=weight)
    expected = model.fit(cov_type="cluster", cov_kwds={"groups": frame["group"]}).bse["treated"]
    ways = crossed(np.arange(len(frame)), frame["group"].to_numpy())
    found = {
        way: weighted_difference(
            frame["default"].to_numpy(), frame["treated"].to_numpy(), weight, 0.95, clusters=labels
        )
        for way, labels in ways.items()
    }
    effect, way = widest(found, 0.95)
    assert (effect.std_error, way) == (pytest.approx(expected, rel=1e-9), "cluster")
