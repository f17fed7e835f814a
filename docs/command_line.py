"""Writes the reference of the command line, one page per command, from the commands themselves.

python docs/command_line.py FOLDER
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import click

from engram.cli import program
from engram.cli.fit import model_command
from engram.cli.flags import ModelOption
from engram.registry import APPS, MODELS, fittable


def write(folder: Path) -> None:
    """Write one page per command, and one per name that ``engram fit`` takes; pages that stay the same are left alone."""
    context = click.Context(program, info_name="engram", **program.context_settings)
    pages = {
        name: page(program.get_command(context, name), f"engram {name}") for name in program.list_commands(context)
    }
    pages |= {f"fit-{entry.name}": page(model_command(entry), f"engram fit {entry.name}") for entry in fittable()}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.rst"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def page(command: click.Command | None, name: str) -> str:
    """Return the page of a command, in reStructuredText."""
    if command is None:
        raise LookupError(name)
    context = click.Context(command, info_name=name, **program.context_settings)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [name, "=" * len(name), "", f"``{usage}``", "", *paragraphs(command.help or "")]
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    own = [p for p in options if isinstance(p, ModelOption)]
    if isinstance(command, click.Group):
        for heading, registry in (("Applications", APPS), ("Models", MODELS)):
            parts += ["", heading, "-" * len(heading), ""]
            parts += [f"- :doc:`{entry.name} <fit-{entry.name}>`: {escaped(entry.summary)}." for entry in registry]
    if own:
        parts += ["", f"Parameters of {name.rpartition(' ')[2]}", "-" * (14 + len(name)), "", *listed(own, context)]
    shared = [p for p in options if not isinstance(p, ModelOption)]
    return "\n".join([*parts, "", "Options", "-------", "", *listed(shared, context)]) + "\n"


def paragraphs(text: str) -> list[str]:
    """Return help text as paragraphs; a part that click leaves as it is (after a backspace) is left so here too."""
    found = []
    for part in inspect.cleandoc(text).partition("\f")[0].split("\n\n"):
        if part.startswith("\b"):
            found += ["::", "", *("    " + line for line in part.splitlines()[1:]), ""]
        else:
            found += [escaped(" ".join(part.split())), ""]
    return found


def listed(options: list[click.Option], context: click.Context) -> list[str]:
    """Return options with their help as a list of definitions."""
    lines = []
    for option in options:
        record = option.get_help_record(context)
        if record:
            lines += [f"``{record[0]}``", f"    {escaped(record[1]) or '-'}", ""]
    return lines


def escaped(text: str) -> str:
    """Return text without what reStructuredText would take for markup; commands in backticks stay commands."""
    text = re.sub(r"([\\*|_])", r"\\\1", text)
    return re.sub(r"`([^`]+)`", lambda found: "``" + found[1].replace("\\", "") + "``", text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
