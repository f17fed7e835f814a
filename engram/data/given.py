"""What conditional models are given beside a row: a class label, numbers, or a table of both, as one vector per row.

Labels and categories become one value per class, 1 for their own and 0 elsewhere; numbers are standardised.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from engram.errors import DataError, UsageError, nearest

MOST_CLASSES = 1000
FORMS = ("label", "numbers", "table")
Array = np.ndarray[Any, np.dtype[Any]]
Cell = str | int | float | bool


@dataclass(frozen=True)
class Part:
    """One column of y: a category with its classes, or a number with its mean and standard deviation."""

    name: str | int
    classes: tuple[Cell, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    @property
    def size(self) -> int:
        """How many values it becomes."""
        return len(self.classes) or 1

    @classmethod
    def fit(cls, name: str | int, column: Array) -> Self:
        """Learn classes, or mean and scale, from a column without missing cells."""
        if column.dtype.kind in "fiu":
            return cls(name, (), float(column.mean()), float(column.std()) or 1.0)
        classes = tuple(sorted(dict.fromkeys(_plain(column)), key=lambda value: (str(type(value)), value)))
        if len(classes) > MOST_CLASSES:
            raise DataError(
                f"y has {len(classes)} different labels, more than {MOST_CLASSES}. Give numbers as a 2-D array: y[:, None], say."
            )
        return cls(name, classes)

    def encode(self, column: Array) -> Tensor:
        """Return a column as (rows, size) float32; raise `DataError` for a class that was not seen at fit."""
        if not self.classes:
            try:
                numbers = column.astype(np.float64)
            except (TypeError, ValueError):
                raise DataError(f"y{self._place()} takes numbers, and {column[0]!r} is none.") from None
            return torch.from_numpy(((numbers - self.mean) / self.scale).astype(np.float32))[:, None]
        known = {value: number for number, value in enumerate(self.classes)}
        values = _plain(column)
        for value in dict.fromkeys(values):
            if value not in known:
                told = nearest(str(value), [str(c) for c in self.classes])
                raise DataError(f"y{self._place()} has {value!r}, a label that was not seen at fit. {told}")
        return torch.eye(self.size)[[known[value] for value in values]]

    def _place(self) -> str:
        return "" if self.name == "" else f" in column {self.name!r}"


@dataclass(frozen=True)
class Conditions:
    """How y becomes a vector per row.

    Parameters
    ----------
    form : str
        "label" (one label a row), "numbers" (2-D) or "table" (numbers and categories by name).
    parts : tuple of Part
        The columns of y, in order.
    """

    form: str
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """How many values a row's y becomes."""
        return sum(part.size for part in self.parts)

    @classmethod
    def fit(cls, y: Any, n_rows: int) -> Self:
        """Learn what y is: 1-D labels (whole numbers are labels, others one number), 2-D numbers, or a DataFrame.

        Raises `DataError` where there is not one y per row, or a cell is missing.
        """
        form, columns = _columns(y)
        _check(columns, n_rows)
        return cls(form, tuple(Part.fit(name, column) for name, column in columns.items()))

    def encode(self, y: Any, n_rows: int) -> Tensor:
        """Return (rows, size) float32; raise `DataError` for labels, columns or lengths other than expected."""
        columns = self._named(y)
        _check(columns, n_rows)
        return torch.cat([part.encode(columns[part.name]) for part in self.parts], 1)

    def repeated(self, y: Any, n_rows: int) -> Tensor:
        """Return (rows, size) as `encode` does; one y (a label, a vector, a dict) stands for all rows."""
        one = isinstance(y, dict) and all(np.ndim(value) == 0 for value in y.values())
        one = (
            one
            or (self.form == "label" and np.ndim(y) == 0)
            or (self.form != "label" and _is_vector(y, len(self.parts)))
        )
        if not one:
            return self.encode(pd.DataFrame(y) if isinstance(y, dict) else y, n_rows)
        single = (
            pd.DataFrame([y]) if isinstance(y, dict) else np.array([y], dtype=object if self.form == "table" else None)
        )
        return self.encode(single, 1).expand(n_rows, -1)

    def read(self, text: str) -> Any:
        """Return the y that a text of the command line stands for: a label, or numbers and categories with commas between.

        Raises `UsageError` for a label that is not known.
        """
        texts = [text] if self.form == "label" else text.split(",")
        if len(texts) != len(self.parts):
            raise UsageError(f"{text!r} has {len(texts)} values; y has {len(self.parts)}: {_listed(self.parts)}.")
        cells = [_cell(part, one.strip()) for part, one in zip(self.parts, texts, strict=True)]
        return (
            cells[0]
            if self.form == "label"
            else {part.name: cell for part, cell in zip(self.parts, cells, strict=True)}
        )

    def _named(self, y: Any) -> dict[str | int, Array]:
        """Return the columns of y by their names at fit."""
        form, columns = _columns(y)
        names = [part.name for part in self.parts]
        if form == "label" and (self.form == "label" or len(names) == 1):
            return {names[0]: next(iter(columns.values()))}
        if self.form == "label" or len(columns) != len(names):
            expected = "one label a row" if self.form == "label" else f"{len(names)} columns: {_listed(self.parts)}"
            raise DataError(f"y must have {expected}; this has {len(columns)} column{'s' * (len(columns) != 1)}.")
        if set(columns) == set(names):
            return columns
        if form == "table" and self.form == "table":
            lacking = next(name for name in names if name not in columns)
            raise DataError(f"y lacks the column {lacking!r}. {nearest(str(lacking), [str(c) for c in columns])}")
        return dict(zip(names, columns.values(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain JSON values."""
        return {"form": self.form, "parts": [asdict(part) | {"classes": list(part.classes)} for part in self.parts]}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Return what `to_dict` described; raise `ValueError` for anything else."""
        if set(state) != {"form", "parts"} or state["form"] not in FORMS or not state["parts"]:
            raise ValueError("kind.json: given is not form and parts")
        return cls(state["form"], tuple(_part(part) for part in state["parts"]))


def _part(state: dict[str, Any]) -> Part:
    if set(state) != {field.name for field in fields(Part)}:
        raise ValueError("kind.json: a part of given has other fields than name, classes, mean, scale")
    part = Part(**state | {"classes": tuple(state["classes"])})
    numbers = (
        isinstance(part.mean, float) and isinstance(part.scale, float) and np.isfinite(part.mean) and part.scale > 0
    )
    known = all(isinstance(value, str | int | float) for value in part.classes) and isinstance(part.name, str | int)
    if (
        not (numbers and np.isfinite(part.scale) and known)
        or not len(set(part.classes)) == len(part.classes) <= MOST_CLASSES
    ):
        raise ValueError(f"kind.json: the part {str(part.name)[:40]!r} of given cannot be")
    return part


def _columns(y: Any) -> tuple[str, dict[str | int, Array]]:
    """Return (form, columns by name) of a y as users give it."""
    if isinstance(y, pd.DataFrame):
        return "table", {name if isinstance(name, int) else str(name): _values(column) for name, column in y.items()}
    values = (
        _values(y) if isinstance(y, pd.Series | pd.Index) else np.asarray(y.detach() if isinstance(y, Tensor) else y)
    )
    if values.ndim == 1:
        return "label", {"": _as_labels(values)}
    if values.ndim != 2 or values.shape[1] == 0:
        raise DataError(f"y must be one label a row, or (rows, columns) of numbers; it is of shape {values.shape}.")
    if values.dtype.kind in "fiub":
        return "numbers", dict(enumerate(values.astype(np.float64).T))
    return "table", {i: _values(pd.Series(column).infer_objects()) for i, column in enumerate(values.T)}


def _values(column: Any) -> Array:
    """Return a pandas column as an array: of numbers, or of objects."""
    numeric = pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    if numeric:
        return column.to_numpy(dtype=np.float64, na_value=np.nan) if column.hasnans else column.to_numpy()  # type: ignore[no-any-return]
    return column.to_numpy(dtype=object)  # type: ignore[no-any-return]


def _as_labels(values: Array) -> Array:
    """Return one-dimensional labels as objects, so that they become classes; numbers that are not whole stay numbers."""
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (values != np.round(values)).any():
            return values
        return np.array([int(value) for value in values], dtype=object)
    return values.astype(object)


def _plain(column: Array) -> list[Cell]:
    """Return cells as JSON has them; dates and the like as texts."""
    found = [value.item() if isinstance(value, np.generic) else value for value in column.tolist()]
    return [value if isinstance(value, str | int | float) else str(value) for value in found]


def _check(columns: dict[str | int, Array], n_rows: int) -> None:
    """Raise where there is not one y per row, or a cell is missing."""
    for column in columns.values():
        if len(column) != n_rows:
            raise DataError(f"y must have one entry per row: there are {n_rows} rows, and y has {len(column)}.")
        missing = np.flatnonzero(pd.isna(column) | np.isin(column, (np.inf, -np.inf)))
        if len(missing):
            raise DataError(
                f"y of row {missing[0]} is missing ({len(missing)} in all). Leave these rows out, or fill y."
            )


def _is_vector(y: Any, size: int) -> bool:
    """Whether y is one row's vector of numbers and categories."""
    return not isinstance(y, pd.DataFrame | pd.Series) and np.ndim(y) <= 1 and np.size(y) == size


def _cell(part: Part, text: str) -> Cell:
    """Return the class or number that a text stands for."""
    if part.classes:
        by_text = {str(value): value for value in part.classes}
        if text not in by_text:
            raise UsageError(f"{text!r} is no label that was seen at fit. {nearest(text, by_text)}")
        return by_text[text]
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is no number.") from None


def _listed(parts: tuple[Part, ...]) -> str:
    return ", ".join(str(part.name) for part in parts)
