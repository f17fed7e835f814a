"""TopicModel: what a user relies on, in Python and on the command line."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import engram
from engram import TopicModel
from engram.apps import topics as apps
from engram.cli import program
from engram.data import Counts, DataWarning
from engram.data.source import read
from engram.errors import DataError, RunError, UsageError
from engram.evaluation import topic_sections, topics
from engram.metrics.topics import npmi, word_pairs
from engram.models import model as models
from engram.training.history import History

rng = np.random.default_rng(0)
SUBJECTS = ("star", "ball", "soup", "law")
ABOUT = np.arange(160) % 4
TEXTS = [
    " ".join([*(f"{SUBJECTS[k]}{i}" for i in rng.integers(0, 8, 12)), *(f"thing{i}" for i in rng.integers(0, 30, 3))])
    for k in ABOUT
]


@pytest.fixture(scope="module")
def model() -> Any:
    return TopicModel(n_topics=4, random_state=0).fit(TEXTS)


def test_topics_that_are_there_are_found_without_labels(model: Any) -> None:
    words = model.top_words(6)
    assert len(words) == 4
    assert all(len(topic) == 6 for topic in words)
    assert sorted({word.rstrip("0123456789") for word in topic}.pop() for topic in words) == sorted(SUBJECTS)
    assert all(len({word.rstrip("0123456789") for word in topic}) == 1 for topic in words)
    main = model.predict(TEXTS)
    assert all(len(set(main[k == ABOUT])) == 1 for k in range(4))


def test_rows_of_topics_sum_to_one_and_do_not_see_each_other(model: Any) -> None:
    shares, codes, features = model.transform(TEXTS), model.codes(TEXTS), model.features(TEXTS)
    assert shares.dtype == codes.dtype == np.float32
    assert shares.sum(1) == pytest.approx(np.ones(160), abs=1e-6)
    assert np.linalg.norm(codes, axis=1) == pytest.approx(np.ones(160), abs=1e-5)
    for rows in (slice(3, 4), slice(10, 27), slice(None, None, -1), slice(0, 100)):
        assert (model.transform(TEXTS[rows]) == shares[rows]).all()
        assert (model.codes(TEXTS[rows]) == codes[rows]).all()
        assert (model.features(TEXTS[rows]) == features[rows]).all()
    assert list(model.get_feature_names_out()) == [f"topicmodel{i}" for i in range(4)]


def test_the_same_seed_gives_the_same_topics_and_a_saved_model_too(model: Any, tmp_path: Path) -> None:
    again = TopicModel(n_topics=4, random_state=0).fit(TEXTS)
    assert (again.transform(TEXTS) == model.transform(TEXTS)).all()
    model.save(tmp_path / "run")
    loaded = engram.load(tmp_path / "run")
    assert (loaded.transform(TEXTS) == model.transform(TEXTS)).all()
    assert loaded.top_words() == model.top_words()
    assert loaded.coherence() == model.coherence()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir())
    assert not any(text.encode() in kept for text in TEXTS)


def test_coherence_of_the_fit_is_that_of_its_documents(model: Any) -> None:
    assert model.coherence() == pytest.approx(model.coherence(TEXTS))
    assert model.coherence(n=5) == pytest.approx(model.coherence(TEXTS, n=5))
    counts = model.kind_.conform(TEXTS)[:]
    number = {word: i for i, word in enumerate(model.words_)}
    words = np.array([[number[word] for word in topic] for topic in model.top_words(10)])
    assert model.coherence() == pytest.approx(npmi(word_pairs(counts, words), 160).mean())
    with pytest.raises(UsageError, match="first 20 words"):
        model.coherence(n=25)
    assert np.isfinite(model.coherence(TEXTS, n=25))


def test_similar_documents_share_a_topic_and_are_never_the_document_itself(model: Any) -> None:
    found = model.similar(TEXTS, n=3)
    assert list(found.columns) == ["row", "similar", "similarity"]
    assert len(found) == 3 * 160
    assert (found.row != found.similar).all()
    assert (ABOUT[found.row] == ABOUT[found.similar]).all()
    assert all((np.diff(own.similarity) <= 0).all() for _, own in found.groupby("row"))
    assert len(model.similar(TEXTS[:3], n=10)) == 3 * 2
    with pytest.raises(DataError, match="1 of 1 documents has a known word, and it takes two"):
        model.similar(TEXTS[:1])


def test_documents_without_a_known_word_are_like_none(model: Any) -> None:
    with pytest.warns(DataWarning) as told:
        found = model.similar(["", *TEXTS[:3], "zzzz", " "], n=9)
    assert found["row"].tolist() == [1, 1, 2, 2, 3, 3]
    assert set(found["similar"]) == {1, 2, 3}
    said = [str(one.message) for one in told]
    assert "documents have no known word, so nothing can be told of them (3 documents)" in said
    assert "words that are not in the vocabulary were left out (1 word)" in said
    assert all(one.filename == __file__ for one in told)
    with pytest.warns(DataWarning, match="2 documents"), pytest.raises(DataError, match="1 of 3 documents has"):
        model.similar(["", TEXTS[0], ""])
    with pytest.warns(DataWarning, match="no known word") as told:
        report = engram.evaluate(model, ["", "", "", "", *TEXTS[:40]], random_state=1)
    assert len(told) == 1
    assert not any("document 0" in line for line in report.lines)
    assert report.look  # later, and without saying it again: warnings are errors here
    assert report.pictures


def test_empty_documents_and_unknown_words(model: Any) -> None:
    with pytest.warns(DataWarning, match="left out"), pytest.warns(DataWarning, match="2 documents"):
        shares = model.transform(["zebra yak", ""])
    assert np.isfinite(shares).all()
    assert (shares[0] == shares[1]).all()
    fitted = TopicModel(n_topics=2, max_epochs=2, random_state=0).fit([*TEXTS[:20], "", ""])
    assert any("2 of 22 documents have no word" in str(finding) for finding in fitted.findings_)
    fitted = TopicModel(n_topics=2, max_epochs=2, random_state=0).fit([*TEXTS[:20], ""])
    assert any("1 of 21 documents has no word" in str(f) and "told of it" in str(f) for f in fitted.findings_)
    through = make_pipeline(fitted, FunctionTransformer())  # joblib stands before all steps but the last
    with pytest.warns(DataWarning) as told:
        through.fit_transform([*TEXTS[:20], ""])
    assert all(one.filename == __file__ for one in told)


@pytest.mark.parametrize("rows", [1, 2, 3, 17])
def test_any_number_of_documents_works(rows: int) -> None:
    fitted = TopicModel(n_topics=3, max_epochs=2, random_state=0).fit(sparse.csr_array(rng.poisson(2.0, (rows, 5))))
    assert fitted.transform(np.ones((2, 5))).shape == (2, 3)
    assert any(finding.kind == "many-topics" for finding in fitted.findings_) == (rows < 3)


def test_one_word_is_enough_not_to_fail() -> None:
    fitted = TopicModel(n_topics=2, max_epochs=2, random_state=0).fit(np.ones((6, 1)), vocabulary=["only"])
    assert fitted.top_words() == [["only"], ["only"]]


def test_a_vocabulary_names_the_columns_of_a_matrix() -> None:
    counts = rng.poisson(1.0, (40, 5))
    words = ["a", "b", "c", "d", "e"]
    for X in (sparse.csr_array(counts), counts, Counts(counts)):
        fitted = TopicModel(n_topics=2, max_epochs=2, random_state=0).fit(X, vocabulary=words)
        assert {word for topic in fitted.top_words() for word in topic} == set(words)
    with pytest.raises(DataError, match="4 words"):
        TopicModel(n_topics=2).fit(counts, vocabulary=words[:4])


def test_large_matrices_are_learned_from_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = sparse.csr_array(Counts(max_df=1.0).fit(TEXTS).conform(TEXTS)[:])
    whole = TopicModel(n_topics=4, random_state=0).fit(counts)
    monkeypatch.setattr("engram.data.sparse.SparseStream.enough", lambda self: 64)
    streamed = TopicModel(n_topics=4, random_state=0).fit(counts)
    assert streamed.data_["trained_on"] == 160
    assert streamed.n_iter_ == whole.n_iter_
    assert streamed._documents == 160
    main = streamed.predict(counts)
    assert all(len(set(main[k == ABOUT])) == 1 for k in range(4))


def test_the_limit_of_time_holds_for_both_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three fifths for the contrast, for topics what is left of the whole, and some where nothing is."""
    limits: list[Any] = []
    for module in (models, apps):
        monkeypatch.setattr(
            module, "train", lambda *a, to=module.train, **k: limits.append(a[4].max_time) or to(*a, **k)
        )
    fitted = TopicModel(n_topics=2, max_epochs=1, max_time=1000, random_state=0).fit(TEXTS[:20])
    assert limits[0] == 600
    assert 150 <= limits[1] < 1000
    assert fitted.settings_.max_time == 1000
    TopicModel(n_topics=2, max_epochs=1, random_state=0).fit(TEXTS[:20])
    assert limits[2:] == [None, None]
    with pytest.raises(TypeError):
        fitted._run()  # whatever goes wrong in it
    assert fitted.settings_.max_time == 1000
    assert History().left(10.0, -1e9, 0.15) == 1.5


