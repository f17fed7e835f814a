"""Drift statistics beside scipy's tests of the same samples, and how often they cry wolf."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from engram.apps.drift import against_held, of_numbers, of_shares


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0])
def test_the_statistic_of_numbers_is_the_two_sample_one(shift: float) -> None:
    rng = np.random.default_rng(0)
    known, new = np.sort(rng.normal(size=800)), rng.normal(size=300) + shift
    statistic, p = of_numbers(known, len(known), new)
    expected = ks_2samp(known, new, method="asymp")
    assert statistic == pytest.approx(
        expected.statistic, abs=1 / 800 + 1e-12
    )  # what quantiles leave out is no difference
    assert p == pytest.approx(expected.pvalue, rel=0.25, abs=0.03)


def test_quantiles_of_many_rows_stand_for_them() -> None:
    rng = np.random.default_rng(1)
    known, new = np.sort(rng.gamma(2.0, size=20_000)), rng.gamma(2.2, size=500)
    grid = known[np.linspace(0, len(known) - 1, 1025).round().astype(int)]
    statistic, p = of_numbers(grid, len(known), new)
    expected = ks_2samp(known, new, method="asymp")
    assert statistic == pytest.approx(expected.statistic, abs=2 / 1025)
    assert p == pytest.approx(expected.pvalue, rel=0.3)


def test_numbers_with_ties_have_the_statistic_of_scipy() -> None:
    rng = np.random.default_rng(2)
    known, new = np.sort(rng.poisson(2, 400).astype(float)), rng.poisson(3, 200).astype(float)
    assert of_numbers(known, 400, new)[0] == pytest.approx(ks_2samp(known, new).statistic, abs=1 / 400 + 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_shares_are_tested_for_homogeneity(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.multinomial(500, [0.6, 0.3, 0.1]), rng.multinomial(200, [0.5, 0.3, 0.2])
    statistic, p = of_shares(before / 500, 500, after)
    assert statistic == pytest.approx(0.5 * np.abs(before / 500 - after / 200).sum())
    assert p == pytest.approx(chi2_contingency([before, after], correction=False).pvalue, abs=1e-9)


def test_a_share_of_less_than_one_row_stands_for_none() -> None:
    """Fitted shares are kept off 0 by half a row, which many new rows would contradict."""
    assert of_shares(np.array([1 - 0.5 / 401, 0.5 / 401]), 400, np.array([20_000, 0])) == (0.0, 1.0)
    assert of_shares(np.array([1 - 0.5 / 401, 0.5 / 401]), 400, np.array([150, 50]))[1] < 1e-9  # a new category is one


def test_of_one_row_and_of_none_there_are_shares_too() -> None:
    """Of one row a share is kept off 1 by a quarter, which is no row less."""
    assert of_shares(np.array([0.75, 0.25]), 1, np.array([3, 0])) == (0.0, 1.0)
    distance, p = of_shares(np.array([0.75, 0.25]), 1, np.array([0, 1]))
    assert distance == 1
    assert p == pytest.approx(chi2_contingency([[1, 0], [0, 1]], correction=False).pvalue)
    assert of_shares(np.array([0.5, 0.5]), 0, np.array([1, 2])) == (0.0, 1.0)


def test_scores_are_compared_with_the_held_out_ones() -> None:
    rng = np.random.default_rng(0)
    held = [np.sort(rng.normal(size=20_000))]
    for new in (rng.normal(size=(1, 500)), rng.normal(0.1, size=(1, 500))):
        statistic, found = against_held(held, new, 20_000)
        expected = ks_2samp(new[0], held[0], method="asymp")
        assert statistic == pytest.approx(expected.statistic, abs=1e-3)
        assert found == pytest.approx(expected.pvalue, rel=0.3, abs=0.03)


@pytest.mark.parametrize("steps", [None, 3, 1], ids=["continuous", "few values", "one value"])
def test_held_out_scores_are_a_sample_too_and_ties_are_no_drift(steps: int | None) -> None:
    rng, alarms = np.random.default_rng(0), 0

    def drawn(*size: int) -> np.ndarray:
        return rng.normal(size=size) if steps is None else rng.integers(0, steps, size).astype(float)

    for _ in range(200):
        held, new = [np.sort(drawn(100)), np.sort(drawn(100))], drawn(2, 5000)
        alarms += against_held(held, new, 200)[1] < 0.05
    assert alarms <= (0 if steps == 1 else 200 * 0.05 + 3 * (200 * 0.05 * 0.95) ** 0.5)
    assert against_held([np.zeros(100)], np.r_[np.zeros(500), np.ones(100)][None], 100)[1] < 0.05


def test_nothing_new_is_no_drift() -> None:
    assert of_numbers(np.arange(10.0), 10, np.array([])) == (0.0, 1.0)
    assert of_shares(np.array([0.5, 0.5]), 10, np.array([0, 0])) == (0.0, 1.0)
