# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # Lending Club: do borrowers who communicate default less?
#
# **The question.** On this US peer-to-peer platform investors asked questions before they funded a loan, and some
# borrowers answered, each message with its date. Do borrowers who communicate default less, and is that because of it?
#
# **The data.** All loans of the platform's first years that have ended: one row is one loan. Treated are loans with at
# least one dated message before funding, controls those without.
#
# **What this notebook does.** It derives the headline numbers of the
# [report](../reports/lendingclub/report.html) again from the loans: the raw difference and the regression with
# statsmodels, the matched pairs in plain Python. Of the pipeline it uses the study's choices and labels, none of its
# estimators. It stops if one number differs.
#
# **To run it:** `make reproduce STUDY=lendingclub`, then `make lab`, and open `notebooks/lendingclub.ipynb`. The source
# of both languages is `pipeline/studies/lendingclub/notebook.py`.

# %% [markdown] lang="zh"
# # Lending Club：沟通多的借款人违约更少吗？
#
# **问题。** 在这家美国网络借贷平台上，投资人出资之前可以提问，有的借款人作了回答，每条留言都有日期。愿意沟通的借款人违约更少吗？是因为沟通才更少吗？
#
# **数据。** 平台最初几年已经结束的全部贷款，一行是一笔贷款。出资前至少有一条带日期的留言者为处理组，没有留言者为对照组。
#
# **本笔记本做什么。** 从贷款数据重新推出[报告](../reports/lendingclub/report.zh.html)的主要数字：原始差异与回归用statsmodels，配对用纯Python写出。流水线之中只用研究的参数与标签，不用其任何估计程序。只要有一个数字不同，就停止。
#
# **运行方法：** 先`make reproduce STUDY=lendingclub`，再`make lab`，打开`notebooks/lendingclub.zh.ipynb`。两种语言的源文件是`pipeline/studies/lendingclub/notebook.py`。

# %%
language = "en"

import heapq
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
words = Words(language, "lendingclub")
choices = params.load()
protocol = choices.study("lendingclub")
cohort = pd.read_parquet("data/processed/lendingclub/cohort.parquet")
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
# Default rates of the two groups, as the loans stand: nothing is adjusted for.

# %% [markdown] lang="zh"
# ## 原始差异
#
# 两组贷款各自的违约率，未作任何调整。

# %%
groups = cohort.groupby("treated")["default"].agg(loans="size", defaults="sum", rate="mean")
raw = 100 * (groups["rate"][1] - groups["rate"][0])
table = groups.assign(rate=(100 * groups["rate"]).round(2), defaults=groups["defaults"].astype(int))
table.index = [words.text("columns.control"), words.text("columns.treated")]
table.set_axis([words.text("columns.loans"), words.text("columns.defaults"), rate_label], axis=1)

# %% lang="en"
print(
    f"Of {groups['loans'][1]:,} loans with a message {100 * groups['rate'][1]:.2f}% default, of {groups['loans'][0]:,} "
    f"without one {100 * groups['rate'][0]:.2f}%: with one the rate is {apart(raw)}."
)

# %% lang="zh"
print(
    f"有留言的{groups['loans'][1]:,}笔贷款中{100 * groups['rate'][1]:.2f}%违约，没有留言的{groups['loans'][0]:,}笔中"
    f"{100 * groups['rate'][0]:.2f}%违约：有留言的一组{apart(raw)}。"
)

# %% [markdown] lang="en"
# ## By number of messages
#
# If talking protected against default, the bars would fall from left to right. The dashed line is the rate of all
# loans.

# %% [markdown] lang="zh"
# ## 按留言条数看
#
# 如果沟通能防止违约，柱子应当从左到右降低。虚线是全部贷款的违约率。

# %%
last = int(protocol.doses["communication_frequency"][-1])
messages = cohort["communication_frequency"].clip(upper=last).astype(int)
rate = 100 * cohort["default"].groupby(messages).mean()
axes = rate.rename(lambda number: f"{number}+" if number == last else str(number)).plot.bar(color="#0072B2", rot=0)
axes.axhline(100 * cohort["default"].mean(), color="#595959", linestyle="--", linewidth=1)
axes.set(xlabel=words.column("communication_frequency"), ylabel=rate_label)
plt.show()

# %% lang="en"
print(
    f"Default is {rate[0]:.1f}% without a message and {rate[last]:.1f}% with {last} messages or more: it "
    f"{'rises' if rate[last] > rate[0] else 'falls'} with their number."
)

# %% lang="zh"
print(
    f"没有留言的贷款有{rate[0]:.1f}%违约，有{last}条及以上的有{rate[last]:.1f}%：留言越多，违约率越{'高' if rate[last] > rate[0] else '低'}。"
)

