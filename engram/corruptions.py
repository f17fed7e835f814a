"""Corruptions of the input, seeded; the target stays clean, and a missing cell stays missing.

Vincent et al., Stacked Denoising Autoencoders, JMLR 11, 2010, section 3. Values of one cell (the one-hot of a category) go together.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from engram.errors import UsageError

Level = float | tuple[float, float]
THINNINGS = ("binomial-thinning", "hypergeometric-thinning")
SHARES = {  # corruptions whose level is a share: of what
    "masking": "cells that are masked",
    "salt-and-pepper": "cells that become extreme",
    "swap": "cells that are swapped",
    "binomial-thinning": "counts that are taken away",
    "hypergeometric-thinning": "counts that are taken away",
}


def check_level(name: str | None, level: Level) -> None:
    """Raise `UsageError` for a level that a corruption cannot have: a range from high to low, a share of cells above one."""
    low, high = level if isinstance(level, tuple) else (level, level)
    if low > high:
        raise UsageError(
            f"corruption_level={level!r} is a range from high to low. Give the lower level first: {(high, low)!r}."
        )
    if name in SHARES and high > 1:
        raise UsageError(
            f"corruption_level={level!r}: with corruption={name!r} it is the share of {SHARES[name]}, from 0 to 1."
        )


def check_fits(name: str | None, x: Tensor) -> None:
    """Raise `UsageError` where a corruption does not fit encoded rows x: blur needs pictures, thinning needs counts."""
    if name == "blur" and x.dim() != 4:
        raise UsageError(
            f"corruption='blur' needs pictures, but these rows are of shape {tuple(x.shape[1:])}. Use 'gaussian', 'masking' or 'swap'."
        )
    if name in THINNINGS and x.dim() == 4:
        raise UsageError(
            f"corruption={name!r} takes counts away, but these rows are pictures. Use 'gaussian', 'masking', 'swap' or 'blur'."
        )
    if name in THINNINGS and not bool(((x >= 0) & (x == x.round())).all()):
        raise UsageError(
            f"corruption={name!r} takes counts away, but some columns are no counts (0, 1, 2, ...). "
            "Say which are with columns={...: 'count'} (--column NAME=count), or use 'gaussian', 'masking' or 'swap'."
        )


def corrupted(
    name: str,
    x: Tensor,
    level: Level,
    groups: Tensor | None = None,
    generator: torch.Generator | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return rows x (rows, ...) corrupted by the corruption of that name; cells where ``mask`` (rows, columns) is False stay zero."""
    seen = None if mask is None else observed(x, mask, groups)
    if name == "swap":
        return swap(x, level, groups, generator, seen)
    found = CORRUPTIONS[name](x, level, groups, generator)
    return found if seen is None else torch.where(seen, found, 0.0)


def observed(x: Tensor, mask: Tensor | None, groups: Tensor | None) -> Tensor:
    """Return which values of rows x are not missing, like x, bool."""
    if mask is None:
        return torch.ones_like(x, dtype=torch.bool)
    return (mask if groups is None else mask[:, groups]).view_as(x)


