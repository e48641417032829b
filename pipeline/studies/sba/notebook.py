# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do firms that document more default less? The headline numbers, derived again
#
# The report of this study (`reports/sba/report.html`) prints numbers from result tables. This notebook starts from the
# loan cohort instead and derives the headline numbers again, in a few lines each, with statsmodels' formulas and plain
# arithmetic rather than the pipeline's code. At the end both are put side by side; the notebook stops if they differ.
#
# **To run it:** `make reproduce STUDY=sba` prepares the cohort and executes this notebook. To work in it, use
# `make lab` and open `notebooks/sba.ipynb`. Its source is `pipeline/studies/sba/notebook.py`.

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

sns.set_theme(style="whitegrid", rc={"figure.figsize": (7, 3), "figure.dpi": 110})
choices = params.load()
protocol = choices.study("sba")
cohort = store.read_parquet(places.processed("sba") / "cohort.parquet")

# %% [markdown]
# ## From the draws to the file
#
# The draws hold as many loans charged off as paid in full. Each loan's weight says how many loans of the whole file it
# stands for; a weighted mean is therefore the file's rate. The first column counts loans of the draws, the last is the
# rate that the report prints.


# %%
def rate(loans):
    """Share of the file's loans that defaulted."""
    return (loans["default"] * loans["weight"]).sum() / loans["weight"].sum()


arms = pd.DataFrame(
    {
        name: {
            "loans": len(loans),
            "defaults": loans["default"].sum(),
            "in the draws": loans["default"].mean(),
            "in the file": rate(loans),
        }
        for name, loans in [("little", cohort[cohort["treated"] == 0]), ("full", cohort[cohort["treated"] == 1])]
    }
).T
arms.round(3)

# %% [markdown]
# ## When the loans were approved
#
# Default rises steeply with the year of approval, and the two kinds of loan were not equally common in all years: a
# plain comparison of the arms is also one of years.

# %%
by_year = cohort.groupby(["approval_year", "treated"], observed=True)[["default", "weight"]].apply(rate).unstack()
axes = (100 * by_year).rename(columns={0: "little documentation", 1: "full documentation"}).plot(marker="o")
axes.set(xlabel="Year of approval", ylabel="Default rate (%)")
axes.legend(title=None)
plt.show()

# %% [markdown]
# ## All controls
#
# The weighted linear model with every control of the protocol, written as a formula. Errors are clustered by bank.


# %%
def formula(outcome, factor):
    """Write the protocol's terms as statsmodels reads them: categories in C(), logarithms by NumPy."""
    terms = [term for block in protocol.controls.model_dump().values() for term in block]
    written = [
        f"C({term})" if term in cohort.select_dtypes("category") else term.replace("log(", "np.log(") for term in terms
    ]
    return f"{outcome} ~ {' + '.join([factor, *written])}"


# Formulas want plain text where the cohort has categories.
loans = cohort.assign(**{name: cohort[name].astype(object) for name in cohort.select_dtypes("category")})
clusters = pd.factorize(loans[protocol.cluster])[0]


def points(factor):
    """Percentage points of default for one unit more of the factor, with the interval."""
    fit = smf.wls(formula("default", factor), loans, weights=loans["weight"]).fit(
        cov_type="cluster", cov_kwds={"groups": clusters}
    )
    low, high = fit.conf_int(alpha=1 - choices.inference.level).loc[factor]
    return {"points": 100 * fit.params[factor], "ci_low": 100 * low, "ci_high": 100 * high}


controlled = pd.DataFrame({name: points(name) for name in ("treated", "relationship_depth_same_state")}).T
controlled.round(3)

# %% [markdown]
# ## Odds, and what they mean in points
#
# Sampling by the outcome multiplies all odds by one factor and leaves odds ratios as they are. So the logistic
# regression is fitted to the draws as they come; to speak of points, its intercept moves by the logarithm of that
# factor, and each loan's change in probability is averaged over the file.

# %%
curve = smf.logit(formula("default", "treated"), loans).fit(disp=False, maxiter=100)
odds_ratio = np.exp(curve.params["treated"])
weight = cohort.groupby("default")["weight"].first()
shift = np.log(weight[1] / weight[0])


def probability(value):
    """Chance of default in the file if all loans were in one arm."""
    index = curve.fittedvalues + curve.params["treated"] * (value - loans["treated"]) + shift
    return 1 / (1 + np.exp(-index))


marginal = 100 * np.average(probability(1) - probability(0), weights=loans["weight"])
print(f"Odds ratio {odds_ratio:.3f}; average marginal effect {marginal:.3f} percentage points")

# %% [markdown]
# ## Side by side
#
# Each number as derived here and as the report prints it. They agree to six digits, or this cell fails.

# %%
rows = results.read(places.results("sba", "regress"))


def reported(factor, rung, estimator="linear_probability", estimand="risk_difference"):
    """The row behind the number in the report."""
    return rows.one(estimator=estimator, estimand=estimand, factor=factor, specification=rung).estimate


comparison = pd.DataFrame(
    {
        "here": [
            100 * (arms.loc["full", "in the file"] - arms.loc["little", "in the file"]),
            controlled.points["treated"],
            controlled.points["relationship_depth_same_state"],
            odds_ratio,
            marginal,
        ],
        "report": [
            reported("treated", "M1"),
            reported("treated", "M5"),
            reported("relationship_depth_same_state", "M5"),
            reported("treated", "M5", "logit", "odds_ratio"),
            reported("treated", "M5", "logit", "average_marginal_effect"),
        ],
    },
    index=[
        "full documentation, raw",
        "full documentation, all controls",
        "bank in the firm's state, all controls",
        "full documentation, odds ratio, all controls",
        "full documentation, marginal effect, all controls",
    ],
)
np.testing.assert_allclose(comparison["here"], comparison["report"], rtol=1e-6, atol=1e-6)
comparison.round(4)
