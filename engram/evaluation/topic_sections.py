"""The sections of a report's page on topics. Every text that a user may have written is escaped where it is put in."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import Any

from engram.evaluation.charts import WIDE, most
from engram.evaluation.style import CLASSES
from engram.evaluation.svg import Frame, label

LINE, PLACE, SMALL = 17.0, 96.0, 250.0  # height of a word, where its bar begins, width of a chart
LETTERS = 13  # of a word in a chart
LETTER = 7.0  # width of one, about


def topics(told: list[dict[str, Any]]) -> str:
    """The words of each topic, one bar each, the largest topic first."""
    say = "The words that set a topic apart, the longer the bar the more; the largest topic comes first. "
    say += "Coherence is that in the documents of the fit."
    high = max((weight for topic in told for weight in topic["weights"]), default=1.0)
    return f'<p class="say">{say}</p><div class="three">{"".join(_topic(topic, high) for topic in told)}</div>'


def _topic(told: dict[str, Any], high: float) -> str:
    title = f"Topic {told['topic']}: {told['share']:.1%} of the words, coherence {told['coherence']:.2f}"
    colour, parts = colour_of(told["topic"]), []
    for i, (word, weight) in enumerate(zip(told["words"], told["weights"], strict=True)):
        short = word if len(word) <= LETTERS else word[: LETTERS - 1] + "…"
        size = f'width="{max(weight / max(high, 1e-12) * (SMALL - PLACE - 6), 0.5):.1f}" height="{LINE - 6:g}"'
        parts.append(label(PLACE - 6, i * LINE + 13, short, "end"))
        parts.append(f'<rect class="f-{colour}" x="{PLACE:g}" y="{i * LINE + 4:.1f}" {size}/>')
    chart = Frame(SMALL, LINE * len(told["words"]) + 6, (0, 1), (0, 1)).svg(f"Words of topic {told['topic']}", *parts)
    return f'<div class="small"><h4>{title}</h4>{chart}</div>'


def topic_map(told: dict[str, Any]) -> str:
    """Documents in the plane, coloured by main topic; the first words of a topic stand amid its documents."""
    points, centres = told["points"], told["centres"]
    frame = Frame(WIDE, 520, most([p[0] for p in points]), most([p[1] for p in points]))
    size = 4.0 if len(points) < 100 else 2.8
    drawn = [frame.point(x, y, colour_of(int(topic)), size) for x, y, topic in points]
    largest = Counter(int(topic) for _, _, topic in points)
    named = [*zip(centres, told["words"], told["topics"], strict=True)]
    names, taken = [], list[tuple[float, float, float]]()
    for (x, y), words, topic in sorted(named, key=lambda one: -largest[one[2]]):
        across, up = frame.across(x), frame.up(y)
        colour, right, wide = colour_of(topic), across > WIDE / 2, len(words) * LETTER
        title = f"<title>topic {topic}: {escape(words)}</title>"
        names.append(f'<circle class="f-{colour}" cx="{across:.1f}" cy="{up:.1f}" r="5">{title}</circle>')
        begin = across - 8 - wide if right else across + 8
        if any(begin < end and other < begin + wide and abs(up - high) < LINE for other, end, high in taken):
            continue  # it would lie over that of a larger topic
        taken.append((begin, begin + wide, up))
        text = label(across + (-8 if right else 8), up + 4, words, "end" if right else "start")
        names.append(text.replace("<text", '<text class="named"', 1))
    axes = frame.axes(*(f"component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(told["share"])))
    say = "Each point is a document, in the colour of its main topic; documents that are alike lie close together. "
    say += "A large point is a topic, with its first words where there is room."
    more = f" {len(points):,} of {told['documents']:,} documents are shown." if len(points) < told["documents"] else ""
    return f'<p class="say">{say}{more}</p><figure>{frame.svg("A map of the documents", axes, "<g>", *drawn, "</g>", *names)}</figure>'


def colour_of(topic: int) -> str:
    """Return the colour of a topic; with more topics than colours they come again."""
    return f"c{topic % len(CLASSES)}"
