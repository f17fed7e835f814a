"""One picture file at a time: its header, checked before anything is decoded, and its pixels as an array.

Pillow decodes, from a list of allowed formats. What it raises for damaged files is as varied as the damage, so all of it
becomes `UnreadableError`; only a header within the cap of pixels is ever decoded.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

# imported here, so that Pillow need not look through all its formats for them
from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

from engram.data.picture_places import PictureFile
from engram.data.picture_wishes import Wishes

ORIENTATION = 274  # the EXIF tag
CLOSED = "cannot be opened"  # begins the reason of what may be otherwise tomorrow, such as a missing permission
SHARPER = 3  # times the size asked for, at which a JPEG may be decoded to save time
Pixels = np.ndarray[Any, np.dtype[Any]]


class UnreadableError(Exception):
    """A file is no picture that can be read; the message says why."""


@dataclass(frozen=True)
class Header:
    """What a file says of its picture.

    Parameters
    ----------
    height, width : int
        Upright, as its orientation tag says.
    grey : bool
        Whether it has no colours.
    alpha : bool
        Whether it may be transparent somewhere.
    depth : str
        "uint8", "uint16" or "float32".
    notes : tuple of str
        What is changed by reading it.
    """

    height: int
    width: int
    grey: bool
    alpha: bool
    depth: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """What every picture is brought to: (height, width) and how, the number of channels, the type of a value."""

    size: tuple[int, int]
    resize: str | None
    channels: int
    depth: str


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings of odd files to itself: such files are read or skipped, and told about by us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _opened(file: PictureFile, wishes: Wishes) -> Iterator[Any]:
    """Give an opened picture whose size is within the cap; turn every failure into `UnreadableError`."""
    try:
        with file.opened() as stream, Image.open(stream, formats=wishes.formats) as picture:
            _check_size(picture.size[0] * picture.size[1], wishes)
            yield picture
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        *most, last = wishes.formats
        known = f"{', '.join(most)} or {last}" if most else last
        raise UnreadableError(f"no {known} file inside") from None
    except Image.DecompressionBombError:
        raise UnreadableError(f"hundreds of megapixels, more than the {wishes.max_pixels / 1e6:g} allowed") from None
    except Exception as error:  # decoders fail in every way there is
        if isinstance(error, OSError) and error.strerror:
            raise UnreadableError(f"{CLOSED}: {error.strerror}") from None
        told = " ".join(str(error).split())[:100] or type(error).__name__
        raise UnreadableError(f"damaged: {told}") from None


def _check_size(n: int, wishes: Wishes) -> None:
    if n > wishes.max_pixels:
        raise UnreadableError(f"{n / 1e6:.1f} megapixels, more than the {wishes.max_pixels / 1e6:g} allowed")


def header(file: PictureFile, wishes: Wishes) -> Header:
    """Read the header of a file."""
    with _opened(file, wishes) as picture:
        width, height = picture.size
        if _orientation(picture) >= 5 and picture.format != "TIFF":  # of those Pillow gives the upright size
            width, height = height, width
        depth = _depth(picture)
        alpha = depth == "uint8" and picture.has_transparency_data
        return Header(height, width, _is_grey(picture), alpha, depth, _notes(picture))


def _orientation(picture: Any) -> int:
    """Return the EXIF orientation, 1 to 8; of a PNG that is not decoded yet only where the tag stands before the pixels."""
    if picture.format == "PNG" and "exif" not in picture.info and picture.tile:
        return 1
    try:
        found = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged tag does not make a damaged picture
        return 1
    return int(found) if isinstance(found, int) and 1 <= found <= 8 else 1


def _raw(picture: Any) -> str:
    """Return how the values lie in the file, in Pillow's words, e.g. RGB;16B."""
    arguments = picture.tile[0].args if picture.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _is_grey(picture: Any) -> bool:
    if picture.mode == "P":
        colours = np.array(picture.getpalette("RGB") or [0, 0, 1]).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    return (
        picture.mode in ("1", "L", "LA", "La", "I", "F")
        or picture.mode.startswith("I;16")
        or _raw(picture).startswith("LA")
    )


def _depth(picture: Any) -> str:
    if picture.mode.startswith("I;16"):
        return "uint16"
    return "float32" if picture.mode in ("I", "F") else "uint8"


def _notes(picture: Any) -> tuple[str, ...]:
    found = []
    if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        found.append(f"{picture.mode} turned into RGB")
    if "16" in _raw(picture) and _depth(picture) == "uint8":
        found.append("16-bit colour or transparency read as 8-bit, which is all that Pillow gives")
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        found.append("several frames or pages, of which the first was taken")
    return tuple(found)


def decoded(file: PictureFile, wishes: Wishes, form: Form) -> tuple[Pixels, list[str]]:
    """Return the pixels of a file, (height, width, channels) in the form asked for, and notes on what that changed."""
    with _opened(file, wishes) as picture:
        if form.resize is not None:
            side = max(form.size) * SHARPER
            picture.draft(None, (side, side))  # JPEG: decode at 1/2, 1/4 or 1/8 where that is still large enough
        picture.load()
        turned = _orientation(picture)
        array = _upright(_values(picture), turned)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UnreadableError("pixels that are no numbers or infinite")
    notes: list[str] = []
    array = _of_size(array, form, notes)
    array = _with_channels(array, form.channels, notes)
    return np.ascontiguousarray(_in_depth(array, form.depth)), notes


