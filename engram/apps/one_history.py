"""One history at a time: its scores in a few milliseconds, and the reasons of what is recommended.

Of the autoencoder's first layer only the columns of the history's items are read, and no other row is computed beside it. Scores are
those that `Recommender.predict_scores` gives, up to rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from engram.apps.linear_items import LinearItems, blended, shares
from engram.models.preferences import Ranker

Array = np.ndarray[Any, np.dtype[Any]]


class OneHistory:
    """A history, scored.

    Parameters
    ----------
    ranker : Ranker
        The autoencoder.
    linear : LinearItems or None
        The linear part, where there is one.
    history : array
        (items of the history,) their numbers, each once.
    """

    @torch.no_grad()
    def __init__(self, ranker: Ranker, linear: LinearItems | None, history: Array) -> None:
        self.ranker, self.linear, self.history = ranker, linear, history
        self.blend = 1.0 if linear is None else linear.blend
        units = ranker.decoder.in_features  # of a Mult-VAE the first half: the mean
        self._columns = ranker.encoder.weight[:units, torch.from_numpy(history.astype(np.int64))].T  # (history, units)
        self._bias = ranker.encoder.bias[:units]
        self._total = self._columns.sum(0)
        self._code = self._coded(self._total, len(history))
        logits = functional.linear(self._code, ranker.decoder.weight, ranker.decoder.bias).numpy()
        self.scores = self._own = logits  # the autoencoder's part, as it counts in the blend
        self._spread = [0.0, float(logits.std())]
        if linear is not None and self.blend < 1:
            self._rows = linear.weights[history]
            own = np.bincount(self._rows.indices, self._rows.data, minlength=len(logits)).astype(np.float32)
            self._own = shares(logits[None], linear.temperature)[0]
            self._spread = [float(own.std()), float(self._own.std())]
            self.scores = blended(own[None], logits[None], self.blend, linear.temperature)[0]

    def _coded(self, total: Any, n: int) -> Any:
        hidden = total / max(n, 1) ** 0.5 + self._bias
        return hidden if self.ranker.variational else torch.tanh(hidden)

    @torch.no_grad()
    def contributions(self, best: Array) -> Array:
        """Return how much less each of the items ``best`` would score without each item of the history, (best, items of the history).

        Of the linear part that is the weight itself. The autoencoder's code is computed once more for each item left out; what counts
        are logits less their mean over all items, in a blend their exponentials. Both in standard deviations of that part's scores, weighed
        as in the blend.
        """
        found = np.zeros((len(best), len(self.history)))
        if not len(self.history) or not len(best):
            return found
        if self.blend < 1 and self._spread[0] > 0:
            found += (1 - self.blend) / self._spread[0] * self._rows[:, best].toarray().T
        if self.blend > 0 and self._spread[1] > 0:
            without = self._coded(self._total - self._columns, len(self.history) - 1)
            weight = self.ranker.decoder.weight[torch.from_numpy(best.astype(np.int64))] - self.ranker.centre
            gap = (weight @ (self._code - without).T).numpy()
            if self.linear is not None and self.blend < 1:
                gap = self._own[best, None] * (1 - np.exp(-gap / self.linear.temperature))
            found += self.blend / self._spread[1] * gap
        return found
