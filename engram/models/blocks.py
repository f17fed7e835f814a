"""Inference in blocks of rows, so that a row's result depends on nothing but the row.

Matrix libraries take other paths for a handful of rows than for many, with other rounding; blocks are therefore padded to
a multiple of 16 rows. For few outputs they also sum in an order that depends on where in memory a row begins; the inputs of
such layers, and the outputs of other products, are therefore padded too, see `Aligned`. So results were the same to the bit for
every number and order of rows tried (tests/contract).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from engram.data.kind import warn_notes
from engram.training import Batch
from engram.training.nets import Nets

if TYPE_CHECKING:
    from engram.models.model import Model

MULTIPLE = 16
VALUES = 1 << 18  # in one block of rows: what fits into the processor's cache
LINE = 16  # float32 values in a cache line
NARROW = 32  # outputs, below which a layer's inputs are aligned (MKL on AVX-512 needed it up to 11)
PRODUCTS = (torch.bmm, torch.baddbmm, torch.addmm)


class Aligned(TorchFunctionMode):
    """While it is active, the rows of a linear layer's input all begin at the same place of a cache line.

    With 2 to 11 outputs MKL peels off the first inputs of a row up to an aligned address, so that with 30 inputs, say, odd and
    even rows are summed in different orders. Zeros appended to inputs and weights change nothing but the addresses. Products whose
    second factor has its outputs side by side sum all rows in one order where there are 16 outputs or more; they get zeros, too.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Pad the arguments of `functional.linear` and of `PRODUCTS`; call everything else as it is."""
        if func in PRODUCTS:
            *added, first, second = args
            outputs = second.shape[-1]
            wide = outputs if outputs >= NARROW else outputs + -outputs % LINE
            added = [functional.pad(one, (0, wide - one.shape[-1])) if one.shape[-1] > 1 else one for one in added]
            found = func(*added, first, functional.pad(second, (0, wide - outputs)), **(kwargs or {}))
            return found[..., :outputs]
        if func is functional.linear and not kwargs:
            x, weight, *bias = args
            extra = -x.shape[-1] % LINE
            if extra and len(weight) < NARROW:
                args = (functional.pad(x, (0, extra)), functional.pad(weight, (0, extra)), *bias)
        return func(*args, **(kwargs or {}))


def block_size(row_values: int) -> int:
    """Return how many rows make a block: a multiple of 16 between 64 and 4096."""
    return min(4096, max(64, VALUES // max(row_values, 1) // MULTIPLE * MULTIPLE))


def padded(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of rows to x with zero rows appended up to a multiple of 16, and drop their results."""
    n = len(x)
    if n % MULTIPLE:
        x = torch.cat([x, x.new_zeros(-n % MULTIPLE, *x.shape[1:])])
    with Aligned():
        return function(x)[:n]


def over_blocks(model: Model, X: Any, function: Callable[[Nets, Batch], Tensor], y: Any = None) -> Tensor:
    """Apply ``function(nets, batch)`` to all rows of X, block by block, and join the results; a conditional model has ``y``."""
    with model.fitted() as nets:
        kind = model.kind_
        conformed = kind.conform(kind.opened(X), reader=type(model).__name__)
        given = model.given_y(y, len(conformed))
        size = block_size(math.prod(kind.shape))
        results, seen = [], []
        for at in range(0, len(conformed), size):
            rows = kind.encode(conformed[at : at + size])
            seen.append(rows.notes)
            own = None if given is None else given[at : at + size]
            results.append(_padded_batch(nets, Batch(rows.x, rows.mask, own), function))
        warn_notes(seen)
        return torch.cat(results)


def _padded_batch(nets: Nets, batch: Batch, function: Callable[[Nets, Batch], Tensor]) -> Tensor:
    x, mask, y, n = batch.x, batch.mask, batch.y, len(batch)
    if n % MULTIPLE:
        extra = -n % MULTIPLE
        x = torch.cat([x, x.new_zeros(extra, *x.shape[1:])])
        mask = None if mask is None else torch.cat([mask, mask.new_ones(extra, mask.shape[1])])
        y = None if y is None else torch.cat([y, y.new_zeros(extra, y.shape[1])])
    with Aligned():
        return function(nets, Batch(x, mask, y))[:n]
