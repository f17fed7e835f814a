"""Turns, and what the loop asks of those who take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from engram.training.batches import Batch
from engram.training.nets import Nets


@dataclass(frozen=True)
class Turn:
    """One player's move.

    Parameters
    ----------
    name : str
        Its name in the log.
    roles : tuple of str
        The networks that learn in it; all others are frozen.
    every : int
        It is taken at every so many steps.
    repeats : int
        How often it is taken in a row.
    learning_rate : float or None
        Its own learning rate; None takes the fit's.
    betas : tuple of float
        Adam's decay rates.
    """

    name: str
    roles: tuple[str, ...]
    every: int = 1
    repeats: int = 1
    learning_rate: float | None = None
    betas: tuple[float, float] = (0.9, 0.99)


class Player(Protocol):
    """What the loop asks of a model."""

    def turns(self, step: int) -> Sequence[Turn]:
        """Return the turns of a step; a turn keeps its name for the whole fit."""

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """Return the named terms whose sum the turn minimises: one value per row, (rows,), or one for the batch, ()."""

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """Do what has no gradient: clip weights, move codebooks, revive units."""
