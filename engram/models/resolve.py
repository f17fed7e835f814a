"""What "auto" becomes: shapes and settings from the data's shape and the network's arithmetic, and the rows that are held out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from engram.corruptions import check_level
from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.errors import DataError, UsageError
from engram.models.options import Options
from engram.models.parts import Shapes
from engram.networks import Network
from engram.parameters import checked, parameters_of
from engram.training import Finding, Settings
from engram.training.nets import Nets
from engram.training.settings import (
    auto_batch_size,
    auto_epochs,
    auto_learning_rate,
    auto_threads,
    auto_weight_decay,
    flops_per_row,
    seconds,
)


def checked_parameters(model: Options) -> dict[str, Any]:
    """Return a model's parameters as their declared types have them; raise `UsageError` for those that cannot be, or not together."""
    cls: type = type(model)
    values = {name: checked(cls, name, getattr(model, name)) for name in parameters_of(cls)}
    check_level(values["corruption"], values["corruption_level"])
    return values


def settled(values: dict[str, Any], automatic: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with what a model has of its own for "auto"; what is no parameter is added."""
    return values | {name: value for name, value in automatic.items() if values.get(name, "auto") == "auto"}


FEWEST_TO_SPLIT = 10  # rows; with fewer, holding out would cost more than it tells


def auto_code_size(kind: Kind) -> int:
    """A third of a table's encoded columns, 2 to 32; for pictures about the square root of their values, at least 16."""
    size = int(math.prod(kind.shape))
    if kind.name == "table":
        return max(1, min(max(2, math.ceil(size / 3)), 32, size))
    return max(1, min(size, max(16, 1 << round(math.log2(size) / 2))))


def resolve_shapes(kind: Kind, values: dict[str, Any], families: Mapping[str, Network], n_given: int = 0) -> Shapes:
    """Return the shapes of a fit; a given tuple of widths means the plain network, "auto" one with a linear path."""
    code_size = auto_code_size(kind) if values["code_size"] == "auto" else values["code_size"]
    given = values["hidden"] != "auto"
    family = values["network"]
    if family == "auto":
        family = "mlp" if given else kind.network()
    if family != "mlp" and len(kind.shape) != 3:
        raise UsageError(
            f"network={family!r} needs pictures, but these data are a {kind.name} of rows of shape {kind.shape}. Use network='mlp'."
        )
    widths = tuple(values["hidden"]) if given else families[family].widths(kind.shape, code_size)
    modules = {role: values[role] for role in ("encoder", "decoder") if values[role] is not None}
    skip = family == "mlp" and not given and not modules
    return Shapes(kind.shape, code_size, widths, family, skip, values["dropout"], kind.likelihood(), modules, n_given)


WARMUP = 0.25  # share of training over which a VAE's KL term rises, where training does not begin at a closed form


def resolve_settings(
    nets: Nets, n_rows: int, values: dict[str, Any], seed: int, device: str, *, began: bool
) -> Settings:
    """Return the settings of a fit without any "auto"; ``began`` says that the networks begin at a closed form."""
    batch_size = auto_batch_size(n_rows) if values["batch_size"] == "auto" else values["batch_size"]
    batch_size = min(batch_size, n_rows)
    warmup = values.get("warmup", 0.0)
    n_parameters = nets.n_weights
    count = auto_threads(3 * flops_per_row(nets) * batch_size) if values["threads"] == "auto" else values["threads"]
    return Settings(
        batch_size=batch_size,
        max_epochs=_epochs(n_rows, batch_size, n_parameters, values, began=began),
        learning_rate=auto_learning_rate(n_parameters, began=began)
        if values["learning_rate"] == "auto"
        else values["learning_rate"],
        schedule="cosine" if values["schedule"] == "auto" else values["schedule"],
        weight_decay=auto_weight_decay(began=began) if values["weight_decay"] == "auto" else values["weight_decay"],
        clip=values["clip"],
        ema=values["ema"],
        early_stopping=values["early_stopping"],
        n_iter_no_change=values["n_iter_no_change"],
        tol=values["tol"],
        max_time=seconds(values["max_time"]),
        threads=count,
        device=device,
        precision="float32" if values["precision"] == "auto" else values["precision"],
        seed=seed,
        warmup=(0.0 if began else WARMUP) if warmup == "auto" else warmup,
    )


def _epochs(n_rows: int, batch_size: int, n_parameters: int, values: dict[str, Any], *, began: bool) -> int:
    """Return the most passes: the given ones, those that a model's own number of steps needs, or the automatic ones."""
    if values["max_epochs"] != "auto":
        return int(values["max_epochs"])
    if "steps" in values:
        steps: int = values["steps"]
        return math.ceil(steps / math.ceil(n_rows / batch_size))
    return auto_epochs(n_rows, batch_size, n_parameters, began=began)


def split(
    rows: Rows, validation: Rows | None, values: dict[str, Any], seed: int
) -> tuple[Rows, Rows | None, list[Finding]]:
    """Return (rows to train on, held-out rows or None, findings)."""
    if len(rows) == 0:
        raise DataError("there are no rows to learn from.")
    if validation is not None:
        return rows, validation, []
    if not values["early_stopping"]:
        return rows, None, []
    if len(rows) < FEWEST_TO_SPLIT:
        told = f"{len(rows)} row{'s are' if len(rows) > 1 else ' is'} too few to hold any out: nothing was checked on unseen rows"
        return rows, None, [Finding("no-held-out-rows", told, "Collect more rows before trusting any number")]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    n_held = min(max(1, round(len(rows) * values["validation_fraction"])), len(rows) - 1)
    return rows.take(order[n_held:]), rows.take(order[:n_held]), []
