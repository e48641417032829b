"""Lenders' files in the manner of ten countries, beside plain pandas and statsmodels."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from pipeline.__main__ import main
from pipeline.core import params, results
from pipeline.runtime import places, store
from pipeline.stats import estimators
from pipeline.studies.reference import generator
from pipeline.studies.reference import study as simulated
from pipeline.studies.reference.settings import Settings
from tests import own_loans
from tests.studies.own.test_own import ANALYSES, ROOT, edit, report, run
from tests.studies.own.test_own import workplace as workplace

NUMBER = 900


def made(seed):
    return own_loans.loans(NUMBER, seed)


def nigeria(loans):
    """Loans, clients and earlier loans in three files; terms in days, good and bad, timestamps."""
    Path("files").mkdir()
    client = "8a858e1" + (loans["id"] % 700).astype(str)
    granted = loans["date"] + pd.Timedelta(hours=8)
    pd.DataFrame({
        "customerid": client, "systemloanid": 301_000_000 + loans["id"], "loannumber": 1 + loans["id"] % 9,
        "approveddate": granted.dt.strftime("%Y-%m-%d %H:%M:%S.000000"), "loanamount": loans["amount"],
        "termdays": loans["term"] * 30, "referredby": "",
        "good_bad_flag": np.where(loans["default"] == 1, "Bad", "Good"),
    }).to_csv("files/trainperf.csv", index=False)  # fmt: skip
    clients = pd.DataFrame({"customerid": client.unique()})
    clients["bank_account_type"] = np.where(np.arange(len(clients)) % 3 == 0, "Savings", "Current")
    clients.to_csv("files/traindemographics.csv", index=False)
    each = loans.loc[loans.index.repeat(loans["contacts"])]
    pd.DataFrame({
        "customerid": client[each.index], "systemloanid": range(len(each)), "loanamount": 10_000.0,
        "approveddate": (each["date"] - pd.Timedelta(days=400)).dt.strftime("%Y-%m-%d 07:00:00.000000"),
    }).to_csv("files/trainprevloans.csv", index=False)  # fmt: skip
    counts = pd.DataFrame({"client": client[each.index], "date": each["date"] - pd.Timedelta(days=400)})
    factor = [
        int(((counts["client"] == one) & (counts["date"] < day)).sum())
        for one, day in zip(client, loans["date"], strict=True)
    ]
    return (
        "files",
        [],
        "relationship_depth",
        np.array(factor),
        {"term_months": (loans["term"] * 30 * 12 / 365.25).round(1)},
    )


def estonia(loans):
    """CamelCase, a feather file, dates, a date of default among what came later, verification in codes."""
    frame = pd.DataFrame({
        "LoanId": [f"{one:08X}-EE" for one in loans["id"]], "LoanDate": loans["date"], "Amount": loans["amount"],
        "Interest": loans["rate"], "LoanDuration": loans["term"], "Rating": loans["grade"],
        "IncomeTotal": loans["income"].astype(float), "Age": loans["age"],
        "NoOfPreviousLoansBeforeLoan": loans["contacts"],
        "Status": np.where(loans["default"] == 1, "Default", "Repaid"),
        "DefaultDate": loans["date"].where(loans["default"] == 1),
    })  # fmt: skip
    frame.to_feather("loans.feather")
    return "loans.feather", [], "relationship_depth", loans["contacts"].to_numpy(), {"income": loans["income"]}


def china(loans):
    """GBK text as a bank's system writes it: ten thousands, months, percent signs, overdue or settled."""
    own_loans.chinese_csv("loans.csv", NUMBER, 13)
    return "loans.csv", [], "satisfaction", loans["satisfaction"].to_numpy(), {"term_months": loans["term"]}


