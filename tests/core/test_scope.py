import numpy as np
import pandas as pd
import pytest

from pipeline.core import params
from pipeline.core.scope import FEWEST, LeftOut, as_measured, reduced, scope
from tests.sample import PARAMS


def protocol(**changes):
    study = params.load(PARAMS).study("lendingclub")
    own = {"own": {}, "factors": ["satisfaction", "loyalty"], "treatment": None, "doses": {"satisfaction": [1, 5]}}
    matching = study.matching.model_copy(update={"exact": ["credit_grade"], "score": ["log(amount)", "age"]})
    controls = study.controls.model_copy(
        update={"loan": ["credit_grade", "log(amount)"], "borrower": ["age"], "market": ["inflation"], "time": []}
    )
    rest = {"matching": matching, "controls": controls, "cluster": "region", "groups": ["credit_grade", "region"]}
    return study.model_copy(update=own | rest | changes)


def cohort(number=400, **changes):
    draw = np.random.default_rng(1)
    made = pd.DataFrame(
        {
            "loan_id": [f"{row:04d}" for row in range(number)],
            "treated": draw.integers(0, 2, number),
            "default": np.arange(number) % 5 == 0,
            "satisfaction": draw.integers(1, 11, number).astype(float),
            "loyalty": draw.normal(size=number),
            "credit_grade": pd.Categorical(draw.choice(list("ABC"), number)),
            "region": pd.Categorical(draw.choice([f"r{place}" for place in range(30)], number)),
            "amount": draw.uniform(1, 9, number),
            "age": draw.uniform(20, 70, number),
            "inflation": draw.normal(size=number),
        }
    )
    return made.assign(**{"default": made["default"].astype(int)} | changes)


def test_nothing_is_left_out_of_what_a_cohort_holds():
    asked = protocol()
    found = scope(asked, cohort())
    assert found.left_out == [] and found.protocol is asked
    assert found.arms and found.matching and found.models
    assert found.factors == ["treated", "satisfaction", "loyalty"]


def test_columns_without_a_value_leave_the_protocol():
    nothing = {name: np.nan for name in ("credit_grade", "inflation", "region", "loyalty", "treated")}
    found = scope(protocol(), cohort(**nothing))
    assert not found.arms and not found.matching and found.models
    assert found.factors == ["satisfaction"]
    assert found.protocol.matching.exact == [] and found.protocol.controls.market == []
    assert found.protocol.cluster == "loan_id" and found.protocol.groups == []
    assert {item.name for item in found.left_out if item.reason == "absent"} == set(nothing) - {"treated"}


@pytest.mark.parametrize("few", [0, FEWEST - 1, FEWEST])
def test_an_arm_needs_some_loans(few):
    found = scope(protocol(), cohort(treated=(np.arange(400) < few).astype(int)))
    assert found.arms == (few >= FEWEST)
    assert found.arms or LeftOut("few_in_arm", count=few) in found.left_out


@pytest.mark.parametrize("few", [FEWEST - 1, 400 - FEWEST + 1])
def test_too_few_defaults_or_too_few_others_leave_nothing_to_compare(few):
    found = scope(protocol(), cohort(default=(np.arange(400) < few).astype(int)))
    assert not found.models and not found.arms
    assert LeftOut("few_defaults", count=FEWEST - 1) in found.left_out


def test_what_does_not_vary_has_no_logarithm_or_has_gaps_is_named():
    made = cohort(loyalty=1.0, amount=np.r_[0.0, np.ones(399) * 2])
    made.loc[3, "age"] = np.nan
    found = scope(protocol(), made)
    assert found.factors == ["treated", "satisfaction"]
    filled = ["age_filled", "age_not_stated"]
    assert found.protocol.matching.score == ["amount", *filled]
    assert found.protocol.controls.loan == ["credit_grade", "amount"] and found.protocol.controls.borrower == filled
    assert as_measured(found.protocol).controls.borrower == ["age"]
    assert as_measured(found.protocol, complete=True).controls.borrower == []
    assert [item.reason for item in found.left_out if item.reason != "levels"] == ["constant", "no_logarithm", "gaps"]


def test_a_factor_measured_for_few_defaults_and_controls_without_end():
    made = cohort()
    made.loc[20:, "satisfaction"] = np.nan
    many = made.assign(credit_grade=pd.Categorical(made["loan_id"].str[-2:]))
    found = scope(protocol(), many)
    assert found.factors == ["treated", "loyalty"]
    # A hundred levels and eighty defaults: the ladder ends before the loan's block, and later rungs hold it too.
    assert not found.protocol.controls.ladder()


def test_few_clusters_count_as_none_for_a_reader_only():
    made = cohort(region=pd.Categorical(np.arange(400) % 3))
    assert scope(protocol(), made).protocol.cluster == "loan_id"
    assert scope(protocol(own=None), made).protocol.cluster == "region"


def test_the_same_protocol_follows_from_what_was_left_out():
    made = cohort(credit_grade=np.nan, loyalty=1.0)
    found = scope(protocol(), made)
    assert reduced(protocol(), found.left_out) == found
