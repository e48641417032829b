# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Simulated lenders: three estimates of the same programme, derived again
#
# Everything here is simulated; nothing is evidence about the world. The lenders' programme has a known effect, so the
# question is which method finds it. The report (`reports/reference/report.html`) tries a dozen methods in hundreds of
# simulated worlds. This notebook derives three of its estimates again from the loan cohort of one world, with the
# libraries' own formulas: the raw difference, Poisson difference in differences, and the lottery as an instrument. At
# the end they stand beside the report's numbers; the notebook stops if they differ.
#
# **To run it:** `make reproduce` simulates the lenders, prepares the cohort and executes this notebook. To work in it,
# use `make lab` and open `notebooks/reference.ipynb`. Its source is `pipeline/studies/reference/notebook.py`.

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
from linearmodels.iv import IV2SLS
from statsmodels.discrete.conditional_models import ConditionalPoisson

from pipeline.core import results
from pipeline.runtime import places, store

sns.set_theme(style="whitegrid", rc={"figure.figsize": (7, 3), "figure.dpi": 110})
columns = ["institution_id", "institution_type", "origination_month", "origination_quarter", "adoption_month"]
columns += ["programme_lot", "treated", "default"]
cohort = store.read_parquet(places.processed("reference") / "cohort.parquet", columns)

# %% [markdown]
# ## The raw difference
#
# Enrolled clients default far less. Part of it is the programme; most of it is who enrols, and at which lender.

# %%
rates = 100 * cohort.groupby(["institution_type", "treated"], observed=True)["default"].mean().unstack()
rates.columns = ["not enrolled", "enrolled"]
axes = rates.plot.bar(color=["#D55E00", "#0072B2"], rot=0)
axes.set(xlabel="", ylabel="Default within the horizon (%)")
plt.show()
raw = 100 * (cohort.loc[cohort.treated == 1, "default"].mean() - cohort.loc[cohort.treated == 0, "default"].mean())
print(f"Enrolled minus others: {raw:.2f} percentage points of default")

# %% [markdown]
# ## Poisson difference in differences
#
# Lenders adopt the programme at different times. Counting defaults by lender, quarter of origination and adoption, a
# Poisson regression with lender and quarter effects compares each lender with itself before adoption, in ratios. The
# likelihood given each lender's number of defaults has no lender effects left in it, and the same maximum (Hausman,
# Hall & Griliches 1984).

# %%
# Months such as 2009-10 stand in the order of their letters; lenders that never adopt, after all.
adopted = cohort["adoption_month"].astype("string").fillna("9999-12")
cohort["adopted_by_then"] = (cohort["origination_month"].astype("string") >= adopted).astype(int)
cells = (
    cohort.assign(lender=cohort["institution_id"].astype(str), quarter=cohort["origination_quarter"].astype(str))
    .groupby(["lender", "quarter", "adopted_by_then"])["default"]
    .agg(defaults="sum", loans="size")
    .reset_index()
)
# A lender or quarter without any default says nothing of ratios.
cells = cells[cells.groupby("lender")["defaults"].transform("sum") > 0]
cells = cells[cells.groupby("quarter")["defaults"].transform("sum") > 0]
poisson = ConditionalPoisson(
    cells["defaults"],
    pd.get_dummies(cells[["adopted_by_then", "quarter"]], drop_first=True, dtype=float),
    groups=cells["lender"],
    offset=np.log(cells["loans"]),
).fit(method="newton", skip_hessian=True)
log_ratio = poisson.params["adopted_by_then"]
print(f"Log rate ratio after adoption: {log_ratio:.3f}, that is {100 * (np.exp(log_ratio) - 1):.1f}% of defaults")

# %% [markdown]
# ## The lottery
#
# Where the programme was offered, places were drawn by lot. The lot moves enrolment and nothing else, so it is an
# instrument for it. Every column is taken less its lender's mean, which takes lender effects out (Frisch & Waugh 1933).

# %%
offered = cohort[cohort["programme_lot"].notna()]
quarters = pd.get_dummies(offered["origination_quarter"].astype(str), drop_first=True, dtype=float)
moved = offered[["default", "treated", "programme_lot"]].join(quarters).astype(float)
inside = moved - moved.groupby(offered["institution_id"], observed=True).transform("mean")
lottery = IV2SLS(inside["default"], inside[quarters.columns], inside["treated"], inside["programme_lot"]).fit()
points = -100 * lottery.params["treated"]
print(f"Enrolling lowers default by {points:.2f} percentage points among those whom the lot moves")

# %% [markdown]
# ## Side by side
#
# Each number as derived here and as the report prints it. They agree to six digits, or this cell fails.

# %%
rows = results.read(places.results("reference", "effects"))
comparison = pd.DataFrame(
    {
        "here": [raw, log_ratio, 100 * lottery.params["treated"]],
        "report": [
            rows.one(estimator="raw_difference").estimate,
            rows.one(estimator="poisson_difference_in_differences", outcome="default").estimate,
            rows.one(estimator="lottery_instrument", specification="two_stage_least_squares").estimate,
        ],
    },
    index=["raw difference (points)", "Poisson difference in differences (log ratio)", "lottery (points)"],
)
np.testing.assert_allclose(comparison["here"], comparison["report"], rtol=1e-6, atol=1e-6)
comparison.round(4)
