# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # Nigerian digital lender: do clients of long standing default less?
#
# **The question.** Clients who have borrowed many times have a long relationship with the lender. Do they default less
# because of it, or are they those who are left because they always repaid?
#
# **The data.** One loan of each client in one month, and all of the client's earlier loans. Treated are clients with
# more earlier loans than the median client. The file calls a loan bad that was not settled on time, and does not say how
# late; where this notebook says default, it means that.
#
# **What this notebook does.** It derives the headline numbers of the [report](../reports/superlender/report.html) again
# from the loans, with statsmodels and sums by client. Of the pipeline it uses the study's choices and labels, none of
# its estimators. It stops if one number differs.
#
# **To run it:** `make reproduce STUDY=superlender`, then `make lab`, and open `notebooks/superlender.ipynb`. The source
# of both languages is `pipeline/studies/superlender/notebook.py`.

# %% [markdown] lang="zh"
# # 尼日利亚数字贷款机构：老客户违约更少吗？
#
# **问题。** 借过很多次的客户与机构关系长久。他们违约更少，是因为关系长久，还是因为一直按时还款的人才留得下来？
#
# **数据。** 每位客户某一个月的一笔贷款，以及该客户此前的全部贷款。历史贷款笔数多于中位客户者为处理组。文件把未按时结清的贷款称为坏账，没有说明逾期多久；本笔记本所说的违约即指此。
#
# **本笔记本做什么。** 用statsmodels与按客户求和，从贷款数据重新推出[报告](../reports/superlender/report.zh.html)的主要数字。流水线之中只用研究的参数与标签，不用其任何估计程序。只要有一个数字不同，就停止。
#
# **运行方法：** 先`make reproduce STUDY=superlender`，再`make lab`，打开`notebooks/superlender.zh.ipynb`。两种语言的源文件是`pipeline/studies/superlender/notebook.py`。

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
words = Words(language, "superlender")
choices = params.load()
protocol = choices.study("superlender")
cohort = pd.read_parquet("data/processed/superlender/cohort.parquet")
rate_label = words.in_percent(words.text("columns.rate"))
earlier = pd.read_parquet("data/processed/superlender/more/earlier_loans.parquet")
# %% lang="en"
APART = ["{:.2f} percentage points lower", "{:.2f} percentage points higher"]

# %% lang="zh"
APART = ["低{:.2f}个百分点", "高{:.2f}个百分点"]

# %%


def apart(points):
    """A difference in words."""
    return APART[int(points > 0)].format(abs(points))


# %% [markdown] lang="en"
# ## The raw pattern
#
# A relationship is long with more earlier loans than the median client has. The bars show default by the number of
# earlier loans, the dashed line the rate of all.

# %% [markdown] lang="zh"
# ## 原始情况
#
# 历史贷款多于中位客户，即为长期关系。柱子是按历史贷款笔数的违约率，虚线是全部贷款的违约率。

# %%
number = cohort["relationship_depth_prior_loans"]
assert protocol.treatment.at_least == number.median() + 1
steps = 100 * cohort.groupby(number.clip(upper=11).astype(int))["default"].mean()
axes = steps.rename(lambda step: "11+" if step == 11 else str(step)).plot.bar(color="#0072B2", rot=0)
axes.axhline(100 * cohort["default"].mean(), color="#595959", linestyle="--", linewidth=1)
axes.set(xlabel=words.column("relationship_depth_prior_loans"), ylabel=rate_label)
plt.show()
by_group = 100 * cohort.groupby("treated")["default"].mean()
raw = by_group[1] - by_group[0]

# %% lang="en"
print(
    f"With one earlier loan {steps.iloc[0]:.1f}% default, with eleven or more {steps.iloc[-1]:.1f}%. In long relationships, "
    f"of {protocol.treatment.at_least:.0f} earlier loans or more, default is {apart(raw)}."
)

# %% lang="zh"
print(
    f"有一笔历史贷款的客户有{steps.iloc[0]:.1f}%违约，有十一笔及以上的有{steps.iloc[-1]:.1f}%。"
    f"长期关系（{protocol.treatment.at_least:.0f}笔及以上）的违约率{apart(raw)}。"
)

# %% [markdown] lang="en"
# ## Punctuality between and within clients
#
# Does a client become more punctual from loan to loan, or do the unpunctual leave? The same loans twice: averages over
# all clients, and what is left once each client's own average is taken out. Clients with one earlier loan are left out,
# as there is nothing to compare them with.

# %% [markdown] lang="zh"
# ## 客户之间与客户之内的准时情况
#
# 是同一位客户一笔比一笔准时，还是不准时的客户离开了？同样的贷款看两次：全部客户的平均，以及减去每位客户自己的平均之后。只有一笔历史贷款的客户无从比较，不计入。

