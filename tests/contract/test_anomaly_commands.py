"""`engram fit anomaly` and what follows: scored rows, explanations, the report, and what is said of bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import answer, engram

import engram as library

QUICK = ("--max-epochs", "5")
NASTY = "<script>alert('x')</script> & <b>"


def table(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=n)
    found = pd.DataFrame({"age": 40 + 10 * common, "income": 3000 + 800 * common + 100 * rng.normal(size=n)})
    found["children"] = rng.poisson(2, n)
    found[NASTY] = rng.choice(["Lima", f"Oslo {NASTY}"], n)
    found["fraud"] = (np.arange(n) % 20 == 0).astype(int)
    found.loc[found["fraud"] == 1, "income"] = 9000 - found["income"]
    found.loc[::9, "age"] = np.nan
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with t.csv (labels), plain.csv (none), and a run on each."""
    folder = tmp_path_factory.mktemp("anomaly")
    table().to_csv(folder / "t.csv", index=False)
    table().drop(columns="fraud").to_csv(folder / "plain.csv", index=False)
    engram("fit", "anomaly", folder / "t.csv", "-o", folder / "run", "--label", "fraud", *QUICK)
    engram("fit", "anomaly", folder / "plain.csv", "-o", folder / "plain", *QUICK)
    return folder


def report(run: Path) -> dict:
    return json.loads((run / "report.json").read_text(encoding="utf-8"))


def test_with_labels_the_report_has_how_well_they_are_found_beside_simple_methods(home: Path) -> None:
    found = report(home / "run")
    of = {result["name"]: result for result in found["metrics"]}
    assert set(of) == {"auroc"}
    assert of["auroc"]["value"] > 0.8
    assert {line["name"] for line in found["baselines"]} == {"auroc"}
    assert "planted" not in json.dumps(found)


def test_without_labels_rows_are_planted_and_the_report_says_so(home: Path) -> None:
    found = report(home / "plain")
    assert "rows were planted" in json.dumps(found)
    assert next(r for r in found["metrics"] if r["name"] == "auroc")["value"] > 0.5


def test_the_report_page_has_the_strangest_rows_and_escapes_names_and_cells(home: Path) -> None:
    for run in ("run", "plain"):
        page = (home / run / "report.html").read_text(encoding="utf-8")
        assert "The strangest rows" in page
        assert "cells to blame" in page
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


def test_the_strangest_rows_have_their_numbers_in_the_file_and_the_page_says_so(home: Path) -> None:
    told, rows = report(home / "plain")["facts"]["strangest"], table()
    model = library.load(home / "plain")
    numbers = [row["row"] for row in told["rows"]]
    assert max(numbers) >= 40  # the 40 rows of the report are spread over the file
    assert [row["pvalue"] for row in told["rows"]] == model.pvalues(rows.loc[numbers]).tolist()
    page = (home / "plain" / "report.html").read_text(encoding="utf-8")
    assert "rows of a file are counted from 0" in page
    assert f"<tr><td>{numbers[0]}</td>" in page
    assert '<th class="words">cells to blame</th>' in page  # above cells that are aligned to the left


def test_scores_are_told_as_logs_of_p_values_not_as_densities(home: Path) -> None:
    found = report(home / "plain")
    assert found["metrics"][0]["protocol"]["quantity"].startswith("scores: log of the p-value; ")
    page = (home / "plain" / "report.html").read_text(encoding="utf-8")
    assert "score, log of the p-value" in page
    assert "log p(x)" not in page
    assert "nats" not in page[page.index('id="scores"') : page.index('id="learning"')]
    assert "the log of the p-value" in " ".join(engram("apply", "--help").stdout.split())


def test_apply_writes_scores_p_values_and_anomalies_where_nothing_is_asked_for(home: Path) -> None:
    engram("apply", home / "run", home / "t.csv", "-o", home / "scored.csv", "--label", "fraud")
    found, model = pd.read_csv(home / "scored.csv"), library.load(home / "run")
    assert found.columns.tolist() == ["fraud", "row", "score", "pvalue", "anomaly"]
    assert np.allclose(found["score"], model.score_samples(table()))
    assert np.allclose(found["pvalue"], model.pvalues(table()))
    assert np.array_equal(found["anomaly"], model.predict(table()) == -1)
    assert found["pvalue"].between(0, 1).all()
    engram("apply", home / "run", home / "plain.csv", "-o", home / "scores.npy")
    assert np.array_equal(np.load(home / "scores.npy"), model.score_samples(table()))


