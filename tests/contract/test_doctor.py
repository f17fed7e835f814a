"""``engram doctor`` tells the truth about a machine, and says what to do where something is wrong."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from engram.cli import program
from engram.version import VERSION

doctor: Any = importlib.import_module("engram.cli.doctor")
GIB = 1 << 30


def examined(*flags: str, code: int = 0) -> Result:
    result = CliRunner().invoke(program, ["doctor", *flags])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def answer(code: int = 0) -> dict[str, Any]:
    result = examined("--json", code=code)
    assert result.stderr == ""
    told: dict[str, Any] = json.loads(result.stdout)
    assert (told["engram"], told["command"]) == (VERSION, "doctor")
    assert told["result"]["ok"] is (code == 0)
    return told["result"]  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the self-test out where it is not what is looked at."""
    monkeypatch.setattr(doctor, "self_test", lambda: ({"ok": True, "seconds": 0.1}, []))


def test_a_machine_that_is_well(somewhere: Path) -> None:
    told = answer()
    assert told["problems"] == []
    assert told["versions"]["engram"] == VERSION
    for name in ("torch", "numpy", "pandas", "scikit-learn", "pyarrow", "pillow"):
        assert told["versions"][name] == metadata.version(name)
    assert told["extras"]["dev"]["installed"] is True
    assert told["device"]["found"][0] == "cpu"
    assert 1 <= told["cores"]["usable"] <= told["cores"]["all"]
    assert told["disk"]["writable"] is True
    assert told["self_test"]["ok"] is True
    assert not list(somewhere.iterdir())


def test_in_words_it_says_all_that_it_found() -> None:
    text = examined().stdout
    for word in ("versions", "torch", "extras", "dev", "machine", "cores", "memory", "disk", "device", "threads"):
        assert word in text
    assert "equal to the bit" in text
    assert text.endswith("all is well\n")


@pytest.mark.usefixtures("untried")
def test_a_library_that_is_missing_or_too_old_is_named_with_the_command_that_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = [("no-such-library", "2.0", ""), ("numpy", "999.1", ""), ("ruff", "0.1", "dev"), ("no-other", "1", "gpu")]
    monkeypatch.setattr(doctor, "required", lambda: asked)
    told = answer(code=1)
    messages = [problem["message"] for problem in told["problems"]]
    assert messages[0] == "no-such-library is not installed"
    assert messages[1].endswith("and 999.1 is needed")
    assert told["problems"][1]["advice"] == "Run: pip install 'numpy>=999.1'"
    assert told["versions"]["no-such-library"] is None
    assert told["extras"]["gpu"] == {"installed": False, "missing": ["no-other"]}  # no problem: it is optional
    text = examined(code=1).stdout
    assert "not installed: no-other missing" in text
    assert "problems\n  - no-such-library is not installed. Run: pip install" in text
    assert "all is well" not in text


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize("version", [(3, 9, 0), (3, 99, 0)])
def test_another_python_is_a_problem(version: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", version)
    _, _, problems = doctor.libraries()
    assert "not tested" in problems[0][0]


@pytest.mark.usefixtures("untried")
def test_a_folder_that_cannot_be_written_or_is_full_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(doctor.tempfile, "TemporaryFile", refuse)
        told = answer(code=1)
        assert told["disk"] == {"free": None, "writable": False}
        assert told["problems"][0]["advice"].startswith("Go to another folder")
        assert "this folder cannot be written" in examined(code=1).stdout
    monkeypatch.setattr(doctor, "room", lambda folder: (GIB // 10, True))
    assert answer(code=1)["problems"][0]["message"] == "only 0.1 GiB of disk are free here"


@pytest.mark.usefixtures("untried")
def test_little_memory_is_told_and_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "memory_of_machine", lambda: {"all": GIB, "free": GIB // 10, "limit": GIB})
    result = examined()
    assert "note: only 0.1 GiB of memory are free" in result.stderr
    assert "limited to 1.0 GiB" in result.stdout
    monkeypatch.setattr(doctor, "memory_of_machine", lambda: {"all": None, "free": None, "limit": None})
    assert "memory   unknown, unknown free" in examined().stdout


def test_a_torch_that_does_not_load_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    told, problems = doctor.devices()
    assert told["device"] == {"auto": None, "found": []}
    assert problems[0][0].startswith("torch does not load: ")


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (lambda: (False, 0.5), "a loaded model gives other codes"),
        (lambda: 1 / 0, "the self-test failed: division by zero"),
    ],
)
def test_a_self_test_that_fails_is_a_problem(outcome: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_loads_as_saved", outcome)
    told = answer(code=1)
    assert message in told["problems"][0]["message"]
    assert "doctor --debug" in told["problems"][0]["advice"]
    assert "fit, save, load  failed" in examined(code=1).stdout


def test_with_debug_a_failing_self_test_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_loads_as_saved", lambda: 1 / 0)
    result = CliRunner().invoke(program, ["doctor", "--debug"])
    assert result.exit_code == 1
    assert "ZeroDivisionError" in result.stderr


@pytest.mark.parametrize(
    ("version", "expected"), [("2.13.0+cpu", (2, 13, 0)), ("26.3", (26, 3)), ("1.9.0rc1", (1, 9, 0)), ("8", (8,))]
)
def test_versions_are_compared_by_their_numbers(version: str, expected: tuple[int, ...]) -> None:
    assert doctor.numbers(version) == expected
    assert doctor.numbers("2.10") > doctor.numbers("2.9")


def test_without_the_packages_metadata_the_libraries_are_looked_at_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", nothing)
    versions, extras, problems = doctor.libraries()
    assert versions["torch"] == metadata.version("torch")
    assert (extras, problems) == ({}, [])
    asked = {name for name, _, extra in _required_as_installed() if not extra}
    assert asked == set(doctor.LIBRARIES)


def _required_as_installed() -> list[tuple[str, str, str]]:
    code = "import json; from engram.cli.doctor import required; print(json.dumps(required()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    found: list[tuple[str, str, str]] = json.loads(done.stdout)
    return found


def test_the_users_random_state_is_left_alone() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    assert doctor.self_test()[0]["ok"]
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
