"""A comparison as one page: no script, nothing loaded, every text that a user may have written escaped."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from engram.evaluation.page import document
from engram.evaluation.sections import WORDS, sentence
from engram.evaluation.svg import Frame, label, legend, span
from engram.training import Finding

if TYPE_CHECKING:
    from engram.evaluation.compare_table import Comparison, Standing

LINE = 26.0  # height of a subject in a chart
LEFT = 230.0  # for its name
RIGHT = 130.0  # for its number
FAR = 4.0  # a baseline further from the models than so many times what lies between them is drawn at the edge
NAME = 34  # letters of a name in a chart


def page(comparison: Comparison) -> str:
    """Return the page."""
    count = len(comparison.runs)
    found = [
        ("results", "Results", results(comparison)),
        ("charts", "By metric", charts(comparison)),
        ("runs", "The runs", runs(comparison)),
        ("findings", "Findings", findings(comparison)),
        ("protocol", "How the numbers came about", protocol(comparison)),
    ]
    told = "A comparison by Engram {version}."
    return document(f"{count} run{'s' * (count > 1)} beside simple methods", comparison.headline(), found, told)


def results(comparison: Comparison) -> str:
    """The table."""
    firsts = [next(s for s in comparison.standings if s.name == name) for name in comparison.names()]
    heads = (
        f"<th>{escape(s.name)}<small>{escape(s.unit)},<br>{escape(s.better)} is better</small></th>" for s in firsts
    )
    body = []
    for subject in comparison.subjects():
        cells = "".join(_cell(comparison, comparison.standing(name, subject)) for name in comparison.names())
        kind = ' class="model"' if subject in comparison.models else ""
        body.append(f'<tr{kind}><td class="name">{escape(subject)}</td>{cells}</tr>')
    table = f"<table><thead><tr><th></th>{''.join(heads)}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="scroll">{table}</div><p class="say">{escape(comparison.legend())}.</p>'


def _cell(comparison: Comparison, standing: Standing | None) -> str:
    if standing is None:
        return "<td>–</td>"
    told = escape(standing.text(comparison.decimals(standing.name)))
    if standing.best:
        return f'<td class="best"><span>{told}</span></td>'
    return f"<td>{'= ' if standing.level else ''}{told}</td>"


def charts(comparison: Comparison) -> str:
    """One chart per metric."""
    say = "A point is a run, an upright mark the mean of runs; a line is two standard errors to either side: what other rows would change."
    return f'<p class="say">{say}</p>' + "".join(chart(comparison, name) for name in comparison.names())


def chart(comparison: Comparison, name: str) -> str:
    """One line per subject: each run a point, the mean a line across, and two standard errors over rows to either side."""
    found = [s for subject in comparison.subjects() if (s := comparison.standing(name, subject)) is not None]
    ends = _range(found, comparison)
    frame = Frame(820, LINE * len(found) + 40, ends, (0, len(found)), left=LEFT, right=RIGHT, top=4)
    parts = [frame.axes(f"{found[0].unit}, {found[0].better} is better", y_ticks=False)]
    for i, one in enumerate(found):
        parts.append(_line(frame, one, len(found) - i - 0.5, comparison))
    entries = [("models", "c0"), ("simple methods", "real")]
    title = f"<h3>{escape(name)}</h3>"
    return f"{title}<figure>{legend(entries)}{frame.svg(f'{name} by model', *parts)}</figure>"


def _line(frame: Frame, one: Standing, at: float, comparison: Comparison) -> str:
    colour = "c0" if one.subject in comparison.models else "real"
    up = frame.up(at)
    short = one.subject if len(one.subject) <= NAME else one.subject[: NAME - 1] + "…"
    parts = [label(LEFT - 10, up + 4, short, "end")]
    told = f"{one.text(comparison.decimals(one.name))} {one.mark}".rstrip()
    parts.append(label(frame.width - RIGHT + 10, up + 4, told))
    if not frame.x[0] <= one.value <= frame.x[1]:
        below = one.value < frame.x[0]
        place = frame.across(frame.x[0 if below else 1])
        return "".join(
            [*parts, label(place + (4 if below else -4), up + 4, "◂" if below else "▸", "start" if below else "end")]
        )
    if math.isfinite(one.error):
        low, high = (frame.across(one.value + side * 2 * one.error) for side in (-1, 1))
        parts.append(f'<path class="line s-{colour}" d="M{low:.1f} {up:.1f}H{high:.1f}"/>')
    middle = frame.across(one.value)
    parts.append(f'<path class="line s-{colour}" d="M{middle:.1f} {up - 7:.1f}V{up + 7:.1f}"/>')
    parts += [frame.point(value, at, colour, 3.4) for value in one.values]
    return "".join(parts)


def _range(found: list[Standing], comparison: Comparison) -> tuple[float, float]:
    """Return the range of the models, and of those baselines that do not press them together."""

    def reach(standings: list[Standing]) -> list[float]:
        errors = [(s, 2 * s.error if math.isfinite(s.error) else 0.0) for s in standings]
        return [v + side * e for s, e in errors for v in (*s.values, s.value) for side in (-1, 1)]

    own = reach([s for s in found if s.subject in comparison.models])
    low, high = span(own, room=0.0)
    room = FAR * (high - low)
    others = [s for s in found if s.subject not in comparison.models and low - room <= s.value <= high + room]
    return span([*own, *reach(others)])


def runs(comparison: Comparison) -> str:
    """What the runs are."""
    heads = ("run", "model", "given", "seed", "code size", "weights", "epochs", "seconds", "learned from")
    words = {"run", "model", "given"}
    head = "".join(f'<th class="words">{h}</th>' if h in words else f"<th>{h}</th>" for h in heads)
    body = []
    for run in comparison.runs:
        given = ", ".join(f"{name}={value}" for name, value in run.parameters.items()) or "nothing"
        numbers = (
            run.seed,
            run.code_size or "–",
            f"{run.weights:,}",
            run.epochs,
            f"{run.seconds:.1f}",
            f"{run.trained_on:,}",
        )
        cells = f'<td class="name">{escape(run.name)}</td><td class="left">{escape(run.model)}</td>'
        cells += f'<td class="words">{escape(given)}</td>' + "".join(f"<td>{n}</td>" for n in numbers)
        body.append(f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table class="dense"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def findings(comparison: Comparison) -> str:
    """Findings on the comparison, then those of each run; one that several runs share stands once."""
    shown = [_finding(finding, "") for finding in comparison.findings]
    shown += [_finding(finding, who) for finding, who in comparison.of_runs()]
    return "\n".join(shown) or '<p class="say">Nothing unusual was noticed.</p>'


def _finding(finding: Finding, who: str) -> str:
    owner = f'<span class="soft">{escape(who)}: </span>' if who else ""
    told = f"{owner}<b>{escape(sentence(finding.message))}</b> {escape(finding.advice)}"
    return f'<div class="finding"><small>{escape(finding.kind)}</small>{told}</div>'


def protocol(comparison: Comparison) -> str:
    """How the numbers came about."""
    pairs = [(WORDS.get(key, key), value) for key, value in comparison.protocol.items() if key != "notes"]
    splits = dict.fromkeys(run.split for run in comparison.runs)
    for split in splits:
        names = [run.name for run in comparison.runs if run.split == split]
        pairs.append((WORDS["split"], f"{split} ({', '.join(names)})" if len(splits) > 1 else split))
    pairs += [("Note", note) for note in comparison.protocol["notes"]]
    return f"<dl>{''.join(f'<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>' for key, value in pairs)}</dl>"
