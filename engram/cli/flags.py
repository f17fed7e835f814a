"""A model's parameters as flags of ``engram fit NAME``: names, types and help come from its dataclass alone."""

from __future__ import annotations

import re
import types
import typing
from typing import Any

import click

from engram.errors import UsageError

ELSEWHERE = ("columns", "random_state", "verbose", "warm_start")  # --column, --seed, --quiet; no use in one command


class ModelOption(click.Option):
    """A flag that is a parameter of the model."""


class Value(click.ParamType[Any]):
    """The text of a flag, read and checked as the parameter's declared type has it."""

    def __init__(self, cls: type, name: str, shown: str) -> None:
        self.cls, self.parameter, self.name = cls, name, shown

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of a flag's text."""
        from engram.parameters import NUMBER, from_text

        if not isinstance(value, str):
            return value
        if ",..." in self.name and re.fullmatch(NUMBER, value):
            value += ","  # one width is a list of widths too
        try:
            return from_text(self.cls, self.parameter, value)
        except UsageError as error:
            told = str(error).partition(f"for {self.cls.__name__}: ")[2].rstrip(".")
            self.fail(f"{value!r}: {told} (it is written {self.name}).", param, ctx)


def model_options(cls: type, variant: dict[str, Any]) -> list[click.Parameter]:
    """Return the flags of a model; ``variant`` holds the defaults of its registered name."""
    from engram.parameters import parameters_of

    found: list[click.Parameter] = []
    for name, parameter in parameters_of(cls).items():
        if not parameter.is_simple or name in ELSEWHERE:
            continue
        default = variant.get(name, parameter.default)
        told = f"{parameter.help.replace('``', '')}  [default: {text_of(default)}]"
        if parameter.type is bool:
            found.append(ModelOption([f"{parameter.flag}/--no-{parameter.flag[2:]}"], default=None, help=told))
        else:
            shown = "|".join(dict.fromkeys(words(parameter.type)))
            found.append(ModelOption([parameter.flag], type=Value(cls, name, shown), metavar=shown, help=told))
    return found


def words(annotation: Any) -> list[str]:
    """Return what may be written for a type: its names, N for a whole number, X for any number."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return words(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return [word for argument in arguments for word in words(argument)]
    if origin is typing.Literal:
        return [str(argument) for argument in arguments]
    if origin is tuple:
        inner = words(arguments[0])[0]
        return [f"{inner},..." if arguments[-1] is ... else ",".join([inner] * len(arguments))]
    return {int: ["N"], float: ["X"], type(None): ["none"], str: ["TEXT"]}.get(annotation, ["JSON"])


def text_of(value: Any) -> str:
    """Return a default as one would write it after the flag."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "()"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def given_flags(ctx: click.Context) -> dict[str, Any]:
    """Return the parameters that stood on the command line."""
    source = click.core.ParameterSource.COMMANDLINE
    names = [p.name for p in ctx.command.params if isinstance(p, ModelOption) and p.name is not None]
    return {name: ctx.params[name] for name in names if ctx.get_parameter_source(name) is source}
