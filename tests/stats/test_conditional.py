"""The likelihood given each group's number of events: by enumeration, by statsmodels, and by finite differences."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize, minimize_scalar
from statsmodels.discrete.conditional_models import ConditionalLogit

from pipeline.runtime.errors import StudyError
from pipeline.stats.conditional import _derivatives, conditional_logit

LOANS = 240


def likelihood(slopes, x, y, group):
    """Logarithm of the product, over groups, of a way's probability among all ways to choose as many loans."""
    total = 0.0
    for one in np.unique(group):
        index, events = x[group == one] @ slopes, int(y[group == one].sum())
        ways = [index[list(way)].sum() for way in combinations(range(len(index)), events)]
        total += index[y[group == one] == 1].sum() - np.logaddexp.reduce(ways)
    return total


def drawn(seed, size=6, share=0.5, loans=LOANS):
    """Loans in small groups; a share of the groups mostly default, so that ones are the majority there."""
    rng = np.random.default_rng(seed)
    group = np.arange(loans) // size
    mostly = np.where(rng.random(group.max() + 1) < share, 1.5, -1.5)[group]
    frame = pd.DataFrame({"crm": rng.integers(0, 2, loans) * 1.0, "size": rng.normal(size=loans), "group": group})
    chance = 1 / (1 + np.exp(-(mostly + 0.7 * frame["crm"] - 0.5 * frame["size"])))
    return frame.assign(default=(rng.random(loans) < chance).astype(int))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["mostly repaid", "both", "mostly default"])
@pytest.mark.parametrize("size", [3, 6, 7])
def test_it_is_the_maximum_by_enumeration(share, size):
    loans = drawn(3, size, share)
    x, y, group = loans[["crm", "size"]].to_numpy(), loans["default"].to_numpy(), loans["group"].to_numpy()
    best = minimize(lambda slopes: -likelihood(slopes, x, y, group), np.zeros(2), method="BFGS", options={"gtol": 1e-8})
    for place, factor in enumerate(("crm", "size")):
        found = conditional_logit(
            loans["default"], loans[["crm", "size"]], factor, loans["group"], loans["group"], 0.95
        )
        assert np.log(found.odds_ratio.estimate) == pytest.approx(best.x[place], abs=2e-6)


def test_four_loans_of_one_group_by_hand():
    """Of three ones among four the zero has the factor: its ratio is that of one row chosen against the others."""
    loans = pd.DataFrame({"default": [1, 1, 1, 0] * 2 + [1, 1, 0, 1], "crm": [1, 1, 0, 1] * 2 + [0, 0, 0, 1.0]})
    loans["group"] = np.arange(12) // 4

    # A group's zero has the odds exp(-b) if its factor is one, among the sum of all its loans' odds.
    def minus(b):
        odds = np.exp(-b * loans["crm"])
        chosen = odds[loans["default"] == 0].to_numpy()
        return -np.log(chosen / odds.groupby(loans["group"]).sum().to_numpy()).sum()

    best = minimize_scalar(minus, bounds=(-9, 9), method="bounded", options={"xatol": 1e-11}).x
    found = conditional_logit(loans["default"], loans[["crm"]], "crm", loans["group"], loans["group"], 0.95)
    assert np.log(found.odds_ratio.estimate) == pytest.approx(best, abs=1e-6)


