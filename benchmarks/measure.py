"""How all tables are measured and written: paired runs on one thread, medians, goals judged by the numbers alone."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PAIRS = 5
NOISY = 0.2  # a spread of ratios above this share of their median is pointed out
PACKAGES = ("engram", "torch", "numpy", "scikit-learn", "pyod", "pythae")


@dataclass(frozen=True)
class Spread:
    """Some values of one quantity, run by run."""

    median: float
    mean: float
    min: float
    max: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), statistics.fmean(values), min(values), max(values), tuple(values))


@dataclass(frozen=True)
class Goal:
    """What a quantity should reach: ``value`` at least, or less with ``below``, in its ``statistic``."""

    of: str
    value: float
    below: bool = False
    statistic: str = "median"

    def met(self, cells: dict[str, Spread]) -> bool:
        reached = getattr(cells[self.of], self.statistic)
        return bool(reached < self.value if self.below else reached >= self.value)

    def __str__(self) -> str:
        return f"{self.of} {'<' if self.below else '>='} {self.value:g}" + f" ({self.statistic})" * (
            self.statistic != "median"
        )


@dataclass
class Row:
    """One line of a table: what was measured, its quantities by column, and the goals."""

    what: str
    cells: dict[str, Spread]
    goals: tuple[Goal, ...] = ()
    note: str = ""


@dataclass
class Table:
    """Rows with the same columns; ``show`` says which statistics of a quantity the page prints."""

    title: str
    rows: list[Row]
    show: tuple[str, ...] = ("median",)


@dataclass
class Page:
    """A results page."""

    name: str
    title: str
    text: str  # what was measured, and how
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """What a script was asked for."""

    output: Path
    quick: bool
    peers: bool
    data: Path | None

    @property
    def pairs(self) -> int:
        return 1 if self.quick else PAIRS


def cpu_seconds(work: Callable[[], Any]) -> float:
    """Return the CPU time of this process (all threads) while ``work`` runs."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def paired(
    ours: Callable[[], float], theirs: Callable[[], float], pairs: int, names: tuple[str, str]
) -> dict[str, Spread]:
    """Measure A B A B ... and return both quantities and the ratio ours / theirs of each pair."""
    found = [(ours(), theirs()) for _ in range(pairs)]
    a, b = ([pair[i] for pair in found] for i in (0, 1))
    return {names[0]: Spread.of(a), names[1]: Spread.of(b), "ratio": Spread.of([x / y for x, y in found])}


def run_script(measure: Callable[[Options], Page]) -> None:
    """Read the options of a script, measure, and write <name>.md and <name>.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    options = Options(given.output, given.quick, not given.no_peers, given.data)
    page = measure(options)
    options.output.mkdir(parents=True, exist_ok=True)
    surroundings = machine(quick=options.quick)
    for suffix, text in ((".md", as_markdown(page, surroundings)), (".json", as_json(page, surroundings))):
        (options.output / (page.name + suffix)).write_text(text, encoding="utf-8")
    print(as_markdown(page, surroundings))


def machine(*, quick: bool) -> dict[str, Any]:
    """Return where and when this was measured."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[1], 1),  # of the last five minutes: this script's own part is 1
        "threads": sys.modules["torch"].get_num_threads() if "torch" in sys.modules else 1,
        "python": platform.python_version(),
        "versions": installed,
        "quick": quick,
    }


def cpu_model() -> str:
    """Return the CPU's name, and the widest vectors that torch finds in it."""
    torch = sys.modules.get("torch")
    return cpu_name() + (f" ({torch.backends.cpu.get_cpu_capability()})" if torch else "")


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def as_json(page: Page, surroundings: dict[str, Any]) -> str:
    content = {"schema": 1, "name": page.name, "title": page.title, **surroundings, "text": page.text}
    content["tables"] = [
        {
            "title": table.title,
            "rows": [
                {**asdict(row), "goals": [{**asdict(g), "met": g.met(row.cells)} for g in row.goals]}
                for row in table.rows
            ],
        }
        for table in page.tables
    ]
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def as_markdown(page: Page, surroundings: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in surroundings["versions"].items())
    lines = [f"# {page.title}", ""]
    if surroundings["quick"]:
        lines += [
            "**A quick run with tiny sizes: it shows that the script works and says nothing about speed or quality.**",
            "",
        ]
    lines += [
        page.text,
        f"Measured on {surroundings['date']}: {surroundings['cpu']}, {surroundings['cores']} cores, threads: {surroundings['threads']}, "
        f"load average {surroundings['load']} with this script, "
        f"Python {surroundings['python']}, {versions}.",
        "",
    ]
    for table in page.tables:
        lines += [f"## {table.title}", "", *table_lines(table), ""]
    return "\n".join(lines).rstrip() + "\n"


def table_lines(table: Table) -> list[str]:
    columns = list(dict.fromkeys(name for row in table.rows for name in row.cells))
    heads = ["", *(name if show == "median" else f"{name}, {show}" for name in columns for show in table.show)]
    heads += (["spread"] if "ratio" in columns else []) + ["goal", "met", "note"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in table.rows:
        texts = [row.what]
        for name in columns:
            texts += [number(getattr(row.cells[name], show)) if name in row.cells else "" for show in table.show]
        if "ratio" in columns:
            texts.append(spread_text(row.cells["ratio"]) if "ratio" in row.cells else "")
        texts += ["; ".join(map(str, row.goals)), "; ".join("yes" if g.met(row.cells) else "no" for g in row.goals)]
        lines.append("| " + " | ".join([*texts, row.note]) + " |")
    return lines


def spread_text(ratio: Spread) -> str:
    noisy = " (noisy)" if ratio.max - ratio.min > NOISY * abs(ratio.median) else ""
    return f"{number(ratio.min)} to {number(ratio.max)}{noisy}"


def number(value: float) -> str:
    """Return three or four significant digits, at most three of them behind the point."""
    for least, form in ((1000, ",.0f"), (100, ".1f"), (10, ".3g"), (1, ".4g")):
        if abs(value) >= least:
            return format(value, form)
    return f"{round(value, 3) + 0.0:.3f}"  # no -0.000
