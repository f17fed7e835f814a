"""Synthetic tables: going on with a fit, limits on what is no number, cells and labels in forms that people give them in."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import engram
from engram.apps import synthesis
from engram.data import coding
from engram.data.columns import Column
from engram.data.renewed import _place, renewed, shape_of
from engram.errors import DataError, UsageError
from engram.models import masked_vae

QUICK: dict[str, Any] = {"random_state": 0, "max_epochs": 2}


def table(n: int = 240, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"x": rng.normal(size=n), "level": rng.choice([1, 2, 3], n), "flag": rng.random(n) < 0.3})
    rows["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    rows["city"] = rng.choice(["Paris", "Rome", "Oslo"], n, p=[0.6, 0.3, 0.1])
    rows["country"] = rows["city"].map({"Paris": "FR", "Rome": "IT", "Oslo": "NO"})
    return rows


def synthesizer(**parameters: Any) -> engram.Synthesizer:
    return engram.Synthesizer(**{"columns": {"level": "category"}, **QUICK, **parameters})


# --- going on ---


def test_a_loaded_synthesizer_goes_on_learning(tmp_path: Path) -> None:
    synthesizer().fit(table()).save(tmp_path / "run")
    again = engram.load(tmp_path / "run").set_params(
        warm_start=True, early_stopping=False
    )  # last weights, not best ones
    before = again.network_.decoder.bias.clone()
    again.fit(table(seed=1))
    assert not before.equal(again.network_.decoder.bias)
    assert len(again.sample(3)) == 3


def test_many_rows_are_learned_without_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "encoder" in synthesizer().fit(table()).network_
    monkeypatch.setattr(coding, "MANY", 100)
    found = synthesizer().fit(table())
    assert set(found.network_) == {"prior", "decoder"}
    found.save(tmp_path / "run")
    again = engram.load(tmp_path / "run").set_params(warm_start=True, early_stopping=False)
    assert again.sample(5, random_state=1).equals(found.sample(5, random_state=1))
    before = [member.body.hidden.clone() for member in again.network_.prior]
    again.fit(table(seed=1))
    assert len(before) == masked_vae.MEMBERS
    assert not any(old.equal(new.body.hidden) for old, new in zip(before, again.network_.prior, strict=True))


def test_values_seen_again_and_again_have_bins_of_their_own_in_large_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "gain": np.where(rng.random(4000) < 0.8, 0, rng.choice(np.arange(1, 21) * 77, 4000)),
            "x": rng.normal(size=4000),
        }
    )

    def bins(**given: Any) -> int:
        found = engram.Synthesizer(max_epochs=1, random_state=0, columns={"x": "number"}, **given).fit(rows)
        return found.coding_.place_of("gain").bins.present

    assert bins() < 15
    monkeypatch.setattr(coding, "MANY", 1000)
    assert bins() == 21
    assert bins(model="gan") < 15  # a GAN does better with fewer


def test_auto_goes_on_after_it_tried_a_gan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "GOOD", 0.0)
    monkeypatch.setattr(synthesis, "FEWEST", 10)
    found = synthesizer(warm_start=True).fit(table())
    assert set(found.scores_) == {"vae", "gan"}
    before = found.network_.prior.body.hidden.clone()
    found.set_params(early_stopping=False).fit(table(seed=1))
    assert not before.equal(found.network_.prior.body.hidden)
    assert len(found.sample(3)) == 3


# --- limits ---


@pytest.mark.parametrize("rule", ["level <= 2", "city >= 0", "flag >= 0", "day >= 2021", "0 <= day"])
def test_a_limit_on_what_is_no_number_is_refused(rule: str) -> None:
    with pytest.raises(UsageError, match=r"limits numbers, and '\w+' is .*columns={'\w+': 'number'}"):
        synthesizer(constraints=(rule,)).fit(table())


# --- given cells ---


def test_whole_categories_are_found_beside_holes_and_as_floats() -> None:
    rows = table().astype({"level": object})
    rows.loc[::7, "level"] = None
    found = synthesizer().fit(rows)
    assert found.sample(2, given={"level": [1, None]})["level"].tolist()[0] == 1
    assert found.sample(2, given={"level": [1, None]})["level"].isna().tolist() == [False, True]
    assert found.sample(2, given={"level": 2.0})["level"].tolist() == [2, 2]


@pytest.mark.parametrize("moment", ["2020-05-05 12:00:00", pd.Timestamp("2020-05-05 12:00:00"), "2020-05-05 16:00:00Z"])
def test_a_given_moment_is_wall_time_of_the_zone_unless_it_says_its_offset(moment: Any) -> None:
    rng = np.random.default_rng(0)
    hours = pd.to_timedelta(rng.integers(0, 9000, 240), unit="h")
    rows = pd.DataFrame({"t": (pd.Timestamp("2020-01-01") + hours).tz_localize("UTC").tz_convert("US/Eastern")})
    found = synthesizer(columns=None).fit(rows.assign(x=rng.normal(size=240)))
    assert found.sample(2, given={"t": moment})["t"].eq(pd.Timestamp("2020-05-05 12:00:00", tz="US/Eastern")).all()


@pytest.mark.parametrize("name", ["float[pyarrow]", "date32[day][pyarrow]", "duration[s][pyarrow]", "decimal"])
def test_columns_of_arrow_are_learned_saved_explained_and_drawn(name: str, tmp_path: Path) -> None:
    rows = table()[["x", "day"]]
    dtype: Any = pd.ArrowDtype(pa.decimal128(10, 2)) if name == "decimal" else name
    cells = {"date32[day][pyarrow]": rows["day"], "duration[s][pyarrow]": rows["day"] - rows["day"].min()}
    rows["day"] = cells.get(name, (rows["x"] * 100).round(2)).astype(dtype)
    drawn = synthesizer(columns=None).fit(rows).sample(20, random_state=0)
    assert drawn["day"].dtype == rows["day"].dtype
    assert drawn["day"].between(rows["day"].min(), rows["day"].max()).all()
    detector = engram.AnomalyDetector(**QUICK).fit(rows)
    assert len(detector.explain(rows[:5])) > 0
    detector.save(tmp_path / "run")
    np.testing.assert_array_equal(engram.load(tmp_path / "run").score_samples(rows), detector.score_samples(rows))
    rows.to_parquet(tmp_path / "rows.parquet")
    file_scores = engram.AnomalyDetector(**QUICK).fit(tmp_path / "rows.parquet").score_samples(rows)
    assert len(file_scores) == len(rows)


def test_codes_with_leading_zeros_in_a_file_are_drawn_as_they_stand(tmp_path: Path) -> None:
    rows = pd.DataFrame({"zip": np.resize(["01234", "00777", "90210"], 240), "x": np.arange(240.0)})
    rows.to_csv(tmp_path / "zip.csv", index=False)
    found = synthesizer(columns={"zip": "category"}).fit(str(tmp_path / "zip.csv"))
    assert set(found.sample(50)["zip"]) <= set(rows["zip"])
    assert found.sample(1, given={"zip": "01234"})["zip"].tolist() == ["01234"]
    assert found.sample(1, given={"zip": 90210})["zip"].tolist() == ["90210"]
    with pytest.raises(UsageError, match="no category that was kept"):
        found.sample(1, given={"zip": 1234})


def test_a_flag_that_no_row_has_is_told() -> None:
    rows = table().assign(flag=[True if i % 3 else None for i in range(240)])
    found = synthesizer(columns={"flag": "boolean"}).fit(rows)
    assert found.sample(2, given={"flag": True})["flag"].tolist() == [True, True]
    with pytest.raises(UsageError, match=r"given\['flag'\] = False .*no row at fit has"):
        found.sample(2, given={"flag": False})


DTYPES = {
    "whole": pd.array([1, None, 3, 4] * 75, dtype="Int64"),
    "flag": pd.array([True, None, False, True] * 75, dtype="boolean"),
    "arrow": pd.array([1, None, 3, 4] * 75, dtype="int64[pyarrow]"),
    "arrow flag": pd.array([True, None, False, True] * 75, dtype="bool[pyarrow]"),
    "sort": pd.Categorical(["a", None, "b", "b"] * 75, ["b", "a"], ordered=True),
    "one sort": pd.Categorical(["one"] * 300, ["one", "two"]),
    "one small": np.full(300, 3, dtype="int8"),
    "one flag": np.full(300, True),
    "one text": pd.array(["web"] * 300, dtype="string"),
}


def test_given_and_missing_cells_keep_the_dtype_of_their_column() -> None:
    rows = pd.DataFrame({**DTYPES, "x": np.random.default_rng(0).normal(size=300)})
    found = engram.Synthesizer(**QUICK).fit(rows)
    for name in ("whole", "flag", "arrow", "arrow flag", "sort", "one text"):
        drawn = found.sample(5, given={name: None}, random_state=0)
        assert drawn[name].isna().all()
        assert dict(drawn.dtypes) == dict(rows.dtypes), name
    cells = {"one sort": "two", "one small": 4, "one flag": False, "one text": "shop"}
    drawn = found.sample(5, given=cells, random_state=0)
    assert dict(drawn.dtypes) == dict(rows.dtypes)
    assert drawn[list(cells)].drop_duplicates().iloc[0].to_dict() == cells
    assert {str(found.sample(1, random_state=i)["whole"].dtype) for i in range(12)} == {"Int64"}


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("one small", [300, 3]),
        ("one small", [None, None]),
        ("one flag", ["perhaps", None]),
        ("one sort", ["three", "one"]),
        ("one text", [3, "web"]),
    ],
)
def test_given_cells_that_the_dtype_cannot_hold_are_written_as_they_are(name: str, cells: list[Any]) -> None:
    rows = pd.DataFrame({name: DTYPES[name], "x": np.random.default_rng(0).normal(size=300)})
    drawn = engram.Synthesizer(**QUICK).fit(rows).sample(2, given={name: cells})[name]
    assert [None if pd.isna(cell) else cell for cell in drawn] == cells


def rounded(n: int = 300) -> pd.DataFrame:
    """Numbers and dates of which not every one is a cell: whole, in steps of 5, written with two decimals, days, months."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 1000, n)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 400, n), unit="D")
    return pd.DataFrame(
        {
            "int": whole,
            "big": whole + 10**12,
            "arrow": pd.array(whole, dtype="int64[pyarrow]"),
            "holes": np.where(rng.random(n) < 0.2, None, whole),
            "step": whole // 5 * 5,
            "price": [f"{cell:.2f} EUR" for cell in rng.lognormal(3, 1, n)],
            "float": rng.normal(size=n).astype(np.float32),
            "day": days,
            "month": days.to_period("M").to_timestamp(),
        }
    ).astype({"holes": "Int64"})


