"""What the values of an outcome say of a loan: in default, repaid, or neither of them yet."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pipeline.sources import letters
from pipeline.sources.cells import NO, YES, by_value, levels

if TYPE_CHECKING:
    import pandas as pd

DEFAULT, REPAID, LEFT_OUT = "default", "repaid", "left out"
"""How a value is read in the end."""

BASEL_DAYS = 90
"""Days past due from which a loan counts as in default (Basel Committee 2006, paragraph 452)."""

_WORDS = {
    "default": """
        default, defaulted, in default, charged off, charge off, chgoff, written off, write off, wrote off,
        bad, bad debt, npl, npa, non performing, non performing asset, non accrual,
        loss, lost, bankrupt, bankruptcy, foreclosed,
        foreclosure, repossessed, uncollectible, doubtful, sold to collection, in collection, ausfall,
        ausgefallen, abgeschrieben, gekündigt, incumplido, impago, castigado, cartera vencida,
        inadimplente, en défaut, défaut, contentieux, contenzioso, deteriorato,
        impayé, sofferenza, niespłacony, macet, diragukan, kurang lancar, sub standard, unpaid, not paid,
        not repaid, wypowiedziany, prejuízo, baixado como prejuízo, дефолт, списан, 貸倒, 부도, 违约, 已违约, 坏账,
        坏帐, 呆帐, 不良, 核销, 已核销, 呆账, 呆滞, 损失, 次级,
        坏, 可疑, 违约客户, 坏客户,
        已垫付,
        takipte, batik, списано, безнадежный, wypowiedziana, niespłacona, da1, da2, da3,
        nieściągalny, windykacja, nhóm 3, nhóm 4, nhóm 5, nợ xấu, gagal bayar, 실질파산, 부실, 대손, 破綻先,
        実質破綻先, 破綻懸念先, 貸倒れ, متعثر, معدوم""",
    "arrears": """
        late, overdue, past due, delinquent, in arrears, arrears, in grace period, moroso, en mora, mora, vencido,
        vencida, atrasado, em atraso, con atraso,
        verspätet, in verzug, en retard, dalam perhatian khusus, special mention, просрочка, 延滞, 연체, 逾期,
        已逾期, 逾期中, 关注, 催收, 催收中,
        gecikmede, просрочен, просрочено, w zaległości, opóźniony, nhóm 2, nợ quá hạn, 延滞中, 연체중, متأخر""",
    "repaid": """
        paid, fully paid, paid in full, pif, repaid, paid off, payed off, paid back, settled, closed, cleared,
        completed, finished, matured, prepaid, early repaid, fully repaid, getilgt, zurückgezahlt,
        vollständig getilgt, planmäßig getilgt, vorzeitig getilgt, vollständig zurückgezahlt, abgelöst, pagado,
        liquidado, saldado, finiquitado, soldé, estinto, quitado, remboursé, spłacony, lunas, погашен, 完済,
        상환, 结清, 已结清, 还清,
        已还清, 正常结清, 提前结清, 已还款,
        kapandı, kapalı, ödendi, погашено, закрыт, закрыто, spłacona, zamknięty, đã tất toán, tất toán, đã trả,
        완납,
        상환완료, 返済済, 返済完了, مسدد, تم السداد""",
    "performing": """
        good, performing, no default, not default, not defaulted, non default, non defaulted, no arrears,
        on time, standard, regular, regolare, up to date, al día, al corriente,
        adimplente, em dia, à jour, lancar, pass, kein ausfall,
        正常, 未违约, 不违约, 未逾期, 良好, 好,
        好客户, 正常客户,
        std, düzenli, nhóm 1, 정상, 正常先, منتظم""",
    "running": """
        current, active, open, running, ongoing, outstanding, in repayment, repaying, issued, live,
        in progress, final payment in progress, funded, disbursed, exempt,
        laufend, vigente, ativo, em aberto, en cours, in corso, w trakcie spłaty, 还款中, 正常还款中, 进行中,
        未结清, 未到期, 使用中,
        已债转,
        devam ediyor, açık, действующий, активный, открыт, w spłacie, aktywny, đang vay, 상환중, 返済中, قائم,
        ساري""",
    "never": """
        cancelled, canceled, cancld, withdrawn, undisbursed, not disbursed, commit, committed, fundraising,
        expired,
        refunded, deleted, inactive""",
    "decision": """
        approved, rejected, declined, refused, denied, accepted, not approved, sanctioned,
        批准, 已批准, 通过, 审批通过, 拒绝, 已拒绝, 未通过""",
}  # fmt: skip


def plain(value: str) -> str:
    """Return a value as states are compared: small letters and digits, without blanks, hyphens and brackets."""
    text = letters.plain(value)
    # Lending Club writes what a loan's policy was before its state.
    text = re.sub(r"^.*\bstatus\s*:", "", text)
    return re.sub(r"[\W_]+", "", re.sub(r"\+", "plus", text))


WORDS: Mapping[str, str] = {
    plain(word): meaning for meaning, words in _WORDS.items() for word in words.split(",")
}  # fmt: skip
"""States of loans in the trade's words, compared without blanks, hyphens and case, and what each means."""