def germany(loans):
    """Lines above the names, semicolons, decimal commas, points for thousands, days first, months and years mixed."""
    good = np.where(loans["id"] % 40 == 5, "laufend", "vollständig getilgt")
    bad = np.where(loans["id"] % 2, "gekündigt", "abgeschrieben")
    frame = pd.DataFrame({
        "Vertragsnummer": loans["id"], "Filiale": "Köln " + loans["branch"].astype(str),
        "Auszahlungsdatum": loans["date"].dt.strftime("%d.%m.%Y"),
        "Kreditbetrag": loans["amount"].map("{:,.2f}".format).str.translate(str.maketrans(",.", ".,")),
        "Laufzeit": np.where(loans["term"] == 60, "5 Jahre", loans["term"].astype(str) + " Monate"),
        "Zinssatz": loans["rate"].map("{:.2f}".format).str.replace(".", ",") + " %",
        "Bonität": loans["grade"], "Einkommen": loans["income"].map("{:,.0f}".format).str.replace(",", "."),
        "Anzahl Kontakte": loans["contacts"], "Kreditstatus": np.where(loans["default"] == 1, bad, good),
    })  # fmt: skip
    above = '"Konsumentenkredite";""\n"Zeitraum:";"01.01.2016 - 31.12.2019"\n\n'
    Path("kredite.csv").write_bytes((above + frame.to_csv(index=False, sep=";", quoting=1)).encode("cp1252"))
    # Incomes have a point and three digits in all cells; the other columns' commas tell what it parts.
    return "kredite.csv", [], "communication_frequency", loans["contacts"].to_numpy(), {
        "interest_rate": loans["rate"], "income": loans["income"], "term_months": loans["term"],
    }  # fmt: skip


def america(loans):
    """Prosper's manner: keys, a rate as a fraction, states of loans with days past due, listing categories."""
    late = np.where(loans["id"] % 40 == 3, "Past Due (31-60 days)", np.where(loans["id"] % 40 == 4, "Current", ""))
    frame = pd.DataFrame({
        "LoanKey": [f"K{one}" for one in loans["id"]], "LoanOriginationDate": loans["date"].dt.strftime("%m/%d/%y"),
        "LoanOriginalAmount": loans["amount"], "Term": loans["term"], "BorrowerRate": (loans["rate"] / 100).round(4),
        "ProsperRating (Alpha)": loans["grade"], "StatedMonthlyIncome": loans["income"],
        "IncomeVerifiable": np.where(loans["treated"] == 1, "True", "False"),
        "LoanStatus": np.where(late != "", late, np.where(loans["default"] == 1, "Chargedoff", "Completed")),
        "LP_GrossPrincipalLoss": np.where(loans["default"] == 1, 100.0, 0.0),
    })  # fmt: skip
    frame.to_csv("prosper.csv", index=False)
    return (
        "prosper.csv",
        [],
        "information_sharing",
        loans["treated"].to_numpy(),
        {"interest_rate": (loans["rate"] / 100).round(4) * 100},
    )


def poland(loans):
    """Windows' Central European encoding, a blank between thousands, letters with a stroke, an outcome named Stan."""
    kwota = loans["amount"].map("{:,.2f}".format).str.translate(str.maketrans({",": "\xa0", ".": ","}))
    frame = pd.DataFrame({
        "Nr umowy": loans["id"], "Data wypłaty": loans["date"].dt.strftime("%d.%m.%Y"), "Kwota": kwota,
        "Okres (miesiące)": loans["term"], "Oprocentowanie": loans["rate"].map("{:.2f}%".format).str.replace(".", ","),
        "Klasa": loans["grade"], "Oddział": "Łódź " + loans["branch"].astype(str), "Dochód": loans["income"],
        "Liczba kontaktów": loans["contacts"], "Stan": loans["default"].map({1: "niespłacony", 0: "spłacony"}),
    })  # fmt: skip
    Path("umowy.csv").write_bytes(frame.to_csv(index=False, sep=";").encode("cp1250"))
    others = {"interest_rate": loans["rate"], "income": loans["income"], "term_months": loans["term"]}
    return "umowy.csv", [], "communication_frequency", loans["contacts"].to_numpy(), others


