"""Generated tables beside real ones: how single columns are distributed, how pairs hang together, whether rows leak.

A table is an array (rows, columns) of floats, NaN where a cell is missing; a discrete column holds numbers of categories. The scores of
columns and pairs are 1 - a distance, from 0 to 1, of which 1 is best; they are those that the literature of synthetic tables shares
(Patki, Wedge & Veeramachaneni, The synthetic data vault, DSAA 2016, and its successors), written from their definitions.
"""

from __future__ import annotations

import numpy as np

from engram.errors import DataError
from engram.metrics.detection import auroc
from engram.metrics.metric import Array
from engram.metrics.neighbours import Points, kth_nearest
from engram.metrics.rows import feature_rows

BINS = 10  # that a number is cut into beside a category, at quantiles of the real column


def number_shape(real: Array, generated: Array) -> float:
    """Return 1 - the Kolmogorov-Smirnov distance of two columns of numbers; missing cells count nowhere.

    Direction: higher is better; 1 is the same distribution. Unit: 1 - a difference of shares of rows. Source: Smirnov 1948: sup |F - G|
    over the empirical distribution functions.

    Parameters
    ----------
    real, generated : array
        (rows,) numbers, NaN where a cell is missing; their numbers of rows may differ.

    Returns
    -------
    float
        0 to 1; NaN where a column is empty.
    """
    a, b = (np.sort(cells[~np.isnan(cells)]) for cells in (real, generated))
    if not len(a) or not len(b):
        return float("nan")
    both = np.concatenate([a, b])
    shares = [np.searchsorted(cells, both, side="right") / len(cells) for cells in (a, b)]
    return float(1 - np.abs(shares[0] - shares[1]).max())


def category_shape(real: Array, generated: Array) -> float:
    """Return 1 - the total variation distance of two columns of categories: 1 - 1/2 sum |p - q|; missing cells count nowhere.

    Direction: higher is better; 1 is the same shares of categories. Unit: 1 - a share of rows. Source: total variation distance (Levin,
    Peres & Wilmer, Markov Chains and Mixing Times, 2009, proposition 4.2), in the module's 1 - distance.

    Parameters
    ----------
    real, generated : array
        (rows,) numbers of categories, NaN where a cell is missing; their numbers of rows may differ.

    Returns
    -------
    float
        0 to 1; NaN where a column is empty.
    """
    a, b = (cells[~np.isnan(cells)] for cells in (real, generated))
    return _overlap(a[:, None], b[:, None]) if len(a) and len(b) else float("nan")


def missing_shape(real: Array, generated: Array) -> float:
    """Return 1 - the difference of the shares of missing cells of two columns.

    Direction: higher is better; 1 is the same share. Unit: 1 - a difference of shares of rows. Source: the total variation distance of
    two flags, missing or not, see `category_shape`.

    Parameters
    ----------
    real, generated : array
        (rows,) cells, NaN where a cell is missing; their numbers of rows may differ.

    Returns
    -------
    float
        0 to 1; NaN, with numpy's warning, of columns without rows.
    """
    return float(1 - abs(np.isnan(real).mean() - np.isnan(generated).mean()))


def column_shapes(real: Array, generated: Array, discrete: Array) -> Array:
    """Return for each column `number_shape` or, where ``discrete``, `category_shape`.

    Direction: higher is better; 1 is the same distribution of each column. Unit: 1 - a difference of shares of rows. Source: those of the
    two; their mean over columns is what the literature calls column shapes (the module's).

    Parameters
    ----------
    real, generated : array
        (rows, columns) floats, NaN where a cell is missing; their numbers of rows may differ.
    discrete : array
        (columns,) bool: which columns hold numbers of categories.

    Returns
    -------
    array
        (columns,) of 0 to 1, NaN where a column is empty.

    Raises
    ------
    DataError
        The columns are not the same, or a table has no rows.
    """
    _check(real, generated, discrete)
    pairs = zip(real.T, generated.T, discrete, strict=True)
    return np.array([(category_shape if is_discrete else number_shape)(a, b) for a, b, is_discrete in pairs])


def pair_trends(real: Array, generated: Array, discrete: Array) -> Array:
    """Return how alike each pair of columns hangs together, (columns, columns), symmetric, NaN on the diagonal.

    Two numbers: 1 - |r - r'| / 2 of Pearson's correlations. Otherwise 1 - the total variation distance of the joint distributions of
    categories; a number beside a category is cut at the tenths of the real column. Only rows where both cells are there count. NaN where
    a correlation is not defined (nothing varies), or rows are lacking. Direction: higher is better; 1 is the same for each pair. Unit: 1 -
    half a difference of correlations, or a share of rows. Source: Pearson 1895 and the total variation distance, see `category_shape`;
    their mean over pairs is what the literature calls pair trends (the module's).

    Parameters
    ----------
    real, generated : array
        (rows, columns) floats, NaN where a cell is missing; their numbers of rows may differ.
    discrete : array
        (columns,) bool: which columns hold numbers of categories.

    Returns
    -------
    array
        (columns, columns) of 0 to 1, symmetric, NaN on the diagonal.

    Raises
    ------
    DataError
        The columns are not the same, or a table has no rows.
    """
    _check(real, generated, discrete)
    n = real.shape[1]
    cut = [_cut(real[:, j], generated[:, j], bool(discrete[j])) for j in range(n)]
    found = np.full((n, n), np.nan)
    for i in range(n):
        for j in range(i):
            if discrete[i] or discrete[j]:
                pairs = [np.column_stack([cut[i][k], cut[j][k]]) for k in (0, 1)]
                pairs = [pair[~np.isnan(pair).any(1)] for pair in pairs]
                value = _overlap(*pairs) if all(map(len, pairs)) else np.nan
            else:
                value = 1 - abs(_correlation(real[:, [i, j]]) - _correlation(generated[:, [i, j]])) / 2
            found[i, j] = found[j, i] = value
    return found


