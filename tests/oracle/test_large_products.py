"""Large products by oneDNN equal torch's own: values, gradients, gradients of gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engram.networks import linear
from engram.networks.linear import Linear

pytestmark = pytest.mark.skipif(linear._PRODUCT is None, reason="this torch has no oneDNN product")


@pytest.fixture(autouse=True)
def wide_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with AVX-512, on any machine."""
    monkeypatch.setattr(linear, "FASTER", True)


def pair() -> tuple[Linear, nn.Linear, Tensor]:
    generator = torch.Generator().manual_seed(0)
    own, plain = Linear(400, 90), nn.Linear(400, 90)
    plain.load_state_dict(own.state_dict())
    return own, plain, torch.randn(128, 400, generator=generator)


def test_a_large_product_is_taken_by_onednn_and_a_small_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    own, _, x = pair()
    taken = []
    monkeypatch.setattr(linear, "product", lambda *given: taken.append(1) or torch.zeros(len(given[0]), 90))
    own(x)
    own(x[:2])
    own.eval()(x)
    assert len(taken) == 1


def test_without_avx512_no_product_is_taken_by_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    own, plain, x = pair()
    monkeypatch.setattr(linear, "FASTER", False)
    monkeypatch.setattr(linear, "product", lambda *given: pytest.fail("oneDNN was asked"))
    assert torch.equal(own(x), plain(x))


def test_values_and_gradients_equal_those_of_a_plain_layer() -> None:
    own, plain, x = pair()
    found = []
    for layer in (own, plain):
        rows = x.clone().requires_grad_()
        loss = layer(rows).square().sum(1).mean()
        found.append([loss, *torch.autograd.grad(loss, [rows, layer.weight, layer.bias])])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_a_gradient_equals_that_of_a_plain_layer() -> None:
    own, plain, x = pair()
    found = []
    for layer in (own, plain):
        rows = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(layer(rows).tanh().sum(), rows, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), layer.weight)[0])
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-4)
