# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # Simulated lenders: three estimates of one programme
#
# **The question.** A programme of customer relationship management lowers default by a known amount, since everything
# here is simulated. Which method finds it? Nothing is evidence about the world.
#
# **The data.** The loans of simulated lenders that adopt the programme in different months and, where they are
# oversubscribed, assign its places at random: one row is one loan.
#
# **What this notebook does.** The [report](../reports/reference/report.html) tries a dozen methods in hundreds of
# simulated worlds. This notebook derives three of its estimates in one world again, with the libraries' own functions:
# the raw difference, Poisson difference in differences, and the random assignment as an instrument. Of the pipeline it
# uses the labels alone. It stops if one number differs.
#
# **To run it:** `make reproduce`, then `make lab`, and open `notebooks/reference.ipynb`. The source of both languages is
# `pipeline/studies/reference/notebook.py`.

# %% [markdown] lang="zh"
# # 模拟的贷款机构：同一项目的三种估计
#
# **问题。** 一个客户关系管理项目使违约降低多少，在这里是已知的，因为一切都是模拟的。哪种方法能找到它？这里的任何内容都不是关于现实的证据。
#
# **数据。** 模拟机构的贷款：各机构在不同月份引入项目，名额不足之处随机分配，一行是一笔贷款。
#
# **本笔记本做什么。** [报告](../reports/reference/report.zh.html)在数百个模拟世界中检验十几种方法。本笔记本用程序库自带的函数，在其中一个世界里重新推出三个估计：原始差异、泊松双重差分，以及以随机分配为工具变量。流水线之中只用标签。只要有一个数字不同，就停止。
#
# **运行方法：** 先`make reproduce`，再`make lab`，打开`notebooks/reference.zh.ipynb`。两种语言的源文件是`pipeline/studies/reference/notebook.py`。

# %%
language = "en"

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

from pipeline.present.words import Words

