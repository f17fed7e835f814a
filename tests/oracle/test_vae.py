"""The VAE against torch.distributions, closed forms and bounds that must hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from engram import VAE
from engram.maths.bounds import importance_bound
from engram.models.vae import balanced_noise, row_shifts
from engram.training import Batch


def rows(n: int = 80, width: int = 5) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, width)) + 0.4 * rng.normal(size=(n, width))


def fitted(X: np.ndarray | None = None, **parameters: Any) -> VAE:
    given = {"code_size": 2, "hidden": (8,), "max_epochs": 5, "random_state": 0, "early_stopping": False, **parameters}
    return VAE(**given).fit(rows() if X is None else X)


def encoded(model: VAE, X: np.ndarray) -> torch.Tensor:
    return model.encoded(X).x


@torch.no_grad()
def terms(model: VAE, X: np.ndarray, progress: float = 1.0, *, training: bool = False) -> dict[str, torch.Tensor]:
    nets = model.network_.train(training)
    batch = Batch(encoded(model, X), progress=progress, generator=torch.Generator().manual_seed(3))
    found = model.terms(model.turns(0)[0], nets, batch)
    nets.eval()
    return found


@torch.no_grad()
def kl_by_hand(model: VAE, X: np.ndarray) -> torch.Tensor:
    """KL(q(z | x) || N(0, I)) per row and unit, by torch.distributions."""
    mean, log_var = model.posterior(model.network_, encoded(model, X))
    return kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0))


# --- the terms ---


def test_terms_are_those_of_torch_distributions() -> None:
    model, X = fitted(), rows()
    found = terms(model, X)
    x, decoder = encoded(model, X), model.network_.decoder
    with torch.no_grad():
        mean, log_var = model.posterior(model.network_, x)
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
        z = mean + (0.5 * log_var).exp() * noise
        log_prob = Independent(Normal(decoder(z), decoder.likelihood.log_scale.exp()), 1).log_prob(x)
    torch.testing.assert_close(found["reconstruction"], -log_prob, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["kl"], kl_by_hand(model, X).sum(1), rtol=1e-4, atol=1e-5)


def test_at_beta_one_the_terms_sum_to_minus_the_elbo() -> None:
    """Averaged over many draws, the sum that is minimised is minus the score in encoded units."""
    model, X = fitted(), rows()
    nets, x = model.network_, encoded(model, X)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        draws = [sum(model.terms(model.turns(0)[0], nets, Batch(x, generator=generator)).values()) for _ in range(4000)]
    elbo = torch.from_numpy(model.score_samples(X)) + model.kind_.log_volume.sum()
    assert float(torch.stack(draws).mean()) == pytest.approx(-float(elbo.mean()), rel=2e-3)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_beta_weighs_the_kl(beta: float) -> None:
    model, X = fitted(beta=beta), rows()
    torch.testing.assert_close(terms(model, X)["kl"], beta * kl_by_hand(model, X).sum(1), rtol=1e-4, atol=1e-5)


def test_the_warm_up_is_a_share_of_training_and_always_ends() -> None:
    """Rule 6."""
    model, X = fitted(warmup=0.4, beta=2.0), rows()
    full = 2 * kl_by_hand(model, X).sum(1)
    for progress, share in ((0.0, 0.0), (0.1, 0.25), (0.2, 0.5), (0.4, 1.0), (0.7, 1.0), (1.0, 1.0)):
        torch.testing.assert_close(terms(model, X, progress)["kl"], share * full, rtol=1e-4, atol=1e-5)
    assert fitted(warmup=0.0).settings_.warmup == 0.0
    assert torch.equal(terms(fitted(warmup=0.0), X, 0.0)["kl"], terms(fitted(warmup=0.0), X, 1.0)["kl"])


def test_an_automatic_warm_up_is_a_quarter_and_none_where_a_closed_form_began() -> None:
    assert fitted().settings_.warmup == 0.25
    assert fitted(hidden="auto").settings_.warmup == 0.0
    assert fitted(hidden=()).settings_.warmup == 0.0


def test_free_bits_leave_the_first_nats_of_each_unit_unpenalised_while_training() -> None:
    """Rule 1: the floor is on a batch's mean per unit, and only in training; the ELBO that is reported has none."""
    model, X = fitted(free_bits=0.7, warmup=0.0), rows()
    kl = kl_by_hand(model, X)
    low, high = sorted(kl.mean(0).tolist())
    model.free_bits = (low + high) / 2
    expected = high + model.free_bits
    assert float(terms(model, X, training=True)["kl"]) == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(terms(model, X)["kl"], kl.sum(1), rtol=1e-4, atol=1e-5)


