"""Ranking metrics, EASE, neighbours of items, means and held-back items against brute force and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from engram.apps.linear_items import LinearItems, blended, standardised
from engram.errors import DataError, UsageError
from engram.evaluation.baselines.ease import EASE, STRENGTHS
from engram.evaluation.baselines.item_knn import SHRINKAGE, ItemKNN
from engram.evaluation.baselines.popularity import Popularity
from engram.evaluation.baselines.weight_bias import WeightBias
from engram.evaluation.held_back import hold_back
from engram.maths import item_item
from engram.maths.item_item import item_weights, kept_weights, sparse_item_weights
from engram.metrics.ranking import hits_of, ndcg_at, recall_at, reciprocal_rank, top
from engram.models.preferences import Ranker, Weigher, item_means, shrinkage_of

rng = np.random.default_rng(0)


def histories(n: int = 30, m: int = 12, share: float = 0.35) -> Any:
    return sparse.csr_array((rng.random((n, m)) < share).astype(np.float32))


@pytest.mark.parametrize("k", [0, 1, 5, 17, 40])
def test_top_is_the_start_of_a_stable_sort(k: int) -> None:
    scores = rng.integers(0, 5, (40, 17)).astype(float)
    assert np.array_equal(top(scores, k), np.argsort(-scores, axis=1, kind="stable")[:, :k])


def by_hand(scores: Any, seen: Any, relevant: Any, k: int) -> tuple[float, float, float, float, float]:
    """Recall (both ways), precision, NDCG and reciprocal rank of one user, item by item."""
    order = sorted((i for i in range(len(scores)) if not seen[i]), key=lambda i: (-scores[i], i))[:k]
    wanted = {i for i in range(len(scores)) if relevant[i]}
    hits = [i in wanted for i in order]
    gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits) if hit)
    best = sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))
    first = next((1 / (place + 1) for place, hit in enumerate(hits) if hit), 0.0)
    return sum(hits) / min(k, len(wanted)), sum(hits) / len(wanted), gain / best, first


@pytest.mark.parametrize("k", [1, 3, 12, 20])
def test_measures_are_those_of_a_list_made_by_hand(k: int) -> None:
    scores = rng.normal(size=(30, 12)).round(1)
    kind = rng.integers(0, 4, (30, 12))
    seen, relevant = sparse.csr_array((kind == 0).astype(float)), sparse.csr_array((kind == 1).astype(float))
    hits, n = hits_of(scores, seen, relevant, k)
    found = [
        recall_at(hits, n, k),
        recall_at(hits, n, k, divide="n"),
        ndcg_at(hits, n, k),
        reciprocal_rank(hits, n, k),
    ]
    for user in range(30):
        values = [measure[user] for measure in found]
        if not (kind[user] == 1).any():
            assert np.isnan(values).all()
        else:
            assert values == pytest.approx(by_hand(scores[user], kind[user] == 0, kind[user] == 1, k))


def test_an_item_that_was_fed_is_never_a_hit() -> None:
    both = sparse.csr_array(np.ones((1, 3)))
    hits, n = hits_of(np.array([[3.0, 2.0, 1.0]]), both, both, 3)
    assert not hits.any()
    assert n.tolist() == [3]


def test_measures_say_what_they_cannot_take() -> None:
    with pytest.raises(UsageError, match="neither 'min' nor 'n'"):
        recall_at(np.zeros((1, 1), bool), np.ones(1), 1, divide="max")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="different shapes"):
        hits_of(np.zeros((2, 3)), sparse.csr_array((2, 3)), sparse.csr_array((2, 4)), 1)


def closed_form(X: Any, strength: float) -> Any:
    """Equation 8 of the paper, as it stands."""
    P = np.linalg.inv((X.T @ X).toarray().astype(float) + strength * np.eye(X.shape[1]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    return B


@pytest.mark.parametrize("shape", [(40, 12), (9, 25), (16, 16)])
def test_item_weights_are_the_closed_form_by_items_and_by_users(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_item, "BLOCK", 60)  # several blocks
    X = histories(*shape)
    found = np.concatenate([weights for _, weights in item_weights(X, 3.0)], axis=1)
    np.testing.assert_allclose(found, closed_form(X, 3.0), atol=1e-12)


def test_item_weights_are_a_minimum_under_a_zero_diagonal() -> None:
    X, B = histories(), closed_form(histories(), 2.0)
    X = histories()
    B = closed_form(X, 2.0)
    gradient = (X.T @ X).toarray() @ (B - np.eye(12)) + 2.0 * B
    np.fill_diagonal(gradient, 0)  # the diagonal is not free
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_the_largest_weights_of_a_column_are_kept() -> None:
    X = histories()
    B = closed_form(X, 2.0)
    kept, full = sparse_item_weights(X, 2.0, 3, X)
    assert full is not None
    np.testing.assert_allclose(full, X @ B, atol=1e-5)
    for column in range(12):
        largest = np.argsort(-np.abs(B[:, column]))[:3]
        assert set(kept[:, [column]].tocoo().coords[0]) == set(largest)
    rows, columns, values = kept_weights(B, 12)
    assert len(values) == 12 * 11  # the diagonal is zero
    np.testing.assert_allclose(B[rows, columns], values)


@pytest.mark.parametrize("shape", [(40, 15), (12, 30)])
def test_scores_without_weights_are_those_of_the_weights(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    X, others = (sparse.csr_array((rng.random(shape) < 0.3).astype(float)) for _ in range(2))
    weights = np.concatenate([block for _, block in item_weights(X, 3.0)], axis=1)
    monkeypatch.setattr(item_item, "BLOCK", 64)  # several blocks
    np.testing.assert_allclose(item_item.ItemScores(X, 3.0)(others), others @ weights, atol=1e-12)


def test_ease_inverts_once_however_many_histories_it_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    inverses, inverse = [], item_item._inverse
    monkeypatch.setattr(item_item, "_inverse", lambda *given: inverses.append(0) or inverse(*given))
    fitted = EASE(5.0).fit(histories())
    for rows in (slice(0, 2), slice(2, 4), slice(4, 6)):
        fitted.scores(histories()[rows])
    assert len(inverses) == 1


def test_ease_scores_as_its_weights_say_and_chooses_a_strength() -> None:
    X = histories(60)
    np.testing.assert_allclose(EASE(5.0).fit(X).scores(X[:4]), X[:4] @ closed_form(X, 5.0), atol=1e-9)
    assert EASE().fit(X).strength_ in STRENGTHS


def test_neighbours_of_items_are_shrunk_cosines() -> None:
    X = histories()
    common = (X.T @ X).toarray()
    length = np.sqrt(np.diag(common))
    likeness = common / (np.outer(length, length) + SHRINKAGE)
    np.fill_diagonal(likeness, 0)
    np.testing.assert_allclose(ItemKNN().fit(X).scores(X[:3]), X[:3] @ likeness, atol=1e-6)
    np.testing.assert_array_equal(Popularity().fit(X).scores(X[:1])[0], X.toarray().sum(0))


def test_a_bias_model_of_much_data_finds_the_means_it_was_made_of() -> None:
    item, user = rng.normal(size=12), rng.normal(size=3000)
    table = 3 + item[None] + user[:, None]
    X = sparse.csr_array(np.where(rng.random(table.shape) < 0.8, table, 0))
    found = WeightBias().fit(X).predict(X[:50])
    shrunk = table[:50] - found  # a user's mean of ten is shrunk towards nothing by five more
    assert np.abs(shrunk).mean() < 0.4
    assert np.corrcoef(found.mean(0), item)[0, 1] > 0.999


def test_item_means_of_much_data_are_the_means() -> None:
    item = rng.normal(3, 1, 12)
    table = item[None] + 0.3 * rng.normal(size=(3000, 1)) + 0.01 * rng.normal(size=(3000, 12))
    found, shrinkage = item_means(sparse.csr_array(np.where(rng.random(table.shape) < 0.7, table, 0)))
    np.testing.assert_allclose(found, item, atol=0.15)
    assert shrinkage == pytest.approx(0.1)  # hardly any noise within users: no less is allowed


def test_shrinkage_is_the_ratio_of_variances() -> None:
    groups = np.repeat(np.arange(2000), 5)
    values = rng.normal(0, 1, 2000)[groups] + rng.normal(0, 2, 10_000)
    assert shrinkage_of(values, groups) == pytest.approx(4, rel=0.15)
    assert shrinkage_of(np.ones(3), np.arange(3)) == 1.0


def test_the_bias_part_of_a_weigher_is_its_formula() -> None:
    net = Weigher(4)
    net.item_mean.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    net.shrinkage.data.fill_(math.log(2.0))
    x = torch.tensor([[3.0, 0.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    said, added = net.parts(x, (x > 0).float())
    np.testing.assert_allclose(said[0].detach(), [1.75, 2.75, 3.75, 4.75])  # (2 + 1) / (2 + 2)
    np.testing.assert_allclose(said[1].detach(), [1, 2, 3, 4])
    assert added.shape == (2, 4)


def test_the_ranking_term_is_the_multinomial_log_likelihood_without_its_constant() -> None:
    net = Ranker(6, 3, 0.0, variational=False).eval()
    x = torch.tensor([[1.0, 0, 1, 0, 0, 0]])
    log_p = net(x).log_softmax(1)[0]
    assert float(net.terms(x, 1.0)["multinomial"].detach()) == pytest.approx(-float((log_p[0] + log_p[2]).detach()))
    z = torch.tanh(net.encoder.weight @ (x[0] / math.sqrt(2)) + net.encoder.bias)
    np.testing.assert_allclose(net.code(x)[0][0].detach(), z.detach(), atol=1e-6)
    vae = Ranker(6, 3, 0.0, variational=True).eval()
    assert float(vae.terms(x, 0.25)["kl"].detach()) == pytest.approx(0.1 * float(vae.code(x)[1].detach()))  # type: ignore[union-attr]


@pytest.mark.parametrize("protocol", ["strong", "leave-one-out"])
def test_held_back_and_fed_items_are_the_history(protocol: str) -> None:
    X = sparse.csr_array(histories(200, 15).toarray() * (np.arange(200) > 0)[:, None])
    parts = hold_back(X, protocol, 1)
    np.testing.assert_array_equal((parts.fed + parts.held).toarray(), X.toarray())
    assert parts.fed.multiply(parts.held).nnz == 0
    count, held = np.diff(X.indptr), np.diff(parts.held.indptr)
    fifth = np.maximum(1, np.round(0.2 * count)) if protocol == "strong" else np.ones(len(count))
    np.testing.assert_array_equal(held, np.where(count > 1, fifth, 0))
    assert (hold_back(X, protocol, 1).held != parts.held).nnz == 0
    assert (hold_back(X, protocol, 2).held != parts.held).nnz > 0


def test_by_time_the_last_items_are_held_back() -> None:
    X = histories(50, 15, 0.6)
    times = X.copy()
    times.data = rng.permutation(X.nnz) + 1.0
    parts = hold_back(X, "time", 0, times)
    for user in range(50):
        held, fed = (times[[user]].multiply(p[[user]]).toarray()[0] for p in (parts.held, parts.fed))
        assert not held.any() or held[held > 0].min() > fed.max()
    one = hold_back(X, "leave-one-out", 0, times)
    assert all(times[[u]].multiply(one.held[[u]]).max() == times[[u]].max() for u in range(50) if X[[u]].nnz > 1)
    with pytest.raises(DataError, match="column of times"):
        hold_back(X, "time", 0)
    with pytest.raises(UsageError, match="strong"):
        hold_back(X, "stong", 0)


def test_a_blend_is_of_standardised_scores() -> None:
    a, b = rng.normal(3, 5, (4, 9)), rng.normal(-2, 0.1, (4, 9))
    shown = blended(a, b, 0.25, 2.0)
    p = [np.exp(y / 2) / np.exp(y / 2).sum() for y in b]  # the softmax of half the logits
    by_row = [0.75 * (x - x.mean()) / x.std() + 0.25 * (y - y.mean()) / y.std() for x, y in zip(a, p, strict=True)]
    np.testing.assert_allclose(shown, by_row, atol=1e-5)
    assert not standardised(np.full((1, 5), 7.0)).any()
    assert blended(a, b, 0, 2.0) is a
    assert blended(a, b, 1, 2.0) is b


def test_linear_items_come_back_from_their_tensors_and_average() -> None:
    X = histories()
    one = LinearItems(sparse_item_weights(X, 2.0, 5)[0], 0.4, 2.0, 4.0)
    again = LinearItems.restored(one.state(), 12)
    assert again is not None
    assert (again.weights != one.weights).nnz == 0
    assert (again.blend, again.strength, again.temperature) == (0.4, 2.0, 4.0)
    assert LinearItems.restored({}, 12) is None
    with pytest.raises(ValueError, match="blended with logits"):
        LinearItems.restored(one.state() | {"linear.blend": torch.tensor([0.4, 2.0])}, 12)
    other = LinearItems(sparse_item_weights(histories(), 2.0, 5)[0], 0.1, 2.0, 4.0)
    mixed = 0.75 * one.weights.toarray() + 0.25 * other.weights.toarray()
    np.testing.assert_allclose(one.averaged(other, 0.25).weights.toarray(), mixed, atol=1e-6)
