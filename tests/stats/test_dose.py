"""More of a factor: slopes and groups against formulas of statsmodels, groups against pandas and by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from pipeline.stats.dose import below_top, dose, groups

LOANS = 3_000


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "messages": np.minimum(rng.geometric(0.5, LOANS) - 1, 12),
            "words": rng.gamma(1, 1, LOANS).round(2),
            "size": rng.normal(size=LOANS),
            "month": rng.integers(0, 8, LOANS),
            "bank": rng.integers(0, 40, LOANS),
            "weight": rng.choice([1.0, 4.0], LOANS),
        }
    )
    # All the harm is among those with the most messages.
    risk = 0.15 + 0.3 * (frame["messages"] > 4) + 0.03 * frame["size"].clip(-2, 2)
    return frame.assign(default=(rng.random(LOANS) < risk).astype(float))


def found(loans, factor, weights=None):
    design = pd.DataFrame({"intercept": 1.0, factor: loans[factor].astype(float), "size": loans["size"]})
    parts = dose(loans["default"], design, factor, loans["month"], loans["bank"], 0.95, weights)
    return {part.name: part for part in parts}


def theirs(loans, terms, weighted=False):
    weights = loans["weight"] if weighted else np.ones(len(loans))
    fit = smf.wls(f"default ~ {terms} + size + C(month)", loans, weights=weights)
    return fit.fit(cov_type="cluster", cov_kwds={"groups": loans["bank"]})


@pytest.mark.parametrize("weighted", [False, True])
def test_slopes_and_groups_are_those_of_formulas(loans, weighted):
    parts = found(loans, "messages", loans["weight"] if weighted else None)
    kept = loans[loans["messages"] <= loans["messages"].sort_values().iloc[int(np.ceil(0.975 * LOANS)) - 1]]
    assert 0 < LOANS - len(kept) <= 0.025 * LOANS
    held = theirs(loans.assign(held=loans["messages"].clip(upper=4)), "C(held)", weighted)
    whole, trimmed = theirs(loans, "messages", weighted), theirs(kept, "messages", weighted)
    wanted = {"linear": (whole, "messages"), "without_top": (trimmed, "messages")}
    wanted |= {f"group_{number}": (held, f"C(held)[T.{number}]") for number in range(1, 5)}
    assert set(parts) == {*wanted, "group_0"}
    for name, (fit, column) in wanted.items():
        assert parts[name].effect.estimate == pytest.approx(fit.params[column], rel=1e-8)
        assert parts[name].effect.std_error == pytest.approx(fit.bse[column], rel=1e-8)
    assert parts["group_0"].effect.estimate == 0 and parts["group_0"].rows.sum() == (loans["messages"] == 0).sum()
    assert parts["without_top"].rows.sum() == len(kept) and f"{LOANS - len(kept)} of" in parts["without_top"].note
    assert parts["group_4"].note.startswith(f"values 4 to {loans['messages'].max()}")


def test_a_slope_that_the_highest_values_carry_goes_with_them(loans):
    parts = found(loans, "messages")
    assert parts["linear"].effect.ci_low > 0
    few = found(loans[loans["messages"] < 5], "messages")
    assert few["linear"].effect.ci_low < 0 < few["linear"].effect.ci_high


def test_fifths_are_those_of_pandas(loans):
    place, held = groups(loans["words"])
    wanted = pd.qcut(loans["words"], 5, labels=False)
    assert (place == wanted).mean() > 0.998 and len(held) == 5
    parts = found(loans.assign(fifth=place), "words")
    fit = theirs(loans.assign(fifth=place), "C(fifth)")
    assert parts["group_4"].effect.estimate == pytest.approx(fit.params["C(fifth)[T.4]"], rel=1e-8)


def test_ties_stay_together():
    # One in twenty shares the highest value, more than may leave; one in forty-one may leave.
    assert below_top(pd.Series([0] * 95 + [9] * 5)).all()
    assert below_top(pd.Series([0] * 40 + [9])).tolist() == [True] * 40 + [False]
    assert below_top(pd.Series([0] * 39 + [9])).sum() == 39
    # Nearly half share the lowest value: it takes up two fifths.
    place, held = groups(pd.Series([0.5] * 45 + [*np.linspace(1, 5, 55)]))
    assert np.bincount(place)[0] == 45 and len(held) == 4 and held[0] == "0.5"


def test_few_values_are_groups_of_their_own():
    assert groups(pd.Series([0, 1, 2, 2, 1, 7]))[1] == ["0", "1", "2", "7"]
    assert groups(pd.Series([1] * 50 + [2] * 20 + [3] * 20 + [4, 5, 6, 7, 8] * 2))[1] == ["1", "2", "3", "4 to 8"]
    # Four and more are most: fifths tell more of them.
    assert groups(pd.Series([*range(1, 11)]))[1] == ["1 to 2", "3 to 4", "5 to 6", "7 to 8", "9 to 10"]
