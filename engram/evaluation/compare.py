"""Several models beside simple methods on the same rows, by the metrics that the kind of data declares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import TransformerMixin

from engram.data.kind import warn_notes
from engram.data.rows import Rows, counted
from engram.data.stream import some
from engram.evaluation.apart import beyond, is_worse
from engram.evaluation.compare_applications import compared_applications
from engram.evaluation.compare_runs import Run, check_alike, grouped, in_units_of, labelled, named, own_measures, run_of
from engram.evaluation.compare_table import Comparison, Standing, standings_of
from engram.evaluation.comparison import Outputs, encoded, flat, given_of, has_density, of_baselines, of_model
from engram.evaluation.labels import anomalies
from engram.evaluation.likelihood import has_likelihood, is_exact
from engram.evaluation.planted import with_anomalies
from engram.evaluation.purpose import only_generates
from engram.evaluation.seen import seen_before
from engram.evaluation.sets import divided, generation_of
from engram.evaluation.sets import told as said
from engram.metrics.metric import Metric, metric
from engram.metrics.uncertainty import DRAWS, deviations, standard_error
from engram.registry import BASELINES
from engram.training import Finding
from engram.training.session import seed_from, threads

if TYPE_CHECKING:
    from engram.models.model import Model

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Judged:
    """A subject's values and bootstrap deviations by one metric, one per run."""

    standing: Standing
    moved: Array  # (draws,) of the mean over runs

    def apart(self, other: Judged) -> float:
        """Return the standard error of the difference of the two means, over rows (paired) and over seeds."""
        over_rows = standard_error(self.moved - other.moved)
        of_seeds = [s.spread**2 / len(s.values) for s in (self.standing, other.standing) if len(s.values) > 1]
        return math.sqrt(over_rows**2 + sum(of_seeds))


def compare(
    models: Mapping[str, Model] | Sequence[Model],
    X: Any,
    y: Any = None,
    *,
    train: Any = None,
    metrics: Sequence[str] | None = None,
    detect: bool = True,
    random_state: Any = 0,
) -> Comparison:
    """Judge several fitted models beside simple methods on the same rows.

    Models with the same parameters that differ in their seed alone are taken together: their mean, and its standard deviation over seeds.
    Topics, recommendations and synthesized tables are compared by the measures of their own that `evaluate` has, with models of the same
    application alone; detectors of anomalies without labels on rows that are planted, as in `evaluate`.

    Parameters
    ----------
    models : dict by name, or list
        Fitted models of the same kind of data with the same columns.
    X : like the data of `fit`
        Rows, better such as no model has seen.
    y : array of one label per row, optional
        Labels; what the rows are given, of conditional models. Two values bring the metrics of detection, see `evaluate`.
    train : like X, optional
        The rows that the models were fitted on: baselines are fitted on them too. Without, they are cross-fitted on X.
    metrics : sequence of str, optional
        Names of metrics instead of those that suit the kind of data.
    detect : bool
        Whether y of two values says which rows are anomalies; false where it names classes.
    random_state : int, RandomState or None
        Seed of folds, baselines and standard errors.

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        A metric is unknown, or named for an application that has measures of its own; or models are of different kinds of data, columns
        or applications.
    DataError
        The rows are not such as the models were fitted on, or labels are not one per row.
    """
    known = named(models)
    check_alike(known)
    if own_measures(known):
        return compared_applications(
            known, X, y, train=train, metrics=metrics, random_state=random_state, by_name=isinstance(models, Mapping)
        )
    first = next(iter(known.values()))
    kind, seed = first.kind_, seed_from(random_state)
    chosen, of_sets = divided(metrics, kind, list(known.values()))
    X = some(kind.opened(X))
    rows = encoded(first, X)
    warn_notes([rows.notes])
    trained = None if train is None else some(kind.opened(train))
    conditional = [name for name, model in known.items() if model.given_ is not None]
    labels, told = _labels(y, conditional, len(rows), detect=detect)
    judged_on, seen, labels, told = with_anomalies(list(known.values()), X, rows, labels, told, seed)
    runs = [run_of(name, model, *_split(model, X, trained)) for name, model in known.items()]
    outputs = _looked_at(known, judged_on, y, seen, labels)
    groups = grouped(runs)
    subjects = dict(zip(labelled(groups, by_name=isinstance(models, Mapping)), groups, strict=True))
    learned = None if trained is None else encoded(first, trained)
    beside, fitted_on = _baselines(known, seen, learned, labels, chosen, outputs, seed)
    arrays = {subject: [outputs[run.name] for run in group] for subject, group in subjects.items()}
    arrays |= {name: [found] for name, found in beside.items()}
    found = {one.name: _judged(one, arrays, seed) for one in chosen}
    made = generation_of(known, X, y, train, len(rows), of_sets, asked=metrics is not None, seed=seed)
    sets = standings_of(made.results, subjects)
    fitted_on = fitted_on if chosen or not made.protocol else made.protocol["baseline_rows"]
    protocol = {
        "features": f"encoded rows of {rows.x[0].numel()} values ({kind.name}), in the units of the first run",
        "rows": len(rows),
        "baseline_rows": fitted_on,
        "seed": seed,
        "errors": f"bootstrap over rows, {DRAWS} draws",
        "notes": [f"{name} is given y beside each row, a help that others do not have" for name in conditional]
        + _notes(chosen, found, subjects, known, told, kind)
        + made.notes
        + _common_only(metrics, known),
    }
    if made.protocol:
        protocol["generated"] = said(made.protocol, baselines=bool(chosen))
    judged = [one for ones in found.values() for one in ones]
    beside_names = dict.fromkeys([*beside, *(s.subject for s in sets if s.subject not in subjects)])
    findings = [Finding("data", counted(note, count)) for note, count in rows.notes.items()]
    findings += [*_of_groups(subjects), *_worse(judged, list(subjects)), *made.findings]
    return Comparison([*(one.standing for one in judged), *sets], subjects, list(beside_names), findings, protocol)


