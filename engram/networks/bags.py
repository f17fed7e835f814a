"""Bags of words: the counts of a batch that are not zero, and an encoder that looks at nothing else.

A document has a hundred of thousands of words, so a dense product would be zeros for the most part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

GAIN = 20.0  # length of a document, as a sum of embeddings sees it
SPREAD = 0.008  # of embeddings at the start: small, so that what is learned soon outweighs it


class Bag(NamedTuple):
    """The counts of a batch of documents that are not zero, document by document.

    Parameters
    ----------
    document, word : Tensor
        (entries,) which document (rising) and which word.
    times : Tensor
        (entries,) how often; may be zero.
    documents : int
        How many documents there are.
    """

    document: Tensor
    word: Tensor
    times: Tensor
    documents: int

    @classmethod
    def of(cls, x: Tensor) -> Bag:
        """Return the bag of dense counts, (documents, words)."""
        document, word = x.nonzero(as_tuple=True)
        return cls(document, word, x[document, word], len(x))

    def halves(self, generator: torch.Generator | None = None) -> tuple[Bag, Bag]:
        """Deal the different words of each document out to two halves by a coin each; together they are the document.

        A word goes to one half as often as it is there: halves that share words would be told by a name that occurs twice.
        """
        first = self.times * (torch.rand(self.times.shape, generator=generator, device=self.times.device) < 0.5)
        return self._replace(times=first), self._replace(times=self.times - first)

    def matrix(self, words: int) -> Any:
        """Return the counts as a sparse matrix, (documents, words)."""
        places = (self.document.numpy(), self.word.numpy())
        return sparse.csr_array((self.times.numpy(), places), shape=(self.documents, words))

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum of (entries,) values by document, (documents,)."""
        return values.new_zeros(self.documents).index_add_(0, self.document, values)

    def embedded(self, table: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of the words' rows of a table (words, size) by document, (documents, size)."""
        begins = torch.searchsorted(self.document, torch.arange(self.documents, device=self.document.device))
        return functional.embedding_bag(self.word, table, begins, mode="sum", per_sample_weights=weights)

    def tf_idf(self, idf: Tensor) -> Tensor:
        """Return (1 + log count) idf, divided by its length in each document, (entries,) (scikit-learn's with ``sublinear_tf``)."""
        weight = torch.where(self.times > 0, 1 + self.times.clamp(min=1).log(), 0.0) * idf[self.word]
        length = self.summed(weight.square()).sqrt()
        return weight / length.clamp(min=1e-9)[self.document]


class BagEncoder(nn.Module):
    """Codes of documents on the unit sphere: embeddings of the words summed by TF-IDF, one hidden layer, a normalised linear map.

    Parameters
    ----------
    words, width, code_size : int
        Words of the vocabulary, hidden units, dimensions of the code.
    dropout : float
        Share of hidden values dropped in training.
    """

    def __init__(self, words: int, width: int, code_size: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Parameter(SPREAD * torch.randn(words, width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, code_size)
        self.scale = nn.BatchNorm1d(code_size, affine=False)  # no direction of the code dies
        self.register_buffer("idf", torch.ones(words))
        self.idf: Tensor

    @torch.no_grad()
    def weigh(self, bags: Iterable[Bag]) -> None:
        """Set the weights of words from how many documents have each: log((1 + documents) / (1 + frequency)) + 1."""
        frequency, documents = torch.zeros_like(self.idf), 0
        for bag in bags:
            frequency += torch.bincount(bag.word, minlength=len(frequency))
            documents += bag.documents
        self.idf.copy_(((1 + documents) / (1 + frequency)).log() + 1)

    def forward(self, bag: Bag) -> Tensor:
        """Return codes of unit length, (documents, code size)."""
        hidden = functional.softplus(bag.embedded(self.words, GAIN * bag.tf_idf(self.idf)) + self.bias)
        found = self.head(self.dropout(hidden))
        if bag.documents > 1 or not self.training:  # one document has no spread to divide by
            found = self.scale(found)
        return functional.normalize(cast("Tensor", found), dim=1)
