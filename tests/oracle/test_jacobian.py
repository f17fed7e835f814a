"""The contractive penalty against the whole Jacobian, its gradient against finite differences, and the probe's mean against the norm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import engram
from engram.maths.jacobian import SLOPES, layer_norm_of_jacobian, probed_norm_of_jacobian, slope_of
from engram.models.sparse import Units
from engram.networks import linear
from engram.networks.linear import Linear
from engram.training import Batch


def exact(encode: object, x: Tensor) -> Tensor:
    """||J||^2 per row, from the whole Jacobian."""
    rows = [torch.autograd.functional.jacobian(lambda r: encode(r[None])[0], row) for row in x]  # type: ignore[operator]
    return torch.stack([jacobian.square().sum() for jacobian in rows])


def layer() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((6, 5), (4, 5), (4,)))  # type: ignore[return-value]


@pytest.mark.parametrize("activation", sorted(SLOPES))
def test_the_closed_form_of_one_layer_is_the_norm_of_the_whole_jacobian(activation: str) -> None:
    x, weight, bias = layer()
    units = Units(4, activation)

    def encode(rows: Tensor) -> Tensor:
        return units.activated(rows @ weight.T + bias)

    found = layer_norm_of_jacobian(slope_of(activation, encode(x)), weight)
    torch.testing.assert_close(found, exact(encode, x))


def test_gradients_of_the_closed_form_are_those_of_finite_differences() -> None:
    x, weight, bias = layer()

    def penalty(w: Tensor, b: Tensor) -> Tensor:
        return layer_norm_of_jacobian(slope_of("sigmoid", (x @ w.T + b).sigmoid()), w).sum()

    assert torch.autograd.gradcheck(penalty, (weight.requires_grad_(), bias.requires_grad_()))


def test_gradients_of_the_probe_are_those_of_finite_differences() -> None:
    x, weight, bias = layer()

    def penalty(w: Tensor, b: Tensor) -> Tensor:
        return probed_norm_of_jacobian(lambda rows: (rows @ w.T + b).tanh(), x, torch.Generator().manual_seed(1))[
            1
        ].sum()

    assert torch.autograd.gradcheck(penalty, (weight.requires_grad_(), bias.requires_grad_()))


def test_the_mean_of_many_probes_is_the_norm() -> None:
    x, weight, bias = layer()
    network = nn.Sequential(nn.Linear(4, 8), nn.ELU(), nn.Linear(8, 3)).double()

    def encode(rows: Tensor) -> Tensor:
        return network((rows @ weight.T + bias).sigmoid())

    generator = torch.Generator().manual_seed(2)
    rows = x.repeat_interleave(4000, 0)
    codes, probes = (t.detach() for t in probed_norm_of_jacobian(encode, rows, generator))
    torch.testing.assert_close(codes, encode(rows).detach())
    probes = probes.view(len(x), -1)
    error = probes.std(1) / probes.shape[1] ** 0.5
    assert bool(((probes.mean(1) - exact(encode, x)).abs() < 4 * error).all())


@pytest.mark.skipif(linear._PRODUCT is None, reason="this torch has no oneDNN product")
def test_the_probe_goes_through_large_products_as_through_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "FASTER", True)  # as on a machine with AVX-512
    own, plain = Linear(400, 90), nn.Linear(400, 90)
    plain.load_state_dict(own.state_dict())
    found = []
    for each in (own, plain):
        x = torch.randn(128, 400, generator=torch.Generator().manual_seed(3))
        signs = torch.Generator().manual_seed(4)
        penalty = probed_norm_of_jacobian(lambda rows, e=each: e(rows).tanh(), x, signs)[1]
        found.append([penalty, *torch.autograd.grad(penalty.sum(), list(each.parameters()))])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


SMALL = {"code_size": 3, "max_epochs": 1, "random_state": 0}


@pytest.mark.parametrize(
    "parameters",
    [
        {"hidden": ()},
        {"hidden": (), "code_activation": "sigmoid"},
        {"hidden": (), "code_activation": "sigmoid", "tied": True},
        {"hidden": (), "sparsity": "topk", "sparsity_level": 2},
    ],
)
def test_the_term_of_a_model_of_one_layer_is_exact(parameters: dict[str, object]) -> None:
    X = np.random.default_rng(0).normal(size=(40, 5))
    model = engram.Autoencoder(contraction=0.5, **SMALL, **parameters).fit(X)
    x = model.encoded(X).x[:9]
    nets = model.network_.eval()
    term = model.terms(model.turns(0)[0], nets, Batch(x))["contraction"]
    torch.testing.assert_close(
        term.detach(), 0.5 * exact(lambda rows: model.encode(nets, Batch(rows)), x), rtol=1e-4, atol=1e-5
    )


def test_the_term_of_a_deep_model_is_a_probe_and_is_there_without_gradients_too() -> None:
    X = np.random.default_rng(0).normal(size=(40, 5))
    model = engram.Autoencoder(contraction=1.0, hidden=(8,), **SMALL).fit(X)
    x = model.encoded(X).x[:5].repeat_interleave(2000, 0)
    nets = model.network_.eval()
    with torch.no_grad():
        term = model.terms(model.turns(0)[0], nets, Batch(x, generator=torch.Generator().manual_seed(0)))["contraction"]
    assert not term.requires_grad
    expected = exact(lambda rows: model.encode(nets, Batch(rows)), x[::2000])
    torch.testing.assert_close(term.view(5, -1).mean(1), expected, rtol=0.1, atol=1e-3)


def test_contraction_makes_tied_codes_move_less() -> None:
    X = np.random.default_rng(0).normal(size=(200, 2)) @ np.random.default_rng(1).normal(size=(2, 6))
    own = {"hidden": (), "code_activation": "sigmoid", "tied": True, "code_size": 4, "early_stopping": False}
    norms = []
    for contraction in (0.0, 100.0):
        model = engram.Autoencoder(contraction=contraction, max_epochs=60, random_state=0, **own).fit(X)
        x, nets = model.encoded(X).x[:50], model.network_
        norms.append(exact(lambda rows, m=model, n=nets: m.encode(n, Batch(rows)), x).mean().item())
    assert norms[1] < 0.7 * norms[0]
