"""Distributions of yes or no, of categories and of counts out of a known number. The output is the logits.

Relaxed draws are decided ones with the gradient of soft ones (Jang, Gu & Poole 2017, arXiv:1611.01144, straight-through).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from engram.likelihoods.likelihood import COUNTS, Likelihood, Link, Support, masked
from engram.maths.factorial import log_factorial
from engram.maths.quantise import straight_through

NEVER = -1e30  # logit of what cannot be
SOFT = 0.5  # temperature of the gradient through a draw
RARE = 0.02  # link slopes are clipped as if no value were rarer: 1 / p explodes for a category seen once


def _even(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return even draws from 0 to 1, both left out, in the shape of a tensor."""
    return torch.rand(like.shape, generator=generator, device=like.device).clamp(1e-6, 1 - 1e-6)


def _one_hot(shares: Tensor) -> Tensor:
    return torch.zeros_like(shares).scatter_(1, shares.argmax(1, keepdim=True), 1.0)


class Bernoulli(Likelihood):
    """Yes or no per value, x in {0, 1} (or a probability in between); the output is the logit."""

    support: ClassVar[Support] = Support(low=0.0, high=1.0)

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return masked(-functional.binary_cross_entropy_with_logits(output, x, reduction="none"), mask)

    def mean(self, output: Tensor) -> Tensor:
        return output.sigmoid()

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.bernoulli(output.sigmoid(), generator=generator)

    def relaxed(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        soft = ((output + torch.logit(_even(output, generator))) / SOFT).sigmoid()
        return straight_through(soft, soft.round())

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

    def relaxed(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        soft = ((output - (-_even(output, generator).log()).log()) / SOFT).softmax(1)
        return straight_through(soft, _one_hot(soft))

    def link(self, mean: Tensor) -> Link:
        return Link(mean.clamp(min=RARE / 10).log(), 1 / mean.clamp(min=RARE))


class Binomial(Likelihood):
    """Counts of successes out of n trials, which are known; the output is the logit of a success.

    Parameters
    ----------
    shape : tuple of int
        Shape of one row.
    trials : Tensor or float
        How many trials, one number or one per value.
    """

    support: ClassVar[Support] = COUNTS

    def __init__(self, shape: tuple[int, ...], trials: Tensor | float = 1.0) -> None:
        super().__init__(shape)
        self.register_buffer("trials", torch.as_tensor(trials, dtype=torch.float32).clone(), persistent=False)
        self.trials: Tensor

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        n, logit = self.trials.double(), output.double()  # terms of millions of nats cancel
        ways = log_factorial(n) - log_factorial(x) - log_factorial(n - x)
        # log p is the logit more than log(1 - p)
        return masked((ways + x * logit + n * functional.logsigmoid(-logit)).to(x.dtype), mask)

    def mean(self, output: Tensor) -> Tensor:
        return self.trials * output.sigmoid()

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.binomial(
            self.trials.to(output).expand(output.shape).contiguous(), output.sigmoid(), generator=generator
        )

    def link(self, mean: Tensor) -> Link:
        p = (mean / self.trials).clamp(RARE / 10, 1 - RARE / 10)
        q = (mean / self.trials).clamp(RARE, 1 - RARE)
        return Link(torch.logit(p), 1 / (q * (1 - q) * self.trials))


class Multinomial(Likelihood):
    """A row of counts given its sum, n! / (x1! x2! ...) p1^x1 p2^x2 ...; the output is the logits of p.

    Its counts are not independent: each column carries an equal share of log n!. With missing cells it is the distribution of those seen
    given their sum, which is again a multinomial. In single precision, as documents and histories of thousands of columns need it: a row
    whose counts sum to ten million is off by some nats.

    Parameters
    ----------
    shape : tuple of int
        Shape of one row.
    trials : float
        The sum of a row that `mean` and `sample` give; `log_prob` takes each row's own.
    """

    support: ClassVar[Support] = COUNTS

    def __init__(self, shape: tuple[int, ...], trials: float = 1.0) -> None:
        super().__init__(shape)
        self.trials = float(trials)

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x, logits = x.flatten(1), output.flatten(1)
        cells: Tensor | int = self.size
        if mask is not None:
            seen = mask.flatten(1)
            x, logits = torch.where(seen, x, 0.0), torch.where(seen, logits, NEVER)
            cells = seen.sum(1, keepdim=True).clamp(min=1)
        ways = torch.lgamma(x.sum(1, keepdim=True) + 1) / cells - torch.lgamma(x + 1)
        return masked(ways + logits.log_softmax(1) * x, mask)

    def mean(self, output: Tensor) -> Tensor:
        return self.trials * output.flatten(1).softmax(1).view(output.shape)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        p = output.flatten(1).softmax(1)
        n = max(round(self.trials), 1)
        drawn = torch.multinomial(p, n, replacement=True, generator=generator)
        return torch.zeros_like(p).scatter_add_(1, drawn, torch.ones_like(drawn, dtype=p.dtype)).view(output.shape)

    def link(self, mean: Tensor) -> Link:
        share, n = mean / self.trials, self.trials
        return Link(share.clamp(min=RARE / 10).log(), 1 / (share.clamp(min=RARE) * n))
