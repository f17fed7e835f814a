"""Generated rows beside real ones, to look at: pictures by class, the training pictures nearest to them, tables as points in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engram.data.images import Images
from engram.data.table import Table
from engram.evaluation.comparison import encoded, flat
from engram.evaluation.examples import frame_of, generated
from engram.evaluation.labels import one_label
from engram.evaluation.purpose import only_generates
from engram.evaluation.thumbnails import grid
from engram.maths.linear import principal_components

if TYPE_CHECKING:
    from engram.data.rows import Rows
    from engram.models.model import Model

Array = np.ndarray[Any, np.dtype[Any]]
ACROSS, DOWN = 8, 6  # pictures in a grid
MOST_CLASSES = 12  # with a line of their own
BESIDE, NEAREST = 6, 5  # generated pictures, and training pictures beside each
POINTS = 500  # of each sort in the plane
PLAIN = ("number", "count")  # types of columns that are axes as they are


def drawn(model: Model, X: Any, y: Any, train: Any, random_state: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return facts and pictures; ``y`` is one per row of X, for a conditional model what it is asked for."""
    if isinstance(model.kind_, Images):
        return _pictures(model, X, y, train, random_state)
    if isinstance(model.kind_, Table):
        return {"places": places(model, X, y, random_state)}, {}
    return {}, {}


def _pictures(model: Model, X: Any, y: Any, train: Any, random_state: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    found: dict[str, bytes] = {}
    told: dict[str, Any] = {}
    conditional = model.given_ is not None
    asked = one_label(y) if conditional else None
    classes = [] if asked is None else list(dict.fromkeys(sorted(np.asarray(asked).tolist(), key=_order)))
    if only_generates(model):
        if 2 <= len(classes) <= MOST_CLASSES:
            told["classes"] = [str(c) for c in classes]
            found |= _by_class(model, X, np.asarray(asked), classes, random_state)
        else:
            n = min(ACROSS * DOWN, len(X))
            found["grid real"] = grid(encoded(model, X[:n]).x, ACROSS)
            found["grid generated"] = grid(_encoded_drawn(model, n, random_state, y), ACROSS)
    if train is not None:
        own = _encoded_drawn(model, BESIDE, random_state, y)
        told["nearest"], pictures = nearest(own, encoded(model, train).x)
        found |= pictures
    return told, found


def _order(value: Any) -> tuple[str, Any]:
    return str(type(value)), value


def _encoded_drawn(model: Model, n: int, random_state: int, y: Any) -> Tensor:
    return encoded(model, generated(model, n, random_state, y)).x


def _by_class(model: Model, X: Any, y: Array, classes: list[Any], random_state: int) -> dict[str, bytes]:
    """Return a line of real and one of generated pictures for each class."""
    asked = np.repeat(np.asarray(classes), ACROSS)
    pictures = encoded(model, model.sample(len(asked), y=asked, random_state=random_state)).x
    found = {}
    for i, value in enumerate(classes):
        found[f"class {i} real"] = grid(encoded(model, X[np.flatnonzero(y == value)[:ACROSS]]).x, ACROSS)
        found[f"class {i} generated"] = grid(pictures[i * ACROSS : (i + 1) * ACROSS], ACROSS)
    return found


def nearest(own: Tensor, training: Tensor) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return generated pictures, each before the training pictures nearest to it, with the root mean squared difference of pixels."""
    count = min(NEAREST, len(training))
    apart = torch.cdist(own.flatten(1), training.flatten(1)) / own[0].numel() ** 0.5
    found = apart.topk(count, largest=False)
    images = {
        f"near {i + 1}": grid(torch.cat([own[i : i + 1], training[index]]), 1 + count)
        for i, index in enumerate(found.indices)
    }
    return {"distances": [[round(float(d), 4) for d in line] for line in found.values]}, images


def places(model: Model, X: Any, y: Any, random_state: int) -> dict[str, Any]:
    """Return real and generated rows of a table in the plane: its two columns, or the first principal components of real rows."""
    kind: Any = model.kind_
    real = encoded(model, X)
    drawn_rows = generated(model, min(POINTS, len(real)), random_state, y)
    fields = [c for c in kind.fields if c.width]
    if len(fields) == 2 and all(c.type in PLAIN for c in fields):
        frames = [frame_of(kind, rows)[[c.name for c in fields]].to_numpy(float) for rows in (X, drawn_rows)]
        names = [str(c.name) for c in fields]
    else:
        frames, names = _along_components(model, real, encoded(model, drawn_rows))
    return _placed(frames, names)


def in_the_plane(x: Tensor, z: Tensor) -> dict[str, Any]:
    """Return real rows x and generated rows z, (rows, values), in the plane of the first principal components of x."""
    return _placed(*along_components(x, z))


def _placed(frames: list[Array], names: list[str]) -> dict[str, Any]:
    kept = (frame[np.isfinite(frame).all(1)] for frame in frames)
    points = [frame[np.linspace(0, len(frame) - 1, min(len(frame), POINTS)).astype(int)] for frame in kept]
    return {"axes": names, "points": dict(zip(("real", "generated"), (_rounded(p) for p in points), strict=True))}


def _along_components(model: Model, real: Rows, made: Rows) -> tuple[list[Array], list[str]]:
    return along_components(*(torch.from_numpy(flat(rows, model.kind_)[0]) for rows in (real, made)))


def along_components(x: Tensor, z: Tensor) -> tuple[list[Array], list[str]]:
    """Return real rows x and generated rows z, (rows, values), along the first principal components of x, and their names."""
    count = min(2, *x.shape)
    found = principal_components(x, count)
    total = float((x.double() - found.mean).square().sum(1).mean()) or 1.0
    names = [f"component {i + 1} ({float(v) / total:.0%} of the variance)" for i, v in enumerate(found.variances)]
    both = [((rows.double() - found.mean) @ found.vectors.T).numpy() for rows in (x, z)]
    if count == 1:  # one column: spread upwards, so that rows do not hide each other
        both = [np.stack([p[:, 0], np.random.default_rng(0).uniform(-1, 1, len(p))], 1) for p in both]
        names = ["the column", ""]
    return both, names


def _rounded(points: Array) -> list[list[float]]:
    return [[float(f"{v:.5g}") for v in point] for point in points]
