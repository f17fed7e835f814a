"""Log-probabilities of large counts against SciPy's: single precision of their terms, millions of nats each, is not enough."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats

import engram
from engram.likelihoods import LIKELIHOODS, Binomial, CountEncoded, Likelihood, NegativeBinomial
from engram.maths.factorial import log_factorial

SIZE = 1e4  # of the negative binomial
TRIALS = 12_000_000  # of the binomial
MEANS = [3.0, 4e3, 5e6, 1e7]
FROZEN: dict[str, Callable[[Any], Any]] = {
    "poisson": lambda o: stats.poisson(np.exp(o)),
    "negative-binomial": lambda o: stats.nbinom(SIZE, SIZE / (SIZE + np.exp(o))),
    "geometric": lambda o: stats.geom(special.expit(-o), loc=-1),
    "binomial": lambda o: stats.binom(TRIALS, special.expit(o)),
}


def _made(name: str, size: int = 1) -> Likelihood:
    cls = LIKELIHOODS[name]
    made = cls((size,), TRIALS) if issubclass(cls, Binomial) else cls((size,))
    if isinstance(made, NegativeBinomial):
        made.log_size.data.fill_(math.log(SIZE))
    return made


def _output(name: str, mean: float) -> np.float32:
    return np.float32(special.logit(mean / TRIALS) if name == "binomial" else math.log(mean))


def _counts(frozen: Any, n: int) -> np.ndarray:
    """Return counts from six deviations below the mean to six above it, each once or evenly spread."""
    low, high = (frozen.mean() + s * 6 * frozen.std() for s in (-1, 1))
    return np.unique(np.linspace(max(low, 0), min(high, 2.0**24), n).round())


@pytest.mark.parametrize("name", sorted(FROZEN))
@pytest.mark.parametrize("mean", MEANS)
def test_log_probabilities_of_large_counts_are_those_of_scipy_in_single_precision(name: str, mean: float) -> None:
    output = _output(name, mean)
    likelihood, frozen = _made(name), FROZEN[name](np.float64(output))
    if isinstance(likelihood, NegativeBinomial):
        frozen = stats.nbinom(size := likelihood.log_size.double().exp().item(), size / (size + np.exp(float(output))))
    counts = _counts(frozen, 2000)
    x = torch.from_numpy(counts).float()[:, None]
    outputs = torch.full_like(x, float(output), requires_grad=True)
    found = likelihood.log_prob(outputs, x)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.detach(), frozen.logpmf(counts), rtol=3e-7, atol=1e-5)
    slope = torch.autograd.grad(found.sum(), outputs)[0][:, 0].double().numpy()
    p = 1 / (1 + np.exp(float(output)))
    factor = {"poisson": 1, "binomial": 1, "geometric": p, "negative-binomial": 1 / (1 + frozen.mean() / SIZE)}[name]
    np.testing.assert_allclose(slope, (counts - frozen.mean()) * factor, rtol=1e-3, atol=1e-6 * mean * factor)


@pytest.mark.parametrize("name", ["poisson", "binomial"])
def test_probabilities_around_a_mean_of_five_million_sum_to_one(name: str) -> None:
    output = _output(name, 5e6)
    frozen = FROZEN[name](np.float64(output))
    x = torch.from_numpy(_counts(frozen, int(14 * frozen.std()))).float()[:, None]
    total = _made(name).log_prob(torch.full_like(x, float(output)), x).double().exp().sum().item()
    assert total == pytest.approx(1, abs=1e-5)


def test_the_size_of_a_negative_binomial_has_the_gradient_of_finite_differences_at_large_counts() -> None:
    likelihood, x = _made("negative-binomial"), torch.tensor([[4e6], [5e6], [7e6]])
    assert isinstance(likelihood, NegativeBinomial)
    outputs = torch.full_like(x, math.log(5e6))
    slope = torch.autograd.grad(likelihood.log_prob(outputs, x).sum(), likelihood.log_size)[0].item()
    mean = np.exp(outputs[0].double().item())

    def at(log_size: float) -> float:
        size = np.exp(log_size)
        return float(stats.nbinom(size, size / (size + mean)).logpmf(x.double().numpy()).sum())

    log_size = likelihood.log_size.double().item()
    assert slope == pytest.approx((at(log_size + 1e-3) - at(log_size - 1e-3)) / 2e-3, rel=1e-4)


def test_log_factorials_are_those_of_scipy_whether_looked_up_or_not() -> None:
    x = torch.cat([torch.arange(6000.0), torch.tensor([0.5, 2.25, 2.0**24, 1e12])])
    expected = special.gammaln(x.double().numpy() + 1)
    np.testing.assert_allclose(log_factorial(x), expected, rtol=1e-14, atol=1e-14)
    across = log_factorial(x.double().view(2, -1).T)  # not contiguous
    np.testing.assert_allclose(across.T.flatten(), expected, rtol=1e-14, atol=1e-14)


def _columns_of_trials(n: int) -> np.ndarray:
    counts = np.random.default_rng(0).binomial(n, [0.5, 0.9, 0.1], (300, 3)).astype(float)
    counts[5] = n
    return counts


@pytest.mark.parametrize("n", [9, 3_000_000])
def test_encoded_counts_are_read_back_exactly_and_scored_as_scipy_says(n: int) -> None:
    counts = _columns_of_trials(n)
    logs = np.log1p(counts)
    encoded = CountEncoded(Binomial((3,), n), *(torch.from_numpy(found) for found in (logs.mean(0), logs.std(0))))
    x = torch.from_numpy((logs - logs.mean(0)) / logs.std(0)).float()
    assert np.array_equal(encoded.counts(x).round().numpy(), counts)
    torch.testing.assert_close(encoded.encoded(encoded.counts(x).float()), x)
    outputs = torch.tensor([0.0, 2.2, -2.2]).expand(300, 3)
    expected = stats.binom(n, special.expit(outputs.double().numpy())).logpmf(counts)
    found = encoded.log_prob_columns(outputs, x)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


def test_a_count_is_never_read_back_above_its_trials() -> None:
    encoded = CountEncoded(Binomial((1,), 3_000_000), torch.tensor([0.0]), torch.tensor([1.0]))
    x = torch.full((1, 1), math.log1p(3_000_000), dtype=torch.float32).nextafter(torch.tensor(99.0))
    assert encoded.counts(x).item() == 3_000_000
    assert encoded.log_prob(torch.zeros(1, 1), x).isfinite().all()


def test_a_row_of_all_trials_has_a_score_and_skips_no_step() -> None:
    counts = _columns_of_trials(3_000_000)
    model = engram.Autoencoder(likelihood="binomial", max_epochs=3, random_state=0).fit(counts)
    assert np.isfinite(model.score_samples(counts)).all()
    assert model.history_.skipped == 0
