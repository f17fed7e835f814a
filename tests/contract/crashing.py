"""A disk that fails from a step on, as when the plug is pulled or when it is full, and the fits that are tried on it."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import engram
from engram import Autoencoder
from engram.errors import RunError
from engram.training import lock, staging
from engram.training.run import UNFINISHED

X = np.random.default_rng(0).normal(size=(60, 4))
FILES = {"README.md", "config.json", "kind.json", "log.jsonl", "weights.safetensors"}


def model(**parameters: Any) -> Autoencoder:
    return Autoencoder(
        **{"code_size": 2, "hidden": (4,), "max_epochs": 20, "random_state": 0, "ema": 0.2, **parameters}
    )


def same(a: Any, b: Any) -> bool:
    pairs = zip(a.network_.state_dict().items(), b.network_.state_dict().items(), strict=True)
    return all(x == y and torch.equal(v, w) for (x, v), (y, w) in pairs) and a.loss_curve_ == b.loss_curve_


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


class PlugPulledError(BaseException):
    """The machine is off: no clean-up runs."""


class Disk:
    """Counts what changes the disk; from one such step on every one fails, and the write under way is torn."""

    def __init__(self, dies_at: int, error: Callable[[], BaseException] = PlugPulledError) -> None:
        self.dies_at, self.error, self.steps = dies_at, error, 0
        self.paths: dict[int, str] = {}  # open file -> path
        self.unsynced: set[str] = set()

    def step(self) -> None:
        self.steps += 1
        if self.steps > self.dies_at:
            raise self.error()

    def guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.step()
            if function.__name__ in ("rename", "replace", "swap"):
                source = str(args[0])
                early = [p for p in self.unsynced if p == source or p.startswith(source + os.sep)]
                assert not early, f"renamed before it was on disk: {early}"
            if function.__name__ == "fsync":
                self.unsynced.discard(self.paths.get(args[0], ""))
                return None  # a real one takes long, and no power cut follows
            return function(*args, **options)

        return call

    def open(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if not set(mode) & set("wax+"):
            return OPEN(file, mode, *args, **options)
        self.step()
        opened = OPEN(file, mode, *args, **options)
        self.paths[opened.fileno()] = str(file)
        self.unsynced.add(str(file))
        return TornFile(opened, self)


OPEN = io.open


class TornFile:
    """A file whose write is cut in half when the plug is pulled."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self.file, self.disk = file, disk

    def write(self, content: bytes) -> int:
        try:
            self.disk.step()
        except BaseException:
            self.file.write(content[: len(content) // 2])
            raise
        return int(self.file.write(content))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> TornFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


CHANGES = ("fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "ftruncate")


@contextmanager
def plugged(disk: Disk) -> Iterator[None]:
    """Run on a disk that counts; at the end the locks are gone, as those of a dead process are."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, disk.guarded(getattr(os, name)))
        patch.setattr(staging, "swap", disk.guarded(staging.swap))
        patch.setattr(io, "open", disk.open)
        try:
            yield
        finally:
            for number in lock._held.values():
                os.close(number)
            lock._held.clear()


def crash_everywhere(
    work: Callable[[Path], Any], before: Callable[[Path], Any], home: Path, every: int = 1
) -> Iterator[tuple[int, Path]]:
    """Do the work on a fresh copy of a folder once for every step that it makes, or every so many, and die at that step."""
    at, ended = 0, False
    while not ended:
        folder = home / str(at) / "run"
        folder.parent.mkdir()
        before(folder)
        with plugged(Disk(at)):
            try:
                work(folder)
                ended = True
            except PlugPulledError:
                pass
        yield at, folder
        shutil.rmtree(folder.parent)
        at += every


def finished(folder: Path, whole: Autoencoder) -> None:
    """Finish what a crash left, whatever that is, and check that it is as if there had been none."""
    try:
        loaded = engram.load(folder)
    except RunError:
        resume = (folder / UNFINISHED).exists()
        loaded = model().fit(X, run=folder, resume=resume)
        assert same(engram.load(folder), whole)
        assert names(folder) == FILES
        assert names(folder.parent) == {"run"}
    assert same(loaded, whole)
