"""The sections of a report's page on generated rows. Every text that a user may have written is escaped where it is put in."""

from __future__ import annotations

import io
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from engram.evaluation.charts import COLOURS, WIDE, most
from engram.evaluation.sections import image
from engram.evaluation.svg import Frame, legend
from engram.evaluation.thumbnails import png
from engram.models.sheets import ACROSS

STRIPS = 8  # of the sheets, the first and the last one among them


def pictures(told: dict[str, Any], images: dict[str, bytes]) -> str:
    """Real pictures on the left, generated ones on the right; of a conditional model one line per class."""
    heads = '<span></span><span class="head">real</span><span class="head">generated</span>'
    if "grid real" in images:
        pair = (image(images[f"grid {what}"], f"Pictures: {what}") for what in ("real", "generated"))
        return f'<div class="pairs">{heads}<span></span>{"".join(pair)}</div>'
    lines = []
    for i, name in enumerate(told["classes"]):
        pair = (image(images[f"class {i} {what}"], f"Pictures of {name}: {what}") for what in ("real", "generated"))
        lines.append(f"<span>{escape(name)}</span>{''.join(pair)}")
    return f'<div class="pairs">{heads}{"".join(lines)}</div>'


def nearest(told: dict[str, Any], images: dict[str, bytes]) -> str:
    """Generated pictures, each before the training pictures that are most like it."""
    say = "The first picture of a line is generated; behind it stand the training pictures nearest to it, pixel by pixel, "
    say += "the nearest first. The number is how far that one is: the root mean squared difference of pixels, from 0 (a copy) to 1."
    lines = (
        f"<span>{distances[0]:.3f}</span>{image(images[f'near {i}'], f'Generated picture {i} and its nearest training pictures')}"
        for i, distances in enumerate(told["distances"], 1)
    )
    return f'<p class="say">{say}</p><div class="lines near">{"".join(lines)}</div>'


def places(told: dict[str, Any]) -> str:
    """Real and generated rows in the plane."""
    points: dict[str, list[list[float]]] = told["points"]
    together = [p for part in points.values() for p in part]
    if not together:
        return ""
    across, up = (most([p[i] for p in together]) for i in (0, 1))
    frame = Frame(WIDE, 440, across, up)
    drawn = (frame.point(x, y, COLOURS[what], 2.6) for what, part in points.items() for x, y in part)
    chart = frame.svg("Real and generated rows", frame.axes(*told["axes"]), "<g>", *drawn, "</g>")
    entries = [(f"{what} ({len(part):,})", COLOURS[what]) for what, part in points.items()]
    say = "Each point is a row. Where only one colour is, rows are missing, or generated where there are none."
    return f'<h3>In the plane</h3><p class="say">{say}</p><figure>{legend(entries)}{chart}</figure>'


def growth(sheets: Mapping[int, bytes]) -> str:
    """How generated pictures changed while learning: of some sheets the first picture of each line."""
    steps = sorted(sheets)
    chosen = [steps[i] for i in np.linspace(0, len(steps) - 1, min(STRIPS, len(steps))).round().astype(int)]
    say = "The same noise at several steps: each column is one picture. The whole sheets are in the folder samples of the run."
    lines = (f"<span>step {step:,}</span>{image(strip(sheets[step]), f'Pictures at step {step}')}" for step in chosen)
    return f'<p class="say">{say}</p><div class="lines">{"".join(lines)}</div>'


def strip(sheet: bytes) -> bytes:
    """Return the first picture of each line of a sheet beside each other."""
    from PIL import Image

    whole = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGBA"))
    height, width = whole.shape[0] // ACROSS, whole.shape[1] // ACROSS
    return png(np.concatenate([whole[i * height : (i + 1) * height, :width] for i in range(ACROSS)], 1))