def draw_level(level: Level, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return one level per row, shaped to broadcast over x: the number itself, or uniform from a range."""
    shape = (len(x), *[1] * (x.dim() - 1))
    if not isinstance(level, tuple | list):
        return torch.full(shape, float(level), dtype=x.dtype, device=x.device)
    low, high = level
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=x.dtype, device=x.device)


def _per_cell(x: Tensor, groups: Tensor | None, generator: torch.Generator | None) -> Tensor:
    """Return one uniform number per cell, in the shape of x: the same for all values with the same number in ``groups``."""
    if groups is None:
        return torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    n_groups = int(groups.max()) + 1
    drawn = torch.rand(len(x), n_groups, generator=generator, dtype=x.dtype, device=x.device)
    return drawn[:, groups]


def gaussian(x: Tensor, level: Level, groups: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Add normal noise with standard deviation ``level``, in the units the network sees: standardised, or [0, 1]."""
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    return x + draw_level(level, x, generator) * noise


def masking(x: Tensor, level: Level, groups: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Set a share ``level`` of the cells to zero."""
    share = draw_level(level, x, generator)
    return x * (_per_cell(x, groups, generator) >= share)


def salt_and_pepper(
    x: Tensor, level: Level, groups: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Set a share ``level`` of the cells to their lowest or highest value among these rows, by a fair coin.

    Pictures have one lowest and one highest value, tables one per column.
    """
    share = draw_level(level, x, generator)
    low, high = (x.amin(0), x.amax(0)) if x.dim() == 2 else (x.min(), x.max())
    drawn = _per_cell(x, groups, generator)
    return torch.where(drawn < share, torch.where(drawn < share / 2, low, high), x)


def swap(
    x: Tensor,
    level: Level,
    groups: Tensor | None = None,
    generator: torch.Generator | None = None,
    seen: Tensor | None = None,
) -> Tensor:
    """Give a share ``level`` of the cells the value that another random row of the batch has there: each column keeps its distribution.

    Swap noise, as in the denoising autoencoders that win with tables. A missing cell neither takes nor gives (``seen``, like x).
    """
    n = len(x)
    if n < 2:
        return x
    flat, share = x.flatten(1), draw_level(level, x, generator).flatten(1)
    swapped = _per_cell(flat, groups, generator) < share
    shift = 1 + (_per_cell(flat, groups, generator) * (n - 1)).long().clamp(max=n - 2)
    donors = (torch.arange(n, device=x.device)[:, None] + shift) % n  # never the row itself
    if seen is not None:
        swapped = swapped & seen.flatten(1) & seen.flatten(1).gather(0, donors)
    return torch.where(swapped, flat.gather(0, donors), flat).view_as(x)


def blur(x: Tensor, level: Level, groups: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Blur pictures (rows, channels, height, width) by a Gaussian of ``level`` pixels; at the edges by what lies inside."""
    sigma = draw_level(level, x, generator).clamp(min=1e-3)
    rows, columns = (_averages(size, sigma.flatten()) for size in x.shape[2:])
    return rows[:, None] @ x @ columns[:, None].mT


def _averages(size: int, sigma: Tensor) -> Tensor:
    """Return (rows, size, size) weights of a running average along one side, each summing to one."""
    place = torch.arange(size, dtype=sigma.dtype, device=sigma.device)
    apart = (place[:, None] - place) / sigma[:, None, None]
    return (-0.5 * apart.square()).softmax(2)


def binomial_thinning(
    x: Tensor, level: Level, groups: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Take each counted thing away with probability ``level``, then divide by what is expected to stay: the mean remains.

    Steutel & van Harn, Discrete Analogues of Self-Decomposability and Stability, 1979.
    """
    kept = (1 - draw_level(level, x, generator)).expand_as(x)
    return torch.binomial(x, kept.contiguous(), generator=generator) / kept.clamp(min=math.ulp(1.0))


def hypergeometric_thinning(
    x: Tensor, level: Level, groups: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Take a share ``level`` of a row's counted things away without replacement, then divide by what stayed: the row's total remains.

    The multivariate hypergeometric distribution: rarefaction, as with documents and sequencing. At least one thing stays.
    """
    flat = x.flatten(1)
    total = flat.sum(1)
    stay = (total * (1 - draw_level(level, x, generator).flatten())).round().clamp(min=1).minimum(total)
    things = torch.repeat_interleave(torch.arange(flat.numel(), device=x.device), flat.flatten().long())
    row = things // flat.shape[1]
    keys = torch.rand(len(things), generator=generator, dtype=torch.float64, device=x.device) + row
    first = torch.cumsum(total, 0) - total
    place = torch.arange(len(things), device=x.device) - first.long()[row]
    kept = things[keys.argsort()][place < stay[row]]  # sorted by row, in random order within a row
    found = torch.bincount(kept, minlength=flat.numel()).view_as(flat).to(x.dtype)
    return (found * (total / stay.clamp(min=1))[:, None]).view_as(x)


CORRUPTIONS: dict[str, Callable[..., Tensor]] = {
    "binomial-thinning": binomial_thinning,
    "blur": blur,
    "gaussian": gaussian,
    "hypergeometric-thinning": hypergeometric_thinning,
    "masking": masking,
    "salt-and-pepper": salt_and_pepper,
    "swap": swap,
}
