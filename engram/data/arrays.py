"""NumPy files, .npy and .npz: what their headers claim is compared with what there is before any memory is taken."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from engram.data.picture_places import MOST_BYTES, MOST_RATIO
from engram.errors import DataError

MAPPED_FROM = 64 << 20  # bytes of a .npy file from which on it is read as it is needed
LABELS = ("y", "Y", "label", "labels")  # what labels beside the rows may be called
READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def npy(path: Path) -> Any:
    """Return the array of a .npy file, a large one mapped into memory.

    Raises `ValueError` where its header claims more than the file holds.
    """
    with path.open("rb") as file:
        _check_header(file, path.stat().st_size)
        size = path.stat().st_size
    mode: Any = "r" if size > MAPPED_FROM else None
    return _sound(np.load(path, mmap_mode=mode, allow_pickle=False))


def npz(path: Path) -> tuple[Any, Any]:
    """Return (rows, labels or None) of a .npz file: the array X, else the first that is no labels, and y where there is one.

    Raises `DataError` where there is no array, or one that unpacks to far more than it takes in the file, and `ValueError` where
    a header claims more than its member holds.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # NumPy leaves a damaged archive open
        names = list(arrays)
        if not names:
            raise DataError(f"{path.name!r} holds no arrays. Save one as X, and labels as y if there are any.")
        labels = next((name for name in LABELS if name in names), None)
        others = [name for name in names if name not in LABELS] or names
        rows = next((name for name in ("X", "x") if name in names), others[0])
        return _member(path, arrays, rows), None if labels is None else _member(path, arrays, labels)


def check_members(path: Path, arrays: Any) -> None:
    """Raise `DataError` or `ValueError`, as `npz` does, where any array of an archive is larger than it should be."""
    for name in arrays.files:
        with _opened(path, arrays, name):
            pass


def _member(path: Path, arrays: Any, name: str) -> Any:
    """Return one array of an archive."""
    with _opened(path, arrays, name) as file:
        return _sound(np.lib.format.read_array(file, allow_pickle=False))


@contextmanager
def _opened(path: Path, arrays: Any, name: str) -> Iterator[Any]:
    """Open one array of an archive; a small file that unpacks to gigabytes is refused by its table of contents."""
    info = arrays.zip.getinfo(name if name in arrays.zip.NameToInfo else f"{name}.npy")
    packed = min(info.compress_size, path.stat().st_size)  # whatever the table of contents says
    if info.file_size > MOST_BYTES and info.file_size > MOST_RATIO * packed:
        raise DataError(
            f"{path.name!r}: the array {name!r} takes {packed:,} bytes and unpacks to {info.file_size:,}, more than "
            f"{MOST_RATIO} times as many, so it is not read. If it is right, save it without compression: numpy.savez."
        )
    with arrays.zip.open(info) as file:
        _check_header(file, info.file_size)
        file.seek(0)
        yield file


def _check_header(file: IO[bytes], size: int) -> None:
    """Raise `ValueError` where the header of an array claims more than the ``size`` bytes that the file holds."""
    version = np.lib.format.read_magic(file)
    if version not in READERS:
        raise ValueError(f"its version {version} is only of records, or of a NumPy to come")
    shape, _, dtype = READERS[version](file)
    if math.prod(shape) * dtype.itemsize > size - file.tell() and not dtype.hasobject:
        raise ValueError(f"it is shorter than an array of shape {shape}")


def _sound(array: Any) -> Any:
    """Return an array as it was read, unless its cells are records or its texts hold numbers that are no characters."""
    if array.dtype.kind == "V":
        raise ValueError(f"its cells are records ({array.dtype}), not numbers or texts")
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        codes = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).view(np.uint32)
        if (
            codes.max() > sys.maxunicode or ((codes >= 0xD800) & (codes <= 0xDFFF)).any()
        ):  # the latter are halves of one
            raise ValueError("its texts hold what is no character")
    return array
