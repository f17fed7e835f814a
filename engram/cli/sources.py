"""SOURCE as the commands take it: rows and labels apart, names of columns checked, rows held out."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from engram.errors import DataError, UsageError, nearest

FEWEST = 20  # rows; with fewer, no test part is held out
TEST_SHARE = 0.2
SPLIT = 0  # seed of the part that is held out: the same one whatever the model's seed, so that fits can be compared
TEST_ROWS = 10_000  # most rows of a test part
TEST_VALUES = 1 << 24  # ... and most values, which baselines take in as float64
LABELS = ("label", "labels", "target", "y")  # what --label may call labels that come beside the rows


@dataclass(frozen=True)
class Given:
    """What was read from a SOURCE.

    Parameters
    ----------
    name : str
        What to call it in messages.
    rows : array or DataFrame
        The rows without labels.
    y : array or None
        A label per row.
    label : str or None
        The labels' name.
    names : list of str or None
        The file of each picture or text.
    kind : Images, Counts, Table or None
        How picture files were made equal, documents or a CSV file were read, and what was said of them.
    """

    name: str
    rows: Any
    y: Any = None
    label: str | None = None
    names: list[str] | None = None
    kind: Any = None

    @property
    def data(self) -> Any:
        """The rows as a fit takes them: of files with the way they were read, which the model remembers."""
        return self.rows if self.kind is None else self.kind.around(self.rows)

    @property
    def says_anomalies(self) -> bool:
        """Whether labels, where there are some, say which rows are anomalies: folders of pictures are classes, unless named as labels."""
        return self.label is not None or self.names is None

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    def piece(self, start: int, stop: int) -> Given:
        """Return the rows from ``start`` to ``stop`` of a stream, with their labels."""
        rows, names = self.rows[start:stop], self.names
        y = None if self.y is None else self.y[start:stop]
        if y is None and self.label is not None:
            y = self.rows.typed(rows, self.label)
        return replace(self, rows=rows, y=y, names=None if names is None else names[start:stop])

    def take(self, index: Any) -> Given:
        """Return the rows with these numbers; a DataFrame's keep their row numbers for messages."""
        rows = self.rows.iloc[index] if hasattr(self.rows, "iloc") else self.rows[index]
        y = None if self.y is None else self.y[index]
        names = None if self.names is None else [self.names[i] for i in index]
        return replace(self, rows=rows, y=y, names=names)


def reading(model: Any, columns: tuple[str, ...] = (), drop: tuple[str, ...] = ()) -> Any:
    """Return the unfitted kind that reads a model's source, where that is never found out from its looks; None for others.

    Where a row is gathered from several lines, such as a user's events, ``columns``, NAME=ROLE, and ``drop`` say what its columns are.
    """
    from engram.data.kind import NAMED, kind_class

    if model.kind not in NAMED:
        return None
    cls: Any = kind_class(model.kind)
    if not cls.gathers:
        return cls()
    wishes = dict(model.columns or {})
    for text in columns:
        name, equals, role = text.rpartition("=")
        if not equals or not name:
            raise UsageError(f"--column {text!r} is not NAME=ROLE, as in --column player=user.")
        wishes[name] = role
    return cls().with_wishes(columns=wishes | dict.fromkeys(drop, "drop") or None)


def opened(
    source: str,
    *,
    label: str | None = None,
    keep: bool = False,
    kind: Any = None,
    size: tuple[int, int] | None = None,
    resize: str | None = None,
    header: bool | None = None,
) -> Given:
    """Read a SOURCE and take the labels out of its rows; ``keep`` leaves them in, for a model that knows its columns.

    Picture files are read as a fitted ``kind`` wants them, or brought to ``size`` by ``resize``; the first line of a CSV file is read as
    ``header`` says, else as at fit.
    """
    from engram.data.counts import Counts
    from engram.data.images import Images
    from engram.data.picture_stream import streamed_pictures
    from engram.data.table import Table

    kind = Images(size=size, resize=resize) if kind is None else copy(kind)
    kind.header = kind.header if header is None else header
    found = kind.read(source)
    if header is not None and found.header is None:
        raise UsageError(f"--header and --no-header are for CSV files, and {found.name!r} is of another type.")
    if size is not None and (found.names is None or not isinstance(kind, Images)):
        raise UsageError(f"--size and --resize are for picture files, and {found.name!r} is of another type.")
    if not isinstance(kind, Counts) and (found.names is None or not isinstance(kind, Images)):
        kind = None if found.header is None else Table(header=found.header)
    kind = None if kind is None else kind.around(None, found.notes)
    rows, y = streamed_pictures(found.rows), found.y
    shape = getattr(rows, "shape", ())
    if not shape:
        raise DataError(f"{found.name!r} holds one value, no rows. Give an array of two, three or four dimensions.")
    if shape[0] == 0:
        raise DataError(f"{found.name!r} has no rows. Give a file with at least one.")
    if label is not None:
        rest, y = _without_label(found.name, rows, y, label)
        rows = rows if keep and hasattr(rows, "columns") else rest
        if rows.shape[-1] == 0:
            raise UsageError(f"--label {label!r} is the only column of {found.name!r}: nothing is left to learn from.")
    return Given(found.name, rows, None if y is None else _as_array(y), label, found.names, kind)


