"""Pictures: arrays (rows, height, width[, channels]) as Pillow gives them, tensors (rows, channels, height, width)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engram.data.kind import Kind
from engram.data.rows import Rows
from engram.errors import DataError, DataTypeError, UsageError, nearest
from engram.likelihoods import LIKELIHOODS, Categorical, Likelihood

CHANNELS = (1, 3, 4)
SMALL = 4096  # up to so many values fully connected layers learned better and faster than convolutions (MNIST, digits)
LEAST_SIDE = 8  # of a picture that convolutions can halve


class Images(Kind):
    """Pictures of one size; pixels are scaled to [0, 1] from the range of their type, or from the range seen at fit.

    Parameters
    ----------
    raw : array or tensor, optional
        The pictures to wrap: (rows, height, width), (rows, height, width, channels) or, as a tensor, (rows, channels, height, width).
    likelihood : str
        Distribution of a pixel: "auto" (normal: squared error decides), "normal", "laplace", "bernoulli", "poisson" (of scaled pixels).
    """

    name = "images"
    metrics: ClassVar[tuple[str, ...]] = ("r2", "squared-error", "log-likelihood", "auroc")
    baselines: ClassVar[tuple[str, ...]] = ("mean", "pca", "knn", "isolation-forest")

    def __init__(self, raw: Any = None, *, likelihood: str = "auto") -> None:
        self.raw = raw
        self.pixel_likelihood = likelihood
        self.dtype = "float32"
        self.low, self.high = 0.0, 1.0
        self.grey = True  # arrays had no axis for channels
        self.tensor = False

    def with_wishes(self, *, columns: Any = None, likelihood: str = "auto") -> Images:
        """Return a copy that takes the model's wishes where the wrapper has none of its own."""
        return Images(likelihood=self.pixel_likelihood if likelihood == "auto" else likelihood)

    @classmethod
    def accepts(cls, raw: Any) -> str | None:
        shape = getattr(raw, "shape", None) or np.shape(raw)
        if len(shape) not in (3, 4):
            return f"pictures have three or four dimensions (rows, height, width[, channels]), these data have {len(shape)}"
        channels = 1 if len(shape) == 3 else shape[1] if isinstance(raw, Tensor) else shape[3]
        return (
            None
            if channels in CHANNELS
            else f"pictures have 1, 3 or 4 channels, these data have {channels} (shape {tuple(shape)})"
        )

    def fit(self, raw: Any) -> Images:
        array = self._opened(raw)
        self.tensor, self.dtype = isinstance(raw, Tensor), str(array.dtype)
        self.grey = len(raw.shape) == 3
        if array.dtype.kind in "ub":
            self.low, self.high = 0.0, float(np.iinfo(array.dtype).max) if array.dtype.kind == "u" else 1.0
        else:
            self.low, self.high = float(array.min()), float(array.max())
            if self.low >= 0 and self.high <= 1:
                self.low, self.high = 0.0, 1.0
        if self.high == self.low:
            self.high = self.low + 1.0
        self._set_shape((array.shape[3], array.shape[1], array.shape[2]))
        return self

    def _set_shape(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        size = int(np.prod(shape))
        self.columns = [f"pixel {i}" for i in range(size)]
        self.groups = None
        self.log_volume = torch.full((size,), float(np.log(self.high - self.low)))

    def _opened(self, raw: Any) -> np.ndarray[Any, Any]:
        """Return (rows, height, width, channels), checked."""
        reason = self.accepts(raw)
        if reason is not None:
            raise DataTypeError(f"not pictures: {reason}.")
        array = raw.detach().cpu().numpy() if isinstance(raw, Tensor) else np.asarray(raw)
        if array.dtype.kind not in "fuib":
            raise DataTypeError(f"pictures are arrays of numbers, these are of type {array.dtype}.")
        if 0 in array.shape:
            raise DataError(
                f"Found array with 0 pictures or pixels (shape={array.shape}) while a minimum of 1 is required."
            )
        if array.ndim == 3:
            array = array[..., None]
        elif isinstance(raw, Tensor):
            array = array.transpose(0, 2, 3, 1)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = np.argwhere(~np.isfinite(array).all(axis=(1, 2, 3)))[:, 0]
            raise DataError(
                f"picture {bad[0]} has pixels that are no numbers or infinite ({len(bad)} such pictures). Drop or mend them."
            )
        return array

    def conform(self, raw: Any, *, reader: str = "this model") -> np.ndarray[Any, Any]:
        array = self._opened(raw)
        shape = (array.shape[3], array.shape[1], array.shape[2])
        if shape != self.shape:
            raise DataError(
                f"the pictures are {_size(shape)}, but {reader} is expecting {_size(self.shape)}. Resize or crop them."
            )
        return array

    def encode(self, conformed: np.ndarray[Any, Any]) -> Rows:
        x = np.ascontiguousarray(conformed.transpose(0, 3, 1, 2), dtype=np.float32)
        if (self.low, self.high) != (0.0, 1.0):
            x = (x - np.float32(self.low)) / np.float32(self.high - self.low)
        return Rows(torch.from_numpy(np.clip(x, -1e6, 1e6)))

    def decode(self, x: Tensor) -> Any:
        array = x.detach().cpu().clamp(0, 1).numpy() * (self.high - self.low) + self.low
        kind = np.dtype(self.dtype)
        array = (np.round(array) if kind.kind in "ui" else array >= 0.5 if kind.kind == "b" else array).astype(kind)
        if self.tensor:
            return torch.from_numpy(array[:, 0] if self.grey else array)
        return array[:, 0] if self.grey else np.ascontiguousarray(array.transpose(0, 2, 3, 1))

    def likelihood(self) -> Likelihood:
        chosen = LIKELIHOODS.get("normal" if self.pixel_likelihood == "auto" else self.pixel_likelihood)
        if chosen is None or chosen is Categorical:
            raise UsageError(
                f"unknown likelihood {self.pixel_likelihood!r} for pictures. {nearest(self.pixel_likelihood, LIKELIHOODS)}"
            )
        return chosen(self.shape)

    def network(self) -> str:
        return "conv" if self.n_features > SMALL and min(self.shape[1:]) >= LEAST_SIDE else "mlp"

    def describe(self) -> list[tuple[str, str]]:
        return [("pictures", f"{_size(self.shape)}, pixels from {self.low:g} to {self.high:g}")]

    def to_dict(self) -> dict[str, Any]:
        plain = {"dtype": self.dtype, "low": self.low, "high": self.high, "grey": self.grey, "tensor": self.tensor}
        return {**plain, "likelihood": self.pixel_likelihood, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Images:
        images = cls(likelihood=state["likelihood"])
        for name in ("dtype", "low", "high", "grey", "tensor"):
            setattr(images, name, state[name])
        images._set_shape(tuple(state["shape"]))
        return images


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[2]} with {shape[0]} channel{'s' if shape[0] > 1 else ''}"
