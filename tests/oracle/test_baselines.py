"""Baselines against scikit-learn and SciPy, and what every one of them keeps to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm
from sklearn import decomposition
from sklearn.ensemble import IsolationForest
from sklearn.metrics import pairwise_distances

from engram.evaluation.baselines.isolation_forest import Forest
from engram.evaluation.baselines.knn import Knn
from engram.evaluation.baselines.mean import Mean
from engram.evaluation.baselines.pca import PCA
from engram.registry import BASELINES


def rows(n: int = 400, d: int = 6, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(2, d))
    x = generator.normal(size=(n, 2)) @ mixing + 0.3 * generator.normal(size=(n, d)) + np.arange(d)
    return x.astype(np.float32)


def holes(x: np.ndarray, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    mask = np.random.default_rng(seed).random(x.shape) < 0.8
    return np.where(mask, x, 0).astype(np.float32), mask


# --- every baseline that is registered ---


@pytest.fixture(params=BASELINES.names())
def any_baseline(request):
    return BASELINES[request.param].value


def answers(baseline, x, mask=None) -> dict[str, np.ndarray]:
    given = {name: getattr(baseline, name)(x, mask) for name in ("reconstruct", "score_samples", "log_likelihood")}
    return {name: array for name, array in given.items() if array is not None}


@pytest.mark.parametrize("with_holes", [False, True])
def test_a_baseline_answers_in_the_right_shape_and_changes_nothing(any_baseline, with_holes: bool) -> None:
    x, mask = holes(rows()) if with_holes else (rows(), None)
    new, new_mask = holes(rows(seed=1)) if with_holes else (rows(seed=1), None)
    before = x.copy(), new.copy()
    found = answers(any_baseline().fit(x, mask, code_size=2, random_state=0), new, new_mask)
    assert found
    for name, array in found.items():
        assert array.shape == (new.shape if name == "reconstruct" else (len(new),))
        assert np.isfinite(array).all()
    assert np.array_equal(x, before[0])
    assert np.array_equal(new, before[1])


def test_the_same_seed_gives_the_same_answers(any_baseline) -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state must neither matter nor move
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = answers(any_baseline().fit(rows(), code_size=2, random_state=7), rows(seed=1))
    again = answers(any_baseline().fit(rows(), code_size=2, random_state=7), rows(seed=1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_normal_rows_score_higher_than_wild_ones(any_baseline) -> None:
    baseline = any_baseline().fit(rows(), code_size=2, random_state=0)
    scores = baseline.score_samples(np.concatenate([rows(seed=1), rows(seed=1)[:20] + 15]))
    if scores is not None:
        assert scores[:-20].mean() > scores[-20:].mean()


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("code_size", [1, 6, 40])
def test_a_baseline_takes_few_rows_and_large_codes(any_baseline, n: int, code_size: int) -> None:
    found = answers(any_baseline().fit(rows(n), code_size=code_size, random_state=0), rows(2, seed=1))
    assert all(np.isfinite(array).all() for array in found.values())


def test_a_constant_column_and_a_single_one_do_no_harm(any_baseline) -> None:
    for x in (np.concatenate([rows(), np.zeros((400, 1), np.float32)], 1), rows(d=1)):
        found = answers(any_baseline().fit(x, code_size=2, random_state=0), x[:50])
        assert all(np.isfinite(array).all() for array in found.values())


# --- each against an oracle ---


def test_mean_is_independent_normals() -> None:
    x, new = rows(), rows(50, seed=1)
    baseline = Mean().fit(x)
    assert np.allclose(baseline.reconstruct(new), x.mean(0, dtype=float))
    own = x.var(0, dtype=float)
    assert np.allclose(baseline.variance, (400 * own + 10 * own.mean()) / 410)
    exact = norm(baseline.mean, np.sqrt(baseline.variance)).logpdf(new)
    assert np.allclose(baseline.log_likelihood(new), exact.sum(1))
    mask = holes(new)[1]
    assert np.allclose(baseline.log_likelihood(new, mask), np.where(mask, exact, 0).sum(1))


def test_mean_learns_from_observed_cells_alone() -> None:
    x, mask = holes(rows(1000))
    baseline = Mean().fit(x, mask)
    assert np.allclose(baseline.mean, [x[mask[:, j], j].mean(dtype=float) for j in range(6)])
    own, count = np.array([x[mask[:, j], j].var(dtype=float) for j in range(6)]), mask.sum(0)
    shared = (own * count).sum() / count.sum()
    assert np.allclose(baseline.variance, (count * own + 10 * shared) / (count + 10))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_pca_is_scikit_learns(k: int) -> None:
    x, new = rows(5000), rows(60, seed=1)
    ours, theirs = PCA().fit(x, code_size=k), decomposition.PCA(k).fit(x.astype(float))
    assert np.allclose(ours.reconstruct(new), theirs.inverse_transform(theirs.transform(new)), atol=1e-5)
    # scikit-learn divides by n - 1 where the maximum of the likelihood divides by n
    assert np.allclose(ours.log_likelihood(new), theirs.score_samples(new.astype(float)), atol=0.01)


@pytest.mark.parametrize("k", [1, 2, 6])
def test_the_density_of_pca_is_a_normal_one_over_what_is_observed(k: int) -> None:
    x, new = rows(), rows(40, seed=1)
    baseline = PCA().fit(x, code_size=k)
    weight, noise = baseline.weight.numpy(), float(baseline.noise)
    covariance = weight @ weight.T + noise * np.eye(6)
    exact = multivariate_normal(baseline.mean.numpy(), covariance).logpdf(new)
    assert np.allclose(baseline.log_likelihood(new), exact)
    filled, mask = holes(new)
    mask[0] = False
    found = baseline.log_likelihood(filled, mask)
    assert found[0] == pytest.approx(0, abs=1e-12)
    for i in range(1, len(new)):
        seen = mask[i]
        part = multivariate_normal(baseline.mean.numpy()[seen], covariance[np.ix_(seen, seen)]).logpdf(new[i, seen])
        assert found[i] == pytest.approx(part, abs=1e-6)


def test_knn_is_the_mean_of_five_distances() -> None:
    x, new = rows(), rows(30, seed=1)
    exact = np.sort(pairwise_distances(new.astype(float), x.astype(float)), axis=1)[:, :5].mean(1)
    assert np.allclose(Knn().fit(x).score_samples(new), -exact, rtol=1e-5)


def test_knn_keeps_a_seeded_choice_of_many_rows(monkeypatch) -> None:
    monkeypatch.setattr("engram.evaluation.baselines.knn.MOST_ROWS", 100)
    scores = [Knn().fit(rows(), random_state=seed).score_samples(rows(seed=1)) for seed in (0, 0, 1)]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_isolation_forest_is_scikit_learns() -> None:
    x, new = rows(), rows(30, seed=1)
    theirs = IsolationForest(n_estimators=100, random_state=4).fit(x).score_samples(new)
    assert np.array_equal(Forest().fit(x, random_state=4).score_samples(new), theirs)
