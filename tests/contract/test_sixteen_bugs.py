"""Sixteen bugs that published autoencoder libraries had, in the order of the project's notes: none of them is here."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from torch.distributions import Normal, kl_divergence

import engram
from engram import VAE, Autoencoder
from engram.errors import UsageError
from engram.registry import MODELS
from engram.training import Batch
from engram.training.checkpoint import Checkpoints

NAMES = [name for name in MODELS.names() if not MODELS[name].parameters.get("conditional")]
NAMES = [name for name in NAMES if MODELS[name].parameters.get("network", "mlp") == "mlp"]
NAMES = [name for name in NAMES if hasattr(MODELS[name].value, "score_samples")]
DETERMINISTIC = ("transform", "score_samples", "reconstruct")


def rows(n: int = 120) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, 6)) + 0.2 * rng.normal(size=(n, 6))


def fitted(name: str = "vae", X: np.ndarray | None = None, **parameters: Any) -> Any:
    given = {"code_size": 2, "max_epochs": 3, "random_state": 0, **parameters}
    return engram.create(name, **given).fit(rows() if X is None else X)


@torch.no_grad()
def terms(model: Any, X: np.ndarray) -> dict[str, torch.Tensor]:
    batch = Batch(model.encoded(X).x, generator=torch.Generator().manual_seed(0))
    found: dict[str, torch.Tensor] = model.terms(model.turns(0)[0], model.network_, batch)
    return found


@torch.no_grad()
def exact_kl(model: Any, X: np.ndarray) -> torch.Tensor:
    mean, log_var = model.posterior(model.network_, model.encoded(X).x)
    return kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0)).sum(1)


def test_1_the_kl_is_not_clamped_to_zero() -> None:
    """A default VAE pays for its code, and its posteriors keep a width (pyod: a capacity of 0 made the term zero)."""
    model = fitted(max_epochs=30, hidden=(8,))
    assert float(terms(model, rows())["kl"].mean()) > 0.1
    assert float(model.posterior(model.network_, model.encoded(rows()).x)[1].detach().exp().mean()) > 0.005


def test_2_the_weight_of_the_kl_is_used() -> None:
    model = fitted(beta=1.0)
    before = terms(model, rows())["kl"]
    model.beta = 3.0
    torch.testing.assert_close(terms(model, rows())["kl"], 3 * before)


@pytest.mark.parametrize("name", NAMES)
def test_3_terms_are_sums_over_dimensions_so_that_twice_the_columns_cost_twice(name: str) -> None:
    """Nothing is a mean over columns while something else is a sum: the reconstruction counts each column in full."""
    model = fitted(name)
    decoder = getattr(model.network_, "decoder", None)
    if decoder is None:
        pytest.skip("this model has no decoder")
    x = model.encoded(rows()).x
    output = torch.zeros_like(x)
    columns = decoder.likelihood.log_prob_columns(output, x)
    torch.testing.assert_close(decoder.likelihood.log_prob(output, x), columns.sum(1), rtol=1e-4, atol=1e-4)
    for key, value in terms(model, rows()).items():
        assert value.shape in ((len(x),), ()), key


def test_4_the_kl_is_reported_with_its_sign() -> None:
    model = fitted(early_stopping=False)
    torch.testing.assert_close(terms(model, rows())["kl"], exact_kl(model, rows()), rtol=1e-3, atol=1e-4)
    assert all(report["terms"]["kl"] >= 0 for report in model.history_.reports)
    assert (model.kl_ >= 0).all()


@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_5_no_sigmoid_sits_on_unbounded_data(name: str) -> None:
    """Values far outside [0, 1] come back (pythae: R2 of .417 where PCA had .994)."""
    X = rows(300) * 1000 - 500
    model = fitted(name, X, max_epochs=20)
    back = model.reconstruct(X)
    share = 1 - np.square(back - X).sum() / np.square(X - X.mean(0)).sum()
    pca = PCA(2).fit(X)
    best = 1 - np.square(pca.inverse_transform(pca.transform(X)) - X).sum() / np.square(X - X.mean(0)).sum()
    assert share > best - 0.02


@pytest.mark.parametrize("name", NAMES)
def test_6_codes_and_scores_are_the_same_when_asked_again(name: str) -> None:
    model = fitted(name)
    for method in DETERMINISTIC:
        if hasattr(model, method):
            assert np.array_equal(getattr(model, method)(rows()), getattr(model, method)(rows())), method


def test_7_the_number_of_draws_counts_whatever_the_batch() -> None:
    """One draw is one draw, and 250 are not cut down to 200 (pythae)."""
    model = fitted(hidden=(8,), max_epochs=5)
    means = {n: float(model.log_likelihood(rows(), n=n).mean()) for n in (1, 200, 250)}
    assert means[1] < means[200]
    assert means[200] != means[250]
    calls = []
    hook = model.network_.decoder.register_forward_hook(lambda *_: calls.append(1))
    model.log_likelihood(rows()[:16], n=37)
    hook.remove()
    assert len(calls) == 37


def test_8_what_is_reported_as_a_bound_is_the_bound() -> None:
    """The importance-weighted objective is log of a mean of weights, not a self-normalised surrogate (pythae)."""
    model = fitted("iwae", hidden=(8,), early_stopping=False)
    volume = float(model.kind_.log_volume.sum())
    batch = model.encoded(rows()).x
    with torch.no_grad():
        found = [model.terms(model.turns(0)[0], model.network_, Batch(batch))["bound"].mean() for _ in range(60)]
    bound = -float(torch.stack(found).mean()) - volume
    assert model.score(rows()) <= bound + 0.01
    assert bound <= float(model.log_likelihood(rows(), n=1000).mean()) + 0.01


@pytest.mark.parametrize("epochs", [1, 3])
def test_9_a_warm_up_ends_however_short_training_is(epochs: int) -> None:
    model = fitted(hidden=(8,), max_epochs=epochs, warmup=0.5)
    at = [model._kl_term(torch.ones(1, 1), progress, False) for progress in (0.5, 0.75, 1.0)]
    assert all(float(value.sum()) == 1.0 for value in at)
    with pytest.raises(UsageError, match="warmup"):
        fitted(warmup=50)


@pytest.mark.parametrize("name", NAMES)
def test_10_gradients_flow_and_scores_differ(name: str) -> None:
    """Weights of every role move, and rows get scores of their own (pyod's DeepSVDD did not train in three releases)."""
    model = fitted(name, max_epochs=5, hidden=(8,), early_stopping=False)
    assert not model.history_.untouched
    assert len(np.unique(model.score_samples(rows()))) > 100


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [1, 3, 21])
def test_11_fewer_rows_than_a_batch_train(name: str, n: int) -> None:
    model = fitted(name, rows()[:n], batch_size=20)
    assert math.isfinite(model.loss_curve_[-1])
    assert len(model.score_samples(rows())) == 120


