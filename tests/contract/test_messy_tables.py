"""Messy tables: dates, texts that are numbers, marks for missing, codes, findings, files without a header, and repair."""

from __future__ import annotations

import datetime
import json
import time
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import engram
from engram.data import DataWarning, Table, read
from engram.data.cells import loses_digits
from engram.data.columns import categories_in
from engram.errors import DataError, DataTypeError, UsageError, column_as, with_article
from engram.evaluation.examples import text as shown
from engram.likelihoods import Grouped, Normal

N = 240
rng = np.random.default_rng(0)


def fitted(cells: Any, **wishes: str) -> tuple[Table, pd.DataFrame]:
    """Fit a frame of one column "c" (or a frame) beside a number."""
    frame = (
        cells if isinstance(cells, pd.DataFrame) else pd.DataFrame({"c": cells, "beside": np.arange(len(cells)) * 0.5})
    )
    return Table(columns=wishes).fit(frame), frame


def field(kind: Table, name: str = "c") -> Any:
    return next(c for c in kind.fields if c.name == name)


def back(kind: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """Encode, go through JSON, decode."""
    again = Table.from_dict(json.loads(json.dumps(kind.to_dict(), allow_nan=False)))
    rows = kind.encode(kind.conform(frame))
    assert torch.equal(again.encode(again.conform(frame)).x, rows.x)
    result = kind.decode(rows.x)
    pd.testing.assert_frame_equal(again.decode(rows.x), result)
    return result


def exact(cells: Any, sort: str, **wishes: str) -> Table:
    """Check that a column is found to be of a type and comes back as it was."""
    kind, frame = fitted(cells, **wishes)
    assert field(kind).type == sort
    pd.testing.assert_series_equal(back(kind, frame)["c"], frame["c"])
    return kind


# --- dates ---

DAYS = pd.date_range("2019-11-20", periods=N, freq="3D")
MOMENTS = pd.Series(DAYS + pd.to_timedelta(rng.integers(0, 86_400, N), "s"))
DTYPES: dict[str, Any] = {
    "days": pd.Series(DAYS),
    "seconds": MOMENTS,
    "hours": MOMENTS.dt.round("h"),
    "nanoseconds": MOMENTS.astype("datetime64[ns]"),
    "a zone": MOMENTS.dt.tz_localize("UTC").dt.tz_convert("America/New_York"),
    "every day at half past nine": pd.Series(DAYS + pd.Timedelta("09:30:00")),
    "first of months": pd.Series(pd.date_range("2001-01-01", periods=N, freq="MS")),
    "far back": pd.Series(pd.date_range("1500-01-01", periods=N, freq="YE", unit="s")),
}


@pytest.mark.parametrize("name", DTYPES)
def test_dates_come_back_exactly_in_their_dtype(name: str) -> None:
    exact(DTYPES[name], "date")


FORMATS = ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S+02:00", "%d.%m.%Y", "%d/%m/%Y",
           "%m/%d/%Y", "%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M %p", "%d %b %Y", "%b %d, %Y", "%d.%m.%y", "%Y/%m/%d", "%Y-%m"]  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_dates_in_texts_come_back_as_they_were_written(form: str) -> None:
    kind = exact(MOMENTS.dt.strftime(form), "date")
    assert "date from 2019-11" in kind.describe()[0][1]


def test_dates_without_leading_zeros_and_with_thousandths() -> None:
    exact([f"{d.day}.{d.month}.{d.year}" for d in DAYS], "date")
    moments = MOMENTS + pd.to_timedelta(rng.integers(0, 1000, N), "ms")
    exact([f"{m.strftime('%Y-%m-%d %H:%M:%S')}.{m.microsecond // 1000:03d}" for m in moments], "date")


def test_python_dates_as_parquet_gives_them_come_back_as_such() -> None:
    exact([d.date() for d in DAYS], "date")
    exact(pd.Series([d.to_pydatetime() for d in MOMENTS], dtype=object), "date")


def test_day_and_month_in_doubt_stay_texts_with_a_finding_and_can_be_told() -> None:
    texts = [f"{1 + i % 12:02d}/{1 + i // 7 % 12:02d}/2021" for i in range(N)]
    kind, _ = fitted(texts)
    assert field(kind).type == "category"
    assert any("either way (240 cells)" in text and "'date'" in text for text in kind.findings())
    told, frame = fitted(texts, c="date")
    assert field(told).date.format.startswith("%d")
    assert any("read day first" in text for text in told.findings())
    pd.testing.assert_series_equal(back(told, frame)["c"], frame["c"])


