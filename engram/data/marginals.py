"""Which distribution explains a column of numbers best, by the likelihood of held-out cells under one constant output."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import torch

from engram.data.cells import Array
from engram.likelihoods import LIKELIHOODS, Binomial, Likelihood

ROWS = 1500  # that are looked at, at most,
CELLS = 1 << 17  # of so many cells
LEARNED = 2 / 3  # share of them that distributions are fitted to
FEWEST = 30  # held-out cells that a comparison needs
EQUAL = 0.01  # nats a cell that make no difference
WORST = -1e6  # nats a cell, below which it makes none how much
MARGIN = 2.0  # standard errors by which another distribution must beat the normal one
CONTINUOUS = ("normal", "laplace", "lognormal", "exponential", "beta")
WHOLE = ("bernoulli", "binomial", "poisson", "geometric", "negative-binomial")
SIMPLEST = (
    "bernoulli",
    "poisson",
    "geometric",
    "binomial",
    "negative-binomial",
    "exponential",
    "normal",
    "laplace",
    "lognormal",
    "beta",
)
SCALED = ("normal", "laplace", "lognormal", "exponential")  # families that a change of unit leaves as they are


def looked_at(rows: int, columns: int) -> Array:
    """Return the numbers of the rows that a comparison looks at, in an order without meaning."""
    most = max(FEWEST, min(ROWS, CELLS // max(columns, 1)))
    return np.random.default_rng(0).permutation(rows)[:most]


def marginals(values: Array) -> list[dict[str, Any]]:
    """Compare the distributions that columns can have, each fitted to two thirds of the rows, on the others.

    Whole numbers are spread evenly over one unit for continuous distributions, so that their densities are lower bounds on
    probabilities (Theis, van den Oord & Bethge, A note on the evaluation of generative models, ICLR 2016, section 3.1).

    Parameters
    ----------
    values : array
        (rows, columns) float64 in an order without meaning, NaN where a cell is missing.

    Returns
    -------
    list of dict
        Per column ``nats`` (of a held-out cell, by name of the distribution; only those that can have all its values), ``best``, and
        its ``gain`` over the normal one with standard ``error``, in nats a cell; an empty dict where cells are too few. ``best`` is
        the simplest one within a standard error, or .01 nats, of the most likely one, and "normal" unless it gains more than
        `MARGIN` standard errors.
    """
    random = np.random.default_rng(0)  # its own: the same rows give the same answer
    with np.errstate(invalid="ignore"):
        whole = ((values == np.round(values)) | np.isnan(values)).all(0)
    spread = values + np.where(whole, random.random(values.shape), 0.0)
    cut = round(len(values) * LEARNED)
    there = ~np.isnan(values[:cut]).all(0)
    found: list[dict[str, Array]] = [{} for _ in whole]
    for name in (*CONTINUOUS, *WHOLE):
        cells = spread if name in CONTINUOUS else values
        able = there & _able(name, values) & _able(name, cells) & (whole | (name in CONTINUOUS))
        if able.any():
            scores = _scores(name, cells[:, able], cut)
            for j, column in zip(np.flatnonzero(able), scores.T, strict=True):
                found[j][name] = column
    return [_told(column, ~np.isnan(values[cut:, j])) for j, column in enumerate(found)]


def ties(values: Array, columns: list[int]) -> Array:
    """Return how much another column says of some: the largest absolute rank correlation of each, from 0 to 1.

    Parameters
    ----------
    values : array
        (rows, columns) float64, NaN where a cell is missing; a pair of columns is compared where both have cells.
    columns : list of int
        Numbers of the columns that are asked about.
    """
    if not columns or values.shape[1] < 2:
        return np.zeros(len(columns))
    seen = ~np.isnan(values)
    ranked = pd.DataFrame(values).rank()
    ranks = (ranked - ranked.mean()).fillna(0.0).to_numpy()
    there, squares = seen.astype(float), ranks**2
    sizes = np.sqrt((squares[:, columns].T @ there) * (there[:, columns].T @ squares))
    related = np.abs(ranks[:, columns].T @ ranks) / np.where(sizes > 0, sizes, 1.0)
    related[np.arange(len(columns)), columns] = 0.0
    largest: Array = related.max(1).clip(max=1.0)
    return largest


def by_chance(rows: int, columns: int) -> float:
    """Return about how large the largest of a column's rank correlations is if it has nothing to do with any other, from 0 to 1."""
    return min(1.0, math.sqrt(2 * math.log(2 * max(columns - 1, 1)) / max(rows, 1)))


def _able(name: str, cells: Array) -> Array:
    """Return which columns can have a distribution."""
    with np.errstate(invalid="ignore"):
        able: Array = (LIKELIHOODS[name].support.holds(cells) | np.isnan(cells)).all(0)
    return able


def _scores(name: str, cells: Array, cut: int) -> Array:
    """Return the log densities of the cells after the cut, (rows, columns), fitted to those before."""
    centre, unit = np.zeros(cells.shape[1]), np.ones(cells.shape[1])
    if name in ("normal", "laplace"):
        centre = np.nanmean(cells, axis=0)
    if name in SCALED:
        size = np.nanmax(np.abs(cells - centre), axis=0)  # squares of 1e300 would overflow
        size = np.where(size > 0, size, 1.0)
        unit = np.sqrt(np.nanmean(np.square((cells - centre) / size), axis=0)) * size
        unit = np.where(unit > 0, unit, 1.0)
    x = torch.from_numpy((cells - centre) / unit)
    seen = ~x.isnan()
    x = torch.where(seen, x, 0.0)
    likelihood = _built(name, cells)
    output = likelihood.marginal(x[:cut], seen[:cut])
    with torch.no_grad():
        scores = likelihood.score_columns(output.expand_as(x[cut:]), x[cut:], seen[cut:])
    scored: Array = np.maximum(scores.numpy() - np.log(unit), WORST)
    return scored


def _built(name: str, cells: Array) -> Likelihood:
    cls, shape = LIKELIHOODS[name], (cells.shape[1],)
    if issubclass(cls, Binomial):
        return cls(shape, torch.from_numpy(np.nanmax(cells, axis=0).clip(min=1))).double()
    return cls(shape).double()


def _told(scores: dict[str, Array], seen: Array) -> dict[str, Any]:
    count = int(seen.sum())
    if count < FEWEST or "normal" not in scores:
        return {}
    nats = {name: float(column[seen].mean()) for name, column in scores.items() if np.isfinite(column[seen]).all()}
    if "normal" not in nats:
        return {}
    top = max(nats, key=lambda name: nats[name])
    losses = {name: (scores[top] - scores[name])[seen] for name in nats}
    best = next(name for name in SIMPLEST if name in nats and losses[name].mean() <= max(_error(losses[name]), EQUAL))
    gains = (scores[best] - scores["normal"])[seen]
    error = _error(gains)
    if gains.mean() <= MARGIN * error:
        best, gains, error = "normal", np.zeros(1), 0.0
    return {"best": best, "gain": float(gains.mean()), "error": error, "nats": nats}


def _error(values: Array) -> float:
    """Return the standard error of a mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))
