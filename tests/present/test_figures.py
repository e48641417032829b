"""What every figure owes its reader: the same bytes on every machine."""

import re

from matplotlib.figure import Figure

from pipeline.present import figures


def _drawn(tmp_path, name, nudge):
    def figure():
        drawn = Figure(figsize=(3, 2))
        axes = drawn.subplots()
        # A last bit, as processors differ in it: far below what is written.
        axes.set_position([0.1 * (1 + nudge), 0.1, 0.8, 0.8])
        axes.plot([0, 1], [0, 1], marker="o", markersize=5 * (1 + nudge))
        return drawn

    figures.draw(figure, tmp_path / f"{name}.svg")
    return (tmp_path / f"{name}.svg").read_text(encoding="utf-8")


def test_a_last_bit_of_a_coordinate_changes_no_byte(tmp_path):
    one, other = _drawn(tmp_path, "one", 0.0), _drawn(tmp_path, "other", 4e-16)
    assert one == other


def test_names_of_clip_paths_and_markers_still_lead_somewhere(tmp_path):
    svg = _drawn(tmp_path, "one", 0.0)
    defined = set(re.findall(r'id="([pm][0-9a-f]{10})"', svg))
    used = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'xlink:href="#([pm][0-9a-f]{10})"', svg))
    assert used and used <= defined


def test_without_the_names_the_last_bit_shows(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "named_by_text", lambda svg: svg)
    assert _drawn(tmp_path, "one", 0.0) != _drawn(tmp_path, "other", 4e-16)
