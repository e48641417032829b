"""The page of DVC's data plots holds all that it needs, and each template finds rows."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = {"headline.csv": 1, "results/describe.csv": 1, "results/curve.csv": 1, "results/predict.csv": 2}
"""Tables of a study that are drawn, and into how many panels."""


def test_data_plots_have_axes_titles_and_rows_and_need_no_network(tmp_path):
    drawn = [sys.executable, "-m", "dvc", "plots", "show", "--out", str(tmp_path)]
    files = [f"reports/sba/{name}" for name in FILES]
    subprocess.run([*drawn, *files], cwd=ROOT, capture_output=True, check=True)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "function vegaEmbed" in page and not re.search(r"<script[^>]+src", page)
    specs = [json.loads(text) for text in re.findall(r"var spec = (\{.*\});", page)]
    assert len(specs) == len(FILES) and all(spec["title"].endswith(", sba") for spec in specs)
    panels = [panel for spec in specs for panel in spec.get("hconcat", [spec])]
    assert len(panels) == sum(FILES.values())
    for panel in panels:
        axes = [layer["encoding"].get(axis, {}).get("title") for layer in panel["layer"] for axis in ("x", "y")]
        assert len({axis for axis in axes if axis and not axis.startswith("<")}) == 2, panel["title"]
    # What the templates pick out of the tables is there.
    wanted = {value for panel in panels for value in re.findall(r"== '(\w+)'", json.dumps(panel.get("transform", [])))}
    held = {value for spec in specs for row in spec["data"]["values"] for value in row.values()}
    assert wanted and wanted <= held
