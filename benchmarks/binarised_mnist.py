"""How likely held-out digits are under VAEs: fixed-binarised MNIST, the network of pythae's published row."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from made_rows import Array
from measure import Goal, Options, Page, Row, Spread, Table, cpu_seconds, run_script
from torch import nn

from engram import VAE

DRAWS, PART, SHORT = 200, 10_000, 10
PUBLISHED = "VAE, ReLU as published"
TWICE = "VAE, 784-400-400-40"
EPOCHS = {"VAE": 120, PUBLISHED: 80, TWICE: 80, "VAE, VampPrior of 200": 30}  # on all rows
FEW = 2_000  # test rows that the variants are compared on, every fifth: they are sorted by digit
NETWORK: dict[str, Any] = {"hidden": (400,), "code_size": 40, "network": "mlp", "likelihood": "bernoulli"}
STEPS: dict[str, Any] = {"batch_size": 64, "learning_rate": 3e-3, "ema": 0.02, "warmup": 0.0}
TEXT = """\
Fixed binarisation (Larochelle's rows): 50,000 to learn from, 10,000 to choose the weights by, 10,000 to test on, scored
once. The network is 784-400-40 and back, a Bernoulli for each of the 784 pixels; the seed is 0. Steps are of 64 rows at a
learning rate of 3e-3, weights are averaged (half-life 2 % of training), there is no warm-up of the KL: chosen on the
validation rows, never on test rows, by fits of 10 epochs (with ELU; NLL of the first 2,000 of them with k = 50: 102.2 as Engram
chooses; 100.9 at 64 rows and 1e-3; 97.7 at 2e-3 with averages and a warm-up of a tenth; 96.1 with these). All else is what
Engram chooses, but for the epochs in the table. NLL is the importance-sampled estimate of - log p(x) with k = 200 even
draws a row from q(z | x), in nats per test row, an upper bound in expectation; 'error' is its standard error over rows;
ELBO is `score_samples` (16 fixed noise vectors).

Published for this network and estimator: pythae's VAE 89.78 (500 epochs of 500 steps), arXiv:1505.05770 89.9. The budget here
is 120 epochs of 782 steps, less than half of that, or 80 of 500 with ReLU; 80 of 782 with two hidden layers; 30 with the VampPrior, whose
steps cost three times as much.

The row with ReLU has the hidden units of the published network where Engram's own are ELU; its steps are of 100 rows at 2e-3, and
matrices decay by .05. Why the goal is missed was looked for on every fifth validation row (they are sorted, too; k = 50) and every
25th training row. That fit has NLL 90.7 on training rows and 93.3 on validation rows (ELBO -94.1 and -97.2): 50,000 fixed
binarisations are learned by heart in part, and the training rows themselves are not at 89.9. Nothing that was tried lowers the
validation rows' NLL at the same training rows' NLL by more than .3: fits of 14 epochs of 500 steps had (training, validation) ELU
94.1, 95.9; ReLU 93.2, 95.2; ReLU at 1.5e-3 94.8, 96.5; with a weight decay of .2 95.3, 96.7; at 4e-4 102.7, 103.6; fits of 20 epochs
of 782 steps ELU 92.8, 94.7; with a twentieth of the encoder's input pixels at random 93.8, 95.5. The KL is 28 to 32 in all of them.
Nor do other ways of learning leave that curve. A bare PyTorch loop (its initial weights, Adam at 1e-3 falling to 2 % of that, no weight
decay, no averages) had 93.5, 95.4 after 37 epochs of 500 steps. By the ELBO, at which the row with ReLU passed 99.2, 96.7 (validation,
training) and ended at 97.4, 94.1: 300 epochs at 1.5e-3 with a weight decay of .02 had 97.0, 93.1 after 130, 300 epochs at 4e-4 without
weight decay 100.5, 98.2 after 40 (both were ended there), 60 epochs with a warm-up of the KL over three tenths 98.5, 95.7 (NLL 93.9,
91.7: 39 units are active, which is .2 better). On the weights of the row with ReLU and every 50th test row pythae's own `get_nll` says
91.2 and `log_likelihood` 91.1 (k = 200 both), so it is not the estimate. The published settings themselves (steps of
100 rows at 1e-4, no weight decay, PyTorch's initial weights) were followed for 174 of their 500 epochs: 100.0, 97.8, on that curve,
and the validation rows' ELBO rose by .16 in the last ten epochs; the fit was ended there.

A second hidden layer of 400 on either side leaves that curve: at NLL 88.3 of training rows its validation rows have 91.4 (after 30
epochs), at 86.2 they have 90.2 (after 80; k = 50, by the settings of the first row, which were not chosen for it), and test rows are
below the goal. It is not the network that the published row names; whether that one had more layers than its name says is not known.

The variants are compared at the same number of epochs on the first 10,000 training rows and on every fifth test row (test
rows are sorted by digit: the first 2,000 would be zeros and ones alone); 'error of that' is the standard error over rows of
the difference. Importance weighting with k draws costs about k decoder passes a step, which CPU minutes show.
"""
# of the published network, whose hidden units are rectified; Engram's own are ELU
RECTIFIED: dict[str, Any] = {"batch_size": 100, "learning_rate": 2e-3, "weight_decay": 0.05}
VARIANTS: dict[str, dict[str, Any]] = {
    "VAE": {},
    "VAE, VampPrior of 200": {"prior": "vamp", "prior_size": 200},
    "IWAE, k = 5": {"importance": 5},
    "IWAE, k = 50": {"importance": 50},
}


def digits(options: Options) -> dict[str, Array]:
    if options.quick:
        made = (np.random.default_rng(0).random((40, 28, 28)) < 0.2).astype(np.float32)
        return {"train": made, "valid": made[:5], "test": made[:5]}
    assert options.data is not None
    packed = np.load(options.data / "images" / "mnist" / "binarized_mnist_larochelle.npz")
    return {
        part: np.unpackbits(packed[part], axis=1)[:, :784].reshape(-1, 28, 28).astype(np.float32) for part in packed
    }


def rectified() -> dict[str, Any]:
    """Return what the published network differs in, its two bodies among it; the heads are Engram's."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 400), nn.ReLU())
    return {"encoder": encoder, "decoder": nn.Sequential(nn.Linear(40, 400), nn.ReLU()), **RECTIFIED}


def fitted(
    data: dict[str, Array], rows: int, test_rows: int, epochs: int, **given: Any
) -> tuple[dict[str, Spread], Array]:
    """Return the cells of a row, and log p(x) of each test row."""
    model = VAE(random_state=0, max_epochs=epochs, **NETWORK | STEPS | given)
    seconds = cpu_seconds(lambda: model.fit(data["train"][:rows], validation=data["valid"]))
    return judged(model, data["test"][:: max(1, len(data["test"]) // test_rows)], seconds)


def judged(model: VAE, test: Array, seconds: float) -> tuple[dict[str, Spread], Array]:
    """Return the cells of a fitted model's row, and log p(x) of each test row."""
    likely = model.log_likelihood(test, n=DRAWS)
    found = {
        "NLL": -likely.mean(),
        "error": likely.std() / len(likely) ** 0.5,
        "ELBO": model.score(test),
        "KL": model.kl_.sum(),
        "active units": (model.transform(test).var(0) > 0.01).sum(),
        "epochs": model.n_iter_,
        "CPU minutes": seconds / 60,
    }
    return cells(found), likely


def cells(values: dict[str, float]) -> dict[str, Spread]:
    return {name: Spread.of([float(value)]) for name, value in values.items()}


def measure(options: Options) -> Page:
    data, quick = digits(options), options.quick
    page = Page("binarised_mnist", "VAEs on fixed-binarised MNIST", TEXT)
    found: list[Row] = []
    plain: Array | None = None
    for name, given in VARIANTS.items():
        row, likely = fitted(data, PART, FEW, 1 if quick else SHORT, **given)
        goals: tuple[Goal, ...] = ()
        if plain is None:
            plain = likely
        else:
            less = likely - plain
            row |= cells({"below the VAE's NLL": less.mean(), "error of that": less.std() / len(less) ** 0.5})
            goals = (Goal("below the VAE's NLL", 0.0),)
        found.append(Row(name, row, goals))
    whole: list[Row] = []
    others: dict[str, dict[str, Any]] = {PUBLISHED: rectified(), TWICE: {"hidden": (400, 400)}}
    for name, epochs in EPOCHS.items():
        given = others.get(name, VARIANTS.get(name, {}))
        row, _ = fitted(data, len(data["train"]), len(data["test"]), 1 if quick else epochs, **given)
        whole.append(Row(name, row, (Goal("NLL", 89.9, below=True),)))
    page.tables.append(Table("All training rows", whole))
    page.tables.append(Table(f"The first {PART:,} training rows, {SHORT} epochs", found))
    return page


if __name__ == "__main__":
    run_script(measure)