def test_other_names_of_the_outcome_turn_the_sign_alone():
    loans = drawn(5, share=0.7)
    found, turned = (
        conditional_logit(outcome, loans[["crm", "size"]], "crm", loans["group"], loans["group"], 0.95)
        for outcome in (loans["default"], 1 - loans["default"])
    )
    assert found.odds_ratio.estimate == pytest.approx(1 / turned.odds_ratio.estimate, rel=1e-9)
    assert found.odds_ratio.std_error == pytest.approx(turned.odds_ratio.std_error, rel=1e-9)
    assert found.odds_ratio.p_value == pytest.approx(turned.odds_ratio.p_value, rel=1e-9)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_is_that_of_statsmodels(seed):
    loans = drawn(seed, 8)
    theirs = ConditionalLogit(loans["default"], loans[["crm", "size"]], groups=loans["group"]).fit(
        method="newton", tol=1e-12, disp=False
    )
    for factor in ("crm", "size"):
        found = conditional_logit(
            loans["default"], loans[["crm", "size"]], factor, loans["group"], loans["group"], 0.95
        )
        assert np.log(found.odds_ratio.estimate) == pytest.approx(theirs.params[factor], rel=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_gradient_and_information_are_those_of_finite_differences(share):
    loans = drawn(8, 6, share, loans=60)
    x, y, group = loans[["crm", "size"]].to_numpy(), loans["default"].to_numpy(dtype=float), loans["group"].to_numpy()
    both = [rows for rows in np.split(np.arange(60), 10) if 0 < y[rows].sum() < 6]
    slopes, step = np.array([0.3, -0.8]), 1e-5
    gradients, information = _derivatives(x, y, both, slopes, curvature=True)

    def gradient(at):
        return _derivatives(x, y, both, at, curvature=False)[0].sum(axis=0)

    for rows, ours in zip(both, gradients, strict=True):
        numeric = [
            likelihood(slopes + move, x[rows], y[rows], group[rows])
            - likelihood(slopes - move, x[rows], y[rows], group[rows])
            for move in step * np.eye(2)
        ]
        assert ours == pytest.approx(np.array(numeric) / (2 * step), abs=1e-7)
    curved = [(gradient(slopes + move) - gradient(slopes - move)) / (2 * step) for move in step * np.eye(2)]
    assert -np.array(curved) == pytest.approx(information, abs=1e-6)


@pytest.mark.parametrize("wide", [1, 4])
def test_the_error_is_the_sandwich_of_numeric_scores_by_cluster(wide):
    """Scores and curvature by differences of the enumerated likelihood; the factor counts slopes, not groups."""
    loans = drawn(11, 6)
    cluster = loans["group"] // wide
    found = conditional_logit(loans["default"], loans[["crm", "size"]], "crm", loans["group"], cluster, 0.95)
    events = loans.groupby("group")["default"].transform("mean")
    inside = loans[(events > 0) & (events < 1)]
    assert (found.loans, found.groups) == (len(inside), inside["group"].nunique())
    assert found.clusters == cluster[inside.index].nunique()
    assert (found.stays == loans.index.isin(inside.index)).all()
    x, y, group = inside[["crm", "size"]].to_numpy(), inside["default"].to_numpy(), inside["group"].to_numpy()
    best = minimize(lambda slopes: -likelihood(slopes, x, y, group), np.zeros(2), method="BFGS", options={"gtol": 1e-8})

    def by_cluster(slopes):
        moved, names = 1e-5 * np.eye(2), cluster[inside.index].to_numpy()
        return np.array(
            [
                [
                    likelihood(slopes + move, x[rows], y[rows], group[rows])
                    - likelihood(slopes - move, x[rows], y[rows], group[rows])
                    for move in moved
                ]
                for rows in (names == one for one in np.unique(names))
            ]
        ) / (2e-5)

    scores = by_cluster(best.x)
    curvature = np.array(
        [(by_cluster(best.x + move) - by_cluster(best.x - move)).sum(axis=0) / 2e-4 for move in 1e-4 * np.eye(2)]
    )
    bread = np.linalg.inv(-curvature)
    factor = found.clusters / (found.clusters - 1) * (len(inside) - 1) / (len(inside) - 2)
    variance = factor * bread @ scores.T @ scores @ bread
    assert found.odds_ratio.std_error == pytest.approx(np.sqrt(variance[0, 0]), rel=1e-4)


@pytest.mark.parametrize("columns", [1, 3])
def test_the_limit_is_of_cells_times_columns_squared(monkeypatch, columns):
    rng = np.random.default_rng(9)
    group = pd.Series(np.repeat(np.arange(20), 10))
    default = pd.Series(np.tile([0, 1], 100))
    design = pd.DataFrame(rng.normal(size=(200, columns)), columns=["crm", "b", "c"][:columns])
    # Five of ten in each of twenty groups: five times six places a group.
    monkeypatch.setattr("pipeline.stats.conditional.MOST", 20 * 30 * columns**2)
    conditional_logit(default, design, "crm", group, group, 0.95)
    monkeypatch.setattr("pipeline.stats.conditional.MOST", 20 * 30 * columns**2 - 1)
    with pytest.raises(StudyError, match="groups are too large"):
        conditional_logit(default, design, "crm", group, group, 0.95)


def test_what_groups_cannot_say_is_a_sentence():
    loans = drawn(2)
    group, design = loans["group"], loans[["crm", "size"]]
    with pytest.raises(StudyError, match="no group has loans with and without default"):
        conditional_logit((group % 2).astype(int), design, "crm", group, group, 0.95)
    with pytest.raises(StudyError, match="no variation is left inside the groups"):
        conditional_logit(loans["default"], design.assign(crm=group % 3), "crm", group, group, 0.95)
    with pytest.raises(StudyError, match="has no maximum"):
        conditional_logit(loans["default"], design.assign(crm=loans["default"] * 1.0), "crm", group, group, 0.95)
    with pytest.raises(StudyError, match="groups are too large"):
        many = pd.concat([loans] * 100, ignore_index=True)
        conditional_logit(many["default"], many[["crm", "size"]], "crm", many["crm"] * 0, many["group"], 0.95)
    with pytest.raises(ValueError, match="several clusters"):
        conditional_logit(loans["default"], design, "crm", group, pd.Series(np.arange(LOANS)), 0.95)


# survival::clogit in R, method "exact" (tests/reference/clogit.R).
def test_it_is_that_of_clogit_in_r():
    loans = pd.DataFrame(
        {
            "group": np.repeat(np.arange(5), 4),
            "default": [1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0],
            "b": [1.0, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 0],
            "x": [
                0.4,
                -0.2,
                0.9,
                0.1,
                1.2,
                0.3,
                -0.7,
                0.5,
                0,
                0.8,
                -0.4,
                0.6,
                -1.1,
                0.2,
                0.7,
                -0.3,
                0.9,
                0.1,
                -0.6,
                0.4,
            ],
        }
    )
    for factor, theirs in {"b": 0.1515297434, "x": -1.1991244736}.items():
        found = conditional_logit(loans["default"], loans[["b", "x"]], factor, loans["group"], loans["group"], 0.95)
        assert np.log(found.odds_ratio.estimate) == pytest.approx(theirs, abs=1e-8)
