"""Documents as words: which words are counted, how texts are read from files, and the counts as a sparse matrix."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from engram.data.source import TEXTS, Source
from engram.errors import DataError, UsageError, with_article

TOKEN = r"(?u)\b\w\w+\b"  # scikit-learn's: words of two letters or more
FEW = 20  # documents, below which every word is kept

Counted = tuple[Any, int, int]  # (documents, words) counts, words that are not in the vocabulary, words in all


@dataclass(frozen=True)
class Reading:
    """How words are found in texts: the settings of scikit-learn's ``CountVectorizer``, plain values only.

    Parameters
    ----------
    lowercase : bool
        Whether upper and lower case are one word.
    token : str
        Regular expression of a word.
    stop_words : str, list of str or None
        Words that are left out; "english" is scikit-learn's list.
    min_df : int or None
        Documents that a word must be in; None is 2, of less than twenty documents 1.
    max_df : float
        Share of documents that a word may be in at most.
    max_words : int
        Words that are kept at most, the most frequent ones.
    """

    lowercase: bool = True
    token: str = TOKEN
    stop_words: str | list[str] | None = None
    min_df: int | None = None
    max_df: float = 0.5
    max_words: int = 10_000

    def __post_init__(self) -> None:
        try:
            re.compile(self.token)
        except re.error as error:
            raise UsageError(f"token={self.token!r} is no regular expression: {error}.") from None
        if isinstance(self.stop_words, str) and self.stop_words != "english":
            raise UsageError(f"stop_words={self.stop_words!r}: give 'english' or a list of words.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def vectorizer(self, documents: int, vocabulary: Sequence[str] | None = None) -> Any:
        """Return scikit-learn's vectorizer with these settings."""
        from sklearn.feature_extraction.text import CountVectorizer

        few = documents < FEW
        least = self.min_df if self.min_df is not None else 1 if few else 2
        return CountVectorizer(
            lowercase=self.lowercase,
            token_pattern=self.token,
            stop_words=self.stop_words,
            min_df=least,
            max_df=1.0 if few else self.max_df,
            max_features=self.max_words,
            vocabulary=None if vocabulary is None else list(vocabulary),
        )

    def learned(self, texts: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the words that these documents are to be told by, in alphabetical order, and those that too many documents have."""
        vectorizer = self.vectorizer(len(texts))
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            raise DataError(f"no word can be learned from {len(texts)} documents: {error} Give longer ones.") from None
        words = [str(word) for word in vectorizer.get_feature_names_out()]
        if len(texts) < FEW or self.max_df >= 1:
            return words, []
        analyse = vectorizer.build_analyzer()
        spread = Counter(word for text in texts for word in set(analyse(text)))
        return words, sorted(word for word, n in spread.items() if n > self.max_df * len(texts))

    def counted(self, texts: Iterable[str], vocabulary: Sequence[str], known: Iterable[str] = ()) -> Counted:
        """Return the counts of the vocabulary's words, how many words are neither in it nor ``known``, and how many there are."""
        words, passed = self.vectorizer(FEW, vocabulary).build_analyzer(), set(known)
        number = {word: i for i, word in enumerate(vocabulary)}
        begins, columns, values = [0], [], []
        other = total = 0
        for text in texts:
            found = Counter(words(text))
            for word, count in found.items():
                total += count
                if word in number:
                    columns.append(number[word])
                    values.append(count)
                elif word not in passed:
                    other += count
            begins.append(len(columns))
        shape = (len(begins) - 1, len(vocabulary))
        matrix = sparse.csr_array((np.array(values, dtype=np.float32), columns, begins), shape=shape)
        matrix.sort_indices()
        return matrix, other, total


def read_folder(path: str | Path) -> Source:
    """Read the text files of a folder and all below it, in the order of their names; labels are sub-folders where there are any."""
    import pandas as pd

    folder = Path(path)
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in TEXTS and file.is_file())
    if not files:
        raise DataError(
            f"{str(path)!r} has no text files ({', '.join(TEXTS)}). Give a folder with some, or a CSV file."
        )
    texts, kept, skipped = [], [], {}
    for file in files:
        try:
            texts.append(file.read_text(encoding="utf-8"))
            kept.append(file)
        except (OSError, UnicodeDecodeError) as error:
            skipped[str(file.relative_to(folder))] = f"no UTF-8 text: {error}"
    if not kept:
        raise DataError(f"none of {len(files)} files in {str(path)!r} is UTF-8 text. Convert them first.")
    told = (
        (f"{len(skipped)} of {len(files)} files are no UTF-8 text and were left out: {next(iter(skipped))}",)
        if skipped
        else ()
    )
    places = [str(file.relative_to(folder).parent) for file in kept]
    y = np.array(places, dtype=object) if len(set(places)) > 1 else None
    names = [file.relative_to(folder).as_posix() for file in kept]
    rows = pd.Series(texts, name="text", dtype=object)
    return Source(str(path), rows, y=y, names=names, notes=told, skipped=skipped)


def are_texts(values: Any) -> bool:
    """Whether values are documents: a list or a column of texts, holes allowed."""
    some = [value for value in values if not is_hole(value)]
    return bool(some) and all(isinstance(value, str) for value in some)


def is_hole(value: Any) -> bool:
    """Whether a text is missing: None or not a number."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def as_texts(values: Iterable[Any]) -> list[str]:
    """Return documents as a list of texts; missing ones are empty."""
    found = ["" if is_hole(value) else value for value in values]
    for row, value in enumerate(found):
        if not isinstance(value, str):
            raise DataError(
                f"document {row} is {with_article(type(value).__name__)}, not a text. Give texts, one a row."
            )
    return found
