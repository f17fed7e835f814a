"""Columns that say the same as another one."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.training import Finding

MOST = 1024  # number columns that are compared with each other
SAME = 1e-6  # 1 - |correlation| of two columns that differ by rounding and units only
NAMED = 5


def duplicates(rows: Rows, kind: Kind) -> Iterator[Finding]:
    """Number and flag columns that are copies of another one, in the same or in another unit."""
    if kind.groups is None:
        places = torch.arange(rows.x.shape[1])
    else:  # categories take several values; compare only columns of one value
        width = torch.bincount(kind.groups)
        places = (width[kind.groups] == 1).nonzero().flatten()
    places = places[:MOST]
    if len(rows) < 10 or len(places) < 2:
        return
    x = rows.x[:, places].double()
    x = x - x.mean(0)
    norm = x.square().sum(0).sqrt()
    x = x / norm.clamp(min=1e-12)
    alike = (x.T @ x).abs() > 1 - SAME
    first = torch.triu(alike, 1) & (norm > 0) & (norm[:, None] > 0)
    pairs = first.nonzero().tolist()
    copies: dict[int, int] = {}
    for one, other in pairs:
        copies.setdefault(other, copies.get(one, one))
    if not copies:
        return
    names = [kind.columns[int(p if kind.groups is None else kind.groups[p])] for p in places.tolist()]
    some = [f"{names[other]!r} of {names[one]!r}" for other, one in list(copies.items())[:NAMED]]
    more = f" and {len(copies) - NAMED} more" if len(copies) > NAMED else ""
    told = f"{len(copies)} column{'s are copies' if len(copies) > 1 else ' is a copy'} (up to the unit): {', '.join(some)}{more}"
    yield Finding("duplicate-columns", told, "Such columns count twice in every result; drop the copies")
