"""Rows as networks see them: one float tensor, and what travels with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

VALUES = 1 << 22  # encoded values in a block
CHECKED_ROWS = (256, 8192)  # held-out rows that scales and findings are computed from: at least, at most
CHECKED_VALUES = 1 << 21  # ... and between these so many values
FEWEST = 64  # rows in a block, however long they are


class Note(str):
    """What was left out of rows, or treated otherwise, in words; ``of`` is what is counted: a cell unless it says otherwise."""

    of: str

    def __new__(cls, told: str, of: str = "cell") -> Note:
        found = super().__new__(cls, told)
        found.of = of
        return found


def counted(note: str, count: int) -> str:
    """Return a note with its number: "... were left out (2 words)"."""
    return f"{note} ({count:,} {getattr(note, 'of', 'cell')}{'s' * (count != 1)})"


@dataclass(frozen=True)
class Rows:
    """Encoded rows.

    Parameters
    ----------
    x : Tensor
        (rows, ...) float32; missing cells hold zero.
    mask : Tensor or None
        (rows, columns) bool, False where a cell is missing; None when every cell is there.
    y : Tensor or None
        (rows, ...) labels or attributes.
    weight : Tensor or None
        (rows,) weights.
    index : Tensor or None
        (rows,) numbers of the rows in what they were taken from.
    notes : dict
        What was left out or treated as missing on the way, with how many cells, or what else a `Note` counts:
        ``{"new category in 'city', treated as missing": 3}``.
    """

    x: Tensor
    mask: Tensor | None = None
    y: Tensor | None = None
    weight: Tensor | None = None
    notes: dict[str, int] = field(default_factory=dict)
    index: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> Rows:
        """Return the rows with these numbers."""
        return self._each(lambda values: values[index])

    def first(self, n: int) -> Rows:
        """Return the first rows, at most n."""
        return self._each(lambda values: values[:n])

    def spread(self, n: int) -> Rows:
        """Return at most n of the rows, evenly from the first to the last: rows are often sorted."""
        return self if len(self) <= n else self.take(torch.linspace(0, len(self) - 1, n, dtype=torch.float64).long())

    def within(self, values: int, fewest: int, most: int) -> Rows:
        """Return as many of the rows, spread evenly, as hold so many values, but no fewer and no more than said."""
        return self.spread(min(max(values // max(self.x[0].numel(), 1), fewest), most))

    def blocks(self, most: int) -> Iterator[Rows]:
        """Yield all rows in blocks of bounded size, at most so many rows: for what a network makes of them."""
        size = min(most, max(FEWEST, VALUES // max(self.x[0].numel(), 1)))
        for at in range(0, len(self), size):
            yield self._each(lambda values, at=at: values[at : at + size])  # type: ignore[misc]

    def to(self, device: torch.device) -> Rows:
        """Return the rows on a device."""
        return self._each(lambda values: values.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Rows:
        mask, y, weight, index = (
            None if t is None else change(t) for t in (self.mask, self.y, self.weight, self.index)
        )
        return replace(self, x=change(self.x), mask=mask, y=y, weight=weight, index=index)


def joined(first: Rows, second: Rows) -> Rows:
    """Return the rows of both, with y where both have it, without weights."""
    mask = None
    if first.mask is not None or second.mask is not None:
        columns = (first if first.mask is not None else second).mask.shape[1]  # type: ignore[union-attr]
        mask = torch.cat(
            [r.mask if r.mask is not None else torch.ones(len(r), columns, dtype=torch.bool) for r in (first, second)]
        )
    y = None if first.y is None or second.y is None else torch.cat([first.y, second.y])
    return Rows(torch.cat([first.x, second.x]), mask, y)


def rows_to_check(rows: Rows, held_out: Rows | None) -> Rows:
    """Return what scales and findings are computed from, not too many rows: held-out ones or, without any, those learned from."""
    return (rows if held_out is None else held_out).within(CHECKED_VALUES, *CHECKED_ROWS)


def fingerprint(rows: Rows) -> str:
    """Return a short digest of encoded rows, without y, to tell whether two data sets are the same."""
    return digest_of(rows.x, rows.mask)


def has_repeats(rows: Rows) -> bool:
    """Whether two encoded rows are the same, without y."""
    values, mask = (rows.x.flatten(1) + 0.0).cpu().numpy(), rows.mask  # - 0.0 is 0.0
    lines = (values[i].tobytes() + (b"" if mask is None else mask[i].numpy().tobytes()) for i in range(len(rows)))
    return len(set(map(hash, lines))) < len(rows)


def digest_of(values: Tensor, *others: Tensor | None) -> str:
    """Return a short digest of tensors on the CPU, of which all but the first may be none."""
    digest = hashlib.sha256(repr(tuple(values.shape)).encode())
    for tensor in (values, *others):
        if tensor is not None:
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:16]
