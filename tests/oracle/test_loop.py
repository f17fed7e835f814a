"""The loop against steps that are computed by hand, with players of a few lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from engram import Autoencoder
from engram.data.rows import Rows
from engram.errors import DivergedError
from engram.training import Batch, Batches, History, Settings, Turn, train
from engram.training import loop as loops
from engram.training.loop import averaged
from engram.training.nets import Nets
from engram.training.settings import rate


class Regression:
    """Minimise (x w - 1)^2 per row: one parameter vector, gradients known in closed form."""

    def __init__(self, *turns: Turn) -> None:
        self._turns = turns or (Turn("only", ("line",)),)
        self.seen: list[Batch] = []

    def turns(self, step: int) -> Sequence[Turn]:
        return self._turns

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        if nets.training:
            self.seen.append(batch)
        return {"error": (nets.line(batch.x)[:, 0] - 1).square()}

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        pass


def line(width: int = 3) -> Nets:
    nets = Nets({"line": nn.Linear(width, 1, bias=False)})
    nn.init.constant_(nets.line.weight, 0.5)
    return nets


def some(rows: int = 8, width: int = 3, **parts: Tensor) -> Rows:
    return Rows(torch.randn(rows, width, generator=torch.Generator().manual_seed(0)), **parts)


def settings(**changes: Any) -> Settings:
    return Settings(**{"batch_size": 8, "max_epochs": 1, "learning_rate": 0.01, "schedule": "constant", **changes})


def gradient(weight: Tensor, x: Tensor, row_weights: Tensor | None = None) -> Tensor:
    """The gradient of the (weighted) mean of (x w - 1)^2, by hand."""
    share = torch.full((len(x),), 1 / len(x)) if row_weights is None else row_weights / row_weights.sum()
    return (2 * share * (x @ weight - 1)) @ x


class Steps:
    """Adam by hand: the textbook's update of one vector."""

    def __init__(self, size: int, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self.m, self.v, self.t, self.betas = torch.zeros(size), torch.zeros(size), 0, betas

    def __call__(self, weight: Tensor, g: Tensor, learning_rate: float) -> Tensor:
        (b1, b2), self.t = self.betas, self.t + 1
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        return weight - learning_rate * (self.m / (1 - b1**self.t)) / ((self.v / (1 - b2**self.t)).sqrt() + 1e-8)


# --- what a step is ---


def test_steps_are_those_computed_by_hand() -> None:
    rows, nets, weight, adam = some(), line(), torch.full((3,), 0.5), Steps(3)
    train(Regression(), nets, rows, None, settings(max_epochs=7))
    for step in range(7):
        weight = adam(weight, gradient(weight, rows.x), 0.01 * rate("constant", step / 7))
    torch.testing.assert_close(nets.line.weight[0].detach(), weight, rtol=1e-5, atol=1e-6)


def test_rows_with_weights_count_by_their_weight() -> None:
    weights = torch.tensor([0.0, 1.0, 2.0, 0.5, 1.0, 3.0, 0.0, 1.0])
    rows, nets = some(weight=weights), line()
    history = train(Regression(), nets, rows, None, settings())
    expected = Steps(3)(torch.full((3,), 0.5), gradient(torch.full((3,), 0.5), rows.x, weights), 0.01 * 0.05)
    torch.testing.assert_close(nets.line.weight[0].detach(), expected)
    squares = (rows.x @ torch.full((3,), 0.5) - 1).square()
    assert history.losses == [pytest.approx(float((squares * weights).sum() / weights.sum()))]


def test_a_row_of_weight_two_is_a_row_given_twice() -> None:
    rows = some()
    twice = Rows(torch.cat([rows.x, rows.x[:1]]))
    weighted = Rows(rows.x, weight=torch.tensor([2.0, *[1.0] * 7]))
    nets = [line(), line()]
    for net, given in zip(nets, (twice, weighted), strict=True):
        train(Regression(), net, given, None, settings(batch_size=9))
    torch.testing.assert_close(nets[0].line.weight, nets[1].line.weight)


def test_terms_per_row_are_averaged_and_terms_per_batch_are_added() -> None:
    terms = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor(10.0), "c": torch.tensor([5.0, 5.0])}
    assert float(averaged(terms, None)) == 17.0
    assert float(averaged(terms, torch.tensor([3.0, 1.0]))) == 16.5
    with pytest.raises(TypeError, match="without terms"):
        averaged({}, None)


