"""The surroundings of a computation: a number of threads and the random state, put back afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from engram.errors import UsageError

CPU = torch.device("cpu")
RANDOM = ("random", "random_cuda")  # the states of generators, which lie on the CPU whatever the device


class _Users:
    """The Python threads that compute on a number of threads of their own, and what is put back when the last of them ends."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.depth: dict[int, int] = {}  # of each of them
        self.before = 1


_USERS = _Users()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute on so many threads.

    torch keeps the number for each Python thread, and one for those that are new to it: the number of whoever set one last. So the
    outermost of several at the same time notes the number of before, and each puts back that one, not what it found.
    """
    me = threading.get_ident()
    with _USERS.lock:
        found = torch.get_num_threads()
        if not _USERS.depth:
            _USERS.before = found
        back = found if me in _USERS.depth else _USERS.before
        _USERS.depth[me] = _USERS.depth.get(me, 0) + 1
        _compute_on(count)
    try:
        yield
    finally:
        with _USERS.lock:
            _USERS.depth[me] -= 1
            if not _USERS.depth[me]:
                del _USERS.depth[me]
            _compute_on(back)


def _compute_on(count: int) -> None:
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Draw from the generators of a device seeded with ``seed``; the caller's random state is as before afterwards."""
    before = random_state(device)
    reseed(seed, device)
    try:
        yield
    finally:
        set_random_state(before, device)


def reseed(seed: int, device: torch.device) -> None:
    """Seed the generators that a computation on a device draws from, and no others: `torch.manual_seed` seeds those of all devices."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type != "cpu" and hasattr(torch, device.type):
        getattr(torch, device.type).manual_seed(seed)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of torch's generators that a computation on a device draws from, under the names `RANDOM`."""
    states = {"random": torch.get_rng_state()}
    if device.type == "cuda":
        states["random_cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    """Take back what `random_state` gave."""
    torch.set_rng_state(states["random"])
    if device.type == "cuda" and "random_cuda" in states:
        torch.cuda.set_rng_state(states["random_cuda"], device)


def seed_from(random_state: Any) -> int:
    """Return a seed from None (a fresh one), a number or a NumPy generator, without touching NumPy's global state."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0]) & 0x7FFFFFFF
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, int | np.integer):
        return int(random_state) % 2**31
    try:
        return int(check_random_state(random_state).randint(2**31))
    except ValueError:
        raise UsageError(
            f"random_state={random_state!r} is no seed. Give a number, a NumPy random state or None."
        ) from None
