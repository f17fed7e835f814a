"""Programs that use the public names with annotations pass mypy strict."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pages import PACKAGE, ROOT


def mypy(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.slow
def test_a_typed_program_passes_mypy_strict() -> None:
    assert mypy(Path(__file__).with_name("typed_usage.py")) == ""


@pytest.mark.slow
def test_a_wrong_type_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import engram\nengram.VAE(beta='much').fit([[1.0]]).transform()\n")
    told = mypy(wrong)
    assert 'Argument "beta"' in told
    assert "Missing positional argument" in told


def test_the_marker_of_a_typed_package_ships() -> None:
    assert (PACKAGE / "py.typed").exists()
