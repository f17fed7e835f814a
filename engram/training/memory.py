"""Steps that do not fit into memory: taken in parts whose gradients add up to that of the whole step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from engram.training.batches import Batch

MOST_PARTS = 64  # halved six times
FEWEST = 2  # rows of a part: statistics of a batch need two
TOLD = ("out of memory", "not enough memory", "can't allocate memory")  # by the allocators of GPUs and of the CPU


def out_of_memory(error: RuntimeError | MemoryError) -> bool:
    """Return whether an error says that an allocation failed, on a GPU or on the CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(text in str(error) for text in TOLD)


def can_halve(batch: Batch, parts: int) -> bool:
    """Return whether a batch that is taken in so many parts can be taken in more."""
    return parts < min(MOST_PARTS, len(batch) // FEWEST)


def divided(batch: Batch, parts: int) -> Iterator[tuple[Batch, Tensor | float, float]]:
    """Yield a batch in parts of nearly equal size, none under `FEWEST` rows.

    Beside each part stand the sum of the row weights of the whole batch (its rows, where they have none), and the part's
    share of the rows: with both, averages over the parts add up to the average over the batch.
    """
    rows = len(batch)
    whole = float(rows) if batch.weight is None else batch.weight.sum()
    count = min(parts, max(1, rows // FEWEST))
    edges = [rows * i // count for i in range(count + 1)]
    for first, end in pairwise(edges):
        rows_of = partial(_between, first, end)
        part = replace(
            batch,
            x=batch.x[first:end],
            mask=rows_of(batch.mask),
            y=rows_of(batch.y),
            weight=rows_of(batch.weight),
            index=rows_of(batch.index),
        )
        yield part, whole, (end - first) / rows


def _between(first: int, end: int, values: Tensor | None) -> Tensor | None:
    return None if values is None else values[first:end]
