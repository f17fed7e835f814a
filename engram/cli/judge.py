"""Results on rows that a model has not seen, and the files and words they become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engram.cli.sources import Given
    from engram.models.model import Model

NOT_CHECKED = "too few to hold any out, so nothing was checked on rows that the model has not seen."


def judged(model: Model, test: Given, fitted: Given | None, *, seed: int) -> Any:
    """Return the report of a model on held-out rows, with baselines fitted to the rows that it was fitted to."""
    from engram.evaluation import evaluate

    train = None if fitted is None else fitted.rows
    return evaluate(model, test.rows, test.y, train=train, random_state=seed)


def report_files(folder: Path, model: Model, report: Any, test: Given | None, *, seed: int) -> list[str]:
    """Add the report and its pictures to a run folder; return the names of the files that are worth opening."""
    from engram.evaluation.pictures import loss_curve
    from engram.training.run import add

    pictures = {"loss-curve": loss_curve(model)}
    if report is not None:
        report.save_json(folder / "report.json")
        report.save_html(folder / "report.html")
        pictures |= report.pictures
    for name, png in pictures.items():
        add(folder, f"{name.replace('_', '-')}.png", png)
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".html", ".png", ".md"))


def findings_of(model: Model, report: Any) -> list[Any]:
    """Return the findings of a fit and of its report, each once."""
    found = list(model.findings_) + ([] if report is None else list(report.findings))
    return list({finding.message: finding for finding in found}.values())


def findings_text(model: Model, report: Any) -> str:
    """Return the findings in words, one a line."""
    found = findings_of(model, report)
    if not found:
        return "Findings: nothing unusual."
    return "\n".join(["Findings:", *(f"  - {finding}" for finding in found)])
