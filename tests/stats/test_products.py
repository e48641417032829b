import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stats import products
from pipeline.stats.products import grouped_products, weighted_products


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_products_and_sums_of_groups_are_those_of_all_rows_at_once(rows, columns, block, seed):
    rng = np.random.default_rng(seed)
    x, weights = rng.normal(size=(rows, columns)), rng.random(rows)
    group = np.sort(np.unique(rng.integers(0, 6, rows), return_inverse=True)[1])
    with pytest.MonkeyPatch.context() as patch:
        # Blocks that end inside a group, that hold several groups, and that hold one row.
        patch.setattr(products, "BLOCK", block)
        alone = weighted_products(x, weights)
        together, sums = grouped_products(x, weights, group)
    expected = x.T @ np.diag(weights) @ x
    assert alone == pytest.approx(expected)
    assert together == pytest.approx(expected)
    assert sums == pytest.approx((group == np.arange(group[-1] + 1)[:, None]) @ (weights[:, None] * x))


def test_a_design_in_few_digits_keeps_them():
    x = np.ones((3, 2), dtype=np.float32)
    assert weighted_products(x, np.full(3, 0.5)).dtype == np.float32
