"""What is known of a metric beside its formula: which direction is better, its unit, and the arrays that it needs.

The arrays have one name each, the same in all metrics:

===============  ================================================================================================
x                encoded rows, (rows, ...)
reconstruction   the same rows as a model gives them back, (rows, ...)
mask             where a cell of ``x`` was observed, (rows, ...) bool; not given: everywhere
log_prob         log p(x) per row, (rows,), nats of the user's units
scores           a score per row, (rows,), higher = more normal
y                labels, (rows,), 1 or True = anomaly
real             features of real rows that the model was not trained on, (rows, ...)
generated        features of generated rows, (rows, ...); their number may differ from that of real rows
training         features of the rows that the model was trained on, (rows, ...)
probabilities    a classifier's class probabilities of generated rows, (rows, classes), sum 1 in each row
asked, judged    the label that each row was generated for, and the one that a judge gives it, (rows,)
start, end       features of generated rows at t and a step further on the same path, (rows, ...)
===============  ================================================================================================

``real``, ``generated`` and ``training`` are sets of rows of their own: row i of one has nothing to do with row i of another. The other
arrays have one item for each of the same rows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from engram.errors import UsageError
from engram.registry import METRICS

Array = np.ndarray[Any, np.dtype[Any]]
Better = Literal["higher", "lower", "nearer to .5"]
HALF: Better = "nearer to .5"  # of metrics that are .5 where nobody can tell rows apart, or knows a row
ROUNDING = 1e-6  # relative difference of two values that float32 arithmetic makes: eight of its steps


def goodness(value: float, better: str) -> float:
    """Return a number that is the higher the better."""
    if better == HALF:
        return -abs(value - 0.5)
    return value if better == "higher" else -value


def same(value: float, other: float) -> bool:
    """Whether two values differ by no more than what float32 arithmetic rounds."""
    return abs(value - other) <= ROUNDING * max(abs(value), abs(other))


@dataclass(frozen=True)
class Metric:
    """A metric and how to read it.

    Parameters
    ----------
    name : str
        Its name in the registry.
    function : callable
        Arrays with one item per row to one number.
    better : str
        "higher", "lower" or "nearer to .5".
    unit : str
        Of the value, in words.
    needs : tuple of str
        Names of the arrays that it cannot do without.
    takes : tuple of str
        Names of all arrays that it can use.
    """

    name: str
    function: Callable[..., float]
    better: Better
    unit: str
    needs: tuple[str, ...]
    takes: tuple[str, ...]

    def lacking(self, arrays: Mapping[str, Array]) -> list[str]:
        """Return which of the needed arrays are not there."""
        return [name for name in self.needs if name not in arrays]

    def inputs(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Return those of the arrays that the metric uses."""
        return {name: arrays[name] for name in self.takes if name in arrays}

    def value(self, arrays: Mapping[str, Array]) -> float:
        """Return the metric of the arrays by name; other arrays are ignored."""
        return float(self.function(**self.inputs(arrays)))

    def gain(self, value: float, other: float) -> float:
        """Return by how much ``value`` is better than ``other``: negative where it is worse, 0 where they differ by rounding alone."""
        return 0.0 if same(value, other) else goodness(value, self.better) - goodness(other, self.better)


def metric(name: str) -> Metric:
    """Return a registered metric by name; an unknown name raises `UsageError` with the nearest known ones."""
    entry = METRICS[name]
    better: Any = entry.parameters.get("better")
    unit = entry.parameters.get("unit")
    if better not in get_args(Better) or not unit:
        known = ", ".join(map(repr, get_args(Better)))
        raise UsageError(f"the metric {name!r} must be registered with better= one of {known}, and with a unit.")
    parameters = inspect.signature(entry.value).parameters.values()
    needs = tuple(p.name for p in parameters if p.default is p.empty)
    return Metric(name, entry.value, better, unit, needs, tuple(p.name for p in parameters))
