# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Why some methods find the truth and others do not
#
# The page of methods (`reports/evidence/methods.html`) says which methods recover a known effect in the reference
# study's worlds. This notebook first makes the smallest world that shows why: clients whose creditworthiness is
# partly hidden, and a programme whose places are partly drawn by lot. Then it shows what the reference study found in
# its own worlds. Everything is simulated; nothing is evidence about the world.
#
# **To run it:** `make reproduce-all` executes it; `python -m pipeline notebooks` executes it alone. To work in it,
# use `make lab` and open `notebooks/methods.ipynb`. Its source is `notebooks/sources/methods.py`.

# %%
import os
from pathlib import Path
from statistics import NormalDist

# The notebook works from the repository's root, wherever it was opened.
while not Path("params.yaml").exists():
    if Path.cwd() == Path.cwd().parent:
        raise FileNotFoundError("params.yaml: open the notebook inside the repository")
    os.chdir("..")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from pipeline.core import params, results
from pipeline.runtime import places

sns.set_theme(style="whitegrid", rc={"figure.dpi": 110})
choices = params.load()

# %% [markdown]
# ## A world of four lines
#
# A client's hidden strength lowers default and makes the client enrol; the lender's grade shows half of it. A lot
# opens the door to the programme and touches nothing else. The programme lowers default by the same points for
# everyone.

# %%
TRUTH, CLIENTS, WORLDS = -2.0, 20_000, 200
QUANTILE = NormalDist().inv_cdf(0.5 + choices.inference.level / 2)


def world(chance, effect):
    hidden = chance.normal(size=CLIENTS)
    grade = hidden + chance.normal(size=CLIENTS)
    lot = chance.integers(0, 2, CLIENTS)
    enrolled = (0.5 * hidden + 2.5 * (lot - 0.5) + chance.logistic(size=CLIENTS) > 0).astype(float)
    risk = 10 - 3 * hidden + effect * enrolled
    default = 100.0 * (100 * chance.uniform(size=CLIENTS) < risk)
    return grade, lot, enrolled, default


def slope(y, *columns):
    """Least squares: the coefficient of the first column, with its standard error."""
    design = np.column_stack([*columns, np.ones(len(y))])
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ y
    residual = y - design @ coefficients
    half = inverse @ (design * residual[:, None]).T
    return coefficients[0], np.sqrt((half @ half.T)[0, 0])


def estimates(grade, lot, enrolled, default):
    first, _ = slope(enrolled, lot)
    reduced, error = slope(default, lot)
    return {
        "raw difference": slope(default, enrolled),
        "regression with grade": slope(default, enrolled, grade),
        "lot as instrument": (reduced / first, error / abs(first)),
    }


drawn = []
for effect in (TRUTH, 0.0):
    chance = np.random.default_rng(choices.seed)
    for number in range(WORLDS):
        for name, (value, error) in estimates(*world(chance, effect)).items():
            drawn.append({"effect": effect, "world": number, "method": name, "estimate": value, "error": error})
drawn = pd.DataFrame(drawn)
print(f"{WORLDS} worlds of {CLIENTS:,} clients with the effect and {WORLDS} without")

# %% [markdown]
# Each method's estimates over the worlds; the line is the truth. More clients would make the first two surer, and no
# truer.

# %%
figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
shown = drawn[drawn["effect"] == TRUTH]
for name, colour in zip(shown["method"].unique(), ("#D55E00", "#E69F00", "#0072B2"), strict=True):
    mine = shown.loc[shown["method"] == name, "estimate"]
    axes.hist(mine, bins=np.linspace(-5, 1, 49), color=colour, alpha=0.75, label=name)
axes.axvline(TRUTH, color="black", linewidth=1.5)
axes.set(xlabel="Estimate (percentage points of default)", ylabel="Worlds")
axes.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# Bias, how many intervals hold the truth, and how often an effect is seen where there is none.

# %%
drawn["holds"] = (drawn["estimate"] - drawn["effect"]).abs() < QUANTILE * drawn["error"]
summary = pd.DataFrame(
    {
        "mean estimate": shown.groupby("method")["estimate"].mean(),
        "truth": TRUTH,
        "bias": shown.groupby("method")["estimate"].mean() - TRUTH,
        "intervals that hold it (%)": 100 * drawn[drawn["effect"] == TRUTH].groupby("method")["holds"].mean(),
        "false alarms (%)": 100 - 100 * drawn[drawn["effect"] == 0].groupby("method")["holds"].mean(),
    }
)
assert abs(summary.loc["lot as instrument", "bias"]) < 0.2 < abs(summary.loc["regression with grade", "bias"])
summary.round(2)

# %% [markdown]
# ## What the reference study found
#
# The same comparison in its own worlds, with lenders, months, contacts and missing answers: the mean estimate as a
# multiple of the truth, for every method that names a percentage or ratio of default. One, the black line, is the
# truth.

# %%
rows = results.read(places.results("reference", "recovery"))
base = rows.where(specification="base", outcome=["default", "default_after_landmark"])
table = base.pivot_table(index=["estimator", "outcome"], columns="estimand", values="estimate")
told = rows.where(specification="all_scenarios").set_index(["estimator", "outcome"])
table["expected"] = told["estimand"].str.removeprefix("verdict_").str.replace("_", " ")
table["multiple"] = table["estimate"] / table["truth"]
table = table[table["multiple"].abs() < 5].sort_values("multiple")
figure, axes = plt.subplots(figsize=(7, 0.3 * len(table) + 0.9), layout="constrained")
colours = np.where(table["expected"] == "recovers", "#0072B2", "#D55E00")
labels = [name.replace("_", " ") for name, _ in table.index]
axes.scatter(table["multiple"], labels, c=colours, s=34, zorder=3)
axes.axvline(1, color="black", linewidth=1.5)
axes.axvline(0, color="black", linestyle=":", linewidth=1)
axes.set_xlabel("Mean estimate as a multiple of the truth (blue: expected to recover it)")
plt.show()

# %% [markdown]
# The numbers behind the figure. The notebook stops if a method that recovers lies further from the truth than one
# that the study expects to fail with controls alone; not where there are too few worlds to tell, for which
# `params.yaml` enforces no verdict either.

# %%
recovering = table[table["expected"] == "recovers"]
furthest = (recovering["multiple"] - 1).abs().max()
assert base["n"].max() < 20 or furthest < abs(table.loc[("linear_probability", "default"), "multiple"] - 1)
table[["estimate", "truth", "bias", "coverage", "multiple", "expected"]].round(3)
