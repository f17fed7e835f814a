"""Quantisation against brute force: nearest entries, straight-through gradients, moving averages, levels, and the two models."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.overrides import TorchFunctionMode

from engram.errors import UsageError
from engram.maths import quantise
from engram.models.fsq import FSQVAE
from engram.models.vq import VQVAE
from engram.networks.codebook import Codebook

SEED = torch.Generator().manual_seed(0)


def test_nearest_entries_are_those_of_a_search_through_all() -> None:
    z, book = torch.randn(50, 3, 2, generator=SEED), torch.randn(3, 7, 2, generator=SEED)
    found = quantise.nearest(z, book)
    for row, part in product(range(50), range(3)):
        distances = [float(((z[row, part] - entry) ** 2).sum()) for entry in book[part]]
        assert int(found[row, part]) == int(np.argmin(distances))
    looked = quantise.looked_up(book, found)
    assert all(torch.equal(looked[r, p], book[p, found[r, p]]) for r, p in product(range(50), range(3)))


class Largest(TorchFunctionMode):
    """Notes how many values the largest tensor has that is made meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.values = max(self.values, made.numel())
        return made


def test_many_rows_are_compared_with_entries_some_at_a_time_and_ties_go_to_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quantise, "VALUES", 1 << 11)
    z = 1e4 + torch.randint(3, (201, 1, 8), generator=SEED).float()  # far from the origin, and in ties with
    book = 1e4 + torch.randint(3, (1, 12, 8), generator=SEED).float().repeat(1, 2, 1)  # entries that occur twice
    with Largest() as made:
        found = quantise.nearest(z, book)
    assert made.values <= 1 << 11
    assert torch.equal(found, (z[:, :, None] - book[None]).square().sum(-1).argmin(-1))
    assert int(found.max()) < 12
    assert quantise.nearest(z[:0], book).shape == (0, 1)


def test_the_gradient_goes_straight_through_to_z_and_stops_at_the_entry() -> None:
    z, e = torch.tensor([[0.2, -1.0]], requires_grad=True), torch.tensor([[0.5, 2.0]], requires_grad=True)
    through = quantise.straight_through(z, e)
    assert torch.allclose(through, e)
    weights = torch.tensor([[3.0, -2.0]])
    (through * weights).sum().backward()
    assert z.grad is not None
    assert torch.equal(z.grad, weights)
    assert e.grad is None
    z.grad = None
    paid = quantise.commitment(z, e)
    assert paid.tolist() == pytest.approx([0.3**2 + 3**2])
    paid.sum().backward()
    assert torch.allclose(z.grad, 2 * (z - e).detach())
    assert e.grad is None


def test_moving_averages_are_equations_6_to_8() -> None:
    z = torch.randn(40, 1, 2, generator=SEED)
    book = Codebook(1, 3, 2).train()
    book.start(z)
    before = [t.clone() for t in (book.entries, book.counts, book.sums)]
    book(z)
    book.follow(0.9)
    index = quantise.nearest(z, before[0])[:, 0]
    for k in range(3):
        n = 0.9 * before[1][0, k] + 0.1 * (index == k).sum()
        m = 0.9 * before[2][0, k] + 0.1 * z[index == k, 0].sum(0)
        torch.testing.assert_close(book.entries[0, k], m / n)


