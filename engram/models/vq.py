"""Vector-quantised autoencoder: a code is one of finitely many (van den Oord, Vinyals & Kavukcuoglu 2017, arXiv:1711.00937).

    minimise   - log p(x | decoder(e))  +  commitment |z - sg(e)|^2        with z = encoder(x), e the nearest entry to z, averaged over rows

Equation 3: the decoder's gradient goes straight through e to z, sg stops it. Entries are no parameters: they follow the moving
average of what they were given (appendix A.1), begin at cluster centres, and are put elsewhere when no row uses them. A code of several
parts has a codebook for each, so that a few entries make very many codes (Jegou et al., Product Quantization, PAMI 33, 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn

from engram.data.rows import Rows
from engram.errors import UsageError
from engram.likelihoods.continuous import LocationScale
from engram.maths.quantise import commitment, straight_through
from engram.models.discrete import Discrete, divided, together
from engram.models.model import Model
from engram.models.parts import Shapes
from engram.models.scaling import encoded
from engram.networks.codebook import Codebook
from engram.registry import MODELS
from engram.training import Batch, Turn
from engram.training.nets import Nets

ROWS_AN_ENTRY = 32  # whose clusters the entries begin at


@MODELS.register("vq-vae", "An autoencoder whose code is one of finitely many, from a learned codebook")
@dataclass(eq=False, repr=False, kw_only=True)
class VQVAE(Discrete, Model):
    """Vector-quantised autoencoder, arXiv:1711.00937: minimise - log p(x | decoder(e)) + commitment |z - sg(e)|^2.

    `transform` gives e, `code_indices` its numbers; rows are drawn from how often training rows use each entry.

    Parameters
    ----------
    n_codes : int
        Entries of the codebook of each part of a code.
    parts : int or "auto"
        Parts of a code, of equal size; "auto" makes parts of two dimensions (three or one where that does not divide the code size).
    commitment : float
        Weight of the squared distance between z and its entry; 1 makes it as dear as a squared error of the reconstruction.
    decay : float
        Share of an entry's moving average that stays in a step.
    """

    n_codes: Annotated[int, Ge(2)] = 64
    parts: Annotated[int, Ge(1)] | Literal["auto"] = "auto"
    commitment: Annotated[float, Ge(0)] = 0.25
    decay: Annotated[float, Interval(ge=0, lt=1)] = 0.99

    def may_change(self) -> set[str]:
        """The weights of its terms, too."""
        return super().may_change() | {"commitment"}

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """An encoder, a decoder, and a codebook for each part of the code."""
        size = shapes.code_size
        parts = size // next(s for s in (2, 3, 1) if size % s == 0) if self.parts == "auto" else self.parts
        if size % parts:
            raise UsageError(
                f"parts={parts} must divide the code size, which is {size}. Choose code_size={parts} or a multiple."
            )
        book = Codebook(parts, self.n_codes, size // parts)
        return {"encoder": shapes.encoder(), "decoder": shapes.decoder(), "codebook": book}

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at principal components where the networks have a linear path, with entries at cluster centres."""
        began = super().start(nets, rows)
        some = rows.within(1 << 24, 256, ROWS_AN_ENTRY * self.n_codes)
        nets.codebook.start(divided(encoded(nets.encoder, some), len(nets.codebook.entries)))
        return began

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """- log p(x | decoder(e)) and the commitment of z to e, per row."""
        z = nets.encoder(self.corrupted(nets, batch))
        e = together(nets.codebook(divided(z, len(nets.codebook.entries))))
        output = nets.decoder(straight_through(z, e))
        return {
            "reconstruction": -nets.decoder.likelihood.log_prob(output, batch.x, batch.mask),
            "commitment": self.commitment * self._price(nets.decoder.likelihood) * commitment(z, e),
        }

    @staticmethod
    def _price(likelihood: nn.Module) -> Tensor | float:
        """Return the nats that a squared error costs, 1 / (2 scale^2), so that one weight suits rows of any scale."""
        scales = [part.floored().detach() for part in likelihood.modules() if isinstance(part, LocationScale)]
        return 0.5 * (-2 * torch.stack(scales)).exp().mean() if scales else 0.5

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """Move the entries to what they were given."""
        nets.codebook.follow(self.decay)

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the nearest entries, (rows, code size)."""
        return together(nets.codebook(divided(nets.encoder(batch.x), len(nets.codebook.entries))))

    def codebook(self, nets: Nets) -> Tensor:
        """Return the entries of each part, (parts, n_codes, size)."""
        entries: Tensor = nets.codebook.entries
        return entries
