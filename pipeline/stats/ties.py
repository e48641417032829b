"""Who goes first where a design cannot tell loans apart: an order drawn at random, the same on every machine.

Identifiers follow time, branch or officer. A rule such as "the lower one first" would choose among loans that tie by
what goes with default; a hash of the identifier goes with nothing.
"""

from __future__ import annotations

import numpy as np

AT_ONCE = 1_000_000
"""Identifiers that are hashed at a time: their text takes as many bytes as the longest has, for each."""


def order(identifier: np.ndarray, seed: int) -> np.ndarray:
    """Return the rows (loans,) in an order drawn at random: of loans that tie the one that stands first goes first.

    `identifier` (loans,) holds unique text or numbers; 12, 12.0 and "12" are the same. The order follows from the
    identifiers and the seed alone, whatever the order of the rows. Where two hashes are equal, the identifiers' text
    decides.
    """
    parts = [_text(identifier[start : start + AT_ONCE]) for start in range(0, len(identifier), AT_ONCE)]
    hashed = np.concatenate([_hashed(part, seed) for part in parts]) if parts else np.array([], dtype=np.uint64)
    rows = np.argsort(hashed)
    ordered = hashed[rows]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(same):
        unsure = np.union1d(same, same + 1)
        few = rows[unsure]
        names = np.array([parts[row // AT_ONCE][row % AT_ONCE] for row in few.tolist()])
        rows[unsure] = few[np.lexsort((names, hashed[few]))]
    return rows


def priorities(identifier: np.ndarray, seed: int) -> np.ndarray:
    """Return each loan's place (loans,), from 0, in the `order` of the identifiers."""
    place = np.empty(len(identifier), dtype=np.int64)
    place[order(identifier, seed)] = np.arange(len(identifier))
    return place


def hashes(values: np.ndarray, seed: int) -> np.ndarray:
    """Return a number (uint64) for each value (rows,), text or number, that depends on its text and the seed alone."""
    return _hashed(_text(values), seed)


def _text(values: np.ndarray) -> np.ndarray:
    """Return values as text of one width (UTF-8), whole numbers without a point."""
    values = np.asarray(values)
    if values.dtype.kind == "f" and (np.abs(values) < 2**63).all() and (values == np.floor(values)).all():
        values = values.astype(np.int64)
    if values.dtype.kind in "iu" and len(values):
        # As wide as the longest number: numpy would take 21 characters for each.
        return values.astype(f"S{max(len(str(values.min())), len(str(values.max())))}")
    try:
        return values.astype("S")
    except UnicodeEncodeError:
        return np.char.encode(values.astype("U"), "utf-8")


def _hashed(text: np.ndarray, seed: int) -> np.ndarray:
    """Mix in eight bytes after the other; a word of nothing but what pads a text to its width is left out."""
    width = -(-max(text.dtype.itemsize, 1) // 8)
    words = np.ascontiguousarray(text.astype(f"S{8 * width}")).view("<u8").reshape(len(text), width)
    found = _mixed(np.full(len(text), seed % 2**64, dtype=np.uint64))
    for word in words.T:
        found = np.where(word == 0, found, _mixed(found ^ word))
    return found


def _mixed(number: np.ndarray) -> np.ndarray:
    """Return numbers (uint64) each bit of which depends on all bits of the given ones (SplitMix, Steele 2014)."""
    number = number + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        number = (number ^ (number >> np.uint64(shift))) * np.uint64(factor)
    return number ^ (number >> np.uint64(31))
