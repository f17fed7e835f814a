"""Total correlation of codes, estimated from a batch.

Chen, Li, Grosse & Duvenaud, Isolating Sources of Disentanglement in VAEs, 2018, arXiv:1802.04942: with q(z) = 1/N sum_n q(z | x_n)

    E_n KL(q(z | x_n) || p(z))  =  I(z; n)  +  KL(q(z) || prod_j q(z_j))  +  sum_j KL(q(z_j) || p(z_j))          (equation 2)

on average: index-code mutual information, total correlation, dimension-wise KL.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from engram.maths.divergence import LOG_2_PI

VALUES = 1 << 18  # numbers that are worked on at once
LEAST = -70.0  # log density that counts as none


class Aggregate(NamedTuple):
    """Log densities of draws under the posterior of all rows together."""

    joint: Tensor  # (rows,) log q(z)
    units: Tensor  # (rows,) sum over units of log q(z_j)


def aggregate(z: Tensor, mean: Tensor, log_var: Tensor, n_rows: int) -> Aggregate:
    """Estimate log q(z) and sum_j log q(z_j) of one draw per row from the posteriors of the batch, each (rows, code size).

    Stratified (appendix C.2): a row's own posterior has the weight 1/N of N = ``n_rows``, and the other rows of the batch share the
    rest, here equally. Unbiased for q(z), and exact where the batch holds all rows. Only once differentiable.
    """
    rows = len(z)
    n_rows = max(n_rows, rows)
    own = 1 / n_rows if rows > 1 else 1.0
    other = (n_rows - 1) / (n_rows * (rows - 1)) if rows > 1 else 1.0
    joint, units = cast("tuple[Tensor, Tensor]", _Aggregate.apply(z, mean, log_var, own, other))  # type: ignore[no-untyped-call]
    return Aggregate(joint, units)


class _Aggregate(torch.autograd.Function):
    """Both log densities and their gradient by hand, some units at a time, in few passes over (units, draws, posteriors) numbers.

    The numbers of all units are not kept but computed again on the way back: memory that is new to a process costs more than that.
    Exponentials need no shift: a draw is near its own posterior's mean, whose density is neither 0 nor infinite. Densities below
    exp(`LEAST`) count as that: they add nothing to a sum, and exponentials that are not normal numbers take ten times as long.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, mean: Tensor, log_var: Tensor, own: float, other: float) -> tuple[Tensor, Tensor]:
        together = torch.full((len(z), len(z)), math.log(other), dtype=z.dtype, device=z.device)
        together.fill_diagonal_(math.log(own))
        found = []
        for away, each, _ in _densities(z, mean, log_var):
            together += torch.sum(each, 0, out=away[0])
            found.append(_shares(each, own / other).sum(2))
        sums = torch.cat(found)  # (units, draws): over posteriors, in shares of ``other``
        most = together.amax(1, keepdim=True)
        posterior = together.sub_(most).clamp_(min=LEAST).exp_()
        total = posterior.sum(1, keepdim=True)
        ctx.save_for_backward(z, mean, log_var, posterior.div_(total), sums)
        ctx.own_to_other = own / other
        return total.log_().add_(most).squeeze(1), sums.mul(other).log_().sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_joint: Tensor, of_units: Tensor) -> tuple[Tensor | None, ...]:
        z, mean, log_var, posterior, sums = ctx.saved_tensors
        shared, found, at = of_joint[:, None] * posterior, [], 0
        weights = (of_units / sums)[:, :, None]
        for away, each, inverse in _densities(z, mean, log_var):
            # what each log density of a draw under a posterior counts, times how far the draw lies from its mean
            counts = _shares(each, ctx.own_to_other).mul_(weights[at : at + len(each)]).add_(shared)
            at += len(each)
            of_log_var = counts.sum(1)
            pulls = counts.mul_(away)
            of_z = (pulls @ inverse.transpose(1, 2)).squeeze(2)
            of_mean = pulls.sum(1) * inverse[:, 0]
            found.append((-of_z.T, of_mean.T, 0.5 * (pulls.mul_(away).sum(1) - of_log_var).T))
        return *(torch.cat(parts, 1) for parts in zip(*found, strict=True)), None, None


def _densities(z: Tensor, mean: Tensor, log_var: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield for some units at a time how far draws lie from means in standard deviations and log densities, (units, draws, posteriors).

    And the inverse standard deviations, (units, 1, posteriors). The first two are overwritten by the next.
    """
    rows, units = z.shape
    size = min(max(1, VALUES // rows**2), units)  # so that these numbers stay in the processor's cache
    work = z.new_empty(2, size, rows, rows)
    draws, means, log_vars = (t.T.contiguous() for t in (z, mean, log_var))
    inverse = (-0.5 * log_vars).exp()[:, None]
    level = -0.5 * (LOG_2_PI + log_vars[:, None])
    for at in range(0, units, size):
        here = slice(at, min(at + size, units))
        away, each = work[:, : here.stop - at]
        torch.sub(draws[here, :, None], means[here, None], out=away).mul_(inverse[here])
        yield away, torch.addcmul(level[here], away, away, value=-0.5, out=each), inverse[here]


def _shares(each: Tensor, own_to_other: float) -> Tensor:
    """Turn log densities into what draws share of posteriors, in place, in shares of the weight that others than their own have."""
    shares = each.clamp_(min=LEAST).exp_()
    shares.diagonal(dim1=1, dim2=2).mul_(own_to_other)
    return shares


def total_correlation(z: Tensor, mean: Tensor, log_var: Tensor, n_rows: int) -> Tensor:
    """Estimate log q(z) - sum_j log q(z_j) per draw, (rows,) in nats; its mean is KL(q(z) || prod_j q(z_j))."""
    found = aggregate(z, mean, log_var, n_rows)
    return found.joint - found.units
