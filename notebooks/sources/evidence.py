# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # The verdicts, derived again
#
# **The question.** The [pages](../reports/index.html) give each claim of the documents a verdict and say how certain the
# evidence is. Do the rules of `docs/protocol.md` lead to these verdicts?
#
# **The data.** The ledger of claims, what measures each of them in which study, and the results tables of all studies.
# This notebook applies the rules again in pandas and NumPy, and stops if one verdict differs. It imports nothing from
# `pipeline`; its labels come from the files of words.
#
# **To run it:** `make reproduce-all`, then `make lab`, and open `notebooks/evidence.ipynb`. Its source is
# `notebooks/sources/evidence.py`.

# %% [markdown] lang="zh"
# # 重新推出全部结论
#
# **问题。** [网页](../reports/index.zh.html)对文献的每个论断给出结论，并说明证据的确定性。按`docs/protocol.md`的规则，得到的确是这些结论吗？
#
# **数据。** 论断清单、各项研究中由什么测量每个论断，以及全部研究的结果表。本笔记本用pandas与NumPy重新应用这些规则，只要有一个结论不同就停止。它不调用`pipeline`的任何代码，标签取自文字文件。
#
# **运行方法：** 先`make reproduce-all`，再`make lab`，打开`notebooks/evidence.zh.ipynb`。源文件是`notebooks/sources/evidence.py`。

# %%
language = "en"

import os
import textwrap
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

