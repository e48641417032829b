# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Does the promise of a long relationship lower arrears? The headline numbers, derived again
#
# The report of this study (`reports/karlan_zinman/report.html`) prints numbers from result tables. This notebook starts
# from the cohort of borrowers instead and derives the headline numbers again with statsmodels' formulas rather than the
# pipeline's code. At the end both are put side by side; the notebook stops if they differ.
#
# **To run it:** `make reproduce STUDY=karlan_zinman` prepares the cohort and executes this notebook. To work in it, use
# `make lab` and open `notebooks/karlan_zinman.ipynb`. Its source is `pipeline/studies/karlan_zinman/notebook.py`.

# %%
import os
import warnings
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
from statsmodels.tools.sm_exceptions import SingularMatrixWarning

from pipeline.core import params, results
from pipeline.runtime import places, store

sns.set_theme(style="whitegrid", rc={"figure.figsize": (7, 3), "figure.dpi": 110})
choices = params.load()
protocol = choices.study("karlan_zinman")
cohort = store.read_parquet(places.processed("karlan_zinman") / "cohort.parquet")
offers = store.read_parquet(places.processed("karlan_zinman") / "more" / "offers.parquet")

# %% [markdown]
# ## Who borrowed, by wave and arm
#
# Lots decided whose letter held the promise. In the first wave the letters with the promise became loans several times
# as often as the others, in every risk class. That is no clean draw, whatever the reason, and the study leaves the wave
# out.

# %%
taken = offers.groupby(["origination_month", "credit_grade", "treated"], observed=True)["took_up"].mean().unstack()
taken.columns = ["without the promise", "with the promise"]
axes = (100 * taken).plot.barh(color=["#D55E00", "#0072B2"])
axes.set(xlabel="Letters that became a loan (%)", ylabel="")
axes.invert_yaxis()
plt.show()

# %% [markdown]
# ## Four outcomes
#
# Least squares with the strata of the lottery (wave by risk class) and the two rates that were drawn as well, errors
# clustered by branch. The first error carries the correction for the number of branches that the report uses, the
# second leaves it out.

# %%
outcomes = {
    "past_due_share": "share past due",
    "past_due_any": "anything past due",
    "default": f"more than {protocol.eligibility['past_due_above']:.0%} past due (default)",
    "past_due_above_fifth": "more than a fifth past due",
}
# Formulas want plain text where the cohort has categories.
loans = cohort.assign(**{name: cohort[name].astype(object) for name in cohort.select_dtypes("category")})


# A stratum in which one rate was drawn repeats what the rates say: it gets no coefficient of its own.
warnings.simplefilter("ignore", SingularMatrixWarning)


def promise(outcome, rows, controls="C(stratum) + offer_rate + interest_rate"):
    """Effect of the promise on an outcome, with two errors."""
    model = smf.ols(f"{outcome} ~ treated + {controls}", rows)
    branch = pd.factorize(rows["institution_id"])[0]
    fits = [
        model.fit(cov_type="cluster", cov_kwds={"groups": branch, "use_correction": correction})
        for correction in (True, False)
    ]
    return {"effect": fits[0].params["treated"], "error": fits[0].bse["treated"], "uncorrected": fits[1].bse["treated"]}


table = pd.DataFrame({label: promise(outcome, loans) for outcome, label in outcomes.items()}).T
third = loans[loans["origination_month"] == loans["origination_month"].max()]
table.loc["share past due, third wave alone"] = promise("past_due_share", third)
table.round(4)

# %% [markdown]
# ## Playing the lottery again, in the third wave
#
# There every client had a lot of their own within branch and risk class. The promise is dealt out again within these
# groups, and the plain difference between the arms is computed each time. The line is the difference that the real
# lottery gave.

# %%
group = (third["institution_id"] + third["credit_grade"]).to_numpy()
order = np.argsort(group, kind="stable")
default, drawn, group = third["default"].to_numpy()[order], third["treated"].to_numpy()[order], group[order]
starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
generator = np.random.default_rng(choices.seed)


def difference(assigned):
    """Percentage points of default, treated minus control."""
    return 100 * (default[assigned == 1].mean() - default[assigned == 0].mean())


dealt = np.array(
    [
        difference(np.concatenate([generator.permutation(part) for part in np.split(drawn, starts[1:])]))
        for _ in range(999)
    ]
)
axes = sns.histplot(x=dealt, bins=40, color="#0072B2")
axes.axvline(difference(drawn), color="#D55E00")
axes.set(xlabel="Difference in default under another draw (percentage points)", ylabel="Lotteries")
plt.show()
as_far = (np.abs(dealt - dealt.mean()) >= abs(difference(drawn) - dealt.mean())).mean()
print(f"{as_far:.3f} of the lotteries give a difference as far from their centre as the real one")

# %% [markdown]
# ## Side by side
#
# Each number as derived here and as the report prints it, in percentage points of default. They agree to six digits, or
# this cell fails.

# %%
rows = results.read(places.results("karlan_zinman", "regress"))


def reported(rung):
    """The row behind the number in the report."""
    return rows.one(
        estimator="linear_probability", estimand="risk_difference", factor="treated", specification=rung
    ).estimate


def formula(terms):
    """Write the protocol's terms as statsmodels reads them: categories in C(), logarithms by NumPy."""
    categories = set(cohort.select_dtypes("category"))
    return " + ".join(f"C({term})" if term in categories else term.replace("log(", "np.log(") for term in terms)


ladder = protocol.controls.ladder()
comparison = pd.DataFrame(
    {
        "here": [
            100
            * (loans.loc[loans["treated"] == 1, "default"].mean() - loans.loc[loans["treated"] == 0, "default"].mean()),
            100 * promise("default", loans, formula(ladder["loan"]))["effect"],
            100 * promise("default", loans, formula(ladder["borrower"]))["effect"],
        ],
        "report": [reported("M1"), reported("M2"), reported("M3")],
    },
    index=["raw", "strata and rates", "all controls"],
)
np.testing.assert_allclose(comparison["here"], comparison["report"], rtol=1e-6, atol=1e-6)
comparison.round(4)
