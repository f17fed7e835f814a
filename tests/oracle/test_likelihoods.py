"""Likelihoods against SciPy's densities, integrals, moments of draws and finite differences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from engram.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Beta,
    Binomial,
    Blocks,
    Categorical,
    Laplace,
    Likelihood,
    Multinomial,
    NegativeBinomial,
    Normal,
    Poisson,
)
from engram.likelihoods.blocks import Grouped
from engram.likelihoods.continuous import FLOOR, START, LocationScale
from engram.likelihoods.discrete import RARE

NAMES = sorted(LIKELIHOODS)


SIZE = 1.7  # of the negative binomial
SUM = 5.0  # of the beta's two shapes
TRIALS = 6  # of the binomial and the multinomial
CONTINUOUS = ["beta", "exponential", "laplace", "lognormal", "normal"]
COUNTED = ["geometric", "negative-binomial", "poisson"]
OF_ROWS = ["categorical", "multinomial"]  # whose values are not independent


def _built(name: str, shape: tuple[int, ...]) -> Likelihood:
    cls = LIKELIHOODS[name]
    return cls(shape, TRIALS) if issubclass(cls, Binomial | Multinomial) else cls(shape)


def _made(name: str, size: int = 4, scale: float = 0.4) -> Likelihood:
    made = _built(name, (size,)).double()
    if isinstance(made, LocationScale):
        made.log_scale.data.fill_(math.log(scale))
    if isinstance(made, NegativeBinomial):
        made.log_size.data.fill_(math.log(SIZE))
    if isinstance(made, Beta):
        made.log_sum.data.fill_(math.log(SUM))
    return made


def _output(rows: int = 50, size: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _drawn(likelihood: Likelihood, rows: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    output = _output(rows, likelihood.size)
    return output, likelihood.sample(output, torch.Generator().manual_seed(1)).detach()


def _beta(o: np.ndarray) -> Any:
    mean = 1e-4 + (1 - 2e-4) / (1 + np.exp(-o))
    return stats.beta(mean * SUM, (1 - mean) * SUM)


FROZEN: dict[str, Callable[[np.ndarray], Any]] = {
    "normal": lambda o: stats.norm(o, 0.4),
    "laplace": lambda o: stats.laplace(o, 0.4),
    "lognormal": lambda o: stats.lognorm(0.4, scale=np.exp(o)),
    "exponential": lambda o: stats.expon(scale=np.exp(o)),
    "beta": _beta,
    "bernoulli": lambda o: stats.bernoulli(1 / (1 + np.exp(-o))),
    "binomial": lambda o: stats.binom(TRIALS, 1 / (1 + np.exp(-o))),
    "poisson": lambda o: stats.poisson(np.exp(o)),
    "negative-binomial": lambda o: stats.nbinom(SIZE, SIZE / (SIZE + np.exp(o))),
    "geometric": lambda o: stats.geom(1 / (1 + np.exp(o)), loc=-1),
}


def _scipy(name: str, output: torch.Tensor, x: torch.Tensor) -> np.ndarray:
    o, values = output.numpy(), x.numpy()
    if name in OF_ROWS:
        p = np.exp(o) / np.exp(o).sum(1, keepdims=True)
        return stats.multinomial(values.sum(1), p).logpmf(values)[:, None]
    frozen = FROZEN[name](o)
    return frozen.logpdf(values) if name in CONTINUOUS else frozen.logpmf(values)


def test_every_registered_likelihood_is_held_against_scipy() -> None:
    assert set(FROZEN) | set(OF_ROWS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_log_probabilities_are_those_of_scipy(name: str) -> None:
    likelihood = _made(name)
    output, x = _drawn(likelihood)
    found = likelihood.log_prob_columns(output, x).detach().numpy()
    found = found.sum(1, keepdims=True) if name == "multinomial" else found
    np.testing.assert_allclose(found, _scipy(name, output, x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("output", [-1.2, 0.3])
def test_densities_integrate_to_one(name: str, output: float) -> None:
    likelihood = _made(name, 1)

    def density(x: float) -> float:
        cell = torch.tensor([[x]], dtype=torch.float64)
        return likelihood.log_prob(torch.full_like(cell, output), cell).exp().item()

    low, high = max(likelihood.support.low, -20), min(likelihood.support.high, 40)
    assert integrate.quad(density, low, high, points=[0.1, 0.5], limit=200)[0] == pytest.approx(1, abs=1e-6)


def _all_values(name: str) -> torch.Tensor:
    values: Any = [[float(i)] for i in range(400)]
    if name == "bernoulli":
        values = [[0.0], [1.0]]
    elif name == "binomial":
        values = values[: TRIALS + 1]
    elif name == "categorical":
        values = np.eye(5)
    elif name == "multinomial":
        values = [cells for cells in itertools.product(range(TRIALS + 1), repeat=3) if sum(cells) == TRIALS]
    return torch.tensor(np.asarray(values), dtype=torch.float64)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(CONTINUOUS)))
def test_probabilities_sum_to_one_over_all_values(name: str) -> None:
    x = _all_values(name)
    output = _output(1, x.shape[1]).expand_as(x)
    assert _made(name, x.shape[1]).log_prob(output, x).exp().sum().item() == pytest.approx(1, abs=1e-12)


def _variance(name: str, output: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    if name in OF_ROWS:
        n = TRIALS if name == "multinomial" else 1
        return mean * (1 - mean / n)
    return torch.from_numpy(FROZEN[name](output.numpy()).var())


@pytest.mark.parametrize("name", NAMES)
def test_draws_have_the_mean_and_the_variance_of_the_distribution(name: str) -> None:
    likelihood, output = _made(name), _output(1).expand(100_000, 4)
    drawn = likelihood.sample(output, torch.Generator().manual_seed(0)).detach()
    mean = likelihood.mean(output[:1])[0].detach()
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.03, rtol=0.01)
    torch.testing.assert_close(drawn.var(0), _variance(name, output[0], mean), atol=0.02, rtol=0.06)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(OF_ROWS)))
@pytest.mark.parametrize("output", [-1.0, 0.0, 1.3])
def test_draws_are_distributed_as_scipy_says(name: str, output: float) -> None:
    outputs = torch.full((20_000, 1), output, dtype=torch.float64)
    x = _made(name, 1).sample(outputs, torch.Generator().manual_seed(5)).detach().numpy()[:, 0]
    frozen = FROZEN[name](np.array(output))
    if name in CONTINUOUS:
        assert stats.kstest(x, frozen.cdf).pvalue > 1e-4
        return
    expected = frozen.pmf(np.arange(200)) * len(x)
    usual = np.flatnonzero(expected >= 5)
    found = np.bincount(x.astype(int), minlength=200)
    rest = len(x) - expected[usual].sum(), len(x) - found[usual].sum()
    pairs = [(expected[i], found[i]) for i in usual] + [rest] * int(rest[0] >= 5)
    chi2 = sum((seen - awaited) ** 2 / awaited for awaited, seen in pairs)
    assert stats.chi2(max(len(pairs) - 1, 1)).sf(chi2) > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_draws_repeat_with_the_seed_and_leave_the_global_state_alone(name: str) -> None:
    before = torch.get_rng_state()
    likelihood = _made(name)
    assert torch.equal(_drawn(likelihood)[1], _drawn(likelihood)[1])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"multinomial"}))
@pytest.mark.parametrize("method", ["log_prob_columns", "score_columns"])
def test_a_mask_zeroes_exactly_the_masked_cells(name: str, method: str) -> None:
    likelihood = _made(name)
    output, x = _drawn(likelihood)
    mask = torch.rand(50, likelihood.n_columns, generator=torch.Generator().manual_seed(2)) < 0.7
    whole = getattr(likelihood, method)(output, x)
    assert torch.equal(getattr(likelihood, method)(output, x, mask), torch.where(mask, whole, 0.0))


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_in_a_masked_cell_changes_neither_value_nor_gradient(name: str) -> None:
    likelihood = _made(name)
    output, x = _drawn(likelihood)
    mask = torch.rand(50, likelihood.n_columns, generator=torch.Generator().manual_seed(2)) < 0.7
    inputs = [output.requires_grad_(), *likelihood.parameters()]
    other = torch.where(mask, x, 1e6)
    values = [likelihood.log_prob(output, cells, mask).sum() for cells in (x, other)]
    assert torch.equal(*values)
    torch.testing.assert_close(*(torch.autograd.grad(value, inputs) for value in values))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("masked", [False, True])
def test_log_prob_and_its_gradients_are_those_of_the_sum_of_its_columns(name: str, masked: bool) -> None:
    likelihood = _made(name)
    output, x = _drawn(likelihood)
    mask = torch.rand(50, likelihood.n_columns, generator=torch.Generator().manual_seed(2)) < 0.7 if masked else None
    inputs = [output.requires_grad_(), *likelihood.parameters()]
    whole, parts = likelihood.log_prob(output, x, mask), likelihood.log_prob_columns(output, x, mask).sum(1)
    torch.testing.assert_close(whole, parts)
    torch.testing.assert_close(torch.autograd.grad(whole.sum(), inputs), torch.autograd.grad(parts.sum(), inputs))


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(OF_ROWS)))
def test_pictures_count_like_their_flattened_rows(name: str) -> None:
    flat, picture = _made(name, 12), _built(name, (3, 2, 2)).double()
    state = flat.state_dict()
    picture.load_state_dict(
        {
            key: state[key][0] if value.shape != state[key].shape else state[key]
            for key, value in picture.state_dict().items()
        }
    )
    output, x = _drawn(flat)
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < 0.7
    shaped = [t.view(50, 3, 2, 2) for t in (output, x, mask)]
    assert torch.equal(picture.log_prob_columns(*shaped), flat.log_prob_columns(output, x, mask))
    torch.testing.assert_close(picture.log_prob(*shaped[:2]), flat.log_prob(output, x))
    assert picture.mean(shaped[0]).shape == picture.sample(shaped[0]).shape == (50, 3, 2, 2)


def _means(name: str) -> torch.Tensor:
    n = TRIALS if name in ("binomial", "multinomial") else 1
    if name in OF_ROWS:
        return n * torch.tensor([[0.05, 0.15, 0.3, 0.5], [0.25, 0.25, 0.25, 0.25]], dtype=torch.float64)
    return n * torch.linspace(0.05, 0.95, 8, dtype=torch.float64).view(2, 4)


@pytest.mark.parametrize("name", NAMES)
def test_the_link_gives_the_output_whose_mean_it_was_asked_for(name: str) -> None:
    likelihood, mean = _made(name), _means(name)
    torch.testing.assert_close(likelihood.mean(likelihood.link(mean).output), mean)


@pytest.mark.parametrize("name", NAMES)
def test_the_slope_of_the_link_is_that_of_finite_differences(name: str) -> None:
    likelihood, mean, step = _made(name), _means(name), 1e-6
    slope = (likelihood.link(mean + step).output - likelihood.link(mean - step).output) / (2 * step)
    torch.testing.assert_close(likelihood.link(mean).slope, slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_the_link_of_an_impossible_mean_stays_finite(name: str) -> None:
    link = _made(name).link(torch.tensor([[0.0, 1.0, 0.0, 0.0]], dtype=torch.float64))
    assert torch.isfinite(link.output).all()
    assert (link.slope <= 1.01 / (RARE * (1 - RARE))).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_discriminator_sees_is_differentiable_and_in_the_range_of_the_data(name: str) -> None:
    output = _output().requires_grad_()
    relaxed = _made(name).relaxed(output)
    assert torch.autograd.grad(relaxed[:, 0].sum(), output)[0].abs().sum() > 0
    assert name in ("normal", "laplace") or bool((relaxed >= 0).all())


def test_a_categorical_row_of_zeros_is_missing_and_counts_zero() -> None:
    assert not _made("categorical").log_prob(_output(), torch.zeros(50, 4).double()).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_outputs_give_finite_densities_means_and_gradients(name: str, dtype: torch.dtype) -> None:
    likelihood = _made(name).to(dtype)
    ends = [80.0, -80.0, 0.0, 30.0], [1e4, -1e4, -30.0, 1e3]
    output = torch.tensor(ends, dtype=dtype).repeat(2, 1).requires_grad_()
    inside = [0.5] * 4 if name == "beta" else [1.0] * 4
    x = torch.tensor([inside, inside, [0.01, 0.99, 0.5, 0.5] if name == "beta" else [3.0, 0.0, 0.0, 1.0]], dtype=dtype)
    x = x[[0, 1, 2, 2]] if name not in ("bernoulli",) else x[[0, 1, 0, 0]]
    found = likelihood.log_prob(output, x)
    gradients = torch.autograd.grad(found.sum(), [output, *likelihood.parameters()])
    assert all(bool(values.isfinite().all()) for values in (found, likelihood.mean(output), *gradients))


@pytest.mark.parametrize("name", NAMES)
def test_the_marginal_is_the_most_likely_constant_output(name: str) -> None:
    truth = _made(name)
    shown = _output(1).expand(2000, 4)
    x = truth.sample(shown, torch.Generator().manual_seed(3)).detach()
    mask = torch.rand(2000, truth.n_columns, generator=torch.Generator().manual_seed(4)) < 0.8
    fitted = _built(name, (4,)).double()
    for given in (None,) if name in OF_ROWS else (None, mask):
        output = fitted.marginal(x, given)
        found = fitted.score_columns(output.expand_as(x), x, given).sum().item()
        assert found >= truth.score_columns(shown, x, given).sum().item() - 1e-6
        for step in torch.eye(4).double() * 1e-3:
            assert fitted.score_columns((output + step).expand_as(x), x, given).sum().item() <= found + 1e-3
    assert all(parameter.requires_grad for parameter in fitted.parameters())


def test_a_multinomial_with_missing_cells_is_that_of_the_others_given_their_sum() -> None:
    likelihood = _made("multinomial")
    output, x = _drawn(likelihood)
    mask = torch.tensor([True, False, True, True]).expand(50, 4)
    found = likelihood.log_prob_columns(output, x, mask)
    rest = output[:, [0, 2, 3]], x[:, [0, 2, 3]]
    np.testing.assert_allclose(found.sum(1, keepdim=True), _scipy("multinomial", *rest), rtol=1e-9, atol=1e-9)
    assert not found[:, 1].any()
    assert not likelihood.log_prob(output, x, torch.zeros(50, 4, dtype=torch.bool)).any()


def test_a_scale_below_its_floor_is_put_back_and_still_learns() -> None:
    likelihood = Normal((2,))
    likelihood.log_scale.data.fill_(-30.0)
    likelihood.log_prob(torch.zeros(3, 2), torch.ones(3, 2)).sum().backward()
    assert likelihood.log_scale.item() == pytest.approx(math.log(FLOOR))
    assert likelihood.log_scale.grad is not None
    assert likelihood.log_scale.grad.item() > 0  # a wider one would be more likely


@pytest.mark.parametrize("name", ["normal", "laplace"])
def test_the_most_likely_shared_scale_is_the_closed_form_over_all_cells(name: str) -> None:
    likelihood = _made(name)
    output, x = _drawn(likelihood)
    residual = (x - output).numpy()
    best = np.sqrt((residual**2).mean()) if name == "normal" else np.abs(residual).mean()
    likelihood.log_scale.data.fill_(math.log(best))
    slope = torch.autograd.grad(likelihood.log_prob(output, x).sum(), likelihood.log_scale)[0]
    assert slope.item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["normal", "laplace"])
def test_calibration_gives_each_column_its_closed_form_scale_shrunk_by_ten_rows(name: str) -> None:
    likelihood = _made(name)
    output, x = _drawn(likelihood)
    mask = torch.rand(50, 4, generator=torch.Generator().manual_seed(2)) < 0.7
    mask[:, 3] = False  # nothing is known of this one: it keeps the shared scale
    likelihood.calibrate(output, x, mask)
    for j in range(4):
        seen = (x - output)[mask[:, j], j].numpy()
        power = (seen**2).sum() if name == "normal" else len(seen) * np.abs(seen).mean() ** 2 if len(seen) else 0
        expected = np.sqrt((power + 10 * 0.4**2) / (len(seen) + 10))
        assert likelihood.column_scale[j].item() == pytest.approx(expected)


def test_scores_use_the_scale_of_each_column_and_the_loss_does_not() -> None:
    likelihood = _made("normal")
    output, x = _drawn(likelihood)
    before = likelihood.log_prob_columns(output, x)
    assert torch.equal(likelihood.score_columns(output, x), before)
    likelihood.calibrate(output, x * torch.tensor([1.0, 2.0, 3.0, 4.0]))
    expected = stats.norm(output.numpy(), likelihood.column_scale.numpy()).logpdf(x.numpy())
    np.testing.assert_allclose(likelihood.score_columns(output, x).detach(), expected)
    assert torch.equal(likelihood.log_prob_columns(output, x), before)


@pytest.mark.parametrize("name", ["laplace", "lognormal", "normal"])
def test_draws_have_the_scales_that_scores_use(name: str) -> None:
    shape, widths = (2, 1, 2), torch.tensor([0.1, 0.4, 1.0, 2.0], dtype=torch.float64)
    likelihood = _built(name, shape).double()
    assert isinstance(likelihood, LocationScale)
    output = torch.zeros(20_000, *shape, dtype=torch.float64)

    def residuals(seed: int) -> torch.Tensor:
        drawn = likelihood.sample(output, torch.Generator().manual_seed(seed)).detach()
        return (drawn.log() if name == "lognormal" else drawn).flatten(1)

    shared = likelihood.log_scale.exp().item()
    family = stats.laplace if name == "laplace" else stats.norm
    assert all(stats.kstest(column, family(0, shared).cdf).pvalue > 1e-4 for column in residuals(0).T.numpy())
    x = (residuals(1) / shared * widths).view_as(output)
    likelihood.calibrate(output, x.exp() if name == "lognormal" else x)
    assert (likelihood.column_scale / widths - 1).abs().max() < 0.03
    for column, scale in zip(residuals(2).T.numpy(), likelihood.column_scale.tolist(), strict=True):
        assert stats.kstest(column, family(0, scale).cdf).pvalue > 1e-4


@pytest.mark.parametrize("name", ["beta", "exponential", "laplace", "lognormal", "negative-binomial", "normal"])
def test_draws_have_the_mean_that_is_told_also_where_each_column_has_its_own_scale(name: str) -> None:
    likelihood = _made(name, 2)
    output, widths = torch.zeros(50_000, 2, dtype=torch.float64), torch.tensor([0.2, 1.2], dtype=torch.float64)
    residual = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * widths
    likelihood.calibrate(output[:1000], residual.exp() if name == "lognormal" else residual)
    drawn = likelihood.sample(output, torch.Generator().manual_seed(1)).detach()
    told = likelihood.mean(output[:1])
    assert bool(((drawn.mean(0) - told[0]).abs() < 5 * drawn.std(0) / 50_000**0.5).all())
    assert torch.allclose(likelihood.link(told).output, output[:1], atol=1e-6)


@pytest.mark.parametrize("cls", [Normal, Laplace])
def test_the_scale_starts_small_follows_the_start_and_reports_its_floor(cls: type[LocationScale]) -> None:
    likelihood = cls((2,))
    assert likelihood.log_scale.item() == START
    likelihood.start(torch.tensor(0.25))
    assert likelihood.log_scale.item() == pytest.approx(math.log(0.25))
    assert likelihood.findings() == []
    likelihood.log_scale.data.fill_(-30.0)
    assert f"floor of {FLOOR:g}" in likelihood.findings()[0]
    assert likelihood.floored().exp().item() == pytest.approx(FLOOR)


def _blocks() -> tuple[Blocks, list[Likelihood]]:
    parts = [Normal((3,)), Laplace((2,)), Bernoulli((2,)), Categorical((4,)), Poisson((1,)), Categorical((2,))]
    return Blocks(parts).double(), parts


def test_blocks_are_their_parts_side_by_side() -> None:
    blocks, parts = _blocks()
    output, x = _drawn(blocks)
    mask = torch.rand(50, 10, generator=torch.Generator().manual_seed(2)) < 0.7
    assert (blocks.size, blocks.n_columns) == (14, 10)
    noise = torch.Generator().manual_seed(3)  # what is yes or no is drawn, in the order of the parts
    relaxed = blocks.relaxed(output, torch.Generator().manual_seed(3))
    start = at = 0
    for part in parts:
        o, v, m = output[:, start:][:, : part.size], x[:, start:][:, : part.size], mask[:, at:][:, : part.n_columns]
        for method in ("log_prob_columns", "score_columns"):
            whole = getattr(blocks, method)(output, x, mask)[:, at:][:, : part.n_columns]
            assert torch.equal(whole, getattr(part, method)(o, v, m))
        assert torch.equal(blocks.mean(output)[:, start:][:, : part.size], part.mean(o))
        assert torch.equal(relaxed[:, start:][:, : part.size], part.relaxed(o, noise))
        start, at = start + part.size, at + part.n_columns


def test_ranges_reach_every_block_and_are_forgotten_by_every_block() -> None:
    blocks = Blocks([Laplace((2,)), Grouped(Normal((2,)), [0, 0]), Bernoulli((1,))])
    output, high = torch.full((1, 5), 9.0), torch.tensor([1.0, 2.0, 3.0, 4.0, 1.0])
    blocks.bound(torch.tensor(0.0), high)
    assert blocks.mean(output)[0, :4].tolist() == [1.0, 2.0, 3.0, 4.0]
    blocks.unbound()
    assert blocks.mean(output)[0, :4].tolist() == [9.0] * 4


def test_blocks_draw_calibrate_start_and_report_as_their_parts_do() -> None:
    (blocks, parts), (_, twins) = _blocks(), _blocks()
    output, x = _drawn(blocks)
    sizes, generator = [part.size for part in parts], torch.Generator().manual_seed(1)
    pieces = list(zip(twins, output.split(sizes, 1), x.split(sizes, 1), strict=True))
    assert torch.equal(x, torch.cat([twin.sample(o, generator) for twin, o, _ in pieces], 1))
    for likelihood, o, v in [(blocks, output, x), *pieces]:
        likelihood.start(torch.tensor(1e-9))
        likelihood.calibrate(o, v)
    for part, twin in zip(parts, twins, strict=True):
        torch.testing.assert_close(part.state_dict(), twin.state_dict())
    blocks.parts[0].log_scale.data.fill_(-30.0)
    assert blocks.findings() == parts[0].findings()


def test_the_link_of_blocks_gives_one_vector_of_means_back() -> None:
    blocks, _ = _blocks()
    mean = blocks.mean(_output(1, blocks.size))
    link = blocks.link(mean)
    torch.testing.assert_close(blocks.mean(link.output), mean)
    assert link.slope.shape == mean.shape
