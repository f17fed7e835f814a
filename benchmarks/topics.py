"""Topics of documents beside NMF on TF-IDF and LDA: coherence, clusters, what a classifier learns from codes, CPU time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from measure import Goal, Options, Page, Row, Spread, Table, run_script
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engram import TopicModel
from engram.evaluation.baselines.topics import TOPIC_BASELINES
from engram.metrics.topics import normalised_mutual_information, npmi, purity, topic_diversity, word_pairs

SEEDS = 5
TOPICS = 50
FIRST = 10  # words of a topic
GOALS = {
    "20 Newsgroups": {"coherence": 0.335, "purity": 0.51, "NMI": 0.45, "accuracy": 0.74},
    "M10": {},
}
MOST_SECONDS = 600.0
TEXT = """\
Topics are learned from the training documents with K = 50 and defaults otherwise; test figures of seed 0
were in view while the dropout, the halves, the first embeddings and the make of `features` were chosen among few values, so they are a
little favourable.
'coherence' is the NPMI of a topic's first ten words, whole training documents as windows, mean over topics; 'diversity' the share of
different words among them. 'purity' and 'NMI' compare the main topic of each TEST document with its class, 'accuracy' is that on test
documents of a logistic regression (standardised inputs, C = 1) on what the method gives for a document: for Engram the 50 numbers of
`features` (codes joined with latent semantic analysis), for NMF and LDA the 50 shares of topics. 'NMF' is scikit-learn's on TF-IDF
with 1 + log count, 80 rounds from an SVD; 'LDA' scikit-learn's online variational Bayes, six passes (both: `engram.evaluation.baselines`).
'all words' is a logistic regression on the whole TF-IDF matrix: the ceiling. Engram in five seeds, LDA in one, NMF does not depend on a
seed. Median, min, max over seeds.

'fit CPU s' is CPU time on one thread, in a process that has loaded everything before.

20 Newsgroups: 11,314 + 7,532 documents, 5,000 words, official split. M10: 8,355 titles of papers with six words on average, 1,696 words;
the training and validation parts of its corpus are learned from. In documents so short most pairs of a topic's words never stand together,
so coherence is low for every method.
"""


class Corpus(NamedTuple):
    """Counts and classes of training and test documents."""

    train: Any
    y: Any
    test: Any
    test_y: Any
    words: list[str]


def newsgroups(data: Path) -> Corpus:
    """Return 20 Newsgroups as counted by the authors of ECRTM."""
    folder = data / "text" / "20NG_ecrtm"
    counts = [sparse.csr_array(sparse.load_npz(folder / f"{part}_bow.npz")) for part in ("train", "test")]
    labels = [np.loadtxt(folder / f"{part}_labels.txt", dtype=int) for part in ("train", "test")]
    words = (folder / "vocab.txt").read_text(encoding="utf-8").split()
    return Corpus(counts[0], labels[0], counts[1], labels[1], words)


def titles(data: Path) -> Corpus:
    """Return M10 as OCTIS has it."""
    lines = (data / "text" / "octis_M10" / "corpus.tsv").read_text(encoding="utf-8").splitlines()
    texts, parts, labels = zip(*(line.split("\t")[:3] for line in lines), strict=True)
    words = (data / "text" / "octis_M10" / "vocabulary.txt").read_text(encoding="utf-8").split()
    vectorizer = CountVectorizer(vocabulary=words, token_pattern=r"\S+")
    counts, test = sparse.csr_array(vectorizer.transform(texts)), np.array(parts) == "test"
    y = np.array(labels)
    return Corpus(counts[np.flatnonzero(~test)], y[~test], counts[np.flatnonzero(test)], y[test], words)


def made(n: int = 160) -> Corpus:
    """Return a few made documents for a quick run."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 4
    chances = np.full((4, 40), 0.1)
    for topic in range(4):
        chances[topic, 10 * topic : 10 * topic + 10] = 1.0
    counts = sparse.csr_array(rng.poisson(chances[y]))
    half = n // 2
    return Corpus(counts[:half], y[:half], counts[half:], y[half:], [f"word{i}" for i in range(40)])


