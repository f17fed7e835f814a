"""Counts: how often each word is in each document, or any other matrix of counts that is zero for the most part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from engram.data.cells import Array
from engram.data.documents import Reading, are_texts, as_texts, is_hole, read_folder
from engram.data.kind import Kind, warn_notes
from engram.data.rows import Note, Rows
from engram.data.source import Source, read
from engram.data.sparse import SparseStream, consistent, dense, saved_matrix
from engram.data.stream import RowStream
from engram.data.table import Table
from engram.errors import DataError, DataTypeError, UsageError, column_as, lacks_columns, nearest
from engram.likelihoods import LIKELIHOODS, Likelihood, Multinomial

OF_COUNTS = ("multinomial", "poisson", "negative-binomial")
UNSEEN = Note("words that are not in the vocabulary were left out", "word")
NAMED = 5  # words that a message names


class Counts(Kind):
    """Rows of counts 0, 1, 2, ...: a sparse matrix, an array, a DataFrame whose columns are words, or documents.

    Documents are a list or Series of texts, a DataFrame or CSV file with a column of texts, or a folder of .txt files. Their words
    are found by scikit-learn's ``CountVectorizer``; its settings and the vocabulary are kept with the model.

    Parameters
    ----------
    raw : sparse matrix, array, DataFrame, Series, list or path, optional
        The data to wrap.
    vocabulary : sequence of str, optional
        Names of the columns of a matrix; of documents the words that are counted.
    columns : dict, optional
        Of a DataFrame: {"body": "text"} says which column the documents are, {"id": "drop"} leaves one out.
    likelihood : str
        Distribution of a row: "auto" and "best" (multinomial: the counts given their sum), "poisson" or "negative-binomial".
    header : bool, optional
        Of a CSV file, whether its first line names the columns.
    lowercase, token, stop_words, min_df, max_df, max_words
        How words are found in documents, see `engram.data.documents.Reading`.
    """

    name = "counts"
    metrics: ClassVar[tuple[str, ...]] = ()
    baselines: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        raw: Any = None,
        *,
        vocabulary: Sequence[str] | None = None,
        columns: dict[Any, str] | None = None,
        likelihood: str = "auto",
        header: bool | None = None,
        **reading: Any,
    ) -> None:
        self.raw, self.header = raw, header
        self.wishes = dict(columns or {})
        self.count_likelihood = likelihood
        self.given = None if vocabulary is None else _checked_words(vocabulary)
        try:
            self.reading = Reading(**reading)
        except TypeError:
            unknown = sorted(set(reading) - set(Reading().to_dict()))
            raise UsageError(f"unknown {unknown[0]!r}. {nearest(unknown[0], Reading().to_dict())}") from None
        self.form = ""  # "texts", "sparse", "array" or "frame"
        self.text: Any = None  # the column that documents stand in
        self.trials = 1.0
        self.frequent: list[str] = []  # words that too many documents have: not counted, and nothing to tell
        self.told: list[str] = []
        self._counted: tuple[Any, Any] | None = None  # documents that `fit` saw, and their counts

    def with_wishes(self, *, columns: Any = None, likelihood: str = "auto") -> Counts:
        """Return a copy that takes the model's wishes where the wrapper has none of its own."""
        found = Counts(
            vocabulary=self.given,
            columns=self.wishes or columns,
            likelihood=self.count_likelihood if likelihood == "auto" else likelihood,
            header=self.header,
        )
        found.reading = self.reading
        return found

    @classmethod
    def taking(cls, other: Kind) -> Counts | None:
        """Return the kind for rows that are given as a table, with its wishes about columns of texts."""
        if not isinstance(other, Table):
            return None
        found = cls(other.raw, columns=other.wishes, header=other.header)
        found.notes = other.notes
        return found

    def around(self, raw: Any, notes: tuple[str, ...] | None = None) -> Counts:
        """Return these wishes and notes around other rows, e.g. around some of them."""
        found = self.with_wishes()
        found.raw, found.notes = raw, self.notes if notes is None else notes
        return found

    def read(self, source: Any) -> Source:
        """Read documents: a folder of text files, else what `engram.data.read` reads; a matrix that SciPy saved."""
        path = Path(source) if isinstance(source, str | Path) else None
        if path is not None and path.is_dir():
            return read_folder(path)
        matrix = saved_matrix(source)
        if matrix is not None:
            return Source(str(source), SparseStream(matrix))
        return read(source, header=self.header)

    @classmethod
    def accepts(cls, raw: Any) -> str | None:
        if sparse.issparse(raw) or isinstance(raw, SparseStream | pd.DataFrame):
            return None
        if isinstance(raw, RowStream):
            return "files that do not fit into memory cannot be counts yet; give a sparse matrix"
        if isinstance(raw, list | tuple | pd.Series) and are_texts(raw):
            return None
        array = np.asarray(raw) if not isinstance(raw, Tensor) else raw.numpy()
        return _why_no_texts(array) if array.ndim == 1 else _why_no_counts(array)

    @property
    def rows_are(self) -> str:  # type: ignore[override]
        """What a row is, in messages."""
        return "documents" if self.form == "texts" else "rows"

    # --- fitting ---

    def fit(self, raw: Any) -> Counts:
        self.likelihood_class()
        self.form = self._form(raw)
        if self.form == "texts":
            matrix = self._fit_texts(raw)
        else:
            matrix = self._numbers(raw)
            self._name_columns(raw, matrix.shape[1])
        self._lay_out()
        totals = np.asarray(matrix.sum(1)).ravel()
        if not len(totals):
            raise DataError("Found array with 0 rows of counts while a minimum of 1 is required.")
        if not totals.any():
            raise DataError("all counts are zero, so there is nothing to learn from. Give rows with some counts.")
        self.trials = float(totals[totals > 0].mean())
        empty = int((totals == 0).sum())
        if empty:
            what = "no word that is counted" if self.form == "texts" else "only zeros"
            told = f"{empty} of {len(totals)} {self.rows_are} {'has' if empty == 1 else 'have'} {what}"
            them = "it" if empty == 1 else "them"
            self.told.append(f"{told}, so nothing can be learned from {them} or told of {them}")
        never = int((np.asarray(matrix.sum(0)).ravel() == 0).sum())
        if never:
            self.told.append(f"{never} of {matrix.shape[1]} words {'is' if never == 1 else 'are'} in no row")
        return self

    def _form(self, raw: Any) -> str:
        reason = self.accepts(raw)
        if reason is not None:
            raise DataTypeError(f"not counts: {reason}.")
        if sparse.issparse(raw) or isinstance(raw, SparseStream):
            return "sparse"
        if isinstance(raw, pd.DataFrame):
            self.text = self._text_column(raw)
            if self.text is not None and self._counts_of(raw).shape[1] > 1:
                self.told.append(f"documents are the column {str(self.text)!r}; the other columns are not looked at")
            return "frame" if self.text is None else "texts"
        return "texts" if isinstance(raw, list | tuple | pd.Series) or np.asarray(raw).ndim == 1 else "array"

    def _text_column(self, frame: pd.DataFrame) -> Any:
        """Return the column that documents stand in, None where all columns are counts."""
        names = {str(column): column for column in frame.columns}
        for wish in self.wishes:
            if str(wish) not in names:
                raise UsageError(f"columns= names {wish!r}, which these data do not have. {nearest(str(wish), names)}")
        asked = [names[str(name)] for name, kind in self.wishes.items() if kind == "text"]
        dropped = {str(name) for name, kind in self.wishes.items() if kind == "drop"}
        left = [column for name, column in names.items() if name not in dropped]
        texts = asked or [column for column in left if not pd.api.types.is_numeric_dtype(frame[column].dtype)]
        if len(texts) > 1:
            shown = ", ".join(repr(str(column)) for column in texts[:NAMED])
            raise UsageError(
                f"{len(texts)} columns hold texts ({shown}). Say which one the documents are: {column_as(str(texts[0]), 'text')}."
            )
        return texts[0] if texts else None

    def _fit_texts(self, raw: Any) -> Any:
        texts = self._texts(raw)
        self.words, self.frequent = (self.given, []) if self.given else self.reading.learned(texts)
        matrix, other, total = self.reading.counted(texts, self.words, self.frequent)
        if other:
            why = "not in the vocabulary that was given" if self.given else "too rare"
            self.told.append(f"{other:,} of {total:,} words {'is' if other == 1 else 'are'} {why}, and not counted")
        if self.frequent:
            shown, n = ", ".join(self.frequent[:NAMED]), len(self.frequent)
            words = "1 word is" if n == 1 else f"{n} words are"
            self.told.append(f"{words} in too many documents to be counted ({shown})")
        self._counted = (raw, matrix)
        return matrix

    def _texts(self, raw: Any) -> list[str]:
        if isinstance(raw, pd.DataFrame):
            text = self._text_column(raw) if self.text is None else self.text  # fitted to a list of texts
            if text is None:
                raise DataError(
                    "no column holds texts. Give documents: a list of texts, or a table with a column of them."
                )
            if text not in raw.columns:
                raise DataError(
                    f"the column {str(text)!r} with the documents is missing. {nearest(str(text), map(str, raw.columns))}"
                )
            raw = raw[text]
        return as_texts(raw)

    def _name_columns(self, raw: Any, n: int) -> None:
        if self.given is not None:
            if len(self.given) != n:
                raise DataError(f"vocabulary has {len(self.given)} words, and these counts have {n} columns.")
            self.words = self.given
        elif self.form == "frame":
            self.words = [str(column) for column in self._counts_of(raw).columns]
        else:
            self.words = [f"word {i}" for i in range(n)]

    def _counts_of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the columns of a DataFrame that are counts."""
        return frame[[c for c in frame.columns if self.wishes.get(c, self.wishes.get(str(c))) != "drop"]]

    def _lay_out(self) -> None:
        self.shape = (len(self.words),)
        self.columns = self.words
        self.groups = None
        self.log_volume = torch.zeros(len(self.words))

    # --- rows in ---

    def conform(self, raw: Any, *, reader: str = "this model") -> SparseStream:
        """Return the counts as a sparse matrix of rows; words of documents that are not in the vocabulary are left out, which is said."""
        if self.form == "texts" and not (sparse.issparse(raw) or isinstance(raw, SparseStream)):
            return SparseStream(self._count(raw))
        matrix = self._numbers(raw, reader)
        if matrix.shape[1] != len(self.words):
            raise DataError(
                f"X has {matrix.shape[1]} features, but {reader} is expecting {len(self.words)} features as input."
            )
        return raw if isinstance(raw, SparseStream) else SparseStream(matrix)

    def _count(self, raw: Any) -> Any:
        if self._counted is not None and self._counted[0] is raw:
            matrix, self._counted = self._counted[1], None
            return matrix
        reason = self.accepts(raw)
        if reason is not None:
            raise DataTypeError(f"not documents: {reason}.")
        matrix, other, _ = self.reading.counted(self._texts(raw), self.words, self.frequent)
        if other:
            warn_notes([{UNSEEN: other}])
        return matrix

    def _numbers(self, raw: Any, reader: str = "this model") -> Any:
        """Return counts as a sparse matrix, checked."""
        if isinstance(raw, SparseStream):
            return _checked(raw.matrix)
        reason = self.accepts(raw)
        if reason is not None:
            raise DataTypeError(f"not counts: {reason}.")
        if isinstance(raw, pd.DataFrame):
            raw = self._framed(raw, reader)
        elif isinstance(raw, Tensor):
            raw = raw.numpy()
        raw = consistent(raw) if sparse.issparse(raw) else np.asarray(raw)
        if 0 in raw.shape:
            raise DataError(
                f"Found array with {raw.shape[0]} rows and {raw.shape[1]} columns (shape={raw.shape}) while a minimum of 1 is required."
            )
        return _checked(sparse.csr_array(raw))

    def _framed(self, raw: pd.DataFrame, reader: str) -> Any:
        frame = self._counts_of(raw)
        if hasattr(self, "shape"):
            by_text = {str(column): column for column in frame.columns}
            missing = [word for word in self.words if word not in by_text]
            if missing:
                raise DataError(lacks_columns(missing, reader, by_text))
            frame = frame[[by_text[word] for word in self.words]]
        bad = [str(c) for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c].dtype)]
        if bad:
            raise DataError(f"column {bad[0]!r} holds no counts. Leave it out with {column_as(bad[0], 'drop')}.")
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)

    def encode(self, conformed: Any) -> Rows:
        return Rows(dense(conformed))

    # --- rows out ---

    def decode(self, x: Tensor) -> Any:
        """Return counts in the form of the fit; for documents a DataFrame with a column for each word."""
        values = x.detach().cpu().numpy()
        if self.form == "sparse":
            return sparse.csr_array(values)
        return values if self.form == "array" else pd.DataFrame(values, columns=self.words)

    # --- what suits the rows ---

    def likelihood_class(self) -> type[Likelihood]:
        """Return the distribution of a row; raise `UsageError` for one that is none of counts."""
        chosen = "multinomial" if self.count_likelihood in ("auto", "best") else self.count_likelihood
        if chosen not in OF_COUNTS:
            raise UsageError(f"likelihood {chosen!r} is not for rows of counts. Use one of {', '.join(OF_COUNTS)}.")
        return LIKELIHOODS[chosen]

    def likelihood(self) -> Likelihood:
        found = self.likelihood_class()
        return Multinomial(self.shape, self.trials) if found is Multinomial else found(self.shape)

    def network(self) -> str:
        return "mlp"

    def feature_names(self) -> list[str] | None:
        return self.words if self.form == "frame" else None

    def findings(self) -> list[str]:
        return [*self.notes, *self.told]

    def describe(self) -> list[tuple[str, str]]:
        shown = ", ".join(self.words[:NAMED]) + ", ..." * (len(self.words) > NAMED)
        told = f"{len(self.words):,} words ({shown}), {self.trials:.3g} in a row on average"
        return [("counts" if self.text is None else str(self.text), told)]

    def to_dict(self) -> dict[str, Any]:
        return {
            "given_as": self.form,
            "text": self.text,
            "words": self.words,
            "frequent": self.frequent,
            "likelihood": self.count_likelihood,
            "trials": self.trials,
            "wishes": {str(name): kind for name, kind in self.wishes.items()},
            "reading": self.reading.to_dict(),
            "header": self.header,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Counts:
        found = cls(columns=state["wishes"], likelihood=state["likelihood"], header=state["header"], **state["reading"])
        found.form, found.text, found.trials = str(state["given_as"]), state["text"], float(state["trials"])
        found.words, found.frequent = _checked_words(state["words"]), [str(word) for word in state["frequent"]]
        found._lay_out()
        return found


def _checked_words(words: Sequence[str]) -> list[str]:
    """Return a vocabulary as a list of different texts."""
    if isinstance(words, str):
        raise UsageError("vocabulary= is a list of words, not one text.")
    found = [str(word) for word in words]
    if not found or len(set(found)) < len(found):
        twice = next((word for word in found if found.count(word) > 1), "")
        raise DataError(f"vocabulary has the word {twice!r} twice." if found else "vocabulary has no words.")
    return found


def _why_no_texts(array: Array) -> str | None:
    if all(map(is_hole, array)):
        return "all documents are missing" if len(array) else "there are no documents"
    if array.dtype.kind in "OUST" and are_texts(array):
        return None
    return "counts have two dimensions (rows, words), these data have 1; documents are texts, one a row"


def _why_no_counts(array: Array) -> str | None:
    if array.ndim != 2:
        return f"counts have two dimensions (rows, words), these data have {array.ndim}; documents are texts, one a row"
    return None if array.dtype.kind in "fuib" else f"counts are numbers, these are of type {array.dtype}"


def _checked(matrix: Any) -> Any:
    """Return a matrix all of whose entries are counts."""
    values = matrix.data
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(
            f"{int((~np.isfinite(values)).sum())} counts are missing or infinite. Write 0 where nothing was counted."
        )
    if values.dtype.kind in "fi" and (values < 0).any():
        raise DataError(
            f"{int((values < 0).sum())} counts are negative (the least is {values.min():g}). Counts are 0, 1, 2, ..."
        )
    if values.dtype.kind == "f" and (values != np.round(values)).any():
        broken = values[values != np.round(values)]
        raise DataError(
            f"{len(broken)} values are no whole numbers ({broken[0]:g}, for example). Give counts, not weights such as TF-IDF."
        )
    return matrix
