"""What a report of generated rows shows beside its numbers: rows, values of columns, rows in the plane, what differs most."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch

from engram.data.coding import OTHER, Coding
from engram.data.matrix import Matrix, features
from engram.evaluation.drawn import in_the_plane
from engram.evaluation.examples import shown_rows
from engram.evaluation.facts import Look, learning
from engram.evaluation.report import REAL
from engram.metrics.metric import Array
from engram.metrics.tables import column_shapes, pair_trends

FURTHEST = 8  # columns, and pairs of columns, that are named


def look_at(model: Any, subjects: dict[str, Matrix], reference: Matrix) -> Look:
    """Gather what there is to see of generated rows, the first of ``subjects``, beside as many real ones that were kept apart."""
    name = next(iter(subjects))
    rows = {who: m.values[: len(reference)] for who, m in subjects.items()}
    frames = {"real": _told(model.coding_, reference), "generated": _told(model.coding_, reference.of(rows[name]))}
    both = (features(reference), features(reference, reference.of(rows[name])))
    facts: dict[str, Any] = {
        "rows": shown_rows(frames, list(frames["real"])),
        "generated": {"places": in_the_plane(*(torch.from_numpy(x).float() for x in both))},
        "learning": learning(model),
        "tables": [*_tables(rows, reference, name)],
    }
    return Look(facts)


def _told(coding: Coding, rows: Matrix) -> pd.DataFrame:
    """Return columns as people read them: dates as dates, categories by name."""
    found = {}
    for name, cells in zip(rows.names, rows.values.T, strict=True):
        column, gone = coding.field(name), np.isnan(cells)
        if column.date is not None:
            found[name] = pd.Series(pd.to_datetime(cells, unit="s", errors="coerce"))
        elif column.type == "category":
            values = np.array([*column.values, OTHER], dtype=object)
            found[name] = pd.Series(values[np.where(gone, 0, cells).astype(int)]).mask(pd.Series(gone))
        elif column.type == "boolean":
            found[name] = pd.Series(np.where(gone, 0, cells).astype(bool)).astype(object).mask(pd.Series(gone))
        else:
            found[name] = pd.Series(cells)
    return pd.DataFrame(found)


def _tables(rows: dict[str, Array], reference: Matrix, name: str) -> list[dict[str, Any]]:
    """Return the columns, and the pairs of columns, in which generated rows differ most, beside real rows."""
    pairs = list(combinations(range(len(reference.names)), 2))
    alike = {
        who: (column_shapes(reference.values, own, reference.discrete), _of_pairs(reference, own, pairs))
        for who, own in rows.items()
        if who in (name, REAL)
    }
    labels = (list(reference.names), [f"{reference.names[i]}, {reference.names[j]}" for i, j in pairs])
    titles = ("Columns that differ most", "Pairs of columns that differ most")
    found = []
    for part, (title, told) in enumerate(zip(titles, labels, strict=True)):
        order = [i for i in np.argsort(alike[name][part]) if np.isfinite(alike[name][part][i])][:FURTHEST]
        lines = [[told[i], *(f"{of[part][i]:.3f}" for of in alike.values())] for i in order]
        if lines:
            found.append({"title": title, "head": ["1 - distance", *alike], "rows": lines})
    return found


def _of_pairs(reference: Matrix, rows: Array, pairs: list[tuple[int, int]]) -> Array:
    trends = pair_trends(reference.values, rows, reference.discrete)
    return np.array([trends[i, j] for i, j in pairs])
