"""The regressions that are read first, as the field's libraries fit them.

Each function takes the arguments of ours of the same name and gives the same numbers to 1e-8 (tests/stats/
test_libraries.py). Ours stay where a regression runs thousands of times or a library lacks it. Processor seconds on
87,795 loans and 64 lenders, ours against the library's: least squares .04 / .42, lenders taken out .21 / 1.28, logit
.40 / 7.8 with its margins. A library also takes two to three seconds to load, once a process.

Estimates and standard errors are the library's, and so is the correction for few clusters, where it has the one of
`inference.correction`. Intervals and p-values are `inference.effect`'s.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pipeline.runtime.errors import StudyError
from pipeline.stats import absorbed, difference_in_differences, instruments
from pipeline.stats.absorbed import Absorbed
from pipeline.stats.design import no_collinear
from pipeline.stats.difference_in_differences import Estimated
from pipeline.stats.inference import Effect, cluster_codes, codes, correction, effect
from pipeline.stats.instruments import Instrumented
from pipeline.stats.matched_effects import weighted_logit as own_weighted_logit
from pipeline.stats.products import decomposed
from pipeline.stats.regression import LogitEffects, logit_effects, of_population, place_of, told_exactly


def linear_probability(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> Effect:
    """Return what `regression.linear_probability` does, from statsmodels (OLS)."""
    return clustered_ways(outcome, design, factor, {"": clusters}, level, weights)[""]


def clustered_ways(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    ways: Mapping[str, pd.Series],
    level: float,
    weights: pd.Series | None = None,
) -> dict[str, Effect]:
    """Return the effect of `linear_probability` with its error clustered in each of several `ways`, from one fit.

    Controls are taken out first (Frisch, Waugh and Lovell): statsmodels would decompose the whole design into singular
    values, which took a third of the stage that fits most of these. The error is its sandwich, times
    `inference.correction`, which counts what was taken out.
    """
    from statsmodels.regression.linear_model import OLS

    place, rows = place_of(design, factor), len(design)
    # A weighted regression is one on columns that are multiplied by the weights' roots.
    controls = np.delete(design.to_numpy(dtype=float), place, axis=1)
    both = np.column_stack([outcome, design[factor]]).astype(float)
    if weights is not None:
        root = np.sqrt(weights.to_numpy(dtype=float))[:, None]
        controls, both = controls * root, both * root
    basis, scale = decomposed(controls)[0], np.abs(both[:, 0]).max()
    # A second pass takes out what rounding left.
    for _ in range(2):
        both -= basis @ (basis.T @ both)
    fit = OLS(both[:, 0], both[:, 1]).fit()
    told_exactly(factor, scale, fit.resid)
    found = {}
    for name, labels in ways.items():
        clusters = cluster_codes(labels)
        counted = np.sqrt(correction(int(clusters.max()) + 1, rows, design.shape[1]))
        clustered = fit.get_robustcov_results("cluster", groups=clusters, use_correction=False)
        found[name] = effect(clustered.params[0], counted * clustered.bse[0], level)
    return found


def logit(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> LogitEffects:
    """Return what `regression.logit` does, fitted by statsmodels (Logit)."""
    return logit_ways(outcome, design, factor, {"": clusters}, level, weights)[""]


def logit_ways(
    outcome: pd.Series,
    design: pd.DataFrame,
    factor: str,
    ways: Mapping[str, pd.Series],
    level: float,
    weights: pd.Series | None = None,
) -> dict[str, LogitEffects]:
    """Return the effects of `logit` with their errors clustered in each of several `ways`, from one search.

    The marginal effect is computed from its slopes and covariance: `get_margeff` makes the effects of all columns,
    which takes many times the fit, and knows no samples by outcome.
    """
    from statsmodels.discrete.discrete_model import Logit
    from statsmodels.tools.sm_exceptions import PerfectSeparationError, PerfectSeparationWarning

    x, y, place = design.to_numpy(dtype=float), outcome.to_numpy(dtype=float), place_of(design, factor)
    # From the share of defaults, not from a half, some steps nearer to the maximum.
    share, what = y.mean(), f"the logistic regression on {factor}"
    start = np.where(design.columns == "intercept", np.log(share / (1 - share)), 0.0) if 0 < share < 1 else None
    found = {}
    with warnings.catch_warnings():
        # On the way to no maximum the likelihood overflows; the sentence below says what happened.
        warnings.simplefilter("ignore", category=PerfectSeparationWarning)
        warnings.simplefilter("ignore", category=RuntimeWarning)
        for name, clusters in ways.items():
            how = {"cov_type": "cluster", "cov_kwds": {"groups": cluster_codes(clusters), "use_correction": True}}
            try:
                # Designs have full rank: that need not be found out again.
                model = Logit(y, x, check_rank=False)
                fit = model.fit(start, method="newton", maxiter=50, disp=False, warn_convergence=False, **how)
            except (PerfectSeparationError, np.linalg.LinAlgError) as error:
                no_collinear(design.drop(columns="intercept", errors="ignore"), what)
                raise StudyError(f"{what} has no maximum: something separates default perfectly.") from error
            if not fit.mle_retvals["converged"]:
                no_collinear(design.drop(columns="intercept", errors="ignore"), what)
                raise StudyError(f"{what} does not converge: something may separate default perfectly.")
            # At the maximum the next way takes no search.
            start, population = fit.params, of_population(y, weights)
            # Of the two names that are unpacked, one is an array and one a number, or there is none.
            found[name] = logit_effects(x, place, fit.params, fit.cov_params(), level, **population)  # type: ignore[arg-type]
    return found


def weighted_logit(
    outcome: pd.Series, design: pd.DataFrame, factor: str, clusters: pd.Series, level: float, weights: pd.Series
) -> LogitEffects:
    """Return what `matched_effects.weighted_logit` does, fitted by statsmodels (GLM with weights of the variance)."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    x, y, w = design.to_numpy(dtype=float), outcome.to_numpy(dtype=float), weights.to_numpy(dtype=float)
    # Ours comes first: it says where there is no maximum, which iterated least squares do not notice.
    own_weighted_logit(outcome, design, factor, clusters, level, weights)
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": cluster_codes(clusters), "use_correction": True}}
    fit = GLM(y, x, family=Binomial(), var_weights=w).fit(maxiter=100, tol=1e-12, tol_criterion="params", **clustered)
    return logit_effects(x, place_of(design, factor), fit.params, fit.cov_params(), level, w)


