"""Adam with decoupled weight decay, one fused kernel per step.

Kingma & Ba 2014, arXiv:1412.6980; Loshchilov & Hutter 2017, arXiv:1711.05101. torch's own optimiser makes the same call,
but its bookkeeping per step costs a tenth of a small network's step; a test holds the two equal (docs/decisions/0004).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

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
        self._one = torch.ones_like(self.steps)

    @torch.no_grad()
    def step(self, share: float = 1.0, loss: Tensor | None = None) -> Tensor:
        """Move every parameter that has a gradient, at this share of the learning rate, and forget the gradients.

        Nothing moves where a gradient or the ``loss``, (), is not finite. Returned is whether that was so, 1 or 0, (), on the
        device: the kernels heed it there, so that nobody waits for the answer.
        """
        parameters: list[Tensor] = [*self.parameters]
        first, second = self.first, self.second
        gradients = [p.grad for p in parameters if p.grad is not None]
        if len(gradients) < len(parameters):
            has = [p.grad is not None for p in parameters]
            parameters, first, second = (list(compress(tensors, has)) for tensors in (parameters, first, second))
        skipped = torch.zeros_like(self.steps)
        watched = gradients if loss is None else [*gradients, loss]
        torch._amp_foreach_non_finite_check_and_unscale_(watched, skipped, self._one)
        if not gradients:
            return skipped
        self.steps.add_(1).sub_(skipped)
        torch._fused_adamw_(
            parameters,
            gradients,
            first,
            second,
            [],
            [self.steps] * len(gradients),
            lr=self.learning_rate * share,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
            found_inf=skipped,
        )
        for p in self.parameters:
            p.grad = None
        return skipped

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
