"""Ways between codes, directions and nearest rows, held against closed forms and brute force."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

import engram
from engram.data.rows import Rows
from engram.errors import DataError, UsageError
from engram.maths.interpolation import angle_between, on_arc, on_line
from engram.models import near
from engram.models.near import nearest_codes

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(160, 2))
X = Z @ RNG.normal(size=(2, 5)) + 0.02 * RNG.normal(size=(160, 5))
LABELS = (Z[:, 0] > 0.3).astype(int)


@pytest.fixture(scope="module")
def linear() -> engram.Autoencoder:
    """PCA: its codes are known."""
    return engram.Autoencoder(hidden=(), code_size=2, max_epochs=1, random_state=0).fit(X)


@pytest.fixture(scope="module")
def vae() -> engram.VAE:
    return engram.VAE(code_size=2, hidden=(8,), max_epochs=3, random_state=0).fit(X)


def share(n: int) -> torch.Tensor:
    return torch.linspace(0, 1, n, dtype=torch.float64)[:, None]


# --- the formulas ---


def test_the_arc_keeps_length_and_divides_the_angle_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    for d in (2, 3, 50):
        a, b = torch.randn(2, d, generator=generator, dtype=torch.float64)
        a, b = 3 * a / a.norm(), 3 * b / b.norm()
        way = on_arc(a, b, share(7))
        assert torch.allclose(way.norm(dim=1), torch.full((7,), 3.0, dtype=torch.float64))
        steps = [float(angle_between(p, q)) for p, q in pairwise(way)]
        assert np.allclose(steps, float(angle_between(a, b)) / 6)
        assert torch.allclose(way[[0, -1]], torch.stack([a, b]))


def test_the_arc_of_a_quarter_turn_is_cosine_and_sine() -> None:
    a, b = torch.tensor([2.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 2.0], dtype=torch.float64)
    t = share(5) * math.pi / 2
    assert torch.allclose(on_arc(a, b, share(5)), 2 * torch.cat([t.cos(), t.sin()], 1))


def test_arcs_without_an_angle_are_straight_and_half_turns_are_refused() -> None:
    a = torch.tensor([1.0, 2.0], dtype=torch.float64)
    for b in (a, 3 * a, 0 * a):
        assert torch.allclose(on_arc(a, b, share(4)), on_line(a, b, share(4)))
    with pytest.raises(ValueError, match="opposite"):
        on_arc(a, -2 * a, share(4))


# --- ways ---


def test_a_straight_way_of_a_linear_model_is_straight_between_its_reconstructions(linear: engram.Autoencoder) -> None:
    way = linear.interpolate(X[:1], X[1:2], n=5)
    ends = linear.reconstruct(X[:2])
    t = np.linspace(0, 1, 5)[:, None]
    assert way == pytest.approx((1 - t) * ends[0] + t * ends[1], abs=1e-5)


def test_a_spherical_way_lies_on_the_arc_between_the_codes(vae: engram.VAE) -> None:
    codes = torch.from_numpy(vae.transform(X[:2])).double()
    way = vae.interpolate(X[:1], X[1:2], n=6, how="spherical")
    assert way == pytest.approx(vae.inverse_transform(on_arc(codes[0], codes[1], share(6)).float().numpy()), abs=1e-6)
    assert way[[0, -1]] == pytest.approx(vae.reconstruct(X[:2]), abs=1e-6)


def test_a_spherical_way_takes_a_normal_prior(linear: engram.Autoencoder) -> None:
    with pytest.raises(UsageError, match=r"normal prior.*how='linear'"):
        linear.interpolate(X[:1], X[1:2], how="spherical")
    with pytest.raises(UsageError, match="how"):
        linear.interpolate(X[:1], X[1:2], how="curved")
    vamp = engram.VAE(prior="vamp", prior_size=2, code_size=2, hidden=(4,), max_epochs=1, random_state=0).fit(X)
    with pytest.raises(UsageError, match="normal prior"):
        vamp.interpolate(X[:1], X[1:2], how="spherical")


def test_an_end_is_one_row(linear: engram.Autoencoder) -> None:
    with pytest.raises(DataError, match=r"one row at a time, got 2"):
        linear.interpolate(X[:2], X[1:2])


def test_a_traversal_changes_one_unit_alone(linear: engram.Autoencoder) -> None:
    code = linear.transform(X[3:4])
    values = [-1.0, 0.0, 2.5]
    there = np.repeat(code, 3, 0)
    there[:, 1] = values
    assert np.array_equal(linear.traverse(X[3:4], 1, values), linear.inverse_transform(there))
    with pytest.raises(UsageError, match="2 units"):
        linear.traverse(X[:1], 2, values)
    with pytest.raises(UsageError, match="finite"):
        linear.traverse(X[:1], 0, [math.nan])


# --- directions ---


def test_a_direction_of_means_leads_from_the_one_mean_to_the_other(linear: engram.Autoencoder) -> None:
    codes = linear.transform(X)
    found = linear.direction(X, LABELS)
    assert found.dtype == np.float32
    assert found == pytest.approx(codes[LABELS == 1].mean(0) - codes[LABELS == 0].mean(0), abs=1e-5)
    moved = linear.transform(linear.move(X[LABELS == 0], found))
    assert moved.mean(0) == pytest.approx(codes[LABELS == 1].mean(0), abs=1e-3)


def test_a_direction_of_a_plane_is_its_normal_and_as_long_as_the_means_are_apart_along_it() -> None:
    """Two groups that differ along the first axis, among codes that vary much more along a slanted one."""
    from engram.models.walks import _normal

    generator = np.random.default_rng(1)
    codes = generator.normal(size=(4000, 2)) @ np.array([[0.3, 0.0], [2.0, 3.0]])
    there = generator.random(4000) < 0.4
    codes[there, 0] += 1.0
    covariance = np.cov(np.where(there[:, None], codes - [1.0, 0.0], codes).T)
    fisher = np.linalg.solve(
        covariance, [1.0, 0.0]
    )  # of two normal groups with one covariance, the best plane's normal
    assert _normal(codes, there) == pytest.approx(fisher / np.linalg.norm(fisher), abs=0.03)


def test_a_logistic_direction_tells_the_groups_apart(linear: engram.Autoencoder) -> None:
    codes, found = linear.transform(X), linear.direction(X, LABELS, how="logistic")
    along = codes @ found / np.linalg.norm(found)
    gap = along[LABELS == 1].mean() - along[LABELS == 0].mean()
    assert np.linalg.norm(found) == pytest.approx(gap, rel=1e-4)
    assert along[LABELS == 1].min() > np.quantile(along[LABELS == 0], 0.97)


def test_the_label_that_a_direction_leads_to(linear: engram.Autoencoder) -> None:
    names = np.where(LABELS == 1, "ill", "well")
    assert np.array_equal(linear.direction(X, names, towards="ill"), linear.direction(X, LABELS))
    assert linear.direction(X, names, towards="well") == pytest.approx(-linear.direction(X, LABELS), abs=1e-6)
    assert np.array_equal(linear.direction(X, LABELS == 1), linear.direction(X, LABELS))
    with pytest.raises(UsageError, match="towards="):
        linear.direction(X, names)
    with pytest.raises(UsageError, match=r"no row has the label 'il'.*'ill'"):
        linear.direction(X, names, towards="il")
    with pytest.raises(DataError, match="all rows have"):
        linear.direction(X, np.ones(len(X)))
    with pytest.raises(DataError, match="one per row"):
        linear.direction(X, LABELS[:5])


def test_rows_are_moved_by_so_many_steps(linear: engram.Autoencoder) -> None:
    way = np.array([0.5, -1.0])
    assert np.array_equal(linear.move(X[:4], way, by=0), linear.reconstruct(X[:4]))
    each = linear.move(X[:3], way, by=[0.0, 1.0, -2.0])
    for i, by in enumerate((0.0, 1.0, -2.0)):
        assert np.array_equal(each[i : i + 1], linear.move(X[i : i + 1], way, by=by))
    with pytest.raises(UsageError, match="2 units"):
        linear.move(X, [1.0])
    with pytest.raises(UsageError, match="one for each"):
        linear.move(X[:3], way, by=[1.0, 2.0])


# --- nearest rows ---


def test_nearest_rows_are_those_of_brute_force_and_do_not_depend_on_the_rows_beside(linear: engram.Autoencoder) -> None:
    pool, rows = X[:100], X[100:]
    numbers, distances = linear.nearest(rows, pool, n=4)
    a, b = linear.transform(rows).astype(float), linear.transform(pool).astype(float)
    table = np.sqrt(np.square(a[:, None] - b).sum(2))
    assert np.array_equal(numbers, np.argsort(table, axis=1, kind="stable")[:, :4])
    assert distances == pytest.approx(np.sort(table, axis=1)[:, :4])
    alone = linear.nearest(rows[7:8], pool, n=4)
    assert np.array_equal(alone[0], numbers[7:8])
    assert np.array_equal(alone[1], distances[7:8])


def test_a_row_of_the_pool_is_its_own_nearest_and_ties_go_to_the_lower_number(linear: engram.Autoencoder) -> None:
    numbers, distances = linear.nearest(X[:5], X, n=1)
    assert numbers[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert not distances.any()
    found, _ = nearest_codes(np.zeros((1, 30)), np.ones((3, 30)), 9)
    assert found.tolist() == [[0, 1, 2]]  # all there are


def test_ties_at_the_last_neighbour_go_to_the_lower_number() -> None:
    model = engram.Autoencoder(max_epochs=2, random_state=0).fit(X)
    numbers, distances = model.nearest(X[:5], np.repeat(X[:20], 10, 0), n=3)
    assert numbers.tolist() == [[10 * i, 10 * i + 1, 10 * i + 2] for i in range(5)]
    assert not distances.any()


@pytest.mark.parametrize("size", [2, 24])
@pytest.mark.parametrize("n", [1, 7, 60, 500])
def test_nearest_codes_of_few_values_are_those_of_brute_force(
    size: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As codes of a codebook are: nearly all distances tie with others."""
    monkeypatch.setattr(near, "VALUES", 1500)  # some rows at a time
    entries = np.random.default_rng(1).normal(size=(9, size)) + 100
    pick = np.random.default_rng(2).integers(0, 9, 500)
    known, codes = entries[pick], np.concatenate([entries, entries + 1e-9])
    table = np.square(codes[:, None] - known).sum(2)
    numbers, distances = nearest_codes(codes, known, n)
    assert np.array_equal(numbers, np.argsort(table, axis=1, kind="stable")[:, :n])
    assert np.array_equal(distances, np.sqrt(np.sort(table, axis=1)[:, :n]))
    alone = nearest_codes(codes[3:4], known, n)
    assert np.array_equal(alone[0], numbers[3:4])
    assert np.array_equal(alone[1], distances[3:4])


