"""Finite scalar quantised autoencoder: every code unit is rounded to a few levels (Mentzer et al. 2023, arXiv:2309.15505).

    minimise   - log p(x | decoder(round(half tanh(z)) / half))        with z = encoder(x), half = (levels - 1) / 2, averaged over rows

Section 3.1; the gradient goes straight through the rounding. There is no codebook to learn, so none can collapse, and nothing else
to minimise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from engram.data.rows import Rows
from engram.errors import UsageError
from engram.maths.quantise import finite_scalar
from engram.models.discrete import Discrete
from engram.models.model import Model
from engram.models.parts import Shapes
from engram.models.scaling import rescale, whiten
from engram.registry import MODELS
from engram.training import Batch, Turn
from engram.training.nets import Nets


@MODELS.register("fsq-vae", "An autoencoder whose code units have a few levels each; nothing can collapse")
@dataclass(eq=False, repr=False, kw_only=True)
class FSQVAE(Discrete, Model):
    """Finite scalar quantised autoencoder, arXiv:2309.15505: minimise - log p(x | decoder(round(half tanh(z)) / half)).

    `transform` gives codes from -1 to 1, `code_indices` the number of each unit's level.

    Parameters
    ----------
    levels : int or tuple of int
        Levels of each code unit; a tuple has one number for each.
    """

    levels: Annotated[int, Ge(2)] | tuple[Annotated[int, Ge(2)], ...] = 8

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """One encoder, one decoder."""
        if not isinstance(self.levels, int) and len(self.levels) != shapes.code_size:
            raise UsageError(
                f"levels={self.levels} are {len(self.levels)}, but the code size is {shapes.code_size}. Give one number for each."
            )
        return {"encoder": shapes.encoder(), "decoder": shapes.decoder()}

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at rounded principal components of unit variance where the networks have a linear path."""
        if not super().start(nets, rows):
            return False
        z = whiten(nets.encoder, nets.decoder, rows)
        code = finite_scalar(z, self._levels(z))
        rescale(nets.decoder, (z * code).mean(0) / code.square().mean(0).clamp(min=1e-6))
        return True

    def _levels(self, z: Tensor) -> Tensor:
        """Return the levels of each unit, (code size,)."""
        given = [self.levels] * z.shape[1] if isinstance(self.levels, int) else list(self.levels)
        return torch.tensor(given, dtype=z.dtype, device=z.device)

    def _code(self, nets: Nets, x: Tensor) -> Tensor:
        z = nets.encoder(x)
        return finite_scalar(z, self._levels(z))

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """- log p(x | decoder(rounded code)) per row."""
        output = nets.decoder(self._code(nets, self.corrupted(nets, batch)))
        return {"reconstruction": -nets.decoder.likelihood.log_prob(output, batch.x, batch.mask)}

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the rounded codes, (rows, code size)."""
        return self._code(nets, batch.x)

    def codebook(self, nets: Nets) -> Tensor:
        """Return the levels of each unit from -1 to 1, (code size, most levels, 1); where there are fewer, the last stands again."""
        levels = self._levels(torch.zeros(1, self.shapes_.code_size))[:, None]
        steps = torch.arange(int(levels.max()))[None].minimum(levels - 1)
        return (2 * steps / (levels - 1) - 1)[..., None]
