"""What games share: the recipe that "auto" stands for, weights that fade, constraints, and how badly y is told from rows.

The recipe's figures were found on mixtures in the plane, a table and pictures of clothes (docs/decisions/0010): what decides is the
penalty's weight, which is large at first, so that all modes are kept, and small at the end, so that they become sharp.
"""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.corruptions import observed
from engram.data.given import Conditions
from engram.data.kind import Kind
from engram.errors import UsageError
from engram.models.parts import Decoder, Shapes
from engram.networks import Coder
from engram.networks.conditional import Conditional
from engram.training import Batch
from engram.training.nets import Nets

Losses = Literal["relativistic", "non-saturating", "minimax", "least-squares", "hinge", "wasserstein"]
# weights of penalties at three sizes of a row (its values): found by trials (docs/decisions/0010), between them even in logarithms
SIZES = (2, 30, 784)
FADES = ((1.0, 1e-3), (3.0, 0.1), (10.0, 0.1))  # of R1 and R2, at first and at last
STEADY = (0.1, 1.0, 10.0)  # of a gradient penalty; 10 for pictures is the paper's (arXiv:1704.00028)
BETAS = (0.5, 0.99)  # of Adam: with .9 and .999 games lose modes
WIDEST = 64  # dimensions of noise
STEPS = {"table": 5000, "images": 10_000}


def recipe(kind: Kind, network: str) -> dict[str, Any]:
    """Return what "auto" stands for in games: for tables, and for pictures."""
    pictures = kind.name == "images"
    if network == "auto":
        network = "dcgan" if pictures else "mlp"
    return {
        "network": network,
        "code_size": min(math.prod(kind.shape), WIDEST),
        "batch_size": 64 if pictures else 256,
        "steps": STEPS["images" if pictures else "table"],
        "learning_rate": 1e-3 if pictures else 2e-3,
        "schedule": "hold",
        "ema": 0.03 if pictures else 0.0,  # averaged weights make narrow modes narrower still
        "weight_decay": 0.0,
    }


def why(kind: Kind) -> dict[str, str]:
    """Return the reasons of `recipe`, see `Model.reasons`."""
    chosen, what = recipe(kind, "auto"), "pictures" if kind.name == "images" else "tables"
    return {
        "network": "the pair of players that suits rows of this kind",
        "code_size": f"dimensions of the noise: as many as a row has values, at most {WIDEST}",
        "batch_size": f"{chosen['batch_size']} rows of {what}, at most all",
        "max_epochs": f"{chosen['steps']:,} steps for {what}",
        "learning_rate": f"{chosen['learning_rate']:g} for {what}",
    }


def faded(weight: float | str, progress: float, *, shape: tuple[int, ...], penalty: str = "r1r2") -> float:
    """Return a penalty's weight at a share of training: the given one or, for "auto", that of rows of this shape.

    That of R1 and R2 goes evenly in logarithms from its first value to its last, that of the gradient penalty stays. A row of many
    values gives the discriminator more ways to be steep, so that the weight must be larger.
    """
    if weight != "auto":
        return float(weight)
    if penalty == "gp":
        return _at_size(STEADY, shape)
    first, last = (_at_size(weights, shape) for weights in zip(*FADES, strict=True))
    return math.pow(first, 1 - progress) * math.pow(last, progress)


def _at_size(weights: tuple[float, ...], shape: tuple[int, ...]) -> float:
    """Return the weight for rows of a shape from those at `SIZES`; beyond the smallest and the largest it stays theirs."""
    return math.exp(np.interp(math.log(math.prod(shape)), np.log(SIZES), np.log(weights)))


def refuse_modules(model: object, shapes: Shapes) -> None:
    """Raise `UsageError` where networks of the user's own are given."""
    if shapes.modules:
        raise UsageError(
            f"{type(model).__name__} builds its generator and discriminator itself: leave encoder= and decoder= out."
        )


@torch.no_grad()
def begin(nets: Nets, generator: Decoder, x: Tensor) -> None:
    """Let the discriminator see pictures with mean 0 and variance 1, and the generator's last layer begin at the mean of rows."""
    nets.discriminator.standardise(x)
    coder = generator.network.network if isinstance(generator.network, Conditional) else generator.network
    head = cast("Coder", coder).head
    last = next(module for module in head.modules() if isinstance(module, nn.Linear | nn.Conv2d))
    assert last.bias is not None
    output = generator.likelihood.link(x.mean(0)).output
    last.bias.copy_(output.mean((1, 2)) if isinstance(last, nn.Conv2d) else output.flatten())


def seen(kind: Kind, nets: Nets, batch: Batch, x: Tensor) -> Tensor:
    """Return rows x beside a batch, its own or others, in the discriminator's units; cells that the batch misses are zero.

    So a generator learns whole rows from rows with holes (Li, Jiang & Marlin 2019, arXiv:1902.09599, section 2).
    """
    if batch.mask is not None:
        x = x * observed(x, batch.mask, kind.groups)
    found: Tensor = nets.discriminator.standardised(x)
    return found


def condition_loss(conditions: Conditions, told: Tensor, y: Tensor) -> Tensor:
    """Return - log p(y) per row, up to a constant: of classes their cross-entropy, of numbers half the squared error.

    Shapes: told and y (rows, values), or (packs, packed values) -> (rows,) or (packs,).
    """
    total = torch.zeros(len(y), device=y.device)
    for at in range(0, y.shape[1], conditions.size):
        for part, place in conditions.slices:
            here = slice(at + place.start, at + place.stop)
            values, target = told[:, here], y[:, here]
            if part.sort == "classes":
                total = total - (values.log_softmax(1) * target).sum(1)
            elif part.sort == "words":
                bits = functional.binary_cross_entropy_with_logits(values, (target > 0).float(), reduction="none")
                total = total + bits.sum(1)
            else:
                total = total + 0.5 * (values - target).square().sum(1)
    return total
