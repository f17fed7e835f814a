"""The run folder: what it holds, what is refused, and that a failure leaves things as they were."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import engram
from engram import VAE, Autoencoder
from engram.errors import DataError, RunError, UsageError
from engram.training import run as runs
from engram.training.loop import _Fit

X = np.random.default_rng(0).normal(size=(60, 4))
FILES = {"README.md", "config.json", "kind.json", "log.jsonl", "weights.safetensors"}


def model(cls: type = VAE, **parameters: Any) -> Any:
    return cls(**{"code_size": 2, "max_epochs": 2, "random_state": 0, **parameters})


@pytest.fixture(scope="module")
def fitted() -> Any:
    return model().fit(X)


@pytest.fixture
def folder(fitted: Any, tmp_path: Path) -> Path:
    path = tmp_path / "run"
    fitted.save(path)
    return path


def change(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit a JSON file."""
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


def test_a_model_that_could_not_be_saved_is_told_before_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(eq=False, repr=False, kw_only=True)
    class Mine(Autoencoder):
        """Not registered."""

    monkeypatch.setattr("engram.models.model.train", lambda *_, **__: pytest.fail("it was trained"))
    with pytest.raises(UsageError, match=r"Mine is not a registered model.*MODELS\.register\('mine'\)"):
        model(Mine).fit(X, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_that_is_not_registered_can_be_fitted_without_a_folder() -> None:
    @dataclass(eq=False, repr=False, kw_only=True)
    class Mine(Autoencoder):
        """Not registered."""

    assert model(Mine).fit(X).transform(X).shape == (60, 2)


# --- what is in it ---


def test_a_run_folder_holds_these_files_and_no_other(folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == FILES
    assert [p.name for p in folder.parent.iterdir()] == ["run"]


def test_all_json_in_it_is_strict(folder: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in JSON")

    texts = [(folder / "config.json").read_text(), (folder / "kind.json").read_text()]
    texts += (folder / "log.jsonl").read_text().splitlines()
    for text in texts:
        assert isinstance(json.loads(text, parse_constant=refuse), dict)


def test_numbers_that_are_not_finite_are_written_as_null() -> None:
    assert json.loads(runs.dumps({"a": float("nan"), "b": [float("inf"), 1.5], "c": (2,)})) == {
        "a": None,
        "b": [None, 1.5],
        "c": [2],
    }


def test_the_config_says_what_was_fitted_on_what_and_with_what(folder: Path, fitted: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["schema_version"] == runs.SCHEMA
    assert config["model"] == "vae"
    assert config["parameters"]["code_size"] == 2
    assert config["settings"]["seed"] == 0
    assert "auto" not in config["settings"].values()
    assert config["data"]["rows"] == 60
    assert config["data"]["fingerprint"] == fitted.data_["fingerprint"]
    assert config["engram"] == engram.__version__
    assert set(config["versions"]) == {"python", "torch"}


def test_no_row_of_the_data_is_in_the_folder(folder: Path) -> None:
    """Rule 13."""
    weights = (folder / "weights.safetensors").read_bytes()
    texts = "".join((folder / name).read_text() for name in FILES - {"weights.safetensors"})
    for row in X[:20]:
        assert row.tobytes() not in weights
        assert row.astype(np.float32).tobytes() not in weights
        assert sum(repr(float(value)) in texts for value in row) < len(row)  # a column's lowest and highest may be


def test_the_card_names_the_model_and_escapes_what_the_columns_are_called(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(X, columns=["a", "<script>x</script>", "b|c", "d"])
    model(Autoencoder).fit(frame).save(tmp_path / "run")
    card = (tmp_path / "run" / "README.md").read_text()
    assert card.startswith("# Autoencoder")
    assert "<script>" not in card
    assert "b\\|c" in card


def test_the_fingerprint_changes_with_the_rows_and_not_with_the_run(fitted: Any) -> None:
    assert model().fit(X).data_["fingerprint"] == fitted.data_["fingerprint"]
    assert model().fit(X + 1e-3 * X**2).data_["fingerprint"] != fitted.data_["fingerprint"]


# --- what is refused ---


def refused(folder: Path, told: str, error: type[Exception] = RunError) -> None:
    with pytest.raises(error, match=told) as caught:
        engram.load(folder)
    assert str(folder) in str(caught.value) or folder.name in str(caught.value)


def test_a_folder_that_is_not_there_or_holds_something_else_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "there is no run folder")
    (tmp_path / "other").mkdir()
    refused(tmp_path / "other", r"config\.json is missing")


@pytest.mark.parametrize("name", sorted(FILES - {"README.md"}))
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refused(folder, name.replace(".", r"\."))


@pytest.mark.parametrize("name", sorted(FILES - {"README.md"}))
def test_a_truncated_file_is_refused(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) - 7])
    refused(folder, "damaged")


@pytest.mark.parametrize("name", ["config.json", "kind.json"])
@pytest.mark.parametrize("text", ["", "[1, 2]", '{"a": NaN}', "[" * 100_000, "\x00", '"text"'])
def test_a_file_that_is_no_json_object_is_refused(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    refused(folder, "damaged")


DAMAGE: dict[str, Callable[[dict[str, Any]], None]] = {
    "an unknown field": lambda c: c.update(extra=1),
    "a missing field": lambda c: c.pop("shapes"),
    "a field of another type": lambda c: c.update(modules="encoder"),
    "an unknown parameter": lambda c: c["parameters"].update(latent_dim=3),
    "a wrong value": lambda c: c["parameters"].update(code_size=-1),
    "another shape": lambda c: c["shapes"].update(code_size=3),
    "an unknown family": lambda c: c["shapes"].update(family="transformer"),
    "an unknown setting": lambda c: c["settings"].update(optimiser="lion"),
    "an unknown kind": lambda c: c.update(kind="video", schema_version=0),
    "no schema": lambda c: c.pop("schema_version"),
    "schema true": lambda c: c.update(schema_version=True),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_config_is_refused(folder: Path, damage: str) -> None:
    change(folder / "config.json", DAMAGE[damage])
    refused(folder, "damaged|does not know")


def test_a_newer_schema_asks_for_an_upgrade(folder: Path) -> None:
    change(folder / "config.json", lambda c: c.update(schema_version=runs.SCHEMA + 1, field_of_the_future=1))
    refused(folder, "newer Engram.*Upgrade")


def test_an_older_schema_is_brought_up_by_migrations_or_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(folder / "config.json", lambda c: c.update(name=c.pop("model")))  # as an older Engram had it, say
    monkeypatch.setattr(runs, "SCHEMA", runs.SCHEMA + 1)
    refused(folder, "can no longer read")

    def renamed(config: dict[str, Any]) -> dict[str, Any]:
        return {**{k: v for k, v in config.items() if k != "name"}, "model": config["name"]}

    monkeypatch.setitem(runs.MIGRATIONS, runs.SCHEMA - 1, renamed)
    assert type(engram.load(folder)) is VAE


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "."])
def test_links_are_not_followed(folder: Path, name: str) -> None:
    path = folder / name if name != "." else folder
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")
    refused(folder, "link")


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("write", [pickle.dumps, lambda _: b"PK\x03\x04" + b"\0" * 64, lambda _: b""])
def test_weights_that_are_a_pickle_an_archive_or_empty_are_refused(folder: Path, write: Any) -> None:
    trace = folder.parent / "it-ran"
    (folder / "weights.safetensors").write_bytes(write(Evil(trace)))
    refused(folder, "damaged")
    assert not trace.exists()


def test_the_pickle_of_the_test_before_would_have_run(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Evil(tmp_path / "it-ran")))
    assert (tmp_path / "it-ran").exists()


def test_a_torch_pickle_is_refused(folder: Path) -> None:
    torch.save({"a": torch.zeros(3)}, folder / "weights.safetensors")
    refused(folder, "damaged")


@pytest.mark.parametrize("name", ["os:system", "os.system", "engram.models.vae.VAE", "__main__", "../vae", ""])
def test_a_class_or_module_named_in_a_file_is_only_an_unknown_name(folder: Path, name: str) -> None:
    change(folder / "config.json", lambda c: c.update(model=name))
    refused(folder, "unknown model")
    change(folder / "config.json", lambda c: c.update(model="vae"))
    change(folder / "kind.json", lambda c: c.update(kind=name))
    refused(folder, "unknown kind")


def test_loading_imports_nothing_that_a_file_names(folder: Path) -> None:
    change(folder / "config.json", lambda c: c.update(model="antigravity:fly", kind="this"))
    before = set(sys.modules)
    refused(folder, "unknown model")
    assert not {"antigravity", "this"} & (set(sys.modules) - before)


def test_a_giant_json_file_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LARGEST_JSON", 100)
    refused(folder, "more than any that Engram writes")


# --- writing ---


def test_an_existing_path_is_not_written_to_without_force(folder: Path, fitted: Any, tmp_path: Path) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    with pytest.raises(RunError, match="exists already"):
        fitted.save(folder)
    with pytest.raises(RunError, match="exists already"):
        model().fit(X, run=folder)
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="exists already"):
        fitted.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_an_existing_folder_is_refused_before_any_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Fit, "run", lambda *_: pytest.fail("training began"))
    with pytest.raises(RunError):
        model().fit(X, run=folder)