fonts = ["Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "DejaVu Sans"]
sns.set_theme(style="white", rc={"figure.constrained_layout.use": True, "font.sans-serif": fonts})
yaml = YAML(typ="safe", pure=True)
words = yaml.load(Path(f"pipeline/present/words/{language}/evidence.yaml"))
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

# %% lang="en"
print(f"{len(claims)} claims, {len(bearings)} lines on what measures them, {len(rows):,} rows of results.")

# %% lang="zh"
print(f"共{len(claims)}条论断，{len(bearings)}行说明由什么测量，{len(rows):,}行结果。")

# %% [markdown] lang="en"
# ## Which row decides
#
# For an effect of CRM on default: the randomisation's own regression where chance decided, else the regression with all
# controls on the largest sample. For an association: the same factor without controls. For what an effect depends on: the
# interaction. For prediction: the learner that the training loans chose, on loans that it has not seen. A line that names
# its row itself carries an argument.

# %% [markdown] lang="zh"
# ## 由哪一行判定
#
# 客户关系管理对违约的效应：有随机分配之处取随机分配自身的回归，没有则取最大样本上控制全部变量的回归。相关：同一因素，不加控制。效应取决于什么：交互项。预测：由训练贷款选出的模型，用在它未见过的贷款上。自行指明结果行的，都附有理由。


# %%
def places(claim, line):
    """Return the rows that may decide, in order."""
    column = line.column
    if line.estimator:
        return [(line.stage, line.estimator, line.specification, column, line.outcome, line.estimand)]
    linear = ("linear_probability", column, "default", "risk_difference")
    # Penalised likelihood, where all loans of a group end alike, goes before the linear regression.
    rungs = [
        ("regress", estimator, rung, *linear[1:])
        for rung in ("M5", "M4", "M3", "M2", "M1")
        for estimator in ("firth", linear[0])
    ]
    if claims.loc[claim, "class"] == "effect":
        randomised = ("effects", "randomisation_test", "strata_rates", column, "default", "difference")
        return [randomised, ("effects", "all_loans", "controls", *linear[1:]), *rungs[:-2]]
    if claims.loc[claim, "class"] == "association":
        return [("effects", "all_loans", "alone", *linear[1:]), *rungs[-2:]]
    if claims.loc[claim, "class"] == "moderation":
        pair = ("heterogeneity", "interaction", line.moderator, column, "default")
        larger = ("effects", f"moderated_by_{line.moderator}", "interaction", column, "default", "risk_difference")
        return [larger, (*pair, "difference_per_standard_deviation"), (*pair, "last_against_first")]
    periods = ("out_of_time", "same_period", "same_period_spans")
    return [("predict", "chosen", period, column, line.outcome, line.estimand or "auc") for period in periods]


# %% [markdown] lang="en"
# A row is looked up by its names. A practice with many values has a standard deviation, by which its slope is scaled.

# %% [markdown] lang="zh"
# 按名称查找结果行。做法有多个取值时，其斜率按标准差换算。


# %%
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


# %% [markdown] lang="en"
# Now each line of the ledger finds its row.

# %% [markdown] lang="zh"
# 下面为清单的每一行找到它的结果行。

# %%
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

# %% lang="en"
print(f"{len(found)} deciding rows, {int(found['estimate'].isna().sum())} of them without a number.")

# %% lang="zh"
print(f"判定行共{len(found)}行，其中{int(found['estimate'].isna().sum())}行没有数字。")

# %% [markdown] lang="en"
# ## The smallest difference that matters, and the correction for many tests
#
# Each measure has a smallest difference that matters, a share of the default rate of its study or a number of
# `params.yaml`. P-values of real lenders are corrected over all distinct tests (Benjamini-Hochberg), effects on default
# within their family (Holm).

# %% [markdown] lang="zh"
# ## 有意义的最小差异，以及多重检验的校正
#
# 每种测量都有一个有意义的最小差异：其研究违约率的一定比例，或`params.yaml`中的一个数。真实机构的p值对全部互异的检验校正（Benjamini-Hochberg），对违约的效应在其检验族内校正（Holm）。


# %%
def margin(row):
    risk, share = rate[row.study] / 100, margins["default"]
    if row.outcome == "interest_rate":
        # A year's; some lenders state their rates a month.
        return margins["interest_rate"] * protocols[row.study].get("rate_months", 12) / 12
    if row.outcome in ("net_received", "loss_given_default"):
        return margins["received"]
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


# %% [markdown] lang="en"
# Two corrections of p-values for many tests.

# %% [markdown] lang="zh"
# 两种针对多重检验的p值校正。


# %%
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


# %% [markdown] lang="en"
# Each number gets its smallest difference that matters and its corrected p-value.

# %% [markdown] lang="zh"
# 为每个数字求出有意义的最小差异与校正后的p值。

# %%
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

# %% lang="en"
print(f"{len(tested)} distinct tests at real lenders, {len(family)} of them of effects of CRM on default.")

# %% lang="zh"
print(f"真实机构共有{len(tested)}个互异的检验，其中{len(family)}个检验客户关系管理对违约的效应。")

# %% [markdown] lang="en"
# ## One verdict a row, one a study
#
# A number supports a claim where its confidence interval lies on the expected side, its corrected p-value is small and it
# is large enough to matter. A claim of several parts has the verdict of its worst part.

# %% [markdown] lang="zh"
# ## 每行一个结论，每项研究一个结论
#
# 置信区间在预期的一侧、校正后的p值足够小、幅度有意义，这个数字就支持论断。由几部分组成的论断，取其最差部分的结论。


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
    if not -row.margin < low <= high < row.margin:
        return "inconclusive"
    # Another adjustment of the same effect must not allow one that matters.
    return "inconclusive" if row.beside_low <= -row.margin or row.beside_high >= row.margin else "no_important_effect"


# %% [markdown] lang="en"
# A number of an effect that is adjusted for covariates also has the doubly robust estimate beside it. The verdict of each
# number comes first, then of each claim in each study, held against the published ones.

# %% [markdown] lang="zh"
# 经协变量调整的效应，旁边还有双重稳健估计。先是每个数字的结论，再是每个论断在每项研究中的结论，并与公布的结论对照。

# %%


def doubly_robust(row):
    """The interval of the doubly robust estimate of a treatment's effect; none for another number."""
    protocol, name = protocols[row.study], row.factor
    treatment = name in ("treated", (protocol["treatment"] or {}).get("factor"))
    randomised = name == "treated" and protocol["design"] == "randomised"
    if row["class"] == "effect" and row.outcome == "default" and treatment and not randomised and row.scale == 1:
        place = ("adjust", "doubly_robust", "controls", "treated", None, "risk_difference_of_treated")
        for _, held in look_up(row.study, place).iterrows():
            return held["ci_low"], held["ci_high"]
    return np.nan, np.nan


found[["beside_low", "beside_high"]] = [doubly_robust(row) for _, row in found.iterrows()]
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

# %% lang="en"
print(f"{len(both)} verdicts of single studies are derived again, and all agree with the published ones.")

# %% lang="zh"
print(f"重新推出单项研究的{len(both)}个结论，与公布的全部一致。")

# %% [markdown] lang="en"
# ## One verdict over all lenders
#
# Several lenders agree, contradict one another, or leave the claim open: one of them never outvotes the others.

# %% [markdown] lang="zh"
# ## 全部机构合为一个结论
#
# 几家机构或者一致，或者相反，或者未能判定：任何一家都不能压倒其他。


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

# %% lang="en"
print(f"{len(joined)} verdicts over all lenders are derived again and agree; {len(silent)} claims have no real lender.")

# %% lang="zh"
print(f"重新推出全部机构合计的{len(joined)}个结论，全部一致；另有{len(silent)}条论断没有真实机构可以判定。")

# %% [markdown] lang="en"
# ## Like measures are pooled
#
# Like measures of prediction are pooled over lenders: random effects with the interval of Hartung and Knapp. Here the
# variance between lenders is Paule and Mandel's, found by bisection.

# %% [markdown] lang="zh"
# ## 同类测量予以合并
#
# 各机构同类的预测指标予以合并：随机效应模型，区间用Hartung与Knapp的方法。机构之间的方差用Paule与Mandel的方法，这里以二分法求得。

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


means = {}
for claim, line in overall[overall["estimator"] == "random_effects"].iterrows():
    mine = found[(found["claim"] == claim) & ~found["study"].isin(simulated) & (found["ci_high"] > found["ci_low"])]
    errors = (mine["ci_high"] - mine["ci_low"]).to_numpy() / 2 / norm.ppf(1 - alpha / 2)
    mean, reach = pooled(mine["estimate"].to_numpy(), errors)
    assert np.allclose(
        [mean, mean - reach, mean + reach], [float(line[name]) for name in ("estimate", "ci_low", "ci_high")], atol=1e-6
    ), claim
    means[claim] = mean, reach, len(mine), line["verdict"]

# %% lang="en"
for claim, (mean, reach, lenders, verdict_of) in means.items():
    told = words["verdicts"][verdict_of]
    print(f"{claim}: {mean:.3f} (95% CI {mean - reach:.3f} to {mean + reach:.3f}) over {lenders} lenders, {told}.")

# %% lang="zh"
for claim, (mean, reach, lenders, verdict_of) in means.items():
    told = words["verdicts"][verdict_of]
    print(f"{claim}：{lenders}家机构合并为{mean:.3f}（95%置信区间为{mean - reach:.3f}至{mean + reach:.3f}），{told}。")

# %% [markdown] lang="en"
# ## Certainty
#
# It starts with the design for effects, high for associations and predictions, and falls a step for each kind of reason.
# The reasons that need no judgement are derived again: what is a proxy for the practice, a selected file, an interval
# that leaves the answer open.

# %% [markdown] lang="zh"
# ## 确定性
#
# 效应的确定性从研究设计开始，相关与预测从“高”开始，每有一类理由降一级。不需要判断的理由在此重新推出：以代理变量测量、样本因贷款结果而入选、区间未能判定。

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

# %% lang="en"
print(f"All {len(real)} certainties follow from design and reasons.")

# %% lang="zh"
print(f"{len(real)}个确定性都由设计与理由得出。")

# %% [markdown] lang="en"
# ## The map
#
# Claims on which some study has a row, by study. Simulated lenders stand to the right of the dashed line and are no
# evidence about the world.

# %% [markdown] lang="zh"
# ## 证据图
#
# 至少有一项研究可以判定的论断，按研究列出。虚线右边是模拟机构，不是关于现实的证据。

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
figure, axes = plt.subplots(figsize=(4.8, 0.19 * len(listed) + 1.6))
for name, (shape, colour, full) in marks.items():
    mine = shown[shown["verdict"] == name]
    axes.scatter(
        mine["study"].map(studies.index),
        mine["claim"].map(listed.index),
        marker=shape,
        s=38,
        facecolors=colour if full else "none",
        **({} if shape == "x" else {"edgecolors": colour}),
        label=words["verdicts"][name],
    )
axes.axvline(studies.index(simulated[0]) - 0.5, color="black", linestyle="--", linewidth=1)
axes.set_xticks(range(len(studies)), [words["short"][name] for name in studies], fontsize=8, rotation=40, ha="right")
axes.set_yticks(range(len(listed)), listed, fontsize=7)
axes.set_ylim(len(listed) - 0.5, -0.5)
figure.legend(loc="outside upper left", frameon=False, fontsize=8, ncols=2)
sns.despine()
plt.show()
at_lenders = shown.loc[~shown["study"].isin(simulated), "verdict"].value_counts()

# %% lang="en"
told = "; ".join(f"{count} {words['verdicts'][name]}" for name, count in at_lenders.items())
print(f"Verdicts of single real lenders: {told}.")

# %% lang="zh"
told = "；".join(f"{words['verdicts'][name]}，{count}个" for name, count in at_lenders.items())
print(f"单个真实机构的结论：{told}。")

# %% [markdown] lang="en"
# ## Effects of CRM on default
#
# Every deciding number of the class with its confidence interval, in percentage points of default (per standard deviation
# where the practice has many values); left of zero, default is lower with the practice. The grey bar is the smallest
# difference that matters: what lies within it does not matter, whatever its p-value.

# %% [markdown] lang="zh"
# ## 客户关系管理对违约的效应
#
# 这一类的每个判定数字及其置信区间，以违约率的百分点计（做法有多个取值时，按一个标准差计），零以左表示有该做法者违约较少。灰条是有意义的最小差异：落在其中的，无论p值多小都无关紧要。

# %% lang="en"
POINTS, WIDTH = "Percentage points of default", 30

# %% lang="zh"
POINTS, WIDTH = "违约率的百分点", 18

# %%
columns = {"": yaml.load(Path(f"pipeline/present/words/{language}/common.yaml"))["labels"]["columns"]}
for name in studies:
    own = yaml.load(Path(f"pipeline/studies/{name}/words.{language}.yaml")).get("labels", {})
    columns[name] = columns[""] | own.get("columns", {}) | words["factors"] | {"treated": words["treatments"][name]}


def label(row):
    """What a number measures, and where, on lines that fit."""
    whole = words["short"][row["study"]] + words["colon"] + columns[row["study"]].get(row["factor"], row["factor"])
    return "\n".join(textwrap.wrap(whole, WIDTH))


effects = family.copy()
sign = np.where(effects["reverse"], -1, 1)
ends = np.sort(effects[["ci_low", "ci_high"]].to_numpy() * sign[:, None], axis=1)
effects = effects.assign(value=effects["estimate"] * sign, low=ends[:, 0], high=ends[:, 1])
effects = effects.sort_values(["study", "value"], ascending=[True, False]).reset_index(drop=True)
figure, axes = plt.subplots(figsize=(4.8, 0.36 * len(effects) + 0.8))
axes.barh(effects.index, 2 * effects["margin"], left=-effects["margin"], color="#dddddd", height=0.8)
reach = [effects["value"] - effects["low"], effects["high"] - effects["value"]]
axes.errorbar(effects["value"], effects.index, xerr=reach, fmt="o", color="black", markersize=4, linewidth=1)
axes.axvline(0, color="black", linewidth=0.8)
axes.set_yticks(effects.index, [label(row) for _, row in effects.iterrows()], fontsize=8)
axes.set_xlabel(POINTS)
sns.despine()
plt.show()
beyond = ((effects["low"] > 0) | (effects["high"] < 0)).sum()

# %% lang="en"
print(f"Of {len(effects)} numbers, {beyond} have an interval that excludes zero before any correction for many tests.")

# %% lang="zh"
print(f"{len(effects)}个数字中，有{beyond}个的区间在多重检验校正之前不含零。")

# %% [markdown] lang="en"
# ## All verdicts over real lenders, by class
#
# How many claims of each class ended how, over all real lenders together.

# %% [markdown] lang="zh"
# ## 真实机构合计的全部结论，按论断类别
#
# 真实机构合计，各类论断各有多少条得到何种结论。

# %%
counts = pd.crosstab(overall["verdict"], overall["class"]).rename_axis(None, axis=1).rename_axis(None)
counts.rename(index=words["verdicts"], columns=words["kinds"])

# %% lang="en"
print(
    f"All verdicts on {len(overall)} claims are accounted for: {len(joined) + len(silent) + len(means)} by the rules above,"
)
print(f"{(overall['class'] == 'requirement').sum()} as requirements on the method, which no number decides.")

# %% lang="zh"
print(f"{len(overall)}条论断的结论全部有据：{len(joined) + len(silent) + len(means)}条由以上规则得出，")
print(f"{(overall['class'] == 'requirement').sum()}条是方法要求，不由数字判定。")
