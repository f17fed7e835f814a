"""Penalties on codes against sums written out by hand, and the selection of units against sorting."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engram.maths.sparsity import batch_threshold, correlations, kl_to_rate, l1, top_k
from engram.models.sparse import Units


def codes(rows: int = 12, units: int = 7) -> Tensor:
    return torch.randn(rows, units, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_l1_is_the_sum_of_sizes_and_cannot_be_lowered_by_rescaling() -> None:
    z, norms = codes(), torch.rand(7, dtype=torch.float64) + 0.5
    by_hand = [sum(abs(v) for v in row) for row in z.tolist()]
    assert l1(z).tolist() == pytest.approx(by_hand)
    torch.testing.assert_close(l1(z / 10, norms * 10), l1(z, norms))


def test_kl_to_a_rate_is_that_of_coins_and_zero_at_the_rate() -> None:
    z, rate = codes().sigmoid(), 0.1
    by_hand = 0.0
    for mean in z.mean(0).tolist():
        by_hand += rate * math.log(rate / mean) + (1 - rate) * math.log((1 - rate) / (1 - mean))
    assert float(kl_to_rate(z, rate)) == pytest.approx(by_hand)
    assert float(kl_to_rate(torch.full((3, 4), 0.2), 0.2)) == pytest.approx(0, abs=1e-6)


def test_kl_to_a_rate_is_finite_where_units_are_off_or_on_for_every_row() -> None:
    z = torch.tensor([[0.0, 1.0], [0.0, 1.0]], requires_grad=True)
    value = kl_to_rate(z, 0.05)
    value.backward()
    assert value.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()


@pytest.mark.parametrize("k", [1, 3, 7, 9])
def test_top_k_keeps_the_largest_of_each_row_and_nothing_else(k: int) -> None:
    z = codes()
    for row, kept in zip(z.tolist(), top_k(z, k).tolist(), strict=True):
        largest = sorted(row, reverse=True)[:k]
        assert kept == [v if v in largest else 0.0 for v in row]


@pytest.mark.parametrize("k", [1, 2, 6, 7])
def test_the_threshold_of_a_batch_lets_k_per_row_through_on_average(k: int) -> None:
    z = codes()
    assert int((z >= batch_threshold(z, k)).sum()) == k * len(z)


def test_correlations_are_those_of_numpy_and_do_not_depend_on_scale() -> None:
    z = codes()
    r = torch.corrcoef(z.T)
    by_hand = sum(float(r[i, j]) ** 2 for i in range(7) for j in range(i))
    assert float(correlations(z)) == pytest.approx(by_hand)
    assert float(correlations(z * torch.arange(1, 8) + 3)) == pytest.approx(by_hand)
    assert float(correlations(torch.ones(5, 3))) == 0
    assert float(correlations(torch.ones(1, 3))) == 0


@pytest.mark.parametrize("penalty", [l1, lambda z: kl_to_rate(z.sigmoid(), 0.1), correlations])
def test_gradients_of_the_penalties_are_those_of_finite_differences(penalty: object) -> None:
    assert torch.autograd.gradcheck(penalty, codes(5, 4).requires_grad_())


def test_units_narrow_to_k_while_learning_and_use_alpha_times_k() -> None:
    units, z = Units(40, "linear", "topk", 5, 8), codes(30, 40)
    active = [int((units(z, progress) != 0).sum(1).max()) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert active == [20, 12, 5, 5]
    assert bool(((units.eval()(z) != 0).sum(1) == 8).all())


def test_at_use_a_batch_top_k_is_a_threshold_that_follows_the_batches() -> None:
    units = Units(40, "relu", "batchtopk", 5, 5)
    for seed in range(400):
        z = torch.randn(64, 40, generator=torch.Generator().manual_seed(seed))
        assert int((units(z, 1.0) != 0).sum()) == 5 * 64
    units.eval()
    z = torch.randn(500, 40, generator=torch.Generator().manual_seed(1000))
    whole = units(z)
    assert (whole != 0).sum(1).float().mean().item() == pytest.approx(5, rel=0.1)
    assert torch.equal(units(z[3:4]), whole[3:4])


def test_idle_units_are_counted_in_steps_since_they_were_active() -> None:
    units = Units(3, "relu")
    for values in ([1.0, -1.0, -1.0], [-1.0, 2.0, -1.0]):
        units(torch.tensor([values]))
        units.count()
    assert units.idle.tolist() == [1, 0, 2]
