"""What the defaults reach on real and on known data: never behind the simple method, and said when there is nothing to find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

import engram
from engram import VAE, Autoencoder

LOADERS = {"breast-cancer": load_breast_cancer, "wine": load_wine, "diabetes": load_diabetes, "digits": load_digits}


def split(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(len(X))
    return X[order[len(X) // 4 :]], X[order[: len(X) // 4]]


def standardised(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and held-out rows; digits keep their marks, the others are standardised."""
    A, B = split(LOADERS[name]().data)
    if name == "digits":
        return A, B
    scaler = StandardScaler().fit(A)
    return scaler.transform(A), scaler.transform(B)


def r2(X: np.ndarray, Y: np.ndarray, mean: np.ndarray) -> float:
    """Share of the squared distance to the training mean that the reconstruction explains, over all columns together."""
    return float(1 - np.square(X - Y).sum() / np.square(X - mean).sum())


def pca_r2(A: np.ndarray, B: np.ndarray, k: int) -> float:
    pca = PCA(k, random_state=0).fit(A)
    return r2(B, pca.inverse_transform(pca.transform(B)), A.mean(0))


def kinds(model: Any) -> set[str]:
    return {finding.kind for finding in model.findings_}


@pytest.mark.parametrize("name", LOADERS)
def test_a_default_autoencoder_reconstructs_held_out_rows_as_well_as_pca(name: str) -> None:
    A, B = standardised(name)
    model = Autoencoder(random_state=0).fit(A)
    found = r2(B, model.reconstruct(B), A.mean(0))
    assert found >= pca_r2(A, B, model.shapes_.code_size) - 0.005


def test_a_default_autoencoder_finds_the_two_dimensions_of_an_eight_column_table() -> None:
    """Where pythae has .417 and PCA .994."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 2)) @ rng.normal(size=(2, 8))
    X += 0.093 * X.std(0) * rng.normal(size=X.shape)
    A, B = split((X - X.mean(0)) / X.std(0))
    assert pca_r2(A, B, 2) == pytest.approx(0.994, abs=0.001)
    model = Autoencoder(code_size=2, random_state=0).fit(A)
    assert r2(B, model.reconstruct(B), A.mean(0)) >= 0.99


def test_a_default_autoencoder_beats_pca_where_the_rows_are_curved() -> None:
    rng = np.random.default_rng(0)
    t = rng.uniform(-2, 2, size=(2000, 1))
    X = np.hstack([t, t**2, np.sin(2 * t), np.cos(2 * t), t**3 / 4, np.abs(t)]) + 0.05 * rng.normal(size=(2000, 6))
    A, B = split((X - X.mean(0)) / X.std(0))
    model = Autoencoder(code_size=1, random_state=0).fit(A)
    assert r2(B, model.reconstruct(B), A.mean(0)) >= pca_r2(A, B, 1) + 0.25
    assert "kept-start" not in kinds(model)


@pytest.mark.parametrize("form", ["array", "pictures"])
@pytest.mark.parametrize("k", [2, 8, 16])
def test_a_linear_autoencoder_is_within_a_hundredth_of_the_squared_error_of_pca(form: str, k: int) -> None:
    X = load_digits().data
    error = np.square(X - PCA(k).fit(X).inverse_transform(PCA(k).fit_transform(X))).sum()
    given = X if form == "array" else X.reshape(-1, 8, 8)
    model = Autoencoder(hidden=(), code_size=k, max_epochs=5, random_state=0).fit(given)
    found = np.square(X - model.reconstruct(given).reshape(len(X), -1)).sum()
    assert found <= 1.01 * error


def test_linear_training_alone_reaches_pca_without_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop and its settings, not only the closed form, find the components."""
    monkeypatch.setattr(Autoencoder, "start", lambda self, nets, rows: False)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 8)) + 0.1 * rng.normal(size=(300, 8))
    model = Autoencoder(hidden=(), code_size=3, learning_rate=1e-2, random_state=0).fit(X)
    Z = (X - X.mean(0)) / X.std(0)
    error = r2(X / X.std(0), model.reconstruct(X) / X.std(0), X.mean(0) / X.std(0))
    assert error >= pca_r2(Z, Z, 3) - 0.005


def test_a_start_that_training_does_not_beat_is_kept_and_said() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(200, 6))
    model = Autoencoder(code_size=2, random_state=0).fit(X)
    assert "kept-start" in kinds(model)
    Z = (X - X.mean(0)) / X.std(0)
    pca = PCA(2).fit(Z)
    expected = pca.inverse_transform(pca.transform(Z)) * X.std(0) + X.mean(0)
    assert model.reconstruct(X) == pytest.approx(expected, abs=1e-4)


def test_a_default_vae_draws_rings() -> None:
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 2000)
    radius = 1 + 0.05 * rng.normal(size=2000)
    model = VAE(random_state=0).fit(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]))
    drawn = model.sample(2000, random_state=0)
    assert np.median(np.abs(np.hypot(*drawn.T) - 1)) <= 0.1
    sectors = np.floor((np.arctan2(drawn[:, 1], drawn[:, 0]) + np.pi) / (2 * np.pi) * 12).astype(int) % 12
    assert np.bincount(sectors, minlength=12).min() >= 0.5 * 2000 / 12


@pytest.mark.parametrize("name", LOADERS)
def test_a_default_vae_uses_its_code_on_real_data(name: str) -> None:
    X = LOADERS[name]().data
    model = VAE(random_state=0).fit(X)
    assert model.kl_.sum() >= 0.5
    assert (model.transform(X).var(0) > 0.01).sum() >= 2
    assert "collapsed" not in kinds(model)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pure_noise_is_found_to_have_nothing_in_common(seed: int) -> None:
    X = np.random.default_rng(seed).normal(size=(600, 8))
    assert "collapsed" in kinds(VAE(random_state=seed).fit(X))


def test_a_vae_that_pays_too_much_for_its_code_is_found_collapsed() -> None:
    X, _ = standardised("wine")
    model = VAE(beta=1000.0, max_epochs=60, learning_rate=1e-2, early_stopping=False, random_state=0).fit(X)
    assert "collapsed" in kinds(model)


def test_scores_rank_planted_anomalies_above_the_rest() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(500, 6))
    planted = X[:50].copy()
    planted[np.arange(50), rng.integers(6, size=50)] += 1.5
    for cls in (Autoencoder, VAE):
        model = cls(code_size=2, random_state=0).fit(X[50:])
        scores = model.score_samples(np.vstack([X[:50], planted]))
        assert roc_auc_score(np.repeat([0, 1], 50), -scores) > 0.95


def test_a_denoising_autoencoder_brings_noisy_rows_closer_to_the_clean_ones() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2)) @ rng.normal(size=(2, 10))
    noisy = X + 0.5 * X.std(0) * rng.normal(size=X.shape)
    model = engram.create("denoising-autoencoder", code_size=2, random_state=0).fit(X[:400])
    assert np.square(model.denoise(noisy[400:]) - X[400:]).sum() < 0.4 * np.square(noisy[400:] - X[400:]).sum()
