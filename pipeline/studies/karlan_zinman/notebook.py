# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # South African consumer lender: does the promise of a long relationship lower arrears?
#
# **The question.** Karlan and Zinman (2008) let chance decide which of a lender's former clients were promised that a
# good rate stays for a year. A promise of future credit is a long relationship by design. Do clients with it default
# less?
#
# **The data.** Every letter with its random terms, and what became of the loans of those who borrowed. Letters went out
# in three waves; within strata of wave, risk and branch chance decided the rate and the promise.
#
# **What this notebook does.** It derives the headline numbers of the
# [report](../reports/karlan_zinman/report.html) again, with statsmodels and a permutation test in NumPy. Of the
# pipeline it uses the study's choices and labels, none of its estimators. It stops if one number differs.
#
# **To run it:** `make reproduce STUDY=karlan_zinman`, then `make lab`, and open `notebooks/karlan_zinman.ipynb`. The
# source of both languages is `pipeline/studies/karlan_zinman/notebook.py`.

# %% [markdown] lang="zh"
# # 南非消费贷款机构：承诺长期关系能降低逾期吗？
#
# **问题。** Karlan与Zinman（2008）以随机分配决定一家机构的老客户中哪些人得到“信中利率一年内有效”的承诺。承诺今后的贷款条件，就是有意安排的长期关系。得到承诺的客户违约更少吗？
#
# **数据。** 每一封信及其随机决定的条款，以及借款者贷款的结果。信件分三批寄出，在批次、风险与网点构成的层之内，利率与承诺随机分配。
#
# **本笔记本做什么。** 用statsmodels以及NumPy写出的置换检验，重新推出[报告](../reports/karlan_zinman/report.zh.html)的主要数字。流水线之中只用研究的参数与标签，不用其任何估计程序。只要有一个数字不同，就停止。
#
# **运行方法：** 先`make reproduce STUDY=karlan_zinman`，再`make lab`，打开`notebooks/karlan_zinman.zh.ipynb`。两种语言的源文件是`pipeline/studies/karlan_zinman/notebook.py`。

# %%
language = "en"

import os
import warnings
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
from statsmodels.tools.sm_exceptions import SingularMatrixWarning

from pipeline.core import params
from pipeline.present.words import Words

