"""The charts of a report, from its facts."""

from __future__ import annotations

import math
from html import escape
from typing import Any

import numpy as np

from engram.evaluation.svg import Frame, label, legend, number, span

WIDE = 820.0
COLOURS = {"real": "real", "reconstructed": "c0", "generated": "c1"}
GROUPS = {
    "training rows": "real",
    "rows not trained on": "c0",
    "these rows": "c0",
    "normal rows": "c0",
    "anomalies": "c3",
}
MOST_UNITS = 64  # bars
SCALE = 6  # colours for labels that are numbers


def loss_chart(learning: dict[str, Any]) -> str:
    """Training and held-out loss by epoch, with the weights kept."""
    epochs, training = learning["epochs"], learning["training"]
    held = [math.nan if v is None else v for v in learning["held_out"]]
    ends = _robust([*training, *held])
    frame = Frame(WIDE, 250, (0, max(epochs)), ends, left=62)
    parts = [frame.axes("epochs", "loss, nats a row"), frame.line(epochs, training, "c0")]
    entries = [("training rows", "c0")]
    if any(map(math.isfinite, held)):
        parts.append(frame.line(epochs, held, "c1"))
        entries.append(("held-out rows", "c1"))
    if learning["kept_epoch"] is not None:
        parts.append(frame.upright(learning["kept_epoch"], "real"))
        entries.append(("weights kept", "real"))
    return legend(entries) + _said(_beyond([*training, *held], ends)) + frame.svg("The loss while learning", *parts)


def term_charts(learning: dict[str, Any]) -> str:
    """One small chart per term, where there is more than one."""
    charts = []
    for name, values in learning["terms"].items():
        found = [math.nan if v is None else v for v in values]
        ends = _robust(found)
        frame = Frame(370, 160, (0, max(learning["epochs"])), ends, left=56)
        chart = frame.svg(f"The term {name}", frame.axes(), frame.line(learning["epochs"], found, "c0"))
        turn = learning.get("turns", {}).get(name, name)
        title = f"term: {name}{f', in the turn of the {turn}' if turn != name else ''}"
        edge = _beyond(found, ends)
        charts.append(_small(f"{title} ({edge})" if edge else title, chart))
    return f'<div class="two">{"".join(charts)}</div>' if len(charts) > 1 else ""


def player_chart(learning: dict[str, Any]) -> str:
    """The main term of each player of a game by epoch: there is no loss that falls."""
    names = [name for name in learning["terms"] if name in learning["turns"].values()] or list(learning["terms"])
    curves = {name: [math.nan if v is None else v for v in learning["terms"][name]] for name in names}
    points = [v for values in curves.values() for v in values]
    ends = _robust(points)
    frame = Frame(WIDE, 250, (0, max(learning["epochs"])), ends, left=62)
    colours = {name: f"c{i}" for i, name in enumerate(curves)}
    lines = (frame.line(learning["epochs"], values, colours[name]) for name, values in curves.items())
    chart = frame.svg("What the players minimise", frame.axes("epochs", "mean over rows"), *lines)
    return legend(list(colours.items())) + _said(_beyond(points, ends)) + chart


def _robust(values: list[float]) -> tuple[float, float]:
    """Range of a curve, without its highest fourteenth where that would make all else flat: see `_beyond`."""
    finite = [v for v in values if math.isfinite(v)]
    whole = span(finite)
    if len(finite) < 12:
        return whole
    inner = span([*(float(q) for q in np.quantile(finite, [0, 0.93])), finite[-1]], room=0.08)
    return inner if whole[1] - whole[0] > 1.5 * (inner[1] - inner[0]) else whole


def _beyond(values: list[float], ends: tuple[float, float]) -> str:
    """Say how many points of a curve are higher than its chart; nothing where all are in it."""
    count = sum(math.isfinite(v) and v > ends[1] for v in values)
    return f"{count} point{'s lie' if count > 1 else ' lies'} higher: drawn at the upper edge" if count else ""


def _said(told: str) -> str:
    return f'<p class="say">{told[:1].upper()}{told[1:]}.</p>' if told else ""


def _small(title: str, chart: str) -> str:
    return f'<div class="small"><h4>{escape(title)}</h4>{chart}</div>'


def map_chart(codes: dict[str, Any]) -> str:
    """Codes along their principal components, coloured by label."""
    places = codes["places"]
    flat = codes["size"] == 1
    up = np.random.default_rng(0).uniform(-1, 1, len(places)).tolist() if flat else [p[1] for p in places]
    across = [p[0] for p in places]
    frame = Frame(WIDE, 200 if flat else 440, most(across), most(up), left=20 if flat else 52)
    colours, entries = _label_colours(codes["labels"], len(places))
    share = codes["share"]
    names = ("the code", "") if flat else tuple(f"component {i + 1} ({share[i]:.0%} of the variance)" for i in (0, 1))
    size = 4.0 if len(places) < 100 else 3.2 if len(places) < 400 else 2.6
    points = (frame.point(x, y, c, size) for x, y, c in zip(across, up, colours, strict=True))
    chart = frame.svg("A map of the codes", frame.axes(*names, y_ticks=not flat), "<g>", *points, "</g>")
    return (legend(entries) if entries else "") + chart


def most(values: list[float]) -> tuple[float, float]:
    """Range of nearly all values: a few far ones are drawn at the edge, so that all others are not one blot."""
    whole = span(values)
    if len(values) < 50:
        return whole
    inner = span([float(q) for q in np.quantile(values, [0.005, 0.995])], room=0.25)
    return inner if whole[1] - whole[0] > 1.5 * (inner[1] - inner[0]) else whole


