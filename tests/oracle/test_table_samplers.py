"""SMOTE and the Gaussian copula against what their definitions say of the rows they draw."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from engram.evaluation.baselines.gaussian_copula import GaussianCopula
from engram.evaluation.baselines.smote import SMOTE


def rows(n: int = 2000) -> np.ndarray:
    rng = np.random.default_rng(0)
    z = rng.multivariate_normal([0, 0, 0], [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]], n)
    return np.column_stack([np.exp(z[:, 0]), z[:, 1], z[:, 2] > 0.5])


def test_the_copula_draws_cells_of_the_columns_with_their_shares_and_rank_correlations() -> None:
    x = rows()
    drawn = GaussianCopula().fit(x).sample(20_000, 1).astype(np.float64)
    for j in range(2):
        assert np.isin(drawn[:, j], x[:, j].astype(np.float32)).all()
        assert abs(np.median(drawn[:, j]) - np.median(x[:, j])) < 0.05
    assert abs(drawn[:, 2].mean() - x[:, 2].mean()) < 0.02
    scores = [norm.ppf((rankdata(column) - 0.5) / len(column)) for column in drawn[:, :2].T]
    assert abs(np.corrcoef(scores)[0, 1] - 0.8) < 0.03


def test_holes_are_a_step_of_the_copula() -> None:
    x = rows()
    x[x[:, 1] > 1, 0] = np.nan
    drawn = GaussianCopula().fit(x).sample(5000, 0)
    assert abs(np.isnan(drawn[:, 0]).mean() - np.isnan(x[:, 0]).mean()) < 0.03
    assert not np.isnan(drawn[:, 1:]).any()


def test_smote_lies_between_a_row_and_one_of_its_five_neighbours() -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    drawn = SMOTE().fit(x).sample(200, 3).astype(np.float64)
    scaled = x / x.std(0)
    order = ((scaled[:, None] - scaled[None]) ** 2).sum(2).argsort(1)[:, 1:6]
    for row in drawn:
        ends = [(x[i], x[j]) for i in range(60) for j in order[i]]
        share = [np.linalg.norm(row - a) + np.linalg.norm(row - b) - np.linalg.norm(a - b) for a, b in ends]
        assert min(share) < 1e-5


def test_smote_keeps_classes_apart_and_takes_the_most_frequent_category() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack(
        [np.repeat([0.0, 10.0], 50) + rng.normal(size=100), np.repeat([3, 7], 50), np.repeat([0, 1], 50)]
    )
    x[0, 1] = 9  # a category that no neighbour has
    drawn = SMOTE(np.array([False, True, True]), target=2).fit(x).sample(500, 0)
    assert set(np.unique(drawn[:, 1])) <= {3.0, 7.0}
    assert ((drawn[:, 0] > 5) == (drawn[:, 2] == 1)).all()
    assert np.array_equal(SMOTE().fit(x).sample(9, 1), SMOTE().fit(x).sample(9, 1))


@pytest.mark.parametrize("sampler", [GaussianCopula, SMOTE])
def test_one_row_is_drawn_again(sampler: type[SMOTE] | type[GaussianCopula]) -> None:
    x = np.array([[1.0, 2.0, np.nan]])
    np.testing.assert_array_equal(sampler().fit(x).sample(3, 0), np.repeat(x, 3, 0))
