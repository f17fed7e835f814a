"""Where rows come from: files, folders, standard input and the sets that scikit-learn ships."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.errors import DataError, UsageError, nearest

BUNDLED = ("breast-cancer", "diabetes", "digits", "wine")


@dataclass
class Source:
    """Rows as they were read, and labels where the source has them."""

    name: str
    rows: Any
    y: Any = None


def bundled(name: str) -> Source:
    """Return one of the sets that ship with scikit-learn: digits as pictures (rows, 8, 8) in 0 to 16, the others as DataFrames."""
    from sklearn import datasets

    if name == "digits":
        digits = datasets.load_digits()
        return Source(name, digits.images, digits.target)
    loaded = getattr(datasets, f"load_{name.replace('-', '_')}")(as_frame=True)
    return Source(name, loaded.data, loaded.target)


def read(source: str | Path) -> Source:
    """Read a CSV or Parquet file, .npy or .npz, standard input (``-``, CSV) or a bundled set.

    Raises `DataError` for what cannot be read and `UsageError` for what does not exist.
    """
    text = str(source)
    if text in BUNDLED and not Path(text).exists():
        return bundled(text)
    if text == "-":
        return Source("standard input", _parsed("standard input", lambda: pd.read_csv(sys.stdin)))
    path = Path(source)
    if not path.exists():
        raise UsageError(f"there is no file {text!r}, and no bundled set of that name. {nearest(text, BUNDLED)}")
    if path.is_dir():
        raise DataError(f"{text!r} is a folder; folders of pictures cannot be read yet. Give a CSV, Parquet, .npy or .npz file.")
    if path.stat().st_size == 0:
        raise DataError(f"{text!r} is empty. Give a file with at least a header and one row.")
    return _file(path)


def _file(path: Path) -> Source:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".txt"):
        separator = "\t" if suffix == ".tsv" else ","
        return Source(path.name, _parsed(path.name, lambda: pd.read_csv(path, sep=separator, skipinitialspace=True)))
    if suffix in (".parquet", ".pq"):
        return Source(path.name, _parsed(path.name, lambda: pd.read_parquet(path)))
    if suffix == ".npy":
        return Source(path.name, _parsed(path.name, lambda: np.load(path, allow_pickle=False)))
    if suffix == ".npz":
        return _parsed(path.name, lambda: _npz(path))  # type: ignore[no-any-return]
    raise DataError(f"{path.name!r} is of an unknown type {suffix!r}. Give .csv, .tsv, .parquet, .npy or .npz.")


def _npz(path: Path) -> Source:
    with np.load(path, allow_pickle=False) as arrays:
        names = list(arrays)
        key = "X" if "X" in names else "x" if "x" in names else names[0]
        labels = next((arrays[n] for n in ("y", "Y", "label", "labels") if n in names), None)
        return Source(path.name, arrays[key], labels)


def _parsed(name: str, parse: Any) -> Any:
    try:
        return parse()
    except pd.errors.EmptyDataError:
        raise DataError(f"{name!r} has no rows. Give a file with a header and at least one row.") from None
    except UnicodeDecodeError:
        raise DataError(f"{name!r} is not text in UTF-8. Save it as UTF-8 CSV, or as Parquet.") from None
    except MemoryError:
        raise
    except Exception as error:
        detail = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(f"{name!r} cannot be read: {detail}. Is it damaged, or another type of file than its name says?") from None
