"""The deep autoencoder of Hinton & Salakhutdinov (Science 313, 2006) on MNIST, and on Fashion-MNIST, beside PCA."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any

import numpy as np
from made_rows import Array
from measure import Goal, Options, Page, Row, Spread, Table, run_script
from sklearn.decomposition import PCA

from engram import Autoencoder

CODE = 30
SETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
GOALS = {
    "mnist": (
        Goal("test error", 3.0, below=True),
        Goal("test error", 2.65, below=True),
        Goal("minutes", 25, below=True),
    ),
    "fashion_mnist": (Goal("test error", 12.24, below=True),),
}
TEXT = """\
Squared error per picture, summed over the 784 pixels in [0, 1], on the 10,000 official test pictures; the model sees the
60,000 training pictures as an array of floats and holds a tenth of them out itself. It is
`Autoencoder(code_size=30, hidden=(1000, 500, 250), random_state=0)`: every other setting is what Engram chooses. 'train
error' is that of the first 10,000 training pictures. PCA (scikit-learn) has 30 components. Minutes are wall-clock time of
`fit` on the machine below, all threads that Engram takes; CPU minutes are of the process.

Published for MNIST: 3.00 with pre-training by restricted Boltzmann machines (Hinton & Salakhutdinov 2006), 13.87 for PCA.
"""


def pictures(folder: Path, part: str) -> Array:
    """Return pictures of an idx file as (rows, 784) float32 in [0, 1]."""
    raw = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255


def error(x: Array, back: Array) -> float:
    return float(np.square(x - back).sum(1).mean())


def row(name: str, folder: Path) -> Row:
    train, test = pictures(folder, "train"), pictures(folder, "t10k")
    pca = PCA(CODE, random_state=0).fit(train)
    model = Autoencoder(code_size=CODE, hidden=(1000, 500, 250), random_state=0)
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(train)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    values = {
        "test error": error(test, model.reconstruct(test)),
        "train error": error(train[:10_000], model.reconstruct(train[:10_000])),
        "PCA test error": error(test, pca.inverse_transform(pca.transform(test))),
        "epochs": model.n_iter_,
        "minutes": wall / 60,
        "CPU minutes": cpu / 60,
    }
    return Row(SETS[name], {key: Spread.of([float(value)]) for key, value in values.items()}, GOALS[name])


def small_row() -> Row:
    """Return what a quick run shows: made pictures, two epochs."""
    train: Any = np.random.default_rng(0).random((300, 784), dtype=np.float32)
    model = Autoencoder(code_size=CODE, hidden=(32,), random_state=0, max_epochs=2).fit(train)
    return Row("noise", {"test error": Spread.of([error(train, model.reconstruct(train))])})


def measure(options: Options) -> Page:
    page = Page("deep_autoencoder", "A deep autoencoder beside principal components", TEXT)
    found = [small_row()] if options.quick else []
    folders = {name: options.data / "images" / name for name in SETS} if options.data and not options.quick else {}
    found += [row(name, folder) for name, folder in folders.items() if folder.is_dir()]
    if not found:
        raise SystemExit(
            "deep_autoencoder: skipped, it needs --data DIR with images/mnist or images/fashion_mnist in it."
        )
    page.tables.append(Table("Squared error per picture, code 30", found))
    return page


if __name__ == "__main__":
    run_script(measure)
