"""The one loop: for each step, for each turn, sum the terms, go back, step. It knows no model and no kind of data."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from engram.data.rows import Rows
from engram.errors import StoppedError
from engram.training.batches import Batch, Batches
from engram.training.checkpoint import Checkpoints
from engram.training.divergence import NotFiniteError, source_of
from engram.training.ema import Average
from engram.training.interrupts import Flag, caught
from engram.training.nets import Nets
from engram.training.optimiser import Adam
from engram.training.settings import Settings, rate
from engram.training.stopping import Watch
from engram.training.streaming import StreamBatches

REPORT_STEPS = 25  # a report is due when an epoch ends, but not more often than this
MOST_STEPS = 2000  # ... and at least this often, however long an epoch is


@dataclass(frozen=True)
class Turn:
    """One player's move.

    Parameters
    ----------
    name : str
        Its name in the log.
    roles : tuple of str
        The networks that learn in it; all others are frozen.
    every : int
        It is taken at every so many steps.
    repeats : int
        How often it is taken in a row.
    learning_rate : float or None
        Its own learning rate; None takes the fit's.
    betas : tuple of float
        Adam's decay rates.
    """

    name: str
    roles: tuple[str, ...]
    every: int = 1
    repeats: int = 1
    learning_rate: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)


class Player(Protocol):
    """What the loop asks of a model."""

    def turns(self, step: int) -> Sequence[Turn]:
        """Return the turns of a step; a turn keeps its name for the whole fit."""

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """Return the named terms whose sum the turn minimises: one value per row, (rows,), or one for the batch, ()."""

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """Do what has no gradient: clip weights, move codebooks, revive units."""


@dataclass
class History:
    """What a fit leaves in the log.

    Parameters
    ----------
    reports : list of dict
        One per report: step, epoch, seconds, rows_per_second, terms (means since the last report), validation.
    stopped : str
        Why it ended: "epochs", "early", "time".
    best_step : int or None
        The step whose weights were kept, by held-out rows; None without such rows.
    untouched : dict
        The weights by role that no gradient ever reached; only known right after a fit.
    """

    reports: list[dict[str, Any]] = field(default_factory=list)
    stopped: str = "epochs"
    best_step: int | None = None
    untouched: dict[str, list[str]] = field(default_factory=dict)

    @property
    def losses(self) -> list[float]:
        """The sum of the terms at each report."""
        return [sum(report["terms"].values()) for report in self.reports]


Report = Callable[[dict[str, Any]], None]


def train(
    player: Player,
    nets: Nets,
    rows: Rows | StreamBatches,
    validation: Rows | None,
    settings: Settings,
    report: Report | None = None,
    checkpoints: Checkpoints | None = None,
) -> History:
    """Train ``nets`` in place by the player's turns and return the history.

    With ``checkpoints`` the fit goes on from the newest one, writes more, and ends on Ctrl-C or SIGTERM with a last one
    and a `StoppedError`.
    Raises `DivergedError` on numbers that are not finite.
    """
    fit = _Fit(player, nets, rows, validation, settings, report)
    if checkpoints is None:
        return fit.run()
    checkpoints.restore(fit)
    with caught() as flag:
        return fit.run(checkpoints, flag)


def averaged(terms: dict[str, Tensor], weight: Tensor | None) -> Tensor:
    """Return the sum of the terms, averaged over rows (weighted where rows have weights): the only place that averages."""
    total: Tensor | None = None
    rows: Tensor | None = None
    for value in terms.values():
        if value.dim() == 0:
            total = value if total is None else total + value
        else:
            rows = value if rows is None else rows + value
    if rows is not None:
        mean = rows.mean() if weight is None else (rows * weight).sum() / weight.sum()
        total = mean if total is None else total + mean
    if total is None:
        raise TypeError("a turn without terms has nothing to minimise")
    return total


class _Fit:
    """One fit under way: the state that a step changes, and the step."""

    def __init__(
        self,
        player: Player,
        nets: Nets,
        rows: Rows | StreamBatches,
        validation: Rows | None,
        settings: Settings,
        report: Report | None,
    ) -> None:
        self.player, self.nets, self.settings, self.report = player, nets, settings, report
        self.batches = rows if isinstance(rows, StreamBatches) else Batches(rows, settings.batch_size, settings.seed)
        self.device = torch.device(settings.device)
        self.total = self.batches.per_epoch * settings.max_epochs
        self.optimisers: dict[str, Adam] = {}
        self.waiting: dict[str, dict[str, Tensor]] = {}  # states of optimisers that a resumed fit has not made yet
        self.average = Average(nets, settings.ema, self.total) if settings.ema else None
        self.watch = Watch(player, nets, validation, settings) if validation is not None else None
        self.history = History()
        self.sums: dict[str, Tensor] = {}
        self.trace: list[tuple[int, Turn, Tensor]] = []  # losses since the last report: to find the first bad one
        self.counts: dict[str, int] = {}
        self.active: str | None = None
        self.frozen: list[Tensor] = []  # buffers of the roles that do not learn in the active turn
        self.step = self.reported = 0
        self.precise = settings.precision == "float32"
        self.started = time.perf_counter()

    def run(self, checkpoints: Checkpoints | None = None, flag: Flag | None = None) -> History:
        self.nets.train()
        if self.watch is not None and self.step == 0:
            self.watch.look(0, self.nets)
        since = time.perf_counter()
        for batch in self._stream():
            self._step(batch)
            self.step += 1
            if self._due():
                now = time.perf_counter()
                over = self._report(now - since)
                since = now
                if over:
                    break
                if checkpoints is not None and checkpoints.due():
                    checkpoints.save(self.step, *self.state())
            if flag is not None and checkpoints is not None and flag.number is not None:
                checkpoints.save(self.step, *self.state())
                raise StoppedError(
                    f"stopped at step {self.step} of {self.total}, with a checkpoint in {str(checkpoints.folder)!r}. "
                    "Go on by fitting again into the same folder with resume=True (--resume).",
                    flag.number,
                )
        self.history.untouched = self._untouched()
        if self.average is not None:
            self.average.swap(self.nets)
        if self.watch is not None:
            self.history.best_step = self.watch.restore(self.nets)
        self.nets.requires_grad_(True).eval()
        return self.history

    def _due(self) -> bool:
        """Whether a report is due: an epoch ended and enough steps were taken, or it is the last step."""
        since = self.step - self.reported
        ended = (self.step % self.batches.per_epoch == 0 and since >= REPORT_STEPS) or since >= MOST_STEPS
        return ended or self.step == self.total or self._late()

    def _late(self) -> bool:
        limit = self.settings.max_time
        return limit is not None and time.perf_counter() - self.started >= limit

    def _stream(self) -> Iterator[Batch]:
        first, skip = divmod(self.step, self.batches.per_epoch)
        for epoch in range(first, self.settings.max_epochs):
            yield from self.batches.epoch(epoch, skip)
            skip = 0

    def _progress(self) -> float:
        share = self.step / self.total
        limit = self.settings.max_time
        return share if limit is None else min(1.0, max(share, (time.perf_counter() - self.started) / limit))

    def _step(self, batch: Batch) -> None:
        batch.progress = self._progress()
        share = rate(self.settings.schedule, batch.progress)
        for turn in self.player.turns(self.step):
            if turn.every > 1 and self.step % turn.every:
                continue
            optimiser = self._optimiser(turn)
            kept = [buffer.clone() for buffer in self.frozen]
            for _ in range(turn.repeats):
                terms, loss = self._forward(turn, batch)
                loss.backward()  # type: ignore[no-untyped-call]
                if self.settings.clip is not None:
                    nn.utils.clip_grad_norm_(optimiser.parameters, self.settings.clip)
                optimiser.step(share)
                self.player.after_step(turn, self.nets, batch)
            for buffer, before in zip(self.frozen, kept, strict=True):
                buffer.copy_(before)
            self._log(terms, loss, batch.weight)
            self.trace.append((self.step, turn, loss.detach()))
        if self.average is not None:
            self.average.update(self.nets, self.step)

    def _forward(self, turn: Turn, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        if self.precise:
            terms = self.player.terms(turn, self.nets, batch)
        else:
            with torch.autocast(batch.x.device.type, dtype=torch.bfloat16):
                terms = {name: value.float() for name, value in self.player.terms(turn, self.nets, batch).items()}
        return terms, averaged(terms, batch.weight)

    @torch.no_grad()
    def _log(self, terms: dict[str, Tensor], loss: Tensor, weight: Tensor | None) -> None:
        """Add a turn's terms, as they were summed, to what the next report averages."""
        for name, value in terms.items():
            mean = loss.detach() if len(terms) == 1 else averaged({name: value}, weight)
            self.sums[name] = self.sums[name] + mean if name in self.sums else mean
            self.counts[name] = self.counts.get(name, 0) + 1

    def _optimiser(self, turn: Turn) -> Adam:
        """Return the turn's optimiser, and freeze all roles that are not its own."""
        if turn.name not in self.optimisers:
            learners = [p for role in turn.roles for p in self.nets[role].parameters()]
            base = turn.learning_rate or self.settings.learning_rate
            self.optimisers[turn.name] = Adam(learners, base, turn.betas, self.settings.weight_decay)
            if turn.name in self.waiting:
                self.optimisers[turn.name].restore(self.waiting.pop(turn.name))
        if self.active != turn.name:
            self.active = turn.name
            for role, net in self.nets.items():
                net.requires_grad_(role in turn.roles)
            self.frozen = [b for role, net in self.nets.items() if role not in turn.roles for b in net.buffers()]
        return self.optimisers[turn.name]

    def _report(self, elapsed: float) -> bool:
        """Write a report; return True when training is over."""
        terms = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        if not all(map(math.isfinite, terms.values())):
            raise self._diverged()
        self.trace.clear()
        rows = self.batches.n_rows / self.batches.per_epoch * (self.step - self.reported)
        self.sums, self.counts, self.reported = {}, {}, self.step
        entry: dict[str, Any] = {"step": self.step, "epoch": self.step / self.batches.per_epoch}
        entry |= {
            "seconds": round(time.perf_counter() - self.started, 4),
            "rows_per_second": round(rows / max(elapsed, 1e-9), 1),
        }
        entry |= {"terms": terms}
        stop = False
        if self.watch is not None:
            watched = self.nets if self.average is None else self.average.nets
            entry["validation"], stop = self.watch.look(self.step, watched, self._progress())
        self.history.reports.append(entry)
        if self.report is not None:
            self.report(entry)
        late = self._late()
        if stop or late:
            self.history.stopped = "early" if stop else "time"
        return stop or late

    def _diverged(self) -> NotFiniteError:
        """Look at the first batch whose loss was not finite, on the weights kept last, for where that came from."""
        found = ((step, turn) for step, turn, loss in self.trace if not bool(loss.isfinite()))
        step, turn = next(found, self.trace[-1][:2])
        batch, before = self._batch(step), self._batch(max(step - 1, 0))
        with torch.no_grad():
            terms = self.player.terms(turn, self.nets, batch)
        kept = None if self.watch is None else self.watch.kept

        def finite(nets: Nets, batch: Batch) -> dict[str, Tensor]:
            good = copy.deepcopy(nets)
            good.load_state_dict(kept or {})
            return self.player.terms(turn, good, batch)

        return NotFiniteError(source_of(self.nets, batch, terms, step, finite if kept else None, before))

    def _batch(self, step: int) -> Batch:
        epoch, skip = divmod(step, self.batches.per_epoch)
        return next(iter(self.batches.epoch(epoch, skip)))

    def _untouched(self) -> dict[str, list[str]]:
        """Return the weights of each role that no gradient ever reached in the turns that were taken."""
        moved = {id(p) for o in self.optimisers.values() for p in o.touched()}
        owned = {id(p) for o in self.optimisers.values() for p in o.parameters}
        found = {
            role: [name for name, p in net.named_parameters() if id(p) in owned and id(p) not in moved]
            for role, net in self.nets.items()
        }
        return {role: names for role, names in found.items() if names}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything that the next step depends on: tensors, and plain values."""
        tensors = {f"nets.{name}": t for name, t in self.nets.state_dict().items()}
        tensors |= {f"sum.{name}": t for name, t in self.sums.items()}
        tensors["random"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random_cuda"] = torch.cuda.get_rng_state()
        for turn, optimiser in self.optimisers.items():
            tensors |= {f"optimiser.{turn}.{name}": t for name, t in optimiser.state().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": t for name, t in self.average.nets.state_dict().items()}
        told: dict[str, Any] = {
            "step": self.step,
            "reported": self.reported,
            "counts": self.counts,
            "reports": self.history.reports,
        }
        told["seconds"] = time.perf_counter() - self.started
        if self.watch is not None:
            kept, told["watch"] = self.watch.state()
            tensors |= {f"watch.{name}": t for name, t in kept.items()}
        return tensors, told

    def restore(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.nets.load_state_dict(_under("nets.", tensors))
        self.sums, self.counts = _under("sum.", tensors), told["counts"]
        self.step, self.reported, self.history.reports = told["step"], told["reported"], told["reports"]
        for name, tensor in _under("optimiser.", tensors).items():
            turn, _, rest = name.partition(".")
            self.waiting.setdefault(turn, {})[rest] = tensor
        if self.average is not None:
            self.average.nets.load_state_dict(_under("average.", tensors))
        if self.watch is not None:
            self.watch.restore_state(_under("watch.", tensors), told["watch"])
        torch.set_rng_state(tensors["random"])
        if self.device.type == "cuda" and "random_cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random_cuda"])
        self.started = time.perf_counter() - told["seconds"]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
