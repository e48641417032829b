"""Sentiment learned from wordings is that learned from all texts one by one."""

import zlib

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from pipeline.studies.reference.sentiment import DECIMALS, FOLDS, LONGEST, PENALTY, sentiments

WORDS = (
    "very helpful",
    "slow answers",
    "friendly branch",
    "hidden fees",
    "服务很好",
    "等了很久",
    "thanks",
    "never again",
)


def made_up(number, seed):
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(WORDS), (number, 2))
    texts = [f"{WORDS[one]}, {WORDS[other]}" for one, other in chosen]
    stars = np.clip(np.rint(3 + 1.5 * np.cos(chosen.sum(axis=1)) + rng.normal(size=number)), 1, 5)
    return texts, np.where(rng.random(number) < 0.3, np.nan, stars)


def one_by_one(texts, stars):
    fold = np.array([zlib.crc32(text.encode()) % FOLDS for text in texts])
    matrix = TfidfVectorizer(analyzer="char", ngram_range=(1, LONGEST), sublinear_tf=True).fit_transform(texts)
    scored, rated = np.full(len(texts), np.nan), ~np.isnan(stars)
    for part in np.unique(fold):
        learn = rated & (fold != part)
        model = Ridge(alpha=PENALTY, solver="sparse_cg", tol=1e-12).fit(matrix[learn], stars[learn])
        scored[fold == part] = model.predict(matrix[fold == part])
    return np.clip((scored - 3) / 2, -1, 1)


def test_texts_of_one_wording_weigh_as_much_as_they_are_many():
    texts, stars = made_up(600, 1)
    assert len(set(texts)) < 100
    np.testing.assert_allclose(sentiments(texts, stars), one_by_one(texts, stars), atol=0.51 * 10.0**-DECIMALS)


def test_the_order_of_the_texts_plays_no_part():
    texts, stars = made_up(200, 2)
    turned = np.random.default_rng(3).permutation(200)
    again = sentiments([texts[place] for place in turned], stars[turned])
    np.testing.assert_array_equal(sentiments(texts, stars)[turned], again)


def test_without_stars_nothing_is_learned():
    texts, stars = made_up(20, 4)
    assert np.isnan(sentiments(texts, np.full(20, np.nan))).all()
    # Wordings without stars are scored all the same.
    assert not np.isnan(sentiments(texts, stars)).any()
