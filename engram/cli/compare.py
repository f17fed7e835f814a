"""``engram compare RUN... SOURCE``: several fitted models beside simple methods on the same rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from engram.cli.console import console
from engram.cli.options import common, judging_parameters, with_parameters
from engram.errors import UsageError

if TYPE_CHECKING:
    from engram.cli.sources import Given
    from engram.training import Finding


@dataclass(frozen=True)
class Apart:
    """Rows to judge on, rows that the models were fitted on or None, and what to say about it."""

    test: Given
    fitted: Given | None
    told: str = ""
    findings: list[Finding] = field(default_factory=list)


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.argument("source", metavar="SOURCE")
@with_parameters(*judging_parameters("comparison", "models were"))
@common
def compare(
    runs: tuple[str, ...],
    source: str,
    train: str | None,
    metrics: tuple[str, ...],
    output: str | None,
    label: str | None,
    header: bool | None,
    seed: int,
    force: bool,
) -> None:
    """Judge several fitted models beside simple methods on the same rows.

    Runs that differ in their seed alone are taken together: their mean ± its standard deviation over seeds. SOURCE is best
    of rows that no run has seen. Where SOURCE is what `engram fit` was given for all runs, the numbers are of the part
    that it held out of them. Topics, recommendations and synthesized tables are compared by their own measures, those of
    `engram evaluate`, with runs of the same application.
    """
    from engram.cli.judge import keep
    from engram.cli.output import target
    from engram.cli.sources import opened
    from engram.evaluation import compare as compared
    from engram.evaluation.compare_runs import check_alike
    from engram.models.saving import load_model

    doubled = [run for run in dict.fromkeys(runs) if runs.count(run) > 1]
    if doubled:
        raise UsageError(f"the run {doubled[0]!r} is given twice. Give each run once, then SOURCE.")
    voice = console()
    to = None if output is None else target(output, (".html", ".json"), force=force, what="a comparison")
    models: dict[str, Any] = {run: load_model(run) for run in runs}
    check_alike(models)
    kind = models[runs[0]].kind_
    given = opened(source, label=label, keep=True, kind=kind, header=header)
    known = None if train is None else opened(train, kind=kind, header=header)
    apart = apart_from_all(models, given, known)
    if apart.told:
        voice.note(apart.told)
    test, fitted = apart.test, None if apart.fitted is None else apart.fitted.rows
    voice.say(f"judging {len(runs)} run{'s' * (len(runs) > 1)} on {len(test)} {kind.rows_are}, beside baselines ...")
    known_labels = {"y": test.y, "detect": test.says_anomalies}
    found = compared(models, test.rows, train=fitted, metrics=metrics or None, random_state=seed, **known_labels)
    found.findings[:0] = apart.findings
    if to is not None:
        keep(found, to)
    text = found.to_text() if to is not None else found.to_text() + "\nWith -o compare.html it is a page with charts.\n"
    voice.finish("compare", {"rows": len(test), "comparison": found.to_dict()}, text)


def apart_from_all(models: dict[str, Any], given: Given, train: Given | None) -> Apart:
    """Return the rows to judge on, and those that the models were fitted on if these are known and the same.

    Raises `UsageError` where the parts of the source that were held out of the runs are not the same.
    """
    from engram.cli.judge import held_out

    found = {name: held_out(model, given if train is None else train) for name, model in models.items()}
    ours = {name: (fitted, test) for name, (fitted, test) in found.items() if fitted is not None and test is not None}
    if not ours:
        return Apart(given, train)
    fitted = next(iter(ours.values()))[0]
    if train is None:
        return _held_out_of_all(models, given, ours)
    if len(ours) < len(models) or len({models[name].data_["fingerprint"] for name in ours}) > 1:
        return Apart(given, train, f"not all runs were fitted on the same part of {train.name}")
    told = f"baselines are fitted on the {len(fitted)} rows of {train.name} that the models were fitted on"
    return Apart(given, fitted, told)


def _held_out_of_all(models: dict[str, Any], given: Given, ours: dict[str, tuple[Given, Given]]) -> Apart:
    from engram.cli.judge import is_fitted_on
    from engram.data.rows import fingerprint
    from engram.evaluation.comparison import encoded
    from engram.training import Finding

    first = next(iter(models.values()))
    fitted, test = next(iter(ours.values()))
    if len({fingerprint(encoded(first, part.rows)) for _, part in ours.values()}) > 1:
        raise UsageError(
            f"different rows of {given.name} were held out of these runs, as earlier versions did for each seed. "
            "Fit them again, or give as SOURCE rows that no run has seen."
        )
    held = f"the {len(test)} rows of {given.name} that were held out of"
    others = [name for name in models if name not in ours]
    if not others:
        return Apart(test, fitted, f"judged on {held} all runs")
    findings = []
    for name in others:
        whole = is_fitted_on(models[name], given)
        what = "learned from all rows of this source" if whole else "was fitted on other rows, which may hold these"
        told = f"judged on {held} {', '.join(ours)}, but {name} {what}"
        findings.append(Finding("training-rows", told, "Compare on rows that no run has seen"))
    return Apart(test, fitted, f"judged on {held} {', '.join(ours)}", findings)
