"""Every promise of the README has an example, and every example runs, tells something, and leaves nothing behind."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pages import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROMISES = [
    text.rstrip(".") for text in re.findall(r"^- \*\*(.+?)\*\*", README.partition("## What you can rely on")[2], re.M)
]


def docstring(script: Path) -> str:
    return ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""


def promise(script: Path) -> str:
    """What the first line of an example says it shows."""
    found = re.match(r"Promise: (.+)\.\n", docstring(script))
    assert found is not None, f"{script.name} does not begin with the promise that it shows"
    return found[1]


def test_every_promise_of_the_readme_has_an_example() -> None:
    assert len(PROMISES) >= 6
    assert set(PROMISES) <= {promise(script) for script in EXAMPLES}


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.name)
def test_an_example_says_what_it_shows_and_how_to_run_it(script: Path) -> None:
    assert promise(script) in README
    assert f"python examples/{script.name}" in docstring(script)
    assert len(docstring(script).splitlines()) >= 5


def run(script: Path, folder: Path) -> str:
    """Run a script with a folder as its argument; in a process of its own if it sends signals."""
    if "signal" in script.read_text(encoding="utf-8"):
        command = [sys.executable, "-W", "error::UserWarning", script, folder]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with contextlib.redirect_stdout(io.StringIO()) as told:
        runpy.run_path(str(script), run_name="__main__")
    return told.getvalue()


@pytest.mark.usefixtures("fits")
@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.name)
def test_an_example_runs_and_keeps_its_promise(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, given, temporary = tmp_path / "here", tmp_path / "given", tmp_path / "temporary"
    for folder in (here, given, temporary):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(sys, "argv", [str(script), str(given)])
    before = set(script.parent.iterdir())
    told = run(script, given)
    assert 2 <= len(told.splitlines()) <= 15, told
    assert "DIFFERENT" not in told
    assert not re.search(r"\bnan\b", told.lower())
    assert not list(here.iterdir())
    assert {path for path in script.parent.iterdir() if path.name != "__pycache__"} <= before
    if "[FOLDER]" in docstring(script):
        assert list(given.iterdir())
        assert not list(temporary.iterdir())
