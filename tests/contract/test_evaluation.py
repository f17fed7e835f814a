"""What `evaluate` promises: for every metric and baseline that a kind declares, on tables and pictures, whatever the rows."""

from __future__ import annotations

import functools
import json
import math
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import NotFittedError

from engram.data import DataWarning
from engram.errors import DataError, RunError, UsageError
from engram.evaluation import Report, evaluate
from engram.evaluation.examples import table_rows
from engram.evaluation.labels import anomalies
from engram.evaluation.pictures import code_map, loss_curve, pictures, reconstructions, samples
from engram.models.autoencoder import Autoencoder
from engram.models.vae import VAE
from engram.registry import BASELINES, METRICS

BAD_NAME = "<script>alert(1)</script>"
SETTINGS = {"max_epochs": 4, "random_state": 0}


def wine() -> tuple[pd.DataFrame, np.ndarray]:
    data = load_wine(as_frame=True)
    order = np.random.default_rng(0).permutation(len(data.data))
    return data.data.iloc[order], data.target.to_numpy()[order]


def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return data.images[:240], data.target[:240]


def mixed(n: int = 120) -> tuple[pd.DataFrame, np.ndarray]:
    generator = np.random.default_rng(0)
    z = generator.normal(size=n)
    frame = pd.DataFrame(
        {
            BAD_NAME: z + 0.1 * generator.normal(size=n),
            "_price $x^{": 50 * z + generator.normal(size=n),
            "city": np.where(z > 0, "$Oslo", "<b>Rome</b>"),
            "flag": z + generator.normal(size=n) > 0,
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta((30 * z).round(), unit="D"),
        }
    )
    frame.loc[generator.random(n) < 0.2, "_price $x^{"] = np.nan
    frame.loc[generator.random(n) < 0.2, "city"] = None
    return frame, (z > 1).astype(int)


DATA = {"wine": wine, "digits": digits, "mixed": mixed}
MODELS = {"autoencoder": Autoencoder, "vae": VAE}