def test_averages_arrive_at_the_means_of_clusters_and_dead_entries_are_revived() -> None:
    centres = torch.tensor([[5.0, 5.0], [-5.0, 5.0], [0.0, -5.0]])
    z = (centres.repeat(30, 1) + 0.1 * torch.randn(90, 2, generator=SEED))[:, None]
    book = Codebook(1, 3, 2).train()
    book.entries.copy_(torch.tensor([[[100.0, 100.0], [-90.0, 0.0], [0.0, 0.0]]]))
    book.counts.copy_(torch.tensor([[1e-9, 1e-9, 30.0]]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(400):
            book(z)
            book.follow(0.9)
    distance = torch.cdist(centres, book.entries[0])
    assert float(distance.amin(1).max()) < 0.2


def test_numbers_that_are_not_finite_leave_the_entries_alone() -> None:
    book = Codebook(1, 3, 2).train()
    book.start(torch.randn(20, 1, 2, generator=SEED))
    book.follow(0.9)
    before = book.entries.clone()
    book(torch.full((5, 1, 2), math.nan))
    book.follow(0.9)
    torch.testing.assert_close(book.entries, before)


def test_k_means_finds_clusters_that_are_far_apart_and_takes_fewer_rows_than_entries() -> None:
    centres = torch.arange(5.0)[:, None] * 10
    z = (centres.repeat(20, 2) + 0.1 * torch.randn(100, 2, generator=SEED))[:, None]
    found = quantise.k_means(z, 5)[0]
    assert torch.allclose(found[:, 0].sort().values, centres[:, 0], atol=0.2)
    assert quantise.k_means(z[:1], 4).isfinite().all()


def test_perplexity_is_one_for_a_single_entry_and_their_number_for_equal_use() -> None:
    counts = torch.tensor([[0.0, 8.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0], [1.0, 3.0, 0.0, 0.0]])
    expected = [1.0, 4.0, math.exp(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))]
    assert quantise.perplexity(counts).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("levels", [2, 3, 4, 5, 8])
def test_finite_scalars_are_the_nearest_of_evenly_spaced_levels(levels: int) -> None:
    z = torch.linspace(-4, 4, 401)[:, None].requires_grad_()
    grid = torch.linspace(-1, 1, levels)
    code = quantise.finite_scalar(z, torch.tensor([float(levels)]))
    distance = (z.detach().tanh() - grid).abs()
    near = grid[distance.argmin(1)]
    clear = (distance.sort(1).values[:, 1] - distance.amin(1)) > 1e-5  # halfway either may be taken
    torch.testing.assert_close(code.detach()[clear, 0], near[clear], atol=1e-6, rtol=0)
    (gradient,) = torch.autograd.grad(code.sum(), z)
    torch.testing.assert_close(gradient, 1 - z.detach().tanh().square())


@pytest.mark.parametrize("model", [VQVAE(n_codes=32, random_state=0), FSQVAE(random_state=0)], ids=["vq", "fsq"])
def test_codes_are_entries_by_number_and_digits_come_back_better_than_their_mean(model: VQVAE | FSQVAE) -> None:
    X = load_digits().images[:600]
    model.set_params(max_epochs=20).fit(X)
    codes, index = model.transform(X), model.code_indices(X)
    parts, entries, size = model.codebook_.shape
    assert index.shape == (600, parts)
    assert parts * size == codes.shape[1]
    for part in range(parts):
        assert np.allclose(codes[:, part::parts], model.codebook_[part].numpy()[index[:, part]])
    back = model.reconstruct(X)
    assert ((X - back) ** 2).sum() < 0.4 * ((X - X.mean(0)) ** 2).sum()
    assert float(quantise.perplexity(model.shares_).mean()) > entries / 4
    drawn = model.draw_codes(300, torch.Generator().manual_seed(0))
    known = [{tuple(e) for e in part.tolist()} for part in model.codebook_]
    assert all(tuple(row[p::parts].tolist()) in known[p] for row in drawn for p in range(parts))


@pytest.mark.parametrize("model", [VQVAE(n_codes=8, random_state=0), FSQVAE(random_state=0)], ids=["vq", "fsq"])
def test_rows_drawn_from_a_fitted_density_of_codes_come_from_entries_too(model: VQVAE | FSQVAE) -> None:
    X = np.random.default_rng(0).normal(size=(100, 6))
    model.set_params(max_epochs=2).fit(X).fit_prior("gmm", n=3)
    seen: list[torch.Tensor] = []
    hook = model.network_.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model.sample(50, random_state=0)
    hook.remove()
    known = [{tuple(e) for e in part.tolist()} for part in model.codebook_]
    parts = len(known)
    assert len(seen[0]) == 50
    assert all(tuple(row[p::parts].tolist()) in known[p] for row in seen[0] for p in range(parts))


def test_entries_that_nobody_uses_are_a_finding() -> None:
    X = np.repeat(np.random.default_rng(0).normal(size=(4, 5)), 300, 0) + 1e-4
    found = VQVAE(code_size=2, n_codes=64, max_epochs=2, random_state=0).fit(X).findings_
    assert "unused-codes" in [f.kind for f in found]


def test_parts_and_levels_that_do_not_fit_the_code_are_named() -> None:
    X = np.random.default_rng(0).normal(size=(40, 6))
    with pytest.raises(UsageError, match="parts=2 must divide"):
        VQVAE(code_size=3, parts=2).fit(X)
    with pytest.raises(UsageError, match=r"levels=.*are 2, but the code size is 3"):
        FSQVAE(code_size=3, levels=(4, 5)).fit(X)
    codes = FSQVAE(code_size=3, levels=(2, 3, 5), max_epochs=2, random_state=0).fit(X).transform(X)
    assert [len(np.unique(c)) <= n for c, n in zip(codes.T, (2, 3, 5), strict=True)] == [True] * 3
