"""What a report tells of a fitted model beside its results: plain values for the page and for report.json alike."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from engram.data.images import Images
from engram.data.kind import DataWarning
from engram.data.stream import some
from engram.data.table import Table
from engram.errors import EngramError
from engram.evaluation.chosen import chosen
from engram.evaluation.drawn import drawn
from engram.evaluation.examples import numbered, picture_rows, table_rows
from engram.evaluation.labels import anomalies, beside, one_label, one_per_row
from engram.evaluation.neighbours import picture_neighbours, picture_ways, table_neighbours
from engram.evaluation.profile import profile
from engram.evaluation.purpose import LOG_P_VALUE, finds_anomalies, is_for_generation, only_generates
from engram.evaluation.strange import strangest
from engram.evaluation.traversal import picture_traversals, table_traversals
from engram.maths.linear import principal_components
from engram.models.codes import Codes
from engram.models.scores import Scores
from engram.models.sheets import is_game

if TYPE_CHECKING:
    from engram.models.model import Model

Array = np.ndarray[Any, np.dtype[Any]]
MOST_ROWS = 2000  # that scores, codes and distributions are shown of
MOST_PLACES = 800  # points of the map
MOST_LABELS = 10
TURNS = {"penalty": "discriminator", "kl": "encoder", "similarity": "encoder", "condition": "discriminator and generator",
         "decoder-similarity": "decoder"}  # of terms that are not called like a player  # fmt: skip
BINS = 28


@dataclass
class Look:
    """What there is to see.

    Parameters
    ----------
    facts : dict
        Plain JSON values by section: data, chosen, learning, and as far as they exist rows, codes, units, traversals,
        neighbours, scores.
    images : dict of bytes
        PNG pictures by name, for rows that are pictures.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)


