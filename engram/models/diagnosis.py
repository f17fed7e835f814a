"""What every fit is looked at for, unasked: did anything learn, is anything overfitted, unexplained or out of range.

Each check is a function of the fit under examination that returns findings; thresholds are such that the default models on
ordinary data are silent unless there is something to know (tests/contract/test_findings.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.training import Batch, Finding, Settings
from engram.training.divergence import NotFiniteError
from engram.training.history import History
from engram.training.nets import Nets
from engram.training.stopping import Watch

if TYPE_CHECKING:
    from engram.models.model import Model

VALUES = 1 << 20  # encoded values that a check looks at
ROWS = (256, 8192)  # ... which are at least and at most so many rows
DRAWN = (16, 512)  # generated rows, between which so many values
NAMED = 5  # columns or weights named in a message
UNEXPLAINED = 0.1  # share of a column's variance, below which it comes back hardly better than as its mean
FEW = 10  # different values of a column that may rather be a category
BESIDE = 0.5  # ranges beyond what was seen that are far outside
DEAD = 0.1  # share of the hidden units of a role that is worth a finding
HOLDS = 5  # rows per code unit, below which a code can nearly hold the rows themselves
LATE = 0.1  # share of all improvement that the last fifth of training may bring
GAP = 0.15  # difference in the share of the variance that comes back between seen and unseen rows


@dataclass
class Examined:
    """A fit to be looked at: the model, its networks on the CPU, what it learned from and what was held out."""

    model: Model
    nets: Nets
    rows: Rows
    held_out: Rows | None
    n_rows: int

    def __post_init__(self) -> None:
        self.rows = self.rows.within(VALUES, *ROWS)
        self.held_out = None if self.held_out is None else self.held_out.within(VALUES, *ROWS)

    @property
    def history(self) -> History:
        """What the loop left."""
        return self.model.history_

    @property
    def settings(self) -> Settings:
        """The resolved settings."""
        return self.model.settings_

    @cached_property
    def back(self) -> Tensor:
        """Rows that were learned from as they come back, (rows, values)."""
        return self.returned(self.rows)

    def returned(self, rows: Rows) -> Tensor:
        """Return rows as they come back, (rows, values)."""
        model: Any = self.model
        parts = (Batch(part.x, part.mask, part.y) for part in rows.blocks(1024))
        decoder = self.nets.decoder
        return torch.cat(
            [decoder.likelihood.mean(decoder(model.encode(self.nets, b), *b.given)) for b in parts]
        ).flatten(1)

    def seen(self, rows: Rows) -> Tensor:
        """Return where the values of rows were observed, (rows, values) bool."""
        groups = self.model.kind_.groups
        if rows.mask is None:
            return torch.ones(len(rows), rows.x[0].numel(), dtype=torch.bool)
        return rows.mask.flatten(1) if groups is None else rows.mask[:, groups]

    def by_column(self, values: Tensor) -> Tensor:
        """Sum over the encoded values of each of the user's columns, (..., values) -> (..., columns)."""
        groups = self.model.kind_.groups
        if groups is None:
            return values
        return values.new_zeros(*values.shape[:-1], int(groups.max()) + 1).index_add_(-1, groups, values)


@torch.no_grad()
def diagnose(model: Model, nets: Nets, rows: Rows, held_out: Rows | None, n_rows: int) -> list[Finding]:
    """Return what is worth knowing of a fit; ``n_rows`` were learned from, of which ``rows`` lie in memory."""
    fit = Examined(model, nets.eval(), rows, held_out, n_rows)
    found = [*nothing_learned(fit), *not_finished(fit)]
    if not found or found[0].kind != "nothing-learned":
        found += untouched_weights(fit)
    if hasattr(model, "encode") and "decoder" in nets:
        found += [*few_rows(fit), *overfitted(fit), *unexplained(fit), *out_of_range(fit), *dead_units(fit)]
    return found


def named(error: NotFiniteError, numbers: Tensor | None, kind: Kind) -> NotFiniteError:
    """Return the error with the user's number of the row and name of the column, where these are known."""
    source = error.source
    if source.row is not None and numbers is not None:
        source = replace(source, row=int(numbers[source.row]))
    if source.column is None or kind.groups is None:
        return NotFiniteError(source, kind.columns)
    return NotFiniteError(replace(source, column=int(kind.groups[source.column])), kind.columns)


