# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # SBA 7(a), US banks to small firms: do firms that document more default less?
#
# **The question.** Some guaranteed loans need full documentation, others little. Is sharing more information with the
# bank associated with less default?
#
# **The data.** Loans of US banks to small firms under the guarantee of the Small Business Administration, in samples
# made for teaching: one row is one loan. Treated are loans with full documentation, controls those with little.
#
# **What this notebook does.** It derives the headline numbers of the [report](../reports/sba/report.html) again from the
# loans, with statsmodels and plain arithmetic. Of the pipeline it uses the study's choices and labels, none of its
# estimators. It stops if one number differs.
#
# **To run it:** `make reproduce STUDY=sba`, then `make lab`, and open `notebooks/sba.ipynb`. The source of both
# languages is `pipeline/studies/sba/notebook.py`.

# %% [markdown] lang="zh"
# # SBA：材料更齐全的企业违约更少吗？
#
# **问题。** 美国小企业的担保贷款，有的要求材料齐全，有的只要简化材料。向银行提供更多信息，与违约更少相关吗？
#
# **数据。** 美国银行发放、由小企业管理局担保的贷款，取自为教学制作的样本，一行是一笔贷款。材料齐全的贷款为处理组，材料简化的为对照组。
#
# **本笔记本做什么。** 用statsmodels与简单的算术，从贷款数据重新推出[报告](../reports/sba/report.zh.html)的主要数字。流水线之中只用研究的参数与标签，不用其任何估计程序。只要有一个数字不同，就停止。
#
# **运行方法：** 先`make reproduce STUDY=sba`，再`make lab`，打开`notebooks/sba.zh.ipynb`。两种语言的源文件是`pipeline/studies/sba/notebook.py`。

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
import statsmodels.formula.api as smf

from pipeline.core import params
from pipeline.present.words import Words

