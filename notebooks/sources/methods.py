# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # Why some methods find the truth and others do not
#
# **The question.** Which methods recover an effect of customer relationship management on default, and why do the
# others miss it? The [page of methods](../reports/evidence/methods.html) says which do in the worlds of the reference
# study.
#
# **The data.** Everything here is simulated, so the truth is known; nothing is evidence about the world. First come the
# smallest worlds that show why: clients whose creditworthiness is partly hidden, and a programme that some are invited
# to at random. Then comes what the reference study found in its own worlds.
#
# **To run it:** `make reproduce-all`, then `make lab`, and open `notebooks/methods.ipynb`. Its source is
# `notebooks/sources/methods.py`. It imports nothing of the pipeline.

# %% [markdown] lang="zh"
# # 为什么有的方法能找到真相，有的不能
#
# **问题。** 哪些方法能还原客户关系管理对违约的效应？其余的为什么会错过？[方法一页](../reports/evidence/methods.zh.html)列出哪些方法在模拟研究的世界中能够还原。
#
# **数据。** 这里的一切都是模拟的，因此真相已知；没有任何内容是关于现实的证据。先看足以说明原因的最小世界：客户的信用状况有一部分看不见，有些人随机受邀参加项目。再看模拟研究在自己的世界中发现了什么。
#
# **运行方法：** 先`make reproduce-all`，再`make lab`，打开`notebooks/methods.zh.ipynb`。源文件是`notebooks/sources/methods.py`，不调用流水线的任何代码。

# %%
language = "en"

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
from ruamel.yaml import YAML

