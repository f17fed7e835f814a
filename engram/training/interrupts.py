"""Ctrl-C and SIGTERM during a fit: finish the step, write a checkpoint, say how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Flag:
    """Whether a signal arrived, and which."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; a second one interrupts at once."""
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number


@contextmanager
def caught() -> Iterator[Flag]:
    """Note SIGINT and SIGTERM instead of dying of them.

    Outside the main thread nothing is changed, and a signal whose handler was not set from Python is left to it: it could not be put back.
    """
    flag = Flag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not None]
    before = {number: signal.signal(number, flag) for number in numbers}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
