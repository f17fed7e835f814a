"""One writer per run folder, disks that are full, folders that are gone, and signals: told in words, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from crashing import FILES, Disk, PlugPulledError, X, finished, model, names, plugged, same

from engram import Autoencoder
from engram.errors import RunError
from engram.training import checkpoint, lock
from engram.training.checkpoint import Checkpoints
from engram.training.run import UNFINISHED


@pytest.fixture(scope="module")
def whole() -> Autoencoder:
    """The fit that nobody interrupts."""
    return model().fit(X)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint at every report."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)


# --- one writer ---


def refused_by_lock(folder: Path, work: Callable[[], Any], owner: int) -> None:
    before = names(folder)
    with pytest.raises(RunError, match=f"being written by process {owner}"):
        work()
    assert names(folder) == before


def test_a_second_fit_into_a_folder_is_refused_while_the_first_goes_on(
    tmp_path: Path, whole: Autoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 1e9)
    folder = tmp_path / "run"
    seen: list[str] = []
    start = Autoencoder.start

    def nosy(self: Autoencoder, nets: Any, rows: Any) -> bool:
        for resume in (False, True):
            refused_by_lock(folder, lambda r=resume: model().fit(X, run=folder, resume=r), os.getpid())  # type: ignore[misc]
        refused_by_lock(folder, lambda: whole.save(folder, force=True), os.getpid())
        seen.append("asked")
        return start(self, nets, rows)

    monkeypatch.setattr(Autoencoder, "start", nosy)
    assert same(model().fit(X, run=folder), whole)
    assert seen == ["asked"]
    assert names(folder) == FILES


HOLD = """
import sys, time
from pathlib import Path
from engram.training import lock
lock.acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_a_lock_holds_between_processes_and_ends_with_its_own(tmp_path: Path, whole: Autoencoder) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        try:
            assert process.stdout.readline() == "held\n"
            refused_by_lock(folder, lambda: model().fit(X, run=folder), process.pid)
            refused_by_lock(folder, lambda: whole.save(folder, force=True), process.pid)
        finally:
            process.kill()
    assert names(folder) == {lock.LOCK}
    assert same(model().fit(X, run=folder), whole)
    assert names(folder) == FILES


def test_the_command_line_exits_with_4_and_leaves_the_folder_to_its_writer(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from engram.cli import program

    folder = tmp_path / "run"
    folder.mkdir()
    lock.acquire(folder)
    try:
        for flags in ([], ["--resume"]):
            done = CliRunner().invoke(program, ["fit", "vae", "wine", "-o", str(folder), *flags])
            assert done.exit_code == 4
            assert f"being written by process {os.getpid()}" in done.stderr
        assert names(folder) == {lock.LOCK}
    finally:
        lock.release(folder)


def test_a_fit_that_lost_a_race_does_not_remove_the_winners_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process begins between the first look at the folder and the fit's beginning."""
    from click.testing import CliRunner

    from engram.cli import program
    from engram.models import model as models

    folder = tmp_path / "run"
    taken_in = models.taken_in

    def meanwhile(*args: Any, **options: Any) -> Any:
        folder.mkdir()
        lock.acquire(folder)
        (folder / UNFINISHED).write_text("{}")
        return taken_in(*args, **options)

    monkeypatch.setattr(models, "taken_in", meanwhile)
    done = CliRunner().invoke(program, ["fit", "vae", "wine", "-o", str(folder), "--quiet"])
    lock.release(folder)
    assert done.exit_code == 4
    assert names(folder) == {UNFINISHED}


def test_without_locks_of_the_file_system_a_living_owner_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def missing(*_: Any) -> None:
        raise OSError(sorted(lock.NO_LOCKS)[0], "no locks here")

    monkeypatch.setattr(fcntl, "flock", missing)
    lock.acquire(tmp_path)
    with pytest.raises(RunError, match=f"process {os.getpid()}"):
        lock.acquire(tmp_path)
    lock.release(tmp_path)
    (tmp_path / lock.LOCK).write_text(
        '{"process": 1, "started": "at another time", "machine": "' + os.uname().nodename + '"}'
    )
    lock.acquire(tmp_path)  # the number is in use again, by another process
    lock.release(tmp_path)
    assert names(tmp_path) == set()


# --- disks that are full, folders that cannot be written or are gone ---


@contextmanager
def told(text: str) -> Iterator[None]:
    """Whatever error comes of it says this."""
    try:
        yield
    except BaseException as error:
        if text not in str(error):
            raise AssertionError(f"{error!r} does not say {text!r}") from error
        raise


def no_space() -> OSError:
    return OSError(28, "No space left on device")


def test_a_disk_that_is_full_at_any_step_is_told_and_nothing_is_lost(tmp_path: Path, whole: Autoencoder) -> None:
    """Every step from one on fails, as on a disk that stays full; the last whole checkpoint is resumed from."""
    kept = 0
    for at in range(0, 100, 3):
        folder = tmp_path / str(at) / "run"
        folder.parent.mkdir()
        with plugged(Disk(at, no_space)), contextlib.suppress(RunError), told("No space left on device"):
            model().fit(X, run=folder)
        kept += Checkpoints(folder).latest() is not None
        finished(folder, whole)
    assert kept > 3


def test_a_file_that_may_not_grow_leaves_the_last_checkpoint_whole(tmp_path: Path, whole: Autoencoder) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(RunError, match="File too large"):
            model().fit(X, run=tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finished(tmp_path / "run", whole)


def test_a_folder_removed_during_a_fit_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engram.training.loop import _Fit

    step, folder = _Fit._step, tmp_path / "run"

    def removing(self: Any, batch: Any) -> None:
        step(self, batch)
        if self.step == 30:
            shutil.rmtree(folder)

    monkeypatch.setattr(_Fit, "_step", removing)
    for every in (0.0, 1e9):  # before a checkpoint is written; before the end
        monkeypatch.setattr(checkpoint, "EVERY", every)
        fit = model()
        with pytest.raises(RunError, match="was removed while the fit was going on"):
            fit.fit(X, run=folder)
        assert list(tmp_path.iterdir()) == []
    fit.save(folder)  # what was learned is not lost


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o500)
    for path in (folder, folder / "deeper"):
        with pytest.raises(RunError, match="cannot write into"):
            model().fit(X, run=path)


def test_a_folder_of_something_else_is_not_resumed_into(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_text("precious")
    with pytest.raises(RunError, match="not a run folder"):
        model().fit(X, run=tmp_path, resume=True)
    assert names(tmp_path) == {"cat.png"}


def test_a_checkpoint_of_another_fit_is_told(tmp_path: Path) -> None:
    with plugged(Disk(45)), pytest.raises(PlugPulledError):
        model().fit(X, run=tmp_path / "run")
    Checkpoints(tmp_path / "run").save(999, {"nets.other": torch.zeros(2)}, {"step": 999})
    with pytest.raises(RunError, match="not one of this fit"):
        model().fit(X, run=tmp_path / "run", resume=True)


# --- told to stop ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_stops_with_a_checkpoint_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "engram", "fit", "vae", "wine", "-o", str(folder), "--max-epochs", "100000"]
    process = subprocess.Popen([*command, "--n-iter-no-change", "100000"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while not (folder / UNFINISHED).exists() and process.poll() is None:
        signal.sigtimedwait([], 0.05)
    signal.sigtimedwait([], 1.0)  # until it learns
    process.send_signal(number)
    _, told = process.communicate()
    assert process.returncode == 128 + number, told
    assert "--resume" in told
    assert names(folder) == {UNFINISHED, "checkpoint"}
    assert Checkpoints(folder).latest() is not None
