"""Items that the same users have: nearest neighbours of items by cosine (Sarwar et al., WWW 2001; Deshpande & Karypis, TOIS 2004)."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse

from engram.evaluation.baselines.recommender import Array, SimpleRecommender, ones
from engram.maths.item_item import kept_weights

NEIGHBOURS = 100
SHRINKAGE = 10.0  # users in common that a similarity of items must outweigh
BLOCK = 1 << 24  # similarities at once


class ItemKNN(SimpleRecommender):
    """score_i = sum over the history's items j of sim(i, j), of the 100 items most similar to i.

    sim(i, j) = n_ij / (sqrt(n_i n_j) + shrinkage), with n_ij users that have both.
    """

    name = "item-knn"

    def fit(self, matrix: Any, *, random_state: int = 0) -> Self:
        X = ones(matrix)
        n_items = X.shape[1]
        length = np.sqrt(np.asarray(X.sum(0)).ravel())
        turned, by_item = X.T.tocsr(), X.tocsc()
        width = max(1, BLOCK // max(n_items, 1))
        parts = []
        for at in range(0, n_items, width):
            common = (turned @ by_item[:, at : at + width]).toarray()
            common /= length[:, None] * length[None, at : at + width] + SHRINKAGE
            own = np.arange(common.shape[1])
            common[at + own, own] = 0.0
            rows, columns, values = kept_weights(common, NEIGHBOURS)
            parts.append(sparse.csc_array((values, (rows, columns)), shape=common.shape))
        self.similarity = sparse.hstack(parts).tocsr()
        return self

    def scores(self, matrix: Any) -> Array:
        found: Array = (ones(matrix) @ self.similarity).toarray()
        return found