def _without_label(name: str, rows: Any, y: Any, label: str) -> tuple[Any, Any]:
    if hasattr(rows, "columns"):
        by_text = {str(column): column for column in rows.columns}
        if label in by_text:  # of a stream they are read with the rows that they belong to
            rest, column = rows.drop(columns=by_text[label]), by_text[label]
            return rest, None if hasattr(rows, "only") else rows[column]
        if y is not None and label in LABELS:
            return rows, y
        raise UsageError(f"--label {label!r}: {name!r} has no such column. {nearest(label, by_text)}")
    if y is not None and label in LABELS:
        return rows, y
    if len(rows.shape) == 2 and label.isdecimal() and int(label) < rows.shape[1] > 1:
        import numpy as np

        return np.delete(rows, int(label), axis=1), rows[:, int(label)]
    columns = f"a column number from 0 to {rows.shape[1] - 1}" if len(rows.shape) == 2 else "a table, or a .npz with y"
    raise UsageError(f"--label {label!r}: {name!r} is an array without names. Give {columns}.")


def _stream_parts(given: Given, n_test: int, seed: int) -> tuple[Given, Given]:
    """Return what stays of a stream, and some of its rows in memory, from a bounded number of its row groups."""
    numbers, rows = given.rows.sample(n_test, seed + 1)  # 0 is the sample that a fit looks at
    y = None if given.y is None else given.y[numbers]
    if y is None and given.label is not None:
        y = _as_array(given.rows.only(given.label).take(numbers)[given.label])
    names = None if given.names is None else [given.names[i] for i in numbers]
    rest = replace(given, rows=given.rows.without(numbers), y=None, names=None)
    return rest, replace(given, rows=rows, y=y, names=names)


def _as_array(y: Any) -> Any:
    """Return labels as an array; texts as objects, so that they compare as they stand in the file."""
    import numpy as np

    if not hasattr(y, "to_numpy"):
        return np.asarray(y)
    numeric = getattr(y.dtype, "kind", "O") in "iufb" and not hasattr(y.dtype, "na_value")
    return y.to_numpy() if numeric else y.to_numpy(dtype=object)


def types_of(given: Given, columns: tuple[str, ...], drop: tuple[str, ...]) -> dict[str, str]:
    """Read --column NAME=TYPE and --drop NAME; check that the columns and types exist."""
    from engram.data.columns import TYPES
    from engram.data.distributions import OF_COLUMNS

    wishes: dict[str, str] = {}
    for text in columns:
        name, equals, kind = text.rpartition("=")
        if not equals or not name:
            raise UsageError(f"--column {text!r} is not NAME=TYPE, as in --column zip=category.")
        if kind not in (*TYPES, *OF_COLUMNS):
            raise UsageError(f"--column {text!r}: there is no type {kind!r}. {nearest(kind, (*TYPES, *OF_COLUMNS))}")
        wishes[name] = kind
    wishes.update(dict.fromkeys(drop, "drop"))
    if hasattr(given.rows, "columns"):
        known = {str(column) for column in given.rows.columns}
    elif len(given.rows.shape) == 2:
        known = {str(i) for i in range(given.rows.shape[1])}
    else:
        known = set()
    for name, kind in wishes.items():
        if name not in known:
            flag = "--drop" if kind == "drop" else "--column"
            told = "it is the label" if name == given.label else f"{given.name!r} has no such column"
            raise UsageError(f"{flag} {name!r}: {told}. {nearest(name, known) if known else 'It is no table.'}")
    return wishes


def parts(given: Given, seed: int = SPLIT) -> tuple[Given, Given | None]:
    """Return (rows to fit on, rows held out for the report or None): a fifth drawn by chance, in the order of the source."""
    import numpy as np

    from engram.data.stream import Stream

    n = len(given)
    if n < FEWEST:
        return given, None
    most = max(FEWEST, TEST_VALUES // math.prod(given.rows.shape[1:]))
    n_test = min(round(n * TEST_SHARE), TEST_ROWS, most)
    if isinstance(given.rows, Stream):
        return _stream_parts(given, n_test, seed)
    order = np.random.default_rng(seed).permutation(n)
    return given.take(np.sort(order[n_test:])), given.take(np.sort(order[:n_test]))
