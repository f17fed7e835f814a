"""Augmentation of pictures: every change against its formula pixel by pixel, its slope, and the numbers that are drawn."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engram.maths.augmentation import Numbers, augmented, brightened, contrasted, cut, draw, saturated, translated

SHAPES = [(1, 5, 7), (3, 8, 8), (4, 1, 9), (2, 1, 1)]


def rows(n: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(n: int, height: int, width: int, seed: int = 0, strength: float = 1.0, span: float = 2.0) -> Numbers:
    return draw(n, height, width, torch.Generator().manual_seed(seed), strength=strength, span=span)


def moved(picture: Tensor, down: int, right: int) -> Tensor:
    found = torch.zeros_like(picture)
    _, height, width = picture.shape
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                found[:, i, j] = picture[:, i - down, j - right]
    return found


def holed(picture: Tensor, top: int, left: int, bottom: int, right: int) -> Tensor:
    found = picture.clone()
    for i in range(picture.shape[1]):
        for j in range(picture.shape[2]):
            if top <= i < bottom and left <= j < right:
                found[:, i, j] = 0
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_all_five_changes_are_their_formulas_in_order(shape: tuple[int, ...]) -> None:
    x, numbers = rows(6, shape), drawn(6, *shape[1:])
    expected = []
    for k, picture in enumerate(x):
        bright, colour, contrast = (float(v[k]) for v in numbers[:3])
        y = picture + bright
        y = y.mean(0, keepdim=True) + colour * (y - y.mean(0, keepdim=True))
        y = y.mean() + contrast * (y - y.mean())
        expected.append(holed(moved(y, *numbers.translation[k].tolist()), *numbers.cutout[k].tolist()))
    torch.testing.assert_close(augmented(x, numbers), torch.stack(expected))


def test_each_change_of_a_small_picture_is_what_one_computes_by_hand() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[5.0, 2.0], [1.0, 4.0]]]])
    torch.testing.assert_close(brightened(x, torch.tensor([0.5])), x + 0.5)
    grey = torch.tensor([[3.0, 2.0], [2.0, 5.0]])
    torch.testing.assert_close(saturated(x, torch.tensor([0.0])), grey.expand(1, 2, 2, 2))
    torch.testing.assert_close(saturated(x, torch.tensor([2.0]))[0, 0], torch.tensor([[-1.0, 2.0], [4.0, 7.0]]))
    torch.testing.assert_close(contrasted(x, torch.tensor([0.5])), 3 + (x - 3) / 2)
    torch.testing.assert_close(
        translated(x, torch.tensor([[1, -1]]))[0],
        torch.tensor([[[0.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [2.0, 0.0]]]),
    )
    torch.testing.assert_close(cut(x, torch.tensor([[-1, 0, 1, 1]]))[0, 0], torch.tensor([[0.0, 2.0], [3.0, 6.0]]))


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-4, 6), (5, 0), (0, -7), (9, 9)])
def test_translation_moves_whole_pixels_and_brings_in_zeros(shift: tuple[int, int]) -> None:
    x = rows(1, (2, 5, 7))
    assert torch.equal(translated(x, torch.tensor([shift]))[0], moved(x[0], *shift))


@pytest.mark.parametrize("shape", SHAPES)
def test_at_zero_strength_nothing_changes_to_the_bit(shape: tuple[int, ...]) -> None:
    x = rows(4, shape).float()
    assert torch.equal(augmented(x, drawn(4, *shape[1:], strength=0.0)), x)


def test_gradients_are_those_of_finite_differences_twice_over() -> None:
    x, numbers = rows(2, (3, 4, 5)).requires_grad_(), drawn(2, 4, 5, seed=3)
    assert torch.autograd.gradcheck(lambda rows: augmented(rows, numbers), x)
    assert torch.autograd.gradgradcheck(lambda rows: augmented(rows, numbers).pow(3), x)


def test_a_row_is_changed_by_its_own_numbers_whatever_the_other_rows_are() -> None:
    x, numbers = rows(5, (3, 8, 8)), drawn(5, 8, 8)
    whole = augmented(x, numbers)
    for k in range(5):
        alone = augmented(x[k : k + 1], Numbers(*(value[k : k + 1] for value in numbers)))
        torch.testing.assert_close(whole[k : k + 1], alone)
    others = torch.cat([x[:2], rows(3, (3, 8, 8), seed=1)])
    torch.testing.assert_close(augmented(others, numbers)[:2], whole[:2])


def test_numbers_are_taken_in_turn_so_that_real_and_generated_rows_change_alike() -> None:
    real, made, numbers = rows(3, (2, 8, 8)), rows(3, (2, 8, 8), seed=1), drawn(3, 8, 8)
    both = augmented(torch.cat([real, made]), numbers)
    torch.testing.assert_close(both, torch.cat([augmented(real, numbers), augmented(made, numbers)]))
    torch.testing.assert_close(augmented(real[:2], numbers), augmented(real, numbers)[:2])


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_drawn_numbers_fill_their_ranges_and_no_more(strength: float) -> None:
    height, width = 16, 32
    numbers = drawn(4000, height, width, strength=strength, span=4.0)
    for values, middle, range_ in ((numbers[0], 0, 1.0), (numbers[1], 1, 1.0), (numbers[2], 1, 0.5)):
        far = (values - middle).abs()
        assert range_ * strength * 0.98 < far.max() <= range_ * strength
        assert far.mean() == pytest.approx(range_ * strength / 2, rel=0.05)
        assert values.mean() == pytest.approx(middle, abs=0.05)
    for axis, side in enumerate((height, width)):
        far = round(side / 8 * strength)
        assert numbers.translation[:, axis].unique().tolist() == list(range(-far, far + 1))
        size = int(side / 2 * strength)
        first, last = numbers.cutout[:, axis], numbers.cutout[:, axis + 2]
        assert (last - first == size).all()
        assert (first + size // 2).unique().tolist() == list(range(side + 1 - size % 2))


def test_numbers_are_the_generators_alone() -> None:
    before = torch.get_rng_state()
    a, b, c = drawn(8, 8, 8), drawn(8, 8, 8), drawn(8, 8, 8, seed=1)
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(a.brightness, c.brightness)
    assert torch.equal(before, torch.get_rng_state())
