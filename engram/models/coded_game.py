"""What games with codes share: an encoder beside the generator, codes from a normal prior, rows that are the generator's as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Interval
from torch import Tensor

from engram.data.rows import Rows
from engram.maths.adversarial import PAIRS, PENALTIES, Judgement
from engram.models.codes import Codes
from engram.models.game import Losses, begin, faded
from engram.models.model import Model
from engram.models.options import Auto
from engram.networks import Network
from engram.networks.players import PLAYERS
from engram.training import Batch
from engram.training.nets import Nets


@dataclass(eq=False, repr=False, kw_only=True)
class CodedGame(Codes, Model):
    """A game whose generator is the ``decoder``, with an ``encoder`` beside it and R1 + R2 on the ``discriminator``.

    There is no loss that says when to stop, so a fit goes on to its last epoch.

    Parameters
    ----------
    loss : str
        The game: "relativistic", "non-saturating", "minimax", "least-squares", "hinge" or "wasserstein".
    penalty_weight : float or "auto"
        Weight of R1 + R2; "auto" grows with the size of rows, and fades over the fit: from 1 to .001 for 2 values, from 10 to .1 for
        784.
    ema : float or "auto"
        Average the weights; after this share of training an old weight counts half. 0 is off; "auto" is .03 for pictures, else 0.
    """

    loss: Losses = "relativistic"
    penalty_weight: Annotated[float, Ge(0)] | Auto = "auto"
    ema: Annotated[float, Interval(ge=0, lt=1)] | Auto = "auto"  # type: ignore[assignment]

    families: ClassVar[Mapping[str, Network]] = PLAYERS
    own_networks = False
    watches: ClassVar[bool] = False
    prior: ClassVar[str] = "normal"

    def start(self, nets: Nets, rows: Rows) -> bool:
        """See `begin`."""
        begin(nets, nets.decoder, rows.x)
        return False

    def may_change(self) -> set[str]:
        """The game, too."""
        return super().may_change() | {"loss", "penalty_weight"}

    def told_apart(self, judged: Judgement, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the discriminator's turn, per row: the game's, and the penalty R1 + R2 at its weight of now."""
        weight = faded(self.penalty_weight, batch.progress, shape=self.kind_.shape)
        return {
            "discriminator": PAIRS[self.loss].discriminator(judged.of_real, judged.of_generated),
            "penalty": weight * PENALTIES["r1r2"](judged),
        }

    def noise(self, like: Tensor, batch: Batch) -> Tensor:
        """Draw as many codes from the prior as there are in a batch, (rows, code size)."""
        return torch.randn(like.shape, generator=batch.generator, dtype=like.dtype, device=like.device)

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes from the prior, (n, code size)."""
        return torch.randn(n, self.shapes_.code_size, generator=generator)

    def drawn(self, nets: Nets, output: Tensor, generator: torch.Generator) -> Tensor:
        """Return the generator's rows, nothing added."""
        return self.kind_.likelihood().relaxed(output, generator)  # which knows the range of values
