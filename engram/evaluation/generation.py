"""Generated rows beside real ones: distances, precision and coverage, copies, and what simple generators get on the same features.

The rows X are split into three parts by the seed: half of them teach what has to be learned (a judge, an autoencoder; without
``train`` the baselines too), a quarter is the reference, and the last quarter stands for a perfect generator: its values are
the floor. All subjects are judged by as many rows against the same reference, since most of these metrics depend on the number of
rows; so values are comparable within one call, and not with values of other rows, numbers or features.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engram.data.kind import DataWarning
from engram.errors import DataError, UsageError
from engram.evaluation.baselines.bootstrap import Bootstrap
from engram.evaluation.baselines.gaussian_mixture import GaussianMixture
from engram.evaluation.baselines.independent import Independent
from engram.evaluation.baselines.sampler import Sampler
from engram.evaluation.comparison import encoded
from engram.evaluation.features import Features, JudgeFeatures, RowFeatures, features_for
from engram.evaluation.judge import not_classes
from engram.evaluation.report import REAL, Result
from engram.metrics.agreement import agreement
from engram.metrics.frechet import frechet_distance
from engram.metrics.kernel import kernel_estimate
from engram.metrics.manifold import manifold
from engram.metrics.memorisation import exact_copies, memorisation
from engram.metrics.metric import metric
from engram.metrics.sliced import sliced_wasserstein
from engram.training.session import seed_from

if TYPE_CHECKING:
    from engram.models.model import Model

Array = np.ndarray[Any, np.dtype[Any]]
SAMPLERS: tuple[type[Sampler], ...] = (Bootstrap, GaussianMixture, Independent)
FEWEST, MOST = 10, 5000  # rows that are judged of each subject
COPIES = ("exact-copies", "lower", "share of generated rows")


def judge_generation(
    model: Model,
    X: Any,
    y: Any = None,
    *,
    train: Any = None,
    features: str = "auto",
    n: int | None = None,
    random_state: Any = 0,
) -> tuple[list[Result], list[Result], list[str]]:
    """Judge the rows that a fitted model generates.

    Parameters
    ----------
    model : model
        A fitted model with ``sample``.
    X : like the data of `fit`
        Real rows that the model has not seen, at least 40.
    y : array, optional
        Their labels: a judge learns from them, and a conditional model is asked for those of the reference.
    train : like X, optional
        The rows that the model was fitted on: baselines learn from them, and copies of them are looked for.
    features : str
        As in `engram.evaluation.features.features_for`.
    n : int, optional
        Rows to generate; at most, and without, a quarter of X, up to `MOST`.
    random_state : int, RandomState or None
        Seed of the split, of what is learned and of all draws.

    Returns
    -------
    own, beside : list of Result
        Of the model; of the floor (subject `REAL`) and of the baselines.
    notes : list of str
        What was left out and why.

    Raises
    ------
    DataError
        Too few rows, or rows that are not such as the model was fitted on.
    UsageError
        Unknown features, or a conditional model without ``y``.
    """
    name = type(model).__name__
    found, notes = judge_generations(
        {name: model}, X, y, train=train, features=features, n=n, random_state=random_state
    )
    return [r for r in found if r.subject == name], [r for r in found if r.subject != name], notes


def judge_generations(
    models: Mapping[str, Model],
    X: Any,
    y: Any = None,
    *,
    train: Any = None,
    features: str = "auto",
    n: int | None = None,
    random_state: Any = 0,
) -> tuple[list[Result], list[str]]:
    """Judge the rows that several models of the same data generate, by name, in the units of the first one.

    As `judge_generation` does, of which the parameters are; return the results of all subjects, and notes.
    """
    first, seed = next(iter(models.values())), seed_from(random_state)
    conditional = [name for name, model in models.items() if model.given_ is not None]
    if conditional and y is None:
        told = f"this {conditional[0]} is conditional: give y=, the labels of X, to ask it for rows of the same labels."
        raise UsageError(told)
    x, trained = _encoded(first, X), None if train is None else _encoded(first, train)
    learn, real, held = parts = _parts(len(x), n, seed)
    labels = None if y is None else np.asarray(y)
    chosen = features_for(features, x[learn], None if labels is None else labels[learn], random_state=seed)
    known, told = (x[learn], "other rows of the same set") if trained is None else (trained, "training rows")
    asked = {name: {"y": _taken(y, real)} if name in conditional else {} for name in models}
    drawn = {name: _encoded(first, m.sample(len(real), random_state=seed, **asked[name])) for name, m in models.items()}
    subjects = drawn | {REAL: x[held]} | dict(_of_baselines(known, len(real), seed))
    common: dict[str, Any] = {
        "features": chosen.name,
        "rows": len(real),
        "split": "half of the rows to learn features from, a quarter as reference, a quarter as floor",
        "baseline_rows": f"fitted on {len(known)} {told}",
        "seed": seed,
        "errors": "of the kernel distance and agreement over rows; of others none",
    }
    results = [
        Result(what, subject, value, error, better, unit, common | more)
        for subject, rows in subjects.items()
        for what, value, error, better, unit, more in _values(chosen, x[real], rows, trained, seed)
    ]
    notes = [] if trained is not None else ["memorisation, exact-copies: not computed: pass train="]
    if conditional and labels is not None:
        reason = not_classes(labels[learn])
        if reason is None:
            results += _agreements({name: drawn[name] for name in conditional}, chosen, x, labels, parts, common)
        else:
            notes.append(f"agreement: left out, {reason}")
    return results, notes


def _encoded(model: Model, raw: Any) -> Tensor:
    """Return rows as networks see them; what was left out of them is for others to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return encoded(model, raw).x


