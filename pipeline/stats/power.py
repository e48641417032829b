"""How large an effect must be for a study of this size to find it."""

from __future__ import annotations

import numpy as np


def minimum_detectable(std_error: float, level: float, power: float) -> float:
    """Return the smallest true effect that a two-sided test finds with probability `power`.

    `std_error` is that of the estimate and the result has its scale; the test rejects at 1 - `level`. It is the sum of
    two normal quantiles times the error, 2.8 errors for 80% at 95% (Bloom 1995, Evaluation Review 19).
    """
    from scipy.special import ndtri

    return float((ndtri(0.5 + level / 2) + ndtri(power)) * std_error)


def detectable_rates(rate: float, controls: int, treated: int, level: float, power: float) -> tuple[float, float]:
    """Return the rates of the treated, below and above `rate`, from which two arms are told apart.

    `rate` is the controls' event rate (a fraction), `controls` and `treated` the sizes of the arms. Normal
    approximation with the pooled variance under no difference and the arms' own under the alternative (Fleiss, Levin
    & Paik, Statistical Methods for Rates and Proportions, section 4.2). Where not even a rate of nought (or one) is far
    enough, the number is missing.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    accept, reach = ndtri(0.5 + level / 2), ndtri(power)

    def short_of(other: float) -> float:
        pooled = (controls * rate + treated * other) / (controls + treated)
        under_null = np.sqrt(pooled * (1 - pooled) * (1 / controls + 1 / treated))
        under_other = np.sqrt(rate * (1 - rate) / controls + other * (1 - other) / treated)
        return accept * under_null + reach * under_other - abs(other - rate)

    def edge(end: float) -> float:
        if short_of(end) > 0:
            return float("nan")
        return float(brentq(short_of, rate, end, xtol=1e-12))

    return edge(0.0), edge(1.0)


def loans_needed(rate: float, other: float, level: float, power: float) -> float:
    """Return the loans in each of two equal arms that tell two rates of default (fractions) apart.

    Normal approximation for two independent proportions, two-sided (statsmodels' sample size for proportions; Fleiss,
    Levin & Paik, section 4.2). The inverse of `detectable_rates` for equal arms.
    """
    from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

    return float(samplesize_proportions_2indep_onetail(other - rate, rate, power, alpha=1 - level))


def loans_for_equivalence(rate: float, margin: float, level: float, power: float) -> float:
    """Return the loans in each of two equal arms whose interval lies within a margin when the arms do not differ.

    `rate` is the default rate of both arms and `margin` the largest difference that does not matter (fractions);
    `power` is the probability that the whole two-sided interval at `level` lies within it. Normal approximation (Chow,
    Shao & Wang, Sample Size Calculations in Clinical Research, section 4.2): both ends share what power leaves.
    """
    from scipy.special import ndtri

    reach = ndtri(0.5 + level / 2) + ndtri(0.5 + power / 2)
    return float(2 * rate * (1 - rate) * (reach / margin) ** 2)


def design_effect(size: float, correlation: float) -> float:
    """Return by how much more loans a design needs that randomises groups of `size` loans.

    `correlation` is that of outcomes within a group (Kish 1965: 1 + (size - 1) x correlation).
    """
    return 1 + (size - 1) * correlation
