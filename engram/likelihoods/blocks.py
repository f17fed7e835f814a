"""A row made of blocks of columns, each with its own distribution: numbers, then flags, then one block per category."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from engram.likelihoods.likelihood import Likelihood, Link


class Blocks(Likelihood):
    """Independent blocks side by side, given the output; block i takes the next ``parts[i].size`` values of x.

    Parameters
    ----------
    parts : sequence of Likelihood
        Distributions over vectors, in the order of the values.
    """

    def __init__(self, parts: Sequence[Likelihood]) -> None:
        super().__init__((sum(part.size for part in parts),))
        self.parts = nn.ModuleList(parts)
        self._sizes = [part.size for part in parts]
        self._columns = [part.n_columns for part in parts]

    @property
    def n_columns(self) -> int:
        return sum(self._columns)

    def side_by_side(self) -> list[Likelihood]:
        return cast("list[Likelihood]", list(self.parts))

    def _split(
        self, output: Tensor, x: Tensor, mask: Tensor | None
    ) -> Iterator[tuple[Likelihood, Tensor, Tensor, Tensor | None]]:
        masks: Sequence[Tensor | None] = [None] * len(self._sizes)
        if mask is not None:
            masks = torch.split(mask, self._columns, 1)
        return zip(
            self.side_by_side(), torch.split(output, self._sizes, 1), torch.split(x, self._sizes, 1), masks, strict=True
        )

    def _columnwise(self, method: str, output: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        return torch.cat([getattr(part, method)(o, v, m) for part, o, v, m in self._split(output, x, mask)], 1)

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._columnwise("log_prob_columns", output, x, mask)

    def score_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._columnwise("score_columns", output, x, mask)

    def _join(self, piece: Callable[[Likelihood, Tensor], Tensor], output: Tensor) -> Tensor:
        outputs = torch.split(output, self._sizes, 1)
        return torch.cat([piece(part, o) for part, o in zip(self.side_by_side(), outputs, strict=True)], 1)

    def mean(self, output: Tensor) -> Tensor:
        return self._join(lambda part, o: part.mean(o), output)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self._join(lambda part, o: part.sample(o, generator), output)

    def relaxed(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self._join(lambda part, o: part.relaxed(o, generator), output)

    def link(self, mean: Tensor) -> Link:
        links = [part.link(m) for part, m in zip(self.side_by_side(), torch.split(mean, self._sizes, -1), strict=True)]
        return Link(torch.cat([link.output for link in links], -1), torch.cat([link.slope for link in links], -1))

    def bound(self, low: Tensor, high: Tensor) -> None:
        ends = (torch.split(end.expand(self.size), self._sizes) for end in (low, high))
        for part, *own in zip(self.side_by_side(), *ends, strict=True):
            part.bound(*own)

    def unbound(self) -> None:
        for part in self.side_by_side():
            part.unbound()

    def start(self, spread: Tensor) -> None:
        for part in self.side_by_side():
            part.start(spread)

    def calibrate(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> None:
        for part, o, v, m in self._split(output, x, mask):
            part.calibrate(o, v, m)

    def findings(self) -> list[str]:
        return [text for part in self.side_by_side() for text in part.findings()]


class Grouped(Likelihood):
    """A distribution of values of which several are one column of the user's: their log densities are summed.

    Parameters
    ----------
    part : Likelihood
        The distribution of the values, one column each.
    groups : sequence of int
        For each value the number of its column, 0, 0, 0, 1, ...
    """

    def __init__(self, part: Likelihood, groups: Sequence[int]) -> None:
        super().__init__(part.shape)
        self.part = part
        self.groups = [int(group) for group in groups]  # numbers, not a tensor, which could be on no device
        self._widths = [self.groups.count(group) for group in range(max(self.groups) + 1)]

    @property
    def n_columns(self) -> int:
        return len(self._widths)

    def _columnwise(self, method: str, output: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        values = getattr(self.part, method)(output, x, self._wide(mask))
        return torch.stack([part.sum(1) for part in torch.split(values, self._widths, 1)], 1)

    def _wide(self, mask: Tensor | None) -> Tensor | None:
        return None if mask is None else mask[:, self.groups]

    def log_prob_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._columnwise("log_prob_columns", output, x, mask)

    def score_columns(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._columnwise("score_columns", output, x, mask)

    def mean(self, output: Tensor) -> Tensor:
        return self.part.mean(output)

    def sample(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.part.sample(output, generator)

    def relaxed(self, output: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.part.relaxed(output, generator)

    def link(self, mean: Tensor) -> Link:
        return self.part.link(mean)

    def bound(self, low: Tensor, high: Tensor) -> None:
        self.part.bound(low, high)

    def unbound(self) -> None:
        self.part.unbound()

    def start(self, spread: Tensor) -> None:
        self.part.start(spread)

    def calibrate(self, output: Tensor, x: Tensor, mask: Tensor | None = None) -> None:
        self.part.calibrate(output, x, self._wide(mask))

    def findings(self) -> list[str]:
        return self.part.findings()
