# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # Czech bank: do borrowers who hear from their bank more often default less?
#
# **The question.** The literature on customer relationship management holds that frequent contact and long relations
# lower default. This bank's account statements came monthly, weekly or after each transaction. Did borrowers who got
# them more often default less?
#
# **The data.** Every loan of one Czech bank in the nineties, as tables of a data mining contest: one row is one loan.
# A loan counts as default when it ended unpaid or its client was in debt when the tables were made.
#
# **What this notebook does.** It derives the headline numbers of the
# [report](../reports/berka/report.html) again from the loans, with statsmodels and a general optimiser. Of the pipeline
# it uses the study's choices and labels, none of its estimators. It stops if one number differs.
#
# **To run it:** `make reproduce STUDY=berka`, then `make lab`, and open `notebooks/berka.ipynb`. The source of both
# languages is `pipeline/studies/berka/notebook.py`.

# %% [markdown] lang="zh"
# # 捷克银行：银行更常联系的借款人违约更少吗？
#
# **问题。** 客户关系管理的文献认为，联系频繁、关系长久能降低违约。这家银行的账户对账单有的每月寄一次，有的每周一次，有的每笔交易之后都寄。收到得更勤的借款人，违约更少吗？
#
# **数据。** 上世纪九十年代一家捷克银行的全部贷款，来自一次数据挖掘竞赛公开的数据表，一行是一笔贷款。贷款到期未还清，或制表时客户欠款，即为违约。
#
# **本笔记本做什么。** 用statsmodels和通用优化程序，从贷款数据重新推出[报告](../reports/berka/report.zh.html)的主要数字。流水线之中只用研究的参数与标签，不用其任何估计程序。只要有一个数字不同，就停止。
#
# **运行方法：** 先`make reproduce STUDY=berka`，再`make lab`，打开`notebooks/berka.zh.ipynb`。两种语言的源文件是`pipeline/studies/berka/notebook.py`。

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
from scipy.optimize import minimize

from pipeline.core import params
from pipeline.present.words import Words

