"""What default models learn from the bundled tables, beside principal components; a ring, pure noise, and pythae's default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from made_rows import Array, ring, two_dimensional
from measure import Goal, Options, Page, Row, Spread, Table, run_script
from sklearn import datasets
from sklearn.decomposition import PCA

from engram import VAE, Autoencoder

SEEDS = 5
AS_GOOD = (Goal("difference", -0.005, statistic="min"),)
IN_USE = (Goal("KL", 0.5, statistic="min"), Goal("active units", 2, statistic="min"))
CLOSE = (Goal("Engram R2", 0.99, statistic="min"),)
ROUND = (Goal("off the circle", 0.1, below=True, statistic="max"), Goal("emptiest sector", 0.5, statistic="min"))
NOTICED = (Goal("says collapsed", 1, statistic="min"),)
BARELY = {"max_epochs": 2}  # of a quick run
TEXT = """\
Five splits by seed of each set that scikit-learn ships, three quarters to learn from and a quarter to test on;
models with no argument but `random_state` (they hold a tenth of their rows out themselves). Digits are measured as
a table of 64 columns and as pictures of 8 x 8. PCA has the same code size and learns from all training rows.
Everything is in encoded units: columns standardised by training rows (digits: centred, with one common scale;
pictures: pixels 0 to 1). mean, min and max are over the five splits.

R2 is 1 - squared errors / squared distances from the column means of the test rows, over all cells. ELBO is the
VAE's `score_samples` (beta 1, 16 fixed noise vectors) in nats per row; 'PPCA' is the exact log-likelihood of
probabilistic PCA of the same code size (`sklearn.decomposition.PCA.score_samples`): an ELBO is a lower bound, that
one is not. KL is in nats per row; a code unit is active if the variance of its mean over test rows is above .01. 'kept
start' is the share of splits in which training did not beat the start at principal components on held-out rows, so
that the fit is PCA (or PPCA) itself, and says so.

