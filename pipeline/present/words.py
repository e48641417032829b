"""The words of the pages, from one YAML file for all studies and one for each study or kind of study."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jinja2

from pipeline.core import yaml
from pipeline.core.scope import FILLED, NOT_STATED
from pipeline.runtime.errors import StudyError

FOLDER = Path(__file__).parent / "words"
"""Words of all pages, and of those that belong to no single study, by language."""

TEMPLATES = FOLDER.with_name("templates")
"""What pages are filled into."""

ANALYSES, STUDIES = (FOLDER.parents[1] / name for name in ("analyses", "studies"))

LANGUAGES = ("en", "zh")
"""The languages of the pages."""

TAGS = {"en": "en", "zh": "zh-Hans"}
"""How a page tells a browser its language."""

WIDE = re.compile(r"[\u2e80-\uffdc]")
"""Chinese, Japanese and Korean characters, which the fonts that come with the libraries do not have."""

BESIDE_WIDE = re.compile(rf" (?={WIDE.pattern})|(?<={WIDE.pattern}) ")
"""A space that a line break of the words' file left in Chinese, which has none."""

AFTER_STOP = re.compile(r"(?<=[，。；：！？]) (?=[^ |])")
"""A space after a Chinese stop, where sentences were joined as those of other languages are."""

BOLD = re.compile(r"\*\*([^*]+?)([，。：；、？！]*)\*\*(?=(\w?))")
"""Bold, the punctuation at its end, and a letter that follows."""


def filled(template: str, **context: Any) -> str:
    """Return a template with its numbers filled in, on one line; in Chinese without spaces.

    CommonMark does not close bold after punctuation where a letter follows at once: bold then ends before it.
    """
    text = " ".join((_compiled(template).render(**context) if "{" in template else template).split())
    if not WIDE.search(template):
        return text
    return BOLD.sub(lambda bold: f"**{bold[1]}**{bold[2]}" if bold[3] else bold[0], BESIDE_WIDE.sub("", text))


@functools.cache
def environment(kind: Literal["html", "markdown", "words"]) -> jinja2.Environment:
    """Return how templates are filled: pages in HTML with what is filled in escaped, Markdown and words as it stands.

    In Markdown, labels and levels of a reader's file carry no markup (`sources.dictionary.plain`, ``studies.own``).
    What a template misses is an error. A line break after a tag is the template's own in pages, a blank in words.
    """
    page = kind != "words"
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=page,
        lstrip_blocks=page,
        keep_trailing_newline=kind == "markdown",
        autoescape=kind == "html",
    )


@functools.cache
def _compiled(template: str) -> jinja2.Template:
    return environment("words").from_string(template)


def lower_first(sentence: str) -> str:
    """Return a sentence or label as it reads inside a sentence.

    Abbreviations such as GDP stay as they are, and so does a name with which a Chinese label begins.
    """
    if sentence[1:2].isupper() or re.match(rf"[A-Za-z]+{WIDE.pattern}", sentence):
        return sentence
    return sentence[0].lower() + sentence[1:]


def upper_first(label: str) -> str:
    """Return a label as it reads at the beginning."""
    return label[:1].upper() + label[1:]


