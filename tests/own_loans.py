"""Made-up loans as lenders' exports look: `python -m tests.own_loans FOLDER` writes four files to try init-study on.

In all of them the programme lowers default by a known amount on the logit scale, and riskier clients are enrolled more.
"""

import html
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

EFFECT = -0.6


def loans(number, seed=1):
    """Draw loans whose default depends on grade, income, the programme and satisfaction."""
    draw = np.random.default_rng(seed)
    risk = draw.normal(size=number)
    grade = np.array(list("ABCDE"))[np.digitize(risk + 0.5 * draw.normal(size=number), [-1, -0.2, 0.5, 1.3])]
    income = np.round(np.exp(10.6 + 0.5 * draw.normal(size=number) - 0.15 * risk), -1)
    treated = (draw.random(number) < 1 / (1 + np.exp(0.4 - 0.5 * risk))).astype(int)
    satisfaction = np.clip(np.round(6.5 + 0.8 * treated + 1.5 * draw.normal(size=number)), 1, 10)
    contacts = draw.poisson(1.5 + 1.5 * treated)
    logit = -1.9 + 0.8 * risk + EFFECT * treated - 0.1 * (satisfaction - 6.5)
    return pd.DataFrame(
        {
            "id": np.arange(100001, 100001 + number),
            "date": pd.Timestamp("2016-01-01") + pd.to_timedelta(draw.integers(0, 4 * 365, number), unit="D"),
            "branch": draw.integers(1, 41, number),
            "grade": grade,
            "kind": draw.choice(["car", "home improvement", "working capital"], number),
            "amount": np.round(np.exp(9 + 0.6 * draw.normal(size=number)), 2),
            "term": draw.choice([12, 24, 36, 60], number),
            "rate": np.round(6 + 2 * risk.clip(-2, 3) + draw.normal(size=number).clip(-2, 2), 2).clip(1, 30),
            "income": income,
            "age": draw.integers(21, 70, number),
            "treated": treated,
            "contacts": contacts,
            "satisfaction": satisfaction,
            "default": (draw.random(number) < 1 / (1 + np.exp(-logit))).astype(int),
        }
    )


def english_csv(path, number=3000, seed=1):
    """Percent signs, thousands separators, currency signs, dates with the day first, yes and no, stray empty cells."""
    made = loans(number, seed)
    table = pd.DataFrame(
        {
            "Loan ID": "L-" + made["id"].astype(str),
            "Issue date": made["date"].dt.strftime("%d/%m/%Y"),
            "Branch": "Branch " + made["branch"].astype(str),
            "Credit Grade": made["grade"],
            "Purpose": made["kind"],
            "Loan Amount ($)": made["amount"].map("${:,.2f}".format),
            "Term": made["term"].astype(str) + " months",
            "Interest Rate": made["rate"].map("{:.2f}%".format),
            "Annual Income": made["income"].map("{:,.0f}".format),
            "Age": made["age"].astype(str),
            "CRM enrolled": made["treated"].map({1: "Yes", 0: "No"}),
            "Contacts": made["contacts"].astype(str),
            "Loan Status": made["default"].map({1: "Charged Off", 0: "Fully Paid"}),
            "Recoveries": np.where(made["default"] == 1, "120.00", "0.00"),
            "Client name": "Client " + made["id"].astype(str),
        }
    )
    table.loc[table.index % 97 == 5, "Annual Income"] = ""
    table.loc[table.index % 50 == 7, "Loan Status"] = "Current"
    table.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n")


def chinese_csv(path, number=2500, seed=2):
    """GBK text: Chinese names, dates, amounts in ten thousands, satisfaction scores, default as 是 and 否."""
    made = loans(number, seed)
    table = pd.DataFrame(
        {
            "贷款编号": "DK" + made["id"].astype(str),
            "放款日期": made["date"].dt.strftime("%Y年%m月%d日"),
            "支行": made["branch"].map("第{}支行".format),
            "信用等级": made["grade"] + "级",
            "贷款用途": made["kind"].map({"car": "购车", "home improvement": "装修", "working capital": "经营"}),
            "贷款金额": (made["amount"] / 1e4).round(2).map("{}万元".format),
            "期限": made["term"].astype(str) + "个月",
            "利率": made["rate"].astype(str) + "%",
            "年收入": made["income"].map("￥{:,.0f}".format),
            "年龄": made["age"].astype(str) + "岁",
            "客户满意度": made["satisfaction"].astype(int).astype(str) + "分",
            "沟通次数": made["contacts"].astype(str),
            "是否参与": made["treated"].map({1: "是", 0: "否"}),
            "是否违约": made["default"].map({1: "是", 0: "否"}),
        }
    )
    table.to_csv(path, index=False, encoding="gbk")


def _without_arms(number, seed):
    made = loans(number, seed)
    return made[["id", "grade", "amount", "income", "satisfaction", "default"]]


