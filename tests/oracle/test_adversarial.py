"""Games and penalties against closed forms; the adversarial autoencoder's codes against its prior."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from engram.maths.adversarial import PAIRS, PENALTIES, Judgement, gradient_penalty, squared_slope
from engram.maths.discrepancy import mean_discrepancy
from engram.models.adversarial import AdversarialAutoencoder

REAL, MADE = torch.tensor([1.5, -0.3, 4.0]).double(), torch.tensor([-2.0, 0.7, 0.1]).double()


def log_sigmoid(x: float) -> float:
    return -math.log(1 + math.exp(-x))


EXPECTED = {
    "minimax": (lambda r, g: -log_sigmoid(r) - log_sigmoid(-g), lambda r, g: log_sigmoid(-g)),
    "non-saturating": (lambda r, g: -log_sigmoid(r) - log_sigmoid(-g), lambda r, g: -log_sigmoid(g)),
    "least-squares": (lambda r, g: (r - 1) ** 2 / 2 + g**2 / 2, lambda r, g: (g - 1) ** 2 / 2),
    "hinge": (lambda r, g: max(0, 1 - r) + max(0, 1 + g), lambda r, g: -g),
    "wasserstein": (lambda r, g: g - r, lambda r, g: -g),
    "relativistic": (lambda r, g: -log_sigmoid(r - g), lambda r, g: -log_sigmoid(g - r)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_games_are_their_formulas_row_by_row(name: str) -> None:
    for ours, formula in zip(PAIRS[name][:2], EXPECTED[name], strict=True):
        expected = [formula(r, g) for r, g in zip(REAL.tolist(), MADE.tolist(), strict=True)]
        assert ours(REAL, MADE).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("name", PAIRS)
def test_a_generator_gains_when_its_rows_look_more_real_and_logits_of_any_size_are_finite(name: str) -> None:
    logit = MADE.clone().requires_grad_()
    (slope,) = torch.autograd.grad(PAIRS[name].generator(REAL, logit).sum(), logit)
    if name == "least-squares":
        assert ((slope < 0) == (logit < 1)).all()
    else:
        assert (slope < 0).all()
    for game in PAIRS[name][:2]:
        assert game(torch.tensor([1e4, -1e4]), torch.tensor([-1e4, 1e4])).isfinite().all()


def test_at_the_best_discriminator_the_minimax_value_is_the_jensen_shannon_divergence() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.1, 0.6, 0.3]).double()
    best = (p / q).log()
    value = -(p * torch.nn.functional.softplus(-best) + q * torch.nn.functional.softplus(best)).sum()
    middle = (p + q) / 2
    divergence = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
    assert float(value) == pytest.approx(float(2 * divergence - math.log(4)))  # Goodfellow et al. 2014, equation 6


def test_penalties_of_a_quadratic_discriminator_are_their_closed_forms() -> None:
    a = torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    x, y = (torch.randn(5, 3, generator=torch.Generator().manual_seed(s)).double() for s in (1, 2))

    def quadratic(rows: torch.Tensor) -> torch.Tensor:
        return 0.5 * (rows @ a * rows).sum(1)

    def slope(rows: torch.Tensor) -> torch.Tensor:
        return rows @ (a + a.T) / 2

    torch.testing.assert_close(squared_slope(quadratic, x), slope(x).square().sum(1))
    judged = Judgement(quadratic, x, y)
    torch.testing.assert_close(PENALTIES["r1"](judged), slope(x).square().sum(1) / 2)
    torch.testing.assert_close(PENALTIES["r1r2"](judged), (slope(x).square() + slope(y).square()).sum(1) / 2)
    share = torch.rand(5, generator=torch.Generator().manual_seed(3)).double()
    between = share[:, None] * x + (1 - share[:, None]) * y
    expected = (slope(between).norm(dim=1) - 1).square()
    torch.testing.assert_close(gradient_penalty(quadratic, x, y, share), expected)
    (ours,) = torch.autograd.grad(PENALTIES["r1"](judged).sum(), a)
    (theirs,) = torch.autograd.grad((slope(x).square().sum(1) / 2).sum(), a)
    torch.testing.assert_close(ours, theirs)
    with torch.no_grad():  # the loop looks for what diverged without gradients
        assert squared_slope(quadratic, x).isfinite().all()


def test_codes_of_digits_become_like_draws_from_the_prior() -> None:
    X = load_digits().images
    given = {"code_size": 8, "max_epochs": 25, "random_state": 0}
    model = AdversarialAutoencoder(**given).fit(X[:1400])
    codes = torch.from_numpy(model.transform(X[1400:]))
    draws = torch.randn(len(codes), 8, generator=torch.Generator().manual_seed(0))
    assert float(mean_discrepancy(codes, draws)) < 0.02
    assert codes.mean(0).abs().max() < 0.5
    assert [turn.name for turn in model.turns(0)] == ["reconstruction", "discriminator", "generator"]
    assert set(model.history_.reports[-1]["terms"]) == {"reconstruction", "discriminator", "penalty", "generator"}
    back = model.reconstruct(X[1400:])
    assert ((X[1400:] - back) ** 2).sum() < 0.5 * ((X[1400:] - X[:1400].mean(0)) ** 2).sum()


def test_codes_that_are_not_like_the_prior_are_a_finding() -> None:
    X = np.random.default_rng(0).choice([-1.0, 1.0], size=(3000, 2)) @ np.random.default_rng(1).normal(size=(2, 6))
    model = AdversarialAutoencoder(code_size=2, max_epochs=1, random_state=0).fit(X)
    assert "codes-off-prior" in [finding.kind for finding in model.findings_]