def _label_colours(labels: list[Any] | None, n: int) -> tuple[list[str], list[tuple[str, str]]]:
    if labels is None:
        return ["c0"] * n, []
    present = [v for v in labels if v is not None]
    if present and isinstance(present[0], float):
        edges = np.quantile(present, np.linspace(0, 1, SCALE + 1))
        place = [
            None if v is None else int(min(np.searchsorted(edges[1:-1], v, side="right"), SCALE - 1)) for v in labels
        ]
        entries = [(f"{number(edges[i])} to {number(edges[i + 1])}", f"q{i}") for i in range(SCALE)]
        return ["real" if p is None else f"q{p}" for p in place], entries
    names = in_order(present)
    known = {name: f"c{i}" for i, name in enumerate(names)}
    missing = [("no label", "real")] if len(present) < len(labels) else []
    return [known.get(v, "real") for v in labels], [(_short(n), c) for n, c in known.items()] + missing


def in_order(labels: list[str]) -> list[str]:
    """Return different labels in order, those that are numbers by their size."""
    return sorted(set(labels), key=lambda v: (_as_number(v), v))


def _as_number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.inf


def _short(told: str, most: int = 24) -> str:
    return told if len(told) <= most else told[: most - 1] + "…"


def unit_chart(units: list[dict[str, Any]]) -> str:
    """One bar per code unit: nats of a VAE's, else the standard deviation."""
    weights = "kl" if units and "kl" in units[0] else "spread"
    shown = units[:MOST_UNITS]
    high = max([1e-9, *(u[weights] for u in shown)])
    frame = Frame(WIDE, 190, (0, len(shown)), (0, 1.08 * high), bottom=34)
    unit = "KL, nats" if weights == "kl" else "standard deviation"
    bars = [
        frame.bar(
            (i + 0.12, i + 0.88), u[weights], "c0" if u["active"] else "real", f"unit {u['unit']}: {u[weights]:.3g}"
        )
        for i, u in enumerate(shown)
    ]
    every = max(1, math.ceil(len(shown) / 32))
    below = frame.height - frame.bottom + 15
    names = [
        label(frame.across(i + 0.5), below, str(u["unit"]), "middle") for i, u in enumerate(shown) if i % every == 0
    ]
    chart = frame.svg("Code units by activity", frame.axes("code unit", unit, x_ticks=False), *bars, *names)
    mixed = not all(u["active"] for u in units)
    return (legend([("active", "c0"), ("inactive", "real")]) if mixed else "") + chart


def score_chart(scores: dict[str, Any]) -> str:
    """Histograms of scores, one per group."""
    groups = {name: v for name, v in scores["groups"].items() if scores["counts"][name]}
    high = max((max(v) for v in groups.values()), default=1.0)
    frame = Frame(WIDE, 230, (scores["edges"][0], scores["edges"][-1]), (0, 1.08 * high))
    parts = [
        frame.steps(scores["edges"], values, GROUPS.get(name, "c0"), filled=i == 0 and len(groups) > 1)
        for i, (name, values) in enumerate(groups.items())
    ]
    entries = [(f"{name} ({scores['counts'][name]:,})", GROUPS.get(name, "c0")) for name in groups]
    axes = frame.axes(f"score, {scores['score']}: the further left, the more unusual", "share of rows")
    return legend(entries) + frame.svg("Scores of rows", axes, *parts)


def distribution_charts(rows: dict[str, Any]) -> str:
    """One small chart per column: real, reconstructed and generated values."""
    found = rows["distributions"]
    if not found:
        return ""
    entries = [(name, COLOURS[name]) for name in found[0]["shares"]]
    charts = [
        _small(_short(told["column"], 34), _histogram(told) if "edges" in told else _bars(told)) for told in found
    ]
    return legend(entries) + f'<div class="three">{"".join(charts)}</div>'


def _histogram(told: dict[str, Any]) -> str:
    high = max(max(values) for values in told["shares"].values())
    frame = Frame(240, 120, (told["edges"][0], told["edges"][-1]), (0, 1.08 * high), left=8, right=8, bottom=20, top=4)
    parts = [
        frame.steps(told["edges"], values, COLOURS[name], filled=name == "real")
        for name, values in told["shares"].items()
    ]
    return frame.svg(f"Values of {told['column']}", frame.axes(y_ticks=False), *parts)


def _bars(told: dict[str, Any]) -> str:
    """Lying bars, one line per value."""
    values, shares = told["values"], told["shares"]
    line, place = 19.0, 100.0
    height = max(line * len(values) + 4, 40)
    high = max((max(v) for v in shares.values() if v), default=1.0) or 1.0
    thick = (line - 5) / max(len(shares), 1)
    parts = []
    for i, value in enumerate(values):
        parts.append(label(place - 6, i * line + 14, _short(str(value), 13), "end"))
        for j, (name, share) in enumerate(shares.items()):
            size = f'width="{max(share[i] / high * (240 - place - 6), 0.5):.1f}" height="{thick:.1f}"'
            title = f"<title>{escape(name)}: {share[i]:.1%}</title>"
            parts.append(
                f'<rect class="f-{COLOURS[name]}" x="{place}" y="{i * line + 3 + j * thick:.1f}" {size}>{title}</rect>'
            )
    return Frame(240, height, (0, 1), (0, 1)).svg(f"Values of {told['column']}", *parts)
