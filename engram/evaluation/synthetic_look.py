"""What a report of generated rows shows beside its numbers: rows, values of columns, rows in the plane, what differs most."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from engram.data.coding import OTHER, Coding
from engram.data.matrix import Matrix, features
from engram.evaluation.chosen import chosen
from engram.evaluation.drawn import in_the_plane
from engram.evaluation.examples import shown_rows
from engram.evaluation.facts import Look, learning
from engram.evaluation.profile import profile
from engram.evaluation.report import REAL
from engram.metrics.tables import column_shapes, pair_trends

FURTHEST = 8  # columns, and pairs of columns, that are named


def look_at(model: Any, made: Matrix, known: Matrix, reference: Matrix) -> Look:
    """Gather what there is to see of generated rows ``made``, and of real ones that are ``known``, beside as many that were kept apart."""
    made, known = (rows.of(rows.values[: len(reference)]) for rows in (made, known))
    frames = {"real": _told(model.coding_, reference), "generated": _told(model.coding_, made)}
    both = (features(reference), features(reference, made))
    facts: dict[str, Any] = {
        "rows": shown_rows(frames, list(frames["real"])),
        "generated": {"places": in_the_plane(*(torch.from_numpy(x).float() for x in both))},
        "learning": learning(model),
        "data": profile(model, None),
        "chosen": chosen(model),
        "tables": _tables({type(model).__name__: made, REAL: known}, reference),
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


def _tables(subjects: dict[str, Matrix], reference: Matrix) -> list[dict[str, Any]]:
    """Return the columns, and the pairs of columns, in which the first subject's rows differ most, beside the others'."""
    first, second = np.triu_indices(len(reference.names), 1)
    alike = {
        who: (
            column_shapes(reference.values, rows.values, reference.discrete),
            pair_trends(reference.values, rows.values, reference.discrete)[first, second],
        )
        for who, rows in subjects.items()
    }
    names = reference.names
    labels = (list(names), [f"{names[i]}, {names[j]}" for i, j in zip(first, second, strict=True)])
    titles = ("Columns that differ most", "Pairs of columns that differ most")
    found = []
    for part, (title, told) in enumerate(zip(titles, labels, strict=True)):
        own = next(iter(alike.values()))[part]
        order = [i for i in np.argsort(own) if np.isfinite(own[i])][:FURTHEST]
        lines = [[told[i], *(f"{of[part][i]:.3f}" for of in alike.values())] for i in order]
        if lines:
            found.append({"title": title, "head": ["1 - distance", *alike], "rows": lines})
    return found
