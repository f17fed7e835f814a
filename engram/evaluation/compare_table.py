"""What a comparison found: several models beside simple methods on the same rows, as a table, as JSON, as one page."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from engram.evaluation.apart import beyond
from engram.evaluation.compare_runs import Run
from engram.evaluation.headline import NO_METRIC
from engram.evaluation.report import ARROWS, REFERENCES, UNRANKED, Result, laid_out, save
from engram.metrics.metric import goodness, same
from engram.training import Finding
from engram.training.run import dumps
from engram.version import VERSION

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1


@dataclass(frozen=True)
class Standing:
    """How a model or a baseline does by one metric.

    Parameters
    ----------
    name : str
        The metric.
    subject : str
        The model, with all its seeds, or the baseline.
    values : tuple of float
        One number per run.
    error : float
        Standard error of their mean over rows; NaN where one row is all there is.
    better : str
        "higher" or "lower".
    unit : str
        Of values and error, in words.
    best : bool
        Whether its mean is the best.
    level : bool
        Whether it cannot be told apart from the best: the difference of the means is below two standard errors of it, over rows
        (paired) and over seeds, or no more than float32 arithmetic rounds.
    """

    name: str
    subject: str
    values: tuple[float, ...]
    error: float
    better: str
    unit: str
    best: bool = False
    level: bool = False

    @property
    def value(self) -> float:
        """The mean over runs."""
        return sum(self.values) / len(self.values)

    @property
    def spread(self) -> float:
        """Standard deviation over runs; NaN of one run."""
        n, mean = len(self.values), self.value
        return math.sqrt(sum((v - mean) ** 2 for v in self.values) / (n - 1)) if n > 1 else math.nan

    def text(self, decimals: int) -> str:
        """Return the mean, and ± the standard deviation over runs where there are several."""
        spread = f" ± {self.spread:.{decimals}f}" if len(self.values) > 1 else ""
        return f"{self.value:.{decimals}f}{spread}"

    @property
    def mark(self) -> str:
        """A star for the best, an equals sign for what is level with it."""
        return "*" if self.best else "=" if self.level else ""


@dataclass
class Comparison:
    """Models and baselines on the same rows.

    Parameters
    ----------
    standings : list of Standing
        By metric and subject.
    models : dict of list of Run
        The runs behind each subject that is a model; several where they differ in their seed alone.
    baselines : list of str
        The subjects that are simple methods.
    findings : list of Finding
        What concerns the comparison; those of each run stand with the run.
    protocol : dict
        How the numbers came about, and ``notes``: what was left out and why.
    """

    standings: list[Standing]
    models: dict[str, list[Run]]
    baselines: list[str]
    findings: list[Finding]
    protocol: dict[str, Any]

    @property
    def runs(self) -> list[Run]:
        """All runs."""
        return [run for runs in self.models.values() for run in runs]

    def names(self) -> list[str]:
        """Metrics in order."""
        return list(dict.fromkeys(one.name for one in self.standings))

    def subjects(self) -> list[str]:
        """Models, then baselines, in order."""
        return [*self.models, *self.baselines]

    def standing(self, name: str, subject: str) -> Standing | None:
        """Return one standing, or None."""
        return next((s for s in self.standings if (s.name, s.subject) == (name, subject)), None)

    def decimals(self, name: str) -> int:
        """How many decimals of a metric are worth printing: two digits of the smallest uncertainty of a model, at most four."""
        own = [s for s in self.standings if s.name == name and s.subject in self.models]
        spreads = [s.spread for s in own if s.spread > 0] or [s.error for s in own if s.error > 0]
        size = min(spreads, default=0.1 * max((abs(s.value) for s in own), default=0.0))
        return min(4, max(0, 1 - math.floor(math.log10(size)))) if size > 0 else 2

    def headline(self) -> str:
        """Return in a sentence which model is best by the first metric, and how the best baseline does."""
        if not self.standings:
            return f"{NO_METRIC}."
        name = self.names()[0]
        found = [s for s in self.standings if s.name == name]
        order = sorted(found, key=_goodness, reverse=True)
        own = [s for s in order if s.subject in self.models]
        simple = [s for s in order if s.subject in self.baselines and s.subject not in REFERENCES]
        d = self.decimals(name)
        told = f"By {name}, {own[0].subject} does best of the models: {own[0].text(d)}"
        told += f"; the best simple method, {simple[0].subject}, has {simple[0].text(d)}." if simple else "."
        if simple and simple[0].best and not own[0].level:
            told += " No model reaches it."
        level = [s.subject for s in own[1:] if s.level and own[0].best]
        return f"{told} Not told apart from it: {', '.join(level)}." if level else told

    def to_frame(self, what: Literal["value", "spread", "error"] = "value") -> pd.DataFrame:
        """Return the means over runs, their spread, or their standard errors over rows.

        One row per subject, one column per metric, NaN where there is none.
        """
        import pandas as pd

        found = {(s.subject, s.name): getattr(s, what) for s in self.standings}
        cells = [[found.get((subject, name), math.nan) for name in self.names()] for subject in self.subjects()]
        index = pd.Index(self.subjects(), name="subject")
        return pd.DataFrame(cells, index=index, columns=self.names(), dtype=float)

    def to_text(self) -> str:
        """Return a table for a terminal, what each model is, and findings."""
        units = {s.name: s for s in self.standings}
        lines = [["", *(f"{name} {ARROWS[units[name].better]}" for name in self.names())]]
        for subject in self.subjects():
            cells = [self.standing(name, subject) for name in self.names()]
            told = ["-" if s is None else f"{s.text(self.decimals(s.name))} {s.mark:<1}" for s in cells]
            lines.append([subject, *told])
        told = [self.headline(), "", self.legend(), *(f"note  {note}" for note in self.protocol["notes"]), ""]
        told += [f"{run.name}: {described(run)}" for run in self.runs]
        told += [f"finding  {finding}" for finding in self.findings]
        told += [f"finding  {who}: {finding}" for finding, who in self.of_runs()]
        return "\n".join([*laid_out(lines), "", *told]) + "\n"

    def of_runs(self) -> list[tuple[Finding, str]]:
        """Return the findings of runs and whose they are; one that several runs share stands once."""
        owners: dict[Finding, list[str]] = {}
        for run in self.runs:
            for finding in dict.fromkeys(run.findings):
                owners.setdefault(finding, []).append(run.name)
        return [(finding, ", ".join(names)) for finding, names in owners.items()]

    def legend(self) -> str:
        """Return in words how to read the numbers."""
        n = self.protocol["rows"]
        several = any(len(runs) > 1 for runs in self.models.values())
        spread = "± standard deviation over seeds; a number without is of one run. " if several else ""
        of_rows = f"{n} row{'s' * (n != 1)}; baselines {self.protocol['baseline_rows']}. {spread}"
        return f"{of_rows}* best, = not told apart from it (below two standard errors)"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; what is not finite becomes null when it is written."""
        return {
            "schema_version": SCHEMA,
            "engram": VERSION,
            "headline": self.headline(),
            "standings": [
                asdict(s) | {"values": list(s.values), "value": s.value, "spread": s.spread} for s in self.standings
            ],
            "models": {subject: [run.to_dict() for run in runs] for subject, runs in self.models.items()},
            "baselines": self.baselines,
            "findings": [finding.to_dict() for finding in self.findings],
            "protocol": self.protocol,
        }

    def to_html(self) -> str:
        """Return one page: results, a chart per metric, runs, findings; it loads nothing and runs nothing."""
        from engram.evaluation.compare_page import page

        return page(self)

    def save_json(self, path: str | Path) -> None:
        """Write the comparison as strict JSON, at once or not at all; an existing file is replaced."""
        save(Path(path), dumps(self.to_dict()))

    def save_html(self, path: str | Path) -> None:
        """Write the comparison as one self-contained page, at once or not at all; an existing file is replaced."""
        save(Path(path), self.to_html().encode())


