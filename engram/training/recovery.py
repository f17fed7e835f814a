"""What a fit needs to go on after numbers that are not finite: what its turns said, and a copy of its last good state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

RECOVERIES = 2  # times that a fit goes back to its last good state, each time with half the learning rate
SLOWER = 0.5
TOGETHER = 32  # numbers that share memory: each in its own, between the large pieces of a step, they kept freed memory from closing up
TAIL = 2  # steps without finite numbers in a row, after which skipping them is no way on


class Skip(NamedTuple):
    """A move that was not made because its loss or gradient was not finite; ``last`` if the turn's newest moves all were such."""

    step: int
    turn: str
    last: bool


@dataclass
class Said:
    """What one turn said since the last report: the steps, whether each was skipped (1) or not (0), each term's values."""

    steps: list[int] = field(default_factory=list)
    skipped: list[Tensor] = field(default_factory=list)
    terms: dict[str, list[Tensor]] = field(default_factory=dict)


class Log:
    """What the turns said since the last report; it stays on the device until it is read, so that no step waits for it."""

    def __init__(self) -> None:
        self._said: dict[str, Said] = {}

    def add(self, turn: str, step: int, terms: dict[str, Tensor], skipped: Tensor) -> None:
        """Note a turn: the number of the step, its averaged terms, each (), and 1 or 0, ()."""
        said = self._said.get(turn)
        if said is None:
            said = self._said[turn] = Said()
        said.steps.append(step)
        said.skipped.append(skipped)
        for name, value in terms.items():
            if name in said.terms:
                said.terms[name].append(value)
            else:
                said.terms[name] = [value]
        if len(said.steps) % TOGETHER == 0:
            for values in (said.skipped, *said.terms.values()):
                values[-TOGETHER:] = torch.stack(values[-TOGETHER:]).unbind()

    def means(self) -> dict[str, float]:
        """Return the mean of each term over the times it was finite; NaN where it never was."""
        found: dict[str, list[Tensor]] = {}
        for said in self._said.values():
            for name, values in said.terms.items():
                found.setdefault(name, []).extend(values)
        return {name: _finite_mean(torch.stack(values)) for name, values in found.items()}

    def skipped(self) -> list[Skip]:
        """Return the moves that were skipped, the first one first."""
        found = []
        for turn, said in self._said.items():
            flags = torch.stack(said.skipped).tolist()
            last = all(flags[-TAIL:])
            found += [Skip(step, turn, last) for step, flag in zip(said.steps, flags, strict=True) if flag]
        return sorted(found)

    def clear(self) -> None:
        """Forget everything: it was reported."""
        self._said = {}

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint must hold."""
        tensors = {}
        for turn, said in self._said.items():
            tensors[f"{turn}.steps"] = torch.tensor(said.steps)
            tensors[f"{turn}.skipped"] = torch.stack(said.skipped)
            tensors |= {f"{turn}.term.{name}": torch.stack(values) for name, values in said.terms.items()}
        return tensors

    def restore(self, tensors: dict[str, Tensor], device: torch.device) -> None:
        """Take back what `state` gave, to go on with it on a device."""
        self.clear()
        for path, values in tensors.items():
            turn, what, *name = path.split(".", 2)
            said = self._said.setdefault(turn, Said())
            if what == "steps":
                said.steps = values.tolist()
            elif what == "skipped":
                said.skipped = list(values.to(device))
            else:
                said.terms[name[0]] = list(values.to(device))


def _finite_mean(values: Tensor) -> float:
    return float(values[values.isfinite()].mean())


class Good:
    """A copy of the state of a fit at the last report that was good; step 0 counts as one."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    @torch.no_grad()
    def keep(self, tensors: dict[str, Tensor]) -> None:
        """Copy a state, into the memory of the copy before it where that fits."""
        if tensors.keys() == self.tensors.keys():
            torch._foreach_copy_(list(self.tensors.values()), [tensors[name] for name in self.tensors])
        else:
            self.tensors = {name: value.detach().clone() for name, value in tensors.items()}

    def is_spoiled(self, tensors: dict[str, Tensor]) -> bool:
        """Return whether a value of the state that was finite is not any more: statistics of a batch, say."""
        pairs = ((value, self.tensors[name]) for name, value in tensors.items() if name in self.tensors)
        return any(bool((before.isfinite() & ~now.isfinite()).any()) for now, before in pairs)
