"""Exponents that cannot overflow: logarithms of rates as networks give them."""

from __future__ import annotations

import math

from torch import Tensor

LIMIT = 20.0  # e^20 is 4.9e8: beyond, and below its inverse, outputs say what they mean in ever smaller steps


def tamed(x: Tensor, limit: float = LIMIT) -> Tensor:
    """Return x within +-limit, and beyond it sign(x) (limit + log(1 + |x| - limit)): continuous, with a continuous slope.

    exp(tamed(x)) is exp(x) up to e^limit and grows linearly from there, so that neither it nor its gradient overflows float32.
    Shapes: any -> the same.
    """
    inner = x.clamp(-limit, limit)
    beyond = x - inner
    return inner + beyond.sign() * beyond.abs().log1p()


def square_plus(x: Tensor) -> Tensor:
    """Return (x + sqrt(x^2 + b)) / 2, b = (2 log 2)^2: a smooth max(x, 0), at zero equal to softplus (Barron 2021, arXiv:2112.11687).

    Of additions, products and a root, which round alike at any place in memory; softplus does not.
    """
    return 0.5 * (x + (x.square() + (2 * math.log(2)) ** 2).sqrt())
