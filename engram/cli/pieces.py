"""Results of rows that do not fit into memory: computed piece by piece, each kept on the disk, put together at the end.

Beside the output, in the folder ``.NAME.parts``, lie the pieces that are done and ``progress.json``, which counts them and says of
what they are. A piece is synced before it is counted, so that a kill at any time leaves whole pieces, and the output appears by
one rename. Pieces do not depend on where the work was stopped, so neither does the output.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engram.cli.console import Console
from engram.cli.output import Target, frame, join_parts, save_part
from engram.cli.sources import Given
from engram.errors import DataError, EngramError, StoppedError, UsageError
from engram.version import VERSION

VALUES = 1 << 23  # given values in a piece
ROWS = (16, 1 << 17)  # ... which is at least and at most so many rows
PROGRESS = "progress.json"
PART = "part-"
WHOLE = "whole"  # the output, before it gets its name
Compute = Callable[[Given, int], Any]  # rows, the number of the first of them -> a table or an array


def identity(run: str, source: str, given: Given, *, get: str, label: str | None) -> dict[str, str]:
    """Return what the results of a command depend on: what a resumed one must have in common with it."""
    state = Path(source).stat() if Path(source).is_file() else None
    files = [(Path(run) / name).read_bytes() for name in ("config.json", "kind.json", "weights.safetensors")]
    return {
        "the run": hashlib.sha256(b"".join(files)).hexdigest(),
        "the rows": f"{given.rows.digest()} {state and (state.st_size, state.st_mtime_ns)}",
        "--get": get,
        "--label": str(label),
        "the version of Engram": VERSION,
    }


@dataclass
class Pieces:
    """The work on a stream.

    Parameters
    ----------
    given : Given
        The rows, a stream.
    to : Target
        Where results go.
    compute : callable
        From some of the rows, and the number of the first of them, to their results.
    identity : dict of str
        What the work is done with, in words for people, and what tells that from anything else.
    """

    given: Given
    to: Target
    compute: Compute
    identity: dict[str, str]
    done: int = 0
    force: bool = False
    whole: bool = False
    notes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = max(1, math.prod(self.given.rows.shape[1:]))
        self.size = min(max(VALUES // values, ROWS[0]), ROWS[1])
        self.count = -(-len(self.given) // self.size)

    def piece(self, number: int) -> Any:
        """Return the results of a piece, and count what was left out of its rows."""
        from engram.data.kind import gathered

        start = number * self.size
        with gathered(self.notes):
            return self.compute(self.given.piece(start, min(start + self.size, len(self.given))), start)

    def print(self) -> None:
        """Write all results to standard output as CSV, piece by piece."""
        for number in range(self.count):
            text = frame(self.piece(number)).to_csv(index=False, header=number == 0)
            sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()

    # --- on the disk ---

    @property
    def folder(self) -> Path:
        """Where the pieces lie: beside the output."""
        path = self.path
        return path.with_name(f".{path.name}.parts")

    @property
    def path(self) -> Path:
        """The output."""
        if self.to.path is None:
            raise AssertionError("standard output has no pieces on the disk")
        return self.to.path

    def write(self, voice: Console, *, force: bool, resume: bool) -> None:
        """Write the output, from the beginning or from the piece that an interrupted work came to.

        Raises `StoppedError` on Ctrl-C and SIGTERM, and `UsageError` where something is in the way, where there is nothing to
        resume, or where it was done with other things.
        """
        self._begin(force=force, resume=resume)
        with self._locked():
            try:
                self._compute(voice)
                self._finish()
            except EngramError as error:
                if isinstance(error, DataError) or not self.done:  # no resumed work would get over these rows
                    shutil.rmtree(self.folder, ignore_errors=True)
                raise
            except OSError as error:
                told = f"cannot write {self.to.name!r}: {error.strerror or error}. What is done is kept"
                raise UsageError(f"{told}; go on with the same command and --resume when that is mended.") from None

    def _begin(self, *, force: bool, resume: bool) -> None:
        """Look at what is there, and take it up or make room."""
        found = self._found()
        if resume and found is None:
            raise UsageError(
                f"there is no interrupted work on {self.to.name!r} to resume. Leave out --resume to begin."
            )
        if resume and found is not None:
            self._take_up(found)
        elif found is not None and not force:
            raise UsageError(
                f"an interrupted work on {self.to.name!r} came to piece {found['done']} of {self.count}. "
                "Go on with --resume, or begin anew with --force."
            )
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.force = force

    def _found(self) -> dict[str, Any] | None:
        """Return what an interrupted work left, None where it left nothing; a folder that is none of ours is an error."""
        from engram.training.lock import LOCK, check_free

        if not (self.folder.exists() or self.folder.is_symlink()):
            return None
        names = {p.name for p in self.folder.iterdir()} if self.folder.is_dir() else {""}
        ours = {LOCK, PROGRESS, f".{PROGRESS}.tmp", WHOLE}
        if self.folder.is_symlink() or any(n not in ours and not n.startswith(PART) for n in names):
            raise UsageError(f"{str(self.folder)!r} is in the way: pieces of the output go there. Move it away.")
        check_free(self.folder)
        try:
            found = json.loads((self.folder / PROGRESS).read_bytes())
            return found if isinstance(found["done"], int) and isinstance(found["identity"], dict) else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None  # killed before anything was done

    def _take_up(self, found: dict[str, Any]) -> None:
        other = [what for what, told in self.identity.items() if found["identity"].get(what) != told]
        if other:
            raise UsageError(
                f"{self.to.name!r} cannot be resumed: {' and '.join(other)} changed since. "
                "Give the same command as before, or begin anew with --force."
            )
        self.done, self.force = min(found["done"], self.count), bool(found.get("force"))
        self.whole = bool(found.get("whole"))
        self.notes = {str(note): int(n) for note, n in found.get("notes", {}).items()}
        moved = self.whole and not (self.folder / WHOLE).exists()
        if self.path.exists() and not self.force and not moved:
            raise UsageError(f"{self.to.name!r} was made in the meantime. Move it away, or begin anew with --force.")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only one who writes into the folder."""
        from engram.training.lock import acquire, release

        self.folder.mkdir(exist_ok=True)
        acquire(self.folder)
        try:
            yield
        finally:
            release(self.folder)

    def _part(self, number: int) -> Path:
        return self.folder / f"{PART}{number}"

    def _compute(self, voice: Console) -> None:
        """Compute the pieces that are not done yet."""
        from engram.training.interrupts import caught

        began, before = time.monotonic(), self.done
        with caught() as flag:
            for number in range(self.done, self.count):
                save_part(self.piece(number), self._part(number), self.to.suffix, first=number == 0)
                self.done = number + 1
                self._note()
                self._show(voice, self.done - before, time.monotonic() - began)
                if flag.number is not None and self.done < self.count:
                    raise StoppedError(
                        f"stopped after {self.done * self.size} of {len(self.given)} rows, which are kept. "
                        "Go on with the same command and --resume.",
                        flag.number,
                    )
        voice.clear_line()

    def _note(self) -> None:
        """Write down how far the work came."""
        from engram.training.staging import put

        told = {"identity": self.identity, "force": self.force, "done": self.done, "whole": self.whole}
        put(self.folder / PROGRESS, json.dumps(told | {"notes": self.notes}).encode())

    def _show(self, voice: Console, pieces: int, seconds: float) -> None:
        if voice.verbose and sys.stderr.isatty():
            rate = pieces * self.size / max(seconds, 1e-9)
            rows = min(self.done * self.size, len(self.given))
            print(
                f"\r\x1b[K{rows:,} of {len(self.given):,} rows  {rate:,.0f} rows/s", end="", file=sys.stderr, flush=True
            )

    def _finish(self) -> None:
        """Put the pieces together, and move the whole to its place."""
        whole = self.folder / WHOLE
        if not self.whole:
            join_parts([self._part(number) for number in range(self.count)], whole, self.to.suffix)
            self.whole = True
            self._note()
        if whole.exists():  # else a work that was killed had come to its end
            whole.replace(self.path)
        shutil.rmtree(self.folder)
