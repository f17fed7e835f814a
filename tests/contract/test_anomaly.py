"""AnomalyDetector: scores, p-values, decisions, explanations and drift, on rows of every sort."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import engram
from engram import AnomalyDetector
from engram.errors import DataError, UsageError

RATES = (0.01, 0.05, 0.1)
MIXING = np.random.default_rng(9).normal(size=(2, 6))  # six columns of two hidden numbers
NOISE = 0.3


def correlated(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 2)) @ MIXING + NOISE * rng.normal(size=(rows, 6))


def mixed(rows: int, seed: int = 0, missing: float = 0.2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=rows)
    frame = pd.DataFrame({"size": common + 0.3 * rng.normal(size=rows), "weight": 50 + 10 * common})
    frame["price"] = np.exp(common + 0.2 * rng.normal(size=rows))
    frame["children"] = rng.poisson(2, rows)
    frame["member"] = pd.array(rng.random(rows) < 0.4, dtype="boolean")
    frame["city"] = np.where(common > 0, "Oslo", rng.choice(["Lima", "Rome"], rows))
    frame["since"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, rows), unit="D")
    for name in ("size", "member", "city", "since"):
        frame.loc[rng.random(rows) < missing, name] = None
    return frame


def detector(**parameters: Any) -> AnomalyDetector:
    return AnomalyDetector(**{"max_epochs": 8, "random_state": 0, **parameters})


@cache
def of_numbers() -> AnomalyDetector:
    return detector(max_epochs=30).fit(correlated(600, 0))


@cache
def of_mixed() -> AnomalyDetector:
    return detector().fit(mixed(300))


def outputs(model: AnomalyDetector, X: Any) -> list[np.ndarray]:
    return [model.score_samples(X), model.pvalues(X), model.decision_function(X), model.predict(X)]


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# --- an estimator ---


@parametrize_with_checks([AnomalyDetector(max_epochs=5)])
def test_scikit_learns_own_checks_pass_with_no_exception(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([AnomalyDetector()])
def test_scikit_learns_own_checks_pass_with_default_parameters(estimator: Any, check: Any) -> None:
    check(estimator)


def test_it_is_found_by_its_name_and_has_no_parameter_that_forces_thresholds_of_learned_rows() -> None:
    assert isinstance(engram.create("anomaly", alert_rate=0.1), AnomalyDetector)
    assert "contamination" not in AnomalyDetector().get_params()
    with pytest.raises(UsageError, match="clean"):
        engram.create("anomaly", claen=True)
    assert clone(AnomalyDetector(clean=True, n_models=2)).get_params() == (
        AnomalyDetector(clean=True, n_models=2).get_params()
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"alert_rate": 0},
        {"alert_rate": 1.0},
        {"alert_rate": 5},
        {"n_models": 0},
        {"clean": "perhaps"},
        {"model": "gna"},
    ],
)
def test_wrong_parameters_are_told_when_fit_begins(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong)) if "model" not in wrong else "gan"):
        detector(**wrong).fit(correlated(50, 0))


@pytest.mark.parametrize("X", [correlated(150, 0), mixed(150)], ids=["numbers", "mixed"])
def test_the_same_seed_gives_the_same_weights_and_scores(X: Any) -> None:
    first, second, other = (detector(random_state=seed).fit(X) for seed in (3, 3, 4))
    pairs = zip(first.network_.state_dict().values(), second.network_.state_dict().values(), strict=True)
    assert all(a.equal(b) for a, b in pairs)
    assert same(outputs(first, X), outputs(second, X))
    assert not np.array_equal(first.score_samples(X), other.score_samples(X))


@pytest.mark.parametrize("which", ["numbers", "mixed"])
def test_a_subset_has_the_slice_of_the_whole_to_the_bit(which: str) -> None:
    model, X = (of_numbers(), correlated(200, 5)) if which == "numbers" else (of_mixed(), mixed(200, 5))
    whole, rng = outputs(model, X), np.random.default_rng(0)
    for size in (1, 2, 15, 17, 130):
        index = rng.permutation(200)[:size]
        part = X.iloc[index] if isinstance(X, pd.DataFrame) else X[index]
        assert same(outputs(model, part), [result[index] for result in whole])


@pytest.mark.parametrize("clean", [True, False, "auto"])
@pytest.mark.parametrize("which", ["numbers", "mixed"])
def test_a_saved_detector_gives_the_same_bits(which: str, clean: Any, tmp_path: Any) -> None:
    X = correlated(120, 1) if which == "numbers" else mixed(120, 1)
    model = detector(clean=clean, max_epochs=3).fit(X)
    model.save(tmp_path / "run")
    again = engram.load(tmp_path / "run")
    assert again.get_params() == model.get_params()
    assert same(outputs(model, X), outputs(again, X))
    pd.testing.assert_frame_equal(model.explain(X[:20]), again.explain(X[:20]), check_exact=True)
    pd.testing.assert_frame_equal(model.drift(X), again.drift(X), check_exact=True)
    assert again.set_params(alert_rate=0.2).predict(X).tolist() == model.predict(X, alert_rate=0.2).tolist()


# --- rows of every sort ---


@pytest.mark.parametrize("rows", [1, 2, 5, 9, 50])
@pytest.mark.parametrize("n_models", [1, 4])
def test_any_number_of_rows_is_learned_from_and_scored(rows: int, n_models: int) -> None:
    for X in (correlated(rows, 0), mixed(rows, missing=0.2 if rows > 2 else 0.0)):
        model = detector(n_models=n_models, max_epochs=2).fit(X)
        for found in outputs(model, X):
            assert found.shape == (rows,)
            assert np.isfinite(found).all()
        p = model.pvalues(X)
        assert ((p > 0) & (p <= 1)).all()
        assert len(model.explain(X)) == rows * len(model.kind_.columns)
        kinds = [finding.kind for finding in model.findings_]
        assert ("no-held-out-rows" in kinds) == (rows < 2 * (n_models if n_models > 1 else 5))
        assert ("alert-rate" in kinds) == (0.05 * (model.n_held_ + 1) < 1)


def test_no_rows_are_a_clear_error() -> None:
    with pytest.raises(DataError, match=r"0 sample|no rows|0 rows"):
        detector().fit(np.empty((0, 3)))


def test_every_sort_of_column_is_scored_with_holes_new_categories_and_nothing_at_all() -> None:
    model, X = of_mixed(), mixed(40, 8)
    X["city"] = X["city"].astype(object)
    X["size"], X["since"] = np.nan, pd.NaT
    X.loc[0:9, "city"] = "Atlantis"
    with pytest.warns(UserWarning, match="city"):
        scores = model.score_samples(X)
    assert np.isfinite(scores).all()
    empty = X.iloc[:3].copy()
    for name in empty:
        empty[name] = pd.Series([None] * 3, dtype=X[name].dtype if name != "children" else float, index=empty.index)
    assert np.isfinite(model.score_samples(empty)).all()
    told = model.explain(empty)
    assert np.isfinite(told["share"]).all()


def test_holes_are_fine_in_rows_of_a_table_that_had_none() -> None:
    model, X = of_numbers(), correlated(30, 1)
    whole = model.score_samples(X)
    X[3, 2] = np.nan
    scores = model.score_samples(X)
    assert np.isfinite(scores).all()
    assert np.array_equal(np.delete(scores, 3), np.delete(whole, 3))  # the others do not notice


def test_rows_that_are_all_alike_have_scores_and_another_one_is_stranger() -> None:
    X = np.tile([1.0, 2.0, 3.0], (60, 1))
    X[:, 0] += np.arange(60) % 2
    model = detector(max_epochs=2).fit(X)
    scores = model.score_samples(np.r_[X[:2], [[9.0, 2.0, 3.0]]])
    assert np.isfinite(scores).all()
    assert scores[2] < scores[:2].min()


# --- decisions ---


@pytest.mark.parametrize("rate", [0.004, 0.02, 0.05, 0.31])
def test_an_anomaly_is_what_is_below_the_offset_and_has_a_p_value_of_at_most_the_alert_rate(rate: float) -> None:
    model = clone(of_numbers()).set_params(alert_rate=rate, max_epochs=2).fit(correlated(300, 0))
    X = np.r_[correlated(700, 7), 3 * correlated(100, 8)]
    found = model.predict(X) == -1
    assert 0 < found.sum() < len(X)
    assert np.array_equal(found, model.decision_function(X) < 0)
    assert np.array_equal(found, model.pvalues(X) <= rate)
    assert np.array_equal(model.decision_function(X), model.score_samples(X) - model.offset_)
    assert np.array_equal(found, model.scored(X)["anomaly"])


def test_the_alert_rate_can_be_another_one_in_each_call_and_after_the_fit() -> None:
    X = np.r_[correlated(300, 7), 3 * correlated(50, 8)]
    model = clone(of_numbers()).set_params(max_epochs=2).fit(correlated(300, 0))
    few, many = model.predict(X, alert_rate=0.01), model.predict(X, alert_rate=0.3)
    assert ((few == -1) <= (many == -1)).all()
    assert (few == -1).sum() < (many == -1).sum()
    assert np.array_equal(model.set_params(alert_rate=0.3).predict(X), many)
    for wrong in ({"alert_rate": 0.0}, {"alert_rate": 1.5}, {"fdr": 0}, {"fdr": 2}, {"fdr": 0.9, "alert_rate": 0.01}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            model.predict(X, **wrong)


def test_false_discoveries_are_controlled_over_all_rows_of_a_call() -> None:
    model, X = of_numbers(), np.r_[correlated(300, 7), 4 * correlated(60, 8)]
    p = model.pvalues(X)
    for rate in (0.05, 0.2):
        assert np.array_equal(model.predict(X, fdr=rate) == -1, false_discovery_control(p) <= rate)
    found = model.predict(X, fdr=0.2) == -1
    assert found[300:].sum() > 10
    assert found[:300].sum() / found.sum() < 0.4


def test_stranger_rows_have_lower_scores_without_end() -> None:
    model, row = of_numbers(), correlated(1, 0)
    scores = model.score_samples(np.concatenate([row + t * np.eye(6)[2] for t in (0, 1, 2, 3, 4, 6, 8)]))
    assert (np.diff(scores[1:]) < 0).all()
    assert model.pvalues(row + 1000)[0] == pytest.approx(1 / (model.n_held_ + 1), rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("clean", [True, False, "auto"])
def test_p_values_of_normal_rows_are_valid_over_twenty_fits(clean: Any) -> None:
    """Share of p <= a at most a + 3 standard errors: of the rows, and of the 400 held-out scores that are a sample themselves."""
    shares = []
    for seed in range(20):
        model = detector(max_epochs=10, random_state=seed, clean=clean).fit(correlated(400, seed))
        p = model.pvalues(correlated(500, 1000 + seed))
        shares.append([(p <= a).mean() for a in RATES])
    for a, share in zip(RATES, np.mean(shares, axis=0), strict=True):
        assert share <= a + 3 * (a * (1 - a) * (1 / 400 + 1 / 500) / 20) ** 0.5, (a, share)
        assert share >= a / 3  # and not by never alerting


def test_p_values_of_normal_rows_are_valid_with_holes_and_categories() -> None:
    model, p = of_mixed(), of_mixed().pvalues(mixed(1500, 77))
    for a in RATES:
        assert (p <= a).mean() <= a + 3 * (a * (1 - a) * (1 / model.n_held_ + 1 / 1500)) ** 0.5


# --- explanations ---


def planted(rows: int, seed: int, off: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows one value of which is drawn from its column but lies this many conditional standard deviations off, given the others."""
    X, rng = correlated(20 * rows, seed), np.random.default_rng(seed)
    precision = np.linalg.inv(MIXING.T @ MIXING + NOISE**2 * np.eye(6))
    columns, at = rng.integers(0, 6, len(X)), np.arange(len(X))
    X[at, columns] = X[rng.permutation(len(X)), columns]
    # given the others, column j is normal with variance 1 / P_jj around - sum over k of P_jk x_k / P_jj
    scaled = (X @ precision)[at, columns] / np.diag(precision)[columns] ** 0.5
    chosen = (np.abs(scaled) > off).nonzero()[0][:rows]
    assert len(chosen) == rows
    return X[chosen], columns[chosen]


