"""Whether rows are those that a model or an application has learned from, told by the fingerprint that it keeps of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from engram.data.kind import DataWarning
from engram.data.rows import Rows, fingerprint
from engram.errors import DataError
from engram.evaluation.comparison import encoded
from engram.training import Finding

if TYPE_CHECKING:
    from engram.models.model import Model

APART = "Evaluate on rows that were kept apart"


def seen_before(model: Model, rows: Rows, trained: Rows | None) -> tuple[str, list[Finding]]:
    """Say how the rows stand to those that the model was fitted on."""
    own = _is_of_the_fit(model, rows)
    known = None if trained is None else _is_of_the_fit(model, trained)
    findings = list(_told(own=own, known=known))
    if own:
        return "the rows that the model was fitted on", findings
    if trained is None:
        return "not the set that the model was fitted on", findings
    values = {row.tobytes() for row in trained.x.numpy()}
    again = sum(row.tobytes() in values for row in rows.x.numpy())
    if 2 * again >= len(rows):
        told = f"{again} of these {len(rows)} rows are training rows too, so the numbers say little of new rows"
        findings.append(Finding("training-rows", told, APART))
    told = "a training row" if known else "a row given as train=, which the model was not fitted on"
    return f"{again} of {len(rows)} rows equal {told}", findings


def seen_by(
    model: Any, X: Any, train: Any, closer: Callable[[bool], Iterable[Finding]] = lambda _: ()
) -> list[Finding]:
    """Return the findings of `seen_before` for an application with measures of its own.

    Where it looks closer at how many of the rows to be judged are among those given as train=, what it finds stands in place of what the
    fingerprint tells; ``closer`` is told whether these are those of the fit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # said where the rows are judged
        own = _is_given_again(model, X)
        known = None if train is None else _is_given_again(model, train)
    looked = list(closer(known is True))
    kinds = {finding.kind for finding in looked}
    return [*(finding for finding in _told(own=own, known=known) if finding.kind not in kinds), *looked]


def _told(*, own: bool, known: bool | None) -> Iterator[Finding]:
    """Yield findings: ``own`` says that rows to be judged on are those of the fit, ``known`` that those of train= are, where given."""
    if known is False:
        told = "the rows given as train= are not those that the model was fitted on"
        yield Finding("other-training-rows", told, "Model and baselines then learned from different rows")
    if own:
        told = "these are the rows that the model learned from, so its numbers say nothing of new rows; "
        told += "the baselines learned from them too" if known else "the baselines learned from other rows"
        yield Finding("training-rows", told, APART)


def _is_of_the_fit(model: Model, rows: Rows) -> bool:
    return bool(fingerprint(rows) == model.data_["fingerprint"])


def _is_given_again(model: Model, raw: Any) -> bool:
    try:
        return _is_of_the_fit(model, encoded(model, raw))
    except DataError:
        return False  # told where these rows are used
