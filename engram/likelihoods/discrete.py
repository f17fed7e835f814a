"""Distributions of yes or no, of categories and of counts. The output is the natural parameter: logits or log rates."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engram.likelihoods.likelihood import Likelihood, Link, masked

RARE = 0.02  # link slopes are clipped as if no value were rarer: 1 / p explodes for a category seen once


class Bernoulli(Likelihood):
    """Yes or no per value, x in {0, 1} (or a probability in between); the output is the logit."""

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return masked(-functional.binary_cross_entropy_with_logits(output, x, reduction="none"), mask)

    def mean(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.bernoulli(output.sigmoid(), generator=generator)

    def link(self, mean: Tensor) -> Link:
        p = mean.clamp(RARE / 10, 1 - RARE / 10)
        q = mean.clamp(RARE, 1 - RARE)
        return Link(torch.logit(p), 1 / (q * (1 - q)))


class Categorical(Likelihood):
    """One of n categories, x one-hot over the block (a row of zeros: missing); the output is the n logits."""

    @property
    def n_columns(self) -> int:
        return 1

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return masked((output.log_softmax(1) * x).sum(1, keepdim=True), mask)

    def mean(self, output: Tensor) -> Tensor:
        return output.softmax(1)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        drawn = torch.multinomial(output.softmax(1), 1, generator=generator)
        return torch.zeros_like(output).scatter_(1, drawn, 1.0)

    def link(self, mean: Tensor) -> Link:
        return Link(mean.clamp(min=RARE / 10).log(), 1 / mean.clamp(min=RARE))


class Poisson(Likelihood):
    """Counts 0, 1, 2, ...; the output is the log of the rate."""

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return masked(x * output - output.exp() - torch.lgamma(x + 1), mask)

    def mean(self, output: Tensor) -> Tensor:
        return output.exp()

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.poisson(output.exp(), generator=generator)

    def link(self, mean: Tensor) -> Link:
        rate = mean.clamp(min=RARE)
        return Link(rate.log(), 1 / rate)
