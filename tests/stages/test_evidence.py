import ast
import html
import itertools
import math
import posixpath
import re
from collections import namedtuple
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from pipeline.analyses.evidence import answer, checks, requirements, rows
from pipeline.analyses.evidence.findings import PRACTICES, needed
from pipeline.core import params
from pipeline.pages import readme, written
from pipeline.pages.evidence import advice, book, claims, first, said, site, sources, sure
from pipeline.present import numerals
from pipeline.present.site import known, notebook_of
from pipeline.present.words import LANGUAGES, TEMPLATES, Words, lower_first, upper_first
from pipeline.runtime import places
from pipeline.sources.claims import ALL, Class, load_bearings, load_claims, load_limits
from pipeline.stages import notebooks
from pipeline.stats import certainty, verdicts

PAGE_TEMPLATES = TEMPLATES / "evidence"


@pytest.fixture(scope="module")
def material():
    """What the pages are made of, as it is committed: ledger, tables, results, choices, contents of the reports."""
    known, listed = params.load(), load_claims()
    bearings = load_bearings(listed, {"reference"})
    ledger = book.Ledger(listed, bearings, load_limits(listed, bearings))
    found = {name: written.read(name) for name in known.compared}
    tables = book.Tables(*(pd.read_csv(places.results("evidence", name)) for name in book.Tables._fields))
    return ledger, tables, found, known, {name: written.contents(name) for name in found}


@pytest.fixture(scope="module")
def books(material):
    return {language: book.Book(language, *material) for language in LANGUAGES}


@pytest.fixture(scope="module")
def rendered(books):
    return {path: text for language in LANGUAGES for path, text in site.pages(books[language]).items()}


FINDING = dict(
    study="bank", factor="treated", claims="E01", verdict="supported", certainty="high", why=None, design="randomised"
)
FINDING |= dict(estimate=-2.0, ci_low=-3.0, ci_high=-1.0, p_value=0.001, unit="percentage points", per=None, n=5000)
FINDING |= dict(
    estimand="difference", specification="", estimator="linear_probability", smallest_detectable=-1.4, margin=1.0
)


def made(**more):
    row = FINDING | more
    return namedtuple("Made", row)(**row)


def observed(*told, **more):
    """Findings of observed practices, each with a verdict."""
    proxy = dict(design="matched_observational", why="indirectness", certainty="very_low", study="lendingclub")
    return [made(verdict=verdict, **proxy | more) for verdict in told]


def answered(books, language, rows):
    """What the first screen would say of made-up findings."""
    one = books[language]
    before, one.findings = one.findings, rows
    try:
        return said.answers(one)
    finally:
        one.findings = before


def test_without_a_direct_finding_nobody_knows_and_that_comes_first(books):
    lots = made(study="karlan_zinman", why="indirectness imprecision", verdict="inconclusive", certainty="very_low")
    sentences = answered(books, "en", [lots, *observed("supported", "inconclusive", "inconclusive")])
    assert sentences[0].startswith("We do not know: no public data test a programme")
    assert "is inconclusive: default differs by" in sentences[1] and sentences[1].endswith("very low.")
    assert "Of 3 comparisons" in sentences[2]
    assert "1 shows less default by an amount that matters, none more" in sentences[2]
    assert answered(books, "zh", [lots])[0].startswith("目前尚无定论")


def test_a_direct_finding_turns_the_first_sentence(books):
    rows = [made(study="karlan_zinman"), made(study="sba", verdict="contradicted", certainty="low")]
    sentences = answered(books, "en", rows)
    assert "2 comparisons at 2 lenders" in sentences[0] and "We do not know" not in sentences[0]
    assert (
        "1 shows less default by an amount that matters and 1 more" in sentences[0] and "at best high" in sentences[0]
    )


@pytest.mark.parametrize(
    ("verdict", "verb", "zh"),
    [
        ("supported", "lowered default:", "降低了违约率："),
        ("supported_small", "lowered default, but by too little to matter:", "降低了违约率，但幅度小到无关紧要："),
        ("contradicted", "raised default:", "提高了违约率："),
        ("contradicted_small", "raised default, but by too little to matter:", "提高了违约率，但幅度小到无关紧要："),
        ("no_important_effect", "made no important difference to default:", "没有重要影响："),
        ("inconclusive", "is inconclusive:", "证据不足以下结论："),
    ],
)
def test_the_sentence_on_lots_follows_its_verdict(books, verdict, verb, zh):
    row = made(study="karlan_zinman", verdict=verdict)
    assert verb in answered(books, "en", [row])[1]
    assert zh in answered(books, "zh", [row])[1]


