"""Divergences between distributions of codes, and draws from them.

Kingma & Welling, Auto-Encoding Variational Bayes, 2013, arXiv:1312.6114.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_2_PI = math.log(2 * math.pi)


def kl_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(0, 1)) per dimension, in nats (appendix B): (mean^2 + var - 1 - log var) / 2.

    Shapes: (..., dimensions) -> (..., dimensions). Never negative, zero where mean = 0 and log_var = 0.
    """
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


def kl_normals(mean: Tensor, log_var: Tensor, other_mean: Tensor, other_log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(other_mean, exp(other_log_var))) per dimension, in nats; with (0, 0) as other that of `kl_normal`."""
    moved_on = (mean - other_mean).square() * (-other_log_var).exp()
    return 0.5 * (moved_on + (log_var - other_log_var).exp() - 1 - log_var + other_log_var)


def reparameterise(mean: Tensor, log_var: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw from N(mean, exp(log_var)) so that gradients reach both: mean + exp(log_var / 2) * noise (section 2.4)."""
    return moved(mean, log_var, torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device))


def moved(mean: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
    """Standard normal noise as a draw from N(mean, exp(log_var)): mean + exp(log_var / 2) * noise; broadcasts."""
    return torch.addcmul(mean, (0.5 * log_var).exp(), noise)


def log_normal(x: Tensor, mean: Tensor | float, log_var: Tensor | float) -> Tensor:
    """Log density of N(mean, exp(log_var)) at x per dimension, in nats; broadcasts."""
    log_var = torch.as_tensor(log_var, dtype=x.dtype, device=x.device)
    return -0.5 * (LOG_2_PI + log_var + (x - mean).square() * (-log_var).exp())
