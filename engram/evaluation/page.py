"""A report as one page: no script, nothing loaded, every text that a user may have written escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from engram.version import VERSION

if TYPE_CHECKING:
    from engram.evaluation.report import Report

MOST_COLUMNS = 200
CAPTIONS = {
    "loss_curve": "The loss while learning",
    "reconstructions": "Rows and what comes back from their codes",
    "samples": "Generated rows",
    "code_map": "The codes, seen along their two principal components",
}
WORDS = {
    "features": "Computed on",
    "rows": "Rows",
    "split": "Seen before",
    "baseline_rows": "Baselines are",
    "seed": "Seed",
    "errors": "± is the standard error by",
}
STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #647084; --line: #dfe3ea; --paper: #fff; --best: #e8f4ec; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ef; --soft: #9aa5b8; --line: #333b49; --paper: #161a21; --best: #1d3527; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2.5rem auto;
       max-width: 60rem; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.soft, caption, figcaption, dt { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .9rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: .2rem; }
th small { display: block; font-weight: normal; color: var(--soft); }
tr.model td:first-child { font-weight: 600; }
td.best { background: var(--best); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content auto; gap: .2rem 1rem; margin: 0; }
dd { margin: 0; }
.finding { border-left: 4px solid #d9953b; padding: .3rem .9rem; margin: .6rem 0; }
.finding b { display: block; }
figure { margin: 1.2rem 0; }
img { max-width: 100%; background: #fff; border: 1px solid var(--line); border-radius: 6px; }
td.words { white-space: normal; text-align: left; }
"""
# the browser is told to run nothing and load nothing, whatever a text in the page may be
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

BEST = ' class="best"'


def page(report: Report) -> str:
    """Return the page."""
    title = f"{escape(report.model)} beside simple methods"
    pictures = _pictures(report)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p class="soft">A report by Engram {escape(VERSION)}</p>
<div class="scroll">{_table(report)}</div>
<h2>Findings</h2>
{_findings(report)}
<h2>Protocol</h2>
{_protocol(report)}
{pictures}
{_columns(report)}
</body>
</html>
"""


def _table(report: Report) -> str:
    columns = [report.cells(name) for name in report.names()]
    units = (
        f"<th>{escape(r.name)}<small>{escape(r.unit)}, {escape(r.better)} is better</small></th>"
        for r in report.metrics
    )
    body = []
    for subject in report.subjects():
        cells = (column.get(subject, ("–", False)) for column in columns)
        values = "".join(f"<td{BEST if best else ''}>{escape(text)}</td>" for text, best in cells)
        kind = ' class="model"' if subject == report.model else ""
        body.append(f"<tr{kind}><td>{escape(subject)}</td>{values}</tr>")
    return f"<table><thead><tr><th></th>{''.join(units)}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _findings(report: Report) -> str:
    if not report.findings:
        return "<p>None.</p>"
    return "\n".join(f'<div class="finding"><b>{escape(f.kind)}</b>{escape(str(f))}</div>' for f in report.findings)


def _protocol(report: Report) -> str:
    pairs = [(WORDS.get(key, key), value) for key, value in report.protocol.items() if key != "notes"]
    pairs += [(r.name, r.protocol["quantity"]) for r in report.metrics if "quantity" in r.protocol]
    pairs += [("Note", note) for note in report.protocol.get("notes", [])]
    return f"<dl>{''.join(f'<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>' for key, value in pairs)}</dl>"


def _pictures(report: Report) -> str:
    return "\n".join(_figures(report.pictures.items()))


def _figures(pictures: Iterable[tuple[str, bytes]]) -> Iterable[str]:
    for name, content in pictures:
        told = escape(CAPTIONS.get(name, name))
        data = base64.b64encode(content).decode()
        yield f'<h2>{told}</h2>\n<figure><img alt="{told}" src="data:image/png;base64,{data}"></figure>'


def _columns(report: Report) -> str:
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="words">{escape(what)}</td></tr>'
        for name, what in report.columns[:MOST_COLUMNS]
    )
    more = len(report.columns) - MOST_COLUMNS
    rest = f'<p class="soft">and {more} more</p>' if more > 0 else ""
    summary = f"<summary>{len(report.columns)} in all</summary>"
    return f"<h2>Columns</h2>\n<details>{summary}<table>{rows}</table>{rest}</details>"