@pytest.fixture(scope="module")
def of_rounded() -> engram.Synthesizer:
    return engram.Synthesizer(**QUICK).fit(rounded())


@pytest.mark.parametrize(
    ("name", "cell", "near"),
    [
        ("int", 500.5, "500"),
        ("big", 1000000000500.25, "1000000000500"),
        ("arrow", 500.5, "500"),
        ("holes", 20.75, "21"),
        ("price", "20.123 EUR", "20.12 EUR"),
        ("day", pd.Timestamp("2020-05-01 07:00"), "2020-05-01"),
        ("month", pd.Timestamp("2020-05-03"), "2020-05-01"),
    ],
)
def test_given_cells_that_would_be_rounded_are_refused(
    of_rounded: engram.Synthesizer, name: str, cell: Any, near: str
) -> None:
    with pytest.raises(UsageError, match=rf"given\['{name}'\] = .*cannot have; the nearest is {near}"):
        of_rounded.sample(2, given={name: cell})


def test_given_cells_come_back_as_they_are(of_rounded: engram.Synthesizer) -> None:
    """Also those that no row has, between steps of five, and every cell that a row has."""
    assert of_rounded.sample(2, given={"step": 7, "int": 500.0, "float": 0.1}, random_state=0)["step"].tolist() == [
        7,
        7,
    ]
    rows = rounded()
    drawn = of_rounded.sample(300, given=rows, random_state=0)
    pd.testing.assert_frame_equal(drawn, rows)


