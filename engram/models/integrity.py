"""What a run folder says is checked before anything is built from it: types, sizes, and that weights and description belong together.

Whoever changed a folder by accident or on purpose gets a `RunError`, not a crash later on, and no memory is taken for
numbers that stand only in a text.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import typing
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Interval, Len
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from engram.data.columns import Column
from engram.data.dates import DateForm
from engram.data.dtypes import MOST_PLACES
from engram.data.labels import read
from engram.data.texts import NumberStyle
from engram.errors import RunError
from engram.training.nets import Nets
from engram.training.run import RESTORE
from engram.training.settings import Settings

LARGEST_ROW = 1 << 24  # values of a row: a picture of 4096 x 4096
LONG_NUMBER = re.compile(r"\d{4}")  # in the name of a type: "U1000000000" would take a gigabyte for every cell
FITTED: dict[str, Any] = {"stopped": str, "best_step": int | None, "n_iter": int}
DATA: dict[str, Any] = {"rows": int, "trained_on": int, "fingerprint": str}
SHAPES: dict[str, Any] = {"code_size": int, "widths": list[int], "family": str, "skip": bool}
Cell = str | int | float | bool
FORM: dict[str, Any] = {  # how cells are written, see `Column`
    "words": Annotated[list[str], Len(2, 2)],
    "whole": bool,
    "mixed": bool,
    "categories": list[Cell],
    "ordered": bool,
    "rest": int,
    "in doubt": int,
    "decimal": Annotated[int, Interval(ge=0, le=MOST_PLACES)],
    "cells": dict[str, Any],
    "texts": str,
    "fixed": bool,
}
STYLES: dict[str, type[DateForm | NumberStyle]] = {"date": DateForm, "number": NumberStyle}
REPORT: dict[str, Any] = {"step": int, "epoch": float, "terms": dict[str, float]}
PLAIN = (
    Cell | None | list[Cell | None] | dict[str, Cell | None]
)  # of a value without a type of its own: not nested deeply


class Damage(ValueError):  # noqa: N818 - it becomes a RunError where the folder's name is known
    """What a run folder says cannot be."""


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def typed(place: str, value: Any, annotation: Any) -> Any:
    """Return ``value`` if it is of a type, without any conversion but from whole numbers to others."""
    try:
        return _adapter(annotation).validate_python(value, strict=True)
    except ValidationError as error:
        raise Damage(f"{place}: {error.errors()[0]['msg'].removeprefix('Input ')}") from None


def fields_of(place: str, values: dict[str, Any], types: dict[str, Any]) -> dict[str, Any]:
    """Return ``values``, each of which that has a type is there and of it; the others are plain."""
    missing = [name for name in types if name not in values]
    if missing:
        raise Damage(f"{place}.{missing[0]} is missing")
    return {name: typed(f"{place}.{name[:40]}", value, types.get(name, PLAIN)) for name, value in values.items()}


def known_fields_of(place: str, values: Any, cls: type) -> dict[str, Any]:
    """Return ``values`` as arguments of a dataclass: each known and of its declared type; what is not there has its default."""
    types = typing.get_type_hints(cls)
    given: dict[str, Any] = typed(place, values, dict[str, Any])
    unknown = set(given) - {field.name for field in dataclasses.fields(cls)}
    if unknown:
        raise Damage(f"{place}.{min(unknown)[:40]} is unknown")
    return fields_of(place, given, {name: types[name] for name in given})


def settings_of(values: dict[str, Any]) -> Settings:
    """Return the settings of a fit; threads beyond this machine's processors are not asked for."""
    found = Settings(**known_fields_of("settings", values, Settings))
    if found.threads < 1:
        raise Damage(f"settings.threads is {found.threads}")
    return dataclasses.replace(found, threads=min(found.threads, os.cpu_count() or 1))


