"""Small tables: a row is a large part of all that is known of its columns, and must not be measured by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engram import AnomalyDetector, load
from engram.apps.ensemble import SMALL

Rows = Callable[[np.random.Generator, int], np.ndarray]
NEW = 400
GENERATORS: dict[str, Rows] = {
    "wide": lambda rng, n: rng.normal(size=(n, 60)),
    "normal": lambda rng, n: rng.normal(size=(n, 30)),
    "heavy-tailed": lambda rng, n: rng.standard_cauchy(size=(n, 5)),
    "mostly zeros": lambda rng, n: rng.normal(size=(n, 8)) * (rng.random((n, 8)) < 0.05),
    "low rank": lambda rng, n: rng.normal(size=(n, 3)) @ np.eye(3, 8, 1) + 0.1 * rng.normal(size=(n, 8)),
}


def detector(**parameters: Any) -> AnomalyDetector:
    return AnomalyDetector(**{"random_state": 0, "max_epochs": 5, **parameters})


def shares(rows: Rows, n: int, splits: int, rates: list[float], **parameters: Any) -> np.ndarray:
    """Shares of new rows with p <= a for each rate a, the mean of several splits."""
    found = []
    for seed in range(splits):
        X = rows(np.random.default_rng(seed), n + NEW)
        p = detector(random_state=seed, **parameters).fit(X[:n]).pvalues(X[n:])
        found.append([(p <= a).mean() for a in rates])
    return np.mean(found, axis=0)


def most(rate: float, n: int, splits: int) -> float:
    """The rate and 3 standard errors: of the new rows, and of the held-out scores, which are a sample themselves."""
    return rate + 3 * (rate * (1 - rate) * (1 / n + 1 / NEW) / splits) ** 0.5


@pytest.mark.parametrize("name", ["wide", "normal", "heavy-tailed", "mostly zeros"])
def test_p_values_of_normal_rows_are_valid_in_small_tables(name: str) -> None:
    found = shares(GENERATORS[name], 20, 6, [0.05], max_epochs=2)
    assert found[0] <= most(0.05, 20, 6), found


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 30, 60, 100])
@pytest.mark.parametrize("clean", [True, False, "auto"])
@pytest.mark.parametrize("name", GENERATORS)
def test_p_values_of_normal_rows_are_valid_in_small_tables_over_twenty_fits(name: str, clean: Any, n: int) -> None:
    rates = [0.01, 0.05, 0.1]
    for rate, share in zip(rates, shares(GENERATORS[name], n, 20, rates, clean=clean), strict=True):
        assert share <= most(rate, n, 20), (rate, share)


def mixed(rng: np.random.Generator, n: int) -> pd.DataFrame:
    found = pd.DataFrame(rng.normal(size=(n, 3)) * [1, 1, 50], columns=list("abc"))
    found["kind"], found["flag"] = rng.choice(["x", "y", "z"], n), rng.random(n) < 0.2
    return found.mask(rng.random(found.shape) < 0.1)


@pytest.mark.parametrize("parameters", [{}, {"clean": True}, {"n_models": 1}, {"model": "autoencoder"}])
def test_what_each_member_knows_of_a_small_table_is_saved(parameters: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, new = mixed(rng, 40), mixed(rng, 24)
    model = detector(**parameters).fit(X)
    model.save(tmp_path / "run")
    again = load(tmp_path / "run")
    assert np.array_equal(again.score_samples(new), model.score_samples(new))
    pd.testing.assert_frame_equal(again.explain(new[:5]), model.explain(new[:5]))
    part = model.score_samples(new[7:20])
    assert np.array_equal(part, model.score_samples(new)[7:20])


@pytest.mark.parametrize("lots", [(40, SMALL + 50), (SMALL + 50, 40), (40, 4)])
def test_small_and_large_lots_add_up(lots: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    model = detector(clean="auto").fit(mixed(rng, lots[0])).partial_fit(mixed(rng, lots[1]))
    assert model.n_held_ == sum(lots)
    p = model.pvalues(mixed(rng, NEW))
    assert 0.3 < p.mean() < 0.75


def test_rows_like_all_known_ones_are_not_strange() -> None:
    model = detector().fit(np.zeros((12, 8)))
    assert (model.pvalues(np.zeros((20, 8))) == 1).all()
    assert model.pvalues(np.ones((1, 8)))[0] < 0.1


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_no_p_value_is_small_where_no_row_could_be_held_out(n: int) -> None:
    model = detector().fit(np.random.default_rng(0).normal(size=(n, 3)))
    assert model.pvalues(np.full((3, 3), 50.0)).min() >= 1 / (n + 1)
    assert "no-held-out-rows" in [finding.kind for finding in model.findings_]


def repeated(n: int, others: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    X = np.repeat(rng.normal(size=(1, 6)), n, 0)
    X[:others] += rng.normal(size=(others, 6))
    return X


@pytest.mark.parametrize("n", [100, SMALL, 513, 5000])
@pytest.mark.parametrize("others", [0, 6])
def test_a_row_that_most_rows_are_is_no_anomaly(n: int, others: int) -> None:
    X = repeated(n, others)
    p = detector(random_state=2).fit(X).pvalues(X[others : others + 3])
    assert (p >= (n - others) / (n + 1)).all()


@pytest.mark.parametrize("parameters", [{}, {"clean": True}, {"n_models": 1}, {"model": "vae"}])
def test_p_values_of_rows_of_the_fit_are_at_least_their_share_of_it(parameters: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.choice(["x", "y", "z"], 400), "b": rng.choice([1.5, 2.5, np.nan], 400)})
    share = X.groupby(["a", "b"], dropna=False)["a"].transform("size") / (len(X) + 1)
    assert (detector(**parameters).fit(X).pvalues(X[:37]) >= share[:37] - 1e-9).all()
