"""Which cells make a row strange: how much less it would be so if a cell were what the others lead one to expect.

Two measures say how strange a row is, both in units of squared deviations: the squared Mahalanobis distance of what its reconstruction
leaves, which tells columns apart, and - 2 log of its p-value, which also knows of a rare category that the networks reproduce. A cell's
part is the larger fall of the two.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ROUNDS = 4  # of filling a hidden cell with what is made of it

# from standardised rows (rows, values) to what each cell is expected to be, given the others, (rows, values)
Settled = Callable[[Tensor], Tensor]
# from standardised rows (rows, values) to how strange each is by each measure, (measures, rows)
Departure = Callable[[Tensor], Tensor]


def columns_of(values: int, groups: Tensor | None) -> Tensor:
    """Return which values belong to each column, (columns, values) bool."""
    owner = torch.arange(values) if groups is None else groups
    return owner == torch.arange(int(owner.max()) + 1)[:, None]


def expected_cells(x: Tensor, groups: Tensor | None, settled: Settled, seen: Tensor | None = None) -> Tensor:
    """Return rows in which one cell was replaced by what the others lead one to expect, (columns, rows, values).

    The cell is hidden (set to its mean), filled with what it is expected to be, and filled again until it hardly moves. Values
    that are not ``seen`` (rows, values) are filled beside it.
    """
    owned = columns_of(x.shape[1], groups)[:, None, :]
    owned = owned if seen is None else owned | ~seen
    filled = torch.where(owned, 0.0, x)
    for _ in range(ROUNDS):
        made = settled(filled.flatten(0, 1)).view_as(filled)
        filled = torch.where(owned, made, filled)
    return filled


def shares_of(
    x: Tensor, expected: Tensor, departure: Departure, groups: Tensor | None, holes: Tensor | None = None
) -> Tensor:
    """Return each column's share in how strange a row is, (rows, columns): 0 to 1, summing to 1 where there is anything.

    A column's part is how much less strange the row is with the expected cell in its place, by the measure that falls more, and none
    where that is the cell it has; of a missing cell what ``holes`` say of it, (rows, columns), nan elsewhere.
    """
    base = departure(x)
    without = departure(expected.flatten(0, 1)).view(len(base), len(expected), len(x))
    owned = columns_of(x.shape[1], groups)[:, None, :]
    moved = (
        ((expected - x) * owned).square().sum(-1).T
    )  # how far each is from what is expected: the share if no cell helps
    gain = (base[:, None] - without).clamp(min=0).amax(0).T
    gain = torch.where(moved > 0, gain, 0.0)
    if holes is not None:
        gain, moved = torch.where(holes.isnan(), gain, holes), torch.where(holes.isnan(), moved, 0.0)
    gain = torch.where(gain.sum(1, keepdim=True) > 0, gain, moved)
    total = gain.sum(1, keepdim=True)
    return torch.where(total > 0, gain / total.clamp(min=1e-12), 0.0)
