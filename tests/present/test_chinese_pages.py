"""The reports in Chinese say what the English ones say, with the same numbers, figures and tables."""

import functools
import io
import re
from pathlib import Path

import pytest

from pipeline.core import params, results
from pipeline.pages.report import Report
from pipeline.present import figures, sample_figures
from pipeline.present.page import labels_of, scope_of
from pipeline.present.trail import Trail
from pipeline.present.words import WIDE, Words
from pipeline.sources.records import load_source

ROOT = Path(__file__).parents[2]
PARAMS = params.load(ROOT / "params.yaml")
FULLEST = ("reference", "karlan_zinman")
"""The simulated and the public study whose pages say most; the nightly run looks at the others."""
STUDIES = [
    pytest.param(name, marks=() if name in FULLEST else pytest.mark.long)
    for name, study in PARAMS.studies.items()
    if study.own is None
]


@functools.cache
def page(study, language):
    protocol = PARAMS.study(study)
    rows = results.read(*sorted((ROOT / "reports" / study / "results").glob("*.csv")))
    words = Words(language, study, protocol.module, labels_of(rows))
    trail = Trail(study, ROOT)
    sources = [load_source(name) for name in protocol.sources]
    pictures = {"en": "figures", "zh": "figures_zh"}[language]
    return Report(rows, PARAMS, study, words, trail, sources, "markdown", pictures).render()


def parts(text):
    """Headings, figures, tables and list items, which both languages have alike."""
    return [len(re.findall(mark, text, flags=re.M)) for mark in (r"^## ", r"^!\[", r"^\|[:-]", r"^- ", r"^\|")]


@pytest.mark.parametrize("study", STUDIES)
def test_a_page_has_the_same_numbers_in_both_languages(study):
    english, chinese = page(study, "en"), page(study, "zh")
    assert parts(english) == parts(chinese)
    # References are the same; source records say years in English only.
    bodies = [re.split(r"\n#{2,3} ", text)[:-1] for text in (english, chinese)]
    for one, other in zip(*bodies, strict=True):
        numbers = [sorted(re.findall(r"\d+(?:,\d{3})*\.\d+|\d+,\d{3}", text)) for text in (one, other)]
        assert numbers[0] == numbers[1], other[:40]
    assert "(figures_zh/" in chinese and "(figures/" not in chinese


@pytest.mark.parametrize("study", STUDIES)
def test_no_english_and_no_space_is_left_in_chinese_sentences(study):
    body = page(study, "zh").split("## 参考文献")[0]
    body = re.sub(r"`[^`]*`|\]\([^)]*\)|<sub>.*?</sub>", "", body)
    prose = [line.lstrip("#- ") for line in body.splitlines() if not line.startswith(("|", "!"))]
    for line in prose:
        assert not re.search(rf" {WIDE.pattern}|{WIDE.pattern} ", line), line
        assert not re.search(r"[a-z]{3,} [a-z]{3,}", line), line
    assert len(prose) > 40


def test_figures_in_chinese_have_the_same_bytes_whatever_fonts_there_are(tmp_path, monkeypatch):
    from matplotlib import font_manager

    rows = results.read(*sorted((ROOT / "reports" / "berka" / "results").glob("*.csv")))
    words = Words("zh", "berka")
    allowed = scope_of(rows, PARAMS.study("berka"))
    drawn = []
    only = [font for font in font_manager.fontManager.ttflist if font.name.startswith("DejaVu")]
    for name, fonts in (("some", font_manager.fontManager.ttflist), ("none", only)):
        monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
        font_manager.fontManager._findfont_cached.cache_clear()
        figures.draw(sample_figures.rates, tmp_path / f"{name}.svg", rows, words, allowed.protocol.groups)
        drawn.append((tmp_path / f"{name}.svg").read_text(encoding="utf-8"))
    assert drawn[0] == drawn[1]
    assert ">自建等级</text>" in drawn[0] and "Noto Sans CJK SC" in drawn[0] and "sans-serif" in drawn[0]


def test_a_chinese_character_takes_the_room_of_a_square():
    """So labels neither run into the axes nor leave a gap, whatever font draws them in the end."""
    import matplotlib.pyplot as plt

    with plt.rc_context(figures.STYLE), figures._measured(wide=True):
        figure, axes = plt.subplots()
        renderer = figures.RendererSVG(100, 100, io.StringIO())
        labels = ("沟通", "沟通频率与效果等")
        widths = [axes.text(0, 0, label, fontsize=10).get_window_extent(renderer).width for label in labels]
        plt.close(figure)
    # The renderer has 72 dots to the inch, one to the point.
    assert widths == pytest.approx([20, 80], abs=1.5)


def test_english_figures_hold_no_text_elements(tmp_path):
    rows = results.read(*sorted((ROOT / "reports" / "berka" / "results").glob("*.csv")))
    figures.draw(sample_figures.flow, tmp_path / "flow.svg", rows, Words("en", "berka"))
    assert "<text" not in (tmp_path / "flow.svg").read_text(encoding="utf-8")