def test_given_dates_may_be_written_as_iso_has_them_and_messages_name_plain_cells() -> None:
    moments = pd.Timestamp("2024-03-27 03:52") + pd.to_timedelta(np.arange(60) * 97, unit="min")
    rows = pd.DataFrame({"at": moments.strftime("%d.%m.%Y %H:%M"), "qty": np.arange(60)})
    found = engram.Synthesizer(**QUICK).fit(rows)
    assert found.sample(1, given={"at": "28.03.2024 04:05"})["at"].tolist() == ["28.03.2024 04:05"]
    given = ["2024-03-28", "2024-03-28 04:05", pd.Timestamp("2024-03-28T04:05:00")]
    assert found.sample(3, given={"at": given})["at"].tolist() == ["28.03.2024 00:00", *["28.03.2024 04:05"] * 2]
    with pytest.raises(
        UsageError, match=r"takes a date like 27\.03\.2024 03:52 or 2024-12-31, and '03/28/2024' is none"
    ):
        found.sample(1, given={"at": "03/28/2024"})
    with pytest.raises(UsageError, match=r"given\['qty'\] = 99 is outside"):
        found.sample(1, given={"qty": np.int64(99)})


def test_given_columns_of_one_name_are_refused(of_rounded: engram.Synthesizer) -> None:
    for given in (pd.DataFrame([[1, 2]], columns=["int", "int"]), {"1": 1, 1: 2}):
        with pytest.raises(UsageError, match=r"given= has two columns that are called '(int|1)'"):
            of_rounded.sample(1, given=given)