def look(model: Model, X: Any, y: Any = None, train: Any = None, *, detect: bool = True, random_state: int = 0) -> Look:
    """Gather what there is to say of a model and of rows; what a model or a kind does not have is left out."""
    kind = model.kind_
    X, kept = spread(kind.opened(X))
    n_rows, called = len(kept) if y is None else len(y), numbered(X, kept)
    labels = None if one_label(y) is None else one_per_row(y, n_rows).iloc[kept].reset_index(drop=True)
    given = beside(model, y, kept).get("y")
    found = Look({"data": profile(model, X, given), "chosen": chosen(model), "learning": learning(model)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # said when the rows were evaluated
        if is_for_generation(model):
            facts, images = drawn(model, X, given, None if train is None else some(kind.opened(train)), random_state)
            found.facts |= {"generated": facts} if facts else {}
            found.images |= images
        if isinstance(kind, Images) and not only_generates(model):
            found.images |= picture_rows(model, X, random_state, given)
        elif isinstance(kind, Table):
            found.facts["rows"] = table_rows(model, X, random_state, given, called)
        if isinstance(model, Codes):
            codes = model.transform(X, **beside(model, given))
            found.facts["codes"] = code_map(codes, labels)
            found.facts["units"] = units(model, codes)
            if given is None:
                _add_traversals(found, model, X, codes, called)
        if finds_anomalies(model):
            found.facts["strangest"] = strangest(model, X, called)
        if isinstance(model, Scores) and given is None:
            trained = None if train is None else spread(kind.opened(train))[0]
            found.facts["scores"] = scores(model, X, labels if detect else None, trained)
    return found


def _add_traversals(found: Look, model: Codes, X: Any, codes: Array, called: dict[str, Any]) -> None:
    order = [unit["unit"] for unit in found.facts["units"] if unit["active"]]
    if not order or len(codes) < 2:
        return
    if isinstance(model.kind_, Images):
        found.facts["traversals"], images = picture_traversals(model, codes, order)
        found.images |= images | picture_ways(model, X, codes) | picture_neighbours(model, X, codes)
    elif isinstance(model.kind_, Table):
        found.facts["traversals"] = table_traversals(model, codes, order)
        found.facts["neighbours"] = table_neighbours(model, X, codes, called)


def learning(model: Model) -> dict[str, Any]:
    """The course of training: terms, held-out loss, the step kept."""
    history, settings = model.history_, model.settings_
    reports = history.reports
    names = list(dict.fromkeys(name for report in reports for name in report["terms"]))
    kept = next(
        (r["epoch"] for r in reports if r["step"] == history.best_step), 0.0 if history.best_step == 0 else None
    )
    return {
        "epochs": [round(report["epoch"], 4) for report in reports],
        "terms": {name: [report["terms"].get(name) for report in reports] for name in names},
        "training": history.losses,
        "held_out": [report.get("validation") for report in reports],
        "kept_epoch": kept,
        "kept_step": history.best_step,
        "stopped": history.stopped,
        "steps": reports[-1]["step"] if reports else 0,
        "seconds": reports[-1].get("seconds", 0.0) if reports else 0.0,
        "most_epochs": settings.max_epochs,
        **({"turns": turn_of(model, names)} if is_game(model.network_) else {}),
    }


def turn_of(model: Any, terms: list[str]) -> dict[str, str]:
    """Return the turn of a game that each term belongs to, the player that minimises it."""
    players = {role for turn in model.turns(0) for role in (turn.name, *turn.roles)}
    last = model.turns(0)[-1].name
    return {name: name if name in players else TURNS.get(name, last) for name in terms}


def code_map(codes: Array, labels: pd.Series[Any] | None, most: int = MOST_PLACES) -> dict[str, Any]:
    """Codes along their two principal components, at most so many of them, with their labels."""
    found = principal_components(torch.from_numpy(codes), min(2, codes.shape[1]))
    rest = max(codes.shape[1] - len(found.vectors), 0)
    total = float(found.residual * rest + found.variances.sum())
    index = evenly(len(codes), most)
    places = (codes[index] - found.mean.numpy()) @ found.vectors.T.numpy()
    shares = [float(v) / total if total > 0 else 0.0 for v in found.variances]
    told: dict[str, Any] = {"places": _rounded(places), "share": shares, "size": codes.shape[1], "labels": None}
    if labels is not None:
        told["labels"] = _labels(labels.iloc[index])
    return told


def _labels(labels: pd.Series[Any]) -> list[Any] | None:
    """Labels as texts where they are few, as numbers where they are many, None where they are neither."""
    present = labels.dropna()
    if not len(present):
        return None
    if present.nunique() <= MOST_LABELS:
        return [None if pd.isna(v) else str(v) for v in labels]
    if pd.api.types.is_numeric_dtype(present.infer_objects()):
        return [None if pd.isna(v) else float(v) for v in labels]
    return None


def units(model: Codes, codes: Array) -> list[dict[str, Any]]:
    """How much each code unit varies over the rows and, of a VAE, how many nats it carries; the most active first."""
    spread = codes.std(0) if len(codes) > 1 else np.zeros(codes.shape[1])
    kl = getattr(model, "kl_", None)
    least = (
        0.1 if kl is not None else 1e-3 * max(float(spread.max()), 1e-12)
    )  # a VAE's: variance .01 (Burda et al. 2015)
    weight = spread if kl is None else kl
    order = np.argsort(-weight, kind="stable")
    return [
        {
            "unit": int(i),
            "spread": float(spread[i]),
            "active": bool(spread[i] > least) or len(codes) < 2,
            **({} if kl is None else {"kl": float(kl[i])}),
        }
        for i in order
    ]


def scores(model: Model, X: Any, labels: pd.Series[Any] | None, train: Any) -> dict[str, Any]:
    """Histograms of scores on common edges: training rows, these rows, and apart the anomalies where labels say which."""
    own, what = model.score_samples(X), LOG_P_VALUE if finds_anomalies(model) else "nats"
    groups = {} if train is None else {"training rows": model.score_samples(train)}
    found = None if labels is None else anomalies(labels.to_numpy(), len(own))[0]
    if found is None:
        groups["these rows" if train is None else "rows not trained on"] = own
    else:
        groups |= {"normal rows": own[~found], "anomalies": own[found]}
    together = np.concatenate(list(groups.values()))
    together = together[np.isfinite(together)]
    if not len(together):
        return {"score": what, "edges": [], "groups": {}, "counts": {}}
    low, high = (float(v) for v in np.quantile(together, [0.005, 1.0]))
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = {name: np.histogram(np.clip(v, low, None), edges)[0] / max(len(v), 1) for name, v in groups.items()}
    return {
        "score": what,
        "edges": [float(e) for e in edges],
        "groups": {name: [float(s) for s in share] for name, share in shares.items()},
        "counts": {name: len(values) for name, values in groups.items()},
        "below": int((together < low).sum()),
    }


def spread(X: Any, most: int = MOST_ROWS) -> tuple[Any, Array]:
    """Return at most so many rows, taken evenly, and their numbers."""
    X = some(X)
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    index = evenly(X.shape[0], most)
    if len(index) == X.shape[0]:
        return X, index
    return (X.iloc[index] if hasattr(X, "iloc") else X[index]), index


def evenly(n: int, most: int) -> Array:
    """Return the numbers of at most so many of n rows, evenly from the first to the last: files are often sorted."""
    return np.linspace(0, n - 1, min(n, most)).astype(int)


def _rounded(places: Array) -> list[list[float]]:
    size = float(np.abs(places).max()) if places.size else 0.0
    decimals = max(0, 3 - math.floor(math.log10(size))) if size > 0 else 3
    return [[round(float(v), decimals) for v in place] for place in places]


def safely(make: Any) -> Look:
    """Return what there is to see; rows that a model refuses leave a page without it, not no page."""
    try:
        found: Look = make()
    except EngramError:
        return Look()
    return found
