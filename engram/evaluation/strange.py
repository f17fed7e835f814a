"""The strangest rows of a report on anomalies, and which of their cells are to blame."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from engram.data.stream import some
from engram.evaluation import examples

SHOWN, CELLS = 10, 3  # rows, and cells of each


def strangest(detector: Any, X: Any, called: dict[str, Any]) -> dict[str, Any]:
    """Return the rows with the smallest p-values, and how many rows alert: plain JSON values; see `examples.numbered`."""
    kind = detector.kind_
    rows = some(kind.conform(kind.opened(X)))
    said = detector.scored(rows)
    order, p = np.argsort(said["score"], kind="stable")[:SHOWN], said["pvalue"]
    told = detector.explain(rows.iloc[order] if hasattr(rows, "iloc") else rows[order], top=CELLS)
    found = [
        {"row": called["numbers"][order[i]], "pvalue": float(p[order[i]]), "cells": _cells(told[told["row"] == i])}
        for i in range(len(order))
    ]
    alerts = int(said["anomaly"].sum())
    rate, held = detector.alert_rate, detector.n_held_
    return {"rows": found, "by": called["by"], "alerts": alerts, "of": len(p), "alert_rate": rate, "held": held}


def _cells(told: Any) -> list[dict[str, Any]]:
    return [
        {
            "column": str(cell.column),
            "share": float(cell.share),
            "value": text(cell.value),
            "expected": text(cell.expected),
        }
        for cell in told.itertuples()
        if cell.share > 0
    ]


def text(value: Any) -> str:
    """Return a cell as other tables of a report have it, but for a missing one."""
    return "missing" if value is None or pd.isna(value) else examples.text(value)


def section(told: dict[str, Any]) -> str:
    """The strangest rows, each with its cells to blame."""
    say = (
        f"{told['alerts']} of the {told['of']} rows of this report are anomalies at an alert rate of {told['alert_rate']:g}; p-values are "
        f"measured by {told['held']} rows that were held out. The strangest, and the cells that make them so: the value, and the one "
        f"that the row's other cells lead one to expect. {examples.BY[told['by']]}"
    )
    lines = []
    for row in told["rows"]:
        cells = "<br>".join(
            f"<b>{escape(c['column'])}</b> = {escape(c['value'])} "
            f'<span class="soft">expected {escape(c["expected"])}, {100 * c["share"]:.0f} %</span>'
            for c in row["cells"]
        )
        lines.append(
            f'<tr><td>{escape(str(row["row"]))}</td><td>{row["pvalue"]:.2g}</td><td class="left">{cells or "–"}</td></tr>'
        )
    head = '<thead><tr><th>row</th><th>p-value</th><th class="words">cells to blame</th></tr></thead>'
    return f'<p class="say">{say}</p><div class="scroll"><table>{head}<tbody>{"".join(lines)}</tbody></table></div>'
