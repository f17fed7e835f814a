"""Items held back from histories, to be found again: strong generalisation, the last ones by time, leave-one-out.

Strong generalisation (Liang et al. 2018, arXiv:1802.05814, section 4.1): users that a model has not learned from; four fifths of each one's
items are fed to it, the others are to be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from scipy import sparse

from engram.errors import DataError, UsageError, nearest

Array = np.ndarray[Any, np.dtype[Any]]
Protocol = Literal["strong", "time", "leave-one-out"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
SHARE = 0.2  # of a user's items


@dataclass(frozen=True)
class HeldBack:
    """Histories in two parts.

    Parameters
    ----------
    fed : csr_array
        (users, items), what a model is given.
    held : csr_array
        (users, items), what it is to find.
    told : str
        The protocol in words.
    """

    fed: Any
    held: Any
    told: str


def hold_back(matrix: Any, protocol: str, seed: int, times: Any = None) -> HeldBack:
    """Hold items of each user back.

    Parameters
    ----------
    matrix : csr_array
        (users, items) histories.
    protocol : str
        "strong": a fifth of each user's items, drawn by chance; "time": the last fifth; "leave-one-out": one item, the last one where times
        are known, else drawn by chance. Always at least one is held back and one fed: users with fewer than two items are only fed.
    seed : int
        Of the draw.
    times : csr_array, optional
        When each item was had.

    Raises
    ------
    UsageError
        The protocol is unknown.
    DataError
        "time" without times.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"protocol={protocol!r} is unknown. {nearest(protocol, PROTOCOLS)}")
    if protocol == "time" and times is None:
        raise DataError("protocol='time' needs events with a column of times. Use protocol='strong'.")
    matrix = sparse.csr_array(matrix)
    matrix.sort_indices()
    count = np.diff(matrix.indptr)
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(count)), count)
    when = rng.random(matrix.nnz)
    by_time = times is not None and protocol != "strong"
    if by_time:
        stamps = np.asarray(times[owner, matrix.indices], dtype=np.float64).ravel()
        order = np.lexsort((when, stamps, owner))
    else:
        order = np.lexsort((when, owner))
    n_held = np.maximum(1, np.round(SHARE * count)) if protocol != "leave-one-out" else np.ones(len(count))
    n_held = np.where(count >= 2, np.minimum(n_held, count - 1), 0).astype(np.int64)
    place = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], count)  # within a user, by the order
    last = np.zeros(matrix.nnz, dtype=bool)
    last[order] = place >= np.repeat(count - n_held, count)
    return HeldBack(_some(matrix, ~last), _some(matrix, last), _told(protocol, seed, by_time=by_time))


def _told(protocol: str, seed: int, *, by_time: bool) -> str:
    what = {
        "strong": f"strong generalisation: a fifth of each user's items held back, drawn by chance (seed {seed})",
        "time": "by time: the last fifth of each user's items held back",
        "leave-one-out": "leave-one-out: "
        + ("the last item" if by_time else f"one item drawn by chance (seed {seed})")
        + " held back",
    }[protocol]
    return f"{what}, the others fed and left out of the lists"


def _some(matrix: Any, kept: Array) -> Any:
    owner = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[kept]
    return sparse.csr_array((matrix.data[kept], (owner, matrix.indices[kept])), shape=matrix.shape)
