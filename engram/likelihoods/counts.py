"""Distributions of counts 0, 1, 2, ... without a largest one. The output is the log of the mean (`tamed`: it cannot overflow).

Where terms of a log-probability cancel they are float64: at a mean of a million each is millions of nats, and their sum a few.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.likelihoods.discrete import RARE
from engram.likelihoods.likelihood import COUNTS, Likelihood, Link, Support, kept, masked, most_likely
from engram.maths.factorial import log_factorial
from engram.maths.growth import tamed

LOG_SIZE = (-7.0, 14.0)  # range of the log of a negative binomial's size: beyond, it is a Poisson


class Counts(Likelihood):
    """Counts whose log mean is the output."""

    support: ClassVar[Support] = COUNTS

    def mean(self, output: Tensor) -> Tensor:
        return tamed(output).exp()

    def link(self, mean: Tensor) -> Link:
        return Link(mean.clamp(min=RARE / 10).log(), 1 / mean.clamp(min=RARE))


class Poisson(Counts):
    """Counts with a variance equal to the mean; the output is the log of the rate."""

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        log_rate = tamed(output).double()
        return masked((x * log_rate - log_rate.exp() - log_factorial(x)).to(x.dtype), mask)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.poisson(self.mean(output), generator=generator)


class NegativeBinomial(Counts):
    """Counts with a variance of mean + mean^2 / size; the output is the log of the mean.

    log p = lgamma(x + size) - lgamma(size) - lgamma(x + 1) + x log(mean / (mean + size)) + size log(size / (mean + size));
    the size is learned per column (per block for pictures). Small ones are counts in bursts, a large one is nearly a Poisson.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.log_size = nn.Parameter(torch.zeros(self.shape if len(self.shape) == 1 else ()))

    def kept_size(self) -> Tensor:
        """Log of the size, in its range."""
        return kept(self.log_size, *LOG_SIZE)

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        log_size = self.kept_size().double()
        size, log_odds = log_size.exp(), tamed(output).double() - log_size
        ways = torch.lgamma(x + size) - torch.lgamma(size) - log_factorial(x)
        chances = x * functional.logsigmoid(log_odds) + size * functional.logsigmoid(-log_odds)
        return masked((ways + chances).to(x.dtype), mask)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        size = self.kept_size().exp().detach().expand(output.shape)
        drawn = torch._standard_gamma(size.contiguous(), generator)  # a Poisson whose rate is gamma distributed
        return torch.poisson(drawn / size * self.mean(output), generator=generator)

    def marginal(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        output = super().marginal(x, mask)
        most_likely([self.log_size], lambda: self.log_prob_columns(output.expand_as(x), x, mask))
        return output


class Geometric(Counts):
    """Counts of failures before a success, p (1 - p)^x; the output is the log of the mean (1 - p) / p: the logit of 1 - p."""

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        logit = tamed(output)
        return masked(x * functional.logsigmoid(logit) + functional.logsigmoid(-logit), mask)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # inverse of the distribution function: u in (0, 1) -> floor(log u / log(1 - p))
        u = torch.rand(output.shape, generator=generator, dtype=output.dtype, device=output.device)
        return (u.clamp(min=1e-30).log() / functional.logsigmoid(tamed(output)).clamp(max=-1e-30)).floor()
