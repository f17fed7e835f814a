"""What a fit would do, found out without training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from sklearn.base import clone

from engram.data.given import Conditions
from engram.data.kind import Kind, as_kind, warn_notes
from engram.data.stream import some
from engram.errors import UsageError
from engram.models.model import Model
from engram.models.resolve import checked_parameters, resolve_settings, resolve_shapes, settled, split
from engram.training.nets import Nets
from engram.training.session import seed_from, seeded
from engram.training.settings import auto_device, seconds


def check(model: Model, rows: Any) -> None:
    """Raise what a fit would raise for wrong parameters or a bad cell, and tell what would be left out."""
    values = checked_values(model)
    kind, raw = _kind(model, rows, values)
    raw = some(raw)
    warn_notes([kind.fit(raw).encode(kind.conform(raw)).notes])
    resolve_shapes(kind, settled(values, model.automatic(kind)), model.families)
    seconds(model.max_time)


def _kind(model: Model, rows: Any, values: dict[str, Any]) -> tuple[Kind, Any]:
    wishes = {name: values[name] for name in ("columns", "likelihood")}
    return as_kind(rows, model.kind, constants=model.keeps_constants, **wishes)


def checked_values(model: Model) -> dict[str, Any]:
    """Return the parameters as their declared types have them."""
    try:
        device = torch.device("cpu" if model.device == "auto" else model.device)
    except RuntimeError:
        raise UsageError(f"--device {model.device!r} is no device. Give auto, cpu or cuda.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: this machine, or this torch, has no CUDA. Give auto or cpu.")
    return checked_parameters(model)


def plan(model: Model, rows: Any, y: Any = None) -> dict[str, Any]:
    """Return what "auto" becomes for these rows: kind, columns, likelihood, network, settings; nothing is trained."""
    model = clone(model)
    values = checked_values(model)
    kind, raw = _kind(model, rows, values)
    n_rows, raw = len(raw), some(raw)
    encoded = kind.fit(raw).encode(kind.conform(raw))
    seed = seed_from(model.random_state)
    part, held_out, _ = split(encoded, None, values, seed)
    n_train = n_rows - (0 if held_out is None else len(held_out))
    n_train = n_train if model.most_rows is None else min(n_train, model.most_rows)
    model.kind_, model.given_ = kind, None if y is None else Conditions.fit(y, len(encoded))
    values = settled(values, model.automatic(kind) | model.suited(part))
    if model.given_ is not None:
        # which of them does not change shapes
        part = replace(part, y=model.given_.encode(y, len(encoded), said=False)[: len(part)])
    device = auto_device() if model.device == "auto" else model.device
    model.data_ = {"trained_on": n_train}
    model.prepare(values)
    shapes = model.shapes_
    with seeded(seed):
        nets = Nets(model.roles(shapes))
        began = not values.get("pretrain") and model.start(nets, part)  # which would train
        settings = resolve_settings(nets, n_train, values, seed, device, began=began)
    return {
        "kind": kind.name,
        "columns": [{"name": name, "type": told} for name, told in kind.describe()],
        "encoded_row": list(kind.shape),
        "likelihood": described(shapes.likelihood),
        "network": shapes.family + (" beside a linear path" if shapes.skip else ""),
        "starts_at": "principal components" if began else "random weights",
        "hidden": list(shapes.widths),
        "code_size": shapes.code_size,
        "parameters": nets.n_weights,
        "train_rows": n_train,
        "validation_rows": 0 if held_out is None else len(held_out),
        "batch_size": settings.batch_size,
        "epochs": settings.max_epochs,
        "steps": settings.max_epochs * -(-n_train // settings.batch_size),
        "learning_rate": settings.learning_rate,
        "threads": settings.threads,
        "device": settings.device,
        "precision": settings.precision,
    }


def described(likelihood: Any) -> str:
    """Return the name of a distribution; of blocks, the names and how many columns each has."""
    parts = getattr(likelihood, "parts", None)
    if parts is None:
        return type(likelihood).__name__.lower()
    counts: dict[str, int] = {}
    for part in parts:
        name = type(part).__name__.lower()
        counts[name] = counts.get(name, 0) + part.n_columns
    return ", ".join(f"{name} ({n} column{'s' * (n > 1)})" for name, n in counts.items())