def test_wrong_parameters_are_said() -> None:
    with pytest.raises(UsageError, match="n_topics"):
        TopicModel(n_topics=0).fit(TEXTS)
    with pytest.raises(UsageError, match="one hidden layer"):
        TopicModel(hidden=(8, 8)).fit(TEXTS)
    with pytest.raises(UsageError, match="likelihood"):
        TopicModel(likelihood="normal").fit(TEXTS)


def test_names_on_the_map_do_not_lie_over_each_other_and_the_larger_topic_is_named() -> None:
    told = {"points": [[0.0, 0.0, 1], [1.0, 1.0, 1], [0.5, 0.2, 0]], "centres": [[0.5, 0.5], [0.501, 0.5], [0.5, 0.9]]}
    told |= {"topics": [0, 1, 2], "words": ["a & b", "large topic", "far away"], "share": [0.5, 0.2], "documents": 3}
    page = topic_sections.topic_map(told)
    assert re.findall(r'class="named"[^>]*>([^<]+)<', page) == ["large topic", "far away"]
    assert re.findall(r"<title>topic (\d): ([^<]+)<", page) == [
        ("1", "large topic"),
        ("0", "a &amp; b"),
        ("2", "far away"),
    ]


def test_a_report_has_topics_beside_baselines_and_a_map(model: Any, tmp_path: Path) -> None:
    report = engram.evaluate(model, TEXTS, ABOUT, train=TEXTS)
    assert report.names() == ["coherence", "diversity", "purity", "nmi"]
    assert report.subjects() == ["TopicModel", "nmf", "lda"]
    own = report.result("purity", "TopicModel")
    assert own is not None
    assert own.value == 1.0
    told = report.to_text()
    assert "topic 0" in told
    assert "most like" in told
    assert report.pictures["topic_map"].startswith(b"\x89PNG")
    report.save_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for part in ("topics", "map", "table-0", "learning", "data", "chosen"):
        assert f'<section id="{part}">' in page
    assert page.count("Words of topic") == 4
    assert "160 documents were given to the fit" in page
    assert report.headline().startswith("Topics have coherence ")
    assert "the best simple method, " in report.headline()
    first = report.look.facts["topics"][0]
    assert first["words"] == model.top_words(10)[first["topic"]]
    assert first["weights"] == sorted(first["weights"], reverse=True)
    assert len(report.look.facts["topic_map"]["points"]) == 160
    assert not any(note.startswith(("topic", "document")) for note in report.protocol["notes"])
    assert math.isfinite(own.error)
    unlabelled = engram.evaluate(model, TEXTS)
    assert unlabelled.names() == ["coherence", "diversity"]
    assert "pass y=" in unlabelled.to_text()
    with pytest.raises(DataError, match="one document"):
        engram.evaluate(model, TEXTS[:1])


