"""The distributions of a table's number columns: asked for or found out, how each wants its cells encoded, and their blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np
import torch

from engram.data.cells import Array
from engram.data.columns import Column, Notes, count
from engram.data.marginals import WHOLE, by_chance, marginals, ties
from engram.errors import DataError, UsageError, nearest
from engram.likelihoods import LIKELIHOODS, Binomial, CountEncoded, Likelihood, LogEncoded, Multinomial, Normal

STANDARDISED = ("", "normal", "laplace")  # of the number itself; "" is the table's own
COUNTED = ("binomial", "geometric", "multinomial", "negative-binomial", "poisson")  # log(1 + count), standardised
OF_COLUMNS = tuple(name for name in LIKELIHOODS if name != "categorical")  # that a number column can have
# those that have a spread beside their mean, so that they can get sharper
SHAPED = ("normal", "laplace", "lognormal", "beta", "negative-binomial")
# those that have none, and where other columns say much of a cell lose more than they gained alone
RIGID = ("exponential", "geometric")
TIED = 0.3  # rank correlation with another column of numbers, beyond chance, from which on these are not taken
LAST = 2.5e11  # seconds from 1970 to about the year 9900, beyond which no calendar goes
NEAR = 1e-5  # relative distance from a whole number, within which a count that went through float32 is that one


def choose(columns: list[Column], values: Array) -> None:
    """Compare the distributions that columns can have on their cells (rows, columns), and keep what was found."""
    for column, found in zip(columns, marginals(values), strict=True):
        column.marginal = found
    rigid = [j for j, column in enumerate(columns) if column.marginal.get("best") in RIGID]
    for j, tie in zip(rigid, ties(values, rigid), strict=True):
        columns[j].marginal["tie"] = max(0.0, float(tie) - by_chance(*values.shape))


def checked(column: Column) -> Column:
    """Return a column that was read from a file; raise `ValueError` where what it says of distributions cannot be."""
    if column.date is not None and not all(abs(end) <= LAST for end in (column.low, column.high)):
        raise ValueError(f"the dates of column {str(column.name)[:40]!r} cannot be")
    found = column.marginal
    nats = dict(found["nats"]) if found else {}
    named = {column.likelihood or "normal", *nats}
    told = [found["gain"], found["error"], found.get("tie", 0.0), *nats.values()] if found else []
    known = not found or {"normal", found["best"]} <= set(nats)
    if not (known and named <= set(OF_COLUMNS) and all(isinstance(value, float | int) for value in told)):
        raise ValueError(f"the distributions of column {str(column.name)[:40]!r} cannot be")
    return column


def default(likelihood: str) -> str:
    """Return the distribution of number columns that have none of their own, of a table asked for ``likelihood``."""
    name = "normal" if likelihood in ("auto", "best") else likelihood
    if name not in OF_COLUMNS:
        raise UsageError(f"unknown likelihood {name!r} for a table. {nearest(name, OF_COLUMNS)}")
    return name


def wished(column: Column, wish: str | None, likelihood: str, *, shared: bool) -> str:
    """Return the distribution that a number column has for itself, "" where it has the table's: ``shared`` says that all share a unit."""
    if wish in OF_COLUMNS:
        return str(wish)
    if likelihood == "best":
        return "" if shared else best(column)
    return "" if default(likelihood) in STANDARDISED else likelihood


def best(column: Column) -> str:
    """Return the winner of the comparison, "" for the normal one; of `RIGID` ones only where no other column says much of the cells.

    A VAE of two exponential columns, one 1.2 times the other with 5% of noise, gives a row -2.8 nats with lognormal and -5.7 with
    exponential: given the code, the spread of an exponential is still its mean.
    """
    found = column.marginal
    if not found or found["best"] == "normal":
        return ""
    if found["best"] not in RIGID or found.get("tie", 1.0) < TIED:
        return str(found["best"])
    nats = {name: found["nats"][name] for name in SHAPED if name in found["nats"]}
    name = max(nats, key=lambda each: nats[each])
    return "" if name == "normal" or nats[name] - nats["normal"] <= 2 * found["error"] else name


def told(column: Column, likelihood: str) -> dict[str, Any]:
    """Return what was found in a column, plain values; "tied" where `RIGID` ones won and were not taken by "best"."""
    found = column.marginal
    used = column.likelihood or default(likelihood)
    tied = likelihood == "best" and found["best"] in RIGID and used != found["best"]
    return {"name": str(column.name), "used": used, **found, **({"tied": True} if tied else {})}


