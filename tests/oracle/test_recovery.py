"""Steps that do not fit into memory, and numbers that are not finite: what a fit does about them, with players of a few lines."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engram import Autoencoder
from engram.data.rows import Rows
from engram.errors import MemoryLimitError, StoppedError
from engram.models.sparse import Units
from engram.networks.codebook import Codebook
from engram.training import Batch, History, Settings, Turn, train
from engram.training import loop as loops
from engram.training.checkpoint import Checkpoints
from engram.training.divergence import NotFiniteError
from engram.training.nets import Nets
from engram.training.session import seeded

ROWS = 200  # in batches of 8: 25 steps, one report, per epoch


class Line:
    """Minimise (x w - 1)^2 per row and a term for the batch; what else happens in a step is given."""

    def __init__(self, also: Callable[[Line, Nets, Batch], Any] = lambda *_: 0.0) -> None:
        self.also, self.calls = also, 0

    def turns(self, step: int) -> Sequence[Turn]:
        return (Turn("only", ("line",)),)

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        if nets.training:
            self.calls += 1
        error = (nets.line(batch.x)[:, 0] - 1).square()
        return {"error": error + self.also(self, nets, batch), "size": 0.1 * nets.line.weight.square().sum()}

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        pass


def line() -> Nets:
    nets = Nets({"line": nn.Linear(3, 1, bias=False)})
    nn.init.constant_(nets.line.weight, 0.5)
    return nets


def rows(n: int = ROWS, **parts: Tensor) -> Rows:
    return Rows(torch.randn(n, 3, generator=torch.Generator().manual_seed(0)), **parts)


def settings(**changes: Any) -> Settings:
    given = {"batch_size": 8, "max_epochs": 4, "learning_rate": 0.01, "schedule": "constant"}
    return Settings(**{**given, **changes})


def fitted(
    player: Line, given: Rows | None = None, checkpoints: Checkpoints | None = None, **changes: Any
) -> tuple[Tensor, History]:
    nets = line()
    torch.manual_seed(0)
    history = train(player, nets, given or rows(), None, settings(**changes), None, checkpoints)
    return nets.line.weight.detach(), history


def kinds(history: History) -> set[str]:
    return {finding.kind for finding in history.findings()}


# --- memory ---

CPU = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


def scarce(most: int, error: BaseException | None = None, noise: float = 0.0) -> Line:
    """A player that has memory for so many rows, and that draws noise before it finds out."""

    def also(player: Line, nets: Nets, batch: Batch) -> Tensor:
        drawn = noise * torch.randn(len(batch))
        if nets.training and len(batch) > most:
            raise error or torch.OutOfMemoryError("CUDA out of memory")
        return drawn

    return Line(also)


@pytest.mark.parametrize("error", [None, CPU, MemoryError()], ids=["gpu", "cpu", "python"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_in_parts_is_the_step(weighted: bool, error: BaseException | None) -> None:
    weight = torch.rand(ROWS).mul(2).floor() if weighted else None  # parts without any weight among them
    given = rows(weight=weight)
    whole, plain = fitted(Line(), given)
    parts, history = fitted(scarce(3, error), given)
    torch.testing.assert_close(parts, whole)
    assert history.losses == pytest.approx(plain.losses, rel=1e-5)
    assert history.parts == 4
    assert history.reports[-1]["parts"] == 4
    assert [str(f) for f in history.findings()] == [
        "memory: steps ran in 4 parts, because whole ones did not fit. A smaller batch_size takes the same memory and more steps"
    ]
    assert not kinds(plain)


class Gatherer(Line):
    """A player whose networks gather something in each forward pass, for after the step, and that runs out of memory after it."""

    def turns(self, step: int) -> Sequence[Turn]:
        return (Turn("only", ("line", "code", "book")),)

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        z = nets.line(batch.x)
        nets.book(nets.code(z - 1.2)[:, None])
        return {"error": z.square().sum(1) + self.also(self, nets, batch)}

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        nets.code.count()
        nets.book.follow(0.9)


def test_what_networks_gather_in_parts_is_what_they_gather_in_the_step() -> None:
    found = []
    for player in (Gatherer(), Gatherer(scarce(3).also)):
        with seeded(0):
            nets = Nets({"line": nn.Linear(3, 4, bias=False), "code": Units(4, "relu"), "book": Codebook(1, 3, 4)})
            nets.book.start(nets.code(nets.line(rows().x).detach() - 1.2)[:, None])
            nets.forget()
            history = train(player, nets, rows(), None, settings(max_epochs=1))
        found.append((history.parts, nets.code.idle.tolist(), nets.book.counts, nets.book.entries))
    (one, idle, *whole), (four, others, *parts) = found
    assert (one, four) == (1, 4)
    assert others == idle
    assert max(idle) > 0
    torch.testing.assert_close(parts, whole)


def test_a_codebook_puts_dead_entries_onto_rows_of_all_parts() -> None:
    drawn = []
    for sizes in ((20,), (10, 10), (3, 17)):
        book = Codebook(1, 30, 2).train()
        with seeded(1):
            for part in torch.arange(40.0).view(20, 1, 2).split(list(sizes)):
                book(part)
            book.follow(0.9)
        drawn.append(book.entries)
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


def test_a_step_that_is_taken_again_does_not_depend_on_how_far_it_came() -> None:
    def fails(after: int) -> Line:
        def also(player: Line, nets: Nets, batch: Batch) -> Tensor:
            if len(batch) > 4:
                torch.randn(after)
                raise MemoryError
            return torch.randn(len(batch))

        return Line(also)

    assert torch.equal(fitted(fails(1))[0], fitted(fails(999))[0])


@pytest.mark.parametrize("batch_size", [8, 200])
def test_what_fits_in_no_part_is_told_with_advice(batch_size: int) -> None:
    with pytest.raises(MemoryLimitError, match=r"in (4|64) parts does not fit.*smaller batch_size.*bfloat16") as caught:
        fitted(scarce(1), batch_size=batch_size)
    assert caught.value.exit_code == 6


def test_other_errors_of_a_step_are_not_taken_for_memory() -> None:
    with pytest.raises(RuntimeError, match="odd"):
        fitted(scarce(3, RuntimeError("odd")))


# --- numbers that are not finite ---


def sometimes(*calls: int, value: float = math.nan) -> Line:
    """A player whose error is not finite at these calls."""
    return Line(lambda player, nets, batch: value if nets.training and player.calls in calls else 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("changes", [{}, {"clip": 1.0}, {"ema": 0.3}])
def test_a_step_that_is_not_finite_is_skipped_and_counted(value: float, changes: dict[str, Any]) -> None:
    weight, history = fitted(sometimes(7, 40, value=value), **changes)
    whole, _ = fitted(Line(), **changes)
    torch.testing.assert_close(weight, whole, rtol=0.1, atol=0.05)
    assert [report.get("skipped") for report in history.reports] == [1, 2, 2, 2]
    assert all(map(math.isfinite, history.losses))
    assert history.recoveries == 0
    assert kinds(history) == {"skipped-steps"}


def test_a_gradient_that_is_not_finite_is_skipped_though_the_loss_is() -> None:
    def also(player: Line, nets: Nets, batch: Batch) -> Tensor | float:
        return nets.line.weight.sub(nets.line.weight).square().sum().sqrt() if player.calls == 9 else 0.0

    weight, history = fitted(Line(also))
    assert history.skipped == 1
    assert bool(weight.isfinite().all())


def test_what_is_never_finite_is_an_error_that_names_it() -> None:
    player = Line(lambda player, nets, batch: math.nan)
    with pytest.raises(NotFiniteError, match=r"'error' became nan at step 0.*Going back 2 times") as caught:
        fitted(player)
    assert caught.value.exit_code == 7
    assert caught.value.source.first == "output"
    assert player.calls < 3 * 25 + 5  # three reports, and not three fits


def test_a_gradient_that_is_never_finite_is_an_error_that_says_so() -> None:
    with pytest.raises(NotFiniteError, match="'error' had no finite gradient at step 0") as caught:
        fitted(Line(lambda player, nets, batch: nets.line.weight.mul(0).square().sum().sqrt()))
    assert caught.value.source.first == "gradient"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_rows_that_are_not_finite_are_named_at_the_first_report(value: float) -> None:
    given = rows()
    given.x[17, 2] = value
    player = Line()
    with pytest.raises(NotFiniteError, match="row 17, value 2"):
        fitted(player, given)
    assert player.calls <= 26


def overflowing(player: Line, nets: Nets, batch: Batch) -> Tensor:
    """A wall at a weight of 2: beyond it the loss is not finite."""
    return torch.log(2 - nets.line.weight.abs().max()) * 1e-6


def test_a_learning_rate_that_is_too_high_is_halved_from_the_last_good_report_on() -> None:
    weight, history = fitted(Line(overflowing), learning_rate=2.0, max_epochs=8)
    assert history.recoveries in (1, 2)
    assert history.reports[-1]["recoveries"] == history.recoveries
    assert [report["step"] for report in history.reports] == [25 * i for i in range(1, 9)]
    assert bool(weight.isfinite().all())
    assert "diverged" in kinds(history)


def test_statistics_of_a_batch_that_were_ruined_are_taken_back() -> None:
    nets = Nets({"line": nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))})

    class Normed(Line):
        def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
            self.calls += 1
            return {"error": nets.line(batch.x * (math.nan if self.calls == 30 else 1.0)).square()[:, 0]}

    history = train(Normed(), nets, rows(), None, settings())
    assert history.recoveries == 1
    assert all(bool(value.isfinite().all()) for value in nets.state_dict().values())


# --- going on ---


def noisy(player: Line, nets: Nets, batch: Batch) -> Tensor:
    """Noise that moves the weights, and no number at all where the batch begins with some rows."""
    return torch.randn(len(batch)) * nets.line.weight.sum() * (math.nan if int(batch.index[0]) % 31 == 0 else 1.0)


@pytest.mark.parametrize("stop", [10, 26, 45, 60, 90])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Line(noisy),
        lambda: Line(overflowing),
        lambda: scarce(3, noise=0.1),
    ],
    ids=["skips", "recovers", "parts"],
)
def test_a_fit_that_skipped_recovered_or_was_split_is_resumed_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, make: Callable[[], Line]
) -> None:
    changes = {"learning_rate": 2.0, "max_epochs": 6, "ema": 0.2}
    whole, history = fitted(make(), **changes)
    assert kinds(history)
    steps = iter(range(1, 10_000))
    step = loops._Fit._step

    def interrupted(self: Any, batch: Batch) -> None:
        step(self, batch)
        if next(steps) == stop:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(loops._Fit, "_step", interrupted)
        with pytest.raises(StoppedError):
            fitted(make(), checkpoints=Checkpoints(tmp_path, 1e9), **changes)
    weight, resumed = fitted(make(), checkpoints=Checkpoints(tmp_path), **changes)
    assert torch.equal(weight, whole)
    assert resumed.losses == history.losses
    assert list(resumed.findings()) == list(history.findings())


# --- what the user froze ---


def test_weights_that_the_user_froze_stay_as_they_are_and_frozen() -> None:
    own = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 2))
    own[0].requires_grad_(False)
    X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)).numpy()
    model = Autoencoder(encoder=own, code_size=2, max_epochs=3, early_stopping=False, random_state=0).fit(X)
    fitted_encoder = model.network_["encoder"]
    frozen = {n for n, p in fitted_encoder.named_parameters() if not p.requires_grad}
    assert len(frozen) == 2
    before = {p.shape: p for p in own[0].parameters()}
    after = dict(fitted_encoder.named_parameters())
    assert all(torch.equal(after[name], before[after[name].shape]) for name in frozen)
