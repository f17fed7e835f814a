"""The networks of a game by family: a generator's body is a family's decoder, a discriminator's its encoder.

On rows of few numbers the fully connected pair follows what held up on mixtures in the plane: a generator of ReLU, which can be flat
between modes, against a discriminator that sees sines of the row beside it (Tancik et al., Fourier Features Let Networks Learn High
Frequency Functions, 2020, arXiv:2006.10739), since a plain one cannot tell narrow modes from wide ones.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from engram.networks.dcgan import Dcgan
from engram.networks.linear import Linear
from engram.networks.network import Body, Network
from engram.networks.residual import Residual

SLOPE = 0.2  # of a leaky ReLU below zero
WAVES = 16  # random directions along which a discriminator sees sines and cosines
OCTAVES = 6  # their frequencies spread over: from waves as wide as the rows to 1/32 of that
FEW = 8  # numbers a row, up to which it does


class Waves(nn.Module):
    """Rows with the sines and cosines of random directions beside them, (rows, n) -> (rows, n + 2 `WAVES`); fixed, standardised rows."""

    frequencies: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        octaves = torch.arange(WAVES).remainder(OCTAVES)
        self.register_buffer("frequencies", torch.randn(size, WAVES) * 2.0**octaves)

    def forward(self, x: Tensor) -> Tensor:
        phase = x @ self.frequencies
        return torch.cat([x, phase.sin(), phase.cos()], 1)


def dense(sizes: tuple[int, ...], activation: nn.Module, dropout: float) -> list[nn.Module]:
    """Return Linear, activation (and dropout) from each size to the next, with weights that keep a signal's size (He et al. 2015)."""
    found: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layer = Linear(n_in, n_out)
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
        found += [layer, activation]
        if dropout:
            found.append(nn.Dropout(dropout))
    return found


class DensePair:
    """Fully connected players on flattened rows."""

    def widths(self, shape: tuple[int, ...], code_size: int) -> tuple[int, ...]:
        """Four layers of 128, of 256 for rows of 64 values and more."""
        return (128 if math.prod(shape) < 64 else 256,) * 4

    def encoder(self, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """A discriminator's body: leaky ReLU, with one layer less than the generator where it has more than two."""
        size = math.prod(shape)
        before: list[nn.Module] = [nn.Flatten()] if len(shape) > 1 else []
        if size <= FEW:
            before.append(Waves(size))
            size += 2 * WAVES
        widths = widths[: max(2, len(widths) - 1)]
        layers = dense((size, *widths), nn.LeakyReLU(SLOPE), dropout)
        return Body(nn.Sequential(*before, *layers), ((size, *widths)[-1],))

    def decoder(self, code_size: int, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """A generator's body: ReLU."""
        sizes = (code_size, *reversed(widths))
        return Body(nn.Sequential(*dense(sizes, nn.ReLU(), dropout)), (sizes[-1],))


PLAYERS: dict[str, Network] = {
    "mlp": DensePair(),
    "dcgan": Dcgan(),
    "residual": Residual(norm_free=False),
    "norm-free": Residual(norm_free=True),
}


def players(name: str, *, batch_norm: bool) -> Network:
    """Return a family by name; ``batch_norm`` says whether its discriminator may mix the rows of a batch."""
    return Dcgan(batch_norm=False) if name == "dcgan" and not batch_norm else PLAYERS[name]
