"""What rows have in common with something that is known beside them: linear least squares."""

from __future__ import annotations

import torch
from torch import Tensor

RIDGE = 1e-6  # of the mean square of y: classes of which one is 1 depend on each other


def regression(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return (coefficients, means of y): x is close to mean(x) + (y - mean(y)) coefficients, by least squares.

    Shapes: x (rows, columns), y (rows, given) -> (given, columns), (given,); double precision, ridge `RIDGE`.
    """
    y, x = y.double(), x.double()
    means = y.mean(0)
    centred = y - means
    products = centred.T @ centred
    products.diagonal().add_(RIDGE * products.diagonal().mean() + 1e-12)
    return torch.linalg.solve(products, centred.T @ (x - x.mean(0))), means
