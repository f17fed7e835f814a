"""AnomalyDetector on wide tables, tables of rare flags, and cells that differ in columns that never did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import engram
from engram import Autoencoder
from engram.apps.anomaly import AnomalyDetector

NEVER = 7.5


def rows(n: int, seed: int) -> np.ndarray:
    """Five columns of two hidden numbers, and two that never vary."""
    rng = np.random.default_rng(seed)
    varied = rng.normal(size=(n, 2)) @ np.random.default_rng(9).normal(size=(2, 5)) + 0.3 * rng.normal(size=(n, 5))
    return np.c_[varied[:, :2], np.full(n, NEVER), varied[:, 2:], np.zeros(n)]


def flags(n: int, seed: int, columns: int = 220) -> np.ndarray:
    """Zeros and ones driven by a few hidden numbers, most of them rare."""
    rng, made = np.random.default_rng(seed), np.random.default_rng(9)
    weights, offsets = made.normal(size=(8, columns)), made.normal(-3, 1.2, columns)
    odds = rng.normal(size=(n, 8)) @ weights + offsets
    return (rng.random((n, columns)) < 1 / (1 + np.exp(-odds))).astype(float)


def detector(**parameters: Any) -> AnomalyDetector:
    return AnomalyDetector(**{"max_epochs": 8, "random_state": 0, **parameters})


# --- columns that never varied ---


@pytest.mark.parametrize("clean", [True, False, "auto"])
def test_another_value_in_a_column_that_never_varied_is_strange_and_named_whatever_its_unit(clean: Any) -> None:
    model, X = detector(clean=clean).fit(rows(400, 0)), rows(12, 1)
    whole = model.score_samples(X)
    X[3, 2], X[5, 2], X[8, 6] = NEVER + 0.01, -1e5, 1.0
    p = model.pvalues(X)
    assert (p[[3, 5, 8]] < 0.01).all()
    assert np.array_equal(np.delete(model.score_samples(X), [3, 5, 8]), np.delete(whole, [3, 5, 8]))
    told = model.explain(X, top=1)
    assert told["column"][[3, 5, 8]].tolist() == ["2", "2", "6"]
    assert told["expected"][[3, 5, 8]].tolist() == pytest.approx([NEVER, NEVER, 0])


def test_so_is_a_new_text_a_new_date_and_a_new_number_in_a_data_frame(tmp_path: Path) -> None:
    def frame(n: int, seed: int) -> pd.DataFrame:
        found = pd.DataFrame(rows(n, seed), columns=list("abcdefg"))
        return found.assign(country="CH", day=pd.Timestamp("2024-01-01"), children=2)

    model = detector().fit(frame(300, 0))
    assert not any("constant" in finding.message for finding in model.findings_)
    X, whole = frame(8, 1), model.score_samples(frame(8, 1))
    X.loc[1, "day"], X.loc[2, "children"] = pd.Timestamp("2024-01-02"), 3
    changed = X.assign(country=["CH"] * 4 + ["AT"] + ["CH"] * 3)
    with pytest.warns(UserWarning, match="country"):
        scores = model.score_samples(changed)
    assert (scores[[1, 2, 4]] < whole[[1, 2, 4]]).all()
    assert (model.pvalues(X)[[1, 2]] < 0.01).all()
    model.save(tmp_path / "run")
    again = engram.load(tmp_path / "run")
    assert np.array_equal(again.score_samples(X), model.score_samples(X))


def test_runs_of_before_distances_were_weighed_by_what_they_say_load_and_answer() -> None:
    model, X = detector(max_epochs=2).fit(rows(60, 0)), rows(8, 1)
    tensors = model.fitted_tensors()
    assert float(tensors.pop("score.telling")) == 1.0
    whole = model.score_samples(X)
    model.restore_tensors(tensors)
    assert np.array_equal(model.score_samples(X), whole)


def test_runs_of_before_holes_were_filled_load_and_take_them_for_means_as_they_did() -> None:
    X, new = rows(120, 0), rows(8, 1)
    X[::7, 0], new[:4, 1] = np.nan, np.nan
    model = detector(max_epochs=2).fit(X)
    tensors, whole = model.fitted_tensors(), model.score_samples(new)
    assert float(tensors.pop("score.fills")) == 1.0
    model.restore_tensors(tensors)
    assert np.array_equal(model.score_samples(new)[4:], whole[4:])
    assert not np.array_equal(model.score_samples(new)[:4], whole[:4])
    assert len(model.explain(new))


def test_other_models_leave_columns_that_never_vary_out_and_say_so() -> None:
    model = Autoencoder(code_size=2, max_epochs=1, random_state=0).fit(rows(60, 0))
    assert model.kind_.shape == (5,)
    assert any("constant" in finding.message for finding in model.findings_)


def test_a_column_that_changed_after_the_fit_has_drifted() -> None:
    model, X = detector(max_epochs=2).fit(rows(300, 0)), rows(200, 1)
    X[::4, 6] = 1.0
    told = model.drift(X).set_index("column")["drifted"]
    assert told["6"]
    assert not told["2"]


def test_p_values_are_valid_where_many_normal_rows_have_a_flag_that_was_never_seen() -> None:
    """A flag that is set once in the rows learned from is as strange, held out, as one that never was is in a new row."""
    shares, unseen = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = (rng.random((900, 80)) < np.random.default_rng(9).beta(0.3, 20, 80)).astype(float)
        learned, new = X[:300], X[300:]
        p = detector(max_epochs=3, random_state=seed).fit(learned).pvalues(new)
        unseen.append((new[:, learned.sum(0) == 0] > 0).any(1).mean())
        shares.append([(p <= a).mean() for a in (0.01, 0.05, 0.1)])
    assert np.mean(unseen) > 0.02  # the case is there
    for a, share in zip((0.01, 0.05, 0.1), np.mean(shares, axis=0), strict=True):
        assert share <= a + 3 * (a * (1 - a) * (1 / 300 + 1 / 600) / 8) ** 0.5, (a, share)


# --- many columns ---


@pytest.mark.parametrize("clean", [True, "auto"])
def test_flags_that_do_not_go_together_are_found_in_a_wide_table_whose_columns_are_all_fine(clean: Any) -> None:
    X = flags(700, 0)
    normal, strange = X[400:], np.random.default_rng(1).permuted(X[400:], axis=0)
    model = AnomalyDetector(clean=clean, random_state=0).fit(X[:400])
    scores = -model.score_samples(np.r_[normal, strange])
    assert roc_auc_score(np.r_[np.zeros(300), np.ones(300)], scores) > 0.87


def test_a_hole_makes_a_consistent_row_no_stranger_and_is_not_to_blame() -> None:
    rng = np.random.default_rng(0)

    def alike(n: int) -> pd.DataFrame:
        x = rng.normal(size=n)
        found = {name: x + 0.15 * rng.normal(size=n) for name in "abe"}
        return pd.DataFrame(found | {"c": rng.normal(size=n)})

    known = alike(1500)
    model = AnomalyDetector(random_state=0).fit(known.mask(rng.random(known.shape) < 0.1))
    new = alike(2000)
    holed = new.assign(b=np.nan)
    far = (new[["a", "b", "e"]].mean(axis=1).abs() > 1.5).to_numpy()
    alerts, others = (model.pvalues(holed) <= 0.05)[far].mean(), (model.pvalues(new) <= 0.05)[far].mean()
    assert alerts <= others + 0.05
    assert abs((model.pvalues(new.mask(rng.random(new.shape) < 0.1)) <= 0.05).mean() - 0.05) < 0.025
    told = model.explain(holed[far])
    assert not told.loc[told["column"] == "b", "share"].any()
    expected = told.loc[told["column"] == "b", "expected"].to_numpy()
    assert np.abs(expected - new.loc[far, ["a", "e"]].mean(axis=1)).mean() < 0.5


def test_a_hole_in_a_column_that_never_had_one_is_to_blame() -> None:
    rng = np.random.default_rng(0)
    known = pd.DataFrame(rng.normal(size=(600, 3)), columns=list("abc"))
    known.loc[:60, "a"] = np.nan
    told = AnomalyDetector(random_state=0).fit(known).explain(pd.DataFrame({"a": [0.1], "b": [np.nan], "c": [0.2]}))
    assert told["column"].iloc[0] == "b"
