"""The report of generated tables has rows, distributions and points to look at, in the user's words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import engram
from engram.errors import DataError
from engram.evaluation.report import Report

RNG = np.random.default_rng(0)


def table(n: int) -> pd.DataFrame:
    size = RNG.normal(size=n)
    frame = pd.DataFrame({"size": size, "price": 3 * size + 0.1 * RNG.normal(size=n), "noise": RNG.normal(size=n)})
    frame["<city>"] = np.where(size > 0, "Rome", "Oslo")
    frame["sold"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(RNG.integers(0, 300, n), unit="D")
    frame["member"] = RNG.random(n) < 0.3
    frame.loc[frame.index[::7], "noise"] = np.nan
    return frame


@pytest.fixture(scope="module")
def report() -> Report:
    rows = table(120)
    return engram.Synthesizer(max_epochs=2, random_state=0).fit(rows[:80]).evaluate(rows[80:], train=rows[:80])


def test_half_is_best_where_it_is_and_no_error_is_told_where_there_is_none(report: Report) -> None:
    better = {r.name: r.better for r in (*report.metrics, *report.baselines)}
    half = {name for name, told in better.items() if told == "nearer to .5"}
    assert half == {"detection", "nearer-to-training", "membership"}
    assert "detection → .5" in report.to_text()
    page = report.to_html()
    assert "nearer to .5 is better" in page
    assert "standard error" not in report.to_text()
    assert "standard error" not in page


def test_findings_of_the_fit_are_told_as_such_since_their_rows_are_others(report: Report) -> None:
    rows = table(120)
    model = engram.Synthesizer(max_epochs=2, validation_fraction=0.3, random_state=0).fit(rows)
    found = model.evaluate(table(40))
    told = {f.kind: i < found.of_fit for i, f in enumerate(found.findings)}
    assert told["told-apart"]
    assert not told["privacy"]
    assert "finding at the fit  boosted trees" in found.to_text()
    assert "finding  privacy" in found.to_text()
    assert "told-apart, at the fit</small>" in found.to_html()
    assert ">privacy</small>" in found.to_html()
    assert found.to_dict()["findings_of_fit"] == found.of_fit == len(model.findings_)


def test_rows_are_shown_in_the_users_form(report: Report) -> None:
    rows = report.look.facts["rows"]
    assert rows["columns"] == list(table(1).columns)
    for cells in (*rows["rows"]["real"], *rows["rows"]["generated"]):
        told = dict(zip(rows["columns"], cells, strict=True))
        assert told["<city>"] in ("Rome", "Oslo")
        assert told["member"] in ("yes", "no")
        assert told["sold"].startswith("2024-")


def test_columns_have_distributions_of_real_and_of_generated_rows(report: Report) -> None:
    for told in report.look.facts["rows"]["distributions"]:
        assert list(told["shares"]) == ["real", "generated"]
        for share in told["shares"].values():
            assert sum(share) == pytest.approx(1)


def test_what_differs_most_comes_first_beside_what_real_rows_get(report: Report) -> None:
    columns, pairs = report.look.facts["tables"]
    for found in (columns, pairs):
        own = [float(row[1]) for row in found["rows"]]
        assert own == sorted(own)
        assert found["head"][1:] == ["Synthesizer", "real rows"]
    assert {row[0] for row in columns["rows"]} == set(table(1).columns)


def test_the_page_has_charts_and_nothing_unescaped(report: Report, tmp_path: Path) -> None:
    page = report.to_html()
    assert page.count("<svg") > len(table(1).columns)
    assert "<city>" not in page
    report.save_json(tmp_path / "report.json")
    points = json.loads((tmp_path / "report.json").read_text())["facts"]["generated"]["places"]["points"]
    assert [len(part) for part in points.values()] == [40, 40]


def test_columns_that_are_missing_are_told() -> None:
    """Those of rows to compare with and of training rows; a key, which nothing is measured on, may be missing."""
    rows = table(120).assign(key=[f"K{i:03d}" for i in range(120)])
    found = engram.Synthesizer(max_epochs=2, random_state=0).fit(rows[:80])
    less = rows.drop(columns="price")
    told = "1 of the columns that Synthesizer was fitted on is missing: price"
    for judged, train in ((less, None), (less, rows), (rows, less)):
        with pytest.raises(DataError, match=told):
            found.evaluate(judged, train=train)
    assert found.evaluate(rows.drop(columns="key")).metrics