# %% lang="en"
LINES = ["all clients", "within clients"]
AXES = {"xlabel": "Number of the loan (10: tenth and later)", "ylabel": "First payment late (%)"}

# %% lang="zh"
LINES = ["全部客户", "同一客户之内"]
AXES = {"xlabel": "第几笔贷款（10：第十笔及以后）", "ylabel": "首次还款逾期（%）"}

# %%
several = earlier[earlier.groupby("client_id")["loan_number"].transform("size") > 1]
late, place = several["first_repaid_late"], several["loan_number"].clip(upper=10).astype(int)
inside = late - late.groupby(several["client_id"]).transform("mean") + late.mean()
shown = 100 * pd.concat([late.groupby(place).mean(), inside.groupby(place).mean()], axis=1).set_axis(LINES, axis=1)
axes = shown.plot(marker="o", color=["#D55E00", "#0072B2"])
axes.set(**AXES)
axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
plt.show()


def within(outcome):
    """Slope per loan in points with an effect for each client: both less the client's mean, by sums."""
    by_client = several.groupby("client_id")
    y = several[outcome] - by_client[outcome].transform("mean")
    x = several["loan_number"] - by_client["loan_number"].transform("mean")
    return 100 * (x @ y) / (x @ x)


pooled = 100 * smf.ols("first_repaid_late ~ loan_number", earlier).fit().params["loan_number"]
slopes = {outcome: within(outcome) for outcome in ("first_repaid_late", "closed_late")}

# %% lang="en"
print(
    f"With each further loan the share of late first payments is {apart(pooled)} over all clients, and "
    f"{apart(slopes['first_repaid_late'])} within clients."
)

# %% lang="zh"
print(
    f"每多一笔贷款，首次还款逾期的比例就全部客户而言{apart(pooled)}，就同一客户而言{apart(slopes['first_repaid_late'])}。"
)

# %% [markdown] lang="en"
# ## Those who are lost on the way
#
# The file holds only clients who were let back. In the worst case nobody is let back whose loan goes bad; at the rates
# of this month a share of those who begin is then gone before their relationship is long. At which default rate among
# the lost would long relationships be worth nothing? Where the rate of all who begin equals that of those who stay and
# those who are lost together. It is a bound and no estimate: earlier loans that closed late were followed by others.

# %% [markdown] lang="zh"
# ## 途中流失的客户
#
# 文件只有获准再借的客户。最坏的情形是：凡成为坏账者都不准再借。按这个月的违约率，起步的客户中就有一部分在关系变长之前已经离开。流失者的违约率要有多高，长期关系才等于毫无作用？就是使起步者的违约率恰好等于留下者与流失者合计违约率的那一个。这是界限而不是估计：此前逾期结清的贷款，之后也都有下一笔。

# %%
rates = cohort.groupby(number)["default"].mean()
stay = np.prod([1 - rates[step] for step in range(1, int(protocol.treatment.at_least))])
long = cohort.loc[cohort["treated"] == 1, "default"].mean()
break_even = 100 * (rates[1] - stay * long) / (1 - stay)

# %% lang="en"
print(
    f"In the worst case {100 * (1 - stay):.0f}% of those who begin are lost. Clients with one earlier loan default at {100 * rates[1]:.1f}%, long "
    f"relationships at {100 * long:.1f}%: if {break_even:.1f}% of the lost had defaulted again, nothing would be left."
)

# %% lang="zh"
print(
    f"最坏的情形下，起步的客户有{100 * (1 - stay):.0f}%流失。有一笔历史贷款者的违约率为{100 * rates[1]:.1f}%，长期关系者为{100 * long:.1f}%：只要流失者的违约率达到"
    f"{break_even:.1f}%，差异就不复存在。"
)

# %% [markdown] lang="en"
# ## The grade that was built
#
# The lender's tables hold no rating. The study gives a point each for a first loan not repaid before its day, one
# repaid after it, and a client under thirty; more points are a worse grade.

# %% [markdown] lang="zh"
# ## 自建的信用等级
#
# 机构的数据表没有评级。研究以三项计分：第一笔贷款未在到期日之前还款、在到期日之后还款、客户不满三十岁，各计一分；分数越多，等级越差。

# %%
days = cohort["first_loan_days_late"]
letters = np.array(list("ABCD"))[(days >= 0).astype(int) + (days > 0).astype(int) + (cohort["age"] < 30).astype(int)]
assert (letters == cohort["credit_grade"].astype(str)).all()
by_grade = 100 * cohort.groupby("credit_grade", observed=True)["default"].mean()
by_grade.rename_axis(words.column("credit_grade")).rename(rate_label).round(1).to_frame()

