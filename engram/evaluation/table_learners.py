"""What learners make of generated tables: trained on them and tested on real rows, or asked to tell them from real rows.

One stated set of learners for all subjects: boosted trees (scikit-learn's histogram gradient boosting: 200 trees at most, learning rate
.06, a tenth of the rows held out to stop by) and a linear model (logistic or ridge regression on standardised numbers and one-hot
categories). Train on synthetic, test on real: Esteban, Hyland & Rätsch 2017, arXiv:1706.02633.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from engram.data.matrix import Matrix
from engram.metrics.detection import auroc
from engram.metrics.metric import Array, Metric

TREES: dict[str, Any] = {"max_iter": 200, "learning_rate": 0.06, "early_stopping": True}
TELLING: dict[str, Any] = {"max_iter": 100}  # trees that tell generated rows from real ones
FOLDS = 3
MOST_TOLD = 5000  # rows of each sort that are told apart
FEWEST_OF_A_CLASS = 2  # rows that a class needs to be learned


def learners(task: str, discrete: Array, seed: int) -> dict[str, Any]:
    """Return the unfitted learners by name; ``task`` is "classification" or "regression", ``discrete`` says which inputs are categories."""
    categories = np.flatnonzero(discrete).tolist()
    numbers = np.flatnonzero(~np.asarray(discrete, dtype=bool)).tolist()
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), categories),
    )
    if task == "classification":
        linear: Any = LogisticRegression(max_iter=200, random_state=seed)
        trees: Any = HistGradientBoostingClassifier(**TREES, random_state=seed)
    else:
        linear, trees = Ridge(), HistGradientBoostingRegressor(**TREES, random_state=seed)
    return {"boosted trees": trees, "linear model": make_pipeline(prepared, linear)}


def task_of(real: Matrix, target: int) -> str:
    """Return what there is to learn of a column: classes of flags and categories, values of numbers."""
    return "classification" if real.discrete[target] else "regression"


def macro_f1(y: Array, predicted: Array) -> float:
    """Return the F1 of each class that there is or that is predicted, the mean over classes: scikit-learn's, to the bit, and faster.

    Direction: higher is better, 0 to 1. ``y`` and ``predicted`` are (rows,) of any labels.
    """
    labels, numbers = np.unique(np.concatenate([y, predicted]), return_inverse=True)
    true, told = numbers[: len(y)], numbers[len(y) :]
    right, of_true, of_told = (np.bincount(of, minlength=len(labels)) for of in (true[true == told], true, told))
    return float(np.mean(2 * right / (of_true + of_told)))


UTILITY = {  # of each task
    "classification": Metric("utility", macro_f1, "higher", "macro F1", ("y", "predicted"), ("y", "predicted")),
    "regression": Metric(
        "utility",
        lambda y, predicted: float(r2_score(y, predicted)),
        "higher",
        "R2",
        ("y", "predicted"),
        ("y", "predicted"),
    ),
}


def utility(training: Matrix, test: Matrix, target: int, seed: int = 0) -> dict[str, float]:
    """Return for each learner, fitted to one table, its score on another: macro-averaged F1 of classes, R2 of numbers.

    Rows whose target is missing are left out. A learner that finds a single class answers with it; NaN where there are no rows.
    """
    metric = UTILITY[task_of(test, target)]
    found = predictions(training, test, target, seed)
    return {name: float("nan") if arrays is None else metric.value(arrays) for name, arrays in found.items()}


def predictions(training: Matrix, test: Matrix, target: int, seed: int = 0) -> dict[str, dict[str, Array] | None]:
    """Return for each learner, fitted to one table, what `UTILITY` takes of another: ``y`` and ``predicted``, (rows,) each.

    They are of the rows whose target is known, the same ones whatever table was learned from; None where there are too few to learn from.
    """
    task = task_of(test, target)
    inputs = np.arange(test.values.shape[1]) != target
    known = [m.values[~np.isnan(m.values[:, target])] for m in (training, test)]
    (x, y), (tx, ty) = ((rows[:, inputs], rows[:, target]) for rows in known)
    found: dict[str, dict[str, Array] | None] = {}
    for name, learner in learners(task, test.discrete[inputs], seed).items():
        if not len(x) or not len(tx) or not inputs.any() or (task == "regression" and len(x) <= 20):
            found[name] = None
        elif task == "regression":
            found[name] = {"y": ty, "predicted": learner.fit(x, y).predict(tx)}
        else:
            found[name] = {"y": ty, "predicted": _classified(learner, x, y, tx)}
    return found


def _classified(learner: Any, x: Array, y: Array, test: Array) -> Array:
    values, counts = np.unique(y, return_counts=True)
    enough = np.isin(y, values[counts >= FEWEST_OF_A_CLASS])
    if len(np.unique(y[enough])) < 2:
        return np.full(len(test), values[counts.argmax()])
    if hasattr(learner, "early_stopping") and enough.sum() < 10 * len(values):
        learner.set_params(early_stopping=False)
    predicted: Array = learner.fit(x[enough], y[enough]).predict(test)
    return predicted


def detection(real: Matrix, generated: Matrix, seed: int = 0) -> float:
    """Return how well boosted trees tell generated rows from real ones, cross-validated: an area under the ROC curve.

    Direction: .5 is best, 1 means that every row is told apart. As many of both, at most `MOST_TOLD`, are compared. Source: the classifier
    two-sample test (Lopez-Paz & Oquab, ICLR 2017, arXiv:1610.06545) with the area under the curve in the place of accuracy.
    """
    n = min(len(real), len(generated), MOST_TOLD)
    if n < FOLDS or not real.values.shape[1]:
        return float("nan")
    rng = np.random.default_rng(seed)
    rows = np.concatenate([m.values[rng.permutation(len(m))[:n]] for m in (real, generated)])
    rows = rows[:, ~np.isnan(rows).all(0)]
    y = np.repeat([0, 1], n)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    trees = HistGradientBoostingClassifier(**TELLING, random_state=seed)
    told = cross_val_predict(trees, rows, y, cv=folds, method="predict_proba")[:, 1]
    return auroc(-told, y)
