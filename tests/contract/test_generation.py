"""Generated rows beside real rows and simple generators: the same metrics, the same numbers of rows, a floor, no silence."""

from __future__ import annotations

import numpy as np
import pytest

import engram
from engram.errors import DataError, UsageError
from engram.evaluation.generation import REAL, judge_generation
from engram.metrics import frechet_distance

SMALL = {"max_epochs": 3, "random_state": 0, "code_size": 2}
DISTANCES = ["frechet", "kernel", "precision", "recall", "density", "coverage", "sliced-wasserstein"]


def rows(n: int = 240, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    return rng.normal(size=(n, 4)) @ np.random.default_rng(9).normal(size=(4, 4)) + 6 * y[:, None], y


@pytest.fixture(scope="module")
def plain() -> engram.VAE:
    return engram.VAE(**SMALL).fit(rows()[0])


@pytest.fixture(scope="module")
def conditional() -> engram.VAE:
    return engram.VAE(conditional=True, **SMALL).fit(*rows())


def values(results: list, name: str) -> dict[str, float]:
    return {r.subject: r.value for r in results if r.name == name}


def test_all_subjects_get_all_metrics_and_the_protocol_says_what_they_are_of(plain: engram.VAE) -> None:
    own, beside, notes = judge_generation(plain, rows(200, 1)[0], train=rows()[0])
    wanted = [*DISTANCES, "memorisation", "exact-copies"]
    assert [r.name for r in own] == wanted
    for subject in (REAL, "bootstrap", "gaussian-mixture", "independent"):
        assert [r.name for r in beside if r.subject == subject] == wanted
    assert not notes
    for result in (*own, *beside):
        assert result.protocol["rows"] == 50
        assert result.protocol["features"] == "rows[4 encoded values]"
        assert result.protocol["baseline_rows"] == "fitted on 240 training rows"
        assert np.isfinite(result.value)
        assert np.isfinite(result.error) == (result.name == "kernel")


def test_simple_generators_show_what_they_are(plain: engram.VAE) -> None:
    _, beside, _ = judge_generation(plain, rows(800, 1)[0], train=rows()[0])
    copies = values(beside, "exact-copies")
    assert copies == {REAL: 0.0, "bootstrap": 1.0, "gaussian-mixture": 0.0, "independent": 0.0}
    assert values(beside, "memorisation")["bootstrap"] == 1
    assert abs(values(beside, "memorisation")[REAL] - 0.5) < 0.1
    distances = values(beside, "frechet")
    assert distances[REAL] < distances["independent"]
    assert distances["gaussian-mixture"] < distances["independent"]


def test_values_are_those_of_the_metrics_on_the_same_parts(plain: engram.VAE) -> None:
    """The reference is a quarter, generated rows are as many, encoded as the model encodes them."""
    x = rows(200, 1)[0]
    own, _, _ = judge_generation(plain, x, random_state=4)
    order = np.random.default_rng(4).permutation(200)
    encode = lambda raw: plain.kind_.encode(plain.kind_.conform(raw)).x.double().numpy()  # noqa: E731
    wanted = frechet_distance(encode(x)[order[:50]], encode(plain.sample(50, random_state=4)))
    assert values(own, "frechet")["VAE"] == pytest.approx(wanted, rel=1e-9)


def test_a_conditional_model_is_asked_for_labels_that_a_judge_then_looks_for(conditional: engram.VAE) -> None:
    x, y = rows(400, 1)
    own, beside, _ = judge_generation(conditional, x, y)
    assert [r.name for r in own] == [*DISTANCES, "agreement"]
    real = next(r for r in beside if r.name == "agreement")
    assert real.subject == REAL
    assert real.value > 0.9
    assert real.protocol["features"].startswith("judge[mlp, seed 0, 200 rows")
    assert 0 <= values(own, "agreement")["VAE"] <= 1
    with pytest.raises(UsageError, match="conditional: give y="):
        judge_generation(conditional, x)


def test_the_same_seed_gives_the_same_numbers(plain: engram.VAE) -> None:
    x = rows(120, 1)[0]
    one, same, other = (judge_generation(plain, x, n=20, random_state=s)[0] for s in (1, 1, 2))
    assert [r.value for r in one] == [r.value for r in same] != [r.value for r in other]


def test_what_cannot_be_computed_is_said(plain: engram.VAE) -> None:
    assert judge_generation(plain, rows(60, 1)[0])[2] == ["memorisation, exact-copies: not computed: pass train="]
    with pytest.raises(DataError, match="at least 40 rows"):
        judge_generation(plain, rows(39, 1)[0])
