"""Differentiable augmentation of pictures, against a discriminator that learns a small set by heart.

Zhao, Liu, Lin, Zhu & Han, Differentiable Augmentation for Data-Efficient GAN Training, 2020 (arXiv:2006.10738), section 4 and its
published settings: brightness, saturation, contrast, translation, cutout, in this order. Real and generated pictures are changed in
the same ways in both players' turns, and the generator learns through the change, so that it is not taught to draw the changes.
Values are taken to span 2 (from -1 to 1), as in the paper; for another span pass it to `draw`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BRIGHTNESS = 0.5  # largest shift, as a share of half the span
SATURATION = 1.0  # largest departure of the factor from 1
CONTRAST = 0.5  # the same
TRANSLATION = 0.125  # largest shift, as a share of a side
CUTOUT = 0.5  # side of the square, as a share of the picture's


class Numbers(NamedTuple):
    """What `draw` drew, one of each per row.

    Parameters
    ----------
    brightness : Tensor
        What is added, (rows,).
    saturation, contrast : Tensor
        Factors, (rows,).
    translation : Tensor
        Whole pixels down and to the right, (rows, 2).
    cutout : Tensor
        The rectangle that becomes zero: first line, first column, then the line and the column after its last, (rows, 4).
    """

    brightness: Tensor
    saturation: Tensor
    contrast: Tensor
    translation: Tensor
    cutout: Tensor


def draw(
    n: int,
    height: int,
    width: int,
    generator: torch.Generator | None = None,
    *,
    strength: float = 1.0,
    span: float = 2.0,
    device: torch.device | str = "cpu",
) -> Numbers:
    """Draw the numbers for n pictures, each row its own.

    Parameters
    ----------
    n : int
        Pictures.
    height, width : int
        Their sides, in pixels.
    generator : torch.Generator, optional
        Where the numbers come from, on ``device``; the global one without.
    strength : float
        From 0 (nothing changes) to 1 (the paper's ranges): all ranges, and the side of the square, are multiplied by it.
    span : float
        What lies between the darkest and the brightest value of a picture.
    device : torch.device or str
        Where the numbers are wanted.

    Returns
    -------
    Numbers
        brightness in +-.5 span / 2, saturation in 1 +- 1, contrast in 1 +- .5, shifts of up to an eighth of each side, a square of
        half of each side whose centre is anywhere, so that it may reach beyond the picture.
    """
    even = torch.rand(n, 7, generator=generator, device=device)
    sides = torch.tensor([height, width], device=device)
    far = (sides * TRANSLATION * strength + 0.5).floor()
    hole = (sides * CUTOUT * strength + 0.5).floor()
    first = (even[:, 5:7] * (sides + 1 - hole % 2)).floor() - (hole / 2).floor()
    return Numbers(
        brightness=(2 * even[:, 0] - 1) * (BRIGHTNESS * strength * span / 2),
        saturation=1 + (2 * even[:, 1] - 1) * (SATURATION * strength),
        contrast=1 + (2 * even[:, 2] - 1) * (CONTRAST * strength),
        translation=((even[:, 3:5] * (2 * far + 1)).floor().minimum(2 * far) - far).long(),
        cutout=torch.cat([first, first + hole], 1).long(),
    )


def augmented(x: Tensor, numbers: Numbers) -> Tensor:
    """Return pictures (rows, channels, height, width), each changed by its numbers, in the order of the fields.

    The numbers may be of any count: they are taken in turn, from the first again, so that numbers for n rows change n real and n
    generated ones below them alike.
    """
    turn = torch.arange(len(x), device=x.device) % len(numbers.brightness)
    numbers = Numbers(*(value[turn] for value in numbers))
    x = brightened(x, numbers.brightness)
    x = contrasted(saturated(x, numbers.saturation), numbers.contrast)
    return cut(translated(x, numbers.translation), numbers.cutout)


def _per_row(x: Tensor, values: Tensor) -> Tensor:
    return values.to(x.dtype).view(-1, 1, 1, 1)


def brightened(x: Tensor, shift: Tensor) -> Tensor:
    """Return x + shift: (rows, channels, height, width), (rows,)."""
    return x + _per_row(x, shift)


def saturated(x: Tensor, factor: Tensor) -> Tensor:
    """Return each pixel's distance from its mean over the channels times the factor, (rows,); a grey picture stays as it is."""
    if x.shape[1] == 1:
        return x
    factor = _per_row(x, factor)
    return factor * x + (1 - factor) * x.mean(1, keepdim=True)


def contrasted(x: Tensor, factor: Tensor) -> Tensor:
    """Return each value's distance from its picture's mean times the factor, (rows,)."""
    factor = _per_row(x, factor)
    return factor * x + (1 - factor) * x.mean((1, 2, 3), keepdim=True)


def translated(x: Tensor, shift: Tensor) -> Tensor:
    """Return pictures moved by whole pixels down and to the right, (rows, 2); what comes in from outside is zero."""
    rows, _, height, width = x.shape
    line = torch.arange(height, device=x.device) - shift[:, :1]
    column = torch.arange(width, device=x.device) - shift[:, 1:]
    inside = ((line >= 0) & (line < height))[:, :, None] & ((column >= 0) & (column < width))[:, None]
    row = torch.arange(rows, device=x.device)[:, None, None]
    at = x.permute(0, 2, 3, 1)[row, line.clamp(0, height - 1)[:, :, None], column.clamp(0, width - 1)[:, None]]
    return (at * inside[..., None].to(x.dtype)).permute(0, 3, 1, 2)


def cut(x: Tensor, rectangle: Tensor) -> Tensor:
    """Return pictures with a rectangle of zeros: (rows, 4), first line and column, line and column after the last."""
    line = torch.arange(x.shape[2], device=x.device)
    column = torch.arange(x.shape[3], device=x.device)
    top, left, bottom, right = rectangle.t()[:, :, None]
    lines, columns = (line >= top) & (line < bottom), (column >= left) & (column < right)
    return x.masked_fill((lines[:, :, None] & columns[:, None])[:, None], 0.0)
