"""How likely unseen rows are under a model."""

from __future__ import annotations

import numpy as np

from engram.metrics.metric import Array
from engram.registry import METRICS


@METRICS.register("log-likelihood", better="higher", unit="nats a row")
def log_likelihood(log_prob: Array) -> float:
    """Log-likelihood: the mean of log p(x) over rows.

    Direction: higher is better. Unit: nats per row, summed over the observed cells, as a density in the user's units;
    compare it only between models of the same rows. Source: Theis, van den Oord & Bethge, A note on the evaluation of
    generative models, ICLR 2016.

    Parameters
    ----------
    log_prob : array
        Log p(x) per row, or a lower bound on it such as the ELBO, (rows,).
    """
    return float(np.mean(log_prob, dtype=np.float64))
