"""Linear layers that take the faster of two matrix libraries for the large products of training (docs/decisions/0008)."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional

LARGE = 1 << 22  # rows x weights from which on oneDNN was faster than MKL; small products take it several times longer
FASTER = torch.backends.cpu.get_cpu_capability() == "AVX512"  # without, MKL was as fast, and faster backwards
_PRODUCT = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None  # type: ignore[no-untyped-call]


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x weight' + bias by oneDNN, without a gradient."""
    return cast("Tensor", _PRODUCT(x, weight, bias, "none", [], ""))  # type: ignore[misc]


class _Large(torch.autograd.Function):
    """x weight' + bias with all three products of training by oneDNN; second derivatives take torch's own products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        multiply = (
            functional.linear if torch.is_grad_enabled() else product
        )  # enabled: a gradient of this gradient is wanted
        of_x = multiply(gradient, weight.t()) if ctx.needs_input_grad[0] else None
        of_weight = multiply(gradient.t(), x.t()) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, gradient.sum(0) if ctx.needs_input_grad[2] else None


class Linear(nn.Linear):
    """`torch.nn.Linear`, by oneDNN where that is faster: float32 rows on the CPU, while learning, in large products."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self._is_large(x):
            x, tangent = forward_ad.unpack_dual(x)  # type: ignore[no-untyped-call]  # a Jacobian-vector product may go along
            y = cast("Tensor", _Large.apply(x, self.weight, self.bias))  # type: ignore[no-untyped-call]
            if tangent is None:
                return y
            moved = _Large.apply(tangent, self.weight, torch.zeros_like(self.bias))  # type: ignore[no-untyped-call]
            return cast("Tensor", forward_ad.make_dual(y, moved))  # type: ignore[no-untyped-call]
        return functional.linear(x, self.weight, self.bias)

    def _is_large(self, x: Tensor) -> bool:
        if not FASTER or _PRODUCT is None or len(x) * self.weight.numel() < LARGE or x.dim() != 2:
            return False
        plain = x.dtype == torch.float32 and x.device.type == "cpu" and self.bias is not None
        return plain and torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")


class Transposed(Linear):
    """The transposed map of another layer, with a bias of its own: y = weight' x + bias. The weight stays the other layer's.

    Parameters
    ----------
    layer : torch.nn.Linear
        From n to m values; this one goes from m to n.
    bias : bool
        Whether there is a bias.
    """

    def __init__(self, layer: nn.Linear, *, bias: bool = True) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.out_features, layer.in_features
        self._layer = (layer,)  # in a tuple: not a part of this layer, whose parameters are its own alone
        bound = layer.out_features**-0.5  # as torch.nn.Linear begins
        self.register_parameter(
            "bias", nn.Parameter(torch.empty(self.out_features).uniform_(-bound, bound)) if bias else None
        )

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The other layer's weight, transposed: a view, through which it learns and can be set."""
        return self._layer[0].weight.t()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        return functional.linear(x, self.weight.contiguous(), self.bias)  # of a view, sums depend on the other rows
