"""How well codes of 1,000 units tell digits apart: a top-k autoencoder, and denoising and contractive beside plain ones, on MNIST."""

from __future__ import annotations

import gzip
import statistics
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

Data = tuple[Array, Array, Array, Array]
STRENGTHS = (0.003, 0.01, 0.03, 0.1)
WIDE: dict[str, Any] = {"hidden": (), "tied": True, "code_size": 1_000}
TOP_K: dict[str, Any] = {"sparsity": "topk", "sparsity_level": 25, "sparsity_alpha": 6.0}
PART, SEEDS, EPOCHS = 10_000, range(5), 20
SMALL: dict[str, Any] = {"code_activation": "sigmoid", "max_epochs": EPOCHS, "early_stopping": False}
RIVALS: dict[str, dict[str, Any]] = {
    "denoising, masking 0.3": {"corruption": "masking", "corruption_level": 0.3},
    "contractive, weight 1": {"contraction": 1.0},
}
TEXT = """\
One layer of 1,000 code units with tied weights learns MNIST pictures (784 pixels in [0, 1]) without labels; then scikit-learn's
logistic regression tells the ten digits apart by the codes, its C chosen from .003, .01, .03, .1 by 5-fold cross-validation on
the training codes. Codes are divided by one common number, the mean over units of their standard deviations on training pictures.
Errors are in per cent of the 10,000 official test pictures. 'dead' counts units that are zero on all training pictures, of
sigmoid units those whose code varies by less than .001 there; 'squared error' is the reconstruction's, per test picture.

The top-k autoencoder learns all 60,000 training pictures; the 25 largest units of each row stay while learning. Alpha, the share
of units that stay at use over those while learning, is 6: of 1, 3, 6 and all units it was best on the last 10,000 training pictures.
All else is what Engram chooses. Published (Makhzani & Frey 2013, arXiv:1312.5663, logistic regression on 1,000 units): k = 25 1.35,
raw pixels 7.2.

The second table asks whether denoising (Vincent et al. 2010) and contractive (Rifai et al. 2011) codes tell digits apart better than a
plain autoencoder's of the same size: sigmoid units, the first 10,000 training pictures, 20 epochs, C from .03 to 10, seeds 0 to 4. 'better
by' is the plain autoencoder's test error less this one's at the same seed: mean over seeds, with its standard error; 'yes' is a mean above
zero by more than two standard errors. Corruption, its level and the contraction's weight were chosen on the last 10,000 training
pictures with another seed.
"""


def labels(folder: Path, part: str) -> Array:
    raw = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=8)


def classified(
    codes: Array, y: Array, test_codes: Array, test_y: Array, strengths: tuple[float, ...] = STRENGTHS
) -> dict[str, float]:
    """Return the test error in per cent, and the C that cross-validation chose."""
    scale = codes.std(0).mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(LogisticRegression(max_iter=200), {"C": list(strengths)}, cv=5).fit(codes / scale, y)
    wrong = 100 * float(1 - search.score(test_codes / scale, test_y))
    return {"test error %": wrong, "C": float(search.best_params_["C"])}


def loaded(options: Options) -> Data:
    if options.quick:
        x = np.random.default_rng(0).random((200, 784), dtype=np.float32)
        y = np.arange(200) % 3
        return x, y, x, y
    assert options.data is not None
    folder = options.data / "images" / "mnist"
    return pictures(folder, "train"), labels(folder, "train"), pictures(folder, "t10k"), labels(folder, "t10k")


def told_apart(data: Data, seed: int, strengths: tuple[float, ...] = STRENGTHS, **given: Any) -> dict[str, float]:
    """Fit an autoencoder with these parameters, and classify by its codes."""
    x, y, test, test_y = data
    model = Autoencoder(random_state=seed, **WIDE, **given).fit(x)
    codes = model.transform(x)
    found = classified(codes, y, model.transform(test), test_y, strengths)
    still = (codes == 0).all(0) if "sparsity" in given else codes.std(0) < 1e-3
    return found | {
        "dead": float(still.sum()),
        "squared error": error(test, model.reconstruct(test)),
        "epochs": float(model.n_iter_),
    }


def rivals(data: Data, *, quick: bool) -> list[Row]:
    """Return the plain autoencoder's row, and each rival's with what it is better by, seed by seed."""
    part: Data = (data[0][:PART], data[1][:PART], data[2], data[3])
    settings = SMALL | ({"max_epochs": 1} if quick else {})
    seeds = (0, 1) if quick else tuple(SEEDS)
    strengths = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)[:: 5 if quick else 1]
    rows: list[Row] = []
    for what, given in {"plain": {}, **RIVALS}.items():
        runs = [told_apart(part, seed, strengths, **settings, **given) for seed in seeds]
        cells = {name: Spread.of([run[name] for run in runs]) for name in runs[0]}
        if rows:
            plain = rows[0].cells["test error %"].values
            gains = [a - b for a, b in zip(plain, cells["test error %"].values, strict=True)]
            noise = statistics.stdev(gains) / len(gains) ** 0.5
            cells |= {"better by": Spread.of(gains), "its standard error": Spread.of([noise])}
            cells["clearly better by"] = Spread.of([statistics.fmean(gains) - 2 * noise])
        rows.append(Row(what, cells, (Goal("clearly better by", 0.0),) if rows else ()))
    return rows


def measure(options: Options) -> Page:
    data, quick = loaded(options), options.quick
    found = told_apart(data, 0, **TOP_K, **({"max_epochs": 1} if quick else {}))
    rows = [Row("top-k (k = 25)", alone(found), (Goal("test error %", 1.5, below=True),))]
    rows.append(Row("raw pixels", alone(classified(*data))))
    page = Page("codes_mnist", "Telling digits apart by codes learned without labels", TEXT)
    page.tables.append(Table("All training pictures, seed 0", rows))
    title = f"The first {PART:,} training pictures, {len(SEEDS)} seeds"
    page.tables.append(Table(title, rivals(data, quick=quick), ("mean",)))
    return page


def alone(values: dict[str, float]) -> dict[str, Spread]:
    return {name: Spread.of([value]) for name, value in values.items()}


if __name__ == "__main__":
    run_script(measure)
