"""Total correlation and discrepancy against brute force; mixtures against scikit-learn, torch.distributions and integration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from engram.maths.discrepancy import SCALES, mean_discrepancy
from engram.maths.divergence import kl_normal, log_normal, moved
from engram.maths.mixture import (
    FEWEST,
    Mixture,
    checked_mixture,
    draw,
    fit_mixture,
    group_means,
    log_density,
    log_mixture,
    log_mixture_units,
)
from engram.maths.regression import regression
from engram.maths.total_correlation import aggregate, total_correlation

GENERATOR = torch.Generator().manual_seed(0)


def posteriors(rows: int, size: int = 3) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(rows)
    mean, log_var = (torch.randn(rows, size, generator=generator, dtype=torch.float64) for _ in range(2))
    return moved(mean, log_var, torch.randn(rows, size, generator=generator, dtype=torch.float64)), mean, log_var


def by_hand(z: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log q(z) and sum_j log q(z_j) of the posterior of all rows together, one row and one unit at a time."""
    joint, units = torch.zeros(len(z)), torch.zeros(len(z))
    for i in range(len(z)):
        densities = [
            [math.exp(log_normal(z[i, j], mean[n, j], log_var[n, j])) for j in range(z.shape[1])] for n in range(len(z))
        ]
        joint[i] = math.log(sum(math.prod(row) for row in densities) / len(z))
        units[i] = sum(math.log(sum(row[j] for row in densities) / len(z)) for j in range(z.shape[1]))
    return joint, units


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_with_all_rows_in_the_batch_the_aggregate_is_exact(rows: int) -> None:
    z, mean, log_var = posteriors(rows)
    joint, units = by_hand(z, mean, log_var)
    found = aggregate(z, mean, log_var, rows)
    torch.testing.assert_close(found.joint.float(), joint)
    torch.testing.assert_close(found.units.float(), units)
    torch.testing.assert_close(total_correlation(z, mean, log_var, rows).float(), joint - units)


def test_over_all_batches_the_estimate_of_the_aggregate_density_is_unbiased() -> None:
    rows, size = 6, 3
    z, mean, log_var = posteriors(rows)
    joint = by_hand(z, mean, log_var)[0].exp()
    for own in range(rows):
        others = [n for n in range(rows) if n != own]
        found = []
        for chosen in itertools.combinations(others, size - 1):
            batch = [own, *chosen]
            found.append(aggregate(z[batch], mean[batch], log_var[batch], rows).joint[0].exp())
        assert float(torch.stack(found).mean()) == pytest.approx(float(joint[own]), rel=1e-6)


def decomposed(
    z: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, log_prior: torch.Tensor, n_rows: int
) -> tuple[torch.Tensor, ...]:
    """The three parts of the KL per draw: index-code mutual information, total correlation, dimension-wise KL."""
    found = aggregate(z, mean, log_var, n_rows)
    information = log_normal(z, mean, log_var).sum(1) - found.joint
    return information, total_correlation(z, mean, log_var, n_rows), found.units - log_prior


def test_the_three_parts_sum_to_the_kl() -> None:
    z, mean, log_var = posteriors(9)
    log_prior = log_normal(z, 0.0, 0.0).sum(1)
    parts = decomposed(z, mean, log_var, log_prior, 50)
    torch.testing.assert_close(sum(parts), log_normal(z, mean, log_var).sum(1) - log_prior)
    many = [decomposed(z, mean, log_var, log_normal(z, 0.0, 0.0).sum(1), 9) for z in draws(mean, log_var, 4000)]
    total = sum(float(torch.stack(values).mean()) for values in zip(*many, strict=True))
    assert total == pytest.approx(float(kl_normal(mean, log_var).sum(1).mean()), abs=0.03)


def draws(mean: torch.Tensor, log_var: torch.Tensor, n: int) -> list[torch.Tensor]:
    return [moved(mean, log_var, torch.randn(mean.shape, generator=GENERATOR, dtype=mean.dtype)) for _ in range(n)]


def test_total_correlation_of_a_correlated_normal_is_the_closed_form_and_of_an_independent_one_zero() -> None:
    """Posteriors of small variance at draws of N(0, [[1, r], [r, 1]]): KL(q || product of marginals) is - log(1 - r^2) / 2."""
    generator = torch.Generator().manual_seed(1)
    for r in (0.0, 0.9):
        base = torch.randn(3000, 2, generator=generator)
        mean = torch.stack([base[:, 0], r * base[:, 0] + math.sqrt(1 - r**2) * base[:, 1]], 1)
        log_var = torch.full_like(mean, math.log(0.05))
        z = moved(mean, log_var, torch.randn(mean.shape, generator=generator))
        inner = r / 1.05
        expected = -0.5 * math.log(1 - inner**2)
        assert float(total_correlation(z, mean, log_var, 3000).mean()) == pytest.approx(expected, abs=0.04)


def test_the_gradient_of_the_total_correlation_is_that_of_finite_differences() -> None:
    inputs = [t.requires_grad_() for t in posteriors(5)]
    assert torch.autograd.gradcheck(lambda *codes: total_correlation(*codes, 11), inputs)


