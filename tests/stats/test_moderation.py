import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from pipeline.runtime.errors import StudyError
from pipeline.stats.design import design_matrix
from pipeline.stats.moderation import Controlled, cut, in_thirds


@pytest.fixture(scope="module")
def loans():
    rng = np.random.default_rng(11)
    number = 3000
    frame = pd.DataFrame(
        {
            "grade": pd.Categorical(rng.choice(list("ABC"), number)),
            "kind": pd.Categorical(rng.choice(["bank", "platform"], number)),
            "month": pd.Categorical(rng.choice(["m1", "m2", "m3", "m4"], number)),
            "size": rng.normal(size=number),
            "bank": rng.integers(0, 40, number),
        }
    )
    frame["treated"] = (rng.random(number) < 0.4 + 0.1 * (frame["grade"] == "A")).astype(float)
    worst = (frame["grade"] == "C").to_numpy()
    risk = 0.15 + 0.15 * worst + 0.05 * (frame["kind"] == "bank") - 0.12 * worst * frame["treated"]
    frame["default"] = (rng.random(number) < risk).astype(int)
    return frame.assign(weight=np.where(frame["default"] == 1, 1.0, 3.0))


def controlled(loans, absorb=None, weighted=False):
    terms = ["treated", "month", "grade", "size"]
    return Controlled(
        loans["default"],
        design_matrix(loans, terms).matrix,
        "treated",
        loans["bank"],
        0.95,
        loans["weight"] if weighted else None,
        None if absorb is None else loans[absorb],
    )


def clustered(loans, correct=True):
    return {"cov_type": "cluster", "cov_kwds": {"groups": loans["bank"], "use_correction": correct}}


@pytest.mark.parametrize("group", ["grade", "kind"])
@pytest.mark.parametrize("weighted", [False, True])
def test_differences_are_those_of_the_formula(loans, group, weighted):
    formula = f"default ~ treated:{group} + {group} + month + grade + size"
    weights = loans["weight"] if weighted else np.ones(len(loans))
    theirs = smf.wls(formula, loans, weights=weights).fit(**clustered(loans))
    found = controlled(loans, weighted=weighted).differences(loans[group])
    names = [f"treated:{group}[{level}]" for level in loans[group].cat.categories]
    for level, name in zip(loans[group].cat.categories, names, strict=True):
        assert found.effects[level].estimate == pytest.approx(theirs.params[name], rel=1e-8)
        assert found.effects[level].std_error == pytest.approx(theirs.bse[name], rel=1e-8)
    equal = theirs.wald_test(" = ".join(names), use_f=False, scalar=True)
    assert found.statistic == pytest.approx(float(equal.statistic), rel=1e-7)
    assert (found.degrees, found.p_value) == (len(names) - 1, pytest.approx(float(equal.pvalue), rel=1e-6))
    last = theirs.t_test(f"{names[-1]} - {names[0]} = 0")
    assert found.last_against_first.std_error == pytest.approx(last.sd.item(), rel=1e-8)


@pytest.mark.parametrize("absorb", [None, "month"])
def test_log_odds_are_those_of_the_formula(loans, absorb):
    theirs = smf.logit("default ~ treated:kind + kind + month + grade + size", loans).fit(
        disp=False, tol=1e-12, **clustered(loans)
    )
    found = controlled(loans, absorb).log_odds(loans["kind"])
    names = [f"treated:kind[{level}]" for level in loans["kind"].cat.categories]
    for level, name in zip(loans["kind"].cat.categories, names, strict=True):
        assert found.effects[level].estimate == pytest.approx(theirs.params[name], rel=1e-7)
        assert found.effects[level].std_error == pytest.approx(theirs.bse[name], rel=1e-6)
    equal = theirs.wald_test(" = ".join(names), use_f=False, scalar=True)
    assert found.statistic == pytest.approx(float(equal.statistic), rel=1e-6)