@pytest.mark.parametrize("name", NAMES)
def test_12_a_parameter_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="code_size"):
        engram.create(name, code_sise=5)
    with pytest.raises(TypeError):
        MODELS[name].value(recon_loss="bce")
    with pytest.raises(TypeError, match=r"has no parameter 'code_sise'.*'code_size'"):
        MODELS[name].value(code_sise=5)


@pytest.mark.parametrize("name", NAMES)
def test_13_the_callers_lists_and_dicts_stay_as_they_are(name: str) -> None:
    hidden, columns = [8, 4], {"0": "number"}
    fitted(name, hidden=hidden, columns=columns, max_epochs=1)
    assert hidden == [8, 4]
    assert columns == {"0": "number"}


def test_14_the_contractive_penalty_has_a_gradient() -> None:
    """It is as the finite differences of the penalty itself say, and not zero."""
    if "contractive-autoencoder" not in MODELS:
        pytest.skip("not registered yet")
    model = fitted("contractive-autoencoder", hidden=(), code_size=2)
    nets, batch = model.network_, Batch(model.encoded(rows()).x)

    def penalty() -> torch.Tensor:
        torch.manual_seed(0)
        return model.terms(model.turns(0)[0], nets, batch)["contraction"].mean()

    weight = next(p for p in nets.encoder.parameters() if p.dim() == 2)
    (gradient,) = torch.autograd.grad(penalty(), weight)
    place = int(gradient.abs().argmax())
    differences = []
    for step in (1e-2, -1e-2):
        with torch.no_grad():
            weight.view(-1)[place] += step
        differences.append(float(penalty().detach()))
        with torch.no_grad():
            weight.view(-1)[place] -= step
    assert float(gradient.abs().max()) > 0
    assert float(gradient.view(-1)[place]) == pytest.approx((differences[0] - differences[1]) / 2e-2, rel=0.02)


def test_15_a_checkpoint_holds_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and the optimiser's state are of the same step; the best weights stand beside them under a name of their own."""
    saved: list[tuple[int, set[str], float]] = []

    def save(self: Checkpoints, step: int, tensors: dict[str, torch.Tensor], told: dict[str, Any]) -> None:
        steps = [
            float(t.max()) for name, t in tensors.items() if name.startswith("optimiser.") and name.endswith("step")
        ]
        saved.append((step, {name.partition(".")[0] for name in tensors}, max(steps, default=float(step))))

    monkeypatch.setattr(Checkpoints, "due", lambda self: True)
    monkeypatch.setattr(Checkpoints, "save", save)
    Autoencoder(code_size=2, max_epochs=20, random_state=0, hidden=(4,)).fit(rows(), run=tmp_path / "run")
    assert saved
    for step, parts, steps in saved:
        assert {"nets", "optimiser", "watch"} <= parts
        assert steps == step


def test_16_every_snippet_of_the_documentation_is_run_by_a_test() -> None:
    """The pages' code is executed by tests/meta/test_readme.py; here: that no page with code stays out of it."""
    root = Path(__file__).parents[2]
    source = (root / "tests" / "meta" / "pages.py").read_text(encoding="utf-8")
    pages = [root / "README.md", *sorted((root / "docs").glob("*/*.md"))]
    with_code = [
        page for page in pages if re.search(r"^```python", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    ]
    assert with_code
    assert "README.md" in source
    assert "docs" in source


def test_the_linear_models_are_their_closed_forms() -> None:
    """The guards beside the sixteen: a linear autoencoder is PCA, and trained models beat the mean."""
    X = load_breast_cancer().data
    X = (X - X.mean(0)) / X.std(0)
    model = Autoencoder(hidden=(), code_size=4, random_state=0, max_epochs=20).fit(X)
    pca = PCA(4).fit(X)
    best = np.square(pca.inverse_transform(pca.transform(X)) - X).sum()
    assert np.square(model.reconstruct(X) - X).sum() < 1.05 * best
    assert isinstance(fitted(), VAE)
