"""The work of ``engram fit``: fit, judge on held-out rows, write the run folder, say what came out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engram.cli.console import Console, aligned
from engram.cli.folder import as_before_on_error, written
from engram.cli.judge import NOT_CHECKED, findings_text, is_fitted_on, is_unjudged, judged, report_files
from engram.cli.sources import Given
from engram.data.kind import kind_class
from engram.errors import RunError
from engram.models.model import Model
from engram.models.resolve import checked_parameters
from engram.models.saving import load_model, run_files
from engram.training.run import finish


@dataclass
class Job:
    """One fit: the model, all rows, those to fit on and those held out, the folder to write, the seed."""

    name: str
    model: Model
    given: Given
    fitted: Given
    test: Given | None
    target: Path
    seed: int
    replaces: bool = False

    def run(self, voice: Console, *, resume: bool) -> None:
        """Do it. A folder that is replaced stays as it is until the new one is whole."""
        replaces = self.replaces = not resume and self.target.exists() and any(self.target.iterdir())
        if resume and is_unjudged(self.target):
            self.model = self._fitted_before()
            voice.say(f"the fit in {str(self.target)!r} is finished; only its report is missing.")
        else:
            self._fit(voice, replaces=replaces, resume=resume)
        try:
            report = self._judge(voice)
            names = self._replace(report) if replaces else self._add(report)
        except Exception:
            if not replaces:
                told = "only its report is missing; --resume makes it"
                voice.note(f"the model itself is whole in {str(self.target)!r}; {told}")
            raise
        voice.finish("fit", self._result(report, names), self._text(report, names))

    def _fit(self, voice: Console, *, replaces: bool, resume: bool) -> None:
        gathers = str(self.model.kind) == "interactions"
        what = kind_class(self.model.kind).rows_are if gathers else "rows"
        voice.say(f"fitting {self.name} to {len(self.fitted)} {what} of {self.given.name} ...")
        self.model.verbose = voice.verbose
        y = self.fitted.y if self.model.conditional_on(self.fitted.y) else None
        if replaces:
            self.model.fit(self.fitted.data, y)
        else:
            with as_before_on_error(self.target):
                self.model.fit(self.fitted.data, y, run=self.target, resume=resume)
        self.model.verbose = 0
        voice.clear_line()

    def _fitted_before(self) -> Model:
        """Return the model of a fit that was killed before its report was written; raise `RunError` where it is another one."""
        model = load_model(self.target)
        mine, there = (checked_parameters(m) | m.described() for m in (self.model, model))
        chosen = {"verbose", *(name for name, value in self.model.described().items() if value == "auto")}  # by the fit
        differing = [name for name, value in mine.items() if name not in chosen and there.get(name) != value]
        if type(model) is not type(self.model):
            differing = ["model"]
        elif not is_fitted_on(model, self.fitted):
            differing.append("rows")
        if differing:
            raise RunError(
                f"cannot resume {str(self.target)!r}: its fit is finished, and {', '.join(differing)} differ from this command's. "
                "Choose another folder, or replace it with --force."
            )
        return model

    def _judge(self, voice: Console) -> Any:
        if self.test is None:
            return None
        voice.say(f"judging it on {len(self.test)} held-out rows, beside baselines ...")
        return judged(self.model, self.test, self.fitted, seed=self.seed, run=None if self.replaces else self.target)

    def _add(self, report: Any) -> list[str]:
        """Add the report to the folder that the fit wrote."""
        finish(self.target, run_files(self.model))  # once more: that progress was shown is nothing to keep
        return report_files(self.target, self.model, report)

    def _replace(self, report: Any) -> list[str]:
        from engram.models.sheets import write_sheets

        with written(self.model, self.target, force=True) as folder:
            write_sheets(folder, getattr(self.model, "sheets_", {}))
            return report_files(folder, self.model, report)

    def _result(self, report: Any, names: list[str]) -> dict[str, Any]:
        n_test = 0 if self.test is None else len(self.test)
        return {
            "run": str(self.target),
            "model": self.name,
            "rows": {"given": len(self.given), "fitted": len(self.fitted), "test": n_test},
            "findings": [finding.to_dict() for finding in self.model.findings_],
            "report": None if report is None else report.to_dict(),
            "files": names,
        }

    def _text(self, report: Any, names: list[str]) -> str:
        """Return what a fit says on a terminal."""
        model, n = self.model, len(self.given)
        trained = f"{model.n_iter_} epochs, code size {model.shapes_.code_size}, seed {model.settings_.seed}"
        lines = [f"{self.name} on {self.given.name}: {trained}."]
        if self.test is None:
            lines += [f"{n} row{'s' * (n > 1)}: {NOT_CHECKED}", "", findings_text(model.findings_), ""]
        else:
            what = "the numbers are of" if report.metrics else "there are no numbers of the"
            told = f"{what} {len(self.test)} held-out rows that it has not seen."
            lines += [f"Fitted on {len(self.fitted)} rows; {told}", "", report.to_text()]
        lines += [f"Run folder: {self.target} ({', '.join(names)})", "", "What next:"]
        return "\n".join([*lines, next_steps(model, str(self.target), self.given)])


def next_steps(model: Model, run: str, given: Given) -> str:
    """Return commands to go on with."""
    from engram.evaluation.purpose import draws

    run = f"'{run}'" if " " in run else run
    is_table = model.kind_.name != "images"
    new, suffix = ("NEW.csv", "csv") if is_table else ("NEW_FOLDER", "csv") if given.names else ("NEW.npy", "npy")
    rows = [(f"engram inspect {run}", "what was found out and how it went")]
    if hasattr(model, "top_words"):
        rows += [(f"engram apply {run} {new} --get topics -o topics.{suffix}", "how much of each topic a document has")]
    elif hasattr(model, "transform"):
        rows += [(f"engram apply {run} {new} -o codes.{suffix}", "codes of new rows")]
    if hasattr(model, "score_samples"):
        rows += [(f"engram apply {run} {new} --get scores -o scores.csv", "low scores are unusual rows")]
    if hasattr(model, "recommendations"):
        rows += [(f"engram apply {run} {new} -o lists.{suffix}", "what to recommend to each user")]
    if hasattr(model, "explain"):
        rows += [(f"engram apply {run} {new} --get explanations -o why.csv", "which cells are to blame")]
    if draws(model):
        rows += [
            (
                f"engram sample {run} -n 100{' --label VALUE' * (model.given_ is not None)} -o rows.{suffix if is_table else 'png'}",
                "new rows",
            )
        ]
    return aligned(rows)


def plan_text(name: str, given: Given, planned: dict[str, Any], test: Given | None) -> str:
    """Return a dry run in words."""
    columns = planned["columns"]
    shown = aligned([(column["name"], column["type"]) for column in columns[:60]], indent="    ")
    more = [f"    ... and {len(columns) - 60} more"] if len(columns) > 60 else []
    facts = [(key.replace("_", " "), _fact(value)) for key, value in planned.items() if key not in ("columns", "notes")]
    held = "none held out: too few to spare" if test is None else f"{len(test)} held out for the report"
    rows = [("rows", f"{len(given)} ({held})"), *facts]
    return "\n".join(
        [f"{name} on {given.name}: a dry run, nothing is trained or written.", "", aligned(rows)]
        + (["", "  columns:", shown, *more] if columns else [])
    )


def _fact(value: Any) -> str:
    if isinstance(value, list):
        return " x ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2g}" if isinstance(value, float) else str(value)
