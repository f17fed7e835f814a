"""GANs: penalties by name, how discriminators take y, what fades, what is drawn, and what findings see."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import engram
from engram.data.given import Conditions
from engram.data.rows import Rows
from engram.errors import UsageError
from engram.maths import adversarial
from engram.maths.adversarial import PENALTIES, Judgement, gradient_penalty, squared_slope
from engram.models.game import BETAS, condition_loss, faded
from engram.models.game_findings import looked_at
from engram.models.gan import FEWER, GAN
from engram.networks.discriminator import CLIP, Discriminator
from engram.networks.players import PLAYERS, players

GIVEN: dict[str, Any] = {"hidden": (32, 32), "max_epochs": 1, "random_state": 0}


def blobs(n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Return two clusters in the plane, far apart, and which of them a row is of."""
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=n)
    return np.stack([6.0 * label, -2.0 * label], 1) + 0.3 * rng.normal(size=(n, 2)), label


# --- penalties ---


def judge(x: Tensor) -> Tensor:
    return (x**3).sum(1) * 0.1 + x[:, 0]


@pytest.mark.parametrize("together", [True, False])
def test_penalties_by_name_are_those_of_separate_passes(together: bool) -> None:
    x, y = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0)).unbind()
    judged = Judgement(judge, x.clone(), y.clone(), together=together)
    torch.testing.assert_close(judged.of_real, judge(x))
    torch.testing.assert_close(judged.of_generated, judge(y))
    at_real, at_generated = squared_slope(judge, x), squared_slope(judge, y)
    torch.testing.assert_close(PENALTIES["r1"](judged), at_real / 2)
    torch.testing.assert_close(PENALTIES["r2"](judged), at_generated / 2)
    torch.testing.assert_close(PENALTIES["r1r2"](judged), (at_real + at_generated) / 2)
    torch.manual_seed(5)
    found = PENALTIES["gp"](judged)
    torch.manual_seed(5)
    torch.testing.assert_close(found, gradient_penalty(judge, x, y, torch.rand(7)))


@pytest.mark.parametrize("together", [True, False])
def test_slopes_are_found_only_where_they_are_asked_for(together: bool) -> None:
    """A game without a penalty goes back to the weights alone; slopes at rows would cost as much again."""
    x, y = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0)).unbind()
    net = nn.Linear(3, 1)
    judged = Judgement(lambda rows: net(rows)[:, 0], x, y, together=together, sloped=False)
    judged.logits.sum().backward()
    assert x.grad is y.grad is None
    assert net.weight.grad is not None
    with pytest.raises(RuntimeError):
        judged.squared_slopes()


