"""Pictures of a fitted model as PNG bytes: the loss, reconstructed rows, generated rows, a map of the codes.

A function returns None where a model or a kind of data has no such picture.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from engram.data.images import Images
from engram.data.kind import DataWarning
from engram.data.table import Table
from engram.evaluation import facts
from engram.evaluation.charts import in_order
from engram.evaluation.comparison import encoded
from engram.evaluation.examples import frame_of, generated
from engram.evaluation.labels import beside, one_label, one_per_row
from engram.models.codes import Codes
from engram.models.sheets import is_game

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from engram.models.model import Model

Array = np.ndarray[Any, np.dtype[Any]]
BLUE, ORANGE, GREY = "#2f6fb0", "#e07b39", "#8a93a3"
CLASSES = ("#2f6fb0", "#e07b39", "#3f9a5f", "#c44e6a", "#8064a8", "#8c6d4f", "#d18fc2", "#7f8794", "#b6ad3e", "#3db0bd")
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 10,
    "axes.labelcolor": "#47505f",
    "xtick.color": "#47505f",
    "ytick.color": "#47505f",
    "legend.frameon": False,
}
ACROSS = 10  # pictures in a line
MOST_COLUMNS = 6  # of a table in one picture
MOST_POINTS = 3000
WIDTH = 8.0  # inches, at DPI dots each
DPI = 110


def pictures(model: Model, X: Any, y: Any = None, *, random_state: Any = 0) -> dict[str, bytes]:
    """Return all pictures that the model and its data allow, by name: what a report shows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # said when the rows were evaluated
        made = {
            "loss_curve": loss_curve(model),
            "reconstructions": reconstructions(model, X, y),
            "samples": samples(model, X, y, random_state=random_state),
            "code_map": code_map(model, X, y),
        }
    return {name: content for name, content in made.items() if content is not None}


def loss_curve(model: Model) -> bytes:
    """Draw the loss of every report of a fit, on training rows and on held-out rows."""
    reports = model.history_.reports
    if is_game(model.network_):
        return _course(reports)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        epochs = [report["epoch"] for report in reports]
        marker = "o" if len(reports) < 3 else ""
        axes.plot(epochs, model.history_.losses, color=BLUE, marker=marker, label="training rows")
        held_out = [(report["epoch"], report["validation"]) for report in reports if "validation" in report]
        if held_out:
            axes.plot(*zip(*held_out, strict=True), color=ORANGE, marker=marker, label="held-out rows")
        kept = [r["epoch"] for r in [{"step": 0, "epoch": 0.0}, *reports] if r["step"] == model.history_.best_step]
        if kept:
            axes.axvline(kept[0], color=GREY, linewidth=1, linestyle=":", label="weights kept")
        axes.set_xlabel("epochs")
        axes.set_ylabel("loss, nats a row of encoded units")
        axes.legend()

    return png(draw, (WIDTH, 3.4))


