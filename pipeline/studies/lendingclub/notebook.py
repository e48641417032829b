# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do borrowers who communicate default less? The headline numbers, derived again
#
# The report of this study (`reports/lendingclub/report.html`) prints numbers from result tables. This notebook starts
# from the loan cohort instead and derives the headline numbers again, in a few lines each, with statsmodels' formulas
# rather than the pipeline's code. At the end both are put side by side; the notebook stops if they differ.
#
# **To run it:** `make reproduce STUDY=lendingclub` prepares the cohort and executes this notebook. To work in it, use
# `make lab` and open `notebooks/lendingclub.ipynb`. Its source is `pipeline/studies/lendingclub/notebook.py`.

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
import seaborn as sns
import statsmodels.formula.api as smf

from pipeline.core import params, results
from pipeline.runtime import places, store
from pipeline.stats.matching import nearest_neighbour

sns.set_theme(style="whitegrid", rc={"figure.figsize": (7, 3), "figure.dpi": 110})
choices = params.load()
protocol = choices.study("lendingclub")
cohort = store.read_parquet(places.processed("lendingclub") / "cohort.parquet")

# %% [markdown]
# ## Who is in the cohort
#
# One row is a loan that has ended. The table counts loans and defaults in the two arms: loans with at least one dated
# message before funding, and loans without.

# %%
arms = cohort.groupby("treated")["default"].agg(loans="size", defaults="sum", rate="mean")
arms.index = ["without a message", "with a message"]
arms.assign(rate=(100 * arms["rate"]).round(2))

# %% [markdown]
# ## The raw pattern
#
# If talking protected against default, the bars would fall from left to right.

# %%
last = protocol.doses["communication_frequency"][-1]
messages = cohort["communication_frequency"].clip(upper=last).astype(int)
rate = 100 * cohort["default"].groupby(messages).mean()
axes = rate.plot.bar(color="#0072B2", rot=0)
axes.axhline(100 * cohort["default"].mean(), color="grey", linestyle="--", linewidth=1)
axes.set(xlabel=f"Dated messages ({last:g}: {last:g} or more)", ylabel="Default rate (%)")
plt.show()

# %% [markdown]
# ## All controls
#
# The linear probability model with every control of the protocol, written as a formula. What all loans of a
# month share, the months of origination absorb: such market series are left out by name.


# %%
def formula(outcome, terms):
    """Write the protocol's terms as statsmodels reads them: categories in C(), logarithms by NumPy."""
    written = [
        f"C({term})" if term in cohort.select_dtypes("category") else term.replace("log(", "np.log(") for term in terms
    ]
    return f"{outcome} ~ {' + '.join(written)}"


months = cohort.groupby("origination_month", observed=True)
absorbed = [name for name in protocol.controls.market if (months[name].nunique() == 1).all()]
controls = [term for block in protocol.controls.model_dump().values() for term in block if term not in absorbed]
print("Absorbed by the months of origination:", ", ".join(absorbed))
# Formulas want plain text where the cohort has categories.
loans = cohort.assign(**{name: cohort[name].astype(object) for name in cohort.select_dtypes("category")})
clusters = pd.factorize(loans[protocol.cluster])[0]


def points(factor):
    """Percentage points of default for one unit more of the factor, with the interval."""
    fit = smf.ols(formula("default", [factor, *controls]), loans).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    low, high = fit.conf_int(alpha=1 - choices.inference.level).loc[factor]
    return {"points": 100 * fit.params[factor], "ci_low": 100 * low, "ci_high": 100 * high}


controlled = pd.DataFrame({factor: points(factor) for factor in ("treated", "communication_frequency")}).T
controlled.round(3)

# %% [markdown]
# ## Matched pairs
#
# The propensity score comes from a logistic regression fitted here; pairs share grade, purpose, term and quarter of
# origination. The score's logit is rounded as in the pipeline, so that ties are the same ties.

# %%
score = smf.logit(formula("treated", protocol.matching.score), loans).fit(disp=False, tol=1e-12)
logit = np.round(score.fittedvalues.to_numpy(), 6)
stratum = cohort.groupby(protocol.matching.exact, observed=True).ngroup().to_numpy()
pairs = nearest_neighbour(
    cohort["treated"].to_numpy(),
    logit,
    stratum,
    cohort["loan_id"].to_numpy(),
    ratio=choices.match.ratio,
    caliper=choices.match.caliper and choices.match.caliper * logit.std(ddof=1),
    order=choices.match.order,
)
default = cohort["default"].to_numpy()
difference = pd.Series(default[pairs.treated] - default[pairs.control])
print(f"{len(difference):,} pairs; treated minus control: {100 * difference.mean():.3f} percentage points of default")

# %% [markdown]
# The histogram shows how close the pairs are: distances in standard deviations of the score's logit.

# %%
distance = np.abs(logit[pairs.treated] - logit[pairs.control]) / logit.std(ddof=1)
axes = sns.histplot(x=distance, bins=40, color="#0072B2")
axes.set(xlabel="Distance inside the pair (standard deviations of the score)", ylabel="Pairs")
plt.show()

# %% [markdown]
# ## Side by side
#
# Each number as derived here and as the report prints it. They agree to six digits, or this cell fails.

# %%
rows = results.read(places.results("lendingclub", "regress"))


def reported(factor, rung):
    """The row behind the number in the report."""
    return rows.one(
        estimator="linear_probability", estimand="risk_difference", factor=factor, specification=rung
    ).estimate


comparison = pd.DataFrame(
    {
        "here": [
            100 * (arms["rate"].iloc[1] - arms["rate"].iloc[0]),
            controlled.points["treated"],
            controlled.points["communication_frequency"],
            100 * difference.mean(),
        ],
        "report": [
            reported("treated", "M1"),
            reported("treated", "M5"),
            reported("communication_frequency", "M5"),
            reported("treated", "M6"),
        ],
    },
    index=[
        "any message, raw",
        "any message, all controls",
        "each further message, all controls",
        "any message, matched pairs",
    ],
)
np.testing.assert_allclose(comparison["here"], comparison["report"], rtol=1e-6, atol=1e-6)
comparison.round(4)
