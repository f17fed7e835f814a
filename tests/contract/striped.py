"""Pictures that a small model can learn, and whose class can be seen."""

from __future__ import annotations

import numpy as np


def pictures(n: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return square pictures of noise with a bright line at one of three places, (n, side, side), and which it is, (n,)."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = rng.random((n, side, side)) * 0.2
    x[np.arange(n), 2 * y] += 0.8
    return x, y
