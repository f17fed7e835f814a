"""Baselines: the simple methods that stand beside every model, one file each, found by being here."""

from engram.evaluation.baselines.baseline import Baseline

__all__ = ["Baseline"]
