"""The simple generators that stand beside generative models, against the moments and the rows that they must give back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engram.evaluation.baselines.bootstrap import Bootstrap
from engram.evaluation.baselines.gaussian_mixture import GaussianMixture
from engram.evaluation.baselines.independent import Independent
from engram.evaluation.baselines.sampler import Sampler

SAMPLERS = [Bootstrap, GaussianMixture, Independent]


def rows(n: int = 3000, d: int = 5, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, 2)) @ rng.normal(size=(2, d)) + 0.3 * rng.normal(size=(n, d)) + 4).astype(np.float32)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("n", "d"), [(3000, 5), (1, 3), (12, 40), (50, 1)])
def test_a_sampler_draws_finite_rows_that_its_seed_repeats(sampler: type[Sampler], n: int, d: int) -> None:
    x = rows(n, d)
    before, state = x.copy(), torch.get_rng_state()
    fitted = sampler().fit(x)
    drawn = fitted.sample(7, 3)
    assert drawn.shape == (7, d)
    assert drawn.dtype == np.float32
    assert np.isfinite(drawn).all()
    np.testing.assert_array_equal(drawn, sampler().fit(x).sample(7, 3))
    np.testing.assert_array_equal(x, before)
    assert torch.equal(state, torch.get_rng_state())
    if n > 1:
        assert not np.array_equal(drawn, fitted.sample(7, 4))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_means_and_variances_are_those_of_the_rows(sampler: type[Sampler]) -> None:
    x = rows()
    drawn = sampler().fit(x).sample(20_000, 1)
    np.testing.assert_allclose(drawn.mean(0), x.mean(0), atol=0.05)
    np.testing.assert_allclose(drawn.std(0), x.std(0), rtol=0.05)


@pytest.mark.parametrize("sampler", [Bootstrap, GaussianMixture])
def test_columns_depend_on_each_other_as_in_the_rows(sampler: type[Sampler]) -> None:
    x = rows()
    drawn = sampler().fit(x).sample(20_000, 1)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.corrcoef(x.T), atol=0.05)


def test_independent_columns_do_not() -> None:
    x = rows()
    drawn = Independent().fit(x).sample(20_000, 1)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.eye(5), atol=0.05)
    assert all(set(drawn[:, i]) <= set(x[:, i]) for i in range(5))


def test_only_the_bootstrap_gives_training_rows_back() -> None:
    x = rows()
    known = {row.tobytes() for row in x}
    copies = [sum(row.tobytes() in known for row in s().fit(x).sample(100)) for s in SAMPLERS]
    assert copies == [100, 0, 0]


def test_a_mixture_finds_the_two_modes_of_rows_with_more_columns_than_components() -> None:
    """Two far modes in 40 columns: between them there is nothing, which one normal would fill."""
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, 2000)
    x = (rng.normal(size=(2000, 40)) + 12 * side[:, None] / np.sqrt(40)).astype(np.float32)
    drawn = GaussianMixture().fit(x).sample(4000, 1)
    along = drawn.sum(1) / np.sqrt(40)
    assert np.mean((along > 4) & (along < 8)) < 0.05
    assert 0.4 < np.mean(along > 6) < 0.6
    np.testing.assert_allclose(drawn.std(0), x.std(0), rtol=0.1)
