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
        Decoupled weight decay, of matrices and kernels only: a bias or a scale has no reason to be near zero.
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
        matrices = [p.dim() > 1 and weight_decay > 0 for p in self.parameters]
        self._parts = [([i for i, m in enumerate(matrices) if m == d], d * weight_decay) for d in set(matrices)]
        self.steps = torch.zeros((), device=self.parameters[0].device if self.parameters else None)
        self._one = torch.ones_like(self.steps)

    @torch.no_grad()
    def step(self, share: float = 1.0, loss: Tensor | None = None) -> Tensor:
        """Move every parameter that has a gradient, at this share of the learning rate, and forget the gradients.

        Nothing moves where a gradient or the ``loss``, (), is not finite. Returned is whether that was so, 1 or 0, (), on the
        device: the kernels heed it there, so that nobody waits for the answer.
        """
        watched = [p.grad for p in self.parameters if p.grad is not None]
        skipped = torch.zeros_like(self.steps)
        any_gradient = bool(watched)
        if loss is not None:
            watched.append(loss)
        torch._amp_foreach_non_finite_check_and_unscale_(watched, skipped, self._one)
        if not any_gradient:
            return skipped
        self.steps.add_(1).sub_(skipped)
        for members, decay in self._parts:
            moved = [i for i in members if self.parameters[i].grad is not None]
            if not moved:
                continue
            torch._fused_adamw_(
                [self.parameters[i] for i in moved],
                [self.parameters[i].grad for i in moved],  # type: ignore[misc]
                [self.first[i] for i in moved],
                [self.second[i] for i in moved],
                [],
                [self.steps] * len(moved),
                lr=self.learning_rate * share,
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=decay,
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
