"""Contrast between two views of the same rows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """InfoNCE per row, (rows,) in nats: how surely a view finds the other view of its row among those of all rows of the batch.

    -log(exp(s_ii / temperature) / sum_j exp(s_ij / temperature)) with s the cosine, averaged over both directions
    (van den Oord et al. 2018, arXiv:1807.03748, equation 4; symmetric as in Radford et al. 2021, arXiv:2103.00020). log(rows) is chance.

    Parameters
    ----------
    first, second : Tensor
        (rows, size) unit vectors, row i of one and row i of the other from the same row.
    temperature : float
        Small ones look at the most similar rows.
    """
    similar = first @ second.T / temperature
    own = torch.arange(len(first), device=first.device)
    there = functional.cross_entropy(similar, own, reduction="none")
    back = functional.cross_entropy(similar.T, own, reduction="none")
    return 0.5 * (there + back)