# --- the course of training ---


def nothing_learned(fit: Examined) -> Iterator[Finding]:
    """No term moved from the first report to the last, or no step was better than the weights as they were built."""
    reports = fit.history.reports
    if len(reports) < 2 or any(finding.kind == "kept-start" for finding in fit.model.findings_):
        return
    steps, rate = reports[-1]["step"], f"{fit.settings.learning_rate:.2g}"
    names = dict.fromkeys(name for report in reports for name in report["terms"])
    curves = {name: [report["terms"][name] for report in reports if name in report["terms"]] for name in names}
    # a rare turn is not in all of them
    ends = {n: (curve[0], curve[-1]) for n, curve in curves.items() if len(curve) > 1}
    if ends and all(abs(last - first) <= 1e-5 * max(abs(first), 1e-3) for first, last in ends.values()):
        told = "; ".join(f"{n} {first:.5g} at first, {last:.5g} at the end" for n, (first, last) in ends.items())
        advice = f"Try a learning_rate above {rate}; rows that are all alike also look so"
        yield Finding("nothing-learned", f"no term of the loss moved in {steps} steps: {told}", advice)
    elif fit.history.best_step == 0:
        told = f"none of {steps} steps was better on held-out rows than the weights that training began with, which were kept"
        yield Finding("nothing-learned", told, f"Try a learning_rate below {rate}, or more rows")


def untouched_weights(fit: Examined) -> Iterator[Finding]:
    """Weights of a role that learns were never reached by a gradient."""
    reports = fit.history.reports
    if not reports or reports[-1]["step"] < 3:  # behind a layer that starts at zero, the second step is the first
        return
    for role, names in fit.history.untouched.items():
        n_all = len(list(fit.nets[role].parameters()))
        if len(names) == n_all:
            told = f"the weights of the {role} did not change: no gradient reached them"
        else:
            told = f"{len(names)} of {n_all} weight tensors of the {role} did not change: {_listed(names)}"
        advice = "They are not part of what is learned; if the network is your own, look for no_grad, detach or unused layers"
        yield Finding("frozen-role", told, advice)