def described(run: Run) -> str:
    """Return in words what a run is."""
    given = "".join(f" {name}={value}" for name, value in run.parameters.items())
    code = f", code size {run.code_size}" if run.code_size else ""
    return f"{run.model}{given}{code}, seed {run.seed}, {run.weights:,} weights, {run.epochs} epochs; {run.split}"


def standings_of(results: list[Result], subjects: dict[str, list[Run]]) -> list[Standing]:
    """Return the standings by metrics that were judged apart; what is level with the best is known only where seeds, or errors, say."""
    subject_of = {run.name: subject for subject, runs in subjects.items() for run in runs}
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        found.setdefault((result.name, subject_of.get(result.subject, result.subject)), []).append(result)
    standings = [
        Standing(
            name,
            subject,
            tuple(r.value for r in runs),
            fmean(r.error for r in runs),  # of runs that are judged on the same rows errors go together
            runs[0].better,
            runs[0].unit,
        )
        for (name, subject), runs in found.items()
    ]
    return [_ranked(one, [s for s in standings if s.name == one.name]) for one in standings]


def _ranked(one: Standing, all_of: list[Standing]) -> Standing:
    """Mark the best one of those that are ranked, and what two standard errors do not tell apart from it."""
    ranked = [s for s in all_of if s.subject not in REFERENCES and s.name not in UNRANKED]
    if one not in ranked:
        return one
    best = max(ranked, key=_goodness)
    known = [e**2 for s in (best, one) for e in (s.error, s.spread / math.sqrt(len(s.values))) if math.isfinite(e)]
    apart = beyond(abs(_goodness(best) - _goodness(one)), math.sqrt(sum(known)))
    return replace(one, best=one is best, level=same(_goodness(one), _goodness(best)) or (not apart and bool(known)))


def _goodness(one: Standing) -> float:
    """Return a number that is the higher the better."""
    return goodness(one.value, one.better)
