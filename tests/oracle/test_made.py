"""The masked autoencoder: each output sees only columns before its own, rows' probabilities sum to one, draws follow them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from engram.errors import UsageError
from engram.likelihoods import Bernoulli, Blocks, Categorical, Laplace, Normal, Poisson
from engram.maths.growth import square_plus
from engram.models.conditionals import LEAST, Conditionals
from engram.models.made import MADE
from engram.networks.masked import MaskedNetwork, masks, ordering


@pytest.mark.parametrize("widths", [(), (7,), (16, 9)])
@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_the_jacobian_is_zero_but_for_columns_before(widths: tuple[int, ...], order: int) -> None:
    columns = torch.tensor([0, 1, 2, 2, 2, 3, 4])  # the third is a category of three values
    outputs = torch.cat([columns, torch.tensor([0, 1])])
    places = ordering(5, order)
    torch.manual_seed(0)
    net = MaskedNetwork(columns, outputs, places, widths, 0.0)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x[None])[0], torch.randn(7))
    allowed = places[outputs][:, None] > places[columns][None]
    assert (jacobian[~allowed] == 0).all()
    assert (jacobian[allowed] != 0).all()


def test_orders_are_permutations_and_the_same_every_time() -> None:
    assert ordering(4, 0).tolist() == [1, 2, 3, 4]
    assert ordering(4, 1).tolist() == [4, 3, 2, 1]
    for number in range(6):
        assert sorted(ordering(9, number).tolist()) == list(range(1, 10))
        assert torch.equal(ordering(9, number), ordering(9, number))


def test_products_of_masks_reach_exactly_what_is_before() -> None:
    degrees = [
        torch.tensor([1, 2, 3, 4]),
        torch.tensor([1, 2, 3, 1, 2, 3]),
        torch.tensor([3, 1, 2]),
        torch.tensor([1, 2, 3, 4]),
    ]
    reach = torch.eye(4)
    for mask in masks(degrees):
        reach = mask.float() @ reach
    assert torch.equal(reach > 0, degrees[-1][:, None] > degrees[0][None])


def every_row(d: int) -> np.ndarray:
    return np.array(list(product([0.0, 1.0], repeat=d)), dtype=np.float32)


@pytest.mark.parametrize("given", [{"orders": 1}, {"orders": 3, "hidden": (8,)}, {"hidden": ()}, {"dropout": 0.3}])
def test_probabilities_of_all_binary_rows_sum_to_one(given: dict) -> None:
    X = every_row(6)[np.random.default_rng(0).integers(0, 40, 200)]
    model = MADE(likelihood="bernoulli", max_epochs=3, random_state=0, **given).fit(X)
    assert np.exp(model.score_samples(every_row(6)).astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)


def test_a_distribution_that_no_independent_columns_have_is_learned_and_drawn() -> None:
    """Parity: the last column is decided by the first two, and is even without either."""
    random = np.random.default_rng(0)
    X = random.integers(0, 2, size=(1000, 3)).astype(np.float32)
    X[:, 2] = (X[:, 0] + X[:, 1]) % 2
    model = MADE(likelihood="bernoulli", max_epochs=40, learning_rate=0.01, random_state=0).fit(X)
    assert model.score(X) == pytest.approx(2 * np.log(0.5), abs=0.05)
    drawn = model.sample(2000, random_state=0)
    assert ((drawn[:, 0] + drawn[:, 1]) % 2 == drawn[:, 2]).mean() > 0.98
    shares = np.array([(drawn == row).all(1).mean() for row in every_row(3)])
    assert shares == pytest.approx(np.exp(model.score_samples(every_row(3))), abs=0.04)


def test_the_density_of_numbers_integrates_to_one_and_follows_the_spread_of_each_row() -> None:
    random = np.random.default_rng(0)
    first = random.uniform(-1, 1, 2000)
    X = np.column_stack([first, np.sin(3 * first) + (0.1 + 0.4 * (first > 0)) * random.normal(size=2000)])
    model = MADE(orders=1, max_epochs=25, learning_rate=5e-3, random_state=0).fit(X)
    steps = np.linspace(-6, 6, 241)
    grid = np.array(list(product(steps, steps)))
    total = np.exp(model.score_samples(grid).astype(np.float64)).sum() * (steps[1] - steps[0]) ** 2
    assert total == pytest.approx(1, abs=0.02)
    drawn = model.sample(4000, random_state=0)
    spread = [(drawn[s, 1] - np.sin(3 * drawn[s, 0])).std() for s in (drawn[:, 0] < -0.1, drawn[:, 0] > 0.1)]
    assert spread[0] + 0.1 < spread[1]


def test_log_densities_are_those_of_the_parts_with_a_scale_for_each_row() -> None:
    given = Conditionals(Blocks([Normal((2,)), Laplace((1,)), Poisson((1,)), Bernoulli((1,)), Categorical((3,))]))
    assert given.scaled_values.tolist() == [0, 1, 2]
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(6, 8 + 3, generator=generator)
    x = torch.cat([torch.randn(6, 3, generator=generator), torch.ones(6, 2), torch.eye(3).repeat(2, 1)], 1)
    shared = [float(part.log_scale.detach()) for part in given.parts[:2]]
    scale = (LEAST + square_plus(output[:, 8:] + torch.tensor([shared[0], shared[0], shared[1]]) - LEAST)).exp()
    expected = torch.distributions.Normal(output[:, :2], scale[:, :2]).log_prob(x[:, :2]).sum(1)
    expected += torch.distributions.Laplace(output[:, 2], scale[:, 2]).log_prob(x[:, 2])
    expected += torch.distributions.Poisson(output[:, 3].exp()).log_prob(x[:, 3])
    expected += torch.distributions.Bernoulli(logits=output[:, 4]).log_prob(x[:, 4])
    expected += (output[:, 5:8].log_softmax(1) * x[:, 5:]).sum(1)
    torch.testing.assert_close(given.log_prob(output, x, None), expected)
    mask = torch.ones(6, 6, dtype=torch.bool)
    mask[:, 0] = False
    less = torch.distributions.Normal(output[:, 0], scale[:, 0]).log_prob(x[:, 0])
    torch.testing.assert_close(given.log_prob(output, x, mask), expected - less)
    many = given.sample(output[:1].expand(40_000, -1), generator)
    assert many[:, 0].mean().item() == pytest.approx(float(output[0, 0]), abs=4 * float(scale[0, 0]) / 200)
    assert many[:, 0].std().item() == pytest.approx(float(scale[0, 0]), rel=0.03)
    assert (many[:, 2] - output[0, 2]).abs().mean().item() == pytest.approx(float(scale[0, 2]), rel=0.03)


def test_the_smooth_maximum_is_softplus_at_zero_and_the_identity_far_out() -> None:
    x = torch.tensor([-1e4, 0.0, 1e4]).double()
    assert square_plus(x).tolist() == pytest.approx([0.0, float(np.log(2)), 1e4], abs=1e-4)


def test_missing_cells_are_not_scored_and_every_kind_of_column_is_drawn() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": random.normal(size=300), "k": random.integers(0, 9, 300), "c": random.choice(["a", "b", "d"], 300)}
    )
    frame["y"] = frame.x + (frame.c == "a")
    model = MADE(max_epochs=10, random_state=0).fit(frame)
    holes = frame.assign(y=np.nan, x=np.nan, k=np.nan, c=None)
    assert model.score_samples(holes) == pytest.approx(np.zeros(300), abs=1e-6)
    assert not hasattr(model, "transform")
    drawn = model.sample(50, random_state=0)
    assert drawn.columns.tolist() == frame.columns.tolist()
    assert set(drawn.c) <= {"a", "b", "d"}


def test_the_score_of_digits_is_better_than_that_of_independent_pixels() -> None:
    X = (load_digits().images > 7).astype(np.float32)
    model = MADE(likelihood="bernoulli", max_epochs=15, learning_rate=5e-3, random_state=0).fit(X[:1300])
    p = (X[:1300].sum(0) + 1) / 1302
    alone = (X[1300:] * np.log(p) + (1 - X[1300:]) * np.log(1 - p)).sum((1, 2)).mean()
    assert model.score(X[1300:]) > alone + 5
    assert np.array_equal(model.log_likelihood(X[:20]), model.score_samples(X[:20]))


def test_what_has_no_distribution_for_each_column_is_refused() -> None:
    X = np.random.default_rng(0).integers(0, 4, size=(40, 5)).astype(float)
    with pytest.raises(UsageError, match="distribution for each column"):
        MADE(likelihood="multinomial").fit(X)
