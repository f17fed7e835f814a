"""The one loop: for each step, for each turn, sum the terms, go back, step. It knows no model and no kind of data."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from engram.data.rows import Rows
from engram.errors import MemoryLimitError, StoppedError
from engram.training.averaging import averaged
from engram.training.batches import Batch, Batches
from engram.training.checkpoint import Checkpoints
from engram.training.divergence import NotFiniteError, source_of
from engram.training.ema import Average
from engram.training.history import History
from engram.training.interrupts import Flag, caught
from engram.training.memory import can_halve, divided, out_of_memory
from engram.training.nets import Nets
from engram.training.optimiser import Adam
from engram.training.recovery import RECOVERIES, SLOWER, Good, Log, Skip
from engram.training.session import RANDOM, random_state, reseed, set_random_state
from engram.training.settings import Settings, rate
from engram.training.stopping import Watch
from engram.training.streaming import StreamBatches
from engram.training.turns import Player, Turn

REPORT_STEPS = 25  # a report is due when an epoch ends, but not more often than this
MOST_STEPS = 2000  # ... and at least this often, however long an epoch is

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
    and a `StoppedError`; a signal that comes when nothing is left to do is noted in the history.
    Raises `DivergedError` on numbers that are not finite, where going back and on more slowly did not help, and
    `MemoryLimitError` where no part of a step is small enough.
    """
    fit = _Fit(player, nets, rows, validation, settings, report)
    try:
        if checkpoints is None:
            return fit.run()
        checkpoints.restore(fit)
        with caught() as flag:
            history = fit.run(checkpoints, flag)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        parts = f" in {fit.history.parts} parts" if fit.history.parts > 1 else ""
        raise MemoryLimitError(
            f"training with steps of {settings.batch_size} rows{parts} does not fit into memory. "
            "Try a smaller batch_size, a smaller network (hidden, code_size), or precision='bfloat16'."
        ) from error
    finally:
        fit.thaw()
    history.signal = flag.number
    return history


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
        self.log, self.good = Log(), Good()
        self.learning = {role: [p for p in net.parameters() if p.requires_grad] for role, net in nets.items()}
        self.active: str | None = None
        self.buffers: dict[str, list[Tensor]] = {}  # by turn, of the roles that do not learn in it
        self.frozen: list[Tensor] = []  # those of the active turn
        self.step = self.reported = 0
        self.precise = settings.precision == "float32"
        self.started = time.perf_counter()

    def run(self, checkpoints: Checkpoints | None = None, flag: Flag | None = None) -> History:
        self.nets.train()
        if self.watch is not None and self.step == 0:
            self.watch.look(0, self.nets)
        if not self.good.tensors:
            self.good.keep(self._changing())
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
            if checkpoints is not None and flag is not None and flag.number is not None and self.step < self.total:
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
        self.nets.eval()
        return self.history

    def thaw(self) -> None:
        """Let every weight learn again that did before the fit."""
        for weights in self.learning.values():
            for weight in weights:
                weight.requires_grad_(True)

    def _due(self) -> bool:
        """Whether a report is due: an epoch ended and enough steps were taken, or it is the last step."""
        since = self.step - self.reported
        ended = (self.step % self.batches.per_epoch == 0 and since >= REPORT_STEPS) or since >= MOST_STEPS
        return ended or self.step == self.total or self._late()

    def _late(self) -> bool:
        limit = self.settings.max_time
        return limit is not None and time.perf_counter() - self.started >= limit

    def _stream(self) -> Iterator[Batch]:
        """Yield the batches from the present step on, and from an earlier one where the fit went back to it."""
        while self.step < self.total:
            epoch, skip = divmod(self.step, self.batches.per_epoch)
            for step, batch in enumerate(self.batches.epoch(epoch, skip), self.step):
                if step != self.step:
                    break
                yield batch

    def _progress(self) -> float:
        share = self.step / self.total
        limit = self.settings.max_time
        return share if limit is None else min(1.0, max(share, (time.perf_counter() - self.started) / limit))

    def _step(self, batch: Batch) -> None:
        batch.step, batch.progress = self.step, self._progress()
        share = rate(self.settings.schedule, batch.progress) * SLOWER**self.history.recoveries
        for turn in self.player.turns(self.step):
            if turn.every > 1 and self.step % turn.every:
                continue
            optimiser = self._optimiser(turn)
            kept = [buffer.clone() for buffer in self.frozen]
            for _ in range(turn.repeats):
                terms, loss = self._gradient(turn, batch)
                if self.settings.clip is not None:
                    nn.utils.clip_grad_norm_(optimiser.parameters, self.settings.clip)
                skipped = optimiser.step(share, loss)
                self.player.after_step(turn, self.nets, batch)
                self.log.add(turn.name, self.step, terms, skipped)
            for buffer, before in zip(self.frozen, kept, strict=True):
                buffer.copy_(before)
        if self.average is not None:
            self.average.update(self.nets, self.step)

    def _gradient(self, turn: Turn, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Add up the gradient of a turn, in as many parts as memory asks for; return the averaged terms and their sum.

        A step that is taken again draws from generators seeded by its number, so that it is the same however far it came before.
        """
        while True:
            try:
                return self._backward(turn, batch) if self.history.parts == 1 else self._in_parts(turn, batch)
            except (RuntimeError, MemoryError) as error:
                if not (out_of_memory(error) and can_halve(batch, self.history.parts)):
                    raise
            self.history.parts *= 2  # for the rest of the fit
            for weight in self.nets.parameters():
                weight.grad = None
            self.nets.forget()
            reseed(self.settings.seed * 1_000_003 + self.step, self.device)  # not what was left of the attempt

    def _in_parts(self, turn: Turn, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        means: dict[str, Tensor] = {}
        total = torch.zeros((), device=batch.x.device)
        for part, whole, share in divided(batch, self.history.parts):
            terms, loss = self._backward(turn, part, whole, share)
            means = {name: means[name] + value if means else value for name, value in terms.items()}
            total = total + loss
        return means, total

    def _backward(
        self, turn: Turn, batch: Batch, whole: Tensor | float | None = None, share: float = 1.0
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Add the gradient of a turn on a batch or a part of one; return the terms, averaged, and their sum."""
        if self.precise:
            terms = self.player.terms(turn, self.nets, batch)
        else:
            with torch.autocast(batch.x.device.type, dtype=torch.bfloat16):
                terms = {name: value.float() for name, value in self.player.terms(turn, self.nets, batch).items()}
        loss = averaged(terms, batch.weight, whole, share)
        loss.backward()  # type: ignore[no-untyped-call]
        loss = loss.detach()
        if len(terms) == 1:
            return dict.fromkeys(terms, loss), loss
        values = {name: value.detach() for name, value in terms.items()}
        return {name: averaged({name: value}, batch.weight, whole, share) for name, value in values.items()}, loss

    def _optimiser(self, turn: Turn) -> Adam:
        """Return the turn's optimiser, and freeze all roles that are not its own; what the user froze stays so."""
        if turn.name not in self.optimisers:
            learners = [p for role in turn.roles for p in self.learning[role]]
            base = turn.learning_rate or self.settings.learning_rate
            self.optimisers[turn.name] = Adam(learners, base, turn.betas, self.settings.weight_decay)
            if turn.name in self.waiting:
                self.optimisers[turn.name].restore(self.waiting.pop(turn.name))
        if self.active != turn.name:
            self.active = turn.name
            for role, weights in self.learning.items():
                for weight in weights:
                    weight.requires_grad_(role in turn.roles)
            if turn.name not in self.buffers:
                others = [net for role, net in self.nets.items() if role not in turn.roles]
                self.buffers[turn.name] = [buffer for net in others for buffer in net.buffers()]
            self.frozen = self.buffers[turn.name]
        return self.optimisers[turn.name]

    def _report(self, elapsed: float) -> bool:
        """Write a report, or go back to the last one; return True when training is over."""
        skipped = self.log.skipped()
        if skipped and self._lost(skipped):
            self._go_back(skipped[0])
            return self._ended(stop=False)
        rows = self.batches.n_rows / self.batches.per_epoch * (self.step - self.reported)
        self.history.skipped += len(skipped)
        self.reported = self.step
        entry: dict[str, Any] = {
            "step": self.step,
            "epoch": self.step / self.batches.per_epoch,
            "seconds": round(time.perf_counter() - self.started, 4),
            "rows_per_second": round(rows / max(elapsed, 1e-9), 1),
            "terms": self.log.means(),
        }
        entry |= self.history.mended()
        self.log.clear()
        stop = False
        if self.watch is not None:
            watched = self.nets if self.average is None else self.average.nets
            entry["validation"], stop = self.watch.look(self.step, watched, self._progress())
        self.good.keep(self._changing())
        self.history.reports.append(entry)
        if self.report is not None:
            self.report(entry)
        return self._ended(stop=stop)

    def _ended(self, *, stop: bool) -> bool:
        late = self._late()
        if stop or late:
            self.history.stopped = "early" if stop else "time"
        return stop or late

    def _lost(self, skipped: list[Skip]) -> bool:
        """Return whether skipping moves was not enough; raise where the rows themselves are not finite."""
        if not bool(self._batch(skipped[0].step).x.isfinite().all()):
            raise self._diverged(skipped[0])
        return any(skip.last for skip in skipped) or self.good.is_spoiled(self._changing())

    def _go_back(self, first: Skip) -> None:
        """Return to the last good state, to go on from it with a smaller learning rate, or give up."""
        if self.history.recoveries == RECOVERIES or (self._late() and not self.history.reports):
            raise self._diverged(first)
        self.history.recoveries += 1
        self.step = self.reported
        self.log.clear()
        self._take_back(self.good.tensors)

    def _diverged(self, first: Skip) -> NotFiniteError:
        """Look at the first batch whose numbers were not finite, on the weights of the last good state, for where that came from."""
        step = first.step
        turn = next(turn for turn in self.player.turns(step) if turn.name == first.turn)
        batch, before = self._batch(step), self._batch(max(step - 1, 0))
        with torch.no_grad():
            terms = self.player.terms(turn, self.nets, batch)

        def finite(nets: Nets, batch: Batch) -> dict[str, Tensor]:
            good = copy.deepcopy(nets)
            good.load_state_dict(under("nets.", self.good.tensors))
            return self.player.terms(turn, good, batch)

        return NotFiniteError(source_of(self.nets, batch, terms, step, finite, before, self.history.recoveries))

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

    def _changing(self) -> dict[str, Tensor]:
        """Return the tensors that steps change."""
        tensors = {f"nets.{name}": t for name, t in self.nets.state_dict().items()} | random_state(self.device)
        states = self.waiting | {turn: optimiser.state() for turn, optimiser in self.optimisers.items()}
        for turn, state in states.items():
            tensors |= {f"optimiser.{turn}.{name}": t for name, t in state.items()}
        if self.average is not None:
            tensors |= {f"average.{name}": t for name, t in self.average.nets.state_dict().items()}
        return tensors

    def _take_back(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `_changing` gave."""
        self.nets.load_state_dict(under("nets.", tensors))
        self.optimisers, self.waiting, self.active = {}, {}, None
        for name, tensor in under("optimiser.", tensors).items():
            turn, _, rest = name.partition(".")
            self.waiting.setdefault(turn, {})[rest] = tensor
        if self.average is not None:
            self.average.nets.load_state_dict(under("average.", tensors))
        set_random_state(tensors, self.device)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything that the next step depends on: tensors, and plain values."""
        tensors = self._changing() | {f"log.{name}": t for name, t in self.log.state().items()}
        if self.step > self.reported:
            tensors |= {f"good.{name}": t for name, t in self.good.tensors.items()}
        told: dict[str, Any] = {"step": self.step, "reported": self.reported} | self.history.state()
        told["seconds"] = time.perf_counter() - self.started
        if self.watch is not None:
            kept, told["watch"] = self.watch.state()
            tensors |= {f"watch.{name}": t for name, t in kept.items()}
        return tensors, told

    def restore(self, tensors: dict[str, Tensor], told: dict[str, Any]) -> None:
        """Take back what `state` gave; a checkpoint is read on the CPU, where only the states of generators stay."""
        self.log.restore(under("log.", tensors), self.device)
        tensors = {n: t if n.removeprefix("good.") in RANDOM else t.to(self.device) for n, t in tensors.items()}
        self._take_back(tensors)
        self.step, self.reported = told["step"], told["reported"]
        self.history.restore(told)
        self.good.keep(under("good.", tensors) or self._changing())
        if self.watch is not None:
            self.watch.restore_state(under("watch.", tensors), told["watch"])
        self.started = time.perf_counter() - told["seconds"]


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, named without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
