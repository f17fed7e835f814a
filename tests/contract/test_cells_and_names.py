"""Cells and names of columns that JSON does not have: they come back as they were, also from a saved model, or that is told."""

from __future__ import annotations

import datetime
import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import engram
from engram.cli import output, program
from engram.data import Table
from engram.data.binned import Binned
from engram.data.labels import labels, read, written
from engram.data.repair import filled
from engram.errors import DataError, RunError

N = 120
rng = np.random.default_rng(0)
half = np.arange(N) % 3 > 0
DAYS = pd.to_datetime(["2024-01-01", "2024-02-01"])
BINNED = pd.cut(rng.normal(size=N), [-np.inf, 0, 9])
CELLS: dict[str, Any] = {
    "dates": pd.Categorical.from_codes(half.astype(int), DAYS),
    "dates with a zone": pd.Categorical.from_codes(half.astype(int), DAYS.tz_localize("Europe/Berlin")),
    "seconds": pd.Categorical.from_codes(half.astype(int), DAYS.as_unit("s")),
    "durations": pd.Categorical.from_codes(half.astype(int), pd.to_timedelta([1, 2], unit="h")),
    "periods": pd.Categorical.from_codes(half.astype(int), pd.period_range("2024-01", periods=2, freq="M")),
    "intervals": BINNED,
    "quartiles": pd.qcut(rng.normal(size=N), 4),
    "intervals of whole numbers": pd.cut(rng.integers(0, 9, N), pd.IntervalIndex.from_breaks([-1, 4, 9])),
    "intervals of dates": pd.Categorical.from_codes(half.astype(int), pd.interval_range(DAYS[0], periods=2, freq="D")),
    "infinite numbers": pd.Categorical.from_codes(half.astype(int), [0.5, np.inf]),
    "days": pd.Categorical(np.where(half, datetime.date(2024, 1, 1), datetime.date(2024, 1, 2))),
    "decimals": pd.Categorical.from_codes(half.astype(int), pd.Index([Decimal("1.10"), Decimal("2")])),
    "tuples": pd.Categorical.from_codes(half.astype(int), pd.Index([("a", 1), ("b", 2)], tupleize_cols=False)),
    "one interval": pd.cut(np.ones(N), [0, 2, 3]),
    "intervals of their own dtype": pd.Series(BINNED).astype("interval"),
    "intervals as objects": pd.Series(BINNED).astype("interval").astype(object),
    "periods as objects": pd.Series(pd.period_range("2024-01", periods=2, freq="M")[half.astype(int)]).astype(object),
}


def saved(kind: Any) -> Any:
    return type(kind).from_dict(json.loads(json.dumps(kind.to_dict(), allow_nan=False)))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("kind", [Table, Binned])
def test_categories_of_any_sort_come_back_as_they_were(kind: Any, name: str) -> None:
    frame = pd.DataFrame({"c": CELLS[name], "x": rng.normal(size=N)})
    fitted = kind().fit(frame)
    again = saved(fitted)
    for one in (fitted, again):
        back = one.decode(one.encode(one.conform(frame)).x)
        pd.testing.assert_series_equal(back["c"], frame["c"])
    assert not any("come back as texts" in told for told in fitted.findings())


@pytest.mark.parametrize("name", CELLS)
def test_filled_cells_are_of_the_sort_of_the_others(name: str) -> None:
    frame = pd.DataFrame({"c": CELLS[name], "x": rng.normal(size=N)})
    kind = Table().fit(frame)
    holes = frame.copy()
    holes.loc[::5, "c"] = None
    found = saved(kind).filled(holes, kind.encode(kind.conform(frame)).x)
    pd.testing.assert_frame_equal(found, frame)


def test_rare_categories_that_are_no_texts_are_not_kept_and_not_called_other() -> None:
    cells = pd.Categorical([*DAYS.repeat(30), pd.Timestamp("1999-09-09")])
    kind = Binned(min_count=5).fit(pd.DataFrame({"c": cells, "x": rng.normal(size=61)}))
    assert "1999" not in json.dumps(kind.to_dict())
    rare = kind.decode(kind.encode(kind.conform(pd.DataFrame({"c": cells[-1:], "x": [0.0]}))).x)["c"]
    assert rare.iloc[0] in DAYS


def test_a_synthesizer_draws_and_takes_intervals_and_dates(tmp_path: Path) -> None:
    frame = pd.DataFrame({"d": CELLS["dates"], "iv": BINNED, "v": rng.normal(size=N)})
    model = engram.Synthesizer(max_epochs=1, model="vae", random_state=0).fit(frame)
    model.save(tmp_path / "run")
    for one in (model, engram.load(tmp_path / "run")):
        rows: Any = one.sample(50, random_state=0)  # type: ignore[attr-defined]
        assert dict(rows.dtypes) == dict(frame.dtypes)
        assert (rows.d == DAYS[0]).any()
        given = one.sample(9, given={"iv": BINNED.categories[1], "d": DAYS[0]})  # type: ignore[attr-defined]
        assert (given.iv == BINNED.categories[1]).all()
        assert (given.d == DAYS[0]).all()


