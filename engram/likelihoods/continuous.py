"""Distributions of numbers on the whole line, or whose logarithms are: a learned scale per block; scores and draws have one per column."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from engram.likelihoods.discrete import RARE
from engram.likelihoods.likelihood import Likelihood, Link, Support, kept, masked
from engram.maths.divergence import LOG_2_PI
from engram.maths.growth import tamed

FLOOR = 1e-3  # in standardised units; a smaller scale is a density that explodes, not a better fit
LEAST = 1e-30  # the smallest positive value that has a logarithm
START = -2.0  # log of the scale before training: a scale of 1 lets a VAE ignore its code


class Within(torch.autograd.Function):
    """Clamp to a range; the gradient goes through unchanged, so that a value outside is pulled back and never stuck.

    For squared error the gradient of the clamped mean's residual is exact wherever it is not zero (straight-through,
    Bengio, Leonard & Courville 2013, arXiv:1308.3432).
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return output.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient as it is."""
        return gradient, None, None


class LocationScale(Likelihood):
    """A location family: the output is the location, the scale is learned (``scale="shared"``, one for all columns).

    Where a kind knows the range that values can have (`bound`), the mean is the output clamped to it: a network then need
    not learn how to say "exactly black", which most pixels of most drawings are.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.register_buffer("low", None, persistent=False)
        self.register_buffer("high", None, persistent=False)
        self.low: Tensor | None
        self.high: Tensor | None
        self.log_scale = nn.Parameter(torch.tensor(START))
        self.register_buffer("column_scale", torch.zeros(self.size))  # zero: not calibrated
        self.column_scale: Tensor

    @abstractmethod
    def density(self, residual: Tensor, log_scale: Tensor) -> Tensor:
        """Log density of a residual, elementwise, in nats."""

    @abstractmethod
    def noise(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw residuals at a scale of one, in the shape of an output."""

    @abstractmethod
    def closed_form(self, residual: Tensor, mask: Tensor) -> Tensor:
        """Return the maximum-likelihood scale per column of residuals (rows, columns)."""

    @abstractmethod
    def centre(self, x: Tensor) -> Tensor:
        """Return the most likely location per column of x (rows, columns), NaN where a cell is missing."""

    def floored(self) -> Tensor:
        """Log of the scale, not below the floor."""
        return kept(self.log_scale, math.log(FLOOR), math.inf)

    def scales(self) -> Tensor:
        """Return the scales of scores and of draws, in the shape of a row: each column's own once calibrated, else the shared one."""
        return torch.where(self.column_scale > 0, self.column_scale, self.floored().exp()).view(self.shape)

    def bound(self, low: Tensor, high: Tensor) -> None:
        self.low, self.high = low, high

    def unbound(self) -> None:
        self.low = self.high = None

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return masked(self.density(x - self.location(output), self.floored()), mask)

    def location(self, output: Tensor) -> Tensor:
        """Return the output, clamped to the range that values can have where that is known."""
        return output if self.low is None else cast("Tensor", Within.apply(output, self.low, self.high))  # type: ignore[no-untyped-call]

    def mean(self, output: Tensor) -> Tensor:
        return self.location(output)

    def link(self, mean: Tensor) -> Link:
        return Link(mean, torch.ones_like(mean))

    @torch.no_grad()
    def start(self, spread: Tensor) -> None:
        self.log_scale.copy_(spread.clamp(min=FLOOR * 10).log())

    @torch.no_grad()
    def calibrate(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> None:
        residual = (x - self.location(output)).flatten(1)
        seen = torch.ones_like(residual, dtype=torch.bool) if mask is None else mask.flatten(1)
        own = self.closed_form(torch.where(seen, residual, 0.0), seen)
        rows = seen.sum(0)
        shared = self.floored().exp()
        # a few rows say little about a column's own scale: shrink to the shared one as if it had been seen on 10 rows
        self.column_scale.copy_((((rows * own.square() + 10 * shared.square()) / (rows + 10)).sqrt()).clamp(min=FLOOR))

    @torch.no_grad()
    def marginal(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        seen = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        output = self.centre(torch.where(seen, x, torch.nan))
        self.column_scale.copy_(self.closed_form(torch.where(seen, x - output, 0.0), seen).clamp(min=LEAST))
        return output

    def score_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return masked(self.density(x - self.location(output), self.scales().log()), mask)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.location(output) + self.scales() * self.noise(output, generator)

    def findings(self) -> list[str]:
        if float(self.log_scale.detach()) > math.log(FLOOR):
            return []
        return [
            f"the scale of the {type(self).__name__} likelihood reached its floor of {FLOOR:g} (standardised units): "
            "some columns are copies of others or constant; drop them, or use a smaller code"
        ]


class Normal(LocationScale):
    """Normal with a learned shared scale, so that squared error decides and a linear model is PCA."""

    def density(self, residual: Tensor, log_scale: Tensor) -> Tensor:
        z = residual * (-log_scale).exp()
        # - z^2 / 2 - log scale - log(2 pi) / 2, in one pass over the cells
        return torch.addcmul(-log_scale - 0.5 * LOG_2_PI, z, z, value=-0.5)

    def log_prob(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # the sum of log_prob_columns with the scale taken out of it: fewer passes over the rows in the inner loop. With
        # and without a mask it is the same arithmetic, so that a complete row's value does not depend on
        # whether a neighbour has a missing cell
        log_scale = self.floored()
        squared = masked((x - self.location(output)).square(), mask).sum(1)
        count = self.size if mask is None else mask.flatten(1).sum(1)
        return squared * (-0.5 * (-2 * log_scale).exp()) - count * (log_scale + 0.5 * LOG_2_PI)

    def centre(self, x: Tensor) -> Tensor:
        return x.nanmean(0)

    def closed_form(self, residual: Tensor, mask: Tensor) -> Tensor:
        return (residual.square().sum(0) / mask.sum(0).clamp(min=1)).sqrt()

    def noise(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(output.shape, generator=generator, dtype=output.dtype, device=output.device)


class Laplace(LocationScale):
    """Laplace with a learned shared scale: absolute error decides, so that single wild cells weigh less."""

    def density(self, residual: Tensor, log_scale: Tensor) -> Tensor:
        return -residual.abs() * (-log_scale).exp() - log_scale - math.log(2)

    def centre(self, x: Tensor) -> Tensor:
        return x.nanmedian(0).values

    def closed_form(self, residual: Tensor, mask: Tensor) -> Tensor:
        return residual.abs().sum(0) / mask.sum(0).clamp(min=1)

    def noise(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # inverse of the distribution function: u in (-1, 1) -> -sign(u) log(1 - |u|)
        u = 2 * torch.rand(output.shape, generator=generator, dtype=output.dtype, device=output.device) - 1
        u = u.clamp(min=-1 + 1e-7, max=1 - 1e-7)
        return -u.sign() * torch.log1p(-u.abs())


class LogNormal(Normal):
    """Positive numbers with a normal logarithm: log N(log x; output, scale^2) - log x. Relative error decides, exp(output) is a median."""

    support: ClassVar[Support] = Support(low=0.0, open=True)

    def bound(self, low: Tensor, high: Tensor) -> None:
        """Ignored: the range is that of x, the output's is that of its logarithm."""

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        logs = logarithm(x)
        return super().log_prob_columns(output, logs, mask) - masked(logs, mask)

    def log_prob(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        logs = logarithm(x)
        return super().log_prob(output, logs, mask) - masked(logs, mask).sum(1)

    def score_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        logs = logarithm(x)
        return super().score_columns(output, logs, mask) - masked(logs, mask)

    def calibrate(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> None:
        super().calibrate(output, logarithm(x), mask)

    def marginal(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().marginal(logarithm(x), mask)

    def mean(self, output: Tensor) -> Tensor:
        return tamed(self.location(output) + 0.5 * self.scales().square()).exp()

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return tamed(super().sample(output, generator)).exp()

    def link(self, mean: Tensor) -> Link:
        near = mean.clamp(min=RARE)
        return Link(mean.clamp(min=RARE / 10).log() - 0.5 * self.scales().square().detach(), 1 / near)


def logarithm(x: Tensor) -> Tensor:
    """Log of positive values; a missing cell, which holds zero, has a finite one too."""
    return x.clamp(min=LEAST).log()
