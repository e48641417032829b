"""What all figures are drawn with: fonts, colours, bytes that do not change."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from pipeline.core.results import Results
from pipeline.present.words import WIDE, Words
from pipeline.runtime import store

WIDTH = 5.4
"""Width of every figure in inches: narrow enough that its letters can be read on a telephone."""

TREATED, CONTROL, OTHER, QUIET = "#0072B2", "#D55E00", "#009E73", "#595959"
"""Blue, vermilion and green of Okabe & Ito's palette, which colour-blind readers can tell apart, and a grey."""

WIDE_FONTS = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Micro Hei",
    "SimHei",
    "Noto Serif CJK SC",
    "Noto Sans CJK JP",
    "Noto Serif CJK JP",
    "Arial Unicode MS",
)
"""Fonts with Chinese characters, as systems bring them, the preferred ones first."""

NO_FONT = (
    "no font here has Chinese characters, so the PDF shows none: install one (Debian's package fonts-noto-cjk) and run "
    "again; the HTML page and the figures are whole"
)

OWN_FONT = "DejaVu Sans"
"""The font that comes with matplotlib."""

SQUARE = "\N{EM DASH}"
"""As wide as the letters are high, as every Chinese character is."""

STYLE = {
    "svg.hashsalt": "crm",
    "svg.fonttype": "path",
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.dpi": 100,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
}


def draw(figure: Callable[..., Figure], path: Path, *inputs: object) -> None:
    """Draw a figure and write it as SVG whose bytes depend on nothing but the figure.

    Letters become outlines of the font that comes with matplotlib. It has no Chinese characters: a figure with some
    keeps all its letters as text, for the reader's browser to draw with a font of its own, and the room that they take
    is computed, so that the bytes do not depend on the fonts of this machine either.
    """
    with sns.axes_style("whitegrid"), plt.rc_context(STYLE), _letters(_wide(inputs)):
        drawn = figure(*inputs)
        # Left to savefig, laying out draws the whole figure once more.
        layout = drawn.get_layout_engine()
        if layout is not None:
            layout.execute(drawn)
            drawn.set_layout_engine(None)
        written = _svg(drawn)
        plt.close(drawn)
    store.write_text(path, written)


def dress() -> None:
    """Let the notebook's kernel that this runs in show figures as SVG, as `draw` writes them."""
    from IPython import get_ipython
    from matplotlib_inline.backend_inline import configure_inline_support

    backend, shell = "module://matplotlib_inline.backend_inline", get_ipython()
    plt.switch_backend(backend)
    configure_inline_support(shell, backend)
    formatters = shell.display_formatter.formatters
    formatters["image/png"].pop(Figure, None)
    formatters["image/svg+xml"].for_type(Figure, shown)


def shown(figure: Figure) -> str:
    """Return a figure of a notebook as SVG."""
    wide = any(WIDE.search(text.get_text()) for text in figure.findobj(Text))
    hashed = {name: STYLE[name] for name in ("svg.hashsalt", "svg.fonttype")}
    with plt.rc_context(hashed | {"font.sans-serif": [OWN_FONT]}), _letters(wide):
        return _svg(figure)


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", dpi=figure.dpi, metadata={"Date": None, "Creator": None})
    families = ", ".join(f"'{name}'" for name in (*WIDE_FONTS, OWN_FONT))
    return named_by_text(written.getvalue()).replace(f"'{OWN_FONT}'", f"{families}, sans-serif")


@contextlib.contextmanager
def _letters(wide: bool) -> Iterator[None]:
    """Write letters as outlines, or all of them as text where some are Chinese."""
    style = {"font.family": [OWN_FONT]} | ({"svg.fonttype": "none"} if wide else {})
    with plt.rc_context(style), _measured(wide):
        yield


def named_by_text(svg: str) -> str:
    """Name each clip path and marker by a hash of its text as it is written.

    Matplotlib hashes the coordinates before it rounds them, and their last bits differ between processors.
    """
    found = re.findall(r'<clipPath id="(p\w+)">(.*?)</clipPath>|<path id="(m\w+)" (.*?)/>', svg, flags=re.DOTALL)
    names = {}
    for clip, inside, marker, drawn in found:
        kind, text = ("p", inside) if clip else ("m", drawn)
        names[clip or marker] = kind + hashlib.sha256(text.encode()).hexdigest()[:10]
    if not names:
        return svg
    return re.sub(rf"\b(?:{'|'.join(names)})\b", lambda name: names[name[0]], svg)


@contextlib.contextmanager
def _measured(wide: bool) -> Iterator[None]:
    """Measure each text once a figure, which layout asks for again and again.

    Where a figure is `wide`, it is measured by the font that comes with matplotlib, a Chinese character as the square
    that it fills.
    """
    measured, laid_out = RendererSVG.get_text_width_height_descent, Text._get_layout
    known: dict[tuple[Any, ...], Any] = {}

    def measure(renderer: RendererSVG, text: str, font: FontProperties, ismath: Any) -> tuple[float, float, float]:
        return measured(renderer, WIDE.sub(SQUARE, text), font, ismath)

    def lay_out(text: Text, renderer: RendererSVG) -> Any:
        look = (text.get_text(), text.get_rotation(), text.get_ha(), text.get_va(), text.get_rotation_mode())
        how = (*look, text._multialignment, text._linespacing, text.get_wrap(), hash(text.get_fontproperties()))
        key = (*how, text.get_figure(root=True).dpi)
        if key not in known:
            known[key] = laid_out(text, renderer)
        return known[key]

    if wide:
        RendererSVG.get_text_width_height_descent = measure
    Text._get_layout = lay_out
    try:
        yield
    finally:
        RendererSVG.get_text_width_height_descent, Text._get_layout = measured, laid_out


def wide_fonts() -> list[str]:
    """Return the fonts of this machine that have Chinese characters, the preferred ones first."""
    from matplotlib import font_manager

    known = set(font_manager.get_font_names())
    return [name for name in WIDE_FONTS if name in known]


def missing_font(page: str) -> str:
    """Return what to add to a stage's message where a page has Chinese characters and no font here has them."""
    return f" ({NO_FONT})" if WIDE.search(page) and not wide_fonts() else ""


def _wide(inputs: tuple[object, ...]) -> bool:
    """Say whether a figure has Chinese characters: its words, or values of columns that came with the data."""
    values = (value for one in inputs if isinstance(one, Results) for value in one.frame["factor"].unique())
    return any(one.wide() for one in inputs if isinstance(one, Words)) or any(map(WIDE.search, values))


def keys(figure: Figure, axes: plt.Axes) -> None:
    """Put the legend above the panels, where no data are."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=2 if len(labels) > 2 else len(labels))