def test_signs_that_turn_turn_the_sentence_on_observed_practices(books):
    less, more, both, none = (
        answered(books, "en", observed(*told))[-1]
        for told in (["supported"] * 4, ["contradicted"] * 4, ["supported", "contradicted"], ["no_important_effect"])
    )
    assert "4 show less default by an amount that matters and none more;" in less
    assert "none shows less default by an amount that matters and 4 more;" in more
    assert "1 shows less default by an amount that matters and 1 more" in both
    assert "Of one" not in none and "none more and 1 no important effect" in none
    small = answered(books, "en", observed("supported_small", "contradicted_small"))[-1]
    assert "1 significantly less but by too little" in small and "1 significantly more but by too little" in small


def test_no_findings_at_all_are_said_as_such(books):
    sentences = answered(books, "en", [])
    assert "We do not know" in sentences[0] and sentences[1].startswith("No public data come from a randomised")
    assert sentences[2].startswith("No practice")


def test_counting_takes_the_surest_and_says_whether_all_are_as_sure():
    found = answer.counted([*observed("supported"), *observed("inconclusive", certainty="low", study="sba")])
    assert (found.of, found.lenders, found.less, found.unclear) == (2, 2, 1, 1)
    assert found.best == "low" and not found.alike
    assert answer.counted([]).best == "" and answer.counted(observed("supported", "supported")).alike
    assert set(answer.SHOWN) == set(get_args(verdicts.Verdict)) - {"not_testable"}


def test_the_committed_answer_counts_every_finding_once(books):
    found = answer.answer(books["en"].findings)
    told = found.observed
    assert len(found.randomised) + told.of == len(books["en"].findings) > 0
    assert told.less + told.less_small + told.more + told.more_small + told.none + told.unclear == told.of


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ([], "Nothing."),
        (["supported", "inconclusive"], "a reason to test the practice"),
        (["contradicted", "no_important_effect"], "no ground to count on a gain"),
        (["supported", "contradicted"], "nothing general follows"),
        (["no_important_effect", "supported_small"], "on the practice itself nothing follows"),
        (["inconclusive", "no_important_effect"], "Neither a gain nor its absence"),
    ],
)
def test_advice_follows_from_the_findings_by_rule(books, told, kind):
    conclusion = advice.conclusion(books["en"], observed(*told))
    assert kind in conclusion and (not told or "certainty of the evidence: very low" in conclusion)
    sure = advice.conclusion(books["en"], observed("supported", certainty="moderate"))
    assert "may expect it to lower default" in sure


def test_what_was_measured_is_named_where_no_gain_is_to_be_expected(books):
    for language, end in {"en": "nothing follows", "zh": "得不出结论"}.items():
        one = books[language]
        rows = observed("no_important_effect")
        label = lower_first(one.measured("lendingclub", "treated"))
        proxy = advice.conclusion(one, rows)
        direct = advice.conclusion(one, [row._replace(why="imprecision") for row in rows])
        assert label in proxy and label in direct and end in proxy and end not in direct
        found = [row for row in one.findings if said.practice_of(one, row) == "communication_effectiveness"]
        told = advice.paragraph(one, "communication_effectiveness")["conclusion"]
        assert len(found) == 1 and end in told and lower_first(one.measured("sba", found[0].factor)) in told


def test_advice_speaks_of_effects_and_associations_only_and_each_sentence_says_how_sure(books):
    kinds = {claim.id: claim.kind for claim in books["en"].ledger.claims}
    for language, one in books.items():
        paragraphs = advice.context(one)["paragraphs"]
        sentences = [item for part in paragraphs for item in [*part["effects"], *part["related"]]]
        assert sentences and {kinds[name] for item in sentences for name in item["claims"]} <= {"effect", "association"}
        word = one.word("certainty_head").lower()
        assert all(word in item["text"].lower() for item in sentences), language


