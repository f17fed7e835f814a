"""Where rows come from: files, folders, standard input and the sets that scikit-learn ships."""

from __future__ import annotations

import io
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engram.data.arrays import npy, npz
from engram.data.cells import is_plain
from engram.data.codes import holds_codes, with_codes
from engram.data.columns import MARKED
from engram.data.csv_lines import separator_of, short_rows, understood, unpacked
from engram.data.picture_wishes import SUFFIXES, Wishes, wishes
from engram.data.stream import streamed
from engram.errors import DataError, UsageError, nearest, tell

BUNDLED = ("breast-cancer", "diabetes", "digits", "wine")
PICTURES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
TEXTS = (".txt", ".text", ".md")  # files of a folder of documents
HEAD = 1 << 16  # bytes of a text that are looked at before it is parsed
LOOKED_AT = 200  # rows that tell whether the line above them is a header


@dataclass
class Source:
    """Rows as they were read, and labels where the source has them.

    Parameters
    ----------
    name : str
        What to call it in messages.
    rows : DataFrame, array or RowStream
        The rows.
    y : array or None
        A label per row; of pictures the sub-folder.
    names : list of str or None
        Of pictures and texts from files: the file of each row.
    notes : tuple of str
        What was left out or changed by reading, with how many rows.
    skipped : dict
        Files that could not be read, and why.
    header : bool or None
        Of a CSV file, whether its first line was read as the names of the columns.
    """

    name: str
    rows: Any
    y: Any = None
    names: list[str] | None = None
    notes: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    header: bool | None = None


def bundled(name: str) -> Source:
    """Return one of the sets that ship with scikit-learn: digits as pictures (rows, 8, 8) in 0 to 16, the others as DataFrames."""
    from sklearn import datasets

    if name == "digits":
        digits = datasets.load_digits()
        return Source(name, digits.images, digits.target)
    loaded = getattr(datasets, f"load_{name.replace('-', '_')}")(as_frame=True)
    return Source(name, loaded.data, loaded.target)


def is_source(raw: Any) -> bool:
    """Whether data are not rows but say where rows are: a path, or a list of picture files."""
    if isinstance(raw, str | Path):
        return True
    names = raw if isinstance(raw, list | tuple) else []
    return bool(names) and all(
        isinstance(name, Path) or (isinstance(name, str) and name.lower().endswith(PICTURES)) for name in names
    )


def read(
    source: str | Path | list[Any] | tuple[Any, ...], *, pictures: Wishes | None = None, header: bool | None = None
) -> Source:
    """Read a CSV or Parquet file, .npy or .npz, standard input (``-``, CSV), a bundled set, or pictures: a folder, a .zip, a list of files.

    ``pictures`` says how pictures are made equal, ``header`` whether the first line of a CSV file names its columns; without, that is found
    out. Raises `DataError` for what cannot be read and `UsageError` for what does not exist.
    """
    if isinstance(source, list | tuple):
        return _pictures(list(source), pictures)
    text = str(source)
    if text in BUNDLED and not Path(text).exists():
        return bundled(text)
    if text == "-":
        return _csv("standard input", _standard_input(), header)
    path = Path(source)
    try:
        exists = path.exists()
        is_folder, size = exists and path.is_dir(), path.stat().st_size if exists else 0
    except OSError as error:
        raise DataError(f"{text!r} cannot be read: {error.strerror}.") from None
    if not exists:
        told = f"there is no file {text[:80]!r}, and no bundled set of that name. {nearest(text, BUNDLED)}"
        raise UsageError(told + " A text that is no file is given in a list of texts." * (" " in text.strip()))
    if is_folder or path.suffix.lower() in (".zip", *PICTURES):
        return _pictures(path, pictures)
    if size == 0 and path.is_file():
        raise DataError(f"{text!r} is empty. Give a file with at least a header and one row.")
    return _file(path, header)


def _pictures(source: Path | list[Any], pictures: Wishes | None) -> Source:
    from engram.data.picture_files import read_pictures

    return read_pictures(source, wishes() if pictures is None else pictures)


def _standard_input() -> bytes:
    buffer = getattr(sys.stdin, "buffer", None)
    return sys.stdin.read().encode() if buffer is None else buffer.read()


def _file(path: Path, header: bool | None) -> Source:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv", ".txt"):
        return _csv(path.name, path, header)
    if suffix == ".gz" and path.with_suffix("").suffix.lower() in (".csv", ".tsv", ".txt"):
        return _csv(path.name, _parsed(path.name, lambda: unpacked(path)), header)
    if suffix in (".parquet", ".pq"):
        stream = streamed(path)
        return Source(path.name, _parsed(path.name, lambda: pd.read_parquet(path)) if stream is None else stream)
    if suffix == ".npy":
        return Source(path.name, _parsed(path.name, lambda: npy(path)))
    if suffix == ".npz":
        rows, labels = _parsed(path.name, lambda: npz(path))
        return Source(path.name, rows, labels)
    raise DataError(
        f"{path.name!r} is of an unknown type {suffix!r}. Give .csv, .tsv, .csv.gz, .parquet, .npy, .npz, or pictures."
    )