def _labels(y: Any, conditional: list[str], n_rows: int, *, detect: bool) -> tuple[Array | None, str]:
    """Return which rows are anomalies, or None, and what was made of y, which conditional models take otherwise."""
    if not conditional:
        return anomalies(y, n_rows, detect=detect)
    return None, f"y is what {', '.join(conditional)} learned rows given, so it does not say which are anomalies"


def _common_only(metrics: Sequence[str] | str | None, models: dict[str, Model]) -> list[str]:
    """Say why models that give more than generated rows are compared by these alone."""
    plain = [name for name, model in models.items() if only_generates(model)]
    if metrics is not None or len(plain) in (0, len(models)):
        return []
    return [
        f"{', '.join(plain)} gives no reconstruction and no scores, so all are compared by the rows that they generate"
    ]


def _split(model: Model, X: Any, trained: Any) -> tuple[str, list[Finding]]:
    """Say how rows stand to those that a model was fitted on."""
    return seen_before(model, encoded(model, X), None if trained is None else encoded(model, trained))


def _looked_at(models: dict[str, Model], X: Any, y: Any, rows: Rows, labels: Array | None) -> dict[str, Outputs]:
    """Return the arrays of each model, those of encoded values in the units of the first one."""
    first = next(iter(models))
    shared = given_of(rows, models[first].kind_, labels)
    x, mask = shared["x"], shared.get("mask")
    outputs = {}
    for name, model in models.items():
        with threads(model.settings_.threads):
            found = of_model(model, X, y)
        if "reconstruction" in found:
            back, own = found["reconstruction"], flat(encoded(model, X), model.kind_)[0]
            found["reconstruction"] = in_units_of(x, own, back, mask, (first, name))
        outputs[name] = shared | found
    return outputs


def _baselines(
    models: dict[str, Model],
    rows: Rows,
    trained: Rows | None,
    labels: Array | None,
    chosen: list[Metric],
    outputs: dict[str, Outputs],
    seed: int,
) -> tuple[dict[str, Outputs], str]:
    """Return the arrays of baselines; those that depend on the code size once for each size among the models."""
    first = next(iter(models.values()))
    shared = given_of(rows, first.kind_, labels)
    wanted = {n for one in chosen for own in outputs.values() if not one.lacking(own) for n in one.needs}
    sizes = sorted({m.shapes_.code_size for m in models.values() if isinstance(m, TransformerMixin)})
    sizes = sizes or [first.shapes_.code_size]
    names = list(first.kind_.baselines)
    classes: dict[str, Any] = {name: BASELINES[name].value for name in names}
    sized = [name for name in names if classes[name].sized]
    found: dict[str, Outputs] = {}
    fitted_on = ""
    with threads(first.settings_.threads):
        for i, size in enumerate(sizes):
            asked = names if i == 0 else sized
            made, fitted_on = of_baselines(wanted, first.kind_, rows, trained, size, seed, names=asked)
            for name, arrays in made.items():
                label = f"{name} code_size={size}" if name in sized and len(sizes) > 1 else name
                found[label] = shared | arrays
    order = sorted(found, key=lambda label: names.index(label.partition(" ")[0]))
    return {label: found[label] for label in order}, fitted_on


