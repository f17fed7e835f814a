"""Exact test log-likelihoods of MADE on four binary tables, beside published and simple density models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_rows import Array
from measure import Goal, Options, Page, Row, Spread, Table, cpu_seconds, run_script
from sklearn.datasets import load_digits

import engram

SEEDS = 3
TABLES = {  # nats per test row: independent columns, Chow-Liu tree, mixture of 100 Bernoullis, a good published value
    "nltcs": (-9.23, -6.76, -6.01, -6.02),
    "plants": (-31.27, -16.52, -13.40, -12.54),
    "mushrooms": (-34.23, -20.96, -14.00, -9.68),
    "dna": (-100.39, -87.67, -98.50, -82.31),
}
TEXT = """\
The default MADE (`engram.create("made", likelihood="bernoulli", random_state=seed)`): two orders, one hidden layer of 256 units for each,
learned from the published training rows, stopped on the published validation rows, scored once on the published test rows. The
score is the exact log-likelihood in nats per row, no bound; it is the mean of `score_samples`. A column that is constant among
training rows is left out by the table's reader; it is scored here as (n + 1) / (n + 2), so that nothing is for free. mean, min and max are
over seeds of the fit; error is the standard error of the mean over test rows.

Chow-Liu tree (a Bayesian network) and mixture of 100 Bernoullis (latent naive Bayes) were computed once with the same rows and are given as
numbers; published: nltcs, plants ID-SPN, mushrooms and dna EoNADE, as reported for these sets. The goal is the better of the tree and the
mixture.
"""


def binary(data: Path | None, name: str) -> tuple[Array, Array, Array] | None:
    """Training, validation and test rows of a set, or None where it is absent."""
    path = None if data is None else data / "binary_density" / f"{name}.npz"
    if path is None or not path.exists():
        return None
    with np.load(path) as found:
        d = int(found["d"])
        train, valid, test = (
            np.unpackbits(found[n], axis=1)[:, :d].astype(np.float64) for n in ("train", "valid", "test")
        )
    return train, valid, test


def constants(train: Array, test: Array) -> Array:
    """Log probability of the columns that are constant among training rows, per test row."""
    fixed = (train == train[0]).all(0)
    same = test[:, fixed] == train[0, fixed]
    n = len(train)
    scores: Array = np.where(same, np.log((n + 1) / (n + 2)), np.log(1 / (n + 2))).sum(1)
    return scores


def values(rows: tuple[Array, Array, Array], seed: int, **given: Any) -> dict[str, float]:
    train, valid, test = rows
    model = engram.create("made", likelihood="bernoulli", random_state=seed, **given)
    spent = cpu_seconds(lambda: model.fit(train, validation=valid))
    scores = model.score_samples(test).astype(np.float64) + constants(train, test)
    return {"MADE": scores.mean(), "error": scores.std() / len(scores) ** 0.5, "CPU seconds": spent}


def row_of(name: str, rows: tuple[Array, Array, Array], options: Options) -> Row:
    found = [
        values(rows, seed, **({"max_epochs": 1} if options.quick else {}))
        for seed in range(1 if options.quick else SEEDS)
    ]
    cells = {cell: Spread.of([float(one[cell]) for one in found]) for cell in found[0]}
    if name not in TABLES:
        return Row(name, cells)
    simple = dict(zip(("independent", "Chow-Liu", "100 Bernoullis", "published"), TABLES[name], strict=True))
    cells |= {what: Spread.of([value]) for what, value in simple.items()}
    return Row(name, cells, (Goal("MADE", max(simple["Chow-Liu"], simple["100 Bernoullis"]), statistic="min"),))


def bundled() -> tuple[Array, Array, Array]:
    """Digits as black and white pixels, so that there is a row without any data folder."""
    x = (load_digits().data > 7).astype(np.float64)
    order = np.random.default_rng(0).permutation(len(x))
    train, valid, test = x[order[:1200]], x[order[1200:1400]], x[order[1400:]]
    return train, valid, test


def measure(options: Options) -> Page:
    torch.set_num_threads(1)
    sets = {"digits, black and white": bundled()}
    for name in TABLES:
        rows = binary(options.data, name)
        if rows is None:
            print(f"{name}: skipped, there is no binary_density/{name}.npz in the folder given by --data")
        else:
            sets[name] = rows
    table = Table(
        "Test log-likelihood, nats per row", [row_of(n, rows, options) for n, rows in sets.items()], ("mean", "min")
    )
    return Page("made_density", "Exact likelihoods of binary tables", TEXT, [table])


if __name__ == "__main__":
    run_script(measure)
