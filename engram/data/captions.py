"""Captions, one text a row: telling them from labels, the words they are made of, and captions as one bit per word."""

from __future__ import annotations

import difflib
import unicodedata
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engram.data.kind import warn_notes
from engram.data.rows import Note
from engram.errors import DataError

MOST_WORDS = 1000  # as many as a label may have classes
MOST_LABELS = 10  # so many different texts are labels, however few rows there are
REPEATED = 5  # rows that have the same text on average, from where on texts are labels
FEW_ROWS = 100  # below, a word of one single row counts too
TOLD = 5  # words that a warning names
LISTED = 20  # words that an error lists
Array = np.ndarray[Any, np.dtype[Any]]


class Spaced(dict[int, str]):
    """What a character becomes before a text is split at spaces: itself within words, and a space elsewhere.

    Letters, digits and the marks that belong to letters (accents, vowel signs) are within words. Chinese characters, which
    are written without spaces, are a word each. Runs of other scripts without spaces (Thai, say) stay one word.
    """

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        found = sign if sign.isalnum() or unicodedata.category(sign).startswith("M") else " "
        if 0x3400 <= code <= 0x9FFF or 0x20000 <= code <= 0x3FFFF:
            found = f" {sign} "
        self[code] = found
        return found


SPACED = Spaced()


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, in their order: runs of letters, digits and marks in Unicode's form NFKC."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    return plain.translate(SPACED).split()


def are_captions(column: Array, most_classes: int) -> bool:
    """Whether a column holds captions rather than labels.

    It does when all its cells are texts, more than half of them have two or more words with letters in them ("id 17" has one), and
    there are more different texts than labels would have: more than `MOST_LABELS`, and so many that a text stands in fewer
    than `REPEATED` rows on average, or more than ``most_classes``.
    """
    rows = Counter(column.tolist()) if all(isinstance(cell, str) for cell in column) else Counter()
    if len(rows) <= MOST_LABELS or (len(rows) <= most_classes and len(rows) * REPEATED <= len(column)):
        return False
    long = sum(n for text, n in rows.items() if sum(any(map(str.isalpha, word)) for word in words_of(text)) > 1)
    return 2 * long > len(column)


def vocabulary(captions: list[str], place: str = "") -> tuple[str, ...]:
    """Return the words that captions are encoded by, those of the most rows first, and by the alphabet among equals.

    They are the at most `MOST_WORDS` words of the most rows, each of at least 2 rows where there are `FEW_ROWS` or more, so
    that what one row alone says is not kept. A caption without any of these adds its own most frequent word: all captions
    of the fit can be encoded. Raises `DataError` for a caption without a word, and where so many words do not suffice.
    """
    texts = [words_of(caption) for caption in captions]
    if [] in texts:
        row = texts.index([])
        raise DataError(f"y{place} of row {row} is {captions[row][:40]!r}, a text without a word. Leave such rows out.")
    counts, known = _counted(texts)
    rows = np.asarray(counts.sum(0)).ravel()
    order = np.argsort(-rows, kind="stable")  # known is sorted
    kept = [int(word) for word in order if rows[word] > 1 or len(captions) < FEW_ROWS]
    place_of = np.argsort(order)  # of a word among all, the most frequent first
    own: list[int] = []
    while True:
        chosen = list(dict.fromkeys(own + kept))[:MOST_WORDS]
        lacking = np.flatnonzero(counts[:, chosen].getnnz(1) == 0)
        if not len(lacking):
            return tuple(known[word] for word in sorted(chosen, key=lambda word: place_of[word]))
        own += dict.fromkeys(min(counts[row].indices.tolist(), key=lambda word: place_of[word]) for row in lacking)
        if len(own) > MOST_WORDS:
            raise DataError(
                f"y{place} has captions with too few words in common: {MOST_WORDS} words do not suffice to have one of each "
                "caption. Leave captions of words that no other has out, or give labels."
            )


def bits(captions: list[str], words: tuple[str, ...], place: str = "", *, said: bool = True) -> Tensor:
    """Return captions as (rows, words) float32: 1 where the word occurs, however often, and 0 elsewhere.

    The bits are not scaled, so that they are at once what a classifier of words is to find; a caption of n known words has
    length sqrt(n). Unknown words are left out and told in a `DataWarning` if ``said``. Raises `DataError` for a caption with no known word.
    """
    texts = [words_of(caption) for caption in captions]
    number = {word: i for i, word in enumerate(words)}
    found = np.zeros((len(texts), len(words)), np.float32)
    unknown: dict[str, None] = {}
    captions_with = 0
    for row, text in enumerate(texts):
        own = [number[word] for word in text if word in number]
        if not own:
            raise DataError(f"y{place} of row {row}: {unreadable(captions[row], words)}")
        found[row, own] = 1
        if len(own) < len(text):
            captions_with += 1
            unknown |= dict.fromkeys(word for word in text if word not in number)
    if unknown and said:
        warn_notes([{Note(_told(list(unknown), words, place), "caption"): captions_with}])
    return torch.from_numpy(found)


def unreadable(caption: str, words: tuple[str, ...]) -> str | None:
    """Return what to say of a caption with no known word, or None where it has one."""
    own = words_of(caption)
    if any(word in words for word in own):
        return None
    near = [f"{close!r}" for word in own if (close := _nearest(word, words))]
    more = f" and {len(words) - LISTED:,} more" * (len(words) > LISTED)
    meant = f"Did you mean {' or '.join(dict.fromkeys(near[:3]))}? " if near else ""
    return f"{caption[:60]!r} has no word that was seen at fit. {meant}Known are: {', '.join(words[:LISTED])}{more}."


def _told(unknown: list[str], words: tuple[str, ...], place: str) -> str:
    """Return the sentence about unknown words, with the nearest known ones."""
    named = [
        f"{word!r}" + (f" (nearest known: {close!r})" if (close := _nearest(word, words)) else "")
        for word in unknown[:TOLD]
    ]
    count = "1 word was" if len(unknown) == 1 else f"{len(unknown):,} words were"
    more = f" and {len(unknown) - TOLD:,} more" * (len(unknown) > TOLD)
    return f"y{place}: {count} not seen at fit, or in too few rows, and left out: {', '.join(named)}{more}"


def _nearest(word: str, words: tuple[str, ...]) -> str:
    return next(iter(difflib.get_close_matches(word, words, n=1, cutoff=0.5)), "")


def _counted(texts: list[list[str]]) -> tuple[Any, list[str]]:
    """Return (rows, words) as a CSR matrix of bits, and the words, sorted."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=list, binary=True, dtype=np.int64)
    return counter.fit_transform(texts), counter.get_feature_names_out().tolist()
