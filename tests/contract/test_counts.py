"""Rows of counts: matrices, DataFrames and documents in, the same words whatever the form, odd input told plainly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import engram
from engram.data import Counts, DataWarning, Table, as_kind
from engram.errors import DataError, DataTypeError, UsageError
from engram.likelihoods import Multinomial, NegativeBinomial, Poisson

MATRIX = np.random.default_rng(0).poisson(0.3, (30, 6))
WORDS = ["apple", "bear", "cat", "dog", "elk", "fox"]
TEXTS = [" ".join(w for w, n in zip(WORDS, row, strict=True) for _ in range(n)) for row in MATRIX]


def counted(kind: Counts, raw: Any) -> np.ndarray:
    return kind.encode(kind.conform(raw)).x.numpy()


@pytest.mark.parametrize(
    "raw",
    [
        sparse.csr_matrix(MATRIX),
        sparse.csc_array(MATRIX),
        MATRIX,
        MATRIX.astype(np.float64),
        torch.from_numpy(MATRIX),
        pd.DataFrame(MATRIX, columns=WORDS),
        TEXTS,
        pd.Series(TEXTS),
        np.array(TEXTS, dtype=object),
        pd.DataFrame({"body": TEXTS}),
        pd.DataFrame({"id": range(30), "body": TEXTS}),
    ],
    ids=[
        "csr",
        "csc",
        "array",
        "floats",
        "tensor",
        "frame",
        "list",
        "series",
        "objects",
        "column",
        "column among others",
    ],
)
def test_all_forms_of_the_same_counts_are_the_same_rows(raw: Any) -> None:
    kind = Counts(max_df=1.0, min_df=1).fit(raw)
    assert (counted(kind, raw) == MATRIX).all()
    again = Counts.from_dict(json.loads(json.dumps(kind.to_dict())))
    assert (counted(again, raw) == MATRIX).all()
    assert (counted(kind, raw[3:7]) == MATRIX[3:7]).all()
    assert kind.shape == again.shape == (6,)
    assert again.columns == kind.columns
    assert again.describe() == kind.describe()
    back = kind.decode(torch.from_numpy(MATRIX[:4]).float())
    back = back.toarray() if sparse.issparse(back) else np.asarray(back)
    assert (back == MATRIX[:4]).all()


def test_the_kind_is_never_found_out_and_can_be_asked_for() -> None:
    assert as_kind(MATRIX)[0].name == "table"
    assert as_kind(MATRIX, "counts")[0].name == "counts"
    assert as_kind(Counts(MATRIX))[0].name == "counts"
    assert as_kind(Table(pd.DataFrame(MATRIX, columns=WORDS)), "counts")[0].name == "counts"
    with pytest.raises(DataTypeError, match="two dimensions"):
        as_kind(np.zeros((3, 4, 5)), "counts")


def test_words_that_were_not_seen_are_counted_and_said() -> None:
    kind = Counts().fit(TEXTS)
    with pytest.warns(DataWarning, match=r"not in the vocabulary were left out \(3 words\)"):
        x = counted(kind, ["apple zebra zebra", "yak bear bear", ""])
    assert x.tolist() == [[1, 0, 0, 0, 0, 0], [0, 2, 0, 0, 0, 0], [0] * 6]


def test_a_kind_of_a_list_of_texts_reads_a_table_with_one_column_of_texts() -> None:
    kind = Counts().fit(TEXTS)
    before = kind.findings()
    assert (counted(kind, pd.DataFrame({"n": range(30), "body": TEXTS})) == MATRIX).all()
    assert kind.findings() == before  # applying tells nothing of the fit
    with pytest.raises(DataError, match="no column holds texts"):
        kind.conform(pd.DataFrame({"n": range(30)}))


def test_rare_and_frequent_words_are_not_counted_and_the_fit_says_so() -> None:
    texts = [f"the {'sun' if i % 2 else 'moon'} unique{i}" for i in range(40)]
    kind = Counts().fit(texts)
    assert kind.words == ["moon", "sun"]
    told = " ".join(kind.findings())
    assert "40 of 120 words are too rare" in told
    assert "too many documents" in told
    assert "the" in told
    assert "unique" not in json.dumps(kind.to_dict())  # nothing of a single document is kept
    assert counted(kind, ["the sun"]).tolist() == [[0, 1]]  # without a warning: the word is known, and left out


def test_a_vocabulary_and_settings_of_reading_are_kept() -> None:
    kind = Counts(vocabulary=["fox", "apple"], lowercase=False).fit([*TEXTS, "Fox fox"])
    assert kind.words == ["fox", "apple"]
    again = Counts.from_dict(json.loads(json.dumps(kind.to_dict())))
    with pytest.warns(DataWarning, match="left out"):
        assert counted(again, ["Fox fox apple"]).tolist() == [[1, 1]]
    named = Counts(vocabulary=WORDS).fit(sparse.csr_array(MATRIX))
    assert named.columns == WORDS
    with pytest.raises(DataError, match="5 words"):
        Counts(vocabulary=WORDS[:5]).fit(MATRIX)
    with pytest.raises(DataError, match="twice"):
        Counts(vocabulary=["a", "a"])
    with pytest.raises(UsageError, match="stop_words"):
        Counts(stop_words="englisch")
    with pytest.raises(UsageError, match="no regular expression"):
        Counts(token="(")
    with pytest.raises(UsageError, match="min_df"):
        Counts(min_d=3)


def test_stop_words_are_left_out() -> None:
    kind = Counts(stop_words="english", min_df=1, max_df=1.0).fit(["the cat and the dog", "a dog"] * 15)
    assert kind.words == ["cat", "dog"]


@pytest.mark.parametrize(
    ("raw", "error", "told"),
    [
        (MATRIX - 1, DataError, "negative"),
        (MATRIX * 0.5, DataError, "no whole numbers"),
        (np.where(MATRIX > 1, np.nan, MATRIX), DataError, "missing or infinite"),
        (np.where(MATRIX > 1, np.inf, MATRIX), DataError, "missing or infinite"),
        (sparse.csr_array(-1.0 * MATRIX), DataError, "negative"),
        (np.zeros((5, 3)), DataError, "all counts are zero"),
        (np.zeros((0, 3)), DataError, "0 rows"),
        (["", "", ""], DataError, "no word"),
        ([" ", "!"], DataError, "no word"),
        (["text", 3], DataError, "document 1 is an int, not a text"),
        (pd.DataFrame({"a": TEXTS, "b": TEXTS}), UsageError, "Say which one"),
        (pd.DataFrame({"a": [1.0, np.nan]}), DataError, "missing"),
    ],
    ids=[
        "negative",
        "weights",
        "nan",
        "inf",
        "sparse",
        "zeros",
        "no rows",
        "empty",
        "no words",
        "mixed",
        "two texts",
        "hole",
    ],
)
def test_what_cannot_be_counts_is_said_plainly(raw: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Counts().fit(raw)


def test_empty_rows_and_words_of_no_row_are_findings() -> None:
    x = MATRIX.copy()
    x[4], x[:, 2] = 0, 0
    told = Counts().fit(x).findings()
    assert any("of 30 rows have only zeros" in text for text in told)
    assert any("1 of 6 words is in no row" in text for text in told)


def test_a_column_wish_says_where_documents_are() -> None:
    frame = pd.DataFrame({"title": ["x"] * 30, "body": TEXTS, "year": 2000})
    kind, raw = as_kind(frame, "counts", columns={"body": "text"})
    assert (counted(kind.fit(raw), frame) == MATRIX).all()
    fitted = Counts(columns={"title": "drop"}).fit(frame)
    assert (counted(fitted, frame) == MATRIX).all()
    said = "documents are the column 'body'; the other columns are not looked at"
    assert fitted.findings().count(said) == 1
    assert said not in Counts(columns={"title": "drop", "year": "drop"}).fit(frame).findings()
    with pytest.raises(UsageError, match="body"):
        Counts(columns={"bodi": "text"}).fit(frame)
    with pytest.raises(DataError, match="is missing"):
        kind.conform(frame.drop(columns="body"))


def test_columns_of_a_frame_are_found_by_name() -> None:
    frame = pd.DataFrame(MATRIX, columns=WORDS)
    kind = Counts().fit(frame)
    assert (counted(kind, frame[WORDS[::-1]]) == MATRIX).all()
    assert kind.feature_names() == WORDS
    with pytest.raises(DataError, match="cat"):
        kind.conform(frame.drop(columns="cat"))
    with pytest.raises(DataError, match="5 features"):
        Counts().fit(MATRIX).conform(MATRIX[:, :5])


def test_folders_of_texts_and_files_of_matrices_are_read(tmp_path: Path) -> None:
    for i, text in enumerate(TEXTS):
        folder = tmp_path / "docs" / ("even" if i % 2 == 0 else "odd")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:02}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "docs" / "odd" / "broken.txt").write_bytes(b"\xff\xfe\xff")
    source = Counts().read(tmp_path / "docs")
    assert len(source.rows) == 30
    assert set(source.y) == {"even", "odd"}
    assert "broken.txt" in source.notes[0]
    kind, raw = as_kind(str(tmp_path / "docs"), "counts")
    assert counted(kind.fit(raw), raw).sum() == MATRIX.sum()
    sparse.save_npz(tmp_path / "bow.npz", sparse.csr_matrix(MATRIX))
    kind, raw = as_kind(tmp_path / "bow.npz", "counts")
    assert (counted(kind.fit(raw), raw) == MATRIX).all()
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no text files"):
        Counts().read(tmp_path / "none")


def test_likelihoods_are_those_of_counts() -> None:
    found = {
        name: Counts(likelihood=name).fit(MATRIX).likelihood() for name in ("auto", "poisson", "negative-binomial")
    }
    assert [type(one) for one in found.values()] == [Multinomial, Poisson, NegativeBinomial]
    assert found["auto"].trials == pytest.approx(MATRIX.sum(1)[MATRIX.sum(1) > 0].mean())
    with pytest.raises(UsageError, match="multinomial, poisson"):
        Counts(likelihood="normal").fit(MATRIX)


@pytest.mark.parametrize("likelihood", ["multinomial", "poisson", "negative-binomial"])
@pytest.mark.parametrize("name", ["autoencoder", "sparse-autoencoder", "vae"])
def test_autoencoders_learn_codes_of_counts(name: str, likelihood: str, tmp_path: Path) -> None:
    model = engram.create(name, kind="counts", likelihood=likelihood, code_size=2, max_epochs=3, random_state=0).fit(
        TEXTS
    )
    codes = model.transform(TEXTS)
    assert codes.shape == (30, 2)
    assert np.isfinite(codes).all()
    assert (model.transform(TEXTS[4:9]) == codes[4:9]).all()
    assert np.isfinite(model.score_samples(TEXTS)).all()
    assert list(model.reconstruct(TEXTS).columns) == WORDS
    model.save(tmp_path / "run")
    assert (engram.load(tmp_path / "run").transform(TEXTS) == codes).all()
    assert engram.evaluate(model, TEXTS).to_text()
