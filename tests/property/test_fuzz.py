"""Damaged and hostile files: only our errors, nothing executed, memory bounded (tests/proofs/fuzz.py at small size, and chosen attacks)."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import pickle
import warnings
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engram
from engram.data.kind import DataWarning
from engram.data.source import read
from engram.errors import DataError, EngramError, RunError
from engram.training.checkpoint import Checkpoints
from engram.training.run import parsed_json, parsed_tensors

SCRIPT = Path(__file__).parents[1] / "proofs" / "fuzz.py"
SMALL: dict[str, Any] = {"code_size": 2, "hidden": (4,), "max_epochs": 2, "random_state": 0}


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_proof", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def fitted() -> Any:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["a", "b", "c"])
    frame["city"] = ["Basel", "Lima", "Oslo", "Rome"] * 10
    return engram.VAE(**SMALL).fit(frame)


@pytest.fixture
def folder(fitted: Any, tmp_path: Path) -> Path:
    fitted.save(tmp_path / "run")
    return tmp_path / "run"


def test_files_damaged_at_random_give_only_our_errors_or_a_working_result() -> None:
    """In a process of its own, with 6 GiB of address space."""
    done, findings, seen = script().fuzz(count=300, seed=7, seconds=600)
    assert findings == []
    assert done == 300
    assert {name.split()[1] for name in seen} >= {"works", "RunError", "DataError"}


@pytest.mark.slow
def test_many_files_damaged_at_random() -> None:
    _, findings, _ = script().fuzz(count=10_000, seed=8, seconds=3600)
    assert findings == []


# --- JSON ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(path for key, inner in items for path in paths(inner, (*here, key)))]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choice=st.data())
@pytest.mark.parametrize("name", ["config.json", "kind.json"])
def test_a_value_replaced_by_any_other_gives_our_error_or_a_model_that_works(
    folder: Path, fitted: Any, name: str, choice: st.DataObject
) -> None:
    whole = (folder / name).read_text()
    value = json.loads(whole)
    *way, last = choice.draw(st.sampled_from(paths(value)[1:]))
    holder = value
    for key in way:
        holder = holder[key]
    holder[last] = choice.draw(JSON)
    (folder / name).write_text(json.dumps(value))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # a damaged scale may put cells far out, and says so
            engram.load(folder).transform(pd.DataFrame({"a": [0.1], "b": [1.0], "c": [2.0], "city": ["Oslo"]}))
    except EngramError:
        pass
    finally:
        (folder / name).write_text(whole)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": 1, "a": 2}',
        '{"b": {"a": 1, "a": 1}}',
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a": ' + "9" * 10_000 + "}",
        '{"a": 1} x',
        '{"a": "\\ud800"}',
        "[1]",
        "",
    ],
)
def test_json_that_is_not_strict_is_refused(text: str) -> None:
    with pytest.raises(RunError, match="damaged"):
        parsed_json(text.encode(), Path("config.json"))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_tensors_are_refused(content: bytes) -> None:
    with pytest.raises(RunError, match="damaged"):
        parsed_tensors(content, Path("weights.safetensors"))


# --- memory ---


def edited(folder: Path, name: str, **changes: Any) -> None:
    value = json.loads((folder / name).read_text())
    for path, new in changes.items():
        holder = value
        *way, last = path.split("__")
        for key in way:
            holder = holder[int(key) if key.isdecimal() else key]
        holder[last] = new
    (folder / name).write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("config.json", {"shapes__widths": [10**6, 10**6]}),
        ("config.json", {"shapes__widths": [1] * 10**6}),
        ("config.json", {"shapes__code_size": 10**9}),
        ("config.json", {"shapes__code_size": 0}),
        ("config.json", {"settings__threads": 0}),
        ("config.json", {"settings__threads": "many"}),
        ("config.json", {"data__rows": [1]}),
        ("config.json", {"kind": "images"}),
        ("kind.json", {"state__columns__0__dtype": "U1000000000"}),
        ("kind.json", {"state__columns__0__scale": 0.0}),
        ("kind.json", {"state__columns__3__values": [[1], [2], [3], [4]]}),
        ("kind.json", {"state__columns__3__values": ["Oslo"] * 4}),
    ],
)
def test_a_description_that_asks_for_what_is_not_there_takes_no_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, changes: dict[str, Any]
) -> None:
    """The networks are compared with the weights before they are built."""
    edited(folder, name, **changes)
    monkeypatch.setattr("engram.models.saving.seeded", lambda *_: pytest.fail("networks were built"))
    with pytest.raises(RunError, match=r"run.*damaged"):
        engram.load(folder)


def test_pictures_of_a_size_that_no_data_had_are_refused(tmp_path: Path) -> None:
    engram.Autoencoder(**SMALL).fit(np.random.default_rng(0).random((12, 6, 5))).save(tmp_path / "run")
    edited(tmp_path / "run", "kind.json", state__shape=[1, 10**6, 10**6])
    with pytest.raises(RunError, match="cannot be"):
        engram.load(tmp_path / "run")


def test_more_threads_than_processors_are_not_asked_for(folder: Path) -> None:
    edited(folder, "config.json", settings__threads=10**6)
    assert engram.load(folder).settings_.threads == os.cpu_count()


def test_weights_of_another_type_are_refused(folder: Path, fitted: Any) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "weights.safetensors")
    save_file({name: tensor.double() for name, tensor in tensors.items()}, folder / "weights.safetensors")
    with pytest.raises(RunError, match="expected float32"):
        engram.load(folder)


# --- code ---


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def as_pickle(evil: Evil) -> bytes:
    return pickle.dumps(evil)


def as_torch(evil: Evil) -> bytes:
    found = io.BytesIO()
    torch.save(evil, found)
    return found.getvalue()


def as_npy(evil: Evil) -> bytes:
    found = io.BytesIO()
    np.save(found, np.array([[evil, evil]], dtype=object), allow_pickle=True)
    return found.getvalue()


def as_npz(evil: Evil) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        archive.writestr("X.npy", as_npy(evil))
    return found.getvalue()


EVILS = [as_pickle, as_torch, as_npy, as_npz]


@pytest.mark.parametrize("evil", EVILS)
@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", "kind.json", "log.jsonl"])
def test_no_file_of_a_run_is_ever_unpickled(folder: Path, evil: Any, name: str) -> None:
    trace = folder.parent / "it-ran"
    (folder / name).write_bytes(evil(Evil(trace)))
    with pytest.raises(RunError, match="damaged"):
        engram.load(folder)
    assert not trace.exists()


@pytest.mark.parametrize("evil", EVILS)
@pytest.mark.parametrize("name", ["t.npy", "t.npz", "t.csv", "t.parquet"])
def test_no_data_file_is_ever_unpickled(tmp_path: Path, evil: Any, name: str) -> None:
    trace = tmp_path / "it-ran"
    (tmp_path / name).write_bytes(evil(Evil(trace)))
    with pytest.raises(DataError):
        engram.data.Table().fit(read(tmp_path / name).rows)
    assert not trace.exists()


@pytest.mark.parametrize("evil", EVILS)
def test_no_checkpoint_is_ever_unpickled(tmp_path: Path, evil: Any) -> None:
    """Even where its manifest says that this is what was written."""
    import hashlib

    trace = tmp_path / "it-ran"
    kept = Checkpoints(tmp_path)
    kept.save(1, {"a": torch.zeros(2)}, {})
    step = kept.folder / "step-1"
    (step / "state.safetensors").write_bytes(evil(Evil(trace)))
    digests = {n: hashlib.sha256((step / n).read_bytes()).hexdigest() for n in ("state.safetensors", "state.json")}
    (step / "manifest.json").write_text(json.dumps(digests))
    assert kept.latest() is None
    assert not trace.exists()


def test_the_traces_would_have_been_left(tmp_path: Path) -> None:
    np.load(io.BytesIO(as_npy(Evil(tmp_path / "it-ran"))), allow_pickle=True)
    assert (tmp_path / "it-ran").exists()


# --- links and names ---


@pytest.mark.parametrize("digests", [{}, {"../../secret": "x"}, {"state.json": "x"}, {"state.safetensors": 1}])
def test_a_manifest_that_names_other_files_verifies_nothing(tmp_path: Path, digests: dict[str, Any]) -> None:
    kept = Checkpoints(tmp_path)
    kept.save(1, {"a": torch.zeros(2)}, {})
    (kept.folder / "step-1" / "manifest.json").write_text(json.dumps(digests))
    assert kept.latest() is None


@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "manifest.json", "."])
def test_links_in_a_checkpoint_are_not_followed(tmp_path: Path, name: str) -> None:
    kept = Checkpoints(tmp_path)
    kept.save(1, {"a": torch.zeros(2)}, {})
    path = kept.folder / "step-1" / name if name != "." else kept.folder / "step-1"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert kept.latest() is None


def test_a_checkpoint_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    kept.save(1, {"a": torch.zeros(2)}, {})
    kept.folder.rename(tmp_path / "elsewhere")
    kept.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="link"):
        kept.latest()


def test_an_array_that_claims_more_than_its_file_holds_takes_no_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.zeros((20, 4)))
    content = (tmp_path / "t.npy").read_bytes().replace(b"(20, 4), }" + b" " * 11, b"(20000000000, 400), }", 1)
    assert len(content) == (tmp_path / "t.npy").stat().st_size
    (tmp_path / "t.npy").write_bytes(content)
    with pytest.raises(DataError, match="shorter than an array"):
        read(tmp_path / "t.npy")


def test_records_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.zeros((20, 4), dtype="V8"))
    with pytest.raises(DataError, match="records"):
        read(tmp_path / "t.npy")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(folder: Path, value: float) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "weights.safetensors")
    next(t for name, t in tensors.items() if not name.startswith("_fitted."))[..., 0] = value
    save_file(tensors, folder / "weights.safetensors")
    with pytest.raises(RunError, match="no number"):
        engram.load(folder)


def test_texts_that_hold_no_characters_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([["a", "b"], ["c", "d"]]))
    content = (tmp_path / "t.npy").read_bytes()
    (tmp_path / "t.npy").write_bytes(content[:-4] + b"\xff\xff\xff\xff")
    with pytest.raises(DataError, match="no character"):
        read(tmp_path / "t.npy")
