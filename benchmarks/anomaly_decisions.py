"""AnomalyDetector's decisions: are p-values valid, what do alerts cost on intrusions, is the cell to blame named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anomaly_detection import forest, knn, pca
from measure import Goal, Options, Page, Row, Spread, Table, run_script
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from engram import AnomalyDetector

Array = np.ndarray[Any, np.dtype[Any]]
RATES, SPLITS, ROWS = (0.01, 0.05, 0.1), 20, 1000
TABLES = ("41_Waveform", "27_PageBlocks", "35_SpamBase", "1_ALOI", "made")
FDR, FAR, PLANTED = 0.1, 4.0, 200
LABEL, LEVEL = "label", "level"  # of NSL-KDD's last two columns
TEXT = """\
Validity: 1,000 normal rows to learn from and up to 2,000 other normal rows to judge, 20 random splits; the share of the latter whose
p-value is at most a. The goal is a plus three binomial standard errors of all the rows judged. `made` is a curved sheet in twenty
dimensions.

NSL-KDD (Tavallaee et al., 2009): learned from the normal rows of KDDTrain+_20Percent (41 columns; protocol, service and flag as
categories), judged on KDDTest+, which has attacks that are not in the training file, and normal rows of another distribution. Others get
one-hot categories. The alert rate realised is the share of normal test rows that alert; false discoveries are the share of normal rows
among all that alert.

