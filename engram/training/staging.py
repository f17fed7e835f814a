"""Files and folders that appear at once or not at all: written under another name, synced to disk, renamed."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engram.errors import RunError
from engram.training.lock import LOCK, acquire, release

SUFFIX = ".tmp"
MADE, OLD = "run", "old"  # names of folders inside a stage
YOUNG = 60.0  # seconds for which a stage that nobody has signed may be one that is just being made
HERE = -100  # AT_FDCWD: paths are relative to the working directory
SWAP = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until a folder's list of files is on disk."""
    if sys.platform == "win32":
        return  # where folders cannot be opened
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def put(path: Path, content: bytes) -> None:
    """Write a file, or replace it, at once or not at all."""
    made = path.with_name(f".{path.name}{SUFFIX}")
    try:
        write_synced(made, content)
        made.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            made.unlink()
        raise


def exchange(made: Path, path: Path) -> None:
    """Put ``made`` in the place of ``path``; what was there, if anything, is at ``made`` afterwards.

    In one step where the system can swap two names (Linux, macOS); elsewhere by renaming twice.
    """
    if not path.exists():
        made.rename(path)
        return
    if swap(made, path):
        return
    old = made.with_name(OLD)
    path.rename(old)
    try:
        made.rename(path)
    except OSError:
        old.rename(path)
        raise
    old.rename(made)


def swap(first: Path, second: Path) -> bool:
    """Exchange two names in one step; return False where the system or the file system cannot."""
    a, b = os.fsencode(first), os.fsencode(second)
    try:
        libc = ctypes.CDLL(None)
        if hasattr(libc, "renameat2"):
            return not libc.renameat2(HERE, a, HERE, b, SWAP)
        return hasattr(libc, "renamex_np") and not libc.renamex_np(a, b, SWAP)
    except (OSError, TypeError):  # Windows has no such library
        return False


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Give a folder to fill; at the end it takes the place of ``path``, and on an error nothing is changed there."""
    parent = path.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    stage = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=parent))
    try:
        acquire(stage)
        made = stage / MADE
        made.mkdir()
        yield made
        sync_folder(made)
        exchange(made, path)
        with contextlib.suppress(OSError):
            sync_folder(parent)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        release(stage)


def sweep(path: Path) -> None:
    """Remove the stages that killed processes left beside ``path``; what had been renamed away from there goes back."""
    for stage in path.absolute().parent.glob(f".{glob.escape(path.name)}.*{SUFFIX}"):
        with contextlib.suppress(RunError, OSError):  # its process removes it meanwhile, or still writes it
            if stage.is_symlink() or not stage.is_dir() or not {p.name for p in stage.iterdir()} <= {LOCK, MADE, OLD}:
                continue
            if _may_be_new(stage):
                continue
            acquire(stage)
            if (stage / OLD).exists() and not path.exists():
                (stage / OLD).rename(path)
            shutil.rmtree(stage, ignore_errors=True)
            release(stage)


def _may_be_new(stage: Path) -> bool:
    """Whether a process may just have made a stage and not yet locked it: it is young, and its lock is missing or not signed."""
    lock = stage / LOCK
    is_signed = lock.exists() and lock.stat().st_size > 0
    return not is_signed and time.time() - stage.stat().st_mtime < YOUNG
