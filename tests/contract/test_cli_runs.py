"""The command line end to end: every command on small tables, arrays and pictures gives what Python gives."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import answer, engram
from torch import nn

from engram import Autoencoder, load

QUICK = ("--max-epochs", "2", "--hidden", "8", "--code-size", "2")


def rows() -> pd.DataFrame:
    """Return a table with a hole, categories, flags and labels."""
    random = np.random.default_rng(0)
    common = random.normal(size=60)
    frame = pd.DataFrame({"age": 40 + 10 * common, "income": 3000 + 800 * common + 100 * random.normal(size=60)})
    frame["city"] = random.choice(["Lima", "Oslo", "Rome"], 60)
    frame["smoker"] = random.random(60) < 0.3
    frame["fraud"] = (np.arange(60) % 10 == 0).astype(int)
    frame.loc[3, "age"] = np.nan
    return frame


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with t.csv, a run of a VAE on it, and a run on digits."""
    folder = tmp_path_factory.mktemp("cli")
    rows().to_csv(folder / "t.csv", index=False)
    engram("fit", "vae", folder / "t.csv", "-o", folder / "run", "--label", "fraud", *QUICK)
    engram("fit", "vae", "digits", "-o", folder / "digits", *QUICK)
    return folder


@pytest.fixture(scope="module")
def model(home: Path):
    from engram.models.saving import load_model

    return load_model(home / "run")


# --- fit ---


def test_fit_writes_a_whole_run_folder(home: Path):
    names = {path.name for path in (home / "run").iterdir()}
    assert {"config.json", "kind.json", "weights.safetensors", "log.jsonl", "README.md"} <= names
    assert {"report.json", "report.html", "loss-curve.png", "code-map.png", "samples.png"} <= names
    assert not [name for name in names if name.startswith(".") or name in ("checkpoint", "unfinished.json")]
    report = json.loads((home / "run" / "report.json").read_bytes())
    assert report["protocol"]["rows"] == 12  # a fifth, which the model has not seen
    assert "48 training rows" in report["protocol"]["baseline_rows"]
    assert {r["subject"] for r in report["baselines"]} >= {"mean", "pca"}


def test_fit_takes_the_label_out_and_judges_by_it(home: Path, model):
    assert "fraud" not in model.feature_names_in_
    report = json.loads((home / "run" / "report.json").read_bytes())
    assert "auroc" in {r["name"] for r in report["metrics"]}


def test_fit_equals_the_python_api(home: Path, model):
    from engram.cli.sources import opened, parts
    from engram.models.vae import VAE

    fitted, test = parts(opened(str(home / "t.csv"), label="fraud"), 0)
    assert test is not None
    assert len(test) == 12
    again = VAE(max_epochs=2, hidden=(8,), code_size=2, random_state=0).fit(fitted.rows)
    assert model.get_params() == again.get_params()
    assert np.array_equal(again.transform(test.rows), model.transform(test.rows))


def test_fit_says_what_came_out_and_what_to_type_next(home: Path, tmp_path: Path):
    done = engram("fit", "autoencoder", home / "t.csv", "-o", tmp_path / "a b", "--drop", "fraud", *QUICK)
    assert "pca" in done.stdout
    assert "12 held-out rows" in done.stdout
    assert f"engram apply '{tmp_path / 'a b'}'" in done.stdout
    assert f"engram sample '{tmp_path / 'a b'}'" in done.stdout
    assert "fitting autoencoder" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    config = json.loads((tmp_path / "a b" / "config.json").read_bytes())
    assert config["parameters"]["verbose"] == 0
    assert config["parameters"]["columns"] == {"fraud": "drop"}


def test_a_model_that_draws_rows_without_codes_says_how_too(home: Path, tmp_path: Path):
    done = engram("fit", "made", home / "t.csv", "-o", tmp_path / "run", "--drop", "fraud", "--max-epochs", "2")
    assert f"engram sample {tmp_path / 'run'} -n 100 -o rows.csv" in done.stdout


