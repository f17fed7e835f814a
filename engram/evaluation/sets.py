"""Metrics of sets of rows in a report: real and generated rows that have nothing to do with each other, row by row.

They stand in a report where generating rows is what a model is for, or where they are asked for by name. No bootstrap over rows is
made for them, since the sets have no rows in common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engram.errors import UsageError
from engram.evaluation.apart import beyond
from engram.evaluation.generation import COPIES, FEWEST, judge_generations
from engram.evaluation.labels import one_label
from engram.evaluation.purpose import draws, finds_anomalies, is_for_generation, only_generates
from engram.evaluation.report import REAL, Result
from engram.metrics.frechet import FRECHET
from engram.metrics.metric import Metric, metric
from engram.registry import METRICS
from engram.training import Finding

if TYPE_CHECKING:
    from engram.data.kind import Kind

OF_ROWS = {"x", "reconstruction", "log_prob", "scores"}  # a metric of rows, one by one, needs some of these arrays
ELSEWHERE = {  # registered metrics that take more than rows
    "inception-score": "it takes the probabilities of a classifier: engram.metrics.inception_score",
    "path-length": "it takes rows along paths of the noise: engram.metrics.path_length",
}
INDEPENDENT = "independent"  # the baseline that a generator should be better than
LEAST = 0.5  # of the floor: by how much a Frechet distance must be the larger one to be worth a finding


@dataclass
class Generation:
    """What there is to say of generated rows: results of all subjects, notes, findings, and how the numbers came about."""

    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    protocol: dict[str, Any] = field(default_factory=dict)


def is_of_sets(name: str) -> bool:
    """Whether a metric, by name, is one of sets of rows."""
    return name == COPIES[0] or not OF_ROWS & set(metric(name).needs)


def divided(metrics: Sequence[str] | str | None, kind: Kind, models: Sequence[Any]) -> tuple[list[Metric], list[str]]:
    """Return the metrics of the same rows, one by one, and the names of those of sets of rows: what was asked for, or what suits.

    Where one of several models does nothing but generate rows, those are all that they have in common.
    """
    if metrics is None:
        rows = [] if any(only_generates(model) for model in models) else list(kind.metrics)
        rows = [name for name in rows if name == "auroc"] if any(map(finds_anomalies, models)) else rows
        sets = [*filter(is_of_sets, METRICS.names()), COPIES[0]] if any(map(is_for_generation, models)) else []
        return [metric(name) for name in rows], [name for name in sets if name not in ELSEWHERE]
    names = dict.fromkeys([metrics] if isinstance(metrics, str) else metrics)
    sets = [name for name in names if is_of_sets(name)]
    return [metric(name) for name in names if name not in sets], sets


def generation_of(
    models: Mapping[str, Any], X: Any, y: Any, train: Any, n_rows: int, wished: list[str], *, asked: bool, seed: int
) -> Generation:
    """Judge generated rows by the wished metrics; ``asked`` says that these were named, so that what is left out is told."""
    found = Generation(notes=[f"{name}: left out, {why}" for name, why in ELSEWHERE.items() if name in wished])
    wished = [name for name in wished if name not in ELSEWHERE]
    if not wished:
        return found
    unable = [name for name, model in models.items() if not draws(model)]
    if unable:
        raise UsageError(
            f"{unable[0]} cannot generate rows, so {', '.join(wished)} cannot be computed of it. Leave it out."
        )
    if n_rows < 4 * FEWEST:
        told = f"a quarter of {n_rows} rows is too few to compare with generated ones; give {4 * FEWEST} or more"
        found.notes.append(f"{', '.join(wished)}: left out, {told}")
        return found
    conditional = any(model.given_ is not None for model in models.values())
    results, notes = judge_generations(models, X, y if conditional else one_label(y), train=train, random_state=seed)
    order = wished if asked else list(dict.fromkeys(r.name for r in results))
    found.results = [r for name in order if name in wished for r in results if r.name == name]
    found.notes += [note for note in notes if any(name in note.partition(":")[0] for name in wished)]
    if asked and "agreement" in wished and not conditional:
        found.notes.append(f"agreement: left out, {' and '.join(models)} learned rows without y")
    found.protocol = results[0].protocol
    found.findings = [finding for name in models for finding in worse_than_independent(name, results)]
    return found


def worse_than_independent(name: str, results: list[Result]) -> list[Finding]:
    """Return a finding where rows with every column drawn by itself are nearer to real ones than those of a model.

    It must be so by more than two standard errors, where these are known, and by half of what real rows are from each other.
    """
    values = {r.subject: r for r in results if r.name in FRECHET}
    if not {name, REAL, INDEPENDENT} <= set(values):
        return []
    own, other, floor = values[name], values[INDEPENDENT], values[REAL]
    error = math.hypot(*(r.error if math.isfinite(r.error) else 0.0 for r in (own, other)))
    if not beyond(own.value - other.value, error, LEAST * floor.value):
        return []
    told = f"rows of independent columns are nearer to real ones than those of {name}: Frechet distance {other.text()} against {own.text()}"
    advice = "Train longer (max_epochs), or with the automatic loss, penalty and learning_rate"
    return [Finding("worse-than-baseline", told, advice)]


def told(protocol: dict[str, Any], *, baselines: bool) -> str:
    """Return in a sentence what generated rows were compared with and, where that is not said elsewhere, what baselines learned from."""
    said = f"{protocol['rows']} beside as many real ones, on {protocol['features']}; {protocol['split']}"
    return f"{said}; baselines {protocol['baseline_rows']}" if baselines else said
