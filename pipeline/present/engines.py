"""Which library fits the regressions that are read first, for the report."""

ENGINES = {
    "clustered_ways": "statsmodels (OLS)",
    "logit_ways": "statsmodels (Logit)",
    "weighted_logit": "statsmodels (GLM)",
    "absorbed_linear": "linearmodels (AbsorbingLS)",
    "two_stage": "linearmodels (IV2SLS)",
    "poisson": "pyfixest (fepois)",
}
"""By function of `stats.libraries`, which a test holds against what each imports; pages import no estimator."""
