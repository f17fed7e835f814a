"""Masked autoencoder for distribution estimation (Germain, Gregor, Murray & Larochelle 2015, arXiv:1502.03509).

    minimise   - mean_k sum_d log p_k(x_d | columns before d in order k)        averaged over rows, in nats
    score      log p(x) = log mean_k exp sum_d log p_k(x_d | columns before d in order k)

Equations 2 and 4: weights are masked so that the output for a column sees only the columns before it, so the product is a distribution that
sums to one. Several orders, each with a network of its own, are an ensemble (section 4.2): their mean is one, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor, nn

from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.errors import UsageError
from engram.likelihoods import Multinomial
from engram.models.conditionals import Conditionals
from engram.models.model import Model
from engram.models.parts import Shapes
from engram.models.scores import Array, Scores
from engram.networks.masked import MaskedNetwork, drawn, ordering
from engram.parameters import checked_value
from engram.registry import MODELS
from engram.training import Batch, Turn
from engram.training.nets import Nets
from engram.training.session import seed_from

WIDTHS = (256, 512)  # of the one hidden layer, for rows of fewer than 256 values and for longer ones


@MODELS.register("made", "Column by column: the exact likelihood of a row, and new rows; it has no code")
@dataclass(eq=False, repr=False, kw_only=True)
class MADE(Scores, Model):
    """Masked autoencoder, arXiv:1502.03509: minimise - mean_k sum_d log p_k(x_d | columns before d in order k).

    `score_samples` is log p(x) itself, no bound. There is no code: ``code_size`` is not used, there is no ``transform``, and networks of
    your own cannot be given. Each column has the distribution of its type; of normal and Laplace columns the scale depends on the row,
    too. A missing cell is not scored, and is seen by later columns as zero (the mean); so the score is of the cells that are there. A
    corruption is of what later columns see while learning.

    Parameters
    ----------
    orders : int
        Orders of the columns in the ensemble: that of the data, its reverse, then random ones. Time and size grow with it.
    """

    orders: Annotated[int, Ge(1)] = 2

    own_networks = False

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """One hidden layer, and no weight decay."""
        return {"hidden": (WIDTHS[math.prod(kind.shape) >= 256],), "weight_decay": 0.0}

    def reasons(self) -> dict[str, str]:
        """Why the hidden layer is as wide as it is."""
        return {"hidden": f"one layer: {WIDTHS[0]} wide, {WIDTHS[1]} for rows of 256 values or more"}

    @property
    def unused(self) -> tuple[str, ...]:
        """There is no code."""
        return ("code_size",)

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """Return one masked network for each order, and the distributions of the columns."""
        if shapes.modules or self.network not in ("auto", "mlp"):
            raise UsageError(
                f"{type(self).__name__} builds masked networks itself: leave network=, encoder= and decoder= out."
            )
        columns = self._columns()
        given = Conditionals(shapes.likelihood)
        if any(isinstance(part, Multinomial) for part in shapes.likelihood.modules()):
            raise UsageError(
                f"{type(self).__name__} needs a distribution for each column, which likelihood={self.likelihood!r} is not. Try 'auto'."
            )
        outputs = torch.cat([columns, columns[given.scaled_values]])
        n = int(columns.max()) + 1
        members = [
            MaskedNetwork(columns, outputs, ordering(n, k), shapes.widths, shapes.dropout) for k in range(self.orders)
        ]
        return {"network": nn.ModuleList(members), "given": given}

    def _columns(self) -> Tensor:
        """Return the column of each encoded value, (values,)."""
        groups = self.kind_.groups
        return torch.arange(math.prod(self.kind_.shape), device="cpu") if groups is None else groups

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Begin at independent columns: the outputs of no column at all are those of the means."""
        likelihood, x = nets.given.likelihood, rows.x
        mean = x.mean(0)
        likelihood.start((x - mean).square().mean().sqrt())
        output = likelihood.link(mean).output.flatten()
        with torch.no_grad():
            for member in nets.network:
                member.last.bias[: len(output)] = output
        return False

    def _log_probs(self, nets: Nets, x: Tensor, batch: Batch) -> Tensor:
        """Return log p_k(row) for each order, (orders, rows), where networks see x."""
        seen, target = x.flatten(1), batch.x.flatten(1)
        return torch.stack([nets.given.log_prob(member(seen), target, batch.mask) for member in nets.network])

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """- mean_k log p_k(x) while learning, - log p(x) on held-out rows; per row."""
        if not nets.training:
            return {"surprise": -self.log_density(nets, batch)}
        return {"surprise": -self._log_probs(nets, self.corrupted(nets, batch), batch).mean(0)}

    def log_density(self, nets: Nets, batch: Batch) -> Tensor:
        """Return log p(x) per row, in nats of encoded units."""
        found = self._log_probs(nets, batch.x, batch)
        return torch.logsumexp(found, 0) - math.log(len(found))

    def log_likelihood(self, X: Any) -> Array:
        """Return log p(x), (rows,) in nats: exact, and the same as `score_samples`."""
        return self.score_samples(X)

    def sample(self, n: int = 1, *, y: Any = None, random_state: Any = None) -> Any:
        """Draw new rows, column by column, each row in an order of the ensemble.

        Parameters
        ----------
        n : int
            How many.
        y : ignored
            For conditional models.
        random_state : int, RandomState or None
            Seed of the draw.
        """
        n = checked_value("n", n, Annotated[int, Ge(1)])
        with self.fitted() as nets:
            generator = torch.Generator().manual_seed(seed_from(random_state))
            x = drawn(list(nets.network), self._columns(), nets.given.sample, n, generator)
            return self.kind_.decode(x.view(-1, *self.kind_.shape))
