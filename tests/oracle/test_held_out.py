"""Held-out losses that are not finite: passed over where others are, told where none is."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from test_loop import Scripted, line, settings, some, watched
from torch import Tensor, nn

from engram import Autoencoder
from engram.errors import DivergedError
from engram.training.run import dumps
from engram.training.stopping import Watch


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_losses_that_are_never_finite_are_told_before_the_fit_is_over(value: float, early_stopping: bool) -> None:
    told = rf"4 held-out rows was never finite.*: held-out row 0 \({value:g}\), .*, held-out row 2 \({value:g}\) and 1 more\."
    with pytest.raises(DivergedError, match=told) as caught:
        watched(*[value] * 5, *[1.0] * 9, early_stopping=early_stopping)  # waits for three reports, and looks once more
    assert caught.value.exit_code == 7


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_with_a_finite_loss_are_better_than_a_start_without(value: float) -> None:
    player, history, nets = watched(value, value, 5.0, 4.0, 6.0)
    assert history.best_step == 75
    assert torch.equal(nets.line.weight, player.weights[3])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_start_with_a_finite_loss_is_kept_where_later_ones_are_not(value: float) -> None:
    player, history, nets = watched(5.0, value, value)
    assert history.best_step == 0
    assert torch.equal(nets.line.weight, player.weights[0])


def test_a_watch_that_saw_nothing_finite_goes_on_from_a_checkpoint() -> None:
    player, nets = Scripted(math.nan, 2.0), line()
    watch, again = (Watch(player, nets, some(4), settings()) for _ in range(2))
    watch.look(0, nets)
    tensors, told = watch.state()
    again.restore_state(tensors, json.loads(dumps(told)))
    again.look(25, nets)
    assert again.restore(nets) == 25


class Root(nn.Module):
    """Not a number below -3."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 3).sqrt()


def test_a_held_out_row_that_has_no_loss_is_named_by_its_number() -> None:
    X = np.random.default_rng(0).uniform(size=(40, 3))
    X[torch.randperm(40, generator=torch.Generator().manual_seed(0))[0], 1] = -50.0  # one of the four that are held out
    own = nn.Sequential(Root(), nn.Linear(3, 2))
    with pytest.raises(DivergedError, match=rf"4 held-out rows.*: row {int(X[:, 1].argmin())} \(nan\)\. Look at"):
        Autoencoder(encoder=own, code_size=2, random_state=0, n_iter_no_change=2).fit(X)
