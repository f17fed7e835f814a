"""What the pages say runs as it stands: every snippet, every command."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from pages import PAGES, ROOT, blocks, commands, has_placeholder, name_of, python_blocks

from engram.cli import program

README = ROOT / "README.md"
with_snippets = pytest.mark.parametrize("page", [p for p in PAGES if python_blocks(p)], ids=name_of)
with_commands = pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=name_of)


@pytest.mark.usefixtures("fits")
@with_snippets
def test_the_python_snippets_of_the_docs_run_in_order_and_share_nothing(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in python_blocks(page):
        if not block.is_complete and page.name == "CONTRIBUTING.md":
            continue  # the recipe of a metric: test_contributing runs it in a copy of the package
        assert block.is_complete, f"{block.place} does not import what it uses"
        code = compile("\n" * block.line + block.text, str(page), "exec")  # errors name the line of the page
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, {"__name__": "__main__"})


@pytest.mark.usefixtures("fits")
@with_commands
def test_the_commands_of_the_docs_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in commands(page):
        if has_placeholder(command) and page != README:
            continue
        result = CliRunner().invoke(program, shlex.split(command, comments=True)[1:])
        assert result.exit_code == 0, f"{name_of(page)}: {command}\n{result.output}"
        assert result.output.strip(), f"{name_of(page)}: {command} says nothing"


def test_the_first_screen_of_the_readme_has_the_two_commands_and_no_placeholder_in_any() -> None:
    first = "\n".join(README.read_text(encoding="utf-8").splitlines()[:25])
    assert "make demo" in first
    assert "make test" in first
    assert commands(README)
    assert not [command for command in commands(README) if has_placeholder(command)]


def test_inline_commands_of_the_readme_are_commands() -> None:
    inline = set(re.findall(r"`(engram [a-z][^`]*)`", README.read_text(encoding="utf-8")))
    assert inline
    for text in sorted(inline):
        words = [word for word in shlex.split(text)[1:] if not word.startswith("-")]
        named = words[:2] if words[0] == "fit" else words[:1]
        result = CliRunner().invoke(program, [*named, "--help"])
        assert result.exit_code == 0, f"`{text}`: {result.output}"


def test_links_of_the_pages_lead_to_files() -> None:
    for page in [*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("#"):
                assert (page.parent / target.partition("#")[0]).exists(), f"{name_of(page)}: {target}"


def test_make_targets_named_in_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page in PAGES:
        named = {t for b in blocks(page) for t in re.findall(r"^make ([a-z-]+)", b.text, flags=re.MULTILINE)}
        named |= set(re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")))
        assert named <= targets, name_of(page)
