"""The linear part of a recommender: EASE's item-item weights, kept sparse, and how it is blended with an autoencoder.

    score = (1 - w) s(x B) + w s(softmax(autoencoder(x) / T))           s: less its mean over items, over its standard deviation

x B estimates by least squares whether a user has an item, so what it is added to are probabilities, not their logarithms, flattened
by a temperature T. w, T and the strength of B's shrinkage are those that find best what is held back of users that neither part has
learned from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from engram.evaluation.baselines.ease import PLACES, chosen_strength, mean_ndcg
from engram.evaluation.held_back import HeldBack
from engram.maths.item_item import sparse_item_weights
from engram.metrics.ranking import hits_of, ndcg_at
from engram.models.blocks import block_size

Array = np.ndarray[Any, np.dtype[Any]]
KEPT = 500  # weights towards each item
MOST_ITEMS = 30_000  # beyond, the inverse takes too much memory
JUDGED = 2000  # held-out users, at most, that the blend is chosen on
ALONE = (1.0, 1.0)  # the autoencoder: its weight, and a temperature that changes nothing then
WEIGHTS = tuple(round(0.1 * i, 1) for i in range(1, 10))  # of the autoencoder, that are tried beside none and all
TEMPERATURES = (1.0, 2.0, 4.0)  # of its probabilities, that are tried
GAIN = 1e-3  # of NDCG that a part must bring to stay


def standardised(scores: Array) -> Array:
    """Return scores less their mean over items, over their standard deviation, (rows, items); rows without differences become 0."""
    scores = np.asarray(scores, dtype=np.float32)
    centred = scores - scores.mean(1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(1, keepdims=True))
    found: Array = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)
    return found


def shares(logits: Array, temperature: float) -> Array:
    """Return softmax(logits / temperature), (rows, items), times what makes each row's largest value 1."""
    found: Array = np.exp((logits - logits.max(1, keepdims=True)) / temperature)
    return found


def blended(linear: Array, logits: Array, weight: float, temperature: float) -> Array:
    """Return both scores in one, (rows, items); ``weight`` is the second one's, the autoencoder's logits."""
    if weight >= 1:
        return logits
    if weight <= 0:
        return linear
    found: Array = (1 - weight) * standardised(linear) + weight * standardised(shares(logits, temperature))
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
    temperature : float
        Of the autoencoder's probabilities.
    """

    weights: Any
    blend: float
    strength: float
    temperature: float

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
            "linear.blend": torch.tensor([self.blend, self.strength, self.temperature], dtype=torch.float64),
        }

    @classmethod
    def restored(cls, tensors: dict[str, Tensor], n_items: int) -> LinearItems | None:
        """Return what `state` gave, None where there is none of it."""
        if "linear.weights" not in tensors:
            return None
        data, items, pointers = (tensors[f"linear.{name}"].numpy() for name in ("weights", "items", "pointers"))
        matrix = sparse.csr_array((data, items, pointers), shape=(n_items, n_items))
        matrix.check_format(full_check=True)
        blend = tensors["linear.blend"].tolist()
        if len(blend) != 3:
            raise ValueError("the linear part is blended with logits, as an earlier version had it")
        return cls(matrix, *blend)

    def averaged(self, other: LinearItems, share: float) -> LinearItems:
        """Return the weights of both, the other ones' counting for ``share``; of each column the largest are kept."""
        mixed = ((1 - share) * self.weights + share * other.weights).tocsc()
        for at in range(mixed.shape[1]):
            own = slice(mixed.indptr[at], mixed.indptr[at + 1])
            values = mixed.data[own]
            if len(values) > KEPT:
                values[np.argpartition(-np.abs(values), KEPT)[KEPT:]] = 0.0
        mixed.eliminate_zeros()
        return replace(self, weights=mixed.tocsr().astype(np.float32))


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


def choose(known: Any, parts: HeldBack, logits: Callable[[Any], Array]) -> Choice:
    """Find the strength of the linear part and its place in the blend, on held-out users; ``logits`` are the autoencoder's of histories."""
    strength = chosen_strength(known, parts)
    weights, full = sparse_item_weights(known, strength, KEPT, parts.fed)
    assert full is not None
    found = LinearItems(weights, 0.0, strength, 1.0)
    values = _tried(found, parts, logits)
    told = {"autoencoder": values[ALONE], "all weights": mean_ndcg(full, parts), "kept weights": values[0.0, 1.0]}
    best = max(values, key=lambda pair: values[pair])
    if values[best] < values[ALONE] + GAIN:
        best = ALONE
    found.blend, found.temperature = best
    return Choice(found, told | {"blend": values[best]})


def _tried(linear: LinearItems, parts: HeldBack, logits: Callable[[Any], Array]) -> dict[tuple[float, float], float]:
    """Return NDCG@100 of each weight and temperature of the autoencoder, some users after the others."""
    pairs = [(0.0, 1.0), ALONE, *((w, t) for w in WEIGHTS for t in TEMPERATURES)]
    found: dict[tuple[float, float], list[Array]] = {pair: [] for pair in pairs}
    n, items = parts.fed.shape
    for at in range(0, n, block_size(items)):
        rows = slice(at, at + block_size(items))
        fed, held = parts.fed[rows], parts.held[rows]
        own, other = linear.scores(fed), logits(fed)
        for pair, values in found.items():
            values.append(ndcg_at(*hits_of(blended(own, other, *pair), fed, held, PLACES), PLACES))
    return {pair: float(np.nanmean(np.concatenate(values))) for pair, values in found.items()}


def learned(known: Any, strength: float, blend: float, temperature: float) -> LinearItems:
    """Return the weights of all users."""
    return LinearItems(sparse_item_weights(known, strength, KEPT)[0], blend, strength, temperature)