def japan(loans):
    """Shift-JIS, yen and months as units, an outcome that only its values tell."""
    frame = pd.DataFrame({
        "契約番号": loans["id"], "実行日": loans["date"].dt.strftime("%Y/%m/%d"),
        "融資額": loans["amount"].map("{:,.2f}円".format), "支店": loans["branch"].map("第{}支店".format),
        "期間": loans["term"].map("{}ヶ月".format),
        "金利": loans["rate"].astype(str) + "%", "格付": loans["grade"], "年収": loans["income"],
        "顧客満足度": loans["satisfaction"], "債権区分": loans["default"].map({1: "貸倒", 0: "完済"}),
    })  # fmt: skip
    frame.to_csv("loans.csv", index=False, encoding="shift_jis")
    others = {"interest_rate": loans["rate"], "income": loans["income"], "term_months": loans["term"]}
    return "loans.csv", [], "satisfaction", loans["satisfaction"].to_numpy(), others


def mexico(loans):
    """Windows' encoding, semicolons and decimal commas, a portfolio past due, the satisfaction of a client."""
    commas = {name: loans[name].map("{:,.2f}".format).str.translate(str.maketrans(",.", ".,")) for name in
              ("amount", "rate", "income")}  # fmt: skip
    bad = np.where(loans["id"] % 3 == 0, "Cartera vencida", "Castigado")
    frame = pd.DataFrame({
        "Número de crédito": loans["id"], "Fecha de otorgamiento": loans["date"].dt.strftime("%d/%m/%Y"),
        "Sucursal": "Suc. " + loans["branch"].astype(str), "Monto del crédito": commas["amount"],
        "Plazo (meses)": loans["term"], "Tasa anual (%)": commas["rate"], "Calificación": loans["grade"],
        "Ingresos mensuales": commas["income"], "Edad": loans["age"],
        "Programa de acompañamiento": loans["treated"].map({1: "Sí", 0: "No"}),
        "Satisfacción del cliente": loans["satisfaction"].map("{:.1f}".format).str.replace(".", ","),
        "Estatus": np.where(loans["default"] == 1, bad, np.where(loans["id"] % 29 == 4, "Vigente", "Liquidado")),
    })  # fmt: skip
    Path("cartera.csv").write_bytes(frame.to_csv(index=False, sep=";").encode("cp1252"))
    others = {"interest_rate": loans["rate"], "income": loans["income"], "treated": loans["treated"]}
    return "cartera.csv", [], "satisfaction", loans["satisfaction"].to_numpy(), others


def kenya(loans):
    """A mobile lender's tables: loans of clients who come again, a log of calls, answers, payments that came later."""
    Path("files").mkdir()
    draw, client = np.random.default_rng(31), "C" + (loans["id"] % 700).astype(str)
    bad = np.where(loans["id"] % 2, "Written Off", "90+ DPD")
    pd.DataFrame({
        "LoanID": loans["id"], "CustomerID": client, "PrincipalAmount": loans["amount"].map("KES {:,.2f}".format),
        "DisbursementDate": (loans["date"] + pd.Timedelta(hours=9)).dt.strftime("%d-%b-%Y %H:%M:%S"),
        "LoanTermDays": loans["term"] * 10, "RiskBand": loans["grade"], "Branch": loans["branch"],
        "CRMProgramme": loans["treated"].map({1: "Y", 0: "N"}), "OutstandingBalance": 0.0,
        "LoanStatus": np.where(loans["default"] == 1, bad, np.where(loans["id"] % 31 == 4, "Active", "Fully Paid")),
    }).to_csv("files/loan_book.csv", index=False)  # fmt: skip
    each = loans.loc[loans.index.repeat(loans["contacts"])]
    called = (each["date"] - pd.to_timedelta(draw.integers(1, 60, len(each)), unit="D")).to_numpy()
    calls = pd.DataFrame({"CustomerID": client[each.index].to_numpy(), "CallDate": called})
    calls["CallReason"] = draw.choice(["Onboarding", "Check-in"], len(calls))
    written = calls.assign(CallDate=calls["CallDate"].dt.strftime("%d-%b-%Y"))
    written.to_csv("files/call_log.csv", index=False)
    pd.DataFrame({"LoanID": loans["id"].repeat(2), "AmountPaid": 100.0, "PaymentDate": "01-Feb-2021"}).to_csv(
        "files/repayments.csv", index=False
    )
    counts = [
        int(((calls["CustomerID"] == one) & (calls["CallDate"] < day)).sum())
        for one, day in zip(client, loans["date"], strict=True)
    ]
    others = {"term_months": (loans["term"] * 10 * 12 / 365.25).round(1), "treated": loans["treated"]}
    return "files", [], "communication_frequency", np.array(counts), others


