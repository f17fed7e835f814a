"""The protocol of a kind of data, and how the kind of some data is found out."""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from engram.data.forms import framed
from engram.data.rows import Rows, counted
from engram.data.source import Source, is_source, read
from engram.errors import DataTypeError, UsageError, nearest, tell, with_article
from engram.likelihoods import Likelihood


class DataWarning(UserWarning):
    """Some cells were left out or treated as missing; the message says which and how many."""


class Kind(ABC):
    """What a kind of data knows: types, scaling, missing cells, names, and the distribution that suits them.

    A kind is made with the user's wishes, fitted to rows once, and from then on encodes and decodes rows the same way. Wrapped around data,
    ``Images(X)``, it says explicitly what kind they are.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]  # names of the metrics that make sense for it
    baselines: ClassVar[tuple[str, ...]]  # names of the simple methods to stand beside
    rows_are: str = "rows"  # what a row is, in messages
    gathers: ClassVar[bool] = False  # whether a row is gathered from several lines of a source
    raw: Any  # the wrapped data, or None
    shape: tuple[int, ...]  # of an encoded row
    columns: list[str]  # names of the columns of ``Likelihood.log_prob_columns``
    groups: Tensor | None  # for each encoded value the number of its column, or None where they are the same
    notes: tuple[str, ...] = ()  # what reading the source left out or changed
    constants: bool = False  # whether columns that do not vary are learned as well, since a new row may differ there
    header: bool | None = None  # whether CSV files have a line of names, where that is known
    log_volume: Tensor  # (columns,) log of what one encoded unit is in the user's units: a density's Jacobian

    @classmethod
    @abstractmethod
    def accepts(cls, raw: Any) -> str | None:
        """Return None if ``raw`` can be of this kind, else the reason why not."""

    @abstractmethod
    def fit(self, raw: Any) -> Self:
        """Learn types, scales and names from the rows; raise `DataError` where they cannot be used."""

    @abstractmethod
    def conform(self, raw: Any, *, reader: str = "this model") -> Any:
        """Check rows against what was fitted and return them in a form that slices by rows and goes into `encode`."""

    @abstractmethod
    def encode(self, conformed: Any) -> Rows:
        """Turn conformed rows into tensors."""

    @abstractmethod
    def decode(self, x: Tensor) -> Any:
        """Turn encoded rows (means or draws) back into what the user gave: an array, a DataFrame."""

    def filled(self, raw: Any, x: Tensor) -> Any:
        """Return the user's own rows with missing cells taken from encoded rows; where a kind has no missing cells, as they are."""
        return raw

    @abstractmethod
    def likelihood(self) -> Likelihood:
        """Return a fresh distribution over encoded rows."""

    @abstractmethod
    def network(self) -> str:
        """Return the name of the family of networks that suits the rows: a function of their shape."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the fitted state as plain JSON values."""

    @classmethod
    @abstractmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """Return the kind that `to_dict` described."""

    def read(self, source: Any) -> Source:
        """Read a path or a list of files the way this kind wants it."""
        return read(source, header=self.header)

    def opened(self, raw: Any) -> Any:
        """Return bare data: a wrapper's content, a path's rows."""
        raw = raw.opened(raw.raw) if isinstance(raw, Kind) else raw
        return self.read(raw).rows if is_source(raw) else _bare(raw)

    @classmethod
    def taking(cls, other: Kind) -> Kind | None:
        """Return an unfitted kind of this class for data that are given as another one, None where they cannot be."""
        return None

    @abstractmethod
    def with_wishes(self, *, columns: Any = None, likelihood: str = "auto") -> Kind:
        """Return an unfitted copy without the data, with the model's wishes where the wrapper has none of its own."""

    def findings(self) -> list[str]:
        """What the user should know of the data: constant columns, dropped keys, missing cells, files that were skipped."""
        return list(self.notes)

    def describe(self) -> list[tuple[str, str]]:
        """Return (column, what it is) pairs for people: what a dry run shows."""
        return []

    def distributions(self) -> list[dict[str, Any]]:
        """Return what explains each column best, see `engram.data.marginals`; only of columns where that was compared."""
        return []

    @property
    def n_features(self) -> int:
        """How many columns the user's rows have (pictures: values per picture)."""
        return math.prod(self.shape)

    def feature_names(self) -> list[str] | None:
        """Names of the user's columns, or None where they have none."""
        return None


