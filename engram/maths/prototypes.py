"""Prototypes: centres of several rows each, how far a row is from them, and how much that says."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from engram.maths.distance import squared_distances
from engram.maths.linear import directions

ROUNDS = 4  # of moving centres to the means of their rows
GROWING = (2, 4, 7)  # rows that a centre needs on the way to the least: one that is dropped hands its rows on
WIDE = 40  # principal components, beyond which distances say less
SHARE, COUNTED = 0.9, 1024  # share of the variance that they keep, and rows that they are counted in


class Prototypes(NamedTuple):
    """Centres with the rows they stand for."""

    centres: Tensor  # (k, values)
    counts: Tensor  # (k,) how many rows
    spreads: Tensor  # (k,) mean squared distance of those rows from the centre


def prototypes(x: Tensor, most: int, least: int, generator: torch.Generator) -> Prototypes:
    """Return at most ``most`` centres of x (rows, values), none of which stands for fewer than ``least`` rows (Lloyd, 1982).

    Rows whose centre would stand for fewer go to the next one, so that no row is stored and lone rows have no centre of their own.
    With fewer than ``least`` rows there is one centre, of all.
    """
    n = len(x)
    count = max(1, min(most, n // least))
    centres = x[torch.randperm(n, generator=generator)[:count]]
    for _ in range(ROUNDS):
        centres = _means(x, centres)
    for fewest in (*(g for g in GROWING if g < least), least):
        numbers = torch.bincount(squared_distances(x, centres).argmin(1), minlength=len(centres))
        keep = numbers >= min(fewest, int(numbers.max()))
        centres = _means(x, centres[keep])
    while True:
        distances, nearest = squared_distances(x, centres).min(1)
        numbers = torch.bincount(nearest, minlength=len(centres))
        few = numbers < min(least, n)
        if not few.any() or len(centres) == 1:
            break
        centres = centres[~few] if not few.all() else x.mean(0, keepdim=True)
    spreads = torch.zeros_like(centres[:, 0]).index_add_(0, nearest, distances) / numbers
    sums = torch.zeros_like(centres).index_add_(0, nearest, x)
    return Prototypes(sums / numbers[:, None], numbers, spreads)


def _means(x: Tensor, centres: Tensor) -> Tensor:
    """Return the means of the rows that are nearest to each centre; one that has no row stays."""
    nearest = squared_distances(x, centres).argmin(1)
    numbers = torch.bincount(nearest, minlength=len(centres))
    sums = torch.zeros_like(centres).index_add_(0, nearest, x)
    return torch.where(numbers[:, None] > 0, sums / numbers.clamp(min=1)[:, None], centres)


def reach(x: Tensor, around: Prototypes, *, roomy: bool) -> Tensor:
    """Distance of rows (rows, values) to the nearest prototype, (rows,).

    Where it is ``roomy``, a prototype's own spread (nine tenths its own, one tenth the common one) counts as squared distance, too: one
    of rows that lie far apart is no place where a row is at home.
    """
    room = torch.zeros_like(around.spreads)
    if roomy:
        room = 0.9 * around.spreads + 0.1 * (around.counts * around.spreads).sum() / around.counts.sum()
    nearest = torch.addmm(around.centres.square().sum(1) + room, x, around.centres.T, alpha=-2).min(1).values
    found: Tensor = (nearest + x.square().sum(1)).clamp(min=0).sqrt()
    return found


def telling(x: Tensor) -> Tensor:
    """Return how much distances between rows (rows, values), and sums over all values, say beside what a model of the rows leaves, ().

    It is 1 where nine tenths of the variance take up to `WIDE` principal components, and falls with the square of their number. In many
    directions all rows are about equally far from everything (Beyer et al., When is "nearest neighbor" meaningful?, 1999), and what they
    have in common drowns what sets one apart. Where it begins was chosen on tables of made flags, words and pictures.
    """
    rows = x if len(x) <= COUNTED else x[torch.linspace(0, len(x) - 1, COUNTED).long()]
    return torch.tensor(min(1.0, (WIDE / directions(rows, SHARE)) ** 2))
