"""How many modes of a ring and a grid in the plane GANs find, how true their rows are to them, and how wide the modes come out."""

from __future__ import annotations

from typing import Any

import numpy as np
from made_rows import Array
from measure import Goal, Options, Page, Row, Spread, Table, cpu_seconds, run_script

import engram
from engram.metrics import mode_count
from engram.models.gan import GAN
from engram.registry import MODELS

ROWS, DRAWN = 100_000, 2_500
SEEDS, FEWER = 5, 3
RING, GRID = "ring", "grid"
SIGMAS = {RING: 0.01, GRID: 0.05}
GOALS = {  # of every seed: modes, high-quality share, reverse KL, CPU seconds
    RING: (8, 0.90, 0.05, 120),
    GRID: (25, 0.88, 0.06, 120),
}
TEXT = """\
A ring of 8 modes (radius 1, sigma .01) and a grid of 25 (distance 2, sigma .05), 100,000 rows each, PacGAN's counting: 2,500 drawn
rows; one is of high quality within 3 sigma of the nearest mode; a mode counts with one such row. 'strict' counts modes with a tenth of
their fair share. The reverse KL is that of the high-quality rows' histogram against the even one, in nats; the width is their standard
deviation about their centre over sigma (a perfect generator: .974). Seeds are of the rows, the fit and the draw alike.

The default is `GAN(random_state=seed)`: nothing else is set, and the same for both sets. In the second table every registered GAN that
takes vectors learns the ring; conditional ones are given the mode as y, and draw rows for modes chosen evenly. Rows whose paper has no
penalty keep their paper's loss, but for bigan and vae-gan, which play the default's game with its penalty; the note says which modes,
counted from the one at the right against the clock, from 0, a seed dropped. Published (PacGAN, arXiv:1712.04086, table 1, 10 trials):
classic GAN 6.3 of 8 and 17.3 of 25 modes, 98.2 and 94.8 % of high quality; PacGAN with 4 rows 7.8 and 24.8.
"""


def centres(what: str) -> Array:
    if what == RING:
        angle = 2 * np.pi * np.arange(8) / 8
        return np.stack([np.cos(angle), np.sin(angle)], 1)
    side = np.arange(-4.0, 5.0, 2.0)
    return np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)


def rows_of(what: str, n: int, seed: int) -> tuple[Array, Array]:
    """Return rows and the mode that each came from."""
    rng = np.random.default_rng(1000 + seed)
    modes = centres(what)
    mode = rng.integers(len(modes), size=n)
    return modes[mode] + SIGMAS[what] * rng.normal(size=(n, 2)), mode


def values(what: str, name: str, seed: int, n: int, **given: Any) -> tuple[dict[str, float], tuple[int, ...]]:
    """Fit one model to one set, count, and say which modes it dropped."""
    rows, mode = rows_of(what, n, seed)
    model = engram.create(name, random_state=seed, **given)
    conditional = bool(MODELS[name].parameters.get("conditional"))
    seconds = cpu_seconds(lambda: model.fit(rows, mode) if conditional else model.fit(rows))
    asked = np.arange(DRAWN) % len(centres(what))
    drawn = model.sample(DRAWN, random_state=seed, **({"y": asked} if conditional else {}))
    found = mode_count(drawn, centres(what), SIGMAS[what])
    cells = {
        "modes": found.found,
        "strict": found.strict,
        "high quality %": 100 * found.high_quality,
        "reverse KL": min(found.reverse_kl, 99.0),  # JSON knows no infinity
        "width": found.width if np.isfinite(found.width) else 0.0,
        "CPU s": seconds,
    }
    return cells, found.dropped


def spreads(found: list[dict[str, float]]) -> dict[str, Spread]:
    return {name: Spread.of([float(one[name]) for one in found]) for name in found[0]}


def goals(what: str) -> tuple[Goal, ...]:
    modes, quality, kl, seconds = GOALS[what]
    return (
        Goal("modes", modes, statistic="min"),
        Goal("high quality %", 100 * quality, statistic="min"),
        Goal("reverse KL", kl, below=True, statistic="max"),
        Goal("width", 0.4, statistic="min"),
        Goal("width", 1.3, below=True, statistic="max"),
        Goal("CPU s", seconds, below=True, statistic="max"),
    )


def penalised(name: str) -> bool:
    given = MODELS[name].parameters
    return getattr(engram.create(name), "penalty", "r1r2") is not None and given.get("penalty", "r1r2") is not None


def other(name: str, runs: list[tuple[dict[str, float], tuple[int, ...]]]) -> Row:
    """Return the row of a GAN of the second table, of what `values` gave; the note says which modes each seed dropped."""
    told = [f"seed {seed} drops {', '.join(map(str, modes))}" for seed, (_, modes) in enumerate(runs) if modes]
    all_modes = (Goal("modes", 8, statistic="min"),) if penalised(name) else ()
    return Row(name, spreads([cells for cells, _ in runs]), all_modes, "; ".join(told))


def measure(options: Options) -> Page:
    n, seeds, fewer = (2_000, 1, 1) if options.quick else (ROWS, SEEDS, FEWER)
    short: dict[str, Any] = {"max_epochs": 1} if options.quick else {}
    page = Page("mixtures", "Mixtures in the plane", TEXT)
    rows = [
        Row(what, spreads([values(what, "gan", seed, n, **short)[0] for seed in range(seeds)]), goals(what))
        for what in (RING, GRID)
    ]
    page.tables.append(Table(f"The default, {seeds} seeds", rows, ("min", "median", "max")))
    names = [e.name for e in MODELS if issubclass(e.value, GAN) or e.name in ("bigan", "vae-gan")]
    names = [name for name in names if MODELS[name].parameters.get("network", "mlp") == "mlp" and name != "gan"]
    names = names[:2] if options.quick else names
    others = [other(name, [values(RING, name, seed, n, **short) for seed in range(fewer)]) for name in names]
    page.tables.append(Table(f"All others on the ring, {fewer} seeds", others, ("min", "median", "max")))
    return page


if __name__ == "__main__":
    run_script(measure)