class Words:
    """Labels and texts in one language; a missing one stops the build instead of leaving a raw name on a page."""

    def __init__(
        self, language: str, study: str, module: str | None = None, columns: Mapping[str, str] | None = None
    ) -> None:
        """Read the common words of a language and those of a study.

        A study whose module serves any file has the module's words, and may have some of its own before them;
        `columns` are labels of its columns, before all others.
        """
        self.language = language
        self._common = [yaml.read(FOLDER / language / "common.yaml"), *map(yaml.read, of_analyses(language))]
        files = [of_study(language, name) for name in dict.fromkeys((study, module or study))]
        there = [file for file in files if file.exists()] or files[:1]
        self._where = f"a file words.{language}.yaml below pipeline, or to pipeline/present/words/{language}"
        self._own = [{"labels": {"columns": dict(columns or {})}}, *map(yaml.read, there)]
        if columns and language != LANGUAGES[0]:
            self._translate(columns, _english(there[0]))

    def _translate(self, columns: Mapping[str, str], english: Path) -> None:
        """Put this language's labels in the place of given ones that are English as the study was set up."""
        if not english.exists():
            return
        set_up = yaml.read(english)["labels"]
        for name, label in columns.items():
            inner = re.fullmatch(r"log\((.*)\)", name)
            column = inner[1] if inner else name
            for kind in ("set_up", "columns"):
                word, known = _at(self._own[1]["labels"], kind), set_up.get(kind, {}).get(column)
                if known is not None and columns.get(column) == known and column in (word or {}):
                    label = self.bracketed(word[column], self.text("logarithm")) if inner else word[column]
            self._own[0]["labels"]["columns"][name] = label

    def text(self, path: str) -> Any:
        """Return what stands under a dotted path, the study's own words before the common ones."""
        for source in (*self._own, *self._common):
            if (found := _at(source, path)) is not None:
                return found
        raise StudyError(f"the words '{path}' are missing: add them to {self._where}.")

    def has(self, path: str) -> bool:
        """Say whether the study has words of its own under a dotted path."""
        return any(_at(source, path) is not None for source in self._own)

    def wide(self) -> bool:
        """Say whether some of it is Chinese: the language, or labels of columns that were given with the study."""
        given = self._own[0]["labels"]["columns"].values()
        return any(WIDE.search(text) for text in (*given, self.text("headings.contents")))

    def series(self, names: Sequence[str]) -> str:
        """Return names as a list inside a sentence: ``a, b and c``."""
        if len(names) < 2:
            return "".join(names)
        return f"{self.text('joining.list').join(names[:-1])}{self.text('joining.and')}{names[-1]}"

    def pair(self, name: str, more: str) -> str:
        """Return a name with what it holds more closely: ``name: more``."""
        return f"{name}{self.text('joining.colon')}{more}"

    def in_percent(self, name: str) -> str:
        """Return the name of something that is measured in percent."""
        return self.bracketed(name, "%")

    def bracketed(self, name: str, more: str) -> str:
        """Return a name with something in brackets behind it."""
        return f"{name}{self.text('joining.opening')}{more}{self.text('joining.closing')}"

    def counted(self, number: float) -> str:
        """Return a small whole number as a word, any other in digits."""
        known = self.text("counting")
        return known[int(number)] if number == int(number) and number < len(known) else f"{number:g}"

    def label(self, kind: str, name: str) -> str:
        """Return the label of a column, level, reason, rung ... Names may hold dots, so `name` is one step."""
        found = self.known(kind, name)
        if found is not None:
            return found
        raise StudyError(f"the label of {kind} '{name}' is missing: add it to {self._where}.")

    def known(self, kind: str, name: str) -> str | None:
        """Return the label of something that may go without one."""
        for source in (*self._own, *self._common):
            if name in source.get("labels", {}).get(kind, {}):
                return source["labels"][kind][name]
        return self._derived(name) if kind == "columns" else None

    def answers(self, values: Iterable[float]) -> list[str] | None:
        """Return the words for the values of a yes or no, lowest first; nothing for other values."""
        return [self.text("labels.no"), self.text("labels.yes")] if sorted(values) == [0, 1] else None

    def names(self, kind: str) -> dict[str, int]:
        """Return the places of all names of a kind, in the order in which they are written: the study's own first."""
        sources = (*self._own, *self._common)
        every = (name for source in sources for name in source.get("labels", {}).get(kind, {}))
        return {name: place for place, name in enumerate(dict.fromkeys(every))}

    def _derived(self, name: str) -> str | None:
        """Return the label of what is made of a column with a label: its logarithm, or what a gap became."""
        if made := re.fullmatch(r"log\((.*)\)", name):
            label = self.known("columns", made[1])
            return None if label is None else self.bracketed(label, self.text("logarithm"))
        for suffix in (FILLED, NOT_STATED):
            label = self.known("columns", name.removesuffix(suffix)) if name.endswith(suffix) else None
            if label is not None:
                return label if suffix == FILLED else self.pair(label, self.text("not_stated"))
        return None

    def column(self, name: str) -> str:
        """Return the label of a column or of one level of it: ``loan_type[car]`` -> ``Purpose of the loan: car``."""
        column, level = split(name)
        label = self.label("columns", column)
        return label if level is None else self.pair(label, self.level(level))

    def level(self, name: str) -> str:
        """Return the label of a category's level; grades, quarters and counts speak for themselves."""
        known = self.known("levels", name)
        if known is not None:
            return known
        if self.has("levels_as_they_stand"):
            return name
        for pattern, reads in self.text("patterns"):
            if found := re.fullmatch(pattern, name):
                return found.expand(reads)
        raise StudyError(f"the label of level '{name}' is missing: add it to {self._where}.")


def there(language: str, study: str, module: str | None = None) -> bool:
    """Say whether a study has words in a language."""
    return any(of_study(language, name).exists() for name in (study, module or study))


def of_analyses(language: str) -> list[Path]:
    """Return the files of words that stand beside the analyses."""
    return sorted(ANALYSES.glob(f"*/words.{language}.yaml"))


def of_study(language: str, name: str) -> Path:
    """Return a study's file of words: in its folder, or with the common ones for a page of all studies."""
    folder = STUDIES / name
    return folder / f"words.{language}.yaml" if folder.is_dir() else FOLDER / language / f"{name}.yaml"


def _english(file: Path) -> Path:
    """Return the English twin of a file of words."""
    if file.parent.parent == STUDIES:
        return file.with_name(f"words.{LANGUAGES[0]}.yaml")
    return FOLDER / LANGUAGES[0] / file.name


def _at(source: Any, path: str) -> Any:
    for step in path.split("."):
        source = source.get(step) if isinstance(source, dict) else None
    return source


def split(name: str) -> tuple[str, str | None]:
    """Split ``column[level]`` into column and level; a plain column has no level."""
    found = re.fullmatch(r"([^\[]+)\[(.*)\]", name)
    return (found[1], found[2]) if found else (name, None)