@functools.cache
def fitted(data: str, model: str):
    X, _ = DATA[data]()
    return MODELS[model](**SETTINGS).fit(X[: len(X) // 2])


def halves(data: str):
    X, y = DATA[data]()
    half = len(X) // 2
    return X[:half], X[half:], y[half:]


@functools.cache
def judged(data: str, model: str) -> Report:
    train, X, y = halves(data)
    return evaluate(fitted(data, model), X, y == y.max(), train=train)


@pytest.fixture(params=[(d, m) for d in DATA for m in MODELS], ids="-".join)
def case(request):
    return request.param


# --- the comparison ---


@pytest.mark.parametrize("with_train", [True, False])
def test_every_declared_metric_and_baseline_is_there(case, with_train: bool) -> None:
    data, name = case
    model = fitted(*case)
    train, X, y = halves(data)
    report = judged(*case) if with_train else evaluate(model, X, y == y.max())
    has_density, numeric = name == "vae", data != "mixed"
    wanted = [m for m in model.kind_.metrics if m != "log-likelihood" or has_density]
    wanted += ["negative-log-likelihood", "bits-per-dimension", "active-units"] if has_density else []
    assert [result.name for result in report.metrics] == wanted
    assert report.subjects() == [type(model).__name__, *model.kind_.baselines]
    frame = report.to_frame()
    assert list(frame.columns) == wanted
    assert list(frame.index) == report.subjects()
    expected = {"r2": {"mean", "pca"}, "squared-error": {"mean", "pca"}, "auroc": set(model.kind_.baselines)}
    expected["log-likelihood"] = {"mean", "pca"} if numeric else set()
    for metric in wanted:
        assert set(frame[metric].dropna().index) == {type(model).__name__} | expected.get(metric, set())
    for result in (*report.metrics, *report.baselines):
        assert math.isfinite(result.value)
        assert result.error > 0 or result.name == "active-units"
        assert {"features", "rows", "split", "seed", "baseline_rows"} <= set(result.protocol)
        assert result.protocol["rows"] == len(X)
    said = report.protocol["baseline_rows"]
    assert said.startswith(f"fitted on {len(train)} " if with_train else "cross-fitted on these rows in 5 folds")
    assert frame.loc["pca", "r2"] > 0.3  # each row beside its own reconstruction
    notes = " ".join(report.protocol["notes"])
    assert ("log-likelihood: left out" in notes) is (not has_density)
    assert ("no normal density" in notes) is (has_density and not numeric)


def test_the_same_seed_gives_the_same_report() -> None:
    _, X, y = halves("mixed")
    reports = [evaluate(fitted("mixed", "vae"), X[:30], y[:30], random_state=seed).to_dict() for seed in (0, 0, 1)]
    assert reports[0] == reports[1]
    assert reports[0] != reports[2]


def test_values_are_those_of_the_model(case) -> None:
    data, name = case
    model = fitted(*case)
    _, X, y = halves(data)
    label = y == y.max()
    report = judged(*case)
    values = report.to_frame().loc[type(model).__name__]
    rows, back, scores = model.encoded(X), model.reconstructed(X), model.score_samples(X)
    seen = np.ones(rows.x.shape) if rows.mask is None else rows.mask.numpy()[:, model.kind_.groups]
    errors = np.square((rows.x - back).numpy().astype(float)) * seen
    assert values["squared-error"] == pytest.approx(errors.reshape(len(X), -1).sum(1).mean(), rel=1e-6)
    pairs = (scores[label][:, None] < scores[~label]) + 0.5 * (scores[label][:, None] == scores[~label])
    assert values["auroc"] == pytest.approx(pairs.mean())
    if name == "vae":
        assert values["log-likelihood"] == pytest.approx(scores.astype(float).mean(), rel=1e-6)
        told = report.result("log-likelihood", "VAE").protocol["quantity"]
        assert "ELBO, a lower bound" in told


def test_log_likelihoods_are_in_the_users_units() -> None:
    X, _ = wine()
    model, other = fitted("wine", "vae"), VAE(**SETTINGS).fit(1000 * X[:89])
    a, b = evaluate(model, X[89:]).to_frame(), evaluate(other, 1000 * X[89:]).to_frame()
    moved = (a - b)["log-likelihood"].dropna()
    assert list(moved.index) == ["VAE", "mean", "pca"]
    assert np.allclose(moved[["mean", "pca"]], 13 * math.log(1000), atol=0.01)
    assert moved["VAE"] == pytest.approx(13 * math.log(1000), abs=0.1)


def test_baselines_never_see_the_rows_they_are_judged_on() -> None:
    generator = np.random.default_rng(0)
    X = generator.normal(
        size=(60, 40)
    )  # with a code of 30 and 48 other rows, PCA would reconstruct rows it has seen well
    model = Autoencoder(code_size=39, **SETTINGS).fit(X[:30])
    assert evaluate(model, X).to_frame().loc["pca", "r2"] < 0.99
    own = evaluate(model, X[:30], train=X[:30])
    assert own.to_frame().loc["pca", "r2"] > 0.999
    assert "training-rows" in [finding.kind for finding in own.findings]


# --- labels ---


def test_labels_that_are_no_anomalies_are_left_out_with_a_note() -> None:
    model = fitted("wine", "vae")
    _, X, y = halves("wine")
    for labels, told in (
        (None, "no labels y"),
        (y, "3 different values"),
        (np.zeros(len(X)), "only the value"),
        (np.where(np.arange(len(X)) == 3, np.nan, np.arange(len(X)) % 2), "1 of the labels y is missing"),
        (np.where(np.arange(len(X)) == 3, np.nan, np.arange(len(X)) % 5), "5 different values"),
    ):
        report = evaluate(model, X[:2] if labels is None else X, labels, metrics=["auroc"])
        assert report.names() == []
        assert any(note.startswith("auroc: left out") and told in note for note in report.protocol["notes"])


def test_which_label_is_the_anomaly() -> None:
    for labels in (
        [0, 1, 1, 0, 0],
        [False, True, True, False, False],
        [1, -1, -1, 1, 1],
        list("nyynn"),
        [[5], [7], [7], [5], [5]],
    ):
        found, told = anomalies(labels, 5)
        assert found is not None, told
        assert found.tolist() == [False, True, True, False, False]
    assert anomalies([0, 1, 1], 3)[0].tolist() == [True, False, False]  # the rarer one, whatever it is called
    assert anomalies([0, 1, 1, 0], 4)[0].tolist() == [False, True, True, False]
    assert anomalies([1, -1, -1, 1], 4)[0].tolist() == [False, True, True, False]
    assert anomalies(pd.Series(["a", "b"], index=[7, 9]), 2)[0] is None
    with pytest.raises(DataError, match=r"5 rows.*\(4,\)"):
        anomalies([0, 1, 0, 1], 5)


def test_the_report_says_which_label_counts_as_an_anomaly() -> None:
    """In breast-cancer 0 is malignant and the rarer one: its rows are the unusual ones."""
    from sklearn.datasets import load_breast_cancer

    table, y = load_breast_cancer(return_X_y=True)
    model = Autoencoder(**SETTINGS).fit(table[:300])
    report = evaluate(model, table[300:], y[300:], metrics=["auroc"])
    rare = int((y[300:] == 0).sum())
    told = f"auroc: rows with the label 0 count as anomalies, the rarer one ({rare} of 269 rows)"
    assert told in report.protocol["notes"]
    assert told in report.to_text()
    assert report.result("auroc", "isolation-forest").value > 0.6


# --- findings ---


def test_a_model_that_a_baseline_beats_is_told_so_and_a_good_one_is_not() -> None:
    generator = np.random.default_rng(0)
    z = generator.normal(size=(300, 2))
    X = z @ generator.normal(size=(2, 8)) + 0.05 * generator.normal(size=(300, 8))
    bad = Autoencoder(code_size=2, hidden=(2,), max_epochs=1, early_stopping=False, random_state=0).fit(X[:200])
    found = [f for f in evaluate(bad, X[200:], train=X[:200]).findings if f.kind == "worse-than-baseline"]
    assert len(found) == 1
    assert "pca does better than Autoencoder: r2" in found[0].message
    assert "squared-error" in found[0].message
    assert found[0].advice
    good = Autoencoder(code_size=2, random_state=0, max_epochs=30).fit(X[:200])
    assert "worse-than-baseline" not in [f.kind for f in evaluate(good, X[200:], train=X[:200]).findings]


def test_other_training_rows_and_rows_seen_in_training_are_findings() -> None:
    model = fitted("wine", "autoencoder")
    train, X, _ = halves("wine")

    def kinds(*args, **kwargs) -> set[str]:
        return {f.kind for f in evaluate(model, *args, **kwargs).findings} & {"other-training-rows", "training-rows"}

    assert not {f.kind for f in judged("wine", "autoencoder").findings} & {"other-training-rows", "training-rows"}
    assert kinds(X, train=train[5:]) == {"other-training-rows"}
    assert kinds(train) == {"training-rows"}
    assert kinds(train[10:30], train=train) == {"training-rows"}
    split = evaluate(model, pd.concat([X, train[:4]]), train=train).protocol["split"]
    assert split == f"4 of {len(X) + 4} rows equal a training row"


def test_the_findings_of_the_fit_are_there_too() -> None:
    model = fitted("wine", "vae")
    report = evaluate(model, halves("wine")[1])
    assert report.findings[: len(model.findings_)] == model.findings_


# --- rows of every sort ---


@pytest.mark.parametrize("data", DATA)
def test_one_row_and_two(data: str) -> None:
    model = fitted(data, "vae")
    _, X, y = halves(data)
    report = evaluate(model, X[:1], y[:1])
    assert report.baselines == []
    assert "one row is too few" in report.protocol["baseline_rows"]
    assert "squared-error" in report.names()
    assert "r2" not in report.names()  # nothing varies
    assert math.isnan(report.metrics[0].error)
    assert_complete(report)
    assert "2 folds" in evaluate(model, X[:2]).protocol["baseline_rows"]


def test_a_row_without_any_cell_and_new_categories() -> None:
    model = fitted("mixed", "vae")
    X = halves("mixed")[1].copy()
    X.loc[X.index[0], ["_price $x^{", "city"]] = None
    X.loc[X.index[1], "city"] = "Atlantis"
    with pytest.warns(DataWarning, match="not seen at fit") as said:
        report = evaluate(model, X)
    assert len(said) == 1
    assert any(f.kind == "data" and "not seen at fit" in f.message for f in report.findings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_complete(report)


def test_asked_metrics() -> None:
    model = fitted("wine", "autoencoder")
    X = halves("wine")[1]
    assert evaluate(model, X, metrics=["squared-error", "squared-error"]).names() == ["squared-error"]
    assert evaluate(model, X, metrics="r2").names() == ["r2"]
    none = evaluate(model, X, metrics=["log-likelihood"])
    assert none.names() == []
    assert_complete(none)
    with pytest.raises(UsageError, match="'auroc'"):
        evaluate(model, X, metrics=["aurok"])


def test_clear_errors() -> None:
    model = fitted("wine", "autoencoder")
    with pytest.raises(NotFittedError):
        evaluate(Autoencoder(), wine()[0])
    with pytest.raises(DataError, match="alcohol"):
        evaluate(model, wine()[0].drop(columns="alcohol"))
    with pytest.raises(DataError, match="one label per row"):
        evaluate(model, wine()[0], [1, 2])


def test_a_new_metric_and_a_new_baseline_need_no_more_than_a_name(monkeypatch) -> None:
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))
    monkeypatch.setattr(BASELINES, "_entries", dict(BASELINES._entries))

    @METRICS.register("worst-row", better="lower", unit="squared encoded units")
    def worst_row(x, reconstruction):
        return float(np.square(x - reconstruction).sum(1).max())

    @BASELINES.register("nothing")
    class Nothing(BASELINES["mean"].value):
        def reconstruct(self, x, mask=None):
            return np.zeros(x.shape)

    model = fitted("wine", "vae")
    monkeypatch.setattr(model.kind_, "baselines", ("nothing",), raising=False)
    frame = evaluate(model, halves("wine")[1], metrics=["worst-row"]).to_frame()
    assert list(frame.index) == ["VAE", "nothing"]
    assert frame.notna().all(axis=None)


# --- the report ---


def refuse(constant: str) -> None:
    raise ValueError(constant)


def assert_complete(report: Report) -> None:
    """Every form of the report can be made, and JSON is strict."""
    assert report.to_text().strip()
    assert report.to_html().startswith("<!DOCTYPE html>")
    assert all(content.startswith(b"\x89PNG") for content in report.pictures.values())


def test_json_is_strict_and_comes_back(case, tmp_path) -> None:
    report = judged(*case)
    path = tmp_path / "new" / "report.json"
    report.save_json(path)
    expected = json.loads(json.dumps(report.to_dict()).replace("NaN", "null"))  # the error of what is no mean over rows
    assert json.loads(path.read_text(), parse_constant=refuse) == expected
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]
    one = evaluate(fitted(*case), halves(case[0])[1][:1])
    one.save_json(path)
    assert json.loads(path.read_text(), parse_constant=refuse)["metrics"][0]["error"] is None


