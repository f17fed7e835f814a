"""Topics beside those of NMF and LDA: how coherent and different their words are and, with labels, how well documents are told apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engram.data.kind import gathered
from engram.errors import DataError
from engram.evaluation.apart import beyond, is_worse
from engram.evaluation.baselines.topics import TOPIC_BASELINES
from engram.evaluation.chosen import chosen
from engram.evaluation.facts import Look, evenly, learning, safely
from engram.evaluation.labels import one_label, one_per_row
from engram.evaluation.pictures import BLUE, CLASSES, WIDTH, loss_curve, png
from engram.evaluation.profile import profile
from engram.evaluation.report import Report, Result
from engram.evaluation.seen import seen_by
from engram.metrics.metric import Array, Metric
from engram.metrics.topics import normalised_mutual_information, npmi, purity, topic_diversity, word_pairs
from engram.metrics.uncertainty import DRAWS, FEWEST, deviations, standard_error
from engram.training import Finding
from engram.training.session import seed_from

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST = 10  # words of a topic
UNFAIR = "coherence: measured in the documents that baselines learned from; pass train= (--train), what the model learned from, to be fair"
MOST_LABELLED = 200  # different labels, beyond which they are no classes
SHOWN = 3  # documents whose similar ones are named
MOST_POINTS, MOST_DRAWN = 3000, 1500  # of the map as a picture, and on the page
PLACES = 1 << 22  # of words in documents, at most, that the error of coherence is told from
TELLING = 6  # words of a document that are shown


def _coherence(there: Array) -> float:
    """Return the mean NPMI of topics, from where their words are: (documents, topics, words) of 0 and 1."""
    pairs = there.transpose(1, 2, 0) @ there.transpose(1, 0, 2)
    return float(npmi(pairs.astype(np.float64), len(there)).mean())


def _metric(name: str, unit: str, function: Callable[..., float], *needs: str) -> Metric:
    return Metric(name, function, "higher", unit, needs, needs)


COHERENCE = _metric("coherence", "NPMI", _coherence, "there")
DIVERSITY = _metric("diversity", "share of words", topic_diversity, "words")
AGREEMENT = (
    _metric("purity", "share of rows", purity, "clusters", "labels"),
    _metric("nmi", "normalised mutual information", normalised_mutual_information, "clusters", "labels"),
)


def judge_topics(model: Any, X: Any, y: Any = None, *, train: Any = None, random_state: Any = 0) -> Report:
    """Judge the topics of a fitted `TopicModel` beside NMF on TF-IDF and LDA with as many topics.

    Parameters
    ----------
    model : TopicModel
        A fitted one.
    X : like the data of `fit`
        Documents, better such as it has not seen.
    y : array of one label per document, optional
        Classes, which clusters of documents by main topic are compared with.
    train : like X, optional
        The documents it was fitted on: baselines are fitted on them, and coherence is measured in them. Without, baselines are fitted on
        one half of X, and all are judged on the other.
    random_state : int, RandomState or None
        Seed of halves and baselines.
    """
    seed, kind = seed_from(random_state), model.kind_
    counts = model.counted(X)[0][:]
    given = None if y is None else one_label(y)
    labels = None if given is None else one_per_row(given, counts.shape[0]).astype(str).to_numpy()
    trained = None if train is None else kind.conform(kind.opened(train))[:]
    report: Report = _told_already(_judged, model, X, counts, labels, trained, seed)
    return report


def _told_already(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function on documents of which it was said what was left out, without saying it again."""
    with gathered({}):
        return function(*arguments)