def test_fit_json_tells_results_and_findings(home: Path, tmp_path: Path):
    found = answer("fit", "autoencoder", home / "t.csv", "-o", tmp_path / "run", *QUICK)["result"]
    assert found["rows"] == {"given": 60, "fitted": 48, "test": 12}
    assert found["report"]["metrics"]
    assert "report.html" in found["files"]


def test_fit_quiet_says_nothing(home: Path, tmp_path: Path):
    done = engram("fit", "autoencoder", home / "t.csv", "-o", tmp_path / "run", "--quiet", *QUICK)
    assert (done.stdout, done.stderr) == ("", "")


def test_fit_corrects_types_of_columns(home: Path, tmp_path: Path):
    args = ("fit", "vae", home / "t.csv", "--dry-run", "--drop", "age")
    told = {c["name"]: c["type"] for c in answer(*args, "--column", "fraud=category")["result"]["columns"]}
    assert told["fraud"] == "category of 2"
    assert told["age"].startswith("dropped")
    assert told["city"] == "category of 3"


def test_dry_run_tells_what_a_fit_then_does(home: Path, tmp_path: Path):
    args = ("fit", "vae", home / "t.csv", "--code-size", "2")
    planned = answer(*args, "--dry-run", "-o", tmp_path / "run")["result"]
    assert not (tmp_path / "run").exists()
    done = answer(*args, "-o", tmp_path / "run", "--max-epochs", "1")["result"]
    config = json.loads((tmp_path / "run" / "config.json").read_bytes())
    assert planned["dry_run"]
    assert planned["hidden"] == config["shapes"]["widths"]
    for name in ("batch_size", "learning_rate", "threads"):
        assert planned[name] == config["settings"][name]
    assert planned["train_rows"] == config["data"]["trained_on"]
    assert planned["test_rows"] == done["rows"]["test"]
    assert planned["parameters"] > 0
    told = engram(*args, "--dry-run").stdout
    assert "nothing is trained or written" in told
    assert "category of 3" in told


def test_fit_reads_every_kind_of_source(home: Path, tmp_path: Path):
    frame = rows()
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    frame.to_csv(tmp_path / "semicolons.csv", sep=";", decimal=",", index=False)
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(40, 4)))
    np.savez(tmp_path / "a.npz", X=np.zeros((30, 4)) + np.arange(30)[:, None], y=np.arange(30) % 2)
    expected = answer("fit", "vae", home / "t.csv", "--dry-run")["result"]
    for name in ("t.parquet", "t.tsv", "semicolons.csv"):
        assert answer("fit", "vae", tmp_path / name, "--dry-run")["result"]["columns"] == expected["columns"]
    assert answer("fit", "vae", tmp_path / "a.npy", "--dry-run", "--label", "0")["result"]["encoded_row"] == [3]
    assert answer("fit", "vae", tmp_path / "a.npz", "--dry-run", "--label", "y")["result"]["encoded_row"] == [4]
    assert answer("fit", "vae", "digits", "--dry-run")["result"]["kind"] == "images"
    piped = engram("fit", "vae", "-", "--dry-run", "--json", stdin=(home / "t.csv").read_bytes())
    assert json.loads(piped.stdout)["result"]["columns"] == expected["columns"]


def test_a_variant_is_fitted_with_its_own_defaults(home: Path, tmp_path: Path):
    engram(
        "fit", "denoising_autoencoder", home / "t.csv", "-o", tmp_path / "run", "--corruption_level", ".1,.4", *QUICK
    )
    given = answer("inspect", tmp_path / "run")["result"]["given"]
    assert given["corruption"] == "gaussian"
    assert given["corruption_level"] == [0.1, 0.4]


