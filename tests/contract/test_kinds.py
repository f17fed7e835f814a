"""What every kind of data promises, whatever it is: rows in, the same rows out, JSON in between."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from engram.data import KINDS, Kind, as_kind
from engram.data.images import PIXELS
from engram.data.kind import kind_class
from engram.errors import DataError, DataTypeError, UsageError
from engram.likelihoods import LIKELIHOODS
from engram.networks import NETWORKS
from engram.registry import BASELINES, METRICS

rng = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "x": rng.normal(5, 3, 30),
        "n": rng.integers(0, 9, 30),
        "flag": rng.random(30) < 0.5,
        "city": rng.choice(["Köln", "<script>", "東京"], 30),
        "same": 4.0,
        "day": pd.date_range("2024-01-01", periods=30, freq="D"),
    }
)
HOLES = FRAME.assign(x=FRAME.x.where(FRAME.index % 3 > 0), city=FRAME.city.where(FRAME.index % 4 > 0))
RAW: dict[str, dict[str, Any]] = {  # at least one example of each registered kind
    "table": {"array": rng.normal(3, 7, (30, 4)), "frame": FRAME, "holes": HOLES, "one row": FRAME.iloc[:1]},
    "images": {"grey": rng.random((12, 5, 6)), "colour": (rng.random((9, 6, 5, 3)) * 255).astype(np.uint8)},
}
EXAMPLES = [(kind, name) for kind in KINDS for name in RAW[kind]]


@pytest.fixture(params=EXAMPLES, ids="-".join)
def example(request: pytest.FixtureRequest) -> tuple[Kind, Any]:
    kind, name = request.param
    raw = RAW[kind][name]
    return kind_class(kind)().fit(raw), raw


def equal(a: Any, b: Any) -> None:
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b)
    else:
        assert np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


def test_encoded_rows_have_the_shape_and_the_mask_that_the_kind_says(example: tuple[Kind, Any]) -> None:
    kind, raw = example
    rows = kind.encode(kind.conform(raw))
    assert rows.x.dtype == torch.float32
    assert rows.x.shape == (len(raw), *kind.shape)
    assert torch.isfinite(rows.x).all()
    if rows.mask is not None:
        assert rows.mask.shape == (len(raw), len(kind.columns))
        assert rows.mask.dtype == torch.bool


def test_the_likelihood_fits_the_columns(example: tuple[Kind, Any]) -> None:
    kind, raw = example
    likelihood = kind.likelihood()
    rows = kind.encode(kind.conform(raw))
    columns = likelihood.log_prob_columns(torch.zeros(len(raw), *likelihood.shape), rows.x, rows.mask)
    assert columns.shape == (len(raw), len(kind.columns)) == (len(raw), likelihood.n_columns)
    assert likelihood.size == math.prod(kind.shape)
    assert kind.log_volume.shape == (len(kind.columns),)
    assert likelihood is not kind.likelihood()
    if kind.groups is not None:
        assert kind.groups.shape == (math.prod(kind.shape),)
        assert int(kind.groups.max()) == len(kind.columns) - 1


def test_slices_of_conformed_rows_encode_to_slices(example: tuple[Kind, Any]) -> None:
    kind, raw = example
    conformed = kind.conform(raw)
    whole = kind.encode(conformed)
    for part in (slice(0, 1), slice(2, 7)):
        assert torch.equal(kind.encode(conformed[part]).x, whole.x[part]) if len(raw) > 7 else True


def test_decoding_encoded_rows_gives_them_back(example: tuple[Kind, Any]) -> None:
    kind, raw = example
    rows = kind.encode(kind.conform(raw))
    if rows.mask is not None:
        return  # missing cells have tests of their own
    back = kind.decode(rows.x)
    assert type(back) is type(raw)
    if isinstance(raw, pd.DataFrame):
        assert back.dtypes.equals(raw.dtypes)
        assert (back.day - raw.day).abs().max() < pd.Timedelta("10s")  # float32 over thirty days
        pd.testing.assert_frame_equal(back.drop(columns="day"), raw.drop(columns="day"), rtol=1e-5)
    else:
        assert back.dtype == raw.dtype
        np.testing.assert_allclose(back, raw, rtol=1e-5, atol=1e-5)


def test_a_kind_goes_through_json_and_answers_the_same(example: tuple[Kind, Any]) -> None:
    kind, raw = example
    text = json.dumps(kind.to_dict(), allow_nan=False)
    again = type(kind).from_dict(json.loads(text))
    a, b = kind.encode(kind.conform(raw)), again.encode(again.conform(raw))
    assert torch.equal(a.x, b.x)
    assert (a.mask is None) == (b.mask is None)
    equal(kind.decode(a.x), again.decode(b.x))
    assert again.to_dict() == kind.to_dict()
    assert (again.shape, again.columns, again.n_features) == (kind.shape, kind.columns, kind.n_features)
    assert torch.equal(kind.log_volume, again.log_volume)
    assert again.describe() == kind.describe()
    assert again.feature_names() == kind.feature_names()


def test_what_a_kind_names_exists(example: tuple[Kind, Any]) -> None:
    kind, _ = example
    assert kind.network() in NETWORKS
    assert all(name in METRICS for name in kind.metrics)
    assert all(name in BASELINES for name in kind.baselines)
    assert all(isinstance(text, str) for pair in kind.describe() for text in pair)


def test_a_wrapper_and_a_name_choose_the_kind_that_looks_would_choose(example: tuple[Kind, Any]) -> None:
    kind, raw = example
    for found, bare in (as_kind(raw), as_kind(raw, kind.name), as_kind(type(kind)(raw))):
        assert type(found) is type(kind)
        assert bare is raw
        assert not found.__dict__.get("columns")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_an_example_and_a_name_of_its_own(name: str) -> None:
    assert kind_class(name).name == name
    assert RAW[name]


def test_an_unknown_kind_answers_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="images"):
        as_kind(np.zeros((3, 3)), "imagse")


@pytest.mark.parametrize(
    "raw", [None, 3, "a" * 3, np.zeros(4), np.zeros((2, 2, 2, 2, 2)), {"a": 1}, pd.Series([1, 2])], ids=repr
)
def test_data_of_no_kind_is_an_error_that_says_what_would_do(raw: Any) -> None:
    with pytest.raises((DataTypeError, UsageError), match=r"array|file"):
        as_kind(raw)


def test_data_that_cannot_be_of_the_named_kind_say_why() -> None:
    with pytest.raises(DataTypeError, match="three or four dimensions"):
        as_kind(np.zeros((3, 3)), "images")
    with pytest.raises(DataTypeError, match="two dimensions"):
        as_kind(np.zeros((3, 3, 3)), "table")
    with pytest.raises(DataTypeError, match="channels"):
        as_kind(np.zeros((3, 3, 3, 7)))


# --- pictures ---


def grey(dtype: Any) -> np.ndarray:
    return rng.integers(0, 200, (8, 5, 6)).astype(dtype)


PICTURES: dict[str, Callable[[], Any]] = {
    "uint8": lambda: grey(np.uint8),
    "uint16": lambda: (grey(np.int64) * 300).astype(np.uint16),
    "int16": lambda: grey(np.int16) - 100,
    "float32": lambda: rng.random((8, 5, 6)).astype(np.float32),
    "float64 from 0 to 16": lambda: rng.random((8, 5, 6)) * 16,
    "bool": lambda: grey(np.int64) > 100,
    "RGB": lambda: rng.integers(0, 256, (8, 5, 6, 3)).astype(np.uint8),
    "RGBA": lambda: rng.integers(0, 256, (8, 5, 6, 4)).astype(np.uint8),
    "grey with an axis": lambda: grey(np.uint8)[..., None],
    "tensor": lambda: torch.from_numpy(rng.integers(0, 256, (8, 3, 5, 6)).astype(np.uint8)),
    "grey tensor": lambda: torch.from_numpy(grey(np.uint8)),
    "black": lambda: np.zeros((3, 4, 4), np.uint8),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_come_back_in_type_and_form_and_whole_numbers_exactly(name: str) -> None:
    raw = PICTURES[name]()
    kind = kind_class("images")().fit(raw)
    x = kind.encode(kind.conform(raw)).x
    assert x.shape[1:] == kind.shape
    assert 0 <= float(x.min()) <= float(x.max()) <= 1
    back = kind.decode(x)
    assert type(back) is type(raw)
    assert back.dtype == raw.dtype
    assert back.shape == raw.shape
    if "float" in name:
        np.testing.assert_allclose(back, raw, atol=1e-5)
    else:
        assert np.array_equal(np.asarray(back), np.asarray(raw))


def test_every_value_of_a_byte_survives() -> None:
    raw = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    kind = kind_class("images")().fit(raw)
    assert np.array_equal(kind.decode(kind.encode(kind.conform(raw)).x), raw)


def test_bytes_are_scaled_by_their_type_and_not_by_what_was_seen() -> None:
    kind = kind_class("images")().fit(np.full((2, 4, 4), 51, np.uint8))
    assert float(kind.encode(kind.conform(np.full((1, 4, 4), 255, np.uint8))).x.max()) == 1.0


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"])
def test_black_and_white_stay_what_they_are_in_every_whole_type(dtype: str) -> None:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    raw = np.array([low, high] * 8, dtype=dtype).reshape(1, 4, 4)
    kind = as_kind(raw, "images")[0].fit(raw)
    back = kind.decode(kind.encode(kind.conform(raw)).x)
    assert back.dtype == raw.dtype
    assert np.abs(back.astype(float) - raw.astype(float)).max() <= 2**11  # the float beside 2^64
    assert dtype.endswith("64") or np.array_equal(back, raw)


def test_tensors_and_arrays_of_the_same_pictures_encode_the_same() -> None:
    raw = PICTURES["RGB"]()
    kind = kind_class("images")().fit(raw)
    tensor = torch.from_numpy(raw).permute(0, 3, 1, 2)
    assert torch.equal(kind.encode(kind.conform(raw)).x, kind.encode(kind.conform(tensor)).x)


@pytest.mark.parametrize("shape", [(4, 5, 7), (4, 6, 5), (4, 5, 6, 3)])
def test_pictures_of_another_size_are_refused_with_both_sizes(shape: tuple[int, ...]) -> None:
    kind = kind_class("images")().fit(grey(np.uint8))
    with pytest.raises(DataError, match=r"5 x 6 with 1 channel"):
        kind.conform(np.zeros(shape, np.uint8))


def test_pictures_of_texts_and_no_pictures_are_refused() -> None:
    with pytest.raises(DataTypeError, match="numbers"):
        kind_class("images")().fit(np.full((2, 3, 3), "a"))
    with pytest.raises(DataError, match="0 pictures"):
        kind_class("images")().fit(np.zeros((0, 3, 3)))


def test_large_pictures_get_convolutions_and_small_ones_do_not() -> None:
    assert kind_class("images")().fit(np.zeros((2, 96, 96), np.uint8)).network() == "conv"
    assert kind_class("images")().fit(np.zeros((2, 8, 8), np.uint8)).network() == "mlp"
    assert kind_class("images")().fit(np.zeros((2, 2, 4000), np.uint8)).network() == "mlp"


@pytest.mark.parametrize("likelihood", PIXELS)
def test_a_likelihood_of_pixels_can_be_asked_for(likelihood: str) -> None:
    fitted = kind_class("images")(likelihood=likelihood).fit(rng.random((4, 3, 3)))
    assert isinstance(fitted.likelihood(), LIKELIHOODS[likelihood])
    assert type(fitted).from_dict(fitted.to_dict()).likelihood().n_columns == len(fitted.columns)


@pytest.mark.parametrize("likelihood", sorted(set(LIKELIHOODS) - set(PIXELS)))
def test_a_distribution_that_pixels_cannot_have_is_refused(likelihood: str) -> None:
    with pytest.raises(UsageError, match=r"not for pictures.*Use one of normal"):
        kind_class("images")(likelihood=likelihood).fit(rng.random((4, 3, 3))).likelihood()


# --- sparse rows ---


def test_sparse_rows_encode_as_dense_ones() -> None:
    dense = rng.random((20, 6)) * (rng.random((20, 6)) < 0.3)
    for made in (sparse.csr_matrix, sparse.csr_array, sparse.coo_array):
        kind = kind_class("table")().fit(made(dense))
        other = kind_class("table")().fit(dense)
        assert torch.equal(kind.encode(kind.conform(made(dense))).x, other.encode(other.conform(dense)).x)


def test_a_sparse_table_too_large_for_memory_is_refused_before_it_is_filled() -> None:
    with pytest.raises(DataError, match="GiB"):
        kind_class("table")().fit(sparse.csr_matrix((10**6, 10**5)))