fonts = ["Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "DejaVu Sans"]
size = {"figure.figsize": (4.8, 2.8), "figure.constrained_layout.use": True, "font.sans-serif": fonts}
sns.set_theme(style="whitegrid", font_scale=0.9, rc=size)
words = Words(language, "karlan_zinman")
choices = params.load()
protocol = choices.study("karlan_zinman")
cohort = pd.read_parquet("data/processed/karlan_zinman/cohort.parquet")
rate_label = words.in_percent(words.text("columns.rate"))
offers = pd.read_parquet("data/processed/karlan_zinman/more/offers.parquet")
# %% lang="en"
APART = ["{:.2f} percentage points lower", "{:.2f} percentage points higher"]

# %% lang="zh"
APART = ["低{:.2f}个百分点", "高{:.2f}个百分点"]

# %%


def apart(points):
    """A difference in words."""
    return APART[int(points > 0)].format(abs(points))


# %% [markdown] lang="en"
# ## Who borrowed, by wave and group
#
# Were the promise random, letters with and without it would become loans about equally often, unless the promise itself
# attracts. In the first wave the difference is too large for that, so the study leaves the wave out. Each row is a wave
# and a risk class.

# %% [markdown] lang="zh"
# ## 各批各组有多少人借款
#
# 如果承诺确是随机的，除非承诺本身吸引人，有承诺与没有承诺的信成为贷款的比例应当相近。第一批相差过大，无法这样解释，因此研究把它排除在外。图中每一行是一批信与一个风险等级。

# %% lang="en"
GROUPS, LETTERS = ["without the promise", "with the promise"], "Letters that became a loan (%)"

# %% lang="zh"
GROUPS, LETTERS = ["没有承诺", "有承诺"], "成为贷款的信（%）"

# %%
taken = offers.groupby(["origination_month", "credit_grade", "treated"], observed=True)["took_up"].mean().unstack()
shown = (100 * taken).set_axis(GROUPS, axis=1)
shown.index = [words.text("joining.comma").join((month, words.level(grade))) for month, grade in shown.index]
axes = shown.plot.barh(color=["#D55E00", "#0072B2"], figsize=(4.8, 3.6))
axes.set(xlabel=LETTERS, ylabel="")
axes.invert_yaxis()
axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
plt.show()
waves = 100 * offers.groupby(["origination_month", "treated"], observed=True)["took_up"].mean().unstack()

# %% lang="en"
print(
    f"In the first wave {waves.iloc[0, 1]:.1f}% of letters with the promise became loans and {waves.iloc[0, 0]:.1f}% of "
    f"those without; in the last {waves.iloc[-1, 1]:.1f}% and {waves.iloc[-1, 0]:.1f}%."
)

# %% lang="zh"
print(
    f"第一批中，有承诺的信有{waves.iloc[0, 1]:.1f}%成为贷款，没有承诺的有{waves.iloc[0, 0]:.1f}%；"
    f"最后一批分别为{waves.iloc[-1, 1]:.1f}%与{waves.iloc[-1, 0]:.1f}%。"
)

# %% [markdown] lang="en"
# ## Four outcomes
#
# The file knows how much was past due on average. Where default begins is a choice, so here are four outcomes: least
# squares within the strata of the randomisation and at given random rates, standard errors clustered by branch.

# %% [markdown] lang="zh"
# ## 四种结果变量
#
# 文件记录的是平均逾期金额，从多少起算违约是一种选择，因此这里列出四种结果变量：最小二乘回归，在随机分配的层之内、随机的利率给定，标准误按网点聚类。

# %% lang="en"
OUTCOMES = ["share past due", "anything past due", "in default", "more than a fifth past due"]
ESTIMATE = ["effect (points)", "standard error"]

# %% lang="zh"
OUTCOMES = ["逾期比例", "有任何逾期", "违约", "逾期超过五分之一"]
ESTIMATE = ["效应（百分点）", "标准误"]

# %%
# Formulas want plain text where the cohort has categories.
categories = set(cohort.select_dtypes("category"))
loans = cohort.assign(**{name: cohort[name].astype(object) for name in categories})
# A stratum in which one rate was drawn repeats what the rates say: it gets no coefficient of its own.
warnings.simplefilter("ignore", SingularMatrixWarning)


def promise(outcome, terms):
    """Effect of the promise on an outcome in percentage points, with its standard error."""
    written = [f"C({term})" if term in categories else term.replace("log(", "np.log(") for term in terms]
    branch = pd.factorize(loans["institution_id"])[0]
    fit = smf.ols(f"{outcome} ~ treated + {' + '.join(written)}", loans).fit(
        cov_type="cluster", cov_kwds={"groups": branch}
    )
    return 100 * fit.params["treated"], 100 * fit.bse["treated"]


rungs = protocol.controls.ladder()
outcomes = ["past_due_share", "past_due_any", "default", "past_due_above_fifth"]
effects = pd.DataFrame([promise(outcome, rungs["loan"]) for outcome in outcomes], index=OUTCOMES, columns=ESTIMATE)
effects.round(2)

# %% lang="en"
far = (effects[ESTIMATE[0]].abs() > 1.96 * effects[ESTIMATE[1]]).sum()
print(
    f"Default begins above {protocol.eligibility['past_due_above']:.0%} past due. With the promise it is "
    f"{apart(effects.iloc[2, 0])}; of the four effects {far} {'is' if far == 1 else 'are'} two standard errors or more from zero."
)

# %% lang="zh"
far = (effects[ESTIMATE[0]].abs() > 1.96 * effects[ESTIMATE[1]]).sum()
print(
    f"逾期超过贷款的{protocol.eligibility['past_due_above']:.0%}即为违约。有承诺者的违约率{apart(effects.iloc[2, 0])}；"
    f"四个效应中有{far}个与零相差两个标准误以上。"
)

# %% [markdown] lang="en"
# ## A permutation test in the third wave
#
# There the promise was random client by client, within branch and risk class. If it did nothing, any other assignment
# within these groups would have given the same defaults. So the promise is permuted within them 999 times, and the
# difference in default computed each time. The vertical line is the difference of the real assignment.

# %% [markdown] lang="zh"
# ## 第三批中的置换检验
#
# 第三批在网点与风险等级之内逐个客户随机分配承诺。如果承诺毫无作用，那么在这些组内换一种分配，违约仍会相同。因此在组内把承诺重新排列999次，每次计算违约率之差。竖线是实际分配的差异。

# %% lang="en"
DIFFERENCE, TIMES = "Difference in default when permuted (points)", "Permutations"

# %% lang="zh"
DIFFERENCE, TIMES = "置换后的违约率之差（百分点）", "置换次数"

# %%
third = loans[loans["origination_month"] == loans["origination_month"].max()]
third = third.assign(group=third["institution_id"] + third["credit_grade"]).sort_values("group", kind="stable")
default, promised = third["default"].to_numpy(), third["treated"].to_numpy()
parts = np.flatnonzero(third["group"].to_numpy()[1:] != third["group"].to_numpy()[:-1]) + 1
generator = np.random.default_rng(choices.seed)


def difference(assigned):
    """Percentage points of default, treated minus control."""
    return 100 * (default[assigned == 1].mean() - default[assigned == 0].mean())


def permuted():
    """The promise in another order within each group."""
    return np.concatenate([generator.permutation(part) for part in np.split(promised, parts)])


others, real = np.array([difference(permuted()) for _ in range(999)]), difference(promised)
axes = sns.histplot(x=others, bins=40, color="#0072B2")
axes.axvline(real, color="#D55E00")
axes.set(xlabel=DIFFERENCE, ylabel=TIMES)
plt.show()
as_far = (np.abs(others - others.mean()) >= abs(real - others.mean())).mean()

# %% lang="en"
print(
    f"In the third wave default with the promise is {apart(real)}. A share of {as_far:.3f} of the permutations "
    "lies at least as far from their centre: that is the p-value. The report holds the random rates fixed besides, so its "
    "difference and its p-value are others."
)

# %% lang="zh"
print(
    f"第三批中，有承诺者的违约率{apart(real)}。置换结果中离中心至少同样远的占{as_far:.3f}，这就是p值。报告还固定了随机的利率，因此差异与p值略有不同。"
)

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
ROWS = ["in default, unadjusted", *OUTCOMES, "in default, all controls"]

# %% lang="zh"
HEADS = ["这里推出", "报告所印"]
ROWS = ["违约，未调整", *OUTCOMES, "违约，控制全部变量"]

# %%
by_group = loans.groupby("treated")["default"].mean()
everything = promise("default", rungs["borrower"])[0]
here = [100 * (by_group[1] - by_group[0]), *effects[ESTIMATE[0]], everything]
rows = pd.read_csv("reports/karlan_zinman/results/regress.csv")
chosen = "estimator == 'linear_probability' and estimand == 'risk_difference' and factor == 'treated'"
rungs_printed = rows.query(chosen).set_index("specification")["estimate"]
rows = pd.read_csv("reports/karlan_zinman/results/effects.csv")
chosen = (
    "estimator == 'promise' and specification == 'strata_rates' and estimand == 'difference' and factor == 'treated'"
)
printed = rows.query(chosen).set_index("outcome")["estimate"]
printed = [rungs_printed["M1"], *printed[outcomes], rungs_printed["M3"]]
comparison = pd.DataFrame(dict(zip(HEADS, [here, printed], strict=True)), index=ROWS)
np.testing.assert_allclose(*comparison.to_numpy().T, rtol=1e-6, atol=1e-6)
comparison.round(4)

# %% lang="en"
print(
    f"All {len(comparison)} numbers agree to six digits; adjusted for all, default with the promise is {apart(everything)}."
)

# %% lang="zh"
print(f"{len(comparison)}个数字全部一致，精确到六位；控制全部变量后，有承诺者的违约率{apart(everything)}。")