def lakhs(value):
    """Write a number as India does: 12,34,567."""
    whole = f"{value:.0f}"
    head, pairs = whole[:-3], []
    while head:
        head, pairs = head[:-2], [head[-2:], *pairs]
    return ",".join([*pairs, whole[-3:]])


def india(loans):
    """Names in Hindi and English, lakhs, tenures that are terms, classes of assets, and answers by client."""
    Path("files").mkdir()
    good = np.where(loans["id"] % 17 == 3, "SMA-1", "Standard")
    pd.DataFrame({
        "ऋण खाता संख्या (Loan A/c No)": "NBFC/" + loans["id"].astype(str), "ग्राहक आईडी (Customer ID)": loans["id"] + 9000,
        "Sanction Date": loans["date"].dt.strftime("%d/%m/%Y"), "Tenure": loans["term"], "ROI (%)": loans["rate"],
        "Sanctioned Amount (₹)": "₹ " + (100 * loans["amount"]).map(lakhs), "शाखा (Branch)": loans["branch"],
        "Relationship Programme (Y/N)": loans["treated"].map({1: "Y", 0: "N"}),
        "Asset Classification": np.where(loans["default"] == 1, "NPA", good),
    }).to_csv("files/loan_master.csv", index=False, encoding="utf-8-sig")  # fmt: skip
    answers = pd.DataFrame({
        "Customer ID": loans["id"] + 9000, "वार्षिक आय (Annual Income)": (10 * loans["income"]).map(lakhs),
        "Feedback Date": (loans["date"] - pd.Timedelta(days=15)).dt.strftime("%d/%m/%Y"),
        "Satisfaction Score": loans["satisfaction"],
    })  # fmt: skip
    answers.drop(columns=["Feedback Date", "Satisfaction Score"]).to_csv("files/customer_kyc.csv", index=False)
    answers.drop(columns="वार्षिक आय (Annual Income)").to_csv("files/feedback.csv", index=False)
    others = {"interest_rate": loans["rate"], "income": 10 * loans["income"], "term_months": loans["term"]}
    return "files", [], "satisfaction", loans["satisfaction"].to_numpy(), others


def china_overdue(loans):
    """Tables in GB 18030, one of few letters; days past due as the outcome, a date of birth, visits by client."""
    Path("files").mkdir()
    draw, client = np.random.default_rng(35), "K" + loans["id"].astype(str)
    late = np.where(loans["default"] == 1, draw.integers(91, 400, len(loans)), draw.integers(0, 60, len(loans)))
    each = loans.loc[loans.index.repeat(loans["contacts"])]
    tables = {
        "贷款台账": {"借据号": loans["id"], "客户号": client, "放款日": loans["date"].dt.strftime("%Y%m%d"),
                  "贷款金额(万元)": loans["amount"] / 10_000, "贷款期限(月)": loans["term"],
                  "执行利率(%)": loans["rate"],
                  "经办支行": loans["branch"].map("城东{}支行".format), "客户评级": loans["grade"],
                  "是否纳入客户关系管理": loans["treated"].map({1: "是", 0: "否"}), "最长逾期天数": late},
        "客户信息": {"客户号": client, "家庭年收入": loans["income"], "出生日期": "1980-05-01"},
        "回访记录": {"客户号": client[each.index], "回访方式": draw.choice(["电话", "上门"], len(each)),
                  "回访日期": (each["date"] - pd.Timedelta(days=9)).dt.strftime("%Y-%m-%d")},
    }  # fmt: skip
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(f"files/{name}.csv", index=False, encoding="gb18030")
    others = {"interest_rate": loans["rate"], "income": loans["income"], "treated": loans["treated"]}
    told = ["--default-at-least", "90"]
    return "files", told, "communication_frequency", loans["contacts"].to_numpy(), others


