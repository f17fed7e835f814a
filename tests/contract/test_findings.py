"""Every finding of a fit: it fires where there is something to know, and is silent on ordinary data."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from torch import nn

from engram.errors import DivergedError
from engram.models.autoencoder import Autoencoder
from engram.models.model import Model
from engram.models.vae import VAE
from engram.training import Finding


def linear(n: int = 200, columns: int = 6, noise: float = 0.1) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(n, 2)) @ random.normal(size=(2, columns)) + noise * random.normal(size=(n, columns))


def found(model: Model, kind: str) -> Finding | None:
    """Return the finding of this kind, which must be written for people."""
    for finding in model.findings_:
        assert len(finding.message) < 400
        assert not re.search(r"tensor\(|nan\b|\binf\b|None", finding.message), finding.message
    return next((finding for finding in model.findings_ if finding.kind == kind), None)


# --- ordinary data ---

USEFUL = {"data", "kept-start", "inactive-units"}  # true of such data by themselves, each tested in its place
LOADED = {"breast-cancer": load_breast_cancer, "wine": load_wine, "diabetes": load_diabetes, "digits": load_digits}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("model", [Autoencoder, VAE])
@pytest.mark.parametrize("name", [*LOADED, "digit pictures"])
def test_default_fits_on_ordinary_data_raise_no_false_alarm(name: str, model: type[Model], seed: int) -> None:
    X = load_digits().images if name == "digit pictures" else LOADED[name](as_frame=True).data
    kinds = {f.kind for f in model(random_state=seed).fit(X).findings_} - USEFUL
    # generated values of the two-valued column 'sex' lie between and beyond the two: true, and the advice is right
    allowed = {"out-of-range"} if (name, model) == ("diabetes", VAE) else set()
    assert kinds <= allowed


def test_a_default_fit_on_wine_finds_nothing() -> None:
    assert Autoencoder(random_state=0).fit(load_wine(as_frame=True).data).findings_ == []


# --- the course of training ---


def test_a_loss_that_never_moves() -> None:
    settings = {"hidden": (4,), "max_epochs": 30, "random_state": 0}
    still = found(Autoencoder(learning_rate=1e-12, **settings).fit(linear()), "nothing-learned")
    assert still is not None
    assert "no term of the loss moved" in still.message
    assert "reconstruction" in still.message
    assert "learning_rate" in still.advice
    assert found(Autoencoder(**settings).fit(linear()), "nothing-learned") is None
    learned = Autoencoder(**settings, warm_start=True).fit(linear())
    worse = found(
        learned.set_params(learning_rate=5.0, max_epochs=6, schedule="constant").fit(linear()), "nothing-learned"
    )
    assert worse is not None
    assert "better on held-out rows than the weights that training began with" in worse.message


class Cut(nn.Module):
    """A network whose first layer no gradient reaches."""

    def __init__(self, *, cut: bool) -> None:
        super().__init__()
        self.first, self.second, self.cut = nn.Linear(6, 8), nn.Linear(8, 2), cut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = self.first(x)
        return self.second(torch.tanh(inside.detach() if self.cut else inside))


class Fixed(Cut):
    """A network that no gradient reaches at all."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return super().forward(x)


def test_weights_that_no_gradient_reaches() -> None:
    settings = {"code_size": 2, "max_epochs": 4, "random_state": 0}
    part = found(Autoencoder(encoder=Cut(cut=True), **settings).fit(linear()), "frozen-role")
    assert part is not None
    assert "2 of 4 weight tensors of the encoder did not change: 'first.weight', 'first.bias'" in part.message
    whole = found(Autoencoder(encoder=Fixed(cut=False), **settings).fit(linear()), "frozen-role")
    assert whole is not None
    assert "the weights of the encoder did not change" in whole.message
    for model in (Autoencoder(encoder=Cut(cut=False), **settings), Autoencoder(**settings), VAE(**settings)):
        assert found(model.fit(linear()), "frozen-role") is None


def test_a_fit_that_ends_while_it_still_improves() -> None:
    X = linear(300, noise=0.02)
    settings = {"code_size": 2, "hidden": (16,), "random_state": 0, "schedule": "constant"}
    cut = found(Autoencoder(max_epochs=30, learning_rate=1e-4, **settings).fit(X), "not-finished")
    assert cut is not None
    assert "still falling" in cut.message
    assert "max_epochs (now 30)" in cut.advice
    assert found(Autoencoder(code_size=2, random_state=0).fit(X), "not-finished") is None


# --- rows ---


def test_rows_learned_by_heart() -> None:
    X = np.random.default_rng(0).normal(size=(60, 40))
    settings = {"code_size": 20, "hidden": (200,), "max_epochs": 200, "random_state": 0}
    model = Autoencoder(n_iter_no_change=200, **settings).fit(X[:50], validation=X[50:])
    told = found(model, "overfitted")
    assert told is not None
    seen, unseen = re.findall(r"R2 (-?\d\.\d\d)|with (-?\d\.\d\d) ±", told.message)
    assert float(seen[0]) > float(unseen[1]) + 0.15
    assert found(Autoencoder(code_size=2, max_epochs=50, random_state=0).fit(linear()), "overfitted") is None


