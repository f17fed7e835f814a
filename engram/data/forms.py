"""The forms a table can come in, brought to one of two: a 2-D array of numbers or a DataFrame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from torch import Tensor

from engram.data.cells import Array, check_cells, plain
from engram.data.sparse import consistent
from engram.data.stream import RowStream, Stream
from engram.errors import DataError, DataTypeError, lacks_columns, with_article

COMPLEX, PARTS = "Complex data not supported:", "Give real and imaginary parts as columns of their own."
DENSE_LIMIT = 2 << 30  # bytes a sparse matrix may take when made dense


def framed(raw: Any) -> Any:
    """Return columns by name, rows that are dicts and structured arrays as a DataFrame, all else as it is."""
    is_records = isinstance(raw, list | tuple) and len(raw) > 0 and all(isinstance(row, dict) for row in raw)
    is_structured = isinstance(raw, np.ndarray) and raw.ndim == 1 and raw.dtype.names is not None
    is_columns = isinstance(raw, dict) and not sparse.issparse(raw)  # a dok_array is a dict
    if not (is_records or is_structured or is_columns):
        return raw
    try:
        return pd.DataFrame(raw)
    except (ValueError, TypeError) as error:
        told = (
            f"{with_article(type(raw).__name__)} is taken as columns by name, and pandas makes no table of it: {error}"
        )
        raise DataTypeError(f"{told.rstrip('.')}. Give one list for each column, a DataFrame or an array.") from None


def why_no_table(raw: Any) -> str | None:
    """Return None if ``raw`` can be a table, else the reason why not."""
    if raw is None:
        return "nothing was given, but None"
    raw = framed(raw)
    if isinstance(raw, pd.DataFrame | RowStream) or sparse.issparse(raw) or hasattr(raw, "to_pandas"):
        return None
    n = len(np.shape(raw))
    return None if n == 2 else f"a table has two dimensions, these data have {n}. Expected 2D array. Reshape your data"


def as_table(raw: Any) -> Any:
    """Return an array of numbers or a DataFrame with at least one row and one column, and no two columns of one name."""
    raw = in_memory(raw)
    reason = why_no_table(raw)
    if reason is not None:
        raise DataTypeError(f"not a table: {reason}.")
    for what, count in zip(("sample(s)", "feature(s)"), raw.shape, strict=True):
        if count == 0:
            raise DataError(f"Found array with 0 {what} (shape={raw.shape}) while a minimum of 1 is required.")
    if isinstance(raw, np.ndarray):
        return _numeric(raw)
    raw = plainly_named(raw)
    for name, dtype in raw.dtypes.items():
        if getattr(dtype, "kind", "") == "c":
            raise DataError(f"{COMPLEX} column {str(name)!r} holds complex numbers. {PARTS}")
    return raw


def plainly_named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with names that JSON has: dates, tuples and the like as texts; raise `DataError` for two of one text."""
    names = [plain(name) for name in frame.columns]
    unique = set(map(str, names))
    if len(unique) < len(names):
        _refuse_twice([*frame.columns])
    same = all(type(a) is type(b) for a, b in zip(names, frame.columns, strict=True))
    return frame if same and frame.columns.nlevels == 1 else frame.set_axis(pd.Index(names, dtype=object), axis=1)


def _refuse_twice(names: list[Any]) -> None:
    """Say which columns have the same name, or names that are the same as texts."""
    nameless = sum(name is None or (isinstance(name, float) and np.isnan(name)) for name in names)
    if nameless > 1:
        raise DataError(f"{nameless} columns have no name (None or nan); give every column its own name.")
    first: dict[str, Any] = {}
    for name in names:
        text = str(plain(name))
        if text in first:
            sorts = [type(one).__name__ for one in (first[text], name)]
            told = f"called {text!r}" if sorts[0] == sorts[1] else f"written {text!r}, as {sorts[0]} and as {sorts[1]}"
            raise DataError(f"two columns are {told}; give every column its own name.")
        first[text] = name


def check_columns(needed: Iterable[Any], frame: pd.DataFrame, reader: str) -> None:
    """Raise `DataError` where a DataFrame lacks columns that ``reader`` ("this model", or its name) was fitted on."""
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise DataError(lacks_columns(missing, reader, map(str, frame.columns)))


class ConformedStream:
    """A stream whose slices conform to a kind."""

    def __init__(self, stream: Stream, conform: Callable[[Any], Any]) -> None:
        self.stream, self.conform = stream, conform
        conform(stream[:1])  # other columns are found out before any work

    def __len__(self) -> int:
        return len(self.stream)

    def __getitem__(self, rows: slice) -> Any:
        return self.conform(self.stream[rows])


def in_memory(raw: Any) -> Any:
    """Return a DataFrame as it is, what `framed` makes one, and all else as a dense array."""
    raw = framed(raw)
    if raw is None or isinstance(raw, pd.DataFrame):
        return raw
    if hasattr(raw, "to_pandas"):
        return raw.to_pandas()
    if sparse.issparse(raw):
        size = raw.shape[0] * raw.shape[1] * 8
        if size > DENSE_LIMIT:
            raise DataError(
                f"a sparse table of {raw.shape[0]} x {raw.shape[1]} would need {size / 2**30:.1f} GiB when dense."
            )
        return consistent(raw).toarray()
    return raw.detach().cpu().numpy() if isinstance(raw, Tensor) else np.asarray(raw)


def _numeric(values: Array) -> Array | pd.DataFrame:
    """Return an array of real numbers, or a DataFrame where an array holds texts."""
    if np.iscomplexobj(values):
        raise DataError(f"{COMPLEX} the array holds complex numbers. {PARTS}")
    if values.dtype.kind in "fiub":
        return values if values.dtype.kind == "f" and values.dtype.itemsize >= 4 else values.astype(np.float64)
    frame = pd.DataFrame(values).infer_objects()
    for name in frame.columns:
        if frame[name].dtype == object:
            check_cells(frame[name].dropna())
    try:
        return frame.astype(np.float64).to_numpy()
    except (ValueError, TypeError):
        return frame