_TELLING = [word.strip() for words in _WORDS.values() for word in words.split(",") if len(word.strip()) > 5]
"""Words that tell a state inside a longer value, too: short ones say too little."""
_TURNED = re.compile(r"\b(?:not|no|non|never|yet|un\w*|part\w*|almost|pending|before|after|without|cured)\b")
"""Words beside which another may mean its opposite, or only a part."""

GOOD_NAME = re.compile(
    r"repaid|paid|good|perform|non default|no default|not default|success|结清|还清|已还|正常|履约|好客户"
)
"""Names of columns in which yes would mean that a loan was repaid."""
BAD_NAME = re.compile(r"unpaid|non perform|not paid|not repaid|not fully paid")
TELLING_NAME = re.compile(
    r"default|defaut|bad|charge|chgoff|chg off|npl|npa|delinq|dlq|dpd|ever ?\d\d\b|overdue|past due|arrears|"
    r"\blate\b|loss|writ|unpaid|not paid|not repaid|not fully paid|non perform|inadimpl|impa[gy]|moros|ausfall|incumpl|"
    r"违约|逾期|坏|不良|延滞|核销|呆"
)
"""Names of columns in which yes means default."""

_UP_TO = (
    r"less than|fewer than|under|below|up to|within|<=?|≤|до|hasta|menos de|até|bis(?: zu)?|unter|jusqu'?à|"
    r"不超过|少于|小于"
)
_DAYS = re.compile(
    rf"(?P<up_to>{_UP_TO})?\s*(?P<low>\d+)\s*(?:(?:-|–|to|至|~)\s*(?P<high>\d+))?\s*(?:\+|or more|plus)?\s*"
    r"(?P<unit>days?|天|日|dpd|д|d[ií]as?)?\s*(?P<below>or less|or fewer|以内|以下|之内)?"
)
"""Days, as in 31-90 days, 90+ DPD or up to 30 days."""
_LATE = re.compile(
    r"late|past ?due|overdue|arrears|delinq|dpd|days|逾期|天|延滞|просроч|atras|\bmora\b|retard|verzug|gecik"
)
_SPECIAL_MENTION = re.compile(r"sma[012]")
"""India's classes of accounts up to ninety days past due."""
_MONTHS_LATE = re.compile(r"m(?P<months>[0-7])(?P<open>plus)?")


class State(NamedTuple):
    """What one value of an outcome is read as."""

    value: str
    read_as: str
    """One of `DEFAULT`, `REPAID` and `LEFT_OUT`; empty where that is not known."""
    why: str
    """What kind of state it is, in a few words."""
    rows: int


def meaning_of(value: str) -> str:
    """Return what kind of state a value is: a key of the words above, late (with its days), yes, no, or nothing."""
    word = plain(value)
    if found := WORDS.get(word):
        return found
    if _SPECIAL_MENTION.fullmatch(word):
        return "late"
    if str(value).lower() in YES | NO:
        return "yes" if str(value).lower() in YES else "no"
    if months := _MONTHS_LATE.fullmatch(word):
        # M1 is up to thirty days past due, M3+ more than ninety.
        number = int(months["months"]) + bool(months["open"])
        return _by_days(30 * number, certain=number > 3)
    text = unicodedata.normalize("NFKC", str(value)).lower()
    days = max(_DAYS.finditer(text), key=lambda one: bool(one["high"]) + bool(one["unit"]), default=None)
    if days and (
        _LATE.search(text) or (re.fullmatch(r"\s*[>≥]?=?\s*\d+\s*\+?\s*", text) and re.search(r"[+>≥]", text))
    ):
        least = 0 if days["up_to"] or days["below"] else int(days["low"])
        return _by_days(int(days["high"] or days["low"]), certain=least >= BASEL_DAYS)
    return _of_its_words(text)


