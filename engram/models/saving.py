"""A fitted model to a run folder and back. Nothing in the folder names a class or holds code; networks are built anew from the registry."""

from __future__ import annotations

import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from engram.data.given import Conditions
from engram.data.kind import Kind, kind_class
from engram.errors import RunError, UsageError
from engram.models.card import model_card
from engram.models.integrity import (
    DATA,
    FITTED,
    check_reports,
    check_shapes,
    check_state,
    check_weights,
    damaged,
    fields_of,
    on_no_device,
    settings_of,
)
from engram.models.parts import Shapes
from engram.models.remembered import remember, saved_parameters
from engram.parameters import checked, parameters_of, to_json
from engram.registry import fitting, name_of
from engram.training.findings import Finding
from engram.training.history import History
from engram.training.nets import Nets
from engram.training.run import (
    SCHEMA,
    Config,
    dumps,
    read_config,
    read_json,
    read_log,
    read_tensors,
    tensors_to_bytes,
)
from engram.training.session import seeded
from engram.version import VERSION

if TYPE_CHECKING:
    from engram.models.model import Model

MODULES = ("encoder", "decoder")  # parameters that hold the user's own networks


def run_files(model: Model) -> dict[str, bytes]:
    """Return the files of the run folder of a fitted model."""
    return {
        "config.json": dumps(config_of(model).model_dump()),
        "kind.json": dumps(kind_of(model)),
        "weights.safetensors": tensors_to_bytes(state_of(model)),
        "log.jsonl": b"".join(dumps_line(report) for report in model.history_.reports),
        "README.md": model_card(model).encode(),
    }


def kind_of(model: Model) -> dict[str, Any]:
    """Return what ``kind.json`` says of a fitted model: its kind and, of a conditional one, what y is."""
    found = {"schema_version": SCHEMA, "kind": model.kind_.name, "state": model.kind_.to_dict()}
    return found if model.given_ is None else found | {"given": model.given_.to_dict()}


def dumps_line(report: dict[str, Any]) -> bytes:
    """Return one line of the log."""
    return b" ".join(dumps(report).split()) + b"\n"


def state_of(model: Model) -> dict[str, torch.Tensor]:
    """Return all that a fitted model keeps in tensors."""
    return {
        **model.network_.state_dict(),
        **{f"_fitted.{name}": value for name, value in model.fitted_tensors().items()},
    }


def config_of(model: Model) -> Config:
    """Return what ``config.json`` says of a fitted model."""
    given = saved_parameters(model)
    plain = {name: value for name, value in given.items() if name not in MODULES}
    if not isinstance(plain["random_state"], int | type(None)):
        plain["random_state"] = model.settings_.seed
    shapes = model.shapes_
    return Config(
        schema_version=SCHEMA,
        engram=VERSION,
        model=name_of(type(model)),
        parameters=to_json(plain),
        modules=[name for name in MODULES if given[name] is not None],
        shapes={
            "code_size": shapes.code_size,
            "widths": list(shapes.widths),
            "family": shapes.family,
            "skip": shapes.skip,
        },
        settings=asdict(model.settings_),
        kind=model.kind_.name,
        data=model.data_,
        fitted={
            "stopped": model.history_.stopped,
            "best_step": model.history_.best_step,
            "n_iter": model.n_iter_,
            "weights": model.network_.n_weights,
        },
        findings=[finding.to_dict() for finding in model.findings_],
        versions={"python": platform.python_version(), "torch": torch.__version__},
    )


def load_model(path: str | Path, modules: dict[str, nn.Module] | None = None) -> Model:
    """Return the fitted model of a run folder; ``modules`` hands back the user's own networks by role.

    Raises `RunError` for what is missing or damaged. No code is executed and no class is named in the folder.
    """
    folder = Path(path)
    config = read_config(folder)
    needed, given = set(config.modules), set(modules or {})
    if needed != given:
        lacking = ", ".join(sorted(needed - given)) or "none"
        raise UsageError(
            f"{str(path)!r} needs the user's own networks in modules= for: {', '.join(config.modules) or 'none'}. Lacking: {lacking}."
        )
    try:
        model = _rebuilt(folder, config, modules or {})
    except RunError:
        raise
    except Exception as error:
        raise damaged(path, error) from error
    return model


def _rebuilt(folder: Path, config: Config, modules: dict[str, nn.Module]) -> Model:
    cls: Any = fitting(config.model).value
    known = parameters_of(cls)
    values = {name: checked(cls, name, value) for name, value in config.parameters.items() if name in known}
    if len(values) < len(config.parameters):
        raise RunError(
            f"{str(folder)!r} has parameters that {config.model} does not know: {sorted(set(config.parameters) - set(known))}."
        )
    model: Model = cls(**values, **modules)
    model.kind_ = kind_from(folder, config)
    model.given_ = given_from(folder, values["conditional"])
    model.settings_ = settings_of(config.settings)
    model.data_ = fields_of("data", config.data, DATA)
    fitted = fields_of("fitted", config.fitted, FITTED)
    model.history_ = History(check_reports(read_log(folder)), fitted["stopped"], fitted["best_step"])
    model.loss_curve_ = model.history_.losses
    model.n_iter_ = fitted["n_iter"]
    model.findings_ = [Finding(**finding) for finding in config.findings]
    tensors = read_tensors(folder)
    found = {n.removeprefix("_fitted."): tensors.pop(n) for n in list(tensors) if n.startswith("_fitted.")}
    model.shapes_ = shapes_from(model, config, tensors)
    if not modules:  # before any memory is taken for them
        with on_no_device():
            check_weights(Nets(model.roles(model.shapes_)), tensors)
    with seeded(0):
        nets = Nets(model.roles(model.shapes_))
    model.restore_tensors(found)
    nets.load_state_dict(tensors, strict=True)
    model.network_ = nets.eval()
    model.set_feature_attributes()
    remember(model)
    return model


def kind_from(folder: Path, config: Config) -> Kind:
    """Return the kind that the folder describes, tried on a few rows."""
    described = read_json(folder, "kind.json")
    kind_of = kind_class(described["kind"])
    if described["kind"] != config.kind:
        raise RunError(f"{str(folder)!r} is damaged: the kind is {described['kind']!r} here and {config.kind!r} there.")
    with np.errstate(divide="raise", over="raise", invalid="raise"):  # a scale of zero, say
        kind = kind_of.from_dict(check_state(described["state"]))
        kind.decode(torch.zeros(17, *kind.shape))
    return kind


def given_from(folder: Path, conditional: bool | str) -> Conditions | None:
    """Return what y is, of a conditional model."""
    described = read_json(folder, "kind.json")
    if not conditional or (conditional == "auto" and "given" not in described):
        return None
    return Conditions.from_dict(described["given"])


def shapes_from(model: Model, config: Config, tensors: dict[str, torch.Tensor]) -> Shapes:
    """Return the shapes that the folder describes."""
    own = {name: getattr(model, name) for name in config.modules}
    told = check_shapes(config.shapes, tensors)
    return Shapes(
        model.kind_.shape,
        told["code_size"],
        tuple(told["widths"]),
        told["family"],
        told["skip"],
        model.dropout,
        model.kind_.likelihood(),
        own,
        0 if model.given_ is None else model.given_.size,
    )
