"""Reasons of a recommendation: what each item of the history adds to the score."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engram.apps.linear_items import LinearItems
from engram.models.preferences import Ranker

Array = np.ndarray[Any, np.dtype[Any]]


@torch.no_grad()
def contributions(ranker: Ranker, linear: LinearItems | None, present: Any, best: Array) -> Array:
    """Return how much less each of the items ``best`` would score without each item of one history, (best, items of the history).

    Of the linear part that is the weight itself. The autoencoder's code is computed once more for each item left out, of which its first
    layer needs one column only; what counts are logits less their mean over all items. Both in standard deviations of the score's parts.

    Parameters
    ----------
    ranker : Ranker
        The autoencoder.
    linear : LinearItems or None
        The linear part.
    present : csr_array
        (1, items), the history, of ones.
    best : array
        Numbers of the items that are recommended.
    """
    history = present.indices
    found = np.zeros((len(best), len(history)))
    if not len(history) or not len(best):
        return found
    blend = 1.0 if linear is None else linear.blend
    if linear is not None and blend < 1:
        rows = linear.weights[history]
        spread = float(np.asarray(rows.sum(0)).std())
        found += (1 - blend) * rows[:, best].toarray().T / max(spread, 1e-12)
    columns = ranker.encoder.weight[: _units(ranker)][:, torch.from_numpy(history.astype(np.int64))]  # (units, history)
    bias = ranker.encoder.bias[: _units(ranker)]
    n = len(history)
    total = columns.sum(1, keepdim=True)
    hidden = torch.cat([total / n**0.5, (total - columns) / max(n - 1, 1) ** 0.5], 1) + bias[:, None]
    code = hidden if ranker.variational else torch.tanh(hidden)
    weight, places = ranker.decoder.weight, torch.from_numpy(best.astype(np.int64))
    relative = (weight[places] - weight.mean(0)) @ code  # (best, 1 + history)
    scale = float((weight @ code[:, :1] + ranker.decoder.bias[:, None]).std(correction=0))
    added: Array = (blend * (relative[:, :1] - relative[:, 1:]) / max(scale, 1e-12)).double().numpy()
    return found + added


def _units(ranker: Ranker) -> int:
    """Return how many units make the mean of the code."""
    return ranker.decoder.in_features