def test_force_replaces_a_run_folder_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    other = model(Autoencoder).fit(X)
    other.save(folder, force=True)
    assert type(engram.load(folder)) is Autoencoder
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("precious")
    (tmp_path / "notes.txt").write_text("precious")
    for name in ("photos", "notes.txt"):
        with pytest.raises(RunError, match="not a run folder"):
            other.save(tmp_path / name, force=True)
    assert (tmp_path / "photos" / "cat.png").read_text() == (tmp_path / "notes.txt").read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"run", "photos", "notes.txt"}


def test_an_empty_folder_and_missing_parents_are_fine(fitted: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "a" / "b" / "run"):
        fitted.save(path)
        assert type(engram.load(path)) is VAE


def failing(number: int) -> Callable[..., None]:
    """Stand in for a function that fails at its so-manieth call."""
    calls = iter(range(1000))

    def fail(*_: Any) -> None:
        if next(calls) == number:
            raise OSError(28, "No space left on device")

    return fail


@pytest.mark.parametrize("call", range(6))
def test_a_write_that_fails_leaves_nothing_behind(
    fitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """One call for each of the five files, one for the folder."""
    monkeypatch.setattr(os, "fsync", failing(call))
    with pytest.raises(RunError, match="No space left on device"):
        fitted.save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", range(6))
def test_a_forced_write_that_fails_keeps_the_old_run(
    folder: Path, fitted: Any, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr(os, "fsync", failing(call))
    with pytest.raises(RunError):
        model(Autoencoder).fit(X).save(folder, force=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["run"]


def test_a_forced_write_whose_last_rename_fails_keeps_the_old_run(
    folder: Path, fitted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    rename, calls = Path.rename, iter(range(100))

    def second_fails(self: Path, target: Path) -> Path:
        if next(calls) == 1:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr("engram.training.staging.swap", lambda *_: False)  # as where names cannot be swapped
    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(RunError):
        fitted.save(folder, force=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["run"]


def test_a_folder_that_cannot_be_written_is_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file"):
        model().fit(X, run=tmp_path / "file" / "run")


def test_a_fit_whose_note_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", failing(0))
    with pytest.raises(RunError):
        model().fit(X, run=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"device": "tpu"}, {"network": "conv"}, {"encoder": torch.nn.Linear(9, 9)}])
def test_a_fit_that_fails_before_its_first_step_leaves_its_folder_free(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        model(**wrong).fit(X, run=tmp_path / "run")
    model().fit(X, run=tmp_path / "run")
    assert type(engram.load(tmp_path / "run")) is VAE


def test_a_fit_on_rows_that_cannot_be_used_leaves_nothing_behind(tmp_path: Path) -> None:
    for rows in (X[:0], X * np.inf):
        with pytest.raises(DataError):
            model().fit(rows, run=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
