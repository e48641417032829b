"""A made-up study is added by one folder and one line, and its stages run."""

import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline.core import results
from pipeline.runtime import places
from pipeline.runtime.code import Code

ROOT = Path(__file__).parents[2]

STUDY = textwrap.dedent('''
    """Loans of a made-up village bank."""

    import pandas as pd
    import pandera.pandas as pa

    from pipeline.core.schema import check_cohort, cohort_schema
    from pipeline.studies.preparation import Preparation, SampleFlow


    def files(source, vintages):
        """Every file."""
        return list(source.files)


    def read(source, paths):
        """One table."""
        return pd.read_csv(paths[0], dtype={"loan_id": str})


    def load(folder, engine):
        """The raw table by name."""
        return {"village": pd.read_parquet(folder / "village.parquet")}


    def prepare(tables, study, checks):
        """Loans of the village."""
        raw = tables["village"]
        date = pd.to_datetime(raw["date"]).astype("datetime64[ms]")
        loans = pd.DataFrame(
            {
                "loan_id": raw["loan_id"],
                "institution_type": pd.Categorical([study.institution_type] * len(raw)),
                "origination_date": date,
                "origination_month": pd.Categorical(date.dt.strftime("%Y-%m")),
                "origination_quarter": pd.Categorical(date.dt.to_period("Q").astype(str)),
                "credit_grade": pd.Categorical(raw["grade"]),
                "loan_type": pd.Categorical(["seed"] * len(raw)),
                "amount": raw["amount"].astype(float),
                "satisfaction": raw["satisfaction"].astype(float),
                "treated": (raw["satisfaction"] >= study.treatment.at_least).astype("int64"),
                "default": raw["default"],
            }
        )
        flow = SampleFlow(loans, loans["default"])
        return Preparation(check_cohort(loans, cohort_schema({}, study.factors, [])), flow.table(), raw.iloc[:0])
''')

CHOICES = textwrap.dedent("""
    # Do satisfied farmers default less?

    design: matched_observational
    institution_type: other
    sources:
    - village
    eligibility: {}
    horizon_months:
    landmark:
    release_lag_months: {}
    treatment:
      factor: satisfaction
      at_least: 6
    factors:
    - satisfaction
    matching:
      exact:
      - credit_grade
      score:
      - log(amount)
    controls:
      loan:
      - log(amount)
      borrower: []
      market: []
      time: []
    cluster: loan_id
    groups:
    - credit_grade
    doses: {}
    expected:
      ended:
      ended_defaults:
      cohort:
""")


def loans(number=400):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "loan_id": [f"V{place:04d}" for place in range(number)],
            "date": pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 900, number), unit="D"),
            "grade": rng.choice(["A", "B"], number),
            "amount": rng.integers(100, 900, number),
            "satisfaction": rng.integers(1, 11, number),
        }
    )
    return frame.assign(default=(rng.random(number) < 0.5 - 0.03 * frame["satisfaction"]).astype(int))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the code with the study's folder and its line, and a mirror that holds its file."""
    work = tmp_path_factory.mktemp("work")
    for name in ("pipeline", "notebooks/sources"):
        shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    listed = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (work / "params.yaml").write_text(listed.replace("    sba: {}\n", "    sba: {}\n    village: {}\n", 1))
    (work / "mirror" / "village").mkdir(parents=True)
    content = loans().to_csv(index=False).encode()
    (work / "mirror" / "village" / "loans.csv").write_bytes(content)
    own = (work / places.choices("village")).parent
    (own / "sources").mkdir(parents=True)
    (own / "params.yaml").write_text(CHOICES)
    (own / "study.py").write_text(STUDY)
    (own / "notebook.py").write_text("# %%\nstudy = 'village'\n")
    (own / "words.en.yaml").write_text("title: A village\n")
    record = YAML(typ="safe", pure=True).load(ROOT / "pipeline/sources/real_gdp.yaml")
    record |= {"folder": "village", "title": "Loans of a village"}
    checksum = hashlib.sha256(content).hexdigest()
    record["files"] = [
        record["files"][0] | {"name": "loans.csv", "sha256": checksum, "bytes": len(content), "rows": 400}
    ]
    with (own / "sources" / "village.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(record, file)
    return work


STAGES = """
import sys
from pipeline.__main__ import main
for stage in sys.argv[1:]:
    assert main([stage, "--study", "village"]) == 0, stage
"""


def run(folder, *stages):
    """Run stages of the program of the copy, not this one's; return what they say."""
    around = os.environ | {"CRM_DATA_MIRROR": str(folder / "mirror"), "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", STAGES, *stages], cwd=folder, env=around, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_stages_run(folder):
    assert "400 rows from 1 sources" in run(folder, "collect", "prepare", "match", "describe")
    rows = results.read(folder / places.results("village", "describe"))
    assert int(rows.one(estimator="count", factor="loans").estimate) == 400
    assert int(rows.one(estimator="count", factor="matched_treated").estimate) > 50


def test_its_code_and_words_are_written_down(folder):
    every = dict(Code(folder).every())
    for stage in ("collect", "prepare", "notebook"):
        assert (
            f"pipeline/studies/village/{'notebook' if stage == 'notebook' else 'study'}.py" in every[f"{stage}/village"]
        )
    assert "pipeline/studies/village/words.en.yaml" in every["report/village"] and "effects/village" not in every
    assert "pipeline/studies/village/sources/village.yaml" in every["collect/village"]
