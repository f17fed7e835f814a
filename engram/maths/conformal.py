"""Held-out scores as a yardstick: how surprising a score is beside them, p-values, and decisions with few false discoveries."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Yardstick(NamedTuple):
    """Held-out scores in order, higher meaning stranger."""

    scores: Tensor  # (n,) float64, ascending
    excess: Tensor  # () mean excess of the scores beyond the one where the exponential tail begins
    share: Tensor  # () share of the scores beyond that one


def yardstick(scores: Tensor, share: float = 0.1) -> Yardstick:
    """Return held-out scores (n,) as a yardstick whose tail is exponential beyond the upper ``share`` of them.

    The tail is that of peaks over a threshold with shape 0 (Pickands, Annals of Statistics 3, 1975): the mean excess is its one
    parameter, so that scores beyond all that was seen still differ. The tail begins at a score, which tells nothing of the excess beyond
    itself: the mean is over those that come after it, ties with it too, and where there are two scores it is at least one.
    """
    found = scores.double().sort().values
    n = len(found)
    beyond = min(n, max(2, round(share * n)))
    start = found[n - beyond]
    least = 1e-3 * torch.maximum(found[-1] - found[0], found[-1].abs().clamp(min=1))  # scores that are all alike
    excess = (found[n - beyond :] - start).sum() / max(1, beyond - 1)
    return Yardstick(found, torch.maximum(excess, least), torch.tensor(beyond / n, dtype=torch.float64))


def log_exceedance(stick: Yardstick, scores: Tensor) -> Tensor:
    """Return log of the share of held-out scores at or beyond each score, (...,): interpolated, and exponential in the tail."""
    n, s = len(stick.scores), scores.double()
    first = stick.scores[n - round(float(stick.share) * n)]
    return torch.where(s > first, stick.share.log() - (s - first) / stick.excess, (_counted(stick, s) / n).log())


def surprise(stick: Yardstick, scores: Tensor) -> Tensor:
    """Return - log of the share of held-out scores at or beyond each score, in nats: components on one scale."""
    return -log_exceedance(stick, scores)


def log_cross_exceedance(sticks: list[Yardstick], scores: Tensor, n: int | None = None) -> Tensor:
    """Return log of (sum over members k of #{held-out scores of fold k at or beyond member k's score}) / (n + 1), per row: (rows,).

    It and 1 / (n + 1) more is the cross-conformal p-value (Vovk, Cross-conformal predictors, Annals of Mathematics and Artificial
    Intelligence 74, 2015, equation 2). Without that it has no floor: counts are continuous, and fall below 1 beyond all held-out scores, so
    that rows seldom tie. No count is smaller than the exact one, so that with 1 / (n + 1) the p-value is never smaller than the exact
    one. ``n`` is the number of rows where members share them, so that a row counts once.
    """
    total = sum(len(stick.scores) for stick in sticks)
    rows = total if n is None else n
    logs = torch.stack([log_count(stick, row) for stick, row in zip(sticks, scores, strict=True)])
    return torch.logsumexp(logs, 0) + math.log(rows / total) - math.log(rows + 1)


def log_count(stick: Yardstick, scores: Tensor) -> Tensor:
    """Return log of how many held-out scores are at or beyond each score, (...,): interpolated upwards, and exponential below 1."""
    s, largest = scores.double(), stick.scores[-1]
    return torch.where(s > largest, -(s - largest) / stick.excess, _counted(stick, s).log())


def _counted(stick: Yardstick, s: Tensor) -> Tensor:
    """Return how many held-out scores are at or beyond each score, at least 1, interpolated between one whole number and the next."""
    known, n = stick.scores, len(stick.scores)
    at = torch.searchsorted(known, s.contiguous())  # how many are smaller
    low, high = known[(at - 1).clamp(0, n - 1)], known[at.clamp(0, n - 1)]
    between = torch.where(high > low, (s - low) / (high - low).clamp(min=1e-300), 0.0).clamp(0, 1)
    return torch.where(at == 0, float(n), n - at + 1 - between).clamp(1, n)


def discoveries(p: Tensor, rate: float) -> Tensor:
    """Return which p-values (n,) are discoveries at this false-discovery rate (Benjamini & Hochberg, JRSS B 57, 1995), (n,) bool."""
    n = len(p)
    order = p.sort().values
    passing = (order <= rate * torch.arange(1, n + 1, dtype=p.dtype) / n).nonzero()
    return p <= order[passing[-1, 0]] if len(passing) else torch.zeros(n, dtype=torch.bool)
