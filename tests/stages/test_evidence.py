import html
import math
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.analyses.evidence import rows as evidence
from pipeline.core import params, results
from pipeline.core.results import Results
from pipeline.pages import evidence as pages
from pipeline.pages import paper, written
from pipeline.runtime.errors import StudyError
from pipeline.sources.claims import Claim, Selector, load_claims, load_limits, load_selectors
from pipeline.stages import notebooks

TEMPLATES = Path(pages.TEMPLATES) / "evidence"
LANGUAGES = evidence.LANGUAGES


def claim(rule="interval", kind="causal", **more):
    known = dict(
        id="E01",
        document="A",
        section="1",
        claim_en="A.",
        claim_zh="甲。",
        factor="programme",
        outcome="default",
        expected_sign="lower",
        needs_en="",
        needs_zh="",
        priority="1",
        studies="bank",
    )
    return Claim.model_validate(known | dict(rule=rule, kind=kind) | more)


def selector(role="primary", **more):
    known = dict(
        claim="E01",
        study="bank",
        stage="regress",
        estimator="logit",
        specification="M5",
        factor="treated",
        outcome="default",
        estimand="risk_difference",
        expected="lower",
        threshold="",
        design="descriptive",
    )
    return Selector.model_validate(known | dict(role=role) | more)


def has(*rows):
    known = dict(estimator="logit", specification="M5", factor="treated", outcome="default")
    known |= dict(estimand="risk_difference", unit="percentage points", n=100)
    frame = results.table("bank", "regress", [known | row for row in rows])
    return Results(frame.astype(dict.fromkeys(results.NUMBERS, float)))


def test_one_row_decides():
    line = evidence.decided(claim(), [selector()], has(dict(estimate=-2, ci_low=-3, ci_high=-1)), 0.95)
    assert (line["verdict"], line["strength"], line["estimate"], line["n"]) == ("supported", "descriptive", -2, 100)
    assert line["stage"] == "regress" and line["estimand"] == "risk_difference"


def test_the_part_that_fails_is_the_number_that_is_shown():
    found = has(
        dict(estimate=-2, ci_low=-3, ci_high=-1),
        dict(estimate=0.5, ci_low=-1, ci_high=2, specification="M7"),
    )
    items = [selector(), selector("also", specification="M7")]
    line = evidence.decided(claim("all_of"), items, found, 0.95)
    assert (line["verdict"], line["specification"], line["estimate"]) == ("inconclusive", "M7", 0.5)


def test_groups_in_order_are_a_trend():
    rates = [(4, "00"), (6, "01"), (9, "02")]
    found = has(
        *(
            dict(estimate=y, ci_low=y - 1, ci_high=y + 1, specification=f"before_{s}", factor=f"grade[{s}]")
            for y, s in rates
        )
    )
    item = selector(specification="before_*", factor="grade[*", expected="higher")
    line = evidence.decided(claim("trend"), [item], found, 0.95)
    assert line["verdict"] == "supported" and line["n"] == 300
    assert line["estimate"] == pytest.approx(2.5)


def test_a_requirement_reads_all_its_rows():
    found = has(dict(estimate=0.02, factor="grade[A]"), dict(estimate=-0.2, factor="grade[B]"))
    item = selector(factor="grade[*", threshold="0.1")
    line = evidence.decided(claim("value", "method"), [item], found, 0.95)
    assert (line["verdict"], line["estimate"]) == ("not_met", 0.2)
    spread = has(dict(estimate=3, factor="sd"), dict(estimate=4, factor="mean"))
    items = [selector(factor="sd", expected="higher", threshold="0.5"), selector("also", factor="mean")]
    line = evidence.decided(claim("ratio", "method"), items, spread, 0.95)
    assert (line["verdict"], line["estimate"]) == ("met", 0.75)


def test_a_missing_row_stops_the_build_in_one_sentence():
    with pytest.raises(StudyError, match=r"claim E01 of study bank needs the row regress / logit / M5 / other"):
        evidence.rows_of(selector(factor="other"), has(dict(estimate=1)))


NOT_THERE = dict(note="too few defaults.")


@pytest.mark.parametrize(
    "said",
    [
        dict(estimand="wald_test"),
        dict(specification="not_estimated", factor="", estimand=""),
        dict(specification="not_estimated", factor="", outcome="", estimand=""),
    ],
)
def test_an_analysis_that_the_loans_did_not_allow_is_undecided_for_its_reason(said):
    found = has(dict(said, **NOT_THERE), dict(specification="M7", estimate=-2, ci_low=-3, ci_high=-1))
    for rule, kind in (("interval", "causal"), ("trend", "causal"), ("value", "method"), ("present", "method")):
        line = evidence.decided(claim(rule, kind), [selector(threshold="1")], found, 0.95)
        assert (line["verdict"], line["reason"]) == ("not_testable", "too few defaults."), rule
    for expected in ("higher", "zero", "either"):
        line = evidence.decided(claim(), [selector(expected=expected)], found, 0.95)
        assert line["verdict"] == "not_testable"
    line = evidence.decided(claim("all_of"), [selector(specification="M7"), selector("also")], found, 0.95)
    assert (line["verdict"], line["reason"]) == ("not_testable", "too few defaults.")
    items = [selector(specification="M7"), selector("supporting")]
    frame = evidence.verdicts_table([claim()], items, {"bank": found}, set(), 0.95)
    assert frame["verdict"].tolist() == ["supported", "supported"]
    assert evidence.supporting_rows(items, {"bank": found}, frame) == {}