def test_a_gradient_longer_than_clip_is_cut_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    step = loops.Adam.step

    def spied(self: Any, *given: Any) -> Tensor:
        seen.append(self.parameters[0].grad.flatten().clone())
        return step(self, *given)

    monkeypatch.setattr(loops.Adam, "step", spied)
    rows = some()
    full = gradient(torch.full((3,), 0.5), rows.x)
    for clip in (None, 0.01, 1e6):
        train(Regression(), line(), rows, None, settings(clip=clip))
    torch.testing.assert_close(seen[0], full)
    torch.testing.assert_close(seen[1], full / full.norm() * 0.01, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(seen[2], full)


def test_averaged_weights_are_those_computed_by_hand() -> None:
    """An old weight counts half after a share of training; early on the average forgets faster."""
    rows, nets, weight, adam = some(), line(), torch.full((3,), 0.5), Steps(3)
    train(Regression(), nets, rows, None, settings(max_epochs=20, ema=0.5))
    mean = weight.clone()
    for step in range(20):
        weight = adam(weight, gradient(weight, rows.x), 0.01 * rate("constant", step / 20))
        decay = 0.5 ** (1 / min(10.0, max(1.0, 0.2 * (step + 1))))
        mean = decay * mean + (1 - decay) * weight
    torch.testing.assert_close(nets.line.weight[0].detach(), mean, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(mean, weight)


def test_averaging_copies_buffers() -> None:
    nets = Nets({"line": nn.Sequential(nn.BatchNorm1d(3, affine=False), nn.Linear(3, 1, bias=False))})
    train(Regression(), nets, some(), None, settings(max_epochs=3, ema=0.9))
    assert int(nets.line[0].num_batches_tracked) == 3


# --- the learning rate ---


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_schedules_rise_briefly_then_fall_as_they_say(schedule: str) -> None:
    assert rate(schedule, 0.0) == pytest.approx(0.05, rel=0.01)
    at = {"cosine": 0.505, "linear": 0.505, "constant": 1.0}[schedule]
    end = {"cosine": 0.01, "linear": 0.01, "constant": 1.0}[schedule]
    assert rate(schedule, 0.5) == pytest.approx(at)
    assert rate(schedule, 1.0) == pytest.approx(end)
    values = [rate(schedule, 0.03 + 0.97 * i / 50) for i in range(51)]
    assert values == sorted(values, reverse=True)
    assert rate("cosine", 0.25) == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi / 4)) / 2)


# --- turns ---


class Game:
    """A toy GAN: the generator moves points towards the rows, the discriminator tells them apart."""

    def __init__(self, *turns: Turn) -> None:
        self._turns = turns or (Turn("discriminate", ("discriminator",)), Turn("generate", ("generator",)))
        self.moves: list[tuple[str, dict[str, Tensor]]] = []
        self.frozen: list[set[str]] = []

    def turns(self, step: int) -> Sequence[Turn]:
        return self._turns

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        self.frozen.append({name.partition(".")[0] for name, p in nets.named_parameters() if not p.requires_grad})
        fake = nets.discriminator(nets.generator(torch.randn(len(batch), 2)))[:, 0]
        if turn.name == "generate":
            return {"fool": softplus(-fake)}
        return {"real": softplus(-nets.discriminator(batch.x)[:, 0]), "fake": softplus(fake)}

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        self.moves.append((turn.name, {name: t.detach().clone() for name, t in nets.state_dict().items()}))


def players() -> Nets:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(2, 4, bias=False), nn.BatchNorm1d(4), nn.SiLU(), nn.Linear(4, 3))
    discriminator = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.BatchNorm1d(4), nn.Linear(4, 1))
    return Nets({"generator": generator, "discriminator": discriminator})


def played(*turns: Turn, epochs: int = 4) -> tuple[Game, History, Nets]:
    game, nets = Game(*turns), players()
    return game, train(game, nets, some(), None, settings(max_epochs=epochs)), nets


def test_turns_alternate_and_each_freezes_the_other_role() -> None:
    game, history, _ = played()
    assert [name for name, _ in game.moves] == ["discriminate", "generate"] * 4
    assert game.frozen == [{"generator"}, {"discriminator"}] * 4
    assert history.reports[-1]["terms"].keys() == {"real", "fake", "fool"}


@pytest.mark.parametrize(("name", "role"), [("generate", "generator"), ("discriminate", "discriminator")])
def test_a_turn_moves_its_own_role_and_leaves_weights_and_buffers_of_the_other(name: str, role: str) -> None:
    after, before = played(Turn(name, (role,)))[2].state_dict(), players().state_dict()
    moved = {key for key in before if not torch.equal(after[key], before[key])}
    assert moved == {key for key in before if key.startswith(role)}


