"""The sections of a report's page. Every text that a user may have written is escaped where it is put in."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

from engram.evaluation import charts
from engram.evaluation.examples import BY
from engram.evaluation.headline import NO_METRIC

if TYPE_CHECKING:
    from engram.evaluation.report import Report

ENDED = {
    "epochs": "it ran to the last epoch",
    "early": "it ended early: nothing improved on held-out rows any more",
    "time": "it ended when its time was up",
}
MOST_WIDTH, GAP = 100, 1.7  # letters of a table that stand beside each other on a page, and between two columns
AT_FIT = ", at the fit"
LETTERS = "abcdef"  # of rows that stand in no table
WORDS = {
    "features": "Computed on",
    "rows": "Rows",
    "split": "Seen before",
    "baseline_rows": "Baselines are",
    "generated": "Generated rows",
    "seed": "Seed",
    "errors": "± is the standard error",
}


def findings(report: Report) -> str:
    """Findings with their advice."""
    if not report.findings:
        return '<p class="say">Nothing unusual was noticed.</p>'
    told = [
        f'<div class="finding"><small>{escape(f.kind)}{AT_FIT * (i < report.of_fit)}</small>'
        f"<b>{escape(sentence(f.message))}</b> {escape(f.advice)}</div>"
        for i, f in enumerate(report.findings)
    ]
    if report.of_fit:
        say = "At the fit: of the rows that it learned from, or of some that it held out itself, not of the rows of the results below."
        told.append(f'<p class="say">{say}</p>')
    return "\n".join(told)


def sentence(text: str) -> str:
    """Return a text with a capital first letter and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def results(report: Report) -> str:
    """The model and the baselines by metric, and the protocol."""
    if not report.metrics:
        return f'<p class="say">{NO_METRIC}; the notes below say why.</p>' + protocol(report)
    table = _beside(report) if _width(report) <= MOST_WIDTH else _below(report)
    return f'<div class="scroll">{table}</div>' + protocol(report)


def _width(report: Report) -> float:
    """Return how wide a table with a column per metric is at least, in letters: the units in its heads go over several lines."""
    columns = [max(len(r.name), *(len(told) for told, _ in report.cells(r.name).values())) for r in report.metrics]
    return max(map(len, report.subjects())) + sum(columns) + GAP * len(columns)


def _beside(report: Report) -> str:
    """One line per subject."""
    columns = [report.cells(name) for name in report.names()]
    heads = (
        f"<th>{escape(r.name)}<small>{escape(r.unit)},<br>{escape(r.better)} is better</small></th>"
        for r in report.metrics
    )
    body = []
    for subject in report.subjects():
        kind = ' class="model"' if subject == report.model else ""
        values = "".join(_cell(*column.get(subject, ("–", False))) for column in columns)
        body.append(f"<tr{kind}><td>{escape(subject)}</td>{values}</tr>")
    return f"<table><thead><tr><th></th>{''.join(heads)}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _below(report: Report) -> str:
    """One line per metric."""
    heads = "".join(f"<th>{escape(subject)}</th>" for subject in report.subjects())
    body = []
    for r in report.metrics:
        cells = report.cells(r.name)
        values = "".join(_cell(*cells.get(subject, ("–", False))) for subject in report.subjects())
        unit = f'<small class="soft">{escape(r.unit)}, {escape(r.better)} is better</small>'
        body.append(f'<tr><td class="name unit"><b>{escape(r.name)}</b><br>{unit}</td>{values}</tr>')
    return f'<table class="dense"><thead><tr><th></th>{heads}</tr></thead><tbody>{"".join(body)}</tbody></table>'


def _cell(told: str, best: bool) -> str:
    return f'<td class="best"><span>{escape(told)}</span></td>' if best else f"<td>{escape(told)}</td>"