def absorbed_linear(
    outcome: pd.Series,
    design: pd.DataFrame,
    factors: Sequence[str],
    absorb: pd.Series | pd.DataFrame,
    clusters: pd.Series,
    level: float,
    weights: pd.Series | None = None,
) -> Absorbed:
    """Return what `absorbed.absorbed_linear` does, from linearmodels (AbsorbingLS).

    The sandwich is taken without linearmodels' factor, which leaves out effects that lie inside clusters, and is
    multiplied by `inference.correction`, which counts every effect.
    """
    from linearmodels.iv.absorbing import AbsorbingLS

    groupings, kept = absorbed.varying(design, factors, absorb, weights)
    x, cluster = design.loc[:, kept].astype(float), cluster_codes(clusters)
    kinds = {f"kind {place}": pd.Categorical(groups) for place, groups in enumerate(groupings)}
    model = AbsorbingLS(outcome.astype(float), x, absorb=pd.DataFrame(kinds, index=x.index), weights=weights)
    # Weights, and the precision that is asked for, are known to one of its two algorithms alone.
    fit = model.fit(
        cov_type="clustered",
        clusters=pd.Series(cluster, x.index),
        method="lsmr",
        absorb_options={"atol": 1e-14, "btol": 1e-14},
        use_cache=False,
    )
    count, covariance = int(cluster.max()) + 1, fit.cov
    scale = correction(count, len(x), x.shape[1] + absorbed.number_of_effects(groupings))
    found: dict[str, Effect | LogitEffects] = {
        name: effect(fit.params[name], np.sqrt(scale * covariance.loc[name, name]), level) for name in factors
    }
    return Absorbed(found, len(x), int(groupings[0].max()) + 1, count)


