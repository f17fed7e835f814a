"""Files of rows: CSV, Parquet, .npy, a sheet of pictures; written at once or not at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engram.cli.console import console
from engram.errors import UsageError

TABLES = (".csv", ".parquet", ".npy")
PICTURES = (".npy", ".png")
PIECE = 1 << 20  # bytes copied at once
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


def target(
    output: str, suffixes: tuple[str, ...], *, force: bool, what: str, json: bool = False, resume: bool = False
) -> Target:
    """Check that ``output`` can be written, before any work is done; whether it may be replaced, ``resume`` finds out later."""
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
    if path.exists() and not (force or resume):
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
    with replaced(to.path) as path:
        _save(rows, path, to.suffix)


def _of_one_type(rows: Any) -> Any:
    """Return rows whose columns of several types (values of numbers and of categories, say) are texts."""
    texts = [name for name in rows if _as_texts(rows[name])]
    return rows.assign(**{str(n): rows[n].astype(object).map(str, na_action="ignore") for n in texts})


def _as_texts(series: Any) -> bool:
    """Whether cells are of several types, or categories that Parquet does not have, such as intervals."""
    import pandas as pd

    is_category = isinstance(series.dtype, pd.CategoricalDtype)
    if not (is_category or series.dtype == object):
        return False
    sorts = set(map(type, series.cat.categories if is_category else series.dropna()))
    return len(sorts) > 1 or bool(sorts & {pd.Interval, pd.Period, pd.Timedelta, tuple})


def _save(rows: Any, path: Path, suffix: str, *, names: bool = True) -> None:
    """Write rows to a file in the form that a suffix says, whatever the file is called; a CSV file with ``names`` or without."""
    save: dict[str, Callable[[Any, Path], None]] = {
        ".csv": lambda rows, path: frame(rows).to_csv(path, index=False, header=names),
        ".parquet": lambda rows, path: _of_one_type(frame(rows)).to_parquet(path, index=False),
        ".npy": _save_array,
        ".png": _save_sheet,
    }
    save[suffix](rows, path)


def save_part(rows: Any, path: Path, suffix: str, *, first: bool) -> None:
    """Write some of the rows of a file, and wait until they are on the disk."""
    _save(rows, path, suffix, names=first)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def join_parts(parts: list[Path], whole: Path, suffix: str) -> None:
    """Write the file that parts by `save_part` are parts of, one part after the other, and wait until it is on the disk."""
    if suffix == ".parquet":
        _join_parquet(parts, whole)
    else:
        with whole.open("wb") as file:
            if suffix == ".npy":
                _write_header(parts, file)
            for part in parts:
                with part.open("rb") as source:
                    if suffix == ".npy":
                        _read_header(source)
                    shutil.copyfileobj(source, file, PIECE)
    with whole.open("rb+") as file:
        os.fsync(file.fileno())


def _join_parquet(parts: list[Path], whole: Path) -> None:
    from pyarrow import parquet

    schema = _schema_of(parts)
    with parquet.ParquetWriter(whole, schema) as file:
        for part in parts:
            file.write_table(_typed(parquet.ParquetFile(part).read(), schema))


def _schema_of(parts: list[Path]) -> Any:
    """Return the types of all parts together; a column that is text in one part (see `_of_one_type`) is text in all.

    Nothing is taken from what pandas notes of the types. A part in which all cells of a column are missing says nothing of its type.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schemas = [parquet.read_schema(part).remove_metadata() for part in parts]
    texts = {name: one.field(name) for one in schemas for name in one.names if _is_text(one.field(name).type)}
    told = [pa.schema([texts.get(field.name, field) for field in one]) for one in schemas]
    return pa.unify_schemas(told, promote_options="permissive")


def _typed(rows: Any, schema: Any) -> Any:
    """Return a table with the types of a schema; what becomes text does so as Python would write it."""
    import pyarrow as pa

    for i, field in enumerate(schema):
        own = rows.field(i).type
        if _is_text(field.type) and not _is_text(own) and not pa.types.is_null(own):
            texts = [None if cell is None else str(cell) for cell in rows.column(i).to_pylist()]
            rows = rows.set_column(i, field, pa.array(texts, field.type))
    return rows.cast(schema)


def _is_text(type_: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], Any]:
    """Return shape and type of a .npy file by `save_part`, which is read up to its values."""
    import numpy as np

    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype


def _write_header(parts: list[Path], file: IO[bytes]) -> None:
    import numpy as np

    rows = 0
    for part in parts:
        with part.open("rb") as source:
            shape, dtype = _read_header(source)
        rows += shape[0]
    told = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (rows, *shape[1:])}
    np.lib.format.write_array_header_1_0(file, told)


def frame(rows: Any) -> Any:
    """Return rows as a DataFrame with names; columns of an array are called by their numbers."""
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        return rows.set_axis([str(name) for name in rows.columns], axis=1)
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
    with path.open("wb") as file:  # given a name, NumPy would add a suffix
        np.save(file, np.ascontiguousarray(rows), allow_pickle=False)


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
