"""What a model keeps of its last fit: what a run folder says, what a fit that goes on must have in common with it, all if one fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engram.errors import UsageError
from engram.models.resolve import checked_parameters
from engram.parameters import checked

if TYPE_CHECKING:
    from engram.models.model import Model

# parameters that only decide how networks learn; models add their own, see `Model.may_change`
TRAINING = (
    "corruption", "corruption_level", "batch_size", "max_epochs", "max_time", "learning_rate", "schedule", "weight_decay", "clip", "ema",
    "early_stopping", "validation_fraction", "n_iter_no_change", "tol", "threads", "device", "precision", "random_state",
)  # fmt: skip


def remember(model: Model) -> None:
    """Keep the parameters that a model was fitted with, as their types have them and as JSON has them."""
    model._fitted = checked_parameters(model)
    model._described = model.described()


@contextmanager
def as_before_a_failure(model: Model) -> Iterator[None]:
    """Where what is done inside fails, leave a model as it was: fitted as before, or not at all."""
    before = dict(model.__dict__)
    try:
        yield
    except BaseException:
        model.__dict__ = before
        raise


def saved_parameters(model: Model) -> dict[str, Any]:
    """Return the parameters that a fitted model is saved with: those of its fit and, of those that act at use, the present ones."""
    cls = type(model)
    present = {name: checked(cls, name, getattr(model, name)) for name in cls.at_use}
    fitted: dict[str, Any] = model._fitted | model._described
    return fitted | present


def check_goes_on(model: Model, values: dict[str, Any]) -> None:
    """Raise `UsageError` where parameters that decide more than how networks learn are not those of the fit that is gone on with."""
    fitted = model._fitted | {"conditional": model.given_ is not None}
    others = [name for name in values if name not in model.may_change() and values[name] != fitted[name]]
    if others:
        told = ", ".join(f"{name}={_short(values[name])} (fitted with {_short(fitted[name])})" for name in others)
        raise UsageError(
            f"a fit that goes on keeps the networks and the distributions of the last one, and these parameters would change them: {told}. "
            "Set them back, or fit anew: warm_start=False, and fit in place of partial_fit."
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
