"""Histories: which user has had which items, and how much; made of events (user, item, optional weight, optional time).

What is done with events that cannot be taken as they are:

- without a user or an item: left out, and counted;
- with a weight of zero: no event, and counted;
- with a weight that is negative or no number: an error that names the first one;
- of the same user and item: amounts (hours, plays) are summed; of ratings the last one counts, by time where there is one, else by place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from engram.data.cells import named_row
from engram.data.sparse import consistent
from engram.errors import DataError, UsageError, nearest

Array = np.ndarray[Any, np.dtype[Any]]
Matrix = Any  # a scipy.sparse.csr_array, which has no types of its own
ROLES = ("user", "item", "weight", "time")
CALLED = {  # what columns of events are called
    "user": ("user", "user_id", "userid", "customer", "customer_id", "member", "visitor", "session", "session_id", "uid", "reviewerid"),
    "item": ("item", "item_id", "itemid", "product", "product_id", "movie", "movie_id", "movieid", "artist", "artist_id", "artistid",
             "game", "game_id", "track", "song", "book", "book_id", "isbn", "asin", "article", "sku", "iid"),
    "weight": ("weight", "rating", "score", "stars", "hours", "plays", "playcount", "play_count", "count", "quantity", "value", "amount",
               "duration", "minutes", "seconds"),
    "time": ("time", "timestamp", "date", "datetime", "unixreviewtime", "day"),
}  # fmt: skip
MOST_RATING = 10  # ratings are whole or half numbers up to this


@dataclass(frozen=True)
class Histories:
    """Rows of users: their items, and how much of each.

    Parameters
    ----------
    matrix : csr_array
        (users, items) float32; zero: not in the history.
    items : array
        (items,) the ids of the columns: whole numbers or texts.
    users : array or None
        (users,) ids of the rows; None where they are numbered.
    times : csr_array or None
        (users, items), when an item was last had, where that is known: seconds or whatever the events count in.
    notes : dict
        What was left out or changed, with how many events.
    """

    matrix: Matrix
    items: Array
    users: Array | None = None
    times: Matrix | None = None
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Users and items."""
        return self.matrix.shape[0], self.matrix.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Histories:
        """Return some users: by a slice, by their numbers, or by a bool for each. Notes stay: they are about the source."""
        rows = np.asarray(rows).nonzero()[0] if getattr(rows, "dtype", None) == np.bool_ else rows
        users = None if self.users is None else self.users[rows]
        times = None if self.times is None else self.times[rows]
        return Histories(self.matrix[rows], self.items, users, times, self.notes)

    def named(self) -> Array:
        """Return the ids of the users, numbers from 0 where they have none."""
        return np.arange(len(self)) if self.users is None else self.users


def of_matrix(raw: Any) -> Histories:
    """Return histories of a matrix (users, items); raise `DataError` where a weight is negative or no number."""
    matrix = sparse.csr_array(consistent(raw) if sparse.issparse(raw) else raw, dtype=np.float32, copy=True)
    matrix.sum_duplicates()
    bad = ~np.isfinite(matrix.data) | (matrix.data < 0)
    if bad.any():
        at = int(np.argmax(bad))
        row, column = int(np.searchsorted(matrix.indptr, at, side="right")) - 1, int(matrix.indices[at])
        raise DataError(_bad_weight(int(bad.sum()), matrix.data[at], f"row {row}, column {column}"))
    matrix.eliminate_zeros()
    return Histories(matrix, np.arange(matrix.shape[1]))


def of_events(events: pd.DataFrame, wishes: dict[Any, str] | None = None, *, duplicates: str = "auto") -> Histories:
    """Return histories of events.

    Parameters
    ----------
    events : DataFrame
        One event a line; its columns are found by what they are called, else in the order user, item, weight, time.
    wishes : dict, optional
        Which column is what: ``{"player": "user", "title": "item", "note": "drop"}``.
    duplicates : str
        "sum", "last", or "auto": ratings take the last, amounts are summed.

    Raises
    ------
    DataError
        There is no column of users or items, or a weight is negative or no number.
    UsageError
        A wish names no column, or is none of user, item, weight, time, drop.
    """
    columns, by_place = columns_of(events, wishes)
    notes = {
        f"events whose {role} is the column {str(columns[role])!r}, by its place alone": len(events)
        for role in by_place
    }
    there = events[columns["user"]].notna().to_numpy() & events[columns["item"]].notna().to_numpy()
    notes["event without a user or an item, left out"] = int((~there).sum())
    weight = _weights(events, columns, there)
    zeros = there & (weight == 0)  # such an event still names a user and an item
    notes["event with a weight of zero, left out"] = int(zeros.sum())
    users, row = _ids(events[columns["user"]][there])
    items, column = _ids(events[columns["item"]][there])
    weight = weight[there]
    time = _times(events[columns["time"]][there]) if "time" in columns else None
    rule = ("last" if are_ratings(weight) else "sum") if duplicates == "auto" else duplicates
    order = np.arange(len(row)) if time is None else np.argsort(time, kind="stable")
    cell = row[order].astype(np.int64) * max(len(items), 1) + column[order]
    _, last = np.unique(cell[::-1], return_index=True)
    last = len(cell) - 1 - last  # of each pair of user and item the last event
    shape = (len(users), len(items))
    again = len(cell) - len(last)
    told = (
        "events of the same user and item, of which the last counts"
        if rule == "last"
        else "events of the same user and item, summed"
    )
    notes[told] = again if "weight" in columns else 0
    matrix = _matrix(weight[order], row[order], column[order], shape, last if rule == "last" else None)
    if "weight" not in columns:
        matrix.data[:] = 1.0
    times = None if time is None else _matrix(time[order], row[order], column[order], shape, last)
    return Histories(matrix, items, users, times, {note: n for note, n in notes.items() if n})


