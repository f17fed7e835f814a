"""What generated rows are compared on: the rows themselves, a judge's features, an autoencoder's codes, or Inception's.

A distance between two sets of rows says nothing without the features that it was computed on. Every kind of features therefore
has a name with all that the numbers depend on, which goes into the protocol of a result; numbers of different names are never
compared. A Frechet distance is called FID on the features of Inception alone (Heusel et al. 2017, arXiv:1706.08500).
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from engram.data.images import CHANNELS, Images
from engram.data.kind import DataWarning, Kind
from engram.data.rows import Rows, fingerprint
from engram.data.table import Table
from engram.errors import DataError, UsageError, nearest
from engram.evaluation.judge import Judge, labels_digest, not_classes
from engram.models.autoencoder import Autoencoder
from engram.networks.inception import tf1_resize
from engram.networks.inception_weights import PUBLISHED, load_inception
from engram.training.session import seed_from
from engram.training.settings import usable_device

Array = np.ndarray[Any, np.dtype[Any]]
NAMES = ("auto", "rows", "judge", "codes")
CACHED_BYTES = 1 << 28  # of features that are kept for a second look
CACHED_MAKERS = 4  # trained judges and autoencoders that are kept
CODED_ROWS, CODED_EPOCHS = 10_000, 40  # what the autoencoder of `CodeFeatures` learns from at most
TOGETHER = 16  # pictures that go through Inception at once


class Features(Protocol):
    """What metrics are computed on.

    ``name`` stands in the protocol; ``frechet`` is what the Frechet distance on these features is called: "FID" on Inception's
    alone, else "frechet".
    """

    name: str
    frechet: ClassVar[str]

    def of(self, x: Tensor) -> Array:
        """Return the features of encoded rows, (rows, features) float64; rows are (rows, values) or (rows, channels, height, width)."""


class _Cache:
    """The features of the sets of rows that were asked for last, at most so many bytes; several threads may ask at once."""

    def __init__(self, most: int) -> None:
        self.most, self._lock = most, threading.Lock()
        self.kept: OrderedDict[tuple[str, str], Array] = OrderedDict()

    def get(self, key: tuple[str, str]) -> Array | None:
        with self._lock:
            if key in self.kept:
                self.kept.move_to_end(key)
            return self.kept.get(key)

    def put(self, key: tuple[str, str], found: Array) -> None:
        found.setflags(write=False)  # it is handed out again
        with self._lock:
            self.kept[key] = found
            while len(self.kept) > 1 and sum(array.nbytes for array in self.kept.values()) > self.most:
                self.kept.popitem(last=False)


_CACHE = _Cache(CACHED_BYTES)
_MAKERS: OrderedDict[tuple[str, ...], Any] = OrderedDict()
_LEARNING = threading.Lock()  # of `_MAKERS`: what several threads ask for is learned once, and by one at a time


class _Kept(ABC):
    """Features that are computed once for the same rows in the same process.

    ``key`` tells them from others: beside the name it holds digests of what they were learned from.
    """

    frechet: ClassVar[str] = "frechet"
    name: str
    key: str

    def of(self, x: Tensor) -> Array:
        """Return the features of encoded rows, (rows, features) float64, not to be written to."""
        if x.dim() < 2 or len(x) == 0:
            raise DataError(f"features are of rows, (rows, ...); these are of shape {tuple(x.shape)}.")
        x = x.detach().float().cpu().contiguous()
        key = self.key, fingerprint(Rows(x))
        found = _CACHE.get(key)
        if found is None:
            found = np.ascontiguousarray(self._computed(x), dtype=np.float64)
            _CACHE.put(key, found)
        return found

    @abstractmethod
    def _computed(self, x: Tensor) -> Array: ...


class RowFeatures(_Kept):
    """The encoded rows themselves: pixels, or the encoded columns of a table, flattened.

    Parameters
    ----------
    shape : tuple of int
        Of one row.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        what = "pixel values" if len(shape) == 3 else "encoded values"
        self.name = self.key = f"rows[{math.prod(shape)} {what}]"

    def of(self, x: Tensor) -> Array:
        """Return the rows flattened, (rows, values) float64; a copy that is not kept."""
        return self._computed(x.detach().cpu())

    def _computed(self, x: Tensor) -> Array:
        return x.flatten(1).double().numpy()


