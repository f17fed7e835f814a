"""Clothes that GANs draw when they are asked for a class: do they show it, how far are they from real ones, do they cover them all?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from codes_mnist import labels
from deep_autoencoder import pictures
from made_rows import Array
from measure import Goal, Options, Page, Row, Spread, Table, cpu_seconds, run_script

import engram
from engram.evaluation.judge import Judge
from engram.metrics import frechet_distance, manifold, memorisation

LEARN, DRAWN = 30_000, 5_000
FULL, SHORT = 20, 8  # epochs: most of the default's own budget (10,000 steps, 24 epochs), and a third of it
SHEET = 10  # pictures of each class on the sheet
MODELS = [("gan", FULL), *((name, SHORT) for name in ("gan", "dcgan", "wgan", "wgan-gp", "conditional-vae"))]
TEXT = """\
Conditional models learn the first 30,000 training pictures of Fashion-MNIST with their classes, all else is what
Engram chooses but for the number of epochs in the table; seed 0. The judge (`engram.evaluation.judge.Judge`) learned
the other 30,000 and their classes; its accuracy on the first 5,000 test pictures is the row 'real test pictures'.
5,000 pictures are drawn, 500 of each class. 'agreement' is the share of them that the judge takes for the class asked
for. Frechet distance, precision, recall (k = 3), density and coverage (k = 5) are on the judge's 128 features,
against 5,000 test pictures; memorisation is on pixels: how often a drawn picture is nearer to a training picture than
a test picture is (.5 is what fresh pictures get, copies get 1). The floor is the other 5,000 test pictures;
'bootstrap' draws training pictures again. Numbers say nothing beside those of other features. The sheet of pictures
that models of 8 epochs drew, ten lines per model and a column per class, is `fashion_gans.png` beside this page.
"""


def loaded(options: Options) -> tuple[Array, Array, Array, Array]:
    if options.quick:
        x = np.random.default_rng(0).random((240, 28, 28), dtype=np.float32)
        y = np.arange(240) % 3
        return x, y, x[:60], y[:60]
    assert options.data is not None
    folder = options.data / "images" / "fashion_mnist"
    x, test = (pictures(folder, part).reshape(-1, 28, 28) for part in ("train", "t10k"))
    return x, labels(folder, "train"), test, labels(folder, "t10k")


def tensor(x: Array) -> torch.Tensor:
    return torch.as_tensor(np.asarray(x), dtype=torch.float32).reshape(-1, 1, 28, 28)


class Bench:
    """The judge, and what drawn pictures are compared with."""

    def __init__(self, options: Options) -> None:
        x, y, test, test_y = loaded(options)
        half = len(x) // 2 if options.quick else LEARN
        self.x, self.y = x[:half], y[:half]
        n = min(DRAWN, len(test) // 2)
        self.test, self.test_y, self.other, self.other_y = test[:n], test_y[:n], test[n : 2 * n], test_y[n : 2 * n]
        passes: Any = 1 if options.quick else "auto"
        self.judge = Judge().fit(tensor(x[half:]), y[half:], random_state=0, max_epochs=passes)
        self.reference = self.judge.features(tensor(self.test))
        self.classes = np.unique(y)
        self.asked = np.resize(self.classes, n)

    def values(self, drawn: Array, asked: Array) -> dict[str, float]:
        features = self.judge.features(tensor(drawn))
        spread = manifold(self.reference, features)
        flat = [np.asarray(part, dtype=np.float32).reshape(len(part), -1) for part in (drawn, self.x, self.test)]
        return {
            "agreement %": 100 * float((self.judge.predict(tensor(drawn)) == asked).mean()),
            "Frechet": frechet_distance(self.reference, features),
            "precision": spread.precision,
            "recall": spread.recall,
            "density": spread.density,
            "coverage": spread.coverage,
            "memorisation": memorisation(*flat),
        }

    def fitted(self, name: str, epochs: int) -> tuple[dict[str, float], Array]:
        model: Any = engram.create(name, random_state=0, max_epochs=epochs, conditional=True)
        seconds = cpu_seconds(lambda: model.fit(self.x, self.y))
        drawn = np.asarray(model.sample(len(self.asked), y=self.asked, random_state=0))
        steps = model.history_.reports[-1]["step"]
        return self.values(drawn, self.asked) | {"steps": steps, "CPU minutes": seconds / 60}, drawn


def sheet(drawn: dict[str, Array], path: Path) -> None:
    """Write pictures as a PNG: `SHEET` lines for each model, a column for each class."""
    from PIL import Image

    parts = []
    for rows in drawn.values():
        n = min(SHEET, len(rows) // 10)
        grid = (np.asarray(rows[: 10 * n]).clip(0, 1) * 255).astype(np.uint8).reshape(n, 10, 28, 28)
        parts += [grid.transpose(0, 2, 1, 3).reshape(28 * n, 280), np.full((6, 280), 128, np.uint8)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(parts)).save(path, optimize=True)


def spreads(values: dict[str, float]) -> dict[str, Spread]:
    return {name: Spread.of([float(value)]) for name, value in values.items()}


def measure(options: Options) -> Page:
    bench = Bench(options)
    page = Page("fashion_gans", "Fashion-MNIST, class by class", TEXT)
    rows, drawn = [], {}
    for name, budget in MODELS:
        epochs = 1 if options.quick else budget
        found, pictures_drawn = bench.fitted(name, epochs)
        is_default = name == "gan"
        goals = (Goal("agreement %", 90), Goal("CPU minutes", 120, below=True)) if is_default else ()
        what = f"{name}, {budget} epochs" if is_default else name
        rows.append(Row(what, spreads({"epochs": epochs} | found), goals))
        if budget == SHORT:
            drawn[name] = pictures_drawn
            sheet(drawn, options.output / "fashion_gans.png")
    rng = np.random.default_rng(0)
    again = rng.integers(len(bench.x), size=len(bench.test))
    rows.append(Row("bootstrap", spreads(bench.values(bench.x[again], bench.y[again]))))
    rows.append(Row("floor: other test pictures", spreads(bench.values(bench.other, bench.other_y))))
    own = 100 * float((bench.judge.predict(tensor(bench.test)) == bench.test_y).mean())
    rows.append(Row("real test pictures", {"agreement %": Spread.of([own])}))
    page.tables.append(Table("5,000 pictures of each", rows))
    return page


if __name__ == "__main__":
    run_script(measure)
