"""Figures of the page of the method."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from pipeline.core.results import Results
from pipeline.present.figures import CONTROL, QUIET, TREATED, WIDTH
from pipeline.present.numerals import fixed
from pipeline.present.words import Words, upper_first


def distributions(results: Results, words: Words, factor: str) -> Figure:
    """Cumulative distribution of a covariate in the two arms, before and after matching.

    Takes rows of estimator ``ecdf``: specification ``before_treated`` and so on, outcome the value, estimate the share.
    """
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 2.6), layout="constrained", sharey=True, sharex=True)
    for axes, sample in zip(panels, ("before", "after"), strict=True):
        for arm, colour in (("treated", TREATED), ("control", CONTROL)):
            rows = results.where(estimator="ecdf", specification=f"{sample}_{arm}", factor=factor)
            value = rows["outcome"].astype(float).to_numpy()
            order = np.argsort(value)
            share = rows["estimate"].to_numpy()[order]
            axes.step(value[order], share, where="post", color=colour, linewidth=1.4, label=words.label("arms", arm))
        axes.set_title(upper_first(words.label("samples", sample)), loc="left")
        axes.set_xlabel(words.label("columns", factor))
    panels[0].set_ylabel(words.text("columns.cumulative"))
    panels[0].set_ylim(0, 1)
    panels[0].legend(loc="lower right")
    return figure


def quantiles(results: Results, words: Words, factor: str) -> Figure:
    """Quantiles of a covariate, treated loans against controls, before and after matching; alike arms lie on the line.

    Takes rows of estimator ``quantile``: specification ``before`` or ``after``, outcome the share, estimand the arm.
    """
    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 3.2), layout="constrained", sharey=True, sharex=True)
    for axes, sample in zip(panels, ("before", "after"), strict=True):
        rows = results.where(estimator="quantile", specification=sample, factor=factor)
        wide = rows.pivot(index="outcome", columns="estimand", values="estimate")
        axes.axline((wide["control"].iloc[0],) * 2, slope=1, color=QUIET, linewidth=1, linestyle="--")
        axes.plot(wide["control"], wide["treated"], "o", color=TREATED, markersize=3)
        axes.set_title(upper_first(words.label("samples", sample)), loc="left")
        axes.set_xlabel(words.pair(words.label("columns", factor), words.label("arms", "control")))
    panels[0].set_ylabel(words.pair(words.label("columns", factor), words.label("arms", "treated")))
    return figure


def hidden_bias(results: Results, words: Words, significance: float) -> Figure:
    """Rosenbaum's bounds of the p-value by the strength of a hidden bias, with the threshold of significance.

    Takes rows of estimator ``rosenbaum_bounds``: outcome the gamma, estimand ``fewer`` or ``more``.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")
    for estimand, colour, line in (("fewer", TREATED, "-"), ("more", CONTROL, "--")):
        rows = results.where(estimator="rosenbaum_bounds", estimand=estimand)
        gamma = rows["outcome"].astype(float).to_numpy()
        order = np.argsort(gamma)
        label = words.label("bounds", estimand)
        axes.plot(gamma[order], rows["estimate"].to_numpy()[order], line, color=colour, linewidth=1.6, label=label)
    axes.axhline(significance, color="black", linestyle=":", linewidth=1.1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(words.text("columns.gamma"))
    axes.set_ylabel(words.text("columns.p_bound"))
    axes.legend(loc="center right")
    return figure


def confounding(results: Results, words: Words, factor: str) -> Figure:
    """Draw which risk ratios of a confounder with treatment and outcome would explain the effect away.

    Takes rows of estimator ``e_value``: estimands ``risk_ratio`` (with its interval), ``estimate`` and ``interval``.
    The curve of each is the bounding factor of VanderWeele & Ding (2017), met at the E-value where both are equal.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
    ratio = results.one(estimator="e_value", factor=factor, estimand="risk_ratio")
    ends = {"estimate": ratio.estimate, "interval": ratio.ci_low if ratio.estimate > 1 else ratio.ci_high}
    reach = 1.5 * results.one(estimator="e_value", factor=factor, estimand="estimate").estimate
    for (name, value), colour in zip(ends.items(), (TREATED, CONTROL), strict=True):
        found = results.one(estimator="e_value", factor=factor, estimand=name).estimate
        if found <= 1:
            continue
        bias = max(value, 1 / value)
        # Both ratios b and c with b c / (b + c - 1) equal to the bias.
        one = np.linspace(bias * 1.001, reach, 300)
        other = bias * (one - 1) / (one - bias)
        shown = other <= reach
        axes.plot(one[shown], other[shown], color=colour, linewidth=1.5, label=words.label("e_values", name))
        axes.plot(found, found, "o", color=colour, markersize=5)
        axes.annotate(fixed(found, 2), (found, found), xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.set_xlim(1, reach)
    axes.set_ylim(1, reach)
    axes.set_xlabel(words.text("columns.confounder_treatment"))
    axes.set_ylabel(words.text("columns.confounder_outcome"))
    if axes.lines:
        axes.legend(loc="upper right")
    return figure


def selection(results: Results, words: Words, factor: str) -> Figure:
    """Oster's delta by the R-squared that the unmeasured would reach; at one they matter as much as the measured.

    Takes rows of estimator ``oster``: outcome the R-squared, estimand ``delta``.
    """
    rows = results.where(estimator="oster", factor=factor, estimand="delta")
    place = rows["outcome"].astype(float).to_numpy()
    order = np.argsort(place)
    figure, axes = plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")
    axes.plot(place[order], rows["estimate"].to_numpy()[order], color=TREATED, linewidth=1.6)
    for line in (-1, 1):
        axes.axhline(line, color="black", linestyle=":", linewidth=1.1)
    axes.set_xlabel(words.text("columns.r_max"))
    axes.set_ylabel(words.text("columns.delta"))
    return figure