fonts = ["Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "DejaVu Sans"]
size = {"figure.figsize": (4.8, 2.8), "figure.constrained_layout.use": True, "font.sans-serif": fonts}
sns.set_theme(style="whitegrid", font_scale=0.9, rc=size)
words = Words(language, "sba")
choices = params.load()
protocol = choices.study("sba")
cohort = pd.read_parquet("data/processed/sba/cohort.parquet")
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
# ## From the samples to the file
#
# The samples hold as many loans charged off as paid in full, so a plain mean says nothing of how common default is.
# Each loan's weight says how many loans of the whole file it stands for; a weighted mean is the file's rate.

# %% [markdown] lang="zh"
# ## 从样本到全部贷款
#
# 样本中核销与还清的贷款各占一半，简单平均说明不了违约有多常见。每笔贷款的权重表示它代表全部贷款中的多少笔，加权平均就是全部贷款的违约率。

# %% lang="en"
GROUPS = ["little documentation", "full documentation"]
COLUMNS = ["loans", "defaults", "rate in the samples (%)", "rate in the file (%)"]

# %% lang="zh"
GROUPS = ["材料简化", "材料齐全"]
COLUMNS = ["贷款数", "违约数", "样本违约率（%）", "全部贷款违约率（%）"]

# %%


def rate(loans):
    """Percentage of the file's loans that defaulted."""
    return 100 * np.average(loans["default"], weights=loans["weight"])


parts = [cohort[cohort["treated"] == value] for value in (0, 1)]
table = [[len(part), int(part["default"].sum()), 100 * part["default"].mean(), rate(part)] for part in parts]
raw = rate(parts[1]) - rate(parts[0])
pd.DataFrame(table, index=GROUPS, columns=COLUMNS).round(2)

# %% lang="en"
print(f"In the file, default with full documentation is {apart(raw)} than with little.")

# %% lang="zh"
print(f"就全部贷款而言，材料齐全者的违约率比材料简化者{apart(raw)}。")

# %% [markdown] lang="en"
# ## When the loans were approved
#
# Default rises steeply with the year of approval, and the two kinds of loan were not equally common in all years. A
# plain comparison of the groups is one of years, too.

# %% [markdown] lang="zh"
# ## 贷款何时获批
#
# 违约率随批准年份急剧上升，而两类贷款在各年份的比重并不相同。简单比较两组，也就是在比较年份。

# %%
by_year = cohort.groupby(["approval_year", "treated"], observed=True)[["default", "weight"]].apply(rate).unstack()
axes = by_year.set_axis(GROUPS, axis=1).plot(marker="o", color=["#D55E00", "#0072B2"])
axes.set(xlabel=words.column("approval_year"), ylabel=rate_label)
axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
plt.show()
lower = (by_year[1] < by_year[0]).sum()

# %% lang="en"
print(
    f"In {lower} of {len(by_year)} years default was lower with full documentation; with little documentation it went "
    f"from {by_year[0].iloc[0]:.0f}% in {by_year.index[0]} to {by_year[0].iloc[-1]:.0f}% in {by_year.index[-1]}."
)

# %% lang="zh"
print(
    f"{len(by_year)}个年份中有{lower}个，材料齐全者违约率较低；材料简化者的违约率由{by_year.index[0]}年的{by_year[0].iloc[0]:.0f}%"
    f"变为{by_year.index[-1]}年的{by_year[0].iloc[-1]:.0f}%。"
)

# %% [markdown] lang="en"
# ## All controls
#
# Weighted least squares of default on the factor and every control of the study, the year of approval among them.
# Standard errors are clustered by bank, as loans of one bank resemble each other.

# %% [markdown] lang="zh"
# ## 控制全部变量
#
# 以违约对因素及研究所定的全部控制变量（包括批准年份）作加权最小二乘回归。同一家银行的贷款彼此相关，标准误按银行聚类。

# %%
# Formulas want plain text where the cohort has categories.
categories = list(cohort.select_dtypes("category"))
loans = cohort.assign(**{name: cohort[name].astype(object) for name in categories})
clusters = pd.factorize(loans[protocol.cluster])[0]
terms = [term for block in protocol.controls.model_dump().values() for term in block]
written = [f"C({term})" if term in categories else term.replace("log(", "np.log(") for term in terms]


def points(factor):
    """Percentage points of default for one unit more of the factor: estimate, low, high."""
    model = smf.wls(f"default ~ {' + '.join([factor, *written])}", loans, weights=loans["weight"])
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": clusters})
    return 100 * np.array([fit.params[factor], *fit.conf_int(alpha=1 - choices.inference.level).loc[factor]])


full, near = points("treated"), points("relationship_depth_same_state")

# %% lang="en"
for label, (value, low, high) in (("Full documentation", full), ("Bank in the firm's state", near)):
    told = "excludes" if low > 0 or high < 0 else "includes"
    print(f"{label}: the default rate is {apart(value)}; the interval, {low:.2f} to {high:.2f}, {told} zero.")

# %% lang="zh"
for label, (value, low, high) in (("材料齐全", full), ("银行在企业本州", near)):
    told = "不含零" if low > 0 or high < 0 else "含零"
    print(f"{label}：违约率{apart(value)}，区间为{low:.2f}至{high:.2f}，{told}。")

# %% [markdown] lang="en"
# ## Odds, and what they mean in points
#
# Sampling by the outcome multiplies all odds by one factor and leaves odds ratios as they are. So the logistic
# regression is fitted to the samples as they come. To speak of points, its intercept moves by the logarithm of that
# factor, and each loan's change in probability is averaged over the file.

# %% [markdown] lang="zh"
# ## 优势比，以及它相当于多少个百分点
#
# 按结果变量抽样，只是把所有优势乘以同一个倍数，优势比不变，因此逻辑回归直接用样本拟合。要换算成百分点，则把截距移动该倍数的对数，再对全部贷款平均每笔贷款概率的变化。

# %%
curve = smf.logit(f"default ~ {' + '.join(['treated', *written])}", loans).fit(disp=False, maxiter=100)
odds_ratio = np.exp(curve.params["treated"])
weight = cohort.groupby("default")["weight"].first()
shift = np.log(weight[1] / weight[0])


def probability(value):
    """Probability of default in the file if all loans were in one group."""
    index = curve.fittedvalues + curve.params["treated"] * (value - loans["treated"]) + shift
    return 1 / (1 + np.exp(-index))


marginal = 100 * np.average(probability(1) - probability(0), weights=loans["weight"])

# %% lang="en"
print(
    f"With full documentation the odds of default are {odds_ratio:.2f} times those with little; on average over the file, "
    f"default is {apart(marginal)}."
)

# %% lang="zh"
print(f"材料齐全者的违约优势是材料简化者的{odds_ratio:.2f}倍；对全部贷款平均，违约率{apart(marginal)}。")

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
ROWS = [
    "full documentation, unadjusted",
    "full documentation, adjusted",
    "bank in the firm's state, adjusted",
    "full documentation, odds ratio, adjusted",
    "full documentation, marginal effect, adjusted",
]

# %% lang="zh"
HEADS = ["这里推出", "报告所印"]
ROWS = [
    "材料齐全，未调整",
    "材料齐全，经调整",
    "银行在企业本州，经调整",
    "材料齐全，优势比，经调整",
    "材料齐全，边际效应，经调整",
]

# %%
names = ["estimator", "estimand", "factor", "specification"]
published = pd.read_csv("reports/sba/results/regress.csv").set_index(names)["estimate"]
linear = ("linear_probability", "risk_difference")
wanted = [
    (*linear, "treated", "M1"),
    (*linear, "treated", "M5"),
    (*linear, "relationship_depth_same_state", "M5"),
    ("logit", "odds_ratio", "treated", "M5"),
    ("logit", "average_marginal_effect", "treated", "M5"),
]
here = [raw, full[0], near[0], odds_ratio, marginal]
comparison = pd.DataFrame(dict(zip(HEADS, [here, published[wanted].to_numpy()], strict=True)), index=ROWS)
np.testing.assert_allclose(*comparison.to_numpy().T, rtol=1e-6, atol=1e-6)
comparison.round(4)

# %% lang="en"
print(f"All {len(comparison)} numbers agree to six digits.")

# %% lang="zh"
print(f"{len(comparison)}个数字全部一致，精确到六位。")
