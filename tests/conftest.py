"""What holds for the whole suite: no test reaches beyond this machine, nor does a process that it starts."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: workers side by side would wait for each other
PASSES = 5  # over the rows, at most, of short fits
GUARD = Path(__file__).parent / "offline" / "sitecustomize.py"


def _guard() -> ModuleType:
    spec = importlib.util.spec_from_file_location("offline_guard", GUARD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def offline() -> Iterator[list[str]]:
    """Refuse and note every attempt to reach another machine; an attempt that was swallowed fails the suite at its end."""
    guard = _guard()
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(GUARD.parent), *([before] if before else [])])
    yield guard.attempts
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
    assert not guard.attempts, f"the tests tried to reach {', '.join(guard.attempts)}"


@pytest.fixture(params=["short", pytest.param("whole", marks=pytest.mark.slow)])
def fits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether fits that are told no number of epochs are as long as a user's, or end early: what runs after either is the same."""
    from engram.models import resolve

    whole = resolve._epochs

    def shortened(n_rows: int, batch_size: int, n_parameters: int, values: dict[str, Any], *, began: bool) -> int:
        found = whole(n_rows, batch_size, n_parameters, values, began=began)
        return min(PASSES, found) if values["max_epochs"] == "auto" else found

    if request.param == "short":
        monkeypatch.setattr(resolve, "_epochs", shortened)
