"""An autoencoder whose error on given rows is recorded at the end of every epoch, beside the CPU time spent so far."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from engram import Autoencoder


@dataclass(eq=False, repr=False, kw_only=True)
class Watched(Autoencoder):
    """Engram's autoencoder with a look at test rows between epochs; the looks do not count as its time and change nothing."""

    def fit_watched(self, x: np.ndarray, test: np.ndarray, unit: np.ndarray) -> float:
        """Fit on ``x`` and return the CPU seconds; errors on ``test`` are measured per cell, in these units per column."""
        self._test, self._unit, self._looking, self._steps = test, unit, 0.0, 0
        self.errors: list[tuple[float, float]] = []
        self._begin = time.process_time()
        self.fit(x)
        return time.process_time() - self._begin - self._looking

    def after_step(self, turn: Any, nets: Any, batch: Any) -> None:
        self._steps += 1
        per_epoch = -(-self.data_["trained_on"] // self.settings_.batch_size)
        if self._steps % per_epoch == 0:
            begin = time.process_time()
            self.errors.append((begin - self._begin - self._looking, self._error(nets)))
            self._looking += time.process_time() - begin

    @torch.no_grad()
    def _error(self, nets: Any) -> float:
        rows = self.kind_.encode(self.kind_.conform(self._test))
        means = nets.decoder.likelihood.mean(nets.decoder(nets.encoder(rows.x)))
        return float(np.square((self.kind_.decode(means) - self._test) / self._unit).mean())

    def seconds_to(self, error: float) -> float | None:
        """CPU seconds of the fit up to the first epoch that ended at most this wrong; None if none did."""
        return next((seconds for seconds, found in self.errors if found <= error), None)