def test_a_mistyped_row_is_no_analysis_that_the_loans_did_not_allow():
    found = has(dict(NOT_THERE, estimand="wald_test"), dict(specification="M7", estimate=-2))
    for change in (dict(factor="treatd"), dict(specification="M8"), dict(estimator="logitt"), dict(outcome="other")):
        with pytest.raises(StudyError, match=r"correct data/claim_rows.csv: did you mean regress / logit / M"):
            evidence.rows_of(selector(**change), found)
    # A row with a number stands for itself alone.
    with pytest.raises(StudyError, match="needs the row"):
        evidence.rows_of(selector(specification="M7", estimand="odds_ratio"), found)


def test_the_design_cannot_be_stronger_than_the_study():
    known = params.load()
    names = known.synthesis.studies
    simulated = {"reference"}
    evidence.check(selector(study="sba"), names, simulated, known)
    with pytest.raises(StudyError, match="lots were not drawn in study sba"):
        evidence.check(selector(study="sba", design="randomised"), names, simulated, known)
    with pytest.raises(StudyError, match="cannot have the design descriptive"):
        evidence.check(selector(study="reference"), names, simulated, known)
    with pytest.raises(StudyError, match="names study bank"):
        evidence.check(selector(), names, simulated, known)


@pytest.fixture(scope="module")
def table():
    """The verdicts on the results as they are committed."""
    known = params.load()
    claims = load_claims()
    selectors = load_selectors(claims)
    found = {name: written.read(name) for name in known.synthesis.studies}
    limits = load_limits(claims, selectors)
    frame = evidence.verdicts_table(claims, selectors, found, {"reference"}, 0.95, limits)
    return claims, selectors, found, frame, known


@pytest.fixture(scope="module")
def rendered(table):
    claims, selectors, found, frame, known = table
    more = evidence.supporting_rows(selectors, found, frame)
    shown = {name: written.contents(name) for name in found}
    limits = load_limits(claims, selectors)
    return {
        path: text
        for language in LANGUAGES
        for path, text in pages.Book(language, claims, frame, more, found, known, shown, limits).pages().items()
        if path != pages.STYLE
    }


def test_every_claim_has_a_verdict_in_every_study_and_over_all(table):
    claims, _, found, frame, _ = table
    assert len(frame) == len(claims) * (len(found) + 1)
    assert not frame.duplicated(["claim", "study"]).any()
    decided = frame[frame["verdict"].isin(["supported", "contradicted", "inconclusive"])]
    assert decided[decided["study"] != "overall"]["strength"].notna().all()


def test_every_claim_has_a_verdict_or_a_reason_why_not(table):
    """109 claims of five documents: none is passed over, and what no data decide says which data would."""
    claims, _, _, frame, _ = table
    documents = {"A": 46 + 19, "B": 13, "C": 17, "D": 8, "E": 6}
    assert {name: sum(item.document == name for item in claims) for name in documents} == documents
    overall = frame[frame["study"] == "overall"].set_index("claim")
    assert set(overall.index) == {item.id for item in claims} and overall["reason"].str.len().gt(0).all()
    open_ones = {"not_testable", "simulated_only", "not_met"}
    silent = [c.id for c in claims if overall.loc[c.id, "verdict"] in open_ones and not (c.needs_en and c.needs_zh)]
    assert silent == []
    # A claim that a rule could decide, but that no row does, is as open as one without a rule.
    assert set(overall["verdict"]) <= set(pages.words_of("en")["verdicts"])


def test_what_is_simulated_is_nowhere_evidence_about_the_world(table):
    _, _, _, frame, _ = table
    world = frame[~frame["claim"].str.startswith("M")].pivot(index="claim", columns="study", values="verdict")
    alone = world[(world.drop(columns=["overall", "reference"]) == "not_testable").all(axis=1)]
    assert set(alone["overall"]) <= {"simulated_only", "not_testable"}