def _matrix(values: Array, row: Array, column: Array, shape: tuple[int, int], some: Array | None) -> Matrix:
    some = slice(None) if some is None else some  # type: ignore[assignment]
    dtype = np.float32 if values.dtype.kind == "f" and values.dtype != np.float64 else np.float64
    matrix = sparse.csr_array((values[some].astype(dtype), (row[some], column[some])), shape=shape)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def columns_of(events: pd.DataFrame, wishes: dict[Any, str] | None = None) -> tuple[dict[str, Any], list[str]]:
    """Return the column of each role that there is, and the roles that were given out by place, not by a name or a wish."""
    wishes = wishes or {}
    by_text = {str(column): column for column in events.columns}
    found: dict[str, Any] = {}
    by_place: list[str] = []
    for name, role in wishes.items():
        if str(name) not in by_text:
            raise UsageError(f"columns={{{name!r}: {role!r}}}: there is no such column. {nearest(str(name), by_text)}")
        if role not in (*ROLES, "drop"):
            raise UsageError(f"a column of events cannot be {role!r}. {nearest(role, (*ROLES, 'drop'))}")
        found[role] = by_text[str(name)]
    free = [c for text, c in by_text.items() if text not in {str(name) for name in wishes}]
    for role in ROLES:
        if role not in found:
            named = [c for c in free if str(c).strip().lower().replace(" ", "_") in CALLED[role]]
            if named:
                found[role] = named[0]
                free.remove(named[0])
    for role in ROLES[:2] if "user" in found or "item" in found else ROLES:
        if role not in found and free and (role in ROLES[:2] or len(events.columns) <= len(ROLES)):
            found[role] = free.pop(0)
            by_place.append(role)
    if "user" not in found or "item" not in found:
        raise DataError(
            f"events need a column of users and one of items; these have {', '.join(by_text) or 'no columns'}. "
            "Name them user and item, or say which they are: columns={'player': 'user', 'title': 'item'} (--column player=user)."
        )
    return {role: column for role, column in found.items() if role != "drop"}, by_place


def _weights(events: pd.DataFrame, columns: dict[str, Any], there: Array) -> Array:
    """Return a weight per event, 1 where there is no column of weights."""
    if "weight" not in columns:
        return np.ones(len(events), dtype=np.float32)
    given = events[columns["weight"]]
    weight: Array = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = there & (~np.isfinite(weight) | (weight < 0))
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(
            _bad_weight(int(bad.sum()), given.iloc[at], f"column {columns['weight']!r}, {named_row(events.index, at)}")
        )
    return weight


def _bad_weight(count: int, value: Any, where: str) -> str:
    which = f"{count} event{'s have a weight' if count > 1 else ' has a weight'} that is negative or no number"
    return f"{which}, the first in {where}: {value}. Leave such events out, or shift ratings so that all are above 0."


def _times(given: pd.Series[Any]) -> Array:
    """Return times as numbers; a missing one is before all others."""
    if not pd.api.types.is_numeric_dtype(given.dtype):
        stamps = pd.to_datetime(given, errors="coerce", utc=True, format="mixed")
        return np.where(stamps.isna(), -np.inf, stamps.to_numpy(dtype="datetime64[ns]").astype(np.int64) / 1e9)
    found: Array = given.to_numpy(dtype=np.float64, na_value=-np.inf)
    return found


def _ids(given: pd.Series[Any]) -> tuple[Array, Array]:
    """Return (sorted ids, the number of each event's): whole numbers stay numbers, all else is text."""
    if pd.api.types.is_numeric_dtype(given.dtype) and not pd.api.types.is_bool_dtype(given.dtype):
        values = given.to_numpy(dtype=np.float64)
        if (values == np.round(values)).all() and (np.abs(values) < 2**53).all():
            given = given.astype(np.int64)
    ids, numbers = np.unique(
        given.to_numpy() if given.dtype == np.int64 else given.astype(str).to_numpy(dtype=object), return_inverse=True
    )
    return ids, numbers


def are_ratings(weights: Array) -> bool:
    """Whether weights are ratings, in whole or half steps up to 10; else they are amounts, such as hours."""
    present = weights[weights > 0]
    return (
        bool(len(present))
        and float(present.max()) <= MOST_RATING
        and bool((2 * present == np.round(2 * present)).all())
    )
