"""The contract of a likelihood: log p(x | output) per column, its mean, its draws, and the link that a start needs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class Link(NamedTuple):
    """The canonical link at a mean: output = ``output``, d output / d mean = ``slope`` (both of x's shape)."""

    output: Tensor
    slope: Tensor


CLOSE = 1e-4  # steps of Newton's method below which it has arrived


class Support(NamedTuple):
    """The values that a distribution can have: from ``low`` to ``high``, the ends included unless ``open``."""

    low: float = -math.inf
    high: float = math.inf
    open: bool = False
    whole: bool = False

    def holds(self, values: Any) -> Any:
        """Return where values (a tensor or an array) can come from the distribution."""
        inside = (
            (values > self.low) & (values < self.high) if self.open else (values >= self.low) & (values <= self.high)
        )
        return inside & (values == values.round()) if self.whole else inside

    def __str__(self) -> str:
        if self.whole:
            return "counts 0, 1, 2, ..."
        if self.high < math.inf:
            ends = ("between", "and") if self.open else ("from", "to")
            return f"values {ends[0]} {self.low:g} {ends[1]} {self.high:g}"
        return (
            "numbers" if self.low < 0 else f"values above {self.low:g}" if self.open else f"values from {self.low:g} on"
        )


COUNTS = Support(low=0.0, whole=True)


class Likelihood(nn.Module, ABC):
    """A distribution over rows of shape ``shape``, with as many numbers a row, its ``size``, to parametrise it.

    An output has the shape of x, so a convolutional decoder's output fits as it is. Columns are the values of a row in
    order (or, for a categorical block, the one column of the user's that the block stands for). Everything is in nats
    and summed over columns, never averaged. A cell that the mask leaves out may hold any finite value.

    Parameters
    ----------
    shape : tuple of int
        Shape of one row, without the rows.
    """

    support: ClassVar[Support] = Support()

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.size = int(torch.Size(self.shape).numel())

    @property
    def n_columns(self) -> int:
        """How many columns `log_prob_columns` has."""
        return self.size

    def side_by_side(self) -> list[Likelihood]:
        """Return the distributions that make up that of a row, in the order of its values: itself, unless it has several blocks."""
        return [self]

    @abstractmethod
    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log p(x | output), (rows, columns), in nats; cells where ``mask`` is False count zero."""

    def log_prob(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log p(x | output), (rows,), in nats: the sum of `log_prob_columns`."""
        return self.log_prob_columns(output, x, mask).sum(1)

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """E[x | output], in the shape of x."""

    @abstractmethod
    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw x given the output."""

    def relaxed(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return what a discriminator may see of the output: differentiable, in the range of x; of what is yes or no, a draw."""
        return self.mean(output)

    @abstractmethod
    def link(self, mean: Tensor) -> Link:
        """Return the output whose mean is ``mean``, and the slope of that map (clipped where it would be infinite)."""

    def bound(self, low: Tensor, high: Tensor) -> None:
        """Say which range values can have, elementwise like x; a distribution whose mean stays inside by itself ignores it."""

    def unbound(self) -> None:
        """Forget what `bound` said: a linear model stays linear."""

    @torch.no_grad()
    def start(self, spread: Tensor) -> None:
        """Set the distribution's own parameters from the (scalar) standard deviation of the residuals at the start."""

    @torch.no_grad()
    def calibrate(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> None:
        """Estimate per-column scales on held-out rows in closed form, for `score_columns` and `sample`; the loss never uses them."""

    def score_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`log_prob_columns` with the per-column scales of `calibrate`, where the distribution has a scale."""
        return self.log_prob_columns(output, x, mask)

    @torch.no_grad()
    def marginal(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the one output that makes columns x, (rows, columns), most likely, (columns,); set the own parameters so, too."""
        seen = torch.ones_like(x) if mask is None else mask.to(x.dtype)
        return self.link((x * seen).sum(0) / seen.sum(0).clamp(min=1)).output

    def findings(self) -> list[str]:
        """Say what a user should know of the fitted distribution, e.g. that its scale reached the floor."""
        return []


def masked(columns: Tensor, mask: Tensor | None) -> Tensor:
    """Zero where the cell is missing; flatten to (rows, columns)."""
    columns = columns.flatten(1)
    return columns if mask is None else torch.where(mask.flatten(1), columns, 0.0)


def kept(parameter: Tensor, low: float, high: float) -> Tensor:
    """Return a parameter, put back into its range first: outside of the graph, so that it costs no gradient and is never stuck."""
    parameter.data.clamp_(low, high)
    return parameter


@torch.enable_grad()
def most_likely(parameters: Sequence[Tensor], log_prob: Callable[[], Tensor], rounds: int = 12) -> None:
    """Set parameters, (columns,) each, to what makes the sum over rows of ``log_prob()``, (rows, columns), largest: Newton's steps in turn.

    Steps are at most 1; where the curve bends the wrong way, one of 1/2 goes uphill. A column's parameters concern no other column.
    """
    for _ in range(rounds):
        largest = 0.0
        for parameter in parameters:
            parameter.requires_grad_()
            slope = torch.autograd.grad(log_prob().sum(), parameter, create_graph=True)[0]
            bend = torch.autograd.grad(slope.sum(), parameter)[0]
            step = torch.where(bend < 0, -slope.detach() / bend, 0.5 * slope.detach().sign())
            parameter.data.add_(step.clamp(-1, 1))
            parameter.requires_grad_(isinstance(parameter, nn.Parameter))
            largest = max(largest, float(step.abs().max()))
        if largest < CLOSE:
            break
