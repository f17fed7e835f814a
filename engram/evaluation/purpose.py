"""What a model is for, by what it can do."""

from __future__ import annotations

from inspect import signature
from typing import Any

from sklearn.base import TransformerMixin

from engram.models.codes import Codes
from engram.models.model import Model
from engram.models.scores import Scores
from engram.models.sheets import is_game

LOG_P_VALUE = "log of the p-value"  # what the scores are of models that find anomalies; those of others are log densities, in nats


def only_generates(model: Any) -> bool:
    """Whether rows that it generates are all that can be judged of a model: it gives no codes and no scores."""
    return not isinstance(model, TransformerMixin | Scores)


def is_for_generation(model: Any) -> bool:
    """Whether rows that it generates are judged unasked: those are all it gives, or a game over rows taught it."""
    return only_generates(model) or is_game(model.network_)


def draws(model: Any) -> bool:
    """Whether a model can generate rows at all: by a way of its own, or from codes that it knows how to draw."""
    cls = type(model)
    sample = getattr(cls, "sample", None)
    return sample is not None and (sample is not Codes.sample or cls.draw_codes is not Model.draw_codes)


def draws_for_cells(model: Any) -> bool:
    """Whether rows can be drawn for given cells: ``sample(n, given=...)``."""
    return draws(model) and "given" in signature(model.sample).parameters


def finds_anomalies(model: Any) -> bool:
    """Whether finding strange rows, and saying which cells are to blame, is what a model is for."""
    return hasattr(model, "explain") and hasattr(model, "pvalues")
