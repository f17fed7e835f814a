"""Kernel distance: the maximum mean discrepancy of features under a cubic kernel, without bias at any number of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engram.metrics.metric import Array
from engram.metrics.rows import feature_rows, within_range
from engram.registry import METRICS

BLOCK = 1024  # rows whose kernel values are computed at a time


@METRICS.register("kernel", better="lower", unit="squared kernel units")
def kernel_distance(real: Array, generated: Array, *, block: int = BLOCK) -> float:
    """Kernel distance: squared maximum mean discrepancy under k(x, y) = (x.y / features + 1)^3, over all pairs of rows.

    mean of k(x, x') over pairs of different real rows + the same of generated rows - 2 mean of k(x, y)

    Direction: lower is better; its mean over data sets is exactly 0 for rows of one distribution, so that single values may be
    negative and are never cut at 0: read it with `kernel_standard_error`. No bias, hence comparable between numbers of rows.
    Unit: squared kernel units. Source: Binkowski et al., Demystifying MMD GANs, ICLR 2018 (KID, where the features are
    Inception's), and the U-statistic of Gretton et al., A kernel two-sample test, JMLR 13, 2012, equation 3: of all rows, not a
    mean over random subsets.

    Parameters
    ----------
    real, generated : array
        Features, (rows, ...), at least two rows each; the numbers of rows may differ.
    block : int
        Rows whose kernel values are computed at a time.

    Raises
    ------
    DataError
        Arrays of other shapes, too few rows, different widths, values that are not finite or too large to be multiplied.
    """
    x, y = feature_rows(2, real=real, generated=generated)
    value = _value(*_all_sums(x, y, block))
    within_range(value)
    return value


def kernel_standard_error(real: Array, generated: Array, *, block: int = BLOCK) -> float:
    """Return the standard error of `kernel_distance`, over other real and other generated rows; see `kernel_estimate`."""
    return kernel_estimate(real, generated, block=block)[1]


def kernel_estimate(real: Array, generated: Array, *, block: int = BLOCK) -> tuple[float, float]:
    """Return `kernel_distance` and its standard error, at the cost of the distance alone.

    The variance is that of the U-statistic by Hoeffding's decomposition (Serfling, Approximation Theorems of Mathematical Statistics,
    1980, section 5.2.1; for this statistic Sutherland et al., ICLR 2017, arXiv:1611.04488): the first-order part that a jackknife sees,
    and the second-order part that is all there is for equal distributions, of which a jackknife sees twice as much. Each part is
    estimated without bias but for terms of order 1 / rows of itself; the second is a sum of squares. The first is a difference that may
    come out negative, and is then taken as 0, so that the error of rows that differ is never 0. Parameters and errors are those
    of `kernel_distance`, but that it takes at least four rows each.
    """
    x, y = feature_rows(4, real=real, generated=generated)
    found = _estimate(*_all_sums(x, y, block))
    within_range(*found)
    return found


@np.errstate(over="ignore", invalid="ignore")  # told by `within_range`
def _estimate(xx: _Sums, yy: _Sums, xy: _Sums) -> tuple[float, float]:
    n, m = len(xx.rows), len(yy.rows)
    of_real = np.var(xx.rows / (n - 1) - xy.rows / m, ddof=1)
    of_generated = np.var(yy.rows / (m - 1) - xy.columns / n, ddof=1)
    pairs = _within(xx) / (n * (n - 1)) + 2 * _across(xy) / (n * m) + _within(yy) / (m * (m - 1))
    first = np.maximum(4 * of_real / n + 4 * of_generated / m - 4 * pairs, 0.0)
    return _value(xx, yy, xy), float(np.sqrt(first + 2 * np.maximum(pairs, 0.0)))  # less than 0: rounding


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums of the kernel's values over pairs: along rows, along columns, and of their squares."""

    rows: Array
    columns: Array
    squares: float


def _all_sums(x: Array, y: Array, block: int) -> tuple[_Sums, _Sums, _Sums]:
    """Return the sums of real with real, generated with generated (both without a row and itself), and real with generated."""
    return _sums(x, x, block), _sums(y, y, block), _sums(x, y, block)


@np.errstate(over="ignore", invalid="ignore")
def _value(xx: _Sums, yy: _Sums, xy: _Sums) -> float:
    n, m = len(xx.rows), len(yy.rows)
    return float(xx.rows.sum() / (n * (n - 1)) + yy.rows.sum() / (m * (m - 1)) - 2 * xy.rows.sum() / (n * m))


@np.errstate(over="ignore", invalid="ignore")
def _sums(a: Array, b: Array, block: int) -> _Sums:
    """Return the sums over blocks; where both are the same array, each pair is computed once and a row not with itself."""
    rows, columns, squares = np.zeros(len(a)), np.zeros(len(b)), 0.0
    for i in range(0, len(a), block):
        left = a[i : i + block].astype(np.float64)
        for j in range(i if a is b else 0, len(b), block):
            values = _kernel(left, b[j : j + block])
            if a is b and i == j:
                np.fill_diagonal(values, 0.0)
            twice = a is b and i != j
            rows[i : i + block] += values.sum(1)
            columns[j : j + block] += values.sum(0)
            squares += (1 + twice) * float(np.vdot(values, values))
            if twice:
                rows[j : j + block] += values.sum(0)
    return _Sums(rows, columns, squares)


def _kernel(x: Array, y: Array) -> Array:
    values: Array = x @ y.T.astype(np.float64)
    values /= x.shape[1]
    values += 1
    values *= np.square(values)
    return values


def _within(of: _Sums) -> float:
    """Return the variance of the kernel of two rows of one set that remains once both rows' own means are taken out."""
    n = len(of.rows)
    pairs, total = n * (n - 1), of.rows.sum()
    shared = (np.square(of.rows).sum() - of.squares) / (pairs * (n - 2))  # mean of k(x, x') k(x, x'')
    chains = total**2 - 4 * np.square(of.rows).sum() + 2 * of.squares  # of k(x, x') k(x'', x''')
    return float(of.squares / pairs - 2 * shared + chains / (pairs * (n - 2) * (n - 3)))


def _across(of: _Sums) -> float:
    """Return the same of a real row and a generated one."""
    n, m = len(of.rows), len(of.columns)
    by_rows, by_columns = np.square(of.rows).sum(), np.square(of.columns).sum()
    left = (by_rows - of.squares) / (n * m * (m - 1))
    right = (by_columns - of.squares) / (n * m * (n - 1))
    chains = of.rows.sum() ** 2 - by_rows - by_columns + of.squares
    return float(of.squares / (n * m) - left - right + chains / (n * m * (n - 1) * (m - 1)))
