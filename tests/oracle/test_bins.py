"""Bins of a column: what they keep, what they give back, and what no single row can be read from."""

from __future__ import annotations

import numpy as np
import pytest

from engram.data.bins import FEWEST_ROWS, Bins, _spikes
from engram.data.constraints import Order, closure
from engram.errors import UsageError

NAN = np.nan


def drawn(bins: Bins, cells: np.ndarray, times: int = 1) -> np.ndarray:
    return bins.numbers(np.repeat(bins.of(cells), times), np.random.default_rng(0))


def test_numbers_come_back_from_their_own_bin_with_bounds_and_rounding() -> None:
    x = np.random.default_rng(0).lognormal(3, 1, 5000).round(2)
    bins = Bins.of_numbers(x)
    back = drawn(bins, x)
    assert bins.step == 0.01
    assert (bins.of(back) == bins.of(x)).mean() > 0.97  # rounding may move one over the edge
    assert back.min() >= x.min()
    assert back.max() <= x.max()
    np.testing.assert_allclose(back, back.round(2), atol=1e-9)
    grid = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(np.quantile(back, grid), np.quantile(x, grid), rtol=0.03)


def test_spikes_keep_their_own_share_and_holes_theirs() -> None:
    rng = np.random.default_rng(1)
    x = np.where(rng.random(2000) < 0.4, 0.0, rng.normal(50, 10, 2000))
    x[rng.random(2000) < 0.1] = NAN
    bins = Bins.of_numbers(x)
    back = drawn(bins, x)
    assert ((back == 0) == (x == 0)).all()
    np.testing.assert_array_equal(np.isnan(back), np.isnan(x))
    assert bins.counts[-1] == np.isnan(x).sum()
    assert sum(bins.counts) == 2000


def test_values_seen_again_and_again_beside_many_zeros_are_told_apart_where_rows_are_many() -> None:
    rng = np.random.default_rng(7)
    gains = np.arange(1, 31) * 977.0
    x = np.where(rng.random(20_000) < 0.9, 0.0, rng.choice(gains, 20_000))  # some 67 rows of each, where a bin has 312
    fine, coarse = Bins.of_numbers(x, is_fine=True), Bins.of_numbers(x)
    np.testing.assert_array_equal(drawn(fine, x), x)
    assert len(fine.knots) == 31
    assert len(coarse.knots) < 10
    y = rng.normal(size=20_000)  # without such values nothing changes
    assert Bins.of_numbers(y, is_fine=True) == Bins.of_numbers(y)


@pytest.mark.parametrize("seed", range(20))
def test_a_spike_has_as_many_rows_as_the_bins_that_are_left_for_what_is_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = np.ceil(rng.pareto(0.5, rng.integers(1, 200)) + rng.integers(1, 30)).clip(max=1e5).astype(int)
    most = int(rng.integers(1, 80))
    alone = _spikes(counts, most)
    left = most - alone.sum()
    assert left >= 0
    target = max(FEWEST_ROWS, counts[~alone].sum() / max(left, 1))
    np.testing.assert_array_equal(alone, counts >= target)


def test_no_bin_of_several_numbers_has_fewer_than_ten_rows_and_knots_are_no_list_of_the_rows() -> None:
    x = np.random.default_rng(2).normal(size=300)
    bins = Bins.of_numbers(x)
    assert min(bins.counts) >= FEWEST_ROWS - 1
    assert len(bins.knots) <= 300 / FEWEST_ROWS
    inner = {knot for knots in bins.knots for knot in knots[1:-1]}
    assert not inner & set(x.tolist())


@pytest.mark.parametrize(
    ("cells", "step"), [([10, 30, 70], 10), ([0.5, 1.25], 0.01), ([1, 2, 4], 1), ([np.pi, 1], 0), ([0, 0], 1)]
)
def test_the_step_is_the_largest_that_all_numbers_are_multiples_of(cells: list[float], step: float) -> None:
    assert Bins.of_numbers(np.array(cells)).step == step


def test_numbers_stay_between_bounds_whatever_the_bin() -> None:
    bins = Bins.of_numbers(np.arange(1000.0))
    low, high = np.full(500, 400.0), np.full(500, 402.0)
    some = bins.numbers(np.random.default_rng(0).integers(0, len(bins.knots), 500), np.random.default_rng(1), low, high)
    assert some.min() >= 400
    assert some.max() <= 402
    assert np.array_equal(some, some.round())
    allowed = bins.within(low, high)
    ends = bins.ends
    np.testing.assert_array_equal(allowed[0], (ends[1] >= 400) & (ends[0] <= 402))


def test_rare_categories_share_a_bin() -> None:
    numbers = np.array([0] * 6 + [1] * 2 + [2] + [-1] * 3)
    bins = Bins.of_categories(numbers, numbers >= 0, ["a", "b", "c"], 5)
    assert (bins.values, bins.counts, bins.pooled, bins.missing, bins.size) == (["a"], [6, 3, 3], True, True, 3)


def test_what_is_saved_comes_back_and_what_cannot_be_is_refused() -> None:
    bins = Bins.of_numbers(np.append(np.random.default_rng(0).normal(size=200), NAN))
    assert Bins.from_dict(bins.to_dict()) == bins
    for change in (
        {"sort": "x"},
        {"counts": [1]},
        {"knots": [[1.0, 0.0, 0.0, 0.0, 0.0]] * len(bins.knots)},
        {"step": -1.0},
    ):
        with pytest.raises(ValueError, match="cannot be"):
            Bins.from_dict(bins.to_dict() | change)


def test_orders_hold_over_columns_between() -> None:
    orders = [Order("a", "b", strict=True), Order("b", "c"), Order("c", "d", strict=True)]
    gaps = closure(orders, dict.fromkeys("abcd", 1.0))
    assert gaps == {("a", "b"): 1, ("b", "c"): 0, ("c", "d"): 1, ("a", "c"): 1, ("b", "d"): 1, ("a", "d"): 2}
    with pytest.raises(UsageError, match="above itself"):
        closure([*orders, Order("d", "a")], dict.fromkeys("abcd", 1.0))
