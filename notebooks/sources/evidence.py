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
# The pages (`reports/index.html`) give each claim of the documents a verdict and say how sure the evidence is. This
# notebook takes the ledger of claims, the results tables and `params.yaml`, applies the rules of `docs/protocol.md`
# again in pandas and NumPy, and stops if one verdict differs. It imports nothing from `pipeline`.
#
# **To run it:** `make reproduce-all` makes all results and executes this notebook; `python -m pipeline notebooks`
# executes it alone. To work in it, use `make lab` and open `notebooks/evidence.ipynb`. Its source is
# `notebooks/sources/evidence.py`.

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
from ruamel.yaml import YAML

sns.set_theme(style="white", rc={"figure.dpi": 110})
yaml = YAML(typ="safe", pure=True)
choices = yaml.load(Path("params.yaml"))
margins, alpha = choices["evidence"]["margins"], 1 - choices["inference"]["level"]
studies = [*choices["studies"]["fetched"], *choices["studies"]["simulated"]]
protocols = {name: yaml.load(Path(f"pipeline/studies/{name}/params.yaml")) for name in studies}
simulated = [name for name in studies if protocols[name]["design"] == "simulated"]
text = dict(dtype=str, keep_default_na=False)
claims = pd.read_csv("data/claims.csv", **text).set_index("id")
bearings = pd.read_csv("data/claim_rows.csv", **text)
limits = pd.read_csv("data/claim_limits.csv", **text)
key = ["study", "stage", "estimator", "specification", "factor", "outcome", "estimand"]
numbers = ["estimate", "ci_low", "ci_high", "p_value", "p_adjusted", "n"]
tables = [
    pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in numbers})
    for study in studies
    for path in sorted(Path(f"reports/{study}/results").glob("*.csv"))
]
rows = pd.concat(tables, ignore_index=True)
rows[key] = rows[key].astype(str)
by_study = {study: part for study, part in rows.groupby("study")}
print(f"{len(claims)} claims, {len(bearings)} lines on what measures them, {len(rows):,} rows of results")

# %% [markdown]
# ## Which row decides
#
# For an effect of CRM on default: the lottery's own test where lots were drawn, else the regression with all controls
# on the largest sample. For an association: the same factor without controls. For what an effect depends on: the
# interaction. For prediction: the learner that the training loans chose, on loans that it has not seen. A line that
# names its row itself carries an argument.


# %%
def places(claim, line):
    """Return the rows that may decide, in order."""
    column = line.column
    if line.estimator:
        return [(line.stage, line.estimator, line.specification, column, line.outcome, line.estimand)]
    linear = ("linear_probability", column, "default", "risk_difference")
    rungs = [("regress", linear[0], rung, *linear[1:]) for rung in ("M5", "M4", "M3", "M2")]
    if claims.loc[claim, "class"] == "effect":
        lots = ("effects", "randomisation_test", "strata_rates", column, "default", "difference")
        return [lots, ("effects", "all_loans", "controls", *linear[1:]), *rungs]
    if claims.loc[claim, "class"] == "association":
        return [("effects", "all_loans", "alone", *linear[1:]), ("regress", linear[0], "M1", *linear[1:])]
    if claims.loc[claim, "class"] == "moderation":
        pair = ("heterogeneity", "interaction", line.moderator, column, "default")
        larger = ("effects", f"moderated_by_{line.moderator}", "interaction", column, "default", "risk_difference")
        return [larger, (*pair, "difference_per_standard_deviation"), (*pair, "last_against_first")]
    periods = ("out_of_time", "same_period", "same_period_spans")
    return [("predict", "chosen", period, column, line.outcome, line.estimand or "auc") for period in periods]


def look_up(study, place):
    found = by_study[study]
    for name, value in zip(key[1:], place, strict=True):
        if value:
            found = found[found[name] == value]
    return found[found["estimate"].notna()]


def deviation(study, factor):
    """Return a factor's standard deviation; None where it is yes or no, or not known."""
    if factor.endswith("]"):
        return None
    told = look_up(study, ("describe", "summary", None, factor, None, None)).set_index("estimand")["estimate"]
    if len(told):
        return None if told["binary"] else told["standard_deviation"]
    held = look_up(study, ("describe", "balance", "before", factor, None, "sd_control"))["estimate"]
    return held.iloc[0] if len(held) else None


