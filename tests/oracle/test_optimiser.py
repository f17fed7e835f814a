"""Our Adam takes the steps that torch's AdamW takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from engram.training.optimiser import Adam


def parameters(*shapes: tuple[int, ...]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def give_gradients(parameters: list[nn.Parameter], step: int, without: int | None = None) -> None:
    generator = torch.Generator().manual_seed(step)
    for i, p in enumerate(parameters):
        gradient = torch.randn(p.shape, generator=generator) * 10 ** (i - 1)
        p.grad = None if i == without else gradient


SHAPES = ((5, 3), (3,), ())


def groups(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return what torch needs to decay matrices only."""
    matrices = [p for p in parameters if p.dim() > 1]
    others = [p for p in parameters if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.9), (0.5, 0.99)])
def test_forty_steps_are_those_of_torch(weight_decay: float, betas: tuple[float, float]) -> None:
    own, theirs = parameters(*SHAPES), parameters(*SHAPES)
    adam = Adam(own, 0.03, betas, weight_decay)
    reference = torch.optim.AdamW(groups(theirs, weight_decay), lr=0.03, betas=betas)
    for step in range(40):
        give_gradients(own, step)
        give_gradients(theirs, step)
        adam.step()
        reference.step()
        for a, b in zip(own, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_share_of_the_learning_rate_is_a_smaller_learning_rate() -> None:
    own, theirs = parameters(*SHAPES), parameters(*SHAPES)
    adam, reference = Adam(own, 0.1), torch.optim.AdamW(theirs, lr=0.1, weight_decay=0.0)
    for step, share in enumerate((1.0, 0.5, 0.01)):
        reference.param_groups[0]["lr"] = 0.1 * share
        give_gradients(own, step)
        give_gradients(theirs, step)
        adam.step(share)
        reference.step()
    torch.testing.assert_close(own, theirs)


def test_a_parameter_without_a_gradient_stays_and_the_others_move_as_with_torch() -> None:
    own, theirs = parameters(*SHAPES), parameters(*SHAPES)
    before = own[1].detach().clone()
    adam = Adam(own, 0.03, weight_decay=0.1)
    reference = torch.optim.AdamW(groups(theirs, 0.1), lr=0.03)
    for step in range(5):
        give_gradients(own, step, without=1)
        give_gradients(theirs, step, without=1)
        adam.step()
        reference.step()
    torch.testing.assert_close(own, theirs)
    assert torch.equal(own[1], before)


def test_gradients_are_forgotten_after_a_step() -> None:
    own = parameters(*SHAPES)
    give_gradients(own, 0)
    Adam(own, 0.1).step()
    assert all(p.grad is None for p in own)


def test_a_step_without_any_gradient_changes_nothing() -> None:
    own = parameters(*SHAPES)
    before = [p.detach().clone() for p in own]
    adam = Adam(own, 0.1, weight_decay=0.5)
    adam.step()
    assert all(torch.equal(p, b) for p, b in zip(own, before, strict=True))
    assert int(adam.steps) == 0


def test_a_restored_state_goes_on_to_the_bit() -> None:
    whole, halves = parameters(*SHAPES), parameters(*SHAPES)
    first, second, reference = Adam(halves, 0.05), Adam(halves, 0.05), Adam(whole, 0.05)
    for step in range(6):
        if step == 3:
            second.restore({name: t.clone() for name, t in first.state().items()})
        give_gradients(whole, step)
        give_gradients(halves, step)
        reference.step()
        (first if step < 3 else second).step()
    assert all(torch.equal(a, b) for a, b in zip(whole, halves, strict=True))
