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
# imported: what follows is pandas, statsmodels and seaborn. Cells that hold only labels or a sentence are folded.

# %% [markdown] lang="zh"
# # 从这里开始：一刻钟读懂一项研究
#
# **问题。** 贷款机构开展客户关系管理：给客户打电话，了解满意度，及早预警。参加的客户违约较少，是不是**因为**参加了它？
#
# **数据。** 本笔记本中的贷款是模拟的，真实效应已知，每种方法都可以与它对照。真实机构的结果在最后。
#
# **运行方法：** 先`make reproduce`，再`make lab`，打开`notebooks/start_here.zh.ipynb`。这里不调用流水线的任何代码，只用pandas、statsmodels和seaborn。只含标签或一句话的单元格已折叠。

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
import pandas as pd
import seaborn as sns
import statsmodels.formula.api as smf
from ruamel.yaml import YAML

fonts = ["Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "DejaVu Sans"]
size = {"figure.figsize": (4.8, 2.8), "figure.constrained_layout.use": True, "font.sans-serif": fonts}
sns.set_theme(style="whitegrid", font_scale=0.9, rc=size)
loans = pd.read_parquet("data/processed/reference/cohort.parquet")

# %% lang="en"
APART = ["{:.2f} percentage points lower", "{:.2f} percentage points higher"]

# %% lang="zh"
APART = ["低{:.2f}个百分点", "高{:.2f}个百分点"]

# %%


def apart(points):
    """A difference in words."""
    return APART[int(points > 0)].format(abs(points))


# %% [markdown] lang="en"
# ## One row is one loan
#
# The first five. *Treated* says that the client was enrolled in the programme, *default* that the loan defaulted within
# the horizon.

# %% [markdown] lang="zh"
# ## 一行是一笔贷款
#
# 下面是前五笔。“处理”表示客户参加了客户关系管理，“违约”表示该贷款在观察期内违约。

# %% lang="en"
COLUMNS = {"treated": "Treated", "default": "Default", "credit_grade": "Grade", "amount": "Amount"}

# %% lang="zh"
COLUMNS = {"treated": "处理", "default": "违约", "credit_grade": "信用等级", "amount": "金额"}

# %%
loans[list(COLUMNS)].head().rename(columns=COLUMNS)

# %% [markdown] lang="en"
# ## The raw difference
#
# Default rates of the two groups, as the loans stand.

# %% [markdown] lang="zh"
# ## 原始差异
#
# 两组贷款各自的违约率，未作任何调整。

# %% lang="en"
GROUPS, COUNTS = ["control group", "treated group"], ["Loans", "Default rate (%)"]

# %% lang="zh"
GROUPS, COUNTS = ["对照组", "处理组"], ["贷款数", "违约率（%）"]

# %%
rates = loans.groupby("treated")["default"].agg(loans="size", rate="mean")
rates["rate"] *= 100
raw = rates.loc[1, "rate"] - rates.loc[0, "rate"]
rates.round(2).set_axis(COUNTS, axis=1).set_axis(GROUPS)

# %% lang="en"
print(f"The default rate of the treated group is {apart(raw)}.")

# %% lang="zh"
print(f"处理组的违约率{apart(raw)}。")

# %% [markdown] lang="en"
# ## Why the raw difference misleads
#
# Who gets into the programme? If good clients do, they would have defaulted less without it. The first figure shows the
# share of each credit grade in the two groups.

# %% [markdown] lang="zh"
# ## 原始差异为什么会误导
#
# 谁参加了？如果是好客户，那么不参加他们也较少违约。先看各信用等级在两组中的占比。

# %% lang="en"
AXES = {"xlabel": "Credit grade", "ylabel": "Share of the group (%)"}
RATE = {"xlabel": "Credit grade", "ylabel": "Default rate (%)"}

# %% lang="zh"
AXES = {"xlabel": "信用等级", "ylabel": "占该组的比例（%）"}
RATE = {"xlabel": "信用等级", "ylabel": "违约率（%）"}

# %%
mix = 100 * pd.crosstab(loans["credit_grade"], loans["treated"], normalize="columns").set_axis(GROUPS, axis=1)
axes = mix.plot.bar(color=["#D55E00", "#0072B2"], rot=0)
axes.set(**AXES)
axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
plt.show()
best, worst = mix.iloc[0], mix.iloc[-1]

# %% lang="en"
print(
    f"The best grade makes up {best.iloc[1]:.0f}% of treated loans and {best.iloc[0]:.0f}% of controls, the worst "
    f"{worst.iloc[1]:.0f}% and {worst.iloc[0]:.0f}%: the groups are not alike."
)

# %% lang="zh"
print(
    f"最好的等级占处理组的{best.iloc[1]:.0f}%、对照组的{best.iloc[0]:.0f}%，最差的等级占处理组的{worst.iloc[1]:.0f}%、对照组的{worst.iloc[0]:.0f}%："
    "两组并不相同。"
)

# %% [markdown] lang="en"
# And the grades default at different rates, so their mix alone makes a difference.

# %% [markdown] lang="zh"
# 各等级的违约率又不相同，因此单是构成不同就会造成差异。

# %%
by_grade = 100 * loans.groupby("credit_grade", observed=True)["default"].mean()
by_grade.plot.bar(color="#595959", rot=0).set(**RATE)
plt.show()

# %% lang="en"
print(
    f"From the best grade to the worst the default rate goes from {by_grade.iloc[0]:.1f}% to {by_grade.iloc[-1]:.1f}%."
)

# %% lang="zh"
print(f"从最好的等级到最差的等级，违约率由{by_grade.iloc[0]:.1f}%到{by_grade.iloc[-1]:.1f}%。")

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

# %% lang="en"
print(
    f"Over {len(cells)} cells the default rate of treated loans is {apart(matched)}; the raw difference was {apart(raw)}."
)

# %% lang="zh"
print(f"就{len(cells)}格而言，处理组的违约率{apart(matched)}；原始差异是{apart(raw)}。")

# %% [markdown] lang="en"
# ## A regression with controls
#
# Matching balances what it matches on. A regression also holds score, debt and collateral fixed, and gives a confidence
# interval. Loans of one lender are correlated, so its standard errors are clustered by lender.

# %% [markdown] lang="zh"
# ## 加入控制变量的回归
#
# 匹配只平衡匹配所用的变量。回归还把信用评分、负债与抵押固定下来，并给出置信区间。同一机构的贷款彼此相关，因此标准误按机构聚类。

# %%
data = loans.assign(lender=loans["institution_id"].cat.codes)
model = smf.ols(
    "default ~ treated + C(credit_grade) + credit_score + C(loan_type) + debt_to_income + collateral + C(lender)",
    data,
).fit(cov_type="cluster", cov_kwds={"groups": data["lender"]})
adjusted = 100 * model.params["treated"]
low, high = 100 * model.conf_int().loc["treated"]

# %% lang="en"
print(f"Adjusted, the default rate of treated loans is {apart(adjusted)} (95% CI {low:.2f} to {high:.2f}).")

# %% lang="zh"
print(f"经调整，处理组的违约率{apart(adjusted)}（95%置信区间为{low:.2f}至{high:.2f}）。")

# %% [markdown] lang="en"
# ## The truth
#
# The simulation knows what every loan would have done without the programme. Its mean over treated loans is the true
# effect, here over many worlds like this one. Each bar is a method in this one world, the line is the truth.

# %% [markdown] lang="zh"
# ## 真相
#
# 模拟知道每笔贷款若不参加会怎样。处理组的平均值就是真实效应，这里取许多这样的模拟世界的均值。每根柱是一种方法在这一个世界中的估计，横线是真实效应。

# %% lang="en"
METHODS, POINTS = ["raw difference", "matched cells", "regression"], "Effect on default (points)"

# %% lang="zh"
METHODS, POINTS = ["原始差异", "匹配", "回归"], "对违约的效应（百分点）"

# %%
recovery = pd.read_csv("reports/reference/results/recovery.csv")
chosen = "estimator == 'linear_probability' and specification == 'base' and estimand == 'truth'"
truth = recovery.query(chosen)["estimate"].item()
found = pd.Series([raw, matched, adjusted], index=METHODS)
axes = found.plot.bar(color="#0072B2", rot=0)
axes.axhline(truth, color="black")
axes.set(ylabel=POINTS)
plt.show()

# %% lang="en"
print(f"The true effect: the default rate of treated loans is {apart(truth)} than without the programme.")
for name, value in found.items():
    print(f"The estimate of the {name} is {apart(value - truth)} than the truth.")

# %% lang="zh"
print(f"真实效应：处理组的违约率比不参加时{apart(truth)}。")
for name, value in found.items():
    print(f"{name}的估计值比真实效应{apart(value - truth)}。")

# %% [markdown] lang="en"
# One world is one draw, and an estimate near the truth may be luck. The
# [report of this study](../reports/reference/report.html) shows which methods recover the truth over many worlds, the
# [notebook on methods](../reports/notebooks/methods.html) why others do not: what no record holds, no regression can hold
# fixed.
#
# ## What real lenders show
#
# Every claim of the documents got a verdict by the rules of `docs/protocol.md`. The answer rests on two classes of claims:
# that CRM lowers default, and that it is associated with less of it. Verdicts over real lenders together:

# %% [markdown] lang="zh"
# 一个模拟世界只是一次抽样，估计值接近真实效应可能只是凑巧。哪些方法在许多模拟世界中都能还原真实效应，见[本研究的报告](../reports/reference/report.zh.html)；其余方法为什么不能，见[方法笔记本](../reports/notebooks/methods.zh.html)：没有记录下来的，任何回归都无法控制。
#
# ## 真实机构的结果
#
# 文献的每个论断都按`docs/protocol.md`中的规则得到结论。答案依据其中两类论断：客户关系管理降低违约，以及客户关系管理与违约较少相关。真实机构合计的结论如下：

# %%
evidence = YAML(typ="safe", pure=True).load(Path(f"pipeline/present/words/{language}/evidence.yaml"))
verdicts = pd.read_csv("reports/evidence/results/verdicts.csv")
overall = verdicts[verdicts["study"] == "overall"]
classes = ["effect", "association"]
shown = overall[overall["class"].isin(classes)]
counts = pd.crosstab(shown["verdict"], shown["class"]).rename_axis(None, axis=1).rename_axis(None)[classes]
counts.rename(index=evidence["verdicts"], columns=evidence["kinds"])

# %%
supported = counts.reindex(["supported", "supported_small"]).fillna(0).sum().astype(int)

# %% lang="en"
print(
    f"Of {counts['effect'].sum()} claims that CRM has an effect on default, real lenders support {supported['effect']}; "
    f"of {counts['association'].sum()} that it is associated with default, {supported['association']}."
)

# %% lang="zh"
print(
    f"关于客户关系管理影响违约的{counts['effect'].sum()}条论断中，得到真实机构支持的有{supported['effect']}条；"
    f"关于两者相关的{counts['association'].sum()}条中，有{supported['association']}条。"
)

# %% [markdown] lang="en"
# ## Where to go next
#
# - [The answer](../reports/index.html), and every claim with its evidence.
# - [The verdicts](../reports/notebooks/evidence.html), derived again from the results in a notebook.
# - `docs/own-loans.md`: the same study on your own loans.
# - `CONTRIBUTING.md`: where things are, and how to add a study or an analysis.

# %% [markdown] lang="zh"
# ## 接下来看什么
#
# - [答案](../reports/index.zh.html)，以及每个论断及其证据。
# - [全部结论](../reports/notebooks/evidence.zh.html)，在笔记本中由结果重新推出。
# - `docs/own-loans.md`：用自己的贷款做同样的研究。
# - `CONTRIBUTING.md`：各部分在哪里，怎样增加一项研究或一种分析。
