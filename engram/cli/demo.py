"""``engram demo``: learn from data that ships with scikit-learn, beside simple methods, and show it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engram.cli.console import Console, aligned, console
from engram.cli.options import common, force_parameter, seed_parameter, with_parameters

if TYPE_CHECKING:
    from engram.cli.sources import Given

PLANTED = 0.05  # share of rows whose values are each right for their column and wrong together


@click.command()
@click.option("--output", default="engram-demo", show_default=True, metavar="DIR", help="Where the run folders go.")
@with_parameters(seed_parameter(), force_parameter("the run folders of an earlier demo"))
@common
def demo(output: str, seed: int, force: bool) -> None:
    """Learn from data that is here already, and show it.

    An autoencoder and a VAE learn 8 x 8 pictures of digits; another autoencoder ranks the rows of a table in which some
    rows were planted: each of their values is a real one of its column, but from different rows.
    """
    from engram.cli.folder import claimed

    voice = console()
    began = time.perf_counter()
    folder = Path(output)
    tasks = ("digits-autoencoder", "digits-vae", "planted-anomalies")
    targets = {task: claimed(str(folder / task), force=force) for task in tasks}
    results = {}
    for task, model, given, test, told in _tasks(seed):
        voice.say(f"{told} ...")
        results[task] = _run(targets[task], model, given, test, seed=seed, force=force, voice=voice)
    seconds = time.perf_counter() - began
    found = {task: {"run": str(targets[task]), "report": report.to_dict()} for task, report in results.items()}
    voice.finish("demo", {"runs": found, "seconds": round(seconds, 1)}, _text(results, folder, seconds))


def _tasks(seed: int) -> Iterator[tuple[str, Any, Given, Given, str]]:
    """Give (name, unfitted model, rows to fit on, rows to judge on, what is done)."""
    from engram.cli.sources import opened, parts
    from engram.registry import MODELS

    digits, held_out = parts(opened("digits"), seed)
    if held_out is None:
        raise AssertionError("the digits are more than twenty")
    for name in ("autoencoder", "vae"):
        model = MODELS[name].value(random_state=seed)
        told = f"{name}: fitting {len(digits)} pictures of digits, judging on {len(held_out)} others"
        yield f"digits-{name}", model, digits, held_out, told
    table = planted(seed)
    half = len(table) // 2
    seen, new = table.take(slice(half, None)), table.take(slice(half))  # planted() has shuffled them
    told = f"autoencoder: fitting {len(seen)} rows of breast-cancer, {int(seen.y.sum())} of them planted, "
    told += f"ranking {len(new)} others, {int(new.y.sum())} of them planted"
    yield "planted-anomalies", MODELS["autoencoder"].value(random_state=seed), seen, new, told


def planted(seed: int, source: str = "breast-cancer") -> Given:
    """Return a table with planted rows in an order without meaning, and where they are: 1 for a planted row."""
    import numpy as np

    from engram.cli.sources import Given, opened
    from engram.evaluation.planted import with_planted

    rows = opened(source).rows
    random = np.random.default_rng(seed)
    whole, y = with_planted(rows, round(len(rows) * PLANTED), random)
    order = random.permutation(len(whole))
    return Given(source, whole.iloc[order].reset_index(drop=True), y[order], "planted")


def _run(target: Path, model: Any, given: Given, test: Given, *, seed: int, force: bool, voice: Console) -> Any:
    """Fit, judge, write the run folder; return the report."""
    from engram.cli.folder import written
    from engram.cli.judge import judged, report_files

    model.verbose = voice.verbose
    model.fit(given.rows)
    model.verbose = 0
    voice.clear_line()
    report = judged(model, test, given, seed=seed)
    with written(model, target, force=force) as folder:
        report_files(folder, model, report)
    return report


def _text(results: dict[str, Any], folder: Path, seconds: float) -> str:
    """Return the results of a demo and what to type next."""
    heading = {
        "digits-autoencoder": "Digits, held-out pictures: an autoencoder beside simple methods",
        "digits-vae": "Digits, held-out pictures: a VAE, which also generates digits and says how likely a picture is",
        "planted-anomalies": "Anomalies planted in a table: how well scores rank them first, found without labels",
    }
    lines = []
    for task, report in results.items():
        names = ["auroc"] if task == "planted-anomalies" else None
        lines += [heading[task], table_of(report, names), ""]
    lines += ["All methods learned from the same rows; * best, ± standard error over rows."]
    lines += [f"{seconds:.0f} seconds. Pictures and reports: {folder}/*/report.html, one folder per model.", ""]
    steps = [
        ("engram fit autoencoder DATA.csv -o my-run", "learn from a table: CSV, Parquet, .npy"),
        ("engram apply my-run NEW.csv --get scores -o scores.csv", "low scores are unusual rows"),
        ("engram apply my-run NEW.csv -o codes.csv", "a few numbers per row"),
        (f"engram sample {folder}/digits-vae -n 100 -o digits.png", "draw new digits"),
        ("engram list", "models and more; every command has --help"),
    ]
    return "\n".join([*lines, "With your own data:", aligned(steps)])


def table_of(report: Any, names: list[str] | None = None) -> str:
    """Return the results of a report as a short table, one line per method."""
    chosen = [name for name in report.names() if names is None or name in names]
    columns = {name: report.cells(name) for name in chosen}
    subjects = [s for s in report.subjects() if any(s in column for column in columns.values())]
    better = {result.name: result.better for result in report.metrics}
    head = ["", *(f"{name} ({better[name]} is better)" for name in chosen)]
    cells = [[_cell(columns[name].get(s)) for name in chosen] for s in subjects]
    return aligned([head, *([s, *line] for s, line in zip(subjects, cells, strict=True))])


def _cell(found: tuple[str, bool] | None) -> str:
    return "-" if found is None else f"{found[0]} {'*' if found[1] else ''}"
