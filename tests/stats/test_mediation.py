import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect
from pipeline.stats.mediation import interventional, product


def world(seed, loans=20_000, hidden=0.0):
    """Treatment 0.6 on the mediator, mediator -0.5 on the outcome; arrears between move both and are moved.

    A hidden cause moves mediator and outcome with a correlation of their errors of `hidden`.
    """
    rng = np.random.default_rng(seed)
    lender = rng.integers(0, 25, loans)
    size = rng.normal(size=loans)
    treated = (rng.random(loans) < 1 / (1 + np.exp(-0.5 * size - 0.2 * (lender - 12) / 6))).astype(float)
    arrears = (rng.random(loans) < 0.3 - 0.15 * treated).astype(float)
    e = rng.multivariate_normal([0, 0], [[1, hidden], [hidden, 1]], loans)
    mediator = 0.6 * treated - 1.0 * arrears + 0.3 * size + lender / 10 + e[:, 0]
    outcome = -0.2 * treated - 0.5 * mediator + 2.0 * arrears - 0.4 * size + lender / 20 + e[:, 1]
    return outcome, treated, mediator, pd.DataFrame({"size": size}), pd.DataFrame({"arrears": arrears}), lender


def test_the_indirect_effect_of_a_linear_model_is_found():
    # Treatment moves the mediator by 0.6 and, through arrears, by 0.15 more.
    found = interventional(*world(1), 0.95)
    assert found.on_mediator.estimate == pytest.approx(0.75, abs=4 * found.on_mediator.std_error)
    assert found.of_mediator.estimate == pytest.approx(-0.5, abs=4 * found.of_mediator.std_error)
    assert found.indirect.estimate == pytest.approx(-0.375, abs=4 * found.indirect.std_error)
    assert found.total.estimate == pytest.approx(-0.2 - 0.375 - 0.3, abs=4 * found.total.std_error)
    # Leaving arrears out takes their effect for the mediator's.
    assert found.plain_indirect.estimate < -0.375 - 10 * found.plain_indirect.std_error


def test_slopes_are_those_of_least_squares():
    outcome, treated, mediator, before, between, lender = world(2, 800)
    dummies = pd.get_dummies(lender, dtype=float).to_numpy()
    found = interventional(outcome, treated, mediator, before, between, lender, 0.95)
    first = sm.OLS(mediator, np.column_stack([treated, before, dummies])).fit()
    second = sm.OLS(outcome, np.column_stack([mediator, treated, before, between, dummies])).fit()
    plain = sm.OLS(outcome, np.column_stack([mediator, treated, before, dummies])).fit()
    assert found.on_mediator.estimate == pytest.approx(first.params[0])
    assert found.of_mediator.estimate == pytest.approx(second.params[0])
    assert found.indirect.estimate == pytest.approx(first.params[0] * second.params[0])
    assert found.plain_indirect.estimate == pytest.approx(first.params[0] * plain.params[0])


@pytest.mark.parametrize("hidden", [-0.3, 0.2])
def test_the_curve_is_right_at_the_true_correlation(hidden):
    found = interventional(*world(3, hidden=hidden), 0.95, (0.0, hidden))
    assert found.curve[0.0] == pytest.approx(found.indirect)
    at_truth = found.curve[hidden]
    assert at_truth.estimate == pytest.approx(-0.375, abs=4 * at_truth.std_error)
    assert abs(found.indirect.estimate + 0.375) > 10 * found.indirect.std_error


def test_the_curve_crosses_nought_where_it_says():
    arguments = world(4, 2000)
    rho = interventional(*arguments, 0.95).explained_away
    assert -1 < rho < 0
    assert interventional(*arguments, 0.95, (rho,)).curve[rho].estimate == pytest.approx(0, abs=1e-12)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    holds = 0
    for seed in range(60):
        found = interventional(*world(seed, 1500), 0.95)
        holds += found.indirect.ci_low < -0.375 < found.indirect.ci_high
    assert holds >= 52


def test_a_mediator_that_does_not_vary_is_a_sentence():
    outcome, treated, mediator, before, between, lender = world(5, 300)
    with pytest.raises(StudyError, match="mediator does not vary"):
        interventional(outcome, treated, lender, before, between, lender, 0.95)
    with pytest.raises(StudyError, match="three clusters"):
        interventional(outcome, treated, mediator, before, between, lender % 2, 0.95)


def test_the_product_of_two_effects():
    found = product(Effect(2.0, 0.1, 0, 0, 0), Effect(-3.0, 0.5, 0, 0, 0), 0.95)
    assert found.estimate == -6
    assert found.std_error == pytest.approx(np.hypot(1.0, 0.3))


def test_the_jackknife_leaves_out_each_lender():
    arguments = world(4, 900)
    found = interventional(*arguments, 0.95)
    lender = arguments[-1]
    names = ("total", "on_mediator", "of_mediator", "indirect", "plain_indirect")
    without = np.array(
        [
            [getattr(interventional(*(one[stays] for one in arguments), 0.95), name).estimate for name in names]
            for stays in (lender != one for one in range(25))
        ]
    )
    for name, column in zip(names, without.T, strict=True):
        one = getattr(found, name)
        assert one.std_error == pytest.approx(np.sqrt(24 / 25 * ((column - one.estimate) ** 2).sum()))
