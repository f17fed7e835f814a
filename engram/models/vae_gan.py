"""VAE-GAN: a variational autoencoder whose rows are compared as a discriminator sees them (Larsen et al. 2016, arXiv:1512.09300).

    discriminator   minimise   D_loss(D(x), D(G(z)) and D(G(e)))  +  penalty_weight (R1 + R2)           z from N(0, I), e from q(z | x)
    encoder         minimise   KL(q(z | x) || N(0, I))  +  |D_l(x) - D_l(G(e))|^2 / 2
    decoder         minimise   similarity |D_l(x) - D_l(G(e))|^2 / 2  +  G_loss(D(x), D(G(z)) and D(G(e)))

D_l are the discriminator's last hidden values (equation 7: a normal density of unit variance, over them instead of pixels), and
``similarity`` is the paper's gamma (algorithm 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from engram.data.kind import Kind
from engram.maths.adversarial import PAIRS, Judgement
from engram.maths.divergence import kl_normal, reparameterise
from engram.models.coded_game import CodedGame
from engram.models.game import BETAS, recipe, refuse_modules, seen, why
from engram.models.parts import Shapes
from engram.models.priors import posterior
from engram.networks.discriminator import Discriminator
from engram.networks.players import players
from engram.registry import MODELS
from engram.training import Batch, Turn
from engram.training.nets import Nets

LEAST_CODE = 16  # dimensions of the code of a table's rows
# of pictures, of other rows: at .01 pictures are not reconstructed, and rows of digits and breast cancer worse than at .1 (R2 .56 and .65
# against .67 and .74), but of 8 narrow modes in the plane five seeds find 8, 8, 8, 7 and 8; at .1 one seed found 7
SIMILARITY = (1.0, 0.01)


@MODELS.register(
    "vae-gan", "A VAE that compares rows as a discriminator sees them: codes, and rows that are not blurred"
)
@dataclass(eq=False, repr=False, kw_only=True)
class VAEGAN(CodedGame):
    """VAE-GAN, arXiv:1512.09300: minimise KL(q(z | x) || N(0, I)) + |D_l(x) - D_l(G(z))|^2 / 2 in a game with D.

    There is no loss that says when to stop, so a fit goes on to its last epoch.

    Parameters
    ----------
    similarity : float or "auto"
        Weight of the likeness of rows and their reconstructions, as the discriminator sees them, beside the game in the decoder's turn:
        1 for pictures, .01 for other rows.
    """

    similarity: Annotated[float, Ge(0)] | Literal["auto"] = "auto"
    network: Literal["auto", "mlp", "residual", "norm-free"] = "auto"  # type: ignore[assignment]

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """The same recipe as a GAN's; of pictures the code is as an autoencoder's.

        Of narrow tables it is larger than the row: from the few dimensions of a bottleneck the decoder had to tear the modes of the rows,
        and the KL leaves units that are not needed at the prior.
        """
        found = recipe(kind, self.network)
        size = found.pop("code_size")
        return found if kind.name == "images" else found | {"code_size": max(LEAST_CODE, size)}

    def reasons(self) -> dict[str, str]:
        """Those of the recipe; of tables the code has its own size."""
        found = why(self.kind_)
        of_rows = found.pop("code_size")
        if self.kind_.name == "images":
            return found
        return found | {"code_size": f"{of_rows.partition(': ')[2]}, and at least {LEAST_CODE}"}

    def may_change(self) -> set[str]:
        """The weights of its terms, too."""
        return super().may_change() | {"similarity"}

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """An encoder that gives a mean and a log variance per code unit, a decoder (the generator), and a discriminator."""
        refuse_modules(self, shapes)
        family = players(shapes.family, batch_norm=False)  # a penalised discriminator judges each row by itself
        return {
            "encoder": shapes.encoder(2, self.families),
            "decoder": shapes.generator(self.families),
            "discriminator": Discriminator(family, shapes.row, shapes.widths, shapes.dropout),
        }

    def turns(self, step: int) -> Sequence[Turn]:
        """The discriminator's turn, the encoder's, the decoder's."""
        roles = ("discriminator", "encoder", "decoder")
        return tuple(Turn(role, (role,), betas=BETAS) for role in roles)

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """What the turn minimises, per row."""
        real = seen(self.kind_, nets, batch, batch.x)
        if turn.name == "discriminator":
            return self._discriminator(nets, batch, real)
        mean, log_var = self._posterior(nets, batch)
        again = self._rows(nets, reparameterise(mean, log_var, batch.generator), batch)
        with torch.no_grad():
            of_real = nets.discriminator.features(real)
        features = nets.discriminator.features(again)
        unlike = 0.5 * (of_real - features).square().sum(1)
        if turn.name == "encoder":
            return {"similarity": unlike, "kl": kl_normal(mean, log_var).sum(1)}
        judged = [nets.discriminator.judged(f) for f in (of_real, features)]
        drawn = nets.discriminator(self._rows(nets, self.noise(mean, batch), batch))
        game = PAIRS[self.loss].generator
        return {
            "decoder-similarity": self._gamma * unlike,
            "decoder": 0.5 * (game(judged[0], judged[1]) + game(judged[0], drawn)),
        }

    @property
    def _gamma(self) -> float:
        """The paper's gamma."""
        own = SIMILARITY[self.kind_.name != "images"]
        return own if self.similarity == "auto" else float(self.similarity)

    def _discriminator(self, nets: Nets, batch: Batch, real: Tensor) -> dict[str, Tensor]:
        """Half of the generated rows are reconstructions, half are drawn from the prior."""
        with torch.no_grad():
            mean, log_var = self._posterior(nets, batch)
            code = reparameterise(mean, log_var, batch.generator)
            code[::2] = self.noise(code, batch)[::2]
            generated = self._rows(nets, code, batch)
        return self.told_apart(Judgement(nets.discriminator, real, generated), batch)

    def _posterior(self, nets: Nets, batch: Batch) -> tuple[Tensor, Tensor]:
        return posterior(nets.encoder(nets.discriminator.standardised(batch.x)))

    def _rows(self, nets: Nets, code: Tensor, batch: Batch) -> Tensor:
        """Return the decoder's rows as the discriminator sees them."""
        rows: Tensor = nets.decoder.likelihood.relaxed(nets.decoder(code), batch.generator)
        return seen(self.kind_, nets, batch, rows)

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the posterior means, (rows, code size)."""
        return self._posterior(nets, batch)[0]
