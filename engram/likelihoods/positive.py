"""Distributions of positive numbers and of shares between 0 and 1."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from engram.likelihoods.discrete import RARE
from engram.likelihoods.likelihood import Likelihood, Link, Support, kept, masked, most_likely
from engram.maths.growth import tamed

EDGE = 1e-6  # a beta distribution's cells are kept so far from 0 and 1
INNER = 1e-4  # ... and its means so far: nearer, its density is a spike at an end
LOG_SUM = (-3.0, 12.0)  # range of the log of its concentration


class Exponential(Likelihood):
    """Waiting times, x >= 0, exp(-x / mean) / mean; the output is the log of the mean."""

    support: ClassVar[Support] = Support(low=0.0)

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        log_mean = tamed(output)
        return masked(-log_mean - x * (-log_mean).exp(), mask)

    def mean(self, output: Tensor) -> Tensor:
        return tamed(output).exp()

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        u = torch.rand(output.shape, generator=generator, dtype=output.dtype, device=output.device)
        return -torch.log1p(-u) * self.mean(output)

    def link(self, mean: Tensor) -> Link:
        return Link(mean.clamp(min=RARE / 10).log(), 1 / mean.clamp(min=RARE))


class Beta(Likelihood):
    """Shares between 0 and 1, x^(a - 1) (1 - x)^(b - 1) / B(a, b), with a + b learned per column (per block for pictures).

    The output is the logit of the mean a / (a + b) (Ferrari & Cribari-Neto, Beta Regression, 2004), which stays 1e-4 away from 0 and 1.
    """

    support: ClassVar[Support] = Support(low=0.0, high=1.0, open=True)

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.log_sum = nn.Parameter(torch.full(self.shape if len(self.shape) == 1 else (), 1.0))

    def shapes(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b, in float64: the density is a difference of large logarithms."""
        mean = self.mean(output).double()
        total = kept(self.log_sum, *LOG_SUM).double().exp()
        return mean * total, (1 - mean) * total

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        a, b = self.shapes(output)
        x = x.double().clamp(EDGE, 1 - EDGE)
        volume = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
        return masked(((a - 1) * x.log() + (b - 1) * torch.log1p(-x) - volume).to(output.dtype), mask)

    def mean(self, output: Tensor) -> Tensor:
        return INNER + (1 - 2 * INNER) * output.sigmoid()

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        a, b = (torch._standard_gamma(shape.detach(), generator).clamp(min=1e-300) for shape in self.shapes(output))
        return (a / (a + b)).to(output.dtype).clamp(EDGE, 1 - EDGE)

    def link(self, mean: Tensor) -> Link:
        p = ((mean - INNER) / (1 - 2 * INNER)).clamp(RARE / 10, 1 - RARE / 10)
        q = ((mean - INNER) / (1 - 2 * INNER)).clamp(RARE, 1 - RARE)
        return Link(torch.logit(p), 1 / (q * (1 - q) * (1 - 2 * INNER)))

    def marginal(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        output = super().marginal(x, mask)
        most_likely([output, self.log_sum], lambda: self.log_prob_columns(output.expand_as(x), x, mask))
        return output
