"""Members computed together are what they are alone, and none of them sees the rows that it is to judge."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from engram import AnomalyDetector
from engram.apps.ensemble import NO_HOLDOUT, fold_of, folds_of
from engram.networks.members import MemberCoder, MemberLinear
from engram.training import Batch
from engram.training.nets import Nets


def filled(net: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return net


@pytest.mark.parametrize("bias", [True, False])
def test_layers_side_by_side_are_linear_layers(bias: bool) -> None:
    net = filled(MemberLinear(3, 5, 4, bias=bias))
    x = torch.randn(3, 7, 5)
    for m, y in enumerate(net(x)):
        alone = nn.Linear(5, 4, bias=bias)
        alone.weight.data = net.weight.data[m].T
        if net.bias is not None:
            alone.bias.data = net.bias.data[m, 0]
        assert torch.allclose(y, alone(x[m]), atol=1e-5)


@pytest.mark.parametrize("sizes", [(5, 2), (5, 8, 2), (5, 8, 6, 2)])
def test_networks_of_members_are_networks_with_a_linear_path(sizes: tuple[int, ...]) -> None:
    net = filled(MemberCoder(3, sizes))
    x = torch.randn(3, 7, 5)
    for m, y in enumerate(net(x)):
        by_hand = x[m]
        for layer in net.layers[:-1]:
            by_hand = functional.silu(by_hand @ layer.weight[m] + layer.bias[m])
        by_hand = by_hand @ net.head.weight[m] + net.head.bias[m]
        if len(sizes) > 2:
            by_hand = by_hand + x[m] @ net.linear.weight[m]
        assert torch.allclose(y, by_hand, atol=1e-4)


def test_a_member_is_its_linear_map_at_first() -> None:
    net = MemberCoder(2, (5, 8, 3))
    x = torch.randn(2, 6, 5)
    assert torch.allclose(net(x), torch.bmm(x, net.linear.weight) + net.head.bias, atol=1e-6)
    assert net.linear is net.skip
    plain = MemberCoder(2, (5, 3))
    assert plain.linear is plain.head


def test_the_gradient_of_a_member_is_that_of_it_alone() -> None:
    net = filled(MemberCoder(3, (5, 8, 2)))
    x = torch.randn(3, 7, 5)
    net(x)[1].square().sum().backward()
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert not parameter.grad[[0, 2]].any()
        assert parameter.grad[1].any()


# --- folds ---


@pytest.mark.parametrize("folds", [2, 4, 5])
def test_every_folds_rows_in_a_row_go_to_all_folds_and_not_always_in_one_order(folds: int) -> None:
    found = fold_of(torch.arange(folds * 200), folds).view(-1, folds)
    assert bool((found.sort(1).values == torch.arange(folds)).all())
    assert len({tuple(row) for row in found.tolist()}) == folds  # as many shifts
    assert torch.equal(fold_of(torch.tensor([7, 30, 2]), folds), fold_of(torch.arange(40), folds)[[7, 30, 2]])


def test_numbers_of_rows_beyond_thirty_two_bits_have_folds() -> None:
    found = fold_of(torch.arange(10**12, 10**12 + 400), 4)
    assert torch.bincount(found).tolist() == [100, 100, 100, 100]


def test_one_member_leaves_a_fifth_of_the_rows_out() -> None:
    assert [folds_of(n) for n in (1, 2, 4)] == [NO_HOLDOUT, 2, 4]


# --- what a member learns from ---


def data() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(90, 4)) @ rng.normal(size=(4, 4))


def fitted(X: np.ndarray, **parameters: Any) -> AnomalyDetector:
    return AnomalyDetector(random_state=0, max_epochs=4, code_size=2, n_models=3, **parameters).fit(X)


def weights(model: AnomalyDetector, member: int, *, gradient: bool = False) -> list[torch.Tensor]:
    """The weights of one member, or their gradient, of either sort of ensemble."""
    found = []
    for name, parameter in model.network_.named_parameters():
        value = parameter.grad if gradient else parameter.detach()
        if model.model is None and not name.startswith("decoder.likelihood"):  # that one number is common to all
            found.append(value[member].clone())
        elif model.model is not None and re.match(rf"\w+{member}\.", name):
            found.append(value.clone())
    assert found
    return found


def gradients(model: AnomalyDetector, x: torch.Tensor, member: int) -> list[torch.Tensor]:
    """The gradient of the terms of all turns with regard to one member."""
    model.network_.zero_grad()
    for parameter in model.network_.parameters():
        parameter.requires_grad_(requires_grad=True)
    batch, nets = Batch(x, None, index=torch.arange(len(x))), Nets(dict(model.network_.items())).train()
    with torch.random.fork_rng():
        for turn in model.turns(0):
            torch.manual_seed(0)  # the noise is the same, whatever the rows
            for term in model.terms(turn, nets, batch).values():
                term.sum().backward()
    return [g if g is not None else torch.zeros(1) for g in weights(model, member, gradient=True)]


@pytest.mark.parametrize("given", [None, "autoencoder"])
@pytest.mark.parametrize("member", range(3))
def test_the_gradient_of_a_member_does_not_see_its_held_out_rows(member: int, given: str | None) -> None:
    model = fitted(data(), model=given)
    x = torch.from_numpy(data()).float()
    held = fold_of(torch.arange(90), 3) == member
    other = torch.where(held[:, None], torch.randn(90, 4, generator=torch.Generator().manual_seed(1)), x)
    for mine, theirs in zip(gradients(model, x, member), gradients(model, other, member), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    another = (member + 1) % 3
    pairs = zip(gradients(model, x, another), gradients(model, other, another), strict=True)
    assert (
        max(float((mine - theirs).abs().max()) for mine, theirs in pairs) > 1e-2
    )  # these rows are what it learns from


@pytest.mark.parametrize("given", [None, "autoencoder"])
def test_a_member_learns_the_same_whatever_stands_in_its_held_out_rows(given: str | None) -> None:
    """Cells of held-out rows change places within their columns, so that the columns' scales, common to all members, stay.

    One number of a fit is common as well, the scale of the likelihood, and moves a member a little.
    """
    X, rng = data(), np.random.default_rng(1)
    held = (fold_of(torch.arange(90), 3) == 0).numpy().nonzero()[0]
    other = X.copy()
    for column in range(4):
        other[held, column] = rng.permutation(X[held, column])
    first, second = fitted(X, model=given), fitted(other, model=given)
    moved = [
        max(float((a - b).abs().max()) for a, b in zip(weights(first, member), weights(second, member), strict=True))
        for member in range(3)
    ]
    assert moved[0] < 1e-3
    assert min(moved[1:]) > 20 * moved[0]
