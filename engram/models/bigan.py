"""BiGAN: a discriminator of pairs makes an encoder the generator's inverse (Donahue et al. 2017, arXiv:1605.09782; ALI, arXiv:1606.00704).

    discriminator       minimise   D_loss(D(x, E(x)), D(G(z), z))  +  penalty_weight (R1 + R2)     z from N(0, I), x real rows
    encoder, decoder    minimise   D_loss(D(G(z), z), D(x, E(x)))                                  the same with the sides swapped

The second line is the paper's inverse objective (section 3.4): both networks learn where the discriminator is sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from engram.data.kind import Kind
from engram.maths.adversarial import PAIRS, Judgement
from engram.models.coded_game import CodedGame
from engram.models.game import BETAS, recipe, refuse_modules, seen, why
from engram.models.parts import Shapes
from engram.networks.discriminator import Discriminator
from engram.registry import MODELS
from engram.training import Batch, Turn
from engram.training.nets import Nets


@MODELS.register(
    "bigan", "A GAN with an encoder that finds the noise a row could come from: codes learned by a game alone"
)
@dataclass(eq=False, repr=False, kw_only=True)
class BiGAN(CodedGame):
    """BiGAN, arXiv:1605.09782: a game over pairs, (x, E(x)) against (G(z), z), whose best answer is E = the inverse of G.

    Nothing asks for a row's own reconstruction, so rows come back as others like them. The penalty R1 + R2 is on pairs. There is no
    loss that says when to stop, so a fit goes on to its last epoch.
    """

    network: Literal["auto", "mlp"] = "auto"

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """The same recipe as a GAN's, fully connected."""
        return recipe(kind, "mlp")

    def reasons(self) -> dict[str, str]:
        """Those of the recipe; the code is the noise."""
        return why(self.kind_)

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
        if turn.name == "generator":
            return {"generator": PAIRS[self.loss].discriminator(judge(generated), judge(real))}
        return self.told_apart(Judgement(judge, real, generated), batch)

    def _pairs(self, nets: Nets, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return (row, code) joined in one vector each: real rows with their codes, generated rows with their noise."""
        code = self.encode(nets, batch)
        z = self.noise(code, batch)
        generated = nets.decoder.likelihood.relaxed(nets.decoder(z), batch.generator)
        real, generated = (seen(self.kind_, nets, batch, x).flatten(1) for x in (batch.x, generated))
        return torch.cat([real, code], 1), torch.cat([generated, z], 1)

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the codes, (rows, code size)."""
        code: Tensor = nets.encoder(nets.discriminator.standardised(batch.x))
        return code