def test_a_mexican_lenders_tables_count_contacts_to_the_landmark(workplace):
    """Windows' encoding, days past due by month, contacts after the loan of which those of collection do not count."""
    loans, draw = made(21), np.random.default_rng(1)
    last = np.where(loans["default"] == 1, draw.integers(3, 14, NUMBER), 18)
    months = pd.DataFrame({"place": np.repeat(np.arange(NUMBER), last)})
    months["number"] = months.groupby("place").cumcount() + 1
    granted = loans["date"].dt.to_period("M").iloc[months["place"]].reset_index(drop=True)
    in_default = (months["number"] == last[months["place"]]) & (loans["default"].to_numpy()[months["place"]] == 1)
    each = loans.loc[loans.index.repeat(loans["contacts"])]
    days = each["date"] + pd.to_timedelta(draw.integers(5, 400, len(each)), unit="D")
    tables = {
        "creditos": {"numero_credito": loans["id"], "id_cliente": loans["id"] + 7,
                     "fecha_desembolso": loans["date"].dt.strftime("%d/%m/%Y"),
                     "monto": loans["amount"].map("${:,.2f}".format),
                     "sucursal": "Querétaro " + loans["branch"].astype(str),
                     "programa_crm": np.where(loans["treated"], "Sí", "No")},
        "clientes": {"id_cliente": loans["id"] + 7, "ingresos_mensuales": loans["income"]},
        "pagos": {"numero_credito": loans["id"].to_numpy()[months["place"]],
                  "mes": (granted + months["number"]).dt.to_timestamp().dt.strftime("%d/%m/%Y"),
                  "dias_de_atraso": np.where(in_default, 95, np.where(months.index % 9 == 0, 20, 0))},
        "contactos": {"id_cliente": each["id"] + 7, "fecha": days.dt.strftime("%d/%m/%Y"),
                      "motivo": draw.choice(["servicio", "cobranza", "oferta"], len(each))},
    }  # fmt: skip
    Path("files").mkdir()
    for name, columns in tables.items():
        pd.DataFrame(columns).to_csv(f"files/{name}.csv", index=False, encoding="cp1252")
    assert main(["init-study", "mine", "--data", "files", "--default-at-least", "90"]) == 0
    assert params.load().study("mine").landmark.factors == ["communication_frequency"]
    run("intake", "prepare")
    cohort = store.read_parquet(places.processed("mine") / "cohort.parquet")
    place = pd.Index(loans["id"].astype(str)).get_indexer(cohort["loan_id"])
    assert (cohort["default"] == loans["default"].to_numpy()[place]).all()
    np.testing.assert_allclose(cohort["income"], loans["income"].to_numpy()[place])
    since = 12 * (days.dt.year - each["date"].dt.year) + days.dt.month - each["date"].dt.month
    counts = (tables["contactos"]["motivo"] != "cobranza") & (since <= 6)
    kept = counts.groupby(each.index).sum().reindex(loans.index, fill_value=0)
    np.testing.assert_array_equal(cohort["communication_frequency"], kept.to_numpy()[place])
    bad = loans["default"].to_numpy() == 1
    np.testing.assert_array_equal(cohort["open_at_landmark"], (~bad | (last > 6))[place])
    np.testing.assert_array_equal(cohort["default_after_landmark"], (bad & (last > 6))[place])


