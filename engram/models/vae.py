"""Variational autoencoder (Kingma & Welling, Auto-Encoding Variational Bayes, 2013, arXiv:1312.6114).

    minimise   - E_q(z|x) log p(x | z)  +  beta KL(q(z | x) || p(z))        averaged over rows, in nats

With beta = 1 this is minus the evidence lower bound (ELBO) on log p(x). beta > 1: Higgins et al., beta-VAE, ICLR 2017. A capacity holds the
KL near a target that rises over the warm-up: Burgess et al. 2018, arXiv:1804.03599. Free bits leave the first nats of each code unit
unpenalised: Kingma et al. 2016, arXiv:1606.04934.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn

from engram.data.rows import Rows
from engram.maths.bounds import importance_bound
from engram.maths.divergence import kl_normal, log_normal, moved, reparameterise
from engram.models.codes import Codes
from engram.models.model import Model
from engram.models.parts import Shapes, start_at_components
from engram.parameters import checked_value
from engram.registry import MODELS
from engram.training import Batch, Finding, Turn
from engram.training.nets import Nets

DRAWS = 16  # noise vectors of a score, the same for every row
CHECKED = 512  # held-out rows that findings look at
ACTIVE = (
    0.01  # a code unit is active if the variance of its mean over rows is above this (Burda et al. 2015, section 5.2)
)
LOG_VAR = (-14.0, 8.0)  # range of the posterior's log variance, so that a wild row cannot overflow


@MODELS.register("vae", "A probabilistic autoencoder that can generate rows and say how likely a row is")
@MODELS.register("beta-vae", "A VAE that pays more for its code, so that units stand for separate causes", beta=4.0)
@dataclass(eq=False, repr=False, kw_only=True)
class VAE(Codes, Model):
    """Variational autoencoder, arXiv:1312.6114: minimise - E_q(z|x) log p(x | z) + beta KL(q(z | x) || p(z)).

    Parameters
    ----------
    beta : float
        Weight of the KL term; 1 is the evidence lower bound.
    warmup : float or "auto"
        Share of training over which the weight rises from 0 to beta; it always ends, since it is a share. "auto" is .25, or
        0 where training begins at probabilistic PCA: the code is in use from the start, and a warm-up would only undo it.
    free_bits : float
        Nats per code unit that cost nothing.
    capacity : float or None
        Hold the KL near this many nats (reached at the end of the warm-up) instead of pushing it to zero.
    """

    beta: Annotated[float, Ge(0)] = 1.0
    warmup: Annotated[float, Interval(ge=0, lt=1)] | Literal["auto"] = "auto"
    free_bits: Annotated[float, Ge(0)] = 0.0
    capacity: Annotated[float, Ge(0)] | None = None

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """Return an encoder that gives a mean and a log variance per code unit, and a decoder."""
        return {"encoder": shapes.encoder(heads=2), "decoder": shapes.decoder()}

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at probabilistic PCA where the networks have a linear path."""
        return start_at_components(nets.encoder, nets.decoder, rows, self.shapes_.code_size, probabilistic=True)

    def posterior(self, nets: Nets, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z | x), each (rows, code size)."""
        mean, log_var = nets.encoder(x).chunk(2, 1)
        return mean, log_var.clamp(*LOG_VAR)

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """- E_q log p(x | z) with one draw, and the weighted KL."""
        mean, log_var = self.posterior(nets, self.corrupted(nets, batch))
        z = reparameterise(mean, log_var, batch.generator)
        log_prob = nets.decoder.likelihood.log_prob(nets.decoder(z), batch.x, batch.mask)
        return {
            "reconstruction": -log_prob,
            "kl": self._kl_term(kl_normal(mean, log_var), batch.progress, nets.training),
        }

    def _kl_term(self, kl: Tensor, progress: float, training: bool) -> Tensor:
        """Weight the KL, (rows, code size) -> (rows,) or, with free bits, ()."""
        risen = 1.0 if progress >= self.settings_.warmup else progress / self.settings_.warmup
        if self.capacity is not None:
            return self.beta * (kl.sum(1) - risen * self.capacity).abs()
        if self.free_bits and training:
            return self.beta * risen * kl.mean(0).clamp(min=self.free_bits).sum()
        return self.beta * risen * kl.sum(1)

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the posterior means, (rows, code size)."""
        return self.posterior(nets, batch.x)[0]

    def log_density(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the ELBO at beta = 1 per row, in nats of encoded units: `DRAWS` noise vectors, the same for every row; the KL is exact."""
        mean, log_var = self.posterior(nets, batch.x)
        total = torch.zeros(len(mean), device=mean.device)
        for noise in balanced_noise(DRAWS, mean.shape[1]).to(mean.device):
            z = moved(mean, log_var, noise)
            total += nets.decoder.likelihood.log_prob(nets.decoder(z), batch.x, batch.mask)
        return total / DRAWS - kl_normal(mean, log_var).sum(1)

    def log_likelihood(self, X: Any, *, n: int = 200) -> Any:
        """Estimate log p(x) by importance sampling from q(z | x) with ``n`` draws (arXiv:1509.00519): (rows,) in nats.

        A lower bound in expectation that rises with ``n``. The draws are one even sequence, shifted for each row by a hash of the row:
        so a row's value depends on the row alone, and yet the errors of many rows average out.
        """
        n = checked_value("n", n, Annotated[int, Ge(1)])

        def bound(nets: Nets, batch: Batch) -> Tensor:
            mean, log_var = self.posterior(nets, batch.x)
            shift, weights = row_shifts(batch.x, mean.shape[1]), []
            points = torch.quasirandom.SobolEngine(mean.shape[1], scramble=True, seed=0)  # type: ignore[no-untyped-call]
            for point in points.draw(n):
                noise = torch.special.ndtri(((point + shift) % 1).clamp(1e-6, 1 - 1e-6))
                z = moved(mean, log_var, noise)
                given = nets.decoder.likelihood.log_prob(nets.decoder(z), batch.x, batch.mask)
                weights.append(given + log_normal(z, 0.0, 0.0).sum(1) - log_normal(z, mean, log_var).sum(1))
            return importance_bound(torch.stack(weights))

        return self.densities(X, bound)

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes from the prior, (n, code size)."""
        return torch.randn(n, self.shapes_.code_size, generator=generator)

    def fitted_tensors(self) -> dict[str, Tensor]:
        """Return the KL per code unit on held-out rows."""
        return {"kl": torch.from_numpy(self.kl_)}

    def restore_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take back the KL per code unit."""
        self.kl_ = tensors["kl"].numpy()

    def finish(self, nets: Nets, rows: Rows, held_out: Rows) -> list[Finding]:
        """Look whether the code says anything about rows that training has not seen."""
        held_out = held_out.first(CHECKED)
        batch = Batch(held_out.x, held_out.mask)
        mean, log_var = self.posterior(nets, batch.x)
        self.kl_ = kl_normal(mean, log_var).mean(0).numpy()
        active = int((mean.var(0, unbiased=False) > ACTIVE).sum()) if len(mean) > 1 else mean.shape[1]
        gain = self.log_density(nets, batch) - without_code(nets.decoder.likelihood, rows, held_out)
        found, error = median_and_error(gain)
        if active == 0 or self.kl_.sum() < 0.05 or found < 3 * error:
            told = f"over no code at all, the code gains {found:.2f} ± {error:.2f} nats on the median held-out row"
            return [
                Finding(
                    "collapsed",
                    told,
                    "The columns may have nothing in common; else try a smaller beta, a longer warmup, or free_bits",
                )
            ]
        if active < mean.shape[1]:
            told = f"{mean.shape[1] - active} of {mean.shape[1]} code units are inactive"
            return [
                Finding(
                    "inactive-units",
                    told,
                    f"A code of size {active} would do as well, or try free_bits or a smaller beta",
                )
            ]
        return []


def balanced_noise(n: int, size: int) -> Tensor:
    """Return n fixed standard normal vectors in opposite pairs, with mean 0 and variance 1 in each dimension.

    Averages over them are exact for quadratics without cross terms, such as the reconstruction of a linear decoder.
    """
    half = torch.randn((n + 1) // 2, size, generator=torch.Generator().manual_seed(1))
    half = half / half.square().mean(0).sqrt()
    return torch.cat([half, -half])[:n]


def row_shifts(x: Tensor, size: int) -> Tensor:
    """Return (rows, size) numbers evenly spread over [0, 1) that are a hash of the row: of its bits, in whole numbers, so exact."""
    bits = x.flatten(1).contiguous().view(torch.int32).long()
    factors = torch.randint(1, 2**62, (bits.shape[1], size), generator=torch.Generator().manual_seed(2)) | 1
    return ((bits @ factors) >> 39 & 0xFFFFFF).float() / 2**24


def median_and_error(values: Tensor) -> tuple[float, float]:
    """Return the median and its standard error by the median absolute deviation (1.4826 and 1.2533 make them the normal's)."""
    median = values.median()
    return float(median), float(1.2533 * 1.4826 * (values - median).abs().median() / len(values) ** 0.5)


def without_code(likelihood: Any, rows: Rows, held_out: Rows) -> Tensor:
    """Log p of held-out rows under one constant output fitted to the training rows: what a collapsed decoder does."""
    free = copy.deepcopy(likelihood)
    mean = rows.x.mean(0)
    free.start((rows.x - mean).square().mean().sqrt())
    output = free.link(mean).output.expand_as(held_out.x)
    scores: Tensor = free.log_prob(output, held_out.x, held_out.mask)
    return scores
