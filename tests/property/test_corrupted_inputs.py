"""Corruptions: the level is what was asked for, the seed decides, the input stays as it was."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engram.corruptions import CORRUPTIONS, draw_level, gaussian, masking

NAMES = sorted(CORRUPTIONS)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("level", [0.1, 0.5, 2.0])
def test_gaussian_noise_has_no_mean_and_the_standard_deviation_of_the_level(level: float) -> None:
    noise = gaussian(torch.ones(1000, 50), level, generator=_seeded()) - 1
    assert noise.mean().item() == pytest.approx(0, abs=0.02 * level)
    assert noise.std().item() == pytest.approx(level, rel=0.02)


@pytest.mark.parametrize("level", [0.0, 0.2, 0.9, 1.0])
def test_masking_sets_the_share_of_cells_to_zero_and_leaves_the_others(level: float) -> None:
    x = torch.rand(1000, 50, generator=_seeded(1)) + 1
    found = masking(x, level, generator=_seeded())
    assert (found == 0).float().mean().item() == pytest.approx(level, abs=0.01)
    assert bool(((found == 0) | (found == x)).all())


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 3))
def test_a_range_gives_every_row_its_own_level_within_it(a: float, b: float, dims: int) -> None:
    low, high = sorted((a, b))
    x = torch.zeros(40, *[3] * dims)
    found = draw_level((low, high), x, _seeded())
    assert found.shape == (40, *[1] * dims)
    assert bool((found >= low - 1e-6).all() and (found <= high + 1e-6).all())
    assert high - low < 1e-3 or len(found.unique()) > 1


@given(st.floats(0, 1))
def test_a_number_is_the_level_of_every_row(level: float) -> None:
    assert torch.equal(draw_level(level, torch.zeros(4, 3)), torch.full((4, 1), level))


@pytest.mark.parametrize("name", NAMES)
def test_rows_with_a_range_are_corrupted_to_different_degrees(name: str) -> None:
    x = torch.ones(200, 2000)
    changed = (CORRUPTIONS[name](x, (0.0, 1.0), generator=_seeded()) - x).square().mean(1)
    assert changed.min().item() < 0.1
    assert changed.max().item() > 0.8


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.floats(0, 1))
def test_values_of_one_group_are_masked_together(groups: list[int], level: float) -> None:
    found = masking(torch.ones(30, len(groups)), level, torch.tensor(groups), _seeded())
    for group in set(groups):
        cells = found[:, [g == group for g in groups]]
        assert bool((cells == cells[:, :1]).all())


def test_groups_are_masked_independently_of_each_other() -> None:
    found = masking(torch.ones(20_000, 4), 0.4, torch.tensor([0, 0, 1, 2]), _seeded())
    both = ((found[:, 0] == 0) & (found[:, 2] == 0)).float().mean().item()
    assert both == pytest.approx(0.4**2, abs=0.01)
    assert (found[:, 1] == 0).float().mean().item() == pytest.approx(0.4, abs=0.015)


def test_a_range_holds_for_groups_too_and_is_drawn_for_every_row() -> None:
    shares = (masking(torch.ones(500, 2000), (0.2, 0.8), torch.arange(2000) // 2, _seeded()) == 0).float().mean(1)
    assert 0.15 < shares.min().item() < 0.3
    assert 0.7 < shares.max().item() < 0.85
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", [0.3, (0.1, 0.6)])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_the_same_seed_gives_the_same_result_and_the_input_is_untouched(
    name: str, level: float | tuple[float, float], shape: tuple[int, ...]
) -> None:
    x = torch.rand(6, *shape, generator=_seeded(1))
    kept, state = x.clone(), torch.get_rng_state()
    first, second, other = (CORRUPTIONS[name](x, level, generator=_seeded(seed)) for seed in (4, 4, 5))
    assert first.shape == x.shape
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(x, kept)
    assert torch.equal(state, torch.get_rng_state())
