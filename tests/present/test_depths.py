"""A report has two depths: a short summary, and the full record in chapters that repeat nothing of it."""

import functools
import re

import pytest
import typst

from pipeline.core import params
from pipeline.core.results import Results
from pipeline.pages.report import Report
from pipeline.pages.written import claims_on, read
from pipeline.present.documents import to_pdf
from pipeline.present.page import labels_of
from pipeline.present.trail import Trail
from pipeline.present.words import LANGUAGES, Words
from pipeline.runtime import places

CHOICES = params.load()
STUDIES = [name for name in CHOICES.compared if places.results(name, "describe").exists()]
WORDS, SHOWN, PAGES = 1500, 8, 5
"""Most words, figures and tables, and printed pages of a summary."""

rows = functools.cache(read)


def report(study, language="en", flavour="markdown", found=None):
    found = rows(study) if found is None else found
    words = Words(language, study, CHOICES.study(study).module, labels_of(found))
    pictures = "figures" if language == CHOICES.report.language else f"figures_{language}"
    behind = (Trail(study), [], flavour, pictures, claims_on(study))
    return Report(found, CHOICES, study, words, *behind)


@functools.cache
def rendered(study, language="en", flavour="markdown"):
    return report(study, language, flavour).render()


def parts(study, language="en", flavour="markdown"):
    """The summary and the record of a report."""
    heading = Words(language, study, CHOICES.study(study).module).text("headings.record")
    summary, record = re.split(rf"^## {re.escape(heading)}.*$", rendered(study, language, flavour), flags=re.M)
    return summary, record


def words_in(text):
    """Count the words that a reader sees: no addresses, no text that stands for a picture, no rules of tables."""
    seen = re.sub(r"!\[[^\]]*\]\([^)]*\)|\]\([^)]*\)|^\|[:|-]+\|$", " ", text, flags=re.M)
    return len(re.findall(r"\w[\w.,’'\N{MINUS SIGN}-]*", seen))


@pytest.mark.parametrize("study", STUDIES)
def test_a_summary_is_short(study):
    summary, record = parts(study)
    assert words_in(summary) <= WORDS
    assert summary.count("![") + len(re.findall(r"^\|:", summary, flags=re.M)) <= SHOWN
    # It is a part of the whole, and not the whole.
    assert words_in(record) > 3 * words_in(summary)


@pytest.mark.parametrize("study", STUDIES)
def test_no_figure_and_no_table_stands_twice(study):
    page = rendered(study)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", page)
    tables = re.findall(r"(?:^\|.*\n)+", page, flags=re.M)
    assert len(set(pictures)) == len(pictures) and len(set(tables)) == len(tables)


@pytest.mark.parametrize("study", [STUDIES[0], *(pytest.param(name, marks=pytest.mark.long) for name in STUDIES[1:])])
def test_links_find_the_same_places_in_both_languages(study):
    one, other = (re.findall(r"\{#([\w-]+)", rendered(study, language, "pandoc")) for language in LANGUAGES)
    assert one == other and len(set(one)) == len(one)


@pytest.mark.parametrize("study", STUDIES)
def test_what_is_behind_a_figure_is_a_link_and_no_raw_name(study):
    page = rendered(study)
    made = re.findall(r"<sub>(.*?)</sub>", page)
    assert made and not [line for line in made if "`" in line or not line.startswith("[")]
    folder = places.reports(study)
    for way in set(re.findall(r"\]\(([^)#]+)", " ".join(made))):
        assert (folder / way).exists() or way.startswith("figures"), way
    assert any("evidence/claims.html#" in line for line in made)


def test_a_sign_that_turns_turns_the_title():
    frame = rows("lendingclub").frame.copy()
    mine = (frame["stage"] == "regress") & (frame["estimator"] == "linear_probability")
    low, high = frame["ci_low"].copy(), frame["ci_high"].copy()
    frame.loc[mine, "estimate"] *= -1
    frame.loc[mine, "ci_low"], frame.loc[mine, "ci_high"] = -high[mine], -low[mine]
    turned = report("lendingclub", found=Results(frame))
    found = [page.figure("ladder").splitlines()[0] for page in (report("lendingclub"), turned)]
    less, more = (re.search(r"(\d+|none) of \d+ factors .*?, (\d+|none) with more", title).groups() for title in found)
    assert less == more[::-1] and less[0] != less[1]


@pytest.mark.long
@pytest.mark.parametrize("study", STUDIES)
def test_a_summary_fits_on_five_pages(study):
    summary, _ = parts(study, flavour="pandoc")
    summary = summary.removesuffix("```{=typst}\n#pagebreak()\n```\n\n")
    printed = to_pdf(summary, "summary", Words("en", study), places.reports(study))
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= PAGES


def test_a_figure_that_upsets_the_printer_stands_where_it_was_told(monkeypatch, tmp_path):
    """Typst fails on some floats (typst/typst#8487); the page is set again with every figure in its place."""
    tried = []

    def compiled(source, **_):
        tried.append(source.decode())
        if "float: true" in tried[-1]:
            raise typst.TypstError("internal error: parent group")
        return b"%PDF"

    monkeypatch.setattr(typst, "compile", compiled)
    page = ":::: {#figure-1 .figure}\nA picture.\n\nIts caption.\n::::\n"
    assert to_pdf(page, "page", Words("en", "lendingclub"), tmp_path) == b"%PDF"
    assert len(tried) == 2 and "#block(breakable: false)" in tried[1] and "caption" in tried[1]
