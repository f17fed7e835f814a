"""What a fit would do, found out without training."""

from __future__ import annotations

from typing import Any

from engram.models.model import Model


def plan(model: Model, rows: Any, *, check: Any = None) -> dict[str, Any]:
    """Return what "auto" becomes for these rows: kind, columns, likelihood, network, settings; nothing is trained.

    ``check`` are rows that must be usable too: the whole source, so that a bad cell is met before an hour is spent.
    """
    import torch
    from torch import nn

    from engram.data.kind import as_kind, warn_notes
    from engram.models.resolve import resolve_settings, resolve_shapes, split
    from engram.parameters import checked, parameters_of
    from engram.training.session import seed_from, seeded
    from engram.training.settings import auto_device

    cls = type(model)
    values = {name: checked(cls, name, getattr(model, name)) for name in parameters_of(cls)}
    wishes = {"columns": values["columns"], "likelihood": values["likelihood"]}
    if check is not None:
        whole, raw = as_kind(check, model.kind, **wishes)
        warn_notes([whole.fit(raw).encode(whole.conform(raw))])
    kind, raw = as_kind(rows, model.kind, **wishes)
    encoded = kind.fit(raw).encode(kind.conform(raw))
    seed = seed_from(model.random_state)
    part, held_out, _ = split(encoded, None, values, seed)
    shapes = resolve_shapes(kind, values)
    device = auto_device() if model.device == "auto" else str(torch.device(model.device))
    with seeded(seed):
        nets = nn.ModuleDict(model.roles(shapes))
        settings = resolve_settings(nets, len(part), values, seed, device)
    return {
        "kind": kind.name,
        "columns": [{"name": name, "type": told} for name, told in kind.describe()],
        "encoded_row": list(kind.shape),
        "likelihood": described(shapes.likelihood),
        "network": shapes.family + (" with a linear path" if shapes.skip else ""),
        "hidden": list(shapes.widths),
        "code_size": shapes.code_size,
        "parameters": sum(p.numel() for p in nets.parameters()),
        "train_rows": len(part),
        "validation_rows": 0 if held_out is None else len(held_out),
        "batch_size": settings.batch_size,
        "epochs": settings.max_epochs,
        "steps": settings.max_epochs * -(-len(part) // settings.batch_size),
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
