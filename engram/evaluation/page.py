"""A report as one page: no script, nothing loaded, every text that a user may have written escaped."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from engram.evaluation import drawn_sections, sections, strange, topic_sections
from engram.evaluation.fact_tables import fact_tables
from engram.evaluation.style import STYLE
from engram.version import VERSION

if TYPE_CHECKING:
    from engram.evaluation.report import Report

# the browser is told to run nothing and load nothing, whatever a text in the page may be
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(report: Report) -> str:
    """Return the page."""
    title = f"{report.model} beside simple methods"
    told = "A report by Engram {version}. The same facts are in report.json."
    return document(title, report.headline(), list(_sections(report)), told)


def document(title: str, lead: str, found: list[tuple[str, str, str]], told: str) -> str:
    """Return a page of sections, (anchor, title, content); ``told`` is its last line, {version} the version in it."""
    title, lead, told = (escape(t) for t in (title, lead, told.format(version=VERSION)))
    links = " ".join(f'<a href="#{anchor}">{name}</a>' for anchor, name, _ in found)
    body = "\n".join(
        f'<section id="{anchor}">\n<h2>{name}</h2>\n{content}\n</section>' for anchor, name, content in found
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="lead">{lead}</p>
<nav>{links}</nav>
</header>
{body}
<footer>{told}</footer>
</body>
</html>
"""


def _sections(report: Report) -> Iterator[tuple[str, str, str]]:
    """Give (anchor, title, content) of what there is to show, in the order of the page."""
    facts, images = report.look.facts, report.look.images
    yield "findings", "Findings", sections.findings(report)
    yield "results", "Results", sections.results(report)
    if "strangest" in facts:
        yield "strangest", "The strangest rows", strange.section(facts["strangest"])
    if "topics" in facts:
        yield "topics", "Topics", topic_sections.topics(facts["topics"])
        yield "map", "A map of the documents", topic_sections.topic_map(facts["topic_map"])
    yield from fact_tables(facts)
    yield from _of_rows(facts, images)
    if report.sheets:
        yield "growth", "How pictures grew", drawn_sections.growth(report.sheets)
    yield from _of_codes(facts, images)
    if "scores" in facts:
        yield "scores", "Scores", sections.scores(facts["scores"])
    if "learning" in facts:
        yield "learning", "Learning", sections.learning(facts["learning"])
    if "data" in facts:
        yield "data", "The data", sections.data(facts["data"])
    if "chosen" in facts:
        yield "chosen", "What was chosen, and why", sections.chosen(facts["chosen"])


def _of_rows(facts: dict[str, Any], images: dict[str, bytes]) -> Iterator[tuple[str, str, str]]:
    """Give the sections on rows: real ones, what comes back, generated ones."""
    generated = facts.get("generated", {})
    tables = facts.get("rows", {}).get("rows", {})
    title = "Rows, what comes back, and generated rows"
    if "generated" not in images and "generated" not in tables:
        title = "Rows and what comes back"
    if "grid real" in images or "classes" in generated:
        yield "rows", "Real and generated pictures", drawn_sections.pictures(generated, images)
    elif "real" in images:
        yield "rows", title, sections.picture_rows(images)
    elif tables:
        if "reconstructed" not in tables:
            title = "Real and generated rows" if "generated" in tables else "Rows"
        plane = drawn_sections.places(generated["places"]) if "places" in generated else ""
        yield "rows", title, sections.table_rows(facts["rows"]) + plane
    if "nearest" in generated:
        yield "copies", "Nearest training pictures", drawn_sections.nearest(generated["nearest"], images)


def _of_codes(facts: dict[str, Any], images: dict[str, bytes]) -> Iterator[tuple[str, str, str]]:
    """Give the sections on codes."""
    if "codes" in facts:
        yield "map", "A map of the codes", sections.codes(facts["codes"])
    if "units" in facts:
        yield "units", "Code units", sections.units(facts["units"])
    if "traversals" in facts:
        yield "traversals", "Single code units", sections.traversals(facts["traversals"], images)
    if "way 1" in images:
        yield "ways", "From row to row", sections.picture_ways(images)
    if "picture 1" in images:
        yield "nearest", "Nearest rows", sections.picture_neighbours(images)
    elif "neighbours" in facts:
        yield "nearest", "Nearest rows", sections.table_neighbours(facts["neighbours"])
