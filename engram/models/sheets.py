"""Sheets: 64 generated pictures from fixed noise, drawn again and again while a game of pictures is played, to watch it learn.

A sheet is drawn from a copy of the generator, in eval mode, with a generator of random numbers of its own: a fit with sheets has the
same weights, to the bit, as one without.
"""

from __future__ import annotations

import copy
import io
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from engram.errors import DivergedError
from engram.networks.discriminator import Discriminator
from engram.training.callbacks import reporter
from engram.training.checkpoint import Checkpoints
from engram.training.findings import Finding
from engram.training.nets import Nets
from engram.training.run import SAMPLES, resumable
from engram.training.staging import put

if TYPE_CHECKING:
    from engram.models.model import Model

Progress = Callable[[dict[str, Any]], None]
ACROSS = 8  # pictures in a line, and lines
GROWTH = 1.25  # times the steps of the last sheet, after which the next one is due: about 30 in a fit of 10,000 steps
SMALLEST, LARGEST = 32, 128  # pixels of a picture on a sheet
SEED = 0  # of the noise


def is_game(nets: Nets) -> bool:
    """Whether a discriminator of rows, not of codes, taught these networks: then rows that they generate are what they are for."""
    return "discriminator" in nets and isinstance(nets.discriminator, Discriminator)


@contextmanager
def listening(model: Model, nets: Nets, y: Tensor | None, checkpoints: Checkpoints | None) -> Iterator[Progress | None]:
    """Give what listens to a fit: what shows progress on a terminal and, of a game of pictures, what draws sheets.

    They are kept as ``model.sheets_``, PNG by step, and are written into the run folder of ``checkpoints``, where there is one. The
    last one is of the finished model. A fit that fails and cannot be resumed leaves none there.

    Parameters
    ----------
    model : model
        One that is being fitted.
    nets : Nets
        Its networks.
    y : Tensor or None
        What rows are given, (rows, values), of a conditional model.
    checkpoints : Checkpoints or None
        Of the run folder.
    """
    progress = reporter(model.settings_, verbose=model.verbose)
    if model.kind_.name != "images" or not is_game(nets):
        yield progress
        return
    made = Sheets(model, nets, y, None if checkpoints is None else checkpoints.folder.parent)

    def listen(report: dict[str, Any]) -> None:
        if progress is not None:
            progress(report)
        made.look(report["step"])

    try:
        yield listen
    except BaseException as error:
        made.abandon(hopeless=isinstance(error, DivergedError))
        raise
    made.finish()


class Sheets:
    """The sheets of one fit; the parameters are those of `listening`, and ``run`` is the run folder or None."""

    def __init__(self, model: Model, nets: Nets, y: Tensor | None, run: Path | None) -> None:
        self.model, self.nets, self.run = model, nets, run
        self.noise = model.draw_codes(ACROSS**2, torch.Generator().manual_seed(SEED))
        self.given = given(model, y)
        before = [] if run is None else list(sheets_in(run))
        self.resumed, self.last, self.step = bool(before), max(before, default=0), 0
        self.made: dict[int, bytes] = {}
        model.__dict__["sheets_"] = self.made

    def look(self, step: int) -> None:
        """Draw a sheet where one is due."""
        self.step = step
        if step >= GROWTH * self.last:
            self._draw()

    def finish(self) -> None:
        """Draw the finished model."""
        if self.step:
            self._draw()

    def abandon(self, *, hopeless: bool) -> None:
        """Remove the sheets of a fit that failed, unless it can be resumed."""
        if self.run is not None and (not resumable(self.run) or (hopeless and not self.resumed)):
            shutil.rmtree(self.run / SAMPLES, ignore_errors=True)

    @torch.no_grad()
    def _draw(self) -> None:
        role = "generator" if "generator" in self.nets else "decoder"
        generator: Any = copy.deepcopy(self.nets[role]).cpu().eval()
        output = generator(self.noise, *self.given)
        drawn = generator.likelihood.relaxed(output, torch.Generator().manual_seed(SEED))
        self.made[self.step] = content = sheet(drawn)
        self.last = self.step
        if self.run is not None:
            self._write(content)

    def _write(self, content: bytes) -> None:
        """Write a sheet, at once or not at all; where that cannot be, the fit goes on without."""
        assert self.run is not None
        try:
            write_sheets(self.run, {self.step: content})
        except OSError as error:
            told = f"the sheet of generated pictures of step {self.step} could not be written: {error.strerror}"
            self.model.findings_.append(
                Finding("sheets", told, "Look at the space left and at the folder's permissions")
            )
            self.run = None


def given(model: Model, y: Tensor | None) -> tuple[Tensor, ...]:
    """Return what the pictures of a sheet are given: one label's classes in order, else what the first rows are given."""
    if model.given_ is None:
        return ()
    n, parts = ACROSS**2, model.given_.parts
    if len(parts) == 1 and parts[0].sort == "classes":
        size = parts[0].size
        return (torch.eye(size)[torch.arange(n) * min(size, n) // n],)
    assert y is not None
    return (y[torch.arange(n) % len(y)].cpu(),)


def sheet(x: Tensor) -> bytes:
    """Return encoded pictures (rows, channels, height, width) in lines of `ACROSS` as a PNG, each with a white edge of a pixel."""
    from PIL import Image

    largest = max(x.shape[2:])
    if largest > LARGEST:
        x = interpolate(x, size=[max(1, round(s * LARGEST / largest)) for s in x.shape[2:]], mode="area")
    pixels = (x.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    times = max(1, -(-SMALLEST // largest))
    pixels = np.pad(pixels.repeat(times, 1).repeat(times, 2), ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    whole = np.concatenate([np.concatenate(list(line), 1) for line in np.split(pixels, len(pixels) // ACROSS)])
    file = io.BytesIO()
    Image.fromarray(whole[..., 0] if whole.shape[2] == 1 else whole).save(file, "PNG")
    return file.getvalue()


def write_sheets(run: Path, sheets: Mapping[int, bytes]) -> None:
    """Write sheets into a run folder, each at once or not at all."""
    if sheets:
        (run / SAMPLES).mkdir(exist_ok=True)  # without its parent: a run folder that was removed is not made anew
    for step, content in sheets.items():
        put(run / SAMPLES / f"step-{step:08d}.png", content)


def sheets_in(run: Path) -> dict[int, bytes]:
    """Return the sheets in a run folder by step, in order; links are not read."""
    folder = run / SAMPLES
    if folder.is_symlink() or not folder.is_dir():
        return {}
    found = ((p.stem.removeprefix("step-"), p) for p in folder.glob("step-*.png") if not p.is_symlink() and p.is_file())
    return {int(step): path.read_bytes() for step, path in sorted(found) if step.isdecimal()}
