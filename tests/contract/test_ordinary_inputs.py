"""Ordinary files and Python objects: they are taken, or what is said of them is what is wrong with them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import engram
from engram.data import DataWarning, Table
from engram.data.binned import Binned
from engram.data.bins import Bins
from engram.data.csv_lines import short_rows
from engram.data.source import read
from engram.errors import DataError, DataTypeError, UsageError

rng = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x, y", "z", "x, y"], "c": [0.5, 1.5, 2.5]})

# --- files ---


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("told", [False, True])
def test_cells_parted_by_any_sign(tmp_path: Path, sign: str, *, told: bool) -> None:
    path = tmp_path / "rows.csv"
    FRAME.to_csv(path, sep=sign, index=False)
    if told:
        path.write_text(f"sep={sign}\n{path.read_text()}")
    pd.testing.assert_frame_equal(read(path).rows, FRAME)


def test_excels_line_before_rows_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b'\xef\xbb\xbf"sep=;"\r\n0,25;01\r\n0,5;02\r\n0,75;01\r\n')
    rows = read(tmp_path / "rows.csv", header=False).rows
    assert rows["column0"].tolist() == [0.25, 0.5, 0.75]
    assert rows["column1"].tolist() == ["01", "02", "01"]


def test_a_packed_file_is_read(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "rows.csv.gz", index=False)
    pd.testing.assert_frame_equal(read(tmp_path / "rows.csv.gz").rows, FRAME)
    for content in (b"no gzip at all", gzip.compress(b"a,b\n1,2\n" * 99)[:-20]):
        (tmp_path / "bad.csv.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"'bad.csv.gz' cannot be read"):
            read(tmp_path / "bad.csv.gz")


def test_a_small_packed_file_of_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engram.data.csv_lines.MOST_BYTES", 1000)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"0,0\n" * 100_000))
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        read(tmp_path / "bomb.csv.gz")


@pytest.mark.parametrize("rows", ["1,2,3\n4,5,6\n", "1,2\n3,4,5\n"])
def test_a_first_line_that_names_too_little_is_shown(tmp_path: Path, rows: str) -> None:
    (tmp_path / "rows.csv").write_text("# made on Monday\na,b,c\n" + rows)
    with pytest.raises(DataError, match=r"first line '# made on Monday' was read as 1 name with commas between them"):
        read(tmp_path / "rows.csv")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("a,b,c\n1,2,3\n4,5\n\n6,7,\n8\n", 2),
        ("a,b,c\r\n1,2,3\r\n4,5\r\n", 1),
        ('a,b,c\n1,2,"3\n4"\n4,"5,6"\n', 1),
        ("sep=,\na,b,c\n1,2,\n4,5\n", 1),
        ('sep=,\na,b,c\n"1",2,\n4,5\n', 1),
        ("a,b,c\n1,2,\n4,5,\n   \n", 0),
        ("a\n1\n\n2\n", 0),
    ],
)
def test_rows_that_are_too_short_are_told(tmp_path: Path, text: str, short: int) -> None:
    (tmp_path / "rows.csv").write_text(text, newline="")
    if not short:
        assert len(read(tmp_path / "rows.csv").rows) == 2
        return
    with pytest.warns(DataWarning, match=rf"{short} rows? ha(s|ve) fewer cells than the header"):
        read(tmp_path / "rows.csv")
    assert short_rows(text.encode(), ",", 3, int(text.startswith("sep"))) == short


# --- objects ---


@pytest.mark.parametrize(
    "raw",
    [FRAME.to_dict("list"), FRAME.to_dict("records"), tuple(FRAME.to_dict("records")), FRAME.to_records(index=False)],
)
def test_columns_by_name_records_and_structured_arrays_are_tables(raw: Any) -> None:
    expected = engram.Autoencoder(max_epochs=1, random_state=0).fit(FRAME)
    model = engram.Autoencoder(max_epochs=1, random_state=0).fit(raw)
    np.testing.assert_array_equal(model.transform(raw), expected.transform(FRAME))
    assert Table().fit(raw).describe() == Table().fit(FRAME).describe()
    assert list(engram.Synthesizer(max_epochs=1, model="vae").fit(raw).sample(2).columns) == ["a", "b", "c"]


@pytest.mark.parametrize("raw", [{"a": 1, "b": 2}, {"a": [1, 2], "b": [1]}])
def test_a_dict_that_is_no_columns_is_told(raw: Any) -> None:
    with pytest.raises(DataTypeError, match="a dict is taken as columns by name, and pandas makes no table of it"):
        engram.Autoencoder().fit(raw)


@pytest.mark.parametrize("model", [engram.Autoencoder(), engram.Synthesizer(), engram.TopicModel(), engram.GAN()])
def test_nothing_is_told_as_nothing(model: Any) -> None:
    with pytest.raises(DataTypeError, match="nothing was given"):
        model.fit(None)


@pytest.mark.parametrize("sort", [sparse.csr_matrix, sparse.csr_array, sparse.coo_matrix, sparse.dok_array])
def test_a_synthesizer_takes_sparse_matrices(sort: Any) -> None:
    rows = rng.poisson(0.5, (60, 3))
    dense = engram.Synthesizer(max_epochs=1, model="vae", random_state=0).fit(rows).sample(5, random_state=0)
    model = engram.Synthesizer(max_epochs=1, model="vae", random_state=0).fit(sort(rows))
    pd.testing.assert_frame_equal(model.sample(5, random_state=0), dense, check_dtype=False)
    assert model.kind_.to_dict()["rows"] == 60


@pytest.mark.parametrize(("documents", "told"), [([], "there are no documents"), ([None], "all documents are missing")])
def test_no_documents_are_told_as_none(documents: list[Any], told: str) -> None:
    with pytest.raises(DataTypeError, match=told):
        engram.TopicModel().fit(documents)


def test_resuming_needs_a_run_folder() -> None:
    with pytest.raises(UsageError, match="Give run="):
        engram.Autoencoder().fit(FRAME, resume=True)


# --- numbers ---


@pytest.mark.parametrize("size", [1e-300, 1e-12, 1e-7])
def test_small_numbers_are_not_rounded_to_zero(size: float) -> None:
    cells = rng.normal(size=200) * size
    bins = Bins.of_numbers(cells)
    assert bins.step == 0
    assert (bins.numbers(bins.of(cells), np.random.default_rng(0)) != 0).all()


@pytest.mark.parametrize(("places", "step"), [(0, 1.0), (2, 0.01), (6, 1e-6)])
def test_steps_of_ordinary_numbers_are_found(places: int, step: float) -> None:
    for size in (0.5, 1.0, 50.0):
        assert Bins.of_numbers((rng.normal(size=500) * max(size, 10 * step)).round(places)).step == step


@pytest.mark.parametrize("model", [engram.GAN, engram.VAE])
def test_a_table_of_constants_comes_back_exactly_and_is_told(model: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"c": np.full(60, 1.1), "d": pd.Timestamp("2024-02-29")})
    fitted = model(max_epochs=2, random_state=0).fit(frame)
    fitted.save(tmp_path / "run")
    loaded: Any = engram.load(tmp_path / "run")
    for one in (fitted, loaded):
        pd.testing.assert_frame_equal(one.sample(3, random_state=0), frame[:3])
    assert any("columns 'c', 'd' are constant, and nothing varies" in f.message for f in fitted.findings_)
    array = model(max_epochs=2, random_state=0).fit(np.ones((60, 1)))
    assert (array.sample(3) == 1).all()
    assert any("column 0 is constant (1)" in f.message for f in array.findings_)


def test_a_stray_text_among_numbers_is_told_by_a_synthesizer_as_by_others() -> None:
    frame = pd.DataFrame({"a": [*map(str, rng.normal(size=60)), "hmm"]})
    for kind in (Table(), Binned()):
        with pytest.warns(DataWarning, match="'hmm'"):
            engram.data.kind.warn_notes([kind.fit(frame).encode(kind.conform(frame)).notes])
