"""Isolation forest (Liu, Ting & Zhou, ICDM 2008): rows that few random cuts set apart are anomalies."""

from __future__ import annotations

from typing import Self

from sklearn.ensemble import IsolationForest

from engram.evaluation.baselines.baseline import Array, Baseline
from engram.registry import BASELINES


@BASELINES.register("isolation-forest", "scikit-learn's isolation forest, 100 trees")
class Forest(Baseline):
    """scikit-learn's isolation forest with 100 trees and otherwise its defaults."""

    def fit(self, x: Array, mask: Array | None = None, *, code_size: int = 1, random_state: int = 0) -> Self:
        """Grow the trees."""
        self.forest = IsolationForest(n_estimators=100, random_state=random_state).fit(x)
        return self

    def score_samples(self, x: Array, mask: Array | None = None) -> Array:
        """Return minus the anomaly score of the paper."""
        scores: Array = self.forest.score_samples(x)
        return scores
