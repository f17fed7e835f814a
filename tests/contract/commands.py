"""Commands, run in this process and checked."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from engram.cli import program
from engram.version import VERSION


def engram(*args: str | Path, stdin: bytes | None = None, code: int = 0) -> Result:
    """Run a command in this process and check its exit code."""
    result = CliRunner().invoke(program, [str(arg) for arg in args], input=stdin)
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    return result


def answer(*args: str | Path, code: int = 0) -> dict:
    """Return the one JSON object that a command writes."""
    result = engram(*args, "--json", code=code)
    assert result.stderr == ""
    found = json.loads(result.stdout)  # fails where anything else stands on standard output
    assert (found["engram"], found["schema"]) == (VERSION, 1)
    return found
