"""Players of pictures of any size: right shapes, every parameter learns, rows stay apart, penalties have the slopes they should."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn

from engram.maths.adversarial import PENALTIES, Judgement
from engram.networks.conv import sizes
from engram.networks.dcgan import Dcgan, Doubled
from engram.networks.network import Network, head
from engram.networks.residual import Residual, Sum

FAMILIES: dict[str, Network] = {
    "dcgan": Dcgan(),
    "dcgan without": Dcgan(batch_norm=False),
    "residual": Residual(norm_free=False),
    "norm-free": Residual(norm_free=True),
}
APART = sorted(set(FAMILIES) - {"dcgan"})  # whose discriminators keep rows apart
side = st.integers(1, 19)
widths = st.lists(st.integers(1, 5), max_size=3).map(tuple)


def players(
    name: str, shape: tuple[int, ...], hidden: tuple[int, ...] | None = None, code: int = 3, dropout: float = 0.0
) -> tuple[nn.Sequential, nn.Sequential]:
    """Return generator and discriminator with their heads."""
    family = FAMILIES[name]
    found = family.widths(shape, code) if hidden is None else hidden
    up, down = family.decoder(code, shape, found, dropout), family.encoder(shape, found, dropout)
    return nn.Sequential(up, head(up.features, shape)), nn.Sequential(down, head(down.features, (1,)))


@given(st.sampled_from(sorted(FAMILIES)), st.integers(1, 4), side, side, widths, st.integers(1, 6), st.integers(1, 3))
@example("dcgan", 1, 1, 1, (3, 4), 2, 1)
@example("residual", 2, 1, 17, (3, 4), 2, 1)
@example("norm-free", 3, 5, 7, (3, 4, 5), 2, 1)
@example("dcgan", 3, 28, 28, (3, 4, 5), 2, 2)
def test_pictures_of_any_size_are_made_and_judged(
    name: str, channels: int, height: int, width: int, hidden: tuple[int, ...], code: int, n: int
) -> None:
    shape = (channels, height, width)
    generator, discriminator = players(name, shape, hidden, code)
    made = generator(torch.randn(n, code))
    assert made.shape == (n, *shape)
    assert discriminator(made).shape == (n, 1)
    for player in (generator, discriminator):
        body = player[0]
        x = torch.randn(n, code) if player is generator else made
        assert body(x).shape == (n, *body.features)


@pytest.mark.parametrize("name", FAMILIES)
@given(st.integers(1, 300), st.integers(1, 300))
def test_automatic_widths_end_in_pictures_of_at_most_eight(name: str, height: int, width: int) -> None:
    found = FAMILIES[name].widths((1, height, width), 64)
    assert min(sizes(height, width, len(found))[-1]) <= 8
    assert max(found) <= (128 if height * width <= 4096 else 512)
    assert all(a <= b for a, b in pairwise(found))


@pytest.mark.parametrize("name", FAMILIES)
def test_players_of_fashion_sized_pictures_have_about_half_a_million_parameters_or_less(name: str) -> None:
    expected = {"residual": (32, 64, 128), "norm-free": (64, 128, 128)}.get(name, (32, 64))
    assert FAMILIES[name].widths((1, 28, 28), 64) == expected
    assert all(sum(p.numel() for p in player.parameters()) < 600_000 for player in players(name, (1, 28, 28), code=64))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 7, 12)])
def test_every_parameter_learns_within_two_steps(name: str, shape: tuple[int, ...]) -> None:
    """Two: what lies before a zero at the start learns from the second step on."""
    torch.manual_seed(0)
    generator, discriminator = players(name, shape, (4, 6))
    before = [p.clone() for player in (generator, discriminator) for p in player.parameters()]
    learning = torch.optim.SGD([*generator.parameters(), *discriminator.parameters()], 0.1)
    for _ in range(2):
        learning.zero_grad()
        made = generator(torch.randn(8, 3))
        (discriminator(made).sin().sum() + made.sin().sum()).backward()
        learning.step()
    after = [p for player in (generator, discriminator) for p in player.parameters()]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def judged(name: str, shape: tuple[int, ...], hidden: tuple[int, ...] = (4, 6)) -> nn.Module:
    """Return a discriminator in double precision whose weights are not those of the start, some of which are zero."""
    torch.manual_seed(0)
    _, discriminator = players(name, shape, hidden)
    for p in discriminator.parameters():
        nn.init.normal_(p, 0.0, 0.3)
    return discriminator.double()


def penalty(discriminator: nn.Module, x: Tensor) -> Tensor:
    """Return R1 + R2 where x are the real rows and 1 - x the generated ones, as models do."""
    return PENALTIES["r1r2"](Judgement(discriminator, x, 1 - x))


@pytest.mark.parametrize("name", APART)
def test_a_discriminators_word_on_a_row_and_its_penalty_do_not_depend_on_other_rows(name: str) -> None:
    discriminator = judged(name, (2, 7, 10))
    x = torch.randn(5, 2, 7, 10, dtype=torch.float64)
    other = torch.cat([x[:2], torch.randn(3, 2, 7, 10, dtype=torch.float64)])
    torch.testing.assert_close(discriminator(x)[:2], discriminator(other)[:2])
    torch.testing.assert_close(penalty(discriminator, x)[:2], penalty(discriminator, other)[:2])
    torch.testing.assert_close(penalty(discriminator, x)[:1], penalty(discriminator, x[:1]))


def test_the_papers_discriminator_mixes_rows_and_the_one_without_normalisation_has_none() -> None:
    discriminator, x = judged("dcgan", (1, 8, 8)), torch.randn(4, 1, 8, 8, dtype=torch.float64)
    assert not torch.allclose(discriminator(x)[:2], discriminator(torch.cat([x[:2], -x[:2]]))[:2])
    norms = {n: [isinstance(m, nn.BatchNorm2d) for m in players(n, (1, 8, 8), (4, 6))[1].modules()] for n in FAMILIES}
    assert {n for n, found in norms.items() if any(found)} == {"dcgan"}
    assert not any(isinstance(m, nn.BatchNorm2d) for m in players("norm-free", (1, 8, 8), (4, 6))[0].modules())


@pytest.mark.parametrize("name", FAMILIES)
def test_the_slope_of_a_penalty_to_weights_is_that_of_finite_differences(name: str) -> None:
    discriminator = judged(name, (2, 5, 6))
    x = torch.randn(3, 2, 5, 6, dtype=torch.float64)
    weights = list(discriminator.parameters())
    slopes = torch.autograd.grad(penalty(discriminator, x).sum(), weights, allow_unused=True)
    along = [torch.randn_like(w) for w in weights]
    step = 1e-7

    def at(distance: float) -> Tensor:
        with torch.no_grad():
            for w, direction in zip(weights, along, strict=True):
                w.add_(direction, alpha=distance)
        return penalty(discriminator, x).sum().detach()

    high, low = at(step), at(-2 * step)
    exact = sum(float((s * a).sum()) for s, a in zip(slopes, along, strict=True) if s is not None)
    assert exact == pytest.approx(float(high - low) / (2 * step), rel=1e-4, abs=1e-6)
    assert exact != 0


def test_doubling_is_the_transposed_convolution_without_its_last_line_and_touches_every_pixel_alike() -> None:
    layer = Doubled(1, 1, (9, 8), bias=False)
    nn.init.ones_(layer.weight)
    made = layer(torch.ones(1, 1, 5, 4))
    assert made.shape == (1, 1, 9, 8)
    assert (made[..., 1:-1, 1:-1] == 4).all()  # every pixel inside is reached by 2 x 2 pixels: no checkerboard
    whole = nn.functional.conv_transpose2d(torch.ones(1, 1, 5, 4), layer.weight, stride=2, padding=1)
    assert torch.equal(made, whole[..., :9, :])


def test_weights_begin_as_the_papers_do() -> None:
    torch.manual_seed(0)
    up, down = (
        FAMILIES["dcgan"].decoder(64, (1, 28, 28), (64, 128), 0.0),
        FAMILIES["dcgan"].encoder((1, 28, 28), (64, 128), 0.0),
    )
    for module in (*up.modules(), *down.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
        if isinstance(module, nn.BatchNorm2d):
            assert float(module.weight.detach().mean()) == pytest.approx(1, abs=0.01)


def test_norm_free_blocks_begin_as_the_identity_whose_signal_keeps_its_size() -> None:
    torch.manual_seed(0)
    body = FAMILIES["norm-free"].decoder(64, (1, 28, 28), (64, 128, 128), 0.0)
    blocks = [m for m in body.modules() if isinstance(m, Sum)]
    assert len(blocks) == 6
    for block in blocks:
        first = block.branch[0]
        x = torch.randn(2, first.in_channels, 4, 4)
        assert torch.equal(block(x), x)
        expected = math.sqrt(2 / 1.04 / first.in_channels) * len(blocks) ** -0.25
        assert float(first.weight.detach().std()) == pytest.approx(expected, rel=0.15)
    made = body(torch.randn(200, 64))
    assert 0.3 < float(made.detach().std()) < 1.2  # bilinear resizing averages some of it away


@pytest.mark.parametrize("name", FAMILIES)
def test_without_widths_both_are_linear(name: str) -> None:
    for player, shape in zip(players(name, (2, 4, 5), ()), ((3,), (2, 4, 5)), strict=True):
        player.double()
        a, b = torch.randn(2, 3, *shape, dtype=torch.float64)
        zero = player(torch.zeros_like(a))
        torch.testing.assert_close(player(a + b) - zero, (player(a) - zero) + (player(b) - zero))


@pytest.mark.parametrize("name", FAMILIES)
def test_dropout_is_there_when_asked_for_and_silent_in_evaluation(name: str) -> None:
    for player, shape in zip(players(name, (1, 8, 8), (4, 5), dropout=0.5), ((3,), (1, 8, 8)), strict=True):
        assert any(isinstance(module, nn.Dropout2d) for module in player.modules())
        player.eval()
        x = torch.randn(2, *shape)
        assert torch.equal(player(x), player(x))
