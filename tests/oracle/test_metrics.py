"""Metrics against brute force and scikit-learn, and their bootstrap errors against closed forms."""

from __future__ import annotations

import inspect
import itertools
import math
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from sklearn.metrics import mean_squared_error, r2_score, roc_auc_score

import engram.metrics
from engram.errors import DataError, UsageError
from engram.metrics import auroc, deviations, log_likelihood, metric, r2, squared_error, standard_error
from engram.metrics.metric import HALF, Better, goodness
from engram.registry import METRICS


def arrays(level: float, n: int = 300, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of every sort, the best possible at level 0 and worse from there on. A new sort of input belongs here."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 5)) * [1, 2, 3, 1, 0.5]
    y = generator.random(n) < 0.3
    return generative_arrays(level, n, seed) | {
        "x": x.astype(np.float32),
        "reconstruction": (x + level * generator.normal(size=x.shape)).astype(np.float32),
        "mask": generator.random(x.shape) < 0.8,
        "scores": -y.astype(float) + level * generator.normal(size=n),
        "y": y,
        "log_prob": -level * generator.random(n),
    }


def generative_arrays(level: float, n: int, seed: int) -> dict[str, np.ndarray]:
    """Inputs of the metrics of generated rows, which move away from the real ones and among which copies grow frequent."""
    generator = np.random.default_rng(seed + 1000)
    real, training, fresh, direction = generator.normal(size=(4, n, 5))
    generated = fresh + 2 * level
    wrong = generator.random(n) < level / (level + 0.3)
    asked, confused = generator.integers(4, size=(2, n))
    return {
        "real": real,
        "generated": generated,
        "training": np.where(wrong[:, None], generated, training),
        "asked": asked,
        "judged": np.where(wrong, confused, asked),
        "probabilities": (np.eye(4)[asked] + level) / (1 + 4 * level),
        "start": real,
        "end": real + 0.01 * level * direction,
    }


# --- every metric that is registered ---


# A bootstrap repeats rows, and sets with repeated rows have other nearest neighbours, distances and scores of their parts. Those
# metrics have errors of their own (`kernel_standard_error`, `inception_score_error`), or need other rows.
OF_SETS = {"real", "generated", "training", "probabilities"}


@pytest.fixture(params=METRICS.names())
def any_metric(request):
    return metric(request.param)


@pytest.fixture(params=[name for name in METRICS.names() if not OF_SETS & set(metric(name).takes)])
def row_metric(request):
    return metric(request.param)


def test_a_metric_says_what_it_is(any_metric) -> None:
    assert any_metric.better in get_args(Better)
    assert any_metric.unit
    assert set(any_metric.needs) <= set(any_metric.takes) & set(arrays(0.0))
    parameters = inspect.signature(any_metric.function).parameters
    settings = {name: parameters[name].default for name in any_metric.takes if name not in arrays(0.0)}
    assert all(isinstance(value, int | float) for value in settings.values()), settings
    told = any_metric.function.__doc__
    assert all(word in told for word in ("Direction:", "Unit:", "Source:")), "the docstring says how to read the value"
    assert any_metric.better in told


def test_of_metrics_that_are_half_by_chance_nearer_is_better() -> None:
    assert goodness(0.5, HALF) > goodness(0.25, HALF) == goodness(0.75, HALF) > goodness(0.875, HALF)
    assert metric("memorisation").better == HALF


def test_a_metric_is_exported(any_metric) -> None:
    assert getattr(engram.metrics, any_metric.function.__name__) is any_metric.function


def test_worse_inputs_give_a_worse_value(any_metric) -> None:
    values = [any_metric.value(arrays(level)) for level in (0.0, 0.3, 1.0, 3.0)]
    assert np.isfinite(values).all()
    gains = [any_metric.gain(better, worse) for better, worse in itertools.pairwise(values)]
    assert all(gain > 0 for gain in gains), values


def test_a_metric_does_not_depend_on_the_order_of_rows_nor_change_them(any_metric) -> None:
    given = arrays(0.5)
    before = {name: array.copy() for name, array in given.items()}
    order = np.random.default_rng(1).permutation(300)
    assert any_metric.value({k: v[order] for k, v in given.items()}) == pytest.approx(any_metric.value(given), rel=1e-9)
    assert all(np.array_equal(given[name], before[name]) for name in given)


def test_the_error_is_that_of_repeated_data(row_metric) -> None:
    values = [row_metric.value(arrays(1.0, seed=seed)) for seed in range(200)]
    errors = [standard_error(deviations(row_metric, arrays(1.0, seed=seed))) for seed in range(5)]
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.25)


def test_the_error_is_the_same_again_and_unknown_for_one_row(row_metric) -> None:
    given = arrays(1.0)
    assert np.array_equal(deviations(row_metric, given), deviations(row_metric, given))
    assert not np.array_equal(deviations(row_metric, given), deviations(row_metric, given, random_state=1))
    assert math.isnan(standard_error(deviations(row_metric, {name: array[:1] for name, array in given.items()})))


# --- each against an oracle ---


