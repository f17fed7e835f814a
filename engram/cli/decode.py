"""``engram decode RUN CODES``: rows from codes, by a fitted model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from engram.cli.apply import can
from engram.cli.console import console
from engram.cli.options import common, dry_run_parameter, force_parameter, header_parameter, with_parameters
from engram.cli.sample import destination, given_label, hand_over
from engram.errors import DataError, UsageError, with_article

if TYPE_CHECKING:
    import numpy as np

    from engram.cli.sources import Given


@click.command()
@click.argument("run", metavar="RUN")
@click.argument("codes", metavar="CODES")
@click.option("-o", "--output", metavar="FILE", help="A file to write; without it, or with -, CSV on standard output.")
@with_parameters(
    click.Option(["--label"], metavar="VALUE", help="Of a conditional model: the label that the rows are given."),
    header_parameter(),
    force_parameter("a file"),
    dry_run_parameter("Check the run and the codes, and say what would be written."),
)
@common
def decode(
    run: str, codes: str, output: str | None, label: str | None, header: bool | None, force: bool, dry_run: bool
) -> None:
    """Turn codes into rows.

    CODES is a CSV, Parquet or .npy file as `engram apply RUN SOURCE --get codes` writes it, or - for CSV on standard
    input: the columns code0, code1, ..., beside which others are left out, or as many columns of any name. Each row is
    the mean that the decoder gives. Rows of tables are written as .csv, .parquet or .npy; pictures as .npy, or as a
    .png sheet of them.
    """
    from engram.cli.sources import opened
    from engram.models.saving import load_model

    voice = console()
    model: Any = load_model(run)
    if not hasattr(model, "inverse_transform"):
        raise UsageError(f"{with_article(type(model).__name__)} has no codes to decode. {can(model, run)}")
    to = destination(model, output, force=force, dry_run=dry_run)
    found = numbers(opened(codes, header=header), model.shapes_.code_size)
    y = given_label(run, model, label, len(found))
    result: dict[str, Any] = {"run": run, "codes": codes, "rows": len(found), "output": output}
    result |= {} if label is None else {"label": label}
    if dry_run:
        told = f"the run and the {len(found)} codes are fine; rows would be written{f' to {to.name}' if to else ''}."
        voice.finish("decode", {"dry_run": True} | result, told)
        return
    hand_over("decode", model.inverse_transform(found, y), to, result, "decoded")


def numbers(given: Given, size: int) -> np.ndarray[Any, Any]:
    """Return codes, (rows, code size) float32; raise `DataError` where what was read is none."""
    import numpy as np
    import pandas as pd

    from engram.cli.output import frame
    from engram.data.forms import as_table

    rows = as_table(given.rows)
    table = frame(rows.toarray() if hasattr(rows, "toarray") else rows)
    named, own = [f"code{i}" for i in range(size)], [name for name in table if re.fullmatch(r"code\d+", name)]
    if len(own or table.columns) != size or (own and set(own) != set(named)):
        shown = f" ({', '.join(own[:5])}{', ...' * (len(own) > 5)})" if own else ""
        raise DataError(
            f"{given.name!r} has {len(own or table.columns)} columns of codes{shown}, and this model's codes have {size}. "
            "Give what engram apply RUN SOURCE --get codes writes."
        )
    if own and len(own) < len(table.columns):
        others = [name for name in table if name not in own]
        console().note(f"{given.name}: {', '.join(map(repr, others[:5]))} left out: only code0, code1, ... are codes")
    if not own and not all(str(name).isdigit() for name in table):
        shown = ", ".join(map(repr, list(table)[:5])) + ", ..." * (len(table.columns) > 5)
        console().note(f"{given.name}: no column is called code0, code1, ...; {shown} are taken for codes")
    for name in own or table.columns:
        if not pd.api.types.is_numeric_dtype(table[name].dtype):
            raise DataError(f"{given.name!r}: column {name!r} holds no numbers, and codes are numbers.")
    codes: np.ndarray[Any, Any] = table[named if own else list(table.columns)].to_numpy(np.float32, na_value=np.nan)
    return codes
