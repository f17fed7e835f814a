"""The linear part of a recommender: EASE's item-item weights, kept sparse, and how it is blended with an autoencoder.

    score = (1 - w) s(x B) + w s(autoencoder(x))           s: less its mean over items, over its standard deviation

w and the strength of B's shrinkage are those that find best what is held back of users that neither part has learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from engram.evaluation.baselines.ease import chosen_strength, mean_ndcg
from engram.evaluation.held_back import HeldBack
from engram.maths.item_item import sparse_item_weights

Array = np.ndarray[Any, np.dtype[Any]]
KEPT = 500  # weights towards each item
MOST_ITEMS = 30_000  # beyond, the inverse takes too much memory
WEIGHTS = tuple(round(0.1 * i, 1) for i in range(11))  # of the autoencoder, that are tried
GAIN = 1e-3  # of NDCG that a part must bring to stay


def standardised(scores: Array) -> Array:
    """Return scores less their mean over items, over their standard deviation, (rows, items); rows without differences become 0."""
    scores = np.asarray(scores, dtype=np.float32)
    centred = scores - scores.mean(1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(1, keepdims=True))
    found: Array = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)
    return found


def blended(linear: Array, other: Array, weight: float) -> Array:
    """Return both scores in one, (rows, items); ``weight`` is the second one's."""
    if weight >= 1:
        return other
    if weight <= 0:
        return linear
    found: Array = (1 - weight) * standardised(linear) + weight * standardised(other)
    return found


@dataclass
class LinearItems:
    """Item-item weights and the blend.

    Parameters
    ----------
    weights : csr_array
        (items, items) float32, at most `KEPT` in a column.
    blend : float
        Weight of the autoencoder, 0 to 1.
    strength : float
        l2 of the weights.
    """

    weights: Any
    blend: float
    strength: float

    def scores(self, present: Any) -> Array:
        """Return x B for histories of ones, (rows, items) float32; the same for a row whatever rows stand beside it."""
        found: Array = (present @ self.weights).toarray()
        return found

    def state(self) -> dict[str, Tensor]:
        """Return the weights as tensors."""
        matrix = self.weights
        return {
            "linear.pointers": torch.from_numpy(matrix.indptr.astype(np.int64)),
            "linear.items": torch.from_numpy(matrix.indices.astype(np.int32)),
            "linear.weights": torch.from_numpy(matrix.data.astype(np.float32)),
            "linear.blend": torch.tensor([self.blend, self.strength], dtype=torch.float64),
        }

    @classmethod
    def restored(cls, tensors: dict[str, Tensor], n_items: int) -> LinearItems | None:
        """Return what `state` gave, None where there is none of it."""
        if "linear.weights" not in tensors:
            return None
        data, items, pointers = (tensors[f"linear.{name}"].numpy() for name in ("weights", "items", "pointers"))
        matrix = sparse.csr_array((data, items, pointers), shape=(n_items, n_items))
        matrix.check_format(full_check=True)
        blend, strength = tensors["linear.blend"].tolist()
        return cls(matrix, blend, strength)

    def averaged(self, other: LinearItems, share: float) -> LinearItems:
        """Return the weights of both, the other ones' counting for ``share``; of each column the largest are kept."""
        mixed = ((1 - share) * self.weights + share * other.weights).tocsc()
        for at in range(mixed.shape[1]):
            own = slice(mixed.indptr[at], mixed.indptr[at + 1])
            values = mixed.data[own]
            if len(values) > KEPT:
                values[np.argpartition(-np.abs(values), KEPT)[KEPT:]] = 0.0
        mixed.eliminate_zeros()
        return LinearItems(mixed.tocsr().astype(np.float32), self.blend, self.strength)


@dataclass
class Choice:
    """What was found out about the linear part on held-out users.

    Parameters
    ----------
    linear : LinearItems
        The weights, learned from all users but the held-out ones.
    values : dict
        NDCG@100 of the autoencoder alone, of all linear weights, of those kept, and of the blend.
    """

    linear: LinearItems
    values: dict[str, float]


def choose(known: Any, parts: HeldBack, other: Array) -> Choice:
    """Find the strength of the linear part and its place in the blend, on held-out users with the scores ``other`` of the autoencoder."""
    strength = chosen_strength(known, parts)
    weights, full = sparse_item_weights(known, strength, KEPT, parts.fed)
    found = LinearItems(weights, 0.0, strength)
    own = found.scores(parts.fed)
    values = {w: mean_ndcg(blended(own, other, w), parts) for w in WEIGHTS}
    found.blend = max(values, key=lambda w: values[w])
    assert full is not None
    told = {"autoencoder": values[1.0], "all weights": mean_ndcg(full, parts), "kept weights": values[0.0]}
    if values[found.blend] < values[1.0] + GAIN:
        found.blend = 1.0
    return Choice(found, told | {"blend": values[found.blend]})


def learned(known: Any, strength: float, blend: float) -> LinearItems:
    """Return the weights of all users."""
    return LinearItems(sparse_item_weights(known, strength, KEPT)[0], blend, strength)
