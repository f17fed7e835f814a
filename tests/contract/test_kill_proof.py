"""Pull the plug: whatever step a fit or a save had reached, the folder loads, resumes or is free, and ends as if nothing had been."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from crashing import Disk, PlugPulledError, X, crash_everywhere, finished, model, names, plugged, same

import engram
from engram import Autoencoder
from engram.errors import RunError
from engram.training import checkpoint, staging
from engram.training.checkpoint import Checkpoints

EVERY = pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.slow), 3]
)  # steps: one lasts as long as a fit
KILL = Path(__file__).parents[1] / "proofs" / "kill.py"


@pytest.fixture(scope="module")
def whole() -> Autoencoder:
    """The fit that nobody interrupts."""
    return model().fit(X)


@pytest.fixture(scope="module")
def other() -> Autoencoder:
    return model(random_state=1).fit(X)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint at every report; nobody else writes here, so that no stage is one that is just being made."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(staging, "YOUNG", 0.0)


# --- a crash at every step that changes the disk ---


@EVERY
def test_a_fit_that_crashes_at_any_step_on_disk_loads_or_resumes_to_the_bit(
    tmp_path: Path, whole: Autoencoder, every: int
) -> None:
    steps = 0
    for at, folder in crash_everywhere(lambda path: model().fit(X, run=path), lambda path: None, tmp_path, every):
        finished(folder, whole)
        steps = at
    assert steps > 60  # three checkpoints of three files, five files at the end


@EVERY
def test_a_resumed_fit_that_crashes_at_any_step_loads_or_resumes_to_the_bit(
    tmp_path: Path, whole: Autoencoder, every: int
) -> None:
    begun = tmp_path / "begun"
    with plugged(Disk(45)), pytest.raises(PlugPulledError):
        model().fit(X, run=begun)
    assert Checkpoints(begun).latest() is not None

    def resumed(path: Path) -> Any:
        return model().fit(X, run=path, resume=True)

    for _, folder in crash_everywhere(resumed, lambda path: shutil.copytree(begun, path), tmp_path, every):
        finished(folder, whole)


def can_swap(home: Path) -> bool:
    pair = home / "a", home / "b"
    for folder in pair:
        folder.mkdir()
    swapped = staging.swap(*pair)
    for folder in pair:
        folder.rmdir()
    return swapped


@pytest.mark.parametrize("swaps", [True, False])
def test_a_save_that_crashes_at_any_step_leaves_the_old_run_or_the_new_one(
    tmp_path: Path, whole: Autoencoder, other: Autoencoder, monkeypatch: pytest.MonkeyPatch, swaps: bool
) -> None:
    """Where two names cannot be swapped there is a moment without the folder; the next one who writes there puts it back."""
    if not swaps:
        monkeypatch.setattr(staging, "swap", lambda *_: False)
    elif not can_swap(tmp_path):
        pytest.skip("this system cannot swap two names")

    def replace(path: Path) -> None:
        whole.save(path, force=True)

    for _, folder in crash_everywhere(replace, other.save, tmp_path):
        if not folder.exists():
            assert not swaps
            with pytest.raises(RunError, match="exists already"):
                model().fit(X, run=folder)
        loaded = engram.load(folder)
        assert same(loaded, whole) or same(loaded, other)
        whole.save(folder, force=True)
        assert names(folder.parent) == {"run"}
        assert same(engram.load(folder), whole)


def test_a_new_save_that_crashes_at_any_step_is_there_or_not(tmp_path: Path, whole: Autoencoder) -> None:
    for _, folder in crash_everywhere(whole.save, lambda path: None, tmp_path):
        if folder.exists():
            assert same(engram.load(folder), whole)
        whole.save(folder, force=True)
        assert names(folder.parent) == {"run"}


# --- kill -9 ---


def killed(*args: str) -> str:
    done = subprocess.run([sys.executable, str(KILL), *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_fits_killed_at_random_moments_end_to_the_bit_as_if_they_had_not_been() -> None:
    assert "all weights are those of the fits that were not killed" in killed(
        "--kills", "1", "--fork", "--variant", "two-turns"
    )


@pytest.mark.slow
def test_the_command_line_killed_at_random_moments_of_every_variant() -> None:
    assert "all load" in killed("--kills", "8", "--seed", "3")
