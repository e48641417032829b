"""A simulated study's page shows the worlds in which its methods were tried, whichever they were."""

import functools
from pathlib import Path

import pytest

from pipeline.core import params, results
from pipeline.core.results import Results
from pipeline.pages.report import Report
from pipeline.present import effect_figures, figures
from pipeline.present.page import labels_of
from pipeline.present.trail import Trail
from pipeline.present.words import Words
from pipeline.runtime.errors import StudyError
from tests.choices import contents

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "reports/reference/results").glob("*.csv"))


def choices(scenario="base", *tried):
    """The published parameters, with another world at hand and others behind the recovery."""
    content = contents()
    reference = content["studies"]["reference"]
    reference["scenario"] = scenario
    reference["recovery"]["scenarios"] = list(tried) or reference["recovery"]["scenarios"]
    return params.validated(content)


@functools.cache
def rows(*tried):
    frame = results.read(*FILES).frame
    left_out = {"base", "benign", "null"} - set(tried)
    return Results(frame[(frame["stage"] != "recovery") | ~frame["specification"].isin(left_out)])


def page(language, scenario, *tried):
    found = rows(*tried)
    words = Words(language, "reference", "reference", labels_of(found))
    trail = Trail("reference", ROOT)
    return Report(found, choices(scenario, *tried), "reference", words, trail, [], "markdown")


@pytest.mark.parametrize(("language", "nothing"), [("en", "the programme does nothing"), ("zh", "毫无作用的世界里")])
def test_no_sentence_is_on_worlds_that_were_not_simulated(language, nothing):
    whole, part = (page(language, "base", *tried).findings() for tried in (("base", "benign", "null"), ("base",)))
    assert nothing in whole and nothing not in part
    assert set(part.splitlines()) < set(whole.splitlines())
    assert len(whole.splitlines()) - len(part.splitlines()) == 1


@pytest.mark.parametrize(
    ("language", "truth"),
    [("en", "on average over such worlds"), pytest.param("zh", "在这类世界里", marks=pytest.mark.long)],
)
def test_of_a_world_that_the_recovery_did_not_try_no_truth_is_told(language, truth):
    assert truth in page(language, "base", "base").render()
    assert truth not in page(language, "null", "base").render()


def test_the_figure_draws_what_is_there(tmp_path):
    words = Words("en", "reference", "reference", labels_of(rows("base", "null")))
    for name, tried in (("whole", ("base", "null")), ("part", ("base",))):
        figures.draw(effect_figures.recovery, tmp_path / f"{name}.svg", rows(*tried), words)
    whole, part = ((tmp_path / f"{name}.svg").read_text(encoding="utf-8") for name in ("whole", "part"))
    assert whole == (ROOT / "reports/reference/figures/recovery.svg").read_text(encoding="utf-8")
    # Without worlds of no effect no share of rejections stands beside a method.
    assert part.count("<use") < whole.count("<use")


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        (["null"], "reference/params.yaml: recovery.scenarios: base must be among them"),
        (["base", "base"], "reference/params.yaml: recovery.scenarios: each name may stand there once"),
        (["base", "nul"], "reference/params.yaml: recovery.scenarios"),
    ],
)
def test_scenarios_that_cannot_be_compared_are_refused(tried, said):
    with pytest.raises(StudyError) as caught:
        choices("base", *tried)
    assert said in str(caught.value)
