"""Lists of items: what is recommended to one user or to all, what is like an item, what is popular."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import torch
from annotated_types import Ge
from scipy import sparse
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from engram.apps.linear_items import LinearItems, blended
from engram.apps.one_history import OneHistory
from engram.data.interactions import LEFT_OUT, NAMED, Interactions
from engram.data.kind import warn_notes
from engram.errors import DataError, UsageError, nearest, with_article
from engram.metrics.ranking import top
from engram.models.blocks import block_size, padded
from engram.parameters import checked_value
from engram.training.nets import Nets

if TYPE_CHECKING:
    from engram.models.model import Model

    Base = Model
else:
    Base = object

Array = np.ndarray[Any, np.dtype[Any]]


class Lists(Base):
    """What a fitted recommender says of items."""

    _linear: LinearItems | None
    _counts: Tensor

    @property
    def interactions_(self) -> Interactions:
        """The fitted kind."""
        assert isinstance(self.kind_, Interactions)
        return self.kind_

    def _conformed(self, X: Any) -> Any:
        """Return encoded histories, (rows, items) CSR."""
        return self.interactions_.conform(self.interactions_.opened(X), reader=type(self).__name__)[:]

    def combined(self, nets: Nets, present: Any) -> Array:
        """Return the scores of histories of ones, (rows, items): of the autoencoder, blended with the linear part where there is one."""
        if self._linear is None or self._linear.blend >= 1:
            return logits_of(nets, present)
        linear = self._linear
        found: Array = blended(linear.scores(present), logits_of(nets, present), linear.blend, linear.temperature)
        return found

    def recommend(self, history: Any, n: int = 10, *, known: bool = False, reasons: bool = True) -> pd.DataFrame:
        """Return the items that a user with this history will want most: columns item, score and because.

        Parameters
        ----------
        history : list of items, or dict of item to weight
            What the user had, of anybody: no user has to be known. Empty, it gives what is popular.
        n : int
            How many; fewer where the user has all others.
        known : bool
            Whether items of the history may be recommended again.
        reasons : bool
            Whether to say because of which items of the history, the two that add most to the score.

        Raises
        ------
        UsageError
            None of the items is known (of others a `DataWarning` counts the unknown ones), or this is no history: a matrix, a DataFrame.
        """
        check_is_fitted(self, "network_")
        n = checked_value("n", n, Annotated[int, Ge(1)])
        history = self._numbers(history)
        with self.fitted() as nets:
            one = OneHistory(nets.ranker, self._linear, history)
            return self._best(history, one.scores, one if reasons else None, n, known=known)

    def _best(self, history: Array, scores: Array, one: OneHistory | None, n: int, *, known: bool) -> pd.DataFrame:
        """Return the n best items by scores, (items,), of one history, with the reasons that ``one`` gives."""
        scores = scores.copy()
        if not known:
            scores[history] = -np.inf
        best = top(scores[None], n)[0]
        best = best[np.isfinite(scores[best])]
        items = self.interactions_.items
        found: dict[str, Any] = {"item": pd.Series(items[best], dtype=items.dtype), "score": scores[best]}
        if one is not None:
            added = one.contributions(best)
            places = top(added, 2)
            names = items[history]
            told = [
                ", ".join(str(names[j]) for j in some if line[j] > 0) for line, some in zip(added, places, strict=True)
            ]
            found["because"] = pd.Series(told, dtype=object)
        return pd.DataFrame(found)

    def _numbers(self, history: Any) -> Array:
        """Return the numbers of a history's items, each once; items that were not in the fit are left out, and counted."""
        kind, items = self.interactions_, _items_of(history)
        if isinstance(history, Mapping):
            weights = np.array(list(history.values()), dtype=np.float64)
            if not (np.isfinite(weights) & (weights >= 0)).all():
                raise DataError("weights of a history must be numbers from 0 on.")
            items = [item for item, weight in history.items() if weight > 0]
        places = [kind.number(item) for item in items]
        found = sorted({place for place in places if place is not None})
        if items and not found:
            told = f"none of the {len(items)} items of this history was in the fit"
            told = "the item of this history was not in the fit" if len(items) == 1 else told
            raise UsageError(f"{told}. {nearest(str(items[0]), map(str, kind.columns), NAMED)}")
        if None in places:
            warn_notes([{LEFT_OUT: places.count(None)}])
        return np.array(found, dtype=np.int64)

    def recommendations(self, X: Any, n: int = 10, *, known: bool = False, reasons: bool = False) -> pd.DataFrame:
        """Return the n best items of every user: columns user, rank (from 1), item, score and, with ``reasons``, because."""
        check_is_fitted(self, "network_")
        histories = self.interactions_.opened(X)
        n = checked_value("n", n, Annotated[int, Ge(1)])
        found, at = [], 0
        names = histories.named()
        matrix = self._conformed(histories)
        with self.fitted() as nets:
            for block in in_blocks(matrix):
                scores = self.combined(nets, as_ones(block))
                for i in range(block.shape[0]):
                    own = block.indices[block.indptr[i] : block.indptr[i + 1]]
                    one = OneHistory(nets.ranker, self._linear, own) if reasons else None
                    best = self._best(own, scores[i], one, n, known=known)
                    best.insert(0, "rank", np.arange(1, len(best) + 1))
                    best.insert(0, "user", names[at + i])
                    found.append(best)
                at += block.shape[0]
        if not found:
            return pd.DataFrame({"user": [], "rank": [], "item": [], "score": []})
        return pd.concat(found, ignore_index=True)

    def similar_items(self, item: Any, n: int = 10) -> pd.DataFrame:
        """Return the items most like one: columns item and similarity, the cosine of their weights in the decoder, -1 to 1."""
        check_is_fitted(self, "network_")
        n = checked_value("n", n, Annotated[int, Ge(1)])
        kind = self.interactions_
        place = kind.number(item)
        if place is None:
            raise UsageError(
                f"the item {item!r} was not in the fit. {nearest(str(item), map(str, kind.columns), NAMED)}"
            )
        weight = self.network_.ranker.decoder.weight.detach()
        likeness = nn.functional.cosine_similarity(weight, weight[place][None]).numpy().astype(np.float64)
        likeness[place] = -np.inf
        best = top(likeness[None], n)[0]
        best = best[np.isfinite(likeness[best])]
        return pd.DataFrame({"item": kind.items[best], "similarity": likeness[best]})

    def popular(self, n: int = 10) -> pd.DataFrame:
        """Return the items that most users have: columns item, users (how many) and share (of all users)."""
        check_is_fitted(self, "network_")
        n = checked_value("n", n, Annotated[int, Ge(1)])
        counts = self._counts.numpy()
        best = top(counts[None].astype(np.float64), n)[0]
        return pd.DataFrame(
            {
                "item": self.interactions_.items[best],
                "users": counts[best],
                "share": counts[best] / max(1, self.data_["rows"]),
            }
        )


