"""The family of errors: what was seen, what was expected, what to do next.

::

    EngramError                     exit code 1
    ├── UsageError      ValueError           2   a parameter, a flag or a name is wrong
    ├── DataError       ValueError           3   the data cannot be used as they are
    │   └── DataTypeError  TypeError         3   ... because of their type
    ├── RunError        OSError              4   a run folder is missing, damaged or in the way
    ├── MissingExtraError ImportError        5   an optional library is not installed
    ├── MemoryLimitError MemoryError         6   the work does not fit into memory
    ├── DivergedError   ArithmeticError      7   training produced numbers that are not finite
    └── StoppedError    KeyboardInterrupt  130   a fit was interrupted (143 by SIGTERM); its checkpoint is whole
"""

from __future__ import annotations

import difflib
import shlex
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

# this library, and those that call it or wrap its methods
BETWEEN = {__name__.partition(".")[0], "sklearn", "torch", "joblib", "contextlib", "functools"}


class EngramError(Exception):
    """What every error of Engram is; ``exit_code`` is what the command line exits with."""

    exit_code: ClassVar[int] = 1


class UsageError(EngramError, ValueError):
    """A parameter, a flag or a name is wrong."""

    exit_code = 2


class DataError(EngramError, ValueError):
    """The data cannot be used as they are."""

    exit_code = 3


class DataTypeError(DataError, TypeError):
    """The data are of a type that cannot be used."""


class RunError(EngramError, OSError):
    """A run folder is missing, damaged or in the way."""

    exit_code = 4

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class MissingExtraError(EngramError, ImportError):
    """An optional library is not installed."""

    exit_code = 5


class MemoryLimitError(EngramError, MemoryError):
    """The work does not fit into memory."""

    exit_code = 6


class DivergedError(EngramError, ArithmeticError):
    """Training produced numbers that are not finite."""

    exit_code = 7


class StoppedError(EngramError, KeyboardInterrupt):
    """A fit was interrupted and wrote a checkpoint; ``exit_code`` is 130 after Ctrl-C, 143 after SIGTERM."""

    exit_code = 130

    def __init__(self, message: str, number: int = 2) -> None:
        super().__init__(message)
        self.number = number
        self.exit_code = 128 + number  # type: ignore[misc]

    def __reduce__(self) -> tuple[type[StoppedError], tuple[str, int]]:
        return type(self), (str(self), self.number)


def with_article(name: str) -> str:
    """Return the name of a class with its article: a VAE, an AnomalyDetector, an ndarray."""
    return f"{'an' if name[:1] in 'AEIOaeio' or name == 'ndarray' else 'a'} {name}"


def lacks_columns(missing: Sequence[Any], reader: str, known: Iterable[str]) -> str:
    """Return what is said where columns are missing that ``reader`` was fitted on."""
    told = f"{len(missing)} of the columns that {reader} was fitted on {'is' if len(missing) == 1 else 'are'} missing"
    return f"{told}: {', '.join(map(str, missing[:5]))}. {nearest(str(missing[0]), known)}"


def column_as(name: object, sort: str) -> str:
    """Return how a user says of which type a column is, in Python and on the command line."""
    flag = f"--drop {shlex.quote(str(name))}" if sort == "drop" else f"--column {shlex.quote(f'{name}={sort}')}"
    return f"columns={{{name!r}: {sort!r}}} ({flag})"


def nearest(name: str, known: Iterable[str], most: int | None = None) -> str:
    """Return a sentence that names the known names nearest to an unknown one, or lists them all, or the first of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    more = 0 if most is None else max(0, len(names) - most)
    shown = ", ".join(names[: len(names) - more]) or "none"
    return f"Known are: {shown}{f' and {more:,} more' * (more > 0)}."


def tell(told: str, category: type[Warning]) -> None:
    """Warn of the first line outside of the package, and of the libraries that may stand between: the user's own."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(told, category, stacklevel=level)
