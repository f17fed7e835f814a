"""Recommendations judged: items held back of users' histories are to be found again, beside popularity, item-kNN and EASE.

The protocol stands with every number: what was held back and how, what was fed, that items of the history are left out of the lists, what
recall divides by, how many users and items, the seed, and what baselines learned from. Numbers under other protocols say nothing about
these: feeding a validation part as well, for one, lifts recall more than any model does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from engram.errors import DataError
from engram.evaluation.apart import is_worse
from engram.evaluation.baselines.ease import EASE
from engram.evaluation.baselines.item_knn import ItemKNN
from engram.evaluation.baselines.popularity import Popularity
from engram.evaluation.baselines.recommender import SimpleRecommender, ones
from engram.evaluation.baselines.weight_bias import WeightBias
from engram.evaluation.chosen import chosen
from engram.evaluation.facts import Look, learning
from engram.evaluation.held_back import HeldBack, hold_back
from engram.evaluation.profile import profile
from engram.evaluation.report import Report, Result
from engram.evaluation.seen import seen_by
from engram.metrics.ranking import hits_of, ndcg_at, recall_at, reciprocal_rank
from engram.training import Finding
from engram.training.session import seed_from

Array = np.ndarray[Any, np.dtype[Any]]
Ranked = dict[str, Callable[[Any], Array]]  # histories of ones, (rows, items) CSR, to scores, by who gives them
PLACES = 100  # of a list
MOST_USERS = 10_000  # that are judged
MOST_FOR_EASE = 10_000  # items or users, whichever are fewer, beyond which EASE takes too long for a report
BLOCK = 256  # users that are scored at once
FOLDS = 5
MEASURES: dict[str, Callable[[Array, Array], Array]] = {
    "ndcg@100": lambda hits, n: ndcg_at(hits, n, 100),
    "recall@20": lambda hits, n: recall_at(hits, n, 20),
    "recall@50": lambda hits, n: recall_at(hits, n, 50),
    "mrr@100": lambda hits, n: reciprocal_rank(hits, n, 100),
}
UNITS = {
    "ndcg@100": "share of the best list's gain",
    "recall@20": "share of min(20, held back)",
    "recall@50": "share of min(50, held back)",
    "mrr@100": "one over the first hit's place",
}
SIMPLE: tuple[Callable[[], SimpleRecommender], ...] = (Popularity, ItemKNN, EASE)
EXAMPLES, SHOWN = 5, 5  # users of the report, and items of each


class NothingHeldBackError(DataError):
    """No user has an item that could be held back, and another to find it by."""


def judge_recommendations(
    model: Any, X: Any, *, protocol: str = "strong", train: Any = None, random_state: Any = 0
) -> Report:
    """Judge a fitted recommender.

    Parameters
    ----------
    model : Recommender
        A fitted one.
    X : like the data of `fit`
        Users, better such as it has not seen.
    protocol : str
        See `engram.evaluation.held_back`.
    train : like X, optional
        What it was fitted on: baselines learn from it. Without, they learn from four fifths of the users of X, for the other fifth.
    random_state : int, RandomState or None
        Seed of what is held back, and of folds.

    Raises
    ------
    NothingHeldBackError
        No user has two items.
    """
    seed = seed_from(random_state)
    histories = model.kind_.placed(model.kind_.opened(X), type(model).__name__)
    some = np.sort(np.random.default_rng(seed).permutation(len(histories))[:MOST_USERS])
    histories = histories[some]
    weights = model.kind_.encoded_histories(histories)
    parts = hold_back(weights, protocol, seed, histories.times)
    judged = np.diff(parts.held.indptr) > 0
    if not judged.any():
        raise NothingHeldBackError(
            "no user has two items that are known from the fit, so none can be held back to be found again."
        )
    parts = HeldBack(parts.fed[judged], parts.held[judged], parts.told)
    known = None if train is None else model.kind_.conform(model.kind_.opened(train))[:]
    common = _protocol(parts, known, seed)
    values = dict(_values(model, parts, known, seed))
    results = [
        _result(name, subject, v, common) for subject, measured in values.items() for name, v in measured.items()
    ]
    results += list(_of_weights(model, parts, known, common))
    name = type(model).__name__
    notes = [] if "ease" in values else [f"ease: left out, more than {MOST_FOR_EASE:,} items and users"]
    seen = seen_by(model, X, train, partial(_seen, weights[judged], known))
    return Report(
        model=name,
        metrics=[r for r in results if r.subject == name],
        baselines=[r for r in results if r.subject != name],
        findings=[*model.findings_, *seen, *_worse(name, values)],
        of_fit=len(model.findings_),
        protocol=common | {"notes": notes},
        columns=model.kind_.describe(),
        gather=partial(_look, model, histories[judged][:EXAMPLES]),
    )


def unjudged(model: Any, why: str) -> Report:
    """Return the report of a recommender that could not be judged on the users at hand."""
    protocol = {"features": "none", "rows": 0, "split": "nothing held back", "baseline_rows": "none", "seed": None}
    notes = [f"{', '.join(MEASURES)}: not computed: {why}"]
    return Report(
        model=type(model).__name__,
        metrics=[],
        baselines=[],
        findings=list(model.findings_),
        of_fit=len(model.findings_),
        protocol=protocol | {"errors": "none", "notes": notes},
        columns=model.kind_.describe(),
    )


def _protocol(parts: HeldBack, known: Any, seed: int) -> dict[str, Any]:
    users, items = parts.fed.shape
    learned = (
        "fitted on four fifths of these users at a time, for the others"
        if known is None
        else f"fitted on {known.shape[0]} users"
    )
    return {
        "features": f"lists of {items:,} items",
        "rows": users,
        "split": f"{parts.told}; recall divides by min(k, held back)",
        "baseline_rows": learned,
        "seed": seed,
        "errors": "over users; of weights-rmse over held-back cells, as if they were independent",
    }


def _values(model: Any, parts: HeldBack, known: Any, seed: int) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yield (subject, measures per user)."""
    for name, scores in model.subjects().items():
        yield name, measured(scores, parts)
    for make in SIMPLE:
        if make is EASE and min(parts.fed.shape[1], (parts.fed if known is None else known).shape[0]) > MOST_FOR_EASE:
            continue
        if known is not None:
            simple = make().fit(known, random_state=seed)
            yield simple.name, measured(simple.scores, parts)
        elif len(parts.fed.indptr) > 2:
            yield _crossed(make, parts, seed)