rate = {
    name: look_up(name, ("describe", "default_rate", "before_00", "all", None, None))["estimate"].iloc[0]
    for name in studies
}
found = []
for line in bearings.itertuples():
    row = next(
        (some.iloc[0] for some in (look_up(line.study, one) for one in places(line.claim, line)) if len(some)), None
    )
    # A slope that the top 2.5% of loans make does not decide.
    if row is not None and claims.loc[line.claim, "class"] == "effect":
        slope = [
            look_up(line.study, ("robustness", "dose", name, line.column, None, None))
            for name in ("linear", "without_top")
        ]
        if all(map(len, slope)):
            clear = [bool(one["ci_low"].iloc[0] > 0 or one["ci_high"].iloc[0] < 0) for one in slope]
            row = slope[1].iloc[0] if clear == [True, False] else row
    scale = None
    if (
        row is not None
        and row["estimand"] in ("risk_difference", "change_per_unit")
        and row["unit"] != "percent for one percent"
    ):
        scale = deviation(line.study, line.moderator or line.column)
    here = {"claim": line.claim, "study": line.study, "reverse": line.reverse == "yes", "scale": scale or 1.0}
    found.append(here | ({} if row is None else row[key[1:] + numbers + ["unit"]].to_dict()))
found = pd.DataFrame(found)
found["class"] = found["claim"].map(claims["class"])
for name in ("estimate", "ci_low", "ci_high"):
    found[name] *= found["scale"]
print(f"{len(found)} deciding rows, {int(found['estimate'].isna().sum())} of them without a number")

# %% [markdown]
# ## The smallest difference that matters, and the correction for many tests


# %%
def margin(row):
    risk, share = rate[row.study] / 100, margins["default"]
    if row.outcome in ("interest_rate", "net_received", "loss_given_default"):
        return margins["interest_rate" if row.outcome == "interest_rate" else "received"]
    if row.unit in (
        "percentage points",
        "percent",
        "percent a step",
        "percent for one percent",
        "percent for one log point",
    ):
        return 100 * risk * share
    if row.unit == "squared error":
        return margins["squared_error"] * risk * (1 - risk)
    known = {"area": "area", "correlation": "correlation", "of 100 lent": "saved", "months": "months", "days": "days"}
    if row.unit in known:
        return margins[known[row.unit]]
    if "ratio" in row.unit or str(row.unit).startswith("log"):
        less = risk * (1 - share)
        odds = (risk / (1 - risk)) / (less / (1 - less))
        return -np.log(1 - share) if "rate" in row.unit else np.log(odds)
    return margins["others"]


def benjamini_hochberg(p):
    order = np.argsort(p)
    ranked = np.asarray(p)[order] * len(p) / np.arange(1, len(p) + 1)
    result = np.empty(len(p))
    result[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1)
    return result


def holm(p):
    order = np.argsort(p)
    ranked = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    result = np.empty(len(p))
    result[order] = np.minimum(np.maximum.accumulate(ranked), 1)
    return result


found["margin"] = [margin(row) if isinstance(row.unit, str) else np.nan for row in found.itertuples()]
# One coefficient is one piece of evidence, whatever it is called.
raw = [f"{row.study} {row.estimate / row.scale:.6g} {row.p_value} {row.n}" for row in found.itertuples()]
found["coefficient"] = raw
tested = found[~found["study"].isin(simulated) & found["p_value"].notna()].drop_duplicates("coefficient")
found["p_bh"] = found["coefficient"].map(
    dict(zip(tested["coefficient"], benjamini_hochberg(tested["p_value"]), strict=True))
)
family = found[
    (found["class"] == "effect") & (found["outcome"] == "default") & found["coefficient"].isin(tested["coefficient"])
]
family = family.drop_duplicates("coefficient")
found["p_holm"] = found["coefficient"].map(dict(zip(family["coefficient"], holm(family["p_value"]), strict=True)))
found["p"] = found["p_bh"].where(
    ~found["class"].isin(["effect", "moderation"]) | found["p_holm"].isna(), found["p_holm"]
)
pairs = (found["class"] == "moderation") & found["p_holm"].isna() & found["p_adjusted"].notna()
found["p"] = found["p"].where(~pairs, found["p_adjusted"])
found["p"] = found["p"].where(~found["study"].isin(simulated), found["p_value"])
print(f"{len(tested)} distinct tests at real lenders, {len(family)} of them of effects of CRM on default")

# %% [markdown]
# ## One verdict a row, one a study, one over all lenders
#
# A claim of several parts has the verdict of its worst part. Several lenders agree, contradict one another, or leave
# the claim open: one of them never outvotes the others.


