"""Corruptions of the input, seeded; the target stays clean.

Vincent et al., Stacked Denoising Autoencoders, JMLR 11, 2010, section 3.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engram.errors import UsageError

Level = float | tuple[float, float]


def check_level(name: str | None, level: Level) -> None:
    """Raise `UsageError` for a level that a corruption cannot have: a range from high to low, a share of cells above one."""
    low, high = level if isinstance(level, tuple) else (level, level)
    if low > high:
        raise UsageError(
            f"corruption_level={level!r} is a range from high to low. Give the lower level first: {(high, low)!r}."
        )
    if name == "masking" and high > 1:
        raise UsageError(
            f"corruption_level={level!r}: with corruption='masking' it is the share of cells that are masked, from 0 to 1."
        )


def draw_level(level: Level, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return one level per row, shaped to broadcast over x: the number itself, or uniform from a range."""
    shape = (len(x), *[1] * (x.dim() - 1))
    if not isinstance(level, tuple | list):
        return torch.full(shape, float(level), dtype=x.dtype, device=x.device)
    low, high = level
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=x.dtype, device=x.device)


def gaussian(x: Tensor, level: Level, groups: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Add normal noise with standard deviation ``level``, in the units the network sees: standardised, or [0, 1]."""
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    return x + draw_level(level, x, generator) * noise


def masking(x: Tensor, level: Level, groups: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Set a share ``level`` of the cells to zero; values with the same number in ``groups`` go together."""
    share = draw_level(level, x, generator)
    if groups is None:
        return x * (torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device) >= share)
    n_groups = int(groups.max()) + 1
    drawn = torch.rand(len(x), n_groups, generator=generator, dtype=x.dtype, device=x.device)
    return x * (drawn >= share.flatten(1))[:, groups]


CORRUPTIONS: dict[str, Callable[..., Tensor]] = {"gaussian": gaussian, "masking": masking}