Planted cause: in rows of a table one cell is replaced by a value drawn from its own column, such that it lies more than four standard
deviations from what a linear regression on the other columns expects (fitted to the rows learned from). Counted is how often
`explain(X, top=1)` names that column; beside it how often the largest deviation in the regression itself is that column, since real rows
have strange cells of their own.
"""


def normal_tables(data: Path | None) -> Iterator[tuple[str, Array]]:
    for name in TABLES:
        if name == "made":
            rng = np.random.default_rng(0)
            z = rng.normal(size=(4000, 4))
            yield name, np.tanh(z @ rng.normal(size=(4, 20))) + 0.2 * rng.normal(size=(4000, 20))
        elif data is not None:
            with np.load(data / "adbench" / f"{name}.npz") as found:
                yield name.partition("_")[2], found["X"][found["y"] == 0].astype(float)


def validity(options: Options) -> Table:
    rows = []
    for name, x in normal_tables(options.data):
        shares: dict[float, list[float]] = {rate: [] for rate in RATES}
        judged = 0
        for seed in range(1 if options.quick else SPLITS):
            order = np.random.default_rng(seed).permutation(len(x))
            given = {"max_epochs": 2} if options.quick else {}
            p = AnomalyDetector(random_state=seed, **given).fit(x[order[:ROWS]]).pvalues(x[order[ROWS : 3 * ROWS]])
            judged += len(p)
            for rate in RATES:
                shares[rate].append(float((p <= rate).mean()))
        cells = {f"share of p <= {rate:g}": Spread.of(found) for rate, found in shares.items()}
        goals = tuple(
            Goal(
                f"share of p <= {rate:g}",
                rate + 3 * float(np.sqrt(rate * (1 - rate) / judged)),
                below=True,
                statistic="mean",
            )
            for rate in RATES
        )
        rows.append(Row(name, cells, goals))
        print(name, {k: round(v.mean, 4) for k, v in cells.items()}, flush=True)
    return Table("Validity of p-values on normal rows", rows, show=("mean", "max"))


def intrusions(folder: Path) -> Table:
    names = [*(f"f{i}" for i in range(41)), LABEL, LEVEL]
    train, test = (pd.read_csv(folder / f"{name}.txt.gz", names=names) for name in ("KDDTrain+_20Percent", "KDDTest+"))
    anomaly = (test[LABEL] != "normal").to_numpy()
    train = train[train[LABEL] == "normal"]
    train, test = (frame.drop(columns=[LABEL, LEVEL]) for frame in (train, test))
    began = time.process_time()
    detector = AnomalyDetector(random_state=0, clean=True).fit(train)
    fitted = time.process_time() - began
    auto = AnomalyDetector(random_state=0).fit(train)
    rows = []
    for name, found in (("engram", auto), ("engram, clean=True", detector)):
        alerts, few = found.predict(test) < 0, found.predict(test, fdr=FDR) < 0
        cells = {
            "AUROC": 100 * roc_auc_score(anomaly, -found.score_samples(test)),
            "alert rate on normal rows, 5 % asked": 100 * alerts[~anomaly].mean(),
            "attacks found": 100 * alerts[anomaly].mean(),
            "false among alerts": 100 * (~anomaly)[alerts].mean(),
            "false among alerts, fdr=.1": 100 * (~anomaly)[few].mean() if few.any() else 0.0,
            "attacks found, fdr=.1": 100 * few[anomaly].mean(),
        }
        rows.append(Row(name, {k: Spread.of([float(v)]) for k, v in cells.items()}))
    coded = pd.get_dummies(pd.concat([train, test]), dtype=float).to_numpy()
    a, b = coded[: len(train)], coded[len(train) :]
    for name, score in (("kNN(5)", knn), ("isolation forest", forest), ("PCA likelihood", pca)):
        rows.append(Row(name, {"AUROC": Spread.of([100 * float(roc_auc_score(anomaly, score(a, b, 0)))])}))
    return Table(
        f"NSL-KDD: {len(train):,} normal rows to learn from in {fitted:.0f} CPU seconds, {len(test):,} judged, %", rows
    )


def causes(options: Options) -> Table:
    rows = []
    tables = {"breast-cancer": load_breast_cancer().data}
    if options.data is not None:
        with np.load(options.data / "adbench" / "41_Waveform.npz") as found:
            tables["Waveform"] = found["X"][found["y"] == 0].astype(float)
        with np.load(options.data / "adbench" / "19_landsat.npz") as found:
            tables["landsat"] = found["X"][found["y"] == 0].astype(float)
    for name, x in tables.items():
        named, regression, changed = planted(x, quick=options.quick)
        rows.append(
            Row(
                name,
                {
                    "cause named first": Spread.of([100 * named]),
                    "by the regression": Spread.of([100 * regression]),
                    "rows": Spread.of([changed]),
                },
                (Goal("cause named first", 95),),
            )
        )
        print(name, round(named, 3), changed, flush=True)
    return Table("Planted cause, %", rows)


def planted(x: Array, *, quick: bool) -> tuple[float, float, int]:
    """Return how often the planted column is named first, by the regression itself too, and in how many rows."""
    rng = np.random.default_rng(0)
    x = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    order = rng.permutation(len(x))
    train, test = x[order[: len(x) * 2 // 3]], x[order[len(x) * 2 // 3 :]]
    precision = np.linalg.inv(np.cov(train.T) + 1e-6 * np.eye(x.shape[1]))
    spread = 1 / np.sqrt(precision.diagonal())
    changed, causes = [], []
    for _ in range(200 * PLANTED):
        row, column = test[rng.integers(len(test))].copy(), int(rng.integers(x.shape[1]))
        row[column] = train[rng.integers(len(train)), column]
        gap = (precision[column] @ (row - train.mean(0))) * spread[column]
        if abs(gap) > FAR:
            changed.append(row)
            causes.append(column)
        if len(changed) == PLANTED:
            break
    if not changed:
        return 0.0, 0.0, 0
    detector = AnomalyDetector(random_state=0, **({"max_epochs": 2} if quick else {})).fit(train)
    told = detector.explain(np.array(changed), top=1)
    rows, which = np.array(changed), np.array(causes)
    regression = (np.abs((rows - train.mean(0)) @ precision) * spread).argmax(1)
    found = told["column"].astype(int).to_numpy()
    return float((found == which).mean()), float((regression == which).mean()), len(changed)


def measure(options: Options) -> Page:
    page = Page("anomaly_decisions", "Decisions on anomalies", TEXT)
    page.tables.append(causes(options))
    page.tables.append(validity(options))
    if options.data is not None and not options.quick:
        page.tables.append(intrusions(options.data / "tables" / "nsl_kdd"))
    return page


if __name__ == "__main__":
    run_script(measure)