def can_be(name: str, values: Array) -> bool:
    """Whether cells, NaN where missing, can come from a distribution; a probability is no yes or no."""
    present = values[~np.isnan(values)]
    whole = name not in WHOLE or np.array_equal(present, np.round(present))
    return bool(whole and LIKELIHOODS[name].support.holds(present).all())


def fit(columns: list[Column], wishes: list[str], values: Array, *, asked: bool) -> None:
    """Give columns their distributions and encodings; where these were not asked for, only if all cells (rows, columns) allow it."""
    for column, wish, cells in zip(columns, wishes, values.T, strict=True):
        if asked or can_be(wish, cells):
            column.likelihood = wish
            _fit(column, cells)
    composed = [j for j, column in enumerate(columns) if column.likelihood == "multinomial"]
    if composed:
        total = float(np.nansum(values[:, composed], axis=1).mean())
        for j in composed:
            columns[j].trials = total


def _fit(column: Column, values: Array) -> None:
    """Check that the cells of a column, NaN where missing, can come from its distribution, and set how they are encoded."""
    present = values[~np.isnan(values)]
    support = LIKELIHOODS[column.likelihood].support
    wrong = present[~support.holds(present)]
    if len(wrong):
        raise DataError(
            f"likelihood={column.likelihood!r} needs {support}, but column {column.name!r} has other values, such as {wrong[0]:g} "
            f"(it goes from {column.low:g} to {column.high:g})."
        )
    if column.likelihood in STANDARDISED:
        return
    column.mean, column.scale = 0.0, 1.0
    if column.likelihood in (*COUNTED, "lognormal"):
        logs = np.log(present) if column.likelihood == "lognormal" else np.log1p(present)
        column.mean, column.scale = float(logs.mean()), float(logs.std()) or 1.0
        column.trials = column.high
    elif column.likelihood == "exponential":
        column.scale = float(present.mean()) or 1.0


def volume(column: Column) -> float:
    """Return the log of what one encoded unit is in the user's units; probabilities of counts have none."""
    if column.likelihood in COUNTED:
        return 0.0
    return float(np.log(column.scale)) + (column.mean if column.likelihood == "lognormal" else 0.0)


def natural(values: Array, columns: list[Column], notes: Notes) -> Array:
    """Return cells (rows, columns) as what is standardised: logarithms where the distribution wants them, NaN where it cannot have them."""
    values = values.copy()
    for j, column in enumerate(columns):
        if column.likelihood in STANDARDISED:
            continue
        cells, support = values[:, j], LIKELIHOODS[column.likelihood].support
        high = column.trials if column.likelihood == "binomial" else np.inf
        left = np.isfinite(cells) & ~(support.holds(cells) & (cells <= high))
        most = f" up to {high:g}" if high < np.inf else ""
        count(
            notes,
            f"column {column.name!r}: cells that are not {support}{most} were treated as missing",
            int(left.sum()),
        )
        cells[left] = np.nan
        if column.likelihood == "lognormal":
            values[:, j] = np.log(cells)
        elif column.likelihood in COUNTED:
            values[:, j] = np.log1p(cells)
    return values


def numbers(values: Array, columns: list[Column]) -> Array:
    """Return what `natural` was made from."""
    for j, column in enumerate(columns):
        if column.likelihood == "lognormal":
            values[:, j] = np.exp(np.minimum(values[:, j], 700.0))
        elif column.likelihood in COUNTED:
            counts = np.expm1(np.minimum(values[:, j], 700.0)).clip(min=0)
            whole = np.round(counts)
            values[:, j] = np.where(np.abs(counts - whole) <= NEAR * (1 + whole), whole, counts)
    return values


def blocks(columns: Iterable[Column], default: type[Likelihood]) -> Iterator[Likelihood]:
    """Yield one block for each distribution; columns of one stand side by side."""
    for name, group in groupby(columns, lambda column: column.likelihood):
        yield _block(name, list(group), default)


def _block(name: str, columns: list[Column], default: type[Likelihood]) -> Likelihood:
    def each(attribute: str) -> Any:
        return torch.tensor([getattr(column, attribute) for column in columns], dtype=torch.float64)

    shape = (len(columns),)
    cls = LIKELIHOODS[name] if name else default
    if name == "lognormal":
        return LogEncoded(Normal(shape), each("scale"))
    if name in COUNTED:
        if issubclass(cls, Multinomial):
            part: Likelihood = cls(shape, columns[0].trials)
        else:
            part = cls(shape, each("trials")) if issubclass(cls, Binomial) else cls(shape)
        return CountEncoded(part, each("mean"), each("scale"))
    return cls(shape)
