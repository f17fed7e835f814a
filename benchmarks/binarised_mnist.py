"""How likely held-out digits are under VAEs: fixed-binarised MNIST, the network of pythae's published row."""

from __future__ import annotations

from typing import Any

import numpy as np
from made_rows import Array
from measure import Goal, Options, Page, Row, Spread, Table, cpu_seconds, run_script

from engram import VAE

DRAWS, PART, EPOCHS, SHORT = 200, 10_000, 150, 20
NETWORK: dict[str, Any] = {"hidden": (400,), "code_size": 40, "network": "mlp", "likelihood": "bernoulli"}
TEXT = """\
Fixed binarisation (Larochelle's rows): 50,000 to learn from, 10,000 to choose the weights by, 10,000 to test on, scored
once. The network is 784-400-40 and back, a Bernoulli for each of the 784 pixels; the seed is 0 and all else is what
Engram chooses, but for the epochs in the table. NLL is the importance-sampled estimate of - log p(x) with k = 200 even
draws a row from q(z | x), in nats per test row, an upper bound in expectation; 'error' is its standard error over rows;
ELBO is `score_samples` (16 fixed noise vectors).

Published for this network and estimator: pythae's VAE 89.78 (500 epochs), arXiv:1505.05770 89.9.

The variants are compared at the same number of epochs on the first 10,000 training rows; importance weighting with k draws
costs about k decoder passes a step, which CPU minutes show.
"""
VARIANTS: dict[str, dict[str, Any]] = {
    "VAE": {},
    "VAE, VampPrior of 200": {"prior": "vamp", "prior_size": 200},
    "IWAE, k = 5": {"importance": 5},
    "IWAE, k = 50": {"importance": 50},
}


def digits(options: Options) -> dict[str, Array]:
    if options.quick:
        made = (np.random.default_rng(0).random((60, 28, 28)) < 0.2).astype(np.float32)
        return {"train": made, "valid": made[:20], "test": made[:20]}
    assert options.data is not None
    packed = np.load(options.data / "images" / "mnist" / "binarized_mnist_larochelle.npz")
    return {
        part: np.unpackbits(packed[part], axis=1)[:, :784].reshape(-1, 28, 28).astype(np.float32) for part in packed
    }


def values(data: dict[str, Array], rows: int, epochs: int, **given: Any) -> dict[str, Spread]:
    model = VAE(random_state=0, max_epochs=epochs, **NETWORK, **given)
    seconds = cpu_seconds(lambda: model.fit(data["train"][:rows], validation=data["valid"]))
    likely = model.log_likelihood(data["test"], n=DRAWS)
    found = {
        "NLL": -likely.mean(),
        "error": likely.std() / len(likely) ** 0.5,
        "ELBO": model.score(data["test"]),
        "KL": model.kl_.sum(),
        "active units": (model.transform(data["test"]).var(0) > 0.01).sum(),
        "epochs": model.n_iter_,
        "CPU minutes": seconds / 60,
    }
    return {name: Spread.of([float(value)]) for name, value in found.items()}


def measure(options: Options) -> Page:
    data, quick = digits(options), options.quick
    page = Page("binarised_mnist", "VAEs on fixed-binarised MNIST", TEXT)
    whole = values(data, len(data["train"]), 2 if quick else EPOCHS)
    page.tables.append(Table("All training rows", [Row("VAE", whole, (Goal("NLL", 89.9, below=True),))]))
    found: list[Row] = []
    for name, given in VARIANTS.items():
        cells, goals = values(data, PART, 1 if quick else SHORT, **given), ()
        if found:
            cells["below the VAE's NLL"] = Spread.of([found[0].cells["NLL"].median - cells["NLL"].median])
            goals = (Goal("below the VAE's NLL", 0.0),)
        found.append(Row(name, cells, goals))
    page.tables.append(Table(f"The first {PART:,} training rows, {SHORT} epochs", found))
    return page


if __name__ == "__main__":
    run_script(measure)