def _items_of(history: Any) -> list[Any]:
    """Return the items of a history; raise `UsageError` for what is none, such as a table or a matrix of many."""
    many = sparse.issparse(history) or getattr(history, "ndim", 1) != 1
    if not many and not isinstance(history, str | bytes) and isinstance(history, Iterable):
        items = list(history)
        if all(isinstance(item, Hashable) for item in items):
            return items
        many = True
    given = f"the text {history!r}" if isinstance(history, str | bytes) else with_article(type(history).__name__)
    given += " of several" if isinstance(history, list | tuple) else ""
    told = f"a history is a list of items or a dict of item to weight, not {given}."
    raise UsageError(f"{told} For the histories of many users there is recommendations(X)." if many else told)


def as_ones(matrix: Any) -> Any:
    """Return which items users have, (users, items) CSR of ones."""
    return sparse.csr_array((np.ones(matrix.nnz, dtype=np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def in_blocks(matrix: Any) -> Iterator[Any]:
    """Yield some rows after the others, as many as are made dense at once."""
    size = block_size(matrix.shape[1])
    for at in range(0, matrix.shape[0], size):
        yield matrix[at : at + size]


def logits_of(nets: Nets, present: Any) -> Array:
    """Return the autoencoder's scores of histories of ones, (rows, items) float32."""
    with torch.no_grad():
        found: Array = padded(nets.ranker, torch.from_numpy(present.toarray())).numpy()
    return found
