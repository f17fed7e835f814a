"""The deep convolutional pair of players, for pictures of any height, width and number of channels.

Radford, Metz & Chintala, Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks, 2016
(arXiv:1511.06434), section 3: strided convolutions instead of pooling, no hidden layer that is fully connected, ReLU in the
generator, LeakyReLU in the discriminator. Kernels of 4 x 4 with stride 2 reach every pixel equally often, so that no checkerboard
shows (Odena, Dumoulin & Olah, Deconvolution and Checkerboard Artifacts, Distill 2016), where the paper's 5 x 5 do not.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from engram.networks.conv import LARGE, sizes
from engram.networks.network import Body

LEAK = 0.2  # slope of LeakyReLU below zero (section 4)
SPREAD = 0.02  # standard deviation of the weights at the start (section 4)
SMALL = 8  # a picture whose short side is longer is halved once more


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that also takes a single row of a single pixel, by the running statistics: it has no spread of its own."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == self.num_features:
            return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


class Doubled(nn.ConvTranspose2d):
    """Transposed convolution of 4 x 4, stride 2, to one given size: the double in each direction or one less.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    size : tuple of int
        Height and width of what comes out.
    bias : bool
        Whether there is a bias: none before a batch normalisation, which would take it away.
    """

    def __init__(self, n_in: int, n_out: int, size: tuple[int, int], *, bias: bool) -> None:
        super().__init__(n_in, n_out, 4, stride=2, padding=1, bias=bias)
        self.size = size

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        h, w = self.size
        return super().forward(x, output_size)[..., :h, :w]


def halved(n_in: int, n_out: int, size: tuple[int, int], *, bias: bool) -> list[nn.Module]:
    """Return a convolution of 4 x 4, stride 2, that halves a picture of ``size``, rounding up: an odd side gets a line of zeros."""
    h, w = size[0] % 2, size[1] % 2
    before: list[nn.Module] = [nn.ZeroPad2d((0, w, 0, h))] if h or w else []
    return [*before, nn.Conv2d(n_in, n_out, 4, stride=2, padding=1, bias=bias)]


def initialise(module: nn.Module) -> None:
    """Draw weights from N(0, .02), those of a batch normalisation from N(1, .02); biases 0 (section 4, and its published code)."""
    for m in module.modules():
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(m.weight, 0.0, SPREAD)
        elif isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.weight, 1.0, SPREAD)
        else:
            continue
        if m.bias is not None:
            nn.init.zeros_(m.bias)


class Dcgan:
    """Strided convolutions of 4 x 4, one width (number of channels) per halving; at full size the generator has half the first.

    Parameters
    ----------
    batch_norm : bool
        Whether the discriminator has batch normalisation too, in all but its first layer, as in the paper. It mixes rows:
        a gradient penalty needs a discriminator without (Gulrajani et al. 2017, arXiv:1704.00028, section 4).
    """

    def __init__(self, *, batch_norm: bool = True) -> None:
        self.batch_norm = batch_norm

    def widths(self, shape: tuple[int, ...], code_size: int) -> tuple[int, ...]:
        """Halve until the short side is at most 8: from 32 channels (from 4,096 values on 64), doubling, to at most 512.

        The paper's four halvings from 128 channels are for 64 x 64 pictures on an accelerator; twice the channels cost four times as much.
        """
        first, most = (32, 128) if math.prod(shape) <= LARGE else (64, 512)
        side, found = (min(shape[1:]) + 1) // 2, [first]
        while side > SMALL:
            side = (side + 1) // 2
            found.append(min(2 * found[-1], most))
        return tuple(found)

    def encoder(self, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """From (channels, height, width) through one strided convolution per width."""
        steps = sizes(shape[1], shape[2], len(widths))
        found: list[nn.Module] = []
        for i, (n_in, n_out) in enumerate(pairwise((shape[0], *widths))):
            normal = self.batch_norm and i > 0
            found += halved(n_in, n_out, steps[i], bias=not normal)
            if normal:
                found.append(BatchNorm(n_out))
            found.append(nn.LeakyReLU(LEAK))
            if dropout:
                found.append(nn.Dropout2d(dropout))
        body = Body(nn.Sequential(*found), (widths[-1] if widths else shape[0], *steps[-1]))
        initialise(body)
        return body

    def decoder(self, code_size: int, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """From noise through its projection to the smallest picture, then up to the row's size, where the head follows."""
        steps = sizes(shape[1], shape[2], len(widths))[::-1]
        channels = (*widths[::-1], max(widths[0] // 2, 1)) if widths else (shape[0],)
        small = (channels[0], *steps[0])
        found: list[nn.Module] = [
            nn.Linear(code_size, math.prod(small), bias=not widths),
            nn.Unflatten(1, small),
        ]
        if widths:  # without a width the whole network is linear
            found += [BatchNorm(small[0]), nn.ReLU()]
        for size, (n_in, n_out) in zip(steps[1:], pairwise(channels), strict=True):
            found += [Doubled(n_in, n_out, size, bias=False), BatchNorm(n_out), nn.ReLU()]
            if dropout:
                found.append(nn.Dropout2d(dropout))
        body = Body(nn.Sequential(*found), (channels[-1], shape[1], shape[2]))
        initialise(body)
        return body
