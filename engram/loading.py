"""Models by name and from run folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram.models.saving import load_model
from engram.parameters import check_names
from engram.registry import fitting

if TYPE_CHECKING:
    from torch import nn

    from engram.models.model import Model


def create(name: str, **parameters: Any) -> Model:
    """Return an unfitted model or application by its registered name; ``parameters`` go beyond or against the variant's own.

    Raises `UsageError` for an unknown name or parameter, with the nearest known ones.
    """
    entry = fitting(name)
    check_names(entry.value, parameters)
    model: Model = entry.value(**{**entry.parameters, **parameters})
    return model


def load(path: str | Path, modules: dict[str, nn.Module] | None = None) -> Model:
    """Return the fitted model of a run folder; ``modules`` hands back your own networks by role.

    No code from the folder is run, and no pickle is read. Raises `RunError` for a folder that is missing or damaged.
    """
    return load_model(path, modules)