class JudgeFeatures(_Kept):
    """What the layer before the last of a judge gives.

    Parameters
    ----------
    judge : Judge
        One that was fitted to rows which are not among those that are looked at.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.name = f"judge[{judge.name_}]"
        self.key = f"judge[{judge.key_}]"

    def _computed(self, x: Tensor) -> Array:
        return self.judge.features(x)


class CodeFeatures(_Kept):
    """The codes of an autoencoder that learned the user's rows, for rows without labels.

    Parameters
    ----------
    x : Tensor
        Encoded rows to learn from, better others than those that are looked at; of more than `CODED_ROWS` a random part.
    random_state : int, RandomState or None
        Seed: the same rows and seed give the same codes.
    """

    def __init__(self, x: Tensor, *, random_state: Any = 0) -> None:
        seed = seed_from(random_state)
        if len(x) > CODED_ROWS:
            order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
            x = x[order[:CODED_ROWS].sort().values]
        x = x.detach().float().cpu().contiguous()
        self.model = Autoencoder(random_state=seed, max_epochs=CODED_EPOCHS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            self.model.fit(_as_data(x))
        self.name = f"codes[autoencoder, {self.model.shapes_.code_size} values, seed {seed}, {len(x):,} rows]"
        self.key = f"{self.name} {fingerprint(Rows(x))}"

    def _computed(self, x: Tensor) -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            return self.model.transform(_as_data(x))


class InceptionFeatures(_Kept):
    """The 2048 features of the Inception network that published scores use, from a file of its weights.

    Pictures are encoded, 0 to 1 over the range of their pixels; they are rounded to 8 bits and resized to 299 x 299 by TensorFlow
    1's rule. The name ends in how the sha256 of the file begins; that of the published files begins with `PUBLISHED`.

    Parameters
    ----------
    path : path
        The file, see `engram.networks.inception_weights.load_inception`.
    device : str
        Where it runs: "auto" takes an accelerator if there is one.
    """

    frechet: ClassVar[str] = "FID"

    def __init__(self, path: str | Path, *, device: str = "auto") -> None:
        module, self.sha256 = load_inception(path)
        self.device = usable_device(device)
        self.module = module.to(self.device)
        weights = "published weights" if self.sha256.startswith(PUBLISHED) else "weights"
        self.name = f"Inception pool3[{weights} {self.sha256[:8]}, 8 bits, TF1 resize]"
        self.key = f"{self.name} {self.sha256} {self.device}"

    def probabilities(self, x: Tensor) -> Array:
        """Return p(class | picture) of the 1008 classes, (rows, 1008) float64, without the bias: what the Inception score is of."""
        features = torch.from_numpy(self.of(x).astype(np.float32)).to(self.device)
        found: Array = self.module.logits(features).double().softmax(1).cpu().numpy()
        return found

    def _computed(self, x: Tensor) -> Array:
        if x.dim() != 4:
            raise DataError(
                f"Inception looks at pictures, (rows, channels, height, width); these rows are of shape {tuple(x.shape)}. "
                "Use features='rows', 'codes' or 'judge'."
            )
        with torch.no_grad():
            parts = [self.module(tf1_resize(255 * part.to(self.device))).cpu() for part in torch.split(x, TOGETHER)]
        return torch.cat(parts).double().numpy()


def features_for(name: str | Path, x: Tensor, labels: Any = None, *, random_state: Any = 0) -> Features:
    """Return features by name, learned from rows where they are learned.

    The same rows, labels and seed give the same features, in the same process without learning again.

    Parameters
    ----------
    name : str or path
        "rows", "judge", "codes", or the path of a file of Inception weights; "auto" takes the rows of tables, a judge for
        pictures with labels that are classes, and codes for other pictures.
    x : Tensor
        Encoded rows that a judge or an autoencoder learns from: others than those that are looked at afterwards.
    labels : array, optional
        Their labels, (rows,), which a judge needs.
    random_state : int, RandomState or None
        Seed of what is learned.

    Raises
    ------
    UsageError
        The name is unknown, the file is not there, or a judge was asked for without labels.
    DataError
        The labels are no classes, or the file is another one.
    """
    chosen = _chosen(x, labels) if name == "auto" else str(name)
    if chosen == "rows":
        return RowFeatures(tuple(x.shape[1:]))
    if chosen not in NAMES:
        return _inception(chosen)
    if chosen == "judge" and labels is None:
        raise UsageError("features='judge' needs labels to learn from: give y=, or use 'codes' or 'rows'.")
    seed = seed_from(random_state)
    digest = fingerprint(Rows(x.detach().float().cpu()))
    key = (chosen, digest, str(seed), labels_digest(labels) if chosen == "judge" else "")
    return _made(key, x, labels, seed)


def _chosen(x: Tensor, labels: Any) -> str:
    """Return what "auto" is: a function of the rows' shape and of whether labels are classes."""
    if x.dim() != 4:
        return "rows"
    return "codes" if labels is None or not_classes(np.asarray(labels)) is not None else "judge"


def _inception(name: str) -> Features:
    if not (os.sep in name or Path(name).suffix or Path(name).exists()):
        raise UsageError(
            f"unknown features {name!r}. {nearest(name, NAMES)} Or give the path of a file of Inception weights."
        )
    return InceptionFeatures(name)


def _made(key: tuple[str, ...], x: Tensor, labels: Any, seed: int) -> Features:
    """Return what was learned for this key before, or learn it now."""
    with _LEARNING:
        made: Features | None = _MAKERS.get(key)
        if made is None:
            made = (
                JudgeFeatures(Judge().fit(x, labels, random_state=seed))
                if key[0] == "judge"
                else CodeFeatures(x, random_state=seed)
            )
            _MAKERS[key] = made
            while len(_MAKERS) > CACHED_MAKERS:
                _MAKERS.popitem(last=False)
        _MAKERS.move_to_end(key)
        return made


def _as_data(x: Tensor) -> Kind:
    """Return encoded rows as data that a model takes: pictures as pictures, all else as a table of numbers."""
    if x.dim() == 4 and x.shape[1] in CHANNELS:
        return Images(x)
    flat = x.flatten(1).numpy()
    return Table(flat, columns=dict.fromkeys(range(flat.shape[1]), "number"))
