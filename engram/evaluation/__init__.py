"""Evaluation: a model and simple methods on the same rows, by the same metrics, in one report; several models in one comparison."""

from engram.evaluation.compare import compare
from engram.evaluation.compare_table import Comparison, Standing
from engram.evaluation.evaluate import evaluate
from engram.evaluation.report import Report, Result

__all__ = ["Comparison", "Report", "Result", "Standing", "compare", "evaluate"]