def test_too_few_rows_for_the_code() -> None:
    few = found(Autoencoder(code_size=6, max_epochs=2, random_state=0).fit(linear(12)), "few-rows")
    assert few is not None
    assert re.search(r"learned from 11 rows \(66 values\) and has [\d,]+ weights, with a code of size 6", few.message)
    wide = Autoencoder(code_size=2, hidden=(500, 500), max_epochs=1, random_state=0).fit(linear(30))
    assert found(wide, "few-rows") is not None
    assert found(Autoencoder(code_size=2, max_epochs=1, random_state=0).fit(linear(60)), "few-rows") is None


def test_a_category_is_one_value_of_a_row() -> None:
    letters = np.random.default_rng(0).choice(list("abcdef"), 12)
    model = Autoencoder(code_size=6, max_epochs=2, random_state=0).fit(
        pd.DataFrame({"letter": letters, "n": range(12)})
    )
    few = found(model, "few-rows")
    assert few is not None
    assert "from 11 rows (22 values)" in few.message


# --- columns ---


def test_columns_that_come_back_no_better_than_their_mean_are_named() -> None:
    X = np.column_stack([linear(300), np.random.default_rng(1).normal(size=300)])
    frame = pd.DataFrame(X, columns=[*"abcdef", "alone"])
    told = found(Autoencoder(code_size=2, hidden=(), max_epochs=30, random_state=0).fit(frame), "unexplained-columns")
    assert told is not None
    assert "1 of 7 columns come" in told.message
    assert told.message.endswith("'alone'")
    assert found(Autoencoder(code_size=2, max_epochs=60, random_state=0).fit(frame[[*"abcdef"]]), told.kind) is None


class Wild(nn.Module):
    """A decoder that multiplies what it should give."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.layer = factor, nn.Linear(2, 6)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.factor * self.layer(z)


def test_values_far_outside_of_what_was_seen() -> None:
    settings = {"code_size": 2, "max_epochs": 1, "early_stopping": False, "learning_rate": 1e-6, "random_state": 0}
    for model in (Autoencoder, VAE):
        told = found(model(decoder=Wild(100.0), **settings).fit(linear()), "out-of-range")
        assert told is not None
        assert re.search(
            r"\d+ of \d+ (reconstructed|generated) rows lie far outside the values seen, most in column", told.message
        )
        assert found(model(code_size=2, max_epochs=40, random_state=0).fit(linear()), "out-of-range") is None


def test_a_generated_column_of_two_values_is_better_a_category() -> None:
    random = np.random.default_rng(0)
    X = np.column_stack([linear(300), random.choice([0.0, 1.0], 300)])
    told = found(VAE(code_size=3, max_epochs=5, random_state=0).fit(X), "out-of-range")
    assert told is not None
    assert "2 different values" in told.advice


class Dead(nn.Module):
    """A network, some of whose units are always off."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.layer, self.relu, self.head = nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.layer.weight.copy_(torch.randn(8, 6, generator=generator))
            self.layer.bias.zero_()
            self.layer.bias[:4] = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.relu(self.layer(x)))


def test_hidden_units_that_are_always_off() -> None:
    settings = {"code_size": 2, "max_epochs": 2, "random_state": 0}
    told = found(Autoencoder(encoder=Dead(-100.0), **settings).fit(linear()), "dead-units")
    assert told is not None
    assert told.message == "4 of 8 hidden units of the encoder give the same for every row"
    assert found(Autoencoder(encoder=Dead(0.0), **settings).fit(linear()), "dead-units") is None
    assert found(Autoencoder(**settings).fit(linear()), "dead-units") is None


# --- numbers that are not finite ---


def test_the_error_names_term_row_and_column() -> None:
    X = linear(60)
    X[17, 3] = 1e5
    frame = pd.DataFrame(X, columns=[*"abcdef"])
    with pytest.raises(DivergedError, match=r"'reconstruction' became .* at step \d+") as caught:
        Autoencoder(
            code_size=2, hidden=(8,), likelihood="poisson", max_epochs=50, learning_rate=1e30, random_state=0
        ).fit(frame.abs().round())
    assert re.search(r"row 17, column 'd'|the output for row \d+|weights of the \w+", str(caught.value))


def test_fits_are_the_same_with_and_without_a_look_at_them(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = VAE(max_epochs=2, random_state=0).fit(linear())
    monkeypatch.setattr("engram.models.model.diagnose", lambda *_: [])
    blind = VAE(max_epochs=2, random_state=0).fit(linear())
    assert all(
        torch.equal(a, b) for a, b in zip(looked.network_.parameters(), blind.network_.parameters(), strict=True)
    )
    assert (looked.sample(5, random_state=0) == blind.sample(5, random_state=0)).all()