# %% [markdown] lang="en"
# ## All controls
#
# Borrowers who write may differ in grade, income or purpose. Least squares of default on the factor and every control
# of the study, standard errors clustered by state. The month of origination is a control too; series that are the same
# for all loans of a month say nothing beyond it and are left out.

# %% [markdown] lang="zh"
# ## 控制全部变量
#
# 写留言的借款人，等级、收入或用途可能本来就不同。这里以违约对因素及研究所定的全部控制变量作最小二乘回归，标准误按州聚类。发放月份也是控制变量；同月贷款取值相同的序列不再提供信息，因此略去。

# %%
# Formulas want plain text where the cohort has categories.
categories = list(cohort.select_dtypes("category"))
loans = cohort.assign(**{name: cohort[name].astype(object) for name in categories})


def formula(outcome, terms):
    """Write the study's terms as statsmodels reads them: categories in C(), logarithms by NumPy."""
    written = [f"C({term})" if term in categories else term.replace("log(", "np.log(") for term in terms]
    return f"{outcome} ~ {' + '.join(written)}"


months = cohort.groupby("origination_month", observed=True)
absorbed = [name for name in protocol.controls.market if (months[name].nunique() == 1).all()]
controls = [term for block in protocol.controls.model_dump().values() for term in block if term not in absorbed]
clusters = pd.factorize(loans[protocol.cluster])[0]


def points(factor):
    """Percentage points of default for one unit more of the factor: estimate, low, high."""
    fit = smf.ols(formula("default", [factor, *controls]), loans).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    return 100 * np.array([fit.params[factor], *fit.conf_int(alpha=1 - choices.inference.level).loc[factor]])


any_message, each_message = points("treated"), points("communication_frequency")

# %% lang="en"
print("Left out, as the months determine them:", ", ".join(map(words.column, absorbed)) + ".")
for label, (value, low, high) in (("Any message", any_message), ("Each further message", each_message)):
    told = "excludes" if low > 0 or high < 0 else "includes"
    print(f"{label}: the default rate is {apart(value)}; the interval, {low:.2f} to {high:.2f}, {told} zero.")

# %% lang="zh"
print(f"由月份决定而略去的变量：{'、'.join(map(words.column, absorbed))}。")
for label, (value, low, high) in (("有留言", any_message), ("每多一条留言", each_message)):
    told = "不含零" if low > 0 or high < 0 else "含零"
    print(f"{label}：违约率{apart(value)}，区间为{low:.2f}至{high:.2f}，{told}。")

# %% [markdown] lang="en"
# ## The propensity score
#
# Now pairs of like loans. A logistic regression says how likely each loan is to have a message given what is known
# before it; loans with the same chance are alike in these covariates on average. The logit is rounded to six digits, so
# that the last bits of a computer decide nothing.

# %% [markdown] lang="zh"
# ## 倾向得分
#
# 下面为相似的贷款配对。逻辑回归根据事前已知的情况，给出每笔贷款有留言的概率；概率相同的贷款，这些协变量平均而言也相同。对数优势保留六位小数，免得由计算机的末位决定结果。

# %%
score = smf.logit(formula("treated", protocol.matching.score), loans).fit(disp=False, tol=1e-12)
logit = np.round(score.fittedvalues.to_numpy(), 6)
reach = (choices.match.caliper or np.inf) * logit.std(ddof=1)

# %% lang="en"
print(
    f"The score is fitted on {', '.join(map(words.column, protocol.matching.score))}. Two loans of a pair may lie at most "
    f"{reach:.3f} apart on its logit, {reach / logit.std(ddof=1):.2g} standard deviations."
)

# %% lang="zh"
print(
    f"得分所用的协变量：{'、'.join(map(words.column, protocol.matching.score))}。"
    f"一对贷款的对数优势最多相差{reach:.3f}，即{reach / logit.std(ddof=1):.2g}个标准差。"
)

# %% [markdown] lang="en"
# ## Matched pairs
#
# Pairs share grade, purpose, term and quarter of origination exactly. Within such a group the closest pair of a
# treated loan and a control is formed first, then the closest of what is left, until none is near enough; each loan
# serves once. Sorted by score, the closest unlike loans always stand next to each other: any loan between them would be
# closer to one of the two. So a queue of neighbours is all it takes.

# %% [markdown] lang="zh"
# ## 配对样本
#
# 同一对贷款的等级、用途、期限、发放季度完全相同。在这样的一组之内，先取得分最近的一对处理贷款与对照贷款，再取余下的最近一对，直到没有足够近的为止；每笔贷款只用一次。按得分排序后，最近的一对必定相邻：若其间还有一笔，它与两者之一会更近。因此只需一个由相邻贷款组成的队列。

