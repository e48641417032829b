import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stats import products
from pipeline.stats.products import decomposed, newton_sums, weighted_products


@given(
    st.integers(1, 40),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from(["logit", "poisson", "linear"]),
    st.integers(0, 2**32 - 1),
)
def test_products_and_sums_of_groups_are_those_of_all_rows_at_once(rows, columns, block, family, seed):
    rng = np.random.default_rng(seed)
    x, weights, y, slopes = (
        rng.normal(size=(rows, columns)),
        rng.random(rows),
        rng.random(rows),
        rng.normal(size=columns),
    )
    group = np.sort(np.unique(rng.integers(0, 6, rows), return_inverse=True)[1])
    own = rng.normal(size=group[-1] + 1)
    with pytest.MonkeyPatch.context() as patch:
        # Blocks that end inside a group, that hold several groups, and that hold one row.
        patch.setattr(products, "BLOCK", block)
        alone = weighted_products(x, weights)
        found = newton_sums(np.ascontiguousarray(x.T), y, weights, group, own, slopes, family, np.inf)
    assert alone == pytest.approx(x.T @ np.diag(weights) @ x)
    index = own[group] + x @ slopes
    fitted = {"logit": 1 / (1 + np.exp(-index)), "poisson": np.exp(index), "linear": index}[family]
    slope = {"logit": fitted * (1 - fitted), "poisson": fitted, "linear": np.ones(rows)}[family]
    assert found.fitted == pytest.approx(fitted)
    assert found.density == pytest.approx(weights * slope)
    assert found.rest == pytest.approx(weights * (y - fitted))
    assert found.products == pytest.approx(x.T @ np.diag(weights * slope) @ x)
    assert found.score == pytest.approx(x.T @ (weights * (y - fitted)))
    members = group == np.arange(group[-1] + 1)[:, None]
    assert found.by_group == pytest.approx(members @ ((weights * slope)[:, None] * x))


def test_a_predictor_beyond_certainty_ends_the_pass():
    x, ones, group = np.array([[0.0, 1.0, 9.0]]), np.ones(3), np.zeros(3, dtype=int)
    for family, ends in {"logit": True, "poisson": True, "linear": False}.items():
        found = newton_sums(x, ones, ones, group, np.zeros(1), np.array([10.0]), family, 30.0)
        assert (found is None) == ends


def test_a_design_in_few_digits_keeps_them():
    x = np.ones((3, 2), dtype=np.float32)
    assert weighted_products(x, np.full(3, 0.5)).dtype == np.float32


@pytest.mark.parametrize("nearly", [1.0, 1e-3, 1e-6, 1e-9, 0.0])
def test_the_basis_is_that_of_numpy_also_where_columns_nearly_agree(nearly, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3_000, 5)) * [1, 1e4, 1e-4, 1, 1]
    x[:, 4] = x[:, 3] + nearly * x[:, 4]
    theirs, triangle = np.linalg.qr(x)
    asked = []
    monkeypatch.setattr(np.linalg, "qr", lambda of: asked.append(of) or (theirs, triangle))
    basis, found = decomposed(x)
    assert bool(asked) == (nearly < 1e-6)
    assert basis.T @ basis == pytest.approx(np.eye(5), abs=1e-14)
    assert basis @ found == pytest.approx(x, rel=1e-12)
    signs = np.sign(np.diag(triangle)) * np.sign(np.diag(found))
    # How closely the columns are told apart, no way of computing can change.
    assert basis * signs == pytest.approx(theirs, abs=1e-15 / max(nearly, 1e-9))