def _crossed(make: Callable[[], SimpleRecommender], parts: HeldBack, seed: int) -> tuple[str, dict[str, Array]]:
    """Judge a baseline on each fold of the users, learned from the others."""
    whole = sparse.csr_array(parts.fed + parts.held)
    n = whole.shape[0]
    folds = np.array_split(np.random.default_rng(seed).permutation(n), min(FOLDS, n))
    found: dict[str, Array] = {name: np.full(n, np.nan) for name in MEASURES}
    name = ""
    for fold in folds:
        simple = make().fit(whole[np.setdiff1d(np.arange(n), fold)], random_state=seed)
        name = simple.name
        for measure, values in measured(simple.scores, HeldBack(parts.fed[fold], parts.held[fold], parts.told)).items():
            found[measure][fold] = values
    return name, found


def measured(scores: Callable[[Any], Array], parts: HeldBack) -> dict[str, Array]:
    """Return all measures per user of what gives scores for histories of ones."""
    found: dict[str, list[Array]] = {name: [] for name in MEASURES}
    for at in range(0, parts.fed.shape[0], BLOCK):
        fed, held = parts.fed[at : at + BLOCK], parts.held[at : at + BLOCK]
        hits, n = hits_of(scores(ones(fed).astype(np.float32)), fed, held, PLACES)
        for name, measure in MEASURES.items():
            found[name].append(measure(hits, n))
    return {name: np.concatenate(values) for name, values in found.items()}


def _result(name: str, subject: str, values: Array, protocol: dict[str, Any]) -> Result:
    return Result(name, subject, float(np.nanmean(values)), _error(values), "higher", UNITS[name], protocol)


def _error(values: Array) -> float:
    """Return the standard error of a mean over users."""
    n = int(np.isfinite(values).sum())
    return float(np.nanstd(values, ddof=1) / n**0.5) if n > 1 else float("nan")


