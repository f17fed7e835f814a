"""Exponential moving averages of weights, and their buffers as they are.

Polyak & Juditsky 1992; for generators Yazici et al., The Unusual Effectiveness of Averaging in GAN Training, 2019, arXiv:1806.04498.
"""

from __future__ import annotations

import copy

import torch

from engram.training.nets import Nets


class Average:
    """A second set of weights that follows the first.

    Parameters
    ----------
    nets : Nets
        The networks to follow.
    half_life : float
        After this share of training an old weight counts half.
    total : int
        Steps of the whole fit.
    """

    def __init__(self, nets: Nets, half_life: float, total: int) -> None:
        self.nets = copy.deepcopy(nets).eval().requires_grad_(False)
        self._half_life = max(1.0, half_life * total)

    @torch.no_grad()
    def update(self, nets: Nets, step: int) -> None:
        """Move towards the networks after a step; early on faster, so that the start is forgotten."""
        decay = 0.5 ** (1 / min(self._half_life, max(1.0, 0.2 * (step + 1))))
        torch._foreach_lerp_(list(self.nets.parameters()), [p.detach() for p in nets.parameters()], 1 - decay)
        for own, other in zip(self.nets.buffers(), nets.buffers(), strict=True):
            own.copy_(other)

    @torch.no_grad()
    def swap(self, nets: Nets) -> None:
        """Put the averaged weights into the networks."""
        nets.load_state_dict(self.nets.state_dict())
