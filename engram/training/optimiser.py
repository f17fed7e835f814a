"""Adam with decoupled weight decay, one fused kernel per step.

Kingma & Ba 2014, arXiv:1412.6980; Loshchilov & Hutter 2017, arXiv:1711.05101. torch's own optimiser makes the same call,
but its bookkeeping per step costs a tenth of a small network's step; a test holds the two equal (docs/decisions/0004).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EPSILON = 1e-8


class Adam:
    """The optimiser of one turn.

    Parameters
    ----------
    parameters : sequence of nn.Parameter
        What it moves; those without a gradient stay as they are.
    learning_rate : float
        Step size before any schedule.
    betas : tuple of float
        Decay rates of the two averages.
    weight_decay : float
        Decoupled weight decay.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        self.learning_rate, self.betas, self.weight_decay = learning_rate, betas, weight_decay
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        self.steps = torch.zeros((), device=self.parameters[0].device if self.parameters else None)

    @torch.no_grad()
    def step(self, share: float = 1.0) -> None:
        """Move every parameter that has a gradient, at this share of the learning rate, and forget the gradients."""
        moved = [
            (p, p.grad, m, v)
            for p, m, v in zip(self.parameters, self.first, self.second, strict=True)
            if p.grad is not None
        ]
        if not moved:
            return
        parameters, gradients, first, second = (list(tensors) for tensors in zip(*moved, strict=True))
        self.steps += 1
        torch._fused_adamw_(
            parameters,
            gradients,
            first,
            second,
            [],
            [self.steps] * len(moved),
            lr=self.learning_rate * share,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
        for p in self.parameters:
            p.grad = None

    def touched(self) -> list[nn.Parameter]:
        """Return the parameters that a gradient ever reached."""
        averages = zip(self.parameters, self.first, self.second, strict=True)
        return [p for p, m, v in averages if bool(m.any()) or bool(v.any())]

    def state(self) -> dict[str, Tensor]:
        """Return everything that a checkpoint must hold."""
        numbered = [
            (f"{name}.{i}", t)
            for name, ts in (("first", self.first), ("second", self.second))
            for i, t in enumerate(ts)
        ]
        return {"steps": self.steps, **dict(numbered)}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
