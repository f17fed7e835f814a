"""What users prefer, from what they had: networks that rank items, and that tell how much of an item a user will have.

Ranking: Mult-DAE and Mult-VAE (Liang, Krishnan, Hoffman & Jebara, Variational Autoencoders for Collaborative Filtering, 2018,
arXiv:1802.05814). A history x of zeros and ones, divided by its length, with half of it dropped while learning, goes through one hidden
layer of tanh to logits over all items:

    minimise   - sum_i x_i log softmax(decoder(z))_i  (+ beta KL(q(z | x) || N(0, I)))       z = tanh(encoder(dropout(x / |x|)))

How much: a bias model with an autoencoder of what it leaves (after AutoRec, Sedhain et al., 2015), of observed weights y alone:

    y_ui = b_i + b_u + g(n_u) + w_i' tanh(V [r_u, m_u] / sqrt(n_u + 1)),     b_u = sum_i r_ui / (n_u + lambda),   r_ui = y_ui - b_i

b_i is the mean of an item's weights, shrunk towards what items had by as many users are given; m_u says which items a user had, n_u how
many. While learning a fifth of each history is hidden, and the squared error is that of the hidden weights.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.maths.divergence import kl_normal, reparameterise
from engram.networks.linear import Linear
from engram.training import Batch

Array = np.ndarray[Any, np.dtype[Any]]
BETA = 0.2  # most weight of a Mult-VAE's KL term (section 2.2.2 of the paper: below 1)
HIDDEN_SHARE = 0.2  # of a history's weights while learning how much
RANK = 8  # hidden units of what the bias model leaves
LEAST, MOST = 0.1, 50.0  # events that a mean of none of one's own counts for
SWEEPS = 5  # of item and user means in turn: more changed nothing


class Ranker(nn.Module):
    """A history to logits over all items.

    Parameters
    ----------
    n_items : int
        How many items.
    code_size : int
        Units of the hidden layer.
    dropout : float
        Share of a history that is dropped while learning.
    variational : bool
        Whether the code is drawn (Mult-VAE) or is one point (Mult-DAE).
    """

    centre: Tensor

    def __init__(self, n_items: int, code_size: int, dropout: float, *, variational: bool) -> None:
        super().__init__()
        self.register_buffer(
            "centre", torch.zeros(code_size)
        )  # the mean of the decoder's weights over items, once it has learned
        self.encoder = Linear(n_items, code_size * (2 if variational else 1))
        self.decoder = Linear(code_size, n_items)
        self.dropout, self.variational = dropout, variational
        for layer in (self.encoder, self.decoder):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def begin(self, counts: Tensor) -> None:
        """Begin at the popularity of items, (items,) counts of users."""
        share = (counts + 0.5) / (counts + 0.5).sum()
        self.decoder.bias.copy_(share.log())

    @torch.no_grad()
    def settle(self) -> None:
        """Keep what explanations need of the decoder."""
        self.centre.copy_(self.decoder.weight.mean(0))

    def code(self, present: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the code of histories of zeros and ones, (rows, code size), and of a Mult-VAE the KL term, (rows,)."""
        x = functional.normalize(present)
        hidden = self.encoder(functional.dropout(x, self.dropout, training=self.training))
        if not self.variational:
            return torch.tanh(hidden), None
        mean, log_variance = hidden.chunk(2, 1)
        if not self.training:
            return mean, kl_normal(mean, log_variance).sum(1)
        return reparameterise(mean, log_variance), kl_normal(mean, log_variance).sum(1)

    def forward(self, present: Tensor) -> Tensor:
        """Return logits, (rows, items)."""
        logits: Tensor = self.decoder(self.code(present)[0])
        return logits

    def terms(self, present: Tensor, progress: float) -> dict[str, Tensor]:
        """Return what is minimised, per row: the constant of the multinomial, which histories of ones do not have, is left out."""
        code, divergence = self.code(present)
        found = {"multinomial": -(self.decoder(code).log_softmax(1) * present).sum(1)}
        if divergence is not None:
            found["kl"] = BETA * min(1.0, 2 * progress) * divergence
        return found


