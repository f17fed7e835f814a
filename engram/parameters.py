"""Dataclass fields <-> parameters: checked values, JSON, command-line flags with help from the docstring.

A parameter is declared once, as a typed field of a dataclass with a line in the numpydoc ``Parameters`` section of the
class (or of the parent that declares it). Validation happens when ``fit`` begins, as scikit-learn asks, and by the
declared type alone.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from engram.errors import UsageError, nearest


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a model: its name, declared type, default and help text."""

    name: str
    type: Any
    default: Any
    help: str

    @property
    def flag(self) -> str:
        """The command-line flag, e.g. ``--code-size``."""
        return "--" + self.name.replace("_", "-")

    @property
    def is_simple(self) -> bool:
        """Whether a text or JSON value can stand for it (a network handed over by the caller cannot)."""
        return _is_simple(self.type)


def _is_simple(annotation: Any) -> bool:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _is_simple(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return any(_is_simple(a) for a in arguments if a is not type(None))
    return origin is typing.Literal or (origin or annotation) in (bool, int, float, str, tuple, list, dict)


@cache
def parameters_of(cls: type) -> dict[str, Parameter]:
    """Return the parameters of a dataclass by name, in the order of its constructor."""
    texts: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        texts.update(_documented(inspect.cleandoc(parent.__dict__.get("__doc__") or "")))
    types_by_name = typing.get_type_hints(cls, include_extras=True)
    fields = [f for f in dataclasses.fields(cls) if f.init]
    return {f.name: Parameter(f.name, types_by_name[f.name], f.default, texts.get(f.name, "")) for f in fields}


def _documented(docstring: str) -> dict[str, str]:
    """Read ``name : type`` entries of a numpydoc Parameters section; the first paragraph is the help text."""
    match = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}\n|\Z)", docstring, flags=re.MULTILINE | re.DOTALL)
    if not match:
        return {}
    found: dict[str, str] = {}
    for block in re.split(r"^(?=\S)", match.group(1), flags=re.MULTILINE):
        head, _, body = block.partition("\n")
        for name in head.partition(" :")[0].split(","):
            if name.strip():
                found[name.strip()] = " ".join(inspect.cleandoc(body).partition("\n\n")[0].split())
    return found


@cache
def _adapter(cls: type, name: str) -> TypeAdapter[Any]:
    return TypeAdapter(parameters_of(cls)[name].type, config=ConfigDict(arbitrary_types_allowed=True))


def plain(value: Any) -> Any:
    """Turn NumPy scalars (as parameter searches hand over) into Python's own, leave all else alone."""
    return value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value


def checked(cls: type, name: str, value: Any) -> Any:
    """Return ``value`` as the declared type of ``cls.name`` has it; raise `UsageError` with what was expected."""
    try:
        return _adapter(cls, name).validate_python(plain(value))
    except ValidationError as error:
        told = dict.fromkeys(e["msg"].removeprefix("Input ").removeprefix("Value error, ") for e in error.errors())
        raise UsageError(f"{name}={value!r} is not valid for {cls.__name__}: {'; '.join(told)}.") from None


def changed(cls: type, values: typing.Mapping[str, Any], own: typing.Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the values that are not the defaults of ``cls``; ``own`` are those of a variant, which stand in their place.

    A list is the same as a tuple, as JSON has it; True is another value than 1. A name without a default has changed.
    """
    defaults = to_json({name: p.default for name, p in parameters_of(cls).items()} | dict(own or {}))
    told = to_json(dict(values))
    return {name: v for name, v in values.items() if name not in defaults or not _same(told[name], defaults[name])}


def _same(a: Any, b: Any) -> bool:
    return a is b or (bool(a == b) and (type(a) is type(b) or {type(a), type(b)} <= {int, float}))


def check_names(cls: type, names: typing.Iterable[str]) -> None:
    """Raise `UsageError` for a name that is no parameter of ``cls``, with the nearest that are."""
    known = parameters_of(cls)
    for name in names:
        if name not in known:
            raise UsageError(f"{cls.__name__} has no parameter {name!r}. {nearest(name, known)}")


NUMBER = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"


def from_text(cls: type, name: str, text: str) -> Any:
    """Read a flag's text: none, JSON (3, true, [64, 32]), a number (.5), a tuple (``64,32``), else the text itself."""
    return checked(cls, name, _read(text))


def _read(text: str) -> Any:
    if text.lower() in ("none", "null"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        if re.fullmatch(NUMBER, text):
            return float(text)
    inner = text.removeprefix("(").removesuffix(")")
    parts = [part for part in inner.split(",") if part.strip()]
    if ("," in text or text == f"({inner})") and all(re.fullmatch(NUMBER, part) for part in parts):
        return [int(part) if re.fullmatch(r"\s*[+-]?\d+\s*", part) else float(part) for part in parts]
    return text


def to_json(values: dict[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON has them: tuples as lists, NumPy scalars as numbers."""
    return {name: list(value) if isinstance(value, tuple) else plain(value) for name, value in values.items()}


def checked_value(name: str, value: Any, annotation: Any) -> Any:
    """Return a method's argument as its annotation has it; raise `UsageError` with what was expected."""
    try:
        return TypeAdapter(annotation).validate_python(plain(value))
    except ValidationError as error:
        raise UsageError(f"{name}={value!r} is not valid: {error.errors()[0]['msg'].removeprefix('Input ')}.") from None
