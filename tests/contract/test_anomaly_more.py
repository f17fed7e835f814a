"""AnomalyDetector: other models, learning from more rows, drift, what a saved file holds, files larger than memory, the command line."""

from __future__ import annotations

import json
import re
import signal
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from commands import engram as run
from conftest import CASES
from safetensors.torch import load_file

import engram
from engram import VAE, AnomalyDetector, Autoencoder
from engram.cli import pieces
from engram.data import DataWarning, stream
from engram.errors import StoppedError, UsageError
from engram.training.loop import _Fit

QUICK = ("--max-epochs", "3")


def rows(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ np.random.default_rng(9).normal(size=(2, 5)) + 0.3 * rng.normal(size=(n, 5))


def frame(n: int, seed: int) -> pd.DataFrame:
    found = pd.DataFrame(rows(n, seed), columns=list("abcde"))
    rng = np.random.default_rng(seed)
    found["kind"] = rng.choice(["x", "y", "z"], n, p=[0.5, 0.3, 0.2])
    found["flag"] = rng.random(n) < 0.3
    found.loc[rng.random(n) < 0.1, "b"] = np.nan
    return found


def detector(**parameters: Any) -> AnomalyDetector:
    return AnomalyDetector(**{"max_epochs": 5, "random_state": 0, **parameters})


def test_codes_of_a_file_are_known_again_as_texts_and_as_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for low in ("01234", "11234"):
        own = pd.DataFrame({"zip": rng.choice([low, "50777", "90210"], 200), "v": rng.normal(size=200)})
        own.to_csv(tmp_path / "zip.csv", index=False)
        found = detector(columns={"zip": "category"}, n_models=2, max_epochs=3).fit(str(tmp_path / "zip.csv"))
        scores = found.score_samples(str(tmp_path / "zip.csv"))
        assert np.array_equal(found.score_samples(own), scores)
        own.loc[7, "zip"] = "D-123"  # one odd cell makes texts of all
        own.to_csv(tmp_path / "odd.csv", index=False)
        with pytest.warns(DataWarning, match=r"'zip': categories not seen at fit .* \(1 cell\)"):
            same = found.score_samples(str(tmp_path / "odd.csv")) == scores
        assert np.flatnonzero(~same).tolist() == [7]
        few = own[own["zip"] == "90210"].astype({"zip": int})
        assert np.array_equal(found.score_samples(few), scores[few.index])


# --- other models ---


@pytest.mark.parametrize(
    "model",
    ["vae", {"name": "vae", "beta": 2.0}, VAE(beta=2.0), Autoencoder(hidden=(8,), code_size=2), "bigan"],
    ids=["name", "parameters", "instance", "autoencoder", "bigan"],
)
def test_the_members_can_be_another_model(model: Any, tmp_path: Path) -> None:
    X, new = frame(150, 0), frame(100, 1)
    found = detector(model=model, n_models=2, max_epochs=3).fit(X)
    scores = found.score_samples(new)
    assert np.isfinite(scores).all()
    assert np.array_equal(found.score_samples(new[10:13]), scores[10:13])
    far = new.copy()
    far[list("abcde")] *= 6
    assert np.median(found.pvalues(far)) < 0.05 < np.median(found.pvalues(new))
    assert np.isclose(found.explain(far[:4]).groupby("row")["share"].sum(), 1).all()
    found.save(tmp_path / "run")
    again = engram.load(tmp_path / "run")
    assert np.array_equal(again.score_samples(new), scores)
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    said = {VAE: {"name": "vae", "beta": 2.0}, Autoencoder: {"name": "autoencoder", "hidden": [8], "code_size": 2}}
    assert config["parameters"]["model"] == said.get(type(model), model)


@pytest.mark.parametrize(
    "name", [case.model for case in CASES if case.data == "numbers" and hasattr(case.cls, "encode")]
)
def test_every_model_with_an_encoder_can_be_the_members(name: str) -> None:
    model = {"name": name, "code_size": 2, "corruption": "masking"}
    found = detector(model=model, n_models=2, max_epochs=1).fit(rows(60, 0))
    assert np.isfinite(found.score_samples(rows(5, 1))).all()


def test_members_that_take_counts_away_need_counts() -> None:
    model = {"name": "autoencoder", "corruption": "binomial-thinning"}
    with pytest.raises(UsageError, match="binomial-thinning"):
        detector(model=model, n_models=2, max_epochs=1).fit(rows(60, 0))


def test_a_given_model_is_left_as_it_is() -> None:
    given = VAE(beta=2.0)
    before = given.get_params()
    described = {"name": "vae", "beta": 2.0}
    detector(model=given, n_models=2, max_epochs=1).fit(rows(60, 0))
    detector(model=described, n_models=2, max_epochs=1).fit(rows(60, 0))
    assert given.get_params() == before
    assert not hasattr(given, "network_")
    assert described == {"name": "vae", "beta": 2.0}


def test_each_of_many_copies_has_its_own_networks_alone_and_of_the_nets_that_are_asked_about() -> None:
    found = detector(model=Autoencoder(hidden=(), code_size=1), n_models=12, max_epochs=1).fit(rows(60, 0))
    for nets in (found.network_, deepcopy(found.network_)):
        for member in range(12):
            own = found._members.nets_of(nets, member)
            assert {role: id(net) for role, net in own.items()} == {
                role: id(nets[f"{role}{member}"]) for role in ("encoder", "decoder")
            }


@pytest.mark.parametrize("model", ["gan", "wgan", "made", "conditional-vae", {"name": "vae", "conditional": True}])
def test_a_model_that_cannot_score_rows_is_refused_with_those_that_can(model: Any) -> None:
    with pytest.raises(UsageError, match=r"cannot score rows.*'bigan'"):
        detector(model=model).fit(rows(60, 0))


@pytest.mark.parametrize("name", ["anogan", "f-AnoGAN", "GANomaly"])
def test_detectors_with_gans_that_are_not_here_are_told_with_the_nearest_one(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"is not here: (f-AnoGAN|AnoGAN|GANomaly) .* Use model='bigan': codes are learned"
    ):
        detector(model=name).fit(rows(20, 0))


@pytest.mark.parametrize("name", ["cvae", "wgann", "nonsense"])
def test_names_that_are_suggested_can_score_rows(name: str) -> None:
    with pytest.raises(UsageError, match="unknown model") as told:
        detector(model=name).fit(rows(20, 0))
    named = re.findall(r"[\w-]+", str(told.value).split("'. ")[1])
    assert not {"gan", "wgan", "wgan-gp", "made", "cgan", "conditional-vae", "convolutional-autoencoder"}.intersection(
        named
    )


@pytest.mark.parametrize("model", ["vea", {"name": "vae", "bta": 2}, {"beta": 2.0}, "anomaly"])
def test_a_model_that_nobody_knows_is_told(model: Any) -> None:
    with pytest.raises(UsageError, match=r"vae|beta|name|unknown"):
        detector(model=model).fit(rows(60, 0))


# --- more rows, and other ones ---


def test_learning_twice_from_half_the_rows_is_close_to_learning_from_all() -> None:
    X, new = rows(600, 0), np.r_[rows(500, 1), 2 * rows(100, 2)]
    whole = detector(max_epochs=20).fit(X)
    parts = detector(max_epochs=20).partial_fit(X[:300])
    half = parts.score_samples(new)
    parts.partial_fit(X[300:])
    assert parts.n_held_ == 600
    assert parts.data_["rows"] == 600
    ranks = [pd.Series(m.score_samples(new)).rank() for m in (whole, parts)]
    assert np.corrcoef(*ranks)[0, 1] > 0.93
    assert not np.array_equal(parts.score_samples(new), half)
    for rate in (0.05, 0.1, 0.2):
        alerts = (parts.pvalues(new[:500]) <= rate).mean()
        assert alerts <= rate + 3 * (rate * (1 - rate) * (1 / 500 + 1 / 600)) ** 0.5


def test_many_small_lots_without_holes_and_rare_categories_add_up_to_none() -> None:
    def complete(n: int, seed: int) -> pd.DataFrame:
        return pd.DataFrame(rows(n, seed), columns=list("abcde")).assign(kind=np.where(np.arange(n) % 2, "x", "y"))

    X = complete(300, 0)
    X.loc[:2, "kind"] = "z"
    model = detector(max_epochs=2).fit(X)
    for seed in range(1, 10):
        model.partial_fit(complete(30, seed))
    score = model.score_parts
    few = 0.5 / (300 + 9 * 30 + 1)
    assert torch.allclose(score.tensors["missing"], torch.tensor(few), rtol=1e-5)
    assert float(score.tensors["rare"].min()) == pytest.approx(3 / 570, rel=1e-4)
    told = model.drift(complete(2000, 20)).set_index("column")
    assert (told.loc[list("abcde"), "pvalue"] > 0.01).all()


def test_learning_on_from_rows_that_are_unlike_the_known_ones_is_told(tmp_path: Path) -> None:
    model = detector(max_epochs=10).fit(rows(400, 0))
    for seed in range(1, 5):
        model.partial_fit(rows(100, seed))
        assert "other-rows" not in {finding.kind for finding in model.findings_}
    model.partial_fit(2 * rows(100, 5) + 6)
    told = next(finding for finding in model.findings_ if finding.kind == "other-rows")
    assert "100% of the 100 new rows" in told.message
    assert "together" in told.advice
    model.save(tmp_path / "run")
    assert "other-rows" in {finding.kind for finding in engram.load(tmp_path / "run").findings_}


def test_findings_after_learning_more_hold_for_all_rows() -> None:
    def told(model: AnomalyDetector) -> set[str]:
        return {finding.kind for finding in model.findings_}

    X, alone = rows(300, 0), {"no-held-out-rows", "alert-rate"}
    few = detector(max_epochs=1).fit(X[:3])
    assert told(few) == alone
    assert told(few.partial_fit(X[3:6])) == alone
    assert "none of 6 rows" in few.findings_[0].message
    assert told(few.partial_fit(X)) == set()
    model = detector(max_epochs=1).fit(X).partial_fit(X[:1] + 0.1)
    assert model.n_held_ == 301
    assert told(model) == set()
    assert told(model.partial_fit(X + 9)) == {"other-rows"}
    assert told(model.partial_fit(X)) == {"other-rows"}


def test_a_detector_that_learned_more_can_be_saved_and_loaded(tmp_path: Path) -> None:
    X = frame(200, 0)
    model = detector().fit(X[:120]).partial_fit(X[120:])
    model.save(tmp_path / "run")
    again = engram.load(tmp_path / "run")
    assert np.array_equal(again.score_samples(X), model.score_samples(X))
    pd.testing.assert_frame_equal(again.drift(X), model.drift(X))


def test_rows_that_would_take_another_code_size_are_learned_by_the_networks_that_are_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    flat, full = rng.normal(size=(80, 1)) @ rng.normal(size=(1, 8)), rng.normal(size=(80, 8))
    assert detector(max_epochs=1).fit(full).shapes_.code_size > 1
    model = detector(max_epochs=1).partial_fit(flat).partial_fit(full)
    assert model.shapes_.code_size == 1
    model.save(tmp_path / "run")
    assert np.array_equal(engram.load(tmp_path / "run").score_samples(full), model.score_samples(full))


def test_rows_of_the_same_sort_have_not_drifted_and_a_shifted_column_is_named() -> None:
    model, wrong = detector(max_epochs=10).fit(frame(800, 0)), 0
    for seed in range(1, 9):
        told = model.drift(frame(600, seed))
        assert told.columns.tolist() == ["column", "statistic", "pvalue", "drifted"]
        assert set(told["column"]) == {*"abcde", "kind", "flag", "(score)"}
        wrong += bool(told["drifted"].any())
    assert wrong <= 2  # a false-discovery rate of .05: 8 calls are wrong twice with a probability of .06
    for change, name in (
        (lambda X: X.assign(c=X["c"] + 1.0), "c"),
        (lambda X: X.assign(kind="z"), "kind"),
        (lambda X: X.assign(flag=True), "flag"),
        (lambda X: X.assign(a=X["a"].where(np.arange(len(X)) % 2 == 0)), "a"),
    ):
        told = model.drift(change(frame(600, 30)))
        named = told.loc[told["drifted"], "column"].tolist()
        assert name in named
        assert set(named) <= {name, "(score)"}
        assert told.set_index("column")["statistic"].drop("(score)").idxmax() == name


def test_rows_whose_columns_are_fine_and_whose_combination_is_not_have_drifted_in_their_score() -> None:
    rng = np.random.default_rng(0)
    mixed = rows(600, 3)
    mixed = np.column_stack([rng.permutation(column) for column in mixed.T])
    told = detector(max_epochs=20).fit(rows(800, 0)).drift(mixed).set_index("column")
    assert told.loc["(score)", "drifted"]
    assert not told["drifted"].drop("(score)").any()


def test_the_score_of_a_table_of_few_distinct_rows_has_not_drifted() -> None:
    def few(n: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        return pd.DataFrame({f"q{i}": rng.integers(0, 4, n).astype(str) for i in range(3)})

    model = AnomalyDetector(random_state=0).fit(few(1000, 0))
    assert sum(model.drift(few(1000, seed))["drifted"].iloc[-1] for seed in range(1, 9)) <= 2
    assert model.drift(few(1000, 1).assign(q0="0"))["drifted"].iloc[0]
    constant = pd.DataFrame({"a": ["x"] * 200, "b": 1.0})
    assert not detector().fit(constant).drift(constant)["drifted"].any()


# --- what is in a saved file ---


@pytest.mark.parametrize("clean", [True, False, "auto"])
def test_no_row_that_was_learned_from_is_in_the_saved_file(clean: Any, tmp_path: Path) -> None:
    n = 437  # a number that no tensor has by chance
    X = frame(n, 0)
    model = detector(clean=clean, max_epochs=2).fit(X)
    model.save(tmp_path / "run")
    tensors = load_file(tmp_path / "run" / "weights.safetensors")
    for name, tensor in tensors.items():
        if n in tensor.shape or (tensor.dim() and tensor.shape[0] >= n):
            assert ".scores" in name, name  # sorted held-out scores are kept
            assert tensor.dim() == 1
            assert bool((tensor.diff() >= 0).all())
        if name.endswith(".counts"):
            assert bool(((tensor >= 10) | (tensor == 0)).all()), name
    cells = X[list("abcde")].dropna().to_numpy()
    encoded = model.encoded(X).x.numpy()[:, :5]
    centred = (encoded - encoded.mean(0)) / encoded.std(0)
    files = b"".join(path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file())
    for values in (cells, encoded, centred):
        for row in values:
            for at in range(3):
                for dtype in (np.float32, np.float64):
                    assert np.ascontiguousarray(row[at : at + 3], dtype=dtype).tobytes() not in files
    text = files.decode("utf-8", errors="replace")
    for row in cells:
        assert not all(str(value) in text for value in row[:3].tolist())


# --- files larger than memory ---


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is too large for memory."""
    monkeypatch.setattr(stream, "STREAMED_FROM", 0)
    monkeypatch.setattr(stream, "CHUNK", 64)
    monkeypatch.setattr(pieces, "ROWS", (16, 128))


def test_a_streamed_file_is_learned_from_and_scored_as_in_memory(tmp_path: Path, small: None) -> None:
    frame(700, 0).to_parquet(tmp_path / "t.parquet", row_group_size=90)
    run("fit", "anomaly", tmp_path / "t.parquet", "-o", tmp_path / "run", *QUICK)
    model = engram.load(tmp_path / "run")
    assert model.data_["rows"] == 560  # a fifth was held out for the report
    assert 0.5 < np.median(model.pvalues(frame(300, 1))) * 2 < 1.5
    for get in ("scores", "predictions", "explanations"):
        run("apply", tmp_path / "run", tmp_path / "t.parquet", "-o", tmp_path / f"{get}.csv", "--get", get)
    scored = pd.read_csv(tmp_path / "scores.csv")
    assert scored["row"].tolist() == list(range(700))
    assert np.allclose(scored["score"], model.score_samples(frame(700, 0)))
    assert np.allclose(scored["pvalue"], model.pvalues(frame(700, 0)))
    told = pd.read_csv(tmp_path / "explanations.csv")
    assert told["row"].tolist() == np.repeat(np.arange(700), 7).tolist()
    whole = model.explain(frame(700, 0))
    assert (told["column"] == whole["column"]).mean() > 0.98  # cells to blame are not promised to the bit
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    assert predictions["prediction"].tolist() == np.where(scored["anomaly"], -1, 1).tolist()


@pytest.mark.parametrize("parameters", [{}, {"model": "vae", "n_models": 2}], ids=["own", "vae"])
def test_a_streamed_fit_that_was_cut_short_goes_on_as_if_it_had_not(
    parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: None
) -> None:
    source, settings = str(tmp_path / "t.parquet"), {"max_epochs": 4, "batch_size": 64, **parameters}
    frame(300, 0).to_parquet(source, row_group_size=90)
    whole = detector(**settings).fit(source)
    with monkeypatch.context() as patch:
        original = _Fit._step

        def stepped(self: Any, batch: Any) -> None:
            original(self, batch)
            if self.step + 1 == 7:
                signal.raise_signal(signal.SIGTERM)

        patch.setattr(_Fit, "_step", stepped)
        with pytest.raises(StoppedError):
            detector(**settings).fit(source, run=tmp_path / "run")
    again = detector(**settings).fit(source, run=tmp_path / "run", resume=True)
    for a, b in zip(again.network_.state_dict().values(), whole.network_.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert np.array_equal(again.score_samples(frame(50, 1)), whole.score_samples(frame(50, 1)))


def test_missing_cells_are_shown_as_their_columns_have_them() -> None:
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 99, 120), unit="D")
    rows = pd.DataFrame({"x": rng.normal(size=120), "c": rng.choice(["a", "b"], 120), "t": days})
    detector = AnomalyDetector(random_state=0, max_epochs=2).fit(rows)
    gone = rows[:1].assign(x=np.nan, c=None, t=pd.NaT)
    shown = detector.explain(gone).set_index("column")["value"]
    assert shown.isna().all()
    assert [name for name, cell in shown.items() if cell is pd.NaT] == ["t"]
