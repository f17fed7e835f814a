"""What conditional models are given beside a row: a class label, numbers, a caption, or a table of these, as one vector per row.

Labels and categories become one value per class, 1 for their own and 0 elsewhere; captions one value per word, 1 for
those that occur; numbers are standardised.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from engram.data.captions import MOST_WORDS, are_captions, bits, unreadable, vocabulary, words_of
from engram.errors import DataError, UsageError, nearest

MOST_CLASSES = 1000
FORMS = ("label", "text", "numbers", "table")
SINGLE = ("label", "text")  # forms of one value a row
Array = np.ndarray[Any, np.dtype[Any]]
Cell = str | int | float | bool


@dataclass(frozen=True)
class Part:
    """One column of y: a category with its classes, a caption with the words known, or a number with its mean and standard deviation."""

    name: str | int
    classes: tuple[Cell, ...] = ()
    mean: float = 0.0
    scale: float = 1.0
    words: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many values it becomes."""
        return len(self.classes) or len(self.words) or 1

    @property
    def sort(self) -> Literal["classes", "words", "number"]:
        """What its values are: one of them 1 ("classes"), any of them 1 and the others 0 ("words"), or a standardised number."""
        return "classes" if self.classes else "words" if self.words else "number"

    @classmethod
    def fit(cls, name: str | int, column: Array, *, is_label: bool = False) -> Self:
        """Learn classes, words, or mean and scale, from a column without missing cells; ``is_label`` says that it has no captions."""
        if column.dtype.kind in "fiu":
            return cls(name, (), float(column.mean()), float(column.std()) or 1.0)
        if not is_label and are_captions(column, MOST_CLASSES):
            return cls(name, words=vocabulary(column.tolist(), cls(name)._place()))
        classes = tuple(sorted(dict.fromkeys(_plain(column)), key=lambda value: (str(type(value)), value)))
        if len(classes) > MOST_CLASSES:
            raise DataError(
                f"y has {len(classes)} different labels, more than {MOST_CLASSES}. Give numbers as a 2-D array: y[:, None], say."
            )
        return cls(name, classes)

    def encode(self, column: Array, *, said: bool = True) -> Tensor:
        """Return a column as (rows, size) float32; raise `DataError` for a class, or a whole caption, that was not seen at fit.

        Unknown words of other captions are left out, and told in a `DataWarning` if ``said``.
        """
        if self.words:
            return bits([str(cell) for cell in column.tolist()], self.words, self._place(), said=said)
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
        "label" (one label a row), "text" (one caption a row), "numbers" (2-D) or "table" (numbers, categories and captions by name).
    parts : tuple of Part
        The columns of y, in order.
    """

    form: str
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """How many values a row's y becomes."""
        return sum(part.size for part in self.parts)

    @property
    def slices(self) -> tuple[tuple[Part, slice], ...]:
        """Each part with its place among the values of a row."""
        ends = np.cumsum([part.size for part in self.parts]).tolist()
        return tuple((part, slice(end - part.size, end)) for part, end in zip(self.parts, ends, strict=True))

    @classmethod
    def fit(cls, y: Any, n_rows: int) -> Self:
        """Learn what y is: 1-D labels (whole numbers are labels, others one number) or captions, 2-D numbers, or a DataFrame.

        Texts of several words that hardly repeat are captions (`are_captions` has the rule); a pandas column of type "category" holds
        labels, whatever they look like. Raises `DataError` where there is not one y per row, or a cell is missing.
        """
        form, columns = _columns(y)
        _check(columns, n_rows)
        labels = _are_labels(y, len(columns))
        parts = tuple(
            Part.fit(name, column, is_label=told) for (name, column), told in zip(columns.items(), labels, strict=True)
        )
        return cls("text" if form == "label" and parts[0].words else form, parts)

    def encode(self, y: Any, n_rows: int, *, said: bool = True) -> Tensor:
        """Return (rows, size) float32; raise `DataError` for labels, captions, columns or lengths other than expected.

        Unknown words of captions are told in a `DataWarning` if ``said``; rows of the fit have such as too few rows had.
        """
        columns = self._named(y)
        _check(columns, n_rows)
        return torch.cat([part.encode(columns[part.name], said=said) for part in self.parts], 1)

    def repeated(self, y: Any, n_rows: int) -> Tensor:
        """Return (rows, size) as `encode` does; one y (a label, a caption, a vector, a dict) stands for all rows."""
        single = self.of_one_row(y)
        if single is None:
            return self.encode(pd.DataFrame(y) if isinstance(y, dict) else y, n_rows)
        return self.encode(single, 1).expand(n_rows, -1)

    def of_one_row(self, y: Any) -> Any:
        """Return one y (a label, a caption, a vector, a dict) as `encode` takes it for one row, or None where it is y of several rows."""
        y = y.tolist() if isinstance(y, np.ndarray | Tensor) else y
        one = isinstance(y, dict) and all(np.ndim(value) == 0 for value in y.values())
        one = (
            one
            or (self.form in SINGLE and np.ndim(y) == 0)
            or (self.form not in SINGLE and _is_vector(y, len(self.parts)))
        )
        if not one or isinstance(y, dict):
            return pd.DataFrame([y]) if one else None
        return np.array([y], dtype=object if self.form == "table" else None)

    def read(self, text: str) -> Any:
        """Return the y that a text of the command line stands for: a label, a caption, or several with commas between.

        A caption with commas among several stands in double quotes. Raises `UsageError` for a label, or a whole caption, that is not known.
        """
        texts = [text] if self.form in SINGLE else _parted(text)
        if len(texts) != len(self.parts):
            raise UsageError(f"{text!r} has {len(texts)} values; y has {len(self.parts)}: {_listed(self.parts)}.")
        cells = [_cell(part, one.strip()) for part, one in zip(self.parts, texts, strict=True)]
        return (
            cells[0] if self.form in SINGLE else {part.name: cell for part, cell in zip(self.parts, cells, strict=True)}
        )

    def _named(self, y: Any) -> dict[str | int, Array]:
        """Return the columns of y by their names at fit."""
        form, columns = _columns(y)
        names = [part.name for part in self.parts]
        if form == "label" and (self.form in SINGLE or len(names) == 1):
            return {names[0]: next(iter(columns.values()))}
        if self.form in SINGLE or len(columns) != len(names):
            expected = (
                f"one {self.form} a row" if self.form in SINGLE else f"{len(names)} columns: {_listed(self.parts)}"
            )
            raise DataError(f"y must have {expected}; this has {len(columns)} column{'s' * (len(columns) != 1)}.")
        if set(columns) == set(names):
            return columns
        if isinstance(y, pd.DataFrame) and self.form == "table":  # columns of an array have no names
            lacking = next(name for name in names if name not in columns)
            raise DataError(f"y lacks the column {lacking!r}. {nearest(str(lacking), [str(c) for c in columns])}")
        return dict(zip(names, columns.values(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain JSON values."""
        return {
            "form": self.form,
            "parts": [asdict(part) | {"classes": list(part.classes), "words": list(part.words)} for part in self.parts],
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Return what `to_dict` described; raise `ValueError` for anything else."""
        if set(state) != {"form", "parts"} or state["form"] not in FORMS or not state["parts"]:
            raise ValueError("kind.json: given is not form and parts")
        form, parts = state["form"], tuple(_part(part) for part in state["parts"])
        sorts = [part.sort for part in parts]
        if form != "table" and ((form == "text") != (sorts == ["words"]) or (form != "text" and "words" in sorts)):
            raise ValueError(f"kind.json: given is of the form {form!r}, and its parts are not")
        return cls(form, parts)


def _part(state: dict[str, Any]) -> Part:
    state = {"words": []} | state  # runs from before there were captions
    if set(state) != {field.name for field in fields(Part)}:
        raise ValueError("kind.json: a part of given has other fields than name, classes, mean, scale, words")
    part = Part(**state | {"classes": tuple(state["classes"]), "words": _words(state["words"])})
    numbers = (
        isinstance(part.mean, float) and isinstance(part.scale, float) and np.isfinite(part.mean) and part.scale > 0
    )
    known = all(isinstance(value, str | int | float) for value in part.classes) and isinstance(part.name, str | int)
    if (
        not (numbers and np.isfinite(part.scale) and known)
        or not len(set(part.classes)) == len(part.classes) <= MOST_CLASSES
        or (part.classes and part.words)
    ):
        raise ValueError(f"kind.json: the part {str(part.name)[:40]!r} of given cannot be")
    return part


def _words(state: Any) -> tuple[str, ...]:
    """Return the words of a part of ``kind.json``."""
    known = isinstance(state, list) and all(isinstance(word, str) and words_of(word) == [word] for word in state)
    if not known or not len(set(state)) == len(state) <= MOST_WORDS:
        raise ValueError(f"kind.json: the words of given are not at most {MOST_WORDS} different words in lower case")
    return tuple(state)


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


def _are_labels(y: Any, n_columns: int) -> list[bool]:
    """Return for each column of y whether pandas says that it holds categories."""
    columns = [column for _, column in y.items()] if isinstance(y, pd.DataFrame) else [y] * n_columns
    return [isinstance(getattr(column, "dtype", None), pd.CategoricalDtype) for column in columns]


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


def _parted(text: str) -> list[str]:
    """Return what stands between the commas of a text; double quotes hold together what has commas itself."""
    try:
        return next(csv.reader([text], skipinitialspace=True))
    except csv.Error as error:
        raise UsageError(f"{text!r} is no list of values with commas between: {error}.") from None


def _cell(part: Part, text: str) -> Cell:
    """Return the class, caption or number that a text stands for."""
    if part.words:
        told = unreadable(text, part.words)
        if told is not None:
            raise UsageError(told)
        return text
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
