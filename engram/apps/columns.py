"""What a detector knows of each column by itself: quantiles, tails, shares of flags and categories, shares of missing cells."""

from __future__ import annotations

import torch
from torch import Tensor

from engram.apps.ensemble import CLIP, seen_values
from engram.apps.lots import floored, pooled, unfloored

GRID = 1025  # most quantiles kept of a column
BINS = 1024  # of a column, evenly over the values that standardised numbers can have
VALUES = 1 << 20  # most quantiles, and bins, of all columns together
NAMES = ("grid", "tails", "least", "rare", "missing")


def columns_known(x: Tensor, mask: Tensor | None, measured: Tensor, groups: Tensor | None) -> dict[str, Tensor]:
    """Return what is known of each column from standardised rows x (rows, values), by `NAMES`.

    ``measured`` says which values are numbers, ``mask`` (rows, columns) which cells are there, ``groups`` (values,) the column of each.
    """
    n = len(x)
    known = seen_values(mask, groups)
    seen = torch.ones_like(x, dtype=torch.bool) if known is None else known
    there = seen.sum(0).clamp(min=1)  # (values,)
    most = max(65, VALUES // max(1, int(measured.sum())))
    numbers = torch.where(seen, x, torch.inf)[:, measured]  # missing cells go to the end, and are not looked at
    at = (torch.linspace(0, 1, min(GRID, most))[:, None] * (there[measured] - 1)).round().long()
    grid = numbers.sort(0).values.gather(0, at).T.contiguous()
    rare = (x * seen).sum(0)[~measured] / there[~measured]
    columns = len(measured) if groups is None else int(groups.max()) + 1
    gone = torch.zeros(columns) if mask is None else (~mask).float().mean(0)
    return {
        "grid": torch.where(grid.isinf(), 0.0, grid),  # of a column without any cell
        "tails": _tails(x[:, measured], seen[:, measured], min(BINS, most)),
        "least": torch.tensor(1 / (n + 1)),
        "rare": floored(rare, n),
        "missing": floored(gone, n),
    }


def _bins(numbers: Tensor, count: int) -> Tensor:
    """Return the number of the bin of each standardised number."""
    return ((numbers + CLIP) * (count / (2 * CLIP))).long().clamp_(0, count - 1)


def _tails(numbers: Tensor, seen: Tensor, count: int) -> Tensor:
    """Return twice the smaller tail of each bin of each column, (numbers, count): shares of the cells, the bin's included."""
    masses = torch.zeros(numbers.shape[1], count, dtype=torch.float64)
    masses.scatter_add_(1, _bins(numbers, count).T, seen.T.double())
    below = masses.cumsum(1)
    found = 2 * torch.minimum(below, below[:, -1:] - below + masses) / below[:, -1:].clamp(min=1)
    return found.float()


def how_far_out(known: dict[str, Tensor], x: Tensor, measured: Tensor, single: Tensor, *, counted: bool) -> Tensor:
    """- log of the share of a column that is as far out as each value, or of its category, (rows, values).

    ``single`` says which values are a column of their own. Rows that were not ``counted`` in what is known are added to it, so that they
    are treated as those that were.
    """
    least, tails, rare = known["least"], known["tails"], known["rare"]
    values = torch.zeros_like(x)
    share = tails.gather(1, _bins(x[:, measured], tails.shape[1]).T) + (0 if counted else least)
    values[:, measured] = -torch.maximum(share, least).clamp(max=1).log().T
    flags, alone = x[:, ~measured], single[~measured]
    values[:, ~measured] = flags * -rare.log() + torch.where(alone, (1 - flags) * -(1 - rare).log(), 0.0)
    return values


def normal_ranks(grid: Tensor, x: Tensor, measured: Tensor) -> Tensor:
    """Return rows with their numbers made normal by their ranks in their columns, (rows, values); ties share their mean rank."""
    numbers, n = x[:, measured].T.contiguous(), grid.shape[1]
    counted = torch.searchsorted(grid, numbers, right=True) + torch.searchsorted(grid, numbers)
    level = (counted / (2 * n)).clamp(0.5 / n, 1 - 0.5 / n)
    found = x.clone()
    found[:, measured] = torch.special.ndtri(level).T
    return found


def both_known(mine: dict[str, Tensor], theirs: dict[str, Tensor], known: float, new: float) -> dict[str, Tensor]:
    """Return what is known of columns from two lots of so many rows: shares are averaged, quantiles pooled."""
    weight = known / (known + new)
    found = {"tails": weight * mine["tails"] + (1 - weight) * theirs["tails"]}
    for name in ("rare", "missing"):
        both = weight * unfloored(mine, name) + (1 - weight) * unfloored(theirs, name)
        found[name] = floored(both, known + new)
    least = torch.tensor(1 / (known + new + 1))
    return found | {"grid": pooled(mine["grid"], theirs["grid"], weight), "least": least}
