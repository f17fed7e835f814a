"""Rows to find where nobody said which are anomalies: planted ones, whose cells are real but do not belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.data.stream import some
from engram.evaluation.comparison import encoded
from engram.evaluation.purpose import finds_anomalies

Array = np.ndarray[Any, np.dtype[Any]]
SHARE = 0.1  # planted rows for each real one
FEWEST = 20  # ... and at least so many
TOLD = "no labels were given, so rows were planted: each takes every cell from another row; what is strange in your data may look otherwise"


def with_anomalies(
    models: list[Any], X: Any, rows: Rows, labels: Array | None, told: str, seed: int
) -> tuple[Any, Rows, Array | None, str]:
    """Return rows to judge, the same encoded, where anomalies are, and what to say of that.

    Rows are planted for models that find anomalies where nobody said which are some; else all is returned as it is.
    """
    if labels is not None or len(rows) < FEWEST or not any(map(finds_anomalies, models)):
        return X, rows, labels, told
    X, labels = planted(models[0].kind_, X, seed)
    return X, encoded(models[0], X), labels, TOLD


def planted(kind: Kind, X: Any, seed: int) -> tuple[Any, Array]:
    """Return the rows of a fitted kind with `with_planted` ones after them, and where these are, (rows,) of 0 and 1."""
    rows = some(kind.conform(kind.opened(X)))
    n = len(rows)
    return with_planted(rows, min(n, max(FEWEST, round(SHARE * n))), np.random.default_rng(seed))


def with_planted(rows: Any, count: int, random: np.random.Generator) -> tuple[Any, Array]:
    """Return rows of a DataFrame or an array with so many planted ones after them, and where these are, (rows,) of 0 and 1.

    A planted row takes each of its cells from another row at random: every column by itself looks right, their combination does not.
    """
    n = len(rows)
    places = [random.permutation(n)[:count] for _ in range(rows.shape[1])]
    y = np.r_[np.zeros(n, dtype=int), np.ones(count, dtype=int)]
    if isinstance(rows, pd.DataFrame):
        mixed = pd.DataFrame({name: rows[name].to_numpy()[at] for name, at in zip(rows.columns, places, strict=True)})
        mixed = mixed.astype({name: rows[name].dtype for name in rows.columns})
        return pd.concat([rows, mixed], ignore_index=True), y
    return np.concatenate([rows, np.stack([rows[at, j] for j, at in enumerate(places)], 1)]), y
