"""Metrics of generated rows from features: the Frechet distance beside two usual ways, and the memory of the neighbours' metrics."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from made_rows import Array
from measure import Goal, Options, Page, Row, Spread, Table, cpu_seconds, paired, run_script

from engram.metrics import frechet_distance

FEATURES = 2048
LIMIT = 2048  # MiB
TEXT = """\
Features are float32, rectified and correlated as those of a network are (2,048 of them), made by a seed. Each time is CPU time
(`time.process_time`) on one thread from features to the distance, means and covariances included, all in float64; pairs
measured in turn (ours, theirs, ours, ...). The ratio is theirs / ours: how many times faster Engram is; medians.
'digits' is how many decimal digits of the two values agree, -log10(|ours - theirs| / theirs), at most 16.

SciPy's way is `np.cov` and `scipy.linalg.sqrtm` of the product of both covariances, as pytorch-fid and clean-fid have it. The eigenvalues'
way is what torchmetrics and torch-fidelity compute: covariances by a matrix product in PyTorch, then the eigenvalues of the
product of both, as a matrix without symmetry; written out here{peer}. With fewer rows than features the product has no full
rank, and both lose digits that Engram keeps.

Memory is the peak of resident memory of a new process that makes both sets of rows and computes precision, recall, density
and coverage by `engram.metrics.manifold`; 'the rows alone' is that of one that only makes them.
"""
PROCESS = """
import resource, sys, time
import numpy as np
from engram.metrics import manifold
n, d, compute = map(int, sys.argv[1:])
generator = np.random.default_rng(0)
real, generated = (generator.standard_normal((n, d), dtype=np.float32) for _ in range(2))
begin = time.process_time()
if compute:
    manifold(real, generated)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
print(peak, time.process_time() - begin)
"""


def features(n: int, d: int, seed: int) -> Array:
    """Rectified correlated rows, (n, d) float32; the decay of their spectrum is that of a network's features."""
    mixing = np.random.default_rng(0).normal(size=(d, d)) * np.exp(-np.arange(d) * 5 / d)
    rows = np.random.default_rng(seed).normal(size=(n, d)) @ mixing.T / np.sqrt(d)
    return np.maximum(rows + 0.1 * seed, 0).astype(np.float32)


def by_sqrtm(real: Array, generated: Array) -> float:
    from scipy.linalg import sqrtm

    a, b = real.astype(np.float64), generated.astype(np.float64)
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.trace(sqrtm(s @ t)).real
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s) + np.trace(t) - 2 * root)


def by_eigenvalues(real: Array, generated: Array) -> float:
    means, covariances = [], []
    for rows in (real, generated):
        x = torch.from_numpy(rows).double()
        means.append(x.mean(0))
        covariances.append((x.T @ x - len(x) * torch.outer(means[-1], means[-1])) / (len(x) - 1))
    root = torch.linalg.eigvals(covariances[0] @ covariances[1]).sqrt().real.sum()
    traces = covariances[0].trace() + covariances[1].trace()
    return float((means[0] - means[1]).square().sum() + traces - 2 * root)


def by_torchmetrics(real: Array, generated: Array) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Given(torch.nn.Module):
        """Features as they are."""

        num_features = real.shape[1]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    one = FrechetInceptionDistance(feature=Given(), normalize=False).set_dtype(torch.float64)
    one.update(torch.from_numpy(real).double(), real=True)
    one.update(torch.from_numpy(generated).double(), real=False)
    return float(one.compute())


def compared(real: Array, generated: Array, theirs: Callable[[Array, Array], float], pairs: int) -> dict[str, Spread]:
    """Measure both ways in turn; the ratio is how many times faster ours is."""
    values: dict[str, float] = {}

    def seconds(name: str, way: Callable[[Array, Array], float]) -> float:
        def work() -> None:
            values[name] = way(real, generated)

        return cpu_seconds(work)

    cells = paired(
        partial(seconds, "ours", frechet_distance), partial(seconds, "theirs", theirs), pairs, ("ours, s", "theirs, s")
    )
    cells["ratio"] = Spread.of([1 / ratio for ratio in cells["ratio"].values])
    apart = abs(values["ours"] - values["theirs"]) / values["theirs"]
    cells["digits"] = Spread.of([min(16.0, -math.log10(max(apart, 1e-300)))])
    return cells


def frechet_rows(options: Options) -> list[Row]:
    d = 48 if options.quick else FEATURES
    counts = {60: (3, 3), 24: (3, 3)} if options.quick else {5000: (6, 1.8), 3000: (6, 1.8), 1000: (50, 1.8)}
    ways = {"SciPy's sqrtm": by_sqrtm, "the eigenvalues' way": by_eigenvalues}
    if options.peers and importlib.util.find_spec("torchmetrics"):
        ways["torchmetrics"] = by_torchmetrics
    found = []
    for n, (scipy_goal, eigen_goal) in counts.items():
        real, generated = features(n, d, 1), features(n, d, 2)
        frechet_distance(real[:50], generated[:50])  # imports
        for name, way in ways.items():
            goals = (Goal("ratio", scipy_goal if way is by_sqrtm else eigen_goal),)
            if n > d:
                goals += (Goal("digits", 6),)
            found.append(Row(f"{n:,} rows, {name}", compared(real, generated, way, min(options.pairs, 3)), goals))
    return found


def memory_row(options: Options) -> Row:
    n, d = (200, 16) if options.quick else (20_000, FEATURES)

    def process(compute: int) -> list[float]:
        command = [sys.executable, "-c", PROCESS, str(n), str(d), str(compute)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [float(word) for word in done.stdout.split()]

    begin = time.time()
    (peak, seconds), (rows, _) = process(1), process(0)
    cells = {"peak, MiB": peak, "the rows alone, MiB": rows, "CPU s": seconds, "wall s": time.time() - begin}
    what = f"{n:,} real and {n:,} generated rows of {d:,} features"
    return Row(
        what, {name: Spread.of([value]) for name, value in cells.items()}, (Goal("peak, MiB", LIMIT, below=True),)
    )


def measure(options: Options) -> Page:
    torch.set_num_threads(1)
    peer = " and, as it is installed, also torchmetrics itself" if importlib.util.find_spec("torchmetrics") else ""
    return Page(
        "speed_metrics",
        "Metrics of generated rows beside the usual ways",
        TEXT.format(peer=peer),
        [
            Table("Frechet distance", frechet_rows(options)),
            Table("Precision, recall, density and coverage: memory", [memory_row(options)]),
        ],
    )


if __name__ == "__main__":
    run_script(measure)
