from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.recovery import rows as recovery
from pipeline.analyses.recovery import verdicts
from pipeline.analyses.recovery.expected import EXPECTED
from pipeline.core import params
from pipeline.core.shared import Parallel
from pipeline.runtime import parallel, places
from pipeline.runtime.errors import StudyError
from pipeline.stages import recovery as stage
from pipeline.stats import estimators, estimators_instrumented
from pipeline.studies.reference.generator import simulate
from pipeline.studies.reference.settings import Settings
from pipeline.studies.reference.study import from_frames, prepare
from tests.core.test_parallel import cluster

PARAMS = Path(__file__).parents[3] / "params.yaml"
SCALE = 0.05


def chosen(workers, **changes):
    """Parameters with a small recovery section."""
    everything = params.load(PARAMS)
    protocol = everything.study("reference")
    small = {"replications": 2, "scale": SCALE, "scenarios": ["base", "null"]} | changes
    study = protocol.model_copy(update={"recovery": protocol.recovery.model_copy(update=small)})
    parallel = everything.parallel.model_copy(update={"workers": workers})
    return everything.model_copy(update={"parallel": parallel, "studies": {**everything.studies, "reference": study}})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The bytes that one and two workers write."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for workers in (1, 2):
            patch.chdir(tmp_path_factory.mktemp("recovery"))
            stage.run("reference", chosen(workers))
            found.append(places.results("reference", "recovery").read_bytes())
    return found


@pytest.mark.long
def test_the_number_of_workers_plays_no_part(written):
    assert written[0] == written[1]
    assert b"verdict_recovers" in written[0]


def world(number):
    return pd.DataFrame(recovery.one_world("reference", chosen(1), "null", number))


@pytest.fixture(scope="module")
def first():
    """One replication of one scenario: rows of estimates and truth."""
    return world(0)


@pytest.fixture(scope="module")
def worlds(first):
    return [first, world(1)]


@pytest.mark.long
def test_replications_differ_and_do_not_depend_on_the_other_scenarios(worlds, written):
    first, second = (world.set_index(["estimator", "outcome"])["estimate"] for world in worlds)
    assert (first.dropna() != second.reindex(first.index)[first.notna()]).mean() > 0.5
    mean = (first + second)[("linear_probability", "default")] / 2
    row = [line for line in written[0].decode().splitlines() if ",linear_probability,null,,default,estimate," in line]
    assert float(row[0].split(",")[7]) == pytest.approx(mean, rel=1e-6)


@pytest.mark.long
def test_a_cluster_computes_the_same_worlds(worlds, tmp_path, monkeypatch):
    # A machine that runs many tests at once is slow to start processes.
    monkeypatch.setattr(parallel, "PATIENCE", 120)
    choices = chosen(1, scenarios=["null"])
    with cluster(tmp_path, workers=1) as (address, _):
        settings = Parallel(backend="dask", address=address, workers=1)
        found = recovery.replicate("reference", choices.model_copy(update={"parallel": settings}))
    pd.testing.assert_frame_equal(found, pd.concat(worlds, ignore_index=True), check_exact=True)


def test_the_truth_of_the_null_world_is_zero_for_the_programme_alone(first):
    truth = first.set_index(["estimator", "outcome"])["truth"]
    for one in EXPECTED:
        value = truth.get((one.estimator, one.outcome))
        if one.truth in ("of_satisfaction", "of_contacts"):
            assert value is None or value < 0
        elif value is not None:
            assert value == 0


