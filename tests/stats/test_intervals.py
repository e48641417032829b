"""Intervals and p-values follow from estimate and error by the distribution that an estimator's docstring names."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.stats import difference_in_differences as did
from pipeline.stats import survival
from pipeline.stats.composition import by_composition, by_lot, drift
from pipeline.stats.instruments import two_stage
from pipeline.stats.mediation import interventional
from pipeline.stats.month_regression import hazard_logit, month_regression, separate_slopes
from pipeline.stats.robust_errors import clustered, heteroskedastic, jackknife, leave_one_out, partial_out
from pipeline.stats.synthesis import random_effects

LEVEL, LENDERS = 0.9, 7


@pytest.fixture(scope="module")
def loans():
    """Loans of seven lenders, five of which adopt."""
    rng = np.random.default_rng(12)
    number = 4_000
    lender, quarter = rng.integers(0, LENDERS, number), rng.integers(0, 8, number)
    adopted = ((lender > 1) & (quarter >= lender)).astype(float)
    score, drawn = rng.normal(size=number), rng.integers(0, 2, number).astype(float)
    rate = 1 / (1 + np.exp(1.2 - 0.5 * score - 0.1 * lender + 0.3 * adopted))
    return pd.DataFrame(
        {
            "lender": lender,
            "quarter": quarter,
            "adopted": adopted,
            "score": score,
            "drawn": np.where(adopted == 1, drawn, np.nan),
            "lot": drawn,
            "enrolled": adopted * (rng.random(number) < 0.2 + 0.5 * drawn),
            "default": (rng.random(number) < rate).astype(float),
            "middle": score + rng.normal(size=number),
            "months": np.minimum(rng.geometric(0.2, number), 9),
        }
    )


def table_of(loans):
    event = np.where(loans["lender"] > 1, loans["quarter"] - loans["lender"], np.nan)
    keys = [loans["lender"].rename("institution_id"), loans["quarter"].rename("origination_quarter")]
    cells = loans.assign(event=event).groupby(keys)
    table = cells.agg(
        loans=("default", "size"),
        events=("default", "sum"),
        adopted=("adopted", "first"),
        event_quarter=("event", "first"),
    )
    return table.reset_index()


def regression(loans):
    design = loans[["adopted", "score"]].assign(intercept=1.0)
    return partial_out(loans["default"], design, "adopted"), loans["lender"].to_numpy()


def composition(loans):
    one = by_composition(*(loans[name].to_numpy() for name in ("default", "adopted")), loans[["score"]], *places(loans))
    return [one.total, one.screening, one.behaviour]


def places(loans):
    return loans["lender"].to_numpy(), loans["quarter"].to_numpy(), LEVEL


def lottery(loans):
    names = ("default", "adopted", "drawn", "enrolled")
    one = by_lot(*(loans[name].to_numpy() for name in names), *places(loans))
    return [one.total, one.screening]


def calendar(loans):
    late = (loans["quarter"] > 3).to_numpy(dtype=float)
    return [drift(loans["default"].to_numpy(), late, loans[["score"]], loans["lender"].to_numpy(), LEVEL)]


def hazard(loans):
    design = loans[["adopted", "score"]]
    return [hazard_logit(loans["default"].to_numpy(), design, "adopted", loans["quarter"], loans["lender"], LEVEL)]


def lottery_as_instrument(loans):
    found = two_stage(
        loans["default"].to_numpy(),
        loans["enrolled"].to_numpy(),
        loans["lot"].to_numpy(),
        groups=loans["quarter"],
        controls=loans[["score"]],
        clusters=loans["lender"],
        level=LEVEL,
    )
    return [found.effect, found.first_stage, found.reduced_form]


def mediated(loans):
    between = loans[["lot"]]
    columns = (loans[name].to_numpy() for name in ("default", "adopted", "middle"))
    found = interventional(*columns, loans[["score"]], between, loans["lender"].to_numpy(), LEVEL)
    return [found.total, found.on_mediator, found.of_mediator, found.indirect]


def by_month(loans):
    fit = month_regression(loans["default"], loans[["adopted", "score"]], loans["quarter"].to_numpy())
    return list(fit.effects(loans["lender"].to_numpy(), LEVEL).values())


def one_by_one(loans):
    columns = loans[["adopted", "score"]], loans["default"], loans[["lot"]]
    signature = dict(zip(("columns", "outcome", "controls"), columns, strict=True))
    return list(separate_slopes(**signature, groups=loans["quarter"], clusters=loans["lender"], level=LEVEL).values())


def exits(loans):
    left = loans["default"].to_numpy().astype(int)
    table = survival.life_table(loans["months"].to_numpy(), left, 1, loans["lender"].to_numpy(), 9)
    return survival.jackknife(survival.cumulative_incidence(table)[:, 0], LEVEL)


def left_out(loans):
    fit, lender = regression(loans)
    return [jackknife(fit, leave_one_out(fit, lender), LEVEL)]


OF_CLUSTERS = {
    "composition": composition,
    "composition by lot": lottery,
    "drift": calendar,
    "hazard": hazard,
    "instrument": lottery_as_instrument,
    "mediation": mediated,
    "months": by_month,
    "slopes one by one": one_by_one,
    "exits": exits,
    "jackknife": left_out,
    "clustered": lambda loans: [clustered(*regression(loans), LEVEL, student=True)],
    "ratio of rates": lambda loans: [did.poisson(table_of(loans), LEVEL).effect],
    "imputed rates": lambda loans: [did.poisson_imputation(table_of(loans), LEVEL).effect],
    "difference of rates": lambda loans: [did.levels(table_of(loans), LEVEL).effect],
    "studies": lambda _: [
        random_effects(np.array([0.3, -0.1, 0.2, 0.5, 0.1, 0.0, 0.4]), np.full(7, 0.1), LEVEL).effect
    ],
}


@pytest.mark.parametrize("name", OF_CLUSTERS)
def test_of_seven_clusters_six_degrees_of_freedom_are_left(loans, name):
    assert holds(OF_CLUSTERS[name](loans), stats.t(LENDERS - 1))


def test_robust_errors_have_the_normal_distribution(loans):
    fit, lender = regression(loans)
    assert holds([heteroskedastic(fit, LEVEL), clustered(fit, lender, LEVEL)], stats.norm)


def holds(found, distribution):
    for one in found:
        half = distribution.ppf(0.5 + LEVEL / 2) * one.std_error
        assert one.std_error > 0
        assert (one.ci_low, one.ci_high) == pytest.approx((one.estimate - half, one.estimate + half), rel=1e-9)
        assert one.p_value == pytest.approx(2 * distribution.sf(abs(one.estimate) / one.std_error), rel=1e-7)
    return len(found) > 0
