"""Metrics of generated rows against brute force, closed forms and SciPy: Frechet, kernel, sliced Wasserstein, and the scalar ones."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment

from engram.errors import DataError, DataTypeError, UsageError
from engram.metrics import (
    agreement,
    frechet_distance,
    frechet_from_statistics,
    inception_score,
    inception_score_error,
    kernel_distance,
    kernel_estimate,
    kernel_standard_error,
    path_length,
    sliced_wasserstein,
    statistics,
)

Array = np.ndarray


def two_sets(n: int = 60, m: int = 80, d: int = 7, seed: int = 0) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(d, d))
    return generator.normal(size=(n, d)), generator.normal(size=(m, d)) @ mixing * 0.7 + 0.3


def rotation(d: int) -> Array:
    return np.linalg.qr(np.random.default_rng(9).normal(size=(d, d)))[0]


# --- Frechet ---


def by_sqrtm(a: Array, b: Array) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(s @ t)
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s) + np.trace(t) - 2 * np.trace(root).real)


@pytest.mark.parametrize(("n", "m"), [(300, 400), (60, 400), (400, 60), (41, 41), (40, 200)])
def test_frechet_is_scipys_square_root_of_a_matrix(n: int, m: int) -> None:
    for seed in range(3):
        a, b = two_sets(n, m, 40, seed)
        assert frechet_distance(a, b) == pytest.approx(by_sqrtm(a, b), rel=1e-6)
        low = a.astype(np.float32), b.astype(np.float32)
        assert frechet_distance(*low) == pytest.approx(by_sqrtm(*low), rel=1e-6)


def by_roots(a: Array, b: Array) -> float:
    """From the symmetric root of one covariance and the singular values of factors: exact where a covariance has no full rank."""
    a, b = a - a.mean(0), b - b.mean(0)
    values = np.linalg.svd(a @ b.T / math.sqrt((len(a) - 1) * (len(b) - 1)), compute_uv=False)
    return float(np.square(a).sum() / (len(a) - 1) + np.square(b).sum() / (len(b) - 1) - 2 * values.sum())


@pytest.mark.parametrize(("n", "m"), [(20, 30), (30, 20), (20, 200), (200, 20), (40, 40), (150, 200)])
@pytest.mark.parametrize("rank", [3, 40])
def test_frechet_of_few_rows_and_of_dependent_features(n: int, m: int, rank: int) -> None:
    a, b = two_sets(n, m, 40)
    a[:, rank:] = a[:, :rank] @ np.random.default_rng(1).normal(size=(rank, 40 - rank))
    between = np.square(a.mean(0) - b.mean(0)).sum()
    assert frechet_distance(a, b) == pytest.approx(between + by_roots(a, b), rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_frechet_of_features_of_very_different_sizes() -> None:
    """The eigenvalues of the Gram matrix have lost the small half of the digits: the singular values are computed instead."""
    a, b = two_sets(400, 500, 60)
    scale = 10.0 ** -np.linspace(0, 9, 60)
    for one, other in ((a, b), (a[:50], b[:50]), (a, b[:50])):
        x, y = one * scale, other * scale
        between = np.square(x.mean(0) - y.mean(0)).sum()
        assert frechet_distance(x, y) == pytest.approx(between + by_roots(x, y), rel=1e-7)


def test_frechet_of_constant_features() -> None:
    a, b = two_sets(200, 300, 12)
    dead_a, dead_b = np.insert(a, [0, 3, 3], 0.1, axis=1), np.insert(b, [0, 3, 3], 0.1, axis=1)
    assert frechet_distance(dead_a, dead_b) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(np.full((50, 3), 0.1), np.full((2, 3), 0.6)) == pytest.approx(0.75)


def whitened(n: int, d: int, seed: int) -> Array:
    """Rows whose mean is 0 and whose covariance (n - 1) is the identity, both exactly."""
    x = np.random.default_rng(seed).normal(size=(n, d))
    x -= x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T


def test_frechet_of_two_gaussians_in_closed_form() -> None:
    a, b = whitened(100, 5, 0), whitened(70, 5, 1)
    mean, s, t = np.arange(5.0), np.array([1, 2, 3, 0.5, 4]), np.array([2, 1, 0.1, 0.5, 3])
    expected = np.square(mean).sum() + np.square(s - t).sum()  # covariances that commute
    turned = rotation(5)
    assert frechet_distance(a * s @ turned, (b * t + mean) @ turned) == pytest.approx(expected, rel=1e-10)


def test_frechet_with_equal_covariances_is_the_squared_distance_of_the_means() -> None:
    a, shift = two_sets()[1], np.linspace(-1, 2, 7)
    assert frechet_distance(a, a[::-1] + shift) == pytest.approx(np.square(shift).sum(), rel=1e-10)


def test_the_covariance_has_the_denominator_of_an_estimate() -> None:
    """Rows - 1, as the published values have it; with rows the distance would be smaller by (n - 1) / n."""
    a = whitened(10, 2, 0)
    assert frechet_distance(a, np.zeros((10, 2))) == pytest.approx(2.0, rel=1e-12)
    assert frechet_distance(np.array([[0.0], [2.0]]), np.array([[5.0], [5.0]])) == pytest.approx(16 + 2.0)


def test_frechet_is_a_distance_that_neither_order_nor_rotation_move() -> None:
    a, b = two_sets()
    value, turned = frechet_distance(a, b), rotation(7)
    assert frechet_distance(a, a) < 1e-10
    assert frechet_distance(a[:5], a[:5][::-1]) < 1e-10
    assert frechet_distance(b, a) == pytest.approx(value, rel=1e-10)
    assert frechet_distance(a[::-1], np.roll(b, 7, axis=0)) == pytest.approx(value, rel=1e-10)
    assert frechet_distance(a @ turned, b @ turned) == pytest.approx(value, rel=1e-10)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * value, rel=1e-10)


def test_statistics_can_be_used_again() -> None:
    a, b = two_sets(2500, 30, 12)  # more rows than are centred at a time
    for real, generated in ((a, b), (b, a), (a, a + 1), (b[:5], b[5:11])):
        kept = statistics(real)
        before = [None if one is None else one.copy() for one in (kept.factor, kept.covariance)]
        for _ in range(2):
            assert frechet_from_statistics(kept, statistics(generated)) == frechet_distance(real, generated)
        assert all(
            np.array_equal(x, y) for x, y in zip(before, (kept.factor, kept.covariance), strict=True) if x is not None
        )
        assert kept.n == len(real)
        assert kept.variance == pytest.approx(np.var(real, axis=0, ddof=1).sum())


def test_frechet_has_the_value_that_compare_gan_tests() -> None:
    real, generated = np.ones((100, 2)), np.full((100, 2), 9.0)
    real[:50, 0], generated[50:, 0] = 2, 2
    assert frechet_distance(real, generated) == pytest.approx(89.091, abs=1e-3)


# --- kernel ---


def by_pairs(a: Array, b: Array) -> float:
    def k(x: Array, y: Array) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    xx = np.mean([k(x, y) for x, y in permutations(a, 2)])
    yy = np.mean([k(x, y) for x, y in permutations(b, 2)])
    return float(xx + yy - 2 * np.mean([k(x, y) for x in a for y in b]))


@pytest.mark.parametrize("block", [1, 7, 25, 1000])
def test_kernel_distance_is_the_mean_over_pairs_whatever_the_blocks(block: int) -> None:
    a, b = two_sets(25, 33, 4)
    assert kernel_distance(a, b, block=block) == pytest.approx(by_pairs(a, b), rel=1e-10)
    assert kernel_standard_error(a, b, block=block) == pytest.approx(kernel_standard_error(a, b), rel=1e-10)
    assert kernel_estimate(a, b) == (kernel_distance(a, b), kernel_standard_error(a, b))


def draws(shift: float, repeats: int = 400, n: int = 30, m: int = 45) -> tuple[Array, Array]:
    generator = np.random.default_rng(0)
    pairs = [
        kernel_estimate(generator.normal(size=(n, 3)), generator.normal(size=(m, 3)) * (1 + shift) + shift)
        for _ in range(repeats)
    ]
    values, errors = np.array(pairs).T
    return values, errors


def test_kernel_distance_has_no_bias_and_is_not_cut_at_zero() -> None:
    values, _ = draws(0.0)
    assert abs(values.mean()) < 3 * values.std() / 20
    assert 0.3 < (values < 0).mean() < 0.8


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_the_standard_error_of_the_kernel_distance_is_that_of_repeated_draws(shift: float) -> None:
    """For equal distributions, where the first-order part vanishes and a jackknife is wrong by the root of 2, as for others."""
    values, errors = draws(shift)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.15)


@pytest.mark.parametrize(
    ("n", "m", "size", "shift"),
    [(25, 25, 5, 0.0), (100, 100, 5, 0.0), (25, 25, 5, 0.5), (100, 100, 5, 0.2), (4, 4, 5, 0.0), (30, 60, 2, 0.0)],
)
def test_the_standard_error_of_the_kernel_distance_is_never_zero_and_right_on_average(
    n: int, m: int, size: int, shift: float
) -> None:
    """An error of 0 would read as certainty; the unbiased variance is negative in one of ten comparisons of equal distributions."""
    generator = np.random.default_rng(1)
    pairs = [(generator.normal(size=(n, size)), shift + generator.normal(size=(m, size))) for _ in range(300)]
    values, errors = np.array([kernel_estimate(*pair) for pair in pairs]).T
    assert errors.min() > 0.1 * values.std()
    assert errors.mean() == pytest.approx(values.std(), rel=0.3)


def test_kernel_distance_is_a_distance_that_neither_order_nor_rotation_move() -> None:
    a, b = two_sets()
    value, turned = kernel_distance(a, b), rotation(7)
    assert value > 2 * kernel_standard_error(a, b) > 0
    assert kernel_distance(b, a) == pytest.approx(value, rel=1e-10)
    assert kernel_standard_error(b, a) == pytest.approx(kernel_standard_error(a, b), rel=1e-10)
    assert kernel_distance(a[::-1], np.roll(b, 7, axis=0)) == pytest.approx(value, rel=1e-10)
    assert kernel_distance(a @ turned, b @ turned) == pytest.approx(value, rel=1e-9)
    assert kernel_distance(a, a) < 0  # what pairs of a row with itself would have added
    assert kernel_distance(a[:, :1] * 0 + 1, a[:, :1] * 0) == pytest.approx(8 + 1 - 2)


# --- sliced Wasserstein ---


def by_transport(a: Array, b: Array) -> float:
    """Squared distance of rows on a line, each repeated so that there are equally many, by an optimal assignment."""
    n = math.lcm(len(a), len(b))
    cost = np.square(np.repeat(a, n // len(a))[:, None] - np.repeat(b, n // len(b)))
    return float(cost[linear_sum_assignment(cost)].mean())


@pytest.mark.parametrize(("n", "m"), [(12, 12), (12, 8), (5, 20), (1, 7), (9, 10)])
def test_on_a_line_it_is_the_optimal_transport(n: int, m: int) -> None:
    a, b = two_sets(n, m, 1)
    assert sliced_wasserstein(a, b) == pytest.approx(math.sqrt(by_transport(a[:, 0], b[:, 0])), rel=1e-10)


def test_sliced_wasserstein_is_the_mean_over_lines_and_the_closed_form_of_a_shift_and_a_scale() -> None:
    a, _ = two_sets(200, 1, 4)
    lines = np.random.default_rng(3).normal(size=(4, 40))
    lines /= np.linalg.norm(lines, axis=0)
    b = two_sets(200, 1, 4, seed=5)[0]
    looped = np.mean([np.square(np.sort(a @ line) - np.sort(b @ line)).mean() for line in lines.T])
    assert sliced_wasserstein(a, b, 40, random_state=3) == pytest.approx(math.sqrt(looped), rel=1e-10)
    shift = np.array([3.0, 0, 4, 0])
    assert sliced_wasserstein(a, a + shift, 20_000) == pytest.approx(5 / 2, rel=0.01)  # |v| / sqrt(d)
    wide = whitened(500, 4, 0)
    assert sliced_wasserstein(wide, 3 * wide) == pytest.approx(2 * math.sqrt(499 / 500), rel=1e-9)


def test_sliced_wasserstein_is_a_distance_with_a_seed() -> None:
    a, b = two_sets(30, 45, 3)
    value = sliced_wasserstein(a, b)
    assert sliced_wasserstein(a, a) == 0
    assert sliced_wasserstein(a, np.repeat(a, 3, axis=0)) == pytest.approx(0, abs=1e-12)
    assert sliced_wasserstein(b, a) == pytest.approx(value, rel=1e-10)
    assert sliced_wasserstein(a[::-1], np.roll(b, 7, axis=0)) == pytest.approx(value, rel=1e-10)
    assert sliced_wasserstein(a, b) == value != sliced_wasserstein(a, b, random_state=1)
    turned = rotation(3)
    assert sliced_wasserstein(a @ turned, b @ turned, 20_000) == pytest.approx(
        sliced_wasserstein(a, b, 20_000), rel=0.02
    )


# --- Inception Score, path length, agreement ---


def some_probabilities(n: int = 300) -> Array:
    logits = np.random.default_rng(0).normal(size=(n, 5)) * 2
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def test_inception_score_of_one_part_is_its_formula() -> None:
    p = some_probabilities()
    marginal = p.mean(0)
    looped = np.mean([sum(q * math.log(q / m) for q, m in zip(row, marginal, strict=True)) for row in p])
    assert inception_score(p, splits=1) == pytest.approx(math.exp(looped), rel=1e-10)
    entropies = -(marginal * np.log(marginal)).sum() + (p * np.log(p)).sum(1).mean()  # H(y) - H(y | x)
    assert inception_score(p, splits=1) == pytest.approx(math.exp(entropies), rel=1e-10)
    assert math.isnan(inception_score_error(p, splits=1))


def test_inception_score_at_its_ends() -> None:
    # in the order of the classes: without a shuffle each part has one class
    sure = np.eye(10)[np.repeat(np.arange(10), 100)]
    assert inception_score(sure, splits=1) == pytest.approx(10)
    assert 9.5 < inception_score(sure) <= 10
    assert inception_score(np.full((50, 4), 0.25)) == pytest.approx(1)
    assert inception_score(np.eye(10)[np.zeros(50, dtype=int)]) == pytest.approx(1)


def test_inception_score_depends_on_rows_and_seed_and_not_on_the_order() -> None:
    p = some_probabilities()
    order = np.random.default_rng(2).permutation(len(p))
    assert inception_score(p[order]) == inception_score(p) != inception_score(p, random_state=1)
    assert inception_score(p.astype(np.float32)) == pytest.approx(inception_score(p), rel=0.02)
    values = [inception_score(p[i : i + 30], splits=1) for i in range(0, 300, 30)]
    assert inception_score_error(p) == pytest.approx(np.std(values), rel=0.7)
    assert inception_score(p) == pytest.approx(np.mean(values), rel=0.03)
    assert inception_score(p[:, [3, 1, 4, 0, 2]], splits=1) == pytest.approx(inception_score(p, splits=1), rel=1e-10)


def test_path_length_of_a_linear_generator_is_its_slope() -> None:
    generator = np.random.default_rng(0)
    start, slope = generator.normal(size=(500, 6)), np.array([1.0, 2, 0, 0, -2, 4])
    for epsilon in (1e-2, 1e-4):
        assert path_length(start, start + epsilon * slope, epsilon) == pytest.approx(25, rel=1e-6)
    assert path_length(start, start) == 0


def test_path_length_leaves_out_the_lowest_and_the_highest_percent() -> None:
    lengths = np.random.default_rng(0).permutation(np.arange(1.0, 202.0))  # the 1st and 99th percentiles are 3 and 199
    end = np.sqrt(lengths)[:, None] * 1e-2
    assert path_length(np.zeros((201, 1)), end) == pytest.approx(np.arange(3.0, 200.0).mean(), rel=1e-9)
    end[lengths == 201] = 1e6
    assert path_length(np.zeros((201, 1)), end) == pytest.approx(101, rel=1e-9)


def test_agreement_is_a_share_of_labels_of_any_sort() -> None:
    assert agreement(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])) == 0.75
    assert agreement(np.array(["cat", "dog"]), np.array(["dog", "dog"])) == 0.5
    with pytest.raises(DataError, match="3 and 2"):
        agreement(np.arange(3), np.arange(2))
    with pytest.raises(DataError, match="one sort"):
        agreement(np.arange(2), np.array(["0", "1"]))
    with pytest.raises(DataError, match=r"asked.*\(2, 1\)"):
        agreement(np.ones((2, 1)), np.ones(2))


# --- what cannot be computed ---


@pytest.mark.parametrize("one", [frechet_distance, kernel_estimate, kernel_distance, sliced_wasserstein])
def test_clear_errors(one) -> None:
    a, b = two_sets(8, 9, 3)
    with pytest.raises(DataError, match=r"generated.*\(9,\).*reshape"):
        one(a, b[:, 0])
    with pytest.raises(DataError, match=r"real \(8, 3\), generated \(9, 2\)"):
        one(a, b[:, :2])
    with pytest.raises(DataError, match="real has 0 rows"):
        one(a[:0], b)
    b[3, 1] = np.nan
    with pytest.raises(DataError, match="generated has 1 of 9 rows"):
        one(a, b)
    with pytest.raises(DataTypeError, match="complex"):
        one(a.astype(complex), b)


@pytest.mark.parametrize("one", [frechet_distance, kernel_estimate, kernel_distance, sliced_wasserstein])
@pytest.mark.parametrize("rows", [4, 40])
@pytest.mark.parametrize("size", [1e155, 1e200, 1e308])
@pytest.mark.filterwarnings("error")
def test_values_that_are_too_large_are_told_and_no_number_is_made_up(one, rows: int, size: float) -> None:
    a = np.random.default_rng(0).uniform(0.5, 1, size=(rows, 6))
    for pair in ((a * size, a), (a, -a * size), (a * size, -a * size)):
        with pytest.raises(DataError, match="too large"):
            one(*pair)


def test_more_clear_errors() -> None:
    a, _ = two_sets(8, 9, 3)
    with pytest.raises(DataError, match=r"features has 1 rows.*at least 2"):
        statistics(a[:1])
    with pytest.raises(DataError, match="3 and 2 features"):
        frechet_from_statistics(statistics(a), statistics(a[:, :2]))
    with pytest.raises(DataError, match="sum to 1"):
        inception_score(a)
    with pytest.raises(DataError, match=r"10 parts.*8"):
        inception_score(np.full((8, 2), 0.5))
    with pytest.raises(UsageError, match="splits"):
        inception_score(np.full((8, 2), 0.5), splits=0)
    with pytest.raises(UsageError, match="epsilon"):
        path_length(a, a, 0)
    with pytest.raises(DataError, match="8 and 7"):
        path_length(a, a[:7])
    with pytest.raises(UsageError, match="n_projections"):
        sliced_wasserstein(a, a, 0)


def test_pictures_are_rows_too() -> None:
    a, b = two_sets(30, 40, 12)
    pictures = a.reshape(-1, 1, 3, 4), b.reshape(-1, 1, 3, 4)
    for one in (frechet_distance, kernel_distance, sliced_wasserstein):
        assert one(*pictures) == one(a, b)
