"""Residual pairs of players, for pictures of any height, width and number of channels.

The classic one: batch normalisation in the generator alone, nearest neighbour up, average pooling down (Gulrajani et al.,
Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028, appendix F; Miyato et al., Spectral Normalization for Generative
Adversarial Networks, 2018, arXiv:1802.05957, table 4). The norm-free one: no normalisation, bottlenecks that begin as the
identity, bilinear resizing (Huang et al., The GAN is dead; long live the GAN!, 2025, arXiv:2501.05441, section 4). Nothing in a
discriminator mixes rows, so that gradient penalties are those of each row.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.networks.conv import LARGE, Upsample, sizes
from engram.networks.dcgan import LEAK, SMALL, BatchNorm
from engram.networks.network import Body

FACTORS = 2  # of a bottleneck: the 3 x 3 has half the block's channels


class Bilinear(nn.Module):
    """Resize to one given size by bilinear weights; halving an even side averages pairs."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, size=self.size, mode="bilinear")


class Average(nn.Module):
    """The mean over all pixels: (rows, channels, height, width) -> (rows, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class ChannelsLast(nn.Module):
    """The same values with a pixel's channels side by side in memory, which the convolutions of 1 x 1 after it are faster on."""

    def forward(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last)


class Sum(nn.Module):
    """What two ways give, added.

    Parameters
    ----------
    branch, shortcut : nn.Module
        The two ways, from one shape to one shape.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.shortcut(x) + self.branch(x))


def bottleneck(channels: int) -> Sum:
    """Return x + f(x), f convolutions of 1 x 1, 3 x 3, 1 x 1.

    The paper's 3 x 3 is grouped, on twice as many channels; this one is dense, on half as many: grouped convolutions are slow on
    a CPU, and its weights are fewer.
    """
    inner = max(channels // FACTORS, 1)
    branch = nn.Sequential(
        nn.Conv2d(channels, inner, 1),
        nn.LeakyReLU(LEAK),
        nn.Conv2d(inner, inner, 3, padding=1),
        nn.LeakyReLU(LEAK),
        nn.Conv2d(inner, channels, 1, bias=False),
    )
    return Sum(branch, nn.Identity())


def down(n_in: int, n_out: int) -> Sum:
    """Return the classic block that halves a picture, rounding up (Miyato et al., figure 8)."""
    branch = nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(n_in, n_in, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(n_in, n_out, 3, padding=1),
        _pool(),
    )
    return Sum(branch, nn.Sequential(_pool(), nn.Conv2d(n_in, n_out, 1)))


def up(n_in: int, n_out: int, size: tuple[int, int]) -> Sum:
    """Return the classic block that enlarges a picture to ``size`` (the same)."""
    branch = nn.Sequential(
        BatchNorm(n_in),
        nn.ReLU(),
        Upsample(size),
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
        BatchNorm(n_out),
        nn.ReLU(),
        nn.Conv2d(n_out, n_out, 3, padding=1),
    )
    return Sum(branch, nn.Sequential(nn.Conv2d(n_in, n_out, 1), Upsample(size)))


def _pool() -> nn.AvgPool2d:
    return nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)


def initialise(body: nn.Module) -> None:
    """Begin each bottleneck as the identity, so that depth alone changes no variance, and everything between them at gain one.

    The last convolution of a block is zero, the two before it are He's times L^(-1/4) with L blocks (Zhang, Dauphin & Ma, Fixup
    Initialization, 2019, arXiv:1901.09321, section 3: L^(-1/(2m - 2)) for m = 3 layers), biases are zero.
    """
    blocks = [m for m in body.modules() if isinstance(m, Sum)]
    inside = {id(m) for block in blocks for m in block.branch.modules()}
    for m in body.modules():
        if not isinstance(m, nn.Conv2d | nn.Linear):
            continue
        gain = nn.init.calculate_gain("leaky_relu", LEAK) * len(blocks) ** -0.25 if id(m) in inside else 1.0
        nn.init.normal_(m.weight, 0.0, gain * math.prod(m.weight.shape[1:]) ** -0.5)
        if m.bias is not None:
            nn.init.zeros_(m.bias)
    for block in blocks:
        nn.init.zeros_(cast("nn.Conv2d", cast("nn.Sequential", block.branch)[-1]).weight)


class Residual:
    """Residual blocks, one width (number of channels) per halving; at full size, where they cost most, a part of the first.

    Parameters
    ----------
    norm_free : bool
        Whether the pair is the one without normalisation; otherwise the classic one.
    """

    def __init__(self, *, norm_free: bool) -> None:
        self.norm_free = norm_free

    def widths(self, shape: tuple[int, ...], code_size: int) -> tuple[int, ...]:
        """Halve until the short side is at most 4: from 64 channels (classic: 32) to 128 (from 4,096 values on 512)."""
        most = 128 if math.prod(shape) <= LARGE else 512
        side, found = min(shape[1:]), [64 if self.norm_free else 32]
        while side > SMALL:
            side = (side + 1) // 2
            found.append(min(2 * found[-1], most))
        return tuple(found)

    def _channels(self, widths: tuple[int, ...]) -> tuple[int, ...]:
        """Return the channels at full size and after each halving."""
        return (max(widths[0] // (4 if self.norm_free else 2), 1), *widths)

    def encoder(self, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """From (channels, height, width) to the smallest picture (norm-free), or to the mean over its pixels (classic)."""
        if not widths:  # without a width the whole network is linear
            return Body(nn.Sequential(), shape)
        steps, channels = sizes(shape[1], shape[2], len(widths)), self._channels(widths)
        found: list[nn.Module] = [nn.Conv2d(shape[0], channels[0], 3, padding=1)]
        found += [ChannelsLast(), *_bottlenecks(channels[0], 0)] if self.norm_free else []
        for i, (n_in, n_out) in enumerate(pairwise(channels), start=1):
            if self.norm_free:
                found += [Bilinear(steps[i]), nn.Conv2d(n_in, n_out, 1), *_bottlenecks(n_out, i)]
            else:
                found.append(down(n_in, n_out))
            if dropout:
                found.append(nn.Dropout2d(dropout))
        if not self.norm_free:
            return Body(nn.Sequential(*found, nn.ReLU(), Average()), (channels[-1],))
        body = Body(nn.Sequential(*found), (channels[-1], *steps[-1]))
        initialise(body)
        return body

    def decoder(self, code_size: int, shape: tuple[int, ...], widths: tuple[int, ...], dropout: float) -> Body:
        """From noise through a linear layer to the smallest picture, then up to the row's size, where the head follows."""
        steps = sizes(shape[1], shape[2], len(widths))
        channels = self._channels(widths) if widths else shape[:1]
        small = (channels[-1], *steps[-1])
        found: list[nn.Module] = [nn.Linear(code_size, math.prod(small)), nn.Unflatten(1, small)]
        found += [ChannelsLast(), *_bottlenecks(small[0], len(widths))] if self.norm_free and widths else []
        for i in range(len(widths), 0, -1):
            if self.norm_free:
                found += [nn.Conv2d(channels[i], channels[i - 1], 1), Bilinear(steps[i - 1])]
                found += _bottlenecks(channels[i - 1], i - 1)
            else:
                found.append(up(channels[i], channels[i - 1], steps[i - 1]))
            if dropout:
                found.append(nn.Dropout2d(dropout))
        if widths and not self.norm_free:
            found += [BatchNorm(channels[0]), nn.ReLU()]
        body = Body(nn.Sequential(*found), (channels[0], shape[1], shape[2]))
        if self.norm_free:
            initialise(body)
        return body


def _bottlenecks(channels: int, halvings: int) -> list[nn.Module]:
    """Return the blocks of one size: two (as in the paper) from the second halving on, before it one."""
    return [bottleneck(channels) for _ in range(2 if halvings > 1 else 1)]