# %%
treated, default = cohort["treated"].to_numpy() == 1, cohort["default"].to_numpy()


def pairs_of(rows):
    """Form the closest pair that is left, again and again; rows are sorted by score."""
    left, right = list(range(-1, len(rows) - 1)), list(range(1, len(rows) + 1))
    free, queue, found = [True] * len(rows), [], []

    def offer(one, other):
        if one >= 0 and other < len(rows) and treated[rows[one]] != treated[rows[other]]:
            distance = round(logit[rows[other]] - logit[rows[one]], 9)
            if distance <= reach:
                heapq.heappush(queue, (distance, one, other))

    for place in range(len(rows) - 1):
        offer(place, place + 1)
    while queue:
        _, one, other = heapq.heappop(queue)
        if free[one] and free[other]:
            free[one] = free[other] = False
            found.append(sorted((rows[one], rows[other]), key=lambda row: not treated[row]))
            before, after = left[one], right[other]
            if before >= 0:
                right[before] = after
            if after < len(rows):
                left[after] = before
            offer(before, after)
    return found


alike = cohort.groupby(protocol.matching.exact, observed=True).indices.values()
pairs = np.array([pair for rows in alike for pair in pairs_of(rows[np.argsort(logit[rows], kind="stable")])])
difference = 100 * (default[pairs[:, 0]] - default[pairs[:, 1]]).mean()

# %% lang="en"
print(
    f"{len(pairs):,} pairs, {100 * len(pairs) / treated.sum():.0f}% of the treated loans. In pairs, the default rate of "
    f"treated loans is {apart(difference)} than that of controls."
)

# %% lang="zh"
print(
    f"共{len(pairs):,}对，占处理组贷款的{100 * len(pairs) / treated.sum():.0f}%。在配对样本中，处理组的违约率比对照组{apart(difference)}。"
)

# %% [markdown] lang="en"
# ## How close the pairs are
#
# Distances inside the pairs, in standard deviations of the score's logit. The caliper is the right end of the axis.

# %% [markdown] lang="zh"
# ## 配得有多近
#
# 同一对贷款之间的距离，以得分对数优势的标准差计。坐标轴右端是卡尺。

# %% lang="en"
DISTANCE, PAIRS = "Distance inside the pair (standard deviations)", "Pairs"

# %% lang="zh"
DISTANCE, PAIRS = "同一对之间的距离（标准差）", "配对数"

# %%
distance = np.abs(logit[pairs[:, 0]] - logit[pairs[:, 1]]) / logit.std(ddof=1)
axes = sns.histplot(x=distance, bins=40, color="#0072B2")
axes.set(xlabel=DISTANCE, ylabel=PAIRS)
plt.show()

# %% lang="en"
print(f"Half of the pairs lie within {np.median(distance):.4f} standard deviations of each other.")

# %% lang="zh"
print(f"半数配对的距离不超过{np.median(distance):.4f}个标准差。")

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
    "any message, unadjusted",
    "any message, adjusted",
    "each further message, adjusted",
    "any message, matched pairs",
]

# %% lang="zh"
HEADS = ["这里推出", "报告所印"]
ROWS = ["有留言，未调整", "有留言，经调整", "每多一条留言，经调整", "有留言，配对样本"]

# %%
rows = pd.read_csv("reports/lendingclub/results/regress.csv")
rows = rows.query("estimator == 'linear_probability' and estimand == 'risk_difference'")
published = rows.set_index(["factor", "specification"])["estimate"]
wanted = [("treated", "M1"), ("treated", "M5"), ("communication_frequency", "M5"), ("treated", "M6")]
here = [raw, any_message[0], each_message[0], difference]
comparison = pd.DataFrame(dict(zip(HEADS, [here, published[wanted].to_numpy()], strict=True)), index=ROWS)
np.testing.assert_allclose(*comparison.to_numpy().T, rtol=1e-6, atol=1e-6)
comparison.round(4)

# %% lang="en"
print(
    f"All {len(comparison)} numbers agree to six digits. With a message the default rate is {apart(raw)} unadjusted, "
    f"{apart(any_message[0])} adjusted, {apart(difference)} in pairs: no sign of protection."
    if min(raw, difference) > 0
    else f"All {len(comparison)} numbers agree to six digits."
)

# %% lang="zh"
print(
    f"{len(comparison)}个数字全部一致，精确到六位。有留言的贷款，违约率未调整时{apart(raw)}，经调整后{apart(any_message[0])}，"
    f"配对样本中{apart(difference)}：看不出沟通有保护作用。"
    if min(raw, difference) > 0
    else f"{len(comparison)}个数字全部一致，精确到六位。"
)
