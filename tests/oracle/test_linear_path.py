"""A coder with a linear path is the linear map it was set to, as long as its nonlinear head is zero."""

from __future__ import annotations

import torch
from torch import nn

from engram.networks import NETWORKS, Body, Coder, linear_part
from engram.networks.mlp import MLP


def test_with_a_zero_head_the_path_alone_decides() -> None:
    coder = Coder(MLP().encoder((6,), (8, 5), 0.0), (6,), (2,), skip=True)
    path, offset = linear_part(coder) or (None, None)
    assert path is coder.skip
    torch.nn.init.zeros_(offset.weight)
    x = torch.randn(11, 6)
    torch.testing.assert_close(coder(x), x @ path.weight.T + offset.bias)


def test_a_path_over_pictures_maps_flattened_pictures() -> None:
    coder = Coder(MLP().encoder((1, 3, 4), (8,), 0.0), (1, 3, 4), (1, 3, 4), skip=True)
    path, offset = linear_part(coder) or (None, None)
    torch.nn.init.zeros_(offset.weight)
    x = torch.randn(5, 1, 3, 4)
    torch.testing.assert_close(coder(x).flatten(1), x.flatten(1) @ path.weight.T + offset.bias)


def test_gradients_reach_the_path_and_the_network_beside_it() -> None:
    coder = Coder(MLP().encoder((6,), (8,), 0.0), (6,), (2,), skip=True)
    coder(torch.randn(9, 6)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in coder.parameters())


def test_a_network_without_widths_is_its_own_linear_part_and_a_deep_one_has_none() -> None:
    linear = Coder(MLP().decoder(2, (6,), (), 0.0), (2,), (6,))
    assert linear_part(linear) == (linear.head, linear.head)
    assert linear_part(Coder(MLP().decoder(2, (6,), (4,), 0.0), (2,), (6,))) is None
    assert linear_part(Coder(NETWORKS["conv"].decoder(2, (1, 9, 9), (4,), 0.0), (2,), (1, 9, 9))) is None


def test_a_body_of_the_users_own_is_linear_only_if_it_does_nothing() -> None:
    assert linear_part(Coder(Body(nn.Flatten(), (6,)), (2, 3), (4,))) is not None
    assert linear_part(Coder(Body(nn.Tanh(), (6,)), (6,), (4,))) is None  # no parameters, and yet not linear