@pytest.mark.parametrize("clean", [True, False, "auto"])
def test_a_planted_value_is_named_first_in_nineteen_of_twenty_rows(clean: Any) -> None:
    model = of_numbers() if clean == "auto" else detector(max_epochs=30, clean=clean).fit(correlated(600, 0))
    X, columns = planted(300, 3)
    told = model.explain(X, top=1)
    named = np.array([model.kind_.columns.index(name) for name in told["column"]]) == columns
    assert named.mean() >= 0.95, named.mean()
    expected = told["expected"].to_numpy(dtype=float)[named]
    clean_off = np.abs(expected - X[np.arange(300), columns][named])
    assert np.median(clean_off) > 1  # what is expected is not what stands there


def test_shares_sum_to_one_and_the_largest_comes_first() -> None:
    for model, X in ((of_numbers(), planted(40, 5)[0]), (of_mixed(), mixed(40, 6))):
        told = model.explain(X)
        assert told.columns.tolist() == ["row", "column", "share", "value", "expected"]
        assert told["row"].tolist() == np.repeat(np.arange(40), X.shape[1]).tolist()
        sums = told.groupby("row")["share"].sum().to_numpy()
        assert (np.isclose(sums, 1) | (sums == 0)).all()
        assert np.isclose(sums, 1).mean() > 0.9
        assert told["share"].between(0, 1).all()
        assert all((np.diff(of["share"]) <= 0).all() for _, of in told.groupby("row"))
        top = model.explain(X, top=2)
        first = told.groupby("row").head(2).reset_index(drop=True)
        pd.testing.assert_frame_equal(top, first)
    with pytest.raises(UsageError, match="top"):
        of_numbers().explain(correlated(3, 0), top=0)


