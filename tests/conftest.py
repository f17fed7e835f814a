"""What holds for the whole suite: no test reaches beyond this machine, nor does a process that it starts."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: workers side by side would wait for each other
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
