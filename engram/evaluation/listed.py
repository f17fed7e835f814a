"""What reports tell beside the metrics that can be asked for by name, and the simple methods of applications: name, definition, where."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from engram.evaluation import recommendation, synthetic, topics
from engram.evaluation.baselines.gaussian_copula import GaussianCopula
from engram.evaluation.baselines.smote import SMOTE
from engram.evaluation.baselines.topics import LDATopics, NMFTopics
from engram.evaluation.baselines.weight_bias import WeightBias
from engram.evaluation.generation import COPIES, SAMPLERS
from engram.evaluation.report import OF_MODEL
from engram.evaluation.sets import ELSEWHERE
from engram.evaluation.table_learners import detection
from engram.metrics import exact_copies, ranking, tables
from engram.metrics import topics as of_topics
from engram.registry import BASELINES, METRICS

MODELS = "all models with a likelihood"
DEFINED: dict[str, Callable[..., Any] | str] = {  # by a function, whose docstring begins with it, or here
    "coherence": of_topics.npmi,
    "diversity": of_topics.topic_diversity,
    "purity": of_topics.purity,
    "nmi": of_topics.normalised_mutual_information,
    "ndcg@100": ranking.ndcg_at,
    "recall@20": ranking.recall_at,
    "recall@50": ranking.recall_at,
    "mrr@100": ranking.reciprocal_rank,
    "weights-rmse": "Root of the mean squared error of held-back weights.",
    "column-shapes": "1 - the Kolmogorov-Smirnov (categories: total variation) distance of a column, averaged over columns.",
    "pair-trends": "1 - half the difference of two columns' correlations (categories: total variation distance), averaged over pairs.",
    "missing-patterns": tables.missing_trends,
    "coverage": METRICS["coverage"].value,
    "detection": detection,
    "exact-copies": exact_copies,
    "nearer-to-training": tables.nearer_to_training,
    "membership": tables.membership_auroc,
    "utility": "How well a learner trained on generated rows predicts a column of real ones: macro F1 or R2.",
    "negative-log-likelihood": "Mean of -log p(x) over rows, in nats; an estimate or a bound where there is no closed form.",
    "bits-per-dimension": "-log2 p(x) over the number of values of a row, averaged over rows.",
    "active-units": "How many units of the code vary over rows by more than .01 (Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519).",
}
MEASURES = {
    "topics": tuple(one.name for one in (topics.COHERENCE, topics.DIVERSITY, *topics.AGREEMENT)),
    "recommendation": (*recommendation.UNITS, "weights-rmse"),
    "synthesis": (*synthetic.UNITS, "utility"),
    MODELS: OF_MODEL,
}
SIMPLE: dict[str, tuple[type, ...]] = {
    "generated rows": SAMPLERS,
    "topics": (NMFTopics, LDATopics),
    "recommendation": (*recommendation.SIMPLE, WeightBias),  # type: ignore[arg-type]
    "synthesis": (SMOTE, GaussianCopula),
}


def first_line(told: object) -> str:
    """Return a definition, or the one that a docstring begins with, without the shapes of arrays."""
    text = told if isinstance(told, str) else (told.__doc__ or "").strip().partition("\n")[0].removeprefix("Return ")
    text = re.sub(r", \(\w+,\)", "", text.partition(" Direction:")[0])
    return text[:1].upper() + text[1:]


def metrics() -> dict[str, str]:
    """Return all that reports tell, by name: first what can be asked for (``--metric``), then what a report tells of its own accord."""
    why = {name: f" Not by --metric: {told}." for name, told in ELSEWHERE.items()}
    found = {entry.name: entry.summary + why.get(entry.name, "") for entry in METRICS}
    found[COPIES[0]] = first_line(DEFINED[COPIES[0]])
    found = dict(sorted(found.items()))
    for where, names in MEASURES.items():
        for name in names:
            found.setdefault(name, f"{first_line(DEFINED[name])} Only of {where}; not by --metric.")
    return found


def baselines() -> dict[str, str]:
    """Return all simple methods by name: first those of every kind of data, then those that a report of one sort has."""
    found = {entry.name: entry.summary for entry in BASELINES}
    for where, classes in SIMPLE.items():
        for cls in classes:
            found.setdefault(cls.name, f"{first_line(cls)} Only of {where}.")  # type: ignore[attr-defined]
    return found
