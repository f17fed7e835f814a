"""Networks that are given y beside their input (Sohn, Lee & Yan, Learning Structured Output Representation, NeurIPS 2015)."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn


class Conditional(nn.Module):
    """A network of (input, y): y is appended to the flattened input, or, as ``planes``, to a picture's channels.

    Parameters
    ----------
    network : nn.Module
        Takes vectors that are ``given`` values longer than the input, or pictures of so many channels more.
    planes : bool
        Whether each value of y becomes a constant channel.
    """

    def __init__(self, network: nn.Module, *, planes: bool = False) -> None:
        super().__init__()
        self.network = network
        self.planes = planes

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if self.planes:
            y = y[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return cast("Tensor", self.network(torch.cat([x if self.planes else x.flatten(1), y], 1)))


def joined_shape(shape: tuple[int, ...], given: int, *, planes: bool) -> tuple[int, ...]:
    """Return the shape of what the inner network of a `Conditional` takes."""
    return (shape[0] + given, *shape[1:]) if planes else (math.prod(shape) + given,)
