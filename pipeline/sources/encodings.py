"""In which encoding a text is written: by its mark, as UTF-8 if it is valid, or else by the letters of languages."""

from __future__ import annotations

import codecs
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.runtime.errors import StudyError
from pipeline.sources.letters import plain as simplified
from pipeline.sources.tables import SAMPLE_BYTES

NO_ENCODINGS = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"}
"""What Python calls encodings of text and no program writes tables in."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, whose mark is the beginning of this one.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""What files begin with that say their encoding."""

LETTERS: Mapping[str, tuple[str, ...]] = {
    "cp1252": (
        "äöüß", "àâæçèéêëîïôœùûüÿ", "áéíñóúü", "àáâãçéêíóôõúü", "àèéìíòóù", "åäöéü", "åæøéäö", "äõöüšž",
        "àèéíïòóúüç", "áðéíóúýþæö", "éëïöüáó",
    ),
    "cp1250": (
        "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "ąćęłńóśźż", "áéíóöőúüű", "ăâîşţ", "čćđšž", "äöüß",
    ),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž"),
    "cp1254": ("çğıöşü",),
    "cp1251": ("абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґў",),
    "cp1253": ("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋ",),
}  # fmt: skip
"""Letters beyond the plain alphabet that one language uses, by the encodings in which it is written."""

ALPHABETS = ("cp1251", "cp1253")
"""Those of them that write other alphabets than the Latin."""

SIGNS = frozenset("€£¥$§°µ±–—‘’“”„…·•«»©®™¿¡´№½¼¾\xa0\u3000，。、；：？！（）《》【】「」％＋－／～ー・")
"""Characters that every language uses."""


def _frequent(codec: str, first: int, last: int) -> Callable[[str], bool]:
    """Return whether a character stands in the rows of a national standard that hold its frequent ones."""

    def known(character: str) -> bool:
        try:
            return first <= int.from_bytes(character.encode(codec), "big") <= last
        except UnicodeEncodeError:
            return False

    return known


ASIAN: Mapping[str, tuple[Callable[[str], bool], int]] = {
    "gb18030": (_frequent("gb2312", 0xB0A1, 0xD7F9), 3755),
    "big5": (_frequent("big5", 0xA440, 0xC67E), 5401),
    "cp932": (_frequent("shift_jis", 0x829F, 0x9872), 3200),
    "cp949": (_frequent("euc_kr", 0xB0A1, 0xC8FE), 2350),
}
"""Frequent characters of encodings of two bytes a character, and how many they are. GB 18030 holds GBK and GB 2312."""

USUAL = frozenset(
    "客户号编贷款金额期限利率日月年天放还逾违约是否正常结清机构银行支分地区省市性别男女收入学历职业类型等级评信用回访记录方式电话上门时间"
    "次数满意度调查姓名身合同产品途担保余状态本息借据申请管理经营购车装修个人公司万元未已到"
)
"""Chinese characters of which tables of loans are full, in simplified writing: they tell a table of few words."""
USUAL_KOREAN = frozenset(
    "년월일대출금액만원천기간개리율이자실행지점번호상태환중완납연체정소득고객명주회방문횟수신용등급담보용도나성별남여직업은입부서울산인광경강전충청제"
)
"""The same of Korean, letter by letter."""

_BEYOND = r"[^\W\da-zA-Z_]"
_SIGNS = r"[^\w\s\x00-\x7f‘’“„–—](?=[A-Za-z_])"
_CASES = r"[a-zà-ÿά-ώа-я](?=[À-ÞΆ-ΫА-Я])"
NO_WORDS: Mapping[tuple[bool, bool], tuple[str, ...]] = {
    (True, False): (),
    (False, True): (_CASES, _SIGNS, rf"[A-Za-z](?={_BEYOND})", rf"{_BEYOND}(?=[A-Za-z])"),
    (False, False): (_CASES, _SIGNS, rf"{_BEYOND}{{3}}"),
}
"""What words do not hold, in Asian writing, in other alphabets and in the Latin one: capitals after small letters,
Latin letters beside others, letters after signs, three accented letters in a row."""

FEWEST, NEARLY_ALL = 3, 0.9
"""Lines beyond ASCII that must be UTF-8, and their share, for the others to be damaged."""

STRANGE = math.log(100_000)
"""What a character costs that the language does not use, or a pair of letters that its words do not hold."""
SIGN = math.log(100)
"""What a sign costs that every language uses."""
PLAIN = math.log(40)
"""What a plain character costs: two bytes that are one character elsewhere may end in one."""
SURE = math.log(20)
"""How much likelier than any other that reads differently an encoding must be to be taken."""


def known(path: Path, encoding: str) -> str:
    """Return an encoding's proper name; a StudyError when there is none of that name."""
    try:
        found = codecs.lookup(encoding)
        if found._is_text_encoding and found.name not in NO_ENCODINGS:
            return found.name
    except (LookupError, ValueError):
        pass
    raise StudyError(f"{path}: there is no encoding called '{encoding}': give utf-8 or gb18030.")


