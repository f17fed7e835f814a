"""Tables: arrays and DataFrames of numbers, flags and categories, with cells that may be missing."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from engram.data import distributions
from engram.data.cells import Array, as_numbers, check_finite
from engram.data.columns import (
    FAR,
    IGNORED,
    Column,
    decoded_column,
    encode_into,
    number_values,
    restored,
    share_a_unit,
    typed,
)
from engram.data.forms import ConformedStream, as_table, check_columns, in_memory, why_no_table
from engram.data.hints import hints, told_together
from engram.data.inference import inferred_frame, inferred_numbers
from engram.data.kind import Kind
from engram.data.labels import names_of, told_as_texts, with_names
from engram.data.marginals import looked_at
from engram.data.repair import filled
from engram.data.rows import Rows
from engram.data.stream import RowStream
from engram.errors import DataError, UsageError, nearest
from engram.likelihoods import LIKELIHOODS, Bernoulli, Blocks, Categorical, Grouped, Likelihood, Normal, Poisson
from engram.parameters import checked_value

ORDER = ("number", "count", "boolean", "date", "category")  # of the blocks in an encoded row


class Table(Kind):
    """Tables: numbers are standardised, flags are 0 and 1, categories one-hot, missing cells masked.

    Dates are a standardised number beside sine and cosine of the phases that vary (docs/decisions/0007). Texts that are
    numbers, dates or flags are read as such, and written back in their style.

    Columns of an array that share a unit (pixels, shares, marks: all from the same lowest to about the same highest
    value) are centred but keep one common scale, as a picture's pixels would; all other numbers are divided by their own
    standard deviation (docs/decisions/0006).

    Parameters
    ----------
    raw : array, DataFrame or sparse matrix, optional
        The data to wrap.
    columns : dict, optional
        Types that correct what would be found out: ``{"zip": "category", "id": "drop"}``; number, count, boolean, category, date or drop.
        The name of a distribution makes a number of it: ``{"price": "lognormal"}``.
    likelihood : str
        Distribution of the number columns: "auto" (normal), "normal", "laplace", "lognormal", "exponential", "beta", "bernoulli",
        "binomial", "poisson", "geometric", "negative-binomial", "multinomial" (of a row's counts, given their sum); "best" takes for each
        column the one that explains held-out cells best (exponential and geometric only where no other column says much of them).
    header : bool, optional
        Of a CSV file, whether its first line names the columns; without, that is found out. Files that a model is applied to are read the
        same way.
    """

    name = "table"
    metrics: ClassVar[tuple[str, ...]] = ("r2", "squared-error", "log-likelihood", "auroc")
    baselines: ClassVar[tuple[str, ...]] = ("mean", "pca", "knn", "isolation-forest")

    def __init__(
        self,
        raw: Any = None,
        *,
        columns: dict[Any, str] | None = None,
        likelihood: str = "auto",
        header: bool | None = None,
    ) -> None:
        self.raw = raw
        self.header = None if header is None else checked_value("header", header, bool)
        self.wishes = {str(k): v for k, v in (columns or {}).items()}
        self.number_likelihood = likelihood
        self.fields: list[Column] = []  # the user's columns in the user's order
        self.dtype: str | None = None  # of the array; None for a DataFrame
        # number columns and their cells, (rows, columns), until their distributions were compared
        self._to_compare: tuple[list[Column], Array] | None = None
        self.names: dict[str, Any] = {}  # of the columns, where they are not plain ones
        self.hints: list[str] = []  # what the rows at fit showed of how columns depend on each other

    def with_wishes(self, *, columns: dict[Any, str] | None = None, likelihood: str = "auto") -> Table:
        """Return a copy that takes the model's wishes where the wrapper has none of its own."""
        chosen = self.number_likelihood if likelihood == "auto" else likelihood
        return Table(columns=self.wishes or columns, likelihood=chosen, header=self.header)

    def around(self, raw: Any, notes: tuple[str, ...] | None = None) -> Table:
        """Return these wishes and notes around other rows, e.g. around some of them."""
        table = self.with_wishes()
        table.raw, table.notes = raw, self.notes if notes is None else notes
        return table

    @classmethod
    def accepts(cls, raw: Any) -> str | None:
        return why_no_table(raw)

    def fit(self, raw: Any) -> Table:
        opened, self.names = as_table(raw), names_of(raw)
        self.dtype = str(opened.dtype) if isinstance(opened, np.ndarray) else None
        if isinstance(opened, np.ndarray) and not self.wishes:
            self.fields = inferred_numbers(opened)
        else:
            self.fields = self._inferred(pd.DataFrame(opened))
        varies = any(c.type not in IGNORED for c in self.fields)
        if not varies:
            self._keep_constants(fixed=not self.constants)
        self._set_scales(opened)
        self.hints = hints(opened, self.fields)
        if varies and self.constants:
            self._keep_constants()
        self._lay_out()
        return self

    def _inferred(self, frame: pd.DataFrame) -> list[Column]:
        """Find out the columns of a DataFrame, heeding what the user asked for."""
        names = {str(c) for c in frame.columns}
        for wish in self.wishes:
            if wish not in names:
                raise UsageError(f"columns= names {wish!r}, which these data do not have. {nearest(wish, names)}")
        types = {n: "number" if wish in distributions.OF_COLUMNS else wish for n, wish in self.wishes.items()}
        return inferred_frame(frame, types, flags=self.dtype is None)

    def _keep_constants(self, *, fixed: bool = False) -> None:
        """Learn constants, too: where they are asked for, and where nothing varies (one row, say); ``fixed`` ones come back exactly."""
        for column in self.fields:
            if column.type == "constant":
                is_number = isinstance(column.values[0], float) and not column.form.get("categories")
                column.type = "date" if column.date else "number" if is_number else "category"
                column.mean = column.values[0] if is_number else 0.0
                column.form |= {"fixed": True} if fixed and column.type != "category" else {}
        if not any(c.type not in IGNORED for c in self.fields):
            seen = "; ".join(f"{c.name}: {c.describe()}" for c in self.fields[:5])
            raise DataError(
                f"no column can be learned from ({seen}). Give at least one column with values that repeat or are numbers."
            )

    def _compare(self) -> None:
        """Compare the distributions that number columns can have, if that is still to be done: only "best" and reports need it."""
        if self._to_compare is not None:
            distributions.choose(*self._to_compare)
            self._to_compare = None

    def _set_scales(self, opened: Array | pd.DataFrame) -> None:
        numbers = [c for c in self.fields if c.type == "number"]
        shared = self.dtype is not None and share_a_unit(self.fields)
        if numbers and not shared:
            rows = looked_at(len(opened), len(numbers))
            part = opened[rows] if isinstance(opened, np.ndarray) else opened.iloc[rows]
            self._to_compare = numbers, self._raw(part, numbers)
            if self.number_likelihood == "best":
                self._compare()
        wishes = {
            c.name: distributions.wished(c, self.wishes.get(str(c.name)), self.number_likelihood, shared=shared)
            for c in numbers
        }
        own = [c for c in numbers if wishes[c.name]]
        if own:
            asked = self.number_likelihood != "best"
            distributions.fit(own, [wishes[c.name] for c in own], self._raw(opened, own), asked=asked)
        elif shared:
            most = max(c.scale for c in numbers)
            size = 1.0 if 1e-100 < most < 1e100 else most  # squares beyond are 0 or infinite
            common = float(np.sqrt(np.mean([(c.scale / size) ** 2 for c in numbers]))) * size
            for c in numbers:
                c.scale = common

    def _raw(self, opened: Array | pd.DataFrame, numbers: list[Column]) -> Array:
        """Return the cells of number columns as float64, NaN where missing."""
        if isinstance(opened, np.ndarray) and opened.dtype.kind == "f":
            place = {id(c): i for i, c in enumerate(self.fields)}  # a search by value takes columns^2 comparisons
            return opened[:, [place[id(c)] for c in numbers]].astype(np.float64)
        return number_values(opened if isinstance(opened, pd.DataFrame) else self._framed(opened), numbers, {})

    def _lay_out(self) -> None:
        """Fix the order of the encoded row, from the types alone."""
        self._blocks = {t: [i for i, c in enumerate(self.fields) if c.type == t] for t in ORDER}
        self._blocks["number"].sort(key=lambda i: self.fields[i].likelihood)  # those of one distribution side by side
        order = [i for t in ORDER for i in self._blocks[t]]
        used = [self.fields[i] for i in order]
        widths = torch.tensor([c.width for c in used])
        self.shape = (int(widths.sum()),)
        self.columns = [str(c.name) for c in used]
        self.groups = torch.repeat_interleave(torch.arange(len(used)), widths) if self._has_wide(used) else None
        self.log_volume = torch.tensor(
            [distributions.volume(c) if c.type in ("number", "date") else 0.0 for c in used], dtype=torch.float32
        )
        numbers = self._blocks["number"]
        self._mean = np.array([self.fields[i].mean for i in numbers])
        self._fixed = np.array(["fixed" in self.fields[i].form for i in numbers], dtype=bool)
        self._rate = 1 / np.array([self.fields[i].scale for i in numbers])
        self._plain = len(numbers) == len(self.fields)
        self._moved = numbers != sorted(numbers)
        used = [self.fields[i] for i in numbers]
        self._own = any(c.likelihood for c in used)
        shared = (
            self.dtype is not None
            and not self._own
            and self.number_likelihood != "poisson"
            and share_a_unit(self.fields)
        )
        self._unit = (
            (min(c.low for c in used), max(c.high for c in used)) if shared else None
        )  # range of the common unit

    @staticmethod
    def _has_wide(used: list[Column]) -> bool:
        """Whether values and columns are two things: a category is many values, a date may be."""
        return any(c.type == "category" or c.width > 1 for c in used)

    # --- rows in ---

    def conform(self, raw: Any, *, reader: str = "this model") -> Any:
        if isinstance(raw, RowStream):
            return ConformedStream(raw, lambda rows: self.conform(rows, reader=reader))
        opened: Array | pd.DataFrame = as_table(raw)
        if isinstance(opened, pd.DataFrame) and self.dtype is None:
            check_columns((c.name for c in self.fields if c.type not in IGNORED), opened, reader)
            opened = opened.copy(deep=False)  # the caller keeps their attrs
            opened.attrs = {}
            return opened
        if opened.shape[1] != len(self.fields):
            raise DataError(
                f"X has {opened.shape[1]} features, but {reader} is expecting {len(self.fields)} features as input."
            )
        if self.dtype is None:
            return pd.DataFrame(opened, columns=[c.name for c in self.fields])
        if isinstance(opened, pd.DataFrame):
            frame = opened.set_axis([c.name for c in self.fields], axis=1)
            return np.column_stack([as_numbers(frame[n], n) for n in frame]) if self._plain else frame
        return opened

    def encode(self, conformed: Array | pd.DataFrame) -> Rows:
        notes: dict[str, int] = {}
        if self._plain and isinstance(conformed, np.ndarray):
            x, seen = self._numbers(conformed[:, self._blocks["number"]] if self._moved else conformed, notes)
            return Rows(torch.from_numpy(x), None if seen is None else torch.from_numpy(seen), notes=notes)
        frame = conformed if isinstance(conformed, pd.DataFrame) else self._framed(conformed)
        x = np.zeros((len(frame), *self.shape), dtype=np.float32)
        mask = np.ones((len(frame), len(self.columns)), dtype=bool)
        numbers = [self.fields[i] for i in self._blocks["number"]]
        at = column = len(numbers)
        if numbers:
            x[:, :at], seen = self._numbers(number_values(frame, numbers, notes), notes)
            mask[:, :at] = True if seen is None else seen
        for t in ORDER[1:]:
            for c in (self.fields[i] for i in self._blocks[t]):
                mask[:, column] = encode_into(x[:, at : at + c.width], c, frame[c.name], notes)
                at, column = at + c.width, column + 1
        return Rows(torch.from_numpy(x), None if mask.all() else torch.from_numpy(mask), notes=notes)

    def typed(self, conformed: Array | pd.DataFrame) -> pd.DataFrame:
        """Return conformed rows as a DataFrame of what the cells stand for: texts that are numbers or dates as such."""
        frame = pd.DataFrame(conformed) if isinstance(conformed, pd.DataFrame) else self._framed(conformed)
        return pd.DataFrame({c.name: typed(c, frame[c.name]) for c in self.fields if c.name in frame.columns})

    def _framed(self, conformed: Array) -> pd.DataFrame:
        return pd.DataFrame(conformed, columns=[c.name for c in self.fields])

    def _numbers(self, values: Array, notes: dict[str, int]) -> tuple[Array, Array | None]:
        """Standardise numbers to float32; return the mask only where a cell is missing."""
        if self._own:
            values = distributions.natural(values, [self.fields[i] for i in self._blocks["number"]], notes)
        with np.errstate(over="ignore", invalid="ignore"):
            x = np.empty(values.shape, dtype=np.float32)
            np.multiply(values - self._mean, self._rate, out=x, casting="same_kind")
            if np.abs(x).max() < FAR:  # False also where anything is not a number
                return x, None
        check_finite(values, [self.fields[i].name for i in self._blocks["number"]])
        seen = ~np.isnan(values)
        x[~seen] = 0.0
        far = np.abs(x) > FAR
        for j in np.flatnonzero(far.any(0)):
            name = self.fields[self._blocks["number"][j]].name
            notes[f"column {name!r}: values more than {FAR:g} standard deviations out were clipped"] = int(
                far[:, j].sum()
            )
        return np.clip(x, -FAR, FAR), None if seen.all() else seen

    # --- rows out ---

    def decode(self, x: Tensor) -> Array | pd.DataFrame:
        found = self._decoded(x)
        return with_names(found, self.names) if isinstance(found, pd.DataFrame) else found

    def _decoded(self, x: Tensor) -> Array | pd.DataFrame:
        """Return rows whose columns have plain names."""
        values = x.detach().cpu().numpy()
        n_numbers = len(self._blocks["number"])
        numbers = values[:, :n_numbers] / self._rate + self._mean
        if self._own:
            numbers = distributions.numbers(numbers, [self.fields[i] for i in self._blocks["number"]])
        numbers[:, self._fixed] = self._mean[self._fixed]
        if self._plain and self.dtype is not None:
            numbers = numbers[:, np.argsort(self._blocks["number"])] if self._moved else numbers
            return np.asarray(numbers, dtype=self.dtype if self.dtype.startswith("float") else np.float64)
        decoded: dict[int, Any] = {i: numbers[:, j] for j, i in enumerate(self._blocks["number"])}
        at = n_numbers
        for t in ORDER[1:]:
            for i in self._blocks[t]:
                decoded[i] = decoded_column(self.fields[i], values[:, at : at + self.fields[i].width])
                at += self.fields[i].width
        for i, c in enumerate(self.fields):
            if c.type in IGNORED:
                decoded[i] = np.full(len(values), c.values[0] if c.type == "constant" else np.nan, dtype=object)
        if self.dtype is not None:
            columns = [np.asarray(decoded[i]) for i in range(len(self.fields))]
            joined = np.column_stack(columns)
            return (
                joined.astype(self.dtype if self.dtype.startswith("float") else np.float64)
                if self.dtype != "object"
                else joined
            )
        series = {
            c.name: restored(c, decoded[i]) for i, c in enumerate(self.fields) if c.type not in ("drop", "key", "text")
        }
        return pd.DataFrame(series)

    def filled(self, raw: Any, x: Tensor) -> Any:
        if isinstance(raw, RowStream):
            raise UsageError("impute needs its rows in memory. Read a part of the file with pandas and impute that.")
        rows = in_memory(raw)
        found = filled(as_table(rows), self._decoded(x), self.fields)
        return found.set_axis(rows.columns, axis=1) if isinstance(rows, pd.DataFrame) else found

    # --- what suits the rows ---

    def likelihood(self) -> Likelihood:
        parts: list[Likelihood] = []
        if self._blocks["number"]:
            parts += distributions.blocks(
                [self.fields[i] for i in self._blocks["number"]],
                LIKELIHOODS[distributions.default(self.number_likelihood)],
            )
            if self._unit is not None:
                ends = (torch.tensor((end - self._mean) * self._rate, dtype=torch.float32) for end in self._unit)
                parts[0].bound(*ends)
        if self._blocks["count"]:
            parts.append(Poisson((len(self._blocks["count"]),)))
        if self._blocks["boolean"]:
            parts.append(Bernoulli((len(self._blocks["boolean"]),)))
        if self._blocks["date"]:
            widths = [self.fields[i].width for i in self._blocks["date"]]
            dates = Normal((sum(widths),))
            groups = [group for group, width in enumerate(widths) for _ in range(width)]
            parts.append(Grouped(dates, groups) if len(groups) > len(widths) else dates)
        parts += [Categorical((self.fields[i].width,)) for i in self._blocks["category"]]
        return parts[0] if len(parts) == 1 and isinstance(parts[0], Normal) else Blocks(parts)

    def network(self) -> str:
        return "mlp"

    @property
    def n_features(self) -> int:
        return len(self.fields)

    def feature_names(self) -> list[str] | None:
        names = [c.name for c in self.fields]
        return names if self.dtype is None and all(isinstance(n, str) for n in names) else None

    def findings(self) -> list[str]:
        return [*told_together(self.fields), *told_as_texts(self.fields, self.names), *self.hints]

    def describe(self) -> list[tuple[str, str]]:
        return [(str(c.name), c.describe()) for c in self.fields]

    def distributions(self) -> list[dict[str, Any]]:
        self._compare()
        return [distributions.told(c, self.number_likelihood) for c in self.fields if c.marginal]

    def to_dict(self) -> dict[str, Any]:
        self._compare()
        return {
            "dtype": self.dtype,
            "likelihood": self.number_likelihood,
            "columns": [c.to_dict() for c in self.fields],
            "hints": self.hints,
            "header": self.header,
            **({"names": self.names} if self.names else {}),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Table:
        table = cls(likelihood=state["likelihood"], header=state.get("header"))
        table.dtype = state["dtype"]
        table.fields = [distributions.checked(Column(**c)) for c in state["columns"]]
        table.hints, table.names = state.get("hints", []), state.get("names", {})
        table._lay_out()
        return table
