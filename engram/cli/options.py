"""Options that commands share, each declared once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from engram.cli.console import Console

F = TypeVar("F", bound=Callable[..., Any])


def _setting(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    """Return a callback that sets an attribute of the command's console."""

    def set_it(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value:
            setattr(ctx.ensure_object(Console), name, True)

    return set_it


def common_parameters() -> list[click.Parameter]:
    """Return the options that every command has: --json, --quiet, --debug."""
    told = {
        "json": "Write one JSON object to standard output and nothing else.",
        "quiet": "Say nothing but notes and errors.",
        "debug": "Show tracebacks and all warnings.",
    }
    return [
        click.Option([f"--{name}"], is_flag=True, expose_value=False, callback=_setting(name), help=text)
        for name, text in told.items()
    ]


def common(command: F) -> F:
    """Add --json, --quiet and --debug to a command."""
    for parameter in reversed(common_parameters()):
        _added(command, parameter)
    return command


def _added(command: Any, parameter: click.Parameter) -> None:
    """Do what click's own decorators do with a ready parameter."""
    if not hasattr(command, "__click_params__"):
        command.__click_params__ = []
    command.__click_params__.append(parameter)


class Whole(click.ParamType[int]):
    """A whole number from ``least`` on."""

    name = "N"

    def __init__(self, least: int, most: int = 2**31 - 1) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number that a text stands for."""
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number.", param, ctx)
        if not self.least <= number <= self.most:
            self.fail(f"{value} is not a number from {self.least} to {self.most}.", param, ctx)
        return number


def seed_parameter() -> click.Option:
    """--seed."""
    told = "The same seed gives the same result."
    return click.Option(["--seed"], type=Whole(0), metavar="N", default=0, show_default=True, help=told)


def force_parameter(what: str) -> click.Option:
    """--force."""
    return click.Option(["--force"], is_flag=True, help=f"Replace {what} that exists.")


def dry_run_parameter(told: str) -> click.Option:
    """--dry-run."""
    return click.Option(["--dry-run"], is_flag=True, help=told)


def label_parameter(told: str) -> click.Option:
    """--label."""
    return click.Option(["--label"], metavar="NAME", help=told)


class Size(click.ParamType[tuple[int, int]]):
    """A size of pictures: one number, or height x width."""

    name = "N|HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return (height, width)."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", value.lower())
        if found is None:
            self.fail(f"{value!r} is no size: write 64, or 48x64 for height x width.", param, ctx)
        return int(found[1]), int(found[2] or found[1])


def picture_parameters() -> list[click.Parameter]:
    """--size and --resize."""
    told = "Pictures: how files of another size come to it: scale and cut, scale and add black, or scale both sides."
    return [
        click.Option(["--size"], type=Size(), metavar="N|HxW", help="Pictures: the size of all, height x width."),
        click.Option(["--resize"], type=click.Choice(["crop", "pad", "resize"]), help=told),
    ]


def header_parameter() -> click.Option:
    """--header/--no-header."""
    told = "CSV: whether the first line names the columns. Without, as for the fit, or found out."
    return click.Option(["--header/--no-header"], default=None, help=told)


def judging_parameters(told: str, models: str) -> list[click.Parameter]:
    """Return the options of commands that judge what is fitted, written as ``told``; ``models`` says what was fitted."""
    train = f"The rows the {models} fitted on: baselines are fitted on them too."
    return [
        click.Option(["--train"], metavar="SOURCE", help=train),
        click.Option(
            ["--metric", "metrics"],
            multiple=True,
            metavar="NAME",
            help="A metric to compute; engram list metrics says which can be asked for.",
        ),
        click.Option(["-o", "--output"], metavar="FILE", help=f"Write the {told} as .html or .json too."),
        label_parameter("The column of labels; two values bring the metrics of detection (anomaly: the rarer)."),
        header_parameter(),
        seed_parameter(),
        force_parameter("a file"),
    ]


def with_parameters(*parameters: click.Parameter) -> Callable[[F], F]:
    """Add ready parameters to a command, in this order."""

    def add(command: F) -> F:
        for parameter in reversed(parameters):
            _added(command, parameter)
        return command

    return add
