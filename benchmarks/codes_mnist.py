"""How well codes of 1,000 units tell digits apart: top-k, denoising, contractive and plain autoencoders on MNIST."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from deep_autoencoder import error, pictures
from made_rows import Array
from measure import Goal, Options, Page, Row, Spread, Table, run_script
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from engram import Autoencoder

UNITS, ROWS, SEEDS = 1_000, 10_000, 5
STRENGTHS = {"C": [0.01, 0.1, 1.0, 10.0]}
ONE_LAYER: dict[str, Any] = {"hidden": (), "tied": True}
TOP_K: dict[str, Any] = {"sparsity": "topk", "sparsity_level": 25, "sparsity_alpha": 3.0}
SIGMOID: dict[str, Any] = {"code_activation": "sigmoid"}
FAMILY: dict[str, dict[str, Any]] = {
    "plain": SIGMOID,
    "denoising (masking .25)": {**SIGMOID, "corruption": "masking", "corruption_level": 0.25},
    "contractive (.3)": {**SIGMOID, "contraction": 0.3},
    "top-k (k = 25)": TOP_K,
}
TEXT = """\
One layer of 1,000 code units with tied weights learns MNIST pictures (784 pixels in [0, 1]) without labels; then
scikit-learn's logistic regression tells the ten digits apart by the codes, its C chosen from .01, .1, 1, 10 by 5-fold
cross-validation on the training codes. Codes are divided by one common number, the mean over units of their standard
deviations on training pictures. Errors are in per cent of the 10,000 official test pictures. All else is what Engram
chooses. 'dead' counts code units that are zero on all training pictures; 'squared error' is the reconstruction's, per
test picture.

Published for all 60,000 training pictures (Makhzani & Frey 2013, table 2, logistic regression on 1,000 units): k-sparse
autoencoder with k = 25 1.35, raw pixels 7.2; there C, alpha and epochs were chosen in ways that the paper does not
say. Here alpha, the share of units that stay at use over those while learning, is 3.

The family is compared on the first 10,000 training pictures with five seeds: 'better than plain' is the plain
autoencoder's error minus this one's, seed by seed. The plain, the denoising and the contractive one have sigmoid units.
"""


def labels(folder: Path, part: str) -> Array:
    raw = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=8)


def classified(codes: Array, y: Array, test_codes: Array, test_y: Array) -> tuple[float, float]:
    """Return the test error in per cent, and the C that cross-validation chose."""
    scale = codes.std(0).mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(LogisticRegression(max_iter=150), STRENGTHS, cv=5).fit(codes / scale, y)
    return 100 * float(1 - search.score(test_codes / scale, test_y)), float(search.best_params_["C"])


def values(data: tuple[Array, Array, Array, Array], seed: int, **given: Any) -> dict[str, float]:
    x, y, test, test_y = data
    model = Autoencoder(code_size=UNITS, random_state=seed, **ONE_LAYER, **given).fit(x)
    codes, test_codes = model.transform(x), model.transform(test)
    wrong, strength = classified(codes, y, test_codes, test_y)
    return {
        "test error %": wrong,
        "dead": float((codes == 0).all(0).sum()),
        "squared error": error(test, model.reconstruct(test)),
        "C": strength,
        "epochs": float(model.n_iter_),
    }


def loaded(options: Options) -> tuple[Array, Array, Array, Array]:
    if options.quick:
        x = np.random.default_rng(0).random((200, 784), dtype=np.float32)
        y = np.arange(200) % 3
        return x, y, x, y
    assert options.data is not None
    folder = options.data / "images" / "mnist"
    return pictures(folder, "train"), labels(folder, "train"), pictures(folder, "t10k"), labels(folder, "t10k")


def family(data: tuple[Array, Array, Array, Array], *, quick: bool) -> list[Row]:
    part = (data[0][:ROWS], data[1][:ROWS], *data[2:])
    few: dict[str, Any] = {"max_epochs": 1} if quick else {}
    found = {
        name: [values(part, seed, **given, **few) for seed in range(1 if quick else SEEDS)]
        for name, given in FAMILY.items()
    }
    rows = []
    for name, runs in found.items():
        cells = {key: Spread.of([run[key] for run in runs]) for key in runs[0]}
        pairs = zip(found["plain"], runs, strict=True)
        better = Spread.of([plain["test error %"] - run["test error %"] for plain, run in pairs])
        goals = () if name == "plain" else (Goal("better than plain", 0.0, statistic="mean"),)
        rows.append(Row(name, cells | ({} if name == "plain" else {"better than plain": better}), goals))
    return rows


def measure(options: Options) -> Page:
    data = loaded(options)
    page = Page("codes_mnist", "Telling digits apart by codes learned without labels", TEXT)
    few: dict[str, Any] = {"max_epochs": 1} if options.quick else {}
    whole = {key: Spread.of([value]) for key, value in values(data, 0, **TOP_K, **few).items()}
    goals = (Goal("test error %", 1.5, below=True),)
    page.tables.append(Table("All training pictures, one seed", [Row("top-k (k = 25)", whole, goals)]))
    page.tables.append(Table("10,000 training pictures", family(data, quick=options.quick), ("mean", "min", "max")))
    return page


if __name__ == "__main__":
    run_script(measure)
