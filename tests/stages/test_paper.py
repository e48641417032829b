import re
import shutil
import subprocess

import pandas as pd
import pytest
from matplotlib.markers import CARETLEFT, CARETRIGHT

from pipeline.analyses.evidence.answer import answer
from pipeline.analyses.evidence.findings import CORRELATION, GROUP
from pipeline.analyses.evidence.rows import OF_CRM
from pipeline.core import params, yaml
from pipeline.pages.evidence import book, said, sure
from pipeline.pages.paper import drawings, paper, steps
from pipeline.pages.written import read
from pipeline.present.software import software
from pipeline.present.words import FOLDER, LANGUAGES
from pipeline.runtime import places
from pipeline.sources.claims import load_bearings, load_claims, load_limits
from pipeline.sources.records import load_source
from pipeline.stages import evidence as stage

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
def test_everything_cited_is_listed_and_everything_listed_is_cited(written, language):
    cited = set(re.findall(r"@([a-z-]+)", written[language]))
    assert cited == set(ENTRIES) and len(ENTRIES) == len(set(ENTRIES))


def test_both_languages_have_the_same_words_and_ask_for_the_same_numbers():
    def shape(value):
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [shape(inner) for inner in value]
        return sorted(re.findall(r"\{\{ *(.*?) *\}\}", value)), sorted(re.findall(r"@([a-z-]+)", value))

    english, chinese = (shape(yaml.read(FOLDER / language / "paper.yaml")) for language in LANGUAGES)
    assert english == chinese


def test_only_specifications_within_the_strata_of_a_randomisation_are_counted(papers):
    for one in papers.values():
        said = one.say("empirical", "checks")
        assert one.word("studies", "karlan_zinman") in said and one.word("studies", "lendingclub") not in said


def test_tables_and_figures_are_numbered_in_order_and_hold_something(written):
    for language, text in written.items():
        for kind in ("table", "figure"):
            word = yaml.read(FOLDER / language / "paper.yaml")[kind]
            numbers = re.findall(rf"\*\*{word} (\d+)[. ]\*\*", text)
            assert numbers == [str(place) for place in range(1, len(numbers) + 1)] and len(numbers) >= 2
        assert not re.search(r"\bnan\b|<NA>|\bNone\b(?! of| shows)|\{\{|\{%", text)
        for file in re.findall(r"\]\(\.\./([a-z_/]+\.svg)\)", text):
            assert (book.INDEX.parent / file).exists(), file


def test_the_order_is_that_of_the_documents_chapter(papers, written):
    sections = ["design", "data", "empirical", "discussion", "conclusions"]
    parts = ["hypotheses", "quantitative", "qualitative", "sources", "principles", "groups", "descriptive"]
    parts += ["correlation", "regression", "causal", "mechanism", "found", "limits", "concluded", "advice"]
    parts += ["tiers", "outlook"]
    for text in written.values():
        assert [name for name in re.findall(r"\{#([a-z]+)\}", text) if name in sections] == sections
        assert [name for name in re.findall(r"\{#([a-z]+)\}", text) if name in parts] == parts
    ids = [re.findall(r"\{#([a-z0-9-]+)[ }]", text) for text in written.values()]
    assert ids[0] == ids[1]


def test_every_requirement_on_the_method_stands_in_one_step(papers):
    required = [claim.id for claim in papers["en"].ledger.claims if claim.kind == "requirement"]
    assert sorted(name for names in steps.REQUIREMENTS.values() for name in names) == required
    assert len(steps.PRINCIPLES) == 4 and set(steps.TIERS) == {"low", "middle", "high"}


def test_every_number_of_a_real_lender_on_crm_stands_beside_its_statement(papers, written):
    for language, one in papers.items():
        lines = [line for line in written[language].splitlines() if line.startswith("|")]
        for claim in one.ledger.claims:
            told = [row for study in one.real for row in one.parts(claim.id, study) if row.certainty is not None]
            if claim.kind in (*OF_CRM, "moderation") and told:
                assert any(claim.id in line and one.claim_text(claim) in line for line in lines), claim.id
        for row in one.findings:
            assert any(one.short(row, "cell") in line and one.word("verdicts", row.verdict) in line for line in lines)


