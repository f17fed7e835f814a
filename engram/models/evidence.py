"""How likely rows are under a VAE: the ELBO, the importance-weighted bound, and what a constant output makes of them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from engram.data.rows import Rows
from engram.likelihoods import Likelihood
from engram.maths.bounds import importance_bound
from engram.maths.divergence import log_normal, moved
from engram.models.priors import Components, log_prior
from engram.training import Batch
from engram.training.nets import Nets


def log_weight(
    nets: Nets,
    batch: Batch,
    z: Tensor,
    mean: Tensor,
    log_var: Tensor,
    components: Components | None,
    share: float = 1.0,
) -> Tensor:
    """Log w = log p(x | z) + share (log p(z) - log q(z | x)) per row, (rows,) in nats, of one draw z a row."""
    log_prob = nets.decoder.likelihood.log_prob(nets.decoder(z, *batch.given), batch.x, batch.mask)
    found: Tensor = log_prob + share * (log_prior(z, components) - log_normal(z, mean, log_var).sum(1))
    return found


def sampled_bound(
    nets: Nets, batch: Batch, mean: Tensor, log_var: Tensor, components: Components | None, n: int
) -> Tensor:
    """Return the importance bound of n draws, (rows,) in nats: one even sequence, shifted for each row by a hash of the row."""
    shift, weights = row_shifts(batch.x, mean.shape[1]), []
    points = torch.quasirandom.SobolEngine(mean.shape[1], scramble=True, seed=0)  # type: ignore[no-untyped-call]
    for point in points.draw(n):
        noise = torch.special.ndtri(((point + shift) % 1).clamp(1e-6, 1 - 1e-6))
        weights.append(log_weight(nets, batch, moved(mean, log_var, noise), mean, log_var, components))
    return importance_bound(torch.stack(weights))


def balanced_noise(n: int, size: int) -> Tensor:
    """Return n fixed standard normal vectors in opposite pairs, with mean 0 and variance 1 in each dimension.

    Averages over them are exact for quadratics without cross terms, such as the reconstruction of a linear decoder.
    """
    half = torch.randn((n + 1) // 2, size, generator=torch.Generator().manual_seed(1))
    half = half / half.square().mean(0).sqrt()
    return torch.cat([half, -half])[:n]


def row_shifts(x: Tensor, size: int) -> Tensor:
    """Return (rows, size) numbers evenly spread over [0, 1) that are a hash of the row: of its bits, in whole numbers, so exact."""
    bits = x.flatten(1).contiguous().view(torch.int32).long()
    factors = torch.randint(1, 2**62, (bits.shape[1], size), generator=torch.Generator().manual_seed(2)) | 1
    return ((bits @ factors) >> 39 & 0xFFFFFF).float() / 2**24


def without_code(likelihood: Likelihood, rows: Rows, held_out: Rows) -> Tensor:
    """Log p of held-out rows under one constant output fitted to the training rows: what a collapsed decoder does."""
    free = copy.deepcopy(likelihood)
    mean = rows.x.mean(0)
    free.start((rows.x - mean).square().mean().sqrt())
    output = free.link(mean).output.expand_as(held_out.x)
    scores: Tensor = free.log_prob(output, held_out.x, held_out.mask)
    return scores