def _judged(one: Metric, arrays: dict[str, list[Outputs]], seed: int) -> list[Judged]:
    """Return all subjects that a metric is defined for, the best one marked and those that cannot be told apart from it."""
    found = []
    for subject, runs in arrays.items():
        if any(one.lacking(outputs) for outputs in runs):
            continue
        values = tuple(one.value(outputs) for outputs in runs)
        if all(map(math.isfinite, values)):
            moved = np.mean([deviations(one, outputs, random_state=seed) for outputs in runs], axis=0)
            standing = Standing(one.name, subject, values, standard_error(moved), one.better, one.unit)
            found.append(Judged(standing, moved))
    if not found:
        return []
    best = max(found, key=lambda judged: one.gain(judged.standing.value, 0.0))
    return [
        replace(judged, standing=replace(judged.standing, best=judged is best, level=not _is_better(one, best, judged)))
        for judged in found
    ]


def _is_better(one: Metric, a: Judged, b: Judged) -> bool:
    """Whether a is better than b by more than rounding, and by more than two standard errors of the difference."""
    return beyond(one.gain(a.standing.value, b.standing.value), a.apart(b))


def _worse(judged: list[Judged], models: list[str]) -> list[Finding]:
    """Return one finding per model that the best baseline of a metric beats."""
    said: dict[str, list[str]] = {}
    for name in dict.fromkeys(one.standing.name for one in judged):
        found = [one for one in judged if one.standing.name == name]
        how = metric(name)
        simple = [one for one in found if one.standing.subject not in models]
        if not simple:
            continue
        best = max(simple, key=lambda one: how.gain(one.standing.value, 0.0))
        for own in found:
            gain = how.gain(best.standing.value, own.standing.value)
            if own.standing.subject in models and is_worse(gain, best.apart(own), own.standing.error):
                told = f"{name} {best.standing.value:.4g} of {best.standing.subject} against {own.standing.value:.4g}"
                said.setdefault(own.standing.subject, []).append(told)
    return [
        Finding(
            "worse-than-baseline",
            f"a simple method does better than {subject}: {'; '.join(told)}",
            "Use that instead, or fit longer",
        )
        for subject, told in said.items()
    ]


def _of_groups(subjects: dict[str, list[Run]]) -> list[Finding]:
    """Return findings where runs that are taken together are not what one thinks."""
    findings = []
    for subject, runs in subjects.items():
        seen: dict[tuple[int, str], str] = {}
        for run in runs:
            other = seen.setdefault((run.seed, run.fingerprint), run.name)
            if other != run.name:
                told = f"{other!r} and {run.name!r} have the same parameters, rows and seed, so the spread of {subject} is too small"
                findings.append(Finding("same-run", told, "Give each fit once, or fit with another seed"))
    firsts = [runs[0] for runs in subjects.values()]
    for i, run in enumerate(firsts):
        others = [other.name for other in firsts[:i] if other.model_key == run.model_key]
        if others:
            told = f"{others[0]!r} and {run.name!r} are the same model, fitted on different rows: they are not taken together"
            findings.append(
                Finding("other-training-rows", told, "Fit all seeds on the same rows to see what the seed does")
            )
    return findings


def _notes(
    chosen: list[Metric],
    found: dict[str, list[Judged]],
    subjects: dict[str, list[Run]],
    models: dict[str, Model],
    told: str,
    kind: Any,
) -> list[str]:
    """Say what was left out, and what numbers stand for where names leave that open."""
    notes = []
    for one in chosen:
        there = {judged.standing.subject for judged in found[one.name]}
        without = [subject for subject in subjects if subject not in there]
        if "y" in one.needs:
            notes.append(f"{one.name}: {told}" if there else f"{one.name}: left out, {told}")
        elif without:
            notes.append(f"{one.name}: not of {', '.join(without)}, which cannot give it")
        if "log_prob" in one.needs and there:
            bounds = sorted({type(m).__name__ for m in models.values() if has_likelihood(m) and not is_exact(m)})
            notes += [f"{one.name}: of {', '.join(bounds)} the ELBO, a lower bound"] if bounds else []
            notes += (
                []
                if has_density(kind)
                else [f"{one.name}: only of models; flags, counts and categories have no normal density"]
            )
    return notes