def test_a_capacity_holds_the_kl_near_a_target_that_rises_over_the_warm_up() -> None:
    model, X = fitted(capacity=3.0, warmup=0.5, beta=10.0), rows()
    kl = kl_by_hand(model, X).sum(1)
    for progress, target in ((0.0, 0.0), (0.25, 1.5), (0.5, 3.0), (1.0, 3.0)):
        torch.testing.assert_close(terms(model, X, progress)["kl"], 10 * (kl - target).abs(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("capacity", [1.0, 3.0])
def test_a_capacity_is_reached(capacity: float) -> None:
    model = fitted(capacity=capacity, beta=20.0, max_epochs=150, learning_rate=1e-2, batch_size=20, clip=1.0)
    assert float(kl_by_hand(model, rows()).sum(1).mean()) == pytest.approx(capacity, abs=0.25)


def test_the_kl_is_never_clamped() -> None:
    """Rule 1: at any size it has the gradient of the closed form."""
    from engram.maths.divergence import kl_normal

    for size in (1e-4, 1.0, 30.0, 1e4):
        mean = torch.full((1,), size, requires_grad=True)
        log_var = torch.full((1,), -2.0, requires_grad=True)
        kl_normal(mean, log_var).sum().backward()
        assert float(mean.grad) == pytest.approx(size)
        assert float(log_var.grad) == pytest.approx((math.exp(-2) - 1) / 2)


# --- the score ---


def linear(weight: torch.Tensor, scale: float) -> VAE:
    """A linear VAE with a decoder that we know, z -> weight z + 1/4, and an encoder that is somewhat off the exact posterior."""
    model = fitted(hidden=())
    encode, decode = model.network_.encoder.head, model.network_.decoder.network.head
    inverse = torch.linalg.inv(weight.T @ weight + scale**2 * torch.eye(2))
    with torch.no_grad():
        encode.weight[:2] = 0.9 * inverse @ weight.T
        encode.weight[2:] = 0.05
        encode.bias[:2] = torch.tensor([0.1, -0.2])
        encode.bias[2:] = (scale**2 * inverse.diag()).log() + 0.3
        decode.weight.copy_(weight)
        decode.bias.fill_(0.25)
        model.network_.decoder.likelihood.log_scale.fill_(math.log(scale))
    return model


def closed_elbo(model: VAE, X: np.ndarray) -> torch.Tensor:
    """E_q log N(x; W z + b, s^2 I) - KL: with q normal, the expected squared error is |x - W m - b|^2 + sum_k v_k |W_k|^2."""
    x = encoded(model, X)
    with torch.no_grad():
        mean, log_var = model.posterior(model.network_, x)
        head = model.network_.decoder.network.head
        s2 = model.network_.decoder.likelihood.log_scale.exp().square()
        error = (x - mean @ head.weight.T - head.bias).square().sum(1)
        error += (log_var.exp() * head.weight.square().sum(0)).sum(1)
        log_prob = -0.5 * error / s2 - 0.5 * x.shape[1] * torch.log(2 * math.pi * s2)
    return log_prob - kl_by_hand(model, X).sum(1)


def test_scores_of_a_linear_vae_are_the_closed_form_elbo() -> None:
    """Exact where the decoder's columns are orthogonal: the noise of a score is balanced."""
    weight = torch.linalg.qr(torch.randn(5, 2, generator=torch.Generator().manual_seed(0))).Q * torch.tensor([1.5, 0.7])
    model, X = linear(weight, 0.6), rows()
    found = torch.from_numpy(model.score_samples(X)) + model.kind_.log_volume.sum()
    torch.testing.assert_close(found, closed_elbo(model, X), rtol=1e-4, atol=1e-4)


def test_scores_are_in_the_units_of_the_users_columns() -> None:
    """A column in other units moves every score by the log of the factor."""
    X = rows()
    model, other = fitted(X), fitted(X * np.array([1.0, 10.0, 1.0, 0.01, 1.0]))
    shift = model.score_samples(X) - other.score_samples(X * np.array([1.0, 10.0, 1.0, 0.01, 1.0]))
    assert shift == pytest.approx(np.full(len(X), math.log(10 * 0.01)), abs=1e-3)


@pytest.mark.parametrize("n", [2, 15, 16])
def test_the_noise_of_a_score_comes_in_opposite_pairs_of_variance_one(n: int) -> None:
    noise = balanced_noise(n, 4)
    assert noise.shape == (n, 4)
    if n % 2 == 0:
        torch.testing.assert_close(noise.mean(0), torch.zeros(4))
        torch.testing.assert_close(noise.square().mean(0), torch.ones(4))


def test_the_importance_bound_is_the_exact_likelihood_when_the_proposal_is_the_posterior() -> None:
    log_weights = torch.full((7, 3), -2.5)
    torch.testing.assert_close(importance_bound(log_weights), torch.full((3,), -2.5))
    torch.testing.assert_close(
        importance_bound(torch.tensor([[0.1], [0.4]]).log()), torch.tensor([0.25]).log(), rtol=1e-6, atol=1e-6
    )


def test_bounds_rise_from_the_elbo_over_ten_draws_to_a_thousand_and_stay_below_the_truth() -> None:
    """Rule 8; the linear model's log likelihood is that of N(b, W W' + s^2 I)."""
    weight = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    model, X = linear(weight, 0.6), rows(400)
    volume = float(model.kind_.log_volume.sum())
    truth = MultivariateNormal(torch.full((5,), 0.25), weight @ weight.T + 0.36 * torch.eye(5))
    exact = float(truth.log_prob(encoded(model, X)).mean()) - volume
    bounds = [model.score(X), *(float(model.log_likelihood(X, n=n).mean()) for n in (10, 1000))]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[1] - 0.05
    assert bounds[2] == pytest.approx(exact, abs=0.01)


def test_bounds_rise_after_an_ordinary_fit() -> None:
    X = rows(150)
    model = fitted(X, max_epochs=30, hidden="auto")
    bounds = [model.score(X), *(float(model.log_likelihood(X, n=n).mean()) for n in (10, 1000))]
    assert (
        bounds[0] <= bounds[1] + 5e-3
    )  # the posterior is nearly exact here: all three are nearly the truth, with noise
    assert bounds[1] <= bounds[2] + 5e-3


def test_the_noise_of_a_bound_is_a_hash_of_the_row_and_evenly_spread() -> None:
    x = torch.from_numpy(rows(4000)).float()
    shift = row_shifts(x, 3)
    assert torch.equal(row_shifts(x[7:9], 3), shift[7:9])
    assert 0 <= float(shift.min()) < float(shift.max()) < 1
    shares = torch.stack([torch.histc(column, 10, 0, 1) for column in shift.T]) / len(x)
    torch.testing.assert_close(shares, torch.full((3, 10), 0.1), atol=0.02, rtol=0)
    assert (torch.corrcoef(shift.T) - torch.eye(3)).abs().max() < 0.06
    assert not torch.isclose(row_shifts(x + 1e-6, 3), shift, atol=1e-3).all(1).any()


# --- against probabilistic PCA ---

SETS = {"breast-cancer": load_breast_cancer, "wine": load_wine, "diabetes": load_diabetes}


@pytest.mark.parametrize("name", SETS)
def test_a_linear_vae_is_within_a_fiftieth_of_a_nat_per_dimension_of_probabilistic_pca_held_out(name: str) -> None:
    X = SETS[name]().data
    order = np.random.default_rng(0).permutation(len(X))
    train, test = order[len(X) // 4 :], order[: len(X) // 4]
    scaler = StandardScaler().fit(X[train])
    A, B = scaler.transform(X[train]), scaler.transform(X[test])
    model = VAE(hidden=(), code_size=4, random_state=0).fit(A)
    gap = (PCA(4).fit(A).score(B) - model.score(B)) / X.shape[1]
    assert gap <= 0.02


def test_units_beyond_the_number_of_columns_are_found_inactive() -> None:
    model = VAE(hidden=(), code_size=6, max_epochs=5, random_state=0).fit(rows(300, 4))
    assert (model.kl_[:2] > 0.5).all()
    assert (model.kl_[4:] < 0.01).all()
    (finding,) = [finding for finding in model.findings_ if finding.kind == "inactive-units"]
    assert "of 6 code units are inactive" in str(finding)