def two_stage(
    outcome: np.ndarray,
    treatment: np.ndarray,
    instrument: np.ndarray,
    *,
    groups: pd.Series,
    controls: pd.DataFrame,
    clusters: pd.Series | None,
    level: float,
) -> Instrumented:
    """Return what `instruments.two_stage` does; effect, first stage and reduced form from linearmodels (IV2SLS).

    Groups and controls are taken out first (Frisch, Waugh and Lovell): with their columns linearmodels decomposes the
    whole design several times a fit, and the stage that asks three times took 57 seconds of processor, not 19. The
    error is its sandwich, times `inference.correction`, which counts what was taken out. The Anderson-Rubin interval is
    ours, by its quadratic: no library gives one with clustered errors.
    """
    from linearmodels.iv import IV2SLS

    own = instruments.two_stage(
        outcome, treatment, instrument, groups=groups, controls=controls, clusters=clusters, level=level
    )
    y, d, z = instruments.left(outcome, treatment, instrument, groups, controls)
    cluster = np.arange(len(y)) if clusters is None else codes(clusters)
    count, taken = int(cluster.max()) + 1, int(codes(groups).max()) + 1 + controls.shape[1]
    scale, degrees = np.sqrt(correction(count, len(y), taken + 1)), np.inf if clusters is None else count - 1

    def fitted(model: IV2SLS, name: str) -> Effect:
        fit = model.fit(cov_type="clustered", clusters=cluster)
        return effect(fit.params[name], scale * fit.std_errors[name], level, degrees)

    columns = pd.DataFrame({"outcome": y, "treatment": d, "instrument": z})
    first = fitted(IV2SLS(columns["treatment"], columns["instrument"], None, None), "instrument")
    return own._replace(
        effect=fitted(IV2SLS(columns["outcome"], None, columns["treatment"], columns["instrument"]), "treatment"),
        first_stage=first,
        first_stage_f=(first.estimate / first.std_error) ** 2,
        reduced_form=fitted(IV2SLS(columns["outcome"], columns["instrument"], None, None), "instrument"),
    )


def inside(
    outcome: np.ndarray, factor: np.ndarray, *, groups: pd.Series, controls: pd.DataFrame, level: float
) -> Effect:
    """Return what `instruments.inside` does, from linearmodels (AbsorbingLS)."""
    design = controls.reset_index(drop=True).assign(factor=factor)
    own = groups.reset_index(drop=True)
    found = absorbed_linear(pd.Series(outcome), design, ["factor"], own, own, level).effects["factor"]
    assert isinstance(found, Effect)
    return found


def poisson(table: pd.DataFrame, level: float) -> Estimated:
    """Return what `difference_in_differences.poisson` does, from pyfixest (fepois)."""
    from pyfixest import MapDemeaner, fepois, ssc

    table = difference_in_differences.informative(table)
    table = table.assign(exposure=np.log(table["loans"]))
    fit = fepois(
        "events ~ adopted | institution_id + origination_quarter",
        table,
        vcov={"CRV1": "institution_id"},
        offset="exposure",
        iwls_tol=1e-14,
        iwls_maxiter=100,
        demeaner=MapDemeaner(fixef_tol=1e-12),
        fixef_rm="none",
        # Every effect counts, as in `inference.correction`.
        ssc=ssc(k_adj=True, k_fixef="full", G_adj=True),
    )
    found = effect(fit.coef()["adopted"], fit.se()["adopted"], level, table["institution_id"].nunique() - 1)
    return difference_in_differences.estimated(found, table)
