"""Every page exists in two languages: the same words, asking for the same numbers, in each."""

import re

import jinja2
import pytest
from jinja2 import meta, nodes

from pipeline.core import yaml
from pipeline.present.words import FOLDER, LANGUAGES, Words, filled, lower_first

ENVIRONMENT = jinja2.Environment(autoescape=False)

ONLY_ENGLISH = {"method.yaml"}
"""The benchmark's page on matching designs, which exists in English only."""

OWN_WAY = {".month"}
"""Texts in which a language may take what the other does not: an English month has a name, a Chinese one a number."""

PRINTERS = {"fixed", "whole", "percent", "p_value", "counted", "lower_first"}
"""Functions that print what something else has found, as a language wants it printed."""

NUMBERS = {"estimate", "std_error", "ci_low", "ci_high", "p_value", "p_adjusted", "n", "n_treated", "n_clusters"}
"""What a result row holds."""


def files(language):
    return {path.relative_to(FOLDER / language).as_posix() for path in (FOLDER / language).rglob("*.yaml")}


BOTH = sorted((files("en") | files("zh")) - ONLY_ENGLISH)


def flat(words, path=""):
    """Every text by its path; an empty section stands open, so that a language may fill it alone."""
    if isinstance(words, dict) and words:
        for name, inner in words.items():
            yield from flat(inner, f"{path}.{name}")
    elif isinstance(words, list):
        yield f"{path}[{len(words)}]", ""
        for place, inner in enumerate(words):
            yield from flat(inner, f"{path}[{place}]")
    else:
        yield path, words


def texts(language, name):
    return dict(flat(yaml.read(FOLDER / language / name)))


def asked(template):
    """What a template asks for: names, calls that find a row, and which numbers of one.

    Notes are English, so each language cuts them up and joins lists in its own way.
    """
    tree = ENVIRONMENT.parse(template)
    calls = [call for call in tree.find_all(nodes.Call) if getattr(call.node, "name", None)]
    parts = {part.attr for part in tree.find_all(nodes.Getattr)} & NUMBERS
    names = meta.find_undeclared_variables(tree) - PRINTERS
    return names, {repr(call) for call in calls if call.node.name not in PRINTERS}, parts


def test_every_file_of_words_has_its_twin():
    assert files("en") - files("zh") == ONLY_ENGLISH
    assert files("zh") <= files("en")
    assert {path.name for path in FOLDER.iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("name", BOTH)
def test_no_word_is_missing_in_either_language(name):
    english, chinese = texts("en", name), texts("zh", name)
    open_ended = [path for path, text in english.items() if text == {}]
    more = {path for path in chinese if not any(path.startswith(f"{start}.") for start in open_ended)}
    assert set(english) - set(open_ended) == more - set(open_ended)


@pytest.mark.parametrize("name", BOTH)
def test_templates_ask_for_the_same_numbers(name):
    english, chinese = texts("en", name), texts("zh", name)
    for path in english.keys() & chinese.keys() - OWN_WAY:
        if isinstance(english[path], str) and ".patterns" not in path:
            assert asked(english[path]) == asked(chinese[path]), path


@pytest.mark.parametrize("name", sorted(files("zh")))
def test_chinese_is_written_as_chinese(name):
    """No half-width punctuation after a Chinese character."""
    for path, text in texts("zh", name).items():
        if not isinstance(text, str) or ".references" in path:
            continue
        prose = re.sub(r"\{[{%#].*?[}%#]\}|`[^`]*`", "x", text, flags=re.S)
        assert not re.search(r"[\u4e00-\u9fff][,;:?!()]", prose), f"{path}: {text}"


def test_a_line_break_leaves_no_space_in_chinese_and_one_in_english():
    assert filled("一共 {{ number }} 笔\n贷款，p 值", number="1,204") == "一共1,204笔贷款，p值"
    assert (
        filled("In all {{ number }}\nloans of {{ name }} x", number="1,204", name="某 行")
        == "In all 1,204 loans of 某 行 x"
    )


def test_bold_ends_before_punctuation_where_a_code_host_would_not_close_it():
    assert filled("**一个陷阱。** 看似\n谨慎，**其实不然：**不是。**处理组**为此。**对照组**为彼。") == (
        "**一个陷阱**。看似谨慎，**其实不然**：不是。**处理组**为此。**对照组**为彼。"
    )
    assert filled("**模拟的**是这些。**不是模拟的**是那些。") == "**模拟的**是这些。**不是模拟的**是那些。"
    assert filled("**全句都粗。**") == "**全句都粗。**"
    assert filled("**A trap.** It looks careful") == "**A trap.** It looks careful"


@pytest.mark.parametrize(
    ("label", "inside"),
    [
        ("Any message", "any message"),
        ("GDP growth (%)", "GDP growth (%)"),
        ("满意度", "满意度"),
        ("Lee界限", "Lee界限"),
        ("A level", "a level"),
    ],
)
def test_a_label_inside_a_sentence(label, inside):
    assert lower_first(label) == inside


@pytest.mark.parametrize(
    ("language", "series", "level", "grade", "years"),
    [("en", "a, b and c", "2011 Q1", "B2", "10+ years"), ("zh", "a、b和c", "2011年第1季度", "B2", "10年及以上")],
)
def test_lists_and_levels_follow_the_language(language, series, level, grade, years):
    words = Words(language, "lendingclub")
    assert words.series(["a", "b", "c"]) == series
    assert words.series(["a"]) == "a" and words.series([]) == ""
    assert [words.level(name) for name in ("2011Q1", "B2", "10+ years")] == [level, grade, years]
