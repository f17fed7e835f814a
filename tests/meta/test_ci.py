"""What CI runs is what the README says, and the Makefile has what both name."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from pages import ROOT

RUN = ROOT / ".ci" / "run"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = ("setup", "demo", "test", "test-all", "check", "bench", "docs")


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^(make \S+) .*tests", readme, flags=re.MULTILINE)
    assert command is not None
    assert command[1] in RUN.read_text(encoding="utf-8").splitlines()


def test_ci_stops_at_the_first_failure_and_can_be_run() -> None:
    text = RUN.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert "make check" in text
    assert os.access(RUN, os.X_OK)


@pytest.mark.parametrize("target", TARGETS)
def test_the_makefile_has_the_target_and_says_what_it_does(target: str) -> None:
    assert re.search(rf"^{target}:.*##\s*\S", MAKEFILE, flags=re.MULTILINE)
    assert re.search(rf"^\.PHONY:.*\b{target}\b", MAKEFILE, flags=re.MULTILINE)


def test_make_alone_lists_the_targets() -> None:
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(TARGETS) <= {line.split()[0] for line in told.splitlines()}


def test_make_check_checks_style_types_and_layers() -> None:
    recipe = MAKEFILE.partition("\ncheck:")[2].partition("\n\n")[0]
    assert all(tool in recipe for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports"))


def test_tested_versions_are_pinned_for_every_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = re.findall(r"^([\w-]+)==\S+$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {re.split(r"[<>=]", name)[0] for name in asked} <= set(pinned)
    assert sys.version_info >= (3, 11)
