"""Tables: how the types of columns are found out and corrected, and what is refused."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from engram.data import Table, as_kind
from engram.data.columns import Column, restored
from engram.data.dates import DateForm
from engram.errors import DataError, DataTypeError, UsageError

N = 40


def types(kind: Table) -> dict[Any, str]:
    return {column.name: column.type for column in kind.fields}


def encoded(kind: Table, raw: Any) -> torch.Tensor:
    return kind.encode(kind.conform(raw)).x


FOUND = {
    "number": [1.5, 2.5, 4.0, 8.0] * 10,
    "boolean": [True, False] * 20,
    "category": ["a", "b", "c", "a"] * 10,
    "constant": [3] * N,
    "empty": [None] * N,
    "key": [f"row {i}" for i in range(N)],
}


def test_types_are_found_out_from_the_cells() -> None:
    frame = pd.DataFrame({**FOUND, "whole": range(N), "flag": [0, 1] * 20, "gaps": [None, 1.0, 2.0, 3.0] * 10})
    frame["day"] = pd.date_range("2024-01-01", periods=N)
    frame["nullable"] = pd.array([1, None, 3, 4] * 10, dtype="Int64")
    frame["grade"] = pd.Categorical(["low", "high"] * 20)
    found = types(Table().fit(frame))
    assert found == {
        **{name: name for name in FOUND},
        "whole": "number",
        "flag": "boolean",
        "gaps": "number",
        "day": "date",
        "nullable": "number",
        "grade": "category",
    }


def test_ignored_columns_are_findings_and_reach_no_network() -> None:
    kind = Table().fit(pd.DataFrame(FOUND))
    assert kind.columns == ["number", "boolean", "category"]
    assert len(kind.findings()) == 3
    assert kind.shape == (5,)


@pytest.mark.parametrize(
    ("wish", "cells", "width"),
    [
        ("number", [0, 1] * 20, 1),
        ("count", [0, 1, 2, 7] * 10, 1),
        ("boolean", [0.0, 1.0] * 20, 1),
        ("category", [1, 2, 3, 5] * 10, 4),
        ("drop", [1, 2, 3, 5] * 10, 0),
    ],
)
@pytest.mark.parametrize("form", ["frame", "array"])
def test_types_can_be_corrected(wish: str, cells: list[Any], width: int, form: str) -> None:
    frame = pd.DataFrame({"0": cells, "1": np.arange(N) * 0.5})
    raw = frame if form == "frame" else frame.to_numpy()
    kind = Table(columns={"0": wish}).fit(raw)
    assert kind.fields[0].type == wish
    assert encoded(kind, raw).shape == (N, width + 1)


def test_categories_of_numbers_come_back_as_numbers() -> None:
    frame = pd.DataFrame({"zip": [4051, 4052, 8001, 4051] * 10, "x": range(N)})
    kind = Table(columns={"zip": "category"}).fit(frame)
    pd.testing.assert_frame_equal(kind.decode(encoded(kind, frame)), frame)


@pytest.mark.parametrize(
    ("wishes", "error", "told"),
    [
        ({"cuont": "count"}, UsageError, "count"),
        ({"count": "nubmer"}, UsageError, "number"),
        ({"count": "boolean"}, DataError, "cannot be boolean"),
        ({"half": "count"}, DataError, "cannot be counts"),
        ({"text": "number"}, DataError, "row 0 has 'a'"),
        ({"count": "drop", "half": "drop", "text": "drop"}, DataError, "no column can be learned"),
    ],
)
def test_a_correction_that_cannot_be_says_why(wishes: dict[str, str], error: type[Exception], told: str) -> None:
    frame = pd.DataFrame({"count": [1, 2, 3, 4] * 10, "half": [0.5, 1.0] * 20, "text": ["a", "b"] * 20})
    with pytest.raises(error, match=told):
        Table(columns=wishes).fit(frame)


def test_whole_numbers_and_dates_come_back_as_such() -> None:
    frame = pd.DataFrame({"whole": np.arange(N) ** 2, "small": np.arange(N, dtype=np.int8)})
    frame["day"] = pd.date_range("2020-02-28", periods=N)
    frame["nullable"] = pd.array([1, 2, 3, 4] * 10, dtype="Int64")
    kind = Table().fit(frame)
    back = kind.decode(encoded(kind, frame))
    pd.testing.assert_frame_equal(back.drop(columns="day"), frame.drop(columns="day"))
    assert back.day.dtype == frame.day.dtype
    assert (back.day - frame.day).abs().max() < pd.Timedelta("10s")  # float32 over forty days


def test_a_time_zone_comes_back() -> None:
    frame = pd.DataFrame({"day": pd.date_range("2020-02-28", periods=N, tz="Europe/Zurich")})
    kind = Table().fit(frame)
    back = kind.decode(encoded(kind, frame))
    assert back.day.dtype == frame.day.dtype
    assert (back.day - frame.day).abs().max() < pd.Timedelta("10s")


MORNINGS = pd.Series(pd.date_range("2021-01-01 09:30", periods=N, freq="73h"))
EASTERN = MORNINGS.dt.tz_localize("US/Eastern")
UNIVERSAL = EASTERN.dt.tz_convert("UTC")
WRITTEN: dict[str, pd.Series[Any]] = {
    "dates": MORNINGS,
    "texts": MORNINGS.astype(str),
    "objects": MORNINGS.astype(object),
    "texts with an offset": EASTERN.astype(str),
    "texts with another offset": UNIVERSAL.astype(str),
    "texts, some with an offset": MORNINGS.astype(str).where(MORNINGS.index % 2 == 1, UNIVERSAL.astype(str)),
    "texts and objects": MORNINGS.astype(str).astype(object).where(MORNINGS.index % 3 > 0, EASTERN.astype(object)),
    "objects, some with an offset": MORNINGS.astype(object).where(MORNINGS.index % 2 == 0, UNIVERSAL.astype(object)),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_cells_without_an_offset_are_wall_time_of_the_zone_however_they_are_written(name: str) -> None:
    kind = Table().fit(pd.DataFrame({"t": EASTERN}))
    wanted = encoded(kind, pd.DataFrame({"t": EASTERN}))
    found = kind.encode(kind.conform(pd.DataFrame({"t": WRITTEN[name]}).set_axis([7] * N)))
    assert found.mask is None
    torch.testing.assert_close(found.x, wanted, rtol=0, atol=0)


def test_a_file_of_texts_is_read_like_the_dates_with_a_zone(tmp_path: Path) -> None:
    kind = Table().fit(pd.DataFrame({"t": EASTERN, "a": np.arange(N) / 7}))
    pd.DataFrame({"t": MORNINGS, "a": np.arange(N) / 7}).to_csv(tmp_path / "rows.csv", index=False)
    wanted = encoded(kind, pd.DataFrame({"t": EASTERN, "a": np.arange(N) / 7}))
    torch.testing.assert_close(encoded(kind, kind.opened(tmp_path / "rows.csv")), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("clock", ["2021-11-07 01:30:00", "2021-03-14 02:30:00"])  # shown twice, and never
def test_texts_at_a_change_of_clocks_are_read_as_dates_are(clock: str) -> None:
    form = DateForm(zone="US/Eastern")
    np.testing.assert_array_equal(form.read(pd.Series([clock])), form.read(pd.Series([pd.Timestamp(clock)])))


@pytest.mark.parametrize(
    "text", ["2021-06-01 12:00 UTC", "2021-06-01T12:00Z", "20210601T080000-0400", "2021-06-01T14+02"]
)
def test_a_text_with_an_offset_keeps_its_moment(text: str) -> None:
    noon = pd.Timestamp("2021-06-01 12:00").timestamp()
    assert DateForm(zone="US/Eastern").read(pd.Series([text])).tolist() == [noon]


def test_texts_that_end_like_an_offset_have_none() -> None:
    form, noon = DateForm(zone="US/Eastern"), pd.Timestamp("2021-12-01 12:00", tz="US/Eastern").timestamp()
    assert form.read(pd.Series(["12:00 12-01-2021"])).tolist() == [noon]


def test_dates_with_a_zone_are_turned_to_the_offset_of_a_column_of_texts() -> None:
    day = pd.Series(pd.date_range("2021-06-01 12:00", periods=N, freq="31h", tz="UTC"))
    kind = Table().fit(pd.DataFrame({"t": day.dt.strftime("%Y-%m-%dT%H:%MZ")}))
    wanted = encoded(kind, pd.DataFrame({"t": day.dt.strftime("%Y-%m-%dT%H:%MZ")}))
    zurich = pd.DataFrame({"t": day.dt.tz_convert("Europe/Zurich")})
    torch.testing.assert_close(encoded(kind, zurich), wanted, rtol=0, atol=0)


DAYS = [moment.date() for moment in MORNINGS]
CLOCKS = [datetime.time(i % 24, i, 7) for i in range(N)]
SPANS = [datetime.timedelta(hours=i, seconds=7) for i in range(N)]
PRICES = [decimal.Decimal(i) / 4 for i in range(N)]
UNITS = ("s", "ms", "us", "ns")
ZONES = (None, "UTC", "US/Eastern", "+02:00")
ARROW: dict[pa.DataType, list[Any]] = {
    **{sort: list(range(N)) for sort in (pa.int8(), pa.int64(), pa.uint8(), pa.uint64())},
    **{sort: [i / 4 for i in range(N)] for sort in (pa.float16(), pa.float32(), pa.float64())},
    **dict.fromkeys((pa.decimal128(10, 2), pa.decimal128(38, 3), pa.decimal256(40, 2)), PRICES),
    pa.bool_(): [i % 3 == 0 for i in range(N)],
    **{sort: ["a", "b", "c", "a"] * 10 for sort in (pa.string(), pa.large_string())},
    **dict.fromkeys((pa.date32(), pa.date64()), DAYS),
    **{pa.timestamp(unit): list(MORNINGS) for unit in UNITS},
    **{pa.timestamp(unit, zone): list(UNIVERSAL) for unit in UNITS for zone in ZONES[1:]},
    **dict.fromkeys((pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")), CLOCKS),
    **{pa.duration(unit): SPANS for unit in UNITS},
    pa.null(): [None] * N,
}


def in_arrow(cells: list[Any], sort: pa.DataType) -> pd.Series[Any]:
    cells = [cell if cell is None else np.float16(cell) for cell in cells] if sort == pa.float16() else cells
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(cells, type=sort)])))


def span(cell: Any) -> Any:
    """Return a date or a time of day as what can be subtracted."""
    if isinstance(cell, datetime.time):
        return datetime.timedelta(0, cell.second, cell.microsecond, 0, cell.minute, cell.hour)
    return (
        cell
        if isinstance(cell, datetime.timedelta)
        else pd.Timestamp(cell) - pd.Timestamp(0, tz=getattr(cell, "tz", None))
    )


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("sort", ARROW, ids=str)
def test_cells_of_arrow_come_back_in_their_type(sort: pa.DataType, *, gaps: bool) -> None:
    cells = [None if gaps and i % 7 == 0 else cell for i, cell in enumerate(ARROW[sort])]
    frame = pd.DataFrame({"x": np.arange(N) / 7, "c": in_arrow(cells, sort)}).set_axis([3] * N)
    kind = Table().fit(frame)
    back = Table.from_dict(json.loads(json.dumps(kind.to_dict()))).decode(encoded(kind, frame))
    assert back["c"].dtype == frame["c"].dtype
    there = frame["c"].notna().to_numpy()
    for was, found in zip(frame["c"][there], back["c"][there], strict=True):
        if isinstance(was, str):
            assert found == was
        elif isinstance(was, datetime.date | datetime.time | datetime.timedelta):
            assert abs(span(found) - span(was)) < datetime.timedelta(seconds=10)  # float32 over months
        else:
            assert float(found) == pytest.approx(float(was), abs=0.02)


def test_a_dictionary_of_arrow_is_a_category() -> None:
    cells = pa.chunked_array([pa.array(["low", "high", None, "low"] * 10).dictionary_encode()])
    frame = pd.DataFrame({"c": pd.Series(pd.arrays.ArrowExtensionArray(cells))})
    kind = Table().fit(frame)
    back = kind.decode(encoded(kind, frame))["c"]
    assert back.cat.categories.tolist() == ["low", "high"]
    assert back[frame["c"].notna()].tolist() == frame["c"].dropna().tolist()


@pytest.mark.parametrize(
    ("cell", "sort"),
    [
        (b"ab", pa.binary()),
        (b"ab", pa.large_binary()),
        (b"ab", pa.binary(2)),
        ([1], pa.list_(pa.int64())),
        ({"year 2021": 1}, pa.struct([("year 2021", pa.int64())])),
    ],
    ids=str,
)
def test_cells_of_arrow_that_are_no_single_value_are_refused_unless_dropped(cell: Any, sort: pa.DataType) -> None:
    frame = pd.DataFrame({"x": np.arange(N) / 7, "c": in_arrow([cell] * N, sort)})
    with pytest.raises(DataTypeError, match=r"column 'c', row 0: a cell's argument must be a string or a number"):
        Table().fit(frame)
    assert types(Table(columns={"c": "drop"}).fit(frame)) == {"x": "number", "c": "drop"}


def test_decimals_beyond_their_type_come_back_as_floats() -> None:
    column = Column("c", "number", "decimal128(5, 2)[pyarrow]")
    assert restored(column, np.array([1.25, 2.5])).tolist() == [decimal.Decimal("1.25"), decimal.Decimal("2.50")]
    assert restored(column, np.array([1.25, 2500.0])).tolist() == [1.25, 2500.0]


@pytest.mark.parametrize(
    "name", ["decimal128(99, 2)[pyarrow]", "decimal7(5, 2)[pyarrow]", "list<item: int64>[pyarrow]", "none such"]
)
def test_a_name_that_no_dtype_has_leaves_the_cells_as_they_are(name: str) -> None:
    assert restored(Column("c", "number", name), np.array([1.25, 2.5])).tolist() == [1.25, 2.5]


@pytest.mark.parametrize("sort", [datetime.timedelta, pd.Timedelta])
def test_objects_that_are_durations_are_numbers(sort: Any) -> None:
    cells = [sort(seconds=span.total_seconds()) for span in SPANS[:-1]]
    frame = pd.DataFrame({"c": pd.Series([*cells, None], dtype=object)})
    kind = Table().fit(frame)
    assert types(kind) == {"c": "number"}
    back = kind.decode(encoded(kind, frame))["c"]
    assert back.dtype.kind == "m"
    assert (back[:-1] - pd.Series(SPANS[:-1])).abs().max() < pd.Timedelta("1s")


def test_a_table_of_arrow_is_a_dataframe() -> None:
    frame = pd.DataFrame({"x": np.arange(N) / 7, "c": ["a", "b"] * 20, "t": EASTERN})
    table = pa.table(frame)
    for raw in (table, table.to_batches()[0], Table(table)):
        kind, rows = as_kind(raw)
        kind.fit(kind.opened(rows))
        assert types(kind) == {"x": "number", "c": "category", "t": "date"}
        torch.testing.assert_close(encoded(kind, kind.opened(rows)), encoded(kind, frame), rtol=0, atol=0)


def test_numbers_are_standardised_by_what_is_there() -> None:
    X = np.random.default_rng(0).normal(50, 9, (200, 3))
    X[::3, 1] = np.nan
    kind = Table().fit(X)
    rows = kind.encode(kind.conform(X))
    for j in range(3):
        there = rows.x[rows.mask[:, j], j]
        assert float(there.mean()) == pytest.approx(0, abs=1e-5)
        assert float(there.std(unbiased=False)) == pytest.approx(1, abs=1e-5)
    assert kind.log_volume.exp().tolist() == pytest.approx(np.nanstd(X, axis=0).tolist())


def test_columns_that_share_a_unit_keep_one_scale_and_a_frame_does_not() -> None:
    from sklearn.datasets import load_digits

    X = load_digits().data
    kind = Table().fit(X)
    scales = {column.scale for column in kind.fields if column.type == "number"}
    assert len(scales) == 1
    assert scales.pop() ** 2 == pytest.approx(X[:, X.std(0) > 0].var(0).mean())
    assert len({column.scale for column in Table().fit(pd.DataFrame(X)).fields if column.type == "number"}) > 1


@pytest.mark.parametrize("unit", [1e-305, 1e-200, 1e200, 1e305])
def test_tiny_and_huge_numbers_are_standardised_whether_they_share_a_unit_or_not(unit: float) -> None:
    raw = np.random.default_rng(0).random((300, 9))
    raw[0], raw[1] = 0, 1
    for cells in (raw * unit, raw[:, :3] * unit):
        table = Table().fit(cells)
        x = table.encode(table.conform(cells)).x
        assert float(x.std()) == pytest.approx(1, abs=0.1)
        np.testing.assert_allclose(table.decode(x), cells, rtol=1e-5, atol=1e-6 * unit)


@pytest.mark.parametrize("wrap", [np.asarray, lambda cells: pd.DataFrame(cells, columns=["a", "b"]).astype(object)])
def test_numbers_whose_spread_has_no_inverse_count_as_constant(wrap: Any) -> None:
    raw = np.random.default_rng(0).random((100, 2)) * [1e-310, 1.0]
    table = Table().fit(wrap(raw))
    assert [c.type for c in table.fields] == ["constant", "number"]
    assert "is constant (" in table.findings()[0]


def test_columns_of_different_units_have_their_own_scale() -> None:
    X = np.random.default_rng(0).random((50, 9)) * np.arange(1, 10)
    assert len({column.scale for column in Table().fit(X).fields}) == 9


def test_an_array_with_a_constant_column_gets_it_back() -> None:
    X = np.column_stack([np.arange(N), np.full(N, 7.0), np.arange(N) % 5]).astype(np.float64)
    kind = Table().fit(X)
    assert encoded(kind, X).shape == (N, 2)
    np.testing.assert_allclose(kind.decode(encoded(kind, X)), X, atol=1e-4)


def test_an_array_of_texts_and_numbers_is_a_table_of_categories_and_numbers() -> None:
    raw = np.array([["a", 1.5], ["b", 2.5], ["a", 4.0], ["b", 8.0]], dtype=object)
    kind = Table().fit(raw)
    assert list(types(kind).values()) == ["category", "number"]
    assert encoded(kind, raw).shape == (4, 3)


# --- rows that differ from those at fit ---


def test_missing_columns_are_named_with_the_nearest_that_are_there() -> None:
    kind = Table().fit(pd.DataFrame({"height": range(N), "weight": range(N)}))
    with pytest.raises(DataError, match=r"missing: weight.*'wieght'"):
        kind.conform(pd.DataFrame({"height": [1], "wieght": [2]}))


def test_a_constant_column_need_not_be_there_again() -> None:
    kind = Table().fit(pd.DataFrame({"x": range(N), "same": 1}))
    assert encoded(kind, pd.DataFrame({"x": [3]})).shape == (1, 1)


@pytest.mark.parametrize("width", [1, 3])
def test_an_array_with_another_number_of_columns_is_refused_with_both_numbers(width: int) -> None:
    kind = Table().fit(np.random.default_rng(0).random((9, 2)))
    with pytest.raises(DataError, match=f"X has {width} features, but this model is expecting 2"):
        kind.conform(np.zeros((4, width)))


def test_a_column_asked_to_be_a_count_turns_other_values_into_counted_missing_cells() -> None:
    frame = pd.DataFrame({"n": [0, 1, 2, 3] * 10, "x": range(N)})
    kind = Table(columns={"n": "count"}).fit(frame)
    rows = kind.encode(kind.conform(pd.DataFrame({"n": [1, -2, 0.5], "x": [1, 2, 3]})))
    assert rows.mask[:, kind.columns.index("n")].tolist() == [True, False, False]
    assert list(rows.notes.values()) == [2]


def test_values_far_outside_are_clipped_and_counted() -> None:
    kind = Table().fit(np.arange(20.0).reshape(10, 2))
    rows = kind.encode(kind.conform(np.array([[1e300, 1.0], [2.0, 3.0]])))
    assert torch.isfinite(rows.x).all()
    assert [count for note, count in rows.notes.items() if "clipped" in note] == [1]


def test_the_most_frequent_thousand_categories_are_kept() -> None:
    cells = [f"c{i:04}" for i in range(1200) for _ in range(2 if i < 1100 else 3)]
    kind = Table().fit(pd.DataFrame({"c": cells}))
    (column,) = kind.fields
    assert column.width == 1000
    assert {f"c{i:04}" for i in range(1100, 1200)} <= set(column.values)


@pytest.mark.parametrize(
    ("raw", "error", "told"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), DataError, "two columns are called 'a'"),
        (pd.DataFrame({"a": []}), DataError, "0 sample"),
        (pd.DataFrame(index=range(3)), DataError, "0 feature"),
        (np.zeros((0, 3)), DataError, "0 sample"),
        (np.zeros((3, 0)), DataError, "0 feature"),
        (np.array([[1j, 2]]), DataError, "Complex"),
        (np.full((4, 2), np.nan), DataError, "no column can be learned"),
        (pd.DataFrame({"a": [[1], [2]]}), DataTypeError, "row 0"),
        (pd.DataFrame({"a": [1.0, np.inf, 3.0]}), DataError, "row 1"),
        (np.array([[1.0], [-np.inf]]), DataError, "row 1"),
    ],
)
def test_data_that_cannot_be_used_are_refused_with_the_place(raw: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Table().fit(raw)


def test_the_callers_frame_is_left_alone_with_its_attributes() -> None:
    frame = pd.DataFrame({"x": range(N), "c": ["a", "b"] * 20})
    frame.attrs["source"] = "field book"
    before = frame.copy(deep=True)
    kind = Table(columns={"c": "category"}).fit(frame)
    encoded(kind, frame)
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == {"source": "field book"}


def test_a_frame_of_another_library_is_taken() -> None:
    polars = pytest.importorskip("polars")
    frame = pd.DataFrame({"x": np.arange(8.0), "c": ["a", "b"] * 4})
    kind = Table().fit(polars.DataFrame({"x": np.arange(8.0), "c": ["a", "b"] * 4}))
    assert torch.equal(encoded(kind, frame), encoded(Table().fit(frame), frame))


def test_an_object_that_turns_into_a_frame_is_taken() -> None:
    class Foreign:
        def __init__(self, frame: pd.DataFrame) -> None:
            self.frame = frame

        def to_pandas(self) -> pd.DataFrame:
            return self.frame

    frame = pd.DataFrame({"x": np.arange(8.0), "c": ["a", "b"] * 4})
    kind = Table().fit(Foreign(frame))
    assert torch.equal(encoded(kind, Foreign(frame)), encoded(kind, frame))


def test_no_cell_of_the_rows_is_in_a_fitted_table_of_numbers() -> None:
    """Rule 13: means and ranges are kept, rows are not."""
    X = np.random.default_rng(0).normal(size=(500, 2))
    kept = [value for column in Table().fit(X).fields for value in (column.mean, column.scale, *column.values)]
    assert not set(kept) & set(X.ravel().tolist())


def test_every_sort_of_column_describes_itself() -> None:
    for kind in ("number", "count", "boolean", "category", "empty", "key", "drop"):
        assert Column("c", kind, "object", missing=3).describe()


def test_columns_of_a_wide_array_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[Any] = []
    equal = Column.__eq__
    monkeypatch.setattr(Column, "__eq__", lambda one, other: compared.append(other) or equal(one, other))
    Table().fit(np.random.default_rng(0).normal(size=(30, 200)) * np.arange(1, 201))
    assert len(compared) <= 200


def test_columns_that_do_not_vary_are_learned_where_that_is_asked_for() -> None:
    raw = np.c_[np.arange(9.0), np.full(9, 4.0), np.zeros(9)]
    kind, _ = as_kind(raw, "table", constants=True)
    kind.fit(raw)
    assert kind.columns == ["0", "1", "2"]
    changed = raw[:2].copy()
    changed[1, 1:] = 6, 1
    assert encoded(kind, changed)[:, 1:].tolist() == [[0, 0], [2, 1]]
    again = Table.from_dict(kind.to_dict())
    assert encoded(again, changed).equal(encoded(kind, changed))
    assert np.allclose(kind.decode(encoded(kind, changed)), changed, atol=1e-6)


def test_constants_do_not_change_whether_the_other_columns_share_a_unit() -> None:
    raw = np.c_[np.random.default_rng(0).integers(0, 256, (200, 12)), np.full((200, 20), 3)].astype(float)
    kinds = [as_kind(raw, "table", constants=wanted)[0].fit(raw) for wanted in (False, True)]
    first, second = (encoded(kind, raw)[:, :12] for kind in kinds)
    assert first.equal(second)


def test_masked_cells_are_missing_ones() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    masked = np.ma.masked_array(values.copy(), mask=values > 1)
    masked.data[masked.mask] = 1e6
    kind, raw = as_kind(masked, "table")
    kind.fit(raw)
    assert np.array_equal(encoded(kind, raw), encoded(kind, np.where(values > 1, np.nan, values)))


def test_complex_columns_are_refused_as_complex_arrays_are() -> None:
    values = np.array([1 + 2j, 3 - 1j, 0.5j])
    for raw in (values[:, None], pd.DataFrame({"z": values, "v": [1.0, 2.0, 3.0]})):
        with pytest.raises(DataError, match="Complex data not supported"):
            as_kind(raw, "table")[0].fit(raw)
