"""What a report says of models that generate rows: sets of rows beside each other, a page without codes, comparisons, commands."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import engram
from striped import pictures

import engram as library
from engram.errors import UsageError
from engram.evaluation import Report, evaluate
from engram.evaluation.headline import headline
from engram.evaluation.report import Result as Number
from engram.evaluation.sets import worse_than_independent
from engram.metrics import expected_coverage
from engram.metrics.frechet import FRECHET

QUICK = {"max_epochs": 3, "hidden": (8,), "code_size": 2, "random_state": 0}
FLAGS = ("--max-epochs", "3", "--hidden", "8", "--code-size", "2")
SETS = ["frechet", "kernel", "precision", "recall", "density", "coverage", "sliced-wasserstein"]


def table(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    return pd.DataFrame({"x": z + 0.1 * rng.normal(size=n), "y <b>": z, "sort": np.where(z > 0, "up", "down")})


@pytest.fixture(scope="module")
def of_table() -> Report:
    return evaluate(library.GAN(**QUICK).fit(table()), table(120, 1), train=table())


@pytest.fixture(scope="module")
def of_pictures() -> Report:
    x, y = pictures(160, 8)
    model = library.GAN(network="mlp", **QUICK).fit(x[:80], y[:80])
    return evaluate(model, x[80:], y[80:], train=x[:80])


def number(name: str, subject: str, value: float, error: float = math.nan) -> Number:
    return Number(name, subject, value, error, "lower", "units", {"rows": 20})


# --- numbers ---


def test_a_gan_is_judged_by_what_it_generates_alone(of_table: Report) -> None:
    assert of_table.names() == [*SETS, "memorisation", "exact-copies"]
    assert of_table.subjects() == ["GAN", "real rows", "bootstrap", "gaussian-mixture", "independent"]
    assert of_table.protocol["rows"] == 120
    assert of_table.protocol["generated"].startswith("30 beside as many real ones, on rows[")
    assert of_table.protocol["baseline_rows"] == "fitted on 200 training rows"
    assert not of_table.protocol["notes"]
    for result in (*of_table.metrics, *of_table.baselines):
        assert math.isfinite(result.error) == (result.name == "kernel")  # no bootstrap over rows of sets


def test_what_generates_nothing_new_is_never_the_best(of_table: Report) -> None:
    for name in of_table.names():
        cells = of_table.cells(name)
        assert not cells["real rows"][1]
        assert not cells["bootstrap"][1]
        assert any(best for _, best in cells.values()) == (name != "memorisation")
    lines = of_table.to_text().splitlines()
    assert lines[0].split() == ["GAN", "real", "rows", "bootstrap", "gaussian-mixture", "independent"]
    assert lines[1].startswith("frechet ↓")


def test_the_headline_names_distance_floor_and_coverage(of_table: Report) -> None:
    told = headline(of_table)
    assert told.startswith("Rows it generates are at Frechet distance ")
    assert "real rows among themselves: " in told
    assert "a Gaussian mixture: " in told
    model, real = (of_table.result("coverage", subject) for subject in (of_table.model, "real rows"))
    shares = (f"{result.value:.2f}".replace("0.", ".") for result in (model, real))
    assert "coverage {} (real rows among themselves: {})".format(*shares) in told
    alone = replace(of_table, baselines=[])
    expected = f"{expected_coverage(30, 30):.2f}".replace("0.", ".")
    assert f"(fresh real rows are expected to have {expected})" in headline(alone)


def test_labels_bring_agreement_and_a_judge(of_pictures: Report) -> None:
    assert of_pictures.names()[-1] == "agreement"
    assert of_pictures.result("agreement", "real rows") is not None
    assert "judge[" in of_pictures.protocol["features"]


def test_metrics_asked_by_name_are_those_of_any_model_that_draws() -> None:
    model = library.VAE(**QUICK).fit(table())
    report = evaluate(model, table(120, 1), metrics=["coverage", "r2", "frechet", "memorisation", "inception-score"])
    assert report.names() == ["r2", "coverage", "frechet"]
    assert report.result("r2", "pca") is not None
    assert report.result("frechet", "real rows") is not None
    notes = " ".join(report.protocol["notes"])
    assert "memorisation, exact-copies: not computed: pass train=" in notes
    assert "inception-score: left out" in notes
    assert not set(SETS) & set(evaluate(model, table(120, 1)).names())


def test_too_few_rows_and_what_a_gan_does_not_give_are_notes() -> None:
    model = library.GAN(**QUICK).fit(table())
    few = evaluate(model, table(39, 1))
    assert not few.metrics
    assert "a quarter of 39 rows is too few" in " ".join(few.protocol["notes"])
    assert few.headline().startswith("No metric could be computed.")
    assert few.to_text().startswith("39 rows (")
    assert "No metric could be computed; the notes say why." in few.to_text()
    assert few.to_html()
    report = evaluate(model, table(120, 1), metrics=["r2", "agreement"])
    assert not report.metrics
    assert report.protocol["notes"][0] == "r2: left out, GAN gives no reconstruction"
    assert "agreement: left out, GAN learned rows without y" in report.protocol["notes"]


def test_a_conditional_model_needs_y() -> None:
    x, y = pictures(160, 8)
    model = library.GAN(network="mlp", **QUICK).fit(x, y)
    with pytest.raises(UsageError, match="conditional: give y="):
        evaluate(model, x)


def test_games_with_codes_have_both() -> None:
    report = evaluate(library.create("bigan", **QUICK).fit(table()), table(120, 1))
    assert {"r2", "frechet", "coverage"} <= set(report.names())
    facts = report.look.facts
    assert {"codes", "generated"} <= set(facts)


@pytest.mark.parametrize(
    ("own", "other", "floor", "error", "worse"),
    [(9, 5, 1, math.nan, True), (5, 9, 1, math.nan, False), (9, 8.7, 1, math.nan, False), (9, 5, 1, 2.5, False)],
)
def test_worse_than_independent_columns_is_a_finding(own, other, floor, error, worse) -> None:
    for metric in FRECHET:
        results = [number(metric, s, v, error) for s, v in (("GAN", own), ("independent", other), ("real rows", floor))]
        found = worse_than_independent("GAN", results)
        assert [f.kind for f in found] == ["worse-than-baseline"] * worse
        assert not worse_than_independent("GAN", results[:2])


# --- the page ---


def test_a_page_of_a_table_shows_rows_columns_and_points(of_table: Report) -> None:
    page, facts = of_table.to_html(), of_table.look.facts
    for section in ('id="results"', 'id="rows"', 'id="learning"', 'id="data"', 'id="chosen"'):
        assert section in page
    for section in ('id="map"', 'id="units"', 'id="scores"', 'id="traversals"', 'id="nearest"'):
        assert section not in page
    assert "In the plane" in page
    assert "comes back" not in page
    assert "<b>" not in page.partition('id="rows"')[2].partition("</section>")[0]
    assert set(facts["rows"]["rows"]) == {"real", "generated"}
    assert set(facts["generated"]["places"]["points"]) == {"real", "generated"}
    assert facts["learning"]["turns"] == {
        "discriminator": "discriminator",
        "penalty": "discriminator",
        "generator": "generator",
    }
    assert "held out to look at" in page
    json.dumps(of_table.to_dict())


def test_two_columns_are_the_plane_as_they_are() -> None:
    x = table()[["x", "y <b>"]]
    report = evaluate(library.GAN(**QUICK).fit(x), x.iloc[:60])
    places = report.look.facts["generated"]["places"]
    assert places["axes"] == ["x", "y <b>"]
    assert np.allclose(places["points"]["real"], x.iloc[:60], rtol=1e-3)
    assert "y &lt;b&gt;" in report.to_html()


def test_a_page_of_pictures_shows_classes_copies_and_growth(of_pictures: Report) -> None:
    page, images = of_pictures.to_html(), of_pictures.look.images
    assert of_pictures.look.facts["generated"]["classes"] == ["0", "1", "2"]
    assert {f"class {i} {what}" for i in range(3) for what in ("real", "generated")} <= set(images)
    assert {f"near {i}" for i in range(1, 7)} <= set(images)
    for section in ('id="rows"', 'id="copies"', 'id="growth"'):
        assert section in page
    assert "step " in page.partition('id="growth"')[2]


def test_a_copy_is_at_distance_zero_of_its_row() -> None:
    import torch

    from engram.evaluation.drawn import nearest

    x = torch.rand(9, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    told, images = nearest(x[3:4], x)
    assert told["distances"][0][0] == pytest.approx(0, abs=1e-3)
    other = min(float((x[3] - x[i]).square().mean().sqrt()) for i in range(9) if i != 3)
    assert told["distances"][0][1] == pytest.approx(other, abs=1e-3)
    assert list(images) == ["near 1"]


# --- comparisons ---


def test_gans_are_compared_by_what_they_generate_and_seeds_are_taken_together() -> None:
    gans = [library.GAN(**{**QUICK, "random_state": seed}).fit(table()) for seed in (0, 1)]
    vae = library.VAE(**QUICK).fit(table())
    found = library.compare([*gans, vae], table(120, 1), train=table())
    assert found.names() == [*SETS, "memorisation", "exact-copies"]
    assert list(found.models) == ["gan (2 seeds)", "vae"]
    assert {"real rows", "independent"} <= set(found.baselines)
    assert len(found.standing("frechet", "gan (2 seeds)").values) == 2
    assert any("compared by the rows that they generate" in note for note in found.protocol["notes"])
    assert not found.standing("frechet", "real rows").best
    assert "frechet" in found.to_html()
    assert found.to_text()
    alone = evaluate(gans[0], table(120, 1), train=table()).result("frechet", "GAN")
    assert found.standing("frechet", "gan (2 seeds)").values[0] == pytest.approx(alone.value)


# --- the command line ---


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("games")
    table(300).to_csv(folder / "t.csv", index=False)
    np.save(folder / "p.npy", pictures(240, 8)[0])
    engram("fit", "gan", folder / "t.csv", "-o", folder / "run", "--label", "sort", *FLAGS)
    engram("fit", "gan", folder / "p.npy", "-o", folder / "pictures", "--network", "mlp", *FLAGS)
    return folder


def test_fit_judges_a_gan_and_says_how_to_sample(home: Path) -> None:
    said = engram("fit", "gan", home / "t.csv", "-o", home / "other", *FLAGS).stdout
    assert f"engram sample {home / 'other'} -n 100" in said
    assert "engram apply" not in said
    report = json.loads((home / "run" / "report.json").read_bytes())
    assert {r["name"] for r in report["metrics"]} >= {"frechet", "coverage", "agreement"}


def test_a_run_of_pictures_keeps_its_sheets_whatever_way_it_was_fitted(home: Path) -> None:
    before = sorted(p.name for p in (home / "pictures" / "samples").iterdir())
    assert before
    assert "How pictures grew" in (home / "pictures" / "report.html").read_text()
    engram("fit", "gan", home / "p.npy", "-o", home / "pictures", "--network", "mlp", "--force", *FLAGS)
    assert sorted(p.name for p in (home / "pictures" / "samples").iterdir()) == before
    assert "How pictures grew" in (home / "pictures" / "report.html").read_text()
    engram("evaluate", home / "pictures", home / "p.npy", "-o", home / "again.html")
    assert "How pictures grew" in (home / "again.html").read_text()


def test_sample_inspect_list_and_dry_runs(home: Path) -> None:
    engram("sample", home / "run", "-n", "5", "--label", "up", "-o", home / "s.csv")
    assert list(pd.read_csv(home / "s.csv").columns) == ["x", "y <b>"]
    assert len(pd.read_csv(home / "s.csv")) == 5
    assert "give y=" in engram("sample", home / "run", "-n", "5", "-o", home / "t2.csv", code=2).stderr
    engram("sample", home / "pictures", "-n", "9", "-o", home / "s.png")
    assert "frechet" in engram("inspect", home / "run").stdout
    assert "dcgan" in engram("list", "models").stdout
    planned = json.loads(engram("fit", "dcgan", home / "p.npy", "--dry-run", "--json").stdout)["result"]
    assert planned["network"] == "dcgan"
    assert planned["starts_at"] == "random weights"
    assert engram("fit", "gan", home / "t.csv", "--dry-run").stdout


@pytest.mark.parametrize("get", ["codes", "scores", "reconstruction"])
def test_apply_says_what_a_gan_can_do(home: Path, get: str) -> None:
    told = engram("apply", home / "run", home / "t.csv", "-o", home / "c.csv", "--get", get, code=2).stderr
    assert f"a GAN has no {get}. It generates rows: engram sample" in told


def test_compare_runs_of_gans(home: Path) -> None:
    engram("fit", "gan", home / "t.csv", "-o", home / "seed1", "--label", "sort", "--seed", "1", *FLAGS)
    said = engram("compare", home / "run", home / "seed1", home / "t.csv", "--label", "sort").stdout
    assert "By frechet, " in said
    assert "gan" in said
