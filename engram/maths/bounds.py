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
    return log_weights.logsumexp(0) - math.log(log_weights.shape[0])
