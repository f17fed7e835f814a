"""A table as whole numbers: for each column the bin of its cell; with bins for missing and rare cells, gaps and combinations.

What is kept of the rows: types and bounds, quantiles of at least ten rows, categories of at least ``min_count`` rows. No key, no free text,
no rare text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd

from engram.data.bins import MOST_BINS, Bins
from engram.data.cells import Array, plain_cells
from engram.data.columns import Column, categories_in, numbers_in, without_marks
from engram.data.constraints import Constraints, Order, check_limit, check_order, closure
from engram.data.forms import as_table, check_columns
from engram.data.inference import inferred_frame
from engram.data.renewed import shape_of
from engram.errors import DataError, UsageError, column_as, nearest

NUMBERS = ("number", "count", "date")
RENEWED = ("key", "text")
MOST_VALUES = 4096  # bins of all number columns together, about, that a table is cut into
FEWEST_BINS = 16
MANY = 1 << 14  # rows, from which on there are enough of most values to learn each for itself
PATTERN = "(missing cells)"  # name of the place that says which cells are missing together
OTHER = "other"  # what stands for a rare text
Cell = str | int | float | bool | None
Cut = Callable[..., Bins]  # `Bins.of_numbers` for this table


@dataclass
class Place:
    """One number of a coded row.

    Parameters
    ----------
    name : str
        Of the column, of a gap ("end - start") or of a combination ("city & country").
    bins : Bins
        What it can be.
    columns : tuple of str
        The columns that it stands for: one; of a gap (low, high); of a combination all of them.
    cells : list of list
        Of a combination: the cells of each bin.
    offset : float
        Of a number: what is taken off before it is cut into bins (the time of day that all dates have).
    pattern : bool
        Whether it says which of its columns are missing: ``cells`` are True where one is.
    """

    name: str
    bins: Bins
    columns: tuple[str, ...]
    cells: list[list[Cell]] = field(default_factory=list)
    offset: float = 0.0
    pattern: bool = False

    @property
    def is_gap(self) -> bool:
        """Whether it is how much one column is above another."""
        return len(self.columns) == 2 and self.bins.sort == "number"

    @property
    def is_own(self) -> bool:
        """Whether cells are written from it: it is no gap and no pattern."""
        return not (self.is_gap or self.pattern)


class Coding:
    """How a table's rows become whole numbers, (rows, places), and what it takes to make rows of them again.

    Parameters
    ----------
    columns : dict, optional
        Types that correct what would be found out, as in `engram.data.Table`.
    rules : sequence of str
        What every row obeys, see `engram.data.constraints`.
    min_count : int
        Rows that a category must have to be kept by name.
    fine : bool
        Whether numbers that are seen again and again have bins of their own, where rows are many.
    """

    def __init__(
        self, columns: dict[Any, str] | None = None, rules: tuple[str, ...] = (), min_count: int = 5, fine: bool = True
    ) -> None:
        self.wishes = {str(name): wish for name, wish in (columns or {}).items()}
        self.rules, self.min_count, self.fine = tuple(rules), min_count, fine
        self.fields: list[Column] = []
        self.places: list[Place] = []
        self.shapes: dict[str, dict[str, Any]] = {}
        self.gaps: dict[tuple[str, str], float] = {}
        self.notes: dict[str, int] = {}

    # --- fitting ---

    def fit(self, raw: Any) -> Array:
        """Learn from rows; return them coded, (rows, places) int64."""
        frame = as_frame(raw)
        unknown = [wish for wish in self.wishes if wish not in map(str, frame.columns)]
        if unknown:
            raise UsageError(
                f"columns= names {unknown[0]!r}, which these data do not have. {nearest(unknown[0], map(str, frame.columns))}"
            )
        self.fields = inferred_frame(frame, self.wishes, flags=True)
        self.constraints = Constraints.read(self.rules, [str(c.name) for c in self.fields if _varies(c)])
        joined = {name for c in self.constraints.combinations for name in c.columns}
        cut = partial(Bins.of_numbers, most=self._most_bins(), is_fine=self.fine and len(frame) >= MANY)
        found = [
            self._own(c, frame[c.name], cut) for c in self.fields if c.type != "drop" and str(c.name) not in joined
        ]
        found += [self._combined(c.columns, frame) for c in self.constraints.combinations]
        self._lay_out([place for place, _ in found])
        cells = {place.name: numbers for place, numbers in found}
        found += [self._gap(order, cells, cut, frame.index) for order in self.constraints.orders]
        found += self._pattern(found)
        self._lay_out([place for place, _ in found])
        for limit in self.constraints.limits:
            if self.field(limit.column).type not in ("number", "count"):
                raise _no_number(f"{limit.column!r} limits numbers", self.field(limit.column))
            check_limit(limit, cells[limit.column], frame.index)
        self._blank()
        cells = {place.name: numbers for place, numbers in found}
        coded = [place.bins.of(cells[place.name]) for place in self.coded]
        return np.column_stack(coded) if coded else np.zeros((len(frame), 0), dtype=np.int64)

    def _most_bins(self) -> int:
        numbers = sum(c.type in NUMBERS for c in self.fields)
        return max(FEWEST_BINS, min(MOST_BINS, MOST_VALUES // max(numbers, 1)))

    def _own(self, c: Column, series: pd.Series[Any], cut: Cut) -> tuple[Place, Array]:
        """Return the place of a column, and its cells as the numbers that `Bins.of` takes."""
        name = str(c.name)
        if c.type in NUMBERS:
            cells, offset, step = numbers_in(c, series, self.notes), 0.0, None
            if c.date is not None:
                offset, step = _clock(c)
            bins = cut(cells - offset, step=step)
            return Place(name, bins, (name,), offset=offset), cells - offset
        if c.type == "category":
            numbers, there = self._categories(c, series)
            bins = Bins.of_categories(numbers, there, c.values, self.min_count)
            if bins.values:
                return Place(name, bins, (name,)), bins.renumbered(numbers, there, c.values)
            c.type = "key"
        if c.type == "boolean":
            cells = numbers_in(c, series, self.notes)
            numbers = np.where(np.isnan(cells), -1, cells).astype(np.int64)
            bins = Bins.of_categories(numbers, numbers >= 0, [False, True], 1)
            return Place(name, bins, (name,)), bins.renumbered(numbers, numbers >= 0, [False, True])
        there = without_marks(plain_cells(series), self.notes).notna().to_numpy()
        self._remember(c, series, there)
        return Place(name, Bins.of_presence(there), (name,)), np.where(there, 0, -1)

    def _remember(self, c: Column, series: pd.Series[Any], there: Array) -> None:
        """Keep what new keys look like; a constant text that is rare is none to keep."""
        if c.type == "constant" and isinstance(c.values[0], str) and there.sum() < self.min_count:
            c.type = "key"
        if c.type in RENEWED:
            self.shapes[str(c.name)] = shape_of(c, series, self.min_count)

    def _categories(self, c: Column, series: pd.Series[Any]) -> tuple[Array, Array]:
        """Return the number of each cell's category (-1: missing, or beyond the most frequent), and where cells are there."""
        numbers = categories_in(c, series, {})
        there = without_marks(plain_cells(series), self.notes).notna().to_numpy()
        return numbers, there

    def _combined(self, names: tuple[str, ...], frame: pd.DataFrame) -> tuple[Place, Array]:
        """Return the place of columns that belong together: their combinations that are frequent enough."""
        columns = [self._cells(self.field(name), frame[self.field(name).name]) for name in names]
        numbers, different = pd.factorize(pd.Series(list(zip(*columns, strict=True)), dtype=object))
        bins = Bins.of_categories(numbers, numbers >= 0, list(range(len(different))), self.min_count)
        if not bins.values:
            raise DataError(
                f"no combination of {' & '.join(names)} occurs in {self.min_count} rows or more, so none can be kept. "
                "Leave the constraint out, or lower min_count."
            )
        place = Place(self._free(" & ".join(names)), bins, names, [list(different[int(v)]) for v in bins.values])
        found = bins.renumbered(numbers, numbers >= 0, list(range(len(different))))
        place.bins = Bins("category", [], list(range(len(bins.values))), bins.counts, bins.pooled, bins.missing)
        return place, found

    def _cells(self, c: Column, series: pd.Series[Any]) -> list[Cell]:
        """Return the cells of a column of a combination as plain values, None where missing."""
        if c.type in RENEWED:
            raise UsageError(f"column {c.name!r} is {c.describe()}: it cannot be in a combination.")
        if c.type == "category":
            numbers = categories_in(c, series, {})
            return [None if k < 0 else c.values[k] for k in numbers.tolist()]
        return [None if np.isnan(cell) else cell for cell in numbers_in(c, series, self.notes).tolist()]

    def _pattern(self, found: list[tuple[Place, Array]]) -> list[tuple[Place, Array]]:
        """Return the place of which cells are missing together, where several columns have missing ones; frequent patterns are kept."""
        several = [(place, place.bins.of(numbers)) for place, numbers in found if place.is_own and place.bins.missing]
        if len(several) < 2:
            return []
        gone = np.column_stack([place.bins.is_missing(bins) for place, bins in several])
        different, numbers = np.unique(gone, axis=0, return_inverse=True)
        numbers = numbers.reshape(-1)
        values = list(range(len(different)))
        bins = Bins.of_categories(numbers, numbers >= 0, values, self.min_count)
        cells = [different[int(v)].tolist() for v in bins.values]
        which = bins.renumbered(numbers, numbers >= 0, values)
        bins = Bins("category", [], list(range(len(cells))), bins.counts, bins.pooled, bins.missing)
        return [
            (Place(self._free(PATTERN), bins, tuple(place.name for place, _ in several), cells, pattern=True), which)
        ]

    def _gap(self, order: Order, cells: dict[str, Array], cut: Cut, index: pd.Index[Any]) -> tuple[Place, Array]:
        """Return the place of how much one column is above another."""
        low, high = self.field(order.low), self.field(order.high)
        for c, other in ((low, high), (high, low)):
            if c.type not in NUMBERS or (c.date is None) != (other.date is None):
                raise _no_number(f"{order.low!r} and {order.high!r} compares numbers or dates", c)
        a, b = (cells[str(c.name)] + self._place(str(c.name)).offset for c in (low, high))
        check_order(order, a, b, index)
        steps = [self._place(str(c.name)).bins.step for c in (low, high)]
        bins = cut(b - a, step=_gap_step(steps) if low.date is not None else None)
        return Place(self._free(f"{order.high} - {order.low}"), bins, (order.low, order.high)), b - a

    def _free(self, name: str) -> str:
        """Return a name for a place that no column has."""
        taken = {str(c.name) for c in self.fields}
        return next(free for k in range(len(taken) + 1) if (free := name + "'" * k) not in taken)

    def _lay_out(self, places: list[Place]) -> None:
        """Set the places and what follows from them."""
        self.places = places
        self.coded = [place for place in places if place.bins.varies] or places[:1]  # one has to stand for all
        self.number_of = {place.name: i for i, place in enumerate(self.coded)}
        steps = {place.name: place.bins.step for place in places}
        self.gaps = closure(self.constraints.orders, steps) if self.constraints.orders else {}

    def _blank(self) -> None:
        """Forget what must not be kept: bounds of keys, texts of rare categories."""
        for c in self.fields:
            c.strays, c.marginal = [], {}
            if c.type in RENEWED or c.type == "drop":
                c.mean = c.low = c.high = 0.0
                c.scale, c.values, c.form = 1.0, [], {}
            elif c.type == "category":
                place = next((p for p in self.places if p.columns == (str(c.name),)), None)
                combined = next((p for p in self.places if p.cells and p.is_own and str(c.name) in p.columns), None)
                if combined is not None:
                    at = combined.columns.index(str(c.name))
                    kept: list[Any] = [v for v in dict.fromkeys(cells[at] for cells in combined.cells) if v is not None]
                else:
                    kept = list(place.bins.values) if place is not None else []
                self._keep(c, kept, pooled=place is not None and place.bins.pooled)

    @staticmethod
    def _keep(c: Column, kept: list[Any], *, pooled: bool) -> None:
        c.values = kept
        c.form.pop("rest", None)
        if "cells" in c.form:
            c.form["cells"] = {text: cell for text, cell in c.form["cells"].items() if text in set(kept)}
        if "categories" in c.form:
            named = [v for v in c.form["categories"] if v in set(kept)]
            c.form["categories"] = named + [OTHER] * (pooled and says_other(c) and OTHER not in named)

    # --- using ---

    def field(self, name: str) -> Column:
        """Return a column by its name."""
        return next(c for c in self.fields if str(c.name) == name)

    def _place(self, name: str) -> Place:
        return next(place for place in self.places if place.name == name)

    def place_of(self, name: str) -> Place:
        """Return the place that a column stands in, with others where it is in a combination."""
        return next(p for p in self.places if p.is_own and name in p.columns)

    @property
    def is_large(self) -> bool:
        """Whether it was fitted to `MANY` rows or more."""
        return bool(self.places) and sum(self.places[0].bins.counts) >= MANY

    @property
    def sizes(self) -> list[int]:
        """How many bins each coded place has."""
        return [place.bins.size for place in self.coded]

    def encode(self, raw: Any) -> Array:
        """Return rows like those at fit as (rows, places) int64: the nearest bin of a number, the rare bin of an unknown category."""
        frame = as_frame(raw)
        check_columns((c.name for c in self.fields if c.type != "drop"), frame, "this model")
        found = [self._encoded(place, frame) for place in self.coded]
        return np.column_stack(found) if found else np.zeros((len(frame), 0), dtype=np.int64)

    def _encoded(self, place: Place, frame: pd.DataFrame) -> Array:
        if place.pattern:
            of = [self._place(name) for name in place.columns]
            gone = np.column_stack([p.bins.is_missing(self._encoded(p, frame)) for p in of])
            kept = {tuple(cells): i for i, cells in enumerate(place.cells)}
            return self._known(
                place, np.array([kept.get(tuple(row), len(kept)) for row in gone.tolist()], dtype=np.int64)
            )
        columns = [self.field(name) for name in place.columns]
        series = [frame[c.name] for c in columns]
        if place.is_gap:
            low, high = (numbers_in(c, s, {}) for c, s in zip(columns, series, strict=True))
            return self._known(place, high - low)
        if place.cells:
            known = {tuple(cells): i for i, cells in enumerate(place.cells)}
            rows = zip(*(self._cells(c, s) for c, s in zip(columns, series, strict=True)), strict=True)
            return self._known(place, np.array([known.get(row, len(known)) for row in rows], dtype=np.int64))
        return self._known(place, self.numbers_of(columns[0], series[0]))

    def numbers_of(self, c: Column, series: pd.Series[Any]) -> Array:
        """Return the cells of a column as the numbers that its `Bins.of` takes; those of unknown categories lie behind all known."""
        if c.type in NUMBERS:
            return numbers_in(c, series, {}) - self._place(str(c.name)).offset
        if c.type == "boolean":
            cells = numbers_in(c, series, {})
            numbers = np.where(np.isnan(cells), -1, cells).astype(np.int64)
            return self._place(str(c.name)).bins.renumbered(numbers, numbers >= 0, [False, True])
        there = without_marks(plain_cells(series), {}).notna().to_numpy()
        if c.type == "category":
            numbers = categories_in(c, series, {})
            beyond = len(c.values) if self._place(str(c.name)).bins.pooled else -1
            return np.where(there & (numbers < 0), beyond, numbers)
        return np.where(there, 0, -1)

    @staticmethod
    def _known(place: Place, cells: Array) -> Array:
        """Return bins; where a column had no missing cell at fit, a missing one becomes the most frequent bin."""
        bins = place.bins
        gone = np.isnan(cells) if bins.sort == "number" else cells < 0
        found = bins.of(cells)
        return found if bins.missing else np.where(gone, int(np.argmax(bins.counts)), found)

    # --- saving ---

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain JSON values."""
        return {
            "rules": list(self.rules),
            "min_count": self.min_count,
            "columns": [c.to_dict() for c in self.fields],
            "places": [asdict(place) | {"columns": list(place.columns)} for place in self.places],
            "shapes": self.shapes,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Return what `to_dict` described."""
        found = cls(None, tuple(state["rules"]), state["min_count"])
        found.fields = [Column(**c) for c in state["columns"]]
        found.shapes = dict(state["shapes"])
        found.constraints = Constraints.read(found.rules, [str(c.name) for c in found.fields if _varies(c)])
        found._lay_out(
            [Place(**p | {"bins": Bins.from_dict(p["bins"]), "columns": tuple(p["columns"])}) for p in state["places"]]
        )
        return found


def as_frame(raw: Any) -> pd.DataFrame:
    """Return rows as a DataFrame; columns of an array are numbered from 0."""
    opened = as_table(raw)
    return opened if isinstance(opened, pd.DataFrame) else pd.DataFrame(opened)


def says_other(c: Column) -> bool:
    """Whether a rare cell of a category can be written as `OTHER`: where cells are texts without an order."""
    return all(isinstance(v, str) for v in c.values) and not (c.form.get("ordered") or "cells" in c.form)


def _varies(c: Column) -> bool:
    return c.type not in ("constant", "empty", "drop", *RENEWED)


def _no_number(told: str, c: Column) -> UsageError:
    return UsageError(
        f"the constraint on {told}, and {c.name!r} is {c.describe()}. Say {column_as(str(c.name), 'number')} if it is one."
    )


def _clock(c: Column) -> tuple[float, float]:
    """Return the time of day that all dates have, and their step in seconds; (0, 0) where steps are not even ones."""
    date = c.date
    assert date is not None
    return (0.0, 0.0) if date.months or date.zone else (date.at, date.step)


def _gap_step(steps: list[float]) -> float:
    return min(steps) if all(steps) else 0.0
