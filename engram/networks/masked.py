"""Masked networks: the output of a column sees only the columns before it in an order (Germain et al. 2015, arXiv:1502.03509)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


def ordering(n_columns: int, number: int) -> Tensor:
    """Return the place, 1 to n_columns, of each column in an order, (columns,) long.

    Number 0 is the order of the columns, 1 its reverse, the others are fixed permutations, the same in every process.
    """
    if number < 2:
        places = torch.arange(1, n_columns + 1, device="cpu")
        return places if number == 0 else places.flip(0)
    generator = torch.Generator(device="cpu").manual_seed(number)
    return torch.randperm(n_columns, generator=generator, device="cpu") + 1


def masks(degrees: list[Tensor]) -> list[Tensor]:
    """Return which inputs each unit of each layer sees, (units, inputs) bool, from the degrees of inputs, hidden layers and outputs.

    Equations 12 and 13: a hidden unit sees degrees up to its own, an output only smaller ones.
    """
    inside = [later[:, None] >= earlier[None] for earlier, later in pairwise(degrees[:-1])]
    return [*inside, degrees[-1][:, None] > degrees[-2][None]]


class MaskedLinear(nn.Module):
    """An affine layer some of whose weights are zero: y = (W * mask) x + b.

    Parameters
    ----------
    mask : Tensor
        (outputs, inputs) bool.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(mask.shape))
        self.bias = nn.Parameter(torch.zeros(len(mask)))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.register_buffer("mask", mask.float(), persistent=False)
        self.mask: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.mask, self.bias)


class MaskedNetwork(nn.Module):
    """Fully connected layers of masked weights, and a masked linear path beside them (section 4.1 of the paper).

    Parameters
    ----------
    columns : Tensor
        (values,) long: the column of each input value, 0, 0, 0, 1, ...; values of one column do not see each other.
    outputs : Tensor
        (outputs,) long: the column of each output.
    places : Tensor
        (columns,) long: the place of each column in the order, from 1 on.
    widths : tuple of int
        Widths of the hidden layers; () is linear in the columns before.
    dropout : float
        Share of hidden values dropped while learning.
    """

    def __init__(
        self, columns: Tensor, outputs: Tensor, places: Tensor, widths: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.places = places
        before, after, most = places[columns], places[outputs], max(len(places) - 1, 1)
        hidden = [torch.arange(width, device="cpu") * most // width + 1 for width in widths]
        self.layers = nn.ModuleList(MaskedLinear(mask) for mask in masks([before, *hidden, after]))
        self.skip = MaskedLinear(masks([before, after])[0]) if widths else None
        self.dropout = nn.Dropout(dropout)

    @property
    def last(self) -> MaskedLinear:
        """The layer whose biases are the outputs that no column decides."""
        return cast("MaskedLinear", self.layers[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Turn (rows, values) into (rows, outputs), each of which sees only columns before its own in the order."""
        y = x
        for layer in self.layers[:-1]:
            y = self.dropout(functional.elu(layer(y)))
        y = self.last(y)
        return cast("Tensor", y if self.skip is None else y + self.skip(x))


def drawn(
    members: Sequence[MaskedNetwork],
    columns: Tensor,
    sample: Callable[[Tensor, torch.Generator], Tensor],
    n: int,
    generator: torch.Generator,
) -> Tensor:
    """Draw rows, (n, values), column by column, each row in the order of a network taken at random.

    Parameters
    ----------
    members : sequence of MaskedNetwork
        One for each order.
    columns : Tensor
        (values,) long: the column of each value.
    sample : callable
        Draws rows, (rows, values), given outputs.
    n : int
        How many.
    generator : torch.Generator
        The source of all draws.
    """
    member_of = torch.randint(len(members), (n,), generator=generator)
    x = torch.zeros(n, len(columns))
    for k, member in enumerate(members):
        rows = (member_of == k).nonzero().flatten()
        for column in member.places.argsort().tolist() if len(rows) else []:
            values = (columns == column).nonzero().flatten()
            x[rows[:, None], values] = sample(member(x[rows]), generator)[:, values]
    return x