def test_force_replaces_a_run_and_keeps_it_where_the_fit_fails(home: Path, tmp_path: Path):
    run = tmp_path / "run"
    engram("fit", "autoencoder", home / "t.csv", "-o", run, "--quiet", *QUICK)
    before = (run / "weights.safetensors").read_bytes()
    engram("fit", "autoencoder", home / "t.csv", "-o", run, "--force", "--network", "conv", code=2)
    assert (run / "weights.safetensors").read_bytes() == before
    engram("fit", "autoencoder", home / "t.csv", "-o", run, "--force", "--quiet", "--seed", "1", *QUICK)
    assert (run / "weights.safetensors").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_interrupted_fit_is_resumed_to_the_same_weights(home: Path, tmp_path: Path, monkeypatch):
    def stop_at_third_report(*_: object, **__: object) -> Callable[[dict], None]:
        seen: list[dict] = []

        def report(entry: dict) -> None:
            seen.append(entry)
            if len(seen) == 3:
                os.kill(os.getpid(), signal.SIGINT)

        return report

    args = ("fit", "vae", home / "t.csv", "--hidden", "8", "--max-epochs", "60", "--quiet", "-o")
    engram(*args, tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr("engram.models.sheets.reporter", stop_at_third_report)
        assert "--resume" in engram(*args, tmp_path / "run", code=130).stderr
    assert "was interrupted" in engram(*args, tmp_path / "run", code=4).stderr
    engram(*args, tmp_path / "run", "--resume")
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]
    assert {p.name for p in (tmp_path / "run").iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


def test_a_fit_that_is_interrupted_while_layers_learn_in_pairs_says_so_and_leaves_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stop(
        *_: object, **__: object
    ) -> None:  # what Ctrl-C does there; a signal itself may be ignored where tests run
        raise KeyboardInterrupt

    args = ("fit", "stacked-autoencoder", home / "t.csv", *QUICK, "--quiet", "-o", tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr("engram.models.stacking.train", stop)
        told = engram(*args, code=130).stderr
    assert told.strip() == "error: interrupted; nothing was left half-written."
    assert not list(tmp_path.iterdir())
    engram(*args)


@pytest.mark.parametrize("place", ["engram.cli.fitting.judged", "engram.evaluation.report.Report.save_html"])
def test_a_fit_that_was_killed_before_its_report_was_whole_is_resumed_to_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    args = ("fit", "vae", home / "t.csv", "--label", "fraud", *QUICK, "--quiet", "-o", tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr(place, stop)
        engram(*args, code=130)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert "config.json" in names
    assert "report.json" not in names
    for other in (("--seed", "1"), ("--max-epochs", "3"), ("--beta", "2")):
        told = engram(*args, *other, "--resume", code=4).stderr
        assert f"{'random_state' if other[0] == '--seed' else other[0][2:].replace('-', '_')} differ" in told
    weights = (tmp_path / "run" / "weights.safetensors").read_bytes()
    engram(*args, "--resume")
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == weights
    assert {p.name for p in (tmp_path / "run").iterdir()} == {p.name for p in (home / "run").iterdir()}
    assert "is finished" in engram(*args, "--resume", code=4).stderr


def test_the_same_report_comes_out_whether_a_fit_was_killed_before_it_or_not(home: Path, tmp_path: Path):
    args = ("fit", "vae", home / "t.csv", "--label", "fraud", *QUICK, "--quiet", "-o", tmp_path / "run")
    engram(*args)
    whole = (tmp_path / "run" / "report.json").read_bytes()
    (tmp_path / "run" / "report.json").unlink()
    engram(*args, "--resume")
    assert (tmp_path / "run" / "report.json").read_bytes() == whole


def test_a_game_that_was_killed_before_its_report_gets_it_with_resume(tmp_path: Path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 2)))
    command = ("fit", "gan", tmp_path / "x.npy", *QUICK, "-o", tmp_path / "run")
    engram(*command)
    (tmp_path / "run" / "report.json").unlink()
    assert "only its report is missing" in engram(*command, "--resume").stderr
    assert (tmp_path / "run" / "report.json").is_file()


# --- apply ---


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npy"])
def test_apply_equals_transform(home: Path, tmp_path: Path, model, suffix: str):
    codes = model.transform(rows())
    engram("apply", home / "run", home / "t.csv", "-o", tmp_path / f"c.{suffix}")
    if suffix == "npy":
        assert np.array_equal(np.load(tmp_path / "c.npy"), codes)
        return
    found = pd.read_csv(tmp_path / "c.csv") if suffix == "csv" else pd.read_parquet(tmp_path / "c.parquet")
    assert list(found) == ["code0", "code1"]
    np.testing.assert_array_equal(found.to_numpy(dtype=np.float32), codes)


def test_apply_scores_stand_beside_row_and_label(home: Path, tmp_path: Path, model):
    args = ("apply", home / "run", home / "t.csv", "-o", tmp_path / "s.csv", "--get", "scores", "--label", "fraud")
    assert answer(*args)["result"]["rows"] == 60
    found = pd.read_csv(tmp_path / "s.csv")
    assert list(found) == ["fraud", "row", "score"]
    np.testing.assert_array_equal(found["score"].to_numpy(np.float32), model.score_samples(rows()))
    np.testing.assert_array_equal(found["fraud"], rows()["fraud"])


def test_apply_reconstruction_has_the_users_columns(home: Path, model):
    done = engram("apply", home / "run", home / "t.csv", "-o", "-", "--get", "reconstruction")
    lines = done.stdout.splitlines()
    assert lines[0] == "age,income,city,smoker"
    assert len(lines) == 61
    assert done.stderr.startswith("wrote reconstruction of 60 rows")


def test_apply_reads_standard_input(home: Path, model):
    done = engram("apply", home / "run", "-", "-o", "-", "--quiet", stdin=(home / "t.csv").read_bytes())
    assert done.stdout.splitlines()[0] == "code0,code1"
    assert done.stderr == ""


def test_apply_gives_pictures_back(home: Path, tmp_path: Path):
    digits = home / "digits"
    engram("apply", digits, "digits", "-o", tmp_path / "d.npy", "--get", "reconstruction")
    assert np.load(tmp_path / "d.npy").shape == (1797, 8, 8)
    done = engram("apply", digits, "digits", "-o", tmp_path / "d.png", "--get", "reconstruction")
    assert "note: the sheet shows the first 1,024 of 1,797 pictures" in done.stderr
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    engram("apply", digits, "digits", "-o", tmp_path / "codes.csv", "--label", "target")
    assert list(pd.read_csv(tmp_path / "codes.csv")) == ["target", "code0", "code1"]


def test_apply_dry_run_and_force(home: Path, tmp_path: Path):
    out = tmp_path / "c.csv"
    engram("apply", home / "run", home / "t.csv", "-o", out, "--dry-run")
    assert not out.exists()
    out.write_text("mine")
    engram("apply", home / "run", home / "t.csv", "-o", out, code=2)
    assert out.read_text() == "mine"
    engram("apply", home / "run", home / "t.csv", "-o", out, "--force")
    assert out.read_text().startswith("code0,")
    assert [path.name for path in tmp_path.iterdir()] == ["c.csv"]


# --- sample, evaluate, inspect ---


def test_sample_equals_the_python_api(home: Path, tmp_path: Path, model):
    done = engram("sample", home / "run", "-n", "5", "--seed", "3")
    expected = model.sample(5, random_state=3)
    assert done.stdout == expected.to_csv(index=False)
    assert done.stderr == ""
    drawn = answer("sample", home / "run", "-n", "5", "--seed", "3")["result"]["drawn"]
    assert [row["city"] for row in drawn] == list(expected["city"])
    engram("sample", home / "run", "-n", "5", "--seed", "3", "-o", tmp_path / "s.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "s.parquet"), expected)


def test_sample_draws_pictures(home: Path, tmp_path: Path):
    engram("sample", home / "digits", "-n", "7", "-o", tmp_path / "s.npy")
    assert np.load(tmp_path / "s.npy").shape == (7, 8, 8)
    engram("sample", home / "digits", "-n", "7", "-o", tmp_path / "s.png")
    assert "NEW.npy" not in engram("sample", home / "digits", "-n", "7", code=2).stderr


@pytest.mark.parametrize("name", ["autoencoder", "vq-vae", "fsq-vae"])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "npy"])
def test_codes_that_apply_wrote_are_decoded(name: str, suffix: str, home: Path, tmp_path: Path):
    run, codes = tmp_path / "run", tmp_path / f"codes.{suffix}"
    engram("fit", name, home / "t.csv", "-o", run, "--max-epochs", "2")
    engram("apply", run, home / "t.csv", "--get", "codes", "-o", codes)
    engram("apply", run, home / "t.csv", "--get", "reconstruction", "-o", tmp_path / "back.parquet")
    engram("decode", run, codes, "-o", tmp_path / "rows.parquet")
    model, found = load(run), pd.read_parquet(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(found, model.inverse_transform(model.transform(rows())))
    pd.testing.assert_frame_equal(found, pd.read_parquet(tmp_path / "back.parquet"), rtol=1e-5)


def test_decode_takes_codes_with_and_without_names(home: Path, tmp_path: Path, model):
    codes = model.transform(rows()[:3])
    expected = model.inverse_transform(codes).to_csv(index=False)
    text = "\n".join(",".join(map(str, row)) for row in codes) + "\n"
    assert engram("decode", home / "run", "-", "--no-header", stdin=text.encode()).stdout == expected
    named = f"code1,fraud,code0\n{codes[0, 1]},x,{codes[0, 0]}\n"
    done = engram("decode", home / "run", "-", stdin=named.encode())
    assert done.stdout == model.inverse_transform(codes[:1]).to_csv(index=False)
    assert "'fraud' left out" in done.stderr
    done = engram("decode", home / "run", "-", stdin=f"age,income\n{codes[0, 0]},{codes[0, 1]}\n".encode())
    assert done.stdout == model.inverse_transform(codes[:1]).to_csv(index=False)
    assert "'age', 'income' are taken for codes" in done.stderr
    np.save(tmp_path / "c.npy", codes)
    found = answer("decode", home / "run", tmp_path / "c.npy")["result"]
    assert (found["rows"], len(found["decoded"])) == (3, 3)
    assert "would be written" in engram("decode", home / "run", tmp_path / "c.npy", "--dry-run").stdout


def test_decode_makes_pictures_and_overwrites_nothing(home: Path, tmp_path: Path):
    np.save(tmp_path / "c.npy", np.zeros((4, 2)))
    engram("decode", home / "digits", tmp_path / "c.npy", "-o", tmp_path / "d.npy")
    assert np.load(tmp_path / "d.npy").shape == (4, 8, 8)
    engram("decode", home / "digits", tmp_path / "c.npy", "-o", tmp_path / "d.png")
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    assert (
        "exists already"
        in engram("decode", home / "digits", tmp_path / "c.npy", "-o", tmp_path / "d.npy", code=2).stderr
    )
    assert "-o FILE.png" in engram("decode", home / "digits", tmp_path / "c.npy", code=2).stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("code0,code1,code2\n1,2,3\n", "3 columns of codes"),
        ("a\n1\n", "1 columns of codes"),
        ("code1,code2\n1,2\n", "code1, code2"),
        ("code0,code1\n1,x\n", "'code1' holds no numbers"),
        ("code0,code1\n1,2\n3,\n", "row 1 (from 0)"),
        ("code0,code1\n1,1e300\n", "infinite"),
        ("code0,code1\n", "no rows"),
        ("", "no rows"),
    ],
)
def test_what_are_no_codes_is_said(text: str, told: str, home: Path, tmp_path: Path):
    done = engram("decode", home / "run", "-", "-o", tmp_path / "rows.csv", stdin=text.encode(), code=3)
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_model_without_codes_decodes_none_and_a_conditional_one_needs_a_label(home: Path, tmp_path: Path):
    engram("fit", "made", home / "t.csv", "-o", tmp_path / "made", "--max-epochs", "1")
    assert "no codes to decode" in engram("decode", tmp_path / "made", home / "t.csv", code=2).stderr
    engram("fit", "conditional-vae", home / "t.csv", "-o", tmp_path / "given", "--label", "city", *QUICK)
    args = ("decode", tmp_path / "given", "-")
    assert "--label" in engram(*args, stdin=b"code0,code1\n1,2\n", code=2).stderr
    model = load(tmp_path / "given")
    done = engram(*args, "--label", "Oslo", stdin=b"code0,code1\n1,2\n")
    assert done.stdout == model.inverse_transform([[1, 2]], "Oslo").to_csv(index=False)
    assert "fitted without y" in engram("decode", home / "run", "-", "--label", "x", stdin=b"1,2\n3,4\n", code=2).stderr