def test_r2_is_scikit_learns() -> None:
    given = arrays(0.7)
    x, back, mask = given["x"].astype(float), given["reconstruction"].astype(float), given["mask"]
    assert r2(x, back) == pytest.approx(r2_score(x, back, multioutput="variance_weighted"), rel=1e-9)
    error = total = 0.0
    for column in range(x.shape[1]):
        seen = mask[:, column]
        error += ((x[seen, column] - back[seen, column]) ** 2).sum()
        total += ((x[seen, column] - x[seen, column].mean()) ** 2).sum()
    assert r2(x, back, mask) == pytest.approx(1 - error / total, rel=1e-9)


def test_r2_of_the_best_of_the_means_and_of_nothing() -> None:
    x = arrays(0.0)["x"]
    assert r2(x, x) == 1
    assert r2(x, np.tile(x.mean(0, dtype=float), (len(x), 1))) == pytest.approx(0, abs=1e-9)
    assert math.isnan(r2(x[:1], x[:1]))
    assert math.isnan(r2(np.ones((4, 2)), np.ones((4, 2))))


def test_squared_error_sums_over_columns_and_averages_over_rows() -> None:
    given = arrays(0.7)
    x, back = given["x"].astype(float), given["reconstruction"].astype(float)
    assert squared_error(x, back) == pytest.approx(5 * mean_squared_error(x, back), rel=1e-9)
    looped = np.mean([((a - b)[m] ** 2).sum() for a, b, m in zip(x, back, given["mask"], strict=True)])
    assert squared_error(x, back, given["mask"]) == pytest.approx(looped, rel=1e-9)


def test_what_is_missing_may_hold_anything() -> None:
    given = arrays(0.7)
    wild = np.where(given["mask"], given["x"], np.nan)
    for one in (r2, squared_error):
        assert one(wild, given["reconstruction"], given["mask"]) == one(
            given["x"], given["reconstruction"], given["mask"]
        )


def test_pictures_are_rows_too() -> None:
    given = arrays(0.7)
    x, back = (given[name][:, :4].reshape(-1, 1, 2, 2) for name in ("x", "reconstruction"))
    assert r2(x, back) == r2(x.reshape(-1, 4), back.reshape(-1, 4))


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_auroc_is_scikit_learns_with_ties_and_without(decimals: int) -> None:
    given = arrays(0.8)
    scores, y = given["scores"].round(decimals), given["y"]
    assert auroc(scores, y) == pytest.approx(roc_auc_score(y, -scores), rel=1e-12)
    pairs = [(n > a) + 0.5 * (n == a) for a in scores[y] for n in scores[~y]]
    assert auroc(scores, y) == pytest.approx(np.mean(pairs), rel=1e-12)


def test_auroc_at_its_ends() -> None:
    y = np.array([0, 0, 1, 1])
    assert auroc(np.array([5.0, 4, 3, 2]), y) == 1
    assert auroc(np.array([2.0, 3, 4, 5]), y) == 0
    assert auroc(np.zeros(4), y) == 0.5
    assert auroc(np.array([np.inf, 0, -np.inf, -np.inf]), y) == 1
    assert math.isnan(auroc(np.arange(4.0), np.zeros(4)))


def test_log_likelihood_is_a_mean() -> None:
    assert log_likelihood(np.array([-1.0, -2.0, -6.0], dtype=np.float32)) == pytest.approx(-3)


def test_the_bootstrap_error_of_a_mean_is_its_closed_form_however_many_rows() -> None:
    for n in (40, 1000, 400_000):  # the last has more rows than go into one draw
        values = np.random.default_rng(0).normal(size=n)
        spread = deviations(metric("log-likelihood"), {"log_prob": values}, draws=400)
        assert standard_error(spread) == pytest.approx(values.std() / math.sqrt(n), rel=0.12)


def test_deviations_of_two_models_are_paired() -> None:
    good, better = arrays(1.0), arrays(1.0)
    better["reconstruction"] = better["x"] + 0.99 * (better["reconstruction"] - better["x"])
    one = metric("squared-error")
    a, b = deviations(one, good), deviations(one, better)
    assert standard_error(a - b) < 0.05 * standard_error(a)


def test_an_error_without_enough_defined_draws_is_unknown() -> None:
    one_sort = {"scores": np.arange(5.0), "y": np.zeros(5)}
    assert math.isnan(standard_error(deviations(metric("auroc"), one_sort)))
    rare = {"scores": np.arange(50.0), "y": np.arange(50) == 3}  # a third of the draws have no anomaly
    assert standard_error(deviations(metric("auroc"), rare)) > 0


# --- what cannot be computed ---


def test_clear_errors() -> None:
    with pytest.raises(DataError, match=r"one shape.*\(3, 2\).*\(3,\)"):
        r2(np.ones((3, 2)), np.ones(3))
    with pytest.raises(DataError, match="one per row"):
        auroc(np.ones(3), np.ones(4))
    with pytest.raises(DataError, match="1 or True"):
        auroc(np.ones(3), np.array([0, 1, 2]))
    with pytest.raises(UsageError, match="'auroc'"):
        metric("aurok")


def test_metrics_load_neither_torch_nor_scikit_learn() -> None:
    told = "import sys, engram.metrics; print([m for m in ('torch', 'sklearn', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
