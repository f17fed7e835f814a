"""Distributions that a decoder's output parametrises; each owns its output layer, its link and its own scale."""

from engram.likelihoods.blocks import Blocks, Grouped
from engram.likelihoods.continuous import Laplace, Normal
from engram.likelihoods.discrete import Bernoulli, Categorical, Poisson
from engram.likelihoods.likelihood import Likelihood

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "categorical": Categorical,
    "laplace": Laplace,
    "normal": Normal,
    "poisson": Poisson,
}

__all__ = ["LIKELIHOODS", "Bernoulli", "Blocks", "Categorical", "Grouped", "Laplace", "Likelihood", "Normal", "Poisson"]
