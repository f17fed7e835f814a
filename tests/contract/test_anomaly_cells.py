"""AnomalyDetector and single cells: holes and new categories, rare categories, and what is expected in a cell's place."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engram import AnomalyDetector
from engram.data import DataWarning
from engram.evaluation import strange

CLEAN = (True, "auto", False)


def frame(n: int, seed: int, missing: float = 0.0) -> pd.DataFrame:
    """A category, a flag and two numbers that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    flag = rng.choice([True, False], n).astype(object)
    found = pd.DataFrame({"g": rng.choice(["a", "b", "c"], n), "f": flag, "x": rng.normal(size=n)})
    holes = rng.random(found.shape) < missing
    return found.mask(holes).astype({"g": object, "f": object, "x": float}).assign(y=rng.normal(size=n))


@cache
def fitted(clean: Any, missing: float) -> AnomalyDetector:
    return AnomalyDetector(clean=clean, random_state=0, max_epochs=6).fit(frame(1000, 0, missing))


def alerts(model: AnomalyDetector, X: pd.DataFrame) -> float:
    return float((model.pvalues(X) <= 0.05).mean())


@pytest.mark.parametrize("missing", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("clean", CLEAN)
def test_a_hole_in_a_category_or_a_flag_is_as_strange_as_in_a_number(clean: Any, missing: float) -> None:
    model, new = fitted(clean, missing), frame(400, 1)
    whole, number = alerts(model, new), alerts(model, new.assign(x=np.nan))
    for column in ("g", "f"):
        found = alerts(model, new.assign(**{column: pd.Series([None] * len(new), dtype=object)}))
        usual = clean is True or missing > 0.05
        assert found <= (whole + 0.04 if usual else 2 * number + 0.08), (column, found, whole, number)


@pytest.mark.parametrize("clean", CLEAN)
def test_a_new_category_is_a_hole(clean: Any) -> None:
    model, new = fitted(clean, 0.0), frame(40, 1)
    told, holes = model.explain(new.assign(g="new")), model.explain(new.assign(g=None))
    pd.testing.assert_frame_equal(told.drop(columns="value"), holes.drop(columns="value"))
    with pytest.warns(DataWarning, match="not seen at fit"):
        p = model.pvalues(new.assign(g="new"))
    assert np.array_equal(p, model.pvalues(new.assign(g=None)))
    top = told.groupby("row").head(1)["column"]
    assert (top == "g").mean() > 0.8 if clean is not True else not told.loc[told["column"] == "g", "share"].any()


@pytest.mark.parametrize("clean", CLEAN)
def test_holes_in_a_category_do_not_change_how_rows_without_them_are_scored(clean: Any) -> None:
    model, new = fitted(clean, 0.0), frame(50, 1)
    holed = new.copy()
    holed.loc[::2, "g"] = None
    assert np.array_equal(model.score_samples(holed)[1::2], model.score_samples(new)[1::2])


@pytest.mark.parametrize("model", ["autoencoder", "vae"])
def test_members_of_other_models_fill_categories_too(model: str) -> None:
    found = AnomalyDetector(model=model, clean=True, random_state=0, max_epochs=4).fit(frame(500, 0))
    new = frame(300, 1)
    assert alerts(found, new.assign(g=None)) <= alerts(found, new) + 0.04


@pytest.mark.parametrize("clean", CLEAN)
def test_a_rare_category_that_makes_rows_strange_is_named(clean: Any) -> None:
    rng, n = np.random.default_rng(0), 1500
    c = np.where(rng.random(n) < 0.005, "rare", rng.choice(["a", "b"], n))
    X = pd.DataFrame({"c": c, "x": rng.normal(size=n), "y": rng.normal(size=n)})
    model = AnomalyDetector(clean=clean, random_state=0, max_epochs=10).fit(X)
    rare = X[X["c"] == "rare"]
    assert (model.pvalues(rare) <= 0.05).all()
    told = model.explain(rare, top=1)
    assert (told["column"] == "c").all()
    assert (told["share"] > 0.5).all()
    assert told["expected"].isin(["a", "b"]).all()


def test_a_rare_flag_that_the_networks_reproduce_is_named_by_the_p_value() -> None:
    rng, n = np.random.default_rng(1), 1500
    X = pd.DataFrame({"c": rng.random(n) < 0.005, "x": rng.normal(size=n), "y": rng.normal(size=n)})
    X["g"] = rng.choice(list("uvw"), n)
    told = AnomalyDetector(clean=True, random_state=0, max_epochs=10).fit(X).explain(X[X["c"]], top=1)
    assert (told["column"] == "c").all()


def test_a_cell_that_is_what_is_expected_has_no_share() -> None:
    """Nor has a whole number that is the nearest to what is expected: the explanation would contradict itself."""
    rng, n = np.random.default_rng(0), 400
    group = rng.integers(0, 3, n)
    X = pd.DataFrame(
        {"group": np.array(["a", "b", "c"])[group], "visits": rng.poisson(3 + 2 * group), "day": group + 1}
    )
    X["code"] = np.where(rng.random(n) < 0.6, "00000", rng.integers(100, 140, n).astype(str))
    X.loc[rng.random(n) < 0.2, "code"] = None
    X["x"] = rng.normal(size=n)
    told = AnomalyDetector(random_state=0, max_epochs=6).fit(X).explain(X)
    same = told["value"] == told["expected"]
    assert same.mean() > 0.1
    assert not told.loc[same, "share"].any()
    assert np.isclose(told.groupby("row")["share"].sum(), 1).mean() > 0.9


def test_a_detector_of_one_row_tells_of_drift() -> None:
    X = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "x"], "c": [1.0, 5.0]})
    told = AnomalyDetector(random_state=0, max_epochs=2).fit(X[:1]).drift(X)
    assert told["pvalue"].between(0, 1).all()
    assert not told["drifted"].any()


def test_cells_to_blame_are_written_as_in_other_tables_of_a_report() -> None:
    assert [strange.text(cell) for cell in (94_000.0, 60.8, True, None, "Arts")] == [
        "94,000",
        "60.8",
        "yes",
        "missing",
        "Arts",
    ]