def protocol(report: Report) -> str:
    """How the numbers came about; a note that a metric's quantity tells already is not told once more."""
    left_out = ("notes",) if report.has_errors else ("notes", "errors")
    pairs = [(WORDS.get(key, key), value) for key, value in report.protocol.items() if key not in left_out]
    quantities = {r.name: r.protocol["quantity"] for r in report.metrics if "quantity" in r.protocol}
    notes = [(note, *note.split(": ", 1)) for note in report.protocol.get("notes", [])]
    pairs += quantities.items()
    pairs += [("Note", note) for note, name, *rest in notes if not quantities.get(name, "").endswith((*rest, "\n"))]
    return f"<dl>{''.join(f'<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>' for key, value in pairs)}</dl>"


def data(told: dict[str, Any]) -> str:
    """What the data are."""
    held = (
        f", {told['held_out']:,} held out to {told.get('held_out_for', 'choose the weights by')}"
        if told["held_out"]
        else ""
    )
    facts = f"{told['fitted_rows']:,} {told.get('rows_are', 'rows')} were given to the fit: {told['trained_on']:,} learned from{held}."
    if "pictures" in told:
        p = told["pictures"]
        channels = "1 channel" if p["channels"] == 1 else f"{p['channels']} channels"
        size = (
            f"Pictures of {p['height']} x {p['width']} pixels, {channels}, values from {p['low']:g} to {p['high']:g}."
        )
        return f"<p>{size} {facts}</p>"
    if told["kind"] in ("counts", "interactions"):  # they have no columns to speak of
        return f"<p>{facts}</p>{_columns(told['columns'])}"
    gaps = told.get("missing_cells", 0)
    of = " in the columns that are learned from" if told.get("columns_learned") != told.get("columns_in_all") else ""
    missing = f" {gaps:,} cell{'s are' if gaps > 1 else ' is'} missing{of}." if gaps else f" No cell is missing{of}."
    count = told.get("columns_in_all", len(told["columns"]))
    intro = (
        f"<p>A {escape(told['kind'])} of {count:,} columns. {facts}{missing if 'columns_in_all' in told else ''}</p>"
    )
    more = count - len(told["columns"])
    rest = f'<p class="say">and {more:,} more columns</p>' if more > 0 else ""
    return intro + _columns(told["columns"]) + rest


