"""Generated rows of rare classes beside the real ones, and whether they help: held-out rows decide, with SMOTE and class weights beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import train_test_split

from engram.data.cells import plain, plain_cells
from engram.data.columns import without_marks
from engram.data.matrix import Matrix, matrix
from engram.errors import DataError, UsageError, nearest
from engram.evaluation.baselines.smote import SMOTE
from engram.evaluation.table_learners import TREES
from engram.metrics.metric import Array

if TYPE_CHECKING:
    from engram.apps.synthesis import Synthesizer

HELD_OUT = 0.3  # share of the rows that decide
FEWEST = 5  # rows that every class needs
DRAWS = 200  # of the bootstrap
LABEL = "label"


@dataclass(frozen=True)
class Augmented:
    """Real rows with generated ones of the rarer classes, and what they are worth.

    Parameters
    ----------
    X : DataFrame
        Real rows that have a label, then generated ones, without the labels.
    y : Series
        Their labels.
    is_generated : array
        (rows,) bool.
    results : DataFrame
        What boosted trees get on held-out rows (macro F1, average precision of the rarest class): from the rows as they are, with class
        weights, with SMOTE, with generated rows.
    helps : bool
        Whether generated rows are better than all others by more than two standard errors.
    advice : str
        The same in words; and how many rows have no label, where there are such: they are left out.
    """

    X: pd.DataFrame
    y: pd.Series[Any]
    is_generated: Array
    results: pd.DataFrame
    helps: bool
    advice: str


def augment(synthesizer: Synthesizer, X: Any, y: Any, seed: int) -> Augmented:
    """Return rows with classes as frequent as the most frequent one; see `Synthesizer.augment`."""
    frame, label, lost = _labelled(X, y)
    _check_classes(_counts(frame[label]), lost)
    results, helps, advice = _checked(synthesizer, frame, label, seed)
    fitted = clone(synthesizer).set_params(random_state=seed, columns=_typed(synthesizer, label)).fit(frame)
    new = _balancing(fitted, frame, label, seed)
    new[label] = new[label].astype(frame[label].dtype)  # categories without rows, too
    advice += f". Rows without a label are left out: {lost} of {len(frame) + lost}" * (lost > 0)
    whole = pd.concat([frame, new], ignore_index=True)
    generated = np.arange(len(whole)) >= len(frame)
    return Augmented(whole.drop(columns=label), whole[label], generated, results, helps, advice)


def _labelled(X: Any, y: Any) -> tuple[pd.DataFrame, Any, int]:
    """Return the rows that have a label, with the labels as a column, its name, and how many rows have none."""
    frame = pd.DataFrame(X).reset_index(drop=True)
    label: Any = y
    if not (isinstance(y, str | int) and y in frame.columns):
        if np.ndim(y) == 0:
            raise UsageError(f"y={y!r} is no column of these rows. {nearest(str(y), map(str, frame.columns))}")
        if np.ndim(y) != 1 or len(y) != len(frame):
            raise DataError(
                f"y must be one label per row: there are {len(frame)} rows, and y is of shape {np.shape(y)}."
            )
        name = getattr(y, "name", None)
        label = LABEL if name is None or name in frame.columns else str(name)
        typed = isinstance(y, pd.Series | pd.Index | pd.api.extensions.ExtensionArray)
        frame = frame.assign(**{label: pd.Series(y if typed else np.asarray(y)).reset_index(drop=True)})
    there = without_marks(plain_cells(frame[label]), {}).notna()
    return frame[there].reset_index(drop=True), label, int((~there).sum())


def _counts(labels: pd.Series[Any]) -> pd.Series[int]:
    """Return how many rows each class has, of those that have some: a categorical lists others, too."""
    counts = labels.value_counts()
    return counts[counts > 0]


def _check_classes(counts: pd.Series[int], lost: int) -> None:
    """Raise `DataError` where there are fewer than two classes, or one of too few rows."""
    needed = f"augment needs two classes or more, each of {FEWEST} rows"
    gone = f" {lost} row{' has' if lost == 1 else 's have'} no class: texts such as 'n/a' count as missing." * (
        lost > 0
    )
    if counts.empty:
        raise DataError(f"{needed}; no row has a class.{gone}")
    if len(counts) < 2:
        raise DataError(
            f"{needed}; these {counts.iloc[0]} rows are all of one class, {plain(counts.index[0])!r}.{gone}"
        )
    if counts.min() < FEWEST:
        raise DataError(f"{needed}; the rarest of these, {plain(counts.idxmin())!r}, has {counts.min()}.{gone}")


def _typed(synthesizer: Synthesizer, label: Any) -> dict[Any, str]:
    return {**(synthesizer.columns or {}), label: "category"}


def _balancing(fitted: Synthesizer, frame: pd.DataFrame, label: Any, seed: int) -> pd.DataFrame:
    """Return generated rows that make all classes as frequent as the most frequent one."""
    counts = _counts(frame[label])
    kept = fitted.coding_.field(str(label)).values
    lacking = {
        value: int(counts.max() - count)
        for value, count in counts.items()
        if count < counts.max() and plain(value) in kept
    }
    parts = [
        fitted.sample(n, given={label: value}, random_state=seed + i) for i, (value, n) in enumerate(lacking.items())
    ]
    return pd.concat(parts, ignore_index=True)[list(frame.columns)] if parts else frame.iloc[:0].copy()


def _checked(synthesizer: Synthesizer, frame: pd.DataFrame, label: Any, seed: int) -> tuple[pd.DataFrame, bool, str]:
    """Compare ways to learn rare classes on held-out rows, from a synthesizer that has not seen them."""
    learned, held = train_test_split(frame, test_size=HELD_OUT, stratify=frame[label], random_state=seed)
    learned, held = learned.reset_index(drop=True), held.reset_index(drop=True)
    fitted = clone(synthesizer).set_params(random_state=seed, columns=_typed(synthesizer, label)).fit(learned)
    coding = fitted.coding_
    rows, test = matrix(coding, learned), matrix(coding, held)
    if str(label) not in test.names:
        least = coding.min_count
        raise DataError(
            f"no class has {least} rows or more among the {len(learned)} that are learned from, so none is kept. Lower min_count."
        )
    at = test.column(label)
    new = matrix(coding, pd.concat([learned, _balancing(fitted, learned, label, seed)], ignore_index=True))
    ways = {
        "as they are": (rows, None),
        "class weights": (rows, "balanced"),
        "smote": (_with_smote(rows, at, seed), None),
        "generated rows": (new, None),
    }
    rare = _rarest(rows.values[:, at])
    told = {name: _predicted(given, test, at, weight, seed) for name, (given, weight) in ways.items()}
    truth = test.values[:, at]
    rng = np.random.default_rng(seed)
    draws = [rng.integers(len(truth), size=len(truth)) for _ in range(DRAWS)]
    scores = {name: _scores(truth, *found, rare) for name, found in told.items()}
    best = max((name for name in ways if name != "generated rows"), key=lambda name: scores[name][0])
    gains = [_f1(truth, told["generated rows"][0], d) - _f1(truth, told[best][0], d) for d in draws]
    gain, error = scores["generated rows"][0] - scores[best][0], float(np.std(gains))
    helps = gain > 2 * error
    advice = (
        f"generated rows help: macro F1 {scores['generated rows'][0]:.3f} on held-out rows, {best} {scores[best][0]:.3f}"
        if helps
        else f"generated rows do not help: macro F1 {scores['generated rows'][0]:.3f} on held-out rows, {best} gets {scores[best][0]:.3f} "
        f"(a difference of {gain:+.3f}, standard error {error:.3f}). Take {best!r}"
    )
    table = pd.DataFrame(scores, index=["macro F1", "average precision"]).T
    return table, helps, advice


def _f1(truth: Array, told: Array, rows: Array) -> float:
    return float(f1_score(truth[rows], told[rows], average="macro", zero_division=0))


def _rarest(cells: Array) -> float:
    values, counts = np.unique(cells, return_counts=True)
    return float(values[counts.argmin()])


def _with_smote(rows: Matrix, at: int, seed: int) -> Matrix:
    """Return rows with SMOTE's for the rarer classes."""
    values, counts = np.unique(rows.values[:, at], return_counts=True)
    parts = [rows.values]
    for value, count in zip(values, counts, strict=True):
        own = rows.values[rows.values[:, at] == value]
        if count < counts.max():
            smote = SMOTE(rows.discrete, at).fit(own, random_state=seed)
            parts.append(smote.sample(int(counts.max() - count), seed))
    return rows.of(np.concatenate(parts))


def _predicted(given: Matrix, test: Matrix, at: int, weight: str | None, seed: int) -> tuple[Array, Array, Array]:
    """Return predicted classes, probabilities and their classes on held-out rows."""
    inputs = np.arange(test.values.shape[1]) != at
    options: dict[str, Any] = TREES | {"early_stopping": len(given) > 1000}
    trees = HistGradientBoostingClassifier(**options, class_weight=weight, random_state=seed)
    trees.fit(given.values[:, inputs], given.values[:, at])
    shares = trees.predict_proba(test.values[:, inputs])
    return trees.classes_[shares.argmax(1)], shares, trees.classes_


def _scores(truth: Array, told: Array, shares: Array, classes: Array, rare: float) -> tuple[float, float]:
    """Return macro F1 and the average precision of the rarest class."""
    precision = average_precision_score(truth == rare, shares[:, int(np.flatnonzero(classes == rare)[0])])
    return float(f1_score(truth, told, average="macro", zero_division=0)), float(precision)
