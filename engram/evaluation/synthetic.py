"""Generated tables beside real rows and simple generators: shapes, pairs, utility, detection, privacy; by one protocol for all subjects.

Without ``train`` half of the rows teach baselines and learners and the other half is the reference; with it, those are the training rows
and all of X. Every subject gives as many rows for the comparison as the reference has, and as many as there are to learn from for utility.
Privacy is looked at only where the training rows are given, and what is seen there proves nothing: distances miss leaks that stronger
attacks find (Yao et al. 2025, arXiv:2505.01524).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from engram.data.matrix import Matrix, features, matrix
from engram.errors import DataError, UsageError, nearest
from engram.evaluation.apart import is_worse
from engram.evaluation.baselines.gaussian_copula import GaussianCopula
from engram.evaluation.baselines.independent import Independent
from engram.evaluation.baselines.sampler import Sampler
from engram.evaluation.baselines.smote import SMOTE
from engram.evaluation.facts import safely
from engram.evaluation.report import REAL, Report, Result
from engram.evaluation.seen import seen_by
from engram.evaluation.synthetic_look import look_at
from engram.evaluation.table_learners import UTILITY, detection, predictions, task_of
from engram.metrics.manifold import coverage
from engram.metrics.memorisation import exact_copies
from engram.metrics.metric import HALF, Array
from engram.metrics.tables import column_shapes, membership_auroc, missing_trends, nearer_to_training, pair_trends
from engram.metrics.uncertainty import DRAWS, deviations, standard_error
from engram.training import Finding
from engram.training.session import seed_from

FEWEST, MOST = 10, 5000  # rows of the reference that are compared
MOST_LEARNED = 20_000  # rows that learners and baselines get
HOLE = -1e30  # a number that no cell has
SEEN = 0.1  # share of the reference among training rows, above which it says little
NO_PROOF = "privacy: copies, near rows and one attack were looked for; distances prove nothing, so this is no proof of anonymity"
UNITS = {  # better, unit
    "column-shapes": ("higher", "1 - distance"),
    "pair-trends": ("higher", "1 - distance"),
    "missing-patterns": ("higher", "1 - distance"),
    "coverage": ("higher", "share of rows"),
    "detection": (HALF, "area under the curve"),
    "exact-copies": ("lower", "share of generated rows"),
    "nearer-to-training": (HALF, "probability"),
    "membership": (HALF, "area under the curve"),
}


@dataclass
class Parts:
    """Rows that are known, rows to compare with, and how they came about."""

    known: Matrix
    reference: Matrix
    split: str
    is_training: bool


def judge_synthetic(model: Any, X: Any, *, target: Any = None, train: Any = None, random_state: Any = 0) -> Report:
    """Judge the rows that a fitted synthesizer generates.

    Parameters
    ----------
    model : Synthesizer
        A fitted one.
    X : like the data of `fit`
        Real rows, better such as it has not seen.
    target : str, optional
        A column that learners predict: then utility is measured, trained on generated and tested on real rows.
    train : like X, optional
        The rows it was fitted on: then privacy is looked at, too.
    random_state : int, RandomState or None
        Seed of splits, baselines, learners and draws.
    """
    seed, coding, opened = seed_from(random_state), model.coding_, model.kind_.opened
    read = partial(matrix, coding, reader=type(model).__name__)
    parts = _parts(read(opened(X)), None if train is None else read(opened(train)), seed)
    at = None if target is None else _target(parts.reference, target)
    n = max(len(parts.reference), 0 if at is None else len(parts.known))
    subjects: dict[str, Matrix] = {type(model).__name__: matrix(coding, model.sample(n, random_state=seed))}
    subjects |= {REAL: parts.known} | dict(_of_baselines(parts.known, at, n, seed))
    protocol = {
        "features": "columns as numbers, categories by name",
        "rows": len(parts.reference),
        "split": parts.split,
        "baseline_rows": f"fitted on {len(parts.known)} rows",
        "seed": seed,
        "errors": "none" if at is None else f"of utility: bootstrap over rows, {DRAWS} draws; of others none",
    }
    found = [
        (Result(name, subject, value, standard_error(moved), better, unit, protocol), moved)
        for subject, rows in subjects.items()
        for name, value, better, unit, moved in _values(parts, rows, at, seed, is_real=subject == REAL)
    ]
    own = [r for r, _ in found if r.subject == type(model).__name__]
    beside = [r for r, _ in found if r.subject != type(model).__name__]
    notes = [] if parts.is_training else ["exact-copies, nearer-to-training, membership: not computed: pass train="]
    notes += [] if at is not None else ["utility: not computed: pass target="]
    seen = seen_by(model, X, train, partial(_seen, parts))
    return Report(
        model=type(model).__name__,
        metrics=own,
        baselines=beside,
        findings=[*model.findings_, *_findings(type(model).__name__, found), *seen, Finding("privacy", NO_PROOF)],
        of_fit=len(model.findings_),
        protocol=protocol | {"notes": notes},
        columns=model.kind_.describe(),
        gather=partial(safely, partial(look_at, model, subjects[type(model).__name__], parts.known, parts.reference)),
    )


def _target(reference: Matrix, target: Any) -> int:
    if str(target) not in reference.names:
        raise UsageError(f"target={target!r} is no column that varies. {nearest(str(target), reference.names)}")
    return reference.column(target)


def _parts(rows: Matrix, train: Matrix | None, seed: int) -> Parts:
    """Return what is known and what is compared with, each in an order without meaning."""
    rng = np.random.default_rng(seed)
    rows = rows.of(rows.values[rng.permutation(len(rows))])
    if train is not None:
        known = train.of(train.values[rng.permutation(len(train))][:MOST_LEARNED])
        told, is_training = "all rows given are the reference, training rows are known", True
    else:
        half = len(rows) // 2
        known, rows = rows.of(rows.values[:half][:MOST_LEARNED]), rows.of(rows.values[half:])
        told, is_training = "half of the rows are known, the others are the reference", False
    rows = rows.of(rows.values[:MOST])
    if min(len(known), len(rows)) < FEWEST:
        raise DataError(
            f"{len(known)} rows against {len(rows)} are too few to compare: give at least {2 * FEWEST} rows."
        )
    if not rows.values.shape[1]:
        raise DataError("no column varies, so there is nothing to compare.")
    return Parts(known, rows, told, is_training)


def _of_baselines(known: Matrix, target: int | None, n: int, seed: int) -> Iterator[tuple[str, Matrix]]:
    """Yield (name, rows) of each simple generator."""
    classes = target if target is not None and known.discrete[target] else None
    samplers: list[Sampler] = [SMOTE(known.discrete, classes), GaussianCopula(), Independent()]
    for sampler in samplers:
        yield sampler.name, known.of(sampler.fit(known.values, random_state=seed).sample(n, seed))


def _values(
    parts: Parts, rows: Matrix, target: int | None, seed: int, *, is_real: bool
) -> Iterator[tuple[str, float, str, str, Array]]:
    """Yield (metric, value, better, unit, bootstrap deviations) of one subject; only utility has these."""
    real, n = parts.reference, len(parts.reference)
    some = rows.of(rows.values[:n])
    found: dict[str, Callable[[], float]] = {
        "column-shapes": lambda: _mean(column_shapes(real.values, some.values, real.discrete)),
        "pair-trends": lambda: _mean(pair_trends(real.values, some.values, real.discrete)),
        "detection": lambda: detection(real, some, seed),
        "coverage": lambda: _coverage(real, some),
    }
    if np.isnan(real.values).any():
        found["missing-patterns"] = lambda: missing_trends(real.values, some.values)
    if parts.is_training and not is_real:
        found |= _private(parts, some)
    for name, value in found.items():
        result = value()
        if math.isfinite(result):
            yield name, result, *UNITS[name], np.full(DRAWS, math.nan)
    if target is not None:
        metric = UTILITY[task_of(real, target)]
        learned = rows.of(rows.values[: len(parts.known)])
        for learner, arrays in predictions(learned, real, target, seed).items():
            if arrays is not None and math.isfinite(score := metric.value(arrays)):
                moved = deviations(metric, arrays, random_state=seed)
                yield f"utility, {learner}", score, metric.better, metric.unit, moved


def _private(parts: Parts, some: Matrix) -> dict[str, Callable[[], float]]:
    known = parts.known.of(parts.known.values[: len(parts.reference)])
    near = tuple(features(parts.reference, rows) for rows in (some, known, parts.reference))
    return {
        "exact-copies": lambda: exact_copies(_as_told(some), _as_told(parts.known)),
        "nearer-to-training": lambda: nearer_to_training(*near),
        "membership": lambda: membership_auroc(*near),
    }


def _as_told(rows: Matrix) -> Array:
    """Return rows in single precision, as baselines give them, with a number for holes."""
    return np.nan_to_num(rows.values, nan=HOLE).astype(np.float32)


def _coverage(real: Matrix, some: Matrix) -> float:
    return coverage(features(real), features(real, some)) if min(len(real), len(some)) > 5 else float("nan")


def _mean(values: Array) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _seen(parts: Parts, of_the_fit: bool) -> Iterator[Finding]:
    """Yield that the reference is made of training rows, where it is."""
    share = exact_copies(_as_told(parts.reference), _as_told(parts.known)) if parts.is_training else 0.0
    if share > SEEN:
        which = "training rows" if of_the_fit else "rows given as train="
        told = f"{share:.0%} of the rows to compare with are {which}: nearness and membership say nothing, copies look good"
        yield Finding("training-rows", told, "Hold rows out before the fit, and give these")


def _findings(model: str, found: list[tuple[Result, Array]]) -> Iterator[Finding]:
    """Yield what a user should know before trusting generated rows; of utility see `engram.evaluation.apart`."""
    for result, moved in found:
        if result.subject != model:
            continue
        others = [(r, m) for r, m in found if r.name == result.name and r.subject not in (model, REAL)]
        if result.name.startswith("utility") and others:
            best, other = max(others, key=lambda pair: pair[0].value)
            if is_worse(best.value - result.value, standard_error(other - moved), result.error):
                told = f"{result.name}: {best.subject} gets {best.value:.3f}, the model {result.value:.3f}"
                yield Finding(
                    "worse-than-baseline",
                    told,
                    f"Where only utility counts, {best.subject} serves better; it shows real rows' neighbours",
                )
        if result.name in ("nearer-to-training", "membership") and result.value > 0.5 + max(
            0.05, result.protocol["rows"] ** -0.5
        ):
            told = f"{result.name} is {result.value:.2f}, and .5 is what rows get that know no training row"
            yield Finding("memorised-rows", told, "Use fewer epochs, or more rows; do not give these rows away")
