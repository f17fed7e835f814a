"""Variational autoencoder (Kingma & Welling, Auto-Encoding Variational Bayes, 2013, arXiv:1312.6114).

    minimise   - E_q(z|x) log p(x | z)  +  beta KL(q(z | x) || p(z))  +  penalty_weight penalty        averaged over rows, in nats

With beta = 1 and no penalty this is minus the evidence lower bound (ELBO) on log p(x). beta > 1: Higgins et al., beta-VAE, ICLR 2017. A
capacity holds the KL near a target that rises over the warm-up: Burgess et al. 2018, arXiv:1804.03599. Free bits leave the first nats of
each code unit unpenalised: Kingma et al. 2016, arXiv:1606.04934. Priors: see `engram.models.priors`. Penalties on the codes of all rows
together: their total correlation (Chen et al. 2018, arXiv:1802.04942), or their discrepancy from the prior (InfoVAE, Zhao et al. 2017,
arXiv:1706.02262; WAE, Tolstikhin et al. 2018, arXiv:1711.01558). With ``importance=k`` draws (Burda et al. 2015, arXiv:1509.00519):

    minimise   - E log 1/k sum_i p(x | z_i) (p(z_i) / q(z_i | x))^beta
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn

from engram.data.kind import Kind
from engram.data.rows import Rows, rows_to_check
from engram.errors import UsageError
from engram.maths.bounds import importance_bound
from engram.maths.discrepancy import mean_discrepancy
from engram.maths.divergence import kl_normal, log_normal, moved, reparameterise
from engram.maths.total_correlation import total_correlation
from engram.models.code_findings import code_use
from engram.models.codes import Codes
from engram.models.evidence import balanced_noise, log_weight, row_shifts, sampled_bound, without_code
from engram.models.model import Model
from engram.models.parts import Shapes, start_at_components
from engram.models.priors import (
    Components,
    MixturePrior,
    VampPrior,
    checked_components,
    draw_prior,
    log_prior_units,
    posterior,
)
from engram.parameters import checked_value
from engram.registry import MODELS
from engram.training import Batch, Finding, Turn
from engram.training.nets import Nets

__all__ = ["VAE", "balanced_noise", "row_shifts"]
DRAWS = 16  # noise vectors of a score, the same for every row
FEW_DRAWS = 4  # ... where rows are averaged over all the same
PRIOR = ("prior.log_weights", "prior.means", "prior.log_var")
CHECKED = 512  # held-out rows that findings look at
TOGETHER = 128  # most rows whose codes a penalty compares with each other
WEIGHTS = {
    "tc": 5.0,
    "mmd": 100.0,
}  # automatic ones; 5 is the 6 of arXiv:1802.04942, whose KL has the total correlation in it once
LEAST = 0.01  # share of the KL at the start of a warm-up where a prior has to learn too


@MODELS.register("vae", "A probabilistic autoencoder that can generate rows and say how likely a row is")
@MODELS.register("beta-vae", "A VAE that pays more for its code, so that units stand for separate causes", beta=4.0)
@MODELS.register("beta-tc-vae", "A VAE that pays for what code units have in common", penalty="tc")
@MODELS.register("conditional-vae", "A VAE of rows given a label, or anything else known beside them", conditional=True)
@MODELS.register("iwae", "A VAE that learns from a tighter bound, of several draws a row", importance=5)
@MODELS.register(
    "mmd-vae", "A VAE whose codes together, not each row's, are held near the prior", beta=0.1, penalty="mmd"
)
@MODELS.register(
    "vamp-vae", "A VAE with a learned prior: the codes of typical rows, which are learned too", prior="vamp"
)
@dataclass(eq=False, repr=False, kw_only=True)
class VAE(Codes, Model):
    """Variational autoencoder, arXiv:1312.6114: minimise - E_q(z|x) log p(x | z) + beta KL(q(z | x) || p(z)) + penalty.

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
    importance : int
        Draws per row of the importance-weighted bound that is learned from; time and memory grow with it. 1 is the ELBO.
    prior : str
        Of the code: "normal", "mixture" (of normals, learned) or "vamp" (the posteriors of learned rows).
    prior_size : int
        Components of a learned prior.
    penalty : str or None
        On the codes of many rows together: "tc" (total correlation: units are to be independent) or "mmd" (discrepancy from the prior).
    penalty_weight : float or "auto"
        Its weight; "auto" is 5 for tc and 100 for mmd.
    """

    beta: Annotated[float, Ge(0)] = 1.0
    warmup: Annotated[float, Interval(ge=0, lt=1)] | Literal["auto"] = "auto"
    free_bits: Annotated[float, Ge(0)] = 0.0
    capacity: Annotated[float, Ge(0)] | None = None
    importance: Annotated[int, Ge(1)] = 1
    prior: Literal["normal", "vamp", "mixture"] = "normal"
    prior_size: Annotated[int, Ge(1)] = 50
    penalty: Literal["tc", "mmd"] | None = None
    penalty_weight: Annotated[float, Ge(0)] | Literal["auto"] = "auto"

    @property
    def takes_y(self) -> bool:
        """It can be conditional."""
        return True

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """No weight decay: the KL holds the model back already."""
        self._check_bound()
        return {"weight_decay": 0.0}

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """Return an encoder that gives a mean and a log variance per code unit, a decoder, and a prior that is learned."""
        found: dict[str, nn.Module] = {"encoder": shapes.encoder(heads=2), "decoder": shapes.decoder()}
        if self.prior == "mixture":
            found["prior"] = MixturePrior(self.prior_size, shapes.code_size)
        elif self.prior == "vamp":
            found["prior"] = VampPrior(self.prior_size, shapes.row, shapes.given)
        return found

    def _check_bound(self) -> None:
        """Refuse terms that do not go together, at every fit: one that goes on may have others than the last."""
        if self.importance > 1 and (self.free_bits or self.capacity is not None):
            raise UsageError(
                f"importance={self.importance}: its bound has no KL term for free_bits or capacity to act on."
            )
        if self.free_bits and self.capacity is not None:
            raise UsageError(
                f"free_bits={self.free_bits:g} and capacity={self.capacity:g} both say how much of the KL costs nothing: give one of them."
            )

    def may_change(self) -> set[str]:
        """The weights of its terms, too, and the bound."""
        own = {"beta", "warmup", "free_bits", "capacity", "importance", "penalty", "penalty_weight"}
        return super().may_change() | own

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at probabilistic PCA where the networks have a linear path; pseudo-inputs begin at typical rows."""
        if "prior" in nets:
            nets.prior.start(rows)
        return start_at_components(nets.encoder, nets.decoder, rows, self.shapes_.code_size, probabilistic=True)

    def posterior(self, nets: Nets, x: Tensor, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z | x), each (rows, code size)."""
        return posterior(nets.encoder(x, *given))

    def components(self, nets: Nets) -> Components | None:
        """Return what the prior is a mixture of; None is the standard normal."""
        return nets.prior.components(nets.encoder) if "prior" in nets else None

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """- E_q log p(x | z) with one draw, the weighted KL, the weighted penalty; or minus the importance bound of several draws."""
        mean, log_var = self.posterior(nets, self.corrupted(nets, batch), *batch.given)
        components = self.components(nets)
        if self.importance > 1:
            z, found = self._importance_term(nets, batch, mean, log_var, components)
        else:
            z = reparameterise(mean, log_var, batch.generator)
            log_prob = nets.decoder.likelihood.log_prob(nets.decoder(z, *batch.given), batch.x, batch.mask)
            kl = self.kl(z, mean, log_var, components)
            found = {"reconstruction": -log_prob, "kl": self._kl_term(kl, batch.progress, nets.training)}
        if self.penalty is None:
            return found
        weight = WEIGHTS[self.penalty] if self.penalty_weight == "auto" else self.penalty_weight
        return found | {
            "penalty": weight * self._risen(batch.progress) * self._penalty(z, mean, log_var, components, batch)
        }

    def _importance_term(
        self, nets: Nets, batch: Batch, mean: Tensor, log_var: Tensor, components: Components | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the first draw and minus the importance bound: all draws of all rows go through the decoder together."""
        k = self.importance
        many = replace(batch, x=_times(batch.x, k), mask=_times(batch.mask, k), y=_times(batch.y, k))
        mean, log_var = _times(mean, k), _times(log_var, k)
        z = reparameterise(mean, log_var, batch.generator)
        weights = log_weight(nets, many, z, mean, log_var, components, self.beta * self._risen(batch.progress))
        return z[: len(batch)], {"bound": -importance_bound(weights.view(k, -1))}

    def kl(self, z: Tensor, mean: Tensor, log_var: Tensor, components: Components | None) -> Tensor:
        """KL(q(z | x) || p(z)) per unit, (rows, code size), in nats: exact for the normal prior, else of the draws z."""
        if components is None:
            return kl_normal(mean, log_var)
        return log_normal(z, mean, log_var) - log_prior_units(z, components)

    def _risen(self, progress: float) -> float:
        risen = 1.0 if progress >= self.settings_.warmup else progress / self.settings_.warmup
        return risen if self.prior == "normal" else max(risen, LEAST)

    def _kl_term(self, kl: Tensor, progress: float, training: bool) -> Tensor:
        """Weight the KL, (rows, code size) -> (rows,) or, with free bits, ()."""
        risen = self._risen(progress)
        if self.capacity is not None:
            return self.beta * (kl.sum(1) - risen * self.capacity).abs()
        if self.free_bits and training:
            return self.beta * risen * kl.mean(0).clamp(min=self.free_bits).sum()
        return self.beta * risen * kl.sum(1)

    def _penalty(self, z: Tensor, mean: Tensor, log_var: Tensor, components: Components | None, batch: Batch) -> Tensor:
        """Compare the codes of at most `TOGETHER` rows: (rows,) or ()."""
        parts = [torch.split(t, TOGETHER) for t in (z, mean, log_var)]
        if self.penalty == "tc":
            n_rows: int = self.data_["trained_on"]
            return torch.cat([total_correlation(a, m, v, n_rows) for a, m, v in zip(*parts, strict=True)])
        drawn = torch.split(draw_prior(len(z), z.shape[1], components, batch.generator).to(z.device), TOGETHER)
        pairs = zip(parts[0], drawn, strict=True)
        return torch.stack([mean_discrepancy(a, b) * (len(a) / len(z)) for a, b in pairs]).sum()

    def encode(self, nets: Nets, batch: Batch) -> Tensor:
        """Return the posterior means, (rows, code size)."""
        return self.posterior(nets, batch.x, *batch.given)[0]

    def codes_of(self, nets: Nets, rows: Rows) -> Tensor:
        """Return one draw from the posterior of each row, (rows, code size)."""
        generator = torch.Generator().manual_seed(0)
        parts = (Batch(part.x, part.mask, part.y) for part in rows.blocks(len(rows)))
        return torch.cat([reparameterise(*self.posterior(nets, b.x, *b.given), generator) for b in parts])

    def log_density(self, nets: Nets, batch: Batch, draws: int = DRAWS) -> Tensor:
        """Return the ELBO at beta = 1 per row, in nats of encoded units, from a few noise vectors, the same for every row."""
        mean, log_var = self.posterior(nets, batch.x, *batch.given)
        components = self.components(nets)
        total = torch.zeros(len(mean), device=mean.device)
        for noise in balanced_noise(draws, mean.shape[1]).to(mean.device):
            z = moved(mean, log_var, noise)
            total += nets.decoder.likelihood.log_prob(nets.decoder(z, *batch.given), batch.x, batch.mask)
            if components is not None:
                total -= self.kl(z, mean, log_var, components).sum(1)
        return total / draws - (kl_normal(mean, log_var).sum(1) if components is None else 0.0)

    def log_likelihood(self, X: Any, *, n: int = 200, y: Any = None) -> Any:
        """Estimate log p(x) by importance sampling from q(z | x) with ``n`` draws (arXiv:1509.00519): (rows,) in nats.

        A lower bound in expectation that rises with ``n``. The draws are one even sequence, shifted for each row by a hash of the row:
        so a row's value depends on the row alone, and yet the errors of many rows average out.
        """
        n = checked_value("n", n, Annotated[int, Ge(1)])

        def bound(nets: Nets, batch: Batch) -> Tensor:
            return sampled_bound(nets, batch, *self.posterior(nets, batch.x, *batch.given), self.components(nets), n)

        return self.densities(X, bound, y)

    def draw_codes(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw codes from the prior, (n, code size)."""
        return draw_prior(n, self.shapes_.code_size, self.prior_, generator)

    def kl_per_unit(self, nets: Nets, rows: Rows) -> Tensor:
        """Return the mean KL per code unit over rows, (code size,) in nats; of a learned prior unit by unit, each given those before."""
        mean, log_var = self.posterior(nets, rows.x, *(() if rows.y is None else (rows.y,)))
        components = self.components(nets)
        noise = balanced_noise(1 if components is None else DRAWS, mean.shape[1])  # without components it is exact
        return torch.stack([self.kl(moved(mean, log_var, e), mean, log_var, components).mean(0) for e in noise]).mean(0)

    def fitted_tensors(self) -> dict[str, Tensor]:
        """Return the KL per code unit on held-out rows, and a learned prior's components."""
        prior = {} if self.prior_ is None else dict(zip(PRIOR, self.prior_, strict=True))
        return super().fitted_tensors() | prior | {"kl": torch.from_numpy(self.kl_)}

    def restore_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `fitted_tensors` gave."""
        super().restore_tensors(tensors)
        self.prior_ = (
            None if self.prior == "normal" else checked_components([tensors[n] for n in PRIOR], self.shapes_.code_size)
        )
        self.kl_ = tensors["kl"].numpy()

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """Look whether the code says anything about rows that training has not seen."""
        self.keep_codes(nets, rows, fit=False)
        found = self.components(nets)
        self.prior_ = None if found is None else (found[0].clone(), found[1].clone(), found[2].clone())
        looked_at = rows_to_check(rows, held_out).spread(CHECKED)
        batch = Batch(looked_at.x, looked_at.mask, looked_at.y)
        kl = self.kl_per_unit(nets, looked_at)
        self.kl_ = kl.numpy()
        gain = self.log_density(nets, batch, FEW_DRAWS) - without_code(nets.decoder.likelihood, rows, looked_at)
        return code_use(self.encode(nets, batch), kl, gain)


def _times(values: Tensor | None, k: int) -> Any:
    """Return rows k times over, (k rows, ...)."""
    return None if values is None else values.repeat(k, *[1] * (values.dim() - 1))