def test_a_control_that_only_a_month_of_one_outcome_knew_leaves_with_it(loans):
    """What is left of it elsewhere is rounding; errors would be of that, and differ from machine to machine."""
    last = loans["month"] == "m4"
    only = np.where(last, np.random.default_rng(1).random(len(loans)), 0.1)
    frame = loans.assign(default=loans["default"].where(~last, 0), only=only)
    terms = ["treated", "month", "grade", "size", "only"]
    design = design_matrix(frame, terms).matrix
    found = Controlled(frame["default"], design, "treated", frame["bank"], 0.95, None, frame["month"])
    found = found.log_odds(frame["kind"])
    rest = frame[~last].assign(month=frame["month"].cat.remove_categories("m4"))
    theirs = smf.logit("default ~ treated:kind + kind + month + grade + size", rest).fit(
        disp=False, tol=1e-12, **clustered(rest)
    )
    for level in loans["kind"].cat.categories:
        assert found.effects[level].estimate == pytest.approx(theirs.params[f"treated:kind[{level}]"], rel=1e-7)
        assert found.effects[level].std_error == pytest.approx(theirs.bse[f"treated:kind[{level}]"], rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_slope_of_an_effect_is_the_product_in_the_formula(loans, weighted):
    theirs = smf.wls(
        "default ~ treated * depth + month + grade + size",
        (loans := loans.assign(depth=np.random.default_rng(3).gamma(2, 1, len(loans)) + 40)),
        weights=loans["weight"] if weighted else np.ones(len(loans)),
    ).fit(**clustered(loans))
    found = controlled(loans, weighted=weighted).slope_of_effect(loans["depth"].to_numpy())
    assert found.estimate == pytest.approx(theirs.params["treated:depth"], rel=1e-7)
    assert found.std_error == pytest.approx(theirs.bse["treated:depth"], rel=1e-7)
    # A number among the controls stands in the formula once.
    among = smf.ols("default ~ treated * size + month + grade", loans).fit(**clustered(loans))
    found = controlled(loans).slope_of_effect(loans["size"].to_numpy())
    assert found.estimate == pytest.approx(among.params["treated:size"], rel=1e-7)
    assert found.std_error == pytest.approx(among.bse["treated:size"], rel=1e-7)
    with pytest.raises(StudyError, match="no variation"):
        controlled(loans).slope_of_effect(loans["treated"].to_numpy())


def test_sampling_weights_do_not_move_odds_ratios(loans):
    plain, weighted = (controlled(loans, weighted=way).log_odds(loans["kind"]) for way in (False, True))
    assert plain.effects["bank"] == pytest.approx(weighted.effects["bank"])


def test_a_planted_difference_is_found_and_an_absent_one_is_not(loans):
    of_loans = controlled(loans)
    grade, kind = of_loans.differences(loans["grade"]), of_loans.differences(loans["kind"])
    assert grade.p_value < 0.01 and grade.last_against_first.ci_high < 0
    assert grade.effects["C"].ci_low < -0.12 < grade.effects["C"].ci_high
    assert kind.p_value > 0.05


def test_no_effect_in_a_group_of_one_arm(loans):
    only = loans["grade"].where(loans["treated"] == 1, "A")
    only[(loans["grade"] == "C") & (loans["treated"] == 0)] = "B"
    with pytest.raises(StudyError, match="within every group"):
        controlled(loans).differences(pd.Series(pd.Categorical(only), loans.index))
    with pytest.raises(StudyError, match="two groups"):
        controlled(loans).differences(pd.Series(pd.Categorical(["A"] * len(loans)), loans.index))


def test_thirds_and_cuts():
    values = pd.Series([5.0, 1.0, 2.0, 3.0, np.nan, 4.0, 6.0])
    assert in_thirds(values).tolist()[:4] == ["highest", "lowest", "lowest", "middle"]
    assert in_thirds(values).isna().tolist() == values.isna().tolist()
    assert in_thirds(pd.Series([0.0] * 8 + [1.0, 2.0])) is None
    assert in_thirds(pd.Series([np.nan] * 3)) is None
    # Thirds of five, seven and two: two are a sixth of twelve, and less than that of fourteen.
    assert in_thirds(pd.Series([1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 10, 11])) is None
    assert in_thirds(pd.Series([1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 9, 10])).value_counts()["highest"] == 2
    groups = cut(values, [2, 5])
    assert groups.tolist()[:4] == [">=5", "<2", "2-<5", "2-<5"] and groups.isna().sum() == 1
    assert list(groups.cat.categories) == ["<2", "2-<5", ">=5"]
