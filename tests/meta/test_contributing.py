"""The recipes of CONTRIBUTING.md are true: a model costs one file, a metric one function, and nothing else is edited."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pages import PACKAGE, ROOT, Block, blocks

PAGE = ROOT / "CONTRIBUTING.md"
NAME = "regularised-autoencoder"
MOST_LINES = 60


def recipe() -> Block:
    """The first block that is a file."""
    return next(block for block in blocks(PAGE) if block.file)


def metric_recipe() -> Block:
    return next(block for block in blocks(PAGE) if "METRICS.register" in block.text)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and its contract suite, with the recipe dropped into it and nothing else changed."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("engram", "tests/contract"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    target = folder / recipe().file
    assert target.parent == folder / "engram" / "models"
    assert not target.exists()
    target.write_text(recipe().text, encoding="utf-8")
    return folder


def python(copy: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python where the copy is the package."""
    path = os.pathsep.join([str(copy), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def asked(copy: Path, program: str) -> dict[str, Any]:
    """Run a program in the copy and return the JSON object that it prints last."""
    done = python(copy, "-c", program)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["home"]) == copy / "engram" / "__init__.py"
    return found


ASK = f"""
import json, click, engram
from click.testing import CliRunner
from engram.cli import program
def said(*words):
    result = CliRunner().invoke(program, words)
    assert result.exit_code == 0, result.output
    return result.output
made = engram.create({NAME!r}, code_penalty=0.5)
said("fit", {NAME!r}, "wine", "-o", "run", "--max-epochs", "3")
said("apply", "run", "wine", "--get", "codes", "-o", "codes.csv")
print(json.dumps({{
    "home": engram.__file__,
    "loaded": type(engram.load("run")).__name__,
    "list": said("list", "models"),
    "class": type(made).__name__,
    "parameters": made.get_params(),
    "help": said("fit", {NAME!r}, "--help"),
    "fits": said("fit", "--help"),
}}))
"""


def test_a_dropped_in_model_is_listed_created_fitted_from_the_command_line_and_loaded_again(copy: Path) -> None:
    found = asked(copy, ASK)
    assert re.search(rf"^\s*{NAME}\s+\w", found["list"], flags=re.MULTILINE)
    assert found["class"] == "RegularisedAutoencoder"
    assert found["parameters"]["code_penalty"] == 0.5
    assert "--code-penalty X" in found["help"]
    assert "Weight of the squared length of a code." in " ".join(found["help"].split())
    assert "--code-size" in found["help"]
    assert NAME in found["fits"]
    assert found["loaded"] == found["class"]
    assert len((copy / "codes.csv").read_text().splitlines()) == 179


def test_a_dropped_in_model_passes_the_contract_suite(copy: Path) -> None:
    done = python(
        copy, "-m", "pytest", "tests/contract", "-q", "-k", "regularised", "-m", "not slow", "-p", "no:cacheprovider"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 40
    assert "failed" not in done.stdout


def test_the_recipe_of_a_model_has_at_most_sixty_lines() -> None:
    written = [line for line in recipe().text.splitlines() if line.strip()]
    assert len(written) <= MOST_LINES


def test_the_recipe_of_a_model_keeps_the_house_style(copy: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        done = python(copy, "-m", "ruff", *command, recipe().file)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_recipe_of_a_model_passes_mypy_strict(tmp_path: Path) -> None:
    """Checked beside the package where it stands, so that mypy's cache serves."""
    written = tmp_path / Path(recipe().file).name
    written.write_text(recipe().text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--allow-subclassing-any", written]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


ASK_METRIC = """
import json, numpy as np, engram
from engram.metrics import largest_error
from engram.registry import METRICS
from sklearn.datasets import load_wine
rows = load_wine(as_frame=True).data
model = engram.Autoencoder(max_epochs=1, random_state=0).fit(rows)
report = engram.evaluate(model, rows, metrics=["largest-error"])
x, mask = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[True, True], [False, True]])
print(json.dumps({
    "home": engram.__file__,
    "plain": largest_error(x, np.zeros((2, 2))),
    "masked": largest_error(x, np.array([[1.0, 2.5], [9.0, 4.0]]), mask),
    "summary": METRICS["largest-error"].summary,
    "better": [result.better for result in report.metrics],
    "unit": [result.unit for result in report.metrics],
    "value": report.metrics[0].value,
    "beside": [result.subject for result in report.baselines],
}))
"""
HEAD = '''"""A metric from the recipe."""

from __future__ import annotations

import numpy as np

from engram.metrics.metric import Array
from engram.registry import METRICS


'''


def test_the_recipe_of_a_metric_is_a_working_metric(copy: Path, tmp_path: Path) -> None:
    shutil.copytree(copy / "engram", tmp_path / "engram", ignore=shutil.ignore_patterns("__pycache__"))
    metrics = tmp_path / "engram" / "metrics"
    (metrics / "largest.py").write_text(HEAD + metric_recipe().text, encoding="utf-8")
    with (metrics / "__init__.py").open("a", encoding="utf-8") as exports:
        exports.write("from engram.metrics.largest import largest_error\n")
    found = asked(tmp_path, ASK_METRIC)
    assert (found["plain"], found["masked"]) == (4.0, 0.5)
    assert (found["better"], found["unit"]) == (["lower"], ["encoded units"])
    assert found["value"] > 0
    assert "pca" in found["beside"]
    assert found["summary"]


@pytest.mark.parametrize("heading", ["A model", "A kind of data", "A metric"])
def test_there_are_three_recipes_and_the_files_that_they_name_exist(heading: str) -> None:
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}: ")[2].partition("\n## ")[0]
    assert section
    for named in re.findall(r"`((?:engram|tests)/[\w/.]+)`", section):
        assert (ROOT / named).exists(), named


def test_the_example_of_a_model_is_not_in_the_package_already() -> None:
    assert not (PACKAGE.parent / recipe().file).exists()