def test_apply_writes_predictions_and_explanations(home: Path) -> None:
    engram("apply", home / "run", home / "t.csv", "-o", home / "p.csv", "--get", "predictions")
    assert set(pd.read_csv(home / "p.csv")["prediction"]) == {-1, 1}
    engram("apply", home / "run", home / "t.csv", "-o", home / "why.csv", "--get", "explanations")
    found = pd.read_csv(home / "why.csv")
    assert found.columns.tolist() == ["row", "column", "share", "value", "expected"]
    assert found["row"].tolist() == np.repeat(np.arange(200), 4).tolist()
    first = found.groupby("row").head(1).set_index("row")
    assert (first.loc[table()["fraud"] == 1, "column"].isin(["income", "age"])).mean() > 0.7
    engram("apply", home / "run", home / "t.csv", "-o", home / "why.parquet", "--get", "explanations")
    as_text = pd.read_parquet(home / "why.parquet")  # a column of a Parquet file has one type
    assert as_text["column"].tolist() == found["column"].tolist()
    assert as_text["value"].fillna("").tolist() == found["value"].fillna("").map(str).tolist()
    refused = engram("apply", home / "run", home / "t.csv", "-o", home / "c.csv", "--get", "codes", code=2)
    assert "explanations" in refused.stderr
    assert "draws no rows" in engram("sample", home / "run", "-n", "3", "-o", home / "s.csv", code=2).stderr


def test_what_a_label_is_is_copied_beside_explanations_or_refused(home: Path) -> None:
    engram("apply", home / "run", home / "t.csv", "-o", home / "l.csv", "--get", "explanations", "--label", "fraud")
    found = pd.read_csv(home / "l.csv")
    assert found["fraud"].tolist() == np.repeat(table()["fraud"].to_numpy(), 4).tolist()
    table().rename(columns={"fraud": "anomaly"}).to_csv(home / "named.csv", index=False)
    told = engram("apply", home / "run", home / "named.csv", "-o", home / "l2.csv", "--label", "anomaly", code=2)
    assert "Rename" in told.stderr


def test_the_application_is_listed_and_inspected(home: Path) -> None:
    assert "anomaly" in engram("list", "apps").stdout
    assert answer("list", "apps")["result"]["apps"].keys() == {"anomaly", "recommendation", "synthesis", "topics"}
    assert "anomaly" in engram("list").stdout
    assert "anomaly" in engram("inspect", home / "run").stdout
    assert "alert-rate" in engram("fit", "anomaly", "--help").stdout


def test_what_would_be_done_is_told_without_doing_it(home: Path) -> None:
    told = engram("fit", "anomaly", home / "t.csv", "-o", home / "none", "--label", "fraud", "--dry-run")
    assert "age" in told.stdout
    assert not (home / "none").exists()
    engram("apply", home / "run", home / "t.csv", "-o", home / "none.csv", "--dry-run")
    assert not (home / "none.csv").exists()


def test_evaluate_ranks_labelled_rows(home: Path) -> None:
    found = answer("evaluate", home / "run", home / "t.csv", "--label", "fraud")
    assert "auroc" in json.dumps(found)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--alert-rate", "5"), "alert"),
        (("--alert-rate", "often"), "alert"),
        (("--n-models", "0"), "n-models"),
        (("--clean", "perhaps"), "clean"),
        (("--model", "gan"), "bigan"),
        (("--model", "vea"), "vae"),
        (("--contamination", "0.1"), "contamination"),
    ],
)
def test_bad_parameters_are_told_in_a_line(home: Path, args: tuple[str, ...], says: str) -> None:
    told = engram("fit", "anomaly", home / "t.csv", "-o", home / "bad", *args, *QUICK, code=2)
    assert says in told.stderr
    assert len(told.stderr.strip().splitlines()) <= 4
    assert not (home / "bad").exists()


def test_a_metric_of_generated_rows_is_refused_since_a_detector_draws_none(home: Path) -> None:
    told = engram("evaluate", home / "run", home / "t.csv", "--metric", "coverage", code=2).stderr
    assert "AnomalyDetector cannot generate rows, so coverage cannot be computed of it" in told
    assert "draws no rows" in engram("sample", home / "run", "-n", "2", code=2).stderr


def test_bad_rows_are_told_in_a_line(home: Path) -> None:
    table().drop(columns="income").to_csv(home / "less.csv", index=False)
    told = engram("apply", home / "run", home / "less.csv", "-o", home / "no.csv", code=3)
    assert "income" in told.stderr
    (home / "empty.csv").write_text("a,b\n", encoding="utf-8")
    assert engram("fit", "anomaly", home / "empty.csv", "-o", home / "bad", code=3).stderr.strip()
    np.save(home / "pictures.npy", np.zeros((20, 8, 8)))
    told = engram("fit", "anomaly", home / "pictures.npy", "-o", home / "bad", code=3)
    assert "table" in told.stderr


@pytest.mark.parametrize("name", ["anomaly", "synthesis"])
def test_a_fit_of_an_application_that_was_killed_before_its_report_gets_it_with_resume(
    tmp_path: Path, name: str
) -> None:
    run, command = tmp_path / "run", ["fit", name, "wine", "--max-epochs", "2", "-o"]
    engram(*command, run)
    (run / "report.json").unlink()
    assert "only its report is missing" in engram(*command, run, "--resume").stderr
    assert (run / "report.json").is_file()