def _columns(columns: list[dict[str, Any]]) -> str:
    if not columns or "missing" not in columns[0]:
        pairs = ((c["name"], c["type"]) for c in columns)
        return f"<dl>{''.join(f'<dt>{escape(n)}</dt><dd>{escape(t)}</dd>' for n, t in pairs)}</dl>"
    gaps, back = any(c["missing"] for c in columns), any(c["r2"] is not None for c in columns)
    head = '<th>column</th><th class="words">type</th><th class="words">values</th>'
    head += "<th>missing</th>" * gaps + "<th>comes back, R2</th>" * back
    body = []
    for c in columns:
        missing = f"{c['missing']:,} ({c['missing_share']:.0%})" if c["missing"] else ""
        r2 = "" if c["r2"] is None else f"{c['r2']:.2f}"
        cells = f'<td class="name">{escape(c["name"])}</td><td class="left">{escape(c["type"])}</td>'
        cells += f'<td class="words">{escape(c["told"])}</td>{f"<td>{missing}</td>" * gaps}{f"<td>{r2}</td>" * back}'
        body.append(f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def chosen(told: list[dict[str, Any]]) -> str:
    """What the fit was made with."""
    rows = (
        f'<tr><td>{escape(c["name"])}</td><td class="words">{escape(c["value"])}</td>'
        f'<td class="words soft">{"as given" if c["given"] else escape(c["why"])}</td></tr>'
        for c in told
    )
    head = '<th>parameter</th><th class="words">value</th><th class="words">why</th>'
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def learning(told: dict[str, Any]) -> str:
    """Loss curves."""
    if not told["epochs"]:
        return '<p class="say">No report was written while learning.</p>'
    ended = ENDED.get(told["stopped"], told["stopped"])
    kept = ""
    if told["kept_step"] == 0:
        kept = " The weights kept are those of the start, at principal components."
    elif told["kept_epoch"] is not None:
        kept = f" The weights kept are those of epoch {told['kept_epoch']:.0f}, the best on held-out rows."
    epochs = f"{told['epochs'][-1]:.0f} of at most {told['most_epochs']} epochs"
    course = charts.player_chart(told) if "turns" in told else charts.loss_chart(told)
    say = f"{told['steps']:,} steps, {epochs}, {told['seconds']:.1f} s; {ended}.{kept}"
    return f'<p class="say">{escape(say)}</p><figure>{course}</figure>{charts.term_charts(told)}'


def table_rows(told: dict[str, Any]) -> str:
    """A few rows of a table side by side, one line per column, and distributions."""
    real, back, drawn = (told["rows"].get(what, []) for what in ("real", "reconstructed", "generated"))
    heads, under, columns = [], [], []
    called = [f"row {number}" for number in told.get("numbers", [])] or list(LETTERS)
    for i, row in enumerate(real if back else []):
        pair = [row, *back[i : i + 1]]
        heads.append(f'<th colspan="{len(pair)}" class="pair">{escape(called[i])}</th>')
        under += ['<th class="pair">real</th>', "<th>back</th>"][: len(pair)]
        columns += [("pair", row), *(("back", other) for other in pair[1:])]
    for what, rows, names in (("real", [] if back else real, called), ("generated", drawn, list(LETTERS))):
        if rows:
            heads.append(f'<th colspan="{len(rows)}" class="pair">{what}</th>')
        under += [f'<th class="{"" if i else "pair"}">{escape(names[i])}</th>' for i in range(len(rows))]
        columns += [("" if i else "pair", row) for i, row in enumerate(rows)]
    body = []
    for i, name in enumerate(told["columns"]):
        cells = "".join(f'<td class="cell {kind}">{escape(row[i])}</td>' for kind, row in columns)
        body.append(f'<tr><td class="name">{escape(name)}</td>{cells}</tr>')
    more = told["columns_in_all"] - len(told["columns"])
    rest = (
        f'<p class="say">The first {len(told["columns"])} columns; {more:,} more are not shown.</p>' if more > 0 else ""
    )
    above = f"<tr><th></th>{''.join(heads)}</tr>" if back or drawn else ""  # one group alone needs no name
    head = f"<thead>{above}<tr><th></th>{''.join(under)}</tr></thead>"
    table = f'<div class="scroll"><table class="dense">{head}<tbody>{"".join(body)}</tbody></table></div>'
    shown = f"<h3>Distributions</h3>{charts.distribution_charts(told)}" if told["distributions"] else ""
    by = f'<p class="say">{BY[told["by"]]}</p>' if "by" in told else ""
    return by + table + rest + shown


def picture_rows(images: dict[str, bytes]) -> str:
    """Pictures, what comes back, and generated ones."""
    lines = (
        f"<span>{name}</span>{image(images[name], f'Pictures: {name}')}"
        for name in ("real", "reconstructed", "generated")
        if name in images
    )
    return f'<div class="lines">{"".join(lines)}</div>'


def traversals(told: dict[str, Any], images: dict[str, bytes]) -> str:
    """Code units one at a time."""
    low, high = (f"{told['steps'][i]:+.0f}".replace("-", "\u2212") for i in (0, -1))
    ends = f"from {low} to {high} standard deviations"
    if told["units"] and isinstance(told["units"][0], int):
        say = f"One code unit at a time goes {ends}, all others stay at their mean; the most active units first."
        names = ((f"unit {unit}", images.get(f"unit {unit}")) for unit in told["units"])
        lines = (
            f"<span>{name}</span>{image(png, f'Pictures as code {name} goes {ends}')}"
            for name, png in names
            if png is not None
        )
        return f'<p class="say">{say}</p><div class="lines">{"".join(lines)}</div>'
    say = f"What changes when one code unit goes {ends} and all others stay at their mean: the columns that move the most."
    body = (
        f'<tr><td>unit {entry["unit"]}</td><td class="left">{_moves(entry["columns"])}</td></tr>'
        for entry in told["units"]
    )
    return f'<p class="say">{say}</p><div class="scroll"><table><tbody>{"".join(body)}</tbody></table></div>'


def _moves(columns: list[dict[str, Any]]) -> str:
    if not columns:
        return '<span class="soft">hardly anything</span>'
    return "<br>".join(_move(c) for c in columns)


def _move(c: dict[str, Any]) -> str:
    arrow = '<span class="up">▲</span>' if c["up"] else '<span class="down">▼</span>'
    value = f" = {escape(c['value'])}" if "value" in c else ""
    return (
        f'{arrow} <b>{escape(c["column"])}</b>{value} <span class="soft">{escape(c["from"])} → {escape(c["to"])}</span>'
    )


def picture_ways(images: dict[str, bytes]) -> str:
    """Ways between pictures."""
    say = "The first and the last picture of a line are real; those between are decoded on the straight way between their codes."
    return f'<p class="say">{say}</p>{_lines(images, "way")}'


def picture_neighbours(images: dict[str, bytes]) -> str:
    """Pictures and those nearest to them."""
    say = "Behind the first picture of a line stand those of the other rows with the nearest codes, the nearest first."
    return f'<p class="say">{say}</p>{_lines(images, "picture")}'


def _lines(images: dict[str, bytes], what: str) -> str:
    chosen = [(name, png) for name, png in images.items() if name.startswith(f"{what} ")]
    lines = (f"<span>{name}</span>{image(png, f'Pictures: {name}')}" for name, png in chosen)
    return f'<div class="lines">{"".join(lines)}</div>'


def table_neighbours(told: dict[str, Any]) -> str:
    """Rows of a table and those nearest to them, one line per column."""
    heads, under, columns = [], [], []
    for found in told["rows"]:
        heads.append(f'<th colspan="{1 + len(found["nearest"])}" class="pair">row {escape(str(found["number"]))}</th>')
        under += ['<th class="pair">itself</th>', *(f"<th>{d:.2g}</th>" for d in found["distances"])]
        columns += [("pair", found["row"]), *(("back", other) for other in found["nearest"])]
    body = []
    for i, name in enumerate(told["columns"]):
        cells = "".join(f'<td class="cell {kind}">{escape(row[i])}</td>' for kind, row in columns)
        body.append(f'<tr><td class="name">{escape(name)}</td>{cells}</tr>')
    say = f"Rows, each beside those of the other rows whose codes are nearest; above them the distance between the codes. {BY[told['by']]}"
    head = f"<thead><tr><th></th>{''.join(heads)}</tr><tr><th></th>{''.join(under)}</tr></thead>"
    table = f'<div class="scroll"><table class="dense">{head}<tbody>{"".join(body)}</tbody></table></div>'
    return f'<p class="say">{say}</p>{table}'


def codes(told: dict[str, Any]) -> str:
    """The map."""
    say = "Each point is a row; rows with similar codes lie close together."
    if told["labels"] is not None:
        say += " Colours are the labels y, which the model has not seen."
    return f'<p class="say">{say}</p><figure>{charts.map_chart(told)}</figure>'


def units(told: list[dict[str, Any]]) -> str:
    """Bars of activity."""
    active = sum(u["active"] for u in told)
    total = sum(u.get("kl", 0.0) for u in told)
    say = f"{active} of {len(told)} code units are active."
    if told and "kl" in told[0]:
        say += f" Together they carry {total:.1f} nats a row: the KL divergence from the prior, on held-out rows."
    more = f" The first {charts.MOST_UNITS} are shown." if len(told) > charts.MOST_UNITS else ""
    return f'<p class="say">{say}{more}</p><figure>{charts.unit_chart(told)}</figure>'


def scores(told: dict[str, Any]) -> str:
    """Histogram of scores."""
    if not told["edges"]:
        return '<p class="say">No score is finite.</p>'
    below = told["below"]
    rows = f" {below} row{'s' * (below > 1)} further left: drawn at the left edge." if below else ""
    what = "The score is the log of the p-value: the more usual a row, the higher it is."
    if told["score"] == "nats":
        what = "A row that the model finds likely has a high score."
    say = f"{what}{rows}"
    return f'<p class="say">{say}</p><figure>{charts.score_chart(told)}</figure>'


def image(content: bytes, alt: str) -> str:
    """Return a picture that is part of the page."""
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'