def _of_its_words(text: str) -> str:
    """Return the state that a longer value names, such as "repaid on time"; nothing where it names two."""
    if _TURNED.search(text):
        return ""
    text = re.sub(r"[-_/]", " ", text)
    kinds = {WORDS[plain(word)] for word in _TELLING if re.search(rf"\b{word}\b", text)}
    return "repaid" if kinds == {"repaid", "performing"} else kinds.pop() if len(kinds) == 1 else ""


def _by_days(days: int, *, certain: bool) -> str:
    return "default" if certain else "performing" if days == 0 else "late"


WHY = {
    "default": "in default", "arrears": "in arrears", "late": f"late by less than {BASEL_DAYS} days, or perhaps more",
    "repaid": "repaid", "performing": "performing", "running": "still running", "never": "never paid out",
    "decision": "of an application, not of a loan", "yes": "yes", "no": "no", "": "not known",
}  # fmt: skip
"""Kinds of states as they are shown."""


def sorted_out(counts: Mapping[str, int], given: Mapping[str, str], *, months: bool = False) -> list[State]:
    """Return what each value of an outcome is read as.

    `counts` are rows by value, `given` what the reader has said of some. Arrears count as default and performing loans
    as repaid where no other value does: beside charged-off loans, those in arrears are neither yet, and beside
    repaid ones, those performing. Of loans in single months (`months`), all that is no default is repaid or running.
    """
    letters = {plain(value) for value in counts}
    short = {"g": "performing", "b": "default"} if letters == {"g", "b"} else {}
    kinds = {value: short.get(plain(value)) or meaning_of(value) for value in counts}
    said = set(given.values())
    codes = {value for value in counts if re.fullmatch(r"-?\d+", value)}
    if not said and not all(kinds[value] for value in codes):
        # Beside other codes, 1 is no yes.
        kinds |= dict.fromkeys(codes, "")
    there = {*kinds.values(), *said}
    last = {
        "default": DEFAULT,
        # Where the reader has said which values mean default, a bare yes that is not among them does not.
        "yes": REPAID if DEFAULT in said else DEFAULT,
        "arrears": LEFT_OUT if there & {"default", "yes"} else DEFAULT,
        "late": LEFT_OUT,
        "repaid": REPAID,
        "no": DEFAULT if REPAID in said and DEFAULT not in said else REPAID,
        "performing": LEFT_OUT if "repaid" in there else REPAID,
        "running": LEFT_OUT,
        "decision": LEFT_OUT,
        "never": LEFT_OUT,
        "": "",
    }
    if months:
        last |= dict.fromkeys(
            ("late", "performing", "running", "never", *(["arrears"] if last["arrears"] != DEFAULT else [])), REPAID
        )
    return [
        State(value, given.get(value) or last[kinds[value]], "as told" if value in given else WHY[kinds[value]], rows)
        for value, rows in counts.items()
    ]


def named(states: Iterable[State], read_as: str) -> list[str]:
    """Return the values that are read in a way."""
    return [state.value for state in states if state.read_as == read_as]


def tells(name: str) -> bool:
    """Say whether a column's name (as in `good_name`) tells what yes means in it."""
    return bool(TELLING_NAME.search(name) or GOOD_NAME.search(name))


def open_then(column: pd.Series) -> pd.Series:
    """Say which cells of an outcome name loans that had neither defaulted nor been repaid yet."""
    open_ = ("performing", "running", "arrears", "late")
    return by_value(levels(column), lambda value: meaning_of(str(value)) in open_, "boolean").fillna(False).astype(bool)


def good_name(name: str) -> bool:
    """Say whether a column's name (small letters, words parted by blanks) tells that yes is good news."""
    return bool(GOOD_NAME.search(name)) and not BAD_NAME.search(name)
