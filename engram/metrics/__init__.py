"""Metrics: pure functions of arrays, one value each. They know no model and no kind of data, and load no torch.

A new metric is a function in a file of this package, entered with ``METRICS.register(name, better=..., unit=...)``;
the names of its parameters say what it needs (see `engram.metrics.metric`).
"""

from engram.metrics.detection import auroc
from engram.metrics.likelihood import log_likelihood
from engram.metrics.metric import Metric, metric
from engram.metrics.reconstruction import r2, squared_error
from engram.metrics.uncertainty import deviations, standard_error

__all__ = ["Metric", "auroc", "deviations", "log_likelihood", "metric", "r2", "squared_error", "standard_error"]