fonts = ["Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "DejaVu Sans"]
size = {"figure.figsize": (4.8, 2.8), "figure.constrained_layout.use": True, "font.sans-serif": fonts}
sns.set_theme(style="whitegrid", font_scale=0.9, rc=size)
words = Words(language, "reference")
columns = ["institution_id", "institution_type", "origination_month", "origination_quarter", "adoption_month"]
columns += ["programme_lot", "treated", "default"]
cohort = pd.read_parquet("data/processed/reference/cohort.parquet", columns=columns)
rate_label = words.in_percent(words.text("columns.rate"))

# %% lang="en"
APART = ["{:.2f} percentage points lower", "{:.2f} percentage points higher"]

# %% lang="zh"
APART = ["低{:.2f}个百分点", "高{:.2f}个百分点"]

# %%


def apart(points):
    """A difference in words."""
    return APART[int(points > 0)].format(abs(points))


# %% [markdown] lang="en"
# ## The raw difference
#
# Enrolled clients default far less. Part of that is the programme; most of it is who enrols, and at which lender.

# %% [markdown] lang="zh"
# ## 原始差异
#
# 加入项目的客户违约少得多。其中一部分来自项目，大部分则来自什么人加入、在哪家机构加入。

# %%
rates = 100 * cohort.groupby(["institution_type", "treated"], observed=True)["default"].mean().unstack()
rates = rates.rename(index=words.level).set_axis([words.label("arms", name) for name in ("control", "treated")], axis=1)
axes = rates.plot.barh(color=["#D55E00", "#0072B2"])
axes.set(xlabel=rate_label, ylabel="")
axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
plt.show()
by_group = 100 * cohort.groupby("treated")["default"].mean()
raw = by_group[1] - by_group[0]

# %% lang="en"
print(f"Default of enrolled clients is {apart(raw)} than of others, over all {len(cohort):,} loans.")

# %% lang="zh"
print(f"就全部{len(cohort):,}笔贷款而言，加入项目的客户违约率比其他客户{apart(raw)}。")

# %% [markdown] lang="en"
# ## Poisson difference in differences
#
# Lenders adopt the programme at different times. Defaults are counted by lender, quarter of origination and adoption; a
# Poisson regression with lender and quarter effects compares each lender with itself before adoption, in ratios. The
# likelihood given each lender's number of defaults has no lender effects left in it, and the same maximum (Hausman,
# Hall & Griliches 1984).

# %% [markdown] lang="zh"
# ## 泊松双重差分
#
# 各机构引入项目有先有后。按机构、发放季度与是否已引入项目统计违约数，带机构效应与季度效应的泊松回归以比率的形式，把每家机构与自己引入之前相比。在给定每家机构违约总数的条件似然中，机构效应已经消去，而极大值不变（Hausman、Hall与Griliches 1984）。

# %%
# Months such as 2009-10 stand in the order of their letters; lenders that never adopt, after all.
adopted = cohort["adoption_month"].astype("string").fillna("9999-12")
since = (cohort["origination_month"].astype("string") >= adopted).astype(int)
cells = (
    cohort.assign(lender=cohort["institution_id"].astype(str), quarter=cohort["origination_quarter"].astype(str))
    .assign(since=since)
    .groupby(["lender", "quarter", "since"])["default"]
    .agg(defaults="sum", loans="size")
    .reset_index()
)
# A lender or quarter without any default says nothing of ratios.
cells = cells[cells.groupby("lender")["defaults"].transform("sum") > 0]
cells = cells[cells.groupby("quarter")["defaults"].transform("sum") > 0]
poisson = ConditionalPoisson(
    cells["defaults"],
    pd.get_dummies(cells[["since", "quarter"]], drop_first=True, dtype=float),
    groups=cells["lender"],
    offset=np.log(cells["loans"]),
).fit(method="newton", skip_hessian=True)
log_ratio = poisson.params["since"]

# %% lang="en"
print(
    f"After adoption lenders have {np.exp(log_ratio):.3f} times as many defaults as before: the logarithm of the ratio is "
    f"{log_ratio:.3f}."
)

# %% lang="zh"
print(f"引入项目之后，机构的违约数是之前的{np.exp(log_ratio):.3f}倍，比率的对数为{log_ratio:.3f}。")

# %% [markdown] lang="en"
# ## The random assignment as an instrument
#
# Where the programme was offered, places were assigned at random. The assignment changes who enrols and nothing else,
# so it is an instrument for enrolment. Every column is taken less its lender's mean, which takes lender effects out
# (Frisch & Waugh 1933).

# %% [markdown] lang="zh"
# ## 以随机分配为工具变量
#
# 提供项目之处，名额随机分配。分配结果只改变谁加入，不改变其他，因此是加入项目的工具变量。每一列都减去所在机构的均值，机构效应由此消去（Frisch与Waugh 1933）。

# %%
offered = cohort[cohort["programme_lot"].notna()]
quarters = pd.get_dummies(offered["origination_quarter"].astype(str), drop_first=True, dtype=float)
moved = offered[["default", "treated", "programme_lot"]].join(quarters).astype(float)
inside = moved - moved.groupby(offered["institution_id"], observed=True).transform("mean")
instrument = IV2SLS(inside["default"], inside[quarters.columns], inside["treated"], inside["programme_lot"]).fit()
points = 100 * instrument.params["treated"]

# %% lang="en"
print(
    f"Among the clients of {len(offered):,} loans whose enrolment was assigned at random, enrolling makes default "
    f"{apart(points)}; the raw difference said {apart(raw)}."
)

# %% lang="zh"
print(f"在随机分配名额的{len(offered):,}笔贷款中，因分配而加入者的违约率{apart(points)}；原始差异则是{apart(raw)}。")

# %% [markdown] lang="en"
# ## Side by side
#
# Each number as derived here and as the report prints it.

# %% [markdown] lang="zh"
# ## 逐项对照
#
# 每个数字：这里推出的，与报告所印的。

# %% lang="en"
HEADS = ["derived here", "in the report"]
ROWS = ["raw difference (points)", "Poisson difference in differences (log ratio)", "instrument (points)"]

# %% lang="zh"
HEADS = ["这里推出", "报告所印"]
ROWS = ["原始差异（百分点）", "泊松双重差分（比率的对数）", "工具变量（百分点）"]

# %%
rows = pd.read_csv("reports/reference/results/effects.csv")
printed = [
    rows.query(chosen)["estimate"].item()
    for chosen in (
        "estimator == 'raw_difference'",
        "estimator == 'poisson_difference_in_differences' and outcome == 'default'",
        "estimator == 'lottery_instrument' and specification == 'two_stage_least_squares'",
    )
]
here = [raw, log_ratio, points]
comparison = pd.DataFrame(dict(zip(HEADS, [here, printed], strict=True)), index=ROWS)
np.testing.assert_allclose(*comparison.to_numpy().T, rtol=1e-6, atol=1e-6)
comparison.round(4)

# %% lang="en"
print(f"All {len(comparison)} numbers agree to six digits.")

# %% lang="zh"
print(f"{len(comparison)}个数字全部一致，精确到六位。")