LENDERS = {"nigeria": (nigeria, 11), "estonia": (estonia, 12), "china": (china, 13), "germany": (germany, 14),
           "america": (america, 15), "poland": (poland, 16), "japan": (japan, 17), "mexico": (mexico, 18),
           "kenya": (kenya, 19), "india": (india, 20), "china_overdue": (china_overdue, 21)}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("country", LENDERS)
def test_a_lenders_files_give_what_pandas_and_statsmodels_give(workplace, country):
    write, seed = LENDERS[country]
    loans = made(seed)
    place, told, role, factor, others = write(loans)
    assert main(["init-study", "mine", "--data", place, *told]) == 0
    assert params.load().study("mine").own["factors"][role]
    run(*ANALYSES)
    cohort = store.read_parquet(places.processed("mine") / "cohort.parquet")
    order = _order(loans, cohort, country)
    kept = loans.iloc[order].reset_index(drop=True)
    assert (cohort["default"] == kept["default"]).all()
    # Amounts in lakhs are whole rupees, those in ten thousands stand as they are.
    amount, near = cohort["amount"] / (100 if country == "india" else 1), {"china": 50, "india": 0.01}.get(country, 0)
    np.testing.assert_allclose(amount, kept["amount"], rtol=1e-9, atol=near)
    for name, values in others.items():
        np.testing.assert_allclose(cohort[name].astype(float), np.asarray(values)[order], rtol=1e-9)
    np.testing.assert_array_equal(cohort[role], factor[order])
    rows = results.read(places.results("mine", "regress"))
    row = rows.one(estimator="linear_probability", specification="M1", factor=role)
    plain = pd.DataFrame({"default": kept["default"], "factor": factor[order].astype(float)})
    by = params.load().study("mine").cluster
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": pd.factorize(cohort[by])[0]}}
    fit = smf.ols("default ~ factor", plain).fit(**(clustered if by != "loan_id" else {"cov_type": "HC1"}))
    assert row.estimate == pytest.approx(100 * fit.params["factor"], rel=1e-6)
    assert row.std_error == pytest.approx(100 * fit.bse["factor"], rel=1e-6)
    page = report()
    assert f"{100 * kept['default'].mean():.1f}%" in page
    assert json.loads((places.reports("mine") / "metrics.json").read_text())


def _order(loans, cohort, country):
    """Return the place among the made loans of each loan of the cohort."""
    if country == "nigeria":
        named = (301_000_000 + loans["id"]).astype(str)
    elif country == "estonia":
        named = pd.Series([f"{one:08X}-EE" for one in loans["id"]])
    else:
        named = {"china": "DK", "america": "K", "india": "NBFC/"}.get(country, "") + loans["id"].astype(str)
    places_of = pd.Index(named).get_indexer(cohort["loan_id"])
    assert (places_of >= 0).all()
    return places_of


def brought_in(scale):
    """Write simulated lenders' raw tables, bring them in as a reader's own; return both preparations."""
    frames = generator.simulate(Settings(scale=scale), 11, generator.RAW_TABLES, dirt=False)
    Path("lenders").mkdir()
    for name, frame in frames.items():
        frame.to_csv(f"lenders/{name}.csv", index=False)
    protocol = params.load(ROOT / "params.yaml").study("reference")
    theirs = simulated.prepare(simulated.from_frames(frames), protocol, params.load().checks)
    assert main(["init-study", "mine", "--data", "lenders"]) == 0
    edit("mine", horizon_months=protocol.horizon_months)
    run("intake", "prepare")
    cohort = theirs.cohort.sort_values("loan_id", ignore_index=True)
    return store.read_parquet(places.processed("mine") / "cohort.parquet"), cohort, theirs


