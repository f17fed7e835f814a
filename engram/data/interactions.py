"""Interactions: rows are users, columns the items that they had, values whether or how much; see `engram.data.histories`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from engram.data.histories import Array, Histories, are_ratings, of_events, of_matrix
from engram.data.kind import Kind, warn_notes
from engram.data.rows import Note, Rows
from engram.data.source import Source, is_source, read
from engram.data.sparse import Matrix, SparseStream, dense, saved_matrix
from engram.data.stream import RowStream
from engram.errors import DataError, UsageError, with_article
from engram.likelihoods import Likelihood, Multinomial

WEIGHTS = ("auto", "binary", "continuous")
LEFT_OUT = Note("items that were not in the fit were left out", "item")
NAMED = 5  # ids in a message


class Interactions(Kind):
    """Histories of users: 1 or the weight of each item that a user had, 0 elsewhere.

    Only items are remembered, never users: a row is looked at by its items alone, and so can be anybody's.

    Parameters
    ----------
    raw : DataFrame, sparse matrix, 2-D array or path, optional
        Events, one a line (columns user, item and, where there are, weight and time), or a matrix (users, items).
    columns : dict, optional
        Which column of the events is what: ``{"player": "user", "title": "item", "played": "weight"}``.
    weights : str
        "binary": only whether a user had an item; "continuous": how much, too; "auto": continuous where weights differ.
    duplicates : str
        Of events of the same user and item: "sum", "last", or "auto", which takes the last of ratings and sums amounts.
    """

    name = "interactions"
    rows_are = "users"
    gathers = True
    metrics: ClassVar[tuple[str, ...]] = ()
    baselines: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, raw: Any = None, *, columns: dict[Any, str] | None = None, weights: str = "auto", duplicates: str = "auto"
    ) -> None:
        if weights not in WEIGHTS:
            raise UsageError(f"weights={weights!r} is none of {', '.join(WEIGHTS)}.")
        if duplicates not in ("auto", "sum", "last"):
            raise UsageError(f"duplicates={duplicates!r} is none of auto, sum, last.")
        self.raw, self.wishes, self.weights, self.duplicates = raw, columns, weights, duplicates
        self.items: Array = np.zeros(0, dtype=np.int64)
        self.continuous, self.ratings = False, False
        self.users, self.events = 0, 0

    def with_wishes(self, *, columns: Any = None, likelihood: str = "auto") -> Interactions:
        """Return an unfitted copy; a likelihood is not to be chosen, it follows from the weights."""
        if likelihood not in ("auto", "multinomial"):
            raise UsageError(f"likelihood={likelihood!r}: interactions are multinomial. Leave it out.")
        return Interactions(columns=self.wishes or columns, weights=self.weights, duplicates=self.duplicates)

    @classmethod
    def accepts(cls, raw: Any) -> str | None:
        if isinstance(raw, Histories | pd.DataFrame | RowStream | SparseStream) or sparse.issparse(raw):
            return None
        if isinstance(raw, np.ndarray) and raw.ndim == 2 and raw.dtype.kind in "iufb":
            return None
        return f"{with_article(type(raw).__name__)} is neither events (a DataFrame) nor a matrix of users and items"

    # --- reading ---

    def read(self, source: Any) -> Source:
        """Read events, or a matrix that `scipy.sparse.save_npz` wrote."""
        matrix = saved_matrix(source)
        if matrix is not None:
            return Source(str(source), self.histories(matrix))
        found = read(source)
        return Source(found.name, self.histories(found.rows), notes=found.notes)

    def opened(self, raw: Any) -> Histories:
        """Return histories of whatever was given: a wrapper, a path, events, a matrix, histories."""
        raw = raw.raw if isinstance(raw, Kind) else raw
        return self.read(raw).rows if is_source(raw) else self.histories(raw)

    def histories(self, raw: Any) -> Histories:
        """Return histories of events or of a matrix."""
        if isinstance(raw, Histories):
            return raw
        if isinstance(raw, RowStream):
            raw = raw[: len(raw)]
        if isinstance(raw, SparseStream):
            raw = raw[:]
        reason = self.accepts(raw)
        if reason is not None:
            raise DataError(f"these data cannot be interactions: {reason}.")
        if isinstance(raw, pd.DataFrame):
            return of_events(raw, self.wishes, duplicates=self.duplicates)
        return of_matrix(raw)

    # --- the kind ---

    def fit(self, raw: Any) -> Interactions:
        found = self.histories(raw)
        if not found.matrix.nnz:
            raise DataError(f"none of {len(found)} users has an item, so there is nothing to learn from.")
        self.items = found.items
        present = found.matrix.data
        differ = bool((present != present[0]).any())
        self.continuous = self.weights == "continuous" or (self.weights == "auto" and differ)
        self.ratings = are_ratings(present)
        self.users, self.events = len(found), int(found.matrix.nnz)
        self.empty = int((np.diff(found.matrix.indptr) == 0).sum())
        self.notes = (*self.notes, *(f"{note} ({count})" for note, count in found.notes.items()))
        self._lay_out()
        return self

    def _lay_out(self) -> None:
        self.shape = (len(self.items),)
        self.columns = [str(item) for item in self.items]
        self.groups = None
        self.log_volume = torch.zeros(len(self.items))
        self.numbers = {item: i for i, item in enumerate(self.items.tolist())}
        self._by_text = {str(item): i for i, item in enumerate(self.items.tolist())}

    def number(self, item: Any) -> int | None:
        """Return the column of an item, None for one that was not in the fit; 7 and "7" are the same item."""
        item = item.item() if isinstance(item, np.generic) else item
        found = self.numbers.get(item)
        return self._by_text.get(str(item)) if found is None else found

    def conform(self, raw: Any, *, reader: str = "this model") -> SparseStream:
        return SparseStream(self.encoded_histories(self.placed(self.histories(raw), reader)))

    def placed(self, found: Histories, reader: str = "this model") -> Histories:
        """Return histories with the columns of the fit; items that it did not have are left out, and counted."""
        if np.array_equal(found.items, self.items):
            return found
        if found.users is None and self.items.dtype.kind != "i" and len(found.items) == len(self.items):
            return Histories(found.matrix, self.items)  # a matrix without names, with all columns
        if found.users is None and len(found.items) != len(self.items):
            told = f"was fitted on {len(self.items)} items, and this matrix has {len(found.items)} columns"
            raise DataError(f"{reader} {told}. Give events, or a matrix with all columns.")
        places = [self.number(item) for item in found.items.tolist()]
        known = np.array([place is not None for place in places], dtype=bool)
        if found.matrix.nnz and not known.any():
            mine, other = (", ".join(map(repr, ids[:NAMED].tolist())) for ids in (self.items, found.items))
            raise DataError(f"none of these items was in the fit: {other}, ... The fit had items such as {mine}.")
        lost = int((~known)[found.matrix.indices].sum())
        if lost:
            warn_notes([{LEFT_OUT: lost}])
        target = np.array([place for place in places if place is not None], dtype=np.int64)
        shape = (len(places), len(self.items))
        chosen = sparse.csr_array((np.ones(len(target), dtype=np.float32), (np.nonzero(known)[0], target)), shape=shape)
        times = None if found.times is None else (found.times @ chosen.astype(found.times.dtype)).tocsr()
        return Histories((found.matrix @ chosen).tocsr(), self.items, found.users, times)

    def encoded_histories(self, found: Histories) -> Matrix:
        """Return histories with the columns of the fit as the networks see them, (users, items) float32 CSR."""
        matrix = sparse.csr_array(found.matrix, dtype=np.float32, copy=True)
        matrix.sort_indices()
        matrix.data = self.scaled(matrix.data)
        return matrix

    def scaled(self, weights: Any) -> Array:
        """Return weights as the networks see them: 1, ratings as they are, of amounts the log1p."""
        if not self.continuous:
            return np.ones(len(weights), dtype=np.float32)
        found: Array = np.asarray(weights if self.ratings else np.log1p(weights), dtype=np.float32)
        return found

    def encode(self, conformed: Any) -> Rows:
        return Rows(dense(conformed))

    def decode(self, x: Tensor) -> Array:
        """Return weights in the user's units, (users, items)."""
        found: Array = (x if self.ratings or not self.continuous else torch.expm1(x)).numpy()
        return found

    def likelihood(self) -> Likelihood:
        """Return a multinomial over items."""
        return Multinomial(self.shape)

    def network(self) -> str:
        return "mlp"

    def findings(self) -> list[str]:
        found = list(self.notes)
        if self.empty:
            found.append(f"{self.empty} of {self.users} users have no items: nothing is learned from them")
        return found

    def describe(self) -> list[tuple[str, str]]:
        scale = "ratings, as they are" if self.ratings else "amounts, as log(1 + weight)"
        return [
            ("user", f"{self.users:,} users, none of whom is remembered"),
            ("item", f"{len(self.items):,} items, {self.events:,} events"),
            ("weight", scale if self.continuous else "whether a user had an item"),
        ]

    def to_dict(self) -> dict[str, Any]:
        return {
            "items": self.items.tolist(),
            "roles": None if self.wishes is None else {str(name): role for name, role in self.wishes.items()},
            "weights": self.weights,
            "duplicates": self.duplicates,
            "continuous": self.continuous,
            "ratings": self.ratings,
            "users": self.users,
            "events": self.events,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Interactions:
        found = cls(columns=state["roles"], weights=state["weights"], duplicates=state["duplicates"])
        items = state["items"]
        is_number = all(isinstance(item, int) for item in items)
        found.items = np.array(items, dtype=np.int64) if is_number else np.array([str(i) for i in items], dtype=object)
        if len(set(found.items.tolist())) < len(items) or not items:
            raise DataError("the items of these interactions are not different from each other.")
        found.continuous, found.ratings = bool(state["continuous"]), bool(state["ratings"])
        found.users, found.events, found.empty = int(state["users"]), int(state["events"]), 0
        found._lay_out()
        return found
