"""Games, by what a model declares and not by its name: averaged generators, terms by turn, nothing of the rows kept, odd input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from engram import create
from engram.errors import DataError, EngramError
from engram.models.gan import GAN
from engram.training.ema import Average

TINY: dict[str, Any] = {"max_epochs": 2, "hidden": (8, 8), "random_state": 0}
X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.arange(60) % 3
HOLES = np.where(np.arange(3) == 1, np.nan, X)


def found(model: GAN) -> set[str]:
    return {finding.kind for finding in model.findings_}


def test_no_two_turns_have_a_term_of_the_same_name(case: Any) -> None:
    """They would be averaged in the log, where each stands as it is summed."""
    model, names = case.fitted, []
    rows = model.kind_.encode(model.kind_.conform(model.kind_.opened(case.X)))
    batch = next(model_batches(rows))
    for turn in model.turns(0):
        names += list(model.terms(turn, model.network_, batch))
    assert len(names) == len(set(names))


def model_batches(rows: Any) -> Any:
    from engram.training import Batches

    return Batches(rows, 20, 0).epoch(0)


@pytest.mark.parametrize("name", ["gan", "bigan", "vae-gan"])
def test_a_discriminator_does_not_see_which_rows_have_holes(name: str) -> None:
    """Real and generated rows have the same cells at zero, or the holes would tell them apart."""
    rows = np.where(np.random.default_rng(1).random((60, 3)) < 0.3, np.nan, X)
    model: Any = create(name, **TINY).fit(rows)
    nets, batch = model.network_, next(model_batches(model.kind_.encode(rows)))
    seen: list[torch.Tensor] = []
    nets.discriminator.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, :3]))
    for turn in model.turns(0):
        model.terms(turn, nets, batch)
    assert seen
    for x in seen:
        assert torch.equal(x != 0, batch.mask.repeat(len(x) // len(batch), 1))


def test_an_auxiliary_condition_is_told_of_both_turns() -> None:
    (report,) = GAN(**TINY | {"max_epochs": 1}, condition="auxiliary").fit(X, Y).history_.reports
    assert {"condition", "generator-condition"} <= report["terms"].keys()


@pytest.mark.parametrize("network", ["dcgan", "residual"])
def test_rows_are_drawn_in_eval_mode_with_averaged_weights_and_the_buffers_beside_them(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped: list[dict[str, torch.Tensor]] = []
    original = Average.swap

    def swap(self: Average, nets: Any) -> None:
        live = {name: value.clone() for name, value in nets.state_dict().items()}
        original(self, nets)
        swapped.append({name: value.clone() for name, value in nets.state_dict().items()})
        parameters = {name for name, _ in nets.named_parameters() if name.startswith("generator.network")}
        assert all(not torch.equal(live[name], swapped[0][name]) for name in parameters)
        assert all(torch.equal(live[name], swapped[0][name]) for name, _ in nets.named_buffers())

    monkeypatch.setattr(Average, "swap", swap)
    pictures = np.random.default_rng(0).random((24, 6, 5))
    model = GAN(**TINY, network=network, ema=0.5, penalty=None, batch_size=8).fit(pictures)
    (averaged,) = swapped
    assert all(torch.equal(averaged[name], value) for name, value in model.network_.state_dict().items())
    model.network_.train()  # whoever left it so
    four = model.sample(4, random_state=0)
    assert not model.network_.training
    assert np.allclose(four[:2], model.sample(4, random_state=0)[:2])
    assert all(torch.equal(averaged[name], value) for name, value in model.network_.state_dict().items())


def test_nothing_saved_of_a_game_is_as_long_as_the_rows_or_holds_one(tmp_path: Path) -> None:
    rows = np.random.default_rng(5).normal(size=(97, 3))
    model = GAN(**TINY, constraint="spectral", ema=0.2).fit(rows, np.arange(97) % 2)
    model.save(tmp_path / "run")
    encoded = model.kind_.encode(model.kind_.conform(rows)).x
    for name, tensor in load_file(tmp_path / "run" / "weights.safetensors").items():
        assert not {96, 97, round(97 * 0.9)} & set(tensor.shape), name
        if tensor.dim() and tensor.shape[-1] == 3:
            assert not (tensor.reshape(-1, 1, 3) == encoded).all(2).any(), name


@pytest.mark.parametrize("rows", [1, 3, 5])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"pack": 7}, {"batch_size": 1}, {"code_size": 1, "binary": 0}, {"penalty": "gp"}, {"constraint": "spectral"}],
)
def test_few_rows_are_enough_to_draw_such(rows: int, parameters: dict[str, Any]) -> None:
    for y in (None, Y[:rows]):
        model = GAN(**TINY, **parameters).fit(X[:rows], y)
        assert np.isfinite(model.sample(4, y=None if y is None else y[0], random_state=0)).all()
        assert "no-held-out-rows" in found(model)


@pytest.mark.parametrize("network", ["mlp", "dcgan", "residual", "norm-free"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9)])
def test_pictures_of_a_pixel_and_steps_of_one_row_are_learned_with_all_weights(
    network: Any, size: tuple[int, int]
) -> None:
    pictures = np.random.default_rng(0).random((6, *size))
    for parameters in ({}, {"penalty": None, "batch_size": 1}):
        model = GAN(**TINY, network=network, **parameters).fit(pictures)
        assert model.sample(3, random_state=0).shape == (3, *size)
        assert "frozen-role" not in found(model)


def test_columns_and_labels_that_say_nothing_are_taken_as_they_are() -> None:
    constant = GAN(**TINY).fit(np.ones((400, 2)))
    assert "mode-collapse" not in found(constant)
    assert np.isfinite(constant.sample(3)).all()
    assert set(GAN(**TINY).fit(pd.DataFrame({"a": ["x"] * 20})).sample(5)["a"]) == {"x"}
    holes = GAN(**TINY).fit(HOLES).sample(3)
    assert np.isnan(holes[:, 1]).all()
    assert np.isfinite(holes[:, [0, 2]]).all()
    many = GAN(**TINY).fit(np.tile(X, (5, 1)), np.arange(300) % 200)
    assert many.sample(200, y=np.arange(200)).shape == (200, 3)


@pytest.mark.parametrize(
    ("rows", "y", "told"),
    [
        (X, np.where(Y == 1, np.nan, Y), "y of row 1 is missing"),
        (X, np.arange(70), "60 rows, and y has 70"),
        (X[:0], None, "minimum of 1"),
        (np.full((20, 2), np.nan), None, "no column can be learned from"),
    ],
)
def test_what_cannot_be_learned_from_is_said(rows: Any, y: Any, told: str) -> None:
    with pytest.raises(DataError, match=told) as caught:
        GAN(**TINY).fit(rows, y)
    assert isinstance(caught.value, EngramError)


def test_a_generator_that_had_one_step_only_is_a_finding() -> None:
    assert "few-turns" in found(GAN(**TINY, discriminator_steps=1000).fit(X))
    assert "few-turns" not in found(GAN(**TINY, discriminator_steps=3, batch_size=8).fit(X))
    assert "few-turns" not in found(GAN(**TINY).fit(X))


@pytest.mark.parametrize("name", ["wgan-gp", "bigan", "vae-gan"])
def test_a_penalised_discriminator_of_pictures_judges_each_row_by_itself(name: str) -> None:
    X = np.random.default_rng(0).random((24, 16, 16), dtype=np.float32)
    network = "dcgan" if name == "wgan-gp" else "auto"
    nets = create(name, network=network, max_epochs=1, batch_size=12, random_state=0).fit(X).network_
    assert not [m for m in nets["discriminator"].modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