# --- classes ---


@pytest.mark.usefixtures("few_trees")
def test_classes_in_a_combination_are_balanced_too() -> None:
    rows = table(400)
    found = synthesizer(constraints=("city & country",), model="vae").augment(rows, "city")
    assert found.y.value_counts().nunique() == 1
    assert set(zip(found.y, found.X["country"], strict=True)) == {("Paris", "FR"), ("Rome", "IT"), ("Oslo", "NO")}


@pytest.mark.usefixtures("few_trees")
def test_rows_without_a_label_are_left_out_wherever_labels_stand_and_told() -> None:
    rows = table()[["x", "flag"]]
    labels = [None, *(["a"] * 180), *(["b"] * 59)]
    beside = engram.Synthesizer(**QUICK).augment(rows, labels)
    inside = engram.Synthesizer(**QUICK).augment(rows.assign(label=labels), "label")
    assert beside.y.value_counts().to_dict() == {"a": 180, "b": 180}
    pd.testing.assert_frame_equal(beside.X, inside.X)
    for found in (beside, inside):
        assert found.advice.endswith(". Rows without a label are left out: 1 of 240")
    whole = engram.Synthesizer(**QUICK).augment(rows[1:], labels[1:])
    assert "without a label" not in whole.advice
    with pytest.raises(DataError, match="one label per row"):
        engram.Synthesizer(**QUICK).augment(rows, np.zeros((240, 2)))


def test_classes_too_rare_to_be_kept_in_the_rows_that_are_learned_from_are_told() -> None:
    with pytest.raises(DataError, match="10 rows"):
        engram.Synthesizer(min_count=10, **QUICK).augment(table()[["x"]].iloc[:17], ["a"] * 9 + ["b"] * 8)


# --- keys, metrics ---


def test_the_shape_of_a_key_is_the_same_in_every_process() -> None:
    """Of as many digits as letters the first sort counts, not the one that a hash puts first."""
    found = [_place(np.array(list(letters)), 5) for letters in ("1A", "1a", "Aa", "1Aa", "2b-")]
    assert found == ["9", "9", "A", "9", "9"]


def renewed_key(keys: list[str], name: str = "key") -> engram.Synthesizer:
    x = np.random.default_rng(1).normal(size=len(keys))
    return engram.Synthesizer(max_epochs=1, random_state=0).fit(pd.DataFrame({name: keys, "x": x}))


RANDOM = np.random.default_rng(0)
SCATTERED = RANDOM.permutation(90_000)
LETTERS = ["".join(row) for row in RANDOM.choice(list("abcdefgh"), (400, 5))]


@pytest.mark.parametrize(
    ("keys", "form"),
    [
        ([f"ORD-{i:05d}" for i in range(1, 401)], r"ORD-[1-9]00\d{3}"),
        ([f"C{i}/24" for i in SCATTERED[:500] + 10_000], r"C[1-9]\d{5}/24"),
        ([f"K{i}" for i in range(1, 1201)], r"K[1-9]\d{4}"),
        ([f"key {i}" for i in range(1, 401)], r"key [1-9]\d{3}"),
        ([f"{i:05d}" for i in SCATTERED[:400]], r"[1-9]\d{5}"),
        (list(dict.fromkeys(LETTERS)), r"[a-z]{6}"),
    ],
    ids=["dense", "scattered", "several lengths", "by name", "digits", "letters"],
)
def test_a_short_key_is_longer_than_those_at_fit_whatever_the_number_of_rows(
    keys: list[str], form: str, tmp_path: Path
) -> None:
    found = renewed_key(keys)
    for n in (1, 10, 100, 1500):
        drawn = found.sample(n, random_state=n)["key"]
        assert drawn.is_unique
        assert drawn.str.fullmatch(form).all(), drawn.iloc[0]
        assert not set(drawn) & set(keys)
    found.save(tmp_path / "run")
    assert engram.load(tmp_path / "run").sample(9, random_state=1).equals(found.sample(9, random_state=1))


def test_longer_keys_are_enough_for_any_number_of_rows() -> None:
    drawn = renewed_key([f"K{i:02d}" for i in range(90)]).sample(20_000, random_state=0)["key"]
    assert drawn.is_unique
    assert drawn.str.fullmatch(r"K[1-9]\d{4}").all()


