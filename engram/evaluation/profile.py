"""What the data are: columns, types, missing cells, ranges, and how well each column comes back."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from engram.data.images import Images
from engram.data.kind import DataWarning
from engram.data.table import Table
from engram.evaluation.comparison import encoded, flat
from engram.models.codes import Codes

if TYPE_CHECKING:
    from engram.data.columns import Column
    from engram.models.model import Model

MOST_COLUMNS = 50
SHOWN_VALUES = 4  # of a category
Array = np.ndarray[Any, np.dtype[Any]]


def profile(model: Model, X: Any, y: Any = None) -> dict[str, Any]:
    """Return rows, kind and at most `MOST_COLUMNS` columns; the rest is counted."""
    kind: Any = model.kind_
    data: dict[str, Any] = model.data_
    told: dict[str, Any] = {
        "kind": kind.name,
        "rows_are": kind.rows_are,
        "fitted_rows": data["rows"],
        "trained_on": data["trained_on"],
        "held_out": max(0, data["rows"] - data["trained_on"]),
        "fingerprint": data["fingerprint"],
        "held_out_for": "choose the weights by" if model.watches else "look at",
    }
    if isinstance(kind, Images):
        channels, height, width = kind.shape
        told["pictures"] = {"height": height, "width": width, "channels": channels, "low": kind.low, "high": kind.high}
    if isinstance(kind, Table):
        back = returned_by_column(model, X, y)
        used = {name: i for i, name in enumerate(kind.columns)}
        told["columns"] = [
            _column(field, data["rows"], back.get(used.get(str(field.name), -1)))
            for field in kind.fields[:MOST_COLUMNS]
        ]
        told["columns_in_all"] = len(kind.fields)
        told["columns_learned"] = len(kind.columns)
        told["missing_cells"] = sum(field.missing for field in kind.fields if field.width)  # of those not ignored
    else:
        told["columns"] = [{"name": name, "type": what} for name, what in kind.describe()]
    return told


def _column(field: Column, rows: int, back: float | None) -> dict[str, Any]:
    whole = field.describe()
    told = whole.removesuffix(f", {field.missing} missing").removeprefix(field.type).strip(" ,")
    if field.type == "category":
        values = ", ".join(str(value)[:24] for value in field.values[:SHOWN_VALUES])
        told = f"{len(field.values)} values: {values}{', …' if len(field.values) > SHOWN_VALUES else ''}"
        told = f"always {values}" if len(field.values) == 1 else told
    return {
        "name": str(field.name),
        "type": field.type,
        "told": told,
        "missing": field.missing,
        "missing_share": field.missing / max(rows, 1),
        "r2": back,
    }


def returned_by_column(model: Model, X: Any, y: Any = None) -> dict[int, float]:
    """Return R2 of the rows X by number of the encoded column; columns that do not vary have none."""
    if not isinstance(model, Codes):
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        x, seen = flat(encoded(model, X), model.kind_)
        back = model.reconstructed(X, y).flatten(1).numpy()
    weight = np.ones_like(x) if seen is None else seen.astype(x.dtype)
    mean = (x * weight).sum(0) / np.maximum(weight.sum(0), 1)
    total, error = ((np.square(x - other) * weight).sum(0) for other in (mean, back))
    if model.kind_.groups is not None:
        groups = model.kind_.groups.numpy()
        total, error = (np.bincount(groups, values.astype(float)) for values in (total, error))
    return {i: float(1 - error[i] / total[i]) for i in range(len(total)) if total[i] > 1e-12}
