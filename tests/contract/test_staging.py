"""Processes that save to the same path at the same time: what one is just making is no other's to remove."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engram.training import lock, staging
from engram.training.lock import LOCK
from engram.training.staging import OLD, staged, sweep


def stage_of(folder: Path) -> Path:
    (found,) = folder.glob(".run.*.tmp")
    return found


@pytest.mark.parametrize(("module", "name"), [(staging, "acquire"), (lock, "_take"), (staging.shutil, "rmtree")])
def test_a_stage_is_left_alone_while_it_is_made_locked_filled_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    true: Callable[..., Any] = getattr(module, name)
    swept: list[bool] = []

    def nosy(*given: Any, **options: Any) -> Any:
        with monkeypatch.context() as patch:  # as another process would, just before
            patch.setattr(module, name, true)
            sweep(tmp_path / "run")
            swept.append(stage_of(tmp_path).is_dir())
        return true(*given, **options)

    monkeypatch.setattr(module, name, nosy)
    for text in "ab":
        with staged(tmp_path / "run") as made:
            (made / "text").write_text(text)
    assert (tmp_path / "run" / "text").read_text() == "b"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    assert swept == [True] * 2


def test_a_stage_that_its_process_removes_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".run.1.tmp").mkdir()
    listed = Path.iterdir

    def gone(path: Path) -> Iterator[Path]:
        shutil.rmtree(path)
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", gone)
    sweep(tmp_path / "run")
    assert not (tmp_path / ".run.1.tmp").exists()


@pytest.mark.parametrize(("signed", "age", "left"), [(False, 0, True), (False, 3600, False), (True, 0, False)])
def test_what_a_dead_process_left_is_removed_and_what_may_be_being_made_is_not(
    tmp_path: Path, signed: bool, age: int, left: bool
) -> None:
    stage = tmp_path / ".run.1.tmp"
    (stage / OLD).mkdir(parents=True)
    (stage / LOCK).write_text('{"process": 1}' if signed else "")
    os.utime(stage, (stage.stat().st_mtime - age,) * 2)
    sweep(tmp_path / "run")
    assert stage.exists() == left
    assert (tmp_path / "run").exists() != left  # what had been renamed away is back
