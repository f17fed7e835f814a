"""Engram's fits and scores beside bare PyTorch loops with the same arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from bare import BareAutoencoder, train
from made_rows import Array, correlated
from measure import Goal, Options, Page, Row, Table, cpu_seconds, paired, run_script

from engram import VAE, Autoencoder

TRAINING, SCORING = Goal("ratio", 0.9), Goal("ratio", 0.6)
NAMES = ("Engram, rows/s", "bare loop, rows/s")
DRAWS = 16  # noise vectors in the ELBO that VAE.score_samples computes
TEXT = """\
Rows per second of CPU time (`time.process_time`) on one thread; medians of 5 pairs measured in turn (ours, theirs,
ours, ...), and the ratio of each pair. The bare loop is [bare.py](../bare.py): the same layers, loss, batch size
and fused Adam, shuffled index batches, on a float32 tensor that is already standardised and in memory. It keeps no
log, holds out no rows and checks nothing.

Training is the whole of `fit()` from a float64 NumPy array: finding out the kind of each column, standardising,
building, training, checking. Fixed costs weigh as much as in real use or more: 20 epochs over 20,000 rows of 30
columns (`max_epochs='auto'` would be 30 or more), 8 epochs over 6,400 rows of 784 columns ('auto': 60). With
`early_stopping=False` all rows are trained on. By default a tenth is held out, evaluated every epoch, and only the
rows that were trained on count.

Scoring is `score_samples` of 100,000 rows (784 columns: 6,400) from a float64 NumPy array, everything included:
checks, standardising, network, log density. The bare pass is encoder and decoder alone, on a float32 tensor,
without the density; in blocks of 4,096 rows, and in one piece. A VAE's score is an ELBO over 16 noise vectors, so
the bare pass for it decodes 16 times.
"""


@dataclass
class Case:
    """One network: Engram's model, and the same sizes for the bare loop."""

    name: str
    model: Callable[..., Any]
    sizes: list[int]
    batch_size: int
    x: Array
    epochs: int
    scored: Array
    variational: bool = False

    def bare(self) -> BareAutoencoder:
        return BareAutoencoder(self.sizes, variational=self.variational)


def cases(*, quick: bool) -> list[Case]:
    def vae(**given: Any) -> VAE:
        return VAE(hidden=(512,), code_size=16, batch_size=128, **given)

    def autoencoder(**given: Any) -> Autoencoder:
        return Autoencoder(hidden=(64,), code_size=32, batch_size=32, **given)

    small, pictures = correlated(64 if quick else 20_000, 30, 8), correlated(64 if quick else 6_400, 784, 16)
    many = correlated(100 if quick else 100_000, 30, 8, seed=1)
    return [
        Case("autoencoder 30-64-32, batch 32", autoencoder, [30, 64, 32], 32, small, 2 if quick else 20, many),
        Case("VAE 784-512-16, batch 128", vae, [784, 512, 16], 128, pictures, 2 if quick else 8, pictures, True),
    ]


def training_rows(case: Case, pairs: int) -> list[Row]:
    standard = torch.as_tensor((case.x - case.x.mean(0)) / case.x.std(0), dtype=torch.float32)

    def bare() -> float:
        seconds = train(case.bare(), standard, batch_size=case.batch_size, epochs=case.epochs)
        return len(standard) * case.epochs / seconds

    rows = []
    for held_out in (False, True):

        def ours(early_stopping: bool = held_out) -> float:
            model = case.model(max_epochs=case.epochs, early_stopping=early_stopping, random_state=0)
            seconds = cpu_seconds(lambda: model.fit(case.x))
            return model.data_["trained_on"] * model.history_.reports[-1]["epoch"] / seconds

        what = f"{case.name}, {'default held-out rows' if held_out else 'early_stopping=False'}"
        rows.append(Row(what, paired(ours, bare, pairs, NAMES), (TRAINING,)))
    return rows


@torch.no_grad()
def forward(net: BareAutoencoder, x: torch.Tensor, block: int) -> None:
    for piece in x.split(block):
        code = net.encoder(piece)
        if not net.variational:
            net.decoder(code)
            continue
        mean, log_var = code.chunk(2, 1)
        for noise in torch.randn(DRAWS, mean.shape[1]):
            net.decoder(torch.addcmul(mean, (0.5 * log_var).exp(), noise))


def scoring_rows(case: Case, pairs: int) -> list[Row]:
    model = case.model(max_epochs=1, random_state=0).fit(case.x)
    standard = torch.as_tensor((case.scored - case.x.mean(0)) / case.x.std(0), dtype=torch.float32)
    net = case.bare()
    rows = []
    for name, block in (("blocks of 4,096", 4096), ("one piece", len(standard))):

        def bare(size: int = block) -> float:
            return len(standard) / cpu_seconds(lambda: forward(net, standard, size))

        def ours() -> float:
            return len(standard) / cpu_seconds(lambda: model.score_samples(case.scored))

        ours(), bare()
        rows.append(Row(f"{case.name}, bare pass in {name}", paired(ours, bare, pairs, NAMES), (SCORING,)))
    return rows


def measure(options: Options) -> Page:
    torch.set_num_threads(1)
    found = cases(quick=options.quick)
    return Page(
        "speed_loop",
        "Engram beside a bare PyTorch loop",
        TEXT,
        [
            Table("Training", [row for case in found for row in training_rows(case, options.pairs)]),
            Table("Scoring", [row for case in found for row in scoring_rows(case, options.pairs)]),
        ],
    )


if __name__ == "__main__":
    run_script(measure)