class Colour:
    """A cell that cannot be written."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name


@pytest.mark.parametrize("kind", [Table, Binned])
def test_categories_that_cannot_be_written_come_back_as_texts_and_that_is_told(kind: Any) -> None:
    colours = pd.Index([Colour("red"), Colour("blue")])
    frame = pd.DataFrame({"c": pd.Categorical.from_codes(half.astype(int), colours), "x": rng.normal(size=N)})
    fitted = kind().fit(frame)
    assert fitted.decode(fitted.encode(frame).x)["c"].tolist() == [str(cell) for cell in frame["c"]]
    assert "cells of column 'c' come back as texts: a Colour cannot be written" in fitted.findings()


def test_two_values_of_one_text_are_texts() -> None:
    with pytest.raises(ValueError, match="two values are written '2024-01-01 00:00:00'"):
        labels([DAYS[0], str(DAYS[0])])


@pytest.mark.parametrize("label", [["cell", 1], [], ["decimal", "x"], ["interval", 2, 1, "right"], ["timestamp", 1]])
def test_a_damaged_label_is_refused(label: Any) -> None:
    with pytest.raises(ValueError, match=r"label|interval|left"):
        read(label)


def test_values_are_written_and_read_back() -> None:
    for value in (None, "a", True, 3, 0.5, -np.inf, datetime.time(3), datetime.datetime(2024, 1, 1, 5), ("a", DAYS[1])):
        assert read(json.loads(json.dumps(written(value)))) == value


# --- decimals ---


def test_decimals_stay_decimals_with_their_places() -> None:
    cells = [Decimal(f"{x:.2f}") for x in rng.normal(size=N)]
    frame = pd.DataFrame({"c": pd.Series(cells, dtype=object), "x": rng.normal(size=N)})
    for fitted in (Table().fit(frame), Binned().fit(frame)):
        for one in (fitted, saved(fitted)):
            back = one.decode(one.encode(one.conform(frame)).x)["c"]
            assert {type(cell) for cell in back} == {Decimal}
            assert {cell.as_tuple().exponent for cell in back} == {-2}
    holes = frame.copy()
    holes.loc[::7, "c"] = None
    model = engram.Autoencoder(max_epochs=1, random_state=0).fit(holes)
    assert isinstance(model.impute(holes)["c"].sum(), Decimal)
    tiny = Table().fit(pd.DataFrame({"c": [Decimal("1E-30"), Decimal("2E-99999"), Decimal(3)]}))
    assert float(tiny.decode(tiny.encode(pd.DataFrame({"c": [Decimal(3)]})).x)["c"][0]) == pytest.approx(3)


def test_one_decimal_and_decimals_beside_a_mark() -> None:
    same = Table().fit(pd.DataFrame({"c": [Decimal("1.50")] * 9, "x": range(9)}))
    assert str(same.decode(same.encode(pd.DataFrame({"c": [1], "x": [1]})).x)["c"][0]) == "1.50"
    marked = pd.DataFrame({"c": [*(Decimal(f"{k}.5") for k in range(30)), "?"]}, dtype=object)
    kind = Table().fit(marked)
    assert {type(cell) for cell in kind.filled(marked, kind.encode(marked).x)["c"]} == {Decimal}


# --- names ---

NAMES = {
    "levels": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["letter", None]),
    "dates": pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03"], name="day"),
    "months": pd.period_range("2024-01", periods=3, freq="M"),
    "mixed": pd.Index([("a", "b"), None, datetime.date(2024, 1, 1)], tupleize_cols=False),
    "bins": pd.IntervalIndex.from_breaks([0, 1, 2, 3]),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_columns_come_back(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(rng.normal(size=(N, 3)), columns=NAMES[name])
    frame.iloc[::7, 0] = np.nan
    model: Any = engram.Autoencoder(max_epochs=1, random_state=0).fit(frame)
    drawer: Any = engram.Synthesizer(max_epochs=1, model="vae", random_state=0).fit(frame)
    model.save(tmp_path / "one")
    drawer.save(tmp_path / "two")
    for one in (model, engram.load(tmp_path / "one")):
        pd.testing.assert_index_equal(one.impute(frame).columns, frame.columns, exact="equiv")
        assert not frame.fillna(one.impute(frame)).isna().any(axis=None)
        pd.testing.assert_index_equal(one.reconstruct(frame).columns, frame.columns)
    for two in (drawer, engram.load(tmp_path / "two")):
        pd.testing.assert_index_equal(two.sample(2).columns, frame.columns)


def test_names_that_cannot_be_written_come_back_as_texts_and_that_is_told() -> None:
    frame = pd.DataFrame(rng.normal(size=(N, 2)), columns=pd.Index([Colour("red"), "b"]))
    for kind in (Table().fit(frame), Binned().fit(frame)):
        assert list(kind.decode(kind.encode(kind.conform(frame)).x).columns) == ["red", "b"]
        assert "names of columns come back as texts: a Colour cannot be written" in kind.findings()
    kind = Table().fit(frame)
    assert list(kind.filled(frame, kind.encode(kind.conform(frame)).x).columns) == list(frame.columns)


def test_a_column_is_dropped_by_any_name() -> None:
    frame = pd.DataFrame(rng.normal(size=(N, 3)), columns=NAMES["levels"])
    model = engram.Autoencoder(max_epochs=1, columns={("a", 1): "drop"}).fit(frame)
    assert list(model.reconstruct(frame).columns) == [("a", 2), ("b", 1)]
    assert model.impute(frame).columns.equals(frame.columns)


@pytest.mark.parametrize(
    ("names", "told"),
    [([5, "5", 9], "written '5', as int and as str"), ([np.nan, "b", np.nan], "2 columns have no name")],
)
@pytest.mark.parametrize("model", [engram.Autoencoder, engram.AnomalyDetector, engram.Synthesizer])
def test_names_that_are_the_same_are_refused_by_all(model: Any, names: list[Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        model(max_epochs=1).fit(pd.DataFrame(rng.normal(size=(40, 3)), columns=pd.Index(names, dtype=object)))


def test_arrays_are_filled_as_before() -> None:
    rows = rng.normal(size=(N, 2))
    holes = rows.copy()
    holes[0, 0] = np.nan
    kind = Table().fit(rows)
    np.testing.assert_array_equal(filled(holes, rows, kind.fields), rows)


# --- damaged folders ---

DAMAGES: list[tuple[str, Any]] = [
    ("cells", [1]),
    ("cells", {"(0, 1]": ["interval", 1, 0, "right"]}),
    ("cells", {"(0, 1]": ["os.system", "ls"]}),
    ("cells", {"(-inf, 0.0]": ["timestamp", "NaT", "s", None], "(0.0, 9.0]": None}),
    ("decimal", 10**9),
    ("decimal", -1),
    ("texts", 3),
    ("names", {"names": {"x": ["date", "today"]}, "levels": [None]}),
    ("names", {"names": {"x": ["tuple", 1, 2]}, "levels": []}),
    ("names", {"names": {"x": ["tuple", 1, 2]}, "levels": [None, None, None]}),
    ("names", {"other": 1}),
    ("names", 3),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels") / "run"
    engram.VAE(max_epochs=1, hidden=(4,)).fit(pd.DataFrame({"iv": BINNED, "x": rng.normal(size=N)})).save(folder)
    return folder


@pytest.mark.parametrize(("name", "value"), DAMAGES)
def test_a_damaged_run_folder_is_refused(run: Path, tmp_path: Path, name: str, value: Any) -> None:
    shutil.copytree(run, tmp_path / "run")
    told = json.loads((run / "kind.json").read_text())
    (told["state"] if name == "names" else told["state"]["columns"][0]["form"])[name] = value
    (tmp_path / "run" / "kind.json").write_text(json.dumps(told))
    with pytest.raises(RunError, match="is damaged"):
        engram.load(tmp_path / "run")


def test_files_of_rows_have_one_line_of_names(tmp_path: Path) -> None:
    frame = pd.DataFrame(rng.normal(size=(N, 3)), columns=NAMES["levels"])
    engram.Synthesizer(max_epochs=1, model="vae", random_state=0).fit(frame).save(tmp_path / "run")
    for suffix, read_back in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        out = tmp_path / f"rows{suffix}"
        done = CliRunner().invoke(program, ["sample", str(tmp_path / "run"), "-n", "3", "-o", str(out), "--quiet"])
        assert done.exit_code == 0, done.output
        assert list(read_back(out).columns) == ["('a', 1)", "('a', 2)", "('b', 1)"]


@pytest.mark.parametrize("name", CELLS)
def test_cells_of_any_sort_can_be_written_to_files(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"c": CELLS[name]})
    for suffix in (".csv", ".parquet"):
        output.write(frame, output.Target(tmp_path / f"rows{suffix}", suffix))
    back = pd.read_parquet(tmp_path / "rows.parquet")["c"]
    assert len(back) == N
    assert str(back[0]) == str(pd.Series(CELLS[name])[0]) or "zone" in name or "decimals" in name
