"""What a fit was made with, and why "auto" became what it did: one line each.

Reasons of what a model chooses itself are the model's (`Model.reasons`); here are those of the rules that hold for all others, see
`engram.models.resolve`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engram.likelihoods import LIKELIHOODS, LogEncoded, LogNormal
from engram.models.sheets import is_game
from engram.parameters import changed, parameters_of
from engram.training.settings import ONE_THREAD_BELOW, flops_per_row

if TYPE_CHECKING:
    from engram.models.model import Model

FAMILIES = {"mlp": "fully connected", "conv": "convolutions", "conv-pool": "convolutions and max pooling"}
SCHEDULES = {"hold": "it stays, and falls at the end"}  # others by their names


def chosen(model: Model) -> list[dict[str, Any]]:
    """Return name, value, whether it was given, and the reason; without what the model does nothing with."""
    names = given(model)
    own, rules = model.reasons(), _rules(model)
    return [
        {
            "name": name,
            "value": value,
            "given": name in names,
            "why": "as given" if name in names else _completed(model, name, own.get(name, rules[name])),
        }
        for name, value in _values(model).items()
        if name not in model.unused
    ]


def given(model: Model) -> set[str]:
    """Return the parameters that are not the model's defaults, and say something."""
    found = changed(type(model), model.get_params(deep=False))
    return {name for name, value in found.items() if value not in ("auto", None)}


def _values(model: Model) -> dict[str, str]:
    """Return what a fit was made with, as texts by parameter."""
    shapes, settings = model.shapes_, model.settings_
    family = FAMILIES.get(shapes.family, shapes.family)
    return {
        "kind": model.kind_.name,
        "code_size": str(shapes.code_size),
        "network": f"{family}, {model.network_.n_weights:,} weights",
        "hidden": " – ".join(map(str, shapes.widths)) or "none: linear",
        "likelihood": _likelihood(model),
        "batch_size": str(settings.batch_size),
        "max_epochs": str(settings.max_epochs),
        "learning_rate": f"{settings.learning_rate:.2g}",
        "threads": str(settings.threads),
        "device": settings.device,
        "precision": settings.precision,
        "random_state": str(settings.seed),
    }


def _rules(model: Model) -> dict[str, str]:
    """Return the reasons of what the common rules choose, by parameter."""
    kind, shapes, settings = model.kind_, model.shapes_, model.settings_
    linear = ", and a linear path beside it where training begins at principal components" if shapes.skip else ""
    is_own = parameters_of(type(model))["kind"].default != "auto"
    whose = "discriminator's hidden layers, from the size of a row; reversed in the generator"
    if not is_game(model.network_):
        whose = "encoder's hidden layers, from the size of a row; reversed in the decoder"
    return {
        "kind": f"what {type(model).__name__} is made for" if is_own else "from the form of the data",
        "code_size": "a third of the encoded columns, 2 to 32"
        if kind.name == "table"
        else "about the square root of the values of a row",
        "network": f"suits rows of {math.prod(shapes.row)} encoded values{linear}",
        "hidden": f"widths of the {whose}",
        "likelihood": "the distribution that suits the columns' types",
        "batch_size": f"a power of two near a sixteenth of {model.data_['trained_on']:,} rows, 16 to 256, at most all of them",
        "max_epochs": "30 to 400 passes over the rows",
        "learning_rate": "2e-3; less for many weights where training begins at principal components",
        "threads": _threads(model),
        "device": "no accelerator found" if settings.device == "cpu" else "an accelerator was found",
        "precision": "the default",
        "random_state": "drawn; this number gives the same weights again",
    }


def _completed(model: Model, name: str, why: str) -> str:
    """Return a reason with what belongs to it, whoever chose: how many steps passes are, how the learning rate goes on."""
    settings = model.settings_
    if name == "max_epochs":
        steps = settings.max_epochs * -(-model.data_["trained_on"] // settings.batch_size)
        return f"at most: {steps:,} steps; {why}"
    if name == "learning_rate":
        return f"{why}; then {SCHEDULES.get(settings.schedule, settings.schedule)}"
    return why


def _threads(model: Model) -> str:
    steps = 3 * flops_per_row(model.network_) * model.settings_.batch_size
    if steps < ONE_THREAD_BELOW:
        return "steps are small: a second thread costs more than it gives"
    return "steps are large enough for all threads that torch was given"


def _likelihood(model: Model) -> str:
    likelihood = model.kind_.likelihood()
    names = {cls: name for name, cls in LIKELIHOODS.items()}
    parts: list[Any] = likelihood.side_by_side()
    bare = [LogNormal if isinstance(part, LogEncoded) else type(getattr(part, "part", part)) for part in parts]
    return ", ".join(dict.fromkeys(names[cls] for cls in bare))