def _csv(name: str, content: Path | bytes, header: bool | None) -> Source:
    """Read a CSV file with commas, semicolons, tabs or bars between cells, whichever its first line has most of."""
    head = content[:HEAD] if isinstance(content, bytes) else _parsed(name, lambda: _head(content))
    if b"\0" in head:
        raise DataError(f"{name!r} is no text in UTF-8: it holds zero bytes. Save it as UTF-8 CSV, or as Parquet.")
    separator, before = separator_of(head)
    settings: dict[str, Any] = {"sep": separator, "skipinitialspace": separator != "\t", "skiprows": before}
    if separator != "," and re.search(rb"[;\t|]\s*-?\d+,\d+\s*([;\t|\r\n]|$)", b";" + head.replace(b"\n", b"\n;")):
        settings["decimal"] = ","  # 1,5 is a number where cells are not parted by commas

    def opened() -> Any:
        return io.BytesIO(content) if isinstance(content, bytes) else content

    names = _parsed(name, lambda: pd.read_csv(opened(), header=None, nrows=1, dtype=str, **settings)).loc[0]
    if header is None:
        header = not _lacks_header(names, opened, settings)
        if not header:
            _note(
                f"{name}: the first line looks like the rows below it, so the columns are called column0, column1, ... "
                "(--header or header=True if it names them)"
            )
    if not header:
        settings |= {"header": None, "names": [f"column{i}" for i in range(len(names))]}
    twice = names[names.notna() & names.duplicated()]
    if len(twice) and "names" not in settings:
        raise DataError(f"{name!r}: two columns are called {twice.iloc[0]!r}; give every column its own name.")

    def parse(**more: Any) -> Any:
        return pd.read_csv(opened(), index_col=False, low_memory=False, **settings, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # cells beyond the header's would be cut off
        frame: pd.DataFrame = _parsed(name, parse, understood(head, separator, len(names)))
    if frame.shape[1] > 1 and (gone := int(frame.iloc[:, -1].isna().sum())):
        _tell_short(name, min(gone, short_rows(content, separator, frame.shape[1], before)))
    frame = _parsed(name, lambda: with_codes(frame, content, separator, parse))
    return Source(name, _without_marks(name, _looked_at(name, frame)), header=header)


def _tell_short(name: str, count: int) -> None:
    if count:
        _note(
            f"{name}: {count} row{'s have' if count > 1 else ' has'} fewer cells than the header; those at the end are missing"
        )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _lacks_header(names: pd.Series[Any], opened: Callable[[], Any], settings: dict[str, Any]) -> bool:
    """Whether the first line is a row; a file whose first rows cannot be parsed has its error told later."""
    from engram.data.headers import lacks_header

    try:
        settings = settings | {"skiprows": settings["skiprows"] + 1}
        rows = pd.read_csv(opened(), header=None, nrows=LOOKED_AT, dtype=str, **settings)
    except (ValueError, pd.errors.EmptyDataError):  # parser errors and wrong encodings are ValueErrors too
        return False
    return lacks_header(names, rows)


def _without_marks(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Turn marks for missing such as "?" into missing cells, and columns that hold nothing else but numbers, none a code, into numbers."""
    from engram.data.texts import SURE_MARKS

    count = 0
    for column in frame.columns[[not is_plain(dtype) for dtype in frame.dtypes]]:
        cells = frame[column]
        marks = {c for c in cells.unique() if isinstance(c, str) and len(c) < 16 and c.strip().lower() in SURE_MARKS}
        if marks:
            marked = cells.isin(marks)
            count += int(marked.sum())
            rest = cells.mask(marked)
            numbers = pd.to_numeric(rest, errors="coerce")
            whole = numbers.notna().sum() == rest.notna().sum()
            frame[column] = numbers if whole and not holds_codes(rest.dropna()) else rest
    if count:
        _note(f"{name}: {MARKED} ({count} cell{'s' * (count > 1)})")
    return frame


def _note(told: str) -> None:
    from engram.data.kind import DataWarning

    tell(told, DataWarning)


def _looked_at(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out the row numbers that pandas writes."""
    first = frame.columns[0]
    counts = first == "Unnamed: 0" and frame.shape[1] > 1 and len(frame)
    if not counts or not np.array_equal(frame[first], np.arange(len(frame))):
        return frame
    _note(f"{name}: the first column has no name and counts the rows; it was left out")
    return frame.drop(columns=first)


def _parsed(name: str, parse: Any, seen: str = "") -> Any:
    try:
        return parse()
    except pd.errors.EmptyDataError:
        raise DataError(f"{name!r} has no rows. Give a file with a header and at least one row.") from None
    except UnicodeDecodeError:
        raise DataError(f"{name!r} is not text in UTF-8. Save it as UTF-8 CSV, or as Parquet.") from None
    except (MemoryError, DataError):
        raise
    except pd.errors.ParserWarning:
        raise DataError(
            f"{name!r} has rows with more cells than its header has names{seen}. Correct the header, or take lines that are none out."
        ) from None
    except Exception as error:
        detail = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{name!r} cannot be read: {detail}{seen}. Is it damaged, or another type of file than its name says?"
        ) from None
