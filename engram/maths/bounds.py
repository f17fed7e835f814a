"""Lower bounds on log p(x) from draws of a proposal.

Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, 2015, arXiv:1509.00519, equation 8.
"""

from __future__ import annotations

import math

from torch import Tensor


def importance_bound(log_weights: Tensor) -> Tensor:
    """Return log (1/k sum_i w_i) from log w_i = log p(x, z_i) - log q(z_i | x); (k, rows) -> (rows,), in nats.

    With k = 1 this is one draw of the ELBO; in expectation it grows with k towards log p(x).
    """
    by_row = log_weights.movedim(
        0, -1
    ).contiguous()  # so that a row's sum does not depend on how many rows stand beside it
    return by_row.logsumexp(-1) - math.log(len(log_weights))
