"""What "auto" stands for in the members of an `AnomalyDetector`, and why."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch

from engram.apps.surprise import ROWS
from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.maths.linear import directions
from engram.models.model import Model

SPECTRUM = 0.9  # share of the variance that the code keeps
MOST_CODE = 64  # dimensions
WIDTH = 64  # of the one hidden layer
STEPS = (150, 400)  # of a fit: of the smallest tables, of all others
FEW = 500  # rows, from which on a fit takes the larger number


def automatic(member: Model | None, kind: Kind) -> dict[str, Any]:
    """Return what a given model chooses itself or, of small networks, one hidden layer and a learning rate that suits it."""
    if member is None:
        return {"hidden": (WIDTH,), "learning_rate": 2e-3, "weight_decay": 0.0}
    found = member.automatic(kind) | {"warmup": getattr(member, "warmup", 0.0)}
    return {name: value for name, value in found.items() if name not in ("code_size", "hidden")}


def suited(rows: Rows, *, is_own: bool) -> dict[str, Any]:
    """Return a code that keeps nine tenths of the variance and, of its own small networks, a few hundred steps, fewer for small tables."""
    n, size = len(rows), {"code_size": spectral_size(rows)}
    if not is_own:
        return size
    steps = round(STEPS[0] + (STEPS[1] - STEPS[0]) * min(1.0, n / FEW))
    return size | {"steps": steps, "batch_size": min(256, max(16, n // 4))}


def reasons(member: Model | None, kind: Kind) -> dict[str, str]:
    """Return why these are what they are, see `Model.reasons`."""
    share = f"components that keep {SPECTRUM:.0%} of the variance, at most {MOST_CODE} and fewer than there are values"
    if member is not None:
        member = copy(member)  # it may be the user's own
        member.kind_ = kind
        return {name: why for name, why in member.reasons().items() if name != "hidden"} | {"code_size": share}
    return {
        "code_size": share,
        "hidden": f"one layer of {WIDTH} in each member: small networks, of which there are several",
        "batch_size": "a quarter of the rows, 16 to 256",
        "max_epochs": f"{STEPS[0]} steps, {STEPS[1]} from {FEW} rows on, in a line between",
        "learning_rate": "2e-3, which suits one small layer",
    }


def unused(member: Model) -> tuple[str, ...]:
    """Return the detector's parameters that a given model does nothing with: it has its own layers and, where it says so, code size."""
    return ("hidden",) if member.code_size == "auto" else ("hidden", "code_size")


def spectral_size(rows: Rows) -> int:
    """Return how many principal components keep nine tenths of the variance, at most `MOST_CODE` and fewer than there are values."""
    x = rows.spread(ROWS).x.flatten(1).double()
    spread = x.std(0, correction=0)
    size = directions((x - x.mean(0)) / torch.where(spread > 1e-6, spread, 1.0), SPECTRUM)
    return max(1, min(size, MOST_CODE, x.shape[1] - 1))
