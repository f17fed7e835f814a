"""Distributions that a decoder's output parametrises; each owns its output layer, its link and its own scale."""

from engram.likelihoods.blocks import Blocks, Grouped
from engram.likelihoods.continuous import Laplace, LogNormal, Normal
from engram.likelihoods.counts import Geometric, NegativeBinomial, Poisson
from engram.likelihoods.discrete import Bernoulli, Binomial, Categorical, Multinomial
from engram.likelihoods.encoded import CountEncoded, LogEncoded
from engram.likelihoods.likelihood import Likelihood
from engram.likelihoods.positive import Beta, Exponential

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "beta": Beta,
    "binomial": Binomial,
    "categorical": Categorical,
    "exponential": Exponential,
    "geometric": Geometric,
    "laplace": Laplace,
    "lognormal": LogNormal,
    "multinomial": Multinomial,
    "negative-binomial": NegativeBinomial,
    "normal": Normal,
    "poisson": Poisson,
}

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Blocks",
    "Categorical",
    "CountEncoded",
    "Exponential",
    "Geometric",
    "Grouped",
    "Laplace",
    "Likelihood",
    "LogEncoded",
    "LogNormal",
    "Multinomial",
    "NegativeBinomial",
    "Normal",
    "Poisson",
]
