"""Layers, style and types, as `make check` has them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pages import ROOT

IMPORT_LINTER = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def told(*arguments: str) -> str:
    """Run a tool of this environment; return what it says, "" if it is content."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_a_layer_sees_only_the_layers_below_it() -> None:
    assert told("-c", IMPORT_LINTER, "--no-cache") == ""


def test_no_rule_of_style_is_broken() -> None:
    assert told("-m", "ruff", "check", ".") == ""


def test_every_file_is_formatted() -> None:
    assert told("-m", "ruff", "format", "--check", ".") == ""


@pytest.mark.slow
def test_types_are_right() -> None:
    assert told("-m", "mypy") == ""
