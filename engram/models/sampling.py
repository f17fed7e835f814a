"""New rows from drawn codes, some at a time: what models that draw rows in one go share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from engram.parameters import checked_value
from engram.training.nets import Nets
from engram.training.session import seed_from

if TYPE_CHECKING:
    from engram.models.model import Model

ROWS = 4096  # made at a time


def sampled(
    model: Model,
    n: int,
    y: Any,
    random_state: Any,
    *,
    codes: Callable[[int, torch.Generator], Tensor],
    rows: Callable[[Nets, tuple[Tensor, ...], torch.Generator], Tensor],
) -> Any:
    """Return n new rows in the form that a model was fitted on.

    Parameters
    ----------
    model : model
        A fitted one.
    n : int
        How many rows.
    y : label, array or DataFrame
        Of a conditional model: what the rows are given, one for all or one per row.
    random_state : int, RandomState or None
        Seed of the draw.
    codes : callable
        Draws codes, (n, code size).
    rows : callable
        Returns encoded rows for the networks and some codes, with what they are given behind them.

    Raises
    ------
    UsageError
        n is no number of rows, or a conditional model has no y.
    DataError
        A label that was not seen at fit, or not one y per row.
    """
    n = checked_value("n", n, Annotated[int, Ge(1)])
    with model.fitted() as nets:
        generator = torch.Generator().manual_seed(seed_from(random_state))
        given = model.given_y(y, n, one_for_all=True)
        inputs = (codes(n, generator),) + (() if given is None else (given,))
        pieces = zip(*(torch.split(t, ROWS) for t in inputs), strict=True)
        return model.kind_.decode(torch.cat([rows(nets, piece, generator) for piece in pieces]))
