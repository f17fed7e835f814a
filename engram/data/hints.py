"""What a user should know of the columns of a table before trusting a model of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import Array, is_plain, plain_cells
from engram.data.columns import Column, numbers_in
from engram.errors import column_as

NAMED = 8  # columns that a finding names
MOSTLY = 0.9  # of the cells missing
FEW = 10  # different whole numbers that may be categories
ROWS_EACH = 50  # ... with so many rows each
LEAST = 100  # rows, below which columns may depend on each other by chance
COMPARED = 40  # columns of few values that are compared with each other
LINES = 200  # columns of numbers that are compared with each other
ROWS = 20_000  # that are compared
DIFFERENT = 50  # values that a number may have to decide over a category
OTHERS = 10  # rows that a column must have beside its most frequent value
APART = 7  # standard deviations of a value from the mean, from which on it may be a wild one: where a fiftieth of all lies out
WILD = 50  # standard deviations of a column in units of its middle half's, from which on few values set its scale
RARE = 0.02  # of the values that may be so far out; more of them are a part of the column
QUARTILES = 1.349  # standard deviations of a normal distribution between them
Hint = Iterator[str]


def told_together(fields: list[Column]) -> list[str]:
    """Say which columns are ignored: one by one while they are few, together where they are many."""
    found = []
    for sort in ("constant", "empty", "key", "text"):
        columns = [c for c in fields if c.type == sort]
        if len(columns) <= NAMED:
            found += [f"column {c.name!r} is {c.describe()}" for c in columns]
        else:
            found.append(f"{len(columns)} columns are {columns[0].describe()}: {_listed([c.name for c in columns])}")
    fixed = [c for c in fields if "fixed" in c.form]
    if fixed:
        shown = f" ({fixed[0].shown(fixed[0].low)})" if len(fixed) == 1 else ""
        found.append(
            f"{_is([c.name for c in fixed])} constant{shown}, and nothing varies: all rows that are made are the same"
        )
    return found


def _listed(names: list[Any]) -> str:
    shown = ", ".join(repr(name) for name in names[:NAMED])
    return shown + f" and {len(names) - NAMED} more" * (len(names) > NAMED)


def _is(names: list[Any]) -> str:
    return f"column {names[0]!r} is" if len(names) == 1 else f"columns {_listed(names)} are"


def hints(rows: Array | pd.DataFrame, fields: list[Column]) -> list[str]:
    """Return findings on how columns look and depend on each other, from the rows at fit."""
    found = [*_on_missing(fields, len(rows)), *_on_wild_values(rows, fields), *_on_spellings(fields)]
    if isinstance(rows, np.ndarray):
        return [*found, *_on_copies({c.name: rows[:, i] for i, c in _alike(fields)})]
    found += _on_doubt(fields)
    found += _on_copies({c.name: rows[c.name] for _, c in _alike(fields)})
    if len(rows) < LEAST:
        return found
    dtypes = dict(rows.dtypes.items())
    numbers = [c for c in fields if c.type == "number" and is_plain(dtypes[c.name])]
    head = rows.iloc[:: max(1, len(rows) // ROWS)].iloc[:ROWS]
    values = head[[c.name for c in numbers]].to_numpy(dtype=np.float64)
    few = _few_values(values, len(rows))
    names = [numbers[j].name for j, different in few.items() if 2 < different <= FEW and _is_whole(values[:, j])]
    if names and len(rows) >= 3 * ROWS_EACH:
        which = "has only few different whole numbers" if len(names) == 1 else "have only few different whole numbers"
        told = _is(names).rpartition(" ")[0]
        found.append(f"{told} {which}: if these are names rather than amounts, say {column_as(names[0], 'category')}")
    found += _on_lines(values[:: max(1, len(values) // 2000)], [c.name for c in numbers])
    codes = {numbers[j].name: pd.factorize(values[:, j])[0] for j in list(few)[:COMPARED]}
    labels = {c.name: c for c in fields if c.type in ("category", "boolean")}
    codes |= {name: pd.factorize(plain_cells(head[name]))[0] for name in list(labels)[:COMPARED]}
    return [*found, *_on_labels(codes, set(labels))]


def _on_missing(fields: list[Column], n: int) -> Hint:
    names = [c.name for c in fields if c.missing > MOSTLY * n and c.type not in ("empty", "drop")]
    if names:
        yield f"{_is(names)} missing in more than {MOSTLY:.0%} of the rows: what is learned there rests on few"


def _on_wild_values(rows: Array | pd.DataFrame, fields: list[Column]) -> Hint:
    """Numbers of which a few are so far out that, in standard deviations, all the others look alike."""
    told, step = [], max(1, len(rows) // ROWS)
    far = min(APART, 0.9 * max(len(rows) - 1, 0) ** 0.5)  # one value of n cannot be further out than the root of n - 1
    for i, c in enumerate(fields):
        if c.type != "number" or c.likelihood or max(c.high - c.mean, c.mean - c.low) <= far * c.scale:
            continue
        cells = rows[::step, i] if isinstance(rows, np.ndarray) else numbers_in(c, rows[c.name].iloc[::step], {})
        # in units of the scale differences of 1e300 are in range
        with np.errstate(over="ignore", invalid="ignore"):
            cells = cells[~np.isnan(cells)] / c.scale
            low, middle, high = np.percentile(cells, [25, 50, 75]) if len(cells) else (0.0, 0.0, 0.0)
            spread = (high - low) / QUARTILES
            out = int(np.count_nonzero(np.abs(cells - middle) > WILD * spread))
        if 0 < spread < 1 / WILD and out <= max(1, RARE * len(cells)):
            end = c.high if c.high / c.scale - middle > middle - c.low / c.scale else c.low
            told.append((c, end, float(low * c.scale), float(high * c.scale)))
    for c, end, low, high in told[:NAMED]:
        right = f"; if they are right, say {column_as(c.name, 'lognormal')}" * (c.low > 0)
        yield (
            f"column {c.name!r}: half of its values lie between {c.shown(low)} and {c.shown(high)}, but a few, such as "
            f"{c.shown(end)}, set its scale, so that all others look alike: correct or drop them{right}"
        )
    if len(told) > NAMED:
        yield f"{len(told) - NAMED} more columns have such wild values"


def _on_spellings(fields: list[Column]) -> Hint:
    """Categories that differ only by case or by spaces around them: mostly one value in several spellings."""
    told = []
    for c in fields:
        spellings: dict[str, list[str]] = {}
        for value in c.values if c.type == "category" else []:
            if isinstance(value, str):
                spellings.setdefault(value.strip().casefold(), []).append(value)
        several = [values for values in spellings.values() if len(values) > 1]
        if several:
            told.append((c.name, several))
    for name, several in told[:NAMED]:
        more = f" (and {len(several) - 1} more such values)" if len(several) > 1 else ""
        yield (
            f"column {name!r}: {' and '.join(map(repr, several[0][:3]))}{more} are learned as different values, though only case or "
            "spaces around them differ: write them alike if they mean the same"
        )
    if len(told) > NAMED:
        yield f"{len(told) - NAMED} more columns have values in several spellings"


def _on_doubt(fields: list[Column]) -> Hint:
    for c in fields:
        if "in doubt" in c.form:
            yield (
                f"column {c.name!r} holds dates whose day and month could be either way ({c.form['in doubt']} cells): "
                f"they were taken as texts; write them as 2024-01-31, or say {column_as(c.name, 'date')} for day first"
            )
        elif c.form.get("date", {}).get("ambiguous"):
            yield (
                f"column {c.name!r}: day and month could be either way ({c.form['date']['ambiguous']} cells); read day first"
            )


def _alike(fields: list[Column]) -> Iterator[tuple[int, Column]]:
    """Yield the columns that another one may be a copy of, by what is already known of them."""
    known: dict[Any, list[int]] = {}
    for i, c in enumerate(fields):
        if c.type not in ("constant", "empty", "drop"):
            key = (c.type, c.mean, c.low, c.high, c.missing, tuple(map(str, c.values)))
            known.setdefault(key, []).append(i)
    for numbers in known.values():
        for i in numbers if len(numbers) > 1 else []:
            yield i, fields[i]


def _on_copies(columns: dict[Any, Any]) -> Hint:
    seen: dict[Any, Any] = {}
    copies = []
    for name, cells in columns.items():
        plain = isinstance(cells, np.ndarray) or is_plain(cells.dtype)
        values = np.asarray(cells, dtype=np.float64) if plain else pd.util.hash_array(_texts(cells))
        first = seen.setdefault(values.tobytes(), name)
        if first != name:
            copies.append((name, first))
    for name, first in copies[:NAMED]:
        yield f"column {name!r} is a copy of column {first!r}: drop one of them, or it counts twice"
    if len(copies) > NAMED:
        yield f"{len(copies) - NAMED} more columns are copies of others"


def _texts(cells: pd.Series[Any]) -> Array:
    return np.array([repr(cell) for cell in plain_cells(cells)], dtype=object)


def _few_values(values: Array, n: int) -> dict[int, int]:
    """Return how many different values each column has, for those that have few."""
    found = {}
    head = np.sort(values[:200], 0)
    for j in np.flatnonzero((np.diff(head, axis=0) > 0).sum(0) < DIFFERENT):
        different = len(np.unique(values[~np.isnan(values[:, j]), j]))
        if different <= DIFFERENT and n >= ROWS_EACH * min(different, FEW):
            found[int(j)] = different
    return found


def _is_whole(column: Array) -> bool:
    there = column[~np.isnan(column)]
    return np.array_equal(there, np.round(there))


def _on_lines(values: Array, names: list[Any]) -> Hint:
    """Columns of numbers that lie on a straight line over another one."""
    complete = np.flatnonzero(np.isfinite(values).all(0))[:LINES]
    x = values[:, complete]
    x = x - x.mean(0)
    size = np.sqrt((x**2).sum(0))
    x = x / np.where(size > 0, size, 1.0)
    told = set()
    for i, j in zip(*np.nonzero(np.triu(np.abs(x.T @ x) > 1 - 1e-10, 1)), strict=True):
        a, b = names[complete[i]], names[complete[j]]
        if j not in told and not np.array_equal(values[:, complete[i]], values[:, complete[j]]):
            told.add(j)
            yield f"column {b!r} is a multiple of column {a!r} (plus a constant): drop one of them, or it counts twice"


def _on_labels(codes: dict[Any, Array], labels: set[Any]) -> Hint:
    """Columns of few values of which one says all of another."""
    told: set[Any] = set()
    for a, b in combinations(list(codes), 2):
        if not labels & {a, b} or told & {a, b}:
            continue
        forth, back = _decides(codes[a], codes[b]), _decides(codes[b], codes[a])
        if forth and back:
            told.add(b)
            yield f"columns {a!r} and {b!r} say the same in other words: drop one of them, or it counts twice"
        elif (forth and b in labels) or (back and a in labels):
            first, second = (a, b) if forth and b in labels else (b, a)
            yield f"column {second!r} follows from column {first!r}: is one of them a label, or made from the other?"


def _decides(a: Array, b: Array) -> bool:
    """Whether each value of a comes with one value of b only, and not by chance."""
    both = (a >= 0) & (b >= 0)
    a, b = a[both], b[both]
    if len(a) < LEAST:
        return False
    n_a, n_b = int(a.max()) + 1, int(b.max()) + 1
    if n_a * n_b > 1e6 or len(a) < 10 * n_a or len(a) - np.bincount(b).max() < OTHERS:
        return False
    pairs = np.count_nonzero(np.bincount(a * n_b + b, minlength=n_a * n_b))
    return bool(pairs == np.count_nonzero(np.bincount(a)) and np.count_nonzero(np.bincount(b)) > 1)
