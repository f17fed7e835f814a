"""What networks gather in a step for what happens after it, where there is no gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn


class Gathering(nn.Module, ABC):
    """A network that gathers something in each forward pass of a step, which may be taken in several parts, and uses it after the step."""

    @abstractmethod
    def forget(self) -> None:
        """Forget what was gathered: it was used, or the step is taken again."""
