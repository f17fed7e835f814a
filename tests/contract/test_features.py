"""What generated rows are compared on: a judge that learns, features that are named, repeated and told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from engram.data.rows import Rows, fingerprint
from engram.errors import DataError, UsageError
from engram.evaluation import features as module
from engram.evaluation.features import (
    CodeFeatures,
    InceptionFeatures,
    JudgeFeatures,
    RowFeatures,
    _Cache,
    features_for,
)
from engram.evaluation.judge import FEATURES, Judge
from engram.networks.inception import Inception


def digits(*, pictures: bool) -> tuple[Tensor, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    rows = torch.from_numpy((x / 16).astype(np.float32))
    return (rows.view(-1, 1, 8, 8) if pictures else rows), y


@pytest.fixture(scope="module", params=["pictures", "vectors"])
def split(request: pytest.FixtureRequest) -> tuple[Tensor, np.ndarray, Tensor, np.ndarray]:
    x, y = digits(pictures=request.param == "pictures")
    order = np.random.default_rng(0).permutation(len(x))
    known, other = order[:1400], order[1400:]
    return x[known], y[known], x[other], y[other]


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept from one test for the next."""
    monkeypatch.setattr(module, "_CACHE", _Cache(module.CACHED_BYTES))
    monkeypatch.setattr(module, "_MAKERS", type(module._MAKERS)())


