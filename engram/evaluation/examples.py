"""Rows, what comes back from their codes, and generated rows: as texts and distributions, or as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from engram.data.table import Table
from engram.errors import UsageError
from engram.evaluation.thumbnails import grid
from engram.training.session import seed_from

if TYPE_CHECKING:
    from engram.models.codes import Codes

Array = np.ndarray[Any, np.dtype[Any]]
MOST_COLUMNS = 8  # of the small tables
MOST_DISTRIBUTIONS = 9
ROWS = 5
DRAWN = 1000
BINS = 20
BARS = 6  # values of a category with a bar of their own
PICTURES = 12  # in a line


def picture_rows(model: Codes, X: Any, random_state: int) -> dict[str, bytes]:
    """Return lines of pictures: real, reconstructed, generated."""
    some = X[:PICTURES]
    found = {"real": grid(model.encoded(some).x, PICTURES)}
    if hasattr(model, "reconstructed"):
        found["reconstructed"] = grid(model.reconstructed(some).view(-1, *model.kind_.shape), PICTURES)
    drawn = generated(model, 2 * PICTURES, random_state)
    if drawn is not None:
        found["generated"] = grid(model.encoded(drawn).x, PICTURES)
    return found


def generated(model: Codes, n: int, random_state: int) -> Any:
    """Draw rows, or return None where a model knows no distribution of codes."""
    try:
        return model.sample(n, random_state=seed_from(random_state))
    except (AttributeError, NotImplementedError, UsageError):
        return None


def table_rows(model: Codes, X: Any, random_state: int) -> dict[str, Any]:
    """Return a few rows side by side, and the distributions of columns among real, reconstructed and generated rows."""
    kind = model.kind_
    assert isinstance(kind, Table)
    frames = {"real": frame_of(kind, X)}
    if hasattr(model, "reconstruct"):
        frames["reconstructed"] = frame_of(kind, model.reconstruct(X))
    drawn = generated(model, DRAWN, random_state)
    if drawn is not None:
        frames["generated"] = frame_of(kind, drawn)
    names = [c.name for c in kind.fields if c.width and all(c.name in frame for frame in frames.values())]
    shown = names[:MOST_COLUMNS]
    return {
        "columns": [str(name) for name in shown],
        "columns_in_all": len(names),
        "rows": {what: [[text(v) for v in row] for row in _cells(frame, shown)] for what, frame in frames.items()},
        "distributions": [distribution(name, frames) for name in names[:MOST_DISTRIBUTIONS]],
    }


def _cells(frame: pd.DataFrame, names: list[Any]) -> list[list[Any]]:
    return [[frame[name].iloc[i] for name in names] for i in range(min(ROWS, len(frame)))]


def distribution(name: Any, frames: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Shares of the values of a column, on common bins or by value."""
    columns = {what: frame[name].dropna() for what, frame in frames.items()}
    real = columns["real"]
    told: dict[str, Any] = {"column": str(name)}
    if pd.api.types.is_numeric_dtype(real.dtype) and not pd.api.types.is_bool_dtype(real.dtype) and len(real):
        numbers = {what: pd.to_numeric(column, errors="coerce").dropna().to_numpy(float) for what, column in columns.items()}
        low, high = np.quantile(numbers["real"], [0.01, 0.99])
        width = (high - low) or max(abs(low), 1.0)
        edges = np.linspace(low - 0.1 * width, high + 0.1 * width, BINS + 1)
        shares = {w: np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0] / max(len(v), 1) for w, v in numbers.items()}
        return told | {"edges": [float(e) for e in edges], "shares": {w: [float(s) for s in v] for w, v in shares.items()}}
    texts = {what: column.map(text) for what, column in columns.items()}
    order = texts["real"].value_counts().index[:BARS].tolist()
    return told | {
        "values": order,
        "shares": {w: [float((column == value).mean()) if len(column) else 0.0 for value in order] for w, column in texts.items()},
    }


def frame_of(kind: Table, rows: Any) -> pd.DataFrame:
    """Return rows in the user's form as a DataFrame with the fitted names."""
    conformed = kind.conform(rows)
    if isinstance(conformed, pd.DataFrame):
        return conformed.reset_index(drop=True)
    return pd.DataFrame(np.asarray(conformed), columns=[column.name for column in kind.fields])


def text(value: Any) -> str:
    """Return a cell as a short text."""
    if value is None or value is pd.NaT or (isinstance(value, float | np.floating) and np.isnan(value)) or value is pd.NA:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    if isinstance(value, int | np.integer):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, pd.Timestamp):
        return str(value.date()) if value == value.normalize() else str(value.floor("s"))
    if isinstance(value, torch.Tensor):
        return text(value.item())
    whole = str(value)
    return whole if len(whole) <= 28 else whole[:27] + "…"
