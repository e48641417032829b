import numpy as np
import pandas as pd
import pytest

from pipeline.runtime.errors import StudyError
from pipeline.stats import difference_in_differences as did
from pipeline.stats.composition import by_composition, by_lot, composition_weights, drift

LENDERS, MONTHS = 24, 24


def world(seed, screening, programme, loans=60_000, hidden=0.0):
    """Adoption cuts off bad clients (who is granted) and enrols drawn ones (how they behave)."""
    rng = np.random.default_rng(seed)
    lender = rng.integers(0, LENDERS, loans)
    month = rng.integers(0, MONTHS, loans)
    adopts = np.where(np.arange(LENDERS) % 3 == 0, MONTHS + 1, 6 + np.arange(LENDERS) // 2)[lender]
    adopted = month >= adopts
    score = rng.normal(size=loans)
    seen = rng.normal(size=loans)
    # After adoption some of the worst applicants are refused.
    refused = adopted & (rng.random(loans) < screening * ((score < 0) * (1 - hidden) + (seen < 0) * hidden))
    drawn = np.where(adopted, rng.integers(0, 2, loans), np.nan)
    enrolled = adopted & (rng.random(loans) < np.where(drawn == 1, 0.7, 0.2))
    rate = 0.08 * np.exp(-0.4 * score - 0.4 * seen + 0.03 * lender / LENDERS + programme * enrolled)
    frame = pd.DataFrame(
        {
            "lender": lender,
            "month": month,
            "adopted": adopted.astype(float),
            "drawn": drawn,
            "enrolled": enrolled.astype(float),
            "score": score,
            "default": (rng.random(loans) < rate).astype(float),
            "rate": rate / np.exp(programme * enrolled),
        }
    )
    return frame[~refused].reset_index(drop=True)


def arguments(loans):
    return (loans[name].to_numpy() for name in ("lender", "month"))


def test_the_total_is_the_poisson_difference_in_differences():
    loans = world(1, 0.5, -0.3, 6000)
    lender, month = arguments(loans)
    found = by_composition(
        loans["default"].to_numpy(), loans["adopted"].to_numpy(), loans[["score"]], lender, month, 0.95
    )
    cells = loans.groupby(["lender", "month"])["default"].agg(["size", "sum"]).reset_index()
    table = pd.DataFrame(
        {
            "institution_id": cells["lender"],
            "origination_quarter": cells["month"],
            "loans": cells["size"],
            "events": cells["sum"],
            "adopted": loans.groupby(["lender", "month"])["adopted"].first().to_numpy(),
        }
    )
    assert found.total.estimate == pytest.approx(did.poisson(table, 0.95).effect.estimate, rel=1e-5)
    assert found.screening.estimate + found.behaviour.estimate == pytest.approx(found.total.estimate)
    assert found.share.estimate == pytest.approx(found.screening.estimate / found.total.estimate)


def test_weights_bring_back_the_composition_before():
    loans = world(2, 0.6, 0.0)
    weights, _ = composition_weights(loans["adopted"].to_numpy(), loans[["score"]], loans["lender"].to_numpy())
    for lender in range(1, LENDERS, 5):
        own = loans[loans["lender"] == lender]
        late = own["adopted"] == 1
        if late.any():
            before = own.loc[~late, "score"].mean()
            after = np.average(own.loc[late, "score"], weights=weights[own.index[late]])
            assert own.loc[late, "score"].mean() > before + 0.15
            assert after == pytest.approx(before, abs=0.12)
    never = loans["lender"] % 3 == 0
    assert (weights[never] == 1).all()


@pytest.mark.parametrize(("screening", "programme", "share"), [(0.5, 0.0, 1.0), (0.0, -0.5, 0.0)])
def test_each_part_alone_is_found(screening, programme, share):
    loans = world(3, screening, programme)
    lender, month = arguments(loans)
    outcome, adopted = loans["default"].to_numpy(), loans["adopted"].to_numpy()
    composition = by_composition(outcome, adopted, loans[["score"]], lender, month, 0.95)
    lot = by_lot(outcome, adopted, loans["drawn"].to_numpy(), loans["enrolled"].to_numpy(), lender, month, 0.95)
    for found in (composition, lot):
        assert found.share.ci_low < share < found.share.ci_high
        assert found.total.ci_high < 0
    assert composition.share.std_error < 0.25


def test_what_lenders_see_and_files_do_not_is_taken_for_behaviour_but_not_by_lot():
    loans = world(4, 0.7, 0.0, hidden=1.0)
    lender, month = arguments(loans)
    outcome, adopted = loans["default"].to_numpy(), loans["adopted"].to_numpy()
    composition = by_composition(outcome, adopted, loans[["score"]], lender, month, 0.95)
    lot = by_lot(outcome, adopted, loans["drawn"].to_numpy(), loans["enrolled"].to_numpy(), lender, month, 0.95)
    assert composition.share.ci_high < 0.5
    assert lot.share.ci_low < 1 < lot.share.ci_high


def test_drift_of_the_calendar_is_seen():
    loans = world(6, 0.0, 0.0, 20_000)
    late = (loans["month"] >= MONTHS // 2).to_numpy(dtype=float)
    outcome, lender = loans["default"].to_numpy(), loans["lender"].to_numpy()
    still = drift(outcome, late, loans[["score"]], lender, 0.95)
    assert still.ci_low < 0 < still.ci_high
    refused = (late == 1) & (loans["score"] < 0).to_numpy() & (np.random.default_rng(1).random(len(loans)) < 0.5)
    kept = loans[~refused]
    moved = drift(kept["default"].to_numpy(), late[~refused], kept[["score"]], kept["lender"].to_numpy(), 0.95)
    assert moved.ci_high < 0
    # Of the better half all are granted, of the worse one half.
    mean = loans["rate"].groupby(loans["score"] < 0).mean()
    assert moved.estimate == pytest.approx(np.log((mean[False] + mean[True] / 2) / 1.5 / mean.mean()), abs=0.04)


def test_without_adoption_there_is_nothing_to_split():
    loans = world(5, 0.0, 0.0, 2000)
    lender, month = arguments(loans)
    with pytest.raises(StudyError):
        by_composition(
            loans["default"].to_numpy(), 0 * loans["adopted"].to_numpy(), loans[["score"]], lender, month, 0.95
        )
