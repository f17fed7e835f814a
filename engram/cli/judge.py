"""Results on rows that a model has not seen, and the files and words they become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram.cli.console import console

if TYPE_CHECKING:
    from engram.cli.output import Target
    from engram.cli.sources import Given
    from engram.models.model import Model

REPORT = "report.json"  # the last file of a run: where it is, the run is whole
NOT_CHECKED = "too few to hold any out, so nothing was checked on rows that the model has not seen."


def judged(
    model: Model,
    test: Given,
    fitted: Given | None,
    *,
    seed: int,
    metrics: tuple[str, ...] = (),
    run: Path | None = None,
) -> Any:
    """Return the report of a model on rows, with baselines fitted to the rows that it was fitted to, and the sheets in its run folder."""
    from engram.evaluation import evaluate
    from engram.models.sheets import sheets_in

    train = None if fitted is None else fitted.rows
    detect = test.says_anomalies
    report = evaluate(model, test.rows, test.y, train=train, metrics=metrics or None, detect=detect, random_state=seed)
    if run is not None:
        report.sheets = sheets_in(run) or report.sheets
    return report


def apart(model: Model, given: Given, train: Given | None) -> tuple[Given, Given | None, str]:
    """Return (rows to judge on, rows the model was fitted on if they are known, what to say about it).

    `engram fit` holds a part of its source out; where that source is given again, the same part is found.
    """
    fitted, test = held_out(model, given if train is None else train)
    if fitted is None or test is None:
        return given, train, ""
    if train is None:
        told = f"{given.name} is what the model was fitted on; judged on the {len(test)} rows that were held out of it"
        return test, fitted, told
    return given, fitted, f"baselines are fitted on the {len(fitted)} rows of {train.name} that the model was fitted on"


def held_out(model: Model, given: Given) -> tuple[Given | None, Given | None]:
    """Return (the rows of a source that `engram fit` fitted this model on, those it held out), or Nones where it was another source.

    Earlier versions held out another part for each seed.
    """
    from engram.cli.sources import SPLIT, parts

    for seed in dict.fromkeys((SPLIT, model.settings_.seed)):
        fitted, test = parts(given, seed)
        if test is not None and is_fitted_on(model, fitted):
            return fitted, test
    return None, None


def is_fitted_on(model: Any, given: Given) -> bool:
    """Whether a model was fitted on these rows."""
    from engram.data.rows import fingerprint
    from engram.errors import DataError
    from engram.evaluation.comparison import encoded

    try:
        return bool(fingerprint(encoded(model, given.rows)) == model.data_["fingerprint"])
    except DataError:
        return False  # told where these rows are used


def report_files(folder: Path, model: Any, report: Any) -> list[str]:
    """Add the report and its pictures to a run folder, ``report.json`` last; return the names of the files that are worth opening."""
    from engram.evaluation.pictures import loss_curve
    from engram.training.run import SAMPLES, add

    pictures: dict[str, bytes] = {} if report is None else report.pictures
    if "loss_curve" not in pictures:
        pictures = {"loss_curve": loss_curve(model), **pictures}
    for name, png in pictures.items():
        add(folder, f"{name.replace('_', '-')}.png", png)
    if report is not None:
        report.save_html(folder / "report.html")
        report.save_json(folder / REPORT)
    found = sorted(path.name for path in folder.iterdir() if path.suffix in (".html", ".png"))
    return [*found, SAMPLES] if (folder / SAMPLES).is_dir() else found


def keep(found: object, to: Target) -> None:
    """Write a report or a comparison to a file, in the form that its suffix says, and say so."""
    from engram.cli.output import replaced

    if to.path is not None:
        with replaced(to.path) as path:
            getattr(found, f"save_{to.suffix[1:]}")(path)
        console().say(f"wrote {to.name}.")


def is_unjudged(folder: Path) -> bool:
    """Whether a fit is finished in a run folder, and its report is not: it was killed in between, or too few rows were given for one."""
    return (folder / "config.json").is_file() and not (folder / REPORT).exists()


def findings_text(findings: list[Any]) -> str:
    """Return findings in words, one a line."""
    if not findings:
        return "Findings: nothing unusual."
    return "\n".join(["Findings:", *(f"  - {finding}" for finding in findings)])
