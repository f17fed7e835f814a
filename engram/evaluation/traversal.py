"""One code unit at a time, from low to high, all others at their mean: what it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engram.data.table import Table
from engram.evaluation.examples import frame_of, text
from engram.evaluation.thumbnails import grid

if TYPE_CHECKING:
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
        f"unit {unit}": grid(model.encoded(model.inverse_transform(_walk(codes, unit, steps))).x, STEPS) for unit in chosen
    }
    return {"units": chosen, "steps": [float(s) for s in steps]}, lines


def table_traversals(model: Codes, codes: Array, order: list[int]) -> dict[str, Any]:
    """Return per unit the columns that move the most while it goes from -2 to 2 standard deviations."""
    steps = np.array([-REACH, REACH])
    told = []
    for unit in order[:MOST_UNITS]:
        moved = _moved(model, _walk(codes, unit, steps))
        told.append({"unit": unit, "columns": moved[:MOST_MOVED]})
    return {"units": told, "steps": [float(s) for s in steps]}


def _moved(model: Codes, walk: Array) -> list[dict[str, Any]]:
    """Return the columns that differ most between the two ends, in encoded units, with both ends in the user's."""
    import torch

    kind = model.kind_
    assert isinstance(kind, Table)
    with model.fitted() as nets:
        likelihood = nets.decoder.likelihood
        ends = likelihood.mean(nets.decoder(torch.from_numpy(walk))).flatten(1)
        frame = frame_of(kind, kind.decode(ends))
        values = ends.numpy()
    change = values[1] - values[0]
    groups = np.arange(len(change)) if kind.groups is None else kind.groups.numpy()
    size = np.zeros(len(kind.columns))
    np.maximum.at(size, groups, np.abs(change))
    fields = {str(field.name): field for field in kind.fields}
    told = []
    for column in np.argsort(-size, kind="stable"):
        if size[column] < LEAST_MOVED:
            break
        name = kind.columns[column]
        places = np.flatnonzero(groups == column)
        entry: dict[str, Any] = {"column": name, "moved": float(size[column])}
        field = fields.get(name)
        if field is not None and field.type in ("category", "boolean"):
            most = int(places[np.abs(change[places]).argmax()])
            entry["value"] = text(field.values[most - places[0]]) if field.type == "category" else "yes"
            entry |= {"from": f"{values[0, most]:.0%}", "to": f"{values[1, most]:.0%}", "up": bool(change[most] > 0)}
        elif field is not None and field.name in frame:
            entry |= {"from": text(frame[field.name].iloc[0]), "to": text(frame[field.name].iloc[1])}
            entry["up"] = bool(change[places[0]] > 0)
        else:
            entry |= {"from": f"{values[0, places[0]]:.2g}", "to": f"{values[1, places[0]]:.2g}"}
            entry["up"] = bool(change[places[0]] > 0)
        told.append(entry)
    return told