def check_state(state: Any) -> dict[str, Any]:
    """Return the state of a kind, without a type or a shape that asks for memory no data could have filled."""
    if not isinstance(state, dict):
        raise Damage("kind.json: state is no object")
    shape = state.get("shape", [])
    if math.prod(typed("kind.json: shape", shape, list[int])) > LARGEST_ROW or any(n < 1 for n in shape):
        raise Damage(f"kind.json: rows of shape {str(shape)[:60]} cannot be")
    typed("kind.json: hints", state.get("hints", []), list[str])
    check_names(state.get("names", {}))
    columns = typed("kind.json: columns", state.get("columns", []), list[dict[str, Any]])
    for part in [state, *columns]:
        typed("kind.json: name", part.get("name"), Cell | None)
        values = typed("kind.json: values", part.get("values", []), list[Cell])
        if len(set(values)) < len(values):
            raise Damage("kind.json: a value occurs twice in values")
        for name, annotation in _column_types().items():
            if part is not state and name in part:
                part[name] = typed(f"kind.json: {name}", part[name], annotation)  # 10**30 as a float
        check_form(part.get("form", {}))
        dtype = part.get("dtype")
        if dtype is not None and LONG_NUMBER.search(typed("kind.json: dtype", dtype, str)):
            raise Damage(f"kind.json: the type {dtype[:40]!r} cannot be")
    return {**state, "columns": columns}


def check_form(form: dict[str, Any]) -> None:
    """Raise where cells cannot have been written in the way that a column's form says."""
    for name, value in form.items():
        place = f"kind.json: form.{name[:40]}"
        if name in STYLES:
            wrong = STYLES[name](**known_fields_of(place, value, STYLES[name])).wrong()
            if wrong:
                raise Damage(f"{place}: {wrong}")
        elif name in FORM:
            typed(place, value, FORM[name])
            if name == "cells":
                check_labels(place, value.values())
        else:
            raise Damage(f"{place} is unknown")


def check_labels(place: str, labels: Iterable[Any]) -> None:
    """Raise where a label stands for no cell or name."""
    try:
        for label in labels:
            read(label)
    except (ValueError, RecursionError) as error:
        raise Damage(f"{place}: {str(error)[:60]}") from None


def check_names(names: Any) -> None:
    """Raise where columns cannot have been called so."""
    place = "kind.json: names"
    known = typed(place, names, dict[str, Any])
    if "names" in known:
        check_labels(place, typed(place, known["names"], dict[str, Any]).values())
        check_labels(place, typed(place, known.get("levels"), Annotated[list[Any], Len(1)]))
    elif known:
        typed(place, known.get("texts"), str)


@cache
def _column_types() -> dict[str, Any]:
    """Return the types of what a table says of a column, where JSON has them too."""
    plain = (str, int, float, bool, list, dict)
    found = typing.get_type_hints(Column)
    return {name: each for name, each in found.items() if (typing.get_origin(each) or each) in plain}


def check_shapes(shapes: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Return the shapes of the networks, if they can be those of the tensors."""
    found = fields_of("shapes", shapes, SHAPES)
    widths = found["widths"]
    if found["code_size"] < 0 or any(width < 1 for width in widths) or len(widths) > len(tensors):
        raise Damage("shapes: these networks cannot be those of the weights")
    return found


def check_weights(nets: Nets, tensors: dict[str, Tensor]) -> None:
    """Raise where networks (on no device, so of no size) and the tensors of a folder do not belong together."""
    expected = nets.state_dict()
    differing = expected.keys() ^ tensors.keys()
    if differing:
        raise Damage(
            f"weights.safetensors: {min(differing)} is {'missing' if min(differing) in expected else 'too much'}"
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise Damage(f"weights.safetensors: {name} is {_told(tensor)}, expected {_told(expected[name])}")
        if not bool(tensor.isfinite().all()):  # no fit that ended has such weights
            raise Damage(f"weights.safetensors: {name} holds what is no number")


def _told(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def check_reports(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the reports of a log, each with its step and terms."""
    return [fields_of("log.jsonl", report, REPORT) for report in reports]


def damaged(folder: str | Path, error: Exception) -> RunError:
    """Return the error of a folder that cannot be read."""
    detail = str(error).partition("\n")[0] or type(error).__name__
    return RunError(f"{str(folder)!r} is damaged: {detail}. {RESTORE}")


def on_no_device() -> torch.device:
    """Return the device on which tensors have shapes and no memory."""
    return torch.device("meta")