def test_simulated_lenders_tables_give_the_cohort_and_the_months_of_their_own_study(workplace):
    mine, theirs, prepared = brought_in(0.01)
    assert len(mine) == len(theirs) > 800 and (mine["loan_id"] == theirs["loan_id"].astype(str)).all()
    same = ("default", "treated", "amount", "credit_score", "debt_to_income", "interest_rate", "term_months", "income",
            "open_at_landmark", "default_after_landmark", "information_sharing")  # fmt: skip
    for name in same:
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-9)
    np.testing.assert_allclose(mine["relationship_length"], 12 * theirs["relationship_length"], rtol=1e-9)
    for name in ("credit_grade", "institution_id", "origination_month"):
        assert (mine[name].astype(str) == theirs[name].astype(str)).all()
    for name in ("region", "industry", "loan_type"):
        assert (mine[name].astype(str) == theirs[name].astype(str).str.replace("_", " ")).all()
    # What comes after origination counts to the landmark, and speaks of the loans that were open then.
    landmark = params.load().study("mine").landmark
    assert (landmark.months, set(landmark.factors)) == (6, {"satisfaction", "communication_frequency", "early_warning"})
    for name, count in (("satisfaction", 1), ("communication_frequency", 6)):
        mine_, theirs_ = (one.loc[theirs["open_at_landmark"] == 1, name] for one in (mine, theirs))
        np.testing.assert_allclose(mine_, count * theirs_, rtol=1e-9)
    assert ((mine["early_warning"] > 0) == theirs["early_warning"])[theirs["open_at_landmark"] == 1].all()
    months = store.read_parquet(places.processed("mine") / "more" / "loan_months.parquet")
    for name in months.columns.drop(["loan_id", "calendar_month"]):
        np.testing.assert_allclose(months[name].astype(float), prepared.panels["loan_months"][name].astype(float), 1e-6)
    ends = [
        store.read_parquet(places.processed("mine") / "more" / "loan_ends.parquet"),
        prepared.further["loan_ends"](),
    ]
    ends = [one.astype({"end": str}).sort_values("loan_id")[["months", "end"]].to_numpy() for one in ends]
    assert (ends[0] == ends[1]).all()
    assert (mine["adopted"] == theirs["adopted"]).all()
    assert "    mine: {}" in Path("params.yaml").read_text().split("designed:")[1].split("watched:")[0]
    run("effects")
    found = results.read(places.results("mine", "effects"))
    for row in estimators.adoption(theirs, 0.95, seed=1):
        if row["specification"] == "not_estimated" or row["estimator"] == "permuted_adoption":
            continue
        of_mine = found.one(estimator=row["estimator"], specification=row["specification"])
        assert of_mine.estimate == pytest.approx(row["estimate"], rel=1e-6)


@pytest.mark.long
def test_simulated_lenders_tables_give_the_estimates_of_their_own_study(workplace):
    mine, theirs, _ = brought_in(0.05)
    run("match", "regress", "time", "warning")
    rows = results.read(places.results("mine", "regress"))
    for factor in ("treated", "relationship_length", "satisfaction", "communication_frequency"):
        row = rows.one(estimator="linear_probability", specification="M1", factor=factor)
        plain = theirs.assign(factor=mine[factor].astype(float))
        if factor in ("satisfaction", "communication_frequency"):
            plain = plain[plain["open_at_landmark"] == 1].dropna(subset="factor")
            plain = plain.assign(default=plain["default_after_landmark"])
        by = {"groups": plain["institution_id"].cat.codes}
        fit = smf.ols("default ~ factor", plain).fit(cov_type="cluster", cov_kwds=by)
        assert row.estimate == pytest.approx(100 * fit.params["factor"], rel=1e-6)
        assert row.std_error == pytest.approx(100 * fit.bse["factor"], rel=1e-6)
    gains = results.read(places.results("mine", "warning")).where(specification="gain", estimand="all_months")
    assert gains["estimate"].notna().any()
