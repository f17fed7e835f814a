"""Principal components and probabilistic PCA against NumPy's SVD and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from engram.maths import linear
from engram.maths.linear import directions, inverse_root, principal_components, probabilistic_pca


def _rows(n: int, d: int, rank: int | None = None, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    rank = rank or min(n, d)
    x = rng.normal(size=(n, rank)) * np.linspace(3, 1, rank) @ rng.normal(size=(rank, d)) + rng.normal(size=d)
    return torch.from_numpy(x)


def _projector(vectors: np.ndarray) -> np.ndarray:
    return vectors.T @ vectors  # the same for every choice of signs


@pytest.mark.parametrize(("n", "d", "k"), [(200, 8, 3), (50, 8, 8), (6, 20, 4), (2, 3, 1), (40, 1, 1)])
def test_components_are_those_of_the_singular_value_decomposition(n: int, d: int, k: int) -> None:
    x = _rows(n, d)
    found = principal_components(x, k)
    _, singular, right = np.linalg.svd(x.numpy() - x.numpy().mean(0), full_matrices=False)
    np.testing.assert_allclose(found.variances, singular[:k] ** 2 / n, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(_projector(found.vectors.numpy()), _projector(right[:k]), atol=1e-8)
    np.testing.assert_allclose(found.residual, (singular[k:] ** 2).sum() / n / max(d - k, 1), atol=1e-9)


def test_components_are_those_of_scikit_learn() -> None:
    x = _rows(300, 10)
    found, pca = principal_components(x, 4), PCA(4).fit(x.numpy())
    np.testing.assert_allclose(found.mean, pca.mean_)
    np.testing.assert_allclose(_projector(found.vectors.numpy()), _projector(pca.components_), atol=1e-9)
    np.testing.assert_allclose(found.variances * 300 / 299, pca.explained_variance_)


@pytest.mark.parametrize(("n", "d", "k"), [(60, 30, 7), (15, 30, 20), (50, 30, 30)])
@pytest.mark.parametrize("limit", [10, 20, 2048])  # randomised, by rows where they are few, exact
def test_the_way_for_many_columns_gives_the_exact_answer(
    n: int, d: int, k: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = _rows(n, d, rank=5)
    exact = principal_components(x, k)
    monkeypatch.setattr(linear, "EXACT_UP_TO", limit)
    found = principal_components(x, k)
    torch.testing.assert_close(found.variances, exact.variances, atol=1e-9, rtol=1e-6)
    torch.testing.assert_close(found.vectors[:5], exact.vectors[:5], atol=1e-6, rtol=0)
    torch.testing.assert_close(found.vectors @ found.vectors.T, torch.eye(k).double())


def test_components_leave_the_global_random_state_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "EXACT_UP_TO", 4)
    before = torch.get_rng_state()
    first, second = (principal_components(_rows(40, 30), 3) for _ in range(2))
    assert torch.equal(first.vectors, second.vectors)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("n", "d", "rank", "k"), [(5, 9, 4, 7), (100, 6, 2, 5), (1, 4, 1, 3)])
def test_components_beyond_the_rank_are_orthonormal_and_have_no_variance(n: int, d: int, rank: int, k: int) -> None:
    found = principal_components(_rows(n, d, rank), k)
    torch.testing.assert_close(found.vectors @ found.vectors.T, torch.eye(k).double())
    np.testing.assert_allclose(found.variances[min(rank, n - 1) :], 0, atol=1e-9)


def test_components_beyond_the_number_of_columns_are_zero() -> None:
    found = principal_components(_rows(20, 3), 5)
    assert found.vectors.shape == (5, 3)
    assert found.variances.shape == (5,)
    assert not found.vectors[3:].any()
    assert float(found.residual) == pytest.approx(0, abs=1e-12)


def test_the_largest_entry_of_every_component_is_positive() -> None:
    vectors = principal_components(_rows(50, 7), 7).vectors
    assert (vectors.gather(1, vectors.abs().argmax(1, keepdim=True)) > 0).all()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_probabilistic_pca_has_the_covariance_and_the_score_of_scikit_learn(k: int) -> None:
    x = _rows(400, 6)
    model, pca = probabilistic_pca(principal_components(x, k)), PCA(k).fit(x.numpy())
    covariance = model.weight @ model.weight.T + model.noise * torch.eye(6).double()
    np.testing.assert_allclose(covariance, pca.get_covariance() * 399 / 400, rtol=1e-8, atol=1e-9)
    density = torch.distributions.MultivariateNormal(model.mean, covariance * 400 / 399)
    assert density.log_prob(x).mean().item() == pytest.approx(pca.score(x.numpy()), abs=1e-8)


@pytest.mark.parametrize("floor", [0.0, 0.5, 20.0])
def test_the_posterior_is_the_one_that_dense_matrices_give(floor: float) -> None:
    x = _rows(100, 6)
    model = probabilistic_pca(principal_components(x, 3), floor)
    precision = model.weight.T @ model.weight / model.noise + torch.eye(3).double()
    covariance = torch.linalg.inv(precision)
    torch.testing.assert_close(torch.diag(model.posterior), covariance, atol=1e-10, rtol=1e-8)
    torch.testing.assert_close(model.encoder, covariance @ model.weight.T / model.noise, atol=1e-10, rtol=1e-8)


def test_probabilistic_pca_of_constant_rows_gives_the_prior_and_not_nan() -> None:
    model = probabilistic_pca(principal_components(torch.ones(4, 3), 2))
    assert torch.equal(model.posterior, torch.ones(2).double())
    assert not model.weight.any()
    assert not model.encoder.any()


def test_no_other_noise_is_more_likely_than_that_of_probabilistic_pca() -> None:
    x, k = _rows(300, 6), 2
    components = principal_components(x, k)

    def score(noise: float) -> float:
        weight = components.vectors.T * (components.variances - noise).sqrt()
        covariance = weight @ weight.T + noise * torch.eye(6).double()
        return torch.distributions.MultivariateNormal(components.mean, covariance).log_prob(x).mean().item()

    best = probabilistic_pca(components).noise.item()
    assert score(best) > max(score(best * 0.95), score(best * 1.05))


@pytest.mark.parametrize(("n", "d"), [(50, 8), (6, 20), (1, 4), (30, 30)])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_as_many_directions_as_keep_a_share_of_the_variance(n: int, d: int, share: float) -> None:
    x = _rows(n, d)
    variances = np.linalg.svd(x.numpy() - x.numpy().mean(0), compute_uv=False) ** 2
    kept = variances.cumsum() / max(variances.sum(), 1e-300)
    assert directions(x, share) == (int(np.searchsorted(kept, share)) + 1 if n > 1 else 1)


@pytest.mark.parametrize("size", [1, 5, 40])
def test_the_root_of_an_inverse_is_that_of_the_inverse_of_choleskys_factor(size: int) -> None:
    x = torch.stack([_rows(60, size, seed=seed) for seed in (0, 1)])
    covariances = x.mT @ x / 60
    found = inverse_root(covariances)
    torch.testing.assert_close(found, torch.linalg.inv(torch.linalg.cholesky(covariances)).mT)
    torch.testing.assert_close(found @ found.mT, torch.linalg.inv(covariances))
    assert torch.equal(inverse_root(covariances[0]), found[0])
    assert torch.equal(inverse_root(covariances[None]), found[None])
