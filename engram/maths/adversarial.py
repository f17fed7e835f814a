"""What a discriminator and a generator minimise, as pairs of pure functions of logits, and penalties on the discriminator's slope.

Every function gives one value per row, to be averaged by the loop. Logits are what a discriminator says of real and of generated
rows before any sigmoid, (rows,). A generator's function ignores the real ones unless its loss compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

Loss = Callable[[Tensor, Tensor], Tensor]  # of the logits of real and of generated rows
LEAST = 1e-12  # under the root of a squared norm, whose slope at zero would be infinite


class Pair(NamedTuple):
    """A game: what the discriminator and what the generator minimises, each of (real, generated) logits, per row."""

    discriminator: Loss
    generator: Loss


def _logistic(real: Tensor, generated: Tensor) -> Tensor:
    """- log s(real) - log(1 - s(generated)), s the sigmoid (Goodfellow et al. 2014, arXiv:1406.2661, equation 1)."""
    return softplus(-real) + softplus(generated)


def _minimax(real: Tensor, generated: Tensor) -> Tensor:
    """Log(1 - s(generated)) (the same, equation 1): what the discriminator maximises."""
    return -softplus(generated)


def _non_saturating(real: Tensor, generated: Tensor) -> Tensor:
    """- log s(generated) (the same, section 3): the same fixed point, and a slope where the discriminator is sure."""
    return softplus(-generated)


def _squares(real: Tensor, generated: Tensor) -> Tensor:
    """(real - 1)^2 / 2 + generated^2 / 2 (Mao et al. 2016, arXiv:1611.04076, equation 9)."""
    return 0.5 * ((real - 1).square() + generated.square())


def _square(real: Tensor, generated: Tensor) -> Tensor:
    """(generated - 1)^2 / 2 (the same)."""
    return 0.5 * (generated - 1).square()


def _hinge(real: Tensor, generated: Tensor) -> Tensor:
    """max(0, 1 - real) + max(0, 1 + generated) (Miyato et al. 2018, arXiv:1802.05957, equation 16)."""
    return (1 - real).relu() + (1 + generated).relu()


def _difference(real: Tensor, generated: Tensor) -> Tensor:
    """Generated - real: minus the distance that a 1-Lipschitz discriminator finds (Arjovsky et al. 2017, arXiv:1701.07875, equation 2)."""
    return generated - real


def _lifted(real: Tensor, generated: Tensor) -> Tensor:
    """- generated (Miyato et al., equation 17; Arjovsky et al., theorem 3)."""
    return -generated


def _relative(real: Tensor, generated: Tensor) -> Tensor:
    """- log s(real - generated) (Jolicoeur-Martineau 2018, arXiv:1807.00734; Huang et al. 2025, arXiv:2501.05441, equation 2)."""
    return softplus(generated - real)


def _relative_generator(real: Tensor, generated: Tensor) -> Tensor:
    """- log s(generated - real) (the same)."""
    return softplus(real - generated)


PAIRS: dict[str, Pair] = {
    "non-saturating": Pair(_logistic, _non_saturating),
    "minimax": Pair(_logistic, _minimax),
    "least-squares": Pair(_squares, _square),
    "hinge": Pair(_hinge, _lifted),
    "wasserstein": Pair(_difference, _lifted),
    "relativistic": Pair(_relative, _relative_generator),
}


def squared_slope(discriminator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return |d discriminator(x) / d x|^2 per row, (rows, ...) -> (rows,), with gradients to the discriminator's weights.

    The discriminator must treat rows independently (no batch normalisation), or the slopes of rows mix.
    """
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(at).sum(), at, create_graph=True)
    return slope.flatten(1).square().sum(1)


def zero_centred(discriminator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return half the squared slope per row: on real rows R1, on generated ones R2 (Mescheder et al. 2018, arXiv:1801.04406, eq. 9, 10)."""
    return 0.5 * squared_slope(discriminator, x)


def r1_r2(discriminator: Callable[[Tensor], Tensor], real: Tensor, generated: Tensor) -> Tensor:
    """Return R1 + R2 per pair of rows, (rows, ...) twice -> (rows,), in one pass over both."""
    return zero_centred(discriminator, torch.cat([real, generated])).view(2, -1).sum(0)


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, generated: Tensor, share: Tensor
) -> Tensor:
    """Return (|slope| - 1)^2 per row between real and generated rows (Gulrajani et al. 2017, arXiv:1704.00028, equation 3).

    ``share``, (rows,) from 0 to 1, is how far each row lies towards the real one: drawn evenly, one per row.
    """
    between = torch.lerp(generated, real, share.view(-1, *[1] * (real.dim() - 1)))
    return ((squared_slope(discriminator, between) + LEAST).sqrt() - 1).square()
