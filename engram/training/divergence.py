"""Where numbers that are not finite came from: the data, the output or a weight, with term, row and column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engram.errors import DivergedError
from engram.training.batches import Batch
from engram.training.nets import Nets

FAR = 7.0  # an encoded value this far out is named: squares of such values make steps that no other row would
ADVICE = {
    "data": "Drop or mend that cell.",
    "output": "Try a smaller learning_rate, or look at that row.",
    "weights": "Try a smaller learning_rate, clip=1.0, or look for extreme values in the data.",
    "gradient": "Look for a root, a logarithm or a division at zero in networks of your own, or try a smaller learning_rate.",
}
Terms = Callable[[Nets, Batch], dict[str, Tensor]]


@dataclass(frozen=True)
class Source:
    """What was not finite first.

    Parameters
    ----------
    term : str
        The first term that was not finite.
    value : float
        What it became.
    step : int
        The step at which it did.
    first : str
        "data", "output" (on weights that were still finite), "weights" or "gradient" (of terms that were finite).
    role : str or None
        The role with the largest weights, or with some that were not finite.
    row, column : int or None
        The row among those learned from and the encoded value in it: the cell that is not finite or furthest out.
    size : float
        How far out that cell is, in encoded units; NaN where it is itself not finite.
    recoveries : int
        How often the fit had gone back and on with half the learning rate, in vain.
    """

    term: str
    value: float
    step: int
    first: str
    role: str | None = None
    row: int | None = None
    column: int | None = None
    size: float = 0.0
    recoveries: int = 0

    def told(self, columns: Sequence[str] | None = None) -> str:
        """Say it in words; ``columns`` are the names of the encoded values."""
        place = f"column {columns[self.column or 0]!r}" if columns else f"value {self.column}"
        cell = f"row {self.row}, {place}"
        if self.first == "data":
            why = f"the data were not finite: {cell}"
        elif self.first == "gradient":
            why = "the data, the weights and the terms were finite, a gradient was not"
        elif self.first == "output":
            why = f"the data and the weights were finite, the output for row {self.row} was not"
        else:
            why = f"the data were finite, and a step made weights of the {self.role} overflow, or so large that the term did"
        if self.first != "data" and self.size >= FAR:
            why += f"; the largest value learned from just then is {self.size:.3g} in encoded units: {cell}"
        what = (
            f"{self.term!r} became {self.value}"
            if self.first != "gradient"
            else f"{self.term!r} had no finite gradient"
        )
        head = f"the term {what} at step {self.step}: training diverged. "
        tried = f" Going back {self.recoveries} times, each time with half the learning rate, did not help."
        return f"{head}First, {why}.{tried if self.recoveries else ''} {ADVICE[self.first]}"


class NotFiniteError(DivergedError):
    """A `DivergedError` that knows its source."""

    def __init__(self, source: Source, columns: Sequence[str] | None = None) -> None:
        super().__init__(source.told(columns))
        self.source = source


@torch.no_grad()
def source_of(
    nets: Nets,
    batch: Batch,
    terms: dict[str, Tensor],
    step: int,
    finite: Terms | None = None,
    before: Batch | None = None,
    recoveries: int = 0,
) -> Source:
    """Find what was not finite first in a step.

    Parameters
    ----------
    nets : Nets
        The networks as they are now.
    batch : Batch
        The first batch whose loss was not finite.
    terms : dict
        The terms of that batch, (rows,) or ().
    step : int
        The number of the step.
    finite : callable, optional
        Gives the terms of the batch on the last weights that are known to be finite.
    before : Batch, optional
        The batch of the step before, which made the weights what they are.
    recoveries : int
        How often the fit had gone back before.
    """
    return replace(_first(nets, batch, terms, step, finite, before), recoveries=recoveries)


def _first(
    nets: Nets, batch: Batch, terms: dict[str, Tensor], step: int, finite: Terms | None, before: Batch | None
) -> Source:
    term, value = next(((n, v) for n, v in terms.items() if not bool(v.isfinite().all())), next(iter(terms.items())))
    worst = (
        float(value[~value.isfinite()][0]) if value.dim() and not bool(value.isfinite().all()) else float(value.sum())
    )
    bad = (~batch.x.flatten(1).isfinite()).nonzero()
    if len(bad):
        return Source(term, worst, step, "data", None, _number(batch, int(bad[0, 0])), int(bad[0, 1]), float("nan"))
    if finite is not None:
        for name, rows in finite(nets, batch).items():
            lost = (~rows.isfinite()).nonzero()
            if len(lost):
                row = int(lost[0, 0]) if rows.dim() else None
                return _with_cell(Source(name, worst, step, "output"), batch, row)
    before = batch if before is None else before
    if all(bool(v.isfinite().all()) for v in terms.values()):
        return _with_cell(Source(term, worst, step, "gradient"), before, None)
    largest = {role: max((_size(p) for p in net.parameters()), default=0.0) for role, net in nets.items()}
    return _with_cell(Source(term, worst, step, "weights", max(largest, key=lambda r: largest[r])), before, None)


def _size(values: Tensor) -> float:
    """Return the largest absolute value; infinity where one is not finite."""
    return float(values.abs().nan_to_num(float("inf")).max()) if values.numel() else 0.0


def _with_cell(source: Source, batch: Batch, row: int | None) -> Source:
    """Add the cell that is furthest out, in that row or in the whole batch."""
    x = batch.x.flatten(1).abs()
    if row is None:
        row = int(x.amax(1).argmax())
    column = int(x[row].argmax())
    size = float(x[row, column])
    return replace(source, row=_number(batch, row), column=column, size=size)


def _number(batch: Batch, row: int) -> int:
    return row if batch.index is None else int(batch.index[row])
