"""What each penalty, code and prior costs: the time of a training step beside the plain model of the same network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from made_rows import Array, correlated
from measure import Goal, Options, Page, Row, Table, cpu_seconds, paired, run_script
from sklearn.datasets import load_digits

import engram
from engram.data.rows import Rows
from engram.training import train

NAMES = ("ms a step", "plain, ms a step")
TEXT = """\
CPU time (`time.process_time`) of a training step on one thread, in milliseconds, and how many times that of the plain
model it is; medians of 5 pairs measured in turn (with, plain, with, ...), and the ratio of each pair. 'autoencoder' and
'VAE' in brackets say which plain model. Both take the same steps in Engram's own loop, batches, terms, gradient and
optimiser included, of networks that one epoch has built and started; no rows are held out. k IWAE draws go through the
decoder together, so at most k times the time is the goal.

Networks: 784-512-256-32 and back without a linear path on 2,560 made rows, and what Engram chooses for the 1,797 digits of
scikit-learn as a table of 64 columns with 22 code units (64-64-64-22 and back, a linear path beside it). At 64 columns a
step is mostly the calls themselves, hardly arithmetic, so that what a penalty adds counts for more: beta-TC compares each draw
of a batch with each posterior in each unit, 128 x 128 x 22 = 360,000 densities forward and back however small the network is,
and a probe calls the encoder's layers once more in each direction.
"""
HUTCHINSON = Goal("ratio", 2.2, below=True)
DRAWS = 5


@dataclass(frozen=True)
class Variant:
    """What is switched on, by registry name and parameters, and the plain model beside it."""

    what: str
    name: str
    given: dict[str, Any]
    plain: str = "autoencoder"
    goals: tuple[Goal, ...] = ()


VARIANTS = (
    Variant("contraction, Hutchinson probe", "autoencoder", {"contraction": 0.3}, goals=(HUTCHINSON,)),
    Variant("denoising, gaussian", "autoencoder", {"corruption": "gaussian"}),
    Variant("l1", "autoencoder", {"sparsity": "l1"}),
    Variant("kl", "autoencoder", {"sparsity": "kl"}),
    Variant("top-k", "autoencoder", {"sparsity": "topk", "sparsity_level": 8}),
    Variant("batch top-k", "autoencoder", {"sparsity": "batchtopk", "sparsity_level": 8}),
    Variant("orthogonal codes", "autoencoder", {"orthogonal": 1.0}),
    Variant("VQ", "vq-vae", {}),
    Variant("FSQ", "fsq-vae", {}),
    Variant("adversarial", "adversarial-autoencoder", {}),
    Variant("beta-TC", "vae", {"penalty": "tc"}, "vae", (Goal("ratio", 1.5, below=True),)),
    Variant(f"IWAE-{DRAWS}", "vae", {"importance": DRAWS}, "vae", (Goal("ratio", DRAWS, below=True),)),
    Variant("MMD", "vae", {"penalty": "mmd"}, "vae"),
    Variant("VampPrior of 50", "vae", {"prior": "vamp", "prior_size": 50}, "vae"),
    Variant("mixture prior of 50", "vae", {"prior": "mixture", "prior_size": 50}, "vae"),
)
BRACKETS = {"autoencoder": "autoencoder", "vae": "VAE"}


def stepper(name: str, x: Array, epochs: int, **given: Any) -> Callable[[], float]:
    """Return a function that trains a model for some epochs and returns the CPU time of a step, in milliseconds."""
    model = engram.create(name, max_epochs=1, early_stopping=False, threads=1, random_state=0, **given).fit(x)
    rows, settings = Rows(model.kind_.encode(x).x), replace(model.settings_, max_epochs=epochs)
    steps = epochs * -(-len(rows) // settings.batch_size)

    def once() -> float:
        return 1000 * cpu_seconds(lambda: train(model, model.network_, rows, None, settings)) / steps

    once()  # loads what it loads late
    return once


def table(title: str, x: Array, epochs: int, pairs: int, **network: Any) -> Table:
    plain = {name: stepper(name, x, epochs, **network) for name in BRACKETS}
    rows = []
    for variant in VARIANTS:
        measured = paired(
            stepper(variant.name, x, epochs, **network, **variant.given), plain[variant.plain], pairs, NAMES
        )
        rows.append(Row(f"{variant.what} ({BRACKETS[variant.plain]})", measured, variant.goals))
    return Table(title, rows)


def measure(options: Options) -> Page:
    torch.set_num_threads(1)
    quick, pairs = options.quick, options.pairs
    made = correlated(*((64, 48) if quick else (2_560, 784)), 16).astype("float32")
    digits = load_digits().data[: 64 if quick else None].astype("float32")
    deep = {"hidden": (64, 48) if quick else (512, 256), "code_size": 32}
    tables = [
        table("784-512-256-32, batch 128", made, 1 if quick else 2, pairs, batch_size=128, **deep),
        table("Digits, batch 128", digits, 1 if quick else 16, pairs, batch_size=128, code_size=22),
    ]
    return Page("step_times", "What a step costs with each penalty", TEXT, tables)


if __name__ == "__main__":
    run_script(measure)
