"""Rows made for the tables, the same for everyone who is measured on them."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def correlated(n: int, columns: int, factors: int, noise: float = 0.3, seed: int = 0) -> Array:
    """Return float64 rows whose columns are sums of a few normal factors, each on a scale of its own, plus noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, factors)) @ rng.normal(size=(factors, columns)) / factors**0.5
    return (x + noise * rng.normal(size=x.shape)) * rng.uniform(0.5, 20, columns) + rng.normal(size=columns)


def curved(n: int, columns: int, factors: int, noise: float = 0.1, seed: int = 0) -> Array:
    """Return float64 rows whose columns are sines of mixed factors plus noise: principal components of that number miss much of them."""
    rng = np.random.default_rng(seed)
    angles = rng.normal(size=(n, factors)) @ rng.normal(size=(factors, columns)) / factors**0.5
    return np.sin(1.5 * angles + rng.uniform(0, 2 * np.pi, columns)) + noise * rng.normal(size=angles.shape)


def two_dimensional(n: int, seed: int = 0) -> Array:
    """Return standardised rows of 8 columns that are linear in two normal factors, with little noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 8))
    x += 0.08 * x.std(0) * rng.normal(size=x.shape)
    return (x - x.mean(0)) / x.std(0)


def ring(n: int, seed: int = 0) -> Array:
    """Return points near the unit circle: radius 1, standard deviation .05."""
    rng = np.random.default_rng(seed)
    angle, radius = rng.uniform(0, 2 * np.pi, n), rng.normal(1, 0.05, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