def test_a_comparison_of_lenders_is_named_adjusted_and_has_no_correlation_of_other_loans(papers):
    for one in papers.values():
        _, lines = paper.found.correlated(one)
        told = [row for claim in one.ledger.claims if claim.kind == "association" and claim.id != paper.found.PROGRAMME
                for row in paper.found.decided(one, claim)]  # fmt: skip
        assert len(lines) == len(told)
        for line, row in zip(lines, told, strict=True):
            of_loans = one.found[row.study].where(stage="correlate", estimator="point_biserial", factor=row.factor)
            assert (one.words("adjusted") in line[2]) == (row.specification != "M1")
            assert (line[3] == line[4] == paper.tables.MISSING) == (row.n not in set(of_loans["n"]))
        near = next(row for row in told if row.estimator == "lenders")
        assert one.measured("sba", near.factor) not in paper.found.stated(one, near)


def test_the_key_point_on_what_is_settled_says_what_was_measured_and_by_what_proxy(papers):
    for one in papers.values():
        said_of = one.say("points", "found")
        settled = [
            claim for claim in one.ledger.claims if claim.kind in OF_CRM and one.row(claim.id).verdict in paper.SETTLED
        ]
        for claim in settled:
            for row in paper.found.decided(one, claim):
                assert one.size(row) in said_of
                assert (one.limit(claim.id, row.study, "proxy") or "").rstrip(".。") in said_of
                later = one.found[row.study].where(specification=f"{row.specification}_later", factor=row.factor)
                later = later[(later["estimator"] == row.estimator) & (later["estimand"] == row.estimand)]
                assert all(one.short(each) in said_of for each in later.itertuples())


def test_what_differs_by_too_little_to_matter_is_counted_wherever_more_and_less_are(papers):
    told = {"en": ("matter", "too little"), "zh": ("值得在意", "无关紧要")}
    for language, one in papers.items():
        counts = answer(one.findings).observed
        assert counts.more_small and not counts.more
        for text in (one.say("points", "why"), one.say("conclusions", "concluded")):
            assert said.shown(one, counts) in text
        assert all(words in one.say("plain") for words in told[language])
        before = one._counts
        try:
            for none in (dict(less_small=0), dict(more_small=0), dict(less_small=0, more_small=0)):
                one.__dict__["_counts"] = before | {"observed": counts._replace(**none)}
                assert (told[language][1] in one.say("plain")) == (len(none) == 1)
        finally:
            one.__dict__["_counts"] = before


def test_the_loans_that_detect_are_told_apart_from_those_that_show_nothing_and_name_what_is_assumed(papers):
    for one in papers.values():
        for text in (one.say("points", "next"), one.say("conclusions", "outlook")):
            rows = [row for row in one.needed if row.practice == "programme"]
            for name in sure.SIZES:
                sizes = [getattr(row, name) for row in rows]
                assert all(f"{size:,}" in text for size in (min(sizes), max(sizes)))
            assert str(GROUP) in text and str(CORRELATION) in text
    assert "would" in papers["en"].say("points", "next") and "settle" not in papers["en"].say("points", "next")


def test_a_verdict_as_likely_where_nothing_works_is_no_evidence_and_another_is_not(papers):
    frame = papers["en"]._sets
    frame = frame[frame["outcome"] == "inconclusive"].set_index(["factor", "specification"])["estimate"]
    for one in papers.values():
        assert frame["E09", "nothing_works"] == 1.0 and frame["E09", "twice_what_matters"] > 0.9
        # One lender decides E15, and the verdict tells the two worlds apart.
        assert "E09" in one._moot.index and "E15" not in one._moot.index
        limit = one.fill(next(text for text in one.words("limits") if "moot" in text), **one._counts)
        counts = one._counts | {"moot": lambda *verdicts: ""}
        end = {"en": "no evidence", "zh": "几乎不构成"}[one.language]
        without = one.fill(next(text for text in one.words("limits") if "moot" in text), **counts)
        assert end in limit and end not in without and end in one.say("points", "found")
        assert end not in one.fill(one.words("points", "found"), **counts)