def test_the_page_is_complete_and_runs_nothing(case, tmp_path) -> None:
    report = judged(*case)
    report.save_html(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<script" not in text
    assert "<b>Rome" not in text
    assert "http://" not in text.replace("http-equiv", "")
    assert text.count("<svg") >= 3
    for subject in report.subjects():
        assert f"<td>{subject}</td>" in text or f"<th>{subject}</th>" in text
    if case[0] == "mixed":
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_text_lines_up_and_marks_the_best() -> None:
    train, X, y = halves("wine")
    names = ["r2", "squared-error", "log-likelihood", "auroc"]
    report = evaluate(fitted("wine", "vae"), X, y == y.max(), train=train, metrics=names)
    lines = report.to_text().splitlines()
    table = lines[: 1 + len(report.subjects())]
    assert table[0].split() == ["r2", "↑", "squared-error", "↓", "log-likelihood", "↑", "auroc", "↑"]
    assert [line.split()[0] for line in table[1:]] == report.subjects()
    assert max(map(len, table)) <= 120
    for name in report.names():
        best = [subject for subject, (_, is_best) in report.cells(name).items() if is_best]
        column = report.to_frame()[name]
        assert (column.idxmin() if name == "squared-error" else column.idxmax()) in best


def test_an_existing_file_is_replaced_at_once_and_a_bad_path_is_a_clear_error(tmp_path) -> None:
    report = judged("wine", "autoencoder")
    path = tmp_path / "report.json"
    path.write_text("old")
    report.save_json(path)
    assert json.loads(path.read_text())["model"] == "Autoencoder"
    with pytest.raises(RunError, match="Choose another path"):
        report.save_html(path / "inside.html")


# --- pictures ---


def test_pictures_fit_the_model(case) -> None:
    wanted = {"loss_curve", "reconstructions", "code_map", "samples"}
    report = judged(*case)
    assert set(report.pictures) == wanted
    assert report.pictures is report.pictures


def test_the_same_seed_gives_the_same_pictures() -> None:
    first, again, other = (pictures(fitted("digits", "vae"), digits()[0][:20], random_state=seed) for seed in (0, 0, 1))
    assert first == again
    assert {name for name in first if first[name] != other[name]} == {"samples"}


def test_reconstructions_stand_beside_their_rows_whatever_the_index() -> None:
    X = wine()[0][:40]
    assert reconstructions(fitted("wine", "vae"), X) == reconstructions(fitted("wine", "vae"), X.reset_index(drop=True))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_with_channels(channels: int) -> None:
    X = np.random.default_rng(0).integers(256, size=(12, 16, 18, channels), dtype=np.uint8)
    drawn = pictures(VAE(code_size=2, max_epochs=1, random_state=0).fit(X), X)
    assert set(drawn) == {"loss_curve", "reconstructions", "samples", "code_map"}


def test_a_report_hides_no_bug_of_a_model_that_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a model draws rows is asked, not tried: what goes wrong while it draws is told."""
    X, model = wine()[0][:40], fitted("wine", "vae")
    conditional = VAE(conditional=True, **SETTINGS).fit(X, np.arange(40) % 2)

    def broken(*_: object, **__: object) -> None:
        raise AttributeError("a bug")

    monkeypatch.setattr(VAE, "draw_codes", broken)
    for drawn in (samples, table_rows):
        with pytest.raises(AttributeError, match="a bug"):
            drawn(model, X, random_state=0)
    assert samples(conditional, X) is None  # nobody said for which y


@pytest.mark.parametrize("labels", ["texts", "numbers", "missing", "many texts"])
def test_a_map_takes_labels_of_every_sort(labels: str) -> None:
    X = wine()[0][:40]
    y = {
        "texts": ["_a$", "b^{$"] * 20,
        "numbers": np.linspace(0, 1, 40),
        "missing": [None, *(["x", "y", "z"] * 13)],
        "many texts": [f"text {i}" for i in range(40)],
    }[labels]
    plain = code_map(fitted("wine", "vae"), X)
    assert (code_map(fitted("wine", "vae"), X, y) == plain) is (labels == "many texts")


def test_a_code_of_one_dimension_has_a_map() -> None:
    X = wine()[0]
    assert code_map(VAE(code_size=1, **SETTINGS).fit(X), X) is not None


def test_pictures_leave_matplotlib_as_it_was() -> None:
    before = dict(mpl.rcParams)
    assert loss_curve(fitted("wine", "vae"))
    assert dict(mpl.rcParams) == before
