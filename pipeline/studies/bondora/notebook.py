# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do customers who come back default less? The headline numbers, derived again
#
# The report of this study (`reports/bondora/report.html`) prints numbers from result tables. This notebook starts from
# the loan cohort instead and derives the headline numbers again with statsmodels' formulas rather than the pipeline's
# code. At the end both are put side by side; the notebook stops if they differ.
#
# **To run it:** `make reproduce STUDY=bondora` prepares the cohort and executes this notebook. To work in it, use
# `make lab` and open `notebooks/bondora.ipynb`. Its source is `pipeline/studies/bondora/notebook.py`.

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
protocol = choices.study("bondora")
cohort = store.read_parquet(places.processed("bondora") / "cohort.parquet")

# %% [markdown]
# ## Who is called new, and who has borrowed before
#
# The platform's word against the number of earlier loans on record.

# %%
returning = cohort["relationship_depth_returning"].map({0: "new", 1: "returning"})
earlier = cohort["relationship_depth_prior_loans"].clip(upper=6).astype(int)
pd.crosstab(returning, earlier)

# %% [markdown]
# ## The raw pattern
#
# Were customers alike but for coming back, and did that protect against default, the bars would fall from left to right.

# %%
rate = 100 * cohort.groupby(earlier)["default"].mean()
axes = rate.plot.bar(color="#0072B2", rot=0)
axes.axhline(100 * cohort["default"].mean(), color="grey", linestyle="--", linewidth=1)
axes.set(xlabel="Earlier loans (6: six or more)", ylabel="Default rate (%)")
plt.show()
cohort.groupby(returning)["default"].agg(loans="size", rate="mean").round(3)

# %% [markdown]
# ## When the two kinds of customers came
#
# Returning customers applied later, when more loans failed: within years the difference is another one.

# %%
by_year = cohort.groupby(["origination_year", returning], observed=True)["default"].mean().unstack()
axes = (100 * by_year).plot(marker="o", color=["#999999", "#0072B2"])
axes.set(xlabel="Year of application", ylabel="Default rate (%)")
plt.show()

# %% [markdown]
# ## All controls
#
# The linear probability model with every control of the protocol, written as a formula.

# %%


def formula(outcome, terms):
    """Write the protocol's terms as statsmodels reads them: categories in C(), logarithms by NumPy."""
    written = [
        f"C({term})" if term in cohort.select_dtypes("category") else term.replace("log(", "np.log(") for term in terms
    ]
    return f"{outcome} ~ {' + '.join(written)}"


# Formulas want plain text where the cohort has categories.
loans = cohort.assign(**{name: cohort[name].astype(object) for name in cohort.select_dtypes("category")})
controls = [term for block in protocol.controls.model_dump().values() for term in block]


def points(outcome, factor, terms, sample=loans):
    """Percentage points of the outcome for one unit more of the factor."""
    return 100 * smf.ols(formula(outcome, [factor, *terms]), sample).fit().params[factor]


# %% [markdown]
# ## Side by side
#
# Each number as derived here and as the report prints it. They agree to six digits, or this cell fails.

# %%


def reported(stage, factor, specification, **named):
    """The number in the report."""
    rows = results.read(places.results("bondora", stage))
    if stage == "regress":
        named = {"estimator": "linear_probability", "estimand": "risk_difference"}
    return rows.one(factor=factor, specification=specification, **named).estimate


back = loans[loans["relationship_depth_returning"] == 1]
arms = cohort.groupby("treated")["default"].mean()
comparison = pd.DataFrame(
    {
        "here": [
            100 * (arms[1] - arms[0]),
            points("default", "treated", controls),
            points("default", "relationship_depth_prior_loans", controls),
            points("default", "information_sharing", controls),
            points("default", "treated", controls, loans[loans["term_over"] == 1]),
            points("default", "repaid_early", [*controls, "relationship_depth_prior_loans"], back),
            points("interest_rate", "treated", ["origination_month"]) / 100,
        ],
        "report": [
            reported("regress", "treated", "M1"),
            reported("regress", "treated", "M5"),
            reported("regress", "relationship_depth_prior_loans", "M5"),
            reported("regress", "information_sharing", "M5"),
            reported("effects", "relationship_depth_returning", "term_over", estimator="watched"),
            reported("effects", "repaid_early", "together", estimator="behaviour"),
            reported("effects", "relationship_depth_returning", "same_month", estimator="price"),
        ],
    },
    index=[
        "returning, raw",
        "returning, all controls",
        "each further earlier loan, all controls",
        "income verified, all controls",
        "returning, loans whose term had run out",
        "repaid early, among returning customers",
        "returning, interest in the same month",
    ],
)
np.testing.assert_allclose(comparison["here"], comparison["report"], rtol=1e-6, atol=1e-6)
comparison.round(4)
