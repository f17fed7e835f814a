"""What a fit takes in: the kind found out, the rows encoded, a digest of them; of a stream, a sample and the way to the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from engram.data.given import Conditions
from engram.data.kind import Kind, as_kind, warn_notes
from engram.data.picture_stream import streamed_pictures
from engram.data.rows import Rows, digest_of, fingerprint
from engram.data.sparse import SparseStream
from engram.data.stream import Stream, some
from engram.errors import DataError, UsageError
from engram.models.resolve import split
from engram.training import Finding
from engram.training.sparse_batches import SparseBatches
from engram.training.streaming import StreamBatches


@dataclass(frozen=True)
class Intake:
    """Rows on their way into a fit.

    Parameters
    ----------
    kind : Kind
        The fitted kind.
    rows : Rows
        All rows, or the sample of a stream; after `divided`, those to learn from.
    digest : str
        Fingerprint of ``rows`` as they came, without y.
    n_rows : int
        How many rows there are.
    stream : Stream or None
        Where all rows come from when they do not fit into memory.
    held_out : Rows or None
        Rows that are only looked at.
    conditions : Conditions or None
        What y is, for a conditional model; the rows then have it.
    """

    kind: Kind
    rows: Rows
    digest: str
    n_rows: int
    stream: Stream | None = None
    held_out: Rows | None = None
    conditions: Conditions | None = None

    def divided(self, values: dict[str, Any], seed: int) -> tuple[Intake, list[Finding]]:
        """Hold rows out, unless some were given; those of a stream are left out of it too."""
        part, held_out, findings = split(self.rows, self.held_out, values, seed)
        stream = self.stream
        if stream is not None and held_out is not None and held_out.index is not None:
            stream = stream.without(held_out.index.sort().values.numpy())
        return replace(self, rows=part, held_out=held_out, stream=stream), findings

    def digests(self) -> dict[str, str]:
        """Return digests of all that a fit depends on: rows, y, and the held-out rows that were given."""
        found = {"fingerprint": self.digest}
        if self.rows.y is not None:
            found["y"] = digest_of(self.rows.y)
        if self.held_out is not None:
            found["validation"] = digest_of(self.held_out.x, self.held_out.mask, self.held_out.y)
        return found

    def trained_on(self) -> int:
        """Return how many rows are learned from."""
        return len(self.rows) if self.stream is None else len(self.stream)

    def batches(self, batch_size: int, seed: int, device: torch.device) -> StreamBatches | None:
        """Return the batches of a stream, or None where all rows are in memory."""
        if self.stream is None:
            return None
        if isinstance(self.stream, SparseStream):
            return SparseBatches(self.stream, self.kind.encode, batch_size, seed, device)
        return StreamBatches.of(self.stream, encoder(self.kind), batch_size, seed, device)


def encoder(kind: Kind) -> Callable[[Any], Rows]:
    """Return the function from rows to encoded ones."""
    return lambda rows: kind.encode(kind.conform(rows))


def taken_in(
    X: Any,
    validation: Any,
    values: dict[str, Any],
    *,
    reader: str,
    fitted: Kind | None = None,
    constants: bool = False,
) -> Intake:
    """Find out the kind of ``X`` (or keep the one already fitted), encode its rows and say what was left out."""
    if fitted is not None:
        kind, raw = fitted, fitted.opened(X)
    else:
        wishes = {name: values[name] for name in ("columns", "likelihood")}
        kind, raw = as_kind(X, values["kind"], constants=constants, **wishes)
    raw = streamed_pictures(raw)
    stream = raw if isinstance(raw, Stream) else None
    numbers, sample = (None, raw) if stream is None else stream.sample()
    if fitted is None:
        kind.fit(sample)
    conformed = kind.conform(sample, reader=reader)
    if isinstance(conformed, SparseStream) and conformed.large:
        stream = conformed
        numbers, conformed = stream.sample()
    rows = kind.encode(conformed)
    warn_notes([rows.notes])
    digest, n_rows = fingerprint(rows), len(rows) if stream is None else len(stream)
    rows = replace(rows, index=torch.arange(len(rows)) if numbers is None else torch.from_numpy(numbers))
    held_out = None if validation is None else _held_out(kind, validation)
    return Intake(kind, rows, digest, n_rows, stream, held_out)


def _held_out(kind: Kind, validation: Any) -> Rows:
    """Return encoded held-out rows; raise `DataError` where there is nothing to see in them."""
    rows = kind.encode(kind.conform(some(kind.opened(validation))))
    if rows.mask is not None and not rows.mask.any():
        raise DataError(
            f"the {len(rows):,} rows of validation= have no observed cell, so they cannot say when to stop. Give rows with values, or "
            "leave validation= out: a share of the rows is then held out (validation_fraction)."
        )
    return rows


def pair_of(validation: Any, model: Any) -> tuple[Any, Any]:
    """Return held-out rows and their y; raise `UsageError` where they are no pair, or the model cannot be conditional."""
    if not model.takes_y:
        raise UsageError(
            f"conditional=True: {type(model).__name__} with these parameters cannot be. A VAE or a plain Autoencoder can."
        )
    if validation is None:
        return None, None
    if not (isinstance(validation, tuple) and len(validation) == 2):
        raise UsageError("validation= of a conditional model is a pair: validation=(X, y).")
    return validation


def with_y(given: Intake, y: Any, held_out_y: Any, fitted: Conditions | None = None) -> Intake:
    """Return the rows of a conditional model with their y, which is learned here unless it was ``fitted`` before."""
    if y is None:
        raise UsageError("conditional=True: a conditional model learns from rows and y. Give fit(X, y) (--label NAME).")
    if given.stream is not None:
        raise UsageError("conditional=True: rows that are streamed cannot have y yet. Give them in memory, or fewer.")
    conditions = Conditions.fit(y, len(given.rows)) if fitted is None else fitted
    rows = replace(given.rows, y=conditions.encode(y, len(given.rows), said=fitted is not None))
    held_out = given.held_out
    if held_out is not None:
        held_out = replace(held_out, y=conditions.encode(held_out_y, len(held_out)))
    return replace(given, rows=rows, held_out=held_out, conditions=conditions)
