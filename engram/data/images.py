"""Pictures: arrays (rows, height, width[, channels]) as Pillow gives them, tensors (rows, channels, height, width)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from engram.data.cells import as_whole
from engram.data.forms import ConformedStream
from engram.data.kind import Kind
from engram.data.picture_wishes import Wishes, wishes
from engram.data.rows import Rows
from engram.data.source import Source, read
from engram.data.stream import Stream
from engram.errors import DataError, DataTypeError, UsageError
from engram.likelihoods import LIKELIHOODS, Likelihood

CHANNELS = (1, 3, 4)
SMALL = 4096  # up to so many values fully connected layers learned better and faster than convolutions (MNIST, digits)
PIXELS = ("normal", "laplace", "bernoulli", "exponential", "poisson")  # distributions of values from 0 to 1
LEAST_SIDE = 8  # of a picture that convolutions can halve


class Images(Kind):
    """Pictures of one size; pixels are scaled to [0, 1] from the range of their type, or from the range seen at fit.

    Parameters
    ----------
    raw : array or tensor, optional
        The pictures to wrap: (rows, height, width), (rows, height, width, channels) or, as a tensor, (rows, channels, height, width);
        or where they are: a folder, a .zip archive, a list of files.
    size : int or tuple of two
        Of pictures from files: (height, width), or one number for both.
    resize : str, optional
        How pictures from files come to that size: "crop" (scaled to cover it, the middle cut out), "pad" (scaled to fit into it, black
        around it) or "resize" (both sides scaled, whatever the proportions). Without, pictures of another size are an error.
    likelihood : str
        Distribution of a pixel: "auto" and "best" (normal: squared error decides), "normal", "laplace", "bernoulli",
        "exponential", "poisson" (of scaled pixels).
    """

    name = "images"
    metrics: ClassVar[tuple[str, ...]] = ("r2", "squared-error", "log-likelihood", "auroc")
    baselines: ClassVar[tuple[str, ...]] = ("mean", "pca", "knn", "isolation-forest")

    def __init__(
        self,
        raw: Any = None,
        *,
        size: int | tuple[int, int] | None = None,
        resize: str | None = None,
        likelihood: str = "auto",
    ) -> None:
        self.raw = raw
        self.wishes = wishes(size, resize)
        self.source: Source | None = None
        self.pixel_likelihood = likelihood
        self.dtype = "float32"
        self.low, self.high = 0.0, 1.0
        self.grey = True  # arrays had no axis for channels
        self.tensor = False

    def with_wishes(self, *, columns: Any = None, likelihood: str = "auto") -> Images:
        """Return a copy that takes the model's wishes where the wrapper has none of its own."""
        images = Images(likelihood=self.pixel_likelihood if likelihood == "auto" else likelihood)
        images.wishes = self.wishes
        return images

    @classmethod
    def from_folder(
        cls,
        path: str | Path | Sequence[str | Path],
        *,
        size: int | tuple[int, int] | None = None,
        resize: str | None = None,
        formats: Sequence[str] | None = None,
        max_pixels: int | None = None,
        cache: str | Path | bool | None = None,
        likelihood: str = "auto",
    ) -> Images:
        """Read pictures from files: a folder with all below it, a .zip archive, a file or a list of files.

        They are in the order of their names; a file that cannot be read is left out, with a warning. Decoded pictures are kept in a
        cache folder and mapped into memory from there.

        Parameters
        ----------
        path : path or list of paths
            Where they are.
        size, resize, likelihood
            As above.
        formats : sequence of str, optional
            Formats that are read, of "PNG", "JPEG", "WEBP", "BMP" and "TIFF" (all of them).
        max_pixels : int, optional
            Files with more pixels are skipped before they are decoded (25 million, or $ENGRAM_MAX_PIXELS).
        cache : path or bool, optional
            Folder of decoded pictures instead of the user's cache folder ($ENGRAM_CACHE, $XDG_CACHE_HOME/engram or ~/.cache/engram);
            False decodes into memory.

        Returns
        -------
        Images
            With ``raw`` (the pictures), ``names`` (their files), ``labels`` (their sub-folders or None) and ``skipped`` (file: reason).
        """
        images = cls(size=size, resize=resize, likelihood=likelihood)
        images.wishes = wishes(size, resize, formats=formats, max_pixels=max_pixels, cache=cache)
        images.source = read(list(path) if not isinstance(path, str | Path) else path, pictures=images.wishes)
        if images.source.names is None:
            raise DataError(f"{images.source.name!r} is no folder, archive or file of pictures.")
        images.raw, images.notes = images.source.rows, images.source.notes
        return images

    @property
    def names(self) -> list[str] | None:
        """The file of each picture, where they come from files."""
        return None if self.source is None else self.source.names

    @property
    def labels(self) -> Any:
        """The sub-folder of each picture, or None where all lie in one."""
        return None if self.source is None else self.source.y

    @property
    def skipped(self) -> dict[str, str]:
        """Files that could not be read, and why."""
        return {} if self.source is None else self.source.skipped

    def around(self, raw: Any, notes: tuple[str, ...] | None = None) -> Images:
        """Return these wishes and notes around other pictures, e.g. around some of them."""
        images = self.with_wishes()
        images.raw, images.notes = raw, self.notes if notes is None else notes
        return images

    def read(self, source: Any) -> Source:
        """Read pictures from files as they were read at fit: of the same size, by the same way there, with the same channels."""
        return read(source, pictures=self._like_fitted() if hasattr(self, "shape") else self.wishes, header=self.header)

    def _like_fitted(self) -> Wishes:
        """Return the wishes that bring files to the fitted pictures' form; whole numbers become what the fit saw as 0 and 1."""
        unit = (self.low, self.high) == (0.0, 1.0)
        depth = "float32" if unit else self.dtype if self.dtype in ("uint8", "uint16") else None
        return replace(self.wishes, size=(self.shape[1], self.shape[2]), channels=self.shape[0], depth=depth)

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

    def conform(self, raw: Any, *, reader: str = "this model") -> Any:
        if isinstance(raw, Stream):
            return ConformedStream(raw, lambda rows: self.conform(rows, reader=reader))
        array = self._opened(raw)
        shape = (array.shape[3], array.shape[1], array.shape[2])
        if shape != self.shape:
            raise DataError(
                f"the pictures are {_size(shape)}, but {reader} is expecting {_size(self.shape)}. Resize or crop them."
            )
        return array

    def encode(self, conformed: np.ndarray[Any, Any]) -> Rows:
        x = np.array(
            conformed.transpose(0, 3, 1, 2), dtype=np.float32, order="C"
        )  # the only copy; the rest is in place
        if (self.low, self.high) != (0.0, 1.0):
            x -= np.float32(self.low)
            x /= np.float32(self.high - self.low)
        return Rows(torch.from_numpy(np.clip(x, -1e6, 1e6, out=x)))

    def decode(self, x: Tensor) -> Any:
        array, kind = x.detach().cpu().clamp(0, 1).numpy(), np.dtype(self.dtype)
        size = self.high - self.low
        if kind.kind in "ui":  # not in float32, which rounds the largest of 32 bits up
            array = as_whole(array.astype(np.float64) * size + self.low, kind.name)
        else:
            array = array * size + self.low
            array = (array >= 0.5 if kind.kind == "b" else array).astype(kind)
        if self.tensor:
            return torch.from_numpy(array[:, 0] if self.grey else array)
        return array[:, 0] if self.grey else np.ascontiguousarray(array.transpose(0, 2, 3, 1))

    def likelihood(self) -> Likelihood:
        chosen = "normal" if self.pixel_likelihood in ("auto", "best") else self.pixel_likelihood
        if chosen not in PIXELS:
            why = (
                ""
                if chosen not in LIKELIHOODS
                else f": it is of {LIKELIHOODS[chosen].support}, and pixels go from 0 to 1, both included"
            )
            raise UsageError(f"likelihood {chosen!r} is not for pictures{why}. Use one of {', '.join(PIXELS)}.")
        pixels = LIKELIHOODS[chosen](self.shape)
        pixels.bound(torch.tensor(0.0), torch.tensor(1.0))
        return pixels

    def network(self) -> str:
        return "conv" if self.n_features > SMALL and min(self.shape[1:]) >= LEAST_SIDE else "mlp"

    def describe(self) -> list[tuple[str, str]]:
        made = {"crop": "cropped", "pad": "padded", "resize": "resized", None: ""}[self.wishes.resize]
        told = f"{_size(self.shape)}, pixels from {self.low:g} to {self.high:g}"
        return [("pictures", f"{told}, {made} to this size" if made else told)]

    def to_dict(self) -> dict[str, Any]:
        plain = {"dtype": self.dtype, "low": self.low, "high": self.high, "grey": self.grey, "tensor": self.tensor}
        return {
            **plain,
            "likelihood": self.pixel_likelihood,
            "shape": list(self.shape),
            "resize": self.wishes.resize,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Images:
        images = cls(likelihood=state["likelihood"])
        for name in ("dtype", "low", "high", "grey", "tensor"):
            setattr(images, name, state[name])
        images.wishes = replace(images.wishes, resize=state.get("resize"))
        images._set_shape(tuple(state["shape"]))
        return images


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[2]} with {shape[0]} channel{'s' if shape[0] > 1 else ''}"