def _judged(model: Any, X: Any, counts: Any, labels: Array | None, trained: Any, seed: int) -> Report:
    known, judged, told = _parts(counts, trained, seed)
    rows = counts[judged]
    classes = None if labels is None or len(set(labels)) > MOST_LABELLED else labels[judged]
    name = type(model).__name__
    protocol = {
        "features": f"counts of {counts.shape[1]:,} words; coherence: first {FIRST} words, {known.shape[0]:,} whole documents",
        "rows": rows.shape[0],
        "split": told,
        "baseline_rows": f"fitted on {known.shape[0]} rows",
        "seed": seed,
        "errors": f"bootstrap over documents, {DRAWS} draws; of diversity none",
    }
    subjects = [(name, model.network_.topics.first_words(FIRST).numpy(), model.transform(rows))]
    for cls in TOPIC_BASELINES:
        fitted = cls().fit(known, model.n_topics, random_state=seed)
        subjects.append((cls.name, fitted.first_words(FIRST), fitted.transform(rows)))
    found = [
        (Result(one.name, subject, value, standard_error(moved), one.better, one.unit, protocol), moved)
        for subject, words, shares in subjects
        for one, value, moved in _values(words, shares, known, classes, seed)
        if math.isfinite(value)
    ]
    results = [result for result, _ in found]
    notes = [] if trained is not None else [UNFAIR]
    notes += [] if classes is not None else ["purity, nmi: not computed: pass y= (--label), one class per document"]
    topics, alike = topics_in_words(model, subjects[0][2]), _similar(model, rows)
    return Report(
        model=name,
        metrics=[r for r in results if r.subject == name],
        baselines=[r for r in results if r.subject != name],
        findings=[*model.findings_, *seen_by(model, X, trained), *_worse(name, found, fair=trained is not None)],
        of_fit=len(model.findings_),
        protocol=protocol | {"notes": notes},
        columns=model.kind_.describe(),
        draw=partial(_told_already, _pictures, model, rows, subjects[0][2]),
        gather=partial(safely, partial(_told_already, _look, model, rows, subjects[0][2], topics, alike)),
        lines=[*_in_lines(topics), *(f"document {a} of these is most like {b} ({c:.2f})" for a, b, c in alike)],
    )


