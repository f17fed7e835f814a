"""Synthetic tables: going on with a fit, limits on what is no number, cells and labels in forms that people give them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import engram
from engram.apps import synthesis
from engram.data.renewed import _place
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
    monkeypatch.setattr(synthesis, "MANY", 100)
    found = synthesizer().fit(table())
    assert set(found.network_) == {"prior", "decoder"}
    found.save(tmp_path / "run")
    again = engram.load(tmp_path / "run").set_params(warm_start=True, early_stopping=False)
    assert again.sample(5, random_state=1).equals(found.sample(5, random_state=1))
    before = [member.body.hidden.clone() for member in again.network_.prior]
    again.fit(table(seed=1))
    assert len(before) == masked_vae.MEMBERS
    assert not any(old.equal(new.body.hidden) for old, new in zip(before, again.network_.prior, strict=True))


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


# --- classes ---


@pytest.mark.usefixtures("few_trees")
def test_classes_in_a_combination_are_balanced_too() -> None:
    rows = table(400)
    found = synthesizer(constraints=("city & country",), model="vae").augment(rows, "city")
    assert found.y.value_counts().nunique() == 1
    assert set(zip(found.y, found.X["country"], strict=True)) == {("Paris", "FR"), ("Rome", "IT"), ("Oslo", "NO")}


@pytest.mark.usefixtures("few_trees")
def test_rows_without_a_label_are_left_out_wherever_labels_stand() -> None:
    rows = table()[["x", "flag"]]
    labels = [None, *(["a"] * 180), *(["b"] * 59)]
    beside = engram.Synthesizer(**QUICK).augment(rows, labels)
    inside = engram.Synthesizer(**QUICK).augment(rows.assign(label=labels), "label")
    assert beside.y.value_counts().to_dict() == {"a": 180, "b": 180}
    pd.testing.assert_frame_equal(beside.X, inside.X)
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
