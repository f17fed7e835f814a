"""The networks of a fit by role: ``nets.encoder``, ``nets["encoder"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from engram.networks.gathering import Gathering


class Nets(nn.ModuleDict):
    """Networks by role."""

    if TYPE_CHECKING:  # torch finds submodules as attributes; what they can do is known to the model alone

        def __getattr__(self, name: str) -> Any: ...

    @property
    def n_weights(self) -> int:
        """How many numbers can be learned; what networks merely keep (scales, counters, codebooks' sums) is none of them."""
        return sum(p.numel() for p in self.parameters())

    def forget(self) -> None:
        """Let networks forget what they gathered in a step that is taken again."""
        for module in self.modules():
            if isinstance(module, Gathering):
                module.forget()
