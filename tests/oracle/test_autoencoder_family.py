"""Sparse, contractive, stacked, tied and orthogonal autoencoders do what their names say."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import engram
from engram.errors import UsageError
from engram.maths.sparsity import correlations
from engram.models.sparse import DEAD, revive
from engram.models.stacking import learn_in_pairs
from engram.networks.linear import Linear, Transposed
from engram.training import Batch


def squares(rows: int = 300, columns: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 3)) @ rng.normal(size=(3, columns)) + 0.1 * rng.normal(size=(rows, columns))


@cache
def fitted(**parameters: Any) -> Any:
    return engram.Autoencoder(max_epochs=5, random_state=0, **parameters).fit(squares())


# --- sparse codes ---


@pytest.mark.parametrize(
    ("parameters", "active"),
    [
        ({"sparsity_level": 3}, 3),
        ({"sparsity_level": 0.25}, 8),
        ({}, 3),
        ({"sparsity_level": 3, "sparsity_alpha": 2.0}, 6),
    ],
)
def test_a_top_k_code_is_wide_and_has_so_many_active_units(parameters: dict[str, Any], active: int) -> None:
    codes = fitted(sparsity="topk", **parameters).transform(squares())
    assert codes.shape[1] == 32
    assert (codes != 0).sum(1).max() == active
    assert (codes >= 0).all()


def test_a_batch_top_k_code_has_so_many_active_units_on_average_and_a_row_decides_alone() -> None:
    model = fitted(sparsity="batchtopk", sparsity_level=4)
    codes = model.transform(squares())
    counts = (codes != 0).sum(1)
    assert counts.mean() == pytest.approx(4, rel=0.25)
    assert len(set(counts.tolist())) > 1
    assert np.array_equal(model.transform(squares()[7:8]), codes[7:8])


@pytest.mark.parametrize("sparsity", ["topk", "batchtopk"])
def test_held_out_rows_are_judged_with_the_units_of_learning_so_that_weights_before_k_has_fallen_are_not_kept(
    sparsity: Any,
) -> None:
    own = {"sparsity": sparsity, "sparsity_level": 3, "max_epochs": 30, "random_state": 0}
    few, many = (engram.Autoencoder(sparsity_alpha=alpha, **own).fit(squares()) for alpha in (1.0, 6.0))
    steps = [report["step"] for report in many.history_.reports]
    assert many.history_.best_step > max(steps) / 2  # before, k is still falling
    if sparsity == "topk":  # alpha is of use alone: it must not change what is learned
        assert [r["validation"] for r in many.history_.reports] == [r["validation"] for r in few.history_.reports]


def test_l1_makes_codes_sparser_the_more_it_weighs_and_scales_do_not_get_around_it() -> None:
    shares = [(fitted(sparsity="l1", sparsity_level=w).transform(squares()) > 1e-3).mean() for w in (0.01, 30.0)]
    assert shares[1] < shares[0]


def test_kl_pulls_mean_activations_to_the_rate() -> None:
    own = {"sparsity": "kl", "sparsity_level": 0.1, "code_size": 12, "early_stopping": False, "max_epochs": 60}
    codes = (
        engram.Autoencoder(random_state=0, sparsity_weight=300.0, learning_rate=0.01, **own)
        .fit(squares())
        .transform(squares())
    )
    assert codes.min() >= 0
    assert codes.max() <= 1
    assert codes.mean(0) == pytest.approx(np.full(12, 0.1), abs=0.05)


def test_a_narrow_sparse_code_begins_at_principal_components_in_both_directions() -> None:
    """One epoch at no learning rate to speak of: with k of 2k units, the start is PCA of k components."""
    X = load_digits().images[:400]
    own = {"sparsity": "topk", "code_size": 16, "max_epochs": 1, "learning_rate": 1e-9, "early_stopping": False}
    back = engram.Autoencoder(random_state=0, **own).fit(X).reconstruct(X).reshape(400, -1)
    flat = X.reshape(400, -1)
    pca = PCA(8).fit(flat)
    expected = np.clip(pca.inverse_transform(pca.transform(flat)), 0, 16)
    assert back == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"sparsity": "topk", "sparsity_level": 40, "code_size": 16}, "of the 16 code units"),
        ({"sparsity": "topk", "sparsity_level": 2.5}, "whole number"),
        ({"sparsity": "kl", "sparsity_level": 2.0}, "between 0 and 1"),
        ({"sparsity": "kl", "code_activation": "relu"}, "given are sparsity_level='auto' and code_activation='relu'"),
        ({"sparsity": "kl", "code_activation": "relu"}, "sigmoid"),
    ],
)
def test_a_level_that_a_sparsity_cannot_have_says_what_is_expected(parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        engram.Autoencoder(**parameters).fit(squares())


def test_dead_units_come_back_to_life() -> None:
    model = engram.Autoencoder(sparsity="topk", sparsity_level=3, code_size=32, max_epochs=2, random_state=0).fit(
        squares()
    )
    nets, x = model.network_, model.encoded(squares()).x[:64]
    with torch.no_grad():
        nets.encoder.head.weight[:5] = 0
        nets.encoder.head.bias[:5] = -1.0
        nets.code.idle.zero_()
        nets.code.idle[:5] = DEAD
    dead = (model.encode(nets, Batch(x))[:, :5] > 0).any(0)
    assert not dead.any()
    revive(nets, x)
    assert bool((model.encode(nets, Batch(x))[:, :5] > 0).any(0).all())
    assert nets.code.idle.max() == 0


@pytest.mark.parametrize(("hidden", "writes"), [((), True), ((10,), False)])
def test_a_revived_unit_writes_its_direction_only_where_it_reads_and_writes_rows(
    hidden: tuple[int, ...], writes: bool
) -> None:
    own = {"sparsity": "topk", "sparsity_level": 2, "code_size": 10, "max_epochs": 1, "random_state": 0}
    model = engram.Autoencoder(hidden=hidden, **own).fit(
        squares()[:, :10]
    )  # rows, hidden layers and codes of one width
    nets = model.network_
    before = {name: w.clone() for name, w in nets.decoder.network.state_dict().items()}
    nets.code.idle.zero_()
    nets.code.idle[0] = DEAD
    revive(nets, model.encoded(squares()[:, :10]).x)
    assert nets.code.idle[0] == 0
    assert any(not torch.equal(w, before[name]) for name, w in nets.decoder.network.state_dict().items()) == writes


def test_dead_units_of_convolutions_come_back_to_life() -> None:
    X = load_digits().images[:64]
    model = engram.Autoencoder(sparsity="topk", network="conv", max_epochs=1, random_state=0).fit(X)
    nets, x = model.network_, model.encoded(X).x
    nets.code.idle.fill_(DEAD)
    revive(nets, x)
    assert nets.code.idle.max() == 0


def test_layers_of_pictures_are_learned_in_pairs_without_hidden_ones_too() -> None:
    X = load_digits().images[:64]
    model = engram.Autoencoder(pretrain=True, hidden=(), network="mlp", max_epochs=4, random_state=0).fit(X)
    assert model.reconstruct(X).shape == X.shape


def test_dead_units_are_a_finding() -> None:
    model = engram.Autoencoder(sparsity="l1", sparsity_level=1000.0, code_size=32, max_epochs=30, early_stopping=False)
    told = [f.message for f in model.set_params(random_state=0).fit(squares()).findings_ if f.kind == "dead-code-units"]
    assert len(told) == 1
    assert "of 32 code units are active in none of" in told[0]


# --- tied, orthogonal, stacked ---


def test_a_transposed_layer_follows_the_other_and_owns_its_bias_alone() -> None:
    layer = Linear(5, 3)
    back = Transposed(layer)
    z = torch.randn(7, 3)
    torch.testing.assert_close(back(z), z @ layer.weight + back.bias)
    torch.testing.assert_close(back.eval()(z), back.train()(z))
    assert [name for name, _ in back.named_parameters()] == ["bias"]
    back(z).sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize("hidden", ["auto", (), (7, 6)])
def test_tied_weights_stay_each_others_transposes_also_on_disk(hidden: Any, tmp_path: Any) -> None:
    model = fitted(tied=True, hidden=hidden, code_size=3)
    model.save(tmp_path / "run")
    for each in (model, engram.load(tmp_path / "run")):
        nets = each.network_
        layers = [m for m in nets.encoder.modules() if isinstance(m, torch.nn.Linear)]
        back = [m for m in nets.decoder.modules() if isinstance(m, torch.nn.Linear)]
        assert {tuple(m.weight.shape[::-1]) for m in layers} == {tuple(m.weight.shape) for m in back}
        assert all(isinstance(m, Transposed) for m in back)
        assert not any(name.endswith("weight") for name in nets.decoder.state_dict())
    assert np.array_equal(engram.load(tmp_path / "run").reconstruct(squares()), model.reconstruct(squares()))


@pytest.mark.parametrize("hidden", ["auto", ()])
def test_a_tied_model_begins_at_principal_components(hidden: Any) -> None:
    own = {"tied": True, "code_size": 3, "max_epochs": 1, "learning_rate": 1e-9, "early_stopping": False}
    X = squares()
    back = engram.Autoencoder(hidden=hidden, random_state=0, **own).fit(X).reconstruct(X)
    scaled = (X - X.mean(0)) / X.std(0)
    pca = PCA(3).fit(scaled)
    expected = pca.inverse_transform(pca.transform(scaled)) * X.std(0) + X.mean(0)
    assert back == pytest.approx(expected, abs=1e-3)


def test_orthogonal_codes_are_less_correlated() -> None:
    found = []
    for weight in (0.0, 100.0):
        own = {"hidden": (16,), "code_size": 3, "max_epochs": 25, "early_stopping": False, "random_state": 0}
        codes = engram.Autoencoder(orthogonal=weight, **own).fit(squares()).transform(squares())
        found.append(float(correlations(torch.from_numpy(codes))))
    assert found[1] < 0.02
    assert found[1] < found[0]


@pytest.mark.parametrize("parameter", ["tied", "pretrain"])
def test_pairs_of_layers_need_fully_connected_ones(parameter: str) -> None:
    with pytest.raises(UsageError, match=f"{parameter}=True needs fully connected"):
        engram.Autoencoder(network="conv", **{parameter: True}).fit(np.zeros((20, 8, 8)) + np.arange(8))


def test_layers_learned_in_pairs_reconstruct_before_the_whole_has_learned() -> None:
    X = load_digits().images
    own = {"hidden": (48, 32), "code_size": 16, "batch_size": 64, "random_state": 0, "early_stopping": False}
    errors = []
    for pretrain in (False, True):
        model = engram.Autoencoder(pretrain=False, max_epochs=1, learning_rate=1e-9, **own).fit(X)
        model.set_params(pretrain=pretrain, max_epochs=100, learning_rate=2e-3)
        if pretrain:
            torch.manual_seed(0)
            assert not model.start(model.network_, model.encoded(X))
        errors.append(float(np.square(model.reconstruct(X) - X).mean()))
    assert errors[1] < 0.5 * float(np.var(X, axis=0).mean()) < errors[0]


def test_each_pair_is_learned_on_the_codes_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from engram.models import stacking

    seen = []
    monkeypatch.setattr(
        stacking, "train", lambda player, nets, rows, *rest: seen.append((tuple(rows.x.shape), rows.x.clone()))
    )
    model = engram.Autoencoder(hidden=(7, 6), code_size=3, max_epochs=1, random_state=0).fit(squares())
    x = model.encoded(squares())
    learn_in_pairs(model.network_, x, lambda pair: model.settings_, lambda b: b.x, lambda b: b.x)
    assert [shape for shape, _ in seen] == [(300, 8), (300, 7), (300, 6)]
    first = model.network_.encoder.body.layers[:2]
    torch.testing.assert_close(seen[1][1], first(x.x).detach())


# --- the names of the registry ---


@pytest.mark.parametrize(
    "name", ["sparse-autoencoder", "contractive-autoencoder", "stacked-autoencoder", "convolutional-autoencoder"]
)
def test_the_named_models_learn_digits_better_than_principal_components(name: str) -> None:
    """At the same number of active units: for the sparse one half of the code."""
    X = load_digits().images
    train, test = X[:1400], X[1400:].reshape(-1, 64)
    model = engram.create(name, code_size=16, random_state=0, max_epochs=60).fit(train)
    back = model.reconstruct(X[1400:]).reshape(-1, 64)
    k = 8 if name.startswith("sparse") else 16
    pca = PCA(k).fit(train.reshape(-1, 64))
    assert np.square(back - test).sum() < np.square(pca.inverse_transform(pca.transform(test)) - test).sum()


# --- drawn rows ---


def test_drawn_rows_score_like_real_ones_where_some_columns_are_noisy_and_others_tight() -> None:
    rng = np.random.default_rng(0)
    tight = rng.normal(size=(500, 2)) @ rng.normal(size=(2, 5)) + 0.02 * rng.normal(size=(500, 5))
    rows = np.column_stack([tight, rng.normal(size=(500, 5))])
    model = engram.Autoencoder(code_size=4, max_epochs=20, random_state=0).fit(rows)
    real, drawn = (np.median(model.score_samples(x)) for x in (rows, model.sample(500, random_state=0)))
    assert abs(real - drawn) < 2  # noise of one scale in all columns made it 6