def test_a_new_penalty_is_one_function_in_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A penalty that stands in maths/adversarial.py alone is known by name to every GAN, and is what its term says."""
    monkeypatch.setitem(adversarial.PENALTIES, "quartic", lambda judged: judged.squared_slopes()[0].square())
    model = engram.create("gan", penalty="quartic", penalty_weight=0.5, **GIVEN).fit(blobs(200)[0])
    assert model.history_.reports[-1]["terms"]["penalty"] > 0
    with pytest.raises(UsageError, match="quartic"):
        engram.create("gan", penalty="quartik", **GIVEN).fit(blobs(200)[0])


def test_a_penaltys_weight_fades_evenly_in_logarithms() -> None:
    weights = [faded("auto", progress, shape=(2,)) for progress in (0.0, 0.5, 1.0)]
    assert weights == pytest.approx([1.0, 10**-1.5, 1e-3])
    assert faded("auto", 0.5, shape=(1, 28, 28)) == pytest.approx(1.0)
    assert faded("auto", 0.0, shape=(3, 64, 64)) == pytest.approx(10.0)
    assert 1.0 < faded("auto", 0.0, shape=(8,)) < 3.0
    assert (
        faded("auto", 0.7, shape=(30,), penalty="gp")
        == faded("auto", 0.1, shape=(30,), penalty="gp")
        == pytest.approx(1.0)
    )
    assert faded(3.0, 0.7, shape=(2,)) == 3.0


# --- players ---


def test_a_projection_adds_the_product_of_features_and_embedded_y() -> None:
    torch.manual_seed(0)
    net = Discriminator(PLAYERS["mlp"], (3,), (8, 8), given=4, way="projection")
    x, y = torch.randn(5, 3), torch.randn(5, 4)
    features = net.body(x)
    expected = features @ net.head.weight[0] + (features * (y @ net.embedding.weight.T)).sum(1)
    torch.testing.assert_close(net(x, y), expected)


def test_y_beside_pictures_becomes_constant_planes() -> None:
    torch.manual_seed(0)
    net = Discriminator(players("dcgan", batch_norm=False), (1, 8, 8), (4, 4), given=2)
    x, y = torch.randn(3, 1, 8, 8), torch.randn(3, 2)
    planes = torch.stack([torch.full((8, 8), float(v)) for v in y.flatten()]).view(3, 2, 8, 8)
    torch.testing.assert_close(net(x, y), net.head(net.body(torch.cat([x, planes], 1)).flatten(1))[:, 0])


@pytest.mark.parametrize("n", [1, 4, 5])
def test_packs_hold_neighbouring_rows_and_what_is_left_over_goes_around(n: int) -> None:
    net = Discriminator(PLAYERS["mlp"], (2,), (4,), pack=2)
    x = torch.arange(2.0 * n).view(n, 2)
    rows = [*x, x[0]] if n % 2 else [*x]
    expected = torch.stack([torch.cat(rows[i : i + 2]) for i in range(0, len(rows), 2)])
    assert torch.equal(net.packed(x), expected)
    assert net(x).shape == (len(expected),)


def test_the_discriminators_batch_normalisation_goes_where_there_is_a_penalty() -> None:
    pictures = np.random.default_rng(0).random((40, 9, 9), dtype=np.float32)
    for penalty, expected in ((None, True), ("r1", False)):
        model = GAN(network="dcgan", hidden=(4, 8), penalty=penalty, max_epochs=1, random_state=0).fit(pictures)
        norms = [m for m in model.network_.discriminator.modules() if isinstance(m, nn.BatchNorm2d)]
        assert bool(norms) is expected


def test_clipped_weights_stay_within_their_bounds_and_limited_layers_stretch_nothing() -> None:
    X = blobs(600)[0]
    clipped = engram.create("wgan", **GIVEN | {"max_epochs": 3}).fit(X)
    assert max(float(w.detach().abs().max()) for w in clipped.network_.discriminator.parameters()) <= CLIP
    limited = engram.create("sngan", **GIVEN | {"max_epochs": 3}).fit(X)
    layers = [m for m in limited.network_.discriminator.modules() if isinstance(m, nn.Linear)]
    assert len(layers) == 3
    for layer in layers:  # one power iteration a step follows the largest singular value closely
        assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) == pytest.approx(1.0, abs=0.05)


def test_the_discriminator_takes_its_steps_before_each_of_the_generator() -> None:
    model = engram.create("gan", discriminator_steps=3, **GIVEN)
    discriminator, generator = model.turns(0)
    assert (discriminator.every, generator.every) == (1, 3)
    assert discriminator.betas == generator.betas == BETAS


def test_how_badly_y_is_told_is_cross_entropy_for_classes_and_squares_for_numbers() -> None:
    import pandas as pd

    y = pd.DataFrame({"kind": ["a", "b", "c", "a"], "size": [1.0, 2.0, 3.0, 4.0]})
    conditions = Conditions.fit(y, 4)
    target = conditions.encode(y, 4)
    told = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    expected = functional.cross_entropy(told[:, :3], target[:, :3].argmax(1), reduction="none")
    expected = expected + 0.5 * (told[:, 3] - target[:, 3]) ** 2
    torch.testing.assert_close(condition_loss(conditions, told, target), expected)


# --- what is drawn ---


def test_noise_is_normal_beside_signs() -> None:
    model = GAN(code_size=3, **GIVEN).fit(blobs(100)[0])
    z = model.draw_codes(4000, torch.Generator().manual_seed(0))
    assert z.shape == (4000, 3 + FEWER)  # a fit that is cut short
    assert set(z[:, 3:].unique().tolist()) == {-1.0, 1.0}
    assert z[:, 3:].mean(0).abs().max() < 0.1
    assert z[:, :3].std(0) == pytest.approx(np.ones(3), abs=0.05)
    assert GAN(code_size=3, binary=0, **GIVEN).fit(blobs(100)[0]).draw_codes(5, None).shape == (5, 3)


def test_flags_and_categories_are_drawn_as_they_are_in_tables() -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=300), "city": rng.choice(["A", "B", "C"], 300), "on": rng.random(300) < 0.4}
    )
    drawn = GAN(**GIVEN).fit(frame).sample(50, random_state=0)
    assert list(drawn.columns) == ["x", "city", "on"]
    assert set(drawn.city) <= {"A", "B", "C"}
    assert drawn.on.dtype == bool


def test_both_clusters_are_learned_and_a_label_chooses_one() -> None:
    X, label = blobs()
    given: dict[str, Any] = {"hidden": (64, 64, 64), "max_epochs": 60, "random_state": 0}
    drawn = GAN(**given).fit(X).sample(1000, random_state=1)
    near = np.stack([np.linalg.norm(drawn - centre, axis=1) < 1.2 for centre in ([0, 0], [6, -2])])
    assert near.mean(1).min() > 0.3
    assert near.any(0).mean() > 0.9
    for condition in ("concatenation", "projection", "auxiliary"):
        model = GAN(condition=condition, **given).fit(X, label)
        for k in (0, 1):
            rows = model.sample(300, y=k, random_state=1)
            far = [np.linalg.norm(rows - centre, axis=1) for centre in ([0, 0], [6, -2])]
            assert np.mean(far[k] < far[1 - k]) > 0.97, condition


def test_rows_with_holes_are_learned_whole() -> None:
    X, _ = blobs()
    X[np.random.default_rng(1).random(X.shape) < 0.2] = np.nan
    drawn = GAN(hidden=(64, 64, 64), max_epochs=60, random_state=0).fit(X).sample(1000, random_state=1)
    assert np.isfinite(drawn).all()
    slope = np.polyfit(drawn[:, 0], drawn[:, 1], 1)[0]
    assert slope == pytest.approx(-1 / 3, abs=0.06)


# --- findings ---


def kinds(generate: Any, rows: Tensor, held_out: Tensor, y: tuple[Tensor, Tensor] | None = None) -> set[str]:
    """Return the kinds of findings on rows that a function of (y, n) generates."""
    ours = SimpleNamespace(
        seen=lambda nets, batch: batch.x, generated=lambda nets, batch: generate(batch.y, len(batch.x))
    )
    nets = SimpleNamespace(discriminator=lambda x, *given: x[:, 0] * 0 + torch.randn(len(x)))
    torch.manual_seed(0)
    known, unseen = (Rows(x, y=None if y is None else y[i]) for i, x in enumerate((rows, held_out)))
    return {finding.kind for finding in looked_at(ours, nets, known, unseen)}  # type: ignore[arg-type]


def test_each_failure_is_found_and_fresh_rows_are_not_blamed() -> None:
    torch.manual_seed(1)
    mix = torch.randn(6, 6)

    def fresh(y: Any, n: int) -> Tensor:
        return torch.randn(n, 6) @ mix

    rows, held_out = fresh(None, 2000), fresh(None, 500)
    assert kinds(fresh, rows, held_out) == set()
    assert "mode-collapse" in kinds(lambda y, n: 0.01 * fresh(y, n), rows, held_out)
    half = torch.tensor([1.0, 1, 0, 0, 0, 0])
    assert "mode-collapse" in kinds(lambda y, n: (torch.randn(n, 6) * half) @ mix, rows, held_out)
    three = torch.tensor([[0.0, 0], [8, 0], [0, 8]])

    def cluster(n: int, many: int) -> Tensor:
        return three[torch.arange(n) % many] + 0.3 * torch.randn(n, 2)

    assert kinds(lambda y, n: cluster(n, 3), cluster(2000, 3), cluster(500, 3)) == set()
    assert "mode-collapse" in kinds(lambda y, n: cluster(n, 2), cluster(2000, 3), cluster(500, 3))
    assert "memorised-rows" in kinds(lambda y, n: rows[:n] + 1e-4, rows, held_out)
    assert "no-progress" in kinds(lambda y, n: fresh(y, n) + 20, rows, held_out)
    y = torch.nn.functional.one_hot(torch.arange(2000) % 2, 2).float()
    shifted, unseen = rows + 4 * y[:, :1], held_out + 4 * y[:500, :1]
    assert "ignored-condition" not in kinds(lambda y, n: fresh(y, n) + 4 * y[:, :1], shifted, unseen, (y, y[:500]))
    anyhow = (torch.arange(500) % 7 < 3).float()[:, None]
    assert "ignored-condition" in kinds(lambda y, n: fresh(y, n) + 4 * anyhow, shifted, unseen, (y, y[:500]))


def test_a_sure_discriminator_is_a_finding() -> None:
    ours = SimpleNamespace(seen=lambda nets, batch: batch.x, generated=lambda nets, batch: torch.randn(len(batch.x), 3))
    nets = SimpleNamespace(discriminator=lambda x: x[:, 0])
    rows = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    found = looked_at(ours, nets, Rows(rows), Rows(rows[:200] + 9))  # type: ignore[arg-type]
    assert "saturated-discriminator" in {finding.kind for finding in found}
