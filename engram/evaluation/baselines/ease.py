"""EASE, the linear item-item model in closed form (Steck 2019, arXiv:1905.03375); see `engram.maths.item_item`."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from engram.evaluation.baselines.recommender import Array, SimpleRecommender, ones
from engram.evaluation.held_back import HeldBack, hold_back
from engram.maths.item_item import ItemScores
from engram.metrics.ranking import hits_of, ndcg_at

STRENGTHS = (10.0, 25.0, 50.0, 100.0, 200.0, 400.0, 800.0)
LOOKED_AT = 4000  # items, the most popular ones, that the strength is chosen on
PLACES = 100  # of the lists that it is chosen by
SHARE = 0.1  # of the users it is chosen on


def mean_ndcg(scores: Array, parts: HeldBack) -> float:
    """Return NDCG@100 over the users of whom something was held back; NaN without any."""
    values = ndcg_at(*hits_of(scores, parts.fed, parts.held, PLACES), PLACES)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def chosen_strength(known: Any, parts: HeldBack) -> float:
    """Return the strength of `STRENGTHS` whose weights, learned from ``known``, find best what is held back of other users.

    Only the `LOOKED_AT` most popular items are looked at. The strengths are tried from the middle outwards, while it gets better.
    """
    counts = np.asarray(known.sum(0)).ravel()
    items = np.sort(np.argsort(-counts, kind="stable")[:LOOKED_AT])
    some, fed = known[:, items], parts.fed[:, items]
    inner = HeldBack(fed, parts.held[:, items], parts.told)
    found: dict[int, float] = {}

    def value(at: int) -> float:
        if at not in found:
            found[at] = mean_ndcg(ItemScores(some, STRENGTHS[at])(fed), inner)
        return found[at]

    best = len(STRENGTHS) // 2
    for step in (-1, 1):
        while 0 <= best + step < len(STRENGTHS) and value(best + step) > value(best):
            best += step
    return STRENGTHS[best]


class EASE(SimpleRecommender):
    """score = x B, with B the minimiser of ||X - X B||^2 + l2 ||B||^2 whose diagonal is zero; all weights are kept.

    Parameters
    ----------
    strength : float, optional
        l2; without, it is chosen on a tenth of the users of the fit.
    """

    name = "ease"

    def __init__(self, strength: float | None = None) -> None:
        self.strength = strength

    def fit(self, matrix: Any, *, random_state: int = 0) -> Self:
        X = ones(matrix)
        self.strength_ = self.strength if self.strength is not None else self._chosen(X, random_state)
        self._scores = ItemScores(X, self.strength_)
        return self

    def _chosen(self, X: Any, seed: int) -> float:
        order = np.random.default_rng(seed).permutation(X.shape[0])
        n_held = max(1, round(SHARE * len(order)))
        if len(order) <= n_held:
            return STRENGTHS[len(STRENGTHS) // 2]
        return chosen_strength(X[order[n_held:]], hold_back(X[order[:n_held]], "strong", seed))

    def scores(self, matrix: Any) -> Array:
        return self._scores(ones(matrix))