@pytest.mark.parametrize(
    ("keys", "form"),
    [
        ([str(uuid.UUID(bytes=RANDOM.bytes(16), version=4)) for _ in range(300)], ".{36}"),
        (["".join(row) for row in RANDOM.choice(list("0123456789"), (300, 40))], r"\d{40}"),
        (["".join(row) for row in RANDOM.choice(list("0123456789"), (300, 19))], r"\d{19}"),
        (["".join(row) for row in RANDOM.choice(list("abcdefgh"), (300, 24))], "[a-z]{24}"),
    ],
    ids=["uuid", "40 digits", "19 digits", "24 letters"],
)
def test_a_long_key_keeps_its_length(keys: list[str], form: str) -> None:
    """Products of such rooms do not fit 64 bits, and overflowed to keys such as "key 1"."""
    drawn = renewed_key(keys).sample(50, random_state=0)["key"]
    assert drawn.str.fullmatch(form).all(), drawn.iloc[0]
    assert not set(drawn) & set(keys)


def test_names_with_numbers_begin_above_those_at_fit() -> None:
    """Keys of more letters than a shape is kept of, and free texts."""
    long = "k" * 41
    for name, texts in (
        (long, [f"{long} {i}" for i in range(1, 301)]),
        ("a note of a few more words", [f"a note of a few more words {i}" for i in range(1, 301)]),
    ):
        drawn = renewed_key(texts, name).sample(300, random_state=0)[name]
        assert drawn.tolist() == [f"{name} {i}" for i in range(1000, 1300)]


def test_keys_of_a_run_saved_by_an_earlier_version_are_made_up_too() -> None:
    column = Column("key", "key", "object")
    made = renewed(column, {"start": 0, "shape": ["=K", "9", "9"]}, 50, 40, np.random.default_rng(0))
    assert made.str.fullmatch(r"K[1-9]\d{2}").all()
    assert renewed(column, {"start": 0, "shape": []}, 2, 40, np.random.default_rng(0)).tolist() == ["key 1", "key 2"]


def test_metrics_that_a_synthesizer_is_not_judged_by_are_refused() -> None:
    found = synthesizer().fit(table())
    with pytest.raises(UsageError, match="metrics="):
        engram.evaluate(found, table(seed=1), metrics="frechet")


@pytest.mark.parametrize(
    ("low", "high", "dtype"), [(10**18, 2**63 - 1, "int64"), (1, 2**63 - 1, "int64"), (10**19, 2**64 - 1, "uint64")]
)
def test_new_keys_of_64_bits_are_none_of_those_at_fit(low: int, high: int, dtype: str) -> None:
    keys = np.random.default_rng(0).integers(low, high, 300, dtype=dtype, endpoint=True)
    keys[:2] = low, high
    X = pd.DataFrame({"id": keys, "v": np.random.default_rng(1).normal(size=300)})
    drawn = engram.Synthesizer(max_epochs=1, random_state=0).fit(X).sample(400)["id"]
    assert drawn.is_unique
    assert not set(map(int, drawn)) & set(map(int, keys))


@pytest.mark.parametrize(("low", "digits"), [(2**60, 19), (10**18, 18), (10**18 + 2 * 10**6, 18), (2**40, 14), (9, 3)])
def test_new_keys_have_as_many_digits_where_there_is_room(low: int, digits: int) -> None:
    shape = shape_of(Column("id", "key", "int64"), pd.Series(low + np.arange(90)), 5)
    assert len(str(shape["start"])) == digits


def test_a_given_whole_number_that_a_float_does_not_hold_is_an_error() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"v": 2**54 + 1024 * rng.integers(0, 200, 100), "x": rng.normal(size=100)})
    model = engram.Synthesizer(max_epochs=1, random_state=0, columns={"v": "number"}).fit(X)
    assert model.sample(1, given={"v": X["v"][0]})["v"][0] == X["v"][0]
    with pytest.raises(UsageError, match="cannot have; the nearest is"):
        model.sample(1, given={"v": int(X["v"][0]) + 1})


def test_rows_that_were_learned_from_do_not_pass_for_held_out_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engram.data.rows, "CHECKED_ROWS", (30, 30))  # as if there were many
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    model = engram.Synthesizer(max_epochs=1, early_stopping=False, random_state=0).fit(rows)
    assert model.scores_ == {}
    assert not [finding for finding in model.findings_ if finding.kind == "told-apart"]
