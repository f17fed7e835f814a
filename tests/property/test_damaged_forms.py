"""What a run folder says of how cells are written, damaged value by value: our error, or a model that works."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import engram
from engram.data import Counts, DataWarning, Interactions, Table, arrays
from engram.data.forms import in_memory
from engram.data.source import read
from engram.errors import DataError, RunError
from engram.training.checkpoint import Checkpoints
from engram.training.run import read_config, read_json, read_log

SMALL: dict[str, Any] = {"code_size": 2, "hidden": (4,), "max_epochs": 2, "random_state": 0}
N = 40


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2021-02-28") + pd.to_timedelta(rng.integers(0, 900, N), unit="D")
    return pd.DataFrame(
        {
            "day": days,
            "told": [day.strftime("%d.%m.%Y") for day in days],
            "paid": [f"CHF {x:,.2f}" for x in rng.uniform(0, 9999, N)],
            "member": rng.choice(["no", "yes"], N),
            "city": pd.Categorical(rng.choice(["Basel", "Lima"], N), ["Lima", "Basel", "Oslo"]),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forms") / "run"
    engram.VAE(**SMALL).fit(rows()).save(folder)
    return folder


BAD: list[tuple[int, str, Any]] = [
    *((0, name, value) for name in ("date", "form") for value in (None, 3, "x", [])),
    *((0, "date.step", value) for value in (1e-320, -1.0, 7.0, "60", None, True)),
    *((0, "date.at", value) for value in (1e308, -1.0, "0", None)),
    *((0, "date.months", value) for value in (1, "yes", None)),
    *((0, "date.cycles", value) for value in (["month"], ["week", "week"], ["day", "year"], "week", None, [1], {})),
    *((0, "date.zone", value) for value in ("Nowhere/Here", "../../../etc/passwd", "\0", 5, None)),
    *((0, "date.sort", value) for value in ("float64", 1)),
    *((0, "date.more", value) for value in (1, None)),
    *((1, "date.format", value) for value in ("%Q", "%", "x" * 5000, "%d.%m.%Y%", "\0", "%Y-%m-%d %%", 7, None)),
    *((1, "date.suffix", value) for value in ("x", "z", "+1", 3, None)),
    *((1, "date.unpadded", value) for value in (1, None)),
    *((2, "number.places", value) for value in (-1, 10**30, 10, 2.5, "2")),
    *((2, "number.point", value) for value in ("", "..", "x", None)),
    *((2, "number.prefix", value) for value in (1, None)),
    *((2, "number.minus", value) for value in ("", "last", 0)),
    *((3, "words", value) for value in (["no"], ["no", "yes", "yes"], "no", [1, 2], None)),
    *((4, "categories", value) for value in ("Lima", [["Lima"]], None)),
    *((4, "ordered", value) for value in (1, None)),
]


def damage(run: Path, tmp_path: Path, column: int, place: str, value: Any) -> Path:
    """Copy a run folder with one value of a column's form replaced."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in run.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    told = json.loads((folder / "kind.json").read_text())
    holder = told["state"]["columns"][column]
    *way, last = place.split(".") if place == "form" else ["form", *place.split(".")]
    for key in way:
        holder = holder[key]
    holder[last] = value
    (folder / "kind.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize(("column", "place", "value"), BAD)
def test_a_form_that_no_column_has_is_a_damaged_folder(
    run: Path, tmp_path: Path, column: int, place: str, value: Any
) -> None:
    with pytest.raises(RunError, match=r"damaged: kind\.json: form.*Restore the folder"):
        engram.load(damage(run, tmp_path, column, place, value))


@pytest.mark.parametrize("zone", ["", "UTC", "Europe/Zurich", "UTC+01:00"])
def test_a_form_that_a_column_can_have_is_none(run: Path, tmp_path: Path, zone: str) -> None:
    model: Any = engram.load(damage(run, tmp_path, 0, "date.zone", zone))
    assert len(model.reconstruct(rows())) == N


def loads_or_is_damaged(folder: Path) -> None:
    with contextlib.suppress(RunError):
        engram.load(folder).transform(rows())  # type: ignore[attr-defined]


@pytest.mark.parametrize("mean", [10**30, -(10**30), 10**18])
def test_a_mean_that_is_a_huge_whole_number_is_a_number(tmp_path: Path, mean: int) -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)), columns=["a", "b", "c"])
    engram.Autoencoder(**SMALL).fit(table).save(tmp_path / "run")
    told = json.loads((tmp_path / "run" / "kind.json").read_text())
    told["state"]["columns"][1]["mean"] = mean
    (tmp_path / "run" / "kind.json").write_text(json.dumps(told))
    model: Any = engram.load(tmp_path / "run")
    with pytest.warns(DataWarning, match="were clipped"):
        assert len(model.transform(table)) == N


