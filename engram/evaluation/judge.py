"""A judge: a small classifier trained on the user's rows and labels, whose features and answers generated rows are measured by.

    minimise   - log p(label | x)        averaged over rows, through the one loop (`engram.training`)

Pictures go through convolutions with max pooling, vectors through fully connected layers; the layer before the last gives
the features. Frechet distances on the features of a classifier of the same pictures: Heusel et al., GANs Trained by a Two
Time-Scale Update Rule, 2017, arXiv:1706.08500, whose classifier is Inception; agreement with the asked class, "GAN-train" and
"GAN-test": Shmelkov, Schmid & Alahari, How good is my GAN?, 2018, arXiv:1807.09499.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.data.rows import Rows, fingerprint
from engram.errors import DataError, UsageError
from engram.models.blocks import block_size, padded
from engram.networks import NETWORKS, head
from engram.training import Batch, Settings, Turn, train
from engram.training.nets import Nets
from engram.training.session import seed_from, seeded, threads
from engram.training.settings import auto_batch_size, auto_threads, flops_per_row, usable_device

Array = np.ndarray[Any, np.dtype[Any]]
FEATURES = 128  # values of the layer before the last
FEWEST_EPOCHS, MOST_EPOCHS, STEPS = 8, 40, 2000  # passes over the rows, and the steps that small sets get
LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 2e-3, 0.1, 0.3
MOST_CLASSES = 0.5  # classes per row: with more, labels are no classes


class Classifier(nn.Module):
    """Centred rows, divided by one common scale, through a body to `FEATURES` features, and from those to one logit per class.

    Parameters
    ----------
    x : Tensor
        The rows to learn from: (rows, values) or (rows, channels, height, width); their means and scale are kept.
    n_classes : int
        How many classes.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, x: Tensor, n_classes: int) -> None:
        super().__init__()
        over = (0, 2, 3) if x.dim() == 4 else (0,)
        self.register_buffer("mean", x.mean(over, keepdim=True)[0])
        spread = (x - self.mean).square().mean().sqrt()  # one for all: the kind of data has weighed the columns already
        self.register_buffer("scale", torch.where(spread > 0, spread, torch.ones_like(spread)))
        shape = tuple(x.shape[1:])
        family = NETWORKS["conv-pool" if x.dim() == 4 else "mlp"]
        widths = family.widths(shape, FEATURES)
        if x.dim() == 4:
            widths = widths if len(widths) > 1 else (*widths, 2 * widths[-1])
        body = family.encoder(shape, widths, 0.0 if x.dim() == 4 else DROPOUT)
        self.features = nn.Sequential(body, head(body.features, (FEATURES,)), nn.ELU())
        self.drop = nn.Dropout(DROPOUT)
        self.head = head((FEATURES,), (n_classes,))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (rows, classes)."""
        return cast("Tensor", self.head(self.drop(self.looked_at(x))))

    def looked_at(self, x: Tensor) -> Tensor:
        """Return the features, (rows, `FEATURES`)."""
        return cast("Tensor", self.features((x - self.mean) / self.scale))


class _Learning:
    """What the loop asks for: one turn of one term, the cross-entropy of the labels."""

    def turns(self, step: int) -> Sequence[Turn]:
        return (Turn("judge", ("judge",)),)

    def terms(self, turn: Turn, nets: Nets, batch: Batch) -> dict[str, Tensor]:
        return {
            "cross_entropy": functional.cross_entropy(nets.judge(batch.x), cast("Tensor", batch.y), reduction="none")
        }

    def after_step(self, turn: Turn, nets: Nets, batch: Batch) -> None:
        """Nothing is left to do."""


class Judge:
    """A seeded classifier of the user's rows.

    Rows are encoded: float tensors (rows, values), or (rows, channels, height, width) for pictures. A judge is fair only to rows
    that it has not learned from: fit it on other rows than those that are judged, and on other rows than a generator learned from
    where that generator's own rows are judged. This is for the caller to see to.

    After `fit` it has ``classes_``, the labels in order; ``name_``, e.g. "cnn, seed 0, 10,000 rows"; ``key_``, a digest of what it
    learned from and how: two judges with the same key give the same answers; ``epochs_``, the passes over the rows.
    """

    classes_: Array
    name_: str
    key_: str
    epochs_: int

    def fit(self, x: Tensor, labels: Any, *, random_state: Any = 0, max_epochs: int | Literal["auto"] = "auto") -> Self:
        """Learn to tell classes apart.

        Parameters
        ----------
        x : Tensor
            (rows, values) or (rows, channels, height, width), encoded.
        labels : array
            (rows,), one class per row: numbers or texts.
        random_state : int, RandomState or None
            Seed: the same rows, labels and seed give the same judge.
        max_epochs : int or "auto"
            Passes over the rows; "auto" makes about `STEPS` steps of small sets, and at least `FEWEST_EPOCHS` passes.

        Raises
        ------
        DataError
            The rows and labels do not go together, or the labels are no classes.
        UsageError
            ``max_epochs`` is no positive number.
        """
        numbers = self._classes(x, labels)
        seed = seed_from(random_state)
        rows = Rows(x.detach().float().contiguous().cpu(), y=numbers)
        batch_size = min(auto_batch_size(len(x)), len(x))
        self.epochs_ = _epochs(len(x), batch_size) if max_epochs == "auto" else max_epochs
        if self.epochs_ < 1:
            raise UsageError(f"max_epochs={max_epochs!r} is no positive number of passes over the rows. Use 'auto'.")
        device = usable_device("auto")
        with seeded(seed, device):
            nets = Nets({"judge": Classifier(rows.x, len(self.classes_))}).to(device)
            self._threads = auto_threads(3 * flops_per_row(nets) * batch_size)
            settings = Settings(
                batch_size=batch_size,
                max_epochs=self.epochs_,
                learning_rate=LEARNING_RATE,
                weight_decay=WEIGHT_DECAY,
                early_stopping=False,
                threads=self._threads,
                device=str(device),
                seed=seed,
            )
            with threads(self._threads):
                train(_Learning(), nets, rows.to(device), None, settings)
        self._net: Classifier = nets.to("cpu").judge.eval().requires_grad_(False)
        family = "cnn" if x.dim() == 4 else "mlp"
        self.name_ = f"{family}, seed {seed}, {len(x):,} rows"
        self.key_ = f"{self.name_}, {self.epochs_} epochs, labels {labels_digest(labels)}, {fingerprint(Rows(rows.x))}"
        return self

    def _classes(self, x: Tensor, labels: Any) -> Tensor:
        """Check rows and labels, keep the classes, and return the number of each row's class, (rows,)."""
        given = np.asarray(labels)
        if x.dim() not in (2, 4):
            raise DataError(
                f"a judge takes rows of shape (rows, values) or (rows, channels, height, width), these are of shape {tuple(x.shape)}."
            )
        if given.shape != (len(x),):
            raise DataError(f"{len(x)} rows need one label each, but the labels have shape {given.shape}.")
        if not bool(torch.isfinite(x).all()):
            raise DataError(
                "some rows have values that are not finite. A judge cannot learn from them: leave them out."
            )
        reason = not_classes(given)
        if reason is not None:
            raise DataError(f"a judge cannot learn from these labels: {reason}. Use features='codes' or 'rows'.")
        self.classes_, numbers = np.unique(given, return_inverse=True)
        return torch.from_numpy(numbers.astype(np.int64))

    def probabilities(self, x: Tensor) -> Array:
        """Return p(class | x), (rows, classes) float64, in the order of ``classes_``."""
        return self._over(x, Classifier.forward).double().softmax(1).numpy()

    def predict(self, x: Tensor) -> Array:
        """Return the most probable class of each row, (rows,), as the labels were."""
        numbers = self._over(x, Classifier.forward).argmax(1).numpy()
        found: Array = self.classes_[numbers]
        return found

    def accuracy(self, x: Tensor, labels: Any) -> float:
        """Return the share of rows whose predicted class is their label, 0 to 1."""
        return float((self.predict(x) == np.asarray(labels)).mean())

    def features(self, x: Tensor) -> Array:
        """Return what the layer before the last gives, (rows, `FEATURES`) float64."""
        return self._over(x, Classifier.looked_at).double().numpy()

    def _over(self, x: Tensor, function: Callable[[Classifier, Tensor], Tensor]) -> Tensor:
        """Apply a method of the network block by block, so that a row's result depends on nothing but the row."""
        if not hasattr(self, "_net"):
            raise UsageError("this judge has not learned anything yet: call fit(x, labels) first.")
        size = block_size(math.prod(x.shape[1:]))
        with threads(self._threads), torch.no_grad():
            parts = torch.split(x.detach().float().cpu(), size)
            return torch.cat([padded(partial(function, self._net), part) for part in parts])


def labels_digest(labels: Any) -> str:
    """Return a short digest of labels, to tell whether two sets of them are the same."""
    classes, numbers = np.unique(np.asarray(labels).astype(str), return_inverse=True)
    return hashlib.sha256(repr(classes.tolist()).encode() + numbers.astype(np.int64).tobytes()).hexdigest()[:16]


def not_classes(labels: Array) -> str | None:
    """Return why labels are no classes, or None where they are."""
    if labels.ndim != 1:
        return f"they are of shape {labels.shape}, not one per row"
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        return "some are missing"
    if labels.dtype.kind == "O" and any(label is None or label != label for label in labels):  # noqa: PLR0124
        return "some are missing"
    n = len(np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels))
    if n < 2:
        return "all rows have the same label" if len(labels) else "there are none"
    if n > MOST_CLASSES * len(labels):
        return f"{n} different labels for {len(labels)} rows are no classes"
    return None


def _epochs(n_rows: int, batch_size: int) -> int:
    """About `STEPS` steps, but no fewer than `FEWEST_EPOCHS` passes and no more than `MOST_EPOCHS`."""
    return min(max(math.ceil(STEPS / math.ceil(n_rows / batch_size)), FEWEST_EPOCHS), MOST_EPOCHS)
