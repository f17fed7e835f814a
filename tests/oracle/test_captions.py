"""Captions against hand-made splits, brute-force counts of words, and the rule that tells them from labels."""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engram.data import DataWarning
from engram.data.captions import FEW_ROWS, MOST_WORDS, are_captions, bits, vocabulary, words_of
from engram.data.given import Conditions
from engram.errors import DataError

COLOURS, THINGS = ("red", "green", "blue", "black"), ("shoe", "bag", "coat", "hat", "dress")


def drawn(n: int, seed: int = 0) -> list[str]:
    """Captions of 1 to 8 of 300 words, frequent ones first, as words of languages are."""
    draw = np.random.default_rng(seed)
    return [" ".join(f"w{min(299, int(k))}" for k in draw.zipf(1.5, draw.integers(1, 9))) for _ in range(n)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A Red, shiny  shoe!", ["a", "red", "shiny", "shoe"]),
        ("t-shirt_2 (size 42)", ["t", "shirt", "2", "size", "42"]),
        ("Über-groß: ÉTÉ", ["über", "groß", "été"]),
        (unicodedata.normalize("NFD", "café crème"), ["café", "crème"]),
        ("красный ботинок", ["красный", "ботинок"]),
        ("हिन्दी शब्द", ["हिन्दी", "शब्द"]),  # vowel signs are no letters, and do not part words
        ("红色的鞋 ok", ["红", "色", "的", "鞋", "ok"]),
        ("ｆｕｌｌ ﬁt", ["full", "fit"]),
        ("?! ... 👟", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_word_of_any_character_is_a_word_again() -> None:
    """A vocabulary is read back from a run folder by this rule."""
    words = words_of(" ".join(map(chr, range(sys.maxunicode + 1))))
    again = words_of(" ".join(words))
    assert [pair for pair in zip(words, again, strict=False) if pair[0] != pair[1]] == []
    assert len(words) == len(again) > 100_000


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=40))
@example("İx ſK")
def test_words_joined_are_the_same_words(text: str) -> None:
    words = words_of(text)
    assert words_of(" ".join(words)) == words


@pytest.mark.parametrize("n", [30, FEW_ROWS, 900])
def test_a_vocabulary_is_the_words_by_rows(n: int) -> None:
    captions = drawn(n)
    rows = Counter(word for caption in captions for word in set(caption.split()))
    least = 1 if n < FEW_ROWS else 2
    expected = sorted((word for word in rows if rows[word] >= least), key=lambda word: (-rows[word], word))
    lacking = [caption for caption in captions if not set(caption.split()) & set(expected)]
    found = vocabulary(captions)
    assert list(found[: len(expected)]) == expected
    assert set(found) - set(expected) == {min(set(c.split()), key=lambda w: (-rows[w], w)) for c in lacking}


def test_a_vocabulary_is_bounded_and_has_a_word_of_every_caption() -> None:
    many = [f"common{i % 700} common{(i * 7) % 700} also{i % 600}" for i in range(4000)]
    strange = [f"strange{i} caption{i}" for i in range(50)]
    found = vocabulary(many + strange)
    assert len(found) == len(set(found)) == MOST_WORDS
    assert all(set(caption.split()) & set(found) for caption in many + strange)
    assert bits(many + strange, found, said=False).any(1).all()
    with pytest.raises(DataError, match="1000 words do not suffice"):
        vocabulary([f"strange{i} caption{i}" for i in range(1001)])


def test_bits_are_where_words_occur() -> None:
    captions = drawn(60)
    words = vocabulary(captions)
    expected = [[float(word in caption.split()) for word in words] for caption in captions]
    assert bits(captions, words).tolist() == expected
    assert bits(["RED, red  Red"], ("blue", "red")).tolist() == [[0, 1]]


def test_unknown_words_are_counted_and_named_with_the_nearest() -> None:
    words = ("a", "red", "zebra")
    with pytest.warns(
        DataWarning, match=r"2 words were not seen at fit.*'zebar' \(nearest known: 'zebra'\), 'plöd' "
    ) as told:
        assert bits(["a zebar", "red plöd", "a red plöd", "a"], words).tolist()[1] == [0, 1, 0]
    assert (len(told), "(3 captions)" in str(told[0].message)) == (1, True)
    with pytest.warns(DataWarning, match=": 1 word was not seen"):
        bits(["a dog"], words)
    with pytest.warns(DataWarning, match="9 words were .* and 4 more"):
        bits(["a 1 2 3 4 5 6 7 8 9"], words)
    assert bits(["a zebar"], words, said=False).tolist() == [[1, 0, 0]]
    with pytest.raises(DataError, match=r"row 1: 'zebar' has no word.*mean 'zebra'.*Known are: a, red, zebra"):
        bits(["a", "zebar"], words)
    with pytest.raises(DataError, match="and 30 more"):
        bits(["plöd"], tuple(f"{i}x" for i in range(50)))


def of(texts: list[str], n: int) -> np.ndarray:
    """n rows of texts, in turn."""
    return np.array([texts[i % len(texts)] for i in range(n)], dtype=object)


TWENTY = [f"a {colour} {thing}" for colour in COLOURS for thing in THINGS]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (of(TWENTY, 20), True),
        (of(TWENTY, 99), True),
        (of(TWENTY, 100), False),  # five rows of each on average
        (of(TWENTY[:10], 1000), False),
        (of(TWENTY[:10], 10), False),  # as few as labels are
        (of([f"id {i}" for i in range(50)], 50), False),  # one word with letters
        (of([f"name{i}" for i in range(50)], 50), False),
        (of([*TWENTY[:11], *(f"name{i}" for i in range(11))], 22), False),  # half of them
        (of([*TWENTY[:12], *(f"name{i}" for i in range(11))], 23), True),
        (of([f"a thing of kind{i}" for i in range(1001)], 20_020), True),  # more than a label may have
        (of([f"a thing of kind{i}" for i in range(1000)], 20_000), False),
        (np.array([*TWENTY, 3], dtype=object), False),
    ],
)
def test_captions_are_told_from_labels(column: np.ndarray, expected: bool) -> None:
    assert are_captions(column, 1000) is expected


def test_a_pandas_category_is_a_label() -> None:
    captions = pd.Series(TWENTY)
    assert Conditions.fit(captions, 20).form == "text"
    assert Conditions.fit(captions.astype("category"), 20).form == "label"
    frame = pd.DataFrame({"one": captions, "two": captions.astype("category"), "three": np.arange(20.0)})
    assert [part.sort for part in Conditions.fit(frame, 20).parts] == ["words", "classes", "number"]


def test_slices_are_the_places_of_the_parts() -> None:
    frame = pd.DataFrame({"size": np.arange(20.0), "text": TWENTY, "kind": of(["cat", "dog", "owl"], 20)})
    found = Conditions.fit(frame, 20)
    encoded = found.encode(frame, 20)
    (size, a), (text, b), (kind, c) = found.slices
    assert [(part.name, part.sort, part.size) for part in (size, text, kind)] == [
        ("size", "number", 1),
        ("text", "words", 10),
        ("kind", "classes", 3),
    ]
    assert (a, b, c, found.size) == (slice(0, 1), slice(1, 11), slice(11, 14), 14)
    assert encoded[:, a].mean().item() == pytest.approx(0, abs=1e-6)
    assert (encoded[:, b].sum(1) == 3).all()
    assert (encoded[:, c].argmax(1).numpy() == np.arange(20) % 3).all()