DEPTHS = [30, 200, 500, 900, 960, 990, 1000, 3000, 100_000]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_values_nested_at_any_depth_are_refused_or_looked_over(
    run: Path, tmp_path: Path, depth: int, opening: str
) -> None:
    """Also those just within what the parser of JSON can follow and what looks at its result cannot."""
    nested = opening * depth + "0" + ("]" if opening == "[" else "}") * depth
    folder = damage(run, tmp_path, 0, "date.zone", "")
    for name in ("config.json", "kind.json"):
        whole = (folder / name).read_text()
        for place in json.loads(whole):
            value = {**json.loads(whole), place: "HERE"}
            (folder / name).write_text(json.dumps(value).replace('"HERE"', nested))
            loads_or_is_damaged(folder)
        (folder / name).write_text(whole)
    for place in ("step", "more"):
        (folder / "log.jsonl").write_text(f'{{"step": 1, "epoch": 1.0, "terms": {{}}, "{place}": {nested}}}\n')
        loads_or_is_damaged(folder)


@pytest.mark.parametrize("depth", DEPTHS)
def test_readers_of_a_run_folder_bear_any_depth(tmp_path: Path, depth: int) -> None:
    (tmp_path / "a.json").write_text('{"a": ' + "[" * depth + "]" * depth + "}")
    (tmp_path / "config.json").write_text('{"schema_version": ' + "[" * depth + "]" * depth + "}")
    (tmp_path / "log.jsonl").write_text('{"a": ' + "[" * depth + "]" * depth + "}")
    for read_it in (lambda: read_json(tmp_path, "a.json"), lambda: read_log(tmp_path)):
        with contextlib.suppress(RunError):
            read_it()
    with pytest.raises(RunError, match="damaged"):
        read_config(tmp_path)
    assert Checkpoints(tmp_path).latest() is None


# --- arrays that claim to be large ---


