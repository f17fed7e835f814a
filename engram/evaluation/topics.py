"""Topics beside those of NMF and LDA: how coherent and different their words are and, with labels, how well documents are told apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engram.errors import DataError
from engram.evaluation.baselines.topics import TOPIC_BASELINES
from engram.evaluation.facts import evenly
from engram.evaluation.labels import one_label, one_per_row
from engram.evaluation.pictures import BLUE, CLASSES, WIDTH, loss_curve, png
from engram.evaluation.report import Report, Result
from engram.evaluation.seen import seen_by
from engram.metrics.metric import Array
from engram.metrics.topics import normalised_mutual_information, npmi, purity, topic_diversity, word_pairs
from engram.training import Finding
from engram.training.session import seed_from

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST = 10  # words of a topic
UNITS = {
    "coherence": ("higher", "NPMI"),
    "diversity": ("higher", "share of words"),
    "purity": ("higher", "share of rows"),
    "nmi": ("higher", "normalised mutual information"),
}
LEAST = 0.01  # difference that is worth a finding
MOST_LABELLED = 200  # different labels, beyond which they are no classes
SHOWN = 3  # documents whose similar ones are named
MOST_POINTS = 3000


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
    counts = kind.conform(kind.opened(X))[:]
    given = None if y is None else one_label(y)
    labels = None if given is None else one_per_row(given, counts.shape[0]).astype(str).to_numpy()
    known, judged, told = _parts(counts, None if train is None else kind.conform(kind.opened(train))[:], seed)
    rows = counts[judged]
    classes = None if labels is None or len(set(labels)) > MOST_LABELLED else labels[judged]
    name = type(model).__name__
    protocol = {
        "features": f"counts of {counts.shape[1]:,} words; coherence: first {FIRST} words, {known.shape[0]:,} whole documents",
        "rows": rows.shape[0],
        "split": told,
        "baseline_rows": f"fitted on {known.shape[0]} rows",
        "seed": seed,
        "errors": "none",
    }
    subjects = [(name, model.network_.topics.first_words(FIRST).numpy(), model.transform(rows))]
    for cls in TOPIC_BASELINES:
        fitted = cls().fit(known, model.n_topics, random_state=seed)
        subjects.append((cls.name, fitted.first_words(FIRST), fitted.transform(rows)))
    results = [
        Result(metric, subject, value, math.nan, *UNITS[metric], protocol)
        for subject, words, shares in subjects
        for metric, value in _values(words, shares, known, classes)
        if math.isfinite(value)
    ]
    own = [r for r in results if r.subject == name]
    beside = [r for r in results if r.subject != name]
    notes = [*_topics(model, subjects[0][2]), *_similar(model, rows)]
    notes += [] if classes is not None else ["purity, nmi: not computed: pass y= (--label), one class per document"]
    return Report(
        model=name,
        metrics=own,
        baselines=beside,
        findings=[*model.findings_, *seen_by(model, X, train), *_worse(own, beside)],
        protocol=protocol | {"notes": notes},
        columns=kind.describe(),
        draw=partial(_pictures, model, rows, subjects[0][2]),
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


def _values(words: Array, shares: Array, known: Any, labels: Array | None) -> Iterator[tuple[str, float]]:
    """Yield (metric, value) of one subject."""
    yield "coherence", float(npmi(word_pairs(known, words), known.shape[0]).mean())
    yield "diversity", topic_diversity(words)
    if labels is not None:
        clusters = shares.argmax(1)
        yield "purity", purity(clusters, labels)
        yield "nmi", normalised_mutual_information(clusters, labels)


def _worse(own: list[Result], beside: list[Result]) -> Iterator[Finding]:
    """Yield where a baseline does better."""
    for result in own:
        best = max((r for r in beside if r.name == result.name), key=lambda r: r.value, default=None)
        if best is not None and best.value > result.value + LEAST:
            told = f"{result.name}: {best.subject} gets {best.value:.3f}, the model {result.value:.3f}"
            yield Finding("worse-than-baseline", told, f"{best.subject} serves better here; or try another n_topics")


def _topics(model: Any, shares: Array) -> Iterator[str]:
    """Yield the topics in words, the largest one first."""
    words, coherences, size = model.top_words(FIRST), model.coherences(), shares.mean(0)
    for topic in np.argsort(-size, kind="stable"):
        yield f"topic {topic} ({size[topic]:.1%} of the words, coherence {coherences[topic]:.2f}): {', '.join(words[topic])}"


def _similar(model: Any, rows: Any) -> Iterator[str]:
    """Yield the most similar documents of the first ones."""
    if rows.shape[0] < 2:
        return
    some = evenly(rows.shape[0], MOST_POINTS)
    found = model.similar(rows[some], n=3)
    for row in range(min(SHOWN, len(some))):
        own = found[found.row == row]
        others = ", ".join(f"{some[one.similar]} ({one.similarity:.2f})" for one in own.itertuples())
        yield f"document {some[row]} of these is most like {others}"


def _pictures(model: Any, rows: Any, shares: Array) -> dict[str, bytes]:
    return {"loss_curve": loss_curve(model), "topic_map": topic_map(model, rows, shares)}


def topic_map(model: Any, rows: Any, shares: Array) -> bytes:
    """Draw documents along two principal components of their codes, coloured by main topic; first words stand amid a topic's documents."""
    import torch

    from engram.maths.linear import principal_components

    some = evenly(rows.shape[0], MOST_POINTS)
    codes, shares = model.codes(rows[some]), shares[some]
    main = shares.argmax(1)
    found = principal_components(torch.from_numpy(codes), min(2, codes.shape[1]))
    mean, axes = found.mean.numpy(), found.vectors.T.numpy()
    means = shares.T @ codes / np.maximum(shares.sum(0), 1e-9)[:, None]  # of the codes of a topic's documents

    def placed(values: Array) -> Array:
        at = (values - mean) @ axes
        return at if at.shape[1] == 2 else np.column_stack([at, np.zeros(len(at))])

    def draw(figure: Figure) -> None:
        plane = figure.subplots()
        points, centres = placed(codes), placed(means)
        colours = [CLASSES[topic % len(CLASSES)] for topic in main]
        plane.scatter(points[:, 0], points[:, 1], s=8, c=colours, alpha=0.4, linewidths=0)
        plane.scatter(centres[:, 0], centres[:, 1], s=24, c=BLUE, marker="x")
        for place, words in zip(centres, model.top_words(2), strict=True):
            plane.annotate(" ".join(words), tuple(place), xytext=(4, 4), textcoords="offset points", fontsize=7)
        plane.set(xlabel="component 1", ylabel="component 2")

    return png(draw, (WIDTH, 6.4))
