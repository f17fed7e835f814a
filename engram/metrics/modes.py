"""Modes: which parts of a distribution with known modes a generator reaches, how evenly and how well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engram.errors import DataError, UsageError
from engram.metrics.metric import Array
from engram.metrics.rows import feature_rows, row_scalars

FAIR_SHARE = 0.1  # of a mode's share that a strict count asks for


@dataclass(frozen=True)
class ModeCount:
    """Generated rows beside the modes of a mixture.

    Parameters
    ----------
    found : int
        Modes with at least one high-quality row. One stray row is enough, so read ``strict`` too.
    strict : int
        Modes whose high-quality rows are at least a tenth of the rows that a perfect generator has there.
    n_modes : int
        All modes.
    high_quality : float
        Share of rows within ``n_sigmas`` sigma of the nearest centre; of a perfect one in 2-D .989 at 3 sigma.
    reverse_kl : float
        KL(share of the high-quality rows at each mode || weights), nats; infinite where there are none.
    width : float
        Root mean square distance of the high-quality rows from their centre, per dimension, over sigma: what a perfect generator
        has is a little below 1 (.974 in 2-D at 3 sigma, since rows further out do not count), modes that shrank to points have 0.
        NaN where there are no high-quality rows.
    dropped : tuple of int
        Numbers of the modes without any high-quality row.
    """

    found: int
    strict: int
    n_modes: int
    high_quality: float
    reverse_kl: float
    width: float
    dropped: tuple[int, ...]


def mode_count(
    generated: Array, centres: Array, sigma: float, n_sigmas: float = 3.0, weights: Array | None = None
) -> ModeCount:
    """Return how generated rows fall on the modes of a mixture of isotropic Gaussians.

    A row is of high quality within ``n_sigmas`` standard deviations of the nearest centre, and then belongs to its mode. Source:
    Srivastava et al., VEEGAN, NeurIPS 2017, section 5.1; reverse KL as in Lin et al., PacGAN, NeurIPS 2018, section 4.1.

    Parameters
    ----------
    generated : array
        Rows, (rows, dimensions).
    centres : array
        Of the modes, (modes, dimensions).
    sigma : float
        Standard deviation of every mode in every dimension, above 0.
    n_sigmas : float
        How far a high-quality row may lie from its centre, above 0.
    weights : array, optional
        Shares of the modes, (modes,), sum 1; equal by default.

    Raises
    ------
    DataError
        Arrays of other shapes, no rows, different widths, values that are not finite, weights that are no shares.
    UsageError
        A sigma or a number of sigmas that is not above 0.
    """
    if not (sigma > 0 and n_sigmas > 0):
        raise UsageError(f"sigma and n_sigmas must be above 0; given were {sigma} and {n_sigmas}.")
    rows, modes = feature_rows(1, generated=generated, centres=centres)
    shares = _shares(weights, len(modes))
    nearest, squared = _nearest(rows.astype(np.float64), modes)
    good = squared <= (n_sigmas * sigma) ** 2
    counts = np.bincount(nearest[good], minlength=len(modes))
    width = np.sqrt(squared[good].mean() / rows.shape[1]) / sigma if good.any() else np.nan
    return ModeCount(
        found=int((counts > 0).sum()),
        strict=int(((counts > 0) & (counts >= FAIR_SHARE * shares * len(rows))).sum()),
        n_modes=len(modes),
        high_quality=float(good.mean()),
        reverse_kl=_kl(counts, shares),
        width=float(width),
        dropped=tuple(np.flatnonzero(counts == 0).tolist()),
    )


def mode_kl(labels: Array, n_modes: int, weights: Array | None = None) -> tuple[int, float]:
    """Return how many modes a classifier found, and KL(shares of the labels || weights) in nats (Stacked MNIST).

    Source: Metz et al., Unrolled generative adversarial networks, ICLR 2017, section 3.3.1. It is infinite for no labels at all.

    Parameters
    ----------
    labels : array
        The mode of each generated row as a classifier sees it, (rows,), 0 to n_modes - 1.
    n_modes : int
        All modes, at least 1.
    weights : array, optional
        Shares of the modes, (modes,), sum 1; equal by default.

    Raises
    ------
    DataError
        Labels that are no such numbers, weights that are no shares.
    UsageError
        No modes.
    """
    if n_modes < 1:
        raise UsageError(f"n_modes must be at least 1, not {n_modes}.")
    shares, given = _shares(weights, n_modes), np.asarray(labels)
    if given.size == 0:
        return 0, float("inf")
    values = row_scalars("labels", given)
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= n_modes:
        raise DataError(f"labels must be whole numbers from 0 to {n_modes - 1}, the number of the mode of each row.")
    counts = np.bincount(values, minlength=n_modes)
    return int((counts > 0).sum()), _kl(counts, shares)


def _nearest(rows: Array, centres: Array) -> tuple[Array, Array]:
    """Return the nearest centre of each row and its squared distance, centre by centre."""
    nearest, squared = np.zeros(len(rows), dtype=np.int64), np.full(len(rows), np.inf)
    for number, centre in enumerate(centres):
        distance = np.square(rows - centre).sum(1)
        nearer = distance < squared
        nearest[nearer], squared[nearer] = number, distance[nearer]
    return nearest, squared


def _kl(counts: Array, shares: Array) -> float:
    """Return KL(counts as shares || shares), nats. No counts are the worst there is, never a perfect 0."""
    from scipy.special import rel_entr

    return float(rel_entr(counts / counts.sum(), shares).sum()) if counts.sum() else float("inf")


def _shares(weights: Array | None, n_modes: int) -> Array:
    if weights is None:
        return np.full(n_modes, 1 / n_modes)
    shares = np.asarray(weights, dtype=np.float64)
    if shares.shape != (n_modes,) or not (shares >= 0).all() or not np.isclose(shares.sum(), 1, atol=1e-6):
        raise DataError(f"weights must be one share per mode, ({n_modes},), at least 0 and with sum 1.")
    return shares
