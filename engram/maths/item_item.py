"""Linear item-item weights in closed form: EASE (Steck, Embarrassingly Shallow Autoencoders for Sparse Data, 2019, arXiv:1905.03375).

    minimise   || X - X B ||^2 + l2 || B ||^2   with  diag(B) = 0
    B = I - P diag(1 / diag(P)),   P = (X'X + l2 I)^-1                                          (equation 8 of the paper)

X holds users' histories, (users, items). With fewer users than items the inverse is taken over users instead, exactly (Woodbury):

    P = (I - X' (X X' + l2 I)^-1 X) / l2
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse

Array = np.ndarray[Any, np.dtype[Any]]
BLOCK = 1 << 24  # weights that are looked at together
EXACT = 6000  # items, or users, up to which the inverse is taken in float64: beyond, memory decides


def item_weights(X: Any, l2: float) -> Iterator[tuple[int, Array]]:
    """Yield (first item, B[:, items]) block by block, (items, some items): what a history's items add to the scores of these.

    Parameters
    ----------
    X : sparse matrix
        (users, items), histories.
    l2 : float
        Strength of the shrinkage, above 0.
    """
    n_users, n_items = X.shape
    dtype = _precision(X)
    width = max(1, BLOCK // max(n_items, 1))
    columns = _by_items(X, l2, dtype, width) if n_items <= n_users else _by_users(X, l2, dtype, width)
    for at, block in columns:
        own = np.arange(block.shape[1])
        weights = -block / block[at + own, own]
        weights[at + own, own] = 0.0
        yield at, weights


def _inverse(left: Any, right: Any, l2: float, dtype: torch.dtype) -> torch.Tensor:
    """Return (left right + l2 I)^-1, dense, in the memory of one matrix and what the factoring needs."""
    n = left.shape[0]
    gram = torch.empty(n, n, dtype=dtype)
    width = max(1, BLOCK // n)
    for at in range(0, n, width):
        gram[at : at + width] = torch.from_numpy((left[at : at + width] @ right).toarray())
    gram.diagonal().add_(l2)
    torch.linalg.cholesky(gram, out=gram)
    return torch.cholesky_inverse(gram, out=gram)


def _by_items(X: Any, l2: float, dtype: torch.dtype, width: int) -> Iterator[tuple[int, Array]]:
    P = _inverse(X.T.tocsr(), X.tocsr(), l2, dtype).numpy()
    for at in range(0, X.shape[1], width):
        yield at, np.array(P[:, at : at + width])


def _by_users(X: Any, l2: float, dtype: torch.dtype, width: int) -> Iterator[tuple[int, Array]]:
    K = _inverse(X.tocsr(), X.T.tocsr(), l2, dtype).numpy()
    turned, by_item = X.T.tocsr().astype(K.dtype), X.tocsc().astype(K.dtype)
    for at in range(0, X.shape[1], width):
        some = by_item[:, at : at + width]
        block = -np.asarray(turned @ np.asarray((some.T @ K).T)) / l2
        own = np.arange(some.shape[1])
        block[at + own, own] += 1 / l2
        yield at, block


class ItemScores:
    """What all weights say of histories, x B, without B: (x B)_j = x_j - (x P)_j / P_jj. One inverse serves any number of histories.

    Parameters
    ----------
    X : sparse matrix
        (users, items), histories to learn from.
    l2 : float
        Strength of the shrinkage, above 0.
    """

    def __init__(self, X: Any, l2: float) -> None:
        self.l2, self.dtype = l2, _precision(X)
        self.by_items = X.shape[1] <= X.shape[0]
        if self.by_items:
            self.inverse = _inverse(X.T.tocsr(), X.tocsr(), l2, self.dtype).numpy()
            self.diagonal = self.inverse.diagonal().copy()
            return
        self.inverse = _inverse(X.tocsr(), X.T.tocsr(), l2, self.dtype).numpy()
        self.turned = X.T.tocsr().astype(self.inverse.dtype)
        width = max(1, BLOCK // X.shape[0])
        parts = (self.turned[at : at + width] for at in range(0, X.shape[1], width))
        inside = [np.asarray(part.multiply(part @ self.inverse).sum(1)).ravel() for part in parts]
        self.diagonal = (1 - np.concatenate(inside)) / l2

    def __call__(self, histories: Any) -> Array:
        """Return scores of histories, (rows, items) sparse -> (rows, items) dense."""
        rows = histories.astype(self.inverse.dtype)
        x = rows.toarray()
        if self.by_items:
            product = rows @ self.inverse
        else:
            inner = (rows @ self.turned).toarray() @ self.inverse
            product = (x - (self.turned @ inner.T).T) / self.l2
        found: Array = x - product / self.diagonal
        return found


def _precision(X: Any) -> torch.dtype:
    return torch.float64 if min(X.shape) <= EXACT else torch.float32


def kept_weights(weights: Array, keep: int) -> tuple[Array, Array, Array]:
    """Return (rows, columns, values) of the ``keep`` weights largest in size of each column of a block, (items, some)."""
    keep = min(keep, weights.shape[0])
    size = np.abs(weights)
    rows = np.argpartition(-size, keep - 1, axis=0)[:keep]
    columns = np.broadcast_to(np.arange(weights.shape[1]), rows.shape)
    values = np.take_along_axis(weights, rows, 0)
    there = values != 0
    return rows[there], columns[there], values[there]


def sparse_item_weights(X: Any, l2: float, keep: int, histories: Any = None) -> tuple[Any, Array | None]:
    """Return B with at most ``keep`` weights towards each item, (items, items) sparse float32, and what all weights score histories.

    Parameters
    ----------
    X : sparse matrix
        (users, items), histories to learn from.
    l2 : float
        Strength of the shrinkage.
    keep : int
        Weights of each column that are kept: the largest in size.
    histories : sparse matrix, optional
        (rows, items), to be scored by the weights that are not left out, (rows, items) float32.
    """
    rows, columns, values = [], [], []
    full = None if histories is None else np.empty(histories.shape, dtype=np.float32)
    for at, weights in item_weights(X, l2):
        if full is not None:
            full[:, at : at + weights.shape[1]] = histories @ weights
        r, c, v = kept_weights(weights, keep)
        rows.append(r.astype(np.int32))
        columns.append((c + at).astype(np.int32))
        values.append(v.astype(np.float32))
    n = X.shape[1]
    found = sparse.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n))
    return found, full
