"""Every page exists in two languages: the same words, asking for the same numbers, in each."""

import re
from collections import Counter

import jinja2
import pytest
from jinja2 import meta, nodes

from pipeline.core import params
from pipeline.present.words import FOLDER, LANGUAGES, Words, filled, lower_first

ENVIRONMENT = jinja2.Environment(autoescape=False)

ONLY_ENGLISH = {"method.yaml"}
"""The benchmark's page on matching designs, which exists in English only."""

OWN_WAY = {".month"}
"""Texts in which a language may take what the other does not: an English month has a name, a Chinese one a number."""

ENGLISH_BY_GRAMMAR = {"lower_first"}
"""Functions that one language needs and the other does not."""

PRINTERS = {"fixed", "whole", "percent", "p_value", *ENGLISH_BY_GRAMMAR}
"""Functions that print a number which something else has found."""


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
    return dict(flat(params.read(FOLDER / language / name)))


def asked(template):
    """What a template asks for: names, calls that find a row, and how often it takes each part of one."""
    tree = ENVIRONMENT.parse(template)
    calls = {repr(call) for call in tree.find_all(nodes.Call) if getattr(call.node, "name", "") not in PRINTERS}
    parts = Counter(part.attr for part in tree.find_all(nodes.Getattr))
    return meta.find_undeclared_variables(tree) - ENGLISH_BY_GRAMMAR, calls, parts


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
    """No half-width punctuation after a Chinese character, and no bold that a code host would not show."""
    for path, text in texts("zh", name).items():
        if not isinstance(text, str) or ".references" in path:
            continue
        prose = re.sub(r"\{[{%#].*?[}%#]\}|`[^`]*`", "x", text, flags=re.S)
        assert not re.search(r"[\u4e00-\u9fff][,;:?!()]", prose), f"{path}: {text}"
        # CommonMark closes bold only behind a letter, where a letter follows.
        assert all(bold[-1].isalnum() for bold in re.findall(r"\*\*(.+?)\*\*", prose)), f"{path}: {text}"


def test_a_line_break_leaves_no_space_in_chinese_and_one_in_english():
    assert filled("一共 {{ number }} 笔\n贷款，p 值", number="1,204") == "一共1,204笔贷款，p值"
    assert (
        filled("In all {{ number }}\nloans of {{ name }} x", number="1,204", name="某 行")
        == "In all 1,204 loans of 某 行 x"
    )


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
