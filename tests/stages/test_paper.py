import re

import pandas as pd
import pytest

from pipeline.analyses.evidence.rows import OF_CRM
from pipeline.core import params, yaml
from pipeline.pages import paper
from pipeline.pages.evidence import book, said
from pipeline.pages.written import read
from pipeline.present.software import software
from pipeline.present.words import FOLDER, LANGUAGES
from pipeline.runtime import places
from pipeline.sources.claims import load_bearings, load_claims, load_limits
from pipeline.stages import evidence as stage

WORDS = {language: (FOLDER / language / "paper.yaml").read_text(encoding="utf-8") for language in LANGUAGES}
ENTRIES = re.findall(r"^@\w+\{([^,]+),", paper.BIBLIOGRAPHY.read_text(encoding="utf-8"), flags=re.M)


@pytest.fixture(scope="module")
def papers():
    known, claims = params.load(), load_claims()
    bearings = load_bearings(claims, {"reference"})
    ledger = book.Ledger(claims, bearings, load_limits(claims, bearings))
    found = {name: read(name) for name in known.compared}
    tables = book.Tables(*(pd.read_csv(places.results("evidence", name)) for name in book.Tables._fields))
    return {name: paper.Paper(name, ledger, tables, found, known) for name in LANGUAGES}


@pytest.fixture(scope="module")
def written(papers):
    return {name: one.render("../") for name, one in papers.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_cited_is_listed_and_everything_listed_is_cited(language):
    cited = re.findall(r"@([a-z-]+)", WORDS[language])
    assert set(cited) == set(ENTRIES) and len(ENTRIES) == len(set(ENTRIES))


def test_both_languages_have_the_same_words_and_ask_for_the_same_numbers():
    def shape(value):
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [shape(inner) for inner in value]
        return sorted(re.findall(r"\{\{ *(.*?) *\}\}", value)), sorted(re.findall(r"@([a-z-]+)", value))

    english, chinese = (shape(yaml.read(FOLDER / language / "paper.yaml")) for language in LANGUAGES)
    assert english == chinese


def test_tables_and_figures_are_numbered_in_order_and_hold_something(written):
    for language, text in written.items():
        for kind in ("table", "figure"):
            word = yaml.read(FOLDER / language / "paper.yaml")[kind]
            numbers = re.findall(rf"\*\*{word} (\d+)\.\*\*", text)
            assert numbers == [str(place) for place in range(1, len(numbers) + 1)] and len(numbers) >= 2
        assert not re.search(r"\bnan\b|<NA>|\bNone\b(?! of| shows)|\{\{|\{%", text)
        for file in re.findall(r"\]\(\.\./([a-z_/]+\.svg)\)", text):
            assert (book.INDEX.parent / file).exists(), file


def test_the_table_of_decided_claims_holds_every_number_of_a_real_lender(papers, written):
    one = papers["en"]
    told = [row for row in one.all_parts() if row.kind in OF_CRM and row.study in one.real and row.certainty]
    table = written["en"].split("**Table 5.**")[1].split("![")[0]
    lines = [line for line in table.splitlines() if re.match(r"\| [A-Z]\d\d", line)]
    assert len(lines) == len(told) > 0
    assert all(any(one.size(row) in line for line in lines) for row in told)


def test_the_abstract_is_the_answer_and_the_findings_stand_in_a_table(papers, written):
    for language, one in papers.items():
        abstract = written[language].split("## ")[1]
        assert all(sentence in abstract for sentence in said.answers(one))
        assert all(one.size(row) in written[language] or one.short(row) in written[language] for row in one.findings)


def test_citations_are_resolved_and_references_stand_at_the_end(written):
    text = paper.to_markdown(written["en"])
    assert "[@" not in text and "???" not in text
    end = text.split("## References")[1]
    assert end.count("Karlan") >= 2 and "Austin, Peter C. 2011" in end


def test_software_has_the_versions_of_the_lock(tmp_path):
    listed = dict(software())
    assert {"dvc", "pandas", "statsmodels", "jinja2", "pypandoc-binary"} <= set(listed)
    lock = tmp_path / "lock"
    lock.write_text("pandas==9.9.9\nscikit-learn==1.0\n")
    assert dict(software(lock)) == {"pandas": "9.9.9", "scikit-learn": "1.0"}


def test_the_chinese_print_says_when_it_has_no_letters(written, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(stage, "has_letters", lambda: False)
    monkeypatch.setattr(paper, "path_of", lambda language, suffix: tmp_path / f"{language}.{suffix}")
    monkeypatch.setattr(paper, "to_print", lambda *given: asked.append(given[2]) or b"%PDF")
    monkeypatch.setattr(paper, "to_markdown", lambda page: page)

    class Written:
        def __init__(self, language):
            self.language = language

        def render(self, way):
            return written[self.language]

        def paper(self, key):
            return key

    for language in LANGUAGES:
        stage.write_paper(Written(language), language)
    assert asked == ["en"] and (tmp_path / "zh.md").exists() and not (tmp_path / "zh.pdf").exists()
