"""What a fit leaves behind besides weights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engram.training.findings import Finding
from engram.training.recovery import SLOWER

KEPT = ("reports", "skipped", "recoveries", "parts")  # in a checkpoint


@dataclass
class History:
    """What a fit leaves in the log.

    Parameters
    ----------
    reports : list of dict
        One per report: step, epoch, seconds, rows_per_second, terms (means since the last report), validation.
    stopped : str
        Why it ended: "epochs", "early", "time".
    best_step : int or None
        The step whose weights were kept, by held-out rows; None without such rows.
    untouched : dict
        The weights by role that no gradient ever reached; only known right after a fit.
    skipped : int
        Moves that were not made because their loss or gradient was not finite.
    recoveries : int
        How often the fit went back to its last good report and on with half the learning rate.
    parts : int
        In how many parts steps were taken, so that they fitted into memory.
    signal : int or None
        The number of a signal to stop that came too late: the fit was over.
    """

    reports: list[dict[str, Any]] = field(default_factory=list)
    stopped: str = "epochs"
    best_step: int | None = None
    untouched: dict[str, list[str]] = field(default_factory=dict)
    skipped: int = 0
    recoveries: int = 0
    parts: int = 1
    signal: int | None = None

    @property
    def losses(self) -> list[float]:
        """The sum of the terms at each report."""
        return [sum(report["terms"].values()) for report in self.reports]

    def left(self, limit: float | None, since: float, least: float = 0.0) -> float | None:
        """Return the seconds that are left of a limit, and at least a share of it, after a loop that ended at ``since``."""
        if limit is None:
            return None
        spent = self.reports[-1]["seconds"] if self.reports else 0.0
        return max(limit - spent - (time.perf_counter() - since), least * limit)

    def mended(self) -> dict[str, int]:
        """Return what went wrong on the way and was mended, for a line of the log; {} where nothing did."""
        counts = {"skipped": self.skipped, "recoveries": self.recoveries, "parts": self.parts - 1 and self.parts}
        return {name: count for name, count in counts.items() if count}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {name: getattr(self, name) for name in KEPT}

    def restore(self, told: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        for name in KEPT:
            setattr(self, name, told[name])

    def findings(self) -> Iterator[Finding]:
        """Yield what went wrong on the way and was mended."""
        if self.parts > 1:
            told = f"memory: steps ran in {self.parts} parts, because whole ones did not fit"
            yield Finding("memory", told, "A smaller batch_size takes the same memory and more steps")
        if self.recoveries:
            told = f"training diverged {self.recoveries} times and went on from its last good report"
            advice = f"Try a learning_rate {SLOWER**self.recoveries:g} times as large, or clip=1.0"
            yield Finding("diverged", told, advice)
        if self.skipped:
            told = f"{self.skipped} steps were skipped, because their loss or gradient was not finite"
            yield Finding("skipped-steps", told, "Look for extreme values in the data, or try clip=1.0")
