"""What `compare` promises: several models on the same rows, seeds taken together, what was seen before said, whatever the kind."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import engram
from engram.cli import program
from engram.errors import DataError, UsageError
from engram.evaluation import Comparison, Standing
from engram.evaluation.compare import Judged, _judged, _worse
from engram.evaluation.compare_runs import in_units_of
from engram.metrics.metric import metric
from engram.version import VERSION

BAD_NAME = "<script>alert(1)</script>"
VAES, BETA = "vae code_size=2 (3 seeds)", "beta-vae code_size=2"


@cache
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(120, 2))
    frame = pd.DataFrame(
        z @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(120, 4)), columns=["a", "b", "c", BAD_NAME]
    )
    frame["city"] = np.where(z[:, 0] > 0, "Oslo", "Rome")
    frame.loc[::9, "a"] = np.nan
    return frame


@cache
def fitted(name: str = "vae", seed: int = 0, rows: tuple[int, int] = (0, 80), **parameters: Any) -> Any:
    settings = {"max_epochs": 3, "hidden": (6,), "code_size": 2} | parameters
    return engram.create(name, **settings, random_state=seed).fit(table().iloc[slice(*rows)])


@cache
def compared() -> Comparison:
    models = [fitted(seed=s) for s in range(3)] + [fitted(beta=4.0), fitted("autoencoder", code_size=3)]
    return engram.compare(models, table().iloc[80:], train=table().iloc[:80])


# --- what is in a comparison ---


def test_runs_that_differ_in_their_seed_alone_are_one_subject_and_the_numbers_are_those_of_evaluate() -> None:
    found = compared()
    assert found.subjects() == [VAES, BETA, "autoencoder code_size=3", "mean", "pca code_size=2", "pca code_size=3"]
    assert [run.seed for run in found.models[VAES]] == [0, 1, 2]
    reports = [engram.evaluate(fitted(seed=s), table().iloc[80:], train=table().iloc[:80]) for s in range(3)]
    frame, spread, error = (found.to_frame(what) for what in ("value", "spread", "error"))
    for name in found.names():
        values = [report.result(name, "VAE").value for report in reports]
        assert found.standing(name, VAES).values == pytest.approx(tuple(values))
        assert frame.loc[VAES, name] == pytest.approx(np.mean(values))
        assert spread.loc[VAES, name] == pytest.approx(np.std(values, ddof=1))
        assert math.isnan(spread.loc[BETA, name])
    own = reports[0].result("r2", "pca")
    assert frame.loc["pca code_size=2", "r2"] == pytest.approx(own.value)
    assert error.loc["pca code_size=2", "r2"] == pytest.approx(own.error)


def test_metrics_are_those_that_the_kind_declares_and_what_is_left_out_is_said() -> None:
    found = compared()
    assert found.names() == ["r2", "squared-error", "log-likelihood"]
    notes = " ".join(found.protocol["notes"])
    assert "log-likelihood: not of autoencoder" in notes
    assert "a lower bound" in notes
    assert "auroc: left out, no labels" in notes
    labels = np.arange(40) % 5 == 0
    again = engram.compare([fitted()], table().iloc[80:], labels, metrics=["auroc"])
    assert again.names() == ["auroc"]
    assert set(again.subjects()) == {"vae", "mean", "pca", "knn", "isolation-forest"}
    assert "auroc: rows with the label True count as anomalies, the rarer one (8 of 40 rows)" in again.protocol["notes"]


def test_a_dict_names_single_runs() -> None:
    found = engram.compare({"mine": fitted(), "other": fitted(beta=4.0)}, table().iloc[80:])
    assert list(found.models) == ["mine", "other"]
    assert found.models["other"][0].model == "beta-vae"
    assert found.models["other"][0].parameters == {"max_epochs": 3, "hidden": [6], "code_size": 2}


def test_every_registered_model_can_be_compared(each_model: Any) -> None:
    X = each_model.X
    y = np.arange(len(X)) % 2  # of a conditional model what rows are given, else labels
    model = each_model.create().fit(X[:80], y[:80])
    found = engram.compare([model], X[80:], y[80:], train=X[:80])
    # 20 rows are too few for generated ones: a note says so
    assert bool(found.standings) == hasattr(model, "score_samples")
    assert found.runs[0].model == each_model.model
    assert found.to_text()
    assert found.to_html().startswith("<!DOCTYPE html>")


# --- the statistics ---


def test_the_best_and_what_is_level_with_it_by_hand() -> None:
    one = metric("squared-error")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    off = {"good": 0.30, "as good": 0.301, "worse": 0.5}
    noise = rng.normal(size=x.shape)
    arrays = {name: [{"x": x, "reconstruction": x + size * noise}] for name, size in off.items()}
    found = {judged.standing.subject: judged for judged in _judged(one, arrays, 0)}
    assert [found[name].standing.mark for name in off] == [
        "*",
        "",
        "",
    ]  # the same noise: paired, the difference is sure
    arrays["as good"] = [{"x": x, "reconstruction": x + 0.301 * rng.normal(size=x.shape)}]
    found = {judged.standing.subject: judged for judged in _judged(one, arrays, 0)}
    assert sorted(found[name].standing.mark for name in ("good", "as good")) == ["*", "="]
    assert found["worse"].standing.mark == ""


def test_values_that_differ_by_float32_rounding_are_level_and_no_finding() -> None:
    one, log_prob = metric("log-likelihood"), np.random.default_rng(0).normal(-20, 3, 400)
    arrays = {"vae": [{"log_prob": log_prob - 7e-7}], "pca": [{"log_prob": log_prob}]}
    found = _judged(one, arrays, 0)
    assert {judged.standing.subject: judged.standing.mark for judged in found} == {"vae": "=", "pca": "*"}
    assert _worse(found, ["vae"]) == []
    arrays["vae"] = [{"log_prob": log_prob - 0.2}]
    assert _worse(_judged(one, arrays, 0), ["vae"])


def test_the_error_of_a_difference_holds_that_of_rows_and_that_of_seeds() -> None:
    def judged(values: tuple[float, ...], moved: list[float]) -> Judged:
        return Judged(Standing("r2", "a", values, 0.0, "higher", "share"), np.array(moved))

    a, b = judged((1.0, 3.0), [1.0, -1.0]), judged((5.0,), [0.0, 0.0])
    assert a.standing.value == 2.0
    assert a.standing.spread == pytest.approx(math.sqrt(2))
    assert a.apart(b) == pytest.approx(math.sqrt(2 + 2 / 2))


# --- rows that were seen, runs that do not belong together ---


def test_a_run_that_was_fitted_on_these_rows_is_said() -> None:
    found = engram.compare([fitted(), fitted("autoencoder")], table().iloc[:80])
    assert all("training-rows" in [f.kind for f in run.findings] for run in found.runs)
    mixed = engram.compare(
        {"seen": fitted(rows=(80, 120)), "not": fitted()}, table().iloc[80:], train=table().iloc[:80]
    )
    kinds = {run.name: [f.kind for f in run.findings] for run in mixed.runs}
    assert "training-rows" in kinds["seen"]
    assert "training-rows" not in kinds["not"]
    assert "other-training-rows" in kinds["seen"]
    assert "training-rows" in mixed.to_html()


def test_the_same_fit_twice_and_seeds_on_different_rows_are_findings() -> None:
    twice = engram.compare({"one": fitted(), "two": fitted()}, table().iloc[80:])
    assert [f.kind for f in twice.findings if f.kind == "same-run"] == ["same-run"]
    assert twice.subjects()[0] == "vae (2 runs)"
    other = engram.compare([fitted(), fitted(seed=1, rows=(0, 70))], table().iloc[80:])
    assert list(other.models) == ["vae [VAE 1]", "vae [VAE 2]"]
    assert "other-training-rows" in [f.kind for f in other.findings]


def test_runs_on_different_rows_are_compared_in_the_units_of_the_first() -> None:
    """What comes back is compared in one unit, whatever a fit found the scale of a column to be."""
    X = table().iloc[80:]
    wide, narrow = fitted("autoencoder"), fitted("autoencoder", rows=(0, 40))
    found = engram.compare({"wide": wide, "narrow": narrow}, X)
    rows = wide.encoded(X)
    back = wide.encoded(narrow.reconstruct(X)).x[:, :4]  # numbers, by way of the user's units
    seen = rows.mask[:, :4]
    errors = ((rows.x[:, :4] - back).square() * seen).sum()
    cities = (narrow.reconstructed(X)[:, 4:] - rows.x[:, 4:]).square().sum()
    expected = float(errors + cities) / len(X)
    assert found.standing("squared-error", "narrow").value == pytest.approx(expected, rel=1e-3)


def test_encodings_that_are_no_shift_and_scale_of_each_other_are_refused() -> None:
    x = np.random.default_rng(0).normal(size=(50, 2))
    assert in_units_of(x, 2 * x + 1, 2 * x + 1.5, None, ("a", "b")) == pytest.approx(x + 0.25)
    with pytest.raises(UsageError, match="'a' and 'b' encode"):
        in_units_of(x, x**3, x, None, ("a", "b"))


def test_clear_errors() -> None:
    X = table().iloc[80:]
    with pytest.raises(UsageError, match=r"'VAE 1' and 'Autoencoder 2' learned from different columns \('c'\)"):
        engram.compare([fitted(), engram.Autoencoder(max_epochs=1).fit(X.drop(columns="c"))], X)
    pictures = engram.VAE(max_epochs=1, hidden=(4,)).fit(np.random.default_rng(0).random((30, 5, 5)))
    with pytest.raises(UsageError, match="of table and 'VAE 2' of images"):
        engram.compare([fitted(), pictures], X)
    with pytest.raises(UsageError, match="at least one"):
        engram.compare([], X)
    with pytest.raises(UsageError, match="a list or a dict"):
        engram.compare(fitted(), X)
    with pytest.raises(UsageError, match="'r2'"):
        engram.compare([fitted()], X, metrics=["r3"])
    with pytest.raises(DataError, match="missing"):
        engram.compare([fitted()], X.drop(columns="c"))


def test_that_a_conditional_model_knows_more_is_said() -> None:
    X, y = table().iloc[80:], np.arange(40) % 2
    given = engram.create("conditional-vae", max_epochs=1, hidden=(4,), code_size=2, random_state=0)
    given.fit(table().iloc[:80], np.arange(80) % 2)
    found = engram.compare({"given": given, "plain": fitted()}, X, y)
    notes = " ".join(found.protocol["notes"])
    assert "given is given y beside each row" in notes
    assert "auroc: left out, y is what given learned rows given" in notes


# --- its forms ---


def test_the_page_and_the_json_hold_everything_and_run_nothing(tmp_path: Path) -> None:
    found = compared()
    found.save_html(tmp_path / "c.html")
    found.save_json(tmp_path / "c.json")
    text = (tmp_path / "c.html").read_text()
    assert "<script" not in text
    assert "http://" not in text.replace("http-equiv", "")
    assert text.count("<svg") == len(found.names())
    assert text.count("f-c0") or text.count("p-c0")
    for subject in found.subjects():
        assert subject in text
    told = json.loads((tmp_path / "c.json").read_text())
    assert (told["schema_version"], told["engram"]) == (1, VERSION)
    assert len(told["standings"]) == len(found.standings)
    assert told["standings"][0]["values"] == list(found.standings[0].values)
    assert [run["seed"] for run in told["models"][VAES]] == [0, 1, 2]


def test_text_lines_up_and_names_of_the_user_are_escaped() -> None:
    lines = compared().to_text().splitlines()
    assert [line.split("  ")[0].strip() for line in lines[1:7]] == compared().subjects()
    assert "±" in lines[1]
    assert "±" not in lines[2]
    assert sum("*" in line for line in lines[1:7]) >= 1
    page = engram.compare({BAD_NAME: fitted()}, table().iloc[80:]).to_html()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_same_seed_gives_the_same_comparison() -> None:
    one, again = (engram.compare([fitted()], table().iloc[80:], random_state=3).to_dict() for _ in range(2))
    assert json.dumps(one) == json.dumps(again)


# --- the command ---


def run(*args: object, code: int = 0) -> Result:
    done = CliRunner().invoke(program, [str(arg) for arg in args])
    assert done.exit_code == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of a VAE and an autoencoder on a file, and rows that none has seen."""
    folder = tmp_path_factory.mktemp("compare")
    table().iloc[:100].to_csv(folder / "seen.csv", index=False)
    table().iloc[100:].to_csv(folder / "new.csv", index=False)
    quick = ("--max-epochs", 2, "--hidden", 4, "--code-size", 2, "--quiet")
    for seed in range(3):
        run("fit", "vae", folder / "seen.csv", "-o", folder / f"vae-{seed}", "--seed", seed, *quick)
    run("fit", "autoencoder", folder / "seen.csv", "-o", folder / "ae", *quick)
    return folder