def test_values_are_the_users_own_cells_and_what_is_expected_is_of_their_sort() -> None:
    X = mixed(30, 6)
    told = of_mixed().explain(X)
    for line in told.itertuples():
        cell = X[line.column].iloc[line.row]
        assert (pd.isna(cell) and pd.isna(line.value)) or cell == line.value
    kinds = {
        "size": float,
        "children": (int, np.integer),
        "member": (bool, np.bool_),
        "city": str,
        "since": pd.Timestamp,
    }
    for name, kind in kinds.items():
        of = told[told["column"] == name]
        assert all(isinstance(value, kind) for value in of["expected"]), (name, of["expected"].iloc[0])
        assert all(isinstance(value, kind) for value in of["value"] if not pd.isna(value)), name
    assert set(told.loc[told["column"] == "city", "expected"]) <= {"Oslo", "Lima", "Rome"}


def test_a_text_cell_is_explained_as_it_was_written() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"price": [f"{v:,.2f} €" for v in rng.gamma(3, 500, 200)], "n": rng.normal(size=200)})
    told = detector(max_epochs=2).fit(X).explain(X[:5])
    assert told.loc[told["column"] == "price", "value"].tolist() == X["price"][:5].tolist()


def test_rows_are_explained_alone_as_they_are_together() -> None:
    model, X = of_mixed(), mixed(30, 6)
    whole = model.explain(X)
    for row in (0, 7, 29):
        alone = model.explain(X.iloc[[row]])
        of = whole[whole["row"] == row].reset_index(drop=True).drop(columns="row")
        assert alone["column"].tolist() == of["column"].tolist()
        assert np.allclose(alone["share"], of["share"], atol=1e-4)


