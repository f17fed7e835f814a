"""Divergences, draws and bounds against torch.distributions, numeric integration and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from engram.maths.bounds import importance_bound
from engram.maths.divergence import kl_normal, kl_normals, log_normal, reparameterise

CASES = [(0.0, 0.0), (1.5, 0.0), (-0.3, -4.0), (2.0, 1.2)]


def _pair(mean: float, log_var: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([mean]).double().requires_grad_(), torch.tensor([log_var]).double().requires_grad_()


@pytest.mark.parametrize(("mean", "log_var"), CASES)
def test_kl_normal_is_that_of_torch_distributions(mean: float, log_var: float) -> None:
    m, v = _pair(mean, log_var)
    torch.testing.assert_close(kl_normal(m, v), kl_divergence(Normal(m, (v / 2).exp()), Normal(0.0, 1.0)))


@pytest.mark.parametrize(("mean", "log_var"), CASES)
def test_kl_normals_is_that_of_torch_distributions(mean: float, log_var: float) -> None:
    m, v = _pair(mean, log_var)
    other_mean, other_var = torch.tensor([0.4]).double(), torch.tensor([-0.9]).double()
    wanted = kl_divergence(Normal(m, (v / 2).exp()), Normal(other_mean, (other_var / 2).exp()))
    torch.testing.assert_close(kl_normals(m, v, other_mean, other_var), wanted)
    torch.testing.assert_close(kl_normals(m, v, torch.zeros(1).double(), torch.zeros(1).double()), kl_normal(m, v))


@pytest.mark.parametrize(("mean", "log_var"), CASES)
def test_kl_normal_is_the_integral_of_q_log_q_over_p(mean: float, log_var: float) -> None:
    x = torch.linspace(-25, 25, 200_001, dtype=torch.float64)
    log_q = log_normal(x, mean, log_var)
    integral = torch.trapezoid(log_q.exp() * (log_q - log_normal(x, 0.0, 0.0)), x)
    torch.testing.assert_close(integral, kl_normal(*_pair(mean, log_var))[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("mean", "log_var"), CASES)
def test_gradients_of_kl_normal_are_the_hand_derived_ones(mean: float, log_var: float) -> None:
    m, v = _pair(mean, log_var)
    by_mean, by_log_var = torch.autograd.grad(kl_normal(m, v).sum(), [m, v])
    assert by_mean.item() == pytest.approx(mean)
    assert by_log_var.item() == pytest.approx((math.exp(log_var) - 1) / 2)


@pytest.mark.parametrize(("mean", "log_var"), CASES)
def test_log_normal_is_the_density_of_torch_distributions(mean: float, log_var: float) -> None:
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    torch.testing.assert_close(log_normal(x, mean, log_var), Normal(mean, math.exp(log_var / 2)).log_prob(x).double())


def test_draws_have_the_mean_and_the_variance_asked_for() -> None:
    mean, log_var = torch.tensor([0.5, -2.0]), torch.tensor([-1.0, 1.0])
    drawn = reparameterise(mean.expand(200_000, 2), log_var.expand(200_000, 2), torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.var(0), log_var.exp(), rtol=0.02, atol=0)


def test_gradients_of_a_draw_reach_the_mean_and_the_log_variance() -> None:
    m, v = _pair(0.7, -0.4)
    draw = reparameterise(m, v, torch.Generator().manual_seed(1))
    by_mean, by_log_var = torch.autograd.grad(draw.sum(), [m, v])
    assert by_mean.item() == 1.0
    assert by_log_var.item() == pytest.approx((draw - m).item() / 2)  # d exp(v/2) e / dv = exp(v/2) e / 2


def test_draws_with_a_generator_leave_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    draws = [reparameterise(torch.zeros(5), torch.zeros(5), torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*draws)
    assert torch.equal(before, torch.get_rng_state())


def test_the_importance_bound_is_the_log_of_the_mean_weight() -> None:
    log_w = torch.randn(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(importance_bound(log_w), log_w.exp().mean(0).log())


def test_the_importance_bound_of_one_draw_is_that_draw_and_huge_weights_do_not_overflow() -> None:
    log_w = torch.tensor([[-5000.0, 3.0, 5000.0]])
    assert torch.equal(importance_bound(log_w), log_w[0])
    torch.testing.assert_close(importance_bound(log_w.expand(7, 3)), log_w[0])


def test_with_the_exact_posterior_every_bound_is_the_evidence() -> None:
    # z ~ N(0, 1), x | z ~ N(z, s2): x ~ N(0, 1 + s2) and z | x ~ N(x / (1 + s2), s2 / (1 + s2))
    s2, x = 0.3, torch.tensor([0.4, -1.7], dtype=torch.float64)
    mean, log_var = (x / (1 + s2)).expand(9, 2), torch.full((9, 2), math.log(s2 / (1 + s2)), dtype=torch.float64)
    z = reparameterise(mean, log_var, torch.Generator().manual_seed(0))
    log_w = log_normal(x, z, math.log(s2)) + log_normal(z, 0.0, 0.0) - log_normal(z, mean, log_var)
    torch.testing.assert_close(importance_bound(log_w), log_normal(x, 0.0, math.log(1 + s2)))


def test_the_importance_bound_grows_with_the_number_of_draws_towards_the_evidence() -> None:
    s2, x, k = 0.3, torch.full((4000,), 1.2, dtype=torch.float64), 200
    z = torch.randn(k, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)  # the prior proposes
    log_w = log_normal(x, z, math.log(s2))
    evidence = log_normal(x[:1], 0.0, math.log(1 + s2)).item()
    bounds = [importance_bound(log_w[:n]).mean().item() for n in (1, 10, k)]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(evidence, abs=0.02)
    assert bounds[-1] < evidence + 0.01
