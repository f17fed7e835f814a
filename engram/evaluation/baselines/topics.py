"""Simple topic models: fitted to counts, they give words to topics and topics to documents. By scikit-learn."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from sklearn.decomposition import NMF, LatentDirichletAllocation
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer

from engram.evaluation.baselines.baseline import Array


class TopicBaseline(ABC):
    """A simple topic model of counts, a sparse matrix (documents, words)."""

    name: str
    importance: Array  # of each word in each topic, (topics, words)

    def fit(self, counts: Any, topics: int, *, random_state: int = 0) -> Self:
        """Learn topics."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of rounds is the protocol's
            self.importance = self._learned(counts, topics, random_state)
        return self

    @abstractmethod
    def _learned(self, counts: Any, topics: int, seed: int) -> Array:
        """Fit, and return the importance of words."""

    @abstractmethod
    def _weights(self, counts: Any) -> Array:
        """Return the weight of topics in documents, (documents, topics)."""

    def transform(self, counts: Any) -> Array:
        """Return how much of each topic a document has, (documents, topics); rows sum to one, or to zero without any topic."""
        found = self._weights(counts)
        shares: Array = found / np.maximum(found.sum(1, keepdims=True), 1e-12)
        return shares

    def first_words(self, n: int) -> Array:
        """Return the numbers of the n most important words of each topic, (topics, n)."""
        found: Array = np.argsort(-self.importance, axis=1, kind="stable")[:, :n]
        return found


class NMFTopics(TopicBaseline):
    """Non-negative matrix factorisation of TF-IDF weights, 1 + log count (Lee & Seung, Nature 401, 1999); 80 rounds from an SVD."""

    name = "nmf"

    def _learned(self, counts: Any, topics: int, seed: int) -> Array:
        self.tf_idf = TfidfTransformer(sublinear_tf=True).fit(counts)
        start = "nndsvd" if topics <= min(counts.shape) else "random"
        self.model = NMF(topics, init=start, max_iter=80, random_state=seed).fit(self.tf_idf.transform(counts))
        found: Array = self.model.components_
        return found

    def _weights(self, counts: Any) -> Array:
        found: Array = self.model.transform(self.tf_idf.transform(counts))
        return found


class LDATopics(TopicBaseline):
    """Latent Dirichlet allocation by online variational Bayes (Hoffman, Blei & Bach, NIPS 2010), six passes over the counts."""

    name = "lda"

    def _learned(self, counts: Any, topics: int, seed: int) -> Array:
        self.model = LatentDirichletAllocation(topics, learning_method="online", max_iter=6, random_state=seed).fit(
            counts
        )
        found: Array = self.model.components_
        return found

    def _weights(self, counts: Any) -> Array:
        found: Array = self.model.transform(counts)
        return found


TOPIC_BASELINES: tuple[type[TopicBaseline], ...] = (NMFTopics, LDATopics)
