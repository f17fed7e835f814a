"""Ways between two points: straight, and on the arc around the origin.

Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985, section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

PARALLEL = 1e-6  # radians: below, the arc and the straight way are the same


def on_line(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Return (1 - share) a + share b: points (d,), shares (n, 1) from 0 to 1 -> (n, d)."""
    return (1 - share) * a + share * b


def on_arc(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Return (sin((1 - share) w) a + sin(share w) b) / sin w, w the angle between a and b: (d,), (n, 1) -> (n, d).

    Of points of one length all have that length, so that draws from a normal distribution of many dimensions, which lie near a
    sphere, are joined by such as are as likely (White, Sampling Generative Networks, 2016, arXiv:1609.04468, section 2.1).

    Raises `ValueError` where a and b point in opposite directions: then no arc is nearer than another.
    """
    angle = angle_between(a, b)
    if angle < PARALLEL:
        return on_line(a, b, share)
    if torch.pi - angle < PARALLEL:
        raise ValueError("opposite directions")
    return (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / angle.sin()


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Return the angle between two points (d,) as seen from the origin, () in radians; 0 where one of them is the origin."""
    a, b = a.double(), b.double()
    a, b = a / a.norm().clamp(min=1e-300), b / b.norm().clamp(min=1e-300)
    if not (a.any() and b.any()):
        return a.new_zeros(())
    return 2 * torch.atan2((a - b).norm(), (a + b).norm())
