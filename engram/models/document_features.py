"""Features of documents: what a contrast of halves learned, joined with the directions in which documents differ most."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from torch import Tensor, nn
from torch.nn import functional

from engram.maths.linear import principal_components
from engram.networks.bags import Bag

AXES = 100  # of latent semantic analysis


class DocumentFeatures(nn.Module):
    """Principal components of codes beside latent semantic analysis (Deerwester et al., JASIS 41, 1990).

    The contrast keeps what halves of documents have in common; names and rare terms that only tell similar groups apart are in the axes of
    TF-IDF. Axes are divided by the root of their singular value, both parts are of unit length, and the first components of the two
    together are the features. All in closed form.

    Parameters
    ----------
    words, code_size : int
        Words of the vocabulary, dimensions of codes and of features.
    """

    def __init__(self, words: int, code_size: int) -> None:
        super().__init__()
        both = code_size + min(AXES, words)
        self.register_buffer("axes", torch.zeros(words, min(AXES, words)))
        self.register_buffer("mean", torch.zeros(both))
        self.register_buffer("components", torch.zeros(code_size, both))
        self.axes: Tensor
        self.mean: Tensor
        self.components: Tensor

    @torch.no_grad()
    def fit(self, codes: Tensor, bags: Iterable[Bag], idf: Tensor, seed: int) -> None:
        """Find axes and components of documents, whose codes are given, too."""
        parts = [bag._replace(times=bag.tf_idf(idf)).matrix(len(idf)) for bag in bags]
        weights = sparse.vstack(parts, format="csr")
        rank = min(self.axes.shape[1], min(weights.shape) - 1)
        if rank > 0:
            found = TruncatedSVD(rank, random_state=seed).fit(weights)
            scale = np.maximum(found.singular_values_, 1e-6) ** -0.5
            self.axes[:, :rank].copy_(torch.from_numpy((found.components_ * scale[:, None]).T).float())
        places = functional.normalize(torch.from_numpy(weights @ self.axes.numpy()).float(), dim=1)
        both = torch.cat([codes, places], 1)
        own = principal_components(both, min(len(self.components), *both.shape))
        self.mean.copy_(own.mean.float())
        self.components[: len(own.vectors)].copy_(own.vectors.float())

    def forward(self, codes: Tensor, bag: Bag, idf: Tensor) -> Tensor:
        """Return features, (documents, code size)."""
        placed = functional.normalize(bag.embedded(self.axes, bag.tf_idf(idf)), dim=1)
        both = torch.cat([codes, placed], 1)
        return functional.linear(both - self.mean, self.components)
