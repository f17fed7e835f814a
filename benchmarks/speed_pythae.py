"""Engram's VAEs beside pythae's: training with equal networks, batches and epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from made_rows import correlated
from measure import Goal, Options, Page, Row, Table, cpu_seconds, paired, run_script
from pythae_fits import train, vae, variant

import engram

TRAINING = Goal("ratio", 1.3)
NAMES = ("Engram, rows/s", "pythae, rows/s")
SIZES = [784, 512, 16]
TEXT = """\
Rows trained on per second of CPU time (`time.process_time`) on one thread; medians of 5 pairs measured in turn, and
the ratio of each pair. The same 6,400 float32 rows of 784 columns, batches of 128, 8 epochs, Adam. Engram is
`VAE(hidden=(512,), code_size=16, batch_size=128)`, all of `fit()` with finding out columns and standardising;
pythae is its `TrainingPipeline`, without the model's construction.

'Equal network' hands pythae an encoder and a decoder with the same layers as Engram's (784-512-ELU-16 mean and log
variance, back the same way, no sigmoid); 'its own network' is pythae's default, of the same sizes with ReLU and a
sigmoid at the end. All else are pythae's defaults: no workers, loss 'mse' (unit variance), torch's default Adam,
the best model copied whenever an epoch improves, the model saved at the end. Its log messages are off and its
progress bars go to memory. With held-out rows both hold out a tenth: Engram by default, pythae as `eval_data`. 64
is pythae's default batch.

The variants hold out no rows and have the equal network: beta-TC with the weight 6 of the total correlation on both sides
(pythae compares all pairs of rows of a batch too, by the same stratified estimator); VQ with 64 entries that follow moving
averages on both sides (pythae reads a code of 16 values as 16 codes of one value with one codebook in common, so Engram's
has 16 parts of one value, with a codebook each that k-means starts within `fit()`); IWAE with 5 draws.

Four fifths of a bare step at these sizes are matrix products (torch.profiler). On CPUs with AVX-512 Engram takes oneDNN for
the large ones, which was twice as fast as MKL there (docs/decisions/0008). With AVX2 alone both sides take MKL, at its
peak rate: the ratio can only come from the rest.
"""


VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # Engram's name and parameters, pythae's parameters
    "beta-TC, equal network": ("beta-tc-vae", {"penalty_weight": 5.0}, {"beta": 6.0}),
    "VQ, equal network": ("vq-vae", {"n_codes": 64, "parts": 16}, {"num_embeddings": 64, "use_ema": True}),
    "IWAE-5, equal network": ("iwae", {"importance": 5}, {"number_samples": 5}),
}


class Contest:
    """The same rows for both sides, and what each trains on them per second of CPU time."""

    def __init__(self, *, quick: bool) -> None:
        self.n, self.epochs = (256, 1) if quick else (6_400, 8)
        self.x = correlated(self.n, 784, 16).astype("float32")
        self.standard = (self.x - self.x.mean(0)) / self.x.std(0)

    def ours(
        self, *, name: str = "vae", early_stopping: bool = False, batch_size: int = 128, **given: Any
    ) -> Callable[[], float]:
        """Return a measurement of one of Engram's models."""
        given |= {"hidden": (512,), "code_size": SIZES[-1], "max_epochs": self.epochs, "random_state": 0}

        def once() -> float:
            model = engram.create(name, batch_size=batch_size, early_stopping=early_stopping, **given)
            seconds = cpu_seconds(lambda: model.fit(self.x))
            return float(model.data_["trained_on"] * model.history_.reports[-1]["epoch"] / seconds)

        return once

    def theirs(self, make: Callable[[], Any], *, held_out: int = 0, batch_size: int = 128) -> Callable[[], float]:
        """Return a measurement of a model of pythae's."""
        batches = {"per_device_train_batch_size": batch_size, "per_device_eval_batch_size": batch_size}

        def once() -> float:
            model, test = make(), self.standard[:held_out] if held_out else None
            rows = self.standard[held_out:]
            return (
                len(rows)
                * self.epochs
                / cpu_seconds(lambda: train(model, rows, test, num_epochs=self.epochs, **batches))
            )

        return once


def training_table(options: Options) -> Table:
    contest = Contest(quick=options.quick)
    train(equal(), contest.standard[:128], num_epochs=1)  # loads what it loads late
    ours, theirs = contest.ours, contest.theirs
    measured = {
        "equal network": (ours(), theirs(equal)),
        "equal network, a tenth held out": (ours(early_stopping=True), theirs(equal, held_out=contest.n // 10)),
        "equal network, batch 64": (ours(batch_size=64), theirs(equal, batch_size=64)),
        "its own network": (ours(), theirs(lambda: vae(None, SIZES[0], SIZES[-1]))),
    }
    for what, (name, given, peers) in VARIANTS.items():
        measured[what] = (ours(name=name, **given), theirs(lambda n=name, p=peers: variant(n, SIZES, **p)))
    rows = [Row(what, paired(a, b, options.pairs, NAMES), (TRAINING,)) for what, (a, b) in measured.items()]
    return Table("Training", rows)


def equal() -> Any:
    """Return pythae's VAE with Engram's layers."""
    return vae(SIZES, SIZES[0], SIZES[-1])


def measure(options: Options) -> Page:
    torch.set_num_threads(1)
    return Page("speed_pythae", "Engram beside pythae's VAEs", TEXT, [training_table(options)])


if __name__ == "__main__":
    run_script(measure)
