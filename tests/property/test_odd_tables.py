"""Dates, written numbers and whatever texts hypothesis makes up."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pandas as pd
import torch
from hypothesis import given
from hypothesis import strategies as st

from engram.data import Table
from engram.data.dates import DateForm
from engram.data.headers import lacks_header
from engram.data.texts import POINTS, NumberStyle
from engram.errors import EngramError

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
ODD = [
    "?",
    "-",
    "",
    "12",
    "1,234",
    "$5",
    "7 %",
    "2024-01-31",
    "31.12.1999",
    "yes",
    "no",
    "1e999",
    "-inf",
    "nan",
    "00",
    "２",
]
odd = st.sampled_from(ODD)
WISHES = {  # with cells that they may be for
    "number": ["12", "-7", "0.5", "", "1e3", "00", "8", "-"],
    "count": ["12", "0", "5", "7", "", "1", "2", "3"],
    "boolean": ["true", "false", "", "false", "true", "true", "false", "true"],
    "category": ["?", "yes", "２", "nan", "a", "a", "", "-"],
    "date": ["2024-01-31", "1999-12-31", "", "2000-02-29", "2024-02-01", "2021-05-05", "2022-06-06", "2023-07-07"],
    "drop": ["?", "yes", "２", "nan", "a", "a", "", "-"],
}
moments = st.lists(
    st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2250, 1, 1)), min_size=3, max_size=12, unique=True
)


def through_json(kind: Table) -> Table:
    return Table.from_dict(json.loads(json.dumps(kind.to_dict(), allow_nan=False)))


@given(st.lists(st.none() | texts | odd, min_size=1, max_size=30))
def test_any_texts_are_encoded_finitely_and_decoded_in_their_form(cells: list[str | None]) -> None:
    frame = pd.DataFrame({"c": cells, "x": np.arange(len(cells)) * 1.0})
    kind = through_json(Table().fit(frame))
    rows = kind.encode(kind.conform(frame))
    assert torch.isfinite(rows.x).all()
    back = kind.decode(rows.x)
    assert len(back) == len(frame)
    filled = kind.filled(frame, rows.x)
    kept = [a == b for a, b in zip(cells, filled["c"], strict=True) if a is not None]
    assert sum(kept) >= 0.5 * len(kept) or kind.fields[0].missing
    assert kind.typed(kind.conform(frame)).shape == frame.shape


@given(moments, st.sampled_from(["D", "h", "min", "s"]))
def test_dates_come_back_to_the_resolution_seen(found: list[datetime.datetime], step: str) -> None:
    dates = pd.Series(pd.to_datetime(found)).astype("datetime64[us]").dt.floor(step)
    if dates.nunique() < 2:
        return
    frame = pd.DataFrame({"c": dates})
    kind = through_json(Table().fit(frame))
    back = kind.decode(kind.encode(kind.conform(frame)).x)["c"]
    # the circle of the day holds a millisecond; without one (less than a day, or always the same time) the line is all there is
    line = (
        float((dates.max() - dates.min()) / pd.Timedelta("1s")) * 1e-6
        if not kind.fields[0].form["date"]["cycles"]
        else 0
    )
    assert (back - dates).abs().max() <= pd.Timedelta(seconds=line)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=9), st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_any_output_of_a_decoder_is_some_date(line: list[float], circle: list[float]) -> None:
    form = DateForm(cycles=["year", "week", "day"], step=60.0, zone="Europe/Zurich")
    found = form.moments(np.array(line) * 1e3, np.tile(circle, (len(line), 1)))
    assert np.isfinite(found).all()
    assert pd.Series(form.written(found, "datetime64[ns, Europe/Zurich]")).notna().all()


@given(
    st.floats(-1e9, 1e9), st.sampled_from(POINTS), st.booleans(), st.integers(0, 4), st.sampled_from(["first", "inside", "brackets"])
)  # fmt: skip
def test_a_written_number_is_read_as_the_same(
    value: float, signs: tuple[str, str], fixed: bool, places: int, minus: str
) -> None:
    style = NumberStyle(*signs, "$", " %", places, fixed, bool(signs[0]), minus)
    text = style.written(value)
    assert abs(style.value(text) - value) <= 0.5001 * 10.0**-places + 1e-6
    assert style.written(style.value(text)) == text


@given(st.lists(texts | odd, min_size=2, max_size=5, unique=True))
def test_names_that_do_not_come_again_are_a_header(names: list[str]) -> None:
    rows = pd.DataFrame([["some", "other", "cells", "stand", "here"][: len(names)]] * 3)
    assert not lacks_header(pd.Series(names), rows) or all(
        n.strip() in ("?", "-", "nan") or n.strip() in rows.iloc[0].tolist() for n in names
    )


@st.composite
def wished(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Draw a wish, and cells for it: any, or such as it may be for."""
    wish = draw(st.sampled_from(sorted(WISHES)))
    return wish, draw(st.lists(odd, min_size=8, max_size=8) | st.permutations(WISHES[wish]))


def test_any_wish_for_any_texts_works_or_is_refused_in_words() -> None:
    worked, refused = set(), set()

    @given(wished(), wished())
    def tried(a: tuple[str, list[str]], b: tuple[str, list[str]]) -> None:
        frame = pd.DataFrame({"a": a[1], "b": b[1], "x": np.arange(8) * 1.0})
        try:
            kind = Table(columns={"a": a[0], "b": b[0]}).fit(frame)
            x = kind.encode(kind.conform(frame)).x
        except EngramError:
            refused.add(frozenset((a[0], b[0])))
            return
        worked.update((a[0], b[0]))
        assert torch.isfinite(x).all()
        kind.decode(x)

    tried()
    assert worked == set(WISHES)  # else only the refusals were looked at
    assert refused
    assert not refused & {frozenset(wishes) for wishes in (("category",), ("drop",), ("category", "drop"))}
