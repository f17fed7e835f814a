"""Small charts as inline SVG. Colours are classes of the page's style, so that a chart follows light, dark and print."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

Pair = tuple[float, float]


@dataclass
class Frame:
    """The place of a chart: its size, its margins and the values at its edges."""

    width: float
    height: float
    x: Pair
    y: Pair
    left: float = 52
    right: float = 12
    top: float = 10
    bottom: float = 34

    def across(self, value: float) -> float:
        """Return the horizontal place of a value, kept inside."""
        return _place(value, self.x, self.left, self.width - self.right)

    def up(self, value: float) -> float:
        """Return the vertical place of a value, kept inside."""
        return _place(value, self.y, self.height - self.bottom, self.top)

    def axes(self, x_label: str = "", y_label: str = "", *, x_ticks: bool = True, y_ticks: bool = True) -> str:
        """Return lines, ticks and labels."""
        base, end = self.height - self.bottom, self.width - self.right
        parts = []
        for tick in ticks(*self.y, 4) if y_ticks else []:
            at = self.up(tick)
            parts.append(f'<path class="rule" d="M{self.left:.1f} {at:.1f}H{end:.1f}"/>')
            parts.append(label(self.left - 6, at + 4, number(tick), "end"))
        parts.append(f'<path class="axis" d="M{self.left:.1f} {base:.1f}H{end:.1f}"/>')
        marks = ticks(*self.x, 6 if self.width > 400 else 3) if x_ticks else []
        parts += [label(self.across(tick), base + 15, number(tick), "middle") for tick in marks]
        if x_label:
            parts.append(label((self.left + end) / 2, self.height - 3, x_label, "middle"))
        if y_label:
            middle = (self.top + base) / 2
            turned = f'transform="rotate(-90 11 {middle:.1f})"'
            parts.append(f'<text x="11" y="{middle:.1f}" text-anchor="middle" {turned}>{escape(y_label)}</text>')
        return "".join(parts)

    def svg(self, alt: str, *parts: str) -> str:
        """Return the chart."""
        head = f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {self.width:g} {self.height:g}"'
        return f'{head} style="max-width:{self.width:g}px">{"".join(parts)}</svg>'

    def line(self, xs: Sequence[float], ys: Sequence[float], colour: str) -> str:
        """Return a line through points; points that are not finite are left out."""
        places = [
            f"{self.across(x):.1f} {self.up(y):.1f}"
            for x, y in zip(xs, ys, strict=True)
            if math.isfinite(x) and math.isfinite(y)
        ]
        if len(places) == 1:
            across, up = places[0].split()
            return f'<circle class="f-{colour}" cx="{across}" cy="{up}" r="3"/>'
        return f'<path class="line s-{colour}" d="M{"L".join(places)}"/>' if places else ""

    def upright(self, x: float, colour: str) -> str:
        """Return an upright dotted line."""
        at = self.across(x)
        return f'<path class="dots s-{colour}" d="M{at:.1f} {self.top:.1f}V{self.height - self.bottom:.1f}"/>'

    def steps(self, edges: Sequence[float], values: Sequence[float], colour: str, *, filled: bool) -> str:
        """Return a histogram's outline, filled or not."""
        base = self.up(self.y[0])
        d = f"M{self.across(edges[0]):.1f} {base:.1f}"
        for i, value in enumerate(values):
            d += f"V{self.up(value):.1f}H{self.across(edges[i + 1]):.1f}"
        d += f"V{base:.1f}"
        return f'<path class="area f-{colour}" d="{d}Z"/>' if filled else f'<path class="line s-{colour}" d="{d}"/>'

    def bar(self, x: Pair, value: float, colour: str, told: str = "") -> str:
        """Return an upright bar, with a text that shows under the pointer."""
        left, right, top = self.across(x[0]), self.across(x[1]), self.up(value)
        base = self.up(self.y[0])
        title = f"<title>{escape(told)}</title>" if told else ""
        size = f'width="{max(right - left, 0.5):.1f}" height="{max(base - top, 0):.1f}"'
        return f'<rect class="f-{colour}" x="{left:.1f}" y="{top:.1f}" {size}>{title}</rect>'

    def point(self, x: float, y: float, colour: str, size: float = 2.6) -> str:
        """Return a point."""
        return f'<circle class="p-{colour}" cx="{self.across(x):.1f}" cy="{self.up(y):.1f}" r="{size:g}"/>'


def _place(value: float, ends: Pair, start: float, stop: float) -> float:
    low, high = ends
    share = (value - low) / (high - low) if high > low else 0.5
    return start + min(max(share, 0.0), 1.0) * (stop - start)


def label(x: float, y: float, told: str, anchor: str = "start") -> str:
    """Return a text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(told)}</text>'


def ticks(low: float, high: float, n: int) -> list[float]:
    """Return about n round numbers between two values."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []
    rough = (high - low) / n
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(s * size for s in (1, 2, 5, 10) if s * size >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def number(value: float) -> str:
    """Return a short number."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return f"{value:.3g}".replace("e+0", "e").replace("e+", "e") if abs(value) >= 1e6 else f"{value:,.0f}"
    return f"{value:.4g}".replace("-", "\u2212")


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """Return a legend of (text, colour)."""
    items = "".join(f'<span><i class="k-{colour}"></i>{escape(told)}</span>' for told, colour in entries)
    return f'<p class="legend">{items}</p>'


def span(values: Iterable[float], *, room: float = 0.05) -> Pair:
    """Return the range of finite values with some room at both ends."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    width = (high - low) or max(abs(low), 1.0)
    return low - room * width, high + room * width