def test_the_discrepancy_is_the_sum_over_pairs() -> None:
    a, b = torch.randn(5, 3, generator=GENERATOR), torch.randn(4, 3, generator=GENERATOR)

    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        squared = float((x - y).square().sum())
        return float(np.mean([2 * 3 * s / (2 * 3 * s + squared) for s in SCALES]))

    within_a = np.mean([kernel(a[i], a[j]) for i in range(5) for j in range(5) if i != j])
    within_b = np.mean([kernel(b[i], b[j]) for i in range(4) for j in range(4) if i != j])
    between = np.mean([kernel(x, y) for x in a for y in b])
    assert float(mean_discrepancy(a, b)) == pytest.approx(within_a + within_b - 2 * between, abs=1e-5)
    assert float(mean_discrepancy(a[:1], b)) == 0.0


def test_the_discrepancy_is_near_zero_for_equal_distributions_and_grows_with_their_distance() -> None:
    a, b = torch.randn(2000, 4, generator=GENERATOR), torch.randn(2000, 4, generator=GENERATOR)
    found = [float(mean_discrepancy(a, b * s + m)) for s, m in ((1.0, 0.0), (1.0, 0.5), (1.0, 1.0), (0.3, 0.0))]
    assert abs(found[0]) < 2e-3
    assert found[0] < found[1] < found[2]
    assert found[3] > 0.02


def test_densities_of_diagonal_mixtures_are_those_of_torch_distributions() -> None:
    weights, means = torch.tensor([0.2, 0.5, 0.3]), torch.randn(3, 2, generator=GENERATOR)
    log_var, z = torch.randn(3, 2, generator=GENERATOR), torch.randn(50, 2, generator=GENERATOR)
    expected = MixtureSameFamily(Categorical(weights), Independent(Normal(means, (log_var / 2).exp()), 1)).log_prob(z)
    torch.testing.assert_close(log_mixture(z, weights.log(), means, log_var), expected)
    units = log_mixture_units(z, weights.log(), means, log_var)
    torch.testing.assert_close(units.sum(1), expected)
    torch.testing.assert_close(units[:, 0], log_mixture(z[:, :1], weights.log(), means[:, :1], log_var[:, :1]))


def test_densities_and_draws_of_full_mixtures_are_those_of_torch_distributions() -> None:
    factors = torch.tril(torch.randn(2, 2, 2, generator=GENERATOR)) + 2 * torch.eye(2)
    mixture = Mixture(torch.tensor([0.4, 0.6]), torch.tensor([[0.0, 1.0], [4.0, -2.0]]), factors)
    parts = MultivariateNormal(mixture.means, scale_tril=factors)
    drawn = draw(20_000, mixture, GENERATOR)
    expected = MixtureSameFamily(Categorical(mixture.weights), parts)
    torch.testing.assert_close(log_density(drawn[:50], mixture).logsumexp(1), expected.log_prob(drawn[:50]))
    torch.testing.assert_close(drawn.mean(0), expected.mean, atol=0.1, rtol=0)
    torch.testing.assert_close(drawn.var(0), expected.variance, rtol=0.05, atol=0)


def test_the_fit_of_one_component_is_mean_and_covariance_and_of_three_as_likely_as_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    shapes = [np.eye(2) + 0.4 * rng.normal(size=(2, 2)) for _ in range(3)]
    x = np.concatenate([rng.normal(size=(200, 2)) @ shape + 6 * rng.normal(size=2) for shape in shapes])
    one = fit_mixture(torch.from_numpy(x), 1)
    np.testing.assert_allclose(one.means[0], x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(one.factors[0] @ one.factors[0].T, np.cov(x.T, bias=True), rtol=2e-3)
    three = log_density(torch.from_numpy(x).float(), fit_mixture(torch.from_numpy(x), 3)).logsumexp(1)
    assert float(three.mean()) >= GaussianMixture(3, random_state=0).fit(x).score(x) - 0.02


@pytest.mark.parametrize("x", [torch.ones(1, 2), torch.ones(40, 2), torch.randn(5, 3), torch.randn(25, 1).repeat(1, 2)])
def test_few_equal_or_dependent_rows_can_be_fitted(x: torch.Tensor) -> None:
    mixture = fit_mixture(x, 10)
    assert checked_mixture(mixture, x.shape[1]) is mixture
    assert len(mixture.weights) <= max(1, len(x) // FEWEST)
    assert bool(draw(3, mixture, GENERATOR).isfinite().all())


def test_a_damaged_density_is_refused() -> None:
    good = fit_mixture(torch.randn(40, 2, generator=GENERATOR), 2)
    for bad in (
        good._replace(weights=-good.weights),
        good._replace(means=good.means[:, :1]),
        good._replace(factors=good.factors * 0),
    ):
        with pytest.raises(ValueError, match="density"):
            checked_mixture(bad, 2)


@pytest.mark.parametrize(("n", "k"), [(4, 3), (30, 10), (200, 5)])
def test_typical_rows_are_means_of_at_least_ten(n: int, k: int) -> None:
    """Rule 13: a pseudo-input does not begin at a training row."""
    shares = group_means(torch.randn(n, 2, generator=GENERATOR), k)
    assert shares.shape == (k, n)
    torch.testing.assert_close(shares.sum(1), torch.ones(k))
    assert int((shares > 0).sum(1).min()) >= min(FEWEST, n)


def test_the_regression_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    y, noise = rng.normal(size=(80, 2)), rng.normal(size=(80, 3))
    x = y @ rng.normal(size=(2, 3)) + noise + 5
    found, means = regression(torch.from_numpy(x), torch.from_numpy(y))
    np.testing.assert_allclose(found.T, LinearRegression().fit(y, x).coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(means, y.mean(0))