def test_an_explanation_names_a_category_and_a_flag_that_do_not_fit() -> None:
    rng = np.random.default_rng(0)
    size = rng.normal(size=500)
    X = pd.DataFrame({"size": size, "twin": size + 0.1 * rng.normal(size=500), "other": rng.normal(size=500)})
    X["kind"], X["large"] = np.where(size > 0, "big", "small"), size > 0
    model = detector(max_epochs=40).fit(X)
    wrong = pd.DataFrame({"size": 1.5, "twin": 1.5, "other": 0.0, "kind": ["small", "big"], "large": [True, False]})
    told = model.explain(wrong, top=1)
    assert told["column"].tolist() == ["kind", "large"]
    assert told["expected"].tolist() == ["big", True]


@pytest.mark.parametrize("use", ["explain", "drift", "predict", "n_held_"])
def test_what_needs_a_fit_says_so(use: str) -> None:
    with pytest.raises(NotFittedError):
        getattr(detector(), use)(correlated(5, 0))


def test_parameters_are_taken_as_their_types_have_them_and_checked_when_they_are_changed_later() -> None:
    model = detector(alert_rate="0.1", n_models="3", max_epochs=2).fit(correlated(100, 0))
    assert np.array_equal(model.predict(correlated(50, 1)), model.predict(correlated(50, 1), alert_rate=0.1))
    for wrong in (2, "x"):
        with pytest.raises(UsageError, match="alert_rate"):
            model.set_params(alert_rate=wrong).predict(correlated(5, 1))
