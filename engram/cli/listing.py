"""``engram list``: the names that commands take."""

from __future__ import annotations

import click

from engram.cli.console import aligned, console
from engram.cli.options import common

WHAT = ("apps", "models", "metrics", "baselines", "likelihoods")


@click.command("list")
@click.argument("what", type=click.Choice(WHAT), required=False)
@common
def list_names(what: str | None) -> None:
    """List applications, models, metrics, baselines and likelihoods."""
    found = {part: names(part) for part in WHAT if what in (None, part)}
    parts = [f"{part}\n{aligned(list(rows.items()))}" for part, rows in found.items()]
    console().finish("list", found, "\n\n".join(parts))


def names(what: str) -> dict[str, str]:
    """Return names with one-line summaries."""
    if what == "likelihoods":
        from engram.likelihoods import LIKELIHOODS

        return {name: (cls.__doc__ or "").strip().partition("\n")[0] for name, cls in sorted(LIKELIHOODS.items())}
    if what in ("metrics", "baselines"):
        from engram.evaluation import listed

        return listed.metrics() if what == "metrics" else listed.baselines()
    from engram.registry import APPS, MODELS

    return {entry.name: entry.summary for entry in (APPS if what == "apps" else MODELS)}
