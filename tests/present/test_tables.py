"""The report's tables and how numbers are printed: every cell, in both languages."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.core import results
from pipeline.present import numerals, tables
from pipeline.present.words import Words


def made(tmp_path, stage, rows):
    """Rows of a stage as the report reads them."""
    path = tmp_path / f"{stage}.csv"
    results.write(path, results.table("reference", stage, rows))
    return results.read(path)


def words(language):
    return Words(language, "reference", "reference")


def of_balance(name, before, after, ratio):
    columns = ("mean_treated", "mean_control", "standardised_mean_difference")
    for sample, numbers in (("before", before), ("after", after)):
        for column, number in zip(columns, numbers, strict=True):
            yield {
                "estimator": "balance",
                "specification": sample,
                "factor": name,
                "estimand": column,
                "estimate": number,
            }
    if ratio is not None:
        yield {"estimator": "balance", "specification": "after", "factor": name, "estimand": "variance_ratio"} | {
            "estimate": ratio
        }


BALANCE = [
    *of_balance("amount", (24080.5, 21000.2, 0.1234), (24080.5, 23861.1, -0.0084), 1.0949),
    *of_balance("loan_type[car]", (0.25, 0.4, -0.3), (0.25, 0.2512, -0.0003), None),
    *of_balance("loan_type[personal]", (0.75, 0.6, 0.3), (0.75, 0.7488, 0.0003), None),
]


def regress(rung, factor, **numbers):
    common = {"specification": rung, "factor": factor, "outcome": "default", "n": 81234, "n_clusters": 60}
    ends = {"ci_low": numbers["estimate"] - 0.9, "ci_high": numbers["estimate"] + 0.9}
    yield common | {"estimator": "linear_probability", "estimand": "risk_difference"} | ends | numbers
    odds = {"estimate": 0.8, "std_error": 0.05, "ci_low": 0.726, "ci_high": 0.882}
    yield common | {"estimator": "logit", "estimand": "odds_ratio"} | odds
    yield common | {"estimator": "logit", "estimand": "average_marginal_effect", "estimate": -1.0, "std_error": 0.25}


REGRESS = [
    *regress("M1", "treated", estimate=-1.234, std_error=0.456),
    *regress("M2", "treated", estimate=-1.1, std_error=0.4),
    *regress("M1", "satisfaction", estimate=-0.001, std_error=0.02),
]


def recovered(scenario, outcome="default", **numbers):
    for estimand, (value, error) in numbers.items():
        yield {"estimator": "logit", "specification": scenario, "outcome": outcome, "estimand": estimand} | {
            "estimate": value,
            "std_error": error,
        }


RECOVERY = [
    {"estimator": "logit", "specification": "all_scenarios", "outcome": "default", "estimand": "verdict_fails"}
    | {"estimate": 1.0},
    {"estimator": "logit", "specification": "all_scenarios", "outcome": "stress_within_horizon"}
    | {"estimand": "verdict_must_pass", "estimate": 0.0},
    *recovered(
        "base",
        estimate=(-1.5, None),
        truth=(-1.2, None),
        bias=(-0.3, 0.03),
        rmse=(0.45, None),
        coverage=(0.815, None),
    ),
    *recovered(
        "base",
        "stress_within_horizon",
        estimate=(0.02, None),
        truth=(0.0, None),
        bias=(0.02, 0.01),
        coverage=(0.88, None),
    ),
    *recovered("null", estimate=(-0.1, None), truth=(0.0, None), rejection=(0.055, None)),
    {"estimator": "default_rate", "specification": "base", "outcome": "p2p", "estimand": "target", "estimate": 6.5}
    | {"note": "met: mean 6.42 (0.03)"},
    {"estimator": "logit", "specification": "null", "outcome": "default", "estimand": "target", "estimate": 0.0}
    | {"note": "not met: mean -0.31 (0.02)"},
]


EFFECTS = [
    {"estimator": "logit", "specification": "hard_information", "outcome": "default", "estimand": "risk_difference"}
    | {"estimate": -1.236, "ci_low": -2.0, "ci_high": 0.5, "p_value": 0.2346, "n": 4321},
    {"estimator": "raw_difference", "outcome": "default", "estimand": "risk_difference", "estimate": -2.0}
    | {"p_value": 0.0001, "n": 5000},
    {"estimator": "logit", "specification": "not_estimated", "outcome": "stress_within_horizon"}
    | {"estimand": "risk_difference", "note": "too few"},
]


def show(tmp_path, language):
    said = words(language)
    return {
        "balance": tables.balance(made(tmp_path, "describe", BALANCE), said),
        "key_effects": tables.key_effects(made(tmp_path, "regress", REGRESS), said, ["treated", "satisfaction"], "M2"),
        "regressions": tables.regressions(
            made(tmp_path, "regress", REGRESS), said, ["treated", "satisfaction"], {"M1": [], "M2": ["loan"], "M6": []}
        ),
        "recovery": tables.recovery(made(tmp_path, "recovery", RECOVERY), said),
        "targets": tables.targets(made(tmp_path, "recovery", RECOVERY), said),
        "effects": tables.effects(made(tmp_path, "effects", EFFECTS), said, ["raw_difference", "logit"]),
    }


def expected(language):
    """The tables as they should be, by their headings in the file of a language."""
    text = Path(__file__).with_name(f"tables_{language}.md").read_text(encoding="utf-8")
    parts = [part.split("\n\n", 1) for part in text.split("## ")[1:]]
    return {name: table.strip() for name, table in parts}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_cell_of_every_table(tmp_path, language):
    assert show(tmp_path, language) == expected(language)


def test_a_row_of_effects_is_named_by_what_has_words(tmp_path):
    row = made(tmp_path, "effects", EFFECTS).one(specification="hard_information")
    assert tables.row_parts(row, words("en")) == ["Logit with controls", "hard information", "", ""]
    assert tables.row_parts(row, words("zh")) == ["逻辑回归，带控制变量", "硬信息", "", ""]


def test_a_table_below_a_figure_lists_what_the_figure_cannot_draw(tmp_path):
    rows = made(tmp_path, "effects", EFFECTS)
    beside = tables.effects(rows, words("en"), ["raw_difference", "logit"], drawn=True)
    assert "hard information" not in beside and "Raw difference" in beside and "could not be estimated" in beside
    assert tables.effects(results.Results(rows.frame.iloc[:1]), words("en"), ["logit"], drawn=True) == ""


@pytest.mark.parametrize(
    ("numbers", "digits", "start", "text"),
    [
        ((0.54, 0.2, 0.89), 2, 0.0, "0.54 [0.20, 0.89]"),
        # Ends that would be printed as zero show their side.
        ((0.0005, -0.0004, 0.0013), 3, 0.0, "0.0005 [−0.0004, 0.0013]"),
        ((0.003, -0.723, 0.73), 2, 0.0, "0.00 [−0.72, 0.73]"),
        ((1.02, 1.004, 1.04), 2, 1.0, "1.020 [1.004, 1.040]"),
        ((0.5, math.nan, math.nan), 2, 0.0, "0.50"),
        ((math.nan, math.nan, math.nan), 2, 0.0, "–"),
    ],
)
def test_an_interval_shows_on_which_side_of_no_effect_it_ends(numbers, digits, start, text):
    row = SimpleNamespace(**dict(zip(("estimate", "ci_low", "ci_high"), numbers, strict=True)))
    assert numerals.with_interval(row, digits, start) == text


def test_prose_stands_to_the_left_and_bars_are_escaped():
    assert tables.markdown(["a", "b"], [["1|2", "x"]], prose=True) == "| a | b |\n|:--|:--|\n| 1\\|2 | x |"
    assert tables.markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n|:--|--:|\n| 1 | 2 |"


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (1234.567, 1, "1,234.6"),
        (-1234.567, 2, "−1,234.57"),
        (-0.004, 2, "0.00"),
        (-0.006, 2, "−0.01"),
        (0.0, 0, "0"),
        (math.nan, 2, "–"),
        (None, 2, "–"),
    ],
)
def test_numbers_have_their_decimals_and_a_true_minus(value, decimals, text):
    assert numerals.fixed(value, decimals) == text


@pytest.mark.parametrize(
    ("printer", "value", "text"),
    [
        (numerals.whole, 1234567.4, "1,234,567"),
        (numerals.percent, 14.33, "14.3%"),
        (numerals.percent, -0.04, "0.0%"),
        (numerals.p_value, 0.0009999, "<0.001"),
        (numerals.p_value, 0.001, "0.001"),
        (numerals.p_value, 0.04567, "0.046"),
        (numerals.p_value, math.nan, "–"),
        (numerals.p_value, None, "–"),
        (numerals.compact, 0.1234, "0.12"),
        (numerals.compact, 9.999, "10.00"),
        (numerals.compact, 10.06, "10.1"),
        (numerals.compact, -1234.5, "−1,234"),
        (numerals.compact, math.nan, "–"),
    ],
)
def test_each_kind_of_number_as_people_read_it(printer, value, text):
    assert printer(value) == text
