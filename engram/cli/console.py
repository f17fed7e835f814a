"""What a command says: results on standard output, messages, notes and errors on standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import click

from engram.version import VERSION

SCHEMA = 1  # of the JSON objects on standard output


class Console:
    """The voice of one command.

    Parameters
    ----------
    json : bool
        One JSON object on standard output and nothing else.
    quiet : bool
        No messages; notes and errors are still told.
    debug : bool
        Errors come with a traceback, and warnings of libraries are shown.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False, debug: bool = False) -> None:
        self.json, self.quiet, self.debug = json, quiet, debug
        self.notes: list[str] = []

    @property
    def verbose(self) -> int:
        """Whether a fit shows its progress: 1 or 0."""
        return int(not (self.quiet or self.json))

    def say(self, text: str) -> None:
        """Tell how the work goes on, on standard error."""
        if self.verbose:
            click.echo(text, err=True)

    def clear_line(self) -> None:
        """Remove a line of progress from the terminal."""
        if self.verbose and sys.stderr.isatty():
            click.echo("\r\x1b[K", err=True, nl=False)

    def note(self, text: str) -> None:
        """Tell once what was left out or treated as missing."""
        if text in self.notes:
            return
        self.notes.append(text)
        if not self.json:
            click.echo(f"note: {text}", err=True)

    def finish(self, command: str, result: dict[str, Any], text: str = "") -> None:
        """Give the result of a command: as one JSON object, or as text."""
        if self.json:
            self._object({"command": command, "result": result, "notes": self.notes})
        elif text and not self.quiet:
            click.echo(text.rstrip("\n"))

    def error(self, name: str, message: str, code: int, hint: str = "") -> None:
        """Tell what went wrong and what to do."""
        message = " ".join(message.split())
        if self.json:
            self._object({"error": {"type": name, "message": message, "exit_code": code}, "notes": self.notes})
        else:
            click.echo(f"error: {message}{hint}", err=True)

    def _object(self, content: dict[str, Any]) -> None:
        whole = {"engram": VERSION, "schema": SCHEMA, **content}
        click.echo(json.dumps(strict(whole), ensure_ascii=False, allow_nan=False, default=str))


def strict(value: Any) -> Any:
    """Return plain JSON values: what is not finite becomes null, NumPy's scalars and arrays become Python's."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return value


def aligned(rows: Sequence[Sequence[str]], *, indent: str = "  ") -> str:
    """Return rows of texts as columns of equal width."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in rows)
    return "\n".join((indent + line).rstrip() for line in lines)


def console() -> Console:
    """Return the console of the command that runs."""
    found = click.get_current_context().find_object(Console)
    return found if found is not None else Console()
