"""What a fit was made with, and why "auto" became what it did: one line each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engram.likelihoods import LIKELIHOODS, LogEncoded, LogNormal
from engram.models.sheets import is_game

if TYPE_CHECKING:
    from engram.models.model import Model


GAME = {  # reasons that are others where a game teaches a generator
    "code_size": "dimensions of the noise: as many as a row has values, at most 64",
    "network": "the pair of players that suits rows of this kind",
    "hidden": "widths of the discriminator's hidden layers, from the size of a row; reversed in the generator",
    "batch_size": "256 rows of tables, 64 pictures",
    "max_epochs": "5,000 steps for tables, 10,000 for pictures",
    "learning_rate": "2e-3 for tables, 1e-3 for pictures, 2e-4 where these have no penalty; it stays, and falls at the end",
}


def chosen(model: Model) -> list[dict[str, Any]]:
    """Return name, value, whether it was given, and the reason."""
    params = model.get_params(deep=False)
    why_in_game = GAME if is_game(model.network_) else {}
    if "code_size" not in model.automatic(model.kind_):  # as in other models with codes
        why_in_game = {name: why for name, why in why_in_game.items() if name != "code_size"}
    return [
        {
            "name": name,
            "value": value,
            "given": _given(params, name),
            "why": "as given" if _given(params, name) else why_in_game.get(name, why),
        }
        for name, value, why in _resolved(model)
    ]


def _given(params: dict[str, Any], name: str) -> bool:
    return name in params and params[name] not in ("auto", None)


def _resolved(model: Model) -> list[tuple[str, str, str]]:
    kind, shapes, settings = model.kind_, model.shapes_, model.settings_
    data: dict[str, Any] = model.data_
    rows, values = data["trained_on"], math.prod(shapes.row)
    weights = model.network_.n_weights
    size = (
        "a third of the encoded columns, 2 to 32"
        if kind.name == "table"
        else "about the square root of the values of a picture"
    )
    layers = " – ".join(map(str, shapes.widths)) or "none: linear"
    family = {"mlp": "fully connected", "conv": "convolutions", "conv-pool": "convolutions and max pooling"}.get(
        shapes.family, shapes.family
    )
    steps = settings.max_epochs * -(-rows // settings.batch_size)
    threads = (
        "steps are small: a second thread costs more than it gives"
        if settings.threads == 1
        else "steps are large enough"
    )
    device = "no accelerator found" if settings.device == "cpu" else "an accelerator was found"
    linear = ", and a linear path beside it where training begins at principal components" if shapes.skip else ""
    return [
        ("kind", kind.name, "from the form of the data"),
        ("code_size", str(shapes.code_size), size),
        ("network", f"{family}, {weights:,} weights", f"suits rows of {values} encoded values{linear}"),
        ("hidden", layers, "widths of the encoder's hidden layers, from the size of a row; reversed in the decoder"),
        ("likelihood", _likelihood(model), "the distribution that suits the columns' types"),
        ("batch_size", str(settings.batch_size), f"a power of two near a sixteenth of {rows:,} rows, 16 to 256"),
        ("max_epochs", str(settings.max_epochs), f"at most: {steps:,} steps; 30 to 400 passes over the rows"),
        (
            "learning_rate",
            f"{settings.learning_rate:.2g}",
            f"2e-3, less for more than 100,000 weights; then {settings.schedule}",
        ),
        ("threads", str(settings.threads), threads),
        ("device", settings.device, device),
        ("precision", settings.precision, "the default"),
        ("random_state", str(settings.seed), "drawn; this number gives the same weights again"),
    ]


def _likelihood(model: Model) -> str:
    likelihood = model.kind_.likelihood()
    names = {cls: name for name, cls in LIKELIHOODS.items()}
    parts: list[Any] = likelihood.side_by_side()
    bare = [LogNormal if isinstance(part, LogEncoded) else type(getattr(part, "part", part)) for part in parts]
    return ", ".join(dict.fromkeys(names[cls] for cls in bare))
