"""Files of rows: CSV, Parquet, .npy, a sheet of pictures; written at once or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engram.cli.console import console
from engram.errors import UsageError

TABLES = (".csv", ".parquet", ".npy")
PICTURES = (".npy", ".png")
SHEET = 1024  # most pictures on a sheet
SIDE = 32  # pixels that a picture on a sheet has at least


@dataclass(frozen=True)
class Target:
    """Where rows go: a file of a known type, or standard output as CSV."""

    path: Path | None
    suffix: str

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return "standard output" if self.path is None else str(self.path)


def target(output: str, suffixes: tuple[str, ...], *, force: bool, what: str, json: bool = False) -> Target:
    """Check that ``output`` can be written, before any work is done."""
    if output == "-":
        if json:
            raise UsageError("-o - and --json both want standard output. Give -o FILE.")
        if ".csv" not in suffixes:
            raise UsageError(f"{what} cannot be written as CSV. Give -o FILE with {_listed(suffixes)}.")
        return Target(None, ".csv")
    path = Path(output)
    suffix = ".parquet" if path.suffix.lower() == ".pq" else path.suffix.lower()
    if suffix not in suffixes:
        raise UsageError(f"{output!r}: {what} can be written as {_listed(suffixes)}, not as {suffix or 'no suffix'!r}.")
    if path.is_dir():
        raise UsageError(f"{output!r} is a folder. Give the name of a file.")
    if path.exists() and not force:
        raise UsageError(f"{output!r} exists already. Choose another name, or replace it with --force.")
    parent = path.absolute().parent
    if not parent.is_dir():
        raise UsageError(f"there is no folder {str(parent)!r}. Make it, or choose another place.")
    if not os.access(parent, os.W_OK):
        raise UsageError(f"cannot write into {str(parent)!r}. Choose another folder, or change its permissions.")
    return Target(path, suffix)


def _listed(names: tuple[str, ...]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a name to write to beside ``path``, and move it there at the end; on an error leave nothing."""
    made = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        yield made
        made.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror or error}. Nothing was written.") from None
    finally:
        made.unlink(missing_ok=True)


def write(rows: Any, to: Target) -> None:
    """Write a DataFrame, an array of numbers or pictures in the form that the target's suffix says."""
    if to.path is None:
        frame(rows).to_csv(sys.stdout.buffer, index=False, mode="wb", encoding="utf-8")
        sys.stdout.flush()
        return
    save: dict[str, Callable[[Any, Path], None]] = {
        ".csv": lambda rows, path: frame(rows).to_csv(path, index=False),
        ".parquet": lambda rows, path: frame(rows).to_parquet(path, index=False),
        ".npy": _save_array,
        ".png": _save_sheet,
    }
    with replaced(to.path) as path:
        save[to.suffix](rows, path)


def frame(rows: Any) -> Any:
    """Return rows as a DataFrame with names; columns of an array are called by their numbers."""
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        return rows.rename(columns=str)
    return pd.DataFrame(rows).rename(columns=str)


def _save_array(rows: Any, path: Path) -> None:
    import numpy as np
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        for name in rows.columns:
            if not pd.api.types.is_numeric_dtype(rows[name].dtype):
                raise UsageError(
                    f"column {str(name)!r} holds no numbers, so .npy cannot take it. Write .csv or .parquet."
                )
        rows = rows.to_numpy(dtype=np.float64, na_value=np.nan)
    rows = np.asarray(rows)
    if rows.dtype == object:
        raise UsageError("these rows hold texts, so .npy cannot take them. Write .csv or .parquet.")
    np.save(path, rows, allow_pickle=False)


def _save_sheet(rows: Any, path: Path) -> None:
    if len(rows) > SHEET:
        console().note(f"the sheet shows the first {SHEET:,} of {len(rows):,} pictures; a .npy file holds them all")
    path.write_bytes(sheet(rows))


def sheet(pictures: Any) -> bytes:
    """Return pictures (rows, height, width[, channels]) beside each other as a PNG, the darkest value black."""
    import io

    import numpy as np
    from PIL import Image

    array = np.asarray(pictures)[:SHEET].astype(np.float64)
    low, high = array.min(), array.max()
    grey = np.uint8(255) * (array - low) / max(high - low, 1e-12)
    side = int(np.ceil(np.sqrt(len(grey))))
    scale = max(1, -(-SIDE // min(grey.shape[1:3])))
    grey = np.pad(grey.repeat(scale, 1).repeat(scale, 2), [(0, 0), (2, 2), (2, 2), *[(0, 0)] * (grey.ndim - 3)])
    grey = np.concatenate([grey, np.zeros((side * -(-len(grey) // side) - len(grey), *grey.shape[1:]))])
    lines = [np.concatenate(list(grey[at : at + side]), 1) for at in range(0, len(grey), side)]
    whole = np.concatenate(lines).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(whole[..., 0] if whole.ndim == 3 and whole.shape[2] == 1 else whole).save(file, "PNG")
    return file.getvalue()