KINDS: dict[str, str] = {"images": "engram.data.images:Images", "table": "engram.data.table:Table"}
# never found out: a wrapper, ``kind=`` or an application says so
NAMED: dict[str, str] = {
    "counts": "engram.data.counts:Counts",
    "interactions": "engram.data.interactions:Interactions",
}
# of an application alone: never found out, and asked for by the application
OWN = {"bins": "engram.data.binned:Binned"}


def kind_class(name: str) -> type[Kind]:
    """Return the class of a kind by its name."""
    known = KINDS | NAMED | OWN
    if name not in known:
        raise UsageError(f"unknown kind {name!r}. {nearest(name, KINDS | NAMED)}")
    module, _, attribute = known[name].partition(":")
    cls: type[Kind] = getattr(importlib.import_module(module), attribute)
    return cls


def as_kind(raw: Any, kind: str = "auto", *, constants: bool = False, **wishes: Any) -> tuple[Kind, Any]:
    """Return (the unfitted kind, the bare data): an explicit wrapper decides, then ``kind``, then the looks of the data.

    A path or a list of picture files is read first. With ``constants`` columns of a table that do not vary are learned, too. ``wishes``
    are handed to the kind: ``columns``, ``likelihood``.
    """
    wrapper = raw if isinstance(raw, Kind) else None
    raw = raw if wrapper is None else wrapper.raw
    notes: tuple[str, ...] = () if wrapper is None else wrapper.notes
    header = None if wrapper is None else wrapper.header
    if is_source(raw):
        reader = kind_class(kind)() if wrapper is None and kind in NAMED else wrapper
        source = read(raw) if reader is None else reader.read(raw)
        raw, notes, header = source.rows, source.notes, source.header
    if wrapper is not None and kind not in ("auto", wrapper.name):
        wrapper = kind_class(kind).taking(wrapper) or wrapper
    if wrapper is not None and kind not in ("auto", wrapper.name):
        _class_for(_bare(raw), kind)  # says why they cannot be
        raise UsageError(
            f"kind={kind!r}, but these data are given as {wrapper.name}. Leave kind out, or give them bare."
        )
    found = (wrapper or _class_for(_bare(raw), kind)()).with_wishes(**wishes)
    found.notes, found.header, found.constants = notes, header, constants
    return found, raw if wrapper is not None else _bare(raw)


def _bare(raw: Any) -> Any:
    """Return what only looks like an array as one, records and tables of Arrow as a DataFrame; masked cells are missing ones."""
    if raw is None:
        raise DataTypeError("nothing was given: the rows are None. Give an array, a DataFrame or a path.")
    raw = framed(raw)
    if hasattr(raw, "to_pandas") and not hasattr(raw, "to_numpy"):  # as an array it would lose its names and types
        return raw.to_pandas()
    if isinstance(raw, np.ma.MaskedArray):
        is_number = raw.dtype.kind in "fiub"
        return np.ma.filled(raw.astype(np.float64 if is_number else object), np.nan if is_number else None)
    is_other = hasattr(raw, "to_numpy") or isinstance(raw, Tensor) or not hasattr(raw, "__array__")
    return raw if is_other else np.asarray(raw)


def _class_for(raw: Any, kind: str) -> type[Kind]:
    """Return the class of data without a wrapper: by name, or by their looks."""
    if kind != "auto":
        cls = kind_class(kind)
        reason = cls.accepts(raw)
        if reason is not None:
            raise DataTypeError(f"these data cannot be {kind}: {reason}.")
        return cls
    reasons = []
    for name in KINDS:
        cls = kind_class(name)
        reason = cls.accepts(raw)
        if reason is None:
            return cls
        reasons.append(f"not {name}: {reason}")
    raise DataTypeError(
        f"cannot tell what kind of data {with_article(type(raw).__name__)} is ({'; '.join(reasons)}). Give an array, a DataFrame or a path."
    )


_gathered: ContextVar[dict[str, int] | None] = ContextVar("gathered", default=None)


@contextmanager
def gathered(notes: dict[str, int]) -> Iterator[None]:
    """Add what would be said of left-out cells to ``notes`` instead, so that many calls can be told of at once."""
    token = _gathered.set(notes)
    try:
        yield
    finally:
        _gathered.reset(token)


def warn_notes(parts: Sequence[dict[str, int]]) -> None:
    """Say once what was left out of several encoded parts, counted."""
    kept = _gathered.get()
    total: dict[str, int] = {} if kept is None else kept
    for notes in parts:
        for note, count in notes.items():
            total[note] = total.get(note, 0) + count
    if kept is not None:
        return
    for note, count in total.items():
        tell(counted(note, count), DataWarning)
