# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A lender's own loans: the headline numbers, derived again
#
# The report of this study prints numbers from result tables. This notebook starts from the loan cohort instead and
# derives the headline numbers again, in a few lines each, with statsmodels' formulas rather than the pipeline's code.
# At the end both are put side by side; the notebook stops if they differ. It shows numbers of groups, never a loan.
#
# **To run it:** `make reproduce STUDY=...` with the name below. To work in it, use `make lab`. Its source,
# `pipeline/studies/own/notebook.py`, serves every study of a reader's own file.

# %%
study = "own"

# %%
import os
from pathlib import Path

# The notebook works from the repository's root, wherever it was opened.
while not Path("params.yaml").exists():
    if Path.cwd() == Path.cwd().parent:
        raise FileNotFoundError("params.yaml: open the notebook inside the repository")
    os.chdir("..")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import statsmodels.formula.api as smf

from pipeline.core import params, results
from pipeline.core.scope import scope
from pipeline.runtime import places, store
from pipeline.stats.matching import nearest_neighbour

choices = params.load()
cohort = store.read_parquet(places.processed(study) / "cohort.parquet")
allowed = scope(choices.study(study), cohort)
protocol = allowed.protocol
print("Studied here:", ", ".join(allowed.factors) or "nothing but who defaulted")

# %% [markdown]
# ## Who is in the cohort

# %%
by = cohort["treated"].map({0: "not treated", 1: "treated"}) if allowed.arms else pd.Series("all loans", cohort.index)
arms = cohort.groupby(by)["default"].agg(loans="size", defaults="sum", rate="mean")
axes = (100 * arms["rate"]).plot.bar(color="#0072B2", rot=0, figsize=(6, 3))
axes.axhline(100 * cohort["default"].mean(), color="grey", linestyle="--", linewidth=1)
axes.set(xlabel="", ylabel="Default rate (%)")
plt.show()
arms.assign(rate=(100 * arms["rate"]).round(2))

# %% [markdown]
# ## All controls
#
# The linear probability model with every control that the data support, written as a formula. A factor with gaps takes
# the loans for which it was measured. One that the controls determine cannot be told apart from them, and is left out.

# %%
# Formulas want plain text where the cohort has categories.
categories = list(cohort.select_dtypes("category"))
loans = cohort.assign(**{name: cohort[name].astype(object) for name in categories})
controls = [term for block in protocol.controls.model_dump().values() for term in block]


def points(factor, terms):
    """Percentage points of default for one unit more of the factor."""
    written = [f"C({term})" if term in categories else term.replace("log(", "np.log(") for term in terms]
    measured = loans[loans[factor].notna()]
    fit = smf.ols(" + ".join([f"default ~ {factor}", *written]), measured).fit()
    return 100 * fit.params[factor]


rows = results.read(places.results(study, "regress"))
reported = {
    (row.factor, row.specification): row.estimate
    for row in rows.where(estimator="linear_probability", estimand="risk_difference").itertuples()
    if not np.isnan(row.estimate)
}
last = [rung for _, rung in reported if rung in ("M1", "M2", "M3", "M4", "M5")]
last = max(last, default="M1")
here = {}
for factor in allowed.factors if allowed.models else []:
    for rung, terms in {"M1": [], last: controls}.items():
        if (factor, rung) in reported:
            here[factor, rung] = points(factor, terms if rung != "M1" else [])

# %% [markdown]
# ## Matched pairs
#
# The propensity score comes from a logistic regression fitted here; its logit is rounded as in the pipeline, so that
# ties are the same ties. Only pairs of one treated loan and one control that serves once are derived again.

# %%
match = choices.match
simple = match.method == "nearest" and match.distance == "logit" and match.ratio == 1 and not match.replacement
simple = simple and match.score == "logistic" and match.folds == 1 and match.discard == "none"
simple = simple and not (protocol.matching.calipers or protocol.matching.cuts)
if simple and ("treated", "M6") in reported:
    score = smf.logit(
        "treated ~ " + " + ".join(term.replace("log(", "np.log(") for term in protocol.matching.score), loans
    )
    logit = np.round(score.fit(disp=False, tol=1e-12, maxiter=100).fittedvalues.to_numpy(), 6)
    exact = protocol.matching.exact
    stratum = cohort.groupby(exact, observed=True).ngroup().to_numpy() if exact else np.zeros(len(cohort), dtype=int)
    pairs = nearest_neighbour(
        cohort["treated"].to_numpy(),
        logit,
        stratum,
        cohort["loan_id"].to_numpy(),
        ratio=1,
        caliper=match.caliper and match.caliper * logit.std(ddof=1),
        order=match.order,
    )
    default = cohort["default"].to_numpy()
    here["treated", "M6"] = 100 * (default[pairs.treated] - default[pairs.control]).mean()
    print(f"{len(pairs.treated):,} pairs")
else:
    print("No pairs to derive again.")

# %% [markdown]
# ## Side by side
#
# Each number as derived here and as the report prints it, in percentage points. They agree to six digits, or this cell
# fails.

# %%
comparison = pd.DataFrame(
    {"here": here.values(), "report": [reported[key] for key in here]},
    index=[f"{factor}, {rung}" for factor, rung in here],
    dtype=float,
)
np.testing.assert_allclose(comparison["here"], comparison["report"], rtol=1e-6, atol=1e-6)
comparison.round(4)
