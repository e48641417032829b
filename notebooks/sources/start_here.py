# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # Start here: one study in a quarter of an hour
#
# **The question.** Lenders run programmes of customer relationship management (CRM): they call clients, ask them how
# satisfied they are, warn them early. Do clients in such a programme default less *because of it*?
#
# **The data.** The loans of this notebook are simulated, so the true effect is known and every method can be held
# against it. What real lenders show is at the end.
#
# **To run it:** `make reproduce`, then `make lab`, and open `notebooks/start_here.ipynb`. Nothing of the pipeline is
# imported: what follows is pandas, statsmodels and seaborn.

# %% [markdown] lang="zh"
# # 从这里开始：一刻钟读懂一项研究
#
# **问题。** 贷款机构开展客户关系管理：给客户打电话，了解满意度，及早预警。参加的客户违约较少，是不是**因为**参加了它？
#
# **数据。** 本笔记本中的贷款是模拟的，真实效应已知，每种方法都可以与它对照。真实机构的结果在最后。
#
# **运行方法：** 先`make reproduce`，再`make lab`，打开`notebooks/start_here.zh.ipynb`。这里不调用流水线的任何代码，只用pandas、statsmodels和seaborn。

# %%
import os
from pathlib import Path

# The notebook works from the repository's root, wherever it was opened.
while not Path("params.yaml").exists():
    if Path.cwd() == Path.cwd().parent:
        raise FileNotFoundError("params.yaml: open the notebook inside the repository")
    os.chdir("..")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import statsmodels.formula.api as smf

sns.set_theme(style="whitegrid", rc={"figure.figsize": (6, 3), "figure.dpi": 110})
loans = pd.read_parquet("data/processed/reference/cohort.parquet")
loans[["treated", "default", "credit_grade", "loan_type", "amount", "income", "origination_date"]].head()

# %% [markdown] lang="en"
# ## The raw difference
#
# One row is one loan. `treated` says that its client was enrolled in the programme, `default` that the loan defaulted
# within the horizon. Default rates of the two groups, in percent:

# %% [markdown] lang="zh"
# ## 原始差异
#
# 一行是一笔贷款。`treated`表示其客户参加了客户关系管理，`default`表示该贷款在观察期内违约。两组的违约率（百分之）：

# %%
rates = loans.groupby("treated")["default"].agg(loans="size", default_rate="mean")
raw = 100 * (rates.loc[1, "default_rate"] - rates.loc[0, "default_rate"])
rates.assign(default_rate=(100 * rates["default_rate"]).round(2))

# %% [markdown] lang="en"
# ## Why the raw difference misleads
#
# Who gets into the programme? If good clients do, they would have defaulted less without it. Look at the credit grades:
# the share of each grade among treated loans (`1`) and controls (`0`), and the default rate of each grade.

# %% [markdown] lang="zh"
# ## 原始差异为什么会误导
#
# 谁参加了？如果是好客户，那么不参加他们也较少违约。看信用等级：各等级在处理组（`1`）与对照组（`0`）中的占比，以及各等级的违约率。

# %%
mix = pd.crosstab(loans["credit_grade"], loans["treated"], normalize="columns")
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
(100 * mix).plot.bar(ax=left, color=["#D55E00", "#0072B2"], rot=0, ylabel="%", legend=False)
figure.legend(["0", "1"], title="treated", loc="outside upper center", ncols=2)
(100 * loans.groupby("credit_grade", observed=True)["default"].mean()).plot.bar(ax=right, color="#595959", rot=0)
right.set_ylabel("%")
plt.show()

# %% [markdown] lang="en"
# ## Like with like: match on initial credit status and loan type
#
# The documents propose to compare treated loans with controls of the same initial credit status and the same type.
# Within a cell of grade, loan type and lender the groups are alike in these; the difference in each cell is weighted by
# its treated loans.

# %% [markdown] lang="zh"
# ## 同类相比：按初始信用状况与贷款类型匹配
#
# 文献主张把处理组与初始信用状况、贷款类型都相同的对照组相比。在等级、类型、机构都相同的一格之内，两组在这些方面一致；各格的差异按其处理组贷款数加权。

