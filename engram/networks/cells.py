"""Networks on rows of whole numbers: a cell is one of some bins, or hidden; an embedding of each is summed over the row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.networks.linear import Linear

WAVES = 8  # smooth functions of the place of a number's bin among the others


class BinTable(nn.Module):
    """One vector for each bin of each place: a free one, plus, for numbers, a smooth function of the bin's place in their order.

    Neighbouring bins of a number begin alike and stay so where rows are few: cosines of low frequency carry what they share.

    Parameters
    ----------
    sizes : sequence of int
        Bins of each place.
    ordered : sequence of int
        How many of them, from the first on, stand in order; 0 for categories.
    width : int
        Length of a vector.
    scale : float
        Standard deviation of the vectors at the start.
    """

    def __init__(self, sizes: Sequence[int], ordered: Sequence[int], width: int, scale: float) -> None:
        super().__init__()
        self.free = nn.Parameter(torch.randn(sum(sizes), width) * scale)
        numbers = [i for i, n in enumerate(ordered) if n]
        self.waves = nn.Parameter(torch.randn(len(numbers), WAVES, width) * scale)
        starts = np.cumsum([0, *sizes])
        most = max([ordered[i] for i in numbers], default=0)
        basis, rows = torch.zeros(len(numbers), most, WAVES), []
        for j, i in enumerate(numbers):
            n = ordered[i]
            place = (torch.arange(n) + 0.5) / n
            basis[j, :n] = torch.cos(torch.pi * place[:, None] * torch.arange(1, WAVES + 1))
            rows += [(int(starts[i]) + k, j * most + k) for k in range(n)]
        at = torch.tensor(rows, dtype=torch.long).reshape(-1, 2)
        for name, value in (("basis", basis), ("into", at[:, 0]), ("out_of", at[:, 1])):
            self.register_buffer(name, value, persistent=False)
        self.basis: Tensor
        self.into: Tensor
        self.out_of: Tensor

    def forward(self) -> Tensor:
        """Return all vectors, (bins of all places, width)."""
        if not len(self.into):
            return self.free
        smooth = torch.bmm(self.basis, self.waves).flatten(0, 1)[self.out_of]
        return self.free.index_add(0, self.into, smooth)


class Layers(nn.Module):
    """Residual layers of one width: h + layer(normalised h), each with dropout."""

    def __init__(self, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(width, width) for _ in range(depth))
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        for layer in self.layers:
            h = h + functional.silu(layer(normalised(h)))
        return cast("Tensor", self.dropout(h))


class ResidualBlocks(nn.Module):
    """Residual blocks, which begin as nothing: h + second(dropout(silu(first(normalised h)))) (He et al. 2016, arXiv:1603.05027)."""

    def __init__(self, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.ModuleList(Linear(width, width) for _ in range(depth))
        self.second = nn.ModuleList(Linear(width, width) for _ in range(depth))
        self.dropout = nn.Dropout(dropout)
        for weight in self.second.parameters():
            nn.init.zeros_(weight)

    def forward(self, h: Tensor) -> Tensor:
        for first, second in zip(self.first, self.second, strict=True):
            h = h + second(self.dropout(functional.silu(first(normalised(h)))))
        return h


def normalised(h: Tensor) -> Tensor:
    """Return features with mean 0 and variance 1 in each row (Ba, Kiros & Hinton 2016, arXiv:1607.06450), without a scale to learn."""
    return functional.layer_norm(h, h.shape[-1:])


class CellEncoder(nn.Module):
    """From a row, some of whose cells may be hidden, to features: the sum of its cells' vectors, then layers.

    Parameters
    ----------
    sizes, ordered : sequence of int
        As in `BinTable`.
    width, depth : int
        Of the layers.
    dropout : float
        Share of hidden values dropped while learning.
    sees_all : bool
        Whether no cell is ever hidden.
    blocks : bool
        Whether layers are `ResidualBlocks`.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        ordered: Sequence[int],
        width: int,
        depth: int,
        dropout: float,
        *,
        sees_all: bool = False,
        blocks: bool = False,
    ) -> None:
        super().__init__()
        self.table = BinTable(sizes, ordered, width, len(sizes) ** -0.5)
        self.hidden = None if sees_all else nn.Parameter(torch.randn(len(sizes), width) * len(sizes) ** -0.5)
        self.layers = (ResidualBlocks if blocks else Layers)(width, depth, dropout)
        self.register_buffer("start", torch.tensor(np.cumsum([0, *sizes[:-1]])), persistent=False)
        self.start: Tensor

    def forward(self, cells: Tensor, known: Tensor | None = None) -> Tensor:
        """Turn cells (rows, places) long and ``known`` (rows, places) bool, None for all, into features (rows, width)."""
        at, table = cells + self.start, self.table()
        if known is not None and self.hidden is not None:
            numbers = torch.arange(len(self.hidden), device=at.device) + len(table)
            at, table = torch.where(known, at, numbers), torch.cat([table, self.hidden])
        summed = functional.embedding_bag(at, table, mode="sum")
        return cast("Tensor", self.layers(summed))


class CellDecoder(nn.Module):
    """From features and a code to the logits of every bin of every place.

    Parameters
    ----------
    sizes, ordered : sequence of int
        As in `BinTable`.
    code_size, width, depth : int
        Of the code, which may be empty, and the layers.
    dropout : float
        Share of hidden values dropped while learning.
    """

    def __init__(
        self, sizes: Sequence[int], ordered: Sequence[int], code_size: int, width: int, depth: int, dropout: float
    ) -> None:
        super().__init__()
        self.code = nn.Linear(code_size, width) if code_size else None
        self.layers = Layers(width, depth, dropout)
        self.table = BinTable(sizes, ordered, width, 0.5 * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(sum(sizes)))
        self.sizes = tuple(sizes)
        self.ends = tuple(int(end) for end in np.cumsum(sizes))

    def features(self, h: Tensor, z: Tensor) -> Tensor:
        """Return what logits are linear in, (rows, width)."""
        return normalised(self.layers(h if self.code is None else h + self.code(z)))

    def forward(self, h: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        """Return logits for each place, (rows, bins)."""
        return torch.split(functional.linear(self.features(h, z), self.table(), self.bias), list(self.sizes), 1)

    def of_place(self, h: Tensor, z: Tensor, place: int, table: Tensor) -> Tensor:
        """Return the logits of one place, (rows, bins), given the table of vectors."""
        part = slice(self.ends[place] - self.sizes[place], self.ends[place])
        return functional.linear(self.features(h, z), table[part], self.bias[part])