fonts = ["Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "DejaVu Sans"]
size = {"figure.figsize": (4.8, 2.8), "figure.constrained_layout.use": True, "font.sans-serif": fonts}
sns.set_theme(style="whitegrid", font_scale=0.9, rc=size)
words = Words(language, "berka")
protocol = params.load().study("berka")
cohort = pd.read_parquet("data/processed/berka/cohort.parquet")


# %% lang="en"
APART = ["{:.2f} percentage points lower", "{:.2f} percentage points higher"]

# %% lang="zh"
APART = ["低{:.2f}个百分点", "高{:.2f}个百分点"]

# %%


def apart(points):
    """A difference in words."""
    return APART[int(points > 0)].format(abs(points))


# %% lang="en"
print(f"{len(cohort)} loans, of which {cohort['default'].sum():.0f} are in default: few, so little can be shown.")

# %% lang="zh"
print(f"共{len(cohort)}笔贷款，其中{cohort['default'].sum():.0f}笔违约。违约很少，能说明的也就有限。")

# %% [markdown] lang="en"
# ## Default by frequency of the statement
#
# If hearing from the bank protected against default, the bars would fall from left to right. The dashed line is the
# rate of all loans.

# %% [markdown] lang="zh"
# ## 按对账单频率看违约率
#
# 如果银行联系得勤能防止违约，柱子应当从左到右降低。虚线是全部贷款的违约率。

# %% lang="en"
STEPS = ["monthly", "weekly", "after each\ntransaction"]

# %% lang="zh"
STEPS = ["每月", "每周", "每笔交易之后"]

# %%
steps = cohort.groupby("communication_frequency")["default"].agg(loans="size", rate="mean").set_axis(STEPS)
axes = (100 * steps["rate"]).plot.bar(color="#0072B2", rot=0)
axes.axhline(100 * cohort["default"].mean(), color="#595959", linestyle="--", linewidth=1)
axes.set(xlabel=words.column("communication_frequency"), ylabel=words.in_percent(words.text("columns.rate")))
plt.show()
rates, loans = 100 * steps["rate"].to_numpy(), steps["loans"].to_numpy()

# %% lang="en"
print(
    f"Of loans with monthly statements {rates[0]:.1f}% default, with weekly ones {rates[1]:.1f}%, with one after each "
    f"transaction {rates[2]:.1f}%: {'higher' if rates[2] > rates[0] else 'lower'} at the end, on only {loans[2]} loans."
)

# %% lang="zh"
print(
    f"每月寄送的贷款有{rates[0]:.1f}%违约，每周寄送的有{rates[1]:.1f}%，每笔交易之后寄送的有{rates[2]:.1f}%："
    f"末组更{'高' if rates[2] > rates[0] else '低'}，但末组只有{loans[2]}笔贷款。"
)

# %% [markdown] lang="en"
# ## The grade that was built
#
# The tables hold no rating. The study makes a score of what the account showed before the loan: the mean of three
# ranks, of the mean balance, the lowest balance and the largest single credit. The grades are quarters of the score.

# %% [markdown] lang="zh"
# ## 自建的信用等级
#
# 数据表没有评级。研究用账户在放款前的表现构造一个评分：平均余额、最低余额、最大单笔入账三项排名的均值。等级是评分的四分位。

# %%
ranks = cohort[["balance_mean", "balance_min", "largest_credit"]].rank(pct=True)
np.testing.assert_allclose(100 * ranks.mean(axis=1), cohort["credit_score"])
by_grade = 100 * cohort.groupby("credit_grade", observed=True)["default"].mean()
by_grade.rename_axis(words.column("credit_grade")).rename(words.in_percent(words.text("columns.rate"))).round(
    1
).to_frame()

# %% lang="en"
print(
    f"The score comes out the same for all {len(cohort)} loans. In the best grade {by_grade.iloc[0]:.1f}% default, in the "
    f"worst {by_grade.iloc[-1]:.1f}%."
)

# %% lang="zh"
print(
    f"{len(cohort)}笔贷款的评分全部推出一致。最好的等级有{by_grade.iloc[0]:.1f}%违约，最差的有{by_grade.iloc[-1]:.1f}%。"
)

# %% [markdown] lang="en"
# ## Where nobody defaults: Firth's penalised likelihood
#
# Among loans with a card before them nobody is in default. Then the likelihood has no maximum: each lower odds ratio
# fits better. With half the log determinant of the information added (Firth 1993) it has one, and a general optimiser
# finds it.

# %% [markdown] lang="zh"
# ## 无一违约之处：Firth惩罚似然
#
# 放款前已有银行卡的贷款无一违约。这时似然没有极大值：优势比越低，拟合越好。加上信息矩阵行列式对数的一半（Firth 1993）便有了极大值，通用优化程序就能找到它。

# %%


def penalised_odds_ratio(factor):
    """Odds ratio of one unit more of the factor, unadjusted, by Firth's penalised likelihood."""
    x = np.column_stack([np.ones(len(cohort)), cohort[factor]])
    y = cohort["default"].to_numpy()

    def objective(beta):
        line = x @ beta
        weight = 1 / (2 + np.exp(line) + np.exp(-line))
        return -(y @ line - np.logaddexp(0, line).sum() + np.linalg.slogdet((x.T * weight) @ x)[1] / 2)

    return np.exp(minimize(objective, [-2.0, 0.0], method="BFGS").x[1])


factors = ["treated", "relationship_length", "relationship_depth_cards", "relationship_depth_second_person"]
odds = pd.Series({factor: penalised_odds_ratio(factor) for factor in factors})
odds.rename(words.column).rename(words.text("columns.odds_ratio_short")).round(3).to_frame()

# %%
effects = pd.read_csv("reports/berka/results/effects.csv")
effects = effects.query("estimator == 'firth' and specification == 'alone' and estimand == 'odds_ratio'")
published_odds = effects[effects["outcome"] == "default"].set_index("factor")["estimate"]
np.testing.assert_allclose(odds, published_odds[odds.index], rtol=1e-3)

# %% lang="en"
print(
    f"All {len(odds)} odds ratios agree with the report. With a card the odds of default are {odds.iloc[2]:.2f} times "
    "those without; the report gives the interval, which is wide."
)

# %% lang="zh"
print(
    f"{len(odds)}个优势比都与报告一致。有银行卡的贷款，违约优势是无卡贷款的{odds.iloc[2]:.2f}倍；报告给出其置信区间，相当宽。"
)

# %% [markdown] lang="en"
# ## With controls: linear probability models
#
# Least squares of default on the factor, unadjusted and with the loan's and the borrower's controls of the study.
# Coefficients are percentage points of default for one unit more of the factor.

# %% [markdown] lang="zh"
# ## 加入控制变量：线性概率模型
#
# 以违约对因素作最小二乘回归：先不加控制，再加入研究所定的贷款与借款人控制变量。系数是因素增加一个单位时违约率的变化（百分点）。

# %%
controls = [term.replace("log(", "np.log(") for term in protocol.controls.ladder()["borrower"]]


def points(factor, terms):
    """Percentage points of default for one unit more of the factor."""
    return 100 * smf.ols(f"default ~ {' + '.join([factor, *terms])}", cohort).fit().params[factor]


wanted = [("treated", "M1"), ("treated", "M3"), ("communication_frequency", "M3"), ("relationship_length", "M3")]
here = [points(factor, [] if rung == "M1" else controls) for factor, rung in wanted]

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
    "more than monthly, unadjusted",
    "more than monthly, adjusted",
    "each step of frequency, adjusted",
    "each year of the account, adjusted",
]

# %% lang="zh"
HEADS = ["这里推出", "报告所印"]
ROWS = ["比每月更频繁，未调整", "比每月更频繁，经调整", "频率每高一级，经调整", "账户每多一年，经调整"]

# %%
rows = pd.read_csv("reports/berka/results/regress.csv")
rows = rows.query("estimator == 'linear_probability' and estimand == 'risk_difference'")
published = rows.set_index(["factor", "specification"])["estimate"]
comparison = pd.DataFrame(dict(zip(HEADS, [here, published[wanted].to_numpy()], strict=True)), index=ROWS)
np.testing.assert_allclose(*comparison.to_numpy().T, rtol=1e-6, atol=1e-6)
comparison.round(4)

# %% lang="en"
print(
    f"All {len(comparison)} numbers agree to six digits. Adjusted, the default rate of loans with more than monthly "
    f"statements is {apart(here[1])}{', where the literature expects it to be lower' if here[1] > 0 else ''}."
)

# %% lang="zh"
print(
    f"{len(comparison)}个数字全部一致，精确到六位。经调整后，对账单比每月更频繁的贷款，违约率{apart(here[1])}"
    f"{'，与文献的预期相反' if here[1] > 0 else ''}。"
)
