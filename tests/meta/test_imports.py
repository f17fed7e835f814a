"""`import engram`, `--help` and `--version` answer at once because they load nothing heavy."""

from __future__ import annotations

import os
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
FORKED = """
import os, signal
import engram
engram.VAE, engram.GAN, engram.Recommender, engram.Synthesizer
child = os.fork()
if not child:
    signal.alarm(30)
    import torch
    torch.arange(1000).repeat_interleave(torch.full((1000,), 2))  # on all threads
    os._exit(0)
raise SystemExit(os.waitpid(child, 0)[1])
"""
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


def test_a_process_that_is_forked_after_the_import_has_all_its_threads() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    assert subprocess.run([sys.executable, "-c", FORKED], env=environment, check=False).returncode == 0
