"""Explanations and drift of an `AnomalyDetector` in the user's words: tables of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from engram.apps.drift import against_held, of_numbers, of_shares
from engram.apps.ensemble import seen_values
from engram.apps.explanation import expected_cells, shares_of
from engram.data.table import Table
from engram.maths.conformal import discoveries
from engram.training import Batch
from engram.training.nets import Nets

if TYPE_CHECKING:
    from engram.apps.anomaly import AnomalyDetector

VALUES = 1 << 21  # in a block of rows with a cell replaced
MOST = 400  # prototypes that a row's distances are computed to
RATE = 0.05  # of false discoveries among the columns that drifted


def explained(detector: AnomalyDetector, X: Any, top: int | None) -> pd.DataFrame:
    """Return the columns' shares, values and expected values, a line for each row and column."""
    kind = detector.kind_
    assert isinstance(kind, Table)
    with detector.fitted() as nets:
        conformed = kind.conform(kind.opened(X), reader=type(detector).__name__)
        columns = len(kind.columns)
        widest = max(int(kind.shape[0]) * detector.n_models, MOST)
        size = max(1, VALUES // max(1, widest * columns))
        found = [
            _of_rows(detector, nets, conformed[at : at + size], at, top or columns)
            for at in range(0, len(conformed), size)
        ]
    return pd.concat(found, ignore_index=True)


def _of_rows(detector: AnomalyDetector, nets: Nets, part: Any, first: int, top: int) -> pd.DataFrame:
    kind = detector.kind_
    assert isinstance(kind, Table)
    rows = kind.encode(part)
    n = len(rows)
    x = detector.standardised(nets, Batch(rows.x, rows.mask))
    seen = seen_values(rows.mask, kind.groups)

    def departure(changed: Tensor) -> Tensor:
        times = len(changed) // n
        mask = None if rows.mask is None else rows.mask.repeat(times, 1)
        return detector.departures(nets, changed, mask)

    expected = expected_cells(x, kind.groups, lambda changed: detector.settled(nets, changed), seen)
    expected, shown = _whole(detector, nets, expected)
    shares = shares_of(x, expected, departure, kind.groups, detector.score_parts.holes(rows.mask))
    own, means = _frame(kind, part), _frame(kind, shown)
    order = shares.argsort(dim=1, descending=True, stable=True)[:, :top]
    numbers, which = torch.arange(n).repeat_interleave(order.shape[1]), order.flatten()
    return pd.DataFrame(
        {
            "row": numbers.numpy() + first,
            "column": [kind.columns[i] for i in which],
            "share": shares[numbers, which].double().numpy(),
            "value": _cells(own, kind.columns, numbers, which),
            "expected": _cells(means, kind.columns, numbers, which),
        }
    )


def _whole(detector: AnomalyDetector, nets: Nets, expected: Tensor) -> tuple[Tensor, Any]:
    """Return rows with an expected cell each, (columns, rows, values), as a table has such cells, and all these cells as decoded rows.

    A mixture of categories, or the mean of whole numbers, is no cell: no row has it, and it would be strange itself.
    """
    kind = detector.kind_
    assert isinstance(kind, Table)
    owner = torch.arange(expected.shape[2]) if kind.groups is None else kind.groups
    values = torch.arange(expected.shape[2])
    cells = expected[owner, :, values].T
    shown = kind.decode(nets.standard.back(cells))
    rows = kind.encode(kind.conform(shown))
    found, there = detector.standardised(nets, Batch(rows.x, rows.mask)), seen_values(rows.mask, kind.groups)
    whole = expected.clone()
    whole[owner, :, values] = (found if there is None else torch.where(there, found, cells)).T
    return whole, shown


def _frame(kind: Table, cells: Any) -> pd.DataFrame:
    """Return conformed or decoded rows as a DataFrame."""
    return cells if isinstance(cells, pd.DataFrame) else pd.DataFrame(cells, columns=[c.name for c in kind.fields])


def _cells(frame: pd.DataFrame, columns: list[str], rows: Tensor, which: Tensor) -> pd.Series[Any]:
    """Return the cells at these places, as Python has them."""
    by_name = {str(name): frame[name].tolist() for name in frame}
    cells = [by_name[columns[int(j)]][int(i)] for i, j in zip(rows, which, strict=True)]
    found: pd.Series[Any] = pd.Series(cells)
    if found.dtype.kind in "mM" and any(cell is not pd.NaT for cell in cells if pd.isna(cell)):
        return pd.Series(cells, dtype=object)  # beside dates a missing number would become a missing date
    return found


def drifted(detector: AnomalyDetector, X: Any) -> pd.DataFrame:
    """Return the statistic and p-value of each column and of the score."""
    kind = detector.kind_
    rows = detector.encoded(X)
    with detector.fitted() as nets:
        x = detector.standardised(nets, Batch(rows.x, rows.mask))
    owner = torch.arange(x.shape[1]) if kind.groups is None else kind.groups
    score = detector.score_parts
    numbers = torch.cumsum(score.measured.long(), 0) - 1
    flags = torch.cumsum((~score.measured).long(), 0) - 1
    known, found = round(1 / float(score.tensors["least"])) - 1, []  # the rows that the score was estimated from
    gone = score.tensors["missing"]
    for column in range(len(kind.columns)):
        own = (owner == column).nonzero()[:, 0]
        seen = torch.ones(len(x), dtype=torch.bool) if rows.mask is None else rows.mask[:, column]
        there = known - round(known * float(gone[column]))
        if bool(score.measured[own[0]]):
            grid = score.tensors["grid"][numbers[own[0]]].numpy()
            value = of_numbers(grid, there, x[seen, own[0]].numpy())
        else:
            value = of_shares(*_shares(score.tensors["rare"][flags[own]], there, x[seen][:, own]))
        found.append(_worse(value, _missing(float(gone[column]), known, seen)))
    names = [*kind.columns, "(score)"]
    held = [stick.scores.numpy() for stick in score.folds]
    found.append(against_held(held, detector.member_scores(X).T, detector.n_held_))
    table = pd.DataFrame({"column": names, "statistic": [f[0] for f in found], "pvalue": [f[1] for f in found]})
    table["drifted"] = discoveries(torch.tensor(table["pvalue"].tolist(), dtype=torch.float64), RATE).numpy()
    return table


def _shares(rare: Tensor, known: int, x: Tensor) -> tuple[Any, int, Any]:
    """Return known shares, known rows and new counts of a flag (false, true) or of the categories of a column."""
    shares, counts = rare.double().numpy(), x.double().sum(0).numpy()
    if len(shares) == 1:
        shares, counts = np.array([1 - shares[0], shares[0]]), np.array([len(x) - counts[0], counts[0]])
    return shares / shares.sum(), known, counts


def _missing(share: float, known: int, seen: Tensor) -> tuple[float, float]:
    gone = int((~seen).sum())
    return of_shares(np.array([1 - share, share]), known, np.array([len(seen) - gone, gone]))


def _worse(value: tuple[float, float], missing: tuple[float, float]) -> tuple[float, float]:
    """Return the larger statistic, and the p-value of the two together (Bonferroni)."""
    return max(value[0], missing[0]), min(1.0, 2 * min(value[1], missing[1]))