def _of_weights(model: Any, parts: HeldBack, known: Any, protocol: dict[str, Any]) -> Iterator[Result]:
    """Yield how well held-back weights are predicted, beside the bias model."""
    if not model.kind_.continuous:
        return
    cells = parts.held.tocoo()
    unit = "rating" if model.kind_.ratings else "log(1 + weight)"
    subjects: dict[str, Callable[[Any], Array]] = {type(model).__name__: model.expected}
    if known is not None:
        subjects[WeightBias.name] = WeightBias().fit(known).predict
    for subject, predict in subjects.items():
        told = np.concatenate([_at(predict, parts, at) for at in range(0, parts.fed.shape[0], BLOCK)])
        squares = np.square(told - cells.data)
        rmse = float(np.sqrt(squares.mean()))
        error = float(squares.std() / len(squares) ** 0.5 / (2 * rmse)) if rmse > 0 else float("nan")
        yield Result("weights-rmse", subject, rmse, error, "lower", unit, protocol)


def _at(predict: Callable[[Any], Array], parts: HeldBack, at: int) -> Array:
    held = parts.held[at : at + BLOCK].tocoo()
    found: Array = predict(parts.fed[at : at + BLOCK])[held.coords[0], held.coords[1]]
    return found


def _seen(weights: Any, known: Any, of_the_fit: bool) -> Iterator[Finding]:
    """Yield that users to be judged are among the ``known`` ones, where they are."""
    if known is None:
        return
    there = set(_item_sets(known))
    again = sum(items in there for items in _item_sets(weights))
    if 2 * again >= weights.shape[0]:
        told = f"{again} of these {weights.shape[0]} users have the very items of a user "
        told += "of the fit" if of_the_fit else "given as train=, of whom baselines learned"
        told += ", so the numbers say little of new users"
        yield Finding("training-rows", told, "Evaluate on users that were kept apart")


def _item_sets(matrix: Any) -> Iterator[bytes]:
    """Yield which items each user has, as something to be found again."""
    indices = matrix.indices.astype(np.int64)
    for begin, end in pairwise(matrix.indptr):
        yield indices[begin:end].tobytes()


def _worse(name: str, values: dict[str, dict[str, Array]]) -> Iterator[Finding]:
    """Yield which simple methods find more, user by user: see `engram.evaluation.apart`."""
    for subject, measures in values.items():
        lost = measures["ndcg@100"] - values[name]["ndcg@100"]
        n = int(np.isfinite(lost).sum())
        if subject == name or n < 2:
            continue
        mean, error, own = float(np.nanmean(lost)), _error(lost), _error(values[name]["ndcg@100"])
        if is_worse(mean, error, own):
            told = f"lists by {subject} are better than those of {name}: NDCG@100 is higher by {mean:.4f} ± {error:.4f}"
            yield Finding("worse-than-baseline", told, f"Use {subject}, or fit to more users")


def _look(model: Any, histories: Any) -> Look:
    """Gather what a report shows beside numbers: popular items, and what some users had and are recommended."""
    popular = model.popular(2 * SHOWN)
    rows = [[str(r.item), f"{r.users:,}", f"{r.share:.1%}"] for r in popular.itertuples()]
    tables = [{"title": "Popular items", "head": ["item", "users", "share of users"], "rows": rows}]
    best = model.recommendations(histories, SHOWN, reasons=True)
    named = [[histories.items[i] for i in row.indices] for row in histories.matrix]
    users = histories.named()
    examples = []
    for user, had in zip(users, named, strict=True):
        more = f" and {len(had) - SHOWN} more" if len(had) > SHOWN else ""
        for place, r in enumerate(best[best.user == user].itertuples()):
            shown = ", ".join(map(str, had[:SHOWN])) + more if place == 0 else ""
            examples.append([shown, str(r.item), str(r.because)])
    tables.append(
        {"title": "Recommendations", "head": ["a user had", "is recommended", "because of"], "rows": examples}
    )
    own = {"learning": learning(model), "data": profile(model, histories), "chosen": chosen(model)}
    return Look({"tables": tables} | own)
