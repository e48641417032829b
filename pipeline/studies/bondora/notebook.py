# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # Bondora: do customers who come back default less?
#
# **The question.** A customer who comes back has a longer relationship with the lender. Do returning customers of this
# Estonian platform default less than new ones, and less with each further loan?
#
# **The data.** Loans of the platform with what was known on the day of application: one row is one loan. Treated are
# loans of returning customers, controls those of new ones.
#
# **What this notebook does.** It derives the headline numbers of the
# [report](../reports/bondora/report.html) again from the loans, with statsmodels. Of the pipeline it uses the study's
# choices and labels, none of its estimators. It stops if one number differs.
#
# **To run it:** `make reproduce STUDY=bondora`, then `make lab`, and open `notebooks/bondora.ipynb`. The source of both
# languages is `pipeline/studies/bondora/notebook.py`.

# %% [markdown] lang="zh"
# # Bondora：回头客违约更少吗？
#
# **问题。** 回头客与机构的关系更长。在这家爱沙尼亚平台上，回头客的违约比新客户少吗？每多借一次，违约是否又少一些？
#
# **数据。** 平台的贷款及申请当日已知的情况，一行是一笔贷款。回头客的贷款为处理组，新客户的为对照组。
#
# **本笔记本做什么。** 用statsmodels从贷款数据重新推出[报告](../reports/bondora/report.zh.html)的主要数字。流水线之中只用研究的参数与标签，不用其任何估计程序。只要有一个数字不同，就停止。
#
# **运行方法：** 先`make reproduce STUDY=bondora`，再`make lab`，打开`notebooks/bondora.zh.ipynb`。两种语言的源文件是`pipeline/studies/bondora/notebook.py`。

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
words = Words(language, "bondora")
choices = params.load()
protocol = choices.study("bondora")
cohort = pd.read_parquet("data/processed/bondora/cohort.parquet")
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
# ## Who is new, and who has borrowed before
#
# The platform calls each customer new or returning. The file also counts earlier loans. The two should say the same.

# %% [markdown] lang="zh"
# ## 谁是新客户，谁是回头客
#
# 平台把每位客户标为新客户或回头客，文件又记有历史贷款笔数。两者说的应当是同一件事。

# %% lang="en"
KINDS = ["new", "returning"]

# %% lang="zh"
KINDS = ["新客户", "回头客"]

# %%
returning = cohort["relationship_depth_returning"].map(dict(enumerate(KINDS)))
number = cohort["relationship_depth_prior_loans"]
earlier = number.clip(upper=6).astype(int).map(lambda count: f"{count}+" if count == 6 else str(count))
agree = ((number > 0) == (cohort["relationship_depth_returning"] == 1)).mean()
counts = pd.crosstab(earlier, returning)[KINDS]
counts.rename_axis(words.column("relationship_depth_prior_loans")).rename_axis(None, axis=1)

# %% lang="en"
print(f"For {100 * agree:.1f}% of the {len(cohort):,} loans the platform's word and the number of earlier loans agree.")

# %% lang="zh"
print(f"{len(cohort):,}笔贷款中，有{100 * agree:.1f}%的平台标注与历史贷款笔数一致。")

# %% [markdown] lang="en"
# ## The raw pattern
#
# If coming back protected against default, and customers were alike otherwise, the bars would fall from left to right.
# The dashed line is the rate of all loans.

# %% [markdown] lang="zh"
# ## 原始情况
#
# 如果回头能防止违约，而客户在其他方面都相同，柱子应当从左到右降低。虚线是全部贷款的违约率。

# %%
rate = 100 * cohort.groupby(earlier)["default"].mean()
axes = rate.plot.bar(color="#0072B2", rot=0)
axes.axhline(100 * cohort["default"].mean(), color="#595959", linestyle="--", linewidth=1)
axes.set(xlabel=words.column("relationship_depth_prior_loans"), ylabel=rate_label)
plt.show()
by_kind = 100 * cohort.groupby("treated")["default"].mean()
raw = by_kind[1] - by_kind[0]

# %% lang="en"
print(
    f"Of loans of new customers {by_kind[0]:.1f}% default, of those of returning ones {by_kind[1]:.1f}%: "
    f"{apart(raw)}. The rate goes from {rate.iloc[0]:.1f}% without an earlier loan to {rate.iloc[-1]:.1f}% with six or more."
)

# %% lang="zh"
print(
    f"新客户的贷款有{by_kind[0]:.1f}%违约，回头客的有{by_kind[1]:.1f}%，{apart(raw)}。"
    f"从没有历史贷款的{rate.iloc[0]:.1f}%，到有六笔及以上的{rate.iloc[-1]:.1f}%。"
)

# %% [markdown] lang="en"
# ## When the two kinds of customers came
#
# Returning customers come later, when the platform was another one. Within years of application the difference may be
# another one, too.

# %% [markdown] lang="zh"
# ## 两类客户各在何时到来
#
# 回头客来得晚，那时平台已经不同。在同一申请年份之内，差异也可能不同。

# %%
by_year = 100 * cohort.groupby(["origination_year", returning], observed=True)["default"].mean().unstack()[KINDS]
axes = by_year.plot(marker="o", color=["#D55E00", "#0072B2"])
axes.set(xlabel=words.column("origination_year"), ylabel=rate_label)
axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
plt.show()
lower = (by_year[KINDS[1]] < by_year[KINDS[0]]).sum()
later = cohort.groupby("treated")["origination_year"].agg(lambda years: years.astype(str).astype(int).mean())

