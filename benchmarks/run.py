"""Measure Engram beside its peers: ``python3 benchmarks/run.py [--data DIR] [--quick] [NAME ...]``.

Makes .venv-bench once, with the peers in benchmarks/peers.txt and this checkout of Engram, then runs every script below in a process of
its own, on one thread. Each script writes results/<name>.md and results/<name>.json. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SCRIPTS = {  # name: whether it can say anything without the peers
    "speed_loop": True,
    "imports": True,
    "quality_tables": True,
    "deep_autoencoder": True,
    "binarised_mnist": True,
    "codes_mnist": True,
    "made_density": True,
    "mixtures": True,
    "speed_metrics": True,
    "speed_games": True,
    "step_times": True,
    "rae_claim": True,
    "fashion_gans": True,
    "stacked_mnist": True,
    "anomaly_detection": True,
    "anomaly_decisions": True,
    "synthetic_tables": True,
    "topics": True,
    "recommendation": True,
    "recommendation_weights": True,
    "recommendation_cost": True,
    "speed_pyod": False,
    "speed_pythae": False,
}
NEEDS_DATA = (  # they say nothing without --data, but for a quick run
    "deep_autoencoder",
    "binarised_mnist",
    "codes_mnist",
    "rae_claim",
    "fashion_gans",
    "stacked_mnist",
    "synthetic_tables",
    "topics",
    "recommendation",
    "recommendation_weights",
)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def main() -> int:
    """Return 0, or how many scripts failed."""
    options = arguments()
    python, peers = (Path(sys.executable), False) if options.no_peers else environment(ROOT / ".venv-bench")
    failed = 0
    for name in options.names or SCRIPTS:
        if not peers and not SCRIPTS[name]:
            print(f"{name}: skipped, it compares with peers and they are not installed", flush=True)
            continue
        if name in NEEDS_DATA and not (options.data or options.quick):
            print(f"{name}: skipped, it needs --data DIR", flush=True)
            continue
        print(f"{name}: running", flush=True)
        command = [python, HERE / f"{name}.py", "--output", options.output.resolve()]
        command += ["--quick"] * options.quick + ["--no-peers"] * (not peers)
        command += ["--data", options.data.resolve()] if options.data else []
        status = subprocess.run(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, check=False).returncode
        if status:
            print(f"{name}: failed with exit code {status}", file=sys.stderr)
        failed += status != 0
    return failed


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Engram beside its peers.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"tables to make: {', '.join(SCRIPTS)}; all by default"
    )
    parser.add_argument("--data", type=Path, help="a folder of real data: adds rows where it has tables that we use")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="where results go")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, one run: shows that the scripts work, not speed"
    )
    parser.add_argument(
        "--no-peers", action="store_true", help="use this Python, which has Engram, and leave peers out"
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(SCRIPTS)
    if unknown:
        parser.error(f"unknown table {sorted(unknown)[0]!r}; there are {', '.join(SCRIPTS)}")
    return options


def environment(folder: Path) -> tuple[Path, bool]:
    """Make the environment unless it is there, and return its Python and whether the peers are in it."""
    python, stamp = folder / "bin" / "python", folder / ".ready"
    wanted = [ROOT / "pyproject.toml", ROOT / "constraints.txt", HERE / "peers.txt"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in wanted)).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return python, True
    print(f"making {folder.name} (once)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
    subprocess.run([*pip, "--editable", ROOT], check=True)
    if subprocess.run([*pip, "--requirement", HERE / "peers.txt"], check=False).returncode:
        print("the peers could not be installed: only what does not need them is measured", file=sys.stderr)
        return python, False
    stamp.write_text(digest)
    return python, True


if __name__ == "__main__":
    sys.exit(main())
