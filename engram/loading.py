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
    """Return an unfitted model or application by its registered name.

    Parameters
    ----------
    name : str
        One of those that `engram list models` and `engram list apps` tell, such as "vae".
    **parameters
        Parameters of its class, beyond those that make the variant, or instead of them.

    Returns
    -------
    model
        An unfitted one. Values of parameters are checked by `fit`.

    Raises
    ------
    UsageError
        The name or a parameter is unknown; the message has the nearest known ones.
    """
    entry = fitting(name)
    check_names(entry.value, parameters)
    model: Model = entry.value(**{**entry.parameters, **parameters})
    return model


def load(path: str | Path, modules: dict[str, nn.Module] | None = None) -> Model:
    """Return the fitted model of a run folder. No code from the folder is run, and no pickle is read.

    Parameters
    ----------
    path : path
        A folder that ``save``, ``fit(..., run=path)`` or ``engram fit`` wrote.
    modules : dict of torch.nn.Module, optional
        Your own networks by their parameter ("encoder", "decoder"), where the model was fitted with such: of the same architecture.

    Returns
    -------
    model
        The fitted model or application, ready to use.

    Raises
    ------
    RunError
        The folder is missing, damaged, or of a newer version; or it holds a fit that was not finished.
    UsageError
        Networks of your own are lacking, or there are some that the run does not have.
    """
    return load_model(path, modules)
