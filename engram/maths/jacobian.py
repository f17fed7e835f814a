"""How much codes move when rows move: the squared Frobenius norm of the encoder's Jacobian J = d code / d row.

Rifai, Vincent, Muller, Glorot & Bengio, Contractive Auto-Encoders, ICML 2011: equation 4, section 3.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.autograd import forward_ad


def layer_norm_of_jacobian(slope: Tensor, weight: Tensor) -> Tensor:
    """Return ||J||_F^2 of codes s(W x + b), exactly: sum_j s'_j^2 sum_i W_ji^2.

    Parameters
    ----------
    slope : Tensor
        (rows, codes), s' at each pre-activation.
    weight : Tensor
        (codes, values), W.

    Returns
    -------
    Tensor
        (rows,)
    """
    return slope.square() @ weight.square().sum(1)


def probed_norm_of_jacobian(
    encode: Callable[[Tensor], Tensor], x: Tensor, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return codes, and an estimate of ||J||_F^2 per row whose mean is the norm: ||J v||^2 for one v of fair signs.

    Hutchinson, A Stochastic Estimator of the Trace of the Influence Matrix, 1989: E v v' = 1, so E ||J v||^2 = trace(J' J). One
    Jacobian-vector product, forward beside the codes, through which gradients go on.

    Parameters
    ----------
    encode : callable
        From (rows, ...) to codes (rows, codes), each a function of its own row; called once.
    x : Tensor
        (rows, ...)
    generator : torch.Generator or None
        The source of the signs.

    Returns
    -------
    tuple of Tensor
        (rows, codes) and (rows,).
    """
    _load_forward_mode()
    signs = torch.randint(0, 2, x.shape, generator=generator, device=x.device, dtype=x.dtype) * 2 - 1
    with forward_ad.dual_level():
        codes, product = forward_ad.unpack_dual(encode(forward_ad.make_dual(x, signs)))  # type: ignore[no-untyped-call]
    return codes, product.square().sum(1)


@cache
def _load_forward_mode() -> None:
    """Let torch load what forward mode needs, once: it warns there of what it does itself."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))  # type: ignore[no-untyped-call]


def slope_of(activation: str, codes: Tensor) -> Tensor:
    """Return s' at each code, written by the code s itself: linear 1, relu [s > 0], sigmoid s (1 - s)."""
    return SLOPES[activation](codes)


SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": torch.ones_like,
    "relu": lambda s: (s > 0).to(s.dtype),
    "sigmoid": lambda s: s * (1 - s),
}
