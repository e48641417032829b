# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do clients of long standing default less? The headline numbers, derived again
#
# The report of this study (`reports/superlender/report.html`) prints numbers from result tables. This notebook starts
# from the loan cohort and the clients' earlier loans instead and derives the headline numbers again with statsmodels'
# formulas and sums by client rather than the pipeline's code. At the end both are put side by side; the notebook stops
# if they differ.
#
# **To run it:** `make reproduce STUDY=superlender` prepares the cohort and executes this notebook. To work in it, use
# `make lab` and open `notebooks/superlender.ipynb`. Its source is `pipeline/studies/superlender/notebook.py`.

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
protocol = choices.study("superlender")
folder = places.processed("superlender")
cohort = store.read_parquet(folder / "cohort.parquet")
earlier = store.read_parquet(folder / "more" / "earlier_loans.parquet")

# %% [markdown]
# ## The raw pattern, and where a relationship is called long
#
# A relationship is long with more earlier loans than the median client has.

# %%
number = cohort["relationship_depth_prior_loans"]
assert protocol.treatment.at_least == number.median() + 1
steps = cohort.groupby(number.clip(upper=11).astype(int))["default"].agg(loans="size", rate="mean")
axes = (100 * steps["rate"]).plot.bar(color="#0072B2", rot=0)
axes.axhline(100 * cohort["default"].mean(), color="grey", linestyle="--", linewidth=1)
axes.set(xlabel="Earlier loans (11: eleven or more)", ylabel="Bad loans (%)")
plt.show()
steps.round(3).transpose()

# %% [markdown]
# ## Punctuality by number of the loan, between and within clients
#
# The same loans twice: averages over all clients, and what is left of them once each client's own average is taken out.
# Clients with one earlier loan have nothing to be compared with.

# %%
several = earlier[earlier.groupby("client_id")["loan_number"].transform("size") > 1]
own = several.groupby("client_id")["first_repaid_late"].transform("mean")
place = several["loan_number"].clip(upper=10).astype(int)
lines = pd.DataFrame(
    {
        "all clients": several.groupby(place)["first_repaid_late"].mean(),
        "within clients": (several["first_repaid_late"] - own).groupby(place).mean()
        + several["first_repaid_late"].mean(),
    }
)
axes = (100 * lines).plot(marker="o", color=["#999999", "#0072B2"])
axes.set(xlabel="Number of the loan (10: ten and later)", ylabel="First repaid late (%)")
plt.show()


def within(outcome):
    """Slope per loan with an effect for each client: both less the client's mean, by sums."""
    by_client = several.groupby("client_id")
    y = several[outcome] - by_client[outcome].transform("mean")
    x = several["loan_number"] - by_client["loan_number"].transform("mean")
    return 100 * (x @ y) / (x @ x)


# %% [markdown]
# ## Those who are lost on the way
#
# If each loan loses the clients that it loses in this month, so many of those who begin are gone before their
# relationship is long. At which default rate among them would long relationships be worth nothing?

# %%
rates = cohort.groupby(number)["default"].mean()
stay = np.prod([1 - rates[step] for step in range(1, int(protocol.treatment.at_least))])
long = cohort.loc[cohort["treated"] == 1, "default"].mean()
break_even = (rates[1] - stay * long) / (1 - stay)
print(
    f"lost: {100 * (1 - stay):.1f}%; bad in long relationships: {100 * long:.1f}%; break-even: {100 * break_even:.1f}%"
)

# %% [markdown]
# ## The grade that was built
#
# A point each for a first loan not repaid before its day, one repaid after it, and a young client.

# %%
late = cohort["first_loan_days_late"]
letters = np.array(list("ABCD"))[(late >= 0).astype(int) + (late > 0).astype(int) + (cohort["age"] < 30).astype(int)]
assert (letters == cohort["credit_grade"].astype(str)).all()
(100 * cohort.groupby("credit_grade", observed=True)["default"].mean()).round(1)

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
    rows = results.read(places.results("superlender", stage))
    if stage == "regress":
        named = {"estimator": "linear_probability", "estimand": "risk_difference"}
    return rows.one(factor=factor, specification=specification, **named).estimate


late_first = {"estimator": "punctuality", "outcome": "first_repaid_late"}
arms = cohort.groupby("treated")["default"].mean()
terms = ["term", "log(amount)", "interest_rate"]
comparison = pd.DataFrame(
    {
        "here": [
            100 * (arms[1] - arms[0]),
            points("default", "treated", controls),
            points("default", "relationship_depth_prior_loans", controls),
            points("default", "early_warning_late_share", controls),
            points("default", "treated", [*controls, *terms]),
            100 * smf.ols("first_repaid_late ~ loan_number", earlier).fit().params["loan_number"],
            within("first_repaid_late"),
            within("closed_late"),
            100 * break_even,
        ],
        "report": [
            reported("regress", "treated", "M1"),
            reported("regress", "treated", "M5"),
            reported("regress", "relationship_depth_prior_loans", "M5"),
            reported("regress", "early_warning_late_share", "M5"),
            reported("effects", "treated", "given_terms", estimator="length"),
            reported("effects", "loan_number", "pooled", **late_first),
            reported("effects", "loan_number", "within_clients", **late_first),
            reported("effects", "loan_number", "within_clients", **late_first | {"outcome": "closed_late"}),
            reported("effects", "treated", "all_left", estimator="survivors", estimand="break_even"),
        ],
    },
    index=[
        "long relationship, raw",
        "long relationship, all controls",
        "each further earlier loan, all controls",
        "all earlier loans late against none, all controls",
        "long relationship, given amount, term and price",
        "late by number of the loan, pooled",
        "late by number of the loan, within clients",
        "closed late by number of the loan, within clients",
        "break-even rate of those lost on the way",
    ],
)
np.testing.assert_allclose(comparison["here"], comparison["report"], rtol=1e-6, atol=1e-6)
comparison.round(4)