def test_a_study_that_cannot_answer_a_claim_says_why_and_one_that_answers_roughly_says_so(table, rendered):
    claims, selectors, _, frame, _ = table
    reasons = frame.set_index(["claim", "study"])["reason"]
    for limit in load_limits(claims, selectors):
        if limit.answer == "none":
            assert reasons[limit.claim, limit.study] == limit.reason_en
        for language in LANGUAGES:
            text = html.unescape(rendered[pages.path_of("claims", language)])
            block = text.split(f'id="{limit.claim}-{limit.study}"')[1].split("</section>")[0]
            assert getattr(limit, f"reason_{language}") in block


def keys(words, path=""):
    if isinstance(words, dict):
        for name, inner in words.items():
            yield from keys(inner, f"{path}.{name}")
    else:
        yield f"{path}[{len(words)}]" if isinstance(words, list) else path


def test_no_word_is_missing_in_either_language():
    english, chinese = (set(keys(pages.words_of(language))) for language in LANGUAGES)
    assert english == chinese


def test_the_words_ask_for_the_same_numbers_in_both_languages():
    def asked(words):
        if isinstance(words, dict):
            return {name: asked(inner) for name, inner in words.items()}
        if isinstance(words, list):
            return [asked(inner) for inner in words]
        return sorted(re.findall(r"\{\{ *(.*?) *\}\}|\{%-? *set (.*?) *-?%\}", words))

    english, chinese = (asked(pages.words_of(language)) for language in LANGUAGES)
    assert english == chinese


def test_no_number_is_typed_into_the_templates():
    code = r"\{% block script %\}.*|\{[{%#].*?[}%#]\}|<script>.*?</script>|<[^>]*>"
    for file in TEMPLATES.glob("*.html"):
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
    assert len(rendered) == len(LANGUAGES) * len(pages.PAGES)
    for path, text in rendered.items():
        reader = parsed(text)
        assert not reader.wrong and not reader.open, path
        assert len(reader.ids) == len(set(reader.ids)), path
        assert len(text.encode()) < 1_000_000
        assert not re.search(
            r"<(script|img|link|iframe)[^>]*(src|href)=\"(?!(\.\./)?[a-z_]+/[a-z_/]+\.(css|svg)\")", text
        ), path
        assert not re.search(r"\bnan\b|<NA>|\bNone\b(?! of)", text), path


def test_every_link_leads_somewhere(rendered):
    ids = {path: set(parsed(text).ids) for path, text in rendered.items()}
    written = {Path("reports/evidence/results/verdicts.csv"), pages.STYLE, *rendered}
    written |= {paper.path_of("en", "pdf"), paper.path_of("en", "md"), paper.path_of("zh", "md")}
    written |= {Path(f"reports/notebooks/{name}.html") for name in notebooks.NAMES}
    for path, text in rendered.items():
        for link in parsed(text).links:
            if link.startswith("https://"):
                continue
            file, _, anchor = link.partition("#")
            target = Path(*path.parent.parts, *Path(file).parts) if file else path
            target = Path(posixpath.normpath(target.as_posix()))
            assert target in written or target.exists(), f"{path}: {link}"
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


def test_an_association_is_never_called_an_effect(table, rendered):
    claims, _, _, frame, _ = table
    text = rendered[pages.path_of("claims", "en")]
    weak = frame[(frame["verdict"] == "supported") & frame["strength"].isin(["matched_observational", "descriptive"])]
    kinds = {item.id: item.kind for item in claims}
    causal = [row for row in weak.itertuples() if kinds[row.claim] in pages.OF_EFFECTS]
    assert causal
    for row in causal:
        block = text.split(f'id="{row.claim}-{row.study}"')[1].split("</section>")[0]
        assert "supported as an association, not as an effect" in block


def test_text_of_the_ledger_cannot_break_the_page(table):
    claims, selectors, found, frame, known = table
    evil = [item.model_copy(update={"claim_en": "<script>alert(1)</script> & more"}) for item in claims]
    more = evidence.supporting_rows(selectors, found, frame)
    text = pages.Book("en", evil, frame, more, found, known).page("index")
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text


@pytest.mark.parametrize(
    ("value", "printed"), [(1234.5, 0), (35002.0, 0), (12.34, 1), (1.234, 2), (0.12, 2), (0.012, 3), (math.nan, 3)]
)
def test_numbers_keep_about_three_digits(value, printed):
    assert pages._decimals(value) == printed


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_have_enough_contrast():
    """WCAG 2.1, level AA: text at least 4.5 to 1, in light and in dark."""
    blocks = re.findall(r":root \{(.*?)\}", (TEMPLATES / "style.css").read_text(), flags=re.S)
    assert len(blocks) == 2
    for block in blocks:
        colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        pairs = [(name, "back") for name in ("text", "quiet", "link")]
        pairs += [(name, "soft") for name in ("text", "quiet", "link")]
        pairs += [(f"{name}-text", name) for name in ("yes", "no", "open", "part", "made")]
        pairs += [("text", "yes"), ("text", "no")]
        for front, back in pairs:
            high, low = sorted((luminance(colour[front]), luminance(colour[back])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (front, back)
