"""Importance-weighted bounds, learned priors and penalties of a VAE, and densities fitted to codes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

import engram
from engram import VAE, Autoencoder
from engram.data import Images, Table
from engram.errors import RunError, UsageError
from engram.evaluation.likelihood import likelihood, worse_than_uniform
from engram.evaluation.report import Result
from engram.maths.bounds import importance_bound
from engram.maths.discrepancy import mean_discrepancy
from engram.maths.divergence import log_normal, reparameterise
from engram.maths.total_correlation import total_correlation
from engram.training import Batch


def rows(n: int = 120, width: int = 5) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(n, 2)) @ rng.normal(size=(2, width))
        + 0.4 * rng.normal(size=(n, width))
        + rng.integers(0, 2, (n, 1)) * 4
    )


def fitted(**parameters: Any) -> VAE:
    given = {"code_size": 2, "hidden": (8,), "max_epochs": 5, "random_state": 0, "early_stopping": False, **parameters}
    with torch.enable_grad():
        return VAE(**given).fit(rows())


@torch.no_grad()
def terms(model: VAE, seed: int = 3) -> dict[str, torch.Tensor]:
    batch = Batch(model.encoded(rows()).x, generator=torch.Generator().manual_seed(seed))
    return model.terms(model.turns(0)[0], model.network_, batch)


# --- importance-weighted bounds ---


@torch.no_grad()
def test_the_importance_term_is_the_bound_of_its_draws_one_by_one() -> None:
    model = fitted(importance=4, beta=1.0)
    x, decoder = model.encoded(rows()).x, model.network_.decoder
    mean, log_var = model.posterior(model.network_, x)
    z = reparameterise(mean.repeat(4, 1), log_var.repeat(4, 1), torch.Generator().manual_seed(3)).view(4, len(x), 2)
    weights = [
        decoder.likelihood.log_prob(decoder(each), x)
        + log_normal(each, 0.0, 0.0).sum(1)
        - log_normal(each, mean, log_var).sum(1)
        for each in z
    ]
    found = terms(model)
    assert list(found) == ["bound"]
    torch.testing.assert_close(found["bound"], -importance_bound(torch.stack(weights)), rtol=1e-4, atol=1e-4)


def test_what_is_minimised_lies_between_minus_the_elbo_and_minus_log_p() -> None:
    """Rule 8: it is the bound, not its surrogate."""
    model = fitted(importance=10, max_epochs=2)
    volume = float(model.kind_.log_volume.sum())
    bound = -float(torch.stack([terms(model, seed)["bound"] for seed in range(30)]).mean()) - volume
    assert model.score(rows()) < bound < float(model.log_likelihood(rows(), n=1000).mean()) + 0.02


def test_several_draws_make_a_better_bound_of_the_same_network() -> None:
    one, many = (
        -float(terms(fitted(importance=k))["bound"].mean()) if k > 1 else fitted().score(rows()) for k in (1, 20)
    )
    assert math.isfinite(one)
    assert math.isfinite(many)
    with pytest.raises(UsageError, match="free_bits"):
        fitted(importance=2, free_bits=0.1)
    with pytest.raises(UsageError, match="give one of them"):
        fitted(capacity=2.0, free_bits=0.1)


# --- learned priors ---


@torch.no_grad()
@pytest.mark.parametrize("prior", ["mixture", "vamp"])
def test_the_prior_is_that_mixture_of_torch_distributions(prior: str) -> None:
    model = fitted(prior=prior, prior_size=6)
    log_weights, means, log_var = model.components(model.network_)
    if prior == "vamp":
        expected = model.posterior(model.network_, model.network_.prior.rows)
        assert torch.equal(means, expected[0])
        assert torch.equal(log_var, expected[1])
    mixture = MixtureSameFamily(Categorical(logits=log_weights), Independent(Normal(means, (log_var / 2).exp()), 1))
    x, decoder = model.encoded(rows()).x, model.network_.decoder
    mean, spread = model.posterior(model.network_, x)
    z = reparameterise(mean, spread, torch.Generator().manual_seed(3))
    found = terms(model)
    torch.testing.assert_close(
        found["kl"], log_normal(z, mean, spread).sum(1) - mixture.log_prob(z), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(found["reconstruction"], -decoder.likelihood.log_prob(decoder(z), x))
    drawn = model.draw_codes(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), mixture.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.var(0), mixture.variance, rtol=0.06, atol=0)


@pytest.mark.parametrize("prior", ["normal", "mixture", "vamp"])
def test_bounds_rise_and_the_kl_per_unit_is_the_elbos(prior: str) -> None:
    model = fitted(prior=prior, prior_size=5, max_epochs=30)
    bounds = [model.score(rows()), *(float(model.log_likelihood(rows(), n=n).mean()) for n in (10, 500))]
    assert bounds[0] < bounds[1] + 5e-3
    assert bounds[1] < bounds[2] + 5e-3
    with torch.no_grad():
        kl = torch.stack([sum_of_kl(model, seed) for seed in range(200)]).mean()
    assert float(model.kl_.sum()) == pytest.approx(float(kl), rel=0.1, abs=0.1)


def sum_of_kl(model: VAE, seed: int) -> torch.Tensor:
    mean, log_var = model.posterior(model.network_, model.encoded(rows()).x)
    z = reparameterise(mean, log_var, torch.Generator().manual_seed(seed))
    return model.kl(z, mean, log_var, model.components(model.network_)).sum(1).mean()


def test_pseudo_inputs_begin_at_no_training_row_and_none_is_saved(tmp_path: Path) -> None:
    """Rule 13."""
    model = fitted(prior="vamp", prior_size=20, max_epochs=1, hidden="auto")
    x = model.encoded(rows()).x
    assert float(torch.cdist(model.network_.prior.rows.detach(), x).min()) > 0.05
    model.save(tmp_path / "run")
    from safetensors.torch import load_file

    for name, tensor in load_file(tmp_path / "run" / "weights.safetensors").items():
        if tensor.dim() == 2 and tensor.shape[1] == x.shape[1]:
            assert float(torch.cdist(tensor.float(), x).min()) > 1e-3, name


# --- penalties ---


@torch.no_grad()
@pytest.mark.parametrize("penalty", ["tc", "mmd"])
def test_a_penalty_is_its_formula_times_its_weight(penalty: str) -> None:
    model = fitted(penalty=penalty, penalty_weight=7.0)
    mean, log_var = model.posterior(model.network_, model.encoded(rows()).x)
    generator = torch.Generator().manual_seed(3)
    z = reparameterise(mean, log_var, generator)
    expected = (
        total_correlation(z, mean, log_var, 120)
        if penalty == "tc"
        else mean_discrepancy(z, torch.randn(120, 2, generator=generator))
    )
    torch.testing.assert_close(terms(model)["penalty"], 7 * expected, rtol=1e-4, atol=1e-4)


def test_a_penalty_lowers_what_it_punishes() -> None:
    def measured(model: VAE) -> tuple[float, float]:
        codes = model._codes
        with torch.no_grad():
            mean, log_var = model.posterior(model.network_, model.encoded(rows()).x)
            z = reparameterise(mean, log_var, torch.Generator().manual_seed(0))
            correlation = float(total_correlation(z, mean, log_var, 120).mean())
        return correlation, float(
            mean_discrepancy(codes, torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)))
        )

    common = {"max_epochs": 150, "learning_rate": 5e-3, "batch_size": 60, "beta": 0.1}
    plain, tc, mmd = (
        measured(fitted(**common, penalty=p, penalty_weight=w)) for p, w in ((None, 1.0), ("tc", 20.0), ("mmd", 500.0))
    )
    assert tc[0] < plain[0]
    assert mmd[1] < plain[1]


# --- densities of codes ---


def test_an_autoencoder_draws_from_a_density_of_its_codes(tmp_path: Path) -> None:
    X = rows(400)
    model = Autoencoder(code_size=2, max_epochs=30, random_state=0).fit(X)
    drawn = model.sample(4000, random_state=0)
    np.testing.assert_allclose(drawn.mean(0), X.mean(0), atol=0.3)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(X.T), atol=0.8)
    model.save(tmp_path / "run")
    loaded = engram.load(tmp_path / "run")
    assert np.array_equal(loaded.sample(5, random_state=1), model.sample(5, random_state=1))
    with pytest.raises(UsageError, match="X=rows"):
        loaded.fit_prior("normal")
    loaded.fit_prior("normal", X=X)
    assert len(loaded.density_.weights) == 1
    assert len(loaded.fit_prior("gmm", n=4, X=X).density_.weights) == 4


def test_a_density_fitted_to_a_vaes_codes_replaces_its_prior_for_drawing_alone(tmp_path: Path) -> None:
    model = fitted(max_epochs=20)
    before, scores = model.sample(5, random_state=0), model.score_samples(rows())
    model.fit_prior("gmm", n=3)
    assert not np.array_equal(model.sample(5, random_state=0), before)
    assert np.array_equal(model.score_samples(rows()), scores)
    model.save(tmp_path / "run")
    assert np.array_equal(engram.load(tmp_path / "run").sample(5, random_state=0), model.sample(5, random_state=0))
    for wrong in ({"prior": "kde"}, {"n": 0}):
        with pytest.raises(UsageError, match="="):
            model.fit_prior(**wrong)


def test_a_damaged_density_or_prior_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for model, name in (
        (fitted(prior="mixture", prior_size=3), "prior.means"),
        (fitted().fit_prior(), "density.weights"),
    ):
        model.save(tmp_path / "run", force=True)
        path = tmp_path / "run" / "weights.safetensors"
        tensors = load_file(path)
        save_file(tensors | {f"_fitted.{name}": -torch.ones(7)}, path)
        with pytest.raises(RunError, match="damaged"):
            engram.load(tmp_path / "run")


# --- what a table of likelihoods says ---


def test_likelihoods_come_with_their_protocol() -> None:
    model = fitted(prior="vamp", prior_size=4)
    found = {result.name: result for result in likelihood(model, rows(), k=30)}
    assert found["elbo"].value == pytest.approx(model.score(rows()))
    nll = -model.log_likelihood(rows(), n=30)
    assert found["negative-log-likelihood"].value == pytest.approx(nll.mean())
    assert found["negative-log-likelihood"].error == pytest.approx(nll.std(ddof=1) / len(nll) ** 0.5)
    assert found["bits-per-dimension"].value == pytest.approx(nll.mean() / 5 / math.log(2))
    assert found["kl"].value == pytest.approx(sum(found[f"kl-of-unit-{i}"].value for i in range(2)))
    assert found["active-units"].value in (0, 1, 2)
    assert "k = 30" in found["bits-per-dimension"].protocol["estimator"]


@pytest.mark.parametrize("holes", [False, True])
def test_the_likelihood_of_a_linear_vae_is_exact(holes: bool) -> None:
    model = engram.VAE(code_size=2, hidden=(), max_epochs=3, random_state=0).fit(rows())
    X = rows()[:20].astype(np.float64)
    X[3, 1] = np.nan if holes else X[3, 1]
    found = {result.name: result for result in likelihood(model, X)}
    decoder = model.network_.decoder
    weight, bias = (t.detach().double() for t in (decoder.network.head.weight, decoder.network.head.bias))
    noise, scale = decoder.likelihood.floored().double().exp().item(), model.kind_.log_volume.exp().double()
    centre = torch.as_tensor(model.inverse_transform(np.zeros((1, 2)))[0]).double()
    covariance = (weight @ weight.T + noise**2 * torch.eye(5)) * scale[:, None] * scale
    expected = []
    for row in torch.from_numpy(X):
        seen = ~row.isnan()
        normal = torch.distributions.MultivariateNormal(centre[seen], covariance[seen][:, seen])
        expected.append(-float(normal.log_prob(row[seen])))
    assert len(bias) == 5
    assert found["negative-log-likelihood"].value == pytest.approx(np.mean(expected), rel=1e-4)
    assert found["negative-log-likelihood"].protocol["estimator"].startswith("exact")
    sampled = -model.log_likelihood(X, n=500).mean()
    assert found["negative-log-likelihood"].value == pytest.approx(sampled, abs=0.05)


def test_a_likelihood_without_a_bound_is_exact_and_a_model_without_one_says_which_have() -> None:
    made = engram.create("made", max_epochs=2, random_state=0).fit(rows())
    nll, bits = likelihood(made, rows())
    log_prob = made.score_samples(rows())
    assert nll.value == pytest.approx(-log_prob.mean())
    assert nll.error == pytest.approx(log_prob.std(ddof=1) / len(log_prob) ** 0.5)
    assert bits.value == pytest.approx(nll.value / 5 / math.log(2))
    assert nll.protocol["estimator"] == bits.protocol["estimator"] == "exact"
    with pytest.raises(UsageError, match=r"Autoencoder does not .*made.*vae"):
        likelihood(Autoencoder(max_epochs=1).fit(rows()), rows())


def test_a_report_holds_the_likelihood_of_some_rows_with_its_protocol() -> None:
    X = rows(n=1200)
    model = fitted()
    report = engram.evaluate(model, X)
    found = {result.name: result for result in report.metrics}
    expected = {r.name: r for r in likelihood(model, X[np.linspace(0, 1199, 1000).astype(int)], k=50)}
    for name in ("negative-log-likelihood", "bits-per-dimension", "active-units"):
        assert found[name].value == pytest.approx(expected[name].value)
    note = next(note for note in report.protocol["notes"] if note.startswith("negative-log-likelihood"))
    for told in ("k = 50", "1000 of 1200", "table as given", "mlp [8]", "5 epochs"):
        assert told in note
    assert note in " ".join(report.to_text().split("\n"))
    assert "active-units" not in engram.evaluate(model, X, metrics=["r2"]).names()
    made = engram.evaluate(engram.create("made", max_epochs=1).fit(X), X)
    assert {"negative-log-likelihood", "bits-per-dimension"} < set(made.names())
    assert "active-units" not in made.names()


def test_a_category_and_a_date_are_one_dimension_whether_cells_are_missing_or_not() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"letter": rng.choice(list("abcdefgh"), 200), "number": rng.normal(size=200)})
    table["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, 200), unit="D")
    model = engram.VAE(code_size=2, max_epochs=2, random_state=0).fit(table)
    assert model.kind_.shape[0] > 3
    holed = table.copy()
    holed.loc[0, "number"] = np.nan
    for X, columns in ((table, 3), (holed, np.r_[2, np.full(199, 3)])):
        found = {result.name: result.value for result in likelihood(model, X, k=5)}
        nll = -model.log_likelihood(X, n=5)
        assert found["bits-per-dimension"] == pytest.approx((nll / columns).mean() / math.log(2))


def test_a_dimension_of_pictures_is_each_of_their_values() -> None:
    X = np.random.default_rng(0).integers(0, 255, (30, 4, 4, 3)).astype(np.uint8)
    model = engram.VAE(code_size=2, max_epochs=1, random_state=0).fit(X)
    found = {result.name: result.value for result in likelihood(model, X, k=5)}
    assert found["bits-per-dimension"] == pytest.approx(found["negative-log-likelihood"] / 48 / math.log(2))


@pytest.mark.parametrize("name", ["beta-tc-vae", "iwae", "mmd-vae", "vamp-vae", "conditional-vae"])
def test_each_name_learns_digits(name: str) -> None:
    X, y = load_digits(return_X_y=True)
    given = {"y": y} if name == "conditional-vae" else {}
    model = engram.create(name, random_state=0, max_epochs=10).fit(X, given.get("y"))
    back = model.reconstruct(X, **given)
    assert np.square(back - X).sum() < 0.7 * np.square(X - X.mean(0)).sum()


def test_pictures_less_likely_than_evenly_drawn_values_are_a_finding() -> None:
    """Eight bits a value: log2(255) for values from 0 to 255."""
    pictures = Images().fit(np.random.default_rng(0).integers(0, 256, (9, 6, 6), dtype=np.uint8))

    def told(bits: float, kind: Any = pictures) -> list[str]:
        return [
            f.message
            for f in worse_than_uniform(kind, [Result("bits-per-dimension", "VAE", bits, 0.1, "lower", "bits", {})])
        ]

    assert told(7.9) == told(math.log2(255) + 0.19) == told(20.6, Table().fit(rows())) == []
    assert told(20.6)[0].startswith("these pictures take 20.6 ± 0.1 bits a value, and 8.0 would do")


def test_a_report_on_pictures_unlike_those_learned_from_says_that_evenly_drawn_values_were_better() -> None:
    X = (load_digits().images[:400] * 15).astype(np.uint8)
    model = VAE(code_size=4, hidden=(32,), max_epochs=30, random_state=0).fit(X[:300])
    own, other = ([f.kind for f in engram.evaluate(model, rows).findings] for rows in (X[300:], 255 - X[300:]))
    assert "worse-than-uniform" not in own
    assert "worse-than-uniform" in other