# %% lang="en"
print(
    f"Returning customers applied {later[1] - later[0]:.1f} years later on average; in {lower} of {len(by_year)} years they "
    "defaulted less than new ones."
)

# %% lang="zh"
print(f"回头客的申请平均晚{later[1] - later[0]:.1f}年；{len(by_year)}个年份中有{lower}个，回头客的违约率低于新客户。")

# %% [markdown] lang="en"
# ## All controls
#
# Least squares of default on the factor and every control of the study. The coefficient is in percentage points of
# default for one unit more of the factor.

# %% [markdown] lang="zh"
# ## 控制全部变量
#
# 以违约对因素及研究所定的全部控制变量作最小二乘回归。系数是因素增加一个单位时违约率的变化（百分点）。

# %%
# Formulas want plain text where the cohort has categories.
categories = list(cohort.select_dtypes("category"))
loans = cohort.assign(**{name: cohort[name].astype(object) for name in categories})
controls = [term for block in protocol.controls.model_dump().values() for term in block]


def points(outcome, factor, terms, sample=loans):
    """Percentage points of the outcome for one unit more of the factor."""
    written = [f"C({term})" if term in categories else term.replace("log(", "np.log(") for term in terms]
    return 100 * smf.ols(f"{outcome} ~ {' + '.join([factor, *written])}", sample).fit().params[factor]


adjusted = points("default", "treated", controls)
each = points("default", "relationship_depth_prior_loans", controls)
verified = points("default", "information_sharing", controls)

# %% lang="en"
print(f"Adjusted, the default rate of returning customers is {apart(adjusted)}; unadjusted it was {apart(raw)}.")
print(f"With each further earlier loan it is {apart(each)}, with a verified income {apart(verified)}.")

# %% lang="zh"
print(f"经调整，回头客的违约率{apart(adjusted)}；未调整时{apart(raw)}。")
print(f"历史贷款每多一笔，违约率{apart(each)}；收入经核实者{apart(verified)}。")

# %% [markdown] lang="en"
# ## Three more looks
#
# Loans whose term has run out could show all of their defaults. Among returning customers, those who repaid a loan early
# may be others. And what the platform charges them, in the same month, shows whom it trusts.

# %% [markdown] lang="zh"
# ## 再看三处
#
# 期限已满的贷款，违约已经全部显现。回头客之中，曾提前还款者可能不同。平台在同一月份收多少利息，则看得出它信任谁。

# %%
back = loans[loans["relationship_depth_returning"] == 1]
over = points("default", "treated", controls, loans[loans["term_over"] == 1])
early = points("default", "repaid_early", [*controls, "relationship_depth_prior_loans"], back)
price = points("interest_rate", "treated", ["origination_month"]) / 100

# %% lang="en"
print(f"Among loans whose term has run out, the default rate of returning customers is {apart(over)}.")
print(f"For returning customers who had repaid early it is {apart(early)} than for other returning customers.")
print(f"In the same month, the interest rate of returning customers is {apart(price)}.")

# %% lang="zh"
print(f"期限已满的贷款中，回头客的违约率{apart(over)}。")
print(f"曾提前还款的回头客，违约率比其他回头客{apart(early)}。")
print(f"同一月份之内，回头客的利率{apart(price)}。")

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
    "returning, unadjusted",
    "returning, adjusted",
    "each further earlier loan, adjusted",
    "income verified, adjusted",
    "returning, loans whose term has run out",
    "repaid early, among returning customers",
    "returning, interest in the same month",
]

# %% lang="zh"
HEADS = ["这里推出", "报告所印"]
ROWS = [
    "回头客，未调整",
    "回头客，经调整",
    "历史贷款每多一笔，经调整",
    "收入经核实，经调整",
    "回头客，期限已满的贷款",
    "曾提前还款，回头客之中",
    "回头客，同月的利率",
]

# %%
names = ["estimator", "factor", "specification"]
regress = pd.read_csv("reports/bondora/results/regress.csv").query("estimand == 'risk_difference'")
published = pd.concat([regress, pd.read_csv("reports/bondora/results/effects.csv")]).set_index(names)["estimate"]
linear = "linear_probability"
wanted = [
    (linear, "treated", "M1"),
    (linear, "treated", "M5"),
    (linear, "relationship_depth_prior_loans", "M5"),
    (linear, "information_sharing", "M5"),
    ("watched", "relationship_depth_returning", "term_over"),
    ("behaviour", "repaid_early", "together"),
    ("price", "relationship_depth_returning", "same_month"),
]
here = [raw, adjusted, each, verified, over, early, price]
comparison = pd.DataFrame(dict(zip(HEADS, [here, published[wanted].to_numpy()], strict=True)), index=ROWS)
np.testing.assert_allclose(*comparison.to_numpy().T, rtol=1e-6, atol=1e-6)
comparison.round(4)

# %% lang="en"
print(f"All {len(comparison)} numbers agree to six digits.")

# %% lang="zh"
print(f"{len(comparison)}个数字全部一致，精确到六位。")
