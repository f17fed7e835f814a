"""Prototypes are means of ten rows or more, each of which is nearest to its own; reach is what every distance written out gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engram.maths.distance import squared_distances
from engram.maths.prototypes import Prototypes, prototypes, reach, telling


def rows(n: int, values: int = 3, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, values)) + 4 * rng.integers(0, 3, (n, 1))).float()


def made(x: Tensor, most: int, least: int, seed: int = 0) -> Prototypes:
    return prototypes(x, most, least, torch.Generator().manual_seed(seed))


def test_squared_distances_are_those_written_out() -> None:
    x, centres = rows(20), rows(5, seed=1)
    by_hand = [[float(((a - b) ** 2).sum()) for b in centres] for a in x]
    assert torch.allclose(squared_distances(x, centres), torch.tensor(by_hand), atol=1e-4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("least", [10, 40])
def test_each_prototype_stands_for_enough_rows_and_all_rows_are_in_one(seed: int, least: int) -> None:
    x = rows(400, seed=seed)
    found = made(x, 400, least, seed)
    assert int(found.counts.min()) >= least
    assert int(found.counts.sum()) == len(x)
    assert 400 // least >= len(found.centres) > 400 // least // 4  # they are dropped where few rows are, not everywhere
    weighted = (found.centres * found.counts[:, None]).sum(0) / len(x)
    assert torch.allclose(weighted, x.mean(0), atol=1e-4)  # centres are means of a division of the rows


def test_no_more_prototypes_than_asked_for() -> None:
    assert len(made(rows(2000), 7, 10).centres) <= 7


def test_prototypes_of_far_clusters_are_their_means() -> None:
    rng = np.random.default_rng(0)
    middles = np.array([[0, 0], [100, 0], [0, 100]])
    x = torch.from_numpy(np.repeat(middles, 30, axis=0) + rng.normal(size=(90, 2))).float()
    means = torch.stack([x[i : i + 30].mean(0) for i in (0, 30, 60)])
    groups = zip((0, 30, 60), means, strict=True)
    spreads = torch.stack([(x[i : i + 30] - mean).square().sum(1).mean() for i, mean in groups])
    found = next(f for s in range(50) if len((f := made(x, 3, 10, s)).centres) == 3)
    order = squared_distances(means, found.centres).argmin(1)
    assert torch.allclose(found.centres[order], means, atol=1e-4)
    assert torch.allclose(found.spreads[order], spreads, atol=0.05)
    assert found.counts.tolist() == [30, 30, 30]


@pytest.mark.parametrize("n", [1, 2, 9, 15, 19])
def test_few_rows_have_one_prototype_of_all(n: int) -> None:
    x = rows(n)
    found = made(x, 400, 10)
    assert torch.allclose(found.centres, x.mean(0, keepdim=True), atol=1e-5)
    assert found.counts.tolist() == [n]
    assert found.spreads.item() >= 0


def test_a_lone_row_far_away_has_no_prototype_of_its_own() -> None:
    x = torch.cat([rows(200), torch.full((1, 3), 1000.0), torch.full((9, 3), -1000.0)])
    for seed in range(10):
        found = made(x, 400, 10, seed)
        assert int(found.counts.min()) >= 10
        assert float(squared_distances(torch.full((1, 3), 1000.0), found.centres).min()) > 800**2


def test_rows_that_are_all_alike_have_prototypes() -> None:
    found = made(torch.ones(100, 2), 400, 10)
    assert int(found.counts.sum()) == 100
    assert torch.equal(found.centres, torch.ones_like(found.centres))
    assert found.spreads.abs().max() < 1e-6


def test_the_same_generator_makes_the_same_prototypes_and_leaves_rows_as_they_are() -> None:
    x = rows(300)
    before = x.clone()
    first, second = made(x, 400, 10), made(x, 400, 10)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(x, before)


def test_reach_is_the_distance_to_the_nearest_prototype() -> None:
    found, x = made(rows(300), 400, 10), rows(50, seed=3)
    by_hand = [min(float((row - c).double().norm()) for c in found.centres) for row in x]
    assert torch.allclose(reach(x, found, roomy=False), torch.tensor(by_hand), atol=1e-3)


def test_reach_counts_the_room_of_a_prototype_where_it_is_asked_to() -> None:
    found, x = made(rows(300), 400, 10), rows(50, seed=3)
    common = float((found.counts * found.spreads).sum() / found.counts.sum())
    room = [0.9 * float(s) + 0.1 * common for s in found.spreads]
    squares = [min(float((row - c).square().sum()) + r for c, r in zip(found.centres, room, strict=True)) for row in x]
    assert torch.allclose(reach(x, found, roomy=True), torch.tensor(squares).sqrt(), atol=1e-3)
    assert bool((reach(x, found, roomy=True) >= reach(x, found, roomy=False) - 1e-4).all())


def test_distances_say_less_the_more_directions_the_rows_spread_in() -> None:
    def of(directions: int, n: int = 3000) -> float:
        rng = np.random.default_rng(0)
        return float(telling(torch.from_numpy(rng.normal(size=(n, directions))).float()))

    assert of(3) == of(20) == of(40) == 1
    found = [of(d) for d in (60, 120, 240)]
    assert found == sorted(found, reverse=True)
    # of d equal directions about nine tenths hold nine tenths of the variance, fewer as estimated from 1,024 rows
    assert found[1] == pytest.approx((40 / 100) ** 2, abs=0.03)
    few = torch.from_numpy(np.random.default_rng(0).normal(size=(3000, 5)) @ np.ones((5, 300))).float()
    assert float(telling(few)) == 1  # many columns, one direction
    assert float(telling(torch.zeros(4, 3))) == 1
