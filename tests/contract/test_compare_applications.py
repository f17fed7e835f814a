"""Applications side by side: by the measures that `engram.evaluate` has for each, and not with models of another sort."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import answer
from commands import engram as command

import engram
from engram.errors import UsageError
from engram.evaluation.compare_table import standings_of
from engram.evaluation.report import Result
from engram.metrics.metric import HALF

rng = np.random.default_rng(0)
TEXTS = [" ".join(f"{'ab'[i % 2]}{j}{j}" for j in rng.integers(0, 9, 8)) for i in range(60)]
EVENTS = pd.DataFrame({"user": np.repeat(np.arange(40), 5), "item": rng.integers(0, 12, 200)}).drop_duplicates()
TABLE = pd.DataFrame({"a": rng.normal(size=80), "b": rng.integers(0, 3, 80), "c": rng.normal(size=80)})
QUICK: dict[str, Any] = {"max_epochs": 2}
APPLICATIONS = {
    "topics": (engram.TopicModel, {"n_topics": 2}, TEXTS, "diversity"),
    "recommendation": (engram.Recommender, {"code_size": 4}, EVENTS, "ndcg@100"),
    "synthesis": (engram.Synthesizer, {"model": "vae"}, TABLE, "detection"),
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_runs_of_an_application_are_compared_by_its_own_measures(name: str) -> None:
    cls, given, rows, measure = APPLICATIONS[name]
    fitted = [cls(**given, **QUICK, random_state=seed).fit(rows) for seed in (0, 1)]
    other = cls(**given, max_epochs=3, random_state=0).fit(rows)
    found = engram.compare({"one": fitted[0], "two": fitted[1], "other": other}, rows)
    reports = [engram.evaluate(model, rows) for model in (*fitted, other)]
    assert found.names() == reports[0].names()
    first, second = found.subjects()[:2]
    assert "(2 seeds)" in first
    assert second == "other"
    for subject, own in ((first, reports[:2]), (second, reports[2:])):
        standing = found.standing(measure, subject)
        assert standing is not None
        assert list(standing.values) == [report.result(measure, report.model).value for report in own]  # type: ignore[union-attr]
    for result in reports[0].baselines:
        same = found.standing(result.name, result.subject) or found.standing(result.name, f"{result.subject} ({first})")
        assert same is not None
        assert same.values[0] == result.value
    assert measure in found.to_html()
    with pytest.raises(UsageError, match="measures of its own"):
        engram.compare(fitted, rows, metrics=["r2"])


def test_what_looks_least_like_generated_rows_is_the_best() -> None:
    models = [engram.Synthesizer(model="vae", **QUICK, random_state=seed).fit(TABLE) for seed in (0, 1)]
    found = engram.compare({"one": models[0], "two": models[1].set_params(random_state=1)}, TABLE)
    told = [s for s in found.standings if s.name == "detection" and s.subject != "real rows"]
    assert abs(next(s for s in told if s.best).value - 0.5) == min(abs(s.value - 0.5) for s in told)


def test_seeds_share_baselines_and_documents_so_no_error_shrinks_with_their_number() -> None:
    three = [engram.TopicModel(n_topics=3, **QUICK, random_state=seed).fit(TEXTS) for seed in (0, 1, 2)]
    other = engram.TopicModel(n_topics=2, **QUICK, random_state=0).fit(TEXTS)
    found = engram.compare([*three, other], TEXTS)
    alone = engram.evaluate(three[0], TEXTS)
    (baseline,) = [
        s for s in found.standings if s.name == "coherence" and s.subject.startswith("nmf") and "seeds" in s.subject
    ]
    assert baseline.values == (alone.result("coherence", "nmf").value,)  # type: ignore[union-attr]
    assert baseline.error == alone.result("coherence", "nmf").error  # type: ignore[union-attr]
    errors = [engram.evaluate(model, TEXTS).result("coherence", "TopicModel").error for model in three]  # type: ignore[union-attr]
    own = found.standing("coherence", found.subjects()[0])
    assert own is not None
    assert own.error == pytest.approx(np.mean(errors))


def test_values_as_far_from_a_half_on_either_side_are_level() -> None:
    made = [
        Result("detection", name, value, math.nan, HALF, "", {}) for name, value in (("a", 0.4), ("b", 0.6), ("c", 0.9))
    ]
    told = {s.subject: s.best or s.level for s in standings_of(made, {})}
    assert told == {"a": True, "b": True, "c": False}


def test_topics_differ_in_number_and_so_do_their_baselines() -> None:
    models = {f"{n}": engram.TopicModel(n_topics=n, **QUICK, random_state=0).fit(TEXTS) for n in (2, 3)}
    assert {"nmf (2)", "nmf (3)", "lda (2)", "lda (3)"} <= set(engram.compare(models, TEXTS).subjects())


def test_different_applications_are_refused(tmp_path: Path) -> None:
    topics = engram.TopicModel(n_topics=2, **QUICK, random_state=0).fit(TEXTS)
    codes = engram.VAE(kind="counts", **QUICK, random_state=0).fit(TEXTS)
    with pytest.raises(UsageError, match=r"'a' is a TopicModel and 'b' a VAE, .* judge each with evaluate"):
        engram.compare({"a": topics, "b": codes}, TEXTS)
    for name, model in (("a", topics), ("b", codes)):
        model.save(tmp_path / name)
    pd.DataFrame({"text": TEXTS}).to_csv(tmp_path / "texts.csv", index=False)
    command("compare", tmp_path / "a", tmp_path / "b", tmp_path / "texts.csv", code=2)
    done = answer("compare", tmp_path / "a", tmp_path / "texts.csv")
    assert {s["name"] for s in done["result"]["comparison"]["standings"]} == {"coherence", "diversity"}


def test_without_labels_anomalies_are_planted_as_in_a_report() -> None:
    models = [engram.AnomalyDetector(**QUICK, random_state=seed).fit(TABLE) for seed in (0, 1)]
    found, reports = engram.compare(models, TABLE), [engram.evaluate(model, TABLE) for model in models]
    assert found.names() == reports[0].names() == ["auroc"]
    own = found.standing("auroc", found.subjects()[0])
    assert own is not None
    assert own.values == tuple(report.metrics[0].value for report in reports)
    assert any("rows were planted" in note for note in found.protocol["notes"])
    assert found.protocol["rows"] == 80
