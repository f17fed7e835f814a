"""Drift statistics beside scipy's tests of the same samples, and how often they cry wolf."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp, kstest

from engram.apps.drift import against_uniform, of_numbers, of_shares


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


def test_p_values_are_compared_with_the_uniform_distribution() -> None:
    rng = np.random.default_rng(0)
    for p in (rng.random(500), rng.random(500) ** 1.5):
        statistic, found = against_uniform(p, 10**9)
        expected = kstest(p, "uniform", method="asymp")
        assert statistic == pytest.approx(expected.statistic)
        assert found == pytest.approx(expected.pvalue, rel=0.3, abs=0.03)


def test_a_yardstick_is_a_sample_too() -> None:
    """p-values of as many new rows as one likes are as uniform as the scores that they are measured by."""
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(200):
        held, new = np.sort(rng.normal(size=200)), rng.normal(size=5000)
        p = (201 - np.searchsorted(held, new)) / 201
        alarms += against_uniform(p, 200)[1] < 0.05
    assert alarms <= 200 * 0.05 + 3 * (200 * 0.05 * 0.95) ** 0.5


def test_nothing_new_is_no_drift() -> None:
    assert of_numbers(np.arange(10.0), 10, np.array([])) == (0.0, 1.0)
    assert of_shares(np.array([0.5, 0.5]), 10, np.array([0, 0])) == (0.0, 1.0)
