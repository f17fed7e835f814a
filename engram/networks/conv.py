"""Convolutional bodies for pictures of any height, width and number of channels.

Down by strided convolutions, or by convolutions and max pooling (Masci et al., Stacked Convolutional Auto-Encoders, 2011);
up by nearest-neighbour resizing then convolution, which leaves no checkerboard
(Odena, Dumoulin & Olah, Deconvolution and Checkerboard Artifacts, Distill 2016).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from engram.networks.network import Body

LARGE = 4096  # values of a picture from which on channels begin at 32
DENSE = 4  # a picture is not halved below this side


def sizes(height: int, width: int, times: int) -> list[tuple[int, int]]:
    """Return the sizes of a picture halved ``times`` times, rounding up: [(h, w), (ceil(h/2), ceil(w/2)), ...]."""
    found = [(height, width)]
    for _ in range(times):
        h, w = found[-1]
        found.append(((h + 1) // 2, (w + 1) // 2))
    return found


class Upsample(nn.Module):
    """Resize to one given size, nearest neighbour, so that odd sizes come back exactly."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, size=self.size)


class Conv:
    """Convolutions of 3 x 3, one width (number of channels) per halving of the picture.

    Parameters
    ----------
    pool : bool
        Whether pictures are halved by the largest of 2 x 2 values after a convolution, not by its stride.
    """

    def __init__(self, *, pool: bool = False) -> None:
        self.pool = pool

    def widths(self, shape: tuple[int, ...], code_size: int) -> tuple[int, ...]:
        """Channels double with each halving until the short side is 4: from 16 (32 for large pictures) to at most 256."""
        side, found = min(shape[1:]), [16 if shape[0] * shape[1] * shape[2] <= LARGE else 32]
        while side > 2 * DENSE:
            side = (side + 1) // 2
            found.append(min(2 * found[-1], 256))
        return tuple(found)

    def encoder(self, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """From (channels, height, width) through one convolution per width, strided or pooled."""
        found: list[nn.Module] = []
        for n_in, n_out in pairwise((shape[0], *widths)):
            found += [nn.Conv2d(n_in, n_out, 3, stride=1 if self.pool else 2, padding=1), nn.ELU()]
            if self.pool:
                found.append(nn.MaxPool2d(2, ceil_mode=True))
            if dropout:
                found.append(nn.Dropout2d(dropout))
        last = sizes(shape[1], shape[2], len(widths))[-1]
        return Body(nn.Sequential(*found), (widths[-1] if widths else shape[0], *last))

    def decoder(self, code_size: int, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """From codes through a linear layer to the smallest picture, then up to the row's size, where the head follows."""
        steps = sizes(shape[1], shape[2], len(widths))
        channels = widths[::-1] or (shape[0],)
        small = (channels[0], *steps[-1])
        found: list[nn.Module] = [nn.Linear(code_size, small[0] * small[1] * small[2]), nn.Unflatten(1, small)]
        if widths:  # without a width the whole network is linear
            found.append(nn.ELU())
        for i, size in enumerate(steps[-2::-1]):
            found.append(Upsample(size))
            if i + 1 < len(channels):  # at full size the head follows at once: a convolution there costs most of all
                found += [nn.Conv2d(channels[i], channels[i + 1], 3, padding=1), nn.ELU()]
                if dropout:
                    found.append(nn.Dropout2d(dropout))
        return Body(nn.Sequential(*found), (channels[-1], shape[1], shape[2]))