def test_runs_on_their_own_source_are_judged_on_what_was_held_out_of_all(home: Path, tmp_path: Path) -> None:
    runs = [home / name for name in ("vae-0", "vae-1", "vae-2", "ae")]
    done = run("compare", *runs, home / "seen.csv", "-o", tmp_path / "c.html")
    assert "vae (3 seeds)" in done.stdout
    assert "judged on the 20 rows of seen.csv that were held out of all runs" in done.stderr.replace(
        str(home) + "/", ""
    )
    assert "fitted on 80 training rows" in done.stdout
    assert (tmp_path / "c.html").read_text().startswith("<!DOCTYPE html>")
    refused = run("compare", *runs, home / "seen.csv", "-o", tmp_path / "c.html", code=2)
    assert "exists already" in refused.stderr
    run("compare", *runs, home / "seen.csv", "-o", tmp_path / "c.html", "--force")


def test_new_rows_and_the_rows_that_were_fitted_on(home: Path) -> None:
    told = json.loads(
        run("compare", home / "vae-0", home / "ae", home / "new.csv", "--train", home / "seen.csv", "--json").stdout
    )
    assert (told["engram"], told["schema"], told["command"]) == (VERSION, 1, "compare")
    assert told["result"]["rows"] == 20
    assert told["result"]["comparison"]["protocol"]["baseline_rows"] == "fitted on 80 training rows"
    assert any("80 rows" in note for note in told["notes"])


