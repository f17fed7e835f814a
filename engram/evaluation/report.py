"""What an evaluation found: results beside those of baselines, as a table, as JSON, as one page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram.errors import RunError
from engram.evaluation.facts import Look
from engram.evaluation.headline import NO_METRIC, headline
from engram.metrics.metric import HALF, goodness
from engram.training import Finding
from engram.training.run import add, dumps
from engram.version import VERSION

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
ARROWS = {"higher": "↑", "lower": "↓", HALF: "→ .5"}
REAL, BOOTSTRAP = "real rows", "bootstrap"  # they generate nothing new: other real rows, training rows once more
OF_MODEL = ("negative-log-likelihood", "bits-per-dimension", "active-units")  # of the model alone: see `likelihood`
# of memory, where less than .5 means other rows, not better ones
UNRANKED = ("memorisation", "nearer-to-training", "membership", *OF_MODEL)
MOST_BESIDE = 6  # metrics
REFERENCES = (REAL, BOOTSTRAP)


@dataclass(frozen=True)
class Result:
    """One number.

    Parameters
    ----------
    name : str
        The metric.
    subject : str
        The model's class or the baseline's name.
    value : float
        The number.
    error : float
        Its standard error over rows; NaN where one row is all there is, or it is no mean over rows.
    better : str
        "higher", "lower" or "nearer to .5".
    unit : str
        Of value and error, in words.
    protocol : dict
        features, rows, split, baseline_rows, seed, errors and, where the name leaves it open, quantity.
    """

    name: str
    subject: str
    value: float
    error: float
    better: str
    unit: str
    protocol: dict[str, Any]

    def text(self, decimals: int | None = None) -> str:
        """Return value ± error, as a rule with two digits of the error."""
        d = self.decimals() if decimals is None else decimals
        error = f" ± {self.error:.{d}f}" if math.isfinite(self.error) else ""
        return f"{self.value:.{d}f}{error}"

    def decimals(self) -> int:
        """How many decimals are worth printing, at most four."""
        size = 10 * self.error if math.isfinite(self.error) and self.error > 0 else abs(self.value)
        return min(4, max(0, 2 - math.floor(math.log10(size)))) if size > 0 else 2


@dataclass
class Report:
    """Results of a model and of baselines, findings and pictures.

    Parameters
    ----------
    model : str
        The model's class.
    metrics, baselines : list of Result
        Results of the model, and of the simple methods on the same rows.
    findings : list of Finding
        Those of the fit, then those of the evaluation.
    protocol : dict
        What is common to all results, and ``notes``: what was left out and why.
    columns : list of (str, str)
        The columns of the data and what they are.
    draw : callable
        Makes the pictures; called when `pictures` is first read.
    gather : callable
        Finds out what else there is to say of the model and the rows; called when `look` is first read.
    lines : list of str
        What a terminal is told beside the numbers; a page shows it in sections of its own.
    sheets : dict of bytes
        PNG sheets of generated pictures by step, drawn while the model learned.
    of_fit : int
        How many of the findings, the first ones, are those of the fit: their numbers are of its rows, or of some that it held out.
    """

    model: str
    metrics: list[Result]
    baselines: list[Result]
    findings: list[Finding]
    protocol: dict[str, Any]
    columns: list[tuple[str, str]] = field(default_factory=list, repr=False)
    draw: Callable[[], dict[str, bytes]] = field(default=dict, repr=False, compare=False)
    gather: Callable[[], Look] = field(default=Look, repr=False, compare=False)
    lines: list[str] = field(default_factory=list, repr=False)
    sheets: Mapping[int, bytes] = field(default_factory=dict, repr=False, compare=False)
    of_fit: int = 0

    @cached_property
    def pictures(self) -> dict[str, bytes]:
        """PNG pictures by name: loss_curve, reconstructions, samples, code_map, as far as the model has them."""
        return self.draw()

    @cached_property
    def look(self) -> Look:
        """Facts and small pictures beside the results: data, choices, learning, rows, codes, scores."""
        return self.gather()

    def headline(self) -> str:
        """Return how it went in one or two plain sentences."""
        return headline(self)

    def names(self) -> list[str]:
        """Metrics in order."""
        return [result.name for result in self.metrics]

    def subjects(self) -> list[str]:
        """Return the model, then the baselines in order."""
        return list(dict.fromkeys([self.model, *(result.subject for result in self.baselines)]))

    def result(self, name: str, subject: str) -> Result | None:
        """Return one result, or None."""
        both = (*self.metrics, *self.baselines)
        return next((r for r in both if (r.name, r.subject) == (name, subject)), None)

    def cells(self, name: str) -> dict[str, tuple[str, bool]]:
        """Return (text, whether it is the best) by subject for one metric; what prints the same is equally good.

        Real rows, and training rows drawn again, are there to compare with: they are never the best.
        """
        found = {s: r for s in self.subjects() if (r := self.result(name, s)) is not None}
        decimals = next(iter(found.values())).decimals()
        if name in UNRANKED:
            return {s: (r.text(decimals), False) for s, r in found.items()}
        ranks = {s: _rank(r, decimals) for s, r in found.items() if s not in REFERENCES}
        best = max(ranks.values(), default=math.nan)
        return {s: (r.text(decimals), s in ranks and ranks[s] == best) for s, r in found.items()}

    @property
    def has_errors(self) -> bool:
        """Whether any number has a standard error."""
        return any(math.isfinite(r.error) for r in (*self.metrics, *self.baselines))

    @property
    def is_wide(self) -> bool:
        """Whether there are more metrics than stand well beside each other, so that they stand below each other."""
        return len(self.metrics) > MOST_BESIDE

    def to_frame(self) -> pd.DataFrame:
        """Return the values as a DataFrame: one row per subject, one column per metric, NaN where there is none."""
        import pandas as pd

        found = {name: {s: self.result(name, s) for s in self.subjects()} for name in self.names()}
        values = {name: {s: math.nan if r is None else r.value for s, r in row.items()} for name, row in found.items()}
        return pd.DataFrame(values, index=pd.Index(self.subjects(), name="subject"), columns=self.names(), dtype=float)

    def to_text(self) -> str:
        """Return a table for a terminal; a star marks the best, ± is the standard error, where there is one."""
        return "\n".join([*(self._table() if self.metrics else []), *self._told()]) + "\n"

    def _table(self) -> list[str]:
        """Return the lines of the table, the last one empty."""
        heads = [f"{r.name} {ARROWS[r.better]}" for r in self.metrics]
        columns = [self.cells(name) for name in self.names()]
        lines = [["", *heads]]
        for subject in self.subjects():
            cells = [column.get(subject, ("-", False)) for column in columns]
            lines.append([subject, *(f"{text} {'*' if best else ' '}" for text, best in cells)])
        if self.is_wide:
            lines = [list(line) for line in zip(*lines, strict=True)]
            lines[0] = ["", *(f"{subject}  " for subject in lines[0][1:])]  # the star's place
        return [*laid_out(lines), ""]

    def _told(self) -> list[str]:
        """Return in lines how the numbers came about, or that there are none, and notes and findings."""
        rows = f"{self.protocol['rows']} row{'s' if self.protocol['rows'] != 1 else ''} ({self.protocol['split']})"
        errors = ", ± standard error" if self.has_errors else ""
        legend = f"{rows}; baselines {self.protocol['baseline_rows']}. * best{errors}"
        told = [legend if self.metrics else f"{rows}. {NO_METRIC}; the notes say why."]
        told += [f"generated rows: {self.protocol['generated']}"] if "generated" in self.protocol else []
        told += [f"note  {note}" for note in self.protocol.get("notes", [])] + self.lines
        when = [" at the fit" * (i < self.of_fit) for i in range(len(self.findings))]
        return told + [f"finding{at}  {finding}" for at, finding in zip(when, self.findings, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; what is not finite becomes null when it is written."""
        return {
            "schema_version": SCHEMA,
            "engram": VERSION,
            "model": self.model,
            "metrics": [asdict(result) for result in self.metrics],
            "baselines": [asdict(result) for result in self.baselines],
            "findings": [finding.to_dict() for finding in self.findings],
            "findings_of_fit": self.of_fit,
            "protocol": self.protocol,
            "columns": [list(column) for column in self.columns],
            "headline": self.headline(),
            "facts": self.look.facts,
        }

    def to_html(self) -> str:
        """Return one page: findings, results, rows, codes, learning, data; it loads nothing and runs nothing."""
        from engram.evaluation.page import page

        return page(self)

    def save_json(self, path: str | Path) -> None:
        """Write the report as strict JSON, at once or not at all; an existing file is replaced."""
        save(Path(path), dumps(self.to_dict()))

    def save_html(self, path: str | Path) -> None:
        """Write the report as one self-contained page, at once or not at all; an existing file is replaced."""
        save(Path(path), self.to_html().encode())


def laid_out(table: list[list[str]]) -> list[str]:
    """Return the lines of a table for a terminal: its first column to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ([first.ljust(widths[0]), *map(str.rjust, cells, widths[1:])] for first, *cells in table)
    return ["  ".join(line).rstrip() for line in lines]


def _rank(result: Result, decimals: int) -> float:
    """Return a number that is the higher the better, of the value as it is printed."""
    return round(goodness(round(result.value, decimals), result.better), decimals)


def save(path: Path, content: bytes) -> None:
    """Write a file at once or not at all; raise `RunError` where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        add(path.parent, path.name, content)
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Choose another path.") from None
