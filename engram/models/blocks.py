"""Inference in blocks of rows, so that a row's result depends on nothing but the row.

Matrix libraries take other paths for a handful of rows than for many, with other rounding; blocks are therefore padded to
a multiple of 16 rows, from where on results were the same to the bit for every number of rows tried (tests/contract).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from engram.data.kind import warn_notes
from engram.training import Batch
from engram.training.nets import Nets

if TYPE_CHECKING:
    from engram.models.model import Model

MULTIPLE = 16
VALUES = 1 << 18  # in one block of rows: what fits into the processor's cache


def block_size(row_values: int) -> int:
    """Return how many rows make a block: a multiple of 16 between 64 and 4096."""
    return min(4096, max(64, VALUES // max(row_values, 1) // MULTIPLE * MULTIPLE))


def padded(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of rows to x with zero rows appended up to a multiple of 16, and drop their results."""
    n = len(x)
    if n % MULTIPLE:
        x = torch.cat([x, x.new_zeros(-n % MULTIPLE, *x.shape[1:])])
    return function(x)[:n]


def over_blocks(model: Model, X: Any, function: Callable[[Nets, Batch], Tensor]) -> Tensor:
    """Apply ``function(nets, batch)`` to all rows of X, block by block, and join the results."""
    with model.fitted() as nets:
        kind = model.kind_
        conformed = kind.conform(kind.opened(X), reader=type(model).__name__)
        size = block_size(math.prod(kind.shape))
        results, seen = [], []
        for at in range(0, len(conformed), size):
            rows = kind.encode(conformed[at : at + size])
            seen.append(rows)
            results.append(_padded_batch(nets, rows.x, rows.mask, function))
        warn_notes(seen)
        return torch.cat(results)


def _padded_batch(nets: Nets, x: Tensor, mask: Tensor | None, function: Callable[[Nets, Batch], Tensor]) -> Tensor:
    n = len(x)
    if n % MULTIPLE:
        extra = -n % MULTIPLE
        x = torch.cat([x, x.new_zeros(extra, *x.shape[1:])])
        mask = None if mask is None else torch.cat([mask, mask.new_ones(extra, mask.shape[1])])
    return function(nets, Batch(x, mask))[:n]