def not_finished(fit: Examined) -> Iterator[Finding]:
    """The held-out loss was still falling when training ended."""
    curve = [report["validation"] for report in fit.history.reports if "validation" in report]
    if fit.history.stopped == "early" or len(curve) < 8 or fit.history.best_step == 0:
        return
    late = max(2, len(curve) // 5)
    gain, total = min(curve[:-late]) - min(curve[-late:]), curve[0] - min(curve)
    steady = sum(b < a for a, b in zip(curve[-late - 1 :], curve[-late:], strict=False)) / late
    if total > 0 and gain > LATE * total and steady >= 0.6:
        by_time = fit.history.stopped == "time"
        told = (
            f"the held-out loss was still falling when training ended: {gain:.3g} nats of {total:.3g} in the last fifth"
        )
        limit = (
            f"max_time (now {fit.settings.max_time:g} s)" if by_time else f"max_epochs (now {fit.settings.max_epochs})"
        )
        yield Finding("not-finished", told, f"A larger {limit} may give a better model")


# --- rows seen and not seen ---


def few_rows(fit: Examined) -> Iterator[Finding]:
    """So few rows that a code can nearly hold them."""
    size = fit.model.shapes_.code_size
    weights = fit.nets.n_weights
    values = fit.n_rows * len(fit.model.kind_.columns)  # a category is one value, however many encode it
    told = f"the model learned from {fit.n_rows} rows ({values:,} values) and has {weights:,} weights"
    if fit.n_rows < HOLDS * size:
        yield Finding(
            "few-rows", f"{told}, with a code of size {size}", "Collect more rows, or use a smaller code_size"
        )
    elif weights > 100 * values:
        yield Finding("few-rows", told, "Collect more rows, or use a smaller network (hidden)")


def explained(x: Tensor, back: Tensor, seen: Tensor, mean: Tensor) -> Tensor:
    """Return per row the squared distance from ``mean`` and from what came back, (2, rows)."""
    return torch.stack([((x - m).square() * seen).sum(1) for m in (mean, back)])


def overfitted(fit: Examined) -> Iterator[Finding]:
    """Rows that were learned from come back much better than held-out rows."""
    held = fit.held_out
    if held is None or len(held) < 5:
        return
    seen = fit.seen(fit.rows)
    x = fit.rows.x.flatten(1)
    mean = (x * seen).sum(0) / seen.sum(0).clamp(min=1)
    own = explained(x, fit.back, seen, mean)
    other = explained(held.x.flatten(1), fit.returned(held), fit.seen(held), mean)
    if min(float(own[0].sum()), float(other[0].sum())) <= 0:
        return
    shares = [1 - float(d[1].sum() / d[0].sum()) for d in (own, other)]
    gap, error = shares[0] - shares[1], _ratio_error(other)
    losses = [Watch(fit.model, fit.nets, rows, fit.settings).losses(fit.nets) for rows in (fit.rows, held)]
    apart = float(losses[1].mean() - losses[0].mean())
    spread = math.sqrt(sum(float(loss.var()) / len(loss) for loss in losses))
    if gap > max(GAP, 3 * error) and apart > 3 * spread:
        told = (
            f"rows seen in training come back with R2 {shares[0]:.2f}, held-out rows with {shares[1]:.2f} ± {error:.2f}"
        )
        told += f" (loss {float(losses[0].mean()):.4g} and {float(losses[1].mean()):.4g} nats)"
        yield Finding(
            "overfitted", told, "Collect more rows, or try a smaller code_size or hidden, dropout, a corruption"
        )


def _ratio_error(sums: Tensor) -> float:
    """Return the standard error of 1 - sum(errors) / sum(distances) over rows, by the delta method."""
    distances, errors = sums
    residual = errors - errors.sum() / distances.sum() * distances
    return float(residual.std() * len(residual) ** 0.5 / distances.sum())


# --- columns ---


def unexplained(fit: Examined) -> Iterator[Finding]:
    """Columns of a table that come back hardly better than as their mean, among the very rows that were learned from."""
    kind = fit.model.kind_
    if kind.name != "table" or len(fit.rows) < 20:
        return
    seen, x = fit.seen(fit.rows), fit.rows.x.flatten(1)
    mean = (x * seen).sum(0) / seen.sum(0).clamp(min=1)
    distance = fit.by_column(((x - mean).square() * seen).sum(0))
    error = fit.by_column(((x - fit.back).square() * seen).sum(0))
    matters = distance > 0.01 * distance.mean()  # of pixels, say, that hardly ever vary nothing is expected
    lost = ((error > (1 - UNEXPLAINED) * distance) & matters).nonzero().flatten().tolist()
    if lost:
        names = _listed([kind.columns[i] for i in lost])
        told = f"{len(lost)} of {len(kind.columns)} columns come back hardly better than as their mean (R2 below {UNEXPLAINED:g})"
        larger = "" if fit.model.shapes_.code_size >= x.shape[1] else "a larger code_size makes room for them, or "
        advice = f"They have little in common with the other columns: {larger}drop them"
        yield Finding("unexplained-columns", f"{told}: {names}", advice)


def out_of_range(fit: Examined) -> Iterator[Finding]:
    """Reconstructed or generated rows with values far outside what was seen."""
    span = Span.of(fit)
    inputs = fit.rows if fit.held_out is None else fit.held_out
    given, back = inputs.x.flatten(1), fit.back if fit.held_out is None else fit.returned(inputs)
    fair = ~span.far(given).any(1)  # a row that is itself far out may well come back so
    yield from _outside(fit, back[fair], span, "reconstructed", "Try a smaller learning_rate, or more epochs")
    if type(fit.model).draw_codes not in _without_prior():
        generator = torch.Generator().manual_seed(0)
        n_drawn = min(max(VALUES // max(given.shape[1], 1), DRAWN[0]), DRAWN[1])
        codes = fit.model.draw_codes(n_drawn, generator)
        beside = () if fit.rows.y is None else (fit.rows.y[torch.arange(n_drawn) % len(fit.rows)],)
        drawn = fit.nets.decoder.likelihood.sample(fit.nets.decoder(codes, *beside), generator).flatten(1)
        yield from _outside(fit, drawn, span, "generated", "Look at them beside real rows before you use them")


@dataclass
class Span:
    """The range of each encoded value among rows that were learned from, and how much beside it is far outside."""

    low: Tensor
    high: Tensor
    beside: Tensor

    @classmethod
    def of(cls, fit: Examined) -> Span:
        """Look at the rows; values that hardly vary have no range to speak of."""
        seen, x = fit.seen(fit.rows), fit.rows.x.flatten(1)
        low = torch.where(seen, x, math.inf).amin(0)
        high = torch.where(seen, x, -math.inf).amax(0)
        if fit.model.kind_.name != "table":  # any pixel may be as dark or bright as any other
            low, high = low.min().expand_as(low), high.max().expand_as(high)
        variance = torch.where(seen, x, 0.0).var(0, unbiased=False)  # of one row: none
        matters = (variance > 0.01 * variance.mean()) & (high > low)
        return cls(low, high, torch.where(matters, BESIDE * (high - low), math.inf))

    def over(self, rows: Tensor) -> Tensor:
        """Return how far values lie outside, (rows, values), as a multiple of the range."""
        over = (rows - self.high).clamp(min=0) + (self.low - rows).clamp(min=0)
        return (BESIDE * over / self.beside).nan_to_num(math.inf)

    def far(self, rows: Tensor) -> Tensor:
        """Return which values lie far outside, (rows, values)."""
        return self.over(rows) > BESIDE


def _without_prior() -> tuple[Any, ...]:
    """How models draw codes that were not made to generate rows: not at all, or from a density fitted afterwards."""
    from engram.models.codes import Codes
    from engram.models.model import Model

    return Model.draw_codes, Codes.draw_codes


def _outside(fit: Examined, rows: Tensor, span: Span, what: str, advice: str) -> Iterator[Finding]:
    """Give a finding where in one row of a hundred at least one value of twenty is far outside."""
    far, over, kind = span.far(rows), span.over(rows), fit.model.kind_
    count = int((far.sum(1) > 0.05 * (rows.shape[1] - 1)).sum()) if rows.shape[1] > 20 else int(far.any(1).sum())
    if count < max(1, 0.01 * len(rows)):
        return
    place = int(far.sum(0).argmax())
    told = f"{count} of {len(rows)} {what} rows lie far outside the values seen"
    if kind.name == "table":
        told += f", most in column {kind.columns[_column(kind, place)]!r}"
        values = len(torch.unique(fit.rows.x[:, place]))
        if values <= FEW:
            advice = f"That column has only {values} different values: give it as a category (columns=)"
    yield Finding("out-of-range", f"{told}: by up to {float(over[:, place].max()):.2g} times its range", advice)


def _column(kind: Any, value: int) -> int:
    return value if kind.groups is None else int(kind.groups[value])


# --- hidden units ---


ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Softplus)


def dead_units(fit: Examined) -> Iterator[Finding]:
    """Hidden units that give the same for every row."""
    if len(fit.rows) < 20:
        return
    rows, model = fit.rows.within(VALUES // 2, 64, 512), fit.model
    ends: Any = model
    counts: dict[str, list[int]] = {}
    hooks = [
        module.register_forward_hook(_counter(counts.setdefault(role, [0, 0])))
        for role, net in fit.nets.items()
        for module in net.modules()
        if isinstance(module, ACTIVATIONS)
    ]
    try:
        batch = Batch(rows.x, rows.mask, rows.y)
        fit.nets.decoder(ends.encode(fit.nets, batch), *batch.given)
    finally:
        for hook in hooks:
            hook.remove()
    for role, (dead, units) in counts.items():
        if dead > DEAD * units:
            told = f"{dead} of {units} hidden units of the {role} give the same for every row"
            yield Finding("dead-units", told, "Fewer would do (hidden); or try a smaller learning_rate")


def _counter(count: list[int]) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.dim() in (2, 4):  # units, or channels of pictures
            values = output if output.dim() == 2 else output.transpose(0, 1).flatten(1).T
            count[0] += int((values.std(0) <= 1e-6 * (1 + values.abs().amax(0))).sum())
            count[1] += values.shape[1]

    return hook


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(repr(name) for name in names[:NAMED]) + more
