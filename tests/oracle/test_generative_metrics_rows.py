"""Metrics of generated rows by their neighbours and modes, against double loops and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engram.errors import DataError, UsageError
from engram.metrics import (
    Manifold,
    coverage,
    density,
    exact_copies,
    expected_coverage,
    manifold,
    memorisation,
    mode_count,
    mode_kl,
    precision,
    recall,
)
from engram.metrics.neighbours import Points, kth_nearest

Array = np.ndarray


def normal(n: int, m: int, d: int = 4, shift: float = 0.3, seed: int = 0) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)), generator.normal(size=(m, d)) + shift


# --- precision, recall, density, coverage ---


def distances(a: Array, b: Array) -> Array:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.array([[np.square(x - y).sum() for y in b] for x in a])


def by_loops(real: Array, generated: Array, k_precision: int = 3, k_coverage: int = 5) -> Manifold:
    """The four definitions word for word, from plain distances."""

    def radii(rows: Array, k: int) -> list[float]:
        within = distances(rows, rows)
        return [sorted(np.delete(row, i))[k - 1] for i, row in enumerate(within)]

    narrow, own, wide = radii(real, k_precision), radii(generated, k_precision), radii(real, k_coverage)
    d, n, m = distances(real, generated), range(len(real)), range(len(generated))
    return Manifold(
        float(np.mean([any(d[i, j] <= narrow[i] for i in n) for j in m])),
        float(np.mean([any(d[i, j] <= own[j] for j in m) for i in n])),
        sum(bool(d[i, j] < wide[i]) for i in n for j in m) / (k_coverage * len(generated)),
        float(np.mean([any(d[i, j] < wide[i] for j in m) for i in n])),
    )


def grid(n: int, d: int, seed: int) -> Array:
    """Rows on few places: most distances are tied, and many rows are equal."""
    return np.random.default_rng(seed).integers(0, 3, size=(n, d)).astype(np.float64)


CASES = {
    "normal": normal(70, 90),
    "float32": tuple(x.astype(np.float32) for x in normal(70, 50)),
    "ties": (grid(60, 3, 0), grid(70, 3, 1)),
    "ties far from the origin": (grid(60, 3, 0) / 7 + 1e6, grid(70, 3, 1) / 7 + 1e6),
    "ties that rounding splits": (
        grid(60, 5, 0) * [0.1, 0.3, 1 / 3, 0.7, 0.2],
        grid(70, 5, 1) * [0.3, 0.1, 0.2, 1 / 3, 0.7],
    ),
    "an outlier": (np.vstack([normal(50, 1)[0], np.full((1, 4), 1e8)]), normal(1, 50)[1]),
    "constant": (np.full((20, 3), 0.1), np.full((30, 3), 0.1)),
    "equal": (normal(40, 1)[0], normal(40, 1)[0]),
    "shuffled": (normal(40, 1)[0], normal(40, 1)[0][::-1]),
}


@pytest.mark.parametrize("case", CASES)
def test_all_four_are_exactly_those_of_double_loops(case: str) -> None:
    real, generated = CASES[case]
    for ks in ((3, 5), (1, 2)):
        expected = by_loops(real, generated, *ks)
        for block in (None, 1, 13):
            assert manifold(real, generated, *ks, block=block) == expected
        alone = Manifold(
            precision(real, generated, ks[0]),
            recall(real, generated, ks[0]),
            density(real, generated, ks[1]),
            coverage(real, generated, ks[1]),
        )
        assert alone == expected


def test_the_defaults_and_the_edges_are_those_of_the_papers() -> None:
    real, generated = CASES["ties"]
    assert Manifold(*(one(real, generated) for one in (precision, recall, density, coverage))) == by_loops(
        real, generated
    )
    line = np.arange(10.0)[:, None]
    assert manifold(line, line + 1000, 1, 1) == Manifold(0, 0, 0, 0)
    edge = np.array([[-1.0], [-1.0], [-1.0]])  # one step from the end, the radius of whose ball is 1
    assert precision(line, edge, 1) == 1  # an edge counts
    assert density(line, edge, 1) == coverage(line, edge, 1) == 0  # it does not


def test_the_nearest_distances_are_plain_ones_to_the_last_bit() -> None:
    for a, b in CASES.values():
        centre = a.mean(0, dtype=np.float64)
        found = kth_nearest(Points.of(a, centre), Points.of(b, centre), 2, block=7)
        assert np.array_equal(found, np.sort(distances(a, b), axis=1)[:, 1])


def test_a_collapsed_generator_has_precision_and_no_recall() -> None:
    real, _ = normal(400, 1, d=8)
    collapsed = real[:1] + 1e-3 * np.random.default_rng(1).normal(size=(300, 8))
    found = manifold(real, collapsed)
    assert found.precision == 1
    assert found.recall <= 1 / 400
    assert found.coverage < 0.05
    swapped = manifold(collapsed, real)
    assert (swapped.precision, swapped.recall) == (found.recall, found.precision)


def test_coverage_of_fresh_rows_is_its_closed_form_and_density_is_one() -> None:
    n, m = 300, 400
    for k in (1, 3, 5):
        generator = np.random.default_rng(0)
        found = [manifold(generator.normal(size=(n, 3)), generator.normal(size=(m, 3)), 1, k) for _ in range(20)]
        covered, dense = np.array([(one.coverage, one.density) for one in found]).T
        assert covered.mean() == pytest.approx(expected_coverage(n, m, k), abs=4 * covered.std() / math.sqrt(20))
        assert dense.mean() == pytest.approx(1, abs=4 * dense.std() / math.sqrt(20))


def test_expected_coverage_is_a_share_of_orders() -> None:
    assert expected_coverage(10**7, 10**7, 5) == pytest.approx(0.96875, abs=1e-6)
    assert expected_coverage(1000, 1000, 3) == pytest.approx(1 - 999 * 998 * 997 / (1999 * 1998 * 1997), rel=1e-12)
    assert expected_coverage(1000, 2000, 5) == pytest.approx(0.9959, abs=1e-4)
    # of 6 orders of two real rows and a generated one, 2 begin with both real ones
    assert expected_coverage(3, 1, 2) == pytest.approx(1 - 2 / 6)
    for bad in ((5, 5, 5), (5, 0, 1), (5, 5, 0)):
        with pytest.raises(UsageError, match="1 <= k"):
            expected_coverage(*bad)


def test_neither_order_nor_rotation_nor_place_move_them() -> None:
    real, generated = normal(80, 60)
    turned = np.linalg.qr(np.random.default_rng(9).normal(size=(4, 4)))[0]
    found = manifold(real, generated)
    assert manifold(real[::-1], np.roll(generated, 7, axis=0)) == found
    assert manifold(real @ turned, generated @ turned) == found
    assert manifold(3 * real + 5, 3 * generated + 5) == found


@pytest.mark.parametrize("one", [precision, recall, density, coverage, manifold])
def test_clear_errors_of_neighbours(one) -> None:
    real, generated = normal(10, 12)
    with pytest.raises(DataError, match=r"real has 3 rows.*at least"):
        one(real[:3], generated)
    with pytest.raises(DataError, match=r"real \(10, 4\), generated \(12, 3\)"):
        one(real, generated[:, :3])
    with pytest.raises(UsageError, match="k counts neighbours"):
        one(real, generated, 0)
    real[0] = np.inf
    with pytest.raises(DataError, match="real has 1 of 10 rows"):
        one(real, generated)


# --- memorisation ---


def test_memorisation_is_how_often_a_generated_row_is_nearer() -> None:
    for training, generated in CASES.values():
        real = generated[: len(generated) // 2][::-1] * 1.1
        near, held = (distances(rows, training).min(1) for rows in (generated, real))
        pairs = [(g < r) + 0.5 * (g == r) for g in near for r in held]
        assert memorisation(generated, training, real) == pytest.approx(np.mean(pairs), rel=1e-12)


def test_memorisation_of_fresh_rows_of_copies_and_of_noise() -> None:
    generator = np.random.default_rng(0)
    values = [memorisation(*generator.normal(size=(3, 200, 4))) for _ in range(30)]
    assert np.mean(values) == pytest.approx(0.5, abs=4 * np.std(values) / math.sqrt(30))
    training, real = normal(100, 90)
    assert memorisation(training[:50], training, real) == 1
    assert memorisation(real + 100, training, real) == 0
    assert memorisation(real[::-1], training, real) == 0.5


def test_exact_copies_are_counted_in_the_lower_precision() -> None:
    training, other = normal(20, 10)
    generated = np.vstack([training[3:8], other[:5]])
    assert exact_copies(generated, training) == 0.5
    assert exact_copies(generated.astype(np.float32), training) == 0.5
    assert exact_copies(generated + 1e-12, training) == 0
    assert exact_copies(np.array([[-0.0]]), np.array([[0.0]])) == 1


# --- modes ---

RING = np.array([[math.cos(t), math.sin(t)] for t in np.arange(8) * math.pi / 4])


def test_a_perfect_ring_has_the_values_of_its_closed_form() -> None:
    """Within 3 sigma in 2-D: r^2 / 2 sigma^2 is exponential, cut at 4.5."""
    generator = np.random.default_rng(0)
    rows = RING[generator.integers(8, size=200_000)] + 0.01 * generator.normal(size=(200_000, 2))
    found = mode_count(rows, RING, 0.01)
    tail = math.exp(-4.5)
    assert (found.found, found.strict, found.n_modes, found.dropped) == (8, 8, 8, ())
    assert found.high_quality == pytest.approx(1 - tail, abs=1e-3)
    assert found.width == pytest.approx(math.sqrt((1 - 5.5 * tail) / (1 - tail)), abs=3e-3)
    assert 0 <= found.reverse_kl < 1e-3


def test_modes_are_counted_by_hand() -> None:
    rows = np.vstack(
        [np.repeat(RING[:1] + np.array([0.01, 0]), 60, 0), np.repeat(RING[1:2], 39, 0), RING[2:3], [[9, 9]] * 100]
    )
    found = mode_count(rows, RING, 0.01)
    # a tenth of the fair share: 200 / 8 / 10 = 2.5 rows
    assert (found.found, found.strict, found.high_quality) == (3, 2, 0.5)
    assert found.dropped == (3, 4, 5, 6, 7)
    shares = np.array([0.60, 0.39, 0.01])
    assert found.reverse_kl == pytest.approx((shares * np.log(shares * 8)).sum(), rel=1e-9)
    # 60 of 100 are one sigma off, in one dimension of two
    assert found.width == pytest.approx(math.sqrt(0.6 / 2), rel=1e-6)
    given = np.array([0.60, 0.39, 0.01, 0, 0, 0, 0, 0])
    assert mode_count(rows, RING, 0.01, weights=given).reverse_kl == pytest.approx(0, abs=1e-12)
    assert mode_count(rows, RING, 0.01, n_sigmas=0.5).found == 2


def test_a_dead_generator_has_no_perfect_divergence() -> None:
    found = mode_count(np.zeros((50, 2)), RING, 0.01)
    assert (found.found, found.strict, found.high_quality, found.reverse_kl) == (0, 0, 0, math.inf)
    assert math.isnan(found.width)
    assert mode_kl(np.array([], dtype=int), 4) == (0, math.inf)


def test_the_divergence_of_labels() -> None:
    assert mode_kl(np.arange(1000), 1000) == (1000, pytest.approx(0, abs=1e-12))
    assert mode_kl(np.zeros(7, dtype=int), 100) == (1, pytest.approx(math.log(100)))
    assert mode_kl(np.array([0, 0, 1]), 2, np.array([2 / 3, 1 / 3])) == (2, pytest.approx(0, abs=1e-12))
    assert mode_kl(np.array([0, 1]), 2, np.array([1.0, 0.0])) == (2, math.inf)


def test_clear_errors_of_modes() -> None:
    for bad in (np.array([0, 4]), np.array([-1]), np.array([0.5])):
        with pytest.raises(DataError, match="0 to 3"):
            mode_kl(bad, 4)
    with pytest.raises(DataError, match="one share per mode"):
        mode_kl(np.array([0]), 4, np.ones(4))
    with pytest.raises(UsageError, match="n_modes"):
        mode_kl(np.array([0]), 0)
    with pytest.raises(UsageError, match="sigma"):
        mode_count(RING, RING, 0)
    with pytest.raises(DataError, match="centres"):
        mode_count(RING, RING[:, :1], 1)
    with pytest.raises(DataError, match="not finite"):
        mode_count(RING * np.nan, RING, 1)
