"""The program: its commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from engram.cli.apply import apply
from engram.cli.compare import compare
from engram.cli.console import Console
from engram.cli.decode import decode
from engram.cli.demo import demo
from engram.cli.doctor import doctor
from engram.cli.evaluate import evaluate
from engram.cli.fit import fit
from engram.cli.inspect import inspect
from engram.cli.listing import list_names
from engram.cli.sample import sample
from engram.errors import EngramError, MemoryLimitError, StoppedError
from engram.version import VERSION

PIPE_CLOSED = 141  # 128 + the number of the signal, as shells have it
INTERRUPTED = 130
TERMINATED = 143


class PipeClosedError(Exception):
    """Whoever read standard output has gone."""


class TerminatedError(BaseException):
    """The process was asked to end; a base exception, so that only clean-up stands in its way."""


class Program(click.Group):
    """The ``engram`` command: whatever goes wrong in a command ends here, as one message and an exit code."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run a command and exit."""
        given = list(sys.argv[1:] if args is None else args)
        console = Console(json="--json" in given, debug="--debug" in given)
        with quiet_warnings(console):
            code = self._coded(given, console)
        sys.exit(code)

    def _coded(self, args: list[str], console: Console) -> int:
        """Run a command and return its exit code."""
        try:
            ended = super().main(args, "engram", standalone_mode=False, obj=console)
            sys.stdout.flush()
        except (PipeClosedError, BrokenPipeError):
            forget_stdout()
            code = PIPE_CLOSED
        except (click.Abort, KeyboardInterrupt) as stop:
            code = told(stop.__cause__ if isinstance(stop.__cause__, StoppedError) else stop, console)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException as error:
            code = told(error, console)
        else:
            code = ended if isinstance(ended, int) else 0
        return code

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed pipe gets a name that click does not catch."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise PipeClosedError from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands in the order in which one uses them."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before the command; options of commands are told where they belong."""
        known = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if args and args[0].startswith("-") and args[0] not in known:
            raise click.UsageError(f"No such option {args[0]!r} here: options go after the command.", ctx)
        return super().parse_args(ctx, args)


def told(error: BaseException, console: Console) -> int:
    """Tell an error in one message and return its exit code."""
    if console.debug and not isinstance(error, click.ClickException):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not console.json:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    name, message, code, hint = described(error)
    try:
        console.error(name, message, code, hint)
    except BrokenPipeError:
        forget_stdout()
    return code


def described(error: BaseException) -> tuple[str, str, int, str]:
    """Return (name, message, exit code, what to try) of an error."""
    if isinstance(error, EngramError):
        return type(error).__name__, str(error), error.exit_code, ""
    if isinstance(error, click.ClickException):
        return ("UsageError", *_usage(error))
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "Interrupted", "interrupted; nothing was left half-written.", INTERRUPTED, ""
    if isinstance(error, TerminatedError):
        return "Terminated", "terminated; nothing was left half-written.", TERMINATED, ""
    return _unexpected(error)


def _usage(error: click.ClickException) -> tuple[str, int, str]:
    message, ctx = error.format_message(), getattr(error, "ctx", None)
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        message = f"{error.message} Did you mean {error.possibilities[0]!r}?"
    return message, error.exit_code, "" if ctx is None else f"\nTry '{ctx.command_path} --help'."


def _unexpected(error: BaseException) -> tuple[str, str, int, str]:
    """Describe an error that no part of Engram raised on purpose."""
    name = type(error).__name__
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        message = (
            "the work does not fit into memory. Give fewer rows or columns, or a smaller --batch-size or --hidden."
        )
        return "MemoryLimitError", message, MemoryLimitError.exit_code, ""
    if isinstance(error, OSError) and error.strerror:
        place = f" {str(error.filename)!r}" if error.filename else ""
        return name, f"{error.strerror}:{place}. Is the place writable, and is there room?", 1, ""
    message = f"unexpected {name}: {str(error).strip().partition(chr(10))[0]}"
    return name, message, 1, "\nThis should not happen. Run again with --debug to see where, and report it."


def forget_stdout() -> None:
    """Point standard output at nothing, so that the interpreter's last flush is quiet."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        sys.stdout = io.StringIO()
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, number)
    os.close(nothing)


@contextmanager
def quiet_warnings(console: Console) -> Iterator[None]:
    """Tell warnings of Engram as plain notes, and those of libraries only with ``--debug``."""
    with warnings.catch_warnings():
        plain = warnings.showwarning
        if not console.debug:
            warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if category.__module__.startswith("engram."):
                console.note(str(message))
            elif console.debug:
                plain(message, category, *place, **more)

        warnings.showwarning = show
        yield


SETTINGS = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 110,
    "token_normalize_func": lambda text: text.replace("_", "-"),
}


@click.group(cls=Program, context_settings=SETTINGS)
@click.version_option(VERSION, "-V", "--version", message="engram %(version)s")
def program() -> None:
    """Learn from data that nobody labelled, and put what was learned to work.

    \b
    Begin with:    engram demo
    then:          engram fit autoencoder DATA.csv -o my-run
                   engram apply my-run NEW.csv -o codes.csv

    SOURCE is a CSV or Parquet file, .npy or .npz, a folder or .zip of pictures, - for standard input, or a bundled
    set: breast-cancer, diabetes, digits, wine.

    Exit codes: 0 ok, 1 unexpected, 2 usage, 3 bad data, 4 run folder invalid, 5 missing extra, 6 out of memory,
    7 diverged, 130 interrupted, 143 terminated.
    """  # noqa: D301 - a form feed tells click to leave the lines as they are


for command in (demo, fit, apply, sample, decode, evaluate, compare, inspect, list_names, doctor):
    program.add_command(command)


def _terminate(number: int, frame: Any) -> None:
    raise TerminatedError


def main() -> NoReturn:
    """Run the command line: what ``engram`` and ``python -m engram`` call."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an arrow in a table is no reason to fail
    signal.signal(signal.SIGTERM, _terminate)
    program.main()
