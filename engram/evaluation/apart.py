"""The one rule by which a difference is worth telling: more than two of its standard errors, and something beside the values' own.

Differences are of subjects that were judged on the same rows, so their errors are smaller than those of the two values suggest: what is
sure need not be worth anything, and must therefore also be half a standard error of the model's own value.
"""

from __future__ import annotations

STANDARD_ERRORS = 2.0
WORTH = 0.5  # standard errors of the model's own value


def beyond(difference: float, error: float, least: float = 0.0) -> bool:
    """Return whether a difference is larger than two of its standard errors, and than ``least``; never where an error is not known."""
    return difference > STANDARD_ERRORS * error and difference > least


def is_worse(lost: float, error: float, own: float) -> bool:
    """Return whether a model does worse than a simple method by so much: ``error`` is that of the difference, ``own`` the model's."""
    return beyond(lost, error, WORTH * own)
