"""Checkpoints: the whole state of a fit at one moment, written so that a kill at any time leaves the last one whole.

A checkpoint is a folder ``checkpoint/step-N`` with ``state.safetensors``, ``state.json`` and, written last, ``manifest.json`` with their
SHA-256. It is made under another name, synced, and renamed; the two newest are kept. Resuming takes the newest whose manifest verifies.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from engram.errors import RunError
from engram.training.run import CHECKPOINTS, dumps, parsed_json, parsed_tensors, read_file, read_json, tensors_to_bytes
from engram.training.staging import SUFFIX, exchange, sync_folder, write_synced

EVERY = 30.0  # seconds between checkpoints
KEPT = 2
TENSORS, VALUES, MANIFEST = "state.safetensors", "state.json", "manifest.json"


class Restorable(Protocol):
    """A fit under way that can be put back to an earlier moment."""

    def restore(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        """Take back what a checkpoint holds."""


class Checkpoints:
    """The checkpoints of one run folder.

    Parameters
    ----------
    run : Path
        The run folder, which exists.
    every : float, optional
        Seconds between two checkpoints, 30 unless told; 0 writes one at every report.
    """

    def __init__(self, run: Path, every: float | None = None) -> None:
        self.folder = run / CHECKPOINTS
        self.every = EVERY if every is None else every
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether it is time for the next one."""
        return time.monotonic() - self._last >= self.every

    def save(self, step: int, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        """Write the state at a step and drop all but the newest two.

        Raises `RunError` where it cannot be written; the earlier ones are whole then.
        """
        made = self.folder / f"step-{step}{SUFFIX}"
        try:
            self.folder.mkdir(exist_ok=True)  # without its parent: a run folder that was removed is not made anew
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            files = {TENSORS: tensors_to_bytes(tensors), VALUES: dumps(told)}
            for name, content in files.items():
                write_synced(made / name, content)
            digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
            write_synced(made / MANIFEST, dumps(digests))
            sync_folder(made)
            exchange(made, self.folder / f"step-{step}")  # one of the same step stays until this one is in its place
            shutil.rmtree(made, ignore_errors=True)
            sync_folder(self.folder)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            raise RunError(self._not_written(error)) from None
        for old in self._steps()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        self._last = time.monotonic()

    def _not_written(self, error: OSError) -> str:
        run = str(self.folder.parent)
        if error.errno == errno.ENOENT and not self.folder.parent.is_dir():
            return f"{run!r} was removed while the fit was going on, so it cannot be written. Fit again."
        kept = "The last checkpoint is whole; resume (--resume) when that is mended." if self._steps() else "Fit again."
        return f"cannot write a checkpoint into {str(self.folder)!r}: {error.strerror}. {kept}"

    def _steps(self) -> list[Path]:
        """Return the finished checkpoints, the newest first."""
        found = [p for p in self.folder.glob("step-*") if p.name.removeprefix("step-").isdecimal()]
        return sorted(found, key=lambda p: -int(p.name.removeprefix("step-")))

    def latest(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return tensors and values of the newest checkpoint that is whole, or None."""
        if self.folder.is_symlink():
            raise RunError(f"{str(self.folder)!r} is a link; run folders with links are not read.")
        for path in self._steps():
            try:
                digests = read_json(path, MANIFEST)
                files = {name: read_file(path, name) for name in (TENSORS, VALUES)}
                if digests == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}:
                    return parsed_tensors(files[TENSORS], path / TENSORS), parsed_json(files[VALUES], path / VALUES)
            except RunError:
                continue
        return None

    def restore(self, fit: Restorable) -> bool:
        """Put a fit back to the newest checkpoint that is whole; return whether there is one.

        Raises `RunError` where it is whole and yet not one of this fit.
        """
        found = self.latest()
        if found is None:
            return False
        try:
            fit.restore(*found)
        except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            detail = str(error).partition("\n")[0]
            raise RunError(
                f"the checkpoint in {str(self.folder)!r} is not one of this fit ({detail}). Begin a new fit instead."
            ) from None
        return True

    def remove(self) -> None:
        """Remove all checkpoints: the fit is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)