def test_evaluate_finds_the_rows_that_the_fit_held_out(home: Path):
    done = engram("evaluate", home / "run", home / "t.csv", "--label", "fraud")
    assert "judged on the 12 rows that were held out" in done.stderr
    found = answer("evaluate", home / "run", home / "t.csv", "--label", "fraud")
    again = json.loads((home / "run" / "report.json").read_bytes())
    assert found["result"]["report"]["metrics"] == again["metrics"]
    assert "held out" in found["notes"][0]


def test_evaluate_takes_training_rows_and_writes_a_page(home: Path, tmp_path: Path):
    rows().tail(30).to_csv(tmp_path / "new.csv", index=False)
    args = ("evaluate", home / "run", tmp_path / "new.csv", "--train", home / "t.csv", "--metric", "r2")
    found = answer(*args, "-o", tmp_path / "page.html")["result"]
    assert found["rows"] == 30
    assert [r["name"] for r in found["report"]["metrics"]] == ["r2"]
    assert "48 training rows" in found["report"]["protocol"]["baseline_rows"]
    assert "<html" in (tmp_path / "page.html").read_text()


def test_inspect_tells_what_a_run_holds(home: Path):
    found = answer("inspect", home / "run")["result"]
    assert found["model"] == "vae"
    assert found["given"] == {"code_size": 2, "hidden": [8], "max_epochs": 2, "random_state": 0}
    assert found["automatic"]["batch_size"] == 16
    assert [c["name"] for c in found["columns"]] == ["age", "income", "city", "smoker"]
    assert all({"name", "used", "best", "gain", "error", "nats"} == set(c) for c in found["distributions"])
    assert found["report"]["metrics"]
    told = engram("inspect", home / "run").stdout
    for text in ("code_size=2", "category of 3", "findings", "pca"):
        assert text in told
    lines = [line.split() for line in told.splitlines() if line]
    assert ["rows", "48", "(43", "trained", "on),", "fingerprint"] in [line[:6] for line in lines]
    assert ["kind", "table"] in lines


@pytest.mark.parametrize("name", ["sparse-autoencoder", "vq-vae"])
def test_a_run_has_one_number_of_weights_whoever_tells_it(name: str, home: Path, tmp_path: Path):
    run = tmp_path / "run"
    engram("fit", name, home / "t.csv", "-o", run, "--max-epochs", "2")
    counted = sum(p.numel() for p in load(run).network_.parameters())
    assert answer("inspect", run)["result"]["weights"] == counted
    (told,) = answer("compare", run, home / "t.csv")["result"]["comparison"]["models"].values()
    assert told[0]["weights"] == counted


def test_inspect_tells_the_weights_of_networks_of_ones_own(tmp_path: Path):
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = Autoencoder(code_size=2, max_epochs=1, encoder=nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    model.fit(X).save(tmp_path / "run")
    counted = sum(p.numel() for p in model.network_.parameters())
    assert answer("inspect", tmp_path / "run")["result"]["weights"] == counted
