# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] lang="en"
# # A lender's own loans: the headline numbers, derived again
#
# **The question.** Do this lender's clients default less with more customer relationship management?
#
# **The data.** The loans of the lender's own file as the study has prepared them. This notebook shows numbers of groups,
# never a loan.
#
# **What this notebook does.** It derives the headline numbers of the study's report again from the loans: regressions
# with statsmodels, matched pairs in plain Python. Of the pipeline it uses the study's choices and labels, none of its
# estimators. It stops if one number differs.
#
# **To run it:** `make reproduce STUDY=...` with the name below, then `make lab`. The source of both languages,
# `pipeline/studies/own/notebook.py`, serves every study of a reader's own file.

# %% [markdown] lang="zh"
# # 一家机构自己的贷款：重新推出主要数字
#
# **问题。** 这家机构的客户，客户关系管理越多，违约越少吗？
#
# **数据。** 机构自己文件中的贷款，经研究整理。本笔记本只显示各组的数字，从不显示单笔贷款。
#
# **本笔记本做什么。** 从贷款数据重新推出研究报告的主要数字：回归用statsmodels，配对用纯Python写出。流水线之中只用研究的参数与标签，不用其任何估计程序。只要有一个数字不同，就停止。
#
# **运行方法：** 先`make reproduce STUDY=...`（名称见下），再`make lab`。两种语言的源文件是`pipeline/studies/own/notebook.py`，供所有使用自有文件的研究共用。

# %%
study = "own"
language = "en"

import heapq
import itertools
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
from pipeline.core.scope import scope
from pipeline.present.words import Words

