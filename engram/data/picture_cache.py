"""Decoded pictures on the disk: written once, mapped into memory by whoever needs them, safe to share and to kill.

An entry is an array (``KEY.npy``) and what is to be said of it (``KEY.json``). Both are written under other names and renamed
when they are whole, the array last, so that an entry is there completely or not at all, whatever happens to the writer. Two
processes that decode the same pictures write the same bytes. Nothing here is trusted when it is read: no pickle, types and lengths
are checked, and what does not fit is decoded anew.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from engram.data.picture_wishes import DEPTHS

VARIABLE = "ENGRAM_CACHE"
OFF = ("off", "0", "none")
LIMIT = 10 << 30  # bytes of all entries; the ones that were not used for longest are removed above
STALE = 86_400  # seconds after which a half-written file has no writer any more
HEADER = 128  # bytes before the values: a .npy header of at most four dimensions, filled up
BLOCK = 1 << 24  # bytes copied at once
Pixels = np.ndarray[Any, np.dtype[Any]]


class Facts(BaseModel):
    """What is to be said of decoded pictures: (number, reason) of files that could not be read, and counted notes."""

    model_config = ConfigDict(extra="forbid")

    skipped: list[tuple[int, str]]
    notes: dict[str, int]


def cache_folder() -> Path | None:
    """Return the user's folder of decoded pictures: $ENGRAM_CACHE ("off" for none), else below the user's cache folder."""
    text = os.environ.get(VARIABLE, "")
    if text.lower() in OFF:
        return None
    if text:
        return Path(text) / "pictures"
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # nobody's home
        return None
    return base / "engram" / "pictures"


def load(folder: Path, key: str) -> tuple[Pixels, Facts] | None:
    """Return an entry, its array mapped into memory, or None where there is none that is whole."""
    path = folder / f"{key}.npy"
    try:
        facts = Facts.model_validate_json((folder / f"{key}.json").read_bytes())
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, ValidationError, EOFError):
        return None
    if array.ndim not in (3, 4) or str(array.dtype) not in DEPTHS or not array.flags.c_contiguous or 0 in array.shape:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # the newest entry is removed last
    return array, facts


class Entry:
    """An entry that is being written: `append` pictures of one shape and type, then `keep` it; closing it without leaves nothing."""

    def __init__(self, folder: Path, key: str, expected: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < expected + BLOCK:
            raise OSError("no room for the decoded pictures")
        self.folder, self.key = folder, key
        self.rows, self.dtype = 0, np.dtype(np.uint8)
        self.shape: tuple[int, ...] = ()
        self._made: list[Path] = []
        self._file = self._new()
        self._file.write(b"\0" * HEADER)

    def _new(self) -> IO[bytes]:
        number, name = tempfile.mkstemp(prefix=f".{self.key}.", suffix=".tmp", dir=self.folder)
        self._made.append(Path(name))
        return os.fdopen(number, "w+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        for path in self._made:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def append(self, picture: Pixels) -> None:
        """Add one picture, (height, width, channels)."""
        self.shape, self.dtype = picture.shape, picture.dtype
        self._file.write(picture.tobytes())
        self.rows += 1

    def keep(self, channels: int, facts: Facts) -> Pixels:
        """Make it an entry with the first so many channels and return its array, mapped into memory."""
        if channels < self.shape[2]:
            self._narrow(channels)
        shape = (self.rows, *self.shape[:2]) + ((channels,) if channels > 1 else ())
        self._file.seek(0)
        self._file.write(_header(shape, self.dtype))
        _finish(self._file)
        self._file.close()
        self._rename(self._told(facts), f"{self.key}.json")
        target = self._rename(self._made[-1], f"{self.key}.npy")
        trim(self.folder, kept=target)
        return np.load(target, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    def _narrow(self, channels: int) -> None:
        """Copy to another file with fewer channels."""
        old, self._file = self._file, self._new()
        self._file.write(b"\0" * HEADER)
        old.seek(HEADER)
        with old:
            pixel = self.shape[2] * self.dtype.itemsize
            while block := old.read(BLOCK // pixel * pixel):
                values = np.frombuffer(block, self.dtype).reshape(-1, self.shape[2])
                self._file.write(values[:, :channels].tobytes())

    def _told(self, facts: Facts) -> Path:
        with self._new() as file:
            file.write(facts.model_dump_json().encode())
            _finish(file)
        return self._made.pop()

    def _rename(self, path: Path, name: str) -> Path:
        path.replace(self.folder / name)
        return self.folder / name


def _finish(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the header of a .npy file, filled up to `HEADER` bytes."""
    words = repr({"descr": dtype.newbyteorder("<").str, "fortran_order": False, "shape": shape}).encode()
    start = b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little")
    return start + words.ljust(HEADER - 11) + b"\n"


def trim(folder: Path, *, kept: Path, limit: int | None = None) -> None:
    """Remove what was not used for longest until the rest is within the limit, and what killed writers left."""
    limit = LIMIT if limit is None else limit
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            state = path.stat()
            if path.suffix == ".tmp" and time.time() - state.st_mtime > STALE:
                path.unlink()
            elif path.suffix == ".npy":
                found.append((path != kept, -state.st_mtime, state.st_size, path))
    total = 0
    for *_, size, path in sorted(found):
        total += size
        if total > limit and path != kept:
            for one in (path, path.with_suffix(".json")):
                with contextlib.suppress(OSError):
                    one.unlink()


class InMemory:
    """The same without a disk: pictures in one array of known length."""

    def __init__(self, rows: int) -> None:
        self._most, self.rows = rows, 0
        self._array: Pixels = np.empty(0, np.uint8)

    def append(self, picture: Pixels) -> None:
        """Add one picture."""
        if self.rows == 0:
            self._array = np.empty((self._most, *picture.shape), picture.dtype)
        self._array[self.rows] = picture
        self.rows += 1

    def keep(self, channels: int, facts: Facts) -> Pixels:
        """Return the array with the first so many channels."""
        found = self._array[: self.rows, :, :, :channels]
        return found[:, :, :, 0] if channels == 1 else np.ascontiguousarray(found)
