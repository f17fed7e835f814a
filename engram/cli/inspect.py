"""``engram inspect RUN``: what a run folder holds, in words."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from engram.cli.console import aligned, console
from engram.cli.options import common

COLUMNS = 100  # most columns that are shown


@click.command()
@click.argument("run", metavar="RUN")
@common
def inspect(run: str) -> None:
    """Say what a run folder holds.

    Its parameters, what "auto" became, columns, findings and results.
    """
    found = contents(Path(run))
    console().finish("inspect", found, in_words(run, found))


def contents(folder: Path) -> dict[str, Any]:
    """Return what a run folder says; raise `RunError` where it is damaged."""
    from engram.data.kind import kind_class
    from engram.models.saving import load_model
    from engram.training.run import read_config, read_json

    config, chosen = read_config(folder), dict[str, Any]()
    if config.modules:
        described = read_json(folder, "kind.json")
        kind = kind_class(described["kind"]).from_dict(described["state"])
        weights = config.fitted.get("weights")  # the networks are the user's own; earlier versions did not note it
    else:
        model = load_model(folder)  # builds the networks and checks the weights against them
        kind, weights, chosen = model.kind_, model.network_.n_weights, model.described()
    parameters = given_parameters(config.model, config.parameters)
    unsure = {name for name in parameters if name in chosen and default_of(config.model, name) == "auto"}
    return {
        "model": config.model,
        "written_by": config.engram,
        "given": {name: value for name, value in parameters.items() if name not in unsure},
        "given_or_chosen": {name: parameters[name] for name in unsure},  # a fit writes down what "auto" became
        "own_networks": config.modules,
        "automatic": {**config.shapes, **config.settings},
        "weights": weights,
        "kind": config.kind,
        "data": config.data,
        "columns": [{"name": name, "type": told} for name, told in kind.describe()],
        "distributions": kind.distributions(),
        "training": config.fitted,
        "findings": config.findings,
        "report": read_json(folder, "report.json") if (folder / "report.json").is_file() else None,
        "files": sorted(path.name for path in folder.iterdir()),
    }


def default_of(model: str, name: str) -> Any:
    """Return the default of a parameter."""
    from engram.parameters import parameters_of
    from engram.registry import fitting

    return parameters_of(fitting(model).value)[name].default


def given_parameters(model: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that are not the model's defaults."""
    from engram.parameters import changed
    from engram.registry import fitting

    return changed(fitting(model).value, parameters)


def in_words(run: str, found: dict[str, Any]) -> str:
    """Return the contents of a run folder as text."""
    data, training = found["data"], found["training"]
    rows = [
        ("model", f"{found['model']}, written by Engram {found['written_by']}"),
        ("rows", f"{data['rows']} ({data['trained_on']} trained on), fingerprint {data['fingerprint']}"),
        ("kind", found["kind"]),
        ("training", f"{training['n_iter']} epochs; ended by: {training['stopped']}"),
        ("weights", "not known" if found["weights"] is None else f"{found['weights']:,}"),
        ("given", ", ".join(f"{name}={value}" for name, value in found["given"].items()) or "nothing, all automatic"),
        *((f"{name}, given or chosen", _text(value)) for name, value in found["given_or_chosen"].items()),
        *((name.replace("_", " "), _text(value)) for name, value in found["automatic"].items()),
    ]
    columns = [(column["name"], column["type"]) for column in found["columns"]]
    more = [f"  ... and {len(columns) - COLUMNS} more"] if len(columns) > COLUMNS else []
    findings = [f"  - {finding['message']}. {finding['advice']}".rstrip() for finding in found["findings"]]
    report = found["report"]
    results = results_text(report) if report else "  none in the folder: run engram evaluate"
    parts = [
        [run, aligned(rows)],
        ["columns", aligned(columns[:COLUMNS]), *more],
        *distributions_text(found["distributions"]),
        ["findings", *(findings or ["  nothing unusual"])],
        ["results", results],
    ]
    return "\n\n".join("\n".join(part) for part in parts)


def distributions_text(found: list[dict[str, Any]]) -> list[list[str]]:
    """Return which distribution explains each column of numbers best, the clearest gain over the normal one first."""
    if not found:
        return []
    better = sorted((c for c in found if c["best"] != "normal"), key=lambda c: -c["gain"])
    tied = ", as another column says much of it"
    rows = [
        (
            c["name"],
            f"{c['best']} {c['nats'][c['best']]:.3g}, normal {c['nats']['normal']:.3g}: "
            f"{c['gain']:.2g} ± {c['error']:.1g} better; the model used {c['used']}{tied * c.get('tied', False)}",
        )
        for c in better
    ]
    rest = f"  normal is as good as any for {'the other ' if rows else ''}{len(found) - len(rows)} columns of numbers"
    more = [f"  ... and {len(rows) - COLUMNS} more"] if len(rows) > COLUMNS else []
    title = "distributions that explain a column best by itself, nats of a held-out cell"
    return [[title, *([aligned(rows[:COLUMNS])] if rows else []), *more, *([rest] if len(rows) < len(found) else [])]]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " x ".join(map(str, value)) or "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value).lower() if value is None else str(value)


def results_text(report: dict[str, Any]) -> str:
    """Return the results of a report.json as a table."""
    from engram.errors import RunError
    from engram.evaluation import Report, Result

    def result(values: dict[str, Any]) -> Result:
        known: dict[str, Any] = {name: math.nan if value is None else value for name, value in values.items()}
        return Result(**known)

    def results(part: str) -> list[Result]:
        return [result(values) for values in report[part]]

    try:
        shown = Report(report["model"], results("metrics"), results("baselines"), [], report["protocol"])
        return shown.to_text()
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"report.json is damaged: {error!r}. Run engram evaluate for the numbers.") from None
