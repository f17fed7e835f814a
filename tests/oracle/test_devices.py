"""Where a fit computes: what it takes back lies there, and only the generators of that device are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from test_loop import Regression, line, settings, some
from test_recovery import Line
from torch import Tensor

from engram import Autoencoder
from engram.data.rows import Rows
from engram.maths.mixture import group_means
from engram.models import stacking
from engram.training import Batch, Settings, train
from engram.training.loop import _Fit
from engram.training.nets import Nets
from engram.training.session import random_state, seeded

META = torch.device("meta")  # a device that is not the CPU, on every machine


def fit_on(device: torch.device) -> _Fit:
    """A fit with held-out rows whose networks and rows lie on a device."""
    given = settings(device=str(device), max_epochs=40, ema=0.2)
    return _Fit(Regression(), line().to(device), some(8).to(device), some(4).to(device), given, None)


def test_a_fit_that_is_resumed_has_everything_on_its_device_but_the_states_of_generators() -> None:
    fit, resumed = fit_on(torch.device("cpu")), fit_on(META)
    with seeded(0):
        fit.run()  # with a report at step 25, and one at step 40
        fit._step(fit._batch(0))
        fit.step += 1
        resumed.restore(*fit.state())  # as read from a checkpoint: on the CPU
    assert resumed.watch is not None
    assert resumed.watch.start is not None
    here = torch.zeros((), device=META)
    resumed.log.add("only", 41, {"error": here}, here)
    said = resumed.log._said["only"]
    assert torch.stack(said.terms["error"] + said.skipped).device == META
    assert (resumed.watch.start - torch.zeros(4, device=META)).device == META
    placed = resumed.watch.kept | resumed.good.tensors
    assert {name for name, t in placed.items() if t.device != META} == {"random"}


# --- generators ---


@pytest.fixture
def accelerators(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The states of the generators of two accelerators, in the place of torch's; 7 is what the user left."""
    states, current = [7, 7], [0]

    @contextmanager
    def on(device: torch.device) -> Iterator[None]:
        current[0] = device.index or 0
        yield
        current[0] = 0

    def put(state: Tensor, device: torch.device) -> None:
        states[device.index or 0] = int(state)

    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "manual_seed", lambda seed: put(torch.tensor(seed), torch.device("cuda", current[0]))
    )
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: states.__setitem__(slice(None), [seed] * 2))
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.tensor(states[device.index or 0]))
    monkeypatch.setattr(torch.cuda, "set_rng_state", put)
    return states


def test_only_the_generator_of_the_device_is_seeded_and_put_back(accelerators: list[int]) -> None:
    with seeded(3, torch.device("cuda:1")):
        assert accelerators == [7, 3]
        assert int(random_state(torch.device("cuda:1"))["random_cuda"]) == 3
    assert accelerators == [7, 7]


def test_work_on_the_cpu_leaves_the_generators_of_accelerators_alone(accelerators: list[int]) -> None:
    def fails(player: Line, nets: Nets, batch: Batch) -> float:
        if len(batch) > 4:
            raise MemoryError
        return 0.0

    before = torch.get_rng_state()
    with seeded(3):
        train(Line(fails), line(), some(8), None, settings())  # a step that is taken again seeds anew
    group_means(some(30).x.double(), 2)
    assert accelerators == [7, 7]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_fit_is_told_the_number_of_its_device_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = []

    def told(player: Any, nets: Nets, rows: Rows, validation: None, given: Settings) -> None:
        pairs.append(given.device)

    monkeypatch.setattr(stacking, "train", told)
    model = Autoencoder(device="cpu:0", pretrain=True, hidden=(4,), code_size=1, max_epochs=1, early_stopping=False)
    model.fit(some(20).x.numpy())
    assert (model.settings_.device, set(pairs)) == ("cpu:0", {"cpu:0"})