fonts = ["Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "DejaVu Sans"]
size = {"figure.figsize": (4.8, 2.8), "figure.constrained_layout.use": True, "font.sans-serif": fonts}
sns.set_theme(style="whitegrid", font_scale=0.9, rc=size)
choices = params.load()
cohort = pd.read_parquet(f"data/processed/{study}/cohort.parquet")
words = Words(language, study, choices.study(study).module)
allowed = scope(choices.study(study), cohort)
protocol = allowed.protocol
rate_label = words.in_percent(words.text("columns.rate"))

# %% lang="en"
APART = ["{:.2f} percentage points lower", "{:.2f} percentage points higher"]

# %% lang="zh"
APART = ["低{:.2f}个百分点", "高{:.2f}个百分点"]

# %%


def apart(points):
    """A difference in words."""
    return APART[int(points > 0)].format(abs(points))


# %% lang="en"
print(
    "Studied here:", ", ".join(words.known("columns", name) or name for name in allowed.factors) or "only who defaulted"
)

# %% lang="zh"
print(f"这里研究的因素：{'、'.join(words.known('columns', name) or name for name in allowed.factors) or '仅有谁违约'}")

# %% [markdown] lang="en"
# ## Who is in the cohort
#
# Default rates of the groups, as the loans stand. The dashed line is the rate of all loans.

# %% [markdown] lang="zh"
# ## 样本中有哪些贷款
#
# 各组的违约率，未作任何调整。虚线是全部贷款的违约率。

# %% lang="en"
GROUPS = {0: "not treated", 1: "treated", None: "all loans"}

# %% lang="zh"
GROUPS = {0: "对照组", 1: "处理组", None: "全部贷款"}

# %%
by = cohort["treated"].map(GROUPS) if allowed.arms else pd.Series(GROUPS[None], cohort.index)
groups = cohort.groupby(by)["default"].agg(loans="size", defaults="sum", rate="mean").rename_axis(None)
axes = (100 * groups["rate"]).plot.bar(color="#0072B2", rot=0)
axes.axhline(100 * cohort["default"].mean(), color="#595959", linestyle="--", linewidth=1)
axes.set(xlabel="", ylabel=rate_label)
plt.show()

# %% lang="en"
for name, loans, _, rate in groups.itertuples():
    print(f"{name}: {loans:,} loans, of which {100 * rate:.2f}% default.")

# %% lang="zh"
for name, loans, _, rate in groups.itertuples():
    print(f"{name}：{loans:,}笔贷款，其中{100 * rate:.2f}%违约。")

# %% [markdown] lang="en"
# ## All controls
#
# Least squares of default on each factor, unadjusted and with every control that the data support. A factor with gaps
# takes the loans for which it was measured, one that is recorded after the loan those that were open at the landmark,
# and defaults after it. One that the controls determine cannot be separated from them, and is left
# out.

# %% [markdown] lang="zh"
# ## 控制全部变量
#
# 以违约对每个因素作最小二乘回归：先不加控制，再加入数据所能支持的全部控制变量。有缺失的因素只用测量过的贷款；放款之后才记录的因素，只用界标时点仍未结束的贷款，并只计此后的违约。由控制变量决定的因素无法与之分开，因此略去。

# %%
# Formulas want plain text where the cohort has categories.
categories = list(cohort.select_dtypes("category"))
loans = cohort.assign(**{name: cohort[name].astype(object) for name in categories})
controls = [term for block in protocol.controls.model_dump().values() for term in block]


def points(factor, terms):
    """Percentage points of default for one unit more of the factor."""
    written = [f"C({term})" if term in categories else term.replace("log(", "np.log(") for term in terms]
    measured = loans[loans[factor].notna()]
    if protocol.landmark and factor in protocol.landmark.factors:
        # Defaults after the landmark, of the loans that were open then.
        measured = measured[measured["open_at_landmark"] == 1].assign(default=measured["default_after_landmark"])
    return 100 * smf.ols(" + ".join([f"default ~ {factor}", *written]), measured).fit().params[factor]


rows = pd.read_csv(f"reports/{study}/results/regress.csv")
rows = rows.query("estimator == 'linear_probability' and estimand == 'risk_difference' and estimate.notna()")
published = rows.set_index(["factor", "specification"])["estimate"].to_dict()
last = max((rung for _, rung in published if rung in ("M1", "M2", "M3", "M4", "M5")), default="M1")
here = {
    (factor, rung): points(factor, terms)
    for factor in (allowed.factors if allowed.models else [])
    for rung, terms in {"M1": [], last: controls if last != "M1" else []}.items()
    if (factor, rung) in published
}

# %% lang="en"
for (factor, rung), value in here.items():
    print(
        f"{words.known('columns', factor) or factor}, {'unadjusted' if rung == 'M1' else 'adjusted'}: {apart(value)}."
    )

# %% lang="zh"
for (factor, rung), value in here.items():
    print(f"{words.known('columns', factor) or factor}，{'未调整' if rung == 'M1' else '经调整'}：{apart(value)}。")

# %% [markdown] lang="en"
# ## Matched pairs
#
# A logistic regression says how likely each loan is to be treated. Within groups of equal keys the closest pair of a
# treated loan and a control is formed first, then the closest of what is left; each loan serves once. Sorted by score,
# the closest unlike loans stand next to each other. Where loans tie, an order drawn at random by a hash of their
# identifiers decides, the same on every machine.

# %% [markdown] lang="zh"
# ## 配对样本
#
# 逻辑回归给出每笔贷款属于处理组的概率。在键值相同的一组之内，先取得分最近的一对处理贷款与对照贷款，再取余下的最近一对；每笔贷款只用一次。按得分排序后，最近的一对必定相邻。得分相同时，由贷款编号的散列值排出的随机顺序决定，在任何计算机上都一样。

# %%


def mixed(number):
    """Each bit depends on all bits of the number (SplitMix, Steele 2014)."""
    number = number + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        number = (number ^ (number >> np.uint64(shift))) * np.uint64(factor)
    return number ^ (number >> np.uint64(31))


def hashed(identifiers, seed):
    """A number for each identifier, eight bytes of its text mixed in after the other."""
    text = np.array([str(name).encode() for name in identifiers])
    width = -(-text.dtype.itemsize // 8)
    found = mixed(np.full(len(text), seed, dtype=np.uint64))
    for word in text.astype(f"S{8 * width}").view("<u8").reshape(len(text), width).T:
        found = np.where(word == 0, found, mixed(found ^ word))
    return found.tolist()


def pairs_of(members, reach):
    """Form the closest pair that is left, again and again; members are (score, order of ties, treated, row)."""
    found, runs = [], []
    for score, same in itertools.groupby(sorted(members), key=lambda member: member[0]):
        waiting = {1: [], 0: []}
        for _, tie, treated, row in same:
            waiting[treated].append((tie, row))
        both = min(map(len, waiting.values()))
        found += [(one[1], other[1]) for one, other in zip(waiting[1][:both], waiting[0][:both], strict=True)]
        runs += [(score, treated, queue[both:]) for treated, queue in waiting.items() if queue[both:]]
    left, right, queue = list(range(-1, len(runs) - 1)), list(range(1, len(runs) + 1)), []

    def offer(one, other):
        if one >= 0 and other < len(runs) and runs[one][1] != runs[other][1]:
            distance = round(runs[other][0] - runs[one][0], 9)
            treated, control = (one, other) if runs[one][1] else (other, one)
            if distance <= reach:
                first = runs[treated][2][0], runs[control][2][0]
                heapq.heappush(queue, (distance, *first, treated, control))

    for place in range(len(runs) - 1):
        offer(place, place + 1)
    while queue:
        _, first, second, treated, control = heapq.heappop(queue)
        if [first] != runs[treated][2][:1] or [second] != runs[control][2][:1]:
            continue
        found.append((first[1], second[1]))
        for place in (treated, control):
            del runs[place][2][0]
            if not runs[place][2]:
                before, after = left[place], right[place]
                if before >= 0:
                    right[before] = after
                if after < len(runs):
                    left[after] = before
                offer(before, after)
            else:
                offer(left[place], place)
                offer(place, right[place])
    return found


match = choices.match
simple = match.method == "nearest" and match.distance == "logit" and match.ratio == 1 and not match.replacement
simple = simple and match.score == "logistic" and match.folds == 1 and match.discard == "none"
simple = simple and match.order == "closest" and not (protocol.matching.calipers or protocol.matching.cuts)
pairs = []
if simple and ("treated", "M6") in published:
    terms = [term.replace("log(", "np.log(") for term in protocol.matching.score]
    score = smf.logit("treated ~ " + " + ".join(terms), loans).fit(disp=False, tol=1e-12, maxiter=100)
    logit = np.round(score.fittedvalues.to_numpy(), 6)
    reach = (match.caliper or np.inf) * logit.std(ddof=1)
    order = hashed(cohort["loan_id"], choices.seed)
    members = list(zip(logit.tolist(), order, cohort["treated"].astype(int).tolist(), range(len(cohort)), strict=True))
    keys = protocol.matching.exact
    alike = cohort.groupby(keys, observed=True).indices.values() if keys else [range(len(cohort))]
    pairs = [pair for rows in alike for pair in pairs_of([members[row] for row in rows], reach)]
    treated, control = np.array(pairs).T
    default = cohort["default"].to_numpy()
    here["treated", "M6"] = 100 * (default[treated] - default[control]).mean()

# %% lang="en"
if pairs:
    print(f"{len(pairs):,} pairs: default of treated loans is {apart(here['treated', 'M6'])} than of their controls.")
else:
    print("No pairs to derive again.")

# %% lang="zh"
if pairs:
    print(f"共{len(pairs):,}对：处理组贷款的违约率比对照贷款{apart(here['treated', 'M6'])}。")
else:
    print("没有可重新推出的配对。")

# %% [markdown] lang="en"
# ## Side by side
#
# Each number as derived here and as the report prints it.

# %% [markdown] lang="zh"
# ## 逐项对照
#
# 每个数字：这里推出的，与报告所印的。

# %% lang="en"
HEADS, NAMED = ["derived here", "in the report"], "{}, {}"
RUNGS = {last: "adjusted", "M1": "unadjusted", "M6": "matched pairs"}

# %% lang="zh"
HEADS, NAMED = ["这里推出", "报告所印"], "{}，{}"
RUNGS = {last: "经调整", "M1": "未调整", "M6": "配对样本"}

# %%
names = [NAMED.format(words.known("columns", factor) or factor, RUNGS[rung]) for factor, rung in here]
both = [list(here.values()), [published[key] for key in here]]
comparison = pd.DataFrame(dict(zip(HEADS, both, strict=True)), index=names, dtype=float)
np.testing.assert_allclose(*comparison.to_numpy().T, rtol=1e-6, atol=1e-6)
comparison.round(4)

# %% lang="en"
print(f"All {len(comparison)} numbers agree to six digits.")

# %% lang="zh"
print(f"{len(comparison)}个数字全部一致，精确到六位。")
