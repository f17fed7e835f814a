"""A discriminator: one logit per row, or per pack of rows, and ways to take y into account."""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn

from engram.networks.network import Body, Network

CLIP = 0.01  # largest weight of a clipped discriminator
Way = Literal["concatenation", "projection", "auxiliary"]


def spread(y: Tensor, x: Tensor) -> Tensor:
    """Append y to vectors, or as constant planes to the channels of pictures."""
    if x.dim() == 2:
        return torch.cat([x, y], 1)
    return torch.cat([x, y[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)


class Discriminator(nn.Module):
    """Logits of rows, (rows, ...) -> (rows,): high where they look real.

    Given y, it sees y beside the row ("concatenation"; Mirza & Osindero 2014, arXiv:1411.1784), adds the product of features with an
    embedding of y to the logit ("projection"; Miyato & Koyama 2018, arXiv:1802.05637, equation 3), or tells y from the features
    ("auxiliary"; Odena et al. 2017, arXiv:1610.09585).

    Parameters
    ----------
    family : Network
        Whose encoder is the body.
    shape : tuple of int
        Shape of a row.
    widths : tuple of int
        Widths of the body's layers.
    dropout : float
        Share of hidden values dropped while learning.
    given : int
        Values of y, 0 where there is none.
    way : str
        How y comes in.
    pack : int
        Rows that are judged together (Lin et al. 2018, arXiv:1712.04086).
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        family: Network,
        shape: tuple[int, ...],
        widths: tuple[int, ...],
        dropout: float = 0.0,
        *,
        given: int = 0,
        way: Way = "concatenation",
        pack: int = 1,
    ) -> None:
        super().__init__()
        beside = given if way == "concatenation" else 0
        self.body: Body = family.encoder((pack * (shape[0] + beside), *shape[1:]), widths, dropout)
        self.size = math.prod(self.body.features)
        self.head = nn.Linear(self.size, 1, bias=False)  # games are about differences of logits
        self.shape, self.given, self.way, self.pack = shape, given, way, pack
        self.embedding = nn.Linear(pack * given, self.size, bias=False) if given and way == "projection" else None
        self.told = nn.Linear(self.size, pack * given) if given and way == "auxiliary" else None
        self.register_buffer("shift", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def standardise(self, x: Tensor) -> None:
        """See pictures with mean 0 and variance 1 from now on; vectors are encoded so already."""
        if x.dim() > 2:
            self.shift.copy_(x.mean())
            self.scale.copy_(x.std(correction=0).clamp(min=1e-6))

    def standardised(self, x: Tensor) -> Tensor:
        """Return encoded rows in the units that the discriminator sees."""
        return (x - self.shift) / self.scale

    def packed(self, x: Tensor) -> Tensor:
        """Return packs of rows, (rows / pack, pack times the first size, ...); rows that are left over go around to the first."""
        if self.pack == 1:
            return x
        n = math.ceil(len(x) / self.pack) * self.pack
        x = torch.cat([x, x[: n - len(x)]]) if len(x) >= n - len(x) else x.repeat(self.pack, *[1] * (x.dim() - 1))[:n]
        return x.view(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:])

    def features(self, x: Tensor, *given: Tensor) -> Tensor:
        """Return the last hidden values of standardised rows, (rows or packs, size)."""
        if given and self.way == "concatenation":
            x = spread(given[0], x)
        return cast("Tensor", self.body(self.packed(x)).flatten(1))

    def tell(self, x: Tensor) -> Tensor:
        """Return what an auxiliary discriminator says of y, (rows or packs, values)."""
        assert self.told is not None
        return cast("Tensor", self.told(self.features(x)))

    @torch.no_grad()
    def clip(self) -> None:
        """Put all weights within `CLIP` of zero (Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1)."""
        for weight in self.parameters():
            weight.clamp_(-CLIP, CLIP)

    def of_pairs(self, pairs: Tensor) -> Tensor:
        """Return logits of flattened rows with what they are given behind them, (rows, values + given) -> (rows,)."""
        x, given = pairs[:, : -self.given], pairs[:, -self.given :]
        return cast("Tensor", self(x.reshape(-1, *self.shape), given))

    def judged(self, features: Tensor, *given: Tensor) -> Tensor:
        """Return logits of features, (rows or packs,)."""
        logits = cast("Tensor", self.head(features))[:, 0]
        if self.embedding is not None and given:
            logits = logits + (self.embedding(self.packed(given[0])) * features).sum(1)
        return logits

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        return self.judged(self.features(x, *given), *given)