class Weigher(nn.Module):
    """How much of an item a user will have, from the weights of what they had.

    Parameters
    ----------
    n_items : int
        How many items.
    """

    item_mean: Tensor
    mix: Tensor

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.register_buffer("item_mean", torch.zeros(n_items))
        self.register_buffer("mix", torch.ones(()))  # share of the autoencoder's part that helps users who are held out
        self.shrinkage = nn.Parameter(torch.zeros(()))
        self.activity = nn.Linear(4, 1)
        self.encoder = Linear(2 * n_items, RANK)
        self.decoder = nn.Linear(RANK, n_items, bias=False)
        nn.init.zeros_(self.activity.weight)
        nn.init.zeros_(self.activity.bias)
        nn.init.normal_(self.encoder.weight, std=0.03)
        nn.init.zeros_(self.encoder.bias)
        nn.init.normal_(self.decoder.weight, std=0.01)

    @torch.no_grad()
    def begin(self, matrix: Any) -> None:
        """Find the means of items, from histories (users, items)."""
        means, shrinkage = item_means(matrix)
        self.item_mean.copy_(torch.from_numpy(means))
        self.shrinkage.fill_(math.log(shrinkage))

    def parts(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the bias model says and what the autoencoder adds, (rows, items) each; x is zero where present is."""
        n = present.sum(1, keepdim=True)
        left = x - self.item_mean * present
        own = left.sum(1, keepdim=True) / (n + self.shrinkage.exp())
        many = n.log1p()
        active = self.activity(torch.cat([many, many.square(), (n == 0).float(), (n == 1).float()], 1))
        scale = (n + 1).rsqrt()
        hidden = torch.tanh(self.encoder(torch.cat([(left - own * present) * scale, present * scale], 1)))
        return self.item_mean + own + active, self.decoder(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return expected weights, (rows, items)."""
        said, added = self.parts(x, (x > 0).float())
        return said + self.mix * added

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the squared error of hidden weights, over what a batch hides on average."""
        x = batch.x
        present = (x > 0).float()
        kept = present * (torch.rand_like(x) >= HIDDEN_SHARE)
        said, added = self.parts(x * kept, kept)
        hidden = present - kept
        error = ((said + added - x).square() * hidden).sum(1)
        return {"weights": error / (hidden.sum() / len(x)).clamp(min=1.0)}

    @torch.no_grad()
    def calibrate(self, shown: Tensor, target: Tensor) -> tuple[float, float]:
        """Set how much of the autoencoder's part is used: what least squares says of weights that were hidden, from 0 to 1.

        Returns the root mean squared errors of the bias model and of both on these, (rows, items) each, zero where there is none.
        """
        said, added = self.parts(shown, (shown > 0).float())
        there = target > 0
        left, own = (target - said)[there], added[there]
        if len(left):
            self.mix.fill_(float(((left * own).sum() / own.square().sum().clamp(min=1e-12)).clamp(0, 1)))
        return tuple(float(e.square().mean().sqrt()) for e in (left, left - self.mix * own))  # type: ignore[return-value]


def item_means(matrix: Any) -> tuple[Array, float]:
    """Return the mean weight of each item, (items,) float32, and lambda, from histories (users, items).

    Means are shrunk towards a curve of the number of users that an item has: rare items are had less of. The curve is fitted with each
    event's own user left out of that number, as for a new user.
    """
    cells = matrix.tocoo()
    rows, columns, y = cells.coords[0], cells.coords[1], cells.data.astype(np.float64)
    n_users, n_items = matrix.shape
    by_item, by_user = np.bincount(columns, minlength=n_items), np.bincount(rows, minlength=n_users)
    others = _curve(by_item[columns] - 1)
    own, found, of_users = np.zeros(n_users), np.zeros(n_items), 1.0
    for _ in range(SWEEPS):
        left = y - own[rows]
        slope = np.linalg.lstsq(others, left, rcond=None)[0]
        rest = left - others @ slope
        found = _curve(by_item) @ slope + _sums(rest, columns, n_items) / (by_item + shrinkage_of(rest, columns))
        rest = y - found[columns]
        of_users = shrinkage_of(rest, rows)
        own = _sums(rest, rows, n_users) / (by_user + of_users)
    return found.astype(np.float32), of_users


def shrinkage_of(values: Array, groups: Array) -> float:
    """Return the variance within groups over that of the groups' means, by moments: how many values the common mean counts for."""
    _, groups, count = np.unique(groups, return_inverse=True, return_counts=True)
    if len(values) <= len(count) or len(count) < 2:
        return 1.0
    means = np.bincount(groups, values) / count
    within = float(np.square(values - means[groups]).sum()) / (len(values) - len(count))
    between = float((count * np.square(means)).sum() / len(values)) - within * len(count) / len(values)
    return min(MOST, max(LEAST, within / max(between, 1e-9)))


def _sums(values: Array, groups: Array, n: int) -> Array:
    return np.bincount(groups, values, minlength=n)


def _curve(count: Array) -> Array:
    many = np.log1p(count)
    return np.stack([np.ones(len(many)), many, many**2, count == 0], 1)