def _course(reports: list[dict[str, Any]]) -> bytes:
    """Draw the terms of a game: their sum means nothing."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name in dict.fromkeys(name for report in reports for name in report["terms"]):
            found = [(r["epoch"], r["terms"][name]) for r in reports if name in r["terms"]]
            axes.plot(*zip(*found, strict=True), label=name, marker="o" if len(found) < 3 else "")
        axes.set_xlabel("epochs")
        axes.set_ylabel("term, mean over rows")
        if reports:
            axes.legend()

    return png(draw, (WIDTH, 3.4))


def reconstructions(model: Model, X: Any, y: Any = None) -> bytes | None:
    """Draw rows and what comes back: pictures above each other, numbers as real against reconstructed values."""
    kind = model.kind_
    if not isinstance(model, Codes):
        return None
    X = kind.opened(X)
    if isinstance(kind, Images):
        rows = X[: 2 * ACROSS]
        means = model.reconstructed(rows, **beside(model, y, slice(2 * ACROSS)))
        pairs = zip(_shown(encoded(model, rows).x, ACROSS), _shown(means, ACROSS), strict=True)
        return _strips([("real", "back")] * math.ceil(len(rows) / ACROSS), [line for pair in pairs for line in pair])
    if not isinstance(kind, Table):
        return None
    rows, index = facts.spread(X, MOST_POINTS)
    real, back = (frame_of(kind, r) for r in (rows, model.reconstruct(rows, **beside(model, y, index))))
    columns = [c.name for c in kind.fields if c.type in ("number", "count", "date")][:MOST_COLUMNS]
    if not columns:
        return None

    def draw(axes: Axes, name: Any) -> None:
        across, up = _numbers(real[name]).to_numpy(), _numbers(back[name]).to_numpy()
        seen = ~np.isnan(across)
        if not seen.any():
            return
        axes.scatter(across[seen], up[seen], s=14, color=BLUE, alpha=_alpha(int(seen.sum())), linewidths=0)
        ends = [min(across[seen].min(), up[seen].min()), max(across[seen].max(), up[seen].max())]
        axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=":", zorder=0)
        if _is_date(real[name]):
            _dates(axes, "xaxis", "yaxis")
        axes.set_xlabel("real")
        axes.set_ylabel("reconstructed")

    return _panels(columns, draw)


def samples(model: Model, X: Any = None, y: Any = None, *, random_state: Any = 0) -> bytes | None:
    """Draw generated rows: pictures as a grid, columns of a table as histograms beside those of the rows X."""
    kind = model.kind_
    n = 3 * ACROSS if isinstance(kind, Images) else 1000
    rows = generated(model, n, random_state, y)
    if rows is None:
        return None
    if isinstance(kind, Images):
        return _strips([], _shown(encoded(model, rows).x, ACROSS))
    if not isinstance(kind, Table):
        return None
    made = frame_of(kind, rows)
    real = None if X is None else frame_of(kind, kind.opened(X))
    columns = [c.name for c in kind.fields if c.width][:MOST_COLUMNS]

    def draw(axes: Axes, name: Any) -> None:
        both = [("real", GREY, None if real is None else real[name]), ("generated", BLUE, made[name])]
        given = [(label, colour, column.dropna()) for label, colour, column in both if column is not None]
        if kind.fields[[c.name for c in kind.fields].index(name)].type in ("number", "count", "date"):
            _histograms(axes, [(label, colour, _numbers(column)) for label, colour, column in given])
        else:
            _bars(axes, given)
        if _is_date(made[name]):
            _dates(axes, "xaxis")
        axes.set_ylabel("share of rows")
        if name == columns[0]:
            axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2)

    return _panels(columns, draw)


def code_map(model: Model, X: Any, y: Any = None) -> bytes | None:
    """Draw the codes along their first two principal components, coloured by the labels y where there are any."""
    if not isinstance(model, Codes):
        return None
    codes = model.transform(X, **beside(model, y))
    y = one_label(y)
    labels = None if y is None else one_per_row(y, len(codes))
    told = facts.code_map(codes, labels, MOST_POINTS)
    places, share = np.array(told["places"]), told["share"]
    flat = places.shape[1] == 1

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        # a code of size 1 is spread upwards at random, so that rows do not hide each other
        up = np.random.default_rng(0).uniform(-1, 1, len(places)) if flat else places[:, 1]
        _coloured(figure, axes, places[:, 0], up, told["labels"])
        axes.set_xlabel("code" if flat else f"component 1 ({share[0]:.0%} of the variance)")
        axes.set_ylabel("" if flat else f"component 2 ({share[1]:.0%})")
        if flat:
            axes.set_yticks([])

    return png(draw, (WIDTH, 3.0 if flat else 5.4))


# --- pieces ---


def png(draw: Callable[[Figure], None], size: tuple[float, float]) -> bytes:
    """Draw on a figure of its own: pyplot and its global state are never touched, and nothing is left to close."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    content = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a sign that the font lacks, in a column's name
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        draw(figure)
        FigureCanvasAgg(figure).print_png(content, metadata={"Software": None})  # type: ignore[no-untyped-call]  # savefig would draw twice
    return content.getvalue()


def _panels(columns: list[Any], draw: Callable[[Axes, Any], None]) -> bytes:
    """Draw one small panel per column of a table, up to three in a line."""
    across = min(3, len(columns))
    down = math.ceil(len(columns) / across)

    def all_of(figure: Figure) -> None:
        places = figure.subplots(down, across, squeeze=False).ravel()
        for place, name in zip(places, columns, strict=False):
            place.locator_params(nbins=4)
            place.set_title(_text(f"column {name}" if isinstance(name, int) else name))
            draw(place, name)
        for place in places[len(columns) :]:
            place.set_axis_off()

    return png(all_of, (WIDTH, 2.5 * down + 0.2))


def _shown(x: torch.Tensor, across: int) -> list[Array]:
    """Return encoded pictures (rows, channels, height, width) as lines of ``across``, white where there is none."""
    pixels = x.clamp(0, 1).permute(0, 2, 3, 1).numpy()
    n, height, width, channels = pixels.shape
    gap = max(1, round(min(height, width) / 14))
    lines = []
    for at in range(0, n, across):
        line = np.ones((height, across * (width + gap) - gap, channels), dtype=np.float32)
        for i, picture in enumerate(pixels[at : at + across]):
            line[:, i * (width + gap) : i * (width + gap) + width] = picture
        lines.append(line)
    return lines


