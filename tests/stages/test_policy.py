"""The stage policy reads the truth to judge, and for nothing else; and says so where nothing can be learned."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from pipeline.analyses.policy.page import _top
from pipeline.analyses.policy.rows import Clients, _nothing_hidden
from pipeline.core import results
from pipeline.core.params import load
from pipeline.present.words import Words
from pipeline.runtime import places, store
from pipeline.stages import policy
from pipeline.stats.policy import Learned
from tests.sample import PARAMS, completed

LOANS = 4000


def cohort(seed=1, **changes):
    rng = np.random.default_rng(seed)
    risk = np.clip(rng.normal(0.1, 0.04, LOANS), 0.01, 0.5)
    treated = rng.integers(0, 2, LOANS)
    columns = {
        "loan_id": [str(31_000_000_000 + place) for place in range(LOANS)],
        "institution_id": rng.integers(0, 30, LOANS).astype(str),
        "adopted": 1,
        "amount": rng.uniform(1000, 50_000, LOANS),
        "credit_score": -risk * 1000 + rng.normal(0, 10, LOANS),
        "treated": treated,
        "default": (rng.random(LOANS) < risk * np.where(treated, 0.6, 1.0)).astype(int),
    }
    frame = pd.DataFrame(columns | changes)
    truth = pd.DataFrame(
        {
            "loan_id": frame["loan_id"].astype(float),
            "risk_if_not_enrolled": risk,
            "risk_if_enrolled": 0.6 * risk,
            "risk_contact_only": np.where(treated == 1, 0.9 * risk, np.nan),
        }
    )
    return frame, truth


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = load(PARAMS)

    def run(frame, truth):
        store.write_parquet(places.processed("reference") / "cohort.parquet", completed(frame, "reference"))
        store.write_parquet(places.truth("reference") / "potential_outcomes.parquet", truth)
        policy.run("reference", params)
        return results.read(places.results("reference", "policy"))

    return run


def test_estimates_do_not_change_when_the_truth_does(rows):
    frame, truth = cohort()
    one = rows(frame, truth)
    other = rows(frame, truth.assign(risk_if_enrolled=2 * truth["risk_if_not_enrolled"]))
    pd.testing.assert_frame_equal(one.where(factor="estimated"), other.where(factor="estimated"))
    shares = {"estimator": "rule", "estimand": "share_treated"}
    mine, theirs = (found.where(**shares).set_index("specification")["estimate"] for found in (one, other))
    assert (mine.drop("true_benefit") == theirs.drop("true_benefit")).all()
    assert theirs["true_benefit"] == 0
    assert one.where(factor="in_truth")["estimate"].tolist() != other.where(factor="in_truth")["estimate"].tolist()


def test_the_true_benefit_is_best_in_truth_and_the_order_of_rows_is_no_matter(rows):
    frame, truth = cohort()
    found = rows(frame, truth)
    values = found.where(estimator="rule", estimand="net_value", factor="in_truth").set_index("specification")[
        "estimate"
    ]
    assert values.idxmax() == "true_benefit"
    all_of_it = found.one(estimator="rule", specification="all", estimand="defaults_avoided", factor="in_truth")
    expected = 100 * 0.4 * truth["risk_if_not_enrolled"].mean()
    assert all_of_it.estimate == pytest.approx(expected, rel=1e-6)
    shuffled = rows(frame.sample(frac=1, random_state=3), truth.sample(frac=1, random_state=4))
    pd.testing.assert_frame_equal(found.frame, shuffled.frame)


def test_every_order_that_a_rule_takes_is_drawn_and_the_title_names_the_best(rows):
    found, budget = rows(*cohort()), load(PARAMS).policy.budget
    of = {"estimand": "net_value"}
    for order in ("by_benefit", "by_risk", "by_loss"):
        drawn = found.one(estimator="curve", specification=order, factor=f"in_truth[{budget:g}]", **of)
        rule = f"predicted_{order.removeprefix('by_')}_budget"
        assert drawn.estimate == found.one(estimator="rule", specification=rule, factor="in_truth", **of).estimate
    curves = found.where(estimator="curve", **of)
    true = curves[curves["factor"].str.startswith("in_truth[") & (curves["specification"] != "by_true_benefit")]
    top = _top(found, Words("en", "reference", "reference"))
    assert top["gain"] == true["estimate"].max()


@pytest.mark.parametrize("changes", [{"default": 0}, {"treated": 1}, {"adopted": 0}])
def test_what_cannot_be_learned_is_a_row_with_a_note(rows, changes):
    found = rows(*cohort(**changes))
    assert found.frame["estimator"].tolist() == ["not_estimated"]
    assert found.frame["note"].iloc[0]


def test_a_truth_that_does_not_know_the_loans_is_a_row_with_a_note(rows):
    frame, truth = cohort()
    assert "does not know" in rows(frame, truth.iloc[1:]).frame["note"].iloc[0]


def test_that_nothing_is_hidden_has_to_be_shown(rows):
    frame, truth = cohort()
    found = rows(frame, truth)
    tiers = found.where(estimator="tier", factor="estimated_less_true", estimand="defaults_avoided")
    check = found.one(estimator="assumption", specification="policy_nothing_hidden")
    assert (tiers["estimate"] * tiers["n"]).sum() / check.n == pytest.approx(check.estimate, rel=1e-6)
    tested = tiers[tiers["p_value"].notna()]
    assert tested["p_adjusted"].to_numpy() == pytest.approx(multipletests(tested["p_value"], method="holm")[1])
    # Nothing is hidden here and nothing is found to be; of so few loans that shows little.
    assert check.ci_low < 0 < check.ci_high and check.note.startswith("failed")
    assert check.note.endswith(f"threshold {10 * frame['default'].mean():g}")


@pytest.mark.parametrize(
    ("hidden", "spread", "said"), [(0.0, 0.01, "passed"), (0.02, 0.01, "failed"), (0.0, 1.0, "failed")]
)
def test_a_tier_that_is_off_or_not_known_well_enough_fails(hidden, spread, said):
    rng = np.random.default_rng(2)
    untreated = np.repeat([0.01, 0.03, 0.2], 1000)
    low = untreated == 0.01
    noise = rng.normal(0, spread, 3000)
    loans = pd.DataFrame({"treated": rng.integers(0, 2, 3000), "default": np.arange(3000) % 10 == 0})
    learned = Learned(*[np.zeros(3000)] * len(Learned._fields))._replace(untreated=untreated)
    avoided = {"estimated": noise + hidden * low, "in_truth": np.zeros(3000)}
    nothing = np.zeros(3000)
    clients = Clients(
        loans, np.arange(3000) % 50, nothing, learned, avoided, avoided, avoided, nothing, None, 0.0, 0.95
    )
    *_, check = _nothing_hidden(clients, load(PARAMS), {})
    assert check["note"] == f"{said}; threshold 1"