def test_loans_beyond_the_cohorts_are_said_where_a_deciding_row_uses_them(papers):
    for one in papers.values():
        cohorts = {study: paper.sample.number(one.found[study], "loans") for study in one.real}
        most = max(row.n for row in one.all_parts() if row.certainty and row.study == "sba")
        assert most > cohorts["sba"]
        assert f"{most:,}" in one.say("points", "asked") and f"{most:,}" in one.say("abstract", "data")
        assert f"{cohorts['sba']:,}" not in one._beyond() and one.word("short", "berka") not in one._beyond()
        # Of loans no more than the cohorts hold, nothing is said.
        within = one.fill(one.words("abstract", "data"), **one._counts | {"beyond": ""})
        assert f"{most:,}" not in within and f"{sum(cohorts.values()):,.0f}" in within


def test_a_dash_is_explained_beside_the_tables_that_have_one(papers):
    for one in papers.values():
        for name, table in (("representative", paper.sample.representative), ("varied", paper.sample.varied)):
            dashes = any(paper.tables.MISSING in row for row in table(one)[1])
            assert dashes and {"en": "A dash:", "zh": "“–”"}[one.language] in one.say("principles", name, "text")


def test_an_interval_without_zero_that_is_inconclusive_is_marked_and_the_mark_explained(papers):
    for one in papers.values():
        mark, about = (
            one.words("before_correction"),
            {"caused": "effect", "correlated": "association", "moderated": "moderation"},
        )
        for name, kind in about.items():
            marked = [row for row in paper.TABLES[name](one)[1] if any(mark.strip() in cell for cell in row)]
            assert bool(marked) == bool(paper.found.marked(one, kind)), name
        rows = [row for row in one.findings if row.verdict == "inconclusive" and not row.ci_low <= 0 <= row.ci_high]
        assert rows and all(row.p_value < 0.05 <= row.p_adjusted for row in rows)
        assert len(rows) == sum(mark in row[-2] for row in paper.TABLES["caused"](one)[1])
        assert one.words("marked").strip() in one.say("empirical", "causal")
        assert one.words("marked").strip() not in one.say("empirical", "correlation")


def test_titles_can_be_said_before_it_is_known_whether_statements_are_linked(papers):
    fresh = paper.Paper("en", *(getattr(papers["en"], name) for name in ("ledger", "tables", "found", "params")))
    assert fresh.say("title") and fresh.say("figures", "verdicts")


def test_a_programme_that_is_measured_turns_abstract_key_points_and_conclusion(papers):
    one = papers["en"]
    before, one.findings = one.findings, [row._replace(why=None) for row in one.findings]
    one.__dict__.pop("_counts", None)
    try:
        changed = one.say("abstract", "conclusion") + one.say("plain") + one.say("conclusions", "concluded")
    finally:
        one.findings = before
        one.__dict__.pop("_counts", None)
    assert "No public record" not in changed and "remains open" not in changed
    assert "remains open" in one.say("conclusions", "concluded")


def test_advice_for_a_tier_follows_from_the_verdicts_of_what_is_asked(papers):
    one = papers["en"]
    claim, *_ = steps.TIERS["middle"]
    said_before = paper.follows.of_tier(one, "middle")["follows"]
    before = one._rows[claim, "overall"]
    one._rows[claim, "overall"] = before._replace(verdict="supported", certainty="low")
    try:
        told = paper.follows.of_tier(one, "middle")
    finally:
        one._rows[claim, "overall"] = before
    assert said_before != told["follows"] and "supported (certainty low)" in told["asked"]


def test_columns_of_a_table_share_a_line_of_print():
    wide = paper.widths(["Lender", "The documents state"], [["Czech", "a long statement " * 5], ["S. Africa", ""]])
    assert wide[0] == len("S. Africa") + 2 and sum(wide) == paper.LINE
    assert paper.letters("信贷ab") == 6


def test_an_interval_that_leaves_the_axis_ends_in_an_arrow(papers, tmp_path):
    from pipeline.present.words import Words

    axes = drawings.findings(Words("en", "evidence"), papers["en"]).axes[0]
    reach = axes.get_xlim()[1]
    beyond = sum((row.ci_low < -reach) + (row.ci_high > reach) for row in papers["en"].findings)
    assert beyond == sum(line.get_marker() in (CARETLEFT, CARETRIGHT) for line in axes.lines) > 0