def write_npz(path: Path, name: str, header: dict[str, Any], data: bytes, pieces: int) -> None:
    """Write an archive of one array, piece by piece, whatever its header says."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(f"{name}.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(pieces):
            file.write(data)


def header(*shape: int) -> dict[str, Any]:
    return {"descr": "<f8", "fortran_order": False, "shape": shape}


@pytest.mark.parametrize("labels", [False, True])
def test_a_small_archive_that_unpacks_to_gigabytes_is_refused_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: bool
) -> None:
    path = tmp_path / "bomb.npz"
    write_npz(path, "y" if labels else "X", header(40 << 20, 1), bytes(1 << 20), 320)
    if labels:
        with zipfile.ZipFile(path, "a") as archive, archive.open("X.npy", "w") as file:
            np.lib.format.write_array(file, np.zeros((4, 2)))
        real = np.lib.format.read_array
        reading = lambda file, **more: real(file, **more) if file.name == "X.npy" else pytest.fail("unpacked")  # noqa: E731
    else:
        reading = lambda *_, **__: pytest.fail("unpacked")  # noqa: E731
    assert path.stat().st_size < 1 << 20
    monkeypatch.setattr(np.lib.format, "read_array", reading)
    with pytest.raises(DataError, match=r"unpacks to 335,544,\d+, more than 200 times.*without compression"):
        read(path)


def test_an_array_of_an_archive_that_claims_more_than_is_there_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_npz(tmp_path / "t.npz", "X", header(10**9, 400), bytes(80), 1)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("memory was taken"))
    with pytest.raises(DataError, match="shorter than an array"):
        read(tmp_path / "t.npz")


def test_a_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("X.npy", b"no array")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "t.npz")


def test_what_shrinks_well_and_is_small_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "t.npz", y=np.zeros(1 << 20), rows=np.zeros((1 << 20, 2)))
    found = read(tmp_path / "t.npz")
    assert found.rows.shape == (1 << 20, 2)
    assert len(found.y) == 1 << 20
    assert Table.accepts(found.rows) is None


@pytest.mark.parametrize("name", ["data", "fitted", "log.jsonl"])
def test_what_is_loaded_can_be_written_again(run: Path, tmp_path: Path, name: str) -> None:
    """Nothing is kept that is nested so deeply that no writer could follow it."""
    folder = damage(run, tmp_path, 0, "date.zone", "")
    path = folder / ("log.jsonl" if name == "log.jsonl" else "config.json")
    holder, rest = (path.read_text().splitlines()[0], "") if name == "log.jsonl" else (path.read_text(), f'"{name}": ')
    path.write_text(holder.replace(f"{rest}{{", f'{rest}{{"more": {"[" * 900}{"]" * 900}, ', 1) + "\n")
    with pytest.raises(RunError, match=rf"damaged: {name}\.more"):
        engram.load(folder)


def test_hints_are_texts(run: Path, tmp_path: Path) -> None:
    folder = damage(run, tmp_path, 0, "date.zone", "")
    told = json.loads((folder / "kind.json").read_text())
    told["state"]["hints"] = 5
    (folder / "kind.json").write_text(json.dumps(told))
    with pytest.raises(RunError, match=r"damaged: kind\.json: hints"):
        engram.load(folder)


@pytest.mark.parametrize("code", [0xD800, 0xDC62, 0xDFFF, 0x110000])
def test_texts_of_an_array_that_hold_no_characters_are_refused(tmp_path: Path, code: int) -> None:
    cells = np.array([["a", "b"], ["c", "d"]] * 8)
    cells.view(np.uint32)[3, 1] = code
    np.save(tmp_path / "t.npy", cells)
    with pytest.raises(DataError, match="no character"):
        read(tmp_path / "t.npy")


# --- sparse matrices ---

PARTS = {
    "csr": {"indices": [0, 50_000_000], "indptr": [0, 1, 2]},
    "csc": {"indices": [0, 50_000_000], "indptr": [0, 1, 2, 2, 2, 2]},
    "negative": {"indices": [0, -50_000_000], "indptr": [0, 1, 2]},
    "falling": {"indices": [0, 1], "indptr": [0, 50_000_000, 2]},
}


@pytest.mark.parametrize("kind", [Counts, Interactions])
@pytest.mark.parametrize("case", PARTS)
def test_a_saved_matrix_whose_parts_do_not_fit_together_is_refused(
    tmp_path: Path, case: str, kind: type[Counts | Interactions]
) -> None:
    form = np.array(case if case == "csc" else "csr", dtype="S3")
    parts = {name: np.array(part) for name, part in PARTS[case].items()}
    np.savez(tmp_path / "m.npz", format=form, shape=np.array([2, 5]), data=np.ones(2), **parts)
    with pytest.raises(DataError, match="do not fit together"):
        kind().read(tmp_path / "m.npz")


@pytest.mark.parametrize("take", [in_memory, Counts().fit, Interactions().histories])
@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix, sparse.bsr_array])
def test_a_sparse_matrix_whose_parts_do_not_fit_together_is_refused_and_left_alone(
    take: Callable[[Any], Any], form: Callable[..., Any]
) -> None:
    matrix = form(np.eye(5))
    matrix.indices = np.array([0, 1, 2, 3, 50_000_000, 7])
    matrix.data = np.concatenate([matrix.data, matrix.data[:1]])
    with pytest.raises(DataError, match="do not fit together"):
        take(matrix)
    assert len(matrix.indices) == len(matrix.data) == 6


def test_a_small_sparse_matrix_that_unpacks_to_gigabytes_is_refused_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"indices": np.zeros(1 << 16, np.int32), "indptr": np.array([0, 1 << 16])}
    np.savez_compressed(tmp_path / "bomb.npz", format=b"csr", shape=np.array([1, 1]), data=np.zeros(1 << 16), **parts)
    monkeypatch.setattr(arrays, "MOST_BYTES", 1 << 16)
    monkeypatch.setattr(sparse, "load_npz", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(DataError, match="more than 200 times"):
        Counts().read(tmp_path / "bomb.npz")
