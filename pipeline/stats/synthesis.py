"""Random-effects synthesis of one effect over several studies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.runtime.errors import StudyError
from pipeline.stats.inference import Effect, effect


class Synthesis(NamedTuple):
    """What several studies say together, and how far they differ beyond chance."""

    effect: Effect
    """Mean effect over studies like these, on the scale of the inputs."""
    studies: int
    between: float
    """Standard deviation of the true effects between studies (tau), on the scale of the inputs."""
    heterogeneity: float
    """Share of the observed variation that is not chance (I squared, Higgins & Thompson 2002), from 0 to 1."""
    p_heterogeneity: float
    """p-value of Cochran's Q: how often chance alone would scatter the studies as much."""
    prediction: tuple[float, float]
    """Where the true effect of one more study like these is expected; nan with two studies."""
    weights: np.ndarray
    """Share of each study in the mean, (studies,)."""


def random_effects(estimates: np.ndarray, std_errors: np.ndarray, level: float) -> Synthesis:
    """Pool one estimate a study (studies,) with its standard error (studies,).

    The variance between studies is Paule and Mandel's (1982). The interval is that of Hartung and Knapp (2001) with
    t(studies - 1), and never narrower than the classical one would be for its standard error: with two or three
    studies it is wide, as it should be. The prediction interval is that of Higgins, Thompson and Spiegelhalter (2009,
    equation 12), with t(studies - 2). Raises StudyError below two studies.
    """
    from scipy.stats import chi2, t
    from statsmodels.stats.meta_analysis import combine_effects

    number = len(estimates)
    if number < 2:
        raise StudyError(f"a synthesis needs at least two studies, and there is {number}.")
    found = combine_effects(np.asarray(estimates), np.asarray(std_errors) ** 2, method_re="iterated")
    std_error = max(found.sd_eff_w_re, found.sd_eff_w_re_hksj)
    weights = 1 / (np.asarray(std_errors) ** 2 + max(found.tau2, 0.0))
    reach = t.ppf(0.5 + level / 2, number - 2) * np.hypot(np.sqrt(max(found.tau2, 0.0)), std_error)
    return Synthesis(
        effect(found.mean_effect_re, std_error, level, number - 1),
        number,
        float(np.sqrt(max(found.tau2, 0.0))),
        1 - (number - 1) / float(found.q) if found.q > number - 1 else 0.0,
        float(chi2.sf(found.q, number - 1)),
        (found.mean_effect_re - reach, found.mean_effect_re + reach),
        weights / weights.sum(),
    )
