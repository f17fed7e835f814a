"""What listens to a fit: progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from engram.training.settings import Settings


def reporter(settings: Settings, *, verbose: int) -> Callable[[dict[str, Any]], None] | None:
    """Return a function that rewrites one line of standard error per report, or None where nobody looks."""
    if not verbose or not sys.stderr.isatty():
        return None

    def show(report: dict[str, Any]) -> None:
        terms = "  ".join(f"{name} {value:.4g}" for name, value in report["terms"].items())
        mended = "".join(f"  {name} {report[name]}" for name in ("skipped", "recoveries", "parts") if name in report)
        held = f"  held-out {report['validation']:.4g}" if "validation" in report else ""
        line = f"epoch {report['epoch']:.0f}/{settings.max_epochs}  {terms}{held}{mended}  {report['rows_per_second']:,.0f} rows/s"
        print(f"\r\x1b[K{line[:118]}", end="", file=sys.stderr, flush=True)

    return show
