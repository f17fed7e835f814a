"""Several fitted applications beside simple methods: by the measures of their own, those of `engram.evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from engram.data.kind import gathered
from engram.errors import UsageError, with_article
from engram.evaluation.compare_runs import Run, grouped, labelled, run_of
from engram.evaluation.compare_table import Comparison, standings_of
from engram.evaluation.report import REFERENCES, Report, Result

NO_METRICS = "{} is judged by measures of its own: leave metrics= (--metric) out."


def compared_applications(
    models: dict[str, Any],
    X: Any,
    y: Any,
    *,
    train: Any,
    metrics: Sequence[str] | None,
    random_state: Any,
    by_name: bool,
) -> Comparison:
    """Return the comparison of several models of one application; see `engram.compare`.

    A baseline that comes out the same beside all runs stands there once; one that depends on the run (topics by NMF are as many as
    the run's) once for each.
    """
    first = next(iter(models.values()))
    if metrics is not None:
        raise UsageError(NO_METRICS.format(with_article(type(first).__name__)))
    reports: dict[str, Report] = {}
    for name, model in models.items():
        with gathered({}) if reports else nullcontext():  # what was left out of the rows is said once
            reports[name] = model.report_on(X, y, train=train, random_state=random_state)
    runs = [_run(name, model, reports[name]) for name, model in models.items()]
    groups = grouped(runs)
    subjects = dict(zip(labelled(groups, by_name=by_name), groups, strict=True))
    own = [replace(r, subject=name) for name, report in reports.items() for r in report.metrics]
    beside = _beside(reports, {run.name: subject for subject, runs in subjects.items() for run in runs})
    names = dict.fromkeys(r.name for r in own)
    results = [r for name in names for r in (*own, *beside) if r.name == name]
    protocol = {k: v for k, v in next(iter(reports.values())).protocol.items() if k != "split"}
    notes = list(dict.fromkeys(note for report in reports.values() for note in report.protocol["notes"]))
    baselines = list(dict.fromkeys(r.subject for r in beside))
    return Comparison(standings_of(results, subjects), subjects, baselines, [], protocol | {"notes": notes})


def _run(name: str, model: Any, report: Report) -> Run:
    """Return what there is to say of a run; findings of the fit are among those of its report."""
    told = [finding for finding in report.findings if finding not in model.findings_]
    return run_of(name, model, report.protocol["split"], told)


def _beside(reports: dict[str, Report], subject_of: dict[str, str]) -> list[Result]:
    """Return the results of baselines, those that differ between runs named after these."""
    values = {name: _values(report) for name, report in reports.items()}
    first = next(iter(reports))
    found: dict[tuple[str, str, float], Result] = {}  # seeds of a group that have the same baseline have it once
    for run, report in reports.items():
        for result in report.baselines:
            own = result.subject
            shared = own in REFERENCES or all(v.get(own) == values[first].get(own) for v in values.values())
            name = own if shared else f"{own} ({subject_of[run]})"
            if run == first or not shared:
                found.setdefault((name, result.name, result.value), replace(result, subject=name))
    return list(found.values())


def _values(report: Report) -> dict[str, dict[str, float]]:
    """Return the values of baselines by subject and metric."""
    found: dict[str, dict[str, float]] = {}
    for result in report.baselines:
        found.setdefault(result.subject, {})[result.name] = result.value
    return found
