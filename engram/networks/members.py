"""Networks of several members computed together: one batched product a layer instead of one small product a member."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class MemberLinear(nn.Module):
    """Linear layers side by side: (members, rows, n_in) -> (members, rows, n_out).

    Parameters
    ----------
    members, n_in, n_out : int
        How many layers there are, and their shape.
    bias : bool
        Whether there is an offset.
    """

    def __init__(self, members: int, n_in: int, n_out: int, *, bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(max(n_in, 1))  # as torch's Linear begins
        self.weight = nn.Parameter(torch.empty(members, n_in, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, n_out).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(x, self.weight) if self.bias is None else torch.baddbmm(self.bias, x, self.weight)


class MemberCoder(nn.Module):
    """Multilayer perceptrons with a linear path beside them, one per member: y = head(body(x)) + skip(x).

    Heads begin at zero, so that what `skip` is set to, principal components say, is where training begins.

    Parameters
    ----------
    members : int
        How many there are.
    sizes : tuple of int
        Values of a row that goes in, widths of the hidden layers, values that come out.
    """

    def __init__(self, members: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemberLinear(members, *pair) for pair in pairwise(sizes))
        self.skip = MemberLinear(members, sizes[0], sizes[-1], bias=False) if len(sizes) > 2 else None
        if self.skip is not None:
            self.head.weight.data.zero_()

    @property
    def head(self) -> MemberLinear:
        """The last layer, whose bias is the offset of the whole."""
        last = self.layers[-1]
        assert isinstance(last, MemberLinear)
        return last

    @property
    def linear(self) -> MemberLinear:
        """The layer whose weight is the linear map."""
        return self.head if self.skip is None else self.skip

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers[:-1]:
            y = functional.silu(layer(y))
        y = cast("Tensor", self.head(y))
        return y if self.skip is None else y + cast("Tensor", self.skip(x))