def _strips(labels: list[tuple[str, ...]], lines: list[Array]) -> bytes:
    """Draw lines of pictures under each other, each with its label."""
    names = [name for group in labels for name in group] or [""] * len(lines)

    def draw(figure: Figure) -> None:
        places = figure.subplots(len(lines), 1, squeeze=False).ravel()
        for place, line, name in zip(places, lines, names, strict=True):
            grey = {"cmap": "gray", "vmin": 0, "vmax": 1} if line.shape[2] == 1 else {}
            place.imshow(line[:, :, 0] if grey else line, interpolation="nearest", **grey)
            place.set(xticks=[], yticks=[])
            place.spines[:].set_visible(False)
            place.set_ylabel(name, rotation=0, ha="right", va="center")

    height, width = lines[0].shape[:2]
    return png(draw, (WIDTH, min(12.0, len(lines) * (WIDTH * height / width + 0.08))))


def _histograms(axes: Axes, parts: list[tuple[str, str, pd.Series[float]]]) -> None:
    # the range of the middle 99 %, so that one wild row does not squeeze all others into one bar
    parts = [part for part in parts if len(part[2])]
    spans = [column.quantile([0.005, 0.995]) for _, _, column in parts]
    low, high = min(float(s.iloc[0]) for s in spans), max(float(s.iloc[1]) for s in spans)
    n_bins = int(np.clip(2 * math.sqrt(min(len(column) for _, _, column in parts)), 8, 30))
    edges = np.linspace(low, high if high > low else low + 1, n_bins + 1)
    for label, colour, column in parts:
        filled = (
            {"histtype": "stepfilled", "alpha": 0.45} if label == "real" else {"histtype": "step", "linewidth": 1.6}
        )
        weights = np.full(len(column), 1 / len(column))
        axes.hist(column, bins=edges.tolist(), weights=weights, color=colour, label=label, **filled)  # type: ignore[arg-type]


def _bars(axes: Axes, parts: list[tuple[str, str, pd.Series[Any]]]) -> None:
    shares = pd.DataFrame(
        {label: column.astype(str).value_counts(normalize=True) for label, _, column in parts}
    ).fillna(0)
    shares = shares.sort_values(shares.columns[0], ascending=False)[:8]
    for i, (label, colour, _) in enumerate(parts):
        place = np.arange(len(shares)) + (i - 0.5 * (len(parts) - 1)) * 0.4
        axes.bar(place, shares[label], 0.38, color=colour, alpha=0.6 if label == "real" else 1.0, label=label)
    axes.set_xticks(range(len(shares)), [_text(v, 10) for v in shares.index], rotation=30 if len(shares) > 3 else 0)


def _coloured(figure: Figure, axes: Axes, across: Array, up: Array, labels: list[str | float | None] | None) -> None:
    """Scatter with a colour per label where these are texts, a scale where they are numbers, grey where missing."""
    style: dict[str, Any] = {"s": 14, "alpha": _alpha(len(across)), "linewidths": 0}
    if labels is None:
        axes.scatter(across, up, color=BLUE, **style)
        return
    present = [label for label in labels if label is not None]
    seen = np.array([label is not None for label in labels])
    axes.scatter(across[~seen], up[~seen], color=GREY, **style)
    if isinstance(present[0], float):
        drawn = axes.scatter(across[seen], up[seen], c=present, cmap="viridis", **style)
        figure.colorbar(drawn, ax=axes, label="y", alpha=1.0)
    else:
        for value, colour in zip(in_order([str(label) for label in present]), CLASSES, strict=False):
            here = np.array([label == value for label in labels])
            axes.scatter(across[here], up[here], color=colour, label=_text(value), **style)
        legend = axes.legend(title="y", loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.6)
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1)


def _numbers(column: pd.Series[Any]) -> pd.Series[float]:
    """Return a column as floats; dates as days since 1970, which is how matplotlib counts them."""
    if _is_date(column):
        return (column.astype("datetime64[ns]").astype("int64") / 86_400e9).where(column.notna())
    return pd.to_numeric(column, errors="coerce").astype(float)


def _is_date(column: pd.Series[Any]) -> bool:
    return bool(pd.api.types.is_datetime64_any_dtype(column.dtype))


def _dates(axes: Axes, *names: str) -> None:
    """Write dates along an axis whose numbers are days since 1970."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    for name in names:
        locator = AutoDateLocator(minticks=2, maxticks=5)  # type: ignore[no-untyped-call]
        axis = getattr(axes, name)
        axis.set_major_locator(locator)
        axis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _alpha(n: int) -> float:
    """Return the opacity of one point among n."""
    return float(np.clip(18 / math.sqrt(max(n, 1)), 0.25, 0.85))


def _text(value: Any, most: int = 28) -> str:
    """Return a text of the user's for matplotlib, which reads dollars as mathematics and hides what begins with "_"."""
    text = str(value)
    text = text if len(text) <= most else text[: most - 1] + "…"
    return (" " + text if text.startswith("_") else text).replace("$", r"\$")
