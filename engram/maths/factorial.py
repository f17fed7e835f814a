"""Logarithms of factorials in float64: log-probabilities of counts are small differences of large logarithms."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def _first() -> Tensor:
    """Return log n! of n = 0, 1, ..., 4095; not at import: threads that an import starts are lost in a fork, which then waits for them."""
    return torch.lgamma(torch.arange(1, 4097, dtype=torch.float64, device="cpu"))


def log_factorial(x: Tensor) -> Tensor:
    """Return log x! = log gamma(x + 1), in float64 and without a gradient; small counts are looked up, in less time than `lgamma` takes.

    Shapes: any -> the same.
    """
    x = x.detach()
    if x.device.type != "cpu":
        return torch.lgamma(x.double() + 1)
    known = _first()
    index = x.to(torch.int32).clamp_(0, len(known) - 1)
    found = known.index_select(0, index.reshape(-1)).view(x.shape)
    other = index != x  # large, or no count
    if bool(other.any()):
        found[other] = torch.lgamma(x[other].double() + 1)
    return found
