"""Adversarial autoencoder: a discriminator makes the codes look like draws from the prior (Makhzani et al. 2015, arXiv:1511.05644).

    reconstruction   minimise   - log p(x | decoder(encoder(x)))                       by encoder and decoder
    discriminator    minimise   D_loss(D(z), D(encoder(x)))  +  penalty_weight (R1 + R2) by the discriminator, z from N(0, I)
    generator        minimise   G_loss(D(z), D(encoder(x)))                            by the encoder

The last two are the paper's regularisation phase (section 2). Without a penalty on the discriminator's slope such games go round in
circles (Mescheder et al. 2018, arXiv:1801.04406).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from engram.data.rows import Rows, rows_to_check
from engram.maths.adversarial import PAIRS, PENALTIES, Judgement
from engram.models.code_findings import off_prior
from engram.models.codes import Codes
from engram.models.model import Model
from engram.models.parts import Shapes
from engram.models.scaling import whiten
from engram.networks import NETWORKS, Coder
from engram.registry import MODELS
from engram.training import Batch, Finding, Turn
from engram.training.nets import Nets

BETAS = (0.5, 0.9)  # of Adam in both turns of the game
WIDTHS = (64, 64)  # of the discriminator
CHECKED = 512  # held-out rows whose codes are compared with the prior


@MODELS.register(
    "adversarial-autoencoder",
    "An autoencoder whose codes are made normal by a discriminator, so that it can generate rows",
)
@dataclass(eq=False, repr=False, kw_only=True)
class AdversarialAutoencoder(Codes, Model):
    """Adversarial autoencoder, arXiv:1511.05644: minimise - log p(x | decoder(encoder(x))), with codes a discriminator takes for N(0, I).

    A game makes reconstructions worse before they get better, so training goes on to its last epoch unless ``n_iter_no_change`` is made
    smaller.

    Parameters
    ----------
    loss : str
        The game: "non-saturating", "minimax", "least-squares", "hinge", "wasserstein" or "relativistic".
    penalty_weight : float
        Weight of R1 + R2, half the squared slope of the discriminator at draws from the prior and at codes.
    """

    loss: Literal["non-saturating", "minimax", "least-squares", "hinge", "wasserstein", "relativistic"] = (
        "non-saturating"
    )
    penalty_weight: Annotated[float, Ge(0)] = 0.1
    n_iter_no_change: Annotated[int, Ge(1)] = 1_000_000

    prior: ClassVar[str] = "normal"  # so that ways between codes may go around the origin

    def may_change(self) -> set[str]:
        """The game, too."""
        return super().may_change() | {"loss", "penalty_weight"}

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """An encoder, a decoder, and a discriminator of codes."""
        body = NETWORKS["mlp"].encoder((shapes.code_size,), WIDTHS, 0.0)
        discriminator = Coder(body, (shapes.code_size,), (1,))
        return {"encoder": shapes.encoder(), "decoder": shapes.decoder(), "discriminator": discriminator}

    def turns(self, step: int) -> Sequence[Turn]:
        """Reconstruction, then the two turns of the game."""
        return (
            Turn("reconstruction", ("encoder", "decoder")),
            Turn("discriminator", ("discriminator",), betas=BETAS),
            Turn("generator", ("encoder",), betas=BETAS),
        )

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at principal components of unit variance where the networks have a linear path."""
        began = super().start(nets, rows)
        if began:
            whiten(nets.encoder, nets.decoder, rows)
        return began

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """What the turn minimises, per row."""
        code = nets.encoder(self.corrupted(nets, batch))
        if turn.name == "reconstruction":
            return {"reconstruction": -nets.decoder.likelihood.log_prob(nets.decoder(code), batch.x, batch.mask)}
        z = torch.randn(code.shape, generator=batch.generator, dtype=code.dtype, device=code.device)
        game = PAIRS[self.loss]
        if turn.name == "generator":
            real, generated = nets.discriminator(torch.cat([z, code])).flatten().chunk(2)
            return {"generator": game.generator(real, generated)}
        judged = Judgement(lambda rows: nets.discriminator(rows).flatten(), z, code.detach())
        return {
            "discriminator": game.discriminator(judged.of_real, judged.of_generated),
            "penalty": self.penalty_weight * PENALTIES["r1r2"](judged),
        }

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the codes, (rows, code size)."""
        code: Tensor = nets.encoder(batch.x)
        return code

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes from the prior, (n, code size)."""
        return torch.randn(n, self.shapes_.code_size, generator=generator)

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """Calibrate scores, and look whether codes are spread as the prior says."""
        found = super().finish(nets, rows, held_out)
        looked_at = rows_to_check(rows, held_out).spread(CHECKED)
        return found + off_prior(self.codes_of(nets, looked_at), self.draw_codes)
