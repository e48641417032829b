"""The reference study's own score: what fills its gaps."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.studies.reference import effects

RECORDS = ("treated", "information_sharing", "relationship_length", "early_warning", "communication_frequency")


def test_later_loans_have_no_say_in_what_fills_a_gap(monkeypatch):
    rng = np.random.default_rng(1)
    n = 600
    cohort = pd.DataFrame({name: rng.integers(0, 3, n).astype(float) for name in (*RECORDS, "satisfaction")})
    cohort["origination_month"] = np.sort(rng.choice([f"2004-{month:02d}" for month in range(1, 11)], n))
    cohort["open_at_landmark"] = 1
    cohort["institution_id"] = rng.integers(0, 20, n)
    cohort[effects.AFTER] = rng.integers(0, 2, n)
    # Answers rise with the months, so that the mean of all is not that of the first.
    cohort["satisfaction"] += cohort["origination_month"].str[-2:].astype(float)
    gone = rng.random(n) < 0.3
    cohort.loc[gone, "satisfaction"] = np.nan
    seen = []

    def recorded(taught, default, judged, tolerance):
        seen.append((taught, judged))
        assert len(taught) == len(default) and len(taught) + len(judged) <= n
        return rng.normal(size=len(judged))

    monkeypatch.setattr(effects, "predicted_log_odds", recorded)
    protocol = SimpleNamespace(horizon_months=2, cluster="institution_id")
    list(effects._discrimination(cohort, ["relationship_length"], protocol, 0.95))
    taught, judged = seen[-1]
    # Loans stand in the order of their months: those that teach come first.
    first, last = slice(None, len(taught)), slice(n - len(judged), None)
    assert 0 < len(taught) < n - len(judged)
    mean = cohort["satisfaction"][first].mean()
    filled = cohort["satisfaction"].fillna(mean).to_numpy()
    assert cohort["satisfaction"].mean() != pytest.approx(mean, abs=0.5)
    # The columns: hard information, records, and the two with gaps, each with its mark.
    for design, rows in ((taught, first), (judged, last)):
        assert design[:, -2] == pytest.approx(filled[rows])
        assert design[:, -1].tolist() == gone[rows].tolist()