def test_every_and_repeats_say_how_often_a_turn_is_taken() -> None:
    often = Turn("discriminate", ("discriminator",), repeats=3)
    seldom = Turn("generate", ("generator",), every=2)
    game, history, _ = played(often, seldom)
    three = ["discriminate"] * 3
    assert [name for name, _ in game.moves] == [*three, "generate", *three, *three, "generate", *three]
    assert all(math.isfinite(value) for value in history.reports[-1]["terms"].values())


class Constant(Game):
    """A game whose terms are known numbers."""

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        moving = sum(p.sum() * 0 for role in turn.roles for p in nets[role].parameters())
        if turn.name == "generate":
            return {"fool": 7.0 + moving}
        return {"real": 2.0 + moving + torch.zeros(len(batch)), "fake": 3.0 + moving}


def test_the_log_averages_a_turns_terms_over_the_times_it_was_taken() -> None:
    """Rule 1: a term that is summed at every third step is not shown at a third of its size."""
    seldom = Turn("generate", ("generator",), every=3)
    history = train(Constant(Turn("d", ("discriminator",)), seldom), players(), some(), None, settings(max_epochs=7))
    assert history.reports[-1]["terms"] == {"real": 2.0, "fake": 3.0, "fool": 7.0}


def test_a_turn_has_its_own_learning_rate_betas_and_optimiser() -> None:
    class Two(Regression):
        def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
            return {turn.name: (nets[turn.roles[0]](batch.x)[:, 0] - 1).square()}

    turns = (Turn("line", ("line",)), Turn("other", ("other",), learning_rate=0.5, betas=(0.0, 0.9)))
    nets = Nets({"line": line().line, "other": line().line})
    rows = some()
    train(Two(*turns), nets, rows, None, settings(max_epochs=3))
    for role, learning_rate, betas in (("line", 0.01, (0.9, 0.999)), ("other", 0.5, (0.0, 0.9))):
        weight, adam = torch.full((3,), 0.5), Steps(3, betas)
        for step in range(3):
            weight = adam(weight, gradient(weight, rows.x), learning_rate * rate("constant", step / 3))
        torch.testing.assert_close(nets[role].weight[0].detach(), weight, rtol=1e-4, atol=1e-5)


# --- batches ---


@pytest.mark.parametrize("n", [1, 7, 16, 17, 33])
def test_an_epoch_holds_every_row_once_in_batches_of_nearly_equal_size(n: int) -> None:
    rows = Rows(torch.arange(float(n))[:, None], weight=torch.arange(float(n)))
    batches = Batches(rows, 16, seed=1)
    for epoch in (0, 1):
        found = list(batches.epoch(epoch))
        assert len(found) == batches.per_epoch == math.ceil(n / 16)
        assert sorted(int(i) for batch in found for i in batch.index) == list(range(n))
        assert max(map(len, found)) - min(map(len, found)) <= 1
        assert max(map(len, found)) <= 16
        for batch in found:
            assert torch.equal(batch.x[:, 0], batch.index.float())
            assert torch.equal(batch.weight, batch.index.float())


def test_the_order_depends_on_the_seed_and_the_epoch_alone() -> None:
    def order(seed: int, epoch: int, skip: int = 0) -> list[int]:
        return torch.cat([b.index for b in Batches(some(40), 8, seed).epoch(epoch, skip)]).tolist()

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4
    assert order(1, 1, skip=2) == order(1, 1)[16:]


def test_progress_runs_from_zero_to_one_and_is_one_outside_training() -> None:
    player = Regression()
    train(player, line(), some(), None, settings(max_epochs=4))
    assert [batch.progress for batch in player.seen] == [0.0, 0.25, 0.5, 0.75]
    assert [batch.step for batch in player.seen] == [0, 1, 2, 3]
    assert Batch(torch.zeros(1, 1)).progress == 1.0


# --- when it ends ---


class Scripted(Regression):
    """A player whose held-out losses are scripted: look number i sees losses[i]."""

    def __init__(self, *losses: float) -> None:
        super().__init__()
        self.losses, self.weights = iter(losses), []

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        if nets.training:
            return super().terms(turn, nets, batch)
        self.weights.append(nets.line.weight.detach().clone())
        return {"error": torch.full((len(batch),), next(self.losses)) + 1e-3 * torch.arange(len(batch))}


