"""Codes that are one of finitely many: nearest codes, moving averages, rounding, and gradients that go straight through.

van den Oord, Vinyals & Kavukcuoglu, Neural Discrete Representation Learning, 2017, arXiv:1711.00937 ("VQ" below); Mentzer et al.,
Finite Scalar Quantization, 2023, arXiv:2309.15505 ("FSQ"); products of codebooks: Jegou, Douze & Schmid, Product Quantization for
Nearest Neighbor Search, PAMI 33, 2011.
"""

from __future__ import annotations

import torch
from torch import Tensor

VALUES = 1 << 20  # differences of codes that are held at once
SMOOTHING = 1e-5  # rows added to each code, so that a code that nobody uses has an average (VQ, appendix A.1)


def nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """Return the number of the nearest entry of each part of a code, by squared distance (VQ, equation 1).

    Shapes: z (rows, parts, size), codebook (parts, entries, size) -> (rows, parts) long. Of equally near ones the first. Differences, not
    products of matrices, which lose ties and codes far from the origin; of some rows at a time.
    """
    size = max(1, VALUES // max(1, codebook.numel()))
    # made first: memory between the blocks would not be used again
    found = torch.empty(z.shape[:2], dtype=torch.long, device=z.device)
    for rows, numbers in zip(torch.split(z, size), torch.split(found, size), strict=True):
        numbers.copy_((rows[:, :, None] - codebook[None]).square().sum(-1).argmin(-1))
    return found


def looked_up(codebook: Tensor, index: Tensor) -> Tensor:
    """Return the entries of these numbers: (parts, entries, size) and (rows, parts) long -> (rows, parts, size)."""
    return codebook[torch.arange(len(codebook), device=codebook.device), index]


def straight_through(z: Tensor, quantised: Tensor) -> Tensor:
    """Return ``quantised`` with the gradient of z: what reaches the one reaches the other unchanged (VQ, section 3.2)."""
    return z + (quantised - z).detach()


def commitment(z: Tensor, quantised: Tensor) -> Tensor:
    """Return |z - sg(quantised)|^2 per row, summed over dimensions (VQ, the third term of equation 3): (rows, ...) -> (rows,)."""
    return (z - quantised.detach()).square().flatten(1).sum(1)


def assigned(z: Tensor, index: Tensor, entries: int) -> tuple[Tensor, Tensor]:
    """Return how many rows each entry was given, (parts, entries), and the sums of these, (parts, entries, size)."""
    parts, size = z.shape[1:]
    place = (index + entries * torch.arange(parts, device=index.device)).flatten()
    counts = z.new_zeros(parts * entries).index_add_(0, place, z.new_ones(len(place)))
    sums = z.new_zeros(parts * entries, size).index_add_(0, place, z.reshape(-1, size))
    return counts.view(parts, entries), sums.view(parts, entries, size)


def moving_average(old: Tensor, new: Tensor, decay: float) -> Tensor:
    """Return decay old + (1 - decay) new (VQ, equations 6 and 7)."""
    return torch.lerp(new, old, decay)


def centres(counts: Tensor, sums: Tensor) -> Tensor:
    """Return the mean of what each entry was given (VQ, equation 8): (parts, entries), (parts, entries, size) -> like sums."""
    return (sums / (counts + SMOOTHING)[..., None]).to(sums.dtype)


def perplexity(counts: Tensor) -> Tensor:
    """Return exp of the entropy of how often entries are used: 1 for a single one, as many as there are for equal use.

    Shapes: (..., entries) -> (...).
    """
    share = counts / counts.sum(-1, keepdim=True).clamp(min=1e-12)
    entropy: Tensor = -torch.special.xlogy(share, share).sum(-1)
    return entropy.exp()


@torch.no_grad()
def k_means(z: Tensor, entries: int, rounds: int = 10, generator: torch.Generator | None = None) -> Tensor:
    """Return cluster centres of each part by Lloyd's algorithm from k-means++ seeds (Arthur & Vassilvitskii, SODA 2007).

    Shapes: (rows, parts, size) -> (parts, entries, size). Where there are fewer different rows than entries, some occur twice.
    Draws from torch's own generator unless another is given.
    """
    rows, parts, _ = z.shape
    each = torch.arange(parts, device=z.device)
    found = [z[torch.randint(rows, (parts,), device=z.device, generator=generator), each]]
    distance = (z - found[0]).square().sum(-1)
    for _ in range(1, entries):
        weight = distance.T + 1e-12  # far rows are likely seeds; if all are seeds already, any will do
        found.append(z[torch.multinomial(weight, 1, generator=generator).flatten(), each])
        distance = torch.minimum(distance, (z - found[-1]).square().sum(-1))
    codebook = torch.stack(found, 1)
    for _ in range(rounds):
        counts, sums = assigned(z, nearest(z, codebook), entries)
        codebook = torch.where(counts[..., None] > 0, sums / counts.clamp(min=1)[..., None], codebook)
    return codebook


def finite_scalar(z: Tensor, levels: Tensor) -> Tensor:
    """Return z squashed to (-1, 1) and rounded to ``levels`` evenly spaced values from -1 to 1, with a straight-through gradient.

    FSQ, section 3.1: round(L/2 tanh(z)). Here the grid is symmetric for even L too: for L = 4 the values are -1, -1/3, 1/3, 1.
    Shapes: z (rows, dimensions), levels (dimensions,) at least 2 -> (rows, dimensions).
    """
    half = (levels - 1) / 2
    bounded = half * torch.tanh(z)
    offset = 0.5 * ((levels % 2) == 0)
    rounded = (bounded - offset).round() + offset
    return straight_through(bounded, rounded) / half