def _parts(counts: Any, train: Any, seed: int) -> tuple[Any, Array, str]:
    """Return the documents that are known, the numbers of those that are judged, and in words how they came about."""
    n = counts.shape[0]
    if train is not None:
        return train, np.arange(n), "all documents given; the documents of the fit are known"
    if n < 2:
        raise DataError("one document is too few to judge topics. Give more, or pass train=.")
    order = np.random.default_rng(seed).permutation(n)
    return (
        counts[np.sort(order[: n // 2])],
        np.sort(order[n // 2 :]),
        "half of the documents are known to baselines, the others judged",
    )


def _values(
    words: Array, shares: Array, known: Any, labels: Array | None, seed: int
) -> Iterator[tuple[Metric, float, Array]]:
    """Yield (metric, value, bootstrap deviations) of one subject; diversity is of words, which no documents change."""
    some = evenly(known.shape[0], max(FEWEST, PLACES // words.size))
    there = (known[some][:, words.ravel()] != 0).astype(np.float32).toarray().reshape(len(some), *words.shape)
    coherence = float(npmi(word_pairs(known, words), known.shape[0]).mean())
    shrunk = math.sqrt(len(some) / known.shape[0])
    yield COHERENCE, coherence, shrunk * deviations(COHERENCE, {"there": there}, random_state=seed)
    yield DIVERSITY, topic_diversity(words), np.full(DRAWS, math.nan)
    if labels is not None:
        arrays = {"clusters": shares.argmax(1), "labels": labels}
        for one in AGREEMENT:
            yield one, one.value(arrays), deviations(one, arrays, random_state=seed)


def _worse(name: str, found: list[tuple[Result, Array]], *, fair: bool) -> Iterator[Finding]:
    """Yield where the best baseline does better: see `engram.evaluation.apart`; of diversity by more than one word of each topic.

    Of coherence only where model and baselines learned from the documents that it is measured in: else baselines alone chose words there.
    """
    for own, moved in found:
        if own.name == COHERENCE.name and not fair:
            continue
        others = [(r, m) for r, m in found if own.subject == name != r.subject and r.name == own.name]
        if not others:
            continue
        best, other = max(others, key=lambda pair: pair[0].value)
        lost = best.value - own.value
        if (
            beyond(lost, 0.0, 1 / FIRST)
            if own.name == DIVERSITY.name
            else is_worse(lost, standard_error(other - moved), own.error)
        ):
            told = f"{own.name}: {best.subject} gets {best.value:.3f}, the model {own.value:.3f}"
            yield Finding("worse-than-baseline", told, f"{best.subject} serves better here; or try another n_topics")


def topics_in_words(model: Any, shares: Array) -> list[dict[str, Any]]:
    """Return topics, the largest first: share of the words, coherence in the documents of the fit, first words and their weights."""
    topics = model.network_.topics
    numbers, weights, words = topics.first_words(FIRST).numpy(), topics.importance().numpy(), model.top_words(FIRST)
    coherences, size = model.coherences(), shares.mean(0)
    return [
        {
            "topic": int(topic),
            "share": float(size[topic]),
            "coherence": float(coherences[topic]),
            "words": words[topic],
            "weights": [float(w) for w in weights[topic, numbers[topic]]],
        }
        for topic in np.argsort(-size, kind="stable")
    ]


def _in_lines(topics: list[dict[str, Any]]) -> Iterator[str]:
    """Yield topics in words, for a terminal."""
    for one in topics:
        told = f"{one['share']:.1%} of the words, coherence {one['coherence']:.2f}"
        yield f"topic {one['topic']} ({told}): {', '.join(one['words'])}"


def _similar(model: Any, rows: Any) -> list[tuple[int, int, float]]:
    """Return (document, the one most like it, similarity) of the first documents that have a known word."""
    some = evenly(rows.shape[0], MOST_POINTS)
    if np.count_nonzero(np.asarray(rows[some].sum(1))) < 2:
        return []
    found = model.similar(rows[some], n=1)
    return [
        (int(some[one.row]), int(some[one.similar]), float(one.similarity)) for one in found.head(SHOWN).itertuples()
    ]


def _look(
    model: Any, rows: Any, shares: Array, topics: list[dict[str, Any]], alike: list[tuple[int, int, float]]
) -> Look:
    """Gather what a report shows beside numbers: topics in words, documents in the plane, documents that are alike."""

    def said(document: int) -> str:
        weight = rows[[document]].toarray().ravel() * model.network_.encoder.idf.numpy()
        return ", ".join(model.words_[i] for i in np.argsort(-weight, kind="stable")[:TELLING] if weight[i] > 0)

    lines = [[f"{a}: {said(a)}", f"{b}: {said(b)}", f"{c:.2f}"] for a, b, c in alike]
    head = ["document: its most telling words", "is most like", "similarity"]
    facts = {
        "topics": topics,
        "topic_map": _mapped(model, rows, shares),
        "tables": [{"title": "Documents that are alike", "head": head, "rows": lines}] if lines else [],
        "learning": learning(model),
        "data": profile(model, rows),
        "chosen": chosen(model),
    }
    return Look(facts)


def _mapped(model: Any, rows: Any, shares: Array) -> dict[str, Any]:
    """Return documents and topics in the plane as plain values."""
    plane = in_the_plane(model, rows, shares, MOST_DRAWN)
    return {
        "points": [[*map(_rounded, place), int(topic)] for place, topic in zip(plane.points, plane.main, strict=True)],
        "centres": [list(map(_rounded, place)) for place in plane.centres],
        "topics": list(range(len(plane.centres))),
        "words": [" ".join(words) for words in model.top_words(2)],
        "share": plane.share,
        "documents": int(rows.shape[0]),
    }


def _rounded(value: float) -> float:
    return round(float(value), 4)


def _pictures(model: Any, rows: Any, shares: Array) -> dict[str, bytes]:
    return {"loss_curve": loss_curve(model), "topic_map": topic_map(model, rows, shares)}


@dataclass(frozen=True)
class Plane:
    """Documents, (documents, 2), their main topics, and topics, (topics, 2), along two principal components of codes."""

    points: Array
    main: Array
    centres: Array
    share: list[float]  # of the variance, by component


def in_the_plane(model: Any, rows: Any, shares: Array, most: int) -> Plane:
    """Place at most so many documents, and topics amid their documents; codes of one dimension lie on a line."""
    import torch

    from engram.maths.linear import principal_components

    some = evenly(rows.shape[0], most)
    codes, shares = model.codes(rows[some]), shares[some]
    found = principal_components(torch.from_numpy(codes), min(2, codes.shape[1]))
    mean, axes = found.mean.numpy(), found.vectors.T.numpy()
    means = shares.T @ codes / np.maximum(shares.sum(0), 1e-9)[:, None]  # of the codes of a topic's documents
    total = float(codes.var(0, ddof=1).sum()) if len(codes) > 1 else 0.0
    share = [float(v) / total if total > 0 else 0.0 for v in found.variances]

    def placed(values: Array) -> Array:
        at = (values - mean) @ axes
        return np.column_stack([at, np.zeros((len(at), 2 - at.shape[1]))])

    return Plane(placed(codes), shares.argmax(1), placed(means), [*share, 0.0][:2])


def topic_map(model: Any, rows: Any, shares: Array) -> bytes:
    """Draw documents along two principal components of their codes, coloured by main topic; first words stand amid a topic's documents."""
    plane = in_the_plane(model, rows, shares, MOST_POINTS)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        colours = [CLASSES[topic % len(CLASSES)] for topic in plane.main]
        axes.scatter(plane.points[:, 0], plane.points[:, 1], s=8, c=colours, alpha=0.4, linewidths=0)
        axes.scatter(plane.centres[:, 0], plane.centres[:, 1], s=24, c=BLUE, marker="x")
        for place, words in zip(plane.centres, model.top_words(2), strict=True):
            axes.annotate(" ".join(words), tuple(place), xytext=(4, 4), textcoords="offset points", fontsize=7)
        axes.set(xlabel="component 1", ylabel="component 2")

    return png(draw, (WIDTH, 6.4))
