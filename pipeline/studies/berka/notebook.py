# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do borrowers who hear from their bank more often default less? The headline numbers, derived again
#
# The report of this study (`reports/berka/report.html`) prints numbers from result tables. This notebook starts from
# the loan cohort instead and derives the headline numbers again with statsmodels' formulas and a general optimiser
# rather than the pipeline's code. At the end both are put side by side; the notebook stops if they differ.
#
# **To run it:** `make reproduce STUDY=berka` prepares the cohort and executes this notebook. To work in it, use
# `make lab` and open `notebooks/berka.ipynb`. Its source is `pipeline/studies/berka/notebook.py`.

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
from scipy.optimize import minimize

from pipeline.core import params, results
from pipeline.runtime import places, store

sns.set_theme(style="whitegrid", rc={"figure.figsize": (7, 3), "figure.dpi": 110})
choices = params.load()
protocol = choices.study("berka")
cohort = store.read_parquet(places.processed("berka") / "cohort.parquet")

# %% [markdown]
# ## Default by frequency of the statement
#
# If hearing from the bank protected against default, the rates would fall from left to right.

# %%
steps = cohort.groupby("communication_frequency")["default"].agg(loans="size", defaults="sum", rate="mean")
steps.index = ["monthly", "weekly", "after each transaction"]
axes = (100 * steps["rate"]).plot.bar(color="#0072B2", rot=0)
axes.axhline(100 * cohort["default"].mean(), color="grey", linestyle="--", linewidth=1)
axes.set(xlabel="Statement", ylabel="Default rate (%)")
plt.show()
steps.assign(rate=(100 * steps["rate"]).round(2))

# %% [markdown]
# ## The grade that was built
#
# The score is the mean of three ranks: mean balance, lowest balance, and largest single credit before the loan. Derived
# again here, and with it the default rate by quarter of the score, from the worst to the best.

# %%
ranks = cohort[["balance_mean", "balance_min", "largest_credit"]].rank(pct=True)
np.testing.assert_allclose(100 * ranks.mean(axis=1), cohort["credit_score"])
(100 * cohort.groupby("credit_grade", observed=True)["default"].mean()).round(1)

# %% [markdown]
# ## Firth's penalised likelihood, by a general optimiser
#
# Among the loans with a card before them nobody is in default, so the likelihood alone has no maximum. With half the
# log determinant of the information added it has one.


# %%
def penalised_odds_ratio(factor):
    """Odds ratio of one unit more of the factor, alone, by Firth's penalised likelihood."""
    x = np.column_stack([np.ones(len(cohort)), cohort[factor]])
    y = cohort["default"].to_numpy()

    def objective(beta):
        line = x @ beta
        weight = 1 / (2 + np.exp(line) + np.exp(-line))
        return -(y @ line - np.logaddexp(0, line).sum() + np.linalg.slogdet((x.T * weight) @ x)[1] / 2)

    return np.exp(minimize(objective, [-2.0, 0.0], method="BFGS").x[1])


factors = ["treated", "relationship_length", "relationship_depth_cards", "relationship_depth_second_person"]
pd.Series({factor: penalised_odds_ratio(factor) for factor in factors}, name="odds ratio").round(3)

# %% [markdown]
# ## Side by side
#
# Linear probability models as derived here and as the report prints them, in percentage points of default. They agree
# to six digits, or this cell fails.

# %%
rows = results.read(places.results("berka", "regress"))


def reported(factor, rung):
    """The row behind the number in the report."""
    return rows.one(
        estimator="linear_probability", estimand="risk_difference", factor=factor, specification=rung
    ).estimate


controls = [term.replace("log(", "np.log(") for term in protocol.controls.ladder()["borrower"]]


def points(factor, terms):
    """Percentage points of default for one unit more of the factor."""
    return 100 * smf.ols(f"default ~ {' + '.join([factor, *terms])}", cohort).fit().params[factor]


comparison = pd.DataFrame(
    {
        "here": [
            points("treated", []),
            points("treated", controls),
            points("communication_frequency", controls),
            points("relationship_length", controls),
        ],
        "report": [
            reported("treated", "M1"),
            reported("treated", "M3"),
            reported("communication_frequency", "M3"),
            reported("relationship_length", "M3"),
        ],
    },
    index=[
        "more than monthly, raw",
        "more than monthly, all controls",
        "each step of frequency, all controls",
        "each year of the account, all controls",
    ],
)
np.testing.assert_allclose(comparison["here"], comparison["report"], rtol=1e-6, atol=1e-6)
comparison.round(4)
