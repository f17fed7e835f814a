"""Autoencoder: a row goes through a narrow code and comes back (Hinton & Salakhutdinov, Science 313, 2006).

    minimise   - log p(x | decoder(encoder(corrupt(x))))        averaged over rows

With a corruption it is the denoising autoencoder (Vincent et al., JMLR 11, 2010): the input is corrupted, the target stays clean.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from engram.models.codes import Codes
from engram.models.model import Model
from engram.models.parts import Shapes
from engram.registry import MODELS
from engram.training import Batch, Turn
from engram.training.nets import Nets


@MODELS.register("autoencoder", "Rows through a narrow code and back")
@MODELS.register(
    "denoising-autoencoder", "An autoencoder that repairs corrupted rows", corruption="gaussian", corruption_level=0.3
)
@MODELS.register("convolutional-autoencoder", "An autoencoder of convolutions, for pictures", network="conv")
@dataclass(eq=False, repr=False, kw_only=True)
class Autoencoder(Codes, Model):
    """Autoencoder, Hinton & Salakhutdinov 2006: minimise - log p(x | decoder(encoder(corrupt(x)))).

    Linear (``hidden=()``) it is PCA; with ``corruption`` a denoising autoencoder; with ``network="conv"`` a convolutional one.
    All parameters are common to all models; see `Model`.
    """

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """One encoder, one decoder."""
        return {"encoder": shapes.encoder(), "decoder": shapes.decoder()}

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """- log p(x | decoder(encoder(corrupt(x)))) per row."""
        output = nets.decoder(nets.encoder(self.corrupted(nets, batch)))
        return {"reconstruction": -nets.decoder.likelihood.log_prob(output, batch.x, batch.mask)}

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the codes, (rows, code size)."""
        code: Tensor = nets.encoder(batch.x)
        return code
