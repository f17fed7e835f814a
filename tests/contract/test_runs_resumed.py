"""A fit that is interrupted: its checkpoint, and that going on ends to the bit where an uninterrupted fit ends."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import engram
from engram import VAE, Autoencoder
from engram.errors import RunError, StoppedError
from engram.training import run as runs
from engram.training.checkpoint import Checkpoints
from engram.training.loop import _Fit

X = np.random.default_rng(0).normal(size=(60, 4))
FILES = {"README.md", "config.json", "kind.json", "log.jsonl", "weights.safetensors"}


def model(cls: type = VAE, **parameters: Any) -> Any:
    return cls(**{"code_size": 2, "max_epochs": 2, "random_state": 0, **parameters})


def interrupted(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a fit send itself a SIGTERM after a step."""
    original = _Fit._step

    def stepped(self: Any, batch: Any) -> None:
        original(self, batch)
        if self.step + 1 == step:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(_Fit, "_step", stepped)


@pytest.mark.parametrize("step", [1, 5, 29])
@pytest.mark.parametrize("parameters", [{}, {"ema": 0.2, "corruption": "gaussian"}, {"early_stopping": False}])
def test_a_fit_that_is_stopped_and_resumed_ends_to_the_bit_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, parameters: dict[str, Any]
) -> None:
    settings = {"max_epochs": 10, "hidden": (6,), "batch_size": 16, **parameters}
    whole = model(**settings).fit(X)
    with monkeypatch.context() as patch:
        interrupted(step, patch)
        with pytest.raises(StoppedError, match=f"stopped at step {step}"):
            model(**settings).fit(X, run=tmp_path / "run")
    with pytest.raises(RunError, match="resume"):
        model(**settings).fit(X, run=tmp_path / "run")
    with pytest.raises(RunError):
        engram.load(tmp_path / "run")
    resumed = model(**settings).fit(X, run=tmp_path / "run", resume=True)
    for a, b in zip(resumed.network_.state_dict().values(), whole.network_.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert resumed.loss_curve_ == whole.loss_curve_
    assert {p.name for p in (tmp_path / "run").iterdir()} == FILES
    assert np.array_equal(engram.load(tmp_path / "run").transform(X), whole.transform(X))


def test_every_model_goes_on_to_the_bit_with_all_its_turns_and_buffers(
    each_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optimisers of several turns, running means of batches, directions of spectral norms, averaged weights, the noise to come."""
    rows = each_model.X[:40]
    settings = {"max_epochs": 2, "hidden": (6, 6), "batch_size": 10, "ema": 0.3, "early_stopping": False}
    whole = each_model.create(**settings).fit(rows)
    with monkeypatch.context() as patch:
        interrupted(5, patch)
        with pytest.raises(StoppedError, match="stopped at step 5 of 8"):
            each_model.create(**settings).fit(rows, run=tmp_path / "run")
    resumed = each_model.create(**settings).fit(rows, run=tmp_path / "run", resume=True)
    expected = whole.network_.state_dict()
    assert [name for name, t in resumed.network_.state_dict().items() if not torch.equal(t, expected[name])] == []
    assert resumed.loss_curve_ == whole.loss_curve_


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_comes_when_the_fit_is_over_stops_after_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    monkeypatch.setattr(_Fit, "_untouched", lambda _: signal.raise_signal(number) or {})
    fit = model()
    with pytest.raises(StoppedError, match="when the fit was over; it is whole") as caught:
        fit.fit(X, run=tmp_path / "run")
    assert caught.value.exit_code == code
    assert {p.name for p in (tmp_path / "run").iterdir()} == FILES
    assert np.array_equal(engram.load(tmp_path / "run").transform(X), fit.transform(X))


@pytest.mark.parametrize("other", ["y", "validation"])
def test_a_fit_is_resumed_only_with_the_same_y_and_held_out_rows(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = np.arange(len(X)) % 3
    given: dict[str, Any] = {"y": y, "validation": (X[:20], y[:20])}
    with monkeypatch.context() as patch:
        interrupted(3, patch)
        with pytest.raises(StoppedError):
            model(conditional=True).fit(X, run=tmp_path / "run", **given)
    others = {"y": y[::-1].copy(), "validation": (X[20:40], y[:20])}
    with pytest.raises(RunError, match=f"cannot resume.* {other} differ"):
        model(conditional=True).fit(X, run=tmp_path / "run", resume=True, **given | {other: others[other]})
    model(conditional=True).fit(X, run=tmp_path / "run", resume=True, **given)


def test_a_fit_is_resumed_only_with_the_same_rows_and_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupted(3, patch)
        with pytest.raises(StoppedError):
            model().fit(X, run=tmp_path / "run")
    with pytest.raises(RunError, match="fingerprint"):
        model().fit(X + X**2, run=tmp_path / "run", resume=True)
    with pytest.raises(RunError, match="parameters"):
        model(beta=2.0).fit(X, run=tmp_path / "run", resume=True)
    with pytest.raises(RunError, match="model"):
        model(Autoencoder).fit(X, run=tmp_path / "run", resume=True)
    with pytest.raises(RunError, match="no run folder"):
        model().fit(X, run=tmp_path / "other", resume=True)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        kept.save(step, {"a": torch.full((2,), float(step))}, {"step": step})
    assert sorted(p.name for p in kept.folder.iterdir()) == ["step-2", "step-3"]
    assert kept.latest()[1] == {"step": 3}
    state = kept.folder / "step-3" / "state.safetensors"
    content = state.read_bytes()
    state.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # one bit of one number
    assert kept.latest()[1] == {"step": 2}
    shutil.rmtree(kept.folder / "step-2")
    assert kept.latest() is None


CHILD = """
import sys, numpy as np, engram
engram.VAE(max_epochs=100_000, early_stopping=False, random_state=0).fit(np.random.default_rng(0).normal(size=(60, 4)), run=sys.argv[1])
"""


def test_the_process_is_told_to_stop_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "run")], stderr=subprocess.PIPE, text=True)
    note = tmp_path / "run" / runs.UNFINISHED
    for _ in range(600):
        if note.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert "StoppedError" in told
    assert list((tmp_path / "run" / "checkpoint").glob("step-*/manifest.json"))