def blobs(n: int = 60, seed: int = 0) -> tuple[Tensor, np.ndarray]:
    """Rows around two centres."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    return torch.from_numpy((rng.normal(size=(n, 3)) * 0.3 + 2 * y[:, None]).astype(np.float32)), y


def quick(**parameters: Any) -> Judge:
    return Judge().fit(*blobs(), **{"max_epochs": 3, **parameters})


# --- the judge ---


def test_a_judge_knows_the_digits_it_has_not_seen(split: tuple[Tensor, np.ndarray, Tensor, np.ndarray]) -> None:
    x, y, other, asked = split
    judge = Judge().fit(x, y)
    assert judge.accuracy(other, asked) >= 0.97
    assert judge.accuracy(other, asked) == np.mean(judge.predict(other) == asked)
    given = judge.probabilities(other)
    assert given.shape == (len(other), 10)
    np.testing.assert_allclose(given.sum(1), 1, atol=1e-12)
    np.testing.assert_array_equal(judge.classes_[given.argmax(1)], judge.predict(other))
    features = judge.features(other)
    assert features.shape == (len(other), FEATURES)
    assert features.dtype == np.float64
    assert not np.array_equal(judge.accuracy(other, np.roll(asked, 1)), judge.accuracy(other, asked))


def test_the_same_seed_gives_the_same_judge_and_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    a, b, c = quick(random_state=3), quick(random_state=3), quick(random_state=4)
    assert torch.equal(before, torch.get_rng_state())
    x, _ = blobs(seed=1)
    np.testing.assert_array_equal(a.features(x), b.features(x))
    assert not np.array_equal(a.features(x), c.features(x))
    assert a.key_ == b.key_ != c.key_


def test_a_row_is_judged_the_same_whatever_stands_beside_it() -> None:
    judge, (x, _) = quick(), blobs(100, seed=1)
    whole = judge.features(x)
    for part in (slice(0, 1), slice(5, 12), slice(90, 100)):
        np.testing.assert_array_equal(judge.features(x[part]), whole[part])
        np.testing.assert_array_equal(judge.probabilities(x[part]), judge.probabilities(x)[part])


def test_labels_may_be_texts() -> None:
    x, y = blobs()
    names = np.array(["left", "right"], dtype=object)[y]
    judge = Judge().fit(x, names, max_epochs=60)
    assert judge.accuracy(x, names) == 1
    assert judge.predict(x[:3]).tolist() == names[:3].tolist()


def test_scale_and_place_of_the_rows_do_not_matter() -> None:
    x, y = blobs()
    near, far = Judge().fit(x, y, max_epochs=5), Judge().fit(1000 * x - 4000, y, max_epochs=5)
    np.testing.assert_allclose(near.probabilities(x), far.probabilities(1000 * x - 4000), atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 3, 5), (3, 4, 4), (1, 1, 9), (1, 33, 20)])
def test_pictures_of_any_size_can_be_judged(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = torch.from_numpy(rng.normal(size=(40, *shape)).astype(np.float32) + y[:, None, None, None].astype(np.float32))
    judge = Judge().fit(x, y, max_epochs=2)
    assert judge.features(x).shape == (40, FEATURES)
    assert judge.name_ == "cnn, seed 0, 40 rows"


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (np.zeros(60), "same label"),
        (np.arange(60.0), "60 different labels for 60 rows"),
        (np.zeros((60, 2)), "shape"),
        (np.zeros(59), "one label each"),
        (np.array([0.0, 1, np.nan] * 20), "some are missing"),
        (np.array(["a", None, "b"] * 20, dtype=object), "some are missing"),
    ],
)
def test_what_are_no_classes_is_said(labels: np.ndarray, told: str) -> None:
    with pytest.raises(DataError, match=told):
        Judge().fit(blobs()[0], labels)


def test_other_misuse_of_a_judge_is_said() -> None:
    x, y = blobs()
    with pytest.raises(DataError, match="not finite"):
        Judge().fit(x.masked_fill(x > x.max() - 1e-6, float("inf")), y)
    with pytest.raises(DataError, match="shape"):
        Judge().fit(x[:, :, None], y)
    with pytest.raises(UsageError, match="max_epochs"):
        Judge().fit(x, y, max_epochs=0)
    with pytest.raises(UsageError, match="fit"):
        Judge().predict(x)


# --- features by name ---


def test_auto_is_what_the_rows_and_labels_allow() -> None:
    x, y = blobs()
    pictures = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert isinstance(features_for("auto", x, y), RowFeatures)
    assert isinstance(features_for("auto", x), RowFeatures)
    assert isinstance(features_for("auto", pictures, y), JudgeFeatures)
    assert isinstance(features_for("auto", pictures, np.linspace(0, 1, 60)), CodeFeatures)
    assert isinstance(features_for("auto", pictures), CodeFeatures)
    assert isinstance(features_for("judge", x, y), JudgeFeatures)


def test_names_say_what_the_numbers_depend_on() -> None:
    x, y = blobs()
    pictures = x.view(-1, 1, 1, 3)
    assert features_for("rows", x).name == "rows[3 encoded values]"
    assert features_for("rows", pictures).name == "rows[3 pixel values]"
    assert features_for("judge", x, y, random_state=5).name == "judge[mlp, seed 5, 60 rows]"
    assert features_for("codes", x, random_state=5).name.endswith("values, seed 5, 60 rows]")
    for name in ("rows", "judge", "codes"):
        assert features_for(name, x, y).frechet == "frechet"


def test_features_of_rows_are_the_rows() -> None:
    x, _ = blobs()
    found = features_for("rows", x.view(60, 3, 1, 1)).of(x.view(60, 3, 1, 1))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, x.double().numpy())


def test_features_of_a_judge_are_its_own() -> None:
    x, y = blobs()
    judge = Judge().fit(x, y)
    np.testing.assert_array_equal(JudgeFeatures(judge).of(x), judge.features(x))
    np.testing.assert_array_equal(features_for("judge", x, y).of(x), judge.features(x))


@pytest.mark.parametrize("shape", [(3,), (1, 6, 6), (2, 4, 4)])
def test_codes_are_those_of_a_seeded_autoencoder(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.random((50, *shape)).astype(np.float32))
    new = torch.from_numpy(rng.normal(size=(20, *shape)).astype(np.float32))  # out of range, as a generator may be
    one, same, other = CodeFeatures(x), CodeFeatures(x), CodeFeatures(x, random_state=1)
    assert one.of(new).shape[0] == 20
    assert one.of(new).dtype == np.float64
    module._CACHE.kept.clear()
    np.testing.assert_array_equal(one.of(new), same.of(new))
    assert one.key == same.key != other.key


def test_constant_columns_have_codes_too() -> None:
    x, _ = blobs()
    x = torch.cat([x, torch.ones(60, 2)], 1)
    assert np.isfinite(CodeFeatures(x).of(x + 0.5)).all()


# --- what is kept ---


class Counted(RowFeatures):
    """Rows, with a count of how often they were looked at."""

    def __init__(self, key: str) -> None:
        self.name, self.key, self.calls = "counted", key, 0

    def of(self, x: Tensor) -> np.ndarray:
        return super(RowFeatures, self).of(x)

    def _computed(self, x: Tensor) -> np.ndarray:
        self.calls += 1
        return super()._computed(x)


def test_the_same_rows_are_looked_at_once_and_other_rows_or_features_anew() -> None:
    one, (x, _) = Counted("one"), blobs()
    first = one.of(x)
    assert one.of(x.clone()) is first
    assert one.calls == 1
    one.of(x + 1)
    Counted("two").of(x)
    assert one.calls == 2
    assert len(module._CACHE.kept) == 3
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0


def test_judges_of_the_same_name_that_learned_other_rows_are_told_apart() -> None:
    (x, y), (z, w) = blobs(seed=0), blobs(seed=1)
    one, other = features_for("judge", x, y), features_for("judge", z, w)
    swapped = features_for("judge", x, 1 - y)
    assert one.name == other.name == swapped.name
    assert not np.array_equal(one.of(x), other.of(x))
    assert not np.array_equal(one.of(x), swapped.of(x))
    assert features_for("judge", x.clone(), y.copy()) is one


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHE", _Cache(3000))  # rows of 60 x 3 float64 are 1440 bytes
    one, (x, _) = Counted("one"), blobs()
    for shift in range(5):
        one.of(x + shift)
    assert [key[1] for key in module._CACHE.kept] == [fingerprint(Rows(x + shift)) for shift in (3, 4)]
    monkeypatch.setattr(module, "CACHED_MAKERS", 2)
    for seed in range(4):
        features_for("codes", x[:12], random_state=seed)
    assert [key[2] for key in module._MAKERS] == ["2", "3"]


# --- Inception ---


def test_inception_is_chosen_by_its_file_and_alone_has_the_name_fid(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(Inception().state_dict(), tmp_path / "w.pth")
    grey = torch.rand(2, 1, 9, 7, generator=torch.Generator().manual_seed(1))
    found = features_for(str(tmp_path / "w.pth"), grey)
    assert isinstance(found, InceptionFeatures)
    assert found.frechet == "FID"
    assert found.name == f"Inception pool3[weights {found.sha256[:8]}, 8 bits, TF1 resize]"
    assert found.of(grey).shape == (2, 2048)
    np.testing.assert_array_equal(found.of(grey), found.of((255 * grey).round() / 255))  # 8 bits are all that counts
    given = found.probabilities(grey)
    assert given.shape == (2, 1008)
    np.testing.assert_allclose(given.sum(1), 1, atol=1e-6)
    with pytest.raises(DataError, match="looks at pictures"):
        found.of(torch.zeros(2, 5))


def test_names_that_are_none_are_answered() -> None:
    x, y = blobs()
    with pytest.raises(UsageError, match="Did you mean 'judge'"):
        features_for("jugde", x, y)
    with pytest.raises(UsageError, match="is no file; it should be a file of Inception weights"):
        features_for("inception.pth", x)
    with pytest.raises(UsageError, match="needs labels"):
        features_for("judge", x)
    with pytest.raises(DataError, match="shape"):
        JudgeFeatures(quick()).of(x[:0])