def test_a_run_that_learned_from_the_held_out_rows_is_a_finding(home: Path, tmp_path: Path) -> None:
    everything = engram.VAE(max_epochs=1, hidden=(4,), code_size=2).fit(str(home / "seen.csv"))
    everything.save(tmp_path / "all")
    told = json.loads(run("compare", home / "ae", tmp_path / "all", home / "seen.csv", "--json").stdout)
    (found,) = [f for f in told["result"]["comparison"]["findings"] if f["kind"] == "training-rows"]
    assert "learned from all rows of this source" in found["message"]


def test_runs_that_held_out_a_part_of_their_own_are_found_and_not_mixed(home: Path, tmp_path: Path) -> None:
    """Earlier versions drew the part that is held out by the model's seed."""
    from engram.cli.sources import opened, parts

    rows, test = parts(opened(str(home / "seen.csv")), 5)
    assert test is not None
    engram.VAE(max_epochs=1, hidden=(4,), code_size=2, random_state=5).fit(rows.rows).save(tmp_path / "old")
    alone = run("compare", tmp_path / "old", home / "seen.csv")
    assert "judged on the 20 rows" in alone.stderr
    assert "0 of 20 rows equal a training row" in alone.stdout
    mixed = run("compare", tmp_path / "old", home / "ae", home / "seen.csv", code=2)
    assert "different rows of" in mixed.stderr


def test_what_cannot_be_compared_is_an_error(home: Path) -> None:
    assert "given twice" in run("compare", home / "ae", home / "ae", home / "new.csv", code=2).stderr
    assert "Missing argument" in run("compare", home / "ae", code=2).stderr
    assert "run folder" in run("compare", home / "nothing", home / "new.csv", code=4).stderr
