"""Distributions of values that a table hands to networks as standardised logarithms: the density stays that of the values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engram.likelihoods.continuous import LocationScale
from engram.likelihoods.discrete import Binomial
from engram.likelihoods.likelihood import Likelihood, Link

MOST = 1e12  # of a count: what stands in a missing cell must not overflow


class LogEncoded(Likelihood):
    """Positive values v as x = (log v - mean) / scale: with a normal part, v is log-normal and a linear model is the PCA of logarithms.

    log p = log part(x; output) - scale x, the density of v in units of exp(mean) scale; the part's means are medians of v.

    Parameters
    ----------
    part : LocationScale
        The distribution of x.
    scale : Tensor
        (columns,) what one unit of x is in logarithms.
    """

    def __init__(self, part: LocationScale, scale: Tensor) -> None:
        super().__init__(part.shape)
        self.part = part
        self.register_buffer("scale", scale.float(), persistent=False)
        self.scale: Tensor

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.part.log_prob_columns(output, x, mask) - self._volume(x, mask)

    def score_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.part.score_columns(output, x, mask) - self._volume(x, mask)

    def _volume(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.scale * (x if mask is None else torch.where(mask, x, 0.0))

    def mean(self, output: Tensor) -> Tensor:
        return self.part.mean(output)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.part.sample(output, generator)

    def link(self, mean: Tensor) -> Link:
        return self.part.link(mean)

    def start(self, spread: Tensor) -> None:
        self.part.start(spread)

    def calibrate(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> None:
        self.part.calibrate(output, x, mask)

    def findings(self) -> list[str]:
        return self.part.findings()


class CountEncoded(Likelihood):
    """Counts v as x = (log(1 + v) - mean) / scale, so that an encoder is not blinded by large ones; the probabilities are those of v.

    Counts are read back in float64: in single precision log(1 + v) tells counts of a few millions no longer apart.

    Parameters
    ----------
    part : Likelihood
        The distribution of the counts, one column each.
    mean, scale : Tensor
        (columns,) of log(1 + v).
    """

    def __init__(self, part: Likelihood, mean: Tensor, scale: Tensor) -> None:
        super().__init__(part.shape)
        self.part = part
        self.register_buffer("offset", mean.double(), persistent=False)
        self.register_buffer("scale", scale.double(), persistent=False)
        self.offset: Tensor
        self.scale: Tensor

    def counts(self, x: Tensor) -> Tensor:
        """Return the counts that encoded values stand for, float64: none above the trials, where these are known for each value."""
        counts = torch.expm1(x * self.scale + self.offset).clamp(0, MOST)
        return counts.minimum(self.part.trials) if isinstance(self.part, Binomial) else counts

    def encoded(self, counts: Tensor) -> Tensor:
        """Return counts as networks see them."""
        return ((counts.double().log1p() - self.offset) / self.scale).to(counts.dtype)

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.part.log_prob_columns(output, self.counts(x).round(), mask).to(x.dtype)

    def score_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.part.score_columns(output, self.counts(x).round(), mask).to(x.dtype)

    def mean(self, output: Tensor) -> Tensor:
        return self.encoded(self.part.mean(output))

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.encoded(self.part.sample(output, generator))

    def link(self, mean: Tensor) -> Link:
        counts = self.counts(mean)
        link = self.part.link(counts)
        return Link(link.output.to(mean.dtype), (link.slope * (counts + 1) * self.scale).to(mean.dtype))

    def start(self, spread: Tensor) -> None:
        self.part.start(spread)

    def calibrate(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> None:
        self.part.calibrate(output, self.counts(x).round(), mask)

    def findings(self) -> list[str]:
        return self.part.findings()


def sees_logarithms(likelihood: Likelihood) -> bool:
    """Whether networks see counts of some columns as logarithms: whether any of them is `CountEncoded`."""
    return any(isinstance(part, CountEncoded) for part in likelihood.side_by_side())


def to_counts(likelihood: Likelihood, x: Tensor) -> Tensor:
    """Return rows with the counts that columns of `CountEncoded` stand for, float64; other columns as they are."""
    return _counted(likelihood, x.double(), lambda part, values: part.counts(values).round())


def from_counts(likelihood: Likelihood, x: Tensor) -> Tensor:
    """Return rows as networks see them, of such as `to_counts` gave."""
    return _counted(likelihood, x, lambda part, values: part.encoded(values))


def _counted(likelihood: Likelihood, x: Tensor, change: Callable[[CountEncoded, Tensor], Tensor]) -> Tensor:
    parts = likelihood.side_by_side()
    pieces = zip(parts, torch.split(x, [part.size for part in parts], 1), strict=True)
    return torch.cat([change(part, values) if isinstance(part, CountEncoded) else values for part, values in pieces], 1)
