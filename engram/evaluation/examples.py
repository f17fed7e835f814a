"""Rows, what comes back from their codes, and generated rows: as texts and distributions, or as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engram.data.cells import plain
from engram.evaluation.comparison import encoded
from engram.evaluation.labels import beside, drawn_beside
from engram.evaluation.purpose import draws
from engram.evaluation.thumbnails import grid
from engram.models.codes import Codes
from engram.training.session import seed_from

if TYPE_CHECKING:
    from engram.models.model import Model

Array = np.ndarray[Any, np.dtype[Any]]
MOST_COLUMNS = 16  # of the small table
MOST_DISTRIBUTIONS = 9
ROWS = {"real": 3, "reconstructed": 3, "generated": 2}
DRAWN = 1000
BINS = 20
BARS = 6  # values of a category with a bar of their own
PICTURES = 12  # in a line
BY = {  # what rows of a page are called by
    "index": "Rows are called by the table's index: rows of a file are counted from 0, without the header.",
    "place": "Rows are counted from 0 among the rows of this report.",
}


def picture_rows(model: Model, X: Any, random_state: int, y: Any = None) -> dict[str, bytes]:
    """Return lines of pictures: real, reconstructed, generated."""
    some = X[:PICTURES]
    found = {"real": grid(encoded(model, some).x, PICTURES)}
    if isinstance(model, Codes):
        found["reconstructed"] = grid(
            model.reconstructed(some, **beside(model, y, slice(PICTURES))).view(-1, *model.kind_.shape), PICTURES
        )
    drawn = generated(model, 2 * PICTURES, random_state, y)
    if drawn is not None:
        found["generated"] = grid(encoded(model, drawn).x, PICTURES)
    return found


def generated(model: Model, n: int, random_state: Any, y: Any = None) -> Any:
    """Draw rows, or return None where a model draws none, or is conditional and there is no y to ask it for."""
    if not draws(model) or (model.given_ is not None and y is None):
        return None
    return model.sample(n, random_state=seed_from(random_state), **drawn_beside(model, y, n))


def numbered(X: Any, places: Array) -> dict[str, Any]:
    """Return what some rows are called on a page, and by what: by the table's index, else by their ``places`` among all rows."""
    if hasattr(X, "iloc"):
        return {"numbers": [plain(label) for label in X.index], "by": "index"}
    return {"numbers": [int(place) for place in places], "by": "place"}


def table_rows(
    model: Model, X: Any, random_state: int, y: Any = None, called: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a few rows side by side, and the distributions of columns among real, reconstructed and generated rows.

    ``called`` is what the rows are called, see `numbered`.
    """
    kind: Any = model.kind_
    frames = {"real": frame_of(kind, X)}
    if isinstance(model, Codes):
        frames["reconstructed"] = frame_of(kind, model.reconstruct(X, **beside(model, y)))
    drawn = generated(model, DRAWN, random_state, y)
    if drawn is not None:
        frames["generated"] = frame_of(kind, drawn)
    names = {} if called is None else called | {"numbers": called["numbers"][: ROWS["real"]]}
    return names | shown_rows(
        frames, [c.name for c in kind.fields if c.width and all(c.name in frame for frame in frames.values())]
    )


def shown_rows(frames: dict[str, pd.DataFrame], names: list[Any]) -> dict[str, Any]:
    """Return the first rows of each frame, and the distributions of columns, of which these are there."""
    shown = names[:MOST_COLUMNS]
    return {
        "columns": [str(name) for name in shown],
        "columns_in_all": len(names),
        "rows": {what: _cells(frame, shown, ROWS[what]) for what, frame in frames.items()},
        "distributions": [distribution(name, frames) for name in names[:MOST_DISTRIBUTIONS]],
    }


def _cells(frame: pd.DataFrame, names: list[Any], n: int) -> list[list[str]]:
    return [[text(frame[name].iloc[i]) for name in names] for i in range(min(n, len(frame)))]


def distribution(name: Any, frames: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Shares of the values of a column, on common bins or by value."""
    columns = {what: frame[name].dropna() for what, frame in frames.items()}
    told: dict[str, Any] = {"column": str(name)}
    numbers = {what: found for what, column in columns.items() if (found := _numbers(column)) is not None}
    if len(numbers) == len(columns) and len(numbers["real"]):
        low, high = (float(q) for q in np.quantile(numbers["real"], [0.01, 0.99]))
        width = (high - low) or max(abs(low), 1.0)
        edges = np.linspace(low - 0.1 * width, high + 0.1 * width, BINS + 1)
        inside = {what: np.clip(values, edges[0], edges[-1]) for what, values in numbers.items()}
        shares = {what: np.histogram(v, edges)[0] / max(len(v), 1) for what, v in inside.items()}
        return told | {"edges": edges.tolist(), "shares": {what: share.tolist() for what, share in shares.items()}}
    texts = {what: column.map(text) for what, column in columns.items()}
    order = [str(value) for value in texts["real"].value_counts().index[:BARS]]
    counted = {w: [float((t == value).mean()) if len(t) else 0.0 for value in order] for w, t in texts.items()}
    return told | {"values": order, "shares": counted}


def frame_of(kind: Any, rows: Any) -> pd.DataFrame:
    """Return rows in the user's form as a DataFrame with the fitted names and types."""
    frame: pd.DataFrame = kind.typed(kind.conform(rows))
    return frame.reset_index(drop=True)


def _numbers(column: pd.Series[Any]) -> Array | None:
    """Return a column as numbers, dates as years, or None where it holds neither."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        moment = column.dt.tz_localize(None) if column.dt.tz is not None else column
        return (1970 + moment.astype("datetime64[ns]").astype("int64") / (365.2425 * 86_400e9)).to_numpy(float)
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(float)
    return None


def text(cell: Any) -> str:
    """Return a cell as a short text."""
    whole = str(cell)
    if cell is None or (np.ndim(cell) == 0 and pd.isna(cell)):
        return "–"
    if isinstance(cell, bool | np.bool_):
        return "yes" if cell else "no"
    if isinstance(cell, float | np.floating | int | np.integer):
        value = float(cell)
        plain = f"{value:.4g}" if isinstance(cell, float | np.floating) else str(cell)
        return f"{value:,.0f}" if abs(value) >= 10_000 else plain
    if isinstance(cell, pd.Timestamp):
        whole = str(cell.date()) if cell == cell.normalize() else str(cell.floor("s"))
    return whole if len(whole) <= 28 else whole[:27] + "…"
