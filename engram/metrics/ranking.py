"""How well a ranking of items brings forward those that a user has: recall, NDCG, reciprocal rank. Per user, to be paired.

All take ``hits``, (users, k) bool: whether the item at each place of a user's list, best first, is one that was held back; and ``n``,
(users,): how many were held back. `hits_of` makes both of scores. Users of whom nothing was held back have no value: NaN.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy import sparse

from engram.errors import DataError, UsageError
from engram.metrics.metric import Array

Division = Literal["min", "n"]


def top(scores: Array, k: int) -> Array:
    """Return the places of the k largest scores of each row, largest first; of equal ones the first comes first.

    Shapes: scores (rows, items) -> (rows, min(k, items)). Takes time linear in the items.
    """
    scores = np.asarray(scores)
    k = min(k, scores.shape[1])
    if k == 0:
        return np.zeros((len(scores), 0), dtype=np.int64)
    if k < scores.shape[1]:
        least = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]  # ties at the last place go to the first items
        above, at = scores > least, scores == least
        kept = above | (at & (np.cumsum(at, 1) <= k - above.sum(1, keepdims=True)))
        found = np.nonzero(kept)[1].reshape(len(scores), k)
    else:
        found = np.broadcast_to(np.arange(k), (len(scores), k))
    order = np.argsort(-np.take_along_axis(scores, found, 1), axis=1, kind="stable")
    best: Array = np.take_along_axis(found, order, 1)
    return best


def hits_of(scores: Array, seen: Any, relevant: Any, k: int) -> tuple[Array, Array]:
    """Return ``hits`` and ``n`` of scores, (users, items): items ``seen`` are left out of the lists, ``relevant`` ones are to be found.

    Parameters
    ----------
    scores : array
        (users, items), higher = recommended earlier.
    seen, relevant : sparse matrix
        (users, items), nonzero where a user's item was fed to the model, and where it was held back.
    k : int
        Length of the lists.
    """
    if scores.shape != seen.shape or scores.shape != relevant.shape:
        raise DataError(
            f"scores {scores.shape}, seen {seen.shape} and relevant {relevant.shape} are of different shapes."
        )
    scores = np.array(scores, dtype=np.float64)
    scores[seen.nonzero()] = -np.inf
    places = top(scores, k)
    wanted = sparse.csr_matrix(relevant, copy=True)
    wanted.eliminate_zeros()
    there = np.zeros(scores.shape, dtype=bool)
    there[wanted.nonzero()] = True
    hits = np.take_along_axis(there, places, 1) & np.isfinite(np.take_along_axis(scores, places, 1))
    return hits, there.sum(1)


def recall_at(hits: Array, n: Array, k: int, *, divide: Division = "min") -> Array:
    """Share of the held-back items among the first k, (users,).

    Direction: higher is better. ``divide="min"`` divides by min(k, n), so that 1 can be reached (Liang et al. 2018, arXiv:1802.05814,
    section 4.2); ``"n"`` by n, as in most tables of recall elsewhere: the two must not be compared.
    """
    if divide not in ("min", "n"):
        raise UsageError(f"divide={divide!r} is neither 'min' nor 'n'.")
    found = hits[:, :k].sum(1).astype(np.float64)
    return _over(found, np.minimum(k, n) if divide == "min" else n)


def ndcg_at(hits: Array, n: Array, k: int) -> Array:
    """Discounted gain of the first k items over that of the best list, (users,): sum of 1 / log2(place + 1) over hits.

    Direction: higher is better. Gains are 0 or 1, the best list has its min(k, n) first places filled (Järvelin & Kekäläinen, 2002; Liang
    et al. 2018, arXiv:1802.05814).
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    best = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(k, n)]
    shown = hits[:, :k]
    return _over((shown * discount[: shown.shape[1]]).sum(1), best)


def reciprocal_rank(hits: Array, n: Array, k: int) -> Array:
    """One over the place of the first hit among the first k items, 0 without one, (users,). Direction: higher is better."""
    shown = hits[:, :k]
    first = np.where(shown.any(1), 1 / (shown.argmax(1) + 1.0), 0.0) if shown.shape[1] else np.zeros(len(hits))
    return np.where(np.asarray(n) > 0, first, np.nan)


def _over(value: Array, most: Array) -> Array:
    most = np.asarray(most, dtype=np.float64)
    found: Array = np.divide(value, most, out=np.full(len(value), np.nan), where=most > 0)
    return found