def encoding_of(path: Path) -> str:
    """Tell the encoding of a text file; a StudyError with the likely ones where several fit and read differently."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    valid, sample, rest = True, b"", b""
    with path.open("rb") as file:
        start = file.read(4)
        for mark, name in MARKS:
            if start.startswith(mark):
                return name
        file.seek(0)
        while block := file.read(SAMPLE_BYTES):
            if b"\0" in block:
                raise StudyError(
                    f"{path} holds zero bytes: it is no text, or UTF-16 without its mark: save it as CSV UTF-8."
                )
            # Nearly all of most files is ASCII, which every encoding reads alike.
            plain = block.isascii()
            if valid and not (plain and not decoder.getstate()[0]):
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    valid = False
            if plain:
                rest = b""
            elif len(sample) < SAMPLE_BYTES:
                *lines, rest = re.split(rb"[\r\n]", rest + block)
                sample += b"\n".join(line for line in lines if not line.isascii()) + b"\n"
    if valid:
        try:
            decoder.decode(b"", final=True)
            return "utf-8"
        except UnicodeDecodeError:
            pass
    sample += b"" if rest.isascii() else rest
    _refuse_damage(path, sample)
    return _by_letters(path, sample)


def _refuse_damage(path: Path, sample: bytes) -> None:
    """Raise a StudyError where nearly all lines beyond ASCII are UTF-8, which hardly any is by chance."""
    lines = [line for line in sample.split(b"\n") if not line.isascii()]
    right = sum(map(_is_utf8, lines))
    if right < FEWEST or right < NEARLY_ALL * len(lines):
        return
    with path.open("rb") as file:
        number, line = next((number, line) for number, line in enumerate(file, start=1) if not _is_utf8(line))
    shown = line.decode("utf-8", errors="replace")
    place = shown.index("\ufffd")
    raise StudyError(
        f"{path}, line {number}: '{shown[max(place - 20, 0) : place + 20].strip()}' is damaged, since nearly all other "
        "lines beyond plain letters are UTF-8 (\ufffd stands for what cannot be read): correct it, or give the "
        "encoding of all with --encoding."
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _by_letters(path: Path, sample: bytes) -> str:
    """Tell an encoding by which language's letters a text has when it is read in it."""
    # A cell that comes a thousand times says no more than one that comes once.
    sample = b"\n".join(sorted(cell for cell in set(re.split(rb"[,;\t\n]", sample)) if not cell.isascii()))
    readings: dict[str, str] = {}
    for encoding in (*LETTERS, *ASIAN):
        try:
            readings[encoding] = sample.decode(encoding)
        except UnicodeDecodeError:
            continue
    merits = {encoding: _likelihood(encoding, text) for encoding, text in readings.items()}
    first, *others = sorted(merits, key=lambda encoding: -merits[encoding]) or ["cp1252"]
    rivals = [one for one in others if merits[one] > merits[first] - SURE and readings[one] != readings[first]]
    if rivals:
        pairs = [(first, rivals[0]), *((rival, first) for rival in rivals)]
        shown = ", ".join(f"{one} reads '{_word(readings[one], readings[other])}'" for one, other in pairs)
        raise StudyError(f"{path}: the encoding cannot be told ({shown}): give the right one with --encoding.")
    return first


def _likelihood(encoding: str, text: str) -> float:
    """Return how likely a text is in an encoding (a logarithm): each letter of the language as likely as any other."""
    letters = Counter(one.lower()[0] for one in text if not one.isascii() and one not in SIGNS)
    signs = sum(one in SIGNS for one in text)
    plain = sum(one.isascii() for one in text)
    strange = sum(len(re.findall(pattern, text)) for pattern in NO_WORDS[encoding in ASIAN, encoding in ALPHABETS])
    saved = 0.0
    if encoding in ASIAN:
        standard, size = ASIAN[encoding]
        usual = USUAL_KOREAN if encoding == "cp949" else USUAL
        saved = math.log(size / len(usual)) * sum(count for one, count in letters.items() if simplified(one) in usual)
        sizes = [(sum(count for one, count in letters.items() if standard(one)), size)]
    else:
        sizes = [
            (sum(count for one, count in letters.items() if one in language), len(language))
            for language in LETTERS[encoding]
        ]
    likely = [-STRANGE * (letters.total() - used) - math.log(size) * used for used, size in sizes]
    return max(likely) + saved - STRANGE * strange - SIGN * signs - PLAIN * plain


def _word(text: str, other: str) -> str:
    """Return the first word in which two readings of a text differ."""
    words = zip(text.split("\n"), other.split("\n"), strict=False)
    line = next((one for one, another in words if one != another), text)
    return next((word for word in re.findall(r"\w+", line) if not word.isascii()), line[:20])
