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

    def recorded(design, default, train, judged):
        seen.append((design, train))
        assert not (train & judged).any()
        return rng.normal(size=int(judged.sum()))

    monkeypatch.setattr(effects, "out_of_time", recorded)
    protocol = SimpleNamespace(horizon_months=2, cluster="institution_id")
    list(effects._discrimination(cohort, ["relationship_length"], protocol, 0.95))
    design, train = seen[-1]
    assert 0 < train.sum() < n
    filled = cohort["satisfaction"].fillna(cohort.loc[train, "satisfaction"].mean())
    assert cohort["satisfaction"].mean() != pytest.approx(cohort.loc[train, "satisfaction"].mean(), abs=0.5)
    # The columns: hard information, records, and the two with gaps, each with its mark.
    assert design[:, -2] == pytest.approx(filled)
    assert design[:, -1].tolist() == gone.tolist()
