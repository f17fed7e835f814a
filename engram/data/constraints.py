"""Rules that generated rows obey by construction: one column not above another, ranges, and combinations that belong together.

Written as people write them: ``"start <= end"``, ``"low < high"``, ``"price >= 0"``, ``"0 <= share <= 1"``, ``"city & country"`` (only
combinations that rows at fit have).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engram.data.cells import Array, named_row
from engram.errors import DataError, UsageError, nearest

SIGNS = re.compile(r"\s*(<=|>=|<|>)\s*")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
EXAMPLES = "'start <= end', 'price >= 0', '0 <= share <= 1' or 'city & country'"


@dataclass(frozen=True)
class Order:
    """``low <= high``, or ``low < high`` where it is strict; it says nothing of a row where one of the cells is missing."""

    low: str
    high: str
    strict: bool = False


@dataclass(frozen=True)
class Limit:
    """A column between two numbers; an end that is left out of the range is ``strict``."""

    column: str
    low: float = -math.inf
    high: float = math.inf
    strict: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Combination:
    """Columns whose cells belong together: generated rows have only combinations that rows at fit have."""

    columns: tuple[str, ...]


@dataclass(frozen=True)
class Constraints:
    """All rules of a table, by sort."""

    orders: tuple[Order, ...] = ()
    limits: tuple[Limit, ...] = ()
    combinations: tuple[Combination, ...] = ()

    @classmethod
    def read(cls, texts: Iterable[str], names: Sequence[str]) -> Constraints:
        """Return the rules that texts stand for; raise `UsageError` for what is no rule or names no column."""
        if isinstance(texts, str):
            texts = (texts,)
        found: list[Order | Limit | Combination] = []
        for text in texts:
            if not isinstance(text, str):
                raise UsageError(f"a constraint is a text such as {EXAMPLES}, not {text!r}.")
            found += _combination(text, names) if "&" in text else _comparisons(text, names)
        orders, limits, combinations = (
            tuple(c for c in found if isinstance(c, sort)) for sort in (Order, Limit, Combination)
        )
        taken = [name for c in combinations for name in c.columns]  # type: ignore[union-attr]
        twice = {name for name in taken if taken.count(name) > 1}
        twice |= set(taken) & {name for o in orders for name in (o.low, o.high)}  # type: ignore[union-attr]
        twice |= set(taken) & {c.column for c in limits}  # type: ignore[union-attr]
        if twice:
            raise UsageError(f"column {min(twice)!r} is in a combination and in another constraint; give one of them.")
        return cls(orders, limits, combinations)  # type: ignore[arg-type]


def _named(name: str, names: Sequence[str], text: str) -> str:
    if name not in names:
        raise UsageError(
            f"the constraint {text!r} names {name!r}, which is no column that varies. {nearest(name, names)}"
        )
    return name


def _combination(text: str, names: Sequence[str]) -> list[Combination]:
    columns = tuple(_named(part.strip(), names, text) for part in text.split("&"))
    if len(set(columns)) < 2:
        raise UsageError(f"the constraint {text!r} needs two columns or more.")
    return [Combination(columns)]


def _comparisons(text: str, names: Sequence[str]) -> list[Order | Limit]:
    parts = SIGNS.split(text.strip())
    if len(parts) < 3 or not all(parts):
        raise UsageError(f"{text!r} is no constraint. Write {EXAMPLES}.")
    found: list[Order | Limit] = []
    for left, sign, right in zip(parts[:-2:2], parts[1::2], parts[2::2], strict=True):
        low, high = (left, right) if sign.startswith("<") else (right, left)
        strict = "=" not in sign
        if NUMBER.fullmatch(low) and low not in names:
            found.append(Limit(_named(high, names, text), low=float(low), strict=(strict, False)))
        elif NUMBER.fullmatch(high) and high not in names:
            found.append(Limit(_named(low, names, text), high=float(high), strict=(False, strict)))
        elif _named(low, names, text) == _named(high, names, text):
            raise UsageError(f"the constraint {text!r} compares a column with itself.")
        else:
            found.append(Order(low, high, strict))
    return found


def check_order(order: Order, low: Array, high: Array, index: pd.Index[Any]) -> None:
    """Raise `DataError` where rows break an order; NaN is a missing cell, ``index`` names the rows."""
    with np.errstate(invalid="ignore"):
        bad = (low >= high) if order.strict else (low > high)
    _refuse(bad, f"{order.low} {'<' if order.strict else '<='} {order.high}", index)


def check_limit(limit: Limit, cells: Array, index: pd.Index[Any]) -> None:
    """Raise `DataError` where cells are outside of a range; NaN is a missing cell, ``index`` names the rows."""
    with np.errstate(invalid="ignore"):
        bad = (cells <= limit.low) if limit.strict[0] else (cells < limit.low)
        bad |= (cells >= limit.high) if limit.strict[1] else (cells > limit.high)
    told = f"{limit.column} from {limit.low:g} to {limit.high:g}"
    _refuse(bad, told, index)


def _refuse(bad: Array, told: str, index: pd.Index[Any]) -> None:
    if bad.any():
        raise DataError(
            f"the constraint {told} does not hold in {int(bad.sum())} of the {len(bad)} rows to learn from, such as "
            f"{named_row(index, int(bad.argmax()))}. Correct or leave out these rows, or leave the constraint out."
        )


def closure(orders: Sequence[Order], steps: dict[str, float]) -> dict[tuple[str, str], float]:
    """Return for each pair (low, high) that orders put in line, also over others between, by how much high is above low at least.

    A strict order keeps the finer step of the two columns between them. Raises `UsageError` where orders go in a circle.
    """
    gaps: dict[tuple[str, str], float] = {}
    for order in orders:
        least = min(steps[order.low], steps[order.high]) if order.strict else 0.0
        gaps[order.low, order.high] = max(gaps.get((order.low, order.high), 0.0), least)
    names = sorted({name for pair in gaps for name in pair})
    for between in names:
        for low in names:
            for high in names:
                if (low, between) in gaps and (between, high) in gaps:
                    gaps[low, high] = max(gaps.get((low, high), 0.0), gaps[low, between] + gaps[between, high])
    circle = [low for low, high in gaps if low == high]
    if circle:
        raise UsageError(f"the constraints put {circle[0]!r} above itself. Leave one of them out.")
    return gaps


def describe(constraints: Constraints) -> list[str]:
    """Return each rule as people write it."""
    signs = [f"{o.low} {'<' if o.strict else '<='} {o.high}" for o in constraints.orders]
    limits = [_limit_text(c) for c in constraints.limits]
    return [*signs, *limits, *(" & ".join(c.columns) for c in constraints.combinations)]


def _limit_text(limit: Limit) -> str:
    before = "" if limit.low == -math.inf else f"{limit.low:g} {'<' if limit.strict[0] else '<='} "
    after = "" if limit.high == math.inf else f" {'<' if limit.strict[1] else '<='} {limit.high:g}"
    return f"{before}{limit.column}{after}"
