# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The verdicts, derived again
#
# The pages (`reports/index.html`) give each claim of the documents a verdict. This notebook takes the ledger of
# claims, the rows that decide them and the results tables, applies the rule again in a few lines of pandas that share
# nothing with the pipeline's rules, and stops if one verdict differs.
#
# **To run it:** `make reproduce-all` makes all results and executes this notebook; `python -m pipeline notebooks`
# executes it alone. To work in it, use `make lab` and open `notebooks/evidence.ipynb`. Its source is
# `notebooks/sources/evidence.py`.

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

from pipeline.core import params
from pipeline.runtime import places

sns.set_theme(style="white", rc={"figure.dpi": 110})
choices = params.load()
studies = choices.synthesis.studies
alpha = 1 - choices.inference.level
text = dict(dtype=str, keep_default_na=False)
claims = pd.read_csv("data/claims.csv", **text).set_index("id")
selectors = pd.read_csv("data/claim_rows.csv", **text)
verdicts = pd.read_csv(places.results("evidence", "verdicts"), keep_default_na=False)
key = ["study", "stage", "estimator", "specification", "factor", "outcome", "estimand"]
numbers = ["estimate", "ci_low", "ci_high", "p_value", "p_adjusted"]
tables = []
for study in studies:
    tables += [
        pd.read_csv(
            path,
            dtype=dict.fromkeys([*key, "unit"], str) | dict.fromkeys(numbers, float),
            keep_default_na=False,
            na_values={name: [""] for name in numbers},
        )
        for path in sorted(places.results(study, "any").parent.glob("*.csv"))
    ]
rows = pd.concat(tables, ignore_index=True)
print(f"{len(claims)} claims, {len(selectors)} selectors, {len(rows):,} rows of results")

# %% [markdown]
# ## One rule, applied again
#
# A claim of one number is supported where the whole interval lies on the side that it names, contradicted where it
# lies on the other, and open where it includes no effect (one for ratios, zero otherwise), or where the p-value that
# is adjusted for its family says so. Claims of several parts, trends and thresholds have rules of their own; here
# stand those of one number.


# %%
def judged(row, expected):
    middle = 1.0 if "ratio" in row.unit and "log" not in row.unit else 0.0
    clear = (row.ci_high < middle or row.ci_low > middle) and not row.p_adjusted >= alpha
    if not clear:
        return "inconclusive"
    return "supported" if (row.ci_high < middle) == (expected == "lower") else "contradicted"


rules = claims["rule"]
single = selectors[
    (selectors["claim"].map(rules) == "interval")
    & (selectors["role"] == "primary")
    & (selectors["threshold"] == "")
    & selectors["expected"].isin(["lower", "higher"])
]
found = single.merge(rows, on=key, how="left", suffixes=("", "_row"))
found = found[found["ci_low"].notna() & found["ci_high"].notna()]
found["again"] = [judged(row, row.expected) for row in found.itertuples()]
both = found.merge(verdicts[["claim", "study", "verdict"]], on=["claim", "study"])
assert (both["again"] == both["verdict"]).all(), both.loc[both["again"] != both["verdict"], ["claim", "study"]]
print(f"{len(both)} verdicts of one number derived again, all the same")
pd.crosstab(both["study"], both["again"]).reindex(studies).fillna(0).astype(int)

# %% [markdown]
# ## The map
#
# Each row is a claim on which some study has a row, each column a study: full circles support, crosses contradict,
# open circles are undecided; simulated lenders stand to the right and are no evidence about the world.

# %%
shown = verdicts[(verdicts["study"] != "overall") & verdicts["claim"].map(claims["kind"]).ne("method")]
shown = shown[shown["verdict"] != "not_testable"]
listed = [name for name in claims.index if name in set(shown["claim"])]
marks = {
    "supported": ("o", "#0072B2", True),
    "contradicted": ("X", "#D55E00", True),
    "inconclusive": ("o", "#777777", False),
}
figure, axes = plt.subplots(figsize=(5, 0.19 * len(listed) + 0.8), layout="constrained")
for verdict, (shape, colour, full) in marks.items():
    mine = shown[shown["verdict"] == verdict]
    axes.scatter(
        mine["study"].map(studies.index),
        mine["claim"].map(listed.index),
        marker=shape,
        s=38,
        facecolors=colour if full else "none",
        edgecolors=colour,
        label=verdict,
    )
other = shown[~shown["verdict"].isin(list(marks))]
axes.scatter(
    other["study"].map(studies.index),
    other["claim"].map(listed.index),
    marker="D",
    s=20,
    color="#009E73",
    label="other",
)
simulated = [name for name in studies if choices.study(name).simulated]
axes.axvline(studies.index(simulated[0]) - 0.5, color="black", linestyle="--", linewidth=1)
axes.set_xticks(range(len(studies)), [name.replace("_", "\n") for name in studies], fontsize=8)
axes.set_yticks(range(len(listed)), listed, fontsize=7)
axes.set_ylim(len(listed) - 0.5, -0.5)
axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
sns.despine()
plt.show()

# %% [markdown]
# ## How clear each answer is
#
# Distance of the deciding number from no effect, in standard errors as its interval tells them, in the direction of
# the claim: what lies right of the dotted lines supports it, what lies left of them contradicts it. Real lenders
# only.

# %%
real = both[~both["study"].isin(simulated)].copy()
ratio = real["unit"].str.contains("ratio") & ~real["unit"].str.contains("log")
low, high = (np.where(ratio, np.log(real[name].where(ratio, 1.0)), real[name]) for name in ("ci_low", "ci_high"))
quantile = NormalDist().inv_cdf(1 - alpha / 2)
real["distance"] = (low + high) / 2 / ((high - low) / 2 / quantile) * np.where(real["expected"] == "lower", -1, 1)
real["label"] = real["claim"] + ", " + real["study"].str.replace("_", " ")
real = real.sort_values(["distance", "label"])
figure, axes = plt.subplots(figsize=(6.5, 0.24 * len(real) + 0.8), layout="constrained")
colours = real["verdict"].map({name: mark[1] for name, mark in marks.items()})
axes.hlines(real["label"], 0, real["distance"], color=colours)
axes.scatter(real["distance"], real["label"], c=colours, s=30, zorder=3)
axes.axvline(0, color="black", linewidth=1)
for edge in (-quantile, quantile):
    axes.axvline(edge, color="black", linestyle=":", linewidth=1)
axes.set_xscale("symlog", linthresh=3)
axes.set_xlabel("Standard errors in the direction of the claim")
sns.despine()
plt.show()

# %% [markdown]
# ## All verdicts over real lenders
#
# How many claims of each kind came out which way; most cannot be decided with any public data.

# %%
overall = verdicts[verdicts["study"] == "overall"]
pd.crosstab(overall["claim"].map(claims["kind"]), overall["verdict"])
