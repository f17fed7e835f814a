"""A GAN of rows of bins: a generator draws every cell as one of its bins, a discriminator sees real and drawn rows in the same way.

    discriminator   minimise   D_loss(D(x), D(G(z)))  +  penalty_weight * penalty(D)      z from the noise, x real rows, one-hot
    generator       minimise   G_loss(D(x), D(G(z)))

The game of `engram.models.gan` with its penalties; drawn cells are one-hot with the gradient of a soft draw (Jang, Gu & Poole 2017,
arXiv:1611.01144), as CTGAN has them (Xu et al. 2019, arXiv:1907.00503).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.data.cells import Array
from engram.likelihoods import Likelihood
from engram.maths.adversarial import PAIRS, PENALTIES, Judgement
from engram.models.game import BETAS, faded
from engram.networks.cells import BinTable, CellDecoder, Layers, normalised
from engram.training import Batch, Turn
from engram.training.nets import Nets

LOSS, PENALTY = "relativistic", "r1r2"
NOISE = 64  # dimensions of the noise
ROWS = 4096  # drawn at a time
ROLES = ("generator", "discriminator")
TURNS = tuple(Turn(name, (name,), betas=BETAS) for name in ("discriminator", "generator"))


class CellJudge(nn.Module):
    """A logit for each row of one-hot cells, (rows, bins of all places) -> (rows,): high where it looks real."""

    def __init__(self, sizes: Sequence[int], ordered: Sequence[int], width: int, depth: int) -> None:
        super().__init__()
        self.table = BinTable(sizes, ordered, width, len(sizes) ** -0.5)
        self.layers = Layers(width, depth, 0.0)
        self.head = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Judge rows."""
        return cast("Tensor", self.head(normalised(self.layers(x @ self.table())))[:, 0])


def roles(sizes: Sequence[int], ordered: Sequence[int], widths: Sequence[int]) -> dict[str, nn.Module]:
    """Return generator and discriminator; widths are all the same one, once a layer."""
    width, depth = widths[0], len(widths)
    return {
        "generator": CellDecoder(sizes, ordered, NOISE, width, depth, 0.0),
        "discriminator": CellJudge(sizes, ordered, width, depth),
    }


def generated(
    nets: Nets, n: int, likelihood: Likelihood, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """Return n drawn rows, (rows, bins of all places), one-hot with gradients."""
    z = torch.randn(n, NOISE, generator=generator, device=device)
    h = torch.zeros(n, nets.generator.code.out_features, device=device)
    return likelihood.relaxed(torch.cat(nets.generator(h, z), 1), generator)


def one_hot(cells: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return rows of bins, (rows, places) long, as (rows, bins of all places)."""
    return torch.cat([functional.one_hot(cells[:, i], size) for i, size in enumerate(sizes)], 1).float()


def terms(turn: Turn, nets: Nets, batch: Batch, likelihood: Likelihood) -> dict[str, Tensor]:
    """Return what the discriminator's or the generator's turn minimises, per row."""
    real = one_hot(batch.x.long(), nets.generator.sizes)
    game, device = PAIRS[LOSS], batch.x.device
    if turn.name == "generator":
        drawn = generated(nets, len(batch), likelihood, batch.generator, device)
        with torch.no_grad():
            of_real = nets.discriminator(real)
        return {"generator": game.generator(of_real, nets.discriminator(drawn))}
    with torch.no_grad():
        drawn = generated(nets, len(batch), likelihood, batch.generator, device)
    judged = Judgement(nets.discriminator, real, drawn)
    weight = faded("auto", batch.progress, shape=(real.shape[1],), penalty=PENALTY)
    return {
        "discriminator": game.discriminator(judged.of_real, judged.of_generated),
        "penalty": weight * PENALTIES[PENALTY](judged),
    }


@torch.no_grad()
def drawn_cells(nets: Nets, n: int, likelihood: Likelihood, generator: torch.Generator) -> Array:
    """Return n generated rows as bins, (rows, places)."""
    found = []
    for at in range(0, n, ROWS):
        rows = generated(nets, min(ROWS, n - at), likelihood, generator, torch.device("cpu"))
        found.append(torch.stack([part.argmax(1) for part in torch.split(rows, nets.generator.sizes, 1)], 1))
    cells: Array = torch.cat(found).numpy()
    return cells
