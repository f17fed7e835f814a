"""Topics on top of codes: how much of each topic a document has, and which words a topic brings.

The generative model is that of ETM (Dieng, Ruiz & Blei, TACL 2020, arXiv:1907.04907): delta ~ N(m, s^2), theta = softmax(delta), each
word of a document w ~ theta' beta. As in ProdLDA (Srivastava & Sutton, ICLR 2017, arXiv:1703.01488) the posterior of delta is a normal
whose mean comes from an encoder; here it is scale * cos(code, prototype), so that a topic is a place among the codes. m and s are learned.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.data.rows import Rows
from engram.maths.divergence import kl_normals, reparameterise
from engram.maths.quantise import k_means
from engram.networks.bags import Bag

SCALE = 20.0  # of cosines at the start: most documents then have one main topic
SMOOTH = 0.1  # share of the background in a topic at the start
CLUSTERED = 20_000  # codes, at most, that prototypes are found from
ROUNDS = 30


class TopicMixture(nn.Module):
    """Prototypes of topics among the codes, and their words.

    Parameters
    ----------
    topics, words, code_size : int
        How many topics and words, and dimensions of the code.
    """

    def __init__(self, topics: int, words: int, code_size: int) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(functional.normalize(torch.randn(topics, code_size), dim=1))
        self.log_scale = nn.Parameter(torch.tensor(SCALE).log())
        self.words = nn.Parameter(torch.zeros(topics, words))
        self.log_var = nn.Parameter(torch.zeros(topics))
        self.prior_mean = nn.Parameter(torch.zeros(topics))
        self.prior_log_var = nn.Parameter(torch.ones(topics))
        self.register_buffer("idf", torch.ones(words))
        self.register_buffer("background", torch.full((words,), 1 / words))
        self.idf: Tensor
        self.background: Tensor

    @torch.no_grad()
    def begin(self, codes: Tensor, bags: Iterable[Bag], idf: Tensor) -> None:
        """Set prototypes to the centres of clusters of codes (k-means on the sphere), words to what is said in each cluster."""
        centres = k_means(Rows(codes).spread(CLUSTERED).x[:, None], len(self.prototypes), ROUNDS)[0]
        self.prototypes.copy_(functional.normalize(centres, dim=1))
        self.idf.copy_(idf)
        nearest = (codes @ self.prototypes.T).argmax(1)
        found = torch.zeros_like(self.words)
        at = 0
        for bag in bags:
            topic = nearest[at : at + bag.documents][bag.document]
            found.view(-1).index_add_(0, topic * found.shape[1] + bag.word, self.weights(bag))
            at += bag.documents
        total = found.sum(0) + 0.5
        self.background.copy_(total / total.sum())
        said = found + SMOOTH * self.background * found.sum(1, keepdim=True).clamp(min=1)
        self.words.copy_((said / said.sum(1, keepdim=True)).log())

    def weights(self, bag: Bag) -> Tensor:
        """Return how often each word counts, (entries,): its share of the document by TF-IDF, times the document's words.

        Counted as they are, words that every document has would fill the topics.
        """
        weight = bag.tf_idf(self.idf)
        share = weight / bag.summed(weight).clamp(min=1e-9)[bag.document]
        return share * bag.summed(bag.times)[bag.document]

    def mean(self, codes: Tensor) -> Tensor:
        """Return the mean of delta given codes, (documents, topics)."""
        return self.log_scale.exp() * functional.linear(codes, functional.normalize(self.prototypes, dim=1))

    def proportions(self, codes: Tensor, bag: Bag) -> Tensor:
        """Return theta, (documents, topics), rows that sum to one; a document without words has what the prior expects."""
        found = self.mean(codes)
        empty = bag.summed(bag.times) == 0
        return torch.where(empty[:, None], self.prior_mean, found).softmax(1)

    def terms(self, codes: Tensor, bag: Bag) -> dict[str, Tensor]:
        """Return the two terms of the negative ELBO per document, (documents,) in nats of weighted words."""
        mean, log_var = self.mean(codes), self.log_var.expand(len(codes), -1)
        theta = reparameterise(mean, log_var).softmax(1)
        beta = self.words.softmax(1).T
        said = (theta[bag.document] * beta[bag.word]).sum(1).clamp(min=1e-12).log()
        kl = kl_normals(mean, log_var, self.prior_mean, self.prior_log_var).sum(1)
        return {"words": -bag.summed(self.weights(bag) * said), "kl": kl}

    @torch.no_grad()
    def importance(self) -> Tensor:
        """Return what each word adds to the divergence of a topic from the background, (topics, words): p log(p / background)."""
        p = self.words.softmax(1)
        return p * (p / self.background).log()

    @torch.no_grad()
    def first_words(self, n: int) -> Tensor:
        """Return the numbers of the n most important words of each topic, (topics, n), the most important one first."""
        return self.importance().argsort(dim=1, descending=True, stable=True)[:, :n]
