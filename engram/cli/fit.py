"""``engram fit NAME SOURCE -o RUN``: fit a model, judge it on rows it has not seen, leave a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from engram.cli.console import console
from engram.cli.flags import ModelOption, given_flags, model_options
from engram.cli.options import (
    common_parameters,
    dry_run_parameter,
    force_parameter,
    header_parameter,
    label_parameter,
    picture_parameters,
    seed_parameter,
)
from engram.errors import UsageError, nearest

if TYPE_CHECKING:
    from engram.registry import Entry


class FitCommand(click.Command):
    """The command of one model: its own flags stand under a heading of their own."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Say what is needed before what is not."""
        return ["SOURCE", "-o RUN", "[OPTIONS]"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the common options first, then the model's."""
        records = [(p, p.get_help_record(ctx)) for p in self.get_params(ctx)]
        for heading, own in (("Options", False), (f"Parameters of {self.name}", True)):
            shown = [r for p, r in records if r and isinstance(p, click.Option) and isinstance(p, ModelOption) == own]
            with formatter.section(heading):
                formatter.write_dl(shown)


class FitGroup(click.Group):
    """One command per registered model, made when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the models."""
        from engram.registry import fittable

        return [entry.name for entry in fittable()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a model, or None for an unknown name."""
        from engram.registry import fitting

        return model_command(fitting(cmd_name)) if cmd_name in self.list_commands(ctx) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List applications and models."""
        from engram.registry import APPS, MODELS

        for heading, registry in (("Applications", APPS), ("Models", MODELS)):
            with formatter.section(heading):
                formatter.write_dl([(entry.name, entry.summary) for entry in registry])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the model; an unknown name is answered with the nearest ones."""
        name = args[0]
        if name.startswith("-"):
            raise click.UsageError(f"No such option {name!r} here: options go after NAME and SOURCE.", ctx)
        name = name.lower().replace("_", "-")
        if name not in self.list_commands(ctx):
            found = nearest(name, self.list_commands(ctx))
            raise click.UsageError(f"unknown model {args[0]!r}. {found} Write: engram fit NAME SOURCE -o RUN", ctx)
        return name, self.get_command(ctx, name), args[1:]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before NAME; only --help may."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            raise click.UsageError(f"No such option {args[0]!r} here: options go after NAME and SOURCE.", ctx)
        return super().parse_args(ctx, args)


@click.command(cls=FitGroup, options_metavar="", subcommand_metavar="NAME SOURCE -o RUN [OPTIONS]")
def fit() -> None:
    """Fit a model to your data and write a run folder.

    A fifth of the rows (at most 10,000) is held out, the same one whatever the seed: the results, beside those of simple baselines, are of
    these rows, which the model has not seen. `engram fit NAME --help` lists what can be set; all of it is automatic
    otherwise.
    """


def model_command(entry: Entry[type]) -> click.Command:
    """Return ``engram fit NAME`` for one model."""
    told = f"{entry.summary}.\n\n{_first_line(entry.value)}"
    dry_run = "Say what was found out and what would be done; train and write nothing."
    parameters = [
        click.Argument(["source"], metavar="SOURCE"),
        click.Option(["-o", "--output"], metavar="RUN", help="The run folder to write."),
        label_parameter("A column that is no input: it colours the report; a conditional model is given it."),
        header_parameter(),
        click.Option(["--column"], multiple=True, metavar="NAME=TYPE", help="Correct the type of a column."),
        click.Option(["--drop"], multiple=True, metavar="NAME", help="Leave a column out."),
        *picture_parameters(),
        seed_parameter(),
        force_parameter("a run folder"),
        click.Option(["--resume"], is_flag=True, help="Go on with a fit of the same command that was interrupted."),
        dry_run_parameter(dry_run),
        *common_parameters(),
        *model_options(entry.value, entry.parameters),
    ]
    return FitCommand(
        entry.name,
        params=parameters,
        callback=lambda **options: _fit(entry, **options),
        help=told,
        short_help=entry.summary,
    )


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]


def _fit(
    entry: Entry[type],
    *,
    source: str,
    output: str | None,
    label: str | None,
    column: Sequence[str],
    drop: Sequence[str],
    header: bool | None,
    size: tuple[int, int] | None,
    resize: str | None,
    seed: int,
    force: bool,
    resume: bool,
    dry_run: bool,
    **_: Any,
) -> None:
    from engram.cli.fitting import Job, plan_text
    from engram.cli.folder import claimed
    from engram.cli.plan import check, plan
    from engram.cli.sources import opened, parts, reading, types_of

    if output is None and not dry_run:
        raise UsageError("Missing option '-o RUN': the folder to write. (--dry-run writes nothing and needs none.)")
    if force and resume:
        raise UsageError("--resume goes on with a fit and --force begins anew: give one of them.")
    target = None if output is None else claimed(output, force=force, resume=resume)
    model = entry.value(**{**entry.parameters, **given_flags(click.get_current_context()), "random_state": seed})
    own = reading(model, tuple(column), tuple(drop))
    given = opened(source, label=label, kind=own, size=size, resize=resize, header=header)
    model.columns = (
        own.wishes if own is not None and own.gathers else types_of(given, tuple(column), tuple(drop))
    ) or None
    fitted, test = parts(given)
    check(model, given.data)
    if model.conditional_on(given.y) and given.y is None:
        raise UsageError("a conditional model learns from rows and labels: give --label NAME.")
    voice = console()
    if dry_run:
        planned = plan(model, fitted.data, fitted.y if model.conditional_on(fitted.y) else None)
        voice.finish(
            "fit",
            {"dry_run": True} | planned | {"test_rows": len(test or ())},
            plan_text(entry.name, given, planned, test),
        )
    elif target is not None:
        Job(entry.name, model, given, fitted, test, target, seed).run(voice, resume=resume)
