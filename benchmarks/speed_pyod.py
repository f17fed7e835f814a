"""Engram's autoencoder beside PyOD's: training, scoring, and the time to the same held-out error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from made_rows import Array, correlated, curved
from measure import Goal, Options, Page, Row, Spread, Table, cpu_seconds, paired, run_script
from pyod.models.auto_encoder import AutoEncoder
from sklearn.datasets import load_breast_cancer
from time_to_error import Watched

from engram import Autoencoder

TRAINING, SCORING, SAME_ERROR = Goal("ratio", 2), Goal("ratio", 25), Goal("times less to PyOD's error", 20)
NAMES = ("Engram, rows/s", "PyOD, rows/s")
REAL = ("23_mammography", "19_landsat", "7_Cardiotocography", "41_Waveform")  # in DIR/adbench
TEXT = """\
CPU time (`time.process_time`) on one thread; medians of 5 pairs measured in turn, and the ratio of each pair.
PyOD's `AutoEncoder` has its documented defaults: standardised columns, hidden_neuron_list=[64, 32] (a network
columns-64-32-64-columns), ReLU, batch normalisation, dropout .2, Adam at 1e-3 with weight decay 1e-5,
batch_size=32, 10 epochs, no held-out rows. Only verbose=0 was added (its progress bar is off). Its `fit` also
scores its training rows to set a threshold; that time is measured apart and taken off, in PyOD's favour.

Training: 20,000 rows of 30 correlated columns; Engram is `Autoencoder(hidden=(64,), code_size=32, batch_size=32,
max_epochs=10)`, all of `fit()`. 'Equal network' switches PyOD's batch normalisation and dropout off, which makes it
faster; the activation (ReLU against ELU) and Engram's learned scale stay different. Scoring: `decision_function`
against `score_samples` of 20,000 rows from a float64 array; PyOD's default is batches of 32, and the row with
batch_size=4096 is for those who know that argument.

Time to the same held-out error: both get the same training rows and default settings (Engram holds a tenth of them
out, PyOD none), five seeds. The error is the mean squared error per cell on test rows (a quarter) that neither saw,
in units of the training columns' standard deviations. For PyOD it is computed from its own scores:
`decision_function` is the Euclidean distance between a standardised row and its reconstruction, with dropout off
and batch normalisation's running averages. For Engram it is computed at the end of every epoch (that time is taken
off) and, after `fit`, from `reconstruct`. PyOD's code has 32 units, which is no bottleneck for tables of about as
many columns or fewer; Engram's automatic code is about a third of the columns, a harder task. Where that never gets
as good, a second row has a code of 32. 's to PyOD's error' is the CPU time of Engram's `fit`, from its first line
on, up to the end of the first epoch whose error is at most PyOD's; 'whole fit' compares the whole fits, although
Engram's goes on to a smaller error. On a table of a few hundred rows PyOD's whole training takes a tenth of a
second, and what Engram does before its first step weighs.
"""


@dataclass
class Rows:
    """A table, split into rows to train on and rows to test on."""

    name: str
    train: Array
    test: Array


def split(name: str, x: Array, seed: int = 0) -> Rows:
    order = np.random.default_rng(seed).permutation(len(x))
    n = len(x) * 3 // 4
    varies = x[order[:n]].std(0) > 0
    return Rows(name, *(np.ascontiguousarray(x[part][:, varies], np.float64) for part in (order[:n], order[n:])))


def peer(random_state: int = 0, **given: Any) -> AutoEncoder:
    return AutoEncoder(verbose=0, random_state=random_state, **given)


def fit_seconds(detector: AutoEncoder, x: Array) -> float:
    """CPU time of PyOD's fit without the scoring of its training rows."""
    total = cpu_seconds(lambda: detector.fit(x))
    return total - cpu_seconds(lambda: detector.decision_function(x))


def whole_fit_seconds(detector: AutoEncoder, x: Array) -> float:
    return cpu_seconds(lambda: detector.fit(x))


def training_table(options: Options) -> Table:
    n, epochs = (256, 1) if options.quick else (20_000, 10)
    x = correlated(n, 30, 8)

    def ours(early_stopping: bool) -> Callable[[], float]:
        def once() -> float:
            model = Autoencoder(
                hidden=(64,),
                code_size=32,
                batch_size=32,
                max_epochs=epochs,
                early_stopping=early_stopping,
                random_state=0,
            )
            seconds = cpu_seconds(lambda: model.fit(x))
            return model.data_["trained_on"] * model.history_.reports[-1]["epoch"] / seconds

        return once

    def theirs(spent: Callable[..., float] = fit_seconds, **given: Any) -> Callable[[], float]:
        return lambda: n * epochs / spent(peer(epoch_num=epochs, **given), x)

    plain = {"batch_norm": False, "dropout_rate": 0}
    measured = {
        "equal network": (ours(False), theirs(**plain)),
        "equal network, PyOD's time with its scoring": (ours(False), theirs(whole_fit_seconds, **plain)),
        "PyOD's defaults": (ours(False), theirs()),
        "PyOD's defaults, Engram with held-out rows": (ours(True), theirs()),
    }
    rows = [Row(what, paired(a, b, options.pairs, NAMES), (TRAINING,)) for what, (a, b) in measured.items()]
    return Table("Training", rows)