def _values(picture: Any) -> Pixels:
    """Return (height, width, 1 to 4 channels: grey, grey and alpha, RGB, RGBA) as uint8, uint16 or float32."""
    depth, grey, alpha = _depth(picture), _is_grey(picture), picture.has_transparency_data
    if depth != "uint8":
        array = np.asarray(picture).astype(depth)
    elif picture.mode == "1" and not alpha:
        array = np.asarray(picture).astype(np.uint8) * np.uint8(255)
    else:
        mode = "RGBA" if alpha else "L" if grey else "RGB"
        array = np.asarray(picture if picture.mode == mode else picture.convert(mode))
        if grey and alpha:
            array = array[:, :, [0, 3]]
    return array[:, :, None] if array.ndim == 2 else array


def _upright(array: Pixels, orientation: int) -> Pixels:
    """Turn and mirror an array as an EXIF orientation from 1 to 8 says."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    across = orientation in (2, 3, 6, 7)
    down = orientation in (3, 4, 7, 8)
    return array[:: -1 if down else 1, :: -1 if across else 1]


# --- to one size, number of channels and depth ---


def _of_size(array: Pixels, form: Form, notes: list[str]) -> Pixels:
    height, width = array.shape[:2]
    if (height, width) == form.size:
        return array
    high, wide = form.size
    if form.resize is None:
        raise UnreadableError(f"{height} x {width} pixels, where the others have {high} x {wide}")
    tall, broad = high / height, wide / width
    scale = min(tall, broad) if form.resize == "pad" else max(tall, broad)
    if scale > 1:
        notes.append(f"smaller than {high} x {wide} and enlarged")
    whole = (0.0, 0.0, float(width), float(height))
    if form.resize == "resize":
        return _scaled(array, form.size, whole)
    if form.resize == "crop":
        left, top = max(0.0, (width - wide / scale) / 2), max(0.0, (height - high / scale) / 2)
        return _scaled(array, form.size, (left, top, width - left, height - top))
    inner = (min(high, max(1, round(height * scale))), min(wide, max(1, round(width * scale))))
    top, left = (high - inner[0]) // 2, (wide - inner[1]) // 2
    padded = np.zeros((high, wide, array.shape[2]), dtype=array.dtype)
    padded[top : top + inner[0], left : left + inner[1]] = _scaled(array, inner, whole)
    return padded


def _scaled(array: Pixels, size: tuple[int, int], box: tuple[float, float, float, float]) -> Pixels:
    """Return a part of a picture at another size: bicubic, smoothed where it shrinks; colours are weighted by alpha."""
    high, wide = size

    def resized(values: Pixels) -> Pixels:
        plane = Image.fromarray(np.ascontiguousarray(values))
        return np.asarray(plane.resize((wide, high), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0))

    if array.dtype == np.uint8 and array.shape[2] != 2:
        found = resized(array[:, :, 0] if array.shape[2] == 1 else array)
        return found[:, :, None] if found.ndim == 2 else found
    if array.dtype == np.uint8:  # grey and alpha
        return resized(array[:, :, [0, 0, 0, 1]])[:, :, [0, 3]]
    found = np.stack([resized(array[:, :, i].astype(np.float32)) for i in range(array.shape[2])], 2)
    if array.dtype == np.uint16:
        return found.round().clip(0, 65535).astype(np.uint16)
    return found.clip(array.min(), array.max())


def _with_channels(array: Pixels, channels: int, notes: list[str]) -> Pixels:
    """Bring 1 (grey), 2 (grey and alpha), 3 or 4 channels to 1, 3 or 4."""
    full = array.dtype.type(1 if array.dtype.kind == "f" else np.iinfo(array.dtype).max)
    colours, alpha = (array[:, :, :-1], array[:, :, -1:]) if array.shape[2] in (2, 4) else (array, None)
    if channels < 4 and alpha is not None and (alpha < full).any():
        notes.append("transparency left out")
    if channels == 1 and colours.shape[2] == 3:
        notes.append("colour turned into grey")
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as Pillow weighs them
        grey = colours @ weights
        colours = (grey if array.dtype.kind == "f" else grey.round()).astype(array.dtype)[:, :, None]
    if channels > 1 and colours.shape[2] == 1:
        colours = colours.repeat(3, 2)
    if channels < 4:
        return colours
    return np.concatenate([colours, np.full_like(colours[:, :, :1], full) if alpha is None else alpha], 2)


def _in_depth(array: Pixels, depth: str) -> Pixels:
    """Bring values to another type: white stays white."""
    found = str(array.dtype)
    if found == depth:
        return array
    if found == "float32":
        raise UnreadableError("pixels of floating point, where the others are whole numbers")
    if depth == "float32":
        return array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    if depth == "uint16":
        return array.astype(np.uint16) * np.uint16(257)
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