# %%
def verdict(row, expected):
    if pd.isna(row.ci_low) or pd.isna(row.ci_high) or row.ci_low == row.ci_high:
        return "not_testable"
    ratio = "ratio" in row.unit and "log" not in row.unit
    half = row.estimand in ("auc", "area_under_curve", "share_of_screening") and row.specification != "gain"
    start = 1.0 if ratio else 0.5 if half else 0.0
    value, low, high = ((np.log(x) if ratio else x - start) for x in (row.estimate, row.ci_low, row.ci_high))
    p = 0.0 if pd.isna(row.p) else row.p
    if (low > 0 or high < 0) and p < alpha:
        side = "lower" if value < 0 else "higher"
        name = "supported" if expected in (side, "either") else "contradicted"
        return name if abs(value) >= row.margin else name + "_small"
    return "no_important_effect" if -row.margin < low and high < row.margin else "inconclusive"


turned = {"lower": "higher", "higher": "lower", "either": "either"}
signs = found["claim"].map(claims["expected_sign"])
signs = signs.where(~found["reverse"], signs.map(turned))
found["verdict"] = [verdict(row, sign) for row, sign in zip(found.itertuples(), signs, strict=True)]
worst = [
    "contradicted",
    "not_testable",
    "inconclusive",
    "contradicted_small",
    "no_important_effect",
    "supported_small",
    "supported",
]
found["rank"] = found["verdict"].map(worst.index)
again = found.loc[found.groupby(["claim", "study"])["rank"].idxmin()].set_index(["claim", "study"])["verdict"]
written = pd.read_csv("reports/evidence/results/verdicts.csv", keep_default_na=False).set_index(["claim", "study"])
both = written.join(again.rename("again"), how="inner")
both = both[both["class"] != "requirement"]
assert (both["verdict"] == both["again"]).all(), both.loc[both["verdict"] != both["again"], ["verdict", "again"]]
print(f"{len(both)} verdicts of single studies derived again, all the same")


# %%
def together(told):
    """Put the verdicts of real lenders together, where measures are unlike."""
    kinds = set(told)
    if not kinds:
        return None
    if len(kinds) == 1:
        return told[0]
    if {"supported", "contradicted"} <= kinds:
        return "mixed"
    for name in ("supported", "contradicted"):
        if kinds <= {name, f"{name}_small"}:
            return f"{name}_small"
    small = {"supported_small", "contradicted_small", "no_important_effect"}
    return "no_important_effect" if kinds <= small else "inconclusive"


real = both[~both.index.get_level_values("study").isin(simulated) & (both["again"] != "not_testable")]
overall = written.xs("overall", level="study")
apart = overall[(overall["class"] != "requirement") & (overall["estimator"] != "random_effects")]
derived = real["again"].groupby(level="claim").agg(lambda told: together(list(told)))
joined = apart.join(derived.rename("again"), how="inner")
assert (joined["verdict"] == joined["again"]).all(), joined.loc[
    joined["verdict"] != joined["again"], ["verdict", "again"]
]
silent = apart.loc[apart.index.difference(derived.index), "verdict"]
assert silent.isin(["simulated_only", "not_testable"]).all(), silent
print(f"{len(joined)} verdicts over all lenders derived again, {len(silent)} without any real lender")

# %% [markdown]
# Like measures of prediction are pooled: random effects with the interval of Hartung and Knapp. Here the variance
# between lenders is Paule and Mandel's, found by bisection.

# %%
from scipy.stats import norm
from scipy.stats import t as student


def pooled(values, errors):
    def excess(tau2):
        weight = 1 / (errors**2 + tau2)
        mean = (weight * values).sum() / weight.sum()
        return (weight * (values - mean) ** 2).sum() - (len(values) - 1)

    low, high = 0.0, 10 * values.var() + 1e-12
    if excess(0) > 0:
        for _ in range(200):
            low, high = ((low + high) / 2, high) if excess((low + high) / 2) > 0 else (low, (low + high) / 2)
    tau2 = 0.0 if excess(0) <= 0 else (low + high) / 2
    weight = 1 / (errors**2 + tau2)
    mean = (weight * values).sum() / weight.sum()
    scatter = (weight * (values - mean) ** 2).sum() / (len(values) - 1)
    error = np.sqrt(max(scatter, 1.0) / weight.sum())
    return mean, error * student.ppf(1 - alpha / 2, len(values) - 1)


