"""The settings of a fit, and what "auto" stands for: pure functions of shapes, arithmetic and device, never of a clock."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from engram.errors import UsageError

Auto = Literal["auto"]
ONE_THREAD_BELOW = 50e6  # floating-point operations per step: below, a second thread costs more than it gives
POSITIONS = 64  # assumed of a convolution, whose arithmetic depends on a picture that is not known here
STEPS = (3000, 16_000)  # that a small data set gets at most: of a small network, of a large one that begins at random
MOST_STEPS = 100_000  # that the fewest passes may come to
HELD = 0.4  # share of training before the schedule "hold" begins to fall
EPOCHS = (30, 400)  # fewest and most passes over the rows


@dataclass(frozen=True)
class Settings:
    """Everything that the loop needs to know, resolved: no "auto" is left."""

    batch_size: int
    max_epochs: int
    learning_rate: float
    schedule: str = "cosine"
    weight_decay: float = 0.0
    clip: float | None = None
    ema: float = 0.0
    early_stopping: bool = True
    n_iter_no_change: int = 10
    tol: float = 1e-4
    max_time: float | None = None
    threads: int = 1
    device: str = "cpu"
    precision: str = "float32"
    seed: int = 0
    warmup: float = 0.0  # share of training over which a term's weight rises; reports without improvement do not count before its end


def auto_batch_size(n_rows: int) -> int:
    """A power of two near a sixteenth of the rows: 16 for a hundred, 256 from four thousand on."""
    return int(2 ** min(max(round(math.log2(max(n_rows, 1) / 16)), 4), 8))


def _size(n_parameters: int) -> float:
    """The square root of how many times a network is larger than a small one, of 1e5 parameters; at least 1."""
    return math.sqrt(max(n_parameters / 1e5, 1.0))


def auto_epochs(n_rows: int, batch_size: int, n_parameters: int = 0, *, began: bool = True) -> int:
    """As many passes as make `STEPS` steps, within `EPOCHS`, unless the fewest come to more than `MOST_STEPS`.

    A network that begins at random takes more steps the larger it is; one that ``began`` at a closed form does not.
    """
    per_epoch = math.ceil(n_rows / batch_size)
    fewest = min(EPOCHS[0], max(1, MOST_STEPS // per_epoch))
    steps = STEPS[0] if began else min(STEPS[0] * _size(n_parameters), STEPS[1])
    return min(max(math.ceil(steps / per_epoch), fewest), EPOCHS[1])


def auto_learning_rate(n_parameters: int, *, began: bool = True) -> float:
    """2e-3; where training ``began`` at a closed form it falls with the square root of the parameters to 5e-4, not to lose it."""
    return max(5e-4, 2e-3 / _size(n_parameters)) if began else 2e-3


def auto_weight_decay(*, began: bool) -> float:
    """.3 from a random start (a weight forgets in about 1,700 steps of 2e-3; MNIST's test error fell by a tenth); 0 from a closed form."""
    return 0.0 if began else 0.3


def flops_per_row(network: nn.Module) -> float:
    """Twice the multiplications, forward only; convolutions count as if they had `POSITIONS` outputs per channel."""
    total = 0.0
    for module in network.modules():
        if isinstance(module, nn.Linear):
            total += 2 * module.in_features * module.out_features
        elif isinstance(module, nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1] * module.in_channels // module.groups
            total += 2 * kernel * module.out_channels * POSITIONS
    return total


def auto_threads(flops_per_step: float) -> int:
    """One thread for small steps, else what torch was given."""
    return 1 if flops_per_step < ONE_THREAD_BELOW else max(torch.get_num_threads(), 1)


def auto_device() -> str:
    """The accelerator if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def usable_device(name: str) -> torch.device:
    """Return the device of this name; raise `UsageError` where this machine has none such."""
    try:
        device = torch.device(auto_device() if name == "auto" else name)
    except RuntimeError:
        raise UsageError(f"device={name!r} is no device. Use 'auto', 'cpu' or 'cuda'.") from None
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        detail = str(error).partition("\n")[0]
        raise UsageError(f"device={name!r} cannot be used here: {detail}. Use 'auto' or 'cpu'.") from None
    return device


def seconds(text: Any) -> float | None:
    """Read a duration: a number of seconds, or a text such as "20s", "5m", "1.5h"."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*([\d.]+)\s*([smh]?)\s*", str(text))
    try:
        value = float(match.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600}[match.group(2)] if match else 0.0
    except ValueError:
        value = 0.0
    if not value > 0:
        raise UsageError(f"max_time={text!r} is not a duration. Give seconds, or a text such as '20s', '5m', '1h'.")
    return value


def rate(schedule: str, progress: float, warm_up: float = 0.02) -> float:
    """The share of the learning rate at a share of training: a short linear warm-up, then constant, or down to 1 %.

    "hold" stays constant for a share of training before it falls to 2 % in a line, which is what games want.
    """
    rise = min(1.0, (progress + 1e-3) / warm_up)
    if schedule == "constant":
        return rise
    if schedule == "linear":
        return rise * (1 - 0.99 * progress)
    if schedule == "hold":
        return rise * min(1.0, 0.02 + 0.98 * (1 - progress) / (1 - HELD))
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
