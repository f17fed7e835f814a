"""Distances between two sets of rows."""

from __future__ import annotations

from torch import Tensor


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances by |a|^2 - 2 a b + |b|^2, (n, size) and (m, size) -> (n, m), never negative.

    A product of matrices: fast, and less exact than differences where rows are far from the origin and near each other.
    """
    return (a.square().sum(1, keepdim=True) - 2 * a @ b.T + b.square().sum(1)).clamp(min=0)
