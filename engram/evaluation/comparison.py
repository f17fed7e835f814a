"""What models and baselines give for the same rows: arrays by the names that metrics use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from engram.data.kind import DataWarning, Kind
from engram.data.rows import Rows
from engram.data.stream import some
from engram.evaluation.baselines import Baseline
from engram.evaluation.labels import beside
from engram.likelihoods import Blocks, Likelihood
from engram.likelihoods.continuous import LocationScale
from engram.models.codes import Codes
from engram.models.scores import Scores
from engram.registry import BASELINES

if TYPE_CHECKING:
    from engram.models.model import Model

Array = np.ndarray[Any, np.dtype[Any]]
Outputs = dict[str, Array]
FOLDS = 5


def encoded(model: Model, raw: Any) -> Rows:
    """Return rows as the networks of a fitted model see them, whatever it can do; of rows that are streamed a sample."""
    check_is_fitted(model)
    kind = model.kind_
    return kind.encode(some(kind.conform(some(kind.opened(raw)), reader=type(model).__name__)))


def flat(rows: Rows, kind: Kind) -> tuple[Array, Array | None]:
    """Return encoded rows as (rows, values), and where they were observed."""
    x = rows.x.flatten(1).numpy()
    if rows.mask is None:
        return x, None
    mask = rows.mask if kind.groups is None else rows.mask[:, kind.groups]
    return x, mask.flatten(1).numpy()


def given_of(rows: Rows, kind: Kind, labels: Array | None) -> Outputs:
    """Return what all subjects are judged beside: the rows and, as far as there are such, where they were observed, and labels."""
    x, mask = flat(rows, kind)
    return {name: found for name, found in {"x": x, "mask": mask, "y": labels}.items() if found is not None}


def has_density(kind: Kind) -> bool:
    """Whether rows have a density: where some columns are flags, counts or categories, a normal one says nothing."""
    parts = [m for m in kind.likelihood().modules() if isinstance(m, Likelihood) and not isinstance(m, Blocks)]
    return all(isinstance(part, LocationScale) for part in parts)


def of_model(model: Model, X: Any, y: Any = None) -> Outputs:
    """Return what the model can give for rows, of a conditional one given y."""
    given = beside(model, y)
    outputs: Outputs = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # said once, when the rows were encoded
        if isinstance(model, Codes):
            outputs["reconstruction"] = model.reconstructed(X, **given).flatten(1).numpy()
        if isinstance(model, Scores):
            outputs["scores"] = model.score_samples(X, **given)
            if hasattr(model, "log_likelihood"):  # without it, scores are log p(x | code): no density of rows
                outputs["log_prob"] = outputs["scores"]
    return outputs


def of_baselines(
    wanted: set[str],
    kind: Kind,
    rows: Rows,
    train: Rows | None,
    code_size: int,
    seed: int,
    *,
    names: Sequence[str] | None = None,
) -> tuple[dict[str, Outputs], str]:
    """Return the wanted outputs of each baseline that has any (of the kind's, or ``names``), and in words what they were fitted on.

    With training rows it is fitted on those; without, on four fifths of the rows at a time, for the other fifth.
    """
    x, mask = flat(rows, kind)
    if train is not None:
        told = f"fitted on {len(train)} training rows"
        fits = [(flat(train, kind), np.arange(len(x)))]
    elif len(x) > 1:
        count = min(FOLDS, len(x))
        told = f"cross-fitted on these rows in {count} folds, each row by the other folds"
        fits = [((x[rest], None if mask is None else mask[rest]), fold) for fold, rest in _folds(len(x), count, seed)]
    else:
        return {}, "none: one row is too few to cross-fit baselines; pass train="
    results: dict[str, Outputs] = {}
    wanted = wanted if has_density(kind) else wanted - {"log_prob"}
    for name in kind.baselines if names is None else names:
        cls: type[Baseline] = BASELINES[name].value
        if not cls.gives() & wanted:
            continue  # forests and distances take a while: only where they are looked at
        parts: list[Outputs] = []
        for (known, observed), fold in fits:
            baseline = cls().fit(known, observed, code_size=code_size, random_state=seed)
            parts.append(_of_baseline(baseline, wanted, kind, x[fold], None if mask is None else mask[fold]))
        back = np.argsort(np.concatenate([fold for _, fold in fits]))
        results[name] = {key: np.concatenate([part[key] for part in parts])[back] for key in parts[0]}
    return results, told


def _folds(n: int, count: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """Give (rows of a fold, all other rows)."""
    order = np.random.default_rng(seed).permutation(n)
    for fold in np.array_split(order, count):
        yield fold, np.setdiff1d(order, fold)


def _of_baseline(baseline: Baseline, wanted: set[str], kind: Kind, x: Array, mask: Array | None) -> Outputs:
    ask = {
        "reconstruction": baseline.reconstruct,
        "scores": baseline.score_samples,
        "log_prob": baseline.log_likelihood,
    }
    answers = {name: method(x, mask) for name, method in ask.items() if name in wanted}
    outputs = {name: answer for name, answer in answers.items() if answer is not None}
    if "log_prob" in outputs:
        volume = kind.log_volume.double().numpy()  # one value per column: with a density, columns are values
        outputs["log_prob"] = outputs["log_prob"] - (volume.sum() if mask is None else (mask * volume).sum(1))
    return outputs