def missing_trends(real: Array, generated: Array) -> float:
    """Return 1 - the total variation distance of the patterns of missing cells, row by row.

    Direction: higher is better; 1 is the same shares of patterns. Unit: 1 - a share of rows. Source: `category_shape`, with a category for
    each pattern of missing cells, as a row has it (Rubin 1976, Inference and missing data).

    Parameters
    ----------
    real, generated : array
        (rows, columns) floats, NaN where a cell is missing; their numbers of rows may differ.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    ValueError
        The tables have different numbers of columns.
    """
    return _overlap(np.isnan(real).astype(float), np.isnan(generated).astype(float))


def nearer_to_training(generated: Array, training: Array, held_out: Array) -> float:
    """Return how often a generated row is nearer to its nearest training row than to its nearest held-out row; ties count half.

    Direction: .5 is what rows get that know no more of training rows than of others; above, rows are copied in part. It needs as many
    training as held-out rows: the larger set is cut to the smaller, so rows should be in an order without meaning. That nothing is seen
    here proves nothing (Yao et al. 2025, The DCR delusion, arXiv:2505.01524). Source: distance to closest record, share of rows closer
    to training rows (Platzer & Reutterer 2021, arXiv:2104.00635). Unit: a probability.

    Parameters
    ----------
    generated, training, held_out : array
        Features of generated rows, of the rows that the model was trained on and of real rows that it has not seen, (rows, features).

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    DataError
        A set has no rows, values that are not finite, or rows of another width.
    """
    g, t, h = feature_rows(1, generated=generated, training=training, held_out=held_out)
    n = min(len(t), len(h))
    centre = t.mean(0, dtype=np.float64)
    rows = Points.of(g, centre)
    to_training, to_others = (kth_nearest(rows, Points.of(known[:n], centre), 1) for known in (t, h))
    return float(np.mean((to_training < to_others) + 0.5 * (to_training == to_others)))


def membership_auroc(generated: Array, training: Array, held_out: Array) -> float:
    """Return how well the distance to the nearest generated row tells training rows from held-out ones: an area under the ROC curve.

    Direction: .5 is what an attacker gets by guessing; above, membership leaks. It is one simple attack: a stronger one may see more.
    Source: Chen et al., GAN-Leaks, CCS 2020, arXiv:1909.03935, the black-box attack (equation 3). Unit: an area under the
    curve, the probability that a training row is nearer than a held-out one; ties count half.

    Parameters
    ----------
    generated, training, held_out : array
        Features of generated rows, of the rows that the model was trained on and of real rows that it has not seen, (rows, features).

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    DataError
        A set has no rows, values that are not finite, or rows of another width.
    """
    g, t, h = feature_rows(1, generated=generated, training=training, held_out=held_out)
    centre = g.mean(0, dtype=np.float64)
    near = Points.of(g, centre)
    distance = np.concatenate([kth_nearest(Points.of(rows, centre), near, 1) for rows in (t, h)])
    member = np.concatenate([np.ones(len(t)), np.zeros(len(h))])
    return auroc(distance, member)


def _check(real: Array, generated: Array, discrete: Array) -> None:
    if real.ndim != 2 or generated.ndim != 2 or not real.shape[1] == generated.shape[1] == len(discrete):
        raise DataError(
            "both tables and discrete must have the same columns, these are of shapes "
            f"{real.shape}, {generated.shape} and {np.shape(discrete)}."
        )
    if not len(real) or not len(generated):
        raise DataError("both tables must have rows.")


def _overlap(a: Array, b: Array) -> float:
    """Return the sum over different rows of the smaller of their shares in a and in b: 1 - the total variation distance."""
    _, which = np.unique(np.concatenate([a, b]), axis=0, return_inverse=True)
    which = which.reshape(-1)
    p, q = (np.bincount(part, minlength=which.max() + 1) / len(part) for part in (which[: len(a)], which[len(a) :]))
    return float(np.minimum(p, q).sum())


def _cut(real: Array, generated: Array, is_discrete: bool) -> tuple[Array, Array]:
    if is_discrete:
        return real, generated
    there = real[~np.isnan(real)]
    if not len(there):
        return real, generated
    edges = np.unique(np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1]))
    return tuple(np.where(np.isnan(c), np.nan, np.searchsorted(edges, c, side="right")) for c in (real, generated))  # type: ignore[return-value]


def _correlation(pair: Array) -> float:
    there = pair[~np.isnan(pair).any(1)]
    centred = there - there.mean(0) if len(there) > 1 else np.zeros((1, 2))
    length = np.sqrt(np.square(centred).sum(0))
    if not (length > 0).all():
        return float("nan")
    return float((centred[:, 0] / length[0]) @ (centred[:, 1] / length[1]))
