"""Markdown into HTML and PDF, by pandoc and typst."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.present import site
from pipeline.present.words import TEMPLATES, WIDE, Words

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

BELOW = re.compile(r"<(?=\d)")
"""A sign that opens no tag. Pandoc, untold, looks for one in all the text that follows: two thirds of its time."""


def to_html(
    page: str,
    form: str,
    title: str,
    words: Words,
    resources: Path,
    other: tuple[str, Words] | None = None,
    more: Sequence[str] = (),
) -> str:
    """Turn a page (`form` is pandoc's name for what it is written in) into an HTML file in the folder `resources`.

    Figures are linked, as they stand beside it, which keeps the page small and each a file of its own. `other` is the
    same page in another language, with its words; `more` are further arguments of pandoc.
    """
    import pypandoc

    with _defaults(title, words, {}) as told:
        body = pypandoc.convert_text(
            BELOW.sub(r"\\<", page),
            "html5",
            # The two languages of a page number their headings, so that they are called alike.
            format=f"{form}-auto_identifiers",
            extra_args=[
                f"--lua-filter={TEMPLATES / 'figures.lua'}",
                "--wrap=none",
                "--columns=1000",
                f"--resource-path={resources}",
                f"--defaults={told}",
                *more,
            ],
        )
    here = site.Here(f"{resources.name}/{own_name(other, words)}", words.language, other[0] if other else "")
    return site.page(body, title, here, site.known())


def own_name(other: tuple[str, Words] | None, words: Words) -> str:
    """Return the name of a page in a language, from that of its twin: one of the two has its language in its name."""
    if other is None:
        return "report.html"
    name, twin = other[0].removesuffix(".html"), f".{other[1].language}"
    return f"{name.removesuffix(twin)}.html" if name.endswith(twin) else f"{name}.{words.language}.html"


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
            BELOW.sub(r"\\<", page),
            "typst",
            format=PANDOC,
            extra_args=[
                "--standalone",
                "--wrap=none",
                "--columns=1000",
                f"--lua-filter={TEMPLATES / 'figures.lua'}",
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
    # Citations are alike in all languages; the page's own language is a variable.
    metadata = {"pagetitle": title, "lang": "en"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.yaml"
        path.write_text(json.dumps({"metadata": metadata, "variables": variables}), encoding="ascii")
        yield path