Made rows: 1,000 rows to learn from and 1,000 to test on of a standardised table of 8 columns that are linear in 2
factors with little noise, all with a code of 2 and else defaults (pythae's AE: 512 ReLU units, sigmoid output, 100
epochs, batch 64, Adam 1e-4); a ring of 2,000 points (radius 1, standard deviation .05), 3,000 rows sampled from the
default VAE; and 500 x 8 pure noise, on which a VAE should find out that its code is useless.
"""


def bundled(*, quick: bool) -> dict[str, Array]:
    found = {
        "breast-cancer": datasets.load_breast_cancer().data,
        "wine": datasets.load_wine().data,
        "diabetes": datasets.load_diabetes().data,
        "digits": datasets.load_digits().data,
        "digits, pictures": datasets.load_digits().images,
    }
    return {"wine": found["wine"]} if quick else found


def split(x: Array, seed: int) -> tuple[Array, Array]:
    order = np.random.default_rng(seed).permutation(len(x))
    return x[order[len(x) // 4 :]], x[order[: len(x) // 4]]


def encoded(model: Any, x: Array) -> Array:
    return model.kind_.encode(model.kind_.conform(x)).x.flatten(1).numpy().astype(np.float64)


def r2(x: Array, back: Array) -> float:
    return float(1 - np.square(x - back).sum() / np.square(x - x.mean(0)).sum())


def autoencoder_values(train: Array, test: Array, seed: int, **given: Any) -> dict[str, float]:
    model = Autoencoder(random_state=seed, **given).fit(train)
    x, rows = encoded(model, test), encoded(model, train)
    pca = PCA(min(model.shapes_.code_size, *rows.shape)).fit(rows)
    ours, linear = r2(x, encoded(model, model.reconstruct(test))), r2(x, pca.inverse_transform(pca.transform(x)))
    kept = any(finding.kind == "kept-start" for finding in model.findings_)
    return {"Engram R2": ours, "PCA R2": linear, "difference": ours - linear, "kept start": float(kept)}


def vae_values(train: Array, test: Array, seed: int, **given: Any) -> dict[str, float]:
    model = VAE(random_state=seed, **given).fit(train)
    x, rows = encoded(model, test), encoded(model, train)
    exact = float(PCA(model.shapes_.code_size).fit(rows).score_samples(x).mean())
    elbo = float(model.score_samples(test).mean() + model.kind_.log_volume.sum())
    return {
        "ELBO": elbo,
        "PPCA": exact,
        "difference": elbo - exact,
        "KL": float(model.kl_.sum()),
        "kept start": float(any(finding.kind == "kept-start" for finding in model.findings_)),
        "active units": float((model.transform(test).var(0) > 0.01).sum()),
    }


def over_seeds(values: Callable[[int], dict[str, float]], seeds: int) -> dict[str, Spread]:
    found = [values(seed) for seed in range(seeds)]
    return {name: Spread.of([one[name] for one in found]) for name in found[0]}


def ring_values(seed: int, **given: Any) -> dict[str, float]:
    points = VAE(random_state=seed, **given).fit(ring(2_000, seed)).sample(3_000, random_state=seed)
    sector = np.floor(np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi) * 12).astype(int) % 12
    off = np.median(np.abs(np.hypot(points[:, 0], points[:, 1]) - 1))
    return {
        "off the circle": float(off),
        "emptiest sector": float(np.bincount(sector, minlength=12).min() / 250),
    }


def noise_values(seed: int, **given: Any) -> dict[str, float]:
    model = VAE(random_state=seed, **given).fit(np.random.default_rng(seed).normal(size=(500, 8)))
    return {
        "says collapsed": float(any(finding.kind == "collapsed" for finding in model.findings_)),
        "KL": float(model.kl_.sum()),
    }


def two_dimensional_values(seed: int, *, quick: bool, peers: bool) -> dict[str, float]:
    x = two_dimensional(200 if quick else 2_000, seed)
    train, test = x[: len(x) // 2], x[len(x) // 2 :]
    found = autoencoder_values(train, test, seed, code_size=2, **(BARELY if quick else {}))
    if peers:
        from pythae_fits import default_autoencoder_r2

        found["pythae AE R2"] = default_autoencoder_r2(train, test, 2, **({"num_epochs": 1} if quick else {}))
    return found


def bundled_tables(options: Options) -> list[Table]:
    seeds, given = (1, BARELY) if options.quick else (SEEDS, {})
    learned, likely = [], []
    for name, x in bundled(quick=options.quick).items():
        code = Autoencoder(max_epochs=1).fit(x).shapes_.code_size
        for rows, values, goals in ((learned, autoencoder_values, AS_GOOD), (likely, vae_values, IN_USE)):
            cells = over_seeds(lambda seed, f=values, data=x: f(*split(data, seed), seed, **given), seeds)
            rows.append(Row(f"{name}, code {code}", cells, goals))
    return [
        Table("Default Autoencoder, held-out R2", learned, ("mean", "min")),
        Table("Default VAE, held-out nats per row", likely, ("mean", "min")),
    ]


def made_tables(options: Options) -> list[Table]:
    seeds, given = (1, BARELY) if options.quick else (SEEDS, {})
    plane = over_seeds(lambda seed: two_dimensional_values(seed, quick=options.quick, peers=options.peers), seeds)
    circle, noise = (over_seeds(lambda seed, f=f: f(seed, **given), seeds) for f in (ring_values, noise_values))
    show = ("mean", "min", "max")
    return [
        Table("8 columns of intrinsic dimension 2", [Row("code 2", plane, CLOSE)], show),
        Table("A ring", [Row("default VAE", circle, ROUND)], show),
        Table("Pure noise", [Row("default VAE", noise, NOTICED)], show),
    ]


def measure(options: Options) -> Page:
    torch.set_num_threads(1)
    tables = [*bundled_tables(options), *made_tables(options)]
    return Page("quality_tables", "What default models learn from tables", TEXT, tables)


if __name__ == "__main__":
    run_script(measure)