def stata_file(path, number=1200, seed=3):
    """No treatment, no date, no institution; the outcome is a labelled 0/1."""
    made = _without_arms(number, seed)
    made["defaulted"] = made.pop("default").map({0: "no", 1: "yes"}).astype("category")
    made.to_stata(path, write_index=False)


def excel_file(path, number=1200, seed=3):
    """The same as a sheet below a line of title, with a rate shown in percent. Needs openpyxl."""
    import openpyxl

    made = _without_arms(number, seed).assign(rate=loans(number, seed)["rate"] / 100)
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Loans"
    sheet.append(["Portfolio export"])
    sheet.append(list(made.columns))
    for row in made.itertuples(index=False):
        sheet.append([value.item() if hasattr(value, "item") else value for value in row])
        sheet.cell(sheet.max_row, len(made.columns)).number_format = "0.00%"
    book.save(path)


def parquet_file(path, number=1_000_000, seed=4):
    """Many loans, typed."""
    loans(number, seed).rename(columns={"treated": "crm", "id": "loan_id", "date": "issue_date"}).to_parquet(path)


def several_tables(folder, number=5000, seed=6):
    """A lender's loans, applications, contacts, surveys and branches; contacts and answers come before the loans."""
    folder.mkdir(parents=True, exist_ok=True)
    made = loans(number, seed)
    draw = np.random.default_rng(seed)
    client = made["id"] + 500_000
    loan = pd.DataFrame(
        {
            "loan_id": made["id"],
            "client_id": client,
            "branch_id": made["branch"],
            "origination_date": made["date"].dt.strftime("%Y-%m-%d"),
            "amount": made["amount"],
            "term_months": made["term"],
            "interest_rate": made["rate"],
            "loan_type": made["kind"],
            "credit_grade": made["grade"],
            "crm_enrolled": made["treated"].map({1: "yes", 0: "no"}),
            "loan_status": made["default"].map({1: "Charged Off", 0: "Paid off"}),
        }
    )
    applications = pd.DataFrame({"loan_id": made["id"], "annual_income": made["income"], "age": made["age"]})
    each = made.loc[made.index.repeat(made["contacts"])]
    days = pd.to_timedelta(draw.integers(1, 90, len(each)), unit="D")
    contacts = pd.DataFrame({"client_id": each["id"] + 500_000, "date": (each["date"] - days).dt.strftime("%Y-%m-%d")})
    asked = draw.random(number) < 0.8
    surveys = pd.DataFrame(
        {
            "client_id": client[asked],
            "date": (made["date"] - pd.Timedelta(days=30))[asked].dt.strftime("%Y-%m-%d"),
            "satisfaction": made["satisfaction"][asked],
        }
    )
    surveys = pd.concat([surveys, surveys.head(1)])
    branches = pd.DataFrame({"branch_id": range(1, 41), "region": [f"Region {place % 5}" for place in range(40)]})
    for name, table in {
        "loans": loan, "applications": applications, "contacts": contacts, "surveys": surveys, "branches": branches,
    }.items():  # fmt: skip
        table.to_csv(folder / f"{name}.csv", index=False)
    return made


def main(folder):
    """Write the files of the tutorial."""
    folder.mkdir(parents=True, exist_ok=True)
    several_tables(folder / "lender")
    english_csv(folder / "loans.csv")
    chinese_csv(folder / "loans_gbk.csv")
    stata_file(folder / "loans.dta")
    parquet_file(folder / "loans.parquet", 20_000)


def pictures(folder):
    """Draw what `docs/own-loans.md` shows, once its study of several tables has its report."""
    from pipeline.runtime import places
    from pipeline.studies.own import setup, told

    draft = setup.draft("lender", {"data": "data/raw/own/lender"})
    lines = [
        "$ python -m pipeline init-study lender --data data/raw/own/lender",
        "",
        "Outcome:",
        *draft.outcome.shown(),
    ]
    for title, said in (
        ("Found:", told.found(draft)),
        ("Joined:", told.joined(draft)),
        ("Assumed:", told.assumed(draft)),
    ):
        lines += ["", title, *(line if line.startswith(" ") else f"  - {line}" for line in said)]
    folder.mkdir(parents=True, exist_ok=True)
    wide, high = 8 * max(map(len, lines)) + 32, 18 * len(lines) + 32
    rows = "".join(
        f'<text x="16" y="{18 * place + 30}" style="white-space:pre">{html.escape(line)}</text>'
        for place, line in enumerate(lines)
        if line
    )
    (folder / "setup.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">'
        f'<rect width="{wide}" height="{high}" fill="#f6f6f4"/><g font-family="monospace" font-size="13" fill="#222">'
        f"{rows}</g></svg>\n",
        encoding="utf-8",
    )
    for name in ("raw", "ladder"):
        shutil.copy(places.reports("lender") / "figures" / f"{name}.svg", folder)


if __name__ == "__main__":
    pictures(Path(sys.argv[2])) if sys.argv[1] == "--pictures" else main(Path(sys.argv[1]))
