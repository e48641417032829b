import cProfile
import pstats
import time

import numpy as np
import pandas as pd
import pytest

from benchmarks import analyses
from pipeline.__main__ import stages
from pipeline.stats import estimators_rows


def test_every_analysis_is_a_stage():
    assert set(analyses.STAGES) <= set(stages())


def test_a_step_is_what_stages_call_and_not_what_that_calls():
    loans = pd.DataFrame({"month": np.arange(50.0)})
    watch = cProfile.Profile(time.perf_counter)
    watch.runcall(estimators_rows.plain, loans, ["month"])
    found = analyses.steps(pstats.Stats(watch))
    assert found["design.design_matrix"] > 0
    assert found["design.term_values"] == found["design.independent"] == 0


def test_a_stage_that_fails_stops_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(analyses.Path.cwd()))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(analyses.subprocess.CalledProcessError):
        analyses.measured("correlate", "reference")


def test_the_page_says_whether_the_target_is_met():
    one = analyses.Measured(10.0, 9.0, 0.5)
    shares = {"regress": {"design.design_matrix": 0.25, "the rest": 0.75}}
    quick = analyses.page("reference", [(40.0, dict.fromkeys(analyses.STAGES, one))], shares)
    assert "| all | 40.0 | 40.0 | 40.0 | 81.0 | 0.50 |" in quick
    assert "under 60 s. Met." in quick
    assert "| design.design_matrix | 25% |" in quick
    assert "Not met." in analyses.page("reference", [(61.0, dict.fromkeys(analyses.STAGES, one))], shares)