def _parts(rows: int, n: int | None, seed: int) -> tuple[Array, Array, Array]:
    """Return the numbers of the rows to learn from, of the reference and of the floor."""
    size = min(rows // 4, MOST, rows if n is None else n)
    if size < FEWEST:
        raise DataError(
            f"a quarter of {rows} rows is compared with as many generated ones, and it takes {FEWEST} rows or more to compare: "
            f"give at least {4 * FEWEST} rows{'' if n is None else f', and n of {FEWEST} or more'}."
        )
    order = np.random.default_rng(seed).permutation(rows)
    return order[2 * size :], order[:size], order[size : 2 * size]


def _taken(y: Any, which: Array) -> Any:
    """Return some rows of labels or attributes: an array or a DataFrame."""
    return None if y is None else y.iloc[which] if hasattr(y, "iloc") else np.asarray(y)[which]


def _of_baselines(known: Tensor, n: int, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, generated rows) of each simple generator."""
    for sampler in SAMPLERS:
        drawn = sampler().fit(known.flatten(1).numpy(), random_state=seed).sample(n, seed)
        yield sampler.name, torch.from_numpy(drawn).view(n, *known.shape[1:])


def _values(
    features: Features, real: Tensor, generated: Tensor, trained: Tensor | None, seed: int
) -> Iterator[tuple[str, float, float, str, str, dict[str, Any]]]:
    """Yield (metric, value, error, better, unit, what its protocol has of its own) of generated rows."""
    a, b = features.of(real), features.of(generated)
    found = {
        "frechet": _or_nan(lambda: (frechet_distance(a, b), math.nan)),
        "kernel": _or_nan(lambda: kernel_estimate(a, b)),
    }
    shares = manifold(a, b)
    found |= {what: (getattr(shares, what), math.nan) for what in ("precision", "recall", "density", "coverage")}
    found["sliced-wasserstein"] = _or_nan(lambda: (sliced_wasserstein(a, b, random_state=seed), math.nan))
    for what, (value, error) in found.items():
        one = metric(what)
        yield features.frechet if what == "frechet" else what, value, error, one.better, one.unit, {}
    if trained is not None:
        plain = RowFeatures(tuple(real.shape[1:]))
        drawn, known = plain.of(generated), plain.of(trained)
        one, own = metric("memorisation"), {"features": plain.name, "training_rows": len(trained)}
        yield "memorisation", memorisation(drawn, known, plain.of(real)), math.nan, one.better, one.unit, own
        what, better, unit = COPIES
        yield what, exact_copies(drawn, known), math.nan, better, unit, own


def _or_nan(computed: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """Return a value and its error, no numbers where generated rows are too large for it: other metrics still say how far off they are."""
    try:
        return computed()
    except DataError:
        return math.nan, math.nan


def _agreements(
    drawn: dict[str, Tensor],
    features: Features,
    x: Tensor,
    labels: Array,
    parts: tuple[Array, Array, Array],
    common: dict[str, Any],
) -> list[Result]:
    """Return how often a judge sees the asked class in generated rows, and the true one in real rows that it has not seen."""
    learn, real, held = parts
    made = features
    if not isinstance(made, JudgeFeatures):
        made = features_for("judge", x[learn], labels[learn], random_state=common["seed"])
    assert isinstance(made, JudgeFeatures)
    one, protocol = metric("agreement"), common | {"features": made.name}
    results = []
    subjects = [(name, labels[real], rows) for name, rows in drawn.items()]
    for subject, asked, rows in (*subjects, (REAL, labels[held], x[held])):
        value = agreement(asked, made.judge.predict(rows))
        error = math.sqrt(value * (1 - value) / len(asked))
        results.append(Result("agreement", subject, value, error, one.better, one.unit, protocol))
    return results
