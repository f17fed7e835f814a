"""Rows as a detector's score sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engram.models.blocks import MULTIPLE, Aligned
from engram.training import Batch


class Views(NamedTuple):
    """Rows as the score sees them."""

    x: Tensor  # (rows, values) standardised; missing cells 0
    mask: Tensor | None  # (rows, columns)
    residuals: Tensor  # (members, rows, residuals)
    filled: Tensor | None = None  # (members, rows, values) on each member's scale with holes filled; None: as x

    def take(self, index: Tensor) -> Views:
        """Return some of the rows."""
        mask, filled = None if self.mask is None else self.mask[index], None
        if self.filled is not None:
            filled = self.filled[:, index]
        return Views(self.x[index], mask, self.residuals[:, index], filled)

    def of(self, member: int) -> Tensor:
        """Return the rows as a member fills them, (rows, values)."""
        return self.x if self.filled is None else self.filled[member]

    @classmethod
    def joined(cls, parts: Sequence[Views]) -> Views:
        """Return the rows of all parts."""
        masks = [part.mask for part in parts if part.mask is not None]
        x = torch.cat([part.x for part in parts])
        fills = [part.filled for part in parts if part.filled is not None]
        residuals = torch.cat([part.residuals for part in parts], 1)
        return cls(x, torch.cat(masks) if masks else None, residuals, torch.cat(fills, 1) if fills else None)


def filled_up(n: int) -> Tensor:
    """Return the numbers of n rows, the first repeated up to a multiple of 16: as many rows as are looked at together at use."""
    return torch.cat([torch.arange(n), torch.zeros(-n % MULTIPLE, dtype=torch.long)])


def as_at_use(look: Callable[[Batch], Views], batch: Batch, *, exact: bool) -> Views:
    """Return what is seen of rows that were learned from; where it is to be ``exact``, to the bit as if they were new.

    New rows are looked at in multiples of 16, from places of memory that do not change how they are summed (`engram.models.blocks`).
    """
    if not exact:
        return look(batch)
    n = len(batch)
    rows = filled_up(n)
    with Aligned():
        found = look(Batch(batch.x[rows], None if batch.mask is None else batch.mask[rows]))
    return found.take(torch.arange(n))
