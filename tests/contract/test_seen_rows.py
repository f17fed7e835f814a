"""Applications with measures of their own are told from what they learned, as models are: rows of the fit, and a wrong train=."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import engram

SMALL: dict[str, Any] = {"max_epochs": 1, "random_state": 0}


@cache
def judged(name: str) -> tuple[Any, Any, Any]:
    """Return a fitted application, what it was fitted on, and as much that it was not."""
    random = np.random.default_rng(0)
    if name == "recommendation":
        events = pd.DataFrame({"user": random.integers(0, 60, 500), "item": random.integers(0, 12, 500)})
        known, other = events[events.user < 30], events[events.user >= 30]
    elif name == "topics":
        counts = random.poisson(1.0, size=(60, 12))
        known, other = counts[:30], counts[30:]
    else:
        table = pd.DataFrame(random.normal(size=(60, 2)), columns=["a", "b"])
        known, other = table[:30], table[30:]
    more = {"n_topics": 2} if name == "topics" else {}
    return engram.create(name, **SMALL, **more).fit(known), known, other


def told(model: Any, X: Any, **more: Any) -> dict[str, str]:
    kinds = [
        (f.kind, f.message) for f in engram.evaluate(model, X, **more).findings if f.kind.endswith("training-rows")
    ]
    assert len(dict(kinds)) == len(kinds)
    return dict(kinds)


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("name", ["recommendation", "topics", "synthesis"])
def test_rows_of_the_fit_and_a_wrong_train_are_findings_of_an_application_too(name: str) -> None:
    model, known, other = judged(name)
    assert "the model learned from" in told(model, known)["training-rows"]
    assert told(model, known, train=known).keys() == {"training-rows"}
    assert told(model, other) == {}
    assert told(model, other, train=known) == {}
    assert told(model, known, train=other).keys() == {"training-rows", "other-training-rows"}
    assert "not those that the model was fitted on" in told(model, other, train=other)["other-training-rows"]


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("name", ["recommendation", "synthesis"])
def test_rows_of_a_wrong_train_are_not_called_rows_of_the_fit(name: str) -> None:
    model, _, other = judged(name)
    said = told(model, other, train=other)["training-rows"]
    assert "given as train=" in said
    assert "of the fit" not in said
    assert "are training rows" not in said


def test_users_of_the_fit_among_others_are_told_of_whose_they_are() -> None:
    model, known, _ = judged("recommendation")
    assert "of a user of the fit" in told(model, known[known.user < 20], train=known)["training-rows"]
