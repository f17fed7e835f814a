"""Total correlation of codes, estimated from a batch.

Chen, Li, Grosse & Duvenaud, Isolating Sources of Disentanglement in VAEs, 2018, arXiv:1802.04942: with q(z) = 1/N sum_n q(z | x_n)

    E_n KL(q(z | x_n) || p(z))  =  I(z; n)  +  KL(q(z) || prod_j q(z_j))  +  sum_j KL(q(z_j) || p(z_j))          (equation 2)

on average: index-code mutual information, total correlation, dimension-wise KL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from engram.maths.divergence import LOG_2_PI, log_normal

VALUES = 1 << 16  # numbers that are worked on at once


class Aggregate(NamedTuple):
    """Log densities of draws under the posterior of all rows together."""

    joint: Tensor  # (rows,) log q(z)
    units: Tensor  # (rows,) sum over units of log q(z_j)


class Decomposition(NamedTuple):
    """The three parts of the KL per row, (rows,) in nats; their sum is log q(z | x) - log p(z)."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise: Tensor


def aggregate(z: Tensor, mean: Tensor, log_var: Tensor, n_rows: int) -> Aggregate:
    """Estimate log q(z) and sum_j log q(z_j) of one draw per row from the posteriors of the batch, each (rows, code size).

    Stratified (appendix C.2): a row's own posterior has the weight 1/N of N = ``n_rows``, and the other rows of the batch share the
    rest, here equally. Unbiased for q(z), and exact where the batch holds all rows. Only once differentiable.
    """
    rows = len(z)
    n_rows = max(n_rows, rows)
    own = 1 / n_rows if rows > 1 else 1.0
    other = (n_rows - 1) / (n_rows * (rows - 1)) if rows > 1 else 0.0
    weights = torch.full((rows, rows), other, dtype=z.dtype, device=z.device).fill_diagonal_(own)
    joint, units = cast("tuple[Tensor, Tensor]", _Aggregate.apply(z, mean, log_var, weights))  # type: ignore[no-untyped-call]
    return Aggregate(joint, units)


class _Aggregate(torch.autograd.Function):
    """Both log densities and their gradient by hand, in few passes over (code size, draws, posteriors) numbers.

    Exponentials need no shift: a draw is near its own posterior's mean, whose density is neither 0 nor infinite.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, mean: Tensor, log_var: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        together, units, kept = weights.log(), torch.zeros_like(z[:, 0]), []
        for draws, means, log_vars in _units(z, mean, log_var):
            inverse = (-0.5 * log_vars).exp()[:, None]  # (units, 1, posterior)
            away = (draws[:, :, None] - means[:, None]) * inverse
            each = torch.addcmul(-0.5 * (LOG_2_PI + log_vars[:, None]), away, away, value=-0.5)
            together = together + each.sum(0)
            shares = each.exp_().mul_(weights)
            sums = shares.sum(2, keepdim=True)
            units += sums.log().sum((0, 2))
            kept += [away, inverse, shares, sums]
        joint = together.logsumexp(1)
        ctx.save_for_backward((together - joint[:, None]).exp_(), *kept)
        return joint, units

    @staticmethod
    def backward(ctx: Any, of_joint: Tensor, of_units: Tensor) -> tuple[Tensor | None, ...]:
        posterior, *kept = ctx.saved_tensors
        shared, found = of_joint[:, None] * posterior, []
        for away, inverse, shares, sums in zip(*(kept[i::4] for i in range(4)), strict=True):
            # what each log density of a draw under a posterior counts, times how far the draw lies from its mean
            counts = torch.addcmul(shared, shares, of_units[:, None] / sums)
            pulls = counts * away
            of_mean = pulls.sum(1) * inverse[:, 0]
            of_log_var = 0.5 * (pulls.mul_(away).sum(1) - counts.sum(1))
            of_z = -(counts.mul_(away) @ inverse.transpose(1, 2)).squeeze(2)
            found.append((of_z.T, of_mean.T, of_log_var.T))
        return *(torch.cat(parts, 1) for parts in zip(*found, strict=True)), None


def _units(*codes: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield some units of each, (units, rows), so that a number for each pair of rows and unit stays in the processor's cache."""
    size = max(1, VALUES // len(codes[0]) ** 2)
    return zip(*(torch.split(t.T, size) for t in codes), strict=True)


def total_correlation(z: Tensor, mean: Tensor, log_var: Tensor, n_rows: int) -> Tensor:
    """Estimate log q(z) - sum_j log q(z_j) per draw, (rows,) in nats; its mean is KL(q(z) || prod_j q(z_j))."""
    found = aggregate(z, mean, log_var, n_rows)
    return found.joint - found.units


def decomposed(z: Tensor, mean: Tensor, log_var: Tensor, log_prior: Tensor, n_rows: int) -> Decomposition:
    """Return the three parts of the KL per draw, given log p(z) of the draws, (rows,)."""
    found = aggregate(z, mean, log_var, n_rows)
    information = log_normal(z, mean, log_var).sum(1) - found.joint
    return Decomposition(information, found.joint - found.units, found.units - log_prior)