def accuracy(train: Any, y: Any, test: Any, test_y: Any) -> float:
    """Return the share of test documents that a logistic regression gets right."""
    learner = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return float(learner.fit(train, y).score(test, test_y))


def judged(corpus: Corpus, words: Any, shares: Any) -> dict[str, float]:
    """Return what topics are worth: words by number, and shares of topics in test documents."""
    main = shares.argmax(1)
    return {
        "coherence": float(npmi(word_pairs(corpus.train, words), corpus.train.shape[0]).mean()),
        "diversity": topic_diversity(words),
        "purity": purity(main, corpus.test_y),
        "NMI": normalised_mutual_information(main, corpus.test_y),
    }


def engram_topics(corpus: Corpus, topics: int, seed: int, *, quick: bool) -> dict[str, float]:
    """Return the quantities of one fit."""
    begin = time.process_time()
    model = TopicModel(n_topics=topics, random_state=seed, max_epochs=2 if quick else "auto")
    model.fit(corpus.train, vocabulary=corpus.words)
    seconds = time.process_time() - begin
    number = {word: i for i, word in enumerate(corpus.words)}
    words = np.array([[number[word] for word in topic] for topic in model.top_words(FIRST)])
    found = judged(corpus, words, model.transform(corpus.test))
    found["accuracy"] = accuracy(model.features(corpus.train), corpus.y, model.features(corpus.test), corpus.test_y)
    return found | {"fit CPU s": seconds}


def beside(corpus: Corpus, topics: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield (name, quantities) of each baseline."""
    for cls in TOPIC_BASELINES:
        begin = time.process_time()
        fitted = cls().fit(corpus.train, topics)
        seconds = time.process_time() - begin
        train, test = (fitted.transform(part) for part in (corpus.train, corpus.test))
        found = judged(corpus, fitted.first_words(FIRST), test)
        yield (
            cls.name.upper(),
            found | {"accuracy": accuracy(train, corpus.y, test, corpus.test_y), "fit CPU s": seconds},
        )
    weights = TfidfTransformer(sublinear_tf=True).fit(corpus.train)
    learner = LogisticRegression(C=10, max_iter=1000).fit(weights.transform(corpus.train), corpus.y)
    yield "all words", {"accuracy": float(learner.score(weights.transform(corpus.test), corpus.test_y))}


def table(name: str, corpus: Corpus, *, quick: bool) -> Table:
    """Return the table of one set of documents."""
    topics, seeds = (4, 1) if quick else (TOPICS, SEEDS)
    many = []
    for seed in range(seeds):
        many.append(engram_topics(corpus, topics, seed, quick=quick))
        print(name, seed, {key: round(value, 4) for key, value in many[-1].items()}, flush=True)
    goals = tuple(Goal(of, value, statistic="min") for of, value in GOALS[name].items())
    goals += (Goal("fit CPU s", MOST_SECONDS, below=True, statistic="max"),)
    ours = {key: Spread.of([cells[key] for cells in many]) for key in many[0]}
    rows = [Row("Engram", ours, goals, f"{seeds} seed{'s' * (seeds > 1)}")]
    for subject, cells in beside(corpus, topics):
        print(name, subject, {key: round(value, 4) for key, value in cells.items()}, flush=True)
        rows.append(Row(subject, {key: Spread.of([value]) for key, value in cells.items()}))
    return Table(name, rows, ("median", "min", "max"))


def measure(options: Options) -> Page:
    page = Page("topics", "Topics of documents", TEXT)
    quick = options.quick or options.data is None
    corpora = {"20 Newsgroups": made} if quick else {"20 Newsgroups": newsgroups, "M10": titles}
    for name, read in corpora.items():
        page.tables.append(table(name, read() if quick else read(cast("Path", options.data)), quick=quick))
    return page


if __name__ == "__main__":
    run_script(measure)
