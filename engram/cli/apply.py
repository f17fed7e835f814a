"""``engram apply RUN SOURCE -o FILE``: what a fitted model or application makes of rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from engram.cli.console import console
from engram.cli.options import (
    common,
    dry_run_parameter,
    force_parameter,
    header_parameter,
    label_parameter,
    with_parameters,
)
from engram.errors import UsageError, with_article

if TYPE_CHECKING:
    from engram.cli.sources import Given
    from engram.models.model import Model

METHODS = {
    "codes": "transform",
    "reconstruction": "reconstruct",
    "scores": "score_samples",
    "predictions": "predict",
    "explanations": "explain",
    "topics": "transform",
    "recommendations": "recommendations",
}
NEEDED = {"topics": "top_words"}  # what a model must also have, where a method stands for two things


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("source", metavar="SOURCE")
@click.option(
    "-o", "--output", metavar="FILE", help="A .csv, .parquet or .npy file to write; - is CSV on standard output."
)
@click.option(
    "--get",
    type=click.Choice(list(METHODS)),
    help="What to compute: topics or codes, where the model has them, else scores.",
)
@with_parameters(
    label_parameter("A column that is no input (of a conditional model: y): it is copied beside codes and scores."),
    header_parameter(),
    force_parameter("a file"),
    click.Option(
        ["--resume"], is_flag=True, help="Go on with rows that are streamed where the same command was interrupted."
    ),
    dry_run_parameter("Check the run and the rows, and say what would be written."),
)
@common
def apply(
    run: str,
    source: str,
    output: str | None,
    get: str | None,
    label: str | None,
    header: bool | None,
    force: bool,
    resume: bool,
    dry_run: bool,
) -> None:
    """Apply a fitted model to rows and write a file.

    Codes have the columns code0, code1, ..., topics topic0, topic1, ...; scores the columns row (from 0) and score (in nats, of `anomaly`
    the log of the p-value; higher is more normal), of `anomaly` also pvalue and anomaly; explanations a line for each row and column, the
    largest share first;
    recommendations a line for each user and item, the best first; a reconstruction has the columns that the model
    was fitted on. For files of pictures or texts the column file comes first; pictures are made equal as for the fit. Pictures come
    back as .npy or a .png sheet.

    Rows that do not fit into memory are streamed: what is done is kept beside FILE, and --resume goes on with the rest.
    """
    from engram.cli.output import PICTURES, TABLES, target, write
    from engram.cli.pieces import Pieces, identity
    from engram.cli.sources import opened
    from engram.data.kind import warn_notes
    from engram.data.stream import Stream
    from engram.evaluation.comparison import encoded
    from engram.models.saving import load_model

    voice = console()
    if output is None and not dry_run:
        raise UsageError("Missing option '-o FILE': a .csv, .parquet or .npy file to write, or - for standard output.")
    if force and resume:
        raise UsageError("--resume goes on with the rows and --force begins anew: give one of them.")
    model = load_model(run)
    get = get or _usual(model)
    are_pictures = get == "reconstruction" and model.kind_.name == "images"
    to = None
    if output is not None:
        what = "pictures" if are_pictures else get
        to = target(
            output, PICTURES if are_pictures else TABLES, force=force, what=what, json=voice.json, resume=resume
        )
        if to.suffix == ".npy" and label is not None:
            raise UsageError("--label cannot stand in a .npy file, which holds numbers only. Write .csv or .parquet.")
    if not _has(model, get):
        raise UsageError(f"{with_article(type(model).__name__)} has no {get}. {can(model, run)}")
    given = opened(source, label=label, keep=True, kind=model.kind_, header=header)
    in_pieces = isinstance(given.rows, Stream) and to is not None and to.suffix != ".png"
    if resume and (not in_pieces or output == "-"):
        raise UsageError("--resume is for rows that are streamed into a file, and these are not. Leave it out.")
    if dry_run:
        encoded(model, given.rows)
        told = f"the run and the {len(given)} rows are fine; {get} would be written" + (
            f" to {to.name}." if to else "."
        )
        voice.finish("apply", {"dry_run": True, "run": run, "rows": len(given), "get": get, "output": output}, told)
    elif to is not None:
        results = partial(_results, model, get, to.suffix)
        if not in_pieces:
            write(results(given), to)
        else:
            work = Pieces(given, to, results, identity(run, source, given, get=get, label=label))
            work.print() if to.path is None else work.write(voice, force=force, resume=resume)
            warn_notes([work.notes])
        voice.say(f"wrote {get} of {len(given)} row{'s' * (len(given) > 1)} to {to.name}.")
        voice.finish("apply", {"run": run, "rows": len(given), "get": get, "output": output})


def _has(model: Model, get: str) -> bool:
    return hasattr(model, METHODS[get]) and hasattr(model, NEEDED.get(get, METHODS[get]))


def _usual(model: Model) -> str:
    """Return what is computed where nothing is asked for."""
    if _has(model, "topics"):
        return "topics"
    return next((get for get in ("codes", "scores", *METHODS) if _has(model, get)), "codes")


def can(model: Model, run: str) -> str:
    """Say what a model can do instead."""
    able = [get for get in METHODS if _has(model, get)]
    if able:
        return f"It can: {', '.join(able)}."
    return f"It generates rows: engram sample {run} -n 100 -o rows.{'png' if model.kind_.name == 'images' else 'csv'}"


def _results(model: Any, get: str, suffix: str, given: Given, first: int = 0) -> Any:
    """Return what is written of some rows, the ``first`` of which has this number."""
    import pandas as pd

    if get == "recommendations":
        return model.recommendations(given.rows, reasons=True)
    if get == "explanations":
        found = model.explain(given.rows)
        own = found["row"].to_numpy()
        return _labelled(found.assign(row=own + first), given, own)
    if get == "scores" and hasattr(model, "scored") and suffix != ".npy":
        scored = model.scored(given.rows)
        return _labelled(pd.DataFrame({"row": range(first, first + len(scored["score"])), **scored}), given)
    rows = getattr(model, METHODS[get])(given.rows, **({"y": given.y} if model.given_ is not None else {}))
    return rows if suffix in (".npy", ".png") else table(get, rows, given, first)


def table(get: str, rows: Any, given: Given, first: int = 0) -> Any:
    """Return codes, scores or a reconstruction as a DataFrame with named columns."""
    import pandas as pd

    if get == "reconstruction":
        return rows
    if get in ("scores", "predictions"):
        found = pd.DataFrame({"row": range(first, first + len(rows)), get[:-1]: rows})
    else:
        found = pd.DataFrame(rows, columns=[f"{get[:-1]}{i}" for i in range(rows.shape[1])])
    if given.names is not None:
        found.insert(0, "file", given.names)
    return _labelled(found, given)


def _labelled(found: Any, given: Given, rows: Any = slice(None)) -> Any:
    """Put the label beside results of these rows, where one was named."""
    import numpy as np

    if given.label is not None:
        if given.label in found.columns:
            raise UsageError(f"the label {given.label!r} is called like a column of the result. Rename it.")
        found.insert(0, given.label, np.asarray(given.y)[rows])
    return found
