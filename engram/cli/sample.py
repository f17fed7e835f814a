"""``engram sample RUN -n N``: draw new rows from a fitted model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engram.cli.console import console
from engram.cli.options import Whole, common, dry_run_parameter, force_parameter, seed_parameter, with_parameters
from engram.errors import UsageError

if TYPE_CHECKING:
    from engram.cli.output import Target


@click.command()
@click.argument("run", metavar="RUN")
@click.option("-n", "--rows", "n", type=Whole(1), metavar="N", required=True, help="How many rows.")
@click.option("-o", "--output", metavar="FILE", help="A file to write; without it, or with -, CSV on standard output.")
@with_parameters(
    click.Option(["--label"], metavar="VALUE", help="Of a conditional model: the label that the rows are to have."),
    click.Option(
        ["--given"],
        multiple=True,
        metavar="NAME=VALUE",
        help="Of a synthesizer: a cell that all rows are to have; nothing asks for a hole.",
    ),
    seed_parameter(),
    force_parameter("a file"),
    dry_run_parameter("Check the run, and say what would be written."),
)
@common
def sample(
    run: str,
    n: int,
    output: str | None,
    label: str | None,
    given: tuple[str, ...],
    seed: int,
    force: bool,
    dry_run: bool,
) -> None:
    """Draw new rows from a fitted model.

    Rows of tables are written as .csv, .parquet or .npy; pictures as .npy, or as a .png sheet of them.
    """
    from engram.evaluation.purpose import draws
    from engram.models.saving import load_model

    voice = console()
    model = load_model(run)
    if not draws(model):
        raise UsageError(f"{type(model).__name__} draws no rows. Fit a model that does: engram list models")
    y = given_label(run, model, label, n)
    cells = _cells(run, model, given)
    to = destination(model, output, force=force, dry_run=dry_run)
    result: dict[str, Any] = {"run": run, "rows": n, "seed": seed, "output": output}
    result |= ({} if label is None else {"label": label}) | ({"given": cells} if cells else {})
    if dry_run:
        voice.finish("sample", {"dry_run": True} | result, f"the run is fine; {n} rows would be drawn.")
        return
    rows = model.sample(n, y=y, random_state=seed, **({"given": cells} if cells else {}))
    hand_over("sample", rows, to, result, "drawn")


def given_label(run: str, model: Any, label: str | None, n: int) -> Any:
    """Return what n rows of a conditional model are given; raise `UsageError` where a label is lacking or too much."""
    if label is not None and model.given_ is None:
        raise UsageError(f"--label is for conditional models, and {run!r} is none: it was fitted without y.")
    y = None if label is None or model.given_ is None else model.given_.read(label)
    model.given_y(y, n, one_for_all=True)  # says here what is lacking
    return y


def destination(model: Any, output: str | None, *, force: bool, dry_run: bool) -> Target | None:
    """Return where rows that a model makes go, checked before any work is done; None where JSON holds them, or none are made."""
    from engram.cli.output import PICTURES, TABLES, target

    voice, are_pictures = console(), model.kind_.name == "images"
    if output is None and are_pictures and not (dry_run or voice.json):
        raise UsageError("pictures cannot be written as CSV. Give -o FILE.npy, or -o FILE.png for a sheet of them.")
    if output is None and (voice.json or dry_run):
        return None
    what = "pictures" if are_pictures else "rows"
    return target(output or "-", PICTURES if are_pictures else TABLES, force=force, what=what, json=voice.json)


def hand_over(command: str, rows: Any, to: Target | None, result: dict[str, Any], key: str) -> None:
    """Write the rows that a command made, or put them into its JSON object by this key."""
    from engram.cli.output import write

    voice, n = console(), result["rows"]
    if to is None:
        voice.finish(command, result | {key: _records(rows)})
        return
    write(rows, to)
    if to.path is not None:
        voice.say(f"wrote {n} row{'s' * (n > 1)} to {to.name}.")
        voice.finish(command, result)


def _cells(run: str, model: Any, given: tuple[str, ...]) -> dict[str, str | None]:
    """Return cells by column as they were asked for, None for a hole; raise `UsageError` where the model takes none."""
    from engram.evaluation.purpose import draws_for_cells

    if given and not draws_for_cells(model):
        raise UsageError(
            f"--given is for synthesizers, and {run!r} is none. Fit one: engram fit synthesis SOURCE -o RUN"
        )
    found = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UsageError(f"--given {text!r} is not NAME=VALUE.")
        found[name] = value or None
    return found


def _records(rows: Any) -> list[Any]:
    """Return rows as JSON has them: objects for named columns, lists for arrays."""
    return rows.to_dict("records") if hasattr(rows, "to_dict") else rows.tolist()  # type: ignore[no-any-return]