def watched(*losses: float, **changes: Any) -> tuple[Scripted, History, Nets]:
    """One report per epoch of 25 steps."""
    player, nets = Scripted(*losses), line()
    given = {"batch_size": 1, "max_epochs": len(losses) - 1, "n_iter_no_change": 3, **changes}
    return player, train(player, nets, some(25), some(4), settings(**given)), nets


def test_the_weights_that_were_best_on_held_out_rows_are_kept() -> None:
    player, history, nets = watched(9.0, 5.0, 2.0, 4.0, 3.0)
    assert [report["validation"] for report in history.reports] == pytest.approx([5.0, 2.0, 4.0, 3.0], abs=0.01)
    assert history.best_step == 50
    assert torch.equal(nets.line.weight, player.weights[2])
    assert history.stopped == "epochs"


def test_training_ends_when_nothing_improves_for_so_many_reports() -> None:
    _, history, _ = watched(9.0, 5.0, 6.0, 6.0, 6.0, 1.0, 1.0)
    assert len(history.reports) == 4
    assert history.stopped == "early"
    assert history.best_step == 25


def test_without_early_stopping_the_best_weights_are_still_kept() -> None:
    _, history, _ = watched(9.0, 5.0, 6.0, 6.0, 6.0, 6.0, 6.0, early_stopping=False)
    assert (len(history.reports), history.stopped, history.best_step) == (6, "epochs", 25)


def test_waiting_does_not_begin_before_a_warm_up_ends() -> None:
    _, history, _ = watched(9.0, 5.0, *[6.0] * 9, warmup=0.5)
    assert len(history.reports) == 7  # reports 1 to 4 lie in the warm-up, 5 to 7 are the three without improvement


def test_the_start_is_kept_unless_it_is_beaten_by_more_than_luck() -> None:
    player, history, nets = watched(5.0, 5.5, 5.2)
    assert history.best_step == 0
    assert torch.equal(nets.line.weight, player.weights[0])


def test_a_fit_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100_000))
    monkeypatch.setattr(loops.time, "perf_counter", lambda: next(clock) * 0.1)
    player = Regression()
    history = train(player, line(), some(), None, settings(max_epochs=5000, max_time=20.0))
    assert history.stopped == "time"
    assert 10 < history.reports[-1]["step"] < 200
    assert max(batch.progress for batch in player.seen) > 0.9  # schedules know how much time is left


@pytest.mark.parametrize(("text", "value"), [("20s", 20.0), ("5m", 300.0), ("1.5h", 5400.0), (7, 7.0), (None, None)])
def test_durations_are_read_with_their_unit(text: Any, value: float | None) -> None:
    from engram.training.settings import seconds

    assert seconds(text) == value


def test_numbers_that_are_not_finite_end_the_fit_with_advice() -> None:
    X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)).numpy()
    with pytest.raises(DivergedError, match=r"'reconstruction'.*diverged.*learning_rate"):
        Autoencoder(code_size=2, hidden=(8,), learning_rate=1e6, max_epochs=50, random_state=0).fit(X)


# --- a model's gradient in closed form ---


def test_a_linear_autoencoder_has_the_gradients_of_the_closed_form() -> None:
    """- log N(x; D E x, s^2): gradients with respect to D, E and log s, written out."""
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    model = Autoencoder(code_size=2, hidden=(), max_epochs=3, random_state=0, early_stopping=False).fit(x.numpy())
    nets = model.network_
    encode, decode, log_scale = nets.encoder.head, nets.decoder.network.head, nets.decoder.likelihood.log_scale
    with torch.no_grad():
        for p in (encode.bias, decode.bias):
            p.zero_()
        encode.weight.copy_(torch.randn(2, 5, generator=torch.Generator().manual_seed(1)))
        decode.weight.copy_(torch.randn(5, 2, generator=torch.Generator().manual_seed(2)))
        log_scale.fill_(-0.3)
    (turn,) = model.turns(0)
    averaged(model.terms(turn, nets, Batch(x)), None).backward()
    E, D, precision = encode.weight.detach(), decode.weight.detach(), math.exp(0.6)
    residual = x @ E.T @ D.T - x
    torch.testing.assert_close(decode.weight.grad, precision * residual.T @ (x @ E.T) / 20, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encode.weight.grad, precision * D.T @ residual.T @ x / 20, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(decode.bias.grad, precision * residual.mean(0), rtol=1e-4, atol=1e-5)
    expected = 5 - precision * residual.square().sum(1).mean()
    torch.testing.assert_close(log_scale.grad, expected, rtol=1e-4, atol=1e-5)
