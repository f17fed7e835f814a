"""Topics: how well their words go together, how different they are, and how well clusters of documents agree with labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from engram.errors import DataError
from engram.metrics.metric import Array


def word_pairs(counts: Any, words: Array) -> Array:
    """Return in how many documents two words of a topic stand together, (topics, n, n); on the diagonal each word alone.

    All that `npmi` needs of the documents.

    Parameters
    ----------
    counts : sparse matrix or array
        (documents, words); what is not zero is there.
    words : array of int
        (topics, n) numbers of the words of each topic.
    """
    there = (sparse.csc_array(counts) != 0).astype(np.float64)
    found = np.zeros((*words.shape, words.shape[1]))
    for topic, own in enumerate(words):
        part = there[:, own]
        found[topic] = (part.T @ part).toarray()
    return found


def npmi(pairs: Array, documents: int) -> Array:
    """Normalised pointwise mutual information of each topic's words, (topics,): the mean over its pairs of words.

    log(p(a, b) / (p(a) p(b))) / -log p(a, b), with p the share of documents that have the words; -1 for a pair that no document has, 1 for
    one that all have. Direction: higher is better, -1 to 1, 0 is chance. Unit: none. Source: Bouma 2009; as a coherence of topics Aletras &
    Stevenson, IWCS 2013. Whole documents are the windows here: numbers with sliding windows are others.

    Parameters
    ----------
    pairs : array
        (topics, n, n) from `word_pairs`.
    documents : int
        How many documents were counted.

    Returns
    -------
    array
        NaN for topics of less than two words.
    """
    if documents < 1:
        raise DataError("coherence is measured on documents, and there is none.")
    n = pairs.shape[1]
    first, second = np.triu_indices(n, 1)
    both = pairs[:, first, second] / documents
    alone = np.diagonal(pairs, axis1=1, axis2=2) / documents
    with np.errstate(divide="ignore", invalid="ignore"):
        gained = np.log(both / (alone[:, first] * alone[:, second])) / -np.log(both)
    values = np.where(both == 0, -1.0, np.where(both >= 1, 1.0, gained))
    return values.mean(1) if n > 1 else np.full(len(pairs), np.nan)


def topic_diversity(words: Array) -> float:
    """Share of different words among the first n words of all topics.

    Direction: higher is better; 1 where no two topics share a word. Unit: share of words. Source: Dieng et al., Topic Modeling in Embedding
    Spaces, TACL 2020, arXiv:1907.04907.

    Parameters
    ----------
    words : array
        (topics, n) words or their numbers.
    """
    return len(np.unique(words)) / max(1, np.size(words))


def purity(clusters: Array, labels: Array) -> float:
    """Share of rows whose label is the most frequent one of their cluster.

    Direction: higher is better; 1 where each cluster has one label. Unit: share of rows. It grows with the number of clusters, so compare
    only at the same number. Source: Manning, Raghavan & Schütze, Introduction to Information Retrieval, 2008, section 16.3.

    Parameters
    ----------
    clusters, labels : array
        (rows,) each.
    """
    table = _table(clusters, labels)
    return float(table.max(1).sum() / table.sum())


def normalised_mutual_information(clusters: Array, labels: Array) -> float:
    """2 I(clusters; labels) / (H(clusters) + H(labels)), scikit-learn's ``normalized_mutual_info_score``.

    Direction: higher is better, 0 to 1. Unit: none. Source: Manning, Raghavan & Schütze 2008, section 16.3.

    Parameters
    ----------
    clusters, labels : array
        (rows,) each.
    """
    from sklearn.metrics import normalized_mutual_info_score

    _table(clusters, labels)
    return float(normalized_mutual_info_score(np.asarray(labels), np.asarray(clusters)))


def _table(clusters: Array, labels: Array) -> Array:
    """Return how many rows of each cluster have each label, (clusters, labels)."""
    clusters, labels = np.asarray(clusters), np.asarray(labels)
    if clusters.ndim != 1 or clusters.shape != labels.shape or not len(clusters):
        raise DataError(
            f"clusters and labels are one each per row, these are of shapes {clusters.shape} and {labels.shape}."
        )
    own, row = np.unique(clusters, return_inverse=True)
    names, column = np.unique(labels, return_inverse=True)
    found = np.zeros((len(own), len(names)))
    np.add.at(found, (row, column), 1)
    return found
