"""Encoded pictures beside each other as one small PNG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
SIDE = 64  # pixels that a picture has at most on the page; the browser enlarges smaller ones
GAP = 1 / 12  # of a picture's width


def grid(x: Tensor, across: int) -> bytes:
    """Return encoded pictures (rows, channels, height, width) in lines of ``across``, transparent between them."""
    pixels = _small(x).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    times = max(1, 24 // max(pixels.shape[1:3]))  # so that gaps are thinner than a pixel of a tiny picture
    pixels = (pixels * 255).round().astype(np.uint8).repeat(times, 1).repeat(times, 2)
    rgba = _rgba(pixels)
    n, height, width, _ = rgba.shape
    gap = max(1, round(GAP * width))
    down = -(-n // across)
    sheet = np.zeros((down * (height + gap) - gap, min(n, across) * (width + gap) - gap, 4), dtype=np.uint8)
    for i, picture in enumerate(rgba):
        top, left = i // across * (height + gap), i % across * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return png(sheet)


def _small(x: Tensor) -> Tensor:
    """Shrink pictures that are larger than they are shown."""
    from torch.nn.functional import interpolate

    largest = max(x.shape[2:])
    if largest <= SIDE:
        return x
    size = [max(1, round(s * SIDE / largest)) for s in x.shape[2:]]
    return interpolate(x, size=size, mode="area")


def _rgba(pixels: Array) -> Array:
    channels = pixels.shape[3]
    if channels == 4:
        return pixels
    colour = pixels[..., :3] if channels >= 3 else pixels[..., :1].repeat(3, 3)
    return np.concatenate([colour, np.full((*pixels.shape[:3], 1), 255, np.uint8)], 3)


def png(sheet: Array) -> bytes:
    """Return (height, width, 4) bytes as a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG", optimize=True)
    return file.getvalue()
