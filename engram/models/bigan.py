"""BiGAN: a discriminator of pairs makes an encoder the generator's inverse (Donahue et al. 2017, arXiv:1605.09782; ALI, arXiv:1606.00704).

    discriminator       minimise   D_loss(D(x, E(x)), D(G(z), z))  +  penalty_weight (R1 + R2)     z from N(0, I), x real rows
    encoder, decoder    minimise   D_loss(D(G(z), z), D(x, E(x)))                                  the same with the sides swapped

The second line is the paper's inverse objective (section 3.4): both networks learn where the discriminator is sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn

from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.maths.adversarial import PAIRS, PENALTIES, Judgement
from engram.models.codes import Codes
from engram.models.game import BETAS, Losses, begin, faded, recipe, refuse_modules
from engram.models.model import Model
from engram.models.options import Auto
from engram.models.parts import Shapes
from engram.networks.discriminator import Discriminator
from engram.networks.players import PLAYERS
from engram.registry import MODELS
from engram.training import Batch, Turn
from engram.training.nets import Nets


@MODELS.register(
    "bigan", "A GAN with an encoder that finds the noise a row could come from: codes learned by a game alone"
)
@dataclass(eq=False, repr=False, kw_only=True)
class BiGAN(Codes, Model):
    """BiGAN, arXiv:1605.09782: a game over pairs, (x, E(x)) against (G(z), z), whose best answer is E = the inverse of G.

    Nothing asks for a row's own reconstruction, so rows come back as others like them. There is no loss that says when to stop, so
    training goes on to its last epoch.

    Parameters
    ----------
    loss : str
        The game: "relativistic", "non-saturating", "minimax", "least-squares", "hinge" or "wasserstein".
    penalty_weight : float or "auto"
        Weight of R1 + R2 on pairs; "auto" fades from 1 to .001.
    """

    loss: Losses = "relativistic"
    penalty_weight: Annotated[float, Ge(0)] | Auto = "auto"
    network: Literal["auto", "mlp"] = "auto"
    ema: Annotated[float, Interval(ge=0, lt=1)] | Auto = "auto"  # type: ignore[assignment]

    families = PLAYERS
    own_networks = False
    watches: ClassVar[bool] = False
    prior: ClassVar[str] = "normal"

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """The same recipe as a GAN's, fully connected."""
        return recipe(kind, "mlp")

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """An encoder, a decoder (the generator), and a discriminator of pairs."""
        refuse_modules(self, shapes)
        family = self.families[shapes.family]
        discriminator = Discriminator(family, shapes.row, shapes.widths, shapes.dropout, given=shapes.code_size)
        return {
            "encoder": shapes.encoder(families=self.families),
            "decoder": shapes.generator(self.families),
            "discriminator": discriminator,
        }

    def start(self, nets: Nets, rows: Rows) -> bool:
        """See `begin`."""
        begin(nets, nets.decoder, rows.x)
        return False

    def turns(self, step: int) -> Sequence[Turn]:
        """The discriminator's turn, then that of both others."""
        return (
            Turn("discriminator", ("discriminator",), betas=BETAS),
            Turn("generator", ("encoder", "decoder"), betas=BETAS),
        )

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """What the turn minimises, per row."""
        with torch.set_grad_enabled(turn.name == "generator" and torch.is_grad_enabled()):
            real, generated = self._pairs(nets, batch)
        judge = nets.discriminator.of_pairs
        game = PAIRS[self.loss]
        if turn.name == "generator":
            return {"generator": game.discriminator(judge(generated), judge(real))}
        judged = Judgement(judge, real, generated)
        weight = faded(self.penalty_weight, batch.progress, shape=self.kind_.shape)
        return {
            "discriminator": game.discriminator(judged.of_real, judged.of_generated),
            "penalty": weight * PENALTIES["r1r2"](judged),
        }

    def _pairs(self, nets: Nets, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return (row, code) joined in one vector each: real rows with their codes, generated rows with their noise."""
        code = self.encode(nets, batch)
        z = torch.randn(code.shape, generator=batch.generator, dtype=code.dtype, device=code.device)
        generated = nets.decoder.likelihood.relaxed(nets.decoder(z), batch.generator)
        seen = (nets.discriminator.standardised(x).flatten(1) for x in (batch.x, generated))
        return tuple(torch.cat([x, c], 1) for x, c in zip(seen, (code, z), strict=True))  # type: ignore[return-value]

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the codes, (rows, code size)."""
        code: Tensor = nets.encoder(nets.discriminator.standardised(batch.x))
        return code

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw noise, (n, code size)."""
        return torch.randn(n, self.shapes_.code_size, generator=generator)

    def drawn(self, nets: Nets, output: Tensor, generator: torch.Generator) -> Tensor:
        """Return the generator's rows as they are."""
        return self.kind_.likelihood().relaxed(output, generator)