def listed(module, function):
    """Strings that stand in lists of a function."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    (body,) = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    lists = [node.elts for node in ast.walk(body) if isinstance(node, ast.List)]
    return {one.value for one in itertools.chain(*lists) if isinstance(one, ast.Constant)}


def codes():
    """Every reason that can lower certainty, as the code that gives it has it."""
    calls = [
        node.args[0]
        for node in ast.walk(ast.parse(Path(checks.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Failed"
    ]
    literal = {first.value for first in calls if isinstance(first, ast.Constant)}
    kinds = listed(rows, "reasons_of") | listed(certainty, "several")
    assert len(literal) >= 3 and {"indirectness", "inconsistency"} <= kinds
    names = {*literal, *checks.OF_TREATMENT, *checks.OF_SCORES, "undated"}
    return [f"bias:{name}" for name in sorted(names)] + sorted(kinds)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_verdict_certainty_and_reason_has_words(books, language):
    words, one = book.words_of(language), books[language]
    told = {*get_args(verdicts.Verdict), "mixed", "simulated_only", *get_args(requirements.Status)}
    for part in ("verdicts", "signs", "meanings"):
        assert told <= set(words[part]), part
    assert list(words["certainty"]) == list(words["symbols"]) == list(reversed(certainty.LEVELS))
    assert set(get_args(Class)) - {"none"} == set(words["kinds"])
    assert set(certainty.OF_EFFECTS) | {"simulated"} == set(words["designs"]) == set(words["methods"]["starts"])
    assert all(text.strip() for text in one.why(" ".join(codes())))
    assert set(requirements.CHECKS) == set(words["requirements"]["checks"])
    assert set(PRACTICES) <= set(words["sure"]["designs"]) & set(words["sure"]["record"]) & set(
        words["advice"]["factors"]
    )
    assert set(params.load().evidence.margins.model_dump()) == set(words["methods"]["margins"])
    common = Words(language, "evidence")
    assert all(common.text(f"claims.{name}") for name in get_args(verdicts.Verdict))


def test_committed_reasons_are_ones_that_have_words(books):
    for row in [*books["en"].all_parts(), *books["en"].findings]:
        assert set((row.why or "").split()) <= set(codes())


@pytest.mark.parametrize(
    ("value", "digits", "start", "printed"),
    [
        (0.0004, 3, 0, "0.0004"),
        (-0.0004, 3, 0, "−0.0004"),
        (-0.04, 1, 0, "−0.04"),
        (0.0, 3, 0, "0.000"),
        (1.0004, 2, 1, "1.0004"),
        (0.4996, 2, 0.5, "0.4996"),
        (-2.5, 1, 0, "−2.5"),
    ],
)
def test_rounding_never_hides_a_side(value, digits, start, printed):
    assert numerals.signed(value, digits, start) == printed


@pytest.mark.parametrize(("language", "said"), [("en", "AUC change "), ("zh", "AUC变化")])
def test_what_is_gained_of_an_area_is_not_called_an_area(books, language, said):
    one, of_gain = books[language], {"unit": "area", "estimand": "auc_gain_clustered", "margin": 0.01}
    gain = made(estimate=0.0043, ci_low=-0.0004, ci_high=0.009, **of_gain)
    assert one.size(gain).startswith(f"{said}0.0043") and one.margin(gain) == f"{said}0.010"
    area = made(estimate=0.7, ci_low=0.6, ci_high=0.8, unit="area", estimand="auc")
    assert one.size(area).startswith("AUC 0.70")


def test_no_interval_on_the_pages_hides_a_sign(books, rendered):
    one = books["en"]
    assert one.short(made(estimate=0.0005, ci_low=-0.0004, ci_high=0.0013)) == "0.0005 (−0.0004 to 0.0013)"
    assert (
        one.size(made(estimate=0.3, ci_low=-0.0004, ci_high=1.3)) == "0.30 percentage points (95% CI −0.0004 to 1.30)"
    )
    assert one.size(made(per="standard_deviation")).startswith("−2.00 percentage points per standard deviation (95%")
    for text in rendered.values():
        assert not re.search(r"(?<![\d.,])−?0\.0+ \(?(95% CI )?−?0\.0+ (to|至) ", text)


@pytest.mark.parametrize(
    ("value", "printed"),
    [(1234.5, 0), (35002.0, 0), (12.34, 1), (1.234, 2), (0.12, 2), (0.012, 3), (0.0013, 4), (0, 3), (math.nan, 3)],
)
def test_numbers_keep_about_three_digits(value, printed):
    assert numerals.decimals(value) == printed


def test_readme_says_the_answer_as_it_is_computed(books):
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    answer = readme.block(books["en"])
    assert readme.put(text, answer) == text and answer in text
    assert all(sentence in answer for sentence in said.answers(books["en"]))


def test_a_text_without_marks_stays_as_it_is():
    assert readme.put("nothing here", "the answer") == "nothing here"


def test_the_first_screen_has_answer_and_findings_before_counts_and_map(rendered, books):
    for language, one in books.items():
        text = html.unescape(rendered[book.path_of("index", language)])
        order = [text.index(mark) for mark in ("<h1", 'id="findings"', 'id="simulation"', 'id="counts"', 'id="map"')]
        assert order == sorted(order)
        for sentence in [*said.answers(one), said.simulation(one)]:
            assert sentence in text
        for row in one.findings:
            assert one.short(row) in text and one.word("verdicts", row.verdict) in text
            assert all(f"#{name}" in text for name in row.claims.split())


def block(text, claim, study):
    """What a page of claims says of a study and a claim, and the notes that it leads to."""
    told = re.split("</tbody>|</p>", html.unescape(text).split(f'id="{claim}-{study}"')[1])[0]
    notes = dict(re.findall(r'<li id="note-(\d+)">(.*?)</li>', html.unescape(text)))
    numbers = [number for found in re.findall(r'#note-\d+">([\d,]+)<', told) for number in found.split(",")]
    return told, [notes[number] for number in numbers]


def test_every_deciding_row_stands_with_all_that_judges_it(books, rendered):
    for language, one in books.items():
        text = rendered[book.path_of("claims", language)]
        for row in one.all_parts():
            if one.row(row.claim, row.study).verdict == "not_testable":
                continue
            part, notes = block(text, row.claim, row.study)
            assert claims.brief(one, row) in part and claims.path(row) in part
            assert one.compared(row)[1:] in part
            for value in (row.p_value, row.p_adjusted, row.p_family):
                assert value is None or one.p(value) in part
            if row.certainty:
                assert one.word("certainty", row.certainty) in part
                assert all(upper_first(why) in notes for why in one.why(row.why))
            if row.study in one.simulated:
                assert any(note.startswith(one.word("by", "tried").split("{{")[0]) for note in notes)


def test_a_substitute_a_selected_file_and_an_exception_are_said(books, rendered):
    for language, one in books.items():
        text = rendered[book.path_of("claims", language)]
        assert any(limit.claim == ALL for limit in one.ledger.limits)
        for limit in one.ledger.limits:
            reason = getattr(limit, f"reason_{language}")
            if limit.claim == ALL:
                told = [row for row in one.all_parts() if row.study == limit.study]
                asked = {row.claim for row in told if one.row(row.claim, row.study).verdict != "not_testable"}
                assert asked and all(
                    any(reason in note for note in block(text, name, limit.study)[1]) for name in asked
                )
            elif one.row(limit.claim, limit.study).verdict != "not_testable" or limit.answer == "none":
                assert any(reason in note for note in block(text, limit.claim, limit.study)[1])
        for bearing in one.ledger.bearings:
            if bearing.argument_en and one.row(bearing.claim, bearing.study).verdict != "not_testable":
                argument = getattr(bearing, f"argument_{language}")
                assert any(argument in note for note in block(text, bearing.claim, bearing.study)[1])


def test_fixed_effects_of_lenders_stand_beside_a_number_that_is_without_them(books, rendered):
    for language, one in books.items():
        text = rendered[book.path_of("claims", language)]
        (row,) = (row for row in one.parts("E24", "sba") if row.certainty)
        found = one.found["sba"].where(estimator="waiting").set_index("specification").loc["within_banks"]
        assert row.ci_high < 0 < found["ci_high"]
        within = claims.brief(one, row._replace(**found[["estimate", "ci_low", "ci_high"]]))
        assert within in claims.inside(one, row) and claims.inside(one, row) in text
        assert claims.inside(one, row._replace(specification="within_banks")) == ""
        # What is told for a standard deviation is told so beside it, too.
        (wait,) = (row for row in one.parts("E15", "sba") if row.per)
        raw = one.found["sba"].where(estimator="all_loans", factor=wait.factor, estimand="risk_difference")
        raw = raw.set_index("specification")["estimate"]
        scaled = raw["within_banks"] * wait.estimate / raw["controls"]
        assert f"{scaled:.2f}".replace("-", "−") in claims.inside(one, wait)
        assert claims.inside(one, one.parts("E10", "lendingclub")[0]) == ""


def test_the_page_of_claims_is_short(rendered):
    text = re.sub(r"<(style|script)>.*?</\1>|<[^>]+>", " ", rendered[book.path_of("claims", "en")], flags=re.S)
    assert len(html.unescape(text).split()) <= 7_900


def test_claims_that_share_a_coefficient_name_each_other(books):
    shared = {key: names for key, names in claims.same_numbers(books["en"]).items() if len(names) > 1}
    assert shared
    parts = claims.context(books["en"])["by_document"]
    told = {
        (item["claim"].id, one["study"], part["row"]): part["same"]
        for listed in parts.values()
        for item in listed
        for one in item["seen"]
        for part in one["parts"]
    }
    assert any(same for same in told.values())
    for (claim, study, row), same in told.items():
        for other in same:
            assert any(key[0] == other and key[1] == study and claim in back for key, back in told.items()), (
                claim,
                row,
            )


def test_the_map_marks_every_substitute(books, rendered):
    text = rendered[book.path_of("index", "en")]
    mapped = {claim.id for claim in books["en"].ledger.claims if claim.kind not in first.APART}
    for limit in books["en"].ledger.limits:
        row = books["en"].row(limit.claim, limit.study) if limit.claim != ALL else None
        if limit.answer == "proxy" and limit.claim in mapped and row.verdict != "not_testable":
            tag = re.search(rf'<a class="sign ([^"]*)" href="[^"]*#{limit.claim}-{limit.study}"', text)
            assert "proxy" in tag[1].split(), (limit.claim, limit.study)


def test_what_would_settle_it_stands_with_the_loans_that_it_takes(books, rendered, material):
    _, tables, found, known, _ = material
    asked = needed(load_claims(), found, known)
    assert len(asked) == len(tables.needed)
    text = html.unescape(rendered[book.path_of("sure", "en")])
    for row in asked.itertuples():
        if row.study in books["en"].real:
            assert f"{row.loans:,}" in text and f"{row.loans_by_branch:,}" in text
    for claim in books["en"].ledger.claims:
        if claim.kind == "effect" and claim.factor in PRACTICES and claim.needs_en:
            assert claim.needs_en in text
    largest = sure.largest(books["en"], "sba", [made(n=10), made(n=500, smallest_detectable=None)])
    assert largest == "SBA banks, 500 loans, too few to see any effect that there can be"


def test_every_requirement_stands_with_its_count(books, rendered):
    text = rendered[book.path_of("requirements", "en")]
    for name in requirements.CHECKS:
        row = re.search(rf'<tr id="{name}">.*?</tr>', text, flags=re.S)[0]
        for study in books["en"].studies:
            value = books["en"].row(name, study).reason.split(" of ")[0]
            assert f"{float(value):,.0f} of " in row
    assert 'data-kind="requirement"' not in rendered[book.path_of("index", "en")]


def keys(words, path=""):
    if isinstance(words, dict):
        for name, inner in words.items():
            yield from keys(inner, f"{path}.{name}")
    else:
        yield f"{path}[{len(words)}]" if isinstance(words, list) else path


def test_no_word_is_missing_in_either_language():
    english, chinese = (set(keys(book.words_of(language))) for language in LANGUAGES)
    assert english == chinese


def test_the_words_ask_for_the_same_numbers_in_both_languages():
    def asked(words):
        if isinstance(words, dict):
            return {name: asked(inner) for name, inner in words.items()}
        if isinstance(words, list):
            return [asked(inner) for inner in words]
        return set(re.findall(r"\{\{ *(.*?) *\}\}", words))

    english, chinese = (asked(book.words_of(language)) for language in LANGUAGES)
    assert english == chinese


def test_no_number_is_typed_into_the_templates():
    code = r"\{% block script %\}.*|\{[{%#].*?[}%#]\}|<script>.*?</script>|<[^>]*>"
    for file in PAGE_TEMPLATES.glob("*.html"):
        assert not re.search(r"\d", re.sub(code, "", file.read_text(), flags=re.S)), file.name


VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.wrong = [], [], [], []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if "id" in named:
            self.ids.append(named["id"])
        for name in ("href", "src"):
            if name in named:
                self.links.append(named[name])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))


def parsed(text):
    reader = Reader()
    reader.feed(text)
    return reader


def test_pages_are_whole_small_and_need_no_network(rendered):
    assert len(rendered) == len(LANGUAGES) * len(site.CONTEXTS)
    for path, text in rendered.items():
        reader = parsed(text)
        assert not reader.wrong and not reader.open, path
        assert len(reader.ids) == len(set(reader.ids)), path
        assert len(text.encode()) < 1_000_000
        assert not re.search(
            r"<(script|img|link|iframe)[^>]*(src|href)=\"(?!data:,|(\.\./)?[a-z_]+/[a-z_/]+\.svg\")", text
        ), path
        assert not re.search(r"\bnan\b|<NA>|\bNone\b(?! of| shows)", text), path


def test_every_link_leads_somewhere(rendered):
    ids = {path: set(parsed(text).ids) for path, text in rendered.items()}
    there = {*(places.results("evidence", name) for name in book.Tables._fields), *rendered}
    there |= {book.path_of("paper", language, kind) for language in LANGUAGES for kind in ("html", "md", "pdf")}
    there |= {Path("reports", notebook_of(name, language)) for name in notebooks.NOTEBOOKS for language in LANGUAGES}
    there |= {
        Path("reports", known().report(name, language, "notebook"))
        for name in known().studies
        for language in LANGUAGES
    }
    for path, text in rendered.items():
        for link in parsed(text).links:
            if link.startswith(("https://", "data:")):
                continue
            file, _, anchor = link.partition("#")
            target = Path(*path.parent.parts, *Path(file).parts) if file else path
            target = Path(posixpath.normpath(target.as_posix()))
            assert target in there or target.exists(), f"{path}: {link}"
            if anchor:
                if target not in ids:
                    ids[target] = set(parsed(target.read_text(encoding="utf-8")).ids)
                assert anchor in ids[target], f"{path}: {link}"


def test_each_language_has_its_twin(rendered):
    for path in rendered:
        if ".zh." not in path.name:
            twin = path.with_name(path.name.replace(".html", ".zh.html"))
            assert f'href="{twin.name}"' in rendered[path] and f'href="{path.name}"' in rendered[twin]
            assert 'lang="zh-Hans"' in rendered[twin] and '<html lang="en">' in rendered[path]
            assert parsed(rendered[path]).ids == parsed(rendered[twin]).ids


def test_text_of_the_ledger_cannot_break_the_page(material):
    ledger, *rest = material
    evil = [item.model_copy(update={"claim_en": "<script>alert(1)</script> & more"}) for item in ledger.claims]
    text = site.page(book.Book("en", ledger._replace(claims=evil), *rest), "index")
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_enough_contrast():
    """WCAG 2.1, level AA: text at least 4.5 to 1, in light and in dark."""
    blocks = re.findall(r":root \{(.*?)\}", (TEMPLATES / "style.css").read_text(), flags=re.S)
    assert len(blocks) == 2
    for one in blocks:
        colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", one))
        pairs = [(name, "back") for name in ("text", "quiet", "link", "yes-text", "no-text")]
        pairs += [(name, "soft") for name in ("text", "quiet", "link")]
        pairs += [(f"{name}-text", name) for name in ("yes", "no", "open", "part", "made")]
        pairs += [("text", "yes"), ("text", "no")]
        for front, back in pairs:
            high, low = sorted((luminance(colour[front]), luminance(colour[back])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (front, back)


def test_the_trail_has_captions_and_figures_of_its_language(material):
    ledger, tables, found, known, _ = material
    item = {"kind": "figure", "number": "1", "file": "figures/ladder.svg", "stage": "regress", "caption": "One"}
    listed = {"lendingclub": [item | {"caption_twin": "一"}], "sba": [item]}
    shown = {
        language: {
            one["study"]: one["shown"]
            for one in sources.trail(book.Book(language, ledger, tables, found, known, listed))["listed"]
        }
        for language in LANGUAGES
    }
    assert [shown[language]["lendingclub"][0]["caption"] for language in ("en", "zh")] == ["One", "一"]
    assert shown["zh"]["lendingclub"][0]["file"] == "lendingclub/figures_zh/ladder.svg"
    # A report written before its captions were listed in both languages.
    assert shown["zh"]["sba"][0]["caption"] == "One" and shown["zh"]["sba"][0]["as_written"]
