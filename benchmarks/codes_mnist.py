"""How well a sparse code of 1,000 units tells digits apart: a top-k autoencoder on MNIST, beside raw pixels."""

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

STRENGTHS = {"C": [0.003, 0.01, 0.03, 0.1]}
MODEL: dict[str, Any] = {"hidden": (), "tied": True, "code_size": 1_000}
MODEL |= {"sparsity": "topk", "sparsity_level": 25, "sparsity_alpha": 6.0}
TEXT = """\
One layer of 1,000 code units with tied weights, of which the 25 largest of each row stay while learning, learns the
60,000 MNIST pictures (784 pixels in [0, 1]) without labels; then scikit-learn's logistic regression tells the ten
digits apart by the codes, its C chosen from .003, .01, .03, .1 by 5-fold cross-validation on the training codes. Codes
are divided by one common number, the mean over units of their standard deviations on training pictures. Errors are in
per cent of the 10,000 official test pictures. Alpha, the share of units that stay at use over those while learning, is
6: of 1, 3, 6 and all units it was best on the last 10,000 training pictures. All else is what Engram chooses. 'dead' counts
units that are zero on all training pictures; 'squared error' is the reconstruction's, per test picture, with these units.

Published (Makhzani & Frey 2013, arXiv:1312.5663, logistic regression on 1,000 units): k = 25 1.35, raw pixels 7.2.
"""


def labels(folder: Path, part: str) -> Array:
    raw = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=8)


def classified(codes: Array, y: Array, test_codes: Array, test_y: Array) -> dict[str, float]:
    """Return the test error in per cent, and the C that cross-validation chose."""
    scale = codes.std(0).mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = GridSearchCV(LogisticRegression(max_iter=200), STRENGTHS, cv=5).fit(codes / scale, y)
    wrong = 100 * float(1 - search.score(test_codes / scale, test_y))
    return {"test error %": wrong, "C": float(search.best_params_["C"])}


def loaded(options: Options) -> tuple[Array, Array, Array, Array]:
    if options.quick:
        x = np.random.default_rng(0).random((200, 784), dtype=np.float32)
        y = np.arange(200) % 3
        return x, y, x, y
    assert options.data is not None
    folder = options.data / "images" / "mnist"
    return pictures(folder, "train"), labels(folder, "train"), pictures(folder, "t10k"), labels(folder, "t10k")


def top_k(data: tuple[Array, Array, Array, Array], **given: Any) -> dict[str, float]:
    x, y, test, test_y = data
    model = Autoencoder(random_state=0, **MODEL, **given).fit(x)
    codes = model.transform(x)
    found = classified(codes, y, model.transform(test), test_y)
    return found | {
        "dead": float((codes == 0).all(0).sum()),
        "squared error": error(test, model.reconstruct(test)),
        "epochs": float(model.n_iter_),
    }


def measure(options: Options) -> Page:
    data = loaded(options)
    found = top_k(data, **({"max_epochs": 1} if options.quick else {}))
    rows = [Row("top-k (k = 25)", cells(found), (Goal("test error %", 1.5, below=True),))]
    rows.append(Row("raw pixels", cells(classified(*data))))
    page = Page("codes_mnist", "Telling digits apart by codes learned without labels", TEXT)
    page.tables.append(Table("All training pictures, seed 0", rows))
    return page


def cells(values: dict[str, float]) -> dict[str, Spread]:
    return {name: Spread.of([value]) for name, value in values.items()}


if __name__ == "__main__":
    run_script(measure)
