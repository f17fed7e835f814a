"""Metrics: pure functions of arrays, one value each. They know no model and no kind of data, and load no torch.

A new metric is a function in a file of this package, entered with ``METRICS.register(name, better=..., unit=...)``;
the names of its parameters say what it needs (see `engram.metrics.metric`).
"""

from engram.metrics.agreement import agreement
from engram.metrics.detection import auroc
from engram.metrics.frechet import GaussianStatistics, frechet_distance, frechet_from_statistics, statistics
from engram.metrics.inception_score import inception_score, inception_score_error
from engram.metrics.kernel import kernel_distance, kernel_estimate, kernel_standard_error
from engram.metrics.likelihood import log_likelihood
from engram.metrics.manifold import Manifold, coverage, density, expected_coverage, manifold, precision, recall
from engram.metrics.memorisation import exact_copies, memorisation
from engram.metrics.metric import Metric, metric
from engram.metrics.modes import ModeCount, mode_count, mode_kl
from engram.metrics.path_length import path_length
from engram.metrics.reconstruction import r2, squared_error
from engram.metrics.sliced import sliced_wasserstein
from engram.metrics.tables import (
    category_shape,
    column_shapes,
    membership_auroc,
    missing_shape,
    missing_trends,
    nearer_to_training,
    number_shape,
    pair_trends,
)
from engram.metrics.topics import normalised_mutual_information, npmi, purity, topic_diversity, word_pairs
from engram.metrics.uncertainty import deviations, standard_error

__all__ = [
    "GaussianStatistics",
    "Manifold",
    "Metric",
    "ModeCount",
    "agreement",
    "auroc",
    "category_shape",
    "column_shapes",
    "coverage",
    "density",
    "deviations",
    "exact_copies",
    "expected_coverage",
    "frechet_distance",
    "frechet_from_statistics",
    "inception_score",
    "inception_score_error",
    "kernel_distance",
    "kernel_estimate",
    "kernel_standard_error",
    "log_likelihood",
    "manifold",
    "membership_auroc",
    "memorisation",
    "metric",
    "missing_shape",
    "missing_trends",
    "mode_count",
    "mode_kl",
    "nearer_to_training",
    "normalised_mutual_information",
    "npmi",
    "number_shape",
    "pair_trends",
    "path_length",
    "precision",
    "purity",
    "r2",
    "recall",
    "sliced_wasserstein",
    "squared_error",
    "standard_error",
    "statistics",
    "topic_diversity",
    "word_pairs",
]