def test_whole_numbers_are_dates_when_told() -> None:
    exact([int(d.strftime("%Y%m%d")) for d in DAYS], "date", c="date")
    with pytest.raises(DataError, match="cannot be dates"):
        fitted([1, 2, 3] * 20, c="date")
    with pytest.raises(DataError, match="cannot be dates"):
        fitted(["x", "y", "z"] * 20, c="date")


@pytest.mark.parametrize(
    ("cells", "cycles"),
    [
        (pd.date_range("2024-01-01", periods=N, freq="D"), ["week"]),  # midnights, less than a year
        (pd.date_range("2020-01-01", periods=N, freq="7D"), ["year"]),  # always a Wednesday
        (pd.date_range("2020-01-01", periods=N, freq="171h"), ["year", "week", "day"]),
        (pd.date_range("2024-01-01", periods=N, freq="s"), []),
    ],
)
def test_only_phases_that_vary_are_encoded(cells: Any, cycles: list[str]) -> None:
    kind, frame = fitted(cells)
    assert field(kind).form["date"]["cycles"] == cycles
    assert kind.shape == (2 + 2 * len(cycles),)
    x = kind.encode(kind.conform(frame)).x
    for i in range(len(cycles)):
        assert x[:, 2 + 2 * i : 4 + 2 * i].square().sum(1).numpy() == pytest.approx(1, abs=1e-5)


def test_a_date_is_one_column_for_mask_density_and_volume() -> None:
    kind, frame = fitted(MOMENTS.mask(MOMENTS.index % 3 == 0))
    rows = kind.encode(kind.conform(frame))
    assert kind.columns == ["beside", "c"]
    assert rows.mask.shape == (N, 2)
    assert rows.mask[:, 1].tolist() == frame["c"].notna().tolist()
    assert kind.groups.tolist() == [0, *[1] * 7]
    assert (rows.x[~rows.mask[:, 1], 1:] == 0).all()
    assert kind.log_volume.tolist() == pytest.approx(
        np.log([c.scale for c in (kind.fields[1], kind.fields[0])]).tolist()
    )
    likelihood = kind.likelihood()
    columns = likelihood.log_prob_columns(torch.zeros(N, 8), rows.x, rows.mask)
    assert columns.shape == (N, 2)
    assert (columns[~rows.mask[:, 1], 1] == 0).all()
    assert likelihood.log_prob(torch.zeros(N, 8), rows.x, rows.mask).tolist() == pytest.approx(
        columns.sum(1).tolist(), rel=1e-5
    )


def test_grouped_columns_are_sums_and_all_else_is_the_parts() -> None:
    part, x, output = Normal((5,)), torch.randn(6, 5), torch.randn(6, 5)
    grouped = Grouped(part, [0, 0, 0, 1, 1])
    mask = torch.rand(6, 2) < 0.6
    wide = mask[:, [0, 0, 0, 1, 1]]
    for method in ("log_prob_columns", "score_columns"):
        single = getattr(part, method)(output, x, wide)
        assert torch.allclose(
            getattr(grouped, method)(output, x, mask), torch.stack([single[:, :3].sum(1), single[:, 3:].sum(1)], 1)
        )
    grouped.calibrate(output, x, mask)
    assert torch.equal(grouped.mean(output), output)
    assert grouped.findings() == part.findings()


