"""Codes of which few units are active at a time, and codes whose units say different things."""

from __future__ import annotations

import torch
from torch import Tensor


def l1(codes: Tensor, norms: Tensor | None = None) -> Tensor:
    """Return sum_j |z_j| ||w_j|| per row: (rows, units) -> (rows,).

    ``norms`` (units,) are the lengths of the weights that read each unit; with them the sum cannot be lowered by making codes
    small and the weights that read them large (unit lengths: Olshausen & Field, Nature 381, 1996).
    """
    return codes.abs().sum(1) if norms is None else codes.abs() @ norms


def kl_to_rate(codes: Tensor, rate: float) -> Tensor:
    """Return sum_j KL(rate || mean of z_j over the rows), between coins, in nats: (rows, units) in (0, 1) -> ().

    Ng, Sparse Autoencoder, CS294A lecture notes, 2011, section 3.
    """
    mean = codes.mean(0).clamp(1e-6, 1 - 1e-6)
    target = torch.full_like(mean, rate)
    return (target * (target / mean).log() + (1 - target) * ((1 - target) / (1 - mean)).log()).sum()


def top_k(codes: Tensor, k: int) -> Tensor:
    """Keep the k largest of each row and set the others to zero: (rows, units) -> (rows, units).

    Makhzani & Frey, k-Sparse Autoencoders, 2013, arXiv:1312.5663, algorithm 1.
    """
    if k >= codes.shape[1]:
        return codes
    kept = codes.topk(k, 1, sorted=False)
    return torch.zeros_like(codes).scatter(1, kept.indices, kept.values)


def batch_threshold(codes: Tensor, k: int) -> Tensor:
    """Return the (rows x k)-th largest of all codes of a batch, (): those from it on are k per row on average.

    Bussmann, Leask & Nanda, BatchTopK Sparse Autoencoders, 2024, arXiv:2412.06410, equations 4 and 5.
    """
    flat = codes.flatten()
    return flat.kthvalue(max(1, flat.numel() - len(codes) * k + 1)).values


def correlations(codes: Tensor) -> Tensor:
    """Return the sum of squared correlations between different units over the rows, from 0 to units (units - 1) / 2: ().

    Cogswell et al., Reducing Overfitting by Decorrelating Representations, 2016, arXiv:1511.06068, equation 2, of standardised codes:
    small codes do not look less correlated than large ones. Units that do not vary count as uncorrelated.
    """
    centred = codes - codes.mean(0)
    scale = centred.square().sum(0)
    unit = centred * torch.where(scale > 0, scale, 1.0).rsqrt()
    products = unit.T @ unit
    return (products.square().sum() - products.diagonal().square().sum()) / 2
