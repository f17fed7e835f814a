"""Stacked MNIST with two digits: how many of the 100 pairs a GAN draws, and how evenly."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from codes_mnist import labels
from deep_autoencoder import pictures
from made_rows import Array
from measure import Goal, Options, Page, Row, Spread, Table, cpu_seconds, run_script

import engram
from engram.evaluation.judge import Judge
from engram.metrics import mode_kl

LEARN, PAIRS, DRAWN, EPOCHS = 30_000, 60_000, 10_000, 5
MODELS = ("gan", "dcgan")
TEXT = """\
Colour pictures of 28 x 28, a digit of MNIST in red and one in green, drawn independently: 100 modes. GANs learn
60,000 such pairs of the first 30,000 training pictures without labels; all else is what Engram chooses but for the
number of epochs in the table; seed 0. 10,000 pictures are drawn, and a classifier (`engram.evaluation.judge.Judge`)
that learned the other 30,000 training pictures tells both digits; its accuracy is on the 10,000 test pictures. A mode
counts with one picture; KL is that of the drawn pairs' histogram against the even one, in nats. Not to be compared
with the published table of 1,000 modes (three digits).
"""


def stacked(x: Array, n: int, seed: int) -> Array:
    """Return n pairs of pictures, (n, 28, 28, 3); the third channel is black."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(len(x), size=(2, n))
    return np.stack([x[first], x[second], np.zeros_like(x[first])], -1)


def tensor(x: Array) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(x), dtype=torch.float32).reshape(-1, 1, 28, 28)


def counted(judge: Judge, drawn: Array, n: int) -> dict[str, float]:
    pairs = [judge.predict(tensor(drawn[..., channel])) for channel in (0, 1)]
    found, kl = mode_kl(n * pairs[0] + pairs[1], n * n)
    return {"modes": found, "KL": kl}


def measure(options: Options) -> Page:
    passes: Any  # of the judge
    if options.quick:
        x = test = np.random.default_rng(0).random((200, 28, 28), dtype=np.float32)
        y = test_y = np.arange(200) % 10
        half, pairs, n_drawn, epochs, passes = 100, 100, 50, 1, 1
    else:
        assert options.data is not None
        folder = options.data / "images" / "mnist"
        x, test = (pictures(folder, part).reshape(-1, 28, 28) for part in ("train", "t10k"))
        y, test_y = labels(folder, "train"), labels(folder, "t10k")
        half, pairs, n_drawn, epochs, passes = LEARN, PAIRS, DRAWN, EPOCHS, "auto"
    judge = Judge().fit(tensor(x[half:]), y[half:], random_state=0, max_epochs=passes)
    learned = stacked(x[:half], pairs, 0)
    rows = []
    for name in MODELS:
        model: Any = engram.create(name, random_state=0, max_epochs=epochs)
        seconds = cpu_seconds(lambda model=model: model.fit(learned))
        found = counted(judge, np.asarray(model.sample(n_drawn, random_state=0)), 10)
        found |= {"epochs": epochs, "steps": model.history_.reports[-1]["step"], "CPU minutes": seconds / 60}
        goals = (Goal("modes", 99), Goal("KL", 0.15, below=True), Goal("CPU minutes", 60, below=True))
        rows.append(Row(name, cells(found), goals if name == "gan" else ()))
    rows.append(Row("real pairs", cells(counted(judge, stacked(test, n_drawn, 1), 10))))
    accuracy = 100 * judge.accuracy(tensor(test), test_y)
    rows.append(Row("the classifier", cells({"accuracy %": accuracy})))
    page = Page("stacked_mnist", "Stacked MNIST, 100 modes", TEXT)
    page.tables.append(Table(f"{n_drawn:,} pictures", rows))
    return page


def cells(values: dict[str, float]) -> dict[str, Spread]:
    return {name: Spread.of([float(value)]) for name, value in values.items()}


if __name__ == "__main__":
    run_script(measure)
