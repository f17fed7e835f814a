"""The contract of a family of networks, and the `Coder` that gives any of them a head and a linear path."""

from __future__ import annotations

import math
from typing import Protocol, cast

from torch import Tensor, nn

from engram.networks.linear import Linear


class Body(nn.Module):
    """A network without its last layer: forward gives features of the shape ``features`` for each row.

    Parameters
    ----------
    layers : nn.Module
        The layers.
    features : tuple of int
        Shape of what they give, without the rows.
    """

    def __init__(self, layers: nn.Module, features: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = layers
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.layers(x))


class Network(Protocol):
    """A family: says which widths suit a shape, and builds the two bodies."""

    def widths(self, shape: tuple[int, ...], code_size: int) -> tuple[int, ...]:
        """Return the widths that "auto" stands for: a pure function of the shapes."""

    def encoder(self, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """Return a body from rows of ``shape`` to features, the widths in order."""

    def decoder(self, code_size: int, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """Return a body from codes to features that a head can turn into ``shape``, the widths in reverse."""


def head(features: tuple[int, ...], shape: tuple[int, ...]) -> nn.Module:
    """Return the last layer: from features to ``shape``; a convolution where both are pictures, else linear."""
    if len(features) == len(shape) == 3:
        return nn.Conv2d(features[0], shape[0], 3, padding=1)
    n_in, n_out = math.prod(features), math.prod(shape)
    linear = Linear(n_in, n_out)
    before = [nn.Flatten()] if len(features) > 1 else []
    after = [nn.Unflatten(1, shape)] if len(shape) > 1 else []
    return nn.Sequential(*before, linear, *after) if before or after else linear


class Coder(nn.Module):
    """Body, head and, where asked, a linear path beside them: y = head(body(x)) + skip(x).

    With the path set to principal components and the head to zero, training begins at PCA.

    Parameters
    ----------
    body : Body
        The network without its last layer.
    shape_in, shape_out : tuple of int
        Shapes of a row that goes in and of what comes out.
    skip : bool
        Whether there is a linear path beside the body (vectors only).
    """

    def __init__(
        self, body: Body, shape_in: tuple[int, ...], shape_out: tuple[int, ...], *, skip: bool = False
    ) -> None:
        super().__init__()
        self.body = body
        self.head = head(body.features, shape_out)
        self.skip = nn.Linear(math.prod(shape_in), math.prod(shape_out), bias=False) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        y = cast("Tensor", self.head(self.body(x)))
        if self.skip is None:
            return y
        return y + cast("Tensor", self.skip(x.flatten(1))).view_as(y)


def linear_part(coder: Coder) -> tuple[nn.Linear, nn.Linear] | None:
    """Return (the layer whose weight is the linear map, the layer whose bias is the offset), or None without one.

    A coder whose body only flattens is linear itself; one with a linear path has its nonlinear head set to zero by the
    caller.
    """
    last = next((m for m in coder.head.modules() if isinstance(m, nn.Linear)), None)
    if last is None:
        return None
    if coder.skip is not None:
        return coder.skip, last
    if all(isinstance(m, Body | nn.Sequential | nn.Flatten | nn.Identity) for m in coder.body.modules()):
        return last, last
    return None
