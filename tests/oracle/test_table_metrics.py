"""Metrics of generated tables against scipy, brute force and answers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import f1_score, roc_auc_score

from engram.errors import DataError
from engram.evaluation.report import Result
from engram.evaluation.synthetic import _findings
from engram.evaluation.table_learners import UTILITY, macro_f1
from engram.metrics.metric import Array
from engram.metrics.tables import (
    category_shape,
    column_shapes,
    membership_auroc,
    missing_shape,
    missing_trends,
    nearer_to_training,
    number_shape,
    pair_trends,
)
from engram.metrics.uncertainty import deviations, standard_error

NAN = np.nan


@pytest.mark.parametrize("seed", range(3))
def test_number_shape_is_one_minus_scipys_statistic(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=200), rng.normal(0.3, 2, size=131).round(1)
    assert number_shape(a, b) == pytest.approx(1 - ks_2samp(a, b).statistic)
    assert number_shape(a, a[::-1]) == 1
    assert number_shape(np.append(a, NAN), b) == number_shape(a, b)
    assert np.isnan(number_shape(np.array([NAN]), b))


def test_category_shape_by_hand() -> None:
    a, b = np.array([0, 0, 1, 1.0]), np.array([0, 1, 1, 2, NAN])
    assert category_shape(a, b) == pytest.approx(1 - 0.5 * (abs(0.5 - 0.25) + abs(0.5 - 0.5) + 0.25))
    assert category_shape(a, a) == 1
    assert category_shape(a, a + 5) == 0


def test_shapes_take_each_column_by_its_sort_and_missing_shares_count_apart() -> None:
    a = np.array([[0, 0.0], [1, 1.0], [2, NAN], [3, 1.0]])
    b = np.array([[0, 1.0], [1, 1.0], [2, 0.0], [9, 0.0]])
    found = column_shapes(a, b, np.array([False, True]))
    assert found == pytest.approx([1 - ks_2samp(a[:, 0], b[:, 0]).statistic, 1 - abs(1 / 3 - 1 / 2)])
    assert missing_shape(a[:, 1], b[:, 1]) == 0.75


def test_pairs_of_numbers_are_compared_by_their_correlations() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(300, 2)) @ [[1, 0.8], [0, 0.6]]
    b = rng.normal(size=(200, 2))
    wanted = 1 - abs(np.corrcoef(a.T)[0, 1] - np.corrcoef(b.T)[0, 1]) / 2
    found = pair_trends(a, b, np.array([False, False]))
    assert found[0, 1] == pytest.approx(wanted)
    assert found[1, 0] == found[0, 1]
    assert np.isnan(np.diag(found)).all()
    assert np.isnan(pair_trends(a, np.ones((5, 2)), np.array([False, False]))[0, 1])


def test_pairs_with_categories_are_compared_by_joint_shares() -> None:
    a = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    b = np.array([[0, 0], [1, 1.0]])
    assert pair_trends(a, b, np.array([True, True]))[0, 1] == pytest.approx(0.5)
    numbers = np.column_stack([np.arange(100.0), np.arange(100) % 2])
    same = pair_trends(numbers, numbers, np.array([False, True]))
    assert same[0, 1] == pytest.approx(1)
    turned = numbers[:, :1].repeat(2, 1)
    turned[:, 1] = numbers[:, 0] < 50
    assert pair_trends(numbers, turned, np.array([False, True]))[0, 1] == pytest.approx(0.5)


def test_patterns_of_missing_cells_are_compared_row_by_row() -> None:
    a = np.array([[NAN, NAN], [1, 1], [1, 1], [NAN, NAN]])
    b = np.array([[NAN, 1], [1, NAN], [NAN, NAN], [1, 1]])
    assert missing_shape(a[:, 0], b[:, 0]) == 1
    assert missing_trends(a, b) == pytest.approx(0.5)
    assert missing_trends(a, a) == 1


def test_nearness_and_membership_by_brute_force() -> None:
    rng = np.random.default_rng(1)
    g, t, h = (rng.normal(size=(n, 3)) for n in (40, 30, 30))
    near = lambda rows, known: np.sqrt(((rows[:, None] - known[None]) ** 2).sum(2)).min(1)  # noqa: E731
    wanted = np.mean(near(g, t) < near(g, h))
    assert nearer_to_training(g, t, h) == pytest.approx(wanted)
    scores = -np.concatenate([near(t, g), near(h, g)])
    assert membership_auroc(g, t, h) == pytest.approx(roc_auc_score(np.repeat([1, 0], 30), scores))


def test_copies_are_seen_by_both_and_fresh_rows_by_neither() -> None:
    rng = np.random.default_rng(2)
    t, h = rng.normal(size=(300, 4)), rng.normal(size=(300, 4))
    assert nearer_to_training(t.copy(), t, h) == 1
    assert membership_auroc(t.copy(), t, h) == 1
    fresh = rng.normal(size=(300, 4))
    assert abs(nearer_to_training(fresh, t, h) - 0.5) < 0.1
    assert abs(membership_auroc(fresh, t, h) - 0.5) < 0.1


def test_tables_of_other_columns_or_without_rows_are_refused() -> None:
    with pytest.raises(DataError, match="same columns"):
        column_shapes(np.ones((3, 2)), np.ones((3, 3)), np.array([True, True]))
    with pytest.raises(DataError, match="must have rows"):
        pair_trends(np.ones((0, 2)), np.ones((3, 2)), np.array([True, True]))


@pytest.mark.parametrize("classes", [1, 2, 7, 50])
def test_macro_f1_is_scikit_learns(classes: int) -> None:
    y, predicted = np.random.default_rng(classes).integers(0, classes, (2, 100)).astype(float)
    assert macro_f1(y, predicted) == f1_score(y, predicted, average="macro", zero_division=0)


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_utility_is_worse_than_a_baselines_only_beyond_what_rows_make_by_chance(share: float) -> None:
    """Of rare classes macro F1 moves far more than a share of right answers, and the best of three is above the mean."""
    rng = np.random.default_rng(0)

    def judged(subject: str, y: Array, hits: float) -> tuple[Result, Array]:
        arrays = {"y": y, "predicted": rng.random(len(y)) < np.where(y, hits, share / 2)}
        moved = deviations(UTILITY["classification"], arrays)
        value, error = UTILITY["classification"].value(arrays), standard_error(moved)
        return Result("utility, trees", subject, value, error, "higher", "macro F1", {}), moved

    def told(hits: float) -> bool:
        y = rng.random(1000) < share
        return any(_findings("model", [judged("model", y, hits), *(judged(name, y, 0.5) for name in "abc")]))

    assert sum(told(0.5) for _ in range(30)) < 0.2 * 30
    assert share < 0.1 or told(0.1)
