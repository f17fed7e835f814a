"""Priors of a VAE's code: standard normal, a learned mixture of normals, or the posterior's mixture over learned pseudo-inputs.

    p(z) = N(0, 1)        p(z) = sum_k w_k N(z; m_k, v_k)        p(z) = 1/K sum_k q(z | u_k)

The last is the VampPrior: Tomczak & Welling, VAE with a VampPrior, 2018, arXiv:1705.07120, equation 12.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from engram.data.rows import Rows
from engram.maths.divergence import log_normal, moved
from engram.maths.linear import principal_components
from engram.maths.mixture import group_means, log_mixture, log_mixture_units

ROWS = 4096  # most rows that pseudo-inputs begin as means of
DIRECTIONS = 16  # in which rows are compared for that
VALUES = 1 << 22  # of one row's log densities under all components that are held at once
Components = tuple[Tensor, Tensor, Tensor]  # log weights (k,), means and log variances (k, code size)


class MixturePrior(nn.Module):
    """A mixture of k diagonal normals whose weights, means and variances are learned.

    Parameters
    ----------
    k : int
        How many.
    code_size : int
        Dimensions of the code.
    """

    def __init__(self, k: int, code_size: int) -> None:
        super().__init__()
        self.log_weights = nn.Parameter(torch.zeros(k))
        self.means = nn.Parameter(0.5 * torch.randn(k, code_size))
        self.log_var = nn.Parameter(torch.full((k, code_size), math.log(0.75)))  # together of variance one

    def components(self, encoder: nn.Module) -> Components:
        """Return log weights, means and log variances."""
        return self.log_weights.log_softmax(0), self.means, self.log_var

    def start(self, rows: Rows) -> None:
        """Nothing: means begin at random."""


class VampPrior(nn.Module):
    """The mean of the posteriors of k pseudo-inputs, which are learned and begin as means of rows that are alike.

    Parameters
    ----------
    k : int
        How many.
    row : tuple of int
        Shape of a row.
    given : int
        Values of y, of a conditional model.
    """

    def __init__(self, k: int, row: tuple[int, ...], given: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(k, *row))
        self.y = nn.Parameter(torch.randn(k, given)) if given else None

    def components(self, encoder: nn.Module) -> Components:
        """Return log weights, means and log variances: the posteriors of the pseudo-inputs."""
        mean, log_var = posterior(encoder(self.rows, *(() if self.y is None else (self.y,))))
        return mean.new_full((len(mean),), -math.log(len(mean))), mean, log_var

    @torch.no_grad()
    def start(self, rows: Rows) -> None:
        """Begin at means of at least ten rows each (rule 13: no training row is kept), slightly apart."""
        some = rows.spread(ROWS)
        x = some.x.flatten(1)
        found = principal_components(x, min(DIRECTIONS, x.shape[1]))
        places = ((x - found.mean) @ found.vectors.T).float()
        shares = group_means(places, len(self.rows))
        self.rows.copy_((shares @ x).view_as(self.rows) + 0.01 * torch.randn_like(self.rows))
        if self.y is not None and some.y is not None:
            self.y.copy_(shares @ some.y)


LOG_VAR = (-14.0, 8.0)  # range of the posterior's log variance, so that a wild row cannot overflow


def posterior(output: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and log variance of q(z | x), each (rows, code size), from an encoder's output."""
    mean, log_var = output.chunk(2, 1)
    return mean, log_var.clamp(*LOG_VAR)


def log_prior(z: Tensor, components: Components | None) -> Tensor:
    """Log p(z) per row, (rows,), in nats; no components are the standard normal."""
    return _in_pieces(log_mixture, z, components) if components is not None else log_normal(z, 0.0, 0.0).sum(1)


def log_prior_units(z: Tensor, components: Components) -> Tensor:
    """Log p(z_j | z_1 .. z_j-1) per row and unit, (rows, code size), in nats: what log p(z) is the sum of."""
    return _in_pieces(log_mixture_units, z, components)


def _in_pieces(function: Callable[..., Tensor], z: Tensor, components: Components) -> Tensor:
    size = max(1, VALUES // components[1].numel())
    return torch.cat([function(piece, *components) for piece in torch.split(z, size)])


def checked_components(tensors: Sequence[Tensor], size: int) -> Components:
    """Return components read from a file; raise `ValueError` where they are none of so many dimensions."""
    log_weights, means, log_var = tensors
    shapes_fit = log_weights.dim() == 1 and means.shape == log_var.shape == (len(log_weights), size)
    if not shapes_fit or not all(bool(t.isfinite().all()) for t in tensors):
        raise ValueError("the prior cannot be")
    return log_weights, means, log_var


def draw_prior(n: int, size: int, components: Components | None, generator: torch.Generator | None = None) -> Tensor:
    """Draw codes from the prior, (n, size)."""
    noise = torch.randn(n, size, generator=generator, device=None if components is None else components[1].device)
    if components is None:
        return noise
    log_weights, means, log_var = components
    which = torch.multinomial(log_weights.exp(), n, replacement=True, generator=generator)
    return moved(means[which], log_var[which], noise)
