"""Evaluation: a model and simple methods on the same rows, by the same metrics, in one report."""

from engram.evaluation.evaluate import evaluate
from engram.evaluation.report import Report, Result

__all__ = ["Report", "Result", "evaluate"]
