"""Numbers of labels: the same from categories as from the labels that they stand for."""

import numpy as np
import pandas as pd
import pytest

from pipeline.stats.inference import codes


@pytest.mark.parametrize("categories", [["b", "a", "unused", "c"], ["c", "b", "a"], ["a", "b", "c"]])
def test_categories_are_numbered_as_their_labels(categories):
    labels = np.array(["c", "a", "b", "a", "c"], dtype=object)
    held = pd.Series(pd.Categorical(labels, categories))
    assert codes(held).tolist() == codes(labels).tolist() == codes(held.array).tolist() == [2, 0, 1, 0, 2]
    assert codes(held).dtype == codes(labels).dtype


@pytest.mark.parametrize("labels", [["b", "é", "a", "Z", "b", ""], ["10", "9", "1", None, "9"]])
def test_text_is_numbered_as_it_sorts_however_it_is_held(labels):
    held = pd.Series(labels, dtype="str")
    assert codes(held).tolist() == codes(np.array(labels, dtype=object)).tolist()
    order = {label: place for place, label in enumerate(sorted({one for one in labels if one is not None}))}
    assert codes(held).tolist() == [order.get(label, -1) for label in labels]


def test_a_missing_category_has_no_number():
    labels = pd.Series(["b", None, "a"])
    assert codes(labels.astype("category")).tolist() == codes(labels).tolist() == [1, -1, 0]
    assert codes(pd.Series(pd.Categorical([2010, 2008], [2010, 2009, 2008]))).tolist() == [1, 0]