def test_noise_is_no_finding() -> None:
    """Of fifteen documents of chance words baselines find those that stand together in the half that they learn from."""
    chance = [" ".join(f"w{i}{i}" for i in np.random.default_rng(seed).integers(0, 30, 8)) for seed in range(15)]
    fitted = TopicModel(n_topics=3, max_epochs=2, random_state=0).fit(chance)
    report = engram.evaluate(fitted, chance)
    own, *others = (report.result("coherence", subject) for subject in report.subjects())
    assert own is not None
    assert any(other is not None and other.value > own.value + 0.01 for other in others)
    assert not any(f.kind == "worse-than-baseline" for f in report.findings)
    assert topics.UNFAIR in report.protocol["notes"]


def test_of_many_documents_those_that_are_looked_at_are_spread_over_all(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are often sorted."""
    monkeypatch.setattr(topics, "MOST_POINTS", 4)
    asked: list[Any] = []
    monkeypatch.setattr(model, "codes", lambda X: asked.append(X) or np.eye(4, 3, dtype=np.float32))
    counts = model.kind_.conform(TEXTS[:10])[:]
    topics.topic_map(model, counts, np.ones((10, model.n_topics)))
    told = list(topics._similar(model, counts))
    assert [(counts[[0, 3, 6, 9]] != X).nnz for X in asked] == [0, 0]
    assert [document for document, _, _ in told] == [0, 3, 6]
    assert all(other in (0, 3, 6, 9) for _, other, _ in told)


def test_a_damaged_run_is_said(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "run")
    path = tmp_path / "run" / "kind.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    state["state"]["words"] = state["state"]["words"][:-1]
    path.write_text(json.dumps(state), encoding="utf-8")
    with pytest.raises(RunError):
        engram.load(tmp_path / "run")


def test_the_commands(tmp_path: Path) -> None:
    table, run, out = tmp_path / "docs.csv", tmp_path / "run", tmp_path / "topics.csv"
    pd.DataFrame({"text": TEXTS, "about": [SUBJECTS[k] for k in ABOUT]}).to_csv(table, index=False)

    def answer(*words: object) -> Any:
        done = CliRunner().invoke(program, [*map(str, words), "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)["result"]

    planned = answer("fit", "topics", table, "--label", "about", "--dry-run")
    assert planned["kind"] == "counts"
    found = answer("fit", "topics", table, "-o", run, "--label", "about", "--n-topics", 4, "--max-epochs", 60)
    assert {"topic-map.png", "report.html"} <= set(found["files"])
    assert [one["name"] for one in found["report"]["metrics"]] == ["coherence", "diversity", "purity", "nmi"]
    answer("apply", run, table, "-o", out, "--get", "topics", "--label", "about")
    shares = pd.read_csv(out)
    assert list(shares.columns) == ["about", "topic0", "topic1", "topic2", "topic3"]
    assert shares.drop(columns="about").sum(axis=1).to_numpy() == pytest.approx(np.ones(160), abs=1e-5)
    assert answer("evaluate", run, table, "--label", "about")["report"]["metrics"]
    assert answer("inspect", run)["kind"] == "counts"
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, text in enumerate(TEXTS[:40]):
        (folder / f"{i}.txt").write_text(text, encoding="utf-8")
    answer("fit", "topics", folder, "-o", tmp_path / "other", "--n-topics", 2, "--max-epochs", 2)
    answer("apply", tmp_path / "other", folder, "-o", tmp_path / "some.csv")
    some = pd.read_csv(tmp_path / "some.csv")
    assert list(some["file"]) == sorted(f"{i}.txt" for i in range(40))
    at = int(some.index[some["file"] == "7.txt"][0])
    expected = engram.load(tmp_path / "other").transform([TEXTS[7]])[0]
    assert some.drop(columns="file").iloc[at].to_numpy() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(DataError, match=r"A folder of texts is for topics: TopicModel\(\).fit\(folder\)"):
        read(folder)
    with pytest.raises(UsageError, match="given in a list of texts"):
        engram.load(tmp_path / "other").transform("bike wheel")
    sparse.save_npz(tmp_path / "bow.npz", sparse.csr_matrix(rng.poisson(0.5, (60, 12))))
    answer("fit", "topics", tmp_path / "bow.npz", "-o", tmp_path / "third", "--n-topics", 2, "--max-epochs", 2)
    answer("apply", tmp_path / "third", tmp_path / "bow.npz", "-o", tmp_path / "shares.npy")
    assert np.load(tmp_path / "shares.npy").shape == (60, 2)
