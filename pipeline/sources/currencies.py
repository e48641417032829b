"""How people write what money is: signs, codes and words of currencies, before a number or after it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_SAME = {
    "USD": "US$ $ 美元", "EUR": "€ 欧元", "GBP": "£", "CNY": "RMB ¥ 人民币 元 圆", "JPY": "円", "INR": "₹ Rs Rs.",
    "KRW": "₩ 원", "HKD": "HK$ 港元", "AUD": "A$", "BRL": "R$", "PLN": "zł", "CZK": "Kč", "KES": "KSh Ksh.",
    "NGN": "₦", "RUB": "₽ руб руб.", "TRY": "₺ TL", "THB": "฿", "RON": "lei", "HUF": "Ft", "BGN": "лв",
    "IDR": "Rp Rp.", "VND": "₫ đ", "UAH": "₴ грн", "PEN": "S/ S/.", "SEK": "", "NOK": "", "DKK": "", "ZAR": "",
    "CHF": "", "MXN": "", "COP": "", "CLP": "", "ARS": "", "UGX": "USh", "TZS": "TSh", "GHS": "GH₵ ₵",
    "PHP": "₱", "KZT": "₸", "EGP": "", "SAR": "", "AED": "", "PKR": "", "BDT": "৳", "LKR": "", "NPR": "",
    "MYR": "RM", "SGD": "S$", "TWD": "NT$", "XOF": "", "XAF": "", "MAD": "", "RWF": "", "ZMW": "", "MWK": "",
    "ETB": "", "GEL": "₾", "AMD": "", "UZS": "", "KGS": "", "MNT": "₮", "KHR": "", "LAK": "", "BOB": "Bs Bs.",
    "GTQ": "", "HNL": "", "NIO": "C$", "DOP": "RD$", "PYG": "", "ILS": "₪", "krone": "kr",
}  # fmt: skip
CODE_OF = {form.casefold(): code for code, forms in _SAME.items() for form in (code, *forms.split())}
"""The currency that a sign, code or word stands for."""

PATTERN = "|".join(re.escape(form) for form in sorted(CODE_OF, key=len, reverse=True))

_BESIDE = re.compile(rf"[(-]*\s*({PATTERN})?\s*[-+]?\s*[\d.][^A-Za-z$€£¥]*?\s*({PATTERN})?\s*\)?", re.IGNORECASE)
FEW = 0.01
"""Up to which share of a column's cells with a currency another one is a slip of the pen."""


def of_cells(column: pd.Series) -> pd.Series:
    """Return the currency that each cell of a column names, alone or beside an amount; missing where it names none."""
    texts = column.astype("string")
    return texts.map({text: _named(text) for text in texts.dropna().unique()}).astype("string")


def _named(text: str) -> str | None:
    text = unicodedata.normalize("NFKC", text).strip()
    beside = _BESIDE.fullmatch(text)
    word = (beside[1] or beside[2]) if beside else text
    return CODE_OF.get(word.casefold(), text if re.fullmatch(r"[A-Z]{3}", text) else None) if word else None


def several(codes: pd.Series) -> dict[str, int]:
    """Return the currencies of a column's codes with their rows, most frequent first, where there are more than one."""
    counts = Counter(codes.dropna())
    kept = {name: rows for name, rows in counts.most_common() if rows > FEW * counts.total()}
    return kept if len(kept) > 1 else {}
