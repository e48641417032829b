"""Ties: an order drawn from the identifiers alone, and matched effects that no numbering of the loans can move."""

import numpy as np
import pandas as pd
import pytest

from pipeline.stats import ties
from pipeline.stats.comparison import compare, share_tied
from pipeline.stats.matching import Matches
from pipeline.stats.neighbours import mahalanobis, tied
from pipeline.stats.ties import hashes, order, priorities

WORD = 2**64


def plainly(text, seed):
    """The hash by whole numbers of any size, eight bytes after the other."""

    def mixed(number):
        number = (number + 0x9E3779B97F4A7C15) % WORD
        number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % WORD
        number = (number ^ number >> 27) * 0x94D049BB133111EB % WORD
        return number ^ number >> 31

    found, content = mixed(seed % WORD), text.encode()
    for start in range(0, len(content), 8):
        found = mixed(found ^ int.from_bytes(content[start : start + 8], "little"))
    return found


NAMES = ["12", "7", "loan 12", "a longer name than eight", "Zürich 3", "贷款一", "007", "12345678", "123456789"]


@pytest.mark.parametrize("seed", [0, 20021001, -1, 2**70])
def test_the_hash_is_that_of_the_text_s_bytes(seed):
    expected = [plainly(name, seed) for name in NAMES]
    assert hashes(np.array(NAMES, dtype=object), seed).tolist() == expected
    assert hashes(np.array(NAMES), seed).tolist() == expected
    assert [hashes(np.array([name], dtype=object), seed).tolist()[0] for name in NAMES] == expected


def test_splitmix_is_the_published_generator():
    """The first numbers of SplitMix64 from the seed 1234567 (Vigna's reference code)."""
    state = np.array([1234567 + place * 0x9E3779B97F4A7C15 for place in range(3)], dtype=object) % WORD
    found = ties._mixed(state.astype(np.uint64))
    assert found.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_text_and_numbers_are_alike():
    numbers = np.array([12, 7, 31000000001, -5, 0])
    text = numbers.astype(str).astype(object)
    for same in (numbers, numbers.astype(float), text, text.astype("U"), pd.Series(text, dtype="str").to_numpy()):
        assert (hashes(same, 3) == hashes(text, 3)).all()
        assert (order(same, 3) == order(text, 3)).all()
    assert not (order(numbers, 3) == order(numbers, 4)).all()
    assert order(np.array([], dtype=object), 1).tolist() == []


def test_the_order_depends_neither_on_the_rows_nor_on_how_many_are_hashed_at_a_time(monkeypatch):
    names = np.array([f"loan {number}" if number % 3 else f"prêt {number}" for number in range(500)], dtype=object)
    place = np.random.default_rng(1).permutation(500)
    whole = names[order(names, 5)]
    assert (names[place][order(names[place], 5)] == whole).all()
    assert (priorities(names[place], 5) == priorities(names, 5)[place]).all()
    monkeypatch.setattr(ties, "AT_ONCE", 7)
    assert (names[order(names, 5)] == whole).all()


def test_equal_hashes_are_resolved_by_the_text(monkeypatch):
    monkeypatch.setattr(ties, "AT_ONCE", 4)
    monkeypatch.setattr(ties, "_hashed", lambda text, seed: (np.char.str_len(text) % 2).astype(np.uint64))
    names = np.array(["d", "bb", "a", "cc", "c", "aa", "b"], dtype=object)
    place = np.random.default_rng(2).permutation(7)
    for rows in (np.arange(7), place):
        assert names[rows][order(names[rows], 1)].tolist() == ["aa", "bb", "cc", "a", "b", "c", "d"]


def test_the_order_goes_with_no_numbering():
    number = np.arange(20_000)
    for seed in range(5):
        assert abs(np.corrcoef(number, priorities(number, seed))[0, 1]) < 4 / np.sqrt(20_000)
        # Neighbours by number are no neighbours in the order either.
        assert abs(np.corrcoef(*(priorities(number, seed)[part] for part in (slice(1, None), slice(-1))))[0, 1]) < 0.03


def book(seed=11):
    """Make up loans of five sizes without any effect: default falls over time, and treatment ends early."""
    rng = np.random.default_rng(seed)
    number = 1500
    when = rng.random(number)
    treated = (rng.random(number) < 0.3).astype(int)
    size = rng.integers(1, 6, number).astype(float)
    default = (rng.random(number) < 0.4 - 0.3 * when).astype(int)
    return pd.DataFrame({"size": size}), treated, default, when, (size / 10).round(6)


DESIGNS = [
    {"order": "closest"},
    {"order": "data"},
    {"order": "largest", "distance": "probability"},
    {"distance": "mahalanobis"},
    {"method": "optimal"},
]


def effects(choices, numberings):
    covariates, treated, default, _, score = book()
    found = []
    for identifier in numberings:
        weight = compare(covariates, treated, identifier, logit=score, **choices).weight
        means = [np.average(default[treated == arm], weights=weight[treated == arm]) for arm in (1, 0)]
        found.append(means[0] - means[1])
    return np.array(found)


