"""A column as one of finitely many bins: quantiles of a number, spikes such as many zeros, categories, and one for missing.

A number is drawn back from within its bin along the quantiles that were seen there, so that bounds, spikes and rounding are those of the
rows at fit; between them nothing of a single row is kept. The idea of modelling every column as one of some bins is that of discretised
synthesizers such as TabularARGN (Tiwald et al. 2025, arXiv:2501.12012); knots within bins are ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from engram.data.cells import Array

MOST_BINS = 64  # of a number, about; spikes and their neighbours may add some
FEWEST_ROWS = 10  # that a bin of several numbers stands for, so that it is none of them
KNOTS = 5  # quantiles within a bin: 0, 1/4, 1/2, 3/4, 1
MOST_PLACES = 6  # decimals that are looked for
CLOSE = 1e-9  # relative distance from a rounded number within which a cell counts as rounded
SORTS = ("number", "category", "flag")
Cell = str | int | float | bool


@dataclass(frozen=True)
class Bins:
    """What a column's cells can be.

    Parameters
    ----------
    sort : str
        "number" (dates and gaps too, as numbers), "category", or "flag": only whether a cell is there.
    knots : list of list of float
        Of a number: `KNOTS` quantiles within each bin, in order; all the same for a spike.
    values : list
        Of a category: the values that are kept.
    counts : list of int
        Rows at fit by bin.
    pooled : bool
        Of a category: whether a bin behind the values stands for all rare ones.
    missing : bool
        Whether the last bin stands for missing cells.
    step : float
        All numbers are multiples of it; 0 where none was seen.
    """

    sort: str
    knots: list[list[float]]
    values: list[Cell]
    counts: list[int]
    pooled: bool = False
    missing: bool = False
    step: float = 0.0

    @property
    def size(self) -> int:
        """How many bins there are, those for rare and for missing cells included."""
        return self.present + self.missing

    @property
    def present(self) -> int:
        """How many bins are there for cells that are not missing."""
        return {"number": len(self.knots), "category": len(self.values), "flag": 1}[self.sort] + self.pooled

    @property
    def varies(self) -> bool:
        """Whether rows at fit were in more than one bin."""
        return sum(n > 0 for n in self.counts) > 1

    @cached_property
    def ends(self) -> tuple[Array, Array]:
        """Lowest and highest number of each bin."""
        table = np.array(self.knots, dtype=np.float64).reshape(-1, KNOTS)
        return table[:, 0], table[:, -1]

    # --- fitting ---

    @classmethod
    def of_numbers(
        cls, cells: Array, most: int = MOST_BINS, step: float | None = None, *, is_fine: bool = False
    ) -> Self:
        """Cut numbers, (rows,) with NaN where missing, into at most about ``most`` bins with about as many rows each.

        A value that would fill a bin alone is a spike with a bin of its own; no other bin has fewer than `FEWEST_ROWS` rows, unless spikes
        leave no more between them. ``step`` is what numbers are multiples of, which is found out by itself where it is None. ``is_fine``
        takes less for a spike, where a few values fill most of the bins: see `_spikes`.
        """
        there = np.sort(cells[~np.isnan(cells)])
        groups = _groups(there, most, is_fine=is_fine)
        counts = [len(group) for group in groups]
        gone = len(cells) - len(there)
        found = _step(there) if step is None else step
        return cls("number", [_knots(group) for group in groups], [], counts + [gone] * (gone > 0),
                   missing=gone > 0, step=found)  # fmt: skip

    @classmethod
    def of_categories(cls, numbers: Array, there: Array, values: list[Any], least: int) -> Self:
        """Keep the categories of at least so many rows; ``numbers`` says which of ``values`` each cell is, -1 for others.

        Where nothing is frequent enough, all are pooled.
        """
        counts = np.bincount(numbers[numbers >= 0], minlength=len(values))
        kept = [i for i in range(len(values)) if counts[i] >= least]
        rest = int(there.sum() - counts[kept].sum())
        gone = int((~there).sum())
        told = [int(counts[i]) for i in kept] + [rest] * (rest > 0) + [gone] * (gone > 0)
        return cls("category", [], [values[i] for i in kept], told, pooled=rest > 0, missing=gone > 0)

    @classmethod
    def of_presence(cls, there: Array) -> Self:
        """Keep only whether cells are there."""
        seen, gone = int(there.sum()), int((~there).sum())
        return cls("flag", [], [], [seen] + [gone] * (gone > 0), missing=gone > 0)

    # --- cells in ---

    def of(self, cells: Array) -> Array:
        """Return the bin of each number (NaN: missing), or of each category's number (-1: missing; beyond the values: rare)."""
        if self.sort == "number":
            gone = np.isnan(cells)
            low, high = self.ends
            found = np.searchsorted((high[:-1] + low[1:]) / 2, np.where(gone, 0.0, cells), side="right")
        else:
            gone = cells < 0
            found = np.minimum(cells, self.present - 1)
        return np.where(gone, self.size - 1, found).astype(np.int64)

    def renumbered(self, numbers: Array, there: Array, values: list[Any]) -> Array:
        """Return the numbers of categories among those that are kept: -1 missing, the number of kept ones for all rare."""
        place = {value: i for i, value in enumerate(self.values)}
        table = np.array([place.get(value, len(place)) for value in values], dtype=np.int64)
        found = np.full(len(numbers), len(place))
        found[numbers >= 0] = table[numbers[numbers >= 0]]
        return np.where(there, found, -1)

    # --- cells out ---

    def is_missing(self, bins: Array) -> Array:
        """Return which bins stand for missing cells."""
        gone: Array = (bins == self.size - 1) & self.missing
        return gone

    def within(self, low: Array, high: Array) -> Array:
        """Return which bins have numbers from ``low`` to ``high``, (rows, bins) bool; the one for missing cells always may be."""
        first, last = self.ends
        allowed = (last[None] >= low[:, None]) & (first[None] <= high[:, None])
        return np.column_stack([allowed, np.ones((len(low), 1), dtype=bool)]) if self.missing else allowed

    def numbers(
        self, bins: Array, random: np.random.Generator, low: Array | None = None, high: Array | None = None
    ) -> Array:
        """Draw a number from each bin along its quantiles, NaN for missing; never below ``low`` or above ``high``, (rows,) each."""
        table = np.array(self.knots, dtype=np.float64).reshape(-1, KNOTS)
        at = np.minimum(bins, len(table) - 1)
        place = random.random(len(bins)) * (KNOTS - 1)
        left = np.minimum(place.astype(np.int64), KNOTS - 2)
        share = place - left
        drawn = table[at, left] * (1 - share) + table[at, left + 1] * share
        first, last = table[at, 0], table[at, -1]
        if low is not None and high is not None:
            bottom, top = np.maximum(first, low), np.minimum(last, high)
            again = random.random(len(bins))
            inside = np.where(bottom <= top, bottom + again * (top - bottom), np.clip(drawn, low, high))
            drawn = np.where((drawn < low) | (drawn > high), inside, drawn)
        found = self.rounded(drawn, first if low is None else low, last if high is None else high)
        return np.where(self.is_missing(bins), np.nan, found)

    def rounded(self, cells: Array, low: Array, high: Array) -> Array:
        """Return numbers as the multiples of the step that are nearest and inside; where there are none inside, as they are."""
        if not self.step:
            return np.clip(cells, low, high)
        found = multiple(np.round(cells / self.step), self.step)
        found = np.where(found < low, multiple(np.ceil(low / self.step), self.step), found)
        found = np.where(found > high, multiple(np.floor(high / self.step), self.step), found)
        return np.where((found < low) | (found > high), np.clip(cells, low, high), found)

    # --- saving ---

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Return what `to_dict` described; raise `ValueError` for what no column can have been."""
        found = cls(**state)
        table = np.array(found.knots, dtype=np.float64)
        rising = not found.knots or (
            table.shape[1:] == (KNOTS,) and np.isfinite(table).all() and (np.diff(table.ravel()) >= 0).all()
        )
        known = found.sort in SORTS and found.size > 0 and len(found.counts) == found.size
        if not (known and rising and found.step >= 0 and all(n >= 0 for n in found.counts) and sum(found.counts) > 0):
            raise ValueError("the bins of a column cannot be")
        return found


def multiple(times: Array, step: float) -> Array:
    """Return so many times a step, without the last bits of the product: 3 x .1 is .3."""
    inverse = round(1 / step) if step < 1 else 0
    return times / inverse if inverse and abs(inverse * step - 1) < CLOSE else times * step


def _groups(there: Array, most: int, *, is_fine: bool) -> list[Array]:
    """Return sorted numbers as the sorted numbers of each bin."""
    if not len(there):
        return []
    counts = np.unique(there, return_counts=True)[1]
    target = max(FEWEST_ROWS, len(there) / most)
    alone = _spikes(counts, most) if is_fine else counts >= target
    section = np.cumsum(alone) * 2 - alone  # odd for spikes, even for what lies between them
    rows = np.bincount(section, counts)
    before = np.cumsum(counts) - counts
    first = np.full(len(rows), np.inf)
    np.minimum.at(first, section, before)
    pieces = np.maximum(1, rows // target)
    place = np.minimum((before - first[section]) * pieces[section] // np.maximum(rows[section], 1), pieces[section] - 1)
    place = np.where(alone, 0, place)
    starts = np.flatnonzero((np.diff(section, prepend=-1) != 0) | (np.diff(place, prepend=-1) != 0))
    return np.split(there, before[starts[1:]])


def _spikes(counts: Array, most: int) -> Array:
    """Return which values have a bin of their own, (values,) bool, from the rows of each value.

    They are those with as many rows as a bin would have, were all but them cut into the bins that are left: so a few values that are seen
    again and again beside many zeros are told apart.
    """
    alone = np.zeros(len(counts), dtype=bool)
    while True:
        more = counts >= max(FEWEST_ROWS, counts[~alone].sum() / max(most - alone.sum(), 1))
        if (more == alone).all():
            return alone
        alone = more


def _knots(group: Array) -> list[float]:
    """Return the quantiles of the numbers of a bin; of few rows the ends alone count."""
    if len(group) >= KNOTS * FEWEST_ROWS:
        return [float(v) for v in np.quantile(group, np.linspace(0, 1, KNOTS))]
    return [float(v) for v in np.linspace(group[0], group[-1], KNOTS)]


def _step(there: Array) -> float:
    """Return the largest of 1/10^p, or of whole numbers, that all numbers are multiples of; 0 for none."""
    if not len(there) or np.abs(there).max() > 2.0**53:
        return 0.0
    size = np.abs(there)
    close = CLOSE * np.maximum(min(1.0, size.max()), size)  # a column far below 1 is not made of zeros
    for places in range(MOST_PLACES + 1):
        if (np.abs(there - np.round(there, places)) <= close).all():
            return float(np.gcd.reduce(np.round(there).astype(np.int64)) or 1) if places == 0 else float(f"1e-{places}")
    return 0.0
