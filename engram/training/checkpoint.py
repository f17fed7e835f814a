"""Checkpoints: the whole state of a fit at one moment, written so that a kill at any time leaves the last one whole.

A checkpoint is a folder ``checkpoint/step-N`` with ``state.safetensors``, ``state.json`` and, written last, ``manifest.json`` with their
SHA-256. It is made under another name, synced, and renamed; the two newest are kept. Resuming takes the newest whose manifest verifies.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

from torch import Tensor

from engram.errors import RunError
from engram.training.run import dumps, read_file, read_json, read_tensors, sync_folder, tensors_to_bytes, write_synced

EVERY = 30.0  # seconds between checkpoints
KEPT = 2


class Checkpoints:
    """The checkpoints of one run folder.

    Parameters
    ----------
    run : Path
        The run folder.
    every : float
        Seconds between two checkpoints; 0 writes one at every report.
    """

    def __init__(self, run: Path, every: float = EVERY) -> None:
        self.folder = run / "checkpoint"
        self.every = every
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether it is time for the next one."""
        return time.monotonic() - self._last >= self.every

    def save(self, step: int, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        """Write the state at a step and drop all but the newest two."""
        made, path = self.folder / f"step-{step}.tmp", self.folder / f"step-{step}"
        try:
            for old in (made, path):
                shutil.rmtree(old, ignore_errors=True)
            made.mkdir(parents=True)
            files = {"state.safetensors": tensors_to_bytes(tensors), "state.json": dumps(told)}
            for name, content in files.items():
                write_synced(made / name, content)
            digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
            write_synced(made / "manifest.json", dumps(digests))
            sync_folder(made)
            made.rename(path)
            sync_folder(self.folder)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            raise RunError(
                f"cannot write a checkpoint into {str(self.folder)!r}: {error.strerror}. Earlier ones are whole."
            ) from None
        for old in self._steps()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        self._last = time.monotonic()

    def _steps(self) -> list[Path]:
        """Return the finished checkpoints, the newest first."""
        found = [p for p in self.folder.glob("step-*") if p.name.removeprefix("step-").isdigit()]
        return sorted(found, key=lambda p: -int(p.name.removeprefix("step-")))

    def latest(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return tensors and values of the newest checkpoint that is whole, or None."""
        for path in self._steps():
            try:
                digests = read_json(path, "manifest.json")
                if all(hashlib.sha256(read_file(path, name)).hexdigest() == digest for name, digest in digests.items()):
                    return read_tensors(path, "state.safetensors"), json.loads(read_file(path, "state.json"))
            except (RunError, ValueError):
                continue
        return None

    def remove(self) -> None:
        """Remove all checkpoints: the fit is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)