@pytest.mark.parametrize("choices", DESIGNS)
def test_numbers_that_follow_time_give_an_estimate_like_any_other(monkeypatch, choices):
    """No numbering is special: those by time, forwards and backwards, lie among numberings given anew."""
    when = book()[3]
    by_time = [np.argsort(np.argsort(when)), np.argsort(np.argsort(-when)) + 1_000_000]
    rng = np.random.default_rng(3)
    anew = effects(choices, [rng.permutation(1500) for _ in range(25)])
    assert anew.std() > 0
    assert np.abs((effects(choices, by_time) - anew.mean()) / anew.std()).max() < 4
    if choices.get("method") == "optimal":
        # Its tiny numbers stand for lots already, whatever order they are made from.
        return
    # With ties to the lower number both would lie far off, one on either side.
    monkeypatch.setattr(ties, "order", lambda identifier, seed: np.argsort(identifier))
    off = (effects(choices, by_time) - anew.mean()) / anew.std()
    assert off.min() < -4 and off.max() > 4


def test_with_replacement_no_numbering_moves_anything():
    rng = np.random.default_rng(3)
    found = effects({"replacement": True}, [rng.permutation(1500) for _ in range(5)])
    assert found == pytest.approx(found[0], abs=1e-12)
    # Averaged over all controls that tie, the effect is the difference within sizes, weighted by the treated loans.
    covariates, treated, default, _, _ = book()
    frame = pd.DataFrame({"size": covariates["size"], "treated": treated, "default": default})
    rates = frame.groupby(["size", "treated"])["default"].mean().unstack()
    share = frame[frame["treated"] == 1]["size"].value_counts(normalize=True)
    assert found[0] == pytest.approx(((rates[1] - rates[0]) * share).sum())


def test_small_probabilities_hide_no_ties():
    """On the probability logits far out differ by less than distances are told apart."""
    logit = np.array([-12.000001, -12.0, -12.000002, -11.999999])
    treated = np.array([1, 0, 0, 0])
    seen = set()
    for seed in range(30):
        found = compare(
            pd.DataFrame({"x": logit}), treated, np.arange(4), logit=logit, distance="probability", seed=seed
        )
        seen.add(int(found.matches.control[0]))
    assert seen == {1, 2, 3}


@pytest.mark.parametrize("dimensions", [1, 2])
def test_who_could_choose_is_counted_as_by_hand(dimensions):
    rng = np.random.default_rng(4)
    treated, stratum = (rng.random(200) < 0.3).astype(int), rng.integers(0, 3, 200)
    points = rng.integers(0, 60, 200) / 4 if dimensions == 1 else rng.integers(0, 12, (200, 2)) / 4
    chosen = [
        (one, rng.choice(np.flatnonzero((treated == 0) & (stratum == stratum[one]))))
        for one in np.flatnonzero(treated)[:40]
    ]
    matches = Matches(*(np.array(side) for side in zip(*chosen, strict=True)))
    table = points.reshape(200, -1)

    def gap(one, other):
        return round(float(np.sqrt(((table[one] - table[other]) ** 2).sum())), 9)

    expected = [
        sum(gap(one, row) == gap(one, other) for row in np.flatnonzero((treated == 0) & (stratum == stratum[one]))) > 1
        for one, other in chosen
    ]
    assert tied(treated, points, stratum, matches).tolist() == expected
    assert 0 < np.mean(expected) < 1


def test_a_control_at_no_distance_is_counted_once():
    treated, stratum = np.array([1, 0, 0, 1, 0, 0]), np.zeros(6, int)
    matches = Matches(np.array([0, 3]), np.array([1, 4]))
    assert tied(treated, np.array([1.0, 1.0, 3.0, 7.0, 7.0, 7.0]), stratum, matches).tolist() == [False, True]


def test_the_share_that_could_choose():
    covariates, treated, _, _, score = book()
    found = compare(covariates, treated, np.arange(1500), logit=score)
    assert share_tied(found, covariates, treated, logit=score) == 1
    rng = np.random.default_rng(5)
    apart = rng.normal(size=1500)
    found = compare(covariates, treated, np.arange(1500), logit=apart)
    assert share_tied(found, covariates, treated, logit=apart) == 0
    keys = pd.DataFrame({"grade": np.arange(1500) % 700})
    found = compare(covariates, treated, np.arange(1500), logit=score, exact=keys)
    share = share_tied(found, covariates, treated, logit=score, exact=keys)
    assert 0 < share < 0.5
    points = mahalanobis(covariates.to_numpy(), treated)
    found = compare(covariates, treated, np.arange(1500), distance="mahalanobis")
    by_hand = tied(treated, points, np.zeros(1500, int), found.matches).mean()
    assert share_tied(found, covariates, treated, distance="mahalanobis") == by_hand == 1
