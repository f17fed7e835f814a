"""The documentation builds without a warning, and names everything that can be called."""

from __future__ import annotations

import html
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import click
import pytest
from pages import ROOT

import engram
from engram.cli import program
from engram.data import KINDS
from engram.registry import BASELINES, METRICS, MODELS

DOCS = ROOT / "docs"
MADE = ("_build", "_generated")
WRITTEN = [path for path in sorted(DOCS.rglob("*.md")) if not set(MADE) & set(path.relative_to(DOCS).parts)]
HOW_TO = {
    *(
        "choose-a-model",
        "column-types",
        "missing-cells",
        "anomaly-scores",
        "synthetic-tables",
        "topics",
        "recommendations",
        "stop-and-resume",
        "large-files",
    ),
    *("own-networks", "reproducibility", "read-a-report", "command-line", "use-codes", "compare-runs"),
    *("generate-rows", "judge-generated-rows"),
}


@cache
def text() -> str:
    """All that is written by hand."""
    return "\n".join(path.read_text(encoding="utf-8") for path in WRITTEN)


def command_line() -> ModuleType:
    """The script that writes the pages of the command line."""
    spec = importlib.util.spec_from_file_location("command_line", DOCS / "command_line.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as they are built by `make docs`, from a copy, so that nothing is written into the tree."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(DOCS, folder / "docs", ignore=shutil.ignore_patterns(*MADE, "__pycache__"))
    options = ["-W", "--keep-going", "-q", "-b", "html"]
    command = [sys.executable, "-m", "sphinx", *options, folder / "docs", folder / "html"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return folder / "html"


def built(site: Path, page: str) -> str:
    return (site / f"{page}.html").read_text(encoding="utf-8")


# --- the build ---


def test_the_documentation_builds_without_a_warning_and_without_the_network(site: Path) -> None:
    assert {path.stem for path in (site / "how-to").glob("*.html")} == HOW_TO
    for page in ("index", "design", "limits", "tutorials/tables", "tutorials/pictures", "reference/models"):
        assert "<h1>" in built(site, page)


def test_a_built_page_loads_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|link)\b[^>]*?(?:src|href)=\"([^\"]+)\"", path.read_text(encoding="utf-8"))
        assert not [address for address in loaded if "//" in address], path.name


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    reference = "".join(path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html"))
    for name in engram.__all__:
        assert f'id="engram.{name}' in reference or f'id="module-engram.{name}"' in reference, name
    for name in engram.metrics.__all__:
        assert f'id="engram.metrics.{name}"' in reference, name
    for name in KINDS.values():
        assert f'id="engram.data.{name.rpartition(":")[2]}"' in reference, name


def test_every_error_is_in_the_reference(site: Path) -> None:
    from engram import errors

    page = built(site, "reference/errors")
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.EngramError):
            assert f'id="engram.errors.{name}"' in page, name


def test_every_parameter_of_a_model_is_in_the_reference(site: Path) -> None:
    from engram.parameters import parameters_of

    page = built(site, "reference/models")
    for entry in MODELS:
        assert entry.value.__name__ in page
        for name in parameters_of(entry.value):
            assert re.search(rf"<strong>[\w, ]*\b{name}\b", page), f"{entry.name}: {name}"


def test_every_flag_of_every_command_is_in_the_reference(site: Path) -> None:
    context = click.Context(program, info_name="engram")
    commands = {name: program.get_command(context, name) for name in program.list_commands(context)}
    fit = commands["fit"]
    assert isinstance(fit, click.Group)
    commands |= {f"fit-{name}": fit.get_command(context, name) for name in fit.list_commands(context)}
    for name, command in commands.items():
        assert command is not None
        page = html.unescape(re.sub(r"<[^>]+>", "", built(site, f"reference/_generated/{name}")))
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert not [flag for flag in parameter.opts if flag not in page], f"{name}: {parameter.opts}"


# --- what is written by hand ---


def test_every_command_and_every_registered_name_is_mentioned() -> None:
    for name in program.list_commands(click.Context(program)):
        assert f"engram {name}" in text(), name
    for name in MODELS.names():
        assert f"`{name}`" in text(), name
    for name in [*METRICS.names(), *BASELINES.names()]:
        assert f"`{name}`" in (DOCS / "how-to" / "read-a-report.md").read_text(encoding="utf-8"), name


def test_every_exit_code_is_explained() -> None:
    from engram import errors

    codes = {e.exit_code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.EngramError)}
    page = (DOCS / "how-to" / "command-line.md").read_text(encoding="utf-8")
    explained = {int(n) for line in re.findall(r"^\| ([\d, ]+) \|", page, flags=re.MULTILINE) for n in line.split(",")}
    assert codes | {0, 130, 143} <= explained


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = set(re.findall(r"^[\w/-]+$", text(), flags=re.MULTILINE))
    for path in WRITTEN:
        name = path.relative_to(DOCS).with_suffix("").as_posix()
        assert path.name == "index.md" or {name, name.rpartition("/")[2]} & listed or "decisions/" in name, name
    assert len(list((DOCS / "tutorials").glob("*.md"))) >= len(KINDS)


def test_pages_have_a_title_and_no_line_that_is_left_over() -> None:
    for path in WRITTEN:
        page = path.read_text(encoding="utf-8")
        assert page.startswith("# "), path.name
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", page), path.name


def test_the_pages_of_the_command_line_are_written_again_only_when_they_change(tmp_path: Path) -> None:
    script = command_line()
    script.write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (tmp_path / "of-an-earlier-version.rst").touch()
    script.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_make_docs_turns_warnings_into_errors() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndocs:")[2].partition("\n\n")[0]
    assert "-m sphinx -W" in recipe
