"""Sheets of generated pictures: drawn while a game of pictures is played, changing nothing, kept with the run, gone where the fit is."""

from __future__ import annotations

import io
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from striped import pictures

import engram
from engram.errors import DivergedError
from engram.models import model as module
from engram.models.sheets import GROWTH, given, sheet, sheets_in
from engram.training.run import SAMPLES, claim

SETTINGS = {"network": "mlp", "hidden": (8,), "code_size": 2, "max_epochs": 60, "random_state": 0, "augment": "none"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[engram.GAN, Path]:
    folder = tmp_path_factory.mktemp("sheets") / "run"
    return engram.GAN(**SETTINGS, ema=0.1).fit(*pictures(96, 6), run=folder), folder


def test_sheets_stand_in_the_run_folder_at_growing_distances(run: tuple[engram.GAN, Path]) -> None:
    model, folder = run
    found = sheets_in(folder)
    steps, last = list(found), model.history_.reports[-1]["step"]
    assert found == model.sheets_
    assert steps[0] == model.history_.reports[0]["step"]
    assert steps[-1] == last
    assert all(b >= GROWTH * a for a, b in pairwise(steps[:-1]))
    assert {p.name for p in (folder / SAMPLES).iterdir()} == {f"step-{step:08d}.png" for step in steps}
    assert Image.open(io.BytesIO(found[last])).size == (8 * (6 * 6 + 2), 8 * (6 * 6 + 2))
    assert engram.load(folder).sample(2, y=0, random_state=0).shape == (2, 6, 6)


def test_the_last_sheet_is_of_the_finished_model_with_classes_in_order(run: tuple[engram.GAN, Path]) -> None:
    model, _ = run
    (y,) = given(model, None)
    assert y.argmax(1).tolist() == sorted(y.argmax(1).tolist())
    assert set(y.argmax(1).tolist()) == {0, 1, 2}
    with model.fitted() as nets:
        noise = model.draw_codes(64, torch.Generator().manual_seed(0))
        drawn = nets.generator.likelihood.relaxed(nets.generator(noise, y))
    assert list(model.sheets_.values())[-1] == sheet(drawn)


def test_a_fit_without_sheets_has_the_same_weights_to_the_bit(run: tuple[engram.GAN, Path]) -> None:
    @contextmanager
    def nothing(*_: object):
        yield None

    with mock.patch.object(module, "listening", nothing):
        plain = engram.GAN(**SETTINGS, ema=0.1).fit(*pictures(96, 6))
    assert not hasattr(plain, "sheets_")
    mine = run[0].network_.state_dict()
    assert all(torch.equal(mine[name], value) for name, value in plain.network_.state_dict().items())


def test_batch_normalisation_and_random_state_are_left_as_they_are() -> None:
    model = engram.create("dcgan", **{**SETTINGS, "network": "dcgan", "max_epochs": 1})
    x = np.repeat(np.repeat(pictures(32, 6)[0], 2, 1), 2, 2)[:, :8, :8]
    model.fit(x)
    made = module.listening(model, model.network_, None, None)
    model.network_.train()
    before = {name: value.clone() for name, value in model.network_.state_dict().items()}
    state = torch.get_rng_state()
    with made as progress:
        progress({"step": 10})
    assert model.network_.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in model.network_.state_dict().items())
    assert list(model.sheets_) == [10]


def test_what_is_no_game_of_pictures_has_none(tmp_path: Path) -> None:
    engram.VAE(max_epochs=2, random_state=0).fit(pictures(96, 6)[0], run=tmp_path / "vae")
    table = engram.GAN(max_epochs=2, hidden=(4,), random_state=0).fit(
        pictures(96, 6)[0].reshape(96, 36), run=tmp_path / "table"
    )
    assert not (tmp_path / "vae" / SAMPLES).exists()
    assert not (tmp_path / "table" / SAMPLES).exists()
    assert not hasattr(table, "sheets_")
    both = engram.create("bigan", max_epochs=2, hidden=(4,), random_state=0).fit(pictures(96, 6)[0])
    assert both.sheets_


@pytest.mark.parametrize("error", [ValueError("broken"), DivergedError("no number")])
def test_a_fit_that_fails_leaves_no_sheets(tmp_path: Path, error: Exception) -> None:
    model = engram.GAN(**SETTINGS)
    with mock.patch.object(model, "finish", side_effect=error), pytest.raises(type(error)):
        model.fit(*pictures(96, 6), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    claim(tmp_path / "run")  # free for another fit


def test_a_sheet_that_cannot_be_written_is_told_and_the_fit_goes_on(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    model = engram.GAN(**SETTINGS)
    with mock.patch("engram.models.sheets.put", side_effect=OSError(28, "No space left on device")):
        model.fit(*pictures(96, 6), run=tmp_path / "run")
    assert [f.kind for f in model.findings_].count("sheets") == 1
    assert "No space left" in next(f.message for f in model.findings_ if f.kind == "sheets")
    assert len(model.sheets_) > 2
