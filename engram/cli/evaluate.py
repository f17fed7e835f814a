"""``engram evaluate RUN SOURCE``: a fitted model beside simple methods on the same rows."""

from __future__ import annotations

from pathlib import Path

import click

from engram.cli.console import console
from engram.cli.options import common, judging_parameters, with_parameters


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("source", metavar="SOURCE")
@with_parameters(*judging_parameters("report", "model was"))
@common
def evaluate(
    run: str,
    source: str,
    train: str | None,
    metrics: tuple[str, ...],
    output: str | None,
    label: str | None,
    header: bool | None,
    seed: int,
    force: bool,
) -> None:
    """Judge a fitted model beside simple methods on the same rows.

    SOURCE is best of rows that the model has not seen. Where SOURCE is what `engram fit` was given, the numbers are of
    the part that it held out.
    """
    from engram.cli.judge import apart, judged, keep
    from engram.cli.output import target
    from engram.cli.sources import opened
    from engram.models.saving import load_model

    voice = console()
    to = None if output is None else target(output, (".html", ".json"), force=force, what="a report")
    model = load_model(run)
    given = opened(source, label=label, keep=True, kind=model.kind_, header=header)
    known = None if train is None else opened(train, kind=model.kind_, header=header)
    test, fitted, told = apart(model, given, known)
    if told:
        voice.note(told)
    voice.say(f"judging {run} on {len(test)} {model.kind_.rows_are}, beside baselines ...")
    report = judged(model, test, fitted, seed=seed, metrics=metrics, run=Path(run))
    if to is not None:
        keep(report, to)
    voice.finish("evaluate", {"run": run, "rows": len(test), "report": report.to_dict()}, report.to_text())
