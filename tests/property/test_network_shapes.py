"""Networks of any shape: the right output shape, gradients everywhere, linear without widths."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from engram.networks import NETWORKS, Coder
from engram.networks.conv import sizes

side = st.integers(1, 19)
widths = st.lists(st.integers(1, 5), max_size=3).map(tuple)


def _coders(
    family: str, shape: tuple[int, ...], hidden: tuple[int, ...], code: int, dropout: float = 0.0
) -> tuple[Coder, Coder]:
    network = NETWORKS[family]
    encoder = Coder(network.encoder(shape, hidden, dropout), shape, (code,))
    return encoder, Coder(network.decoder(code, shape, hidden, dropout), (code,), shape)


@given(st.sampled_from(["conv", "conv-pool", "mlp"]), st.integers(1, 4), side, side, widths, st.integers(1, 6))
@example("conv", 1, 1, 1, (3, 4), 2)
@example("conv", 2, 1, 17, (3, 4), 2)
@example("conv-pool", 2, 1, 17, (3, 4), 2)
@example("conv", 3, 5, 7, (3, 4, 5), 2)
def test_pictures_of_any_size_go_to_codes_and_come_back(
    family: str, channels: int, height: int, width: int, hidden: tuple[int, ...], code: int
) -> None:
    encoder, decoder = _coders(family, (channels, height, width), hidden, code)
    z = encoder(torch.rand(2, channels, height, width))
    assert z.shape == (2, code)
    assert decoder(z).shape == (2, channels, height, width)


@given(st.integers(1, 40), widths, st.integers(1, 50))
def test_vectors_of_any_size_go_to_codes_and_come_back(size: int, hidden: tuple[int, ...], code: int) -> None:
    encoder, decoder = _coders("mlp", (size,), hidden, code)
    assert decoder(encoder(torch.rand(3, size))).shape == (3, size)


@given(st.sampled_from(["conv", "mlp"]), st.integers(1, 3), side, side)
def test_without_widths_encoder_and_decoder_are_linear(family: str, channels: int, height: int, width: int) -> None:
    encoder, decoder = _coders(family, (channels, height, width), (), 4)
    for coder, shape in ((encoder, (channels, height, width)), (decoder, (4,))):
        coder.double()
        a, b = torch.randn(2, 3, *shape, dtype=torch.float64)
        zero = coder(torch.zeros_like(a))
        torch.testing.assert_close(coder(a + b) - zero, (coder(a) - zero) + (coder(b) - zero))


@pytest.mark.parametrize(
    ("family", "shape"),
    [("mlp", (7,)), ("mlp", (1, 16, 16)), ("conv", (3, 17, 9)), ("conv", (1, 1, 1)), ("conv-pool", (3, 17, 9))],
)
def test_every_parameter_of_a_network_with_automatic_widths_learns(family: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    encoder, decoder = _coders(family, shape, NETWORKS[family].widths(shape, 2), 2)
    decoder(encoder(torch.randn(4, *shape))).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for coder in (encoder, decoder) for p in coder.parameters())


@given(side, side, st.integers(0, 5))
def test_sizes_halve_rounding_up_and_never_reach_zero(height: int, width: int, times: int) -> None:
    found = sizes(height, width, times)
    assert len(found) == times + 1
    assert found[-1] == (-(-height // 2**times), -(-width // 2**times))


@given(st.integers(1, 300), st.integers(1, 300))
def test_automatic_convolutions_leave_a_short_side_of_at_most_eight(height: int, width: int) -> None:
    found = NETWORKS["conv"].widths((1, height, width), 8)
    assert found[0] == (16 if height * width <= 4096 else 32)
    assert max(found) <= 256
    assert min(sizes(height, width, len(found) - 1)[-1]) <= 8


@pytest.mark.parametrize("family", sorted(NETWORKS))
def test_dropout_is_there_when_asked_for_and_silent_in_evaluation(family: str) -> None:
    encoder, decoder = _coders(family, (1, 8, 8), (4, 5), 3, dropout=0.5)
    for coder, x in ((encoder, torch.randn(2, 1, 8, 8)), (decoder, torch.randn(2, 3))):
        assert any(isinstance(module, nn.Dropout | nn.Dropout2d) for module in coder.modules())
        coder.eval()
        assert torch.equal(coder(x), coder(x))