def test_the_abstract_is_the_answer_and_the_findings_stand_in_a_table(papers, written):
    for language, one in papers.items():
        abstract = written[language].split("## ")[1]
        assert all(sentence in abstract for sentence in said.answers(one))
        assert all(
            one.size(row) in written[language] or one.short(row, "cell") in written[language] for row in one.findings
        )


def test_citations_are_resolved_and_references_stand_at_the_end(written):
    text = paper.to_markdown(written["en"])
    assert "[@" not in text and "???" not in text
    end = text.split("## References")[1]
    assert "Karlan" in end and "Austin, Peter C. 2011" in end
    # What has none is a proceedings paper, a package, a data set or an older volume of a journal.
    assert end.count("<https://doi.org/") == paper.BIBLIOGRAPHY.read_text(encoding="utf-8").count(" doi = {") >= 20


def test_authors_and_sources_have_their_names_in_the_language_of_the_paper(papers, written):
    for language, page in written.items():
        assert papers[language].words("groups")[yaml.read(paper.CITATION)["authors"][0]["name"]] in page
        for name in params.load().study("berka").sources:
            named = load_source(name).named(language)
            assert named.title in page and named.licence in page


@pytest.mark.parametrize("file", ("paper.pdf", "paper.zh.pdf"))
def test_the_print_has_eight_to_twelve_pages(file):
    printed = (places.reports("evidence") / file).read_bytes()
    assert 8 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12


def test_software_has_the_versions_of_the_lock(tmp_path):
    listed = dict(software())
    assert {"dvc", "pandas", "statsmodels", "jinja2", "pypandoc-binary"} <= set(listed)
    lock = tmp_path / "lock"
    lock.write_text("pandas==9.9.9\nscikit-learn==1.0\n")
    assert dict(software(lock)) == {"pandas": "9.9.9", "scikit-learn": "1.0"}


def test_the_chinese_print_says_when_it_has_no_letters(papers, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(stage, "has_letters", lambda: False)
    monkeypatch.setattr(book, "path_of", lambda page, language, suffix="html": tmp_path / f"{language}.{suffix}")
    monkeypatch.setattr(paper, "to_markdown", lambda page: page)
    monkeypatch.setattr(stage, "to_html", lambda *given: "")
    monkeypatch.setattr(stage, "to_pdf", lambda page, title, words, *more: asked.append(words.language) or b"%PDF")
    monkeypatch.setattr(stage.figures, "draw", lambda *given: None)
    for one in papers.values():
        stage.write_paper(one)
    assert asked == ["en"] and (tmp_path / "zh.md").exists() and not (tmp_path / "zh.pdf").exists()


def test_a_citation_alone_in_a_cell_has_the_brackets_of_its_page():
    cell = "|  |  |\n|:--|:--|\n| [@firth-bias] | 1 |\n"
    assert "| （Firth 1993） |" in paper.to_markdown(f"# 标题\n\n{cell}")
    assert "| (Firth 1993) |" in paper.to_markdown(f"# Title\n\n{cell}")


def test_a_reference_has_a_doi_or_says_where_it_stands():
    entries = re.split(r"\n(?=@)", paper.BIBLIOGRAPHY.read_text(encoding="utf-8"))[1:]
    assert entries and all(re.search(r"(doi|url|note) = ", entry) for entry in entries)


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext is installed here: poppler has it")
def test_an_interval_in_a_table_stays_on_one_line_of_print(tmp_path):
    from pipeline.present.documents import to_pdf
    from pipeline.present.words import Words

    cells = "\n".join(
        f"| −{n}.58 \\[−5.60, 2.45\\] |" + " a long statement that takes the line |" * 8 for n in range(3)
    )
    page = "| A |" + " B |" * 8 + "\n|:----|" + ":--------------|" * 8 + "\n" + cells
    (tmp_path / "page.pdf").write_bytes(to_pdf(page, "page", Words("en", "evidence"), tmp_path))
    said = subprocess.run(["pdftotext", "-layout", tmp_path / "page.pdf", "-"], capture_output=True, text=True).stdout
    assert len(re.findall(r"\[−5\.60, 2\.45\]", said)) == 3
