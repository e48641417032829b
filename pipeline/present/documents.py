"""Markdown into HTML and PDF, by pandoc and typst."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.present.words import FOLDER as WORDS
from pipeline.present.words import TAGS, TEMPLATES, WIDE, Words

PRINT_FONTS = (
    "Noto Serif CJK SC",
    "Source Han Serif SC",
    "Songti SC",
    "SimSun",
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "PingFang SC",
)
"""Fonts with Chinese characters for the PDF, the preferred ones first; typst takes the first that a machine has."""


PANDOC = "markdown-implicit_figures-smart-tex_math_dollars"


HOMES = {"zh": "../index.zh.html"}
"""Where a report leads back to, in languages other than that of ``index.html``."""


def home(language: str) -> str:
    """Return what the pages of the evidence, to which each report leads back, are called."""
    # The file is long, and this its only line that a report needs.
    text = (WORDS / language / "evidence.yaml").read_text(encoding="utf-8")
    return re.findall(r"^site: (.+)$", text, re.MULTILINE)[0]


def to_html(
    page: str, form: str, title: str, words: Words, resources: Path, other: tuple[str, Words] | None = None
) -> str:
    """Turn a page (`form` is pandoc's name for what it is written in) into an HTML file in the folder `resources`.

    Its style stands inside. A notebook's pictures do, too; a report's are linked, as they stand beside it, which keeps
    the page small and each figure a file of its own. `other` is the same page in another language, with its words.
    """
    import pypandoc

    variables = {
        "home": HOMES.get(words.language, "../index.html"),
        "home-title": home(words.language),
        "toc-title": words.text("headings.contents"),
    }
    with _defaults(title, words, variables | _switch(other)) as told:
        return pypandoc.convert_text(
            page,
            "html5",
            format=form,
            extra_args=[
                "--standalone",
                *(["--embed-resources"] if form == "ipynb" else [f"--lua-filter={TEMPLATES / 'figures.lua'}"]),
                "--toc",
                "--toc-depth=2",
                "--wrap=none",
                "--columns=1000",
                f"--template={TEMPLATES / 'report.html'}",
                f"--resource-path={resources}",
                f"--defaults={told}",
            ],
        )


def untranslated(words: Words) -> str:
    """Return what stands in place of a page in a language in which a study has no words."""
    return f"# {words.text('title')}\n\n{words.text('untranslated')}"


def to_pdf(page: str, title: str, words: Words, resources: Path, more: Sequence[str] = ()) -> bytes:
    """Turn the report (pandoc flavour) into PDF through typst, with typst's own fonts and no date in the file.

    `more` are further arguments of pandoc, such as those that resolve citations.
    """
    import pypandoc
    import typst

    variables = {"text-lang": words.language, "wide-font": PRINT_FONTS if WIDE.search(page) else []}
    with _defaults(title, words, variables) as told:
        source = pypandoc.convert_text(
            page,
            "typst",
            format=PANDOC,
            extra_args=[
                "--standalone",
                "--wrap=none",
                "--columns=1000",
                f"--template={TEMPLATES / 'report.typ'}",
                f"--defaults={told}",
                *more,
            ],
        )
    # Typst's own fonts have no Chinese, Japanese or Korean characters.
    own_fonts_do = WIDE.search(page) is None
    return typst.compile(source.encode(), root=str(resources), ignore_system_fonts=own_fonts_do, timestamp=0)


@contextmanager
def _defaults(title: str, words: Words, variables: dict[str, Any]) -> Iterator[Path]:
    """Yield a file that tells pandoc the title, language and variables of a page, and is gone afterwards.

    As arguments they could not be told where the system's language knows no Chinese. JSON is YAML, too, in ASCII.
    """
    metadata = {"pagetitle": title, "lang": TAGS[words.language]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.yaml"
        path.write_text(json.dumps({"metadata": metadata, "variables": variables}), encoding="ascii")
        yield path


def _switch(other: tuple[str, Words] | None) -> dict[str, str]:
    """Return what the link to the same page in another language is made of."""
    if other is None:
        return {}
    page, words = other
    return {"other": page, "other-lang": TAGS[words.language], "other-title": words.text("language")}