def scoring_table(options: Options) -> Table:
    x = correlated(256 if options.quick else 20_000, 30, 8)
    model = Autoencoder(hidden=(64,), code_size=32, batch_size=32, max_epochs=1, random_state=0).fit(x)
    detector = peer(epoch_num=1).fit(x)

    def ours() -> float:
        return len(x) / cpu_seconds(lambda: [model.score_samples(x) for _ in range(10)]) * 10

    rows = []
    for what, batch_size, goals in (
        ("PyOD's default batches", None, (SCORING,)),
        ("PyOD with batch_size=4096", 4096, ()),
    ):

        def theirs(size: int | None = batch_size) -> float:
            return len(x) / cpu_seconds(lambda: detector.decision_function(x, size))

        ours(), theirs()
        rows.append(Row(what, paired(ours, theirs, options.pairs, NAMES), goals))
    return Table("Scoring", rows)


def tables_of_rows(options: Options) -> list[Rows]:
    n = 400 if options.quick else 20_000
    found = [
        split(f"{n:,} x 30, correlated (8 factors)", correlated(n, 30, 8)),
        split(f"{n:,} x 30, curved (4 factors)", curved(n, 30, 4)),
        split("breast-cancer, 569 x 30", load_breast_cancer().data),
    ]
    folder = None if options.data is None else options.data / "adbench"
    for name in REAL if folder is not None and not options.quick else ():
        path = folder / f"{name}.npz"
        if not path.exists():
            print(f"skipped {name}: {path.name} is not in DATA/adbench")
            continue
        with np.load(path, allow_pickle=False) as arrays:
            x = arrays["X"].astype(np.float64)
        found.append(split(f"{name.partition('_')[2]}, {len(x):,} x {x.shape[1]}", x))
    return found


def same_error(rows: Rows, seed: int, code_size: Any) -> tuple[Watched, dict[str, float]]:
    """Fit both once and return Engram's model and what the table shows; a fit that never was as good counts as 0 times less."""
    scale = rows.train.std(0)
    model = Watched(random_state=seed, code_size=code_size)
    found = {"Engram's fit, s": model.fit_watched(rows.train, rows.test, scale)}
    found["Engram's error"] = float(np.square((model.reconstruct(rows.test) - rows.test) / scale).mean())
    detector = peer(random_state=seed)
    found["PyOD's fit, s"] = fit_seconds(detector, rows.train)
    found["PyOD's error"] = float(np.square(detector.decision_function(rows.test)).mean() / rows.test.shape[1])
    reached = model.seconds_to(found["PyOD's error"])
    found["s to PyOD's error"] = found["Engram's fit, s"] if reached is None else reached
    found["times less to PyOD's error"] = 0.0 if reached is None else found["PyOD's fit, s"] / reached
    found["times less, whole fit"] = found["PyOD's fit, s"] / found["Engram's fit, s"]
    return model, found


def same_error_rows(rows: Rows, pairs: int, code_size: Any = "auto") -> list[Row]:
    """Return the row with this code size and, where an automatic code never gets as good, one with PyOD's 32 units."""
    runs = [same_error(rows, seed, code_size) for seed in range(pairs)]
    cells = {name: Spread.of([found[name] for _, found in runs]) for name in runs[0][1]}
    times = cells["times less to PyOD's error"]
    what = f"{rows.name}, {'automatic code' if code_size == 'auto' else 'code'} {runs[0][0].shapes_.code_size}"
    if times.min > 0 or code_size != "auto":
        return [Row(what, cells, (SAME_ERROR,), f"times less: {times.min:.3g} to {times.max:.3g}")]
    return [Row(what, cells, (), "never as good, see the next row"), *same_error_rows(rows, pairs, 32)]


def measure(options: Options) -> Page:
    torch.set_num_threads(1)
    peer(epoch_num=1).fit(correlated(64, 5, 2))  # compiles what PyOD leaves to numba
    found = tables_of_rows(options)
    rows = [row for table in found for row in same_error_rows(table, options.pairs)]
    rows += same_error_rows(found[1], options.pairs, 32)
    return Page(
        "speed_pyod",
        "Engram beside PyOD's AutoEncoder",
        TEXT,
        [training_table(options), scoring_table(options), Table("Time to the same held-out error", rows)],
    )


if __name__ == "__main__":
    run_script(measure)
