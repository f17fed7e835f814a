"""Multilayer perceptrons on flattened rows."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import nn

from engram.networks.linear import Linear
from engram.networks.network import Body


def layers(sizes: tuple[int, ...], dropout: float) -> list[nn.Module]:
    """Return Linear, ELU (and dropout) from each size to the next; kinks would show in maps of codes."""
    found: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        found += [Linear(n_in, n_out), nn.ELU()]
        if dropout:
            found.append(nn.Dropout(dropout))
    return found


class MLP:
    """Fully connected layers; no hidden layer makes the network linear."""

    def widths(self, shape: tuple[int, ...], code_size: int) -> tuple[int, ...]:
        """Two layers: for rows of less than 256 values both of 64 or twice the code, else falling towards the code."""
        size = math.prod(shape)
        if size < 256:
            return (max(64, 2 * code_size),) * 2
        return (512, 256) if size >= 512 else (256, 128)

    def encoder(self, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """From rows of any shape, flattened, through the widths."""
        size = math.prod(shape)
        before: list[nn.Module] = [nn.Flatten()] if len(shape) > 1 else []
        return Body(nn.Sequential(*before, *layers((size, *widths), dropout)), ((size, *widths)[-1],))

    def decoder(self, code_size: int, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """From codes through the widths in reverse."""
        sizes = (code_size, *reversed(widths))
        return Body(nn.Sequential(*layers(sizes, dropout)), (sizes[-1],))
