"""The distribution of each column given the columns before it: a likelihood whose normal columns have a scale for every row, too."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engram.likelihoods import Laplace, Likelihood, Normal
from engram.likelihoods.continuous import LocationScale
from engram.likelihoods.likelihood import masked
from engram.maths.growth import square_plus

LEAST = math.log(
    0.02
)  # of the log scale of a column given others, in encoded units: values of a grid would else be held with no error


class Conditionals(nn.Module):
    """A likelihood, read column by column.

    An output has a number for each value of a row, then one for each value of the parts that are normal or Laplace: the logarithm
    of the scale, beside the shared one.

    Parameters
    ----------
    likelihood : Likelihood
        The distribution of rows.
    """

    def __init__(self, likelihood: Likelihood) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.parts = likelihood.side_by_side()
        self.sizes = [part.size for part in self.parts]
        self.scaled = [type(part) in (Normal, Laplace) for part in self.parts]

    @property
    def scaled_values(self) -> Tensor:
        """Return the numbers of the values whose scale depends on the row, long."""
        numbers = torch.split(torch.arange(sum(self.sizes), device="cpu"), self.sizes)
        return torch.cat([n for n, scaled in zip(numbers, self.scaled, strict=True) if scaled] or [numbers[0][:0]])

    def _pieces(self, output: Tensor) -> Iterator[tuple[Likelihood, Tensor, Tensor | None]]:
        """Yield each part, its outputs in the shape of its values, and its log scales, (rows, values), where these depend on the row."""
        at, scale_at = 0, sum(self.sizes)
        for part, size, scaled in zip(self.parts, self.sizes, self.scaled, strict=True):
            own = output[:, at : at + size].contiguous().view(-1, *part.shape)
            at += size
            log_scale = None
            if scaled and isinstance(part, LocationScale):
                free = part.floored() + output[:, scale_at : scale_at + size].contiguous()
                log_scale = LEAST + square_plus(free - LEAST)
                scale_at += size
            yield part, own, log_scale

    def log_prob(self, output: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        """Log p of the observed cells, summed over columns, in nats: outputs (rows, ...), x (rows, values) -> (rows,)."""
        values = torch.split(x, self.sizes, 1)
        seen = [None] * len(values) if mask is None else torch.split(mask, [part.n_columns for part in self.parts], 1)
        total = x.new_zeros(len(x))
        for (part, own, log_scale), flat, m in zip(self._pieces(output), values, seen, strict=True):
            v = flat.contiguous().view(-1, *part.shape)  # elementwise kernels round otherwise where rows lie apart
            if log_scale is not None and isinstance(part, LocationScale):
                columns = masked(part.density((v - part.location(own)).flatten(1), log_scale), m)
            else:
                columns = part.log_prob_columns(own, v, m)
            total = total + columns.sum(1)
        return total

    def sample(self, output: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw rows, (rows, values), given outputs."""
        drawn = []
        for part, own, log_scale in self._pieces(output):
            if log_scale is not None and isinstance(part, LocationScale):
                found = part.location(own) + log_scale.exp().view_as(own) * part.noise(own, generator)
            else:
                found = part.sample(own, generator)
            drawn.append(found.flatten(1))
        return torch.cat(drawn, 1)
