"""Held-out scores as a yardstick, cross-conformal p-values and false-discovery control beside counting, and on simulated scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control
from torch import Tensor

from engram.maths.conformal import (
    discoveries,
    log_count,
    log_cross_exceedance,
    log_exceedance,
    surprise,
    yardstick,
)


def drawn(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact_counts(held: Tensor, scores: Tensor) -> Tensor:
    """How many held-out scores are at or beyond each score, one by one."""
    return torch.tensor([float(sum(h >= s for h in held.tolist())) for s in scores.tolist()], dtype=torch.float64)


def between(held: Tensor) -> Tensor:
    """Scores at, between, below and beyond the held-out ones."""
    ordered = held.sort().values
    return torch.cat([ordered, (ordered[1:] + ordered[:-1]) / 2, ordered[:1] - 1, ordered[-1:] + torch.arange(1, 9)])


# --- the yardstick ---


def test_a_yardstick_is_the_sorted_scores_and_the_mean_excess_of_those_beyond_the_start_of_its_tail() -> None:
    found = yardstick(torch.tensor([7.0, 1.0, 2.0, 4.0, 3.0]), share=0.6)  # the tail begins at 3: excesses of 1 and 4
    assert found.scores.tolist() == [1.0, 2.0, 3.0, 4.0, 7.0]
    assert found.excess.item() == 2.5
    assert found.share.item() == pytest.approx(0.6)


@pytest.mark.parametrize("n", [2, 5, 20, 100])
def test_the_mean_excess_of_a_few_exponential_scores_is_right_on_average(n: int) -> None:
    draws = torch.from_numpy(np.random.default_rng(n).exponential(1.0, (500, n)))
    found = torch.stack([yardstick(held).excess for held in draws])
    assert found.mean().item() == pytest.approx(1.0, abs=4 * found.std().item() / 500**0.5)


def test_ties_with_the_start_of_the_tail_count_as_scores_beyond_it() -> None:
    whole = torch.from_numpy(
        np.random.default_rng(0).geometric(1 - np.exp(-0.5), (200, 100)) - 1.0
    )  # P(score >= s) = exp(- s / 2)
    found = torch.stack([yardstick(held).excess for held in whole])
    assert found.mean().item() == pytest.approx(2.0, rel=0.1)


def test_the_tail_of_exponential_scores_is_found_again() -> None:
    held = torch.from_numpy(np.random.default_rng(0).exponential(2.0, 40_000))
    found = yardstick(held)
    far = torch.tensor([12.0, 20.0, 40.0], dtype=torch.float64)
    assert torch.allclose(surprise(found, far), far / 2, rtol=0.06)  # P(score >= s) = exp(- s / 2)


def test_exceedance_is_the_counted_share_up_to_the_tail_and_falls_by_the_mean_excess_beyond() -> None:
    held = drawn(100)
    stick = yardstick(held)
    start = stick.scores[90]
    body = stick.scores[:90]
    assert torch.allclose(log_exceedance(stick, body).exp() * 100, exact_counts(held, body))
    beyond = start + torch.arange(1, 6, dtype=torch.float64)
    by_hand = np.log(0.1) - (beyond - start) / stick.excess
    assert torch.allclose(log_exceedance(stick, beyond), by_hand)
    assert torch.equal(surprise(stick, beyond), -log_exceedance(stick, beyond))


@pytest.mark.parametrize("held", [torch.tensor([3.0]), torch.full((20,), 2.0), torch.tensor([1.0, 1.0, 5.0])])
def test_a_single_score_and_scores_that_are_all_alike_make_a_yardstick_too(held: Tensor) -> None:
    stick = yardstick(held)
    assert stick.excess > 0
    found = log_count(stick, torch.linspace(-10, 20, 61))
    assert bool(found.isfinite().all())
    assert bool((found.diff() <= 1e-12).all())


def test_surprise_never_falls_as_a_score_grows() -> None:
    stick = yardstick(drawn(300))
    assert bool((surprise(stick, torch.linspace(-5, 12, 5000)).diff() >= -1e-12).all())


# --- counts ---


@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_continuous_counts_are_exact_at_held_out_scores_and_never_below_the_exact_ones(n: int) -> None:
    held = drawn(n, seed=n)
    stick = yardstick(held)
    at = held.sort().values
    assert torch.allclose(log_count(stick, at).exp(), exact_counts(held, at))
    scores = between(held)
    found, exact = log_count(stick, scores).exp(), exact_counts(held, scores)
    assert bool((found >= exact - 1e-9).all())
    assert bool((found <= exact + 1 + 1e-9).all())


def test_counts_with_ties_are_never_below_the_exact_ones() -> None:
    held = drawn(60).mul(2).round()
    scores = between(held)
    assert bool((log_count(yardstick(held), scores).exp() >= exact_counts(held, scores) - 1e-9).all())


def test_a_count_half_way_between_two_scores_is_half_way_between_two_numbers() -> None:
    stick = yardstick(torch.tensor([0.0, 1.0, 3.0, 7.0]))
    found = log_count(stick, torch.tensor([0.0, 0.5, 1.0, 2.0, 5.0, 7.0])).exp()
    assert torch.allclose(found, torch.tensor([4.0, 3.5, 3.0, 2.5, 1.5, 1.0], dtype=torch.float64))


def test_counts_beyond_all_scores_still_differ() -> None:
    stick = yardstick(drawn(50))
    far = stick.scores[-1] + torch.arange(1, 2000, dtype=torch.float64)
    assert bool((log_count(stick, far).diff() < 0).all())


# --- p-values ---


def test_cross_conformal_p_values_are_the_counts_of_all_folds_and_one_over_n_and_one() -> None:
    folds = [drawn(n, seed=n) for n in (30, 31, 40)]
    sticks = [yardstick(fold) for fold in folds]
    scores = torch.stack([drawn(200, seed=100 + k) * 1.5 for k in range(3)])
    counted = sum(exact_counts(fold, row) for fold, row in zip(folds, scores, strict=True))
    n = 101
    p = log_cross_exceedance(sticks, scores).exp() + 1 / (n + 1)
    exact = (1 + counted) / (n + 1)
    assert bool((p >= exact - 1e-9).all())
    assert bool((p <= exact + 3 / (n + 1) + 1e-9).all())  # each of three counts is less than 1 above the exact one


def test_at_held_out_scores_of_one_fold_the_p_value_is_the_exact_one() -> None:
    held = drawn(40)
    p = log_cross_exceedance([yardstick(held)], held[None]).exp() + 1 / 41
    assert torch.allclose(p, (1 + exact_counts(held, held)) / 41)


def test_p_values_of_exchangeable_scores_are_valid_whatever_their_distribution() -> None:
    rng = np.random.default_rng(0)
    for draw in (rng.normal, rng.standard_cauchy, lambda size: rng.poisson(3.0, size).astype(float)):
        for a in (0.01, 0.05, 0.1):
            repeats, new, alerts = 200, 20, 0
            for _ in range(repeats):  # the guarantee is over yardsticks and new rows together
                stick = yardstick(torch.from_numpy(draw(size=99)))
                p = log_cross_exceedance([stick], torch.from_numpy(draw(size=new))[None]).exp() + 1 / 100
                alerts += int((p <= a + 1e-12).sum())
            spread = (
                a * (1 - a) / 100 / repeats + a * (1 - a) / repeats / new
            ) ** 0.5  # of yardsticks, and of new rows
            assert alerts / (repeats * new) <= a + 3 * spread, (draw, a)


# --- false discoveries ---


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3])
def test_discoveries_are_those_of_scipy(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    p = np.r_[rng.random(80), rng.random(20) ** 6]
    found = discoveries(torch.from_numpy(p), rate).numpy()
    assert np.array_equal(found, false_discovery_control(p, method="bh") <= rate)


def test_discoveries_of_nothing_of_one_and_of_ties() -> None:
    assert discoveries(torch.tensor([0.5, 0.9]), 0.1).tolist() == [False, False]
    assert discoveries(torch.tensor([0.05]), 0.1).tolist() == [True]
    assert discoveries(torch.tensor([0.04, 0.04, 0.9]), 0.1).tolist() == [True, True, False]
    assert discoveries(torch.tensor([], dtype=torch.float64), 0.1).tolist() == []


def test_the_share_of_false_discoveries_is_kept_on_average() -> None:
    rng, shares = np.random.default_rng(0), []
    for _ in range(400):
        p = torch.from_numpy(np.r_[rng.random(90), rng.random(10) * 1e-3])
        found = discoveries(p, 0.2).numpy()
        shares.append(found[:90].sum() / max(1, found.sum()))
    assert np.mean(shares) <= 0.2 + 3 * np.std(shares) / 20
    assert np.mean(shares) > 0.1  # it is used, not merely kept
