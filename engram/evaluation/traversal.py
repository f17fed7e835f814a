"""One code unit at a time, from low to high, all others at their mean: what it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from engram.evaluation.examples import frame_of, text
from engram.evaluation.thumbnails import grid

if TYPE_CHECKING:
    from engram.data.columns import Column
    from engram.models.codes import Codes

Array = np.ndarray[Any, np.dtype[Any]]
STEPS = 9  # pictures from one end to the other
REACH = 2.0  # standard deviations of the unit over the rows, to either side
MOST_UNITS = 8
MOST_MOVED = 4  # columns named per unit
LEAST_MOVED = 0.1  # of a column's standard deviation (or of probability 1): less is not worth naming


def _walk(codes: Array, unit: int, steps: Array) -> Array:
    walk = np.repeat(codes.mean(0, keepdims=True), len(steps), 0)
    walk[:, unit] += steps * codes[:, unit].std()
    return walk.astype(np.float32)


def picture_traversals(model: Codes, codes: Array, order: list[int]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return which units, and one line of pictures each."""
    steps = np.linspace(-REACH, REACH, STEPS)
    chosen = order[:MOST_UNITS]
    lines = {
        f"unit {unit}": grid(model.encoded(model.inverse_transform(_walk(codes, unit, steps))).x, STEPS)
        for unit in chosen
    }
    return {"units": chosen, "steps": [float(s) for s in steps]}, lines


def table_traversals(model: Codes, codes: Array, order: list[int]) -> dict[str, Any]:
    """Return per unit the columns that move the most while it goes from -2 to 2 standard deviations."""
    steps = np.array([-REACH, REACH])
    told = [{"unit": u, "columns": _moved(model, _walk(codes, u, steps))} for u in order[:MOST_UNITS]]
    return {"units": told, "steps": [float(s) for s in steps]}


def _moved(model: Codes, walk: Array) -> list[dict[str, Any]]:
    """Return the columns that differ most between the two ends, in encoded units, with both ends in the user's."""
    kind: Any = model.kind_
    with model.fitted() as nets:
        ends = nets.decoder.likelihood.mean(nets.decoder(torch.from_numpy(walk))).flatten(1)
        frame = frame_of(kind, kind.decode(ends))
    values = ends.numpy()
    change = values[1] - values[0]
    groups = np.arange(len(change)) if kind.groups is None else kind.groups.numpy()
    size = np.zeros(len(kind.columns))
    np.maximum.at(size, groups, np.abs(change))
    fields = {str(field.name): field for field in kind.fields}
    order = [int(i) for i in np.argsort(-size, kind="stable")[:MOST_MOVED] if size[i] >= LEAST_MOVED]
    return [
        _move(fields.get(kind.columns[i]), kind.columns[i], values[:, groups == i], frame) | {"moved": float(size[i])}
        for i in order
    ]


def _move(field: Column | None, name: str, ends: Array, frame: pd.DataFrame) -> dict[str, Any]:
    """Say how one column differs between the two ends; ``ends`` are its encoded values, (2, width)."""
    change = ends[1] - ends[0]
    most = int(np.abs(change).argmax())
    told: dict[str, Any] = {"column": name, "up": bool(change[most] > 0)}
    if field is not None and field.type in ("category", "boolean"):
        value = text(field.values[most]) if field.type == "category" and most < len(field.values) else "yes"
        return told | {"value": value, "from": f"{ends[0, most]:.0%}", "to": f"{ends[1, most]:.0%}"}
    if field is not None and field.name in frame:
        low, high = (text(frame[field.name].iloc[i]) for i in (0, 1))
        return told | {"from": low, "to": high}
    return told | {"from": f"{ends[0, most]:.2g}", "to": f"{ends[1, most]:.2g}"}
