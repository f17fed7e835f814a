"""Rows drawn place by place from a masked VAE: given cells stay, and constraints hold by construction.

Each block of rows is drawn in a random order of places. Where an order of columns ("start <= end") has one end known, the gap between both
is drawn instead of the other end; whatever is drawn lies between the bounds that known columns leave it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engram.data.cells import Array
from engram.data.coding import Coding, Place
from engram.data.known_cells import Given
from engram.models import masked_vae
from engram.training.nets import Nets

BLOCK = 1024  # rows drawn in one order, at most
ORDERS = 8  # orders at least, where rows are that many


class Picker(Protocol):
    """What proposes the bins of a place."""

    def pick(self, block: Block, place: Place, allowed: Array | None) -> Array:
        """Return bins of a place for the rows of a block, (rows,); only of ``allowed`` (rows, bins) ones, where a row has such."""


def draw_cells(
    picker: Picker, coding: Coding, n: int, random: np.random.Generator, given: Given | None = None
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Draw n rows; return the bins of all places and the numbers of those that are numbers, by name, (rows,) each.

    Parameters
    ----------
    picker : Picker
        What bins are drawn by: `ByVAE`, say.
    coding : Coding
        The fitted coding.
    n : int
        How many rows.
    random : numpy Generator
        The source of all draws.
    given : Given, optional
        Cells to keep.
    """
    given = given or Given()
    size = max(1, min(BLOCK, -(-n // ORDERS)))
    found = [
        Block(picker, coding, slice(at, min(at + size, n)), random, given.part(slice(at, at + size))).drawn()
        for at in range(0, n, size)
    ]
    bins, numbers = ({name: np.concatenate([part[i][name] for part in found]) for name in found[0][i]} for i in (0, 1))
    return bins, numbers


class Block:
    """Some rows under way: what is known of them, and the next place."""

    def __init__(self, picker: Picker, coding: Coding, rows: slice, random: np.random.Generator, given: Given) -> None:
        self.picker, self.coding, self.rows, self.random, self.given = picker, coding, rows, random, given
        self.n = n = rows.stop - rows.start
        self.generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        self.cells = torch.zeros(n, len(coding.coded), dtype=torch.long)
        self.known = torch.zeros(n, len(coding.coded), dtype=torch.bool)
        self.bins: dict[str, Array] = {}
        self.numbers: dict[str, Array] = {}
        # by place: where it is decided, and whether the cell is missing there
        self.holes: dict[str, tuple[Array, Array]] = {}
        self.own = [place for place in coding.places if place.is_own]
        self.between = {place.columns: place for place in coding.places if place.is_gap}
        self.ends = {p.name: _ends(p) for p in self.own if p.bins.sort == "number"}

    def drawn(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """Draw all that is not given."""
        for place in self.own:
            if place.name in self.given.bins:
                self._keep(place, self.given.bins[place.name], self.given.numbers.get(place.name))
        for place in self.coding.places:
            if place.pattern:
                self._which_are_missing(place)
        open_places = [place for place in self.own if place.name not in self.given.bins]
        for i in self.random.permutation(len(open_places)):
            place = open_places[i]
            if place.bins.sort != "number":
                self._keep(place, self._pick(place, self.given.allowed.get(place.name)), None)
            elif any(place.name in pair for pair in self.coding.gaps):
                self._ordered(place)
            else:
                bins = self._pick(place)
                self._keep(place, bins, place.bins.numbers(bins, self.random) + place.offset)
        return self.bins, self.numbers

    def _which_are_missing(self, pattern: Place) -> None:
        """Draw which cells are missing together, among the patterns that fit the given cells; a rare pattern decides nothing."""
        table = np.array(pattern.cells, dtype=bool).reshape(-1, len(pattern.columns))
        fits = np.ones((self.n, len(table)), dtype=bool)
        own = {place.name: place for place in self.own}
        for j, name in enumerate(pattern.columns):
            if name in self.bins:
                fits &= own[name].bins.is_missing(self.bins[name])[:, None] == table[None, :, j]
        rare = np.ones((self.n, pattern.bins.size - len(table)), dtype=bool)
        bins = self._pick(pattern, np.column_stack([fits, rare]))
        self._mark(pattern, bins)
        decided = bins < len(table)
        for j, name in enumerate(pattern.columns):
            gone = table[np.minimum(bins, len(table) - 1), j] if len(table) else np.zeros(self.n, dtype=bool)
            self.holes[name] = (decided, gone)

    def _keep(self, place: Place, bins: Array, numbers: Array | None) -> None:
        """Take the cells of a place as known, and gaps that are known by them."""
        self._mark(place, bins)
        if numbers is None:
            return
        self.numbers[place.name] = numbers
        for (low, high), gap in self.between.items():
            if gap.name not in self.bins and low in self.numbers and high in self.numbers:
                cells = self.numbers[high] - self.numbers[low]
                gone = np.isnan(cells)
                fill = gap.bins.size - 1 if gap.bins.missing else int(np.argmax(gap.bins.counts))
                self._mark(gap, np.where(gone, fill, gap.bins.of(np.where(gone, 0.0, cells))))

    def _mark(self, place: Place, bins: Array) -> None:
        self.bins[place.name] = bins
        i = self.coding.number_of.get(place.name)
        if i is not None:
            self.cells[:, i] = torch.from_numpy(bins)
            self.known[:, i] = True

    def _pick(self, place: Place, allowed: Array | None = None) -> Array:
        """Return proposed bins of a place; one that does not vary has its only one."""
        if place.name not in self.coding.number_of:
            return np.full(self.n, int(np.argmax(place.bins.counts)))
        if place.name in self.holes:
            decided, gone = self.holes[place.name]
            last = np.arange(place.bins.size) == place.bins.size - 1
            fits = ~decided[:, None] | (gone[:, None] == last[None])
            both = fits if allowed is None else fits & allowed
            allowed = np.where(both.any(1, keepdims=True), both, fits)
        return self.picker.pick(self, place, allowed)

    def _ordered(self, place: Place) -> None:
        """Draw a number between the bounds that known columns leave it: by its gap to one of them where there is one."""
        low, high = self._bounds(place)
        bins = self._pick(place, place.bins.within(low - place.offset, high - place.offset))
        gone = place.bins.is_missing(bins)
        numbers = place.bins.numbers(bins, self.random, low - place.offset, high - place.offset) + place.offset
        for (a, b), gap in self.between.items():
            other, sign = (a, 1.0) if place.name == b else (b, -1.0)
            if place.name not in (a, b) or other not in self.numbers:
                continue
            by_gap = ~gone & ~np.isnan(self.numbers[other])
            if by_gap.any():
                numbers = np.where(by_gap, self._by_gap(place, gap, self.numbers[other], sign, low, high), numbers)
            break
        again = place.bins.of(np.where(gone, self.ends[place.name][0], numbers) - place.offset)
        self._keep(place, np.where(gone, bins, again), np.where(gone, np.nan, numbers))

    def _by_gap(self, place: Place, gap: Place, other: Array, sign: float, low: Array, high: Array) -> Array:
        """Return numbers that are a drawn gap above (sign 1) or below (-1) those of another column."""
        start = np.where(np.isnan(other), 0.0, other)
        least, most = (low - start, high - start) if sign > 0 else (start - high, start - low)
        allowed = gap.bins.within(least, most)
        if gap.bins.missing:
            allowed[:, -1] = False
        drawn = gap.bins.numbers(self._pick(gap, allowed), self.random, least, most)
        cells = start + sign * np.where(np.isnan(drawn), least, drawn) - place.offset
        return place.bins.rounded(cells, low - place.offset, high - place.offset) + place.offset

    def _bounds(self, place: Place) -> tuple[Array, Array]:
        """Return the lowest and the highest number that a place can have, (rows,) each: by known columns, and by what others can be."""
        least, most = np.full(self.n, -np.inf), np.full(self.n, np.inf)
        for (a, b), gap in self.coding.gaps.items():
            if place.name == a:
                most = np.fmin(most, self.numbers.get(b, np.full(self.n, self.ends[b][1])) - gap)
            elif place.name == b:
                least = np.fmax(least, self.numbers.get(a, np.full(self.n, self.ends[a][0])) + gap)
        own_low, own_high = self.ends[place.name]
        low, high = np.maximum(least, own_low), np.minimum(most, own_high)
        none = low > high  # what other columns ask for comes before the column's own range
        only = np.where(most < own_low, most, least)
        return np.where(none, only, low), np.where(none, only, high)


class ByVAE:
    """Bins drawn from a masked VAE, given all that is known of a row by then.

    Parameters
    ----------
    nets : Nets
        Fitted networks, see `engram.models.masked_vae.roles`.
    """

    def __init__(self, nets: Nets) -> None:
        self.nets = nets
        with torch.no_grad():
            self.tables = masked_vae.tables(nets)

    @torch.no_grad()
    def pick(self, block: Block, place: Place, allowed: Array | None) -> Array:
        """Draw from the conditional distribution, of a row's first cell from the shares at fit; where no bin is allowed, from all."""
        if not bool(block.known.any()):
            logits = torch.tensor(place.bins.counts, dtype=torch.float32).log().expand(block.n, -1)
        else:
            i = block.coding.number_of[place.name]
            logits = masked_vae.logits(self.nets, block.cells, block.known, i, self.tables, block.generator)
        if allowed is not None:
            logits = _within(logits, torch.from_numpy(allowed))
        return np.asarray(torch.multinomial(logits.softmax(1), 1, generator=block.generator)[:, 0])


class ByRows:
    """Bins of rows that were generated as wholes; where one is not allowed, the nearest that is.

    Parameters
    ----------
    rows : dict of array
        (rows,) bins of each coded place by name.
    """

    def __init__(self, rows: dict[str, Array]) -> None:
        self.rows = rows

    def pick(self, block: Block, place: Place, allowed: Array | None) -> Array:
        """Return the generated bins of the block's rows."""
        bins = self.rows[place.name][block.rows]
        if allowed is None:
            return bins
        distance = np.abs(np.arange(allowed.shape[1])[None] - bins[:, None]).astype(np.float64)
        return np.where(allowed.any(1), np.where(allowed, distance, np.inf).argmin(1), bins)


def _ends(place: Place) -> tuple[float, float]:
    low, high = place.bins.ends
    return (float(low[0]) + place.offset, float(high[-1]) + place.offset) if len(low) else (0.0, 0.0)


def _within(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return logits of which only the allowed ones count; all of a row without any."""
    keep = allowed | ~allowed.any(1, keepdim=True)
    return torch.where(keep, logits, -torch.inf)