# %% lang="en"
print(
    f"All {len(cohort):,} grades come out the same; from the best to the worst, default is {apart(by_grade.iloc[-1] - by_grade.iloc[0])}."
)

# %% lang="zh"
print(f"{len(cohort):,}个等级全部推出一致；最差等级的违约率比最好等级{apart(by_grade.iloc[-1] - by_grade.iloc[0])}。")

# %% [markdown] lang="en"
# ## All controls
#
# Least squares of default on the factor and every control of the study. Amount, term and price follow from the
# relationship, as the lender grants more to those it knows; they are added only in the last of the four.

# %% [markdown] lang="zh"
# ## 控制全部变量
#
# 以违约对因素及研究所定的全部控制变量作最小二乘回归。金额、期限与价格是关系的结果，机构对熟悉的客户放得更多，因此只在四个回归的最后一个才加入。

# %%
# Formulas want plain text where the cohort has categories.
categories = list(cohort.select_dtypes("category"))
loans = cohort.assign(**{name: cohort[name].astype(object) for name in categories})
controls = [term for block in protocol.controls.model_dump().values() for term in block]


def points(factor, terms):
    """Percentage points of default for one unit more of the factor."""
    written = [f"C({term})" if term in categories else term.replace("log(", "np.log(") for term in terms]
    return 100 * smf.ols(f"default ~ {' + '.join([factor, *written])}", loans).fit().params[factor]


adjusted = points("treated", controls)
each = points("relationship_depth_prior_loans", controls)
warned = points("early_warning_late_share", controls)
given_terms = points("treated", [*controls, "term", "log(amount)", "interest_rate"])

# %% lang="en"
print(
    f"Adjusted, default in long relationships is {apart(adjusted)}; given amount, term and price as well, {apart(given_terms)}."
)
print(
    f"With each further earlier loan it is {apart(each)}, with all earlier loans late rather than none {apart(warned)}."
)

# %% lang="zh"
print(f"经调整，长期关系的违约率{apart(adjusted)}；再控制金额、期限与价格，{apart(given_terms)}。")
print(f"历史贷款每多一笔，违约率{apart(each)}；历史贷款笔笔逾期者，比从未逾期者{apart(warned)}。")

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
    "long relationship, unadjusted",
    "long relationship, adjusted",
    "each further earlier loan, adjusted",
    "all earlier loans late against none, adjusted",
    "long relationship, given amount, term and price",
    "late by number of the loan, all clients",
    "late by number of the loan, within clients",
    "closed late by number of the loan, within clients",
    "break-even default rate of the lost",
]

# %% lang="zh"
HEADS = ["这里推出", "报告所印"]
ROWS = [
    "长期关系，未调整",
    "长期关系，经调整",
    "历史贷款每多一笔，经调整",
    "历史贷款笔笔逾期与从未逾期，经调整",
    "长期关系，再控制金额、期限与价格",
    "每多一笔贷款的首次还款逾期，全部客户",
    "每多一笔贷款的首次还款逾期，同一客户",
    "每多一笔贷款的逾期结清，同一客户",
    "流失者的盈亏平衡违约率",
]

# %%
names = ["estimator", "factor", "specification", "outcome", "estimand"]
tables = [pd.read_csv(f"reports/superlender/results/{stage}.csv") for stage in ("regress", "effects")]
published = pd.concat(tables).set_index(names)["estimate"].sort_index()
default = ("default", "risk_difference")
slope = published.loc["punctuality", "loan_number"]
kinds = [("pooled", "first_repaid_late"), ("within_clients", "first_repaid_late"), ("within_clients", "closed_late")]
printed = [
    published["linear_probability", "treated", "M1", *default],
    published["linear_probability", "treated", "M5", *default],
    published["linear_probability", "relationship_depth_prior_loans", "M5", *default],
    published["linear_probability", "early_warning_late_share", "M5", *default],
    published["length", "treated", "given_terms", *default],
    *(slope[kind].item() for kind in kinds),
    published["survivors", "treated", "all_left", "default", "break_even"],
]
here = [raw, adjusted, each, warned, given_terms, pooled, *slopes.values(), break_even]
comparison = pd.DataFrame(dict(zip(HEADS, [here, printed], strict=True)), index=ROWS)
np.testing.assert_allclose(*comparison.to_numpy().T, rtol=1e-6, atol=1e-6)
comparison.round(4)

# %% lang="en"
print(f"All {len(comparison)} numbers agree to six digits.")

# %% lang="zh"
print(f"{len(comparison)}个数字全部一致，精确到六位。")
