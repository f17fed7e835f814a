"""A model beside simple methods: the metrics and baselines that the kind of data declares, on the same rows.

Of models that generate rows, these are compared with real ones, see `engram.evaluation.generation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engram.data.kind import warn_notes
from engram.data.rows import Rows, counted
from engram.data.stream import some
from engram.errors import UsageError, with_article
from engram.evaluation.apart import is_worse
from engram.evaluation.compare_applications import NO_METRICS
from engram.evaluation.comparison import Outputs, encoded, given_of, has_density, of_baselines, of_model
from engram.evaluation.facts import look, safely
from engram.evaluation.labels import anomalies
from engram.evaluation.likelihood import has_likelihood, is_exact, reported, worse_than_uniform
from engram.evaluation.pictures import pictures
from engram.evaluation.planted import with_anomalies
from engram.evaluation.purpose import LOG_P_VALUE, finds_anomalies, only_generates
from engram.evaluation.report import Report, Result
from engram.evaluation.seen import seen_before
from engram.evaluation.sets import Generation, divided, generation_of, told
from engram.metrics.metric import Metric
from engram.metrics.uncertainty import DRAWS, deviations, standard_error
from engram.training import Finding
from engram.training.session import seed_from, threads

if TYPE_CHECKING:
    from engram.models.model import Model

Array = np.ndarray[Any, np.dtype[Any]]
ADVICE = {  # by what the metric needs
    "reconstruction": "Use {0} for this, or try more epochs, a larger n_iter_no_change, or more rows",
    "scores": "Rank anomalies with {0}, or fit on rows without anomalies, or try a smaller code",
    "log_prob": "Use {0} for this, or try beta=1, another code size, or more rows",
}


def evaluate(
    model: Model,
    X: Any,
    y: Any = None,
    *,
    train: Any = None,
    metrics: Sequence[str] | None = None,
    detect: bool = True,
    random_state: Any = 0,
) -> Report:
    """Judge a fitted model beside simple methods on the same rows.

    Parameters
    ----------
    model : model
        A fitted model.
    X : like the data of `fit`
        Rows, better such as the model has not seen.
    y : array of one label per row, optional
        Labels; of a conditional model what the rows are given.
        Two values bring the metrics of detection, for which the rarer one is an anomaly (of equally frequent ones 1 or True); all
        colour the pictures.
    train : like X, optional
        The rows that the model was fitted on: baselines are fitted on them too. Without, they are cross-fitted on X.
    metrics : sequence of str, optional
        Names of metrics instead of those that suit the kind of data and the model.
    detect : bool
        Whether y of two values says which rows are anomalies; false where it names classes.
    random_state : int, RandomState or None
        Seed of folds, baselines, standard errors and the pictures' draws.

    Returns
    -------
    Report

    Raises
    ------
    UsageError
        A metric is unknown, or metrics are named for a synthesizer, which is judged by those of `judge_synthetic`.
    DataError
        The rows are not such as the model was fitted on, or labels are not one per row.
    """
    if hasattr(model, "report_on"):  # an application with measures of its own
        if metrics is not None:
            raise UsageError(NO_METRICS.format(with_article(type(model).__name__)))
        report: Report = model.report_on(X, y, train=train, random_state=random_state)
        return report
    rows = encoded(model, X)
    kind, name, seed = model.kind_, type(model).__name__, seed_from(random_state)
    chosen, of_sets = divided(metrics, kind, [model])
    X = some(kind.opened(X))
    warn_notes([rows.notes])
    trained = None if train is None else encoded(model, train)
    split, findings = seen_before(model, rows, trained)
    findings += [Finding("data", counted(note, count)) for note, count in rows.notes.items()]
    common: dict[str, Any] = {"rows": len(rows), "split": split, "seed": seed}
    results, notes, worse = _of_rows(model, X, y, rows, trained, chosen, common, detect=detect)
    if metrics is None:
        likely, told_of = reported(model, X, y, common)
        results, notes = results + likely, notes + told_of
        findings += worse_than_uniform(kind, likely)
    made = generation_of({name: model}, X, y, train, len(rows), of_sets, asked=metrics is not None, seed=seed)
    results += made.results
    known = None if train is None else kind.opened(train)
    return Report(
        model=name,
        metrics=[r for r in results if r.subject == name],
        baselines=[r for r in results if r.subject != name],
        findings=[*model.findings_, *findings, *worse, *made.findings],
        of_fit=len(model.findings_),
        protocol={**_protocol(common, results, made), "notes": notes + made.notes},
        columns=kind.describe(),
        draw=partial(pictures, model, X, y, random_state=seed),
        gather=partial(safely, partial(look, model, X, y, known, detect=detect, random_state=seed)),
        sheets=getattr(model, "sheets_", {}),
    )


def _protocol(common: dict[str, Any], results: list[Result], made: Generation) -> dict[str, Any]:
    """Return what is common to all results: of those of rows one by one and, where there are any, of sets of rows."""
    of_rows = next((r.protocol for r in results if r not in made.results), None)
    if of_rows is not None:
        shared = {key: value for key, value in of_rows.items() if key != "quantity"}
        return shared | ({"generated": told(made.protocol, baselines=True)} if made.protocol else {})
    if not made.protocol:
        return common | {"features": "none", "baseline_rows": "none", "errors": "none"}
    own = {key: made.protocol[key] for key in ("features", "baseline_rows", "errors")}
    return {"features": own["features"], **common, **own, "generated": told(made.protocol, baselines=False)}


def _of_rows(
    model: Model,
    X: Any,
    y: Any,
    rows: Rows,
    trained: Rows | None,
    chosen: list[Metric],
    common: dict[str, Any],
    *,
    detect: bool,
) -> tuple[list[Result], list[str], list[Finding]]:
    """Judge what a model makes of the rows one by one: results, notes, findings; ``common`` is completed."""
    is_known = detect and model.given_ is not None  # what a conditional model is told, and not about anomalies
    labels, what = anomalies(None if is_known else y, len(rows), detect=detect)
    X, rows, labels, what = with_anomalies([model], X, rows, labels, what, common["seed"])
    if not chosen or only_generates(model):
        lacking = {
            one.name: " or ".join(n for n in one.needs if n in ("reconstruction", "scores", "log_prob"))
            for one in chosen
        }
        told = f"{type(model).__name__} gives no"
        return [], [f"{name}: left out, {told} {needed}" for name, needed in lacking.items()], []
    subjects, fitted_on = _subjects(model, X, y, rows, trained, labels, chosen, common["seed"])
    protocol = {
        "features": f"encoded rows of {rows.x[0].numel()} values ({model.kind_.name})",
        "rows": common["rows"],
        "split": common["split"],
        "baseline_rows": fitted_on,
        "seed": common["seed"],
        "errors": f"bootstrap over rows, {DRAWS} draws",
    }
    return _judged(chosen, model, subjects, protocol, what)


def _subjects(
    model: Model,
    X: Any,
    y: Any,
    rows: Rows,
    trained: Rows | None,
    labels: Array | None,
    chosen: list[Metric],
    seed: int,
) -> tuple[dict[str, Outputs], str]:
    """Return the arrays of the model and of baselines by name, and in words what baselines were fitted on."""
    shared = given_of(rows, model.kind_, labels)
    with threads(model.settings_.threads):
        own = shared | of_model(model, X, y)
        wanted = {needed for one in chosen if not one.lacking(own) for needed in one.needs}
        beside, fitted_on = of_baselines(wanted, model.kind_, rows, trained, model.shapes_.code_size, seed)
    return {type(model).__name__: own} | {name: shared | outputs for name, outputs in beside.items()}, fitted_on


def _judged(
    chosen: list[Metric], model: Model, subjects: dict[str, Outputs], common: dict[str, Any], told: str
) -> tuple[list[Result], list[str], list[Finding]]:
    """Return all results, notes on what was left out or decided, and findings; ``told`` is what was made of the labels."""
    name = type(model).__name__
    results: list[Result] = []
    notes, beaten = [], []
    for one in chosen:
        found, reason = _compared(one, name, subjects, common | _quantity(one, model, told))
        results += [result for result, _ in found.values()]
        beaten += _beaten(one, name, found)
        if reason:
            notes.append(f"{one.name}: left out, {told if 'y' in one.lacking(subjects[name]) else reason}")
        elif "y" in one.needs:
            notes.append(f"{one.name}: {told}")
        elif "log_prob" in one.needs and not has_density(model.kind_):
            notes.append(f"{one.name}: only of the model; flags, counts and categories have no normal density")
    return results, notes, _worse(name, beaten)


def _compared(
    one: Metric, name: str, subjects: dict[str, Outputs], protocol: dict[str, Any]
) -> tuple[dict[str, tuple[Result, Array]], str]:
    """Return the results of a metric with their bootstrap deviations by subject, or why there are none."""
    lacking = one.lacking(subjects[name])
    if lacking:
        what = "a log-likelihood of rows" if "log_prob" in lacking else " or ".join(lacking)
        return {}, f"{name} does not give {what}"
    found = {}
    for subject, outputs in subjects.items():
        if one.lacking(outputs):
            continue
        value = one.value(outputs)
        if np.isfinite(value):
            spread = deviations(one, outputs, random_state=protocol["seed"])
            error = standard_error(spread)
            result = Result(one.name, subject, value, error, one.better, one.unit, protocol)
            found[subject] = (result, spread)
    return (found, "") if name in found else ({}, "it is not defined for these rows")


def _beaten(one: Metric, name: str, found: dict[str, tuple[Result, Array]]) -> list[tuple[str, str, str]]:
    """Return (the best baseline, the two values in words, advice) where one beats the model.

    When that is so, `engram.evaluation.apart` says.
    """
    if name not in found:
        return []
    own, spread = found[name]
    better: list[tuple[float, Result]] = []
    for result, other in found.values():
        gain = one.gain(result.value, own.value)
        if result is not own and is_worse(gain, standard_error(other - spread), own.error):
            better.append((gain, result))
    if not better:
        return []
    best = max(better, key=lambda pair: pair[0])[1]
    values = f"{one.name} {best.text(own.decimals())} against {own.text()} ({one.unit}, {one.better} is better)"
    advice = next((text for needed, text in ADVICE.items() if needed in one.needs), "Use {0} for this")
    return [(best.subject, values, advice.format(best.subject))]


def _worse(name: str, beaten: list[tuple[str, str, str]]) -> list[Finding]:
    """Return one finding per baseline, whatever the number of metrics that say so; the first one's advice stands."""
    said: dict[str, list[str]] = {}
    advised: dict[str, str] = {}
    for baseline, values, advice in beaten:
        said.setdefault(baseline, []).append(values)
        advised.setdefault(baseline, advice)
    return [
        Finding(
            "worse-than-baseline",
            f"the baseline {baseline} does better than {name}: {'; '.join(values)}",
            advised[baseline],
        )
        for baseline, values in said.items()
    ]


def _quantity(one: Metric, model: Model, told: str) -> dict[str, Any]:
    """Say what a metric was computed from, where its name leaves that open."""
    exact = is_exact(model)
    score = "log p(x)" if exact else "the ELBO" if has_likelihood(model) else "log p(x | code)"
    score = LOG_P_VALUE if finds_anomalies(model) else score
    if "log_prob" in one.needs:
        return {"quantity": "of the model log p(x)" if exact else "of the model the ELBO, a lower bound"}
    if "scores" in one.needs:
        return {"quantity": f"scores: {score}; {told}"}
    return {}
