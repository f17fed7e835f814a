"""Corruptions: the level is what was asked for, the seed decides, the input stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engram import create
from engram.corruptions import (
    CORRUPTIONS,
    SHARES,
    THINNINGS,
    binomial_thinning,
    blur,
    check_fits,
    corrupted,
    draw_level,
    gaussian,
    hypergeometric_thinning,
    masking,
    salt_and_pepper,
    swap,
)
from engram.errors import UsageError
from engram.likelihoods.encoded import to_counts
from engram.training import Batch

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


def _rows(name: str, rows: int, *shape: int) -> torch.Tensor:
    """Rows that a corruption fits: counts, or numbers."""
    x = torch.rand(rows, *shape, generator=_seeded(1))
    return (10 * x).round() if name in THINNINGS else x


@pytest.mark.parametrize("name", NAMES)
def test_rows_with_a_range_are_corrupted_to_different_degrees(name: str) -> None:
    x = _rows(name, 200, 1, 20, 100)
    top = 3.0 if name not in SHARES else 1.0
    changed = (CORRUPTIONS[name](x, (0.0, top), generator=_seeded()) - x).square().flatten(1).mean(1)
    assert changed.min().item() < 0.1 * changed.max().item()


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
@pytest.mark.parametrize("shape", [(2, 3, 4), (5,)])
def test_the_same_seed_gives_the_same_result_and_the_input_is_untouched(
    name: str, level: float | tuple[float, float], shape: tuple[int, ...]
) -> None:
    if name == "blur" and len(shape) == 1:
        return
    level = (0.1, 0.6) if name == "blur" else level  # a given blur draws nothing
    x = _rows(name, 6, *shape)
    kept, state = x.clone(), torch.get_rng_state()
    first, second, other = (CORRUPTIONS[name](x, level, generator=_seeded(seed)) for seed in (4, 4, 5))
    assert first.shape == x.shape
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(x, kept)
    assert torch.equal(state, torch.get_rng_state())


def test_salt_and_pepper_sets_a_share_to_the_lowest_or_highest_value_of_the_column() -> None:
    x = torch.rand(4000, 6, generator=_seeded(1)) * torch.arange(1, 7)
    found = salt_and_pepper(x, 0.3, generator=_seeded())
    low, high = found == x.amin(0), found == x.amax(0)
    assert bool((low | high | (found == x)).all())
    assert low.float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert high.float().mean().item() == pytest.approx(0.15, abs=0.01)
    one_hot = torch.eye(3)[torch.randint(0, 3, (500,), generator=_seeded(2))]
    groups = torch.zeros(3, dtype=torch.long)
    assert set(salt_and_pepper(one_hot, 0.5, groups, _seeded()).sum(1).tolist()) == {0.0, 1.0, 3.0}


def test_swapped_cells_come_from_another_row_of_the_same_column_and_categories_stay_whole() -> None:
    x = torch.arange(300.0).view(100, 3)
    found = swap(x, 1.0, generator=_seeded())
    assert bool((found != x).all())
    assert all(set(found[:, j].tolist()) <= set(x[:, j].tolist()) for j in range(3))
    share = (
        (swap(torch.arange(60_000.0).view(-1, 6), 0.2, generator=_seeded(1)) != torch.arange(60_000.0).view(-1, 6))
        .float()
        .mean()
    )
    assert share.item() == pytest.approx(0.2, abs=0.01)
    one_hot = torch.eye(4)[torch.randint(0, 4, (200,), generator=_seeded(2))]
    mixed = swap(one_hot, 0.5, torch.zeros(4, dtype=torch.long), _seeded())
    assert mixed.sum(1).tolist() == [1.0] * 200
    assert not torch.equal(mixed, one_hot)
    assert torch.equal(swap(x[:1], 1.0), x[:1])


@pytest.mark.parametrize("name", [n for n in NAMES if n not in THINNINGS])
def test_a_missing_cell_stays_missing_and_gives_nothing(name: str) -> None:
    x = 1 + torch.rand(50, 2, 3, 4, generator=_seeded(1))
    mask = torch.rand(50, 24, generator=_seeded(2)) < 0.7
    x = x * mask.view_as(x)
    found = corrupted(name, x, 0.5, None, _seeded(), mask)
    assert bool((found.flatten(1)[~mask] == 0).all())
    if name == "swap":
        assert bool((found.flatten(1)[mask] > 0).all())
    groups = torch.tensor([0, 1, 1])
    if name != "blur":
        found = corrupted(
            name, torch.eye(3)[:1].expand(9, 3), 0.5, groups, _seeded(), torch.tensor([[True, False]] * 9)
        )
        assert bool((found[:, 1:] == 0).all())


def test_blur_is_a_running_average_by_a_gaussian_and_keeps_what_is_even() -> None:
    x = torch.zeros(1, 1, 31, 41)
    x[0, 0, 15, 20] = 1.0
    found = blur(x, 1.5)[0, 0]
    assert found.sum().item() == pytest.approx(1, rel=1e-4)
    across = (found.sum(1) * (torch.arange(31) - 15.0).square()).sum()
    assert across.item() == pytest.approx(1.5**2, rel=1e-2)
    torch.testing.assert_close(blur(torch.full((2, 3, 5, 4), 0.7), (0.0, 4.0)), torch.full((2, 3, 5, 4), 0.7))
    pictures = torch.rand(2, 3, 5, 4, generator=_seeded())
    torch.testing.assert_close(blur(pictures, 0.0), pictures)


def test_binomial_thinning_keeps_the_mean_and_has_the_variance_of_coins() -> None:
    x = torch.full((20_000, 2), 8.0)
    found = binomial_thinning(x, 0.25, generator=_seeded())
    assert found.mean().item() == pytest.approx(8, rel=0.01)
    assert found.var().item() == pytest.approx(8 * 0.25 / 0.75, rel=0.05)
    assert bool((binomial_thinning(x, 1.0, generator=_seeded()) == 0).all())
    assert torch.equal(binomial_thinning(x, 0.0, generator=_seeded()), x)


def test_hypergeometric_thinning_draws_things_without_replacement() -> None:
    """Counts of the second column among 6 of (5, 4, 3): mean 6 x 4/12, variance of the hypergeometric distribution."""
    x = torch.tensor([[5.0, 4.0, 3.0]]).expand(20_000, 3)
    found = hypergeometric_thinning(x, 0.5, generator=_seeded())
    assert torch.equal(found.sum(1), x.sum(1))
    drawn = found[:, 1] / 2
    assert drawn.mean().item() == pytest.approx(2, rel=0.02)
    assert drawn.var().item() == pytest.approx(6 * (4 / 12) * (8 / 12) * (6 / 11), rel=0.05)
    assert drawn.max().item() == 4
    rows = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 9.0]])
    assert torch.equal(hypergeometric_thinning(rows, 0.0, generator=_seeded()), rows)
    assert hypergeometric_thinning(rows, 1.0, generator=_seeded()).sum(1).tolist() == [0.0, 1.0, 11.0]


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("blur", torch.ones(3, 4)),
        ("binomial-thinning", torch.rand(3, 4)),
        ("hypergeometric-thinning", -torch.ones(3, 4)),
    ],
)
def test_a_corruption_that_does_not_fit_says_what_would(name: str, x: torch.Tensor) -> None:
    with pytest.raises(UsageError, match=f"corruption={name!r}.*'gaussian'"):
        check_fits(name, x)


def test_corruptions_that_fit_are_taken() -> None:
    check_fits(None, torch.rand(3, 4))
    check_fits("blur", torch.rand(3, 1, 4, 4))
    check_fits("binomial-thinning", torch.tensor([[0.0, 3.0]]))


@pytest.mark.parametrize("name", THINNINGS)
def test_counts_that_networks_see_as_logarithms_are_thinned_as_counts(name: str) -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (300, 4)).astype(float)
    counts[rng.random((300, 4)) < 0.1] = np.nan
    table = dict.fromkeys(range(4), "poisson")
    model = create("denoising-autoencoder", corruption=name, corruption_level=0.5, columns=table, max_epochs=2)
    rows = model.fit(counts).encoded(counts)
    found = model.corrupt(rows.x, Batch(rows.x, rows.mask, generator=_seeded()))
    likelihood = model.kind_.likelihood()
    assert rows.mask is not None
    assert bool((found[~rows.mask] == 0).all())
    back = to_counts(likelihood, rows.x)
    assert torch.equal(back[rows.mask], torch.from_numpy(counts)[rows.mask])
    thin = torch.expm1(found.double() * likelihood.parts[0].scale + likelihood.parts[0].offset)
    whole, kept = torch.where(rows.mask, back, 0.0), torch.where(rows.mask, thin, 0.0)
    assert kept.mean().item() == pytest.approx(whole.mean().item(), rel=0.08)
    assert bool((kept[whole == 0].abs() < 1e-5).all())
    if name == "hypergeometric-thinning":
        assert torch.allclose(kept.sum(1), whole.sum(1), rtol=1e-4)
    else:
        assert torch.allclose(kept, (kept / 2).round() * 2, atol=1e-3)


@pytest.mark.parametrize("name", THINNINGS)
def test_thinning_fits_a_likelihood_of_counts_and_no_pictures(name: str) -> None:
    counts = np.random.default_rng(0).poisson(3, (60, 4))
    create("autoencoder", corruption=name, likelihood="poisson", max_epochs=1).fit(counts)
    with pytest.raises(UsageError, match=r"these rows are pictures.*'blur'"):
        create("autoencoder", corruption=name, max_epochs=1).fit(np.zeros((20, 4, 4), np.uint8))
    with pytest.raises(UsageError, match="some columns are no counts"):
        create("autoencoder", corruption=name, max_epochs=1).fit(counts + 0.5)
