"""TopicModel: what documents are about, found without labels.

Two steps. First an encoder learns codes of documents by contrast: the different words of a document are dealt out to two halves by a coin
each, and the code of a half is to find the code of the other half among those of the batch (InfoNCE; the halves have a document's topics
in common and little else: Tosh, Krishnamurthy & Hsu, JMLR 2021, arXiv:2003.02234). Then topics are learned as a variational mixture on
these codes (see `engram.models.topic_mixture`), begun at clusters of codes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import torch
from annotated_types import Ge, Gt, Interval
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from engram.data.counts import Counts
from engram.data.kind import Kind, warn_notes
from engram.data.rows import Note, Rows
from engram.errors import DataError, UsageError
from engram.evaluation.report import Report
from engram.evaluation.topics import judge_topics
from engram.maths.contrast import info_nce
from engram.metrics.topics import npmi, word_pairs
from engram.models.blocks import over_blocks
from engram.models.document_features import DocumentFeatures
from engram.models.intake import Intake
from engram.models.model import Model
from engram.models.parts import Shapes
from engram.models.topic_mixture import TopicMixture
from engram.networks.bags import Bag, BagEncoder
from engram.parameters import checked_value
from engram.registry import APPS
from engram.training import Batch, Finding, Turn, train
from engram.training.checkpoint import Checkpoints
from engram.training.nets import Nets

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, np.dtype[Any]]
CODE_SIZE = 50
WIDTH = 256
EPOCHS, STEPS = 15, (400, 8000)  # of the contrast; the fewest steps and the most
MIXED, MIXED_STEPS = 6, 200  # passes over the rows in which topics are learned, and the fewest steps
MIXED_RATE = 5e-3
CONTRASTED, LEAST_MIXED = 0.6, 0.15  # shares of max_time: of the contrast, and of learning topics at least
BLOCK = 2048  # documents that are looked at together
EMPTY = Note("documents have no known word, so nothing can be told of them", "document")
KEPT = 20  # words of a topic whose co-occurrence is kept
CONTRAST, TOPICS = Turn("contrast", ("encoder",)), Turn("topics", ("topics",), learning_rate=MIXED_RATE)


@APPS.register("topics", "Topics of documents: their words, how much of each a document has, similar documents")
@dataclass(eq=False, repr=False, kw_only=True)
class TopicModel(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Model):
    """Find topics in documents, or in any rows of counts.

    Learned from are a list of texts, a CSV file with a column of texts, a folder of .txt files, or counts: a sparse matrix, an array, a
    DataFrame with a column for each word. Nothing but words and weights is kept: no document.

    Parameters
    ----------
    n_topics : int
        How many topics.
    temperature : float
        Of the contrast between halves of documents: small values look at the most similar documents alone.
    max_epochs : int or "auto"
        Most passes over the documents in the contrast; topics are learned in six more, or as many as make 200 steps.
    max_time : str, float or None
        Longest time to train: three fifths of it are for the contrast, what is left for topics. Clusters of codes and axes of features
        between the two, and the counts of pairs of words after them, are in closed form and not cut short.
    """

    n_topics: Annotated[int, Ge(1)] = 20
    temperature: Annotated[float, Gt(0)] = 0.2
    kind: Literal["auto", "counts"] = "counts"
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.3
    early_stopping: bool = False
    own_networks = False
    watches = False

    # --- learning ---

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        vocabulary: Sequence[str] | None = None,
        validation: Any = None,
        run: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn topics from documents or counts; see `Model.fit`. ``y`` is ignored.

        Parameters
        ----------
        vocabulary : sequence of str, optional
            The words that the columns of X stand for; of documents the words that are counted.
        validation : like X, optional
            Documents to look at only, instead of some of X.
        run : str or Path, optional
            A new folder that the fit is written to, with checkpoints.
        resume : bool
            Go on with a fit that was interrupted in that folder.

        Raises
        ------
        UsageError
            A parameter is wrong, or the vocabulary is one text, or X is of another kind; or the fit to resume was another one.
        DataError
            Counts are negative, missing or no whole numbers, or all of them are zero; or no document has a word that can be counted; or the
            vocabulary does not suit the columns.
        RunError
            The folder ``run`` exists or cannot be written, or has nothing to resume.
        StoppedError
            A fit into a folder was interrupted, and can be resumed.
        """
        if vocabulary is not None:
            wrapped = (X if isinstance(X, Counts) else Counts.taking(X)) if isinstance(X, Kind) else Counts(X)
            if wrapped is None:
                raise UsageError("vocabulary= is for counts and documents, and these data are given as another kind.")
            own = wrapped.with_wishes()
            own.raw, own.given = wrapped.raw, Counts(vocabulary=vocabulary).given
            X = own
        super().fit(X, y, validation=validation, run=run, resume=resume)
        return self

    def automatic(self, kind: Kind) -> dict[str, Any]:
        """One hidden layer; codes of 50 dimensions, fewer for few words."""
        size = min(CODE_SIZE, max(2, kind.shape[0] - 1))
        return {"code_size": size, "hidden": (WIDTH,), "learning_rate": 2e-3, "weight_decay": 0.0}

    def suited(self, rows: Rows) -> dict[str, Any]:
        """Fifteen passes, more over few rows; batches large enough to tell a document among others."""
        n = self._given.trained_on() if hasattr(self, "_given") else len(rows)
        size = min(256, max(16, n // 4))
        return {"batch_size": size, "steps": min(max(EPOCHS * -(-n // size), STEPS[0]), STEPS[1])}

    def reasons(self) -> dict[str, str]:
        """Why `automatic` and `suited` choose what they do."""
        return {
            "code_size": f"{CODE_SIZE}, fewer for few words",
            "hidden": f"one layer of {WIDTH}",
            "batch_size": "a quarter of the documents, 16 to 256: enough to tell one among others",
            "max_epochs": f"{EPOCHS} passes, at least {STEPS[0]} and at most {STEPS[1]:,} steps",
            "learning_rate": "2e-3, which suits one hidden layer",
        }

    def may_change(self) -> set[str]:
        """The contrast, too."""
        return super().may_change() | {"temperature"}

    def roles(self, shapes: Shapes) -> dict[str, nn.Module]:
        """The encoder of documents, and the topics."""
        if shapes.modules or self.network not in ("auto", "mlp") or len(shapes.widths) != 1:
            raise UsageError(
                "TopicModel builds its networks itself: leave encoder= and decoder= out, and give one hidden layer."
            )
        encoder = BagEncoder(shapes.row[0], shapes.widths[0], shapes.code_size, shapes.dropout)
        topics = TopicMixture(self.n_topics, shapes.row[0], shapes.code_size)
        return {"encoder": encoder, "topics": topics, "features": DocumentFeatures(shapes.row[0], shapes.code_size)}

    def _train(
        self, given: Intake, values: dict[str, Any], seed: int, *, continued: bool, checkpoints: Checkpoints | None
    ) -> None:
        """Learn from all rows: those of a large sparse matrix are made dense some at a time."""
        self._given = given
        try:
            super()._train(given, values, seed, continued=continued, checkpoints=checkpoints)
        finally:
            del self._given

    def _run(self, *arguments: Any) -> None:
        """Run the contrast, in its share of the time."""
        whole = self.settings_
        self.settings_ = replace(whole, max_time=whole.max_time and CONTRASTED * whole.max_time)
        try:
            super()._run(*arguments)
        finally:
            self.settings_ = whole

    def _bags(self, rows: Rows) -> Iterator[Bag]:
        """Yield all documents that are learned from, some at a time."""
        stream = self._given.stream if hasattr(self, "_given") else None
        if stream is None:
            yield from (Bag.of(part.x) for part in rows.blocks(BLOCK))
            return
        for at in range(0, len(stream), BLOCK):
            yield Bag.of(self._given.kind.encode(stream[at : at + BLOCK]).x)

    def start(self, nets: Nets, rows: Rows) -> bool:
        """Weigh words by how rare they are."""
        nets.encoder.weigh(self._bags(rows))
        self._turn = CONTRAST
        return False

    def turns(self, step: int) -> Sequence[Turn]:
        """One turn a step: the contrast, then, when that is over, the topics."""
        return [self._turn]

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        """Return the contrast of two halves of each document; for topics the negative ELBO, on codes that stay as they are."""
        bag = Bag.of(batch.x)
        if turn.name == TOPICS.name:
            with torch.no_grad():
                codes = nets.encoder.eval()(bag)
            found: dict[str, Tensor] = nets.topics.terms(codes, bag)
            return found
        first, second = (nets.encoder(half) for half in bag.halves(batch.generator))
        return {"contrast": info_nce(first, second, self.temperature)}

    def finish(self, nets: Nets, rows: Rows, held_out: Rows | None) -> list[Finding]:
        """Learn topics on the codes, and count which of their words stand together."""
        nets.eval()
        since = time.perf_counter()
        codes = torch.cat([nets.encoder(bag) for bag in self._bags(rows)])
        nets.topics.begin(codes, self._bags(rows), nets.encoder.idf)
        nets.features.fit(codes, self._bags(rows), nets.encoder.idf, self.settings_.seed)
        n, settings = len(codes), self.settings_
        epochs = max(MIXED, -(-MIXED_STEPS // -(-n // settings.batch_size)))
        source = self._given.batches(settings.batch_size, settings.seed, torch.device("cpu")) or rows
        limit = self.history_.left(settings.max_time, since, LEAST_MIXED)
        self._turn = TOPICS
        with torch.enable_grad():
            train(self, nets, source, None, replace(settings, device="cpu", max_epochs=epochs, max_time=limit, ema=0.0))
        self._turn = CONTRAST
        words = nets.topics.first_words(KEPT).numpy()
        self._pairs = np.sum(
            [word_pairs(bag.matrix(nets.topics.words.shape[1]), words) for bag in self._bags(rows)], axis=0
        )
        self._documents = n
        if self.n_topics <= n:
            return []
        told = f"{self.n_topics} topics for {n} rows: some topics are alike"
        return [Finding("many-topics", told, "Choose a smaller n_topics")]

    def fitted_tensors(self) -> dict[str, Tensor]:
        """Return in how many documents the first words of each topic stand together."""
        return {"pairs": torch.from_numpy(self._pairs), "documents": torch.tensor(self._documents)}

    def restore_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take the counts of pairs back; raise `ValueError` where they are none."""
        pairs = tensors["pairs"].numpy()
        if pairs.ndim != 3 or len(pairs) != self.n_topics or pairs.shape[1] != pairs.shape[2]:
            raise ValueError("pairs of words are of another shape than the topics")
        self._pairs, self._documents = pairs, int(tensors["documents"])
        self._turn = CONTRAST

    # --- using ---

    @property
    def _n_features_out(self) -> int:
        return self.n_topics

    @property
    def words_(self) -> list[str]:
        """The vocabulary."""
        check_is_fitted(self, "network_")
        return list(self.kind_.columns)

    def counted(self, X: Any) -> tuple[Any, Array]:
        """Return documents as a stream of counts, (rows, words), and the numbers of those with a known word; a warning tells of others."""
        check_is_fitted(self, "network_")
        counts = self.kind_.conform(self.kind_.opened(X), reader=type(self).__name__)
        known = np.flatnonzero(np.asarray(counts[:].sum(1)).ravel())
        if len(known) < len(counts):
            warn_notes([{EMPTY: len(counts) - len(known)}])
        return counts, known

    def transform(self, X: Any) -> Array:
        """Return how much of each topic a document has, (rows, topics) float32; rows sum to one."""

        def proportions(nets: Nets, batch: Batch) -> Tensor:
            bag = Bag.of(batch.x)
            found: Tensor = nets.topics.proportions(nets.encoder(bag), bag)
            return found

        found: Array = over_blocks(self, self.counted(X)[0], proportions).numpy()
        return found

    def predict(self, X: Any) -> Array:
        """Return the main topic of each document, (rows,) int."""
        found: Array = self.transform(X).argmax(1)
        return found

    def features(self, X: Any) -> Array:
        """Return features of documents, (rows, code size) float32: what classifiers learn most from; see `DocumentFeatures`.

        They know more than `transform`: documents of one topic have different features.
        """

        def features(nets: Nets, batch: Batch) -> Tensor:
            bag = Bag.of(batch.x)
            found: Tensor = nets.features(nets.encoder(bag), bag, nets.encoder.idf)
            return found

        found: Array = over_blocks(self, self.counted(X)[0], features).numpy()
        return found

    def codes(self, X: Any) -> Array:
        """Return codes of documents, (rows, code size) float32 of unit length: what topics and similar documents are found by."""

        def codes(nets: Nets, batch: Batch) -> Tensor:
            found: Tensor = nets.encoder(Bag.of(batch.x))
            return found

        found: Array = over_blocks(self, self.counted(X)[0], codes).numpy()
        return found

    def top_words(self, n: int = 10) -> list[list[str]]:
        """Return the n most important words of each topic, a list per topic: those that set it apart and are frequent in it."""
        return [[self.words_[i] for i in topic] for topic in self._first_words(n)]

    def _first_words(self, n: int) -> Array:
        n = checked_value("n", n, Annotated[int, Ge(1)])
        with self.fitted() as nets:
            found: Array = nets.topics.first_words(n).numpy()
        return found

    def coherence(self, X: Any = None, n: int = 10) -> float:
        """Return how well the first n words of topics go together: their NPMI in documents, the mean over topics (`metrics.topics`).

        Parameters
        ----------
        X : like the data of `fit`, optional
            Documents to count words in; without, what was counted in the documents of the fit, for up to 20 words.
        n : int
            Words of a topic.
        """
        return float(self.coherences(X, n).mean())

    def coherences(self, X: Any = None, n: int = 10) -> Array:
        """Return the `coherence` of each topic, (topics,)."""
        words = self._first_words(n)
        n = words.shape[1]
        if X is not None:
            counts = self.kind_.conform(self.kind_.opened(X), reader=type(self).__name__)[:]
            return npmi(word_pairs(counts, words), counts.shape[0])
        if n > self._pairs.shape[1]:
            raise UsageError(
                f"of the documents of the fit, pairs of the first {self._pairs.shape[1]} words are known, not of {n}. Give coherence(X)."
            )
        return npmi(self._pairs[:, :n, :n], self._documents)

    def similar(self, X: Any, n: int = 10) -> pd.DataFrame:
        """Return the n documents of X that are most like each of them: columns row, similar, similarity (cosine of codes), best first.

        Documents without any known word are like none: they have no lines, and a `DataWarning` counts them. Raises `DataError` where
        fewer than two documents are left.
        """
        import pandas as pd

        n = checked_value("n", n, Annotated[int, Ge(1)])
        counts, known = self.counted(X)
        if len(known) < 2:
            told = f"{len(known)} of {len(counts)} documents {'has' if len(known) == 1 else 'have'} a known word"
            raise DataError(f"{told}, and it takes two to tell which are similar. Give more documents.")
        codes = self.codes(counts.take(known))
        n = min(n, len(codes) - 1)
        others, values = [], []
        for at in range(0, len(codes), 1024):
            cosines = codes[at : at + 1024] @ codes.T
            own = np.arange(len(cosines))
            cosines[own, at + own] = -np.inf
            order = np.argsort(-cosines, axis=1, kind="stable")[:, :n]
            others.append(order)
            values.append(np.take_along_axis(cosines, order, 1))
        similar = known[np.concatenate(others).ravel()]
        return pd.DataFrame(
            {"row": np.repeat(known, n), "similar": similar, "similarity": np.concatenate(values).ravel()}
        )

    def report_on(self, X: Any, y: Any = None, *, train: Any = None, random_state: Any = 0) -> Report:
        """Judge topics beside those of NMF and LDA: what `engram.evaluate` gives; see `judge_topics`."""
        return judge_topics(self, X, y, train=train, random_state=random_state)
