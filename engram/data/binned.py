"""Tables whose rows are numbers of bins: what models of any cells given any others learn from; see `engram.data.coding`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from engram.data.cells import Array
from engram.data.coding import RENEWED, Coding, as_frame
from engram.data.columns import MARKED
from engram.data.constraints import describe
from engram.data.decoding import as_given, decoded
from engram.data.forms import ConformedStream, check_columns, why_no_table
from engram.data.kind import Kind, warn_notes
from engram.data.labels import names_of, told_as_texts, with_names
from engram.data.rows import Rows
from engram.data.stream import RowStream
from engram.data.table import Table
from engram.errors import DataError
from engram.likelihoods import Blocks, Categorical, Likelihood

NONE: Mapping[str, list[Any]] = MappingProxyType({})  # no given cells
NAMED = 8  # columns that a finding names


class Binned(Kind):
    """Tables cut into bins: one whole number a column, with bins for missing and for rare cells.

    Parameters
    ----------
    raw : DataFrame, array or path, optional
        The data to wrap.
    columns : dict, optional
        Types that correct what would be found out, as in `engram.data.Table`.
    constraints : tuple of str
        Rules that rows obey, see `engram.data.constraints`.
    min_count : int
        Rows that a category must have to be kept.
    header : bool, optional
        Of a CSV file, whether its first line names the columns.
    """

    name = "bins"
    metrics: ClassVar[tuple[str, ...]] = ()
    baselines: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        raw: Any = None,
        *,
        columns: dict[Any, str] | None = None,
        constraints: tuple[str, ...] = (),
        min_count: int = 5,
        header: bool | None = None,
    ) -> None:
        self.raw, self.header = raw, header
        self.coding = Coding(columns, constraints, min_count)
        self.n_rows = 0
        self.names: dict[str, Any] = {}  # of the columns, where they are not plain ones

    def with_wishes(self, *, columns: Any = None, likelihood: str = "auto") -> Binned:
        """Return a copy that takes the model's wishes where the wrapper has none of its own."""
        found = Binned(constraints=self.coding.rules, min_count=self.coding.min_count, header=self.header)
        own = self.coding
        found.coding = Coding(own.wishes or columns, own.rules, own.min_count, own.fine)
        return found

    @classmethod
    def taking(cls, other: Kind) -> Binned | None:
        """Return the kind for rows that are given as a table, with its wishes."""
        if not isinstance(other, Table):
            return None
        found = cls(other.raw, columns=other.wishes, header=other.header)
        found.notes = other.notes
        return found

    @classmethod
    def accepts(cls, raw: Any) -> str | None:
        return why_no_table(raw)

    def fit(self, raw: Any) -> Binned:
        self.n_rows = len(self.coding.fit(raw))
        self.names = names_of(raw)
        warn_notes([self.coding.notes])
        if not self.coding.coded:
            raise DataError("no column is left to learn from. Drop fewer columns.")
        self._lay_out()
        return self

    def _lay_out(self) -> None:
        coded = self.coding.coded
        self.shape = (len(coded),)
        self.columns = [place.name for place in coded]
        self.groups = None
        self.log_volume = torch.zeros(len(coded))
        self.sizes = tuple(place.bins.size for place in coded)
        self.ordered = tuple(len(place.bins.knots) for place in coded)

    def conform(self, raw: Any, *, reader: str = "this model") -> Any:
        if isinstance(raw, RowStream):
            return ConformedStream(raw, lambda rows: self.conform(rows, reader=reader))
        frame = as_frame(raw)
        check_columns((c.name for c in self.coding.fields if c.type != "drop"), frame, reader)
        return frame

    def encode(self, conformed: pd.DataFrame) -> Rows:
        return Rows(torch.from_numpy(self.coding.encode(conformed)).float())

    def decode(self, x: Tensor) -> pd.DataFrame:
        """Return rows with numbers drawn from their bins, always the same ones."""
        cells = x.round().long().numpy()
        random = np.random.default_rng(0)
        bins: dict[str, Array] = {}
        for i, place in enumerate(self.coding.coded):
            bins[place.name] = np.clip(cells[:, i], 0, place.bins.size - 1)
        numbers = {}
        for place in self.coding.places:
            if place.is_own and place.bins.sort == "number":
                own = bins.get(place.name, np.zeros(len(cells), dtype=np.int64))
                numbers[place.name] = place.bins.numbers(own, random) + place.offset
        return self.written(bins, numbers, random)

    def written(
        self,
        bins: Mapping[str, Array],
        numbers: Mapping[str, Array],
        random: np.random.Generator,
        given: Mapping[str, list[Any]] = NONE,
    ) -> pd.DataFrame:
        """Return rows of bins and numbers as the rows at fit were, see `decoded`; ``given`` cells, by column, as they are."""
        rows = decoded(self.coding, bins, numbers, random)
        for name, cells in given.items():
            column = self.coding.field(name)
            rows[column.name] = as_given(column, cells)
        return with_names(rows, self.names)

    def likelihood(self) -> Likelihood:
        """Return one category for each column, given logits for each bin."""
        return Blocks([Categorical((size,)) for size in self.sizes])

    def network(self) -> str:
        return "mlp"

    @property
    def n_features(self) -> int:
        return len(self.coding.fields)

    def feature_names(self) -> list[str] | None:
        names = [c.name for c in self.coding.fields]
        return names if all(isinstance(name, str) for name in names) else None

    def findings(self) -> list[str]:
        coding = self.coding
        found = [*self.notes, *(f"{note} ({count})" for note, count in coding.notes.items() if note != MARKED)]
        found += told_as_texts(coding.fields, self.names)
        new = [repr(c.name) for c in coding.fields if c.type in RENEWED]
        if new:
            shown = ", ".join(new[:NAMED]) + f" and {len(new) - NAMED} more" * (len(new) > NAMED)
            found.append(f"cells of {shown} are made up anew: keys and free texts are not learned")
        for place in coding.places:
            if place.bins.pooled and not place.pattern:
                rare = place.bins.counts[place.bins.present - 1]
                found.append(
                    f"{rare} of {self.n_rows} rows have a value of {place.name!r} that fewer than {coding.min_count} rows have: none "
                    "of these values is kept"
                )
        if coding.rules:
            found.append(f"every generated row obeys: {'; '.join(describe(coding.constraints))}")
        return found

    def describe(self) -> list[tuple[str, str]]:
        return [(str(c.name), self._described(c)) for c in self.coding.fields]

    def _described(self, c: Any) -> str:
        if c.type in RENEWED:
            return "key, made up anew" if c.type == "key" else "free text, made up anew"
        return str(c.describe())

    def to_dict(self) -> dict[str, Any]:
        names = {"names": self.names} if self.names else {}
        return {**self.coding.to_dict(), "rows": self.n_rows, "header": self.header, **names}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Binned:
        found = cls(header=state["header"])
        found.coding = Coding.from_dict(state)
        found.n_rows, found.names = state["rows"], state.get("names", {})
        found._lay_out()
        return found