fonts = ["Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "DejaVu Sans"]
size = {"figure.figsize": (4.8, 2.8), "figure.constrained_layout.use": True, "font.sans-serif": fonts}
sns.set_theme(style="whitegrid", font_scale=0.9, rc=size)
yaml = YAML(typ="safe", pure=True)
choices = yaml.load(Path("params.yaml"))

# %% [markdown] lang="en"
# ## A world in four lines
#
# A client's hidden strength lowers default and makes the client enrol; the lender's grade shows half of it. A random
# invitation opens the door to the programme and changes nothing else. The programme lowers default by the same points
# for everyone.

# %% [markdown] lang="zh"
# ## 四行代码的世界
#
# 客户看不见的实力既降低违约，也促使其加入；机构的等级只反映它的一半。随机的邀请打开项目的大门，不改变其他任何事情。项目使每个人的违约率降低同样的百分点。

# %%
TRUTH, CLIENTS, WORLDS = -2.0, 20_000, 200


def world(chance, effect):
    """One world: grade, invitation, enrolment and default (in percent) of each client."""
    hidden = chance.normal(size=CLIENTS)
    grade = hidden + chance.normal(size=CLIENTS)
    invited = chance.integers(0, 2, CLIENTS)
    enrolled = (0.5 * hidden + 2.5 * (invited - 0.5) + chance.logistic(size=CLIENTS) > 0).astype(float)
    default = 100.0 * (100 * chance.uniform(size=CLIENTS) < 10 - 3 * hidden + effect * enrolled)
    return grade, invited, enrolled, default


grade, _, enrolled, default = world(np.random.default_rng(choices["seed"]), TRUTH)

# %% lang="en"
print(
    f"In one such world {100 * enrolled.mean():.0f}% of {CLIENTS:,} clients enrol and {default.mean():.1f}% default; the mean "
    f"grade of those enrolled is {grade[enrolled == 1].mean():.2f}, of the others {grade[enrolled == 0].mean():.2f}."
)

# %% lang="zh"
print(
    f"在一个这样的世界里，{CLIENTS:,}位客户中有{100 * enrolled.mean():.0f}%加入，{default.mean():.1f}%违约；"
    f"加入者的平均等级为{grade[enrolled == 1].mean():.2f}，其他人为{grade[enrolled == 0].mean():.2f}。"
)

# %% [markdown] lang="en"
# ## Three methods
#
# The raw difference; a regression that also holds the grade fixed; and the invitation as an instrument: how much default
# differs between invited and not, divided by how much enrolment does. Each comes with a robust standard error.

# %% [markdown] lang="zh"
# ## 三种方法
#
# 原始差异；把等级也固定下来的回归；以邀请为工具变量，即受邀者与未受邀者的违约率之差，除以两者的加入率之差。每种方法都附稳健标准误。

# %%


def slope(y, *columns):
    """Least squares: the coefficient of the first column, with its robust standard error."""
    design = np.column_stack([*columns, np.ones(len(y))])
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ y
    half = inverse @ (design * (y - design @ coefficients)[:, None]).T
    return coefficients[0], np.sqrt((half @ half.T)[0, 0])


def estimates(grade, invited, enrolled, default):
    """Estimate and standard error of each method."""
    first, _ = slope(enrolled, invited)
    reduced, error = slope(default, invited)
    return slope(default, enrolled), slope(default, enrolled, grade), (reduced / first, error / abs(first))


# %% lang="en"
METHODS = ["raw difference", "regression with grade", "invitation as instrument"]

# %% lang="zh"
METHODS = ["原始差异", "控制等级的回归", "以邀请为工具变量"]

# %%
drawn = []
for effect in (TRUTH, 0.0):
    chance = np.random.default_rng(choices["seed"])
    for _ in range(WORLDS):
        found = zip(METHODS, estimates(*world(chance, effect)), strict=True)
        drawn += [(effect, method, *numbers) for method, numbers in found]
drawn = pd.DataFrame(drawn, columns=["effect", "method", "estimate", "error"])

# %% lang="en"
print(f"Each method has estimated the effect in {WORLDS} worlds with it and in {WORLDS} without.")

# %% lang="zh"
print(f"每种方法都在{WORLDS}个有效应的世界和{WORLDS}个没有效应的世界中作了估计。")

# %% [markdown] lang="en"
# ## Where the estimates lie
#
# Each method's estimates over the worlds; the vertical line is the truth. More clients would narrow the first two, and
# leave them where they are.

# %% [markdown] lang="zh"
# ## 估计值落在哪里
#
# 每种方法在各个世界中的估计值，竖线是真实效应。客户再多，前两种也只会变窄，不会移到真实效应上。

# %% lang="en"
AXES = {"xlabel": "Estimate (percentage points of default)", "ylabel": "Worlds"}

# %% lang="zh"
AXES = {"xlabel": "估计值（违约率的百分点）", "ylabel": "世界数"}

# %%
with_effect = drawn[drawn["effect"] == TRUTH]
figure, axes = plt.subplots(figsize=(4.8, 3.2))
for method, colour in zip(METHODS, ("#D55E00", "#E69F00", "#0072B2"), strict=True):
    mine = with_effect.loc[with_effect["method"] == method, "estimate"]
    axes.hist(mine, bins=np.linspace(-5, 1, 49), color=colour, alpha=0.75, label=method)
axes.axvline(TRUTH, color="black", linewidth=1.5)
axes.set(**AXES)
figure.legend(loc="outside upper left", frameon=False, ncols=1)
plt.show()
mean = with_effect.groupby("method")["estimate"].mean()[METHODS]

# %% lang="en"
print(
    f"The truth is {TRUTH:.2f} points. On average " + ", ".join(f"the {n} gives {v:.2f}" for n, v in mean.items()) + "."
)

# %% lang="zh"
print(
    f"真实效应为{TRUTH:.2f}个百分点。平均估计值："
    + "，".join(f"{name}{value:.2f}" for name, value in mean.items())
    + "。"
)

# %% [markdown] lang="en"
# ## Bias, coverage, false positives
#
# How far a method is off on average, how many of its 95% confidence intervals include the truth, and how often it sees
# an effect where there is none. The nominal values are 0, 95 and 5.

# %% [markdown] lang="zh"
# ## 偏差、覆盖率与第一类错误
#
# 一种方法平均差多少，95%置信区间有多少包含真实效应，在没有效应时又有多少次“看见”效应。名义水平分别为0、95和5。

# %% lang="en"
COLUMNS = ["bias (points)", "coverage (%)", "false positives (%)"]

# %% lang="zh"
COLUMNS = ["偏差（百分点）", "覆盖率（%）", "第一类错误率（%）"]

# %%
quantile = NormalDist().inv_cdf(0.5 + choices["inference"]["level"] / 2)
drawn["covers"] = (drawn["estimate"] - drawn["effect"]).abs() < quantile * drawn["error"]
covers = 100 * drawn.pivot_table(index="method", columns="effect", values="covers").loc[METHODS]
summary = pd.concat([mean - TRUTH, covers[TRUTH], 100 - covers[0.0]], axis=1).set_axis(COLUMNS, axis=1)
bias = summary[COLUMNS[0]].abs()
assert bias[METHODS[2]] < 0.2 < bias[METHODS[1]]
summary.rename_axis(None).round(2) + 0

# %% lang="en"
print(
    f"The regression is off by {bias[METHODS[1]]:.2f} points since the grade shows only half of what counts, the instrument "
    f"by {bias[METHODS[2]]:.2f}."
)

# %% lang="zh"
print(
    f"等级只反映要紧之处的一半，因此回归平均偏离{bias[METHODS[1]]:.2f}个百分点；工具变量只偏离{bias[METHODS[2]]:.2f}个。"
)

# %% [markdown] lang="en"
# ## What the reference study found
#
# The same comparison in its own worlds, with lenders, months, contacts and missing answers: the mean estimate as a
# multiple of the truth, for every method that estimates percentage points or a ratio of default. The solid line at one
# is the truth. Blue: methods that the study expects to recover it.

# %% [markdown] lang="zh"
# ## 模拟研究发现了什么
#
# 在模拟研究自己的世界里作同样的比较，那里有机构、月份、联系与缺失的回答：每种估计违约百分点或比率的方法，其平均估计值是真实效应的几倍。实线为一倍，即真实效应。蓝色是研究预期能够还原的方法。

# %% lang="en"
MULTIPLE = "Mean estimate as a multiple of the truth"

# %% lang="zh"
MULTIPLE = "平均估计值与真实效应之比"

# %%
words = yaml.load(Path(f"pipeline/studies/reference/words.{language}.yaml"))["labels"]["estimators"]
rows = pd.read_csv("reports/reference/results/recovery.csv")
base = rows[(rows["specification"] == "base") & rows["outcome"].isin(["default", "default_after_landmark"])]
table = base.pivot_table(index=["estimator", "outcome"], columns="estimand", values="estimate")
told = rows[rows["specification"] == "all_scenarios"].set_index(["estimator", "outcome"])["estimand"]
table["recovers"] = told.reindex(table.index).eq("verdict_recovers")
table["multiple"] = table["estimate"] / table["truth"]
table = table[table["multiple"].abs() < 5].sort_values("multiple")
figure, axes = plt.subplots(figsize=(4.8, 0.27 * len(table) + 0.9))
labels = [words.get(name, name) + ("*" if outcome != "default" else "") for name, outcome in table.index]
axes.scatter(table["multiple"], labels, c=np.where(table["recovers"], "#0072B2", "#D55E00"), s=34, zorder=3)
axes.axvline(1, color="black", linewidth=1.5)
axes.axvline(0, color="black", linestyle=":", linewidth=1)
axes.set_xlabel(MULTIPLE)
plt.show()
distance = (table["multiple"] - 1).abs()
near, far = distance[table["recovers"]], distance[~table["recovers"]]

# %% lang="en"
print(
    f"The {len(near)} methods expected to recover the truth are off by at most {100 * near.max():.0f}% of it; half of the "
    f"{len(far)} others are off by {100 * far.median():.0f}% or more. (*: default after the landmark.)"
)

# %% lang="zh"
print(
    f"预期能够还原真实效应的{len(near)}种方法，偏离最多为其{100 * near.max():.0f}%；其余{len(far)}种有一半偏离"
    f"{100 * far.median():.0f}%以上。（*：界标之后的违约。）"
)

# %% [markdown] lang="en"
# ## The check
#
# The notebook stops if a method that should recover the truth lies further from it than the regression with controls
# alone; not where there are too few worlds to tell, for which `params.yaml` enforces no verdict either.

# %% [markdown] lang="zh"
# ## 检验
#
# 只要有一种本应还原真实效应的方法比仅控制变量的回归偏离更远，笔记本就停止；世界太少、无从判断时除外，`params.yaml`对此也不作评定。

# %%
plain = distance["linear_probability", "default"]
assert base["n"].max() < 20 or near.max() < plain

# %% lang="en"
print(
    f"The regression with controls is off by {100 * plain:.0f}% of the truth, the worst of the methods expected to recover it "
    f"by {100 * near.max():.0f}%."
)

# %% lang="zh"
print(f"仅控制变量的回归偏离真实效应的{100 * plain:.0f}%，预期能够还原的方法中最差的偏离{100 * near.max():.0f}%。")