# %%
cells = loans.groupby(["credit_grade", "loan_type", "institution_id", "treated"], observed=True)["default"]
cells = cells.agg(["size", "mean"]).unstack("treated").dropna()
difference = cells["mean", 1] - cells["mean", 0]
matched = 100 * (difference * cells["size", 1]).sum() / cells["size", 1].sum()
pd.Series({"raw": raw, "matched": matched}).round(2)

# %% [markdown] lang="en"
# ## A regression with controls
#
# Matching balances what it matches on. A regression also holds score, debt and collateral fixed, and gives a
# confidence interval. Loans of one lender are alike, so its standard errors are clustered by lender.

# %% [markdown] lang="zh"
# ## 加入控制变量的回归
#
# 匹配只平衡匹配所用的变量。回归还把信用评分、负债与抵押固定下来，并给出置信区间。同一机构的贷款彼此相似，因此标准误按机构聚类。

# %%
data = loans.assign(lender=loans["institution_id"].cat.codes)
model = smf.ols(
    "default ~ treated + C(credit_grade) + credit_score + C(loan_type) + debt_to_income + collateral + C(lender)",
    data,
).fit(cov_type="cluster", cov_kwds={"groups": data["lender"]})
low, high = 100 * model.conf_int().loc["treated"]
pd.Series({"regression": 100 * model.params["treated"], "low": low, "high": high}).round(2)

# %% [markdown] lang="en"
# ## The truth
#
# The simulation knows what every loan would have done without the programme. Its mean over treated loans is the true
# effect, here over many worlds like this one. Each bar is a method in this one world, the line is the truth.

# %% [markdown] lang="zh"
# ## 真相
#
# 模拟知道每笔贷款若不参加会怎样。处理组的平均值就是真实效应，这里取许多这样的模拟世界的均值。每根柱是一种方法在这一个世界中的估计，横线是真实效应。

# %%
recovery = pd.read_csv("reports/reference/results/recovery.csv")
names = {"estimator": "linear_probability", "specification": "base", "estimand": "truth"}
(truth,) = recovery.loc[(recovery[list(names)] == pd.Series(names)).all(axis=1), "estimate"]
found = pd.Series({"raw": raw, "matched": matched, "regression": 100 * model.params["treated"]})
axes = found.plot.bar(color="#0072B2", rot=0)
axes.axhline(truth, color="black")
plt.show()
found.to_frame("points").assign(truth=truth, off_by=found - truth).round(2)

# %% [markdown] lang="en"
# What no record holds, no regression can hold fixed. The report of this study shows which methods get closer, and why:
# `reports/reference/report.html`, and the notebook `notebooks/methods.ipynb`.
#
# ## What real lenders show
#
# Every claim of the documents got a verdict by rules written down beforehand (`docs/protocol.md`). How many claims of
# each class ended how, over real lenders together:

# %% [markdown] lang="zh"
# 没有记录的，任何回归都无法控制。哪些方法更接近真相、为什么，见本研究的报告`reports/reference/report.zh.html`与笔记本`notebooks/methods.ipynb`。
#
# ## 真实机构的结果
#
# 文献的每个论断都按事先写下的规则（`docs/protocol.md`）得到结论。各类论断在真实机构合计的结论数：

# %%
verdicts = pd.read_csv("reports/evidence/results/verdicts.csv")
overall = verdicts[verdicts["study"] == "overall"]
pd.crosstab(overall["verdict"], overall["class"])

# %% [markdown] lang="en"
# ## Where to go next
#
# - `reports/index.html`: the answer, and every claim with its evidence.
# - `notebooks/evidence.ipynb`: the verdicts derived again from the results.
# - `docs/own-loans.md`: the same study on your own loans.
# - `CONTRIBUTING.md`: where things are, and how to add a study or an analysis.

# %% [markdown] lang="zh"
# ## 接下来看什么
#
# - `reports/index.zh.html`：答案，以及每个论断及其证据。
# - `notebooks/evidence.ipynb`：由结果重新推出全部结论。
# - `docs/own-loans.md`：用自己的贷款做同样的研究。
# - `CONTRIBUTING.md`：各部分在哪里，怎样增加一项研究或一种分析。
