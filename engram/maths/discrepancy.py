"""Maximum mean discrepancy: how differently two sets of draws are spread, by a kernel.

Gretton, Borgwardt, Rasch, Schölkopf & Smola, A Kernel Two-Sample Test, JMLR 13, 2012, equation 3. Used between codes and prior by
Zhao, Song & Ermon, InfoVAE, 2017, arXiv:1706.02262, and Tolstikhin, Bousquet, Gelly & Schölkopf, Wasserstein Auto-Encoders, 2018,
arXiv:1711.01558.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from engram.maths.distance import squared_distances

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernel, as in the authors' code of arXiv:1711.01558


def inverse_multiquadratic(squared: Tensor, size: int, scales: Sequence[float] = SCALES) -> Tensor:
    """Return the mean over scales s of C / (C + squared distance), C = 2 s size; in (0, 1], one at distance zero.

    2 size is the expected squared distance of two standard normal draws of that many dimensions (arXiv:1711.01558, section 4).
    """
    kernel = squared.new_zeros(())
    for scale in scales:
        width = 2.0 * size * scale
        kernel = kernel + width / (width + squared)
    return kernel / len(scales)


def mean_discrepancy(a: Tensor, b: Tensor, scales: Sequence[float] = SCALES) -> Tensor:
    """Estimate the squared discrepancy of (n, size) and (m, size) draws without bias, (): a number that may fall below zero.

    mean over pairs i != j of k(a_i, a_j) + mean over pairs of k(b_i, b_j) - 2 mean of k(a_i, b_j). Zero where a set has a single draw.
    """
    n, m, size = len(a), len(b), a.shape[1]
    if min(n, m) < 2:
        return 0.0 * a.sum()
    within = 0.0 * a.sum()
    for x in (a, b):  # every k(x_i, x_i) is 1
        rows = len(x)
        within = within + (inverse_multiquadratic(squared_distances(x, x), size, scales).sum() - rows) / (
            rows**2 - rows
        )
    return within - 2 * inverse_multiquadratic(squared_distances(a, b), size, scales).mean()
