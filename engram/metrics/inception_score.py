"""Inception Score: whether each generated picture is clearly of one class, and all classes are there."""

from __future__ import annotations

import numpy as np

from engram.errors import DataError, UsageError
from engram.metrics.metric import Array
from engram.registry import METRICS


@METRICS.register("inception-score", better="higher", unit="effective classes")
def inception_score(probabilities: Array, splits: int = 10, random_state: int = 0) -> float:
    """Inception Score: exp of the mean KL(p(class | row) || p(class)), in equal parts of the rows, averaged over the parts.

    Direction: higher is better, from 1 (all rows alike to the classifier) to the number of classes. It never sees a real row: one
    perfect row of each class gets all of it. It falls with fewer rows in a part, so compare at equal rows and splits only.
    Unit: effective classes. Source: Salimans et al., Improved techniques for training GANs, NeurIPS 2016, section 4, with its 10
    parts; the rows are shuffled first, by a seed, because parts of rows in the order of their classes are lower.

    Parameters
    ----------
    probabilities : array
        Of the classes, (rows, classes): at least 0, with sum 1 in each row (logits: a softmax first).
    splits : int
        Parts, at least 1 and at most the rows.
    random_state : int
        Seed of the shuffle. The value depends on it and on the rows, not on their order.

    Raises
    ------
    DataError
        Another shape, fewer rows than parts, rows that are no probabilities.
    UsageError
        No parts.
    """
    return float(np.mean(_scores(probabilities, splits, random_state)))


def inception_score_error(probabilities: Array, splits: int = 10, random_state: int = 0) -> float:
    """Return the standard deviation of the score over the parts, with denominator ``splits``, which papers print behind the value.

    It is the spread of the score of rows / splits rows; NaN for one part. Parameters are those of `inception_score`.
    """
    scores = _scores(probabilities, splits, random_state)
    return float(np.std(scores)) if len(scores) > 1 else float("nan")


def _scores(probabilities: Array, splits: int, random_state: int) -> list[float]:
    """Return the score of each part."""
    if splits < 1:
        raise UsageError(f"splits must be at least 1, not {splits}.")
    p = _checked(probabilities)
    if len(p) < splits:
        raise DataError(f"{splits} parts need as many rows, these are {len(p)}. Give more rows, or fewer splits.")
    contents = np.ascontiguousarray(p).view(np.dtype((np.void, p.strides[0]))).ravel()
    # any order that the rows alone decide: a shuffle of it knows nothing of the order given
    order = np.argsort(contents)
    shuffled = p[order[np.random.default_rng(random_state).permutation(len(p))]]
    return [_score(part) for part in np.array_split(shuffled, splits)]


def _score(p: Array) -> float:
    from scipy.special import rel_entr

    return float(np.exp(rel_entr(p, p.mean(0)).sum(1).mean()))


def _checked(probabilities: Array) -> Array:
    p = np.array(probabilities, dtype=np.float64, order="C")
    if p.ndim != 2 or p.shape[1] < 1:
        raise DataError(f"probabilities must be (rows, classes), this array is of shape {p.shape}.")
    total = p.sum(1)
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(total, 1, atol=1e-3)):
        raise DataError(
            "probabilities must be at least 0 and sum to 1 in each row; these do not. Of logits, take the softmax first."
        )
    p /= total[:, None]  # float32 probabilities sum to 1 up to 1e-7
    return p
