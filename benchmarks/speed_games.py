"""Engram's GANs beside bare PyTorch loops with the same networks and losses."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measure import Goal, Options, Page, Row, Table, cpu_seconds, paired, run_script
from torch import Tensor, nn
from torch.nn.functional import softplus

import engram

ROWS, EPOCHS, BATCH, PAIRS = 1_280, 6, 64, 3
NAMES = ("Engram, rows/s", "bare loop, rows/s")
TEXT = """\
Rows per second of CPU time (`time.process_time`) on one thread; medians of 3 pairs measured in turn (ours, theirs,
ours, ...), and the ratio of each pair. 1,280 pictures of 28 x 28, batches of 64, 6 epochs, one step of the
discriminator for each of the generator, nothing held out. The bare loop has copies of Engram's own networks, two
fused Adams, shuffled index batches of a tensor in memory; it draws noise, takes both steps, and keeps no log, no
averaged weights and no checks. Engram's side is the whole of `fit()`, with what it finds out about generated rows at
its end, which takes 1 to 2 seconds however long the fit is: of the 120 steps here that is a tenth, of the 10,000 of
the default budget a thousandth (with 60 steps the ratios were .82 and .89). The bare WGAN-GP takes its slope at
points between real and drawn rows by `torch.autograd.grad`, as published code does.
"""


def logistic(discriminator: nn.Module, real: Tensor, drawn: Tensor) -> Tensor:
    return (softplus(-discriminator(real)) + softplus(discriminator(drawn))).mean()


def wasserstein(discriminator: nn.Module, real: Tensor, drawn: Tensor) -> Tensor:
    share = torch.rand(len(real), 1, 1, 1)
    between = (share * real + (1 - share) * drawn).requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    penalty = 10 * (slope.flatten(1).norm(2, dim=1) - 1).square()
    return (discriminator(drawn) - discriminator(real) + penalty).mean()


GAMES: dict[str, tuple[Callable[..., Tensor], Callable[[Tensor], Tensor]]] = {
    "dcgan": (logistic, lambda logits: softplus(-logits).mean()),
    "wgan-gp": (wasserstein, lambda logits: -logits.mean()),
}


def bare(nets: Any, name: str, x: Tensor, code_size: int) -> float:
    """Train copies of the networks and return rows per CPU second."""
    generator, discriminator = copy.deepcopy(nets.generator).train(), copy.deepcopy(nets.discriminator).train()
    players = [torch.optim.Adam(net.parameters(), 1e-4, (0.5, 0.99), fused=True) for net in (generator, discriminator)]
    of_discriminator, of_generator = GAMES[name]

    def loop() -> None:
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(x)).split(BATCH):
                real = x[rows]
                with torch.no_grad():
                    drawn = generator(torch.randn(len(real), code_size))
                players[1].zero_grad()
                of_discriminator(discriminator, real, drawn).backward()
                players[1].step()
                players[0].zero_grad()
                of_generator(discriminator(generator(torch.randn(len(real), code_size)))).backward()
                players[0].step()

    return len(x) * EPOCHS / cpu_seconds(loop)


def row(name: str, x: np.ndarray[Any, Any], pairs: int) -> Row:
    given: dict[str, Any] = {"max_epochs": EPOCHS, "batch_size": BATCH, "early_stopping": False, "random_state": 0}
    given["augment"] = "none"  # which few pictures would get
    begun = engram.create(name, **given | {"max_epochs": 1}).fit(x[:BATCH])
    tensor = torch.as_tensor(x)[:, None]

    def ours() -> float:
        model = engram.create(name, **given)
        seconds = cpu_seconds(lambda: model.fit(x))
        steps = math.ceil(len(x) / BATCH) * EPOCHS
        assert model.history_.reports[-1]["step"] == steps
        return len(x) * EPOCHS / seconds

    def theirs() -> float:
        return bare(begun.network_, name, tensor, begun.shapes_.code_size)

    return Row(name, paired(ours, theirs, pairs, NAMES), (Goal("ratio", 0.9),))


def measure(options: Options) -> Page:
    torch.set_num_threads(1)
    n, side = (BATCH // 2, 16) if options.quick else (ROWS, 28)
    x = np.random.default_rng(0).random((n, side, side), dtype=np.float32)
    rows = [row(name, x, min(options.pairs, PAIRS)) for name in GAMES]
    return Page("speed_games", "Engram's GANs beside a bare PyTorch loop", TEXT, [Table("Training", rows)])


if __name__ == "__main__":
    run_script(measure)
