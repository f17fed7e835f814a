"""Texts that are no texts: a Parquet file whose string column holds bytes that are not UTF-8."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engram.data import Table, read
from engram.errors import DataError


def test_a_parquet_column_of_bytes_that_are_no_utf_8_is_an_error_that_names_it(tmp_path: Path) -> None:
    city = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.array([0, 3, 5], pa.int32()).buffers()[1], pa.py_buffer(b"abc\xff\xfe")]
    )
    pq.write_table(pa.table({"city": city, "age": [1.0, 2.0]}), tmp_path / "bad.parquet")
    with pytest.raises(DataError, match="city"):
        Table().fit(read(tmp_path / "bad.parquet").rows)
