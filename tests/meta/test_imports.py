"""`import engram`, `--help` and `--version` answer at once because they load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "sklearn", "numpy", "pandas", "pydantic"}
CASES = {
    "import engram": HEAVY,
    "from engram.cli import program; program.main(['--help'])": HEAVY,
    "from engram.cli import program; program.main(['--version'])": HEAVY,
    "from engram.cli import program; program.main([])": HEAVY,
    "import engram.metrics": {"torch"},
    "import engram; engram.metrics.r2": {"torch"},
}
LOADED = """
import sys
try:
    {program}
except SystemExit:
    pass
print(*{{name.partition(".")[0] for name in sys.modules}}, file=sys.stderr)
"""


@pytest.mark.parametrize("program", CASES)
def test_it_loads_nothing_heavy(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(program=program)], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert "engram" in loaded
    assert not CASES[program] & loaded
