"""What was estimated of two lots of rows, as if of all of them together."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from engram.maths.conformal import Yardstick, yardstick
from engram.maths.linear import inverse_root

T = TypeVar("T")


def paired(mine: list[T], theirs: list[T]) -> list[tuple[T, T]]:
    """Pair what members have of two lots; what all of them share goes with each."""
    n = max(len(mine), len(theirs))
    return [(mine[m % len(mine)], theirs[m % len(theirs)]) for m in range(n)]


def floored(shares: Tensor, rows: float) -> Tensor:
    """Return shares of so many rows, kept off 0 and 1 by half a row: what was never seen may come."""
    few = 0.5 / (rows + 1)
    return shares.clamp(few, 1 - few)


def unfloored(tensors: dict[str, Tensor], name: str) -> Tensor:
    """Return shares as they were counted: of several lots the half row that stands for none would add up to rows."""
    shares, few = tensors[name], 0.501 * tensors["least"]
    return torch.where(shares <= few, 0.0, torch.where(shares >= 1 - few, 1.0, shares))


def pooled(mine: Tensor, theirs: Tensor, weight: float) -> Tensor:
    """Return the quantiles of two sets of sorted quantiles (columns, q), the first of which has this weight."""
    both = torch.cat([mine, theirs], 1)
    share = torch.cat(
        [torch.full_like(mine, weight / mine.shape[1]), torch.full_like(theirs, (1 - weight) / theirs.shape[1])], 1
    )
    values, order = both.sort(1)
    levels = share.gather(1, order).cumsum(1)
    at = (torch.arange(mine.shape[1]) + 0.5) / mine.shape[1]
    found = torch.searchsorted(levels, at.expand(len(levels), -1).contiguous()).clamp(max=both.shape[1] - 1)
    found[:, 0], found[:, -1] = 0, both.shape[1] - 1  # the ends stay the ends
    return values.gather(1, found)


def pooled_covariance(
    mine: dict[str, Tensor], theirs: dict[str, Tensor], weight: float, name: str
) -> dict[str, Tensor]:
    """Return the mean of residuals and a root of the inverse of their covariance, of two lots of rows."""

    def moments(state: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        root = state[name].double()
        return state["mean"].double(), torch.linalg.inv(root @ root.mT)

    (first, ours), (second, other) = moments(mine), moments(theirs)
    gap = first - second
    pooled = weight * ours + (1 - weight) * other + weight * (1 - weight) * gap.mT @ gap
    return {"mean": (weight * first + (1 - weight) * second).float(), name: inverse_root(pooled).float()}


def longer(mine: Yardstick, theirs: Yardstick, weight: float, most: int) -> Yardstick:
    """Return a yardstick of the scores of both, of each as many as its rows ask for, at most ``most`` together."""
    n = min(most, len(mine.scores) + len(theirs.scores))
    first = min(len(mine.scores), max(1, round(weight * n)))
    second = min(len(theirs.scores), max(1, n - first))
    parts = [s.scores[torch.linspace(0, len(s.scores) - 1, k).long()] for s, k in ((mine, first), (theirs, second))]
    return yardstick(torch.cat(parts))