def test_reconstructed_dates_have_the_phase_that_was_learned() -> None:
    cells = pd.Series(pd.date_range("2020-01-01 12:00", periods=N, freq="29h")).dt.floor("D") + pd.Timedelta("8h")
    cells[::2] += pd.Timedelta("9h")
    frame = pd.DataFrame({"c": cells, "late": [True, False] * (N // 2), "x": rng.normal(size=N)})
    model = engram.create("autoencoder", random_state=0, max_epochs=15, code_size=4).fit(frame)
    assert set(model.reconstruct(frame)["c"].dt.hour) <= set(range(6, 20))
    assert np.isfinite(model.score_samples(frame)).all()


# --- numbers in texts ---

AMOUNTS = np.round(rng.lognormal(6, 1, N) * rng.choice([-1, 1], N), 2)
STYLES: dict[str, list[str]] = {
    "dollars": [f"{'-' if a < 0 else ''}${abs(a):,.2f}" for a in AMOUNTS],
    "brackets": [f"({abs(a):,.2f})" if a < 0 else f"{a:,.2f}" for a in AMOUNTS],
    "inside": [f"${a:,.2f}" for a in AMOUNTS],
    "euro": [f"{a:,.2f} €".translate({44: ".", 46: ","}) for a in AMOUNTS],
    "francs": [f"CHF {a:,.2f}".replace(",", "'") for a in AMOUNTS],
    "percent": [f"{a} %" for a in rng.integers(0, 100, N)],
    "percent without space": [f"{a:.1f}%" for a in rng.random(N) * 100],
    "thousands": [f"{a:,}" for a in rng.integers(0, 10**6, N)],
    "decimal comma": [f"{a:.3f}".replace(".", ",") for a in rng.normal(size=N)],
    "plain": [f"{a:.4f}" for a in rng.normal(size=N)],
}


def test_flags_are_shown_as_flags_where_they_are_not_written_in_numbers() -> None:
    frame = pd.DataFrame(
        {"own": [True, False, True, False] * 5, "texts": ["no", "yes", None, "yes"] * 5, "numbers": [0, 1, 1, 0] * 5}
    )
    kind = Table().fit(frame)
    found = kind.typed(kind.conform(frame))
    assert {str(found[name].dtype) for name in ("own", "texts")} == {"boolean"}
    assert found["texts"].isna().sum() == 5
    assert [shown(found[name].iloc[1]) for name in found] == ["no", "yes", "1"]


@pytest.mark.parametrize("name", STYLES)
def test_numbers_come_back_in_the_style_they_were_written_in(name: str) -> None:
    kind = exact(STYLES[name], "number")
    assert abs(field(kind).low) < 1e7


def test_the_values_of_styles() -> None:
    for text, value in {"$1,234.50": 1234.5, "-$2.00": -2, "($3.10)": -3.1, "$1,000,000.25": 1000000.25}.items():
        kind, _ = fitted([*STYLES["dollars"], text])
        assert kind.typed(pd.DataFrame({"c": [text]}))["c"].tolist() == [value]
    kind, _ = fitted(STYLES["euro"])
    assert kind.typed(pd.DataFrame({"c": ["1.234,50 €", "-7,25 €"]}))["c"].tolist() == [1234.5, -7.25]


@pytest.mark.parametrize(
    "cells",
    [
        [f"A{i % 9}" for i in range(N)],
        [f"{i % 40:05d}" for i in range(N)],  # zip codes keep their zeros
        [f"{i % 4}" for i in range(N)],  # few whole numbers that somebody turned into texts
        [["red", "1", "2", "blue"][i % 4] for i in range(N)],
        [f"1.{i % 9}.2" for i in range(N)],
    ],
)
def test_texts_that_are_no_numbers_stay_categories(cells: list[str]) -> None:
    exact(cells, "category")


@pytest.mark.parametrize("mark", ["?", "n/a", "-", "unknown", "", "NULL", " N/A "])
def test_marks_for_missing_among_numbers_are_missing_and_counted(mark: str) -> None:
    cells = [mark if i % 4 == 0 else f"{i / 8}" for i in range(N)]
    kind, frame = fitted(cells)
    rows = kind.encode(kind.conform(frame))
    assert field(kind).type == "number"
    assert field(kind).missing == N // 4
    assert rows.mask[:, kind.columns.index("c")].tolist() == [i % 4 > 0 for i in range(N)]
    assert [n for note, n in rows.notes.items() if "mark for missing" in note] == [N // 4]


@pytest.mark.parametrize(("every", "sort"), [(40, "number"), (5, "category")])
def test_a_few_stray_texts_among_numbers_are_missing_with_examples(every: int, sort: str) -> None:
    cells = [f"see note {i % 3}" if i % every == 0 else f"{i % 31 + 0.5}" for i in range(N)]
    kind, frame = fitted(cells)
    assert field(kind).type == sort
    rows = kind.encode(kind.conform(frame))
    notes = [(note, n) for note, n in rows.notes.items() if "no numbers" in note]
    assert not notes if sort == "category" else (notes[0][1] == N // every and "'see note 0'" in notes[0][0])
    assert "see note" not in json.dumps(kind.to_dict()) or sort == "category"


def test_numbers_and_texts_mixed_as_objects() -> None:
    kind, frame = fitted(pd.Series([1.5, 2, "?", 4, "n/a", 8] * 40, dtype=object))
    assert field(kind).type == "number"
    assert back(kind, frame)["c"][:2].tolist() == pytest.approx([1.5, 2])
    exact_decimals, _ = fitted(pd.Series([Decimal("1.5"), Decimal("2.5"), Decimal(4)] * 40, dtype=object))
    assert field(exact_decimals).type == "number"


def test_a_column_of_plain_numbers_takes_marks_later_and_refuses_texts() -> None:
    kind, _ = fitted(np.arange(40.0))
    rows = kind.encode(kind.conform(pd.DataFrame({"c": ["1.5", "?"], "beside": [1, 2]})))
    assert rows.mask[:, 0].tolist() == [True, False]
    with pytest.raises(DataError, match="row 1 has 'abc'"):
        kind.encode(kind.conform(pd.DataFrame({"c": ["1.5", "abc"], "beside": [1, 2]})))


# --- flags, codes, keys, categories ---


@pytest.mark.parametrize("words", [("yes", "no"), ("True", "False"), ("Y", "N"), ("on", "off")])
def test_flags_in_words_come_back_in_words(words: tuple[str, str]) -> None:
    exact([words[i % 3 > 0] for i in range(N)], "boolean")
    holes, frame = fitted([[*words, None, "?"][i % 4] for i in range(N)])
    assert holes.encode(holes.conform(frame)).mask[:4, 1].tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "cells",
    [
        pd.array([1, 2, 3, 60] * 60, dtype="Int64"),
        pd.array([True, False, True] * 80, dtype="boolean"),
        pd.array(["a", "b", "c"] * 80, dtype="string"),
        pd.Categorical(["low", "high", "mid"] * 80, ["low", "mid", "high", "never"], ordered=True),
        pd.array([1.5, 2.5, 4.0] * 80, dtype="Float64"),
        np.array([0, 1, 255] * 80, dtype=np.uint8),
    ],
    ids=lambda cells: str(cells.dtype),
)
def test_every_dtype_comes_back_exactly(cells: Any) -> None:
    kind, frame = fitted(cells)
    pd.testing.assert_series_equal(back(kind, frame)["c"], frame["c"], atol=1e-5)


def test_durations_are_numbers_and_come_back_as_durations() -> None:
    kind, frame = fitted(pd.Series(pd.to_timedelta(np.arange(N) * 90, "s")))
    result = back(kind, frame)["c"]
    assert result.dtype == frame["c"].dtype
    assert (result - frame["c"]).abs().max() < pd.Timedelta("10ms")


def test_whole_numbers_that_only_name_are_categories_and_ids_are_dropped() -> None:
    frame = pd.DataFrame(
        {
            "zip_code": rng.choice([4051, 8001, 3011], N),
            "productType": rng.integers(0, 6, N),
            "size": rng.integers(0, 6, N),
        }
    )
    frame["customerID"] = np.arange(N) + 10_000
    frame["huge"] = rng.integers(2**60, 2**61, N)
    frame["shop"] = rng.choice([2**60 + 1, 2**60 + 3], N)
    frame["wide"], frame["id"] = np.arange(N), 7
    kind = Table().fit(frame)
    assert {c.name: c.type for c in kind.fields} == {
        "zip_code": "category", "productType": "category", "size": "number", "customerID": "key", "huge": "key",
        "shop": "category", "wide": "number", "id": "constant",
    }  # fmt: skip
    result = back(kind, frame)
    assert (result["shop"] == frame["shop"]).all()
    assert (result["zip_code"] == frame["zip_code"]).all()
    assert any("'customerID'" in text for text in kind.findings())


@pytest.mark.parametrize("sort", ["int64", "Int64", "object"])
def test_whole_numbers_too_large_for_floats_are_names_and_no_numbers(sort: str) -> None:
    cells = 2**60 + np.random.default_rng(0).integers(0, 50, 200)
    kind, frame = fitted(pd.Series(cells, dtype=sort))
    assert field(kind).type == "category"
    assert back(kind, frame)["c"].tolist() == cells.tolist()
    assert field(fitted(pd.Series(2**60 + np.arange(200), dtype=sort))[0]).type == "key"
    for n, found in ((12, "category"), (20, "category"), (21, "key")):  # as of texts
        assert field(fitted(pd.Series(2**60 + np.arange(n), dtype=sort))[0]).type == found
        assert field(fitted([f"shop {i}" for i in range(n)])[0]).type == found
    for given in (frame, frame.astype(str)):
        with pytest.raises(
            DataError, match=r"beyond 2\*\*53, of which a float64 loses the last digits \(11529215046068"
        ):
            Table(columns={"c": "number"}).fit(given)
    for large in (10**400, 10**5000):  # beyond any float, and beyond what Python writes as a text
        with pytest.raises(DataError, match="larger than any float64"):
            Table(columns={"c": "number"}).fit(pd.DataFrame({"c": [large + i for i in range(30)], "d": range(30)}))
    texts = ("--" + "9" * 20, "+" + "9" * 20, "9" * 5000, "0" * 5000)
    assert [loses_digits(text) for text in texts] == [False, True, True, False]
    assert field(fitted(frame["c"].astype(float) + 2**62)[0]).type in (
        "number",
        "constant",
    )  # floats have lost them already


def test_few_whole_numbers_are_numbers_with_a_suggestion() -> None:
    kind, _ = fitted(rng.integers(1, 5, 1000))
    assert field(kind).type == "number"
    assert any("columns={'c': 'category'} (--column c=category)" in text for text in kind.findings())
    assert column_as("a b", "drop") == "columns={'a b': 'drop'} (--drop 'a b')"
    assert column_as("a b", "date") == "columns={'a b': 'date'} (--column 'a b=date')"


def test_thousands_of_categories_are_fast_and_the_rest_is_missing_and_counted() -> None:
    numbers = np.minimum(rng.zipf(1.3, 20_000), 5000)
    kind, frame = fitted([f"shop {i}" for i in numbers])
    began = time.process_time()
    rows = kind.encode(kind.conform(frame))
    assert time.process_time() - began < 3
    assert field(kind).width == 1000
    assert "more count as missing" in kind.describe()[0][1]
    ((note, n),) = rows.notes.items()
    assert "beyond the 1,000 most frequent" in note
    assert n == int((~rows.mask[:, kind.columns.index("c")]).sum()) > 0


def test_free_texts_are_dropped_with_a_finding() -> None:
    words = ["the", "tap", "in", "room", "drips", "when", "doors", "slam", "shut", "at", "night"]
    kind, _ = fitted([" ".join(rng.choice(words, 9)) + f" {i}" for i in range(N)])
    assert field(kind).type == "text"
    assert "column 'c' is free text, ignored" in kind.findings()


def test_intervals_periods_and_odd_cells() -> None:
    exact_bins, frame = fitted(pd.cut(rng.random(N), 4))
    assert field(exact_bins).type == "category"
    assert back(exact_bins, frame)["c"].astype(str).tolist() == frame["c"].astype(str).tolist()
    periods, frame = fitted(pd.Series(pd.period_range("2001-01", periods=N, freq="M")))
    assert (back(periods, frame)["c"] == frame["c"]).all()
    with pytest.raises(DataTypeError, match=r"row 3.*'list'"):
        fitted(pd.Series(["a", "b", 1, ["x"]] * 9, dtype=object))
    with pytest.raises(UsageError, match="'category'"):
        fitted([1, 2, 3], c="catgory")


# --- names ---

NAMES = ["<script>alert(1)</script>", "", "two\nlines", "東京", " ", '"quoted", too', "$x^2$", 7, 2.5,
         datetime.date(2024, 1, 1), ("a", "b"), None]  # fmt: skip


def test_any_name_works_from_fit_to_repair_and_back(tmp_path: Path) -> None:
    frame = pd.DataFrame(rng.normal(size=(60, len(NAMES))), columns=pd.Index(NAMES, dtype=object, tupleize_cols=False))
    frame.iloc[::7, 0] = np.nan
    model = engram.create("vae", random_state=0, max_epochs=2, code_size=2).fit(frame)
    model.save(tmp_path / "saved")
    again = engram.load(tmp_path / "saved")
    pd.testing.assert_frame_equal(again.impute(frame), model.impute(frame))
    assert list(model.reconstruct(frame).columns) == NAMES


def test_columns_on_two_levels_come_back() -> None:
    frame = pd.DataFrame(rng.normal(size=(30, 2)), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]))
    assert back(Table().fit(frame), frame).columns.equals(frame.columns)


# --- findings ---


def test_columns_that_depend_on_each_other_are_findings() -> None:
    city = rng.choice(["Basel", "Bern", "Chur", "Genf"], 1000)
    frame = pd.DataFrame({"city": city, "x": rng.normal(size=1000)})
    frame["copy"] = frame["x"]
    frame["fahrenheit"] = frame["x"] * 1.8 + 32
    frame["short"] = frame["city"].str[:2]  # Ba, Be, Ch, Ge: the same in other words
    frame["french"] = frame["city"].isin(["Genf"])
    frame["chance"] = rng.random(1000) < 0.5
    frame["hole"] = np.where(np.arange(1000) % 20, np.nan, rng.normal(size=1000))
    told = " | ".join(Table().fit(frame).findings())
    assert "'copy' is a copy of column 'x'" in told
    assert "'fahrenheit' is a multiple of column 'x'" in told
    assert "'city' and 'short' say the same" in told
    assert "'french' follows from column 'city'" in told
    assert "'hole' is missing in more than 90%" in told
    assert "chance" not in told


@pytest.mark.parametrize("form", ["frame", "texts", "array"])
def test_a_few_wild_values_that_set_the_scale_of_a_column_are_a_finding(form: str) -> None:
    x = np.random.default_rng(0).normal(50, 8, size=(600, 2)).round(2)

    def told(x: np.ndarray) -> list[str]:
        frame = pd.DataFrame(x, columns=["ordinary", "wild"])
        given: Any = {"frame": frame, "texts": frame.map(lambda v: f"€ {v:.2f}"), "array": x}[form]
        return [text for text in Table().fit(given).findings() if "scale" in text]

    assert told(x) == []
    assert told(np.where(np.arange(1200).reshape(600, 2) == 601, 120.0, x)) == []  # far, yet of this scale
    x[300:303, 1] = 999_999
    (text,) = told(x)
    assert text.startswith("column 1: half" if form == "array" else "column 'wild': half")
    assert "such as 999999, set its scale" in text
    assert "lognormal" in text


def test_categories_in_several_spellings_are_a_finding() -> None:
    frame = pd.DataFrame({"dept": ["Shoes", "shoes ", "Hats"] * 20, "paid": ["yes", "Yes", "no", "NO", "no"] * 12})
    told = [
        text for text in Table().fit(frame.assign(fine=["a", "b", "c "] * 20)).findings() if "spaces around" in text
    ]
    assert [text.partition(" are learned")[0] for text in told] == [
        "column 'dept': 'Shoes' and 'shoes '",
        "column 'paid': 'NO' and 'no' (and 1 more such values)",
    ]


@pytest.mark.parametrize("share", [0.08, 0.26])
def test_a_second_mode_is_a_part_of_a_column_and_no_wild_value(share: float) -> None:
    r = np.random.default_rng(0)
    x = np.where(r.random(2000) < share, r.uniform(500, 1000, 2000), r.normal(20, 0.2, 2000))
    assert not [text for text in Table().fit(np.column_stack([x, r.normal(size=2000)])).findings() if "scale" in text]


@pytest.mark.parametrize("wild", [9.7e306, 1.7e308])
def test_wild_values_at_the_end_of_floats_are_looked_at_without_an_overflow(wild: float) -> None:
    x = np.random.default_rng(0).normal(size=(400, 2))
    x[0, 0], x[1, 0] = wild, -wild
    for rows in (x, x[2:, :1] * (wild / 8), np.array([[0.0], [wild]])):
        assert Table().fit(rows).columns


def test_a_column_whose_seen_cells_are_not_among_the_rows_looked_at_has_no_wild_values() -> None:
    x = np.full((50_000, 2), np.nan)
    x[:, 1] = np.random.default_rng(0).normal(size=50_000)
    x[1:400:2, 0] = np.random.default_rng(0).normal(size=200)  # no row that is looked at
    x[7, 0] = 1e7
    Table().fit(x)


def test_copies_in_an_array_are_findings_and_many_ignored_columns_are_one() -> None:
    X = rng.normal(size=(50, 3))[:, [0, 1, 0, 2]]
    assert [text for text in Table().fit(X).findings() if "column 2 is a copy of column 0" in text]
    wide = Table().fit(np.column_stack([X, np.zeros((50, 30))]))
    (constants,) = [text for text in wide.findings() if "constant" in text]
    assert constants.startswith("30 columns are constant")
    assert "22 more" in constants
    assert Table.from_dict(wide.to_dict()).findings() == wide.findings()


# --- wide ---


def test_ten_thousand_columns_fit_in_seconds() -> None:
    wide = pd.DataFrame(rng.normal(size=(200, 10_000))).rename(columns=lambda i: f"c{i}")
    wide = pd.concat(
        [wide.iloc[:, 200:], pd.DataFrame({f"c{i}": rng.choice(["a", "b"], 200) for i in range(200)})], axis=1
    )
    began = time.process_time()
    kind = Table().fit(wide)
    x = kind.encode(kind.conform(wide)).x
    kind.decode(x)
    assert x.shape == (200, 10_200)
    assert time.process_time() - began < 10


# --- files ---


def written(path: Path, text: str) -> pd.DataFrame:
    file = path / "some.csv"
    file.write_text(text)
    return read(file).rows


BELOW = "39, State-gov, 13, 0, 0, ?\n50, Private, 13, 0, 0, M\n38, Private, 9, 0, 5, F\n" * 9


def test_a_file_without_a_header_gets_names_and_a_note(tmp_path: Path) -> None:
    with pytest.warns(DataWarning, match=r"column0, column1|'\?'") as notes:
        rows = written(tmp_path, BELOW)
    assert any("column0, column1" in str(note.message) for note in notes)
    assert list(rows.columns) == [f"column{i}" for i in range(6)]
    assert len(rows) == 27
    assert rows["column5"].isna().sum() == 9


@pytest.mark.parametrize("header", ["age,work,grade,gain,loss,sex", "1990,work,1991,1992,1993,sex", "0,1,2,3,4,5",
                                    "a,b,c,1,2,d", "39,x,13,0,0,y"])  # fmt: skip
def test_a_header_is_taken_as_one_unless_every_name_looks_like_its_column(tmp_path: Path, header: str) -> None:
    body = BELOW.replace(", ?", ", M").replace(", 0, 0,", ", 0, 1,")
    if len(set(header.split(","))) < 6:
        with pytest.raises(DataError, match="two columns are called '0'"):
            written(tmp_path, f"{header}\n{body}")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = written(tmp_path, f"{header}\n{body}")
    assert list(rows.columns) == header.split(",")


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("block", [16, 1 << 24])
def test_codes_with_leading_zeros_keep_their_text_wherever_they_stand(
    tmp_path: Path, quote: str, end: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engram.data.codes.BLOCK", block)
    monkeypatch.setattr("engram.data.codes.VALUES", 1)
    lines = [f"{quote}{90000 + i}{quote},{i},0.5,-0.{i},said 07,01.02.2024,00.5" for i in range(3000)]
    lines += [f" {quote}01234{quote} ,,0,-0,x,,1.5"]
    rows = written(tmp_path, end.join(["zip,whole,part,minus,text,day,wide", *lines]))
    assert rows["zip"].tolist() == [*(str(90000 + i) for i in range(3000)), "01234"]
    assert rows.select_dtypes("number").columns.tolist() == ["whole", "part", "minus", "wide"]


@pytest.mark.parametrize("body", ["a;b\n01;2,5\n;0,5\n5;1,0\n", "a\tb\n01\t2.5\n\t.5\n5\t1.0\n",
                                  "\ufeffa,b\n01,2.5\n?,.5\n5,1.0\n"])  # fmt: skip
@pytest.mark.filterwarnings("ignore::engram.data.DataWarning")
def test_codes_beside_missing_cells_keep_their_text(tmp_path: Path, body: str) -> None:
    rows = written(tmp_path, body)
    assert rows["a"].fillna("gone").tolist() == ["01", "gone", "5"]
    assert rows["b"].tolist() == [2.5, 0.5, 1.0]


def test_codes_of_a_file_are_those_of_the_same_frame_of_texts(tmp_path: Path) -> None:
    frame = pd.DataFrame({"zip": rng.choice(["01234", "00777", "90210"], N), "v": rng.normal(size=N)})
    frame.to_csv(tmp_path / "zip.csv", index=False)
    pd.testing.assert_frame_equal(read(tmp_path / "zip.csv").rows, frame)
    kind = Table().fit(read(tmp_path / "zip.csv").rows)
    assert field(kind, "zip").values == ["00777", "01234", "90210"]
    told = Table(columns={"zip": "number"}).fit(read(tmp_path / "zip.csv").rows)
    assert (field(told, "zip").low, field(told, "zip").high) == (777.0, 90210.0)


@pytest.mark.parametrize(("cells", "later", "known"), [
    ([4051, 4052], ["4052", "D-123", " 4051", "4051.0", "04051"], [1, -1, 0, 0, -1]),
    (["04051", "4052"], [4051, 4052, 4052.0, None, 7], [-1, 1, 1, -1, -1]),
    ([1.0, None, 2.5], ["1", "1.0", "2.50", "x", None], [0, 0, 1, -1, -1]),
    (["1", "1.0", "x"], ["1", "1.0", "1.00", 1, 1.0], [0, 1, -1, 0, 0]),
    ([True, False, 3], ["True", "False", "3", "1", "0"], [2, 1, 0, -1, -1]),
])  # fmt: skip
def test_categories_as_numbers_and_as_texts_are_the_same_by_their_text(
    cells: list[Any], later: list[Any], known: list[int]
) -> None:
    frame = pd.DataFrame({"c": pd.Series(cells * 40, dtype=object if None not in cells else None)})
    kind, _ = fitted(frame.assign(beside=np.arange(len(frame)) * 0.5), c="category")
    assert categories_in(field(kind), pd.Series(later, dtype=object), {}).tolist() == known


# --- repair ---


@pytest.fixture(scope="module")
def ugly() -> tuple[pd.DataFrame, pd.DataFrame, Any]:
    """Complete rows, the same with holes, and a model of the latter."""
    n = 300
    whole = pd.DataFrame(
        {"rooms": rng.integers(1, 9, n), "price": rng.lognormal(5, 1, n)}, index=[f"r{i}" for i in range(n)]
    )
    whole["nullable"] = pd.array(rng.integers(0, 50, n), dtype="Int64")
    whole["day"] = pd.date_range("2021-01-01", periods=n, freq="D")
    whole["fee"] = [f"${a:,.2f}" for a in rng.lognormal(7, 1, n)]
    whole["grade"] = pd.Categorical(rng.choice(["low", "mid", "high"], n), ["low", "mid", "high"], ordered=True)
    whole["member"] = rng.choice(["yes", "no"], n)
    whole["city"] = rng.choice(["Bern", "Chur"], n)
    whole["ticket"] = [f"t{i}" for i in range(n)]
    whole["country"] = "CH"
    whole["year"] = 2021
    holes = whole.astype({"rooms": float, "year": float})
    for j, name in enumerate(holes.columns):
        holes.loc[holes.index[j::13], name] = "?" if name in ("fee", "city") else None
    return whole, holes, engram.create("vae", random_state=0, max_epochs=3, code_size=4).fit(holes)


@pytest.mark.filterwarnings("ignore::engram.data.DataWarning")
def test_repair_fills_missing_cells_in_their_dtype_and_leaves_all_others_alone(ugly: Any) -> None:
    _, holes, model = ugly
    before = holes.copy(deep=True)
    repaired = model.impute(holes)
    pd.testing.assert_frame_equal(holes, before)
    assert repaired.index.equals(holes.index)
    assert repaired.dtypes.equals(holes.dtypes)
    for j, name in enumerate(holes.columns):
        hole = np.zeros(len(holes), dtype=bool)
        hole[j::13] = True
        pd.testing.assert_series_equal(repaired[name][~hole], holes[name][~hole], check_exact=True)
        assert repaired[name][hole].isna().all() if name == "ticket" else repaired[name].notna().all()
    assert (repaired["rooms"] == repaired["rooms"].round()).all()
    assert repaired["fee"].str.fullmatch(r"-?\$[\d,]+\.\d\d").all()
    assert set(repaired["member"]) == {"yes", "no"}
    assert set(repaired["city"]) == {"Bern", "Chur"}
    assert (repaired["day"] == repaired["day"].dt.floor("D")).all()
    assert (repaired["country"] == "CH").all()
    assert (repaired["year"] == 2021).all()


@pytest.mark.filterwarnings("ignore::engram.data.DataWarning")
def test_repair_leaves_unseen_categories_and_complete_rows_as_they_are(ugly: Any) -> None:
    whole, holes, model = ugly
    new = holes.iloc[:20].copy()
    new["city"] = ["Oslo", None] * 10
    repaired = model.impute(new)
    assert (repaired["city"][::2] == "Oslo").all()
    assert set(repaired["city"][1::2]) <= {"Bern", "Chur"}
    pd.testing.assert_frame_equal(model.impute(whole), whole, check_exact=True)
    extra = whole.assign(more=np.nan)
    assert model.impute(extra)["more"].isna().all()


def test_repair_of_arrays_keeps_every_number_to_the_bit() -> None:
    X = rng.normal(1e6, 1, size=(80, 4))
    X[:, 3] = 5.0
    X[::5, 1] = np.nan
    X[::7, 3] = np.nan
    model = engram.create("autoencoder", random_state=0, max_epochs=2, code_size=2).fit(X)
    repaired = model.impute(X)
    assert np.array_equal(repaired[~np.isnan(X)], X[~np.isnan(X)])
    assert np.isfinite(repaired).all()
    assert (repaired[:, 3] == 5).all()


def test_messages_agree_in_number_and_article() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=list("abc"))
    model = engram.AnomalyDetector(max_epochs=1, random_state=0).fit(frame)
    with pytest.raises(DataError, match="1 of the columns that AnomalyDetector was fitted on is missing: c"):
        model.score_samples(frame[["a", "b"]])
    with pytest.raises(DataError, match="2 of the columns that AnomalyDetector was fitted on are missing: b, c"):
        model.score_samples(frame[["a"]])
    assert [with_article(name) for name in ("VAE", "AnomalyDetector", "ndarray")] == [
        "a VAE",
        "an AnomalyDetector",
        "an ndarray",
    ]
