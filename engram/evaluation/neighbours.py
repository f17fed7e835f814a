"""Ways between rows, and the rows nearest to a few: what lies close together in the space of codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from engram.evaluation.examples import MOST_COLUMNS, frame_of, text
from engram.evaluation.thumbnails import grid
from engram.models.near import nearest_codes

if TYPE_CHECKING:
    from engram.models.codes import Codes

Array = np.ndarray[Any, np.dtype[Any]]
PAIRS = 4  # ways between rows
ACROSS = 9  # pictures on a way, with both ends; a row and its nearest ones
SHOWN = 3  # rows of a table with their nearest ones
OTHERS = 2  # nearest rows of each


def picture_ways(model: Codes, X: Any, codes: Array) -> dict[str, bytes]:
    """Return lines of pictures: a row, the way to another one's code, and that row; ends are real, all between are decoded."""
    chosen = _apart(X.shape[0], 2 * PAIRS)
    starts = chosen[: len(chosen) // 2]
    lines = {}
    for k, (a, b) in enumerate(zip(starts, chosen[len(starts) :], strict=False), 1):
        share = np.linspace(0, 1, ACROSS, dtype=np.float32)[1:-1, None]
        way = (1 - share) * codes[a] + share * codes[b]
        between, ends = model.encoded(model.inverse_transform(way)).x, model.encoded(X[[a, b]]).x
        lines[f"way {k}"] = grid(torch.cat([ends[:1], between, ends[1:]]), ACROSS)
    return lines


def picture_neighbours(model: Codes, X: Any, codes: Array) -> dict[str, bytes]:
    """Return lines of pictures: a row and the other rows whose codes are nearest."""
    return {
        f"picture {k}": grid(model.encoded(X[[row, *others]]).x, ACROSS)
        for k, (row, others, _) in enumerate(_nearest(codes, PAIRS, ACROSS - 1), 1)
    }


def table_neighbours(model: Codes, X: Any, codes: Array, called: dict[str, Any]) -> dict[str, Any]:
    """Return a few rows beside the other rows whose codes are nearest, as texts, with their distances; see `numbered`."""
    kind: Any = model.kind_
    frame = frame_of(kind, X)
    names = [c.name for c in kind.fields if c.width and c.name in frame]
    shown = names[:MOST_COLUMNS]

    def cells(i: int) -> list[str]:
        return [text(frame[name].iloc[i]) for name in shown]

    rows = [
        {
            "number": called["numbers"][row],
            "row": cells(row),
            "nearest": [cells(i) for i in others],
            "distances": distances,
        }
        for row, others, distances in _nearest(codes, SHOWN, OTHERS)
    ]
    return {"by": called["by"], "columns": [str(name) for name in shown], "columns_in_all": len(names), "rows": rows}


def _nearest(codes: Array, n: int, most: int) -> list[tuple[int, list[int], list[float]]]:
    """Return rows taken evenly, each with the numbers of the nearest other rows and their distances."""
    codes, chosen = codes.astype(np.float64), _apart(len(codes), n)
    found = []
    for row, numbers, distances in zip(chosen, *nearest_codes(codes[chosen], codes, most + 1), strict=True):
        kept = [(int(i), float(d)) for i, d in zip(numbers, distances, strict=True) if i != row][:most]
        found.append((row, [i for i, _ in kept], [d for _, d in kept]))
    return found


def _apart(n: int, most: int) -> list[int]:
    """Return numbers of rows taken evenly, without the edges."""
    count = min(n, most)
    return [int((i + 0.5) * n / count) for i in range(count)]
