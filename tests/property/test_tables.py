"""Tables that hypothesis makes up go in and come back."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engram.data import Table
from engram.errors import DataError

finite = st.floats(-1e6, 1e6, allow_subnormal=False, width=32)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
cell = {
    "number": st.none() | finite,
    "whole": st.integers(-(10**6), 10**6),
    "flag": st.booleans(),
    "category": st.none() | st.sampled_from(["", "a", "<script>alert(1)</script>", "東京", "ä|b", " "]),
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Frames of one column of each type (names made up), with at least two different values in one number column."""
    n = draw(st.integers(2, 12))
    names = draw(st.lists(texts, min_size=len(cell) + 1, max_size=len(cell) + 1, unique=True))
    columns = {
        name: draw(st.lists(values, min_size=n, max_size=n)) for name, values in zip(names, cell.values(), strict=False)
    }
    columns[names[-1]] = [float(i) for i in range(n)]
    return pd.DataFrame(columns)


def fitted(raw: object, **wishes: object) -> tuple[Table, torch.Tensor, torch.Tensor]:
    kind = Table(**wishes).fit(raw)
    rows = kind.encode(kind.conform(raw))
    return kind, rows.x, torch.ones(len(rows), len(kind.columns), dtype=torch.bool) if rows.mask is None else rows.mask


def check_cells(before: pd.Series, after: pd.Series) -> None:
    """Cells that were there are as they were; whole numbers, flags and categories exactly."""
    there = before.notna().to_numpy()
    if pd.api.types.is_float_dtype(before.dtype):
        wanted = before[there].to_numpy()
        close = 1e-5 * (np.abs(wanted).max(initial=0) + 1e-6)
        np.testing.assert_allclose(after[there].to_numpy(dtype=float), wanted, atol=close)
    elif pd.api.types.is_integer_dtype(before.dtype):
        assert np.abs(after[there].to_numpy() - before[there].to_numpy()).max(initial=0) <= 1
    else:
        assert after[there].tolist() == before[there].tolist()


@given(frames())
def test_cells_that_are_there_come_back_in_their_type(frame: pd.DataFrame) -> None:
    kind, x, _ = fitted(frame)
    back = kind.decode(x)
    assert list(back.columns) == [c for c in frame.columns if c in back.columns]
    for name in back.columns:
        check_cells(frame[name], back[name])
        if frame[name].notna().all():
            assert back[name].dtype == frame[name].dtype


@given(frames())
def test_the_mask_says_where_cells_are_missing(frame: pd.DataFrame) -> None:
    kind, x, mask = fitted(frame)
    for i, name in enumerate(kind.columns):
        assert mask[:, i].tolist() == frame[name].notna().tolist()
    width = mask if kind.groups is None else mask[:, kind.groups]
    assert (x[~width] == 0).all()


@given(frames(), st.randoms(use_true_random=False))
def test_the_order_of_columns_and_extra_columns_do_not_matter(frame: pd.DataFrame, random: object) -> None:
    kind, x, mask = fitted(frame)
    names = list(frame.columns)
    random.shuffle(names)
    other = frame[names].assign(**{"an extra one": 1.0})
    rows = kind.encode(kind.conform(other))
    assert torch.equal(rows.x, x)
    assert torch.equal(mask, torch.ones_like(mask) if rows.mask is None else rows.mask)


@given(frames())
def test_a_table_goes_through_json_and_encodes_and_decodes_the_same(frame: pd.DataFrame) -> None:
    kind, x, _ = fitted(frame)
    again = Table.from_dict(json.loads(json.dumps(kind.to_dict(), allow_nan=False)))
    assert torch.equal(again.encode(again.conform(frame)).x, x)
    pd.testing.assert_frame_equal(again.decode(x), kind.decode(x))


@given(arrays.arrays(np.float64, st.tuples(st.integers(2, 10), st.integers(1, 5)), elements=st.floats(-1e8, 1e8)))
def test_arrays_of_numbers_come_back_within_single_precision(X: np.ndarray) -> None:
    kind, x, _ = fitted(X)
    back = kind.decode(x)
    assert back.dtype == X.dtype
    scale = np.abs(X).max(axis=0, keepdims=True)
    np.testing.assert_array_less(np.abs(back - X), 1e-5 * np.broadcast_to(scale, X.shape) + 1e-6)


@example(np.array([[0.0], [9.70035216e306]]))
@example(np.array([[1.11253693e-308], [0.0]]))
@given(arrays.arrays(np.float64, st.tuples(st.integers(2, 9), st.integers(1, 4)), elements=st.floats(width=64)))
def test_any_array_at_all_is_encoded_finitely_or_refused_in_words(X: np.ndarray) -> None:
    if np.isinf(X).any() or np.isnan(X).all():
        with pytest.raises(DataError, match=r"infinit|no column can be learned"):
            fitted(X)
    else:
        assert torch.isfinite(fitted(X)[1]).all()
