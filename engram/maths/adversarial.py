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
    """A game: what the discriminator and what the generator minimises, each of (real, generated) logits, per row.

    In a ``relative`` game the generator's loss depends on the logits of real rows, too.
    """

    discriminator: Loss
    generator: Loss
    relative: bool = False


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
    "relativistic": Pair(_relative, _relative_generator, relative=True),
}


def squared_slope(discriminator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return |d discriminator(x) / d x|^2 per row, (rows, ...) -> (rows,), with gradients to the discriminator's weights.

    The discriminator must treat rows independently (no batch normalisation), or the slopes of rows mix.
    """
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(at).sum(), at, create_graph=True)
    return slope.flatten(1).square().sum(1)


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, generated: Tensor, share: Tensor
) -> Tensor:
    """Return (|slope| - 1)^2 per row between real and generated rows (Gulrajani et al. 2017, arXiv:1704.00028, equation 3).

    ``share``, (rows,) from 0 to 1, is how far each row lies towards the real one: drawn evenly, one per row.
    """
    between = torch.lerp(generated, real, share.view(-1, *[1] * (real.dim() - 1)))
    return ((squared_slope(discriminator, between) + LEAST).sqrt() - 1).square()


class Judgement:
    """What a discriminator says of as many real as generated rows, and how steep it is there, from one pass over both.

    Parameters
    ----------
    discriminator : callable
        (rows, ...) -> logits, (rows,), fewer where it judges packs.
    real, generated : Tensor
        (rows, ...) each, without gradient.
    together : bool
        Whether both go through it in one pass: not where it mixes the rows of a batch.
    sloped : bool
        Whether slopes will be asked for: without, nothing goes back to the rows.
    """

    def __init__(
        self,
        discriminator: Callable[[Tensor], Tensor],
        real: Tensor,
        generated: Tensor,
        *,
        together: bool = True,
        sloped: bool = True,
    ) -> None:
        self.discriminator, self.real, self.generated = discriminator, real.detach(), generated.detach()
        self._n = len(real)
        with torch.enable_grad():
            parts = [torch.cat([self.real, self.generated])] if together else [self.real, self.generated]
            self._rows = [x.detach().requires_grad_(sloped) for x in parts]
            logits = torch.cat([discriminator(x) for x in self._rows])
        self.logits = logits
        self.of_real, self.of_generated = logits.chunk(2)

    def squared_slopes(self) -> tuple[Tensor, Tensor]:
        """Return |d logit / d x|^2 at real and at generated rows, (rows,) each, with gradients to the discriminator's weights."""
        with torch.enable_grad():
            slopes = torch.autograd.grad(self.logits.sum(), self._rows, create_graph=True)
        squared = torch.cat([slope.flatten(1).square().sum(1) for slope in slopes])
        return squared[: self._n], squared[self._n :]


def _r1(judged: Judgement) -> Tensor:
    """Half the squared slope at real rows (Mescheder et al. 2018, arXiv:1801.04406, equation 9)."""
    return 0.5 * judged.squared_slopes()[0]


def _r2(judged: Judgement) -> Tensor:
    """Half the squared slope at generated rows (the same, equation 10)."""
    return 0.5 * judged.squared_slopes()[1]


def _r1_r2(judged: Judgement) -> Tensor:
    """R1 + R2 (Huang et al. 2025, arXiv:2501.05441, section 2.3)."""
    at_real, at_generated = judged.squared_slopes()
    return 0.5 * (at_real + at_generated)


def _between(judged: Judgement) -> Tensor:
    """(|slope| - 1)^2 at a random place between each pair of rows, see `gradient_penalty`."""
    share = torch.rand(len(judged.real), dtype=judged.real.dtype, device=judged.real.device)
    return gradient_penalty(judged.discriminator, judged.real, judged.generated, share)


PENALTIES: dict[str, Callable[[Judgement], Tensor]] = {"r1": _r1, "r2": _r2, "r1r2": _r1_r2, "gp": _between}