@pytest.mark.long
def test_a_point_of_answers_is_what_the_branch_instrument_moves():
    """The truth at which the instruments aim is the one in the unit in which satisfaction is measured.

    A branch's audit is 75 + 8 V + 3 e and satisfaction rises by .6 V, so by .6 x 8 / (64 + 9) a point of the audit.
    What default changes per point of satisfaction, times that, over what the audit moves the answers by, is what two
    samples estimate.
    """
    everything = chosen(1)
    protocol = everything.study("reference")
    settings = Settings(scale=0.3, horizon_months=protocol.horizon_months)
    tables = simulate(settings, 5, recovery.TABLES, dirt=False)
    cohort = prepare(from_frames(tables), protocol, everything.checks).cohort
    landmark = protocol.landmark.months
    true = recovery.answers_after_landmark(settings, 5, cohort, landmark)

    happier = replace(settings, satisfaction_level=tuple(level + 1 for level in settings.satisfaction_level))
    rates = []
    for world in (settings, happier):
        months = simulate(world, 5, ("repayments",), dirt=False)["repayments"]
        month, state = months["month_number"], months["state"]
        still_open = months.loc[(month == landmark) & state.isin(["current", "delinquent"]), "loan_id"]
        ended = months.loc[(state == "default") & (month <= landmark + settings.horizon_months), "loan_id"]
        rates.append(100 * still_open.isin(ended).mean())
    per_point = rates[1] - rates[0]
    rows = pd.DataFrame(estimators_instrumented.satisfaction_instrument(cohort, 0.95, estimators.OURS))
    of_answers = rows.loc[rows["estimand"] == "first_stage", "estimate"].item()
    by_audit = per_point * (0.6 * 8 / (8**2 + 3**2)) / of_answers
    assert true == pytest.approx(by_audit, rel=0.1)
    # Per point of satisfaction itself it is less, by what the scale's end and the choice to answer take away.
    assert per_point < 0 and 0.75 < per_point / true < 0.9


def invented(estimates, std_error, truth, expected, scenario):
    """Rows of one method whose estimates are given."""
    return pd.DataFrame(
        {
            "estimator": expected.estimator,
            "outcome": expected.outcome,
            "scenario": scenario,
            "number": range(len(estimates)),
            "estimate": estimates,
            "std_error": std_error,
            "ci_low": estimates - 1.96 * std_error,
            "ci_high": estimates + 1.96 * std_error,
            "p_value": 0.5,
            "truth": truth,
            "unit": "",
        }
    )


def method(verdict):
    return next(one for one in EXPECTED if one.verdict == verdict)


def judged(verdict, base, null, truth=-1.0, std_error=1.0):
    one = method(verdict)
    found = pd.concat([invented(base, std_error, truth, one, "base"), invented(null, std_error, 0.0, one, "null")])
    return verdicts.judge(found)[0].as_expected


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(1).normal(size=(2, 400))


@pytest.mark.parametrize(
    ("verdict", "base", "null", "good"),
    [
        ("recovers", -1, 0, True),
        ("recovers", -2.5, 0, False),
        ("recovers", -1, 1, False),
        ("must_fail", -1, 0, False),
        ("must_fail", -1.5, 0, True),
        ("must_fail", -1, 0.5, True),
        ("fails", -1, 0, False),
        ("fails", 0, 0, True),
        ("right_sign", -0.5, 0, True),
        ("right_sign", 0, 0, False),
        ("overstated", -2, 0, True),
        ("overstated", -1, 0, False),
        ("must_pass", 0, 0, True),
        ("must_pass", 0, 2, False),
    ],
)
def test_verdicts(noise, verdict, base, null, good):
    assert judged(verdict, base + noise[0], null + noise[1]) == good


def test_intervals_that_are_too_narrow_do_not_recover(noise):
    for std_error, good in ((1.0, True), (0.5, False)):
        assert judged("recovers", noise[0] - 1, noise[1], std_error=std_error) == good


def test_performance_by_hand():
    one = EXPECTED[0]
    rows = invented(np.array([1.0, 2.0, 3.0, 6.0]), 1.0, 2.0, one, "base")
    found = verdicts.measure(rows)
    assert found.bias == pytest.approx((1.0, np.std([-1, 0, 1, 4], ddof=1) / 2))
    assert found.rmse[0] == pytest.approx(np.sqrt(18 / 4))
    assert found.coverage == pytest.approx((0.75, np.sqrt(0.75 * 0.25 / 4)))
    assert found.rejection == pytest.approx((0.75, np.sqrt(0.75 * 0.25 / 4)))


def test_a_broken_verdict_stops_the_study(monkeypatch, tmp_path, noise):
    monkeypatch.chdir(tmp_path)
    one = method("recovers")
    found = pd.concat([invented(noise[0], 1.0, -3.0, one, "base"), invented(noise[1], 1.0, 0.0, one, "null")])
    monkeypatch.setattr(stage, "replicate", lambda study, chosen: found)
    with pytest.raises(StudyError, match=f"{one.estimator} on {one.outcome}: expected 'recovers', coverage 0"):
        stage.run("reference", chosen(1, replications=400))
    assert places.results("reference", "recovery").exists()
    assert "not met" in stage.run("reference", chosen(1, replications=2))


def test_a_study_without_the_section_says_so():
    with pytest.raises(StudyError, match="no section recovery"):
        stage.run("lendingclub", chosen(1))