# --- rows that are sorted ---


@pytest.mark.parametrize(
    ("name", "given"), [("autoencoder", {}), ("vae", {"prior": "vamp"}), ("vq-vae", {"n_codes": 8})], ids=str
)
def test_rows_that_are_sorted_are_drawn_from_all_of_them(
    name: str, given: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking at the first few thousand rows alone, a model of sorted rows drew none of the last ones."""
    monkeypatch.setattr("engram.models.codes.ROWS", 100)
    monkeypatch.setattr("engram.models.priors.ROWS", 100)
    x = RNG.normal(size=(400, 5)) * 0.1 + np.repeat([-1.0, 1.0], 200)[:, None]
    model = engram.create(name, code_size=2, max_epochs=3, early_stopping=False, random_state=0, **given).fit(x)
    assert 0.2 < np.mean(model.sample(500, random_state=0).mean(1) > 0) < 0.8


@pytest.mark.parametrize("n", [1, 5, 10, 40])
def test_rows_are_spread_from_the_first_to_the_last(n: int) -> None:
    rows = Rows(torch.arange(10.0)[:, None], index=torch.arange(10))
    some = rows.spread(n).x[:, 0]
    assert len(some) == min(n, 10)
    assert len(torch.unique(some)) == len(some)
    assert n == 1 or (some[0], some[-1]) == (0, 9)
    assert torch.equal(some, rows.spread(n).index.float())