for claim, line in overall[overall["estimator"] == "random_effects"].iterrows():
    mine = found[(found["claim"] == claim) & ~found["study"].isin(simulated) & (found["ci_high"] > found["ci_low"])]
    errors = (mine["ci_high"] - mine["ci_low"]).to_numpy() / 2 / norm.ppf(1 - alpha / 2)
    mean, reach = pooled(mine["estimate"].to_numpy(), errors)
    assert np.allclose(
        [mean, mean - reach, mean + reach], [float(line[name]) for name in ("estimate", "ci_low", "ci_high")], atol=1e-6
    ), claim
    print(f"{claim}: {mean:.4f} ({mean - reach:.4f} to {mean + reach:.4f}) over {len(mine)} lenders, {line['verdict']}")

# %% [markdown]
# ## Certainty
#
# It starts with the design for effects, high for what goes together or foretells, and falls a step for each kind of
# reason. The reasons that need no judgement are derived again: what stands for the practice, a selected file, an
# interval that leaves the answer open.

# %%
levels = ["very_low", "low", "moderate", "high"]
starts = {"randomised": "high", "matched_observational": "low", "descriptive": "high"}
proxies = set(
    zip(limits.loc[limits["answer"] == "proxy", "claim"], limits.loc[limits["answer"] == "proxy", "study"], strict=True)
)
selected = set(limits.loc[limits["answer"] == "selected", "study"])
for (claim, study), line in real.iterrows():
    reasons = line["why"].split()
    assert ("indirectness" in reasons) == ((claim, study) in proxies), (claim, study)
    assert ("selection" in reasons) == (study in selected), (claim, study)
    if line["verdict"] == "inconclusive":
        assert "imprecision" in reasons, (claim, study)
    steps = len({reason.split(":")[0] for reason in reasons})
    assert line["certainty"] == levels[max(levels.index(starts[line["design"]]) - steps, 0)], (claim, study)
print(f"{len(real)} certainties follow from design and reasons")

# %% [markdown]
# ## The map
#
# Claims on which some study has a row, by study; simulated lenders stand to the right of the line and are no evidence
# about the world.

# %%
shown = both.reset_index()
shown = shown[shown["verdict"] != "not_testable"]
listed = [name for name in claims.index if name in set(shown["claim"])]
marks = {
    "supported": ("o", "#0072B2", True),
    "supported_small": ("o", "#0072B2", False),
    "contradicted": ("X", "#D55E00", True),
    "contradicted_small": ("x", "#D55E00", True),
    "no_important_effect": ("s", "#009E73", True),
    "inconclusive": ("o", "#777777", False),
}
figure, axes = plt.subplots(figsize=(5.5, 0.19 * len(listed) + 0.8), layout="constrained")
for name, (shape, colour, full) in marks.items():
    mine = shown[shown["verdict"] == name]
    axes.scatter(
        mine["study"].map(studies.index),
        mine["claim"].map(listed.index),
        marker=shape,
        s=38,
        facecolors=colour if full else "none",
        **({} if shape == "x" else {"edgecolors": colour}),
        label=name.replace("_", " "),
    )
axes.axvline(studies.index(simulated[0]) - 0.5, color="black", linestyle="--", linewidth=1)
axes.set_xticks(range(len(studies)), [name.replace("_", "\n") for name in studies], fontsize=8)
axes.set_yticks(range(len(listed)), listed, fontsize=7)
axes.set_ylim(len(listed) - 0.5, -0.5)
axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
sns.despine()
plt.show()

# %% [markdown]
# ## Effects of CRM on default
#
# Every deciding number of the class, in percentage points of default (per standard deviation where the practice has
# many values), with the smallest difference that matters in grey: what lies within it does not matter, whatever its
# p-value.

# %%
effects = family.copy()
sign = np.where(effects["reverse"], -1, 1)
effects["label"] = effects["study"].str.replace("_", " ") + ": " + effects["factor"].str.replace("_", " ")
effects = effects.assign(value=effects["estimate"] * sign, reach=(effects["ci_high"] - effects["ci_low"]) / 2)
effects = effects.sort_values(["study", "value"], ascending=[True, False]).reset_index(drop=True)
figure, axes = plt.subplots(figsize=(7, 0.3 * len(effects) + 0.8), layout="constrained")
axes.barh(effects.index, 2 * effects["margin"], left=-effects["margin"], color="#dddddd", height=0.8)
axes.errorbar(effects["value"], effects.index, xerr=effects["reach"], fmt="o", color="black", markersize=4, linewidth=1)
axes.axvline(0, color="black", linewidth=0.8)
axes.set_yticks(effects.index, effects["label"], fontsize=8)
axes.set_xlabel("Percentage points of default; left of the line the practice goes with less")
sns.despine()
plt.show()

# %% [markdown]
# ## All verdicts over real lenders, by class

# %%
pd.crosstab(overall["class"], overall["verdict"])
