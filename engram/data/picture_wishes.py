"""What is asked of picture files: one size and how to come to it, which formats, how large a picture may be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engram.errors import UsageError, nearest

RESIZES = ("crop", "pad", "resize")
SUFFIXES = {  # by format, as Pillow calls it
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
}
FORMATS = tuple(SUFFIXES)
MAX_PIXELS = 25_000_000  # of one picture: a 9 KB file can hold 9,000 x 9,000 of them
MAX_PIXELS_VARIABLE = "ENGRAM_MAX_PIXELS"
LARGEST = 1 << 28  # pixels that may be asked for at most
DEPTHS = ("uint8", "uint16", "float32")


@dataclass(frozen=True)
class Wishes:
    """How pictures are to be read from files.

    Parameters
    ----------
    size : tuple of two ints or None
        (height, width) of every picture; None takes the size that all files share.
    resize : str or None
        How a picture of another size comes to it: "crop" (scaled to cover it, the middle cut out), "pad" (scaled to fit into it, black
        around it) or "resize" (both sides scaled, whatever the proportions). None refuses such pictures.
    channels : int or None
        1 (grey), 3 or 4; None takes what the pictures have.
    depth : str or None
        "uint8", "uint16" or "float32" (from 0 to 1 where files hold whole numbers); None takes what the pictures have.
    formats : tuple of str
        Formats that are read.
    max_pixels : int
        Most pixels of a picture; a file with more is skipped before it is decoded.
    cache : Path, False or None
        Folder of decoded pictures; False keeps them in memory, None is the user's cache folder.
    """

    size: tuple[int, int] | None = None
    resize: str | None = None
    channels: int | None = None
    depth: str | None = None
    formats: tuple[str, ...] = FORMATS
    max_pixels: int = MAX_PIXELS
    cache: Path | bool | None = None

    def __post_init__(self) -> None:
        if self.resize is not None and self.resize not in RESIZES:
            raise UsageError(f"resize={self.resize!r} is no way to resize. {nearest(str(self.resize), RESIZES)}")
        if self.channels not in (None, 1, 3, 4) or self.depth not in (None, *DEPTHS):
            raise UsageError(f"pictures have 1, 3 or 4 channels of {', '.join(DEPTHS)}.")
        for name in self.formats:
            if name not in FORMATS:
                raise UsageError(f"formats={self.formats!r}: {name!r} is not read. {nearest(name, FORMATS)}")
        if not self.formats or not 0 < self.max_pixels <= LARGEST:
            raise UsageError(f"give at least one format, and max_pixels from 1 to {LARGEST:,}.")

    def described(self) -> str:
        """Return the wishes that decide about pixels, for a digest."""
        return repr(replace(self, cache=None))

    def suffixes(self) -> frozenset[str]:
        """Return the endings of file names that are looked at."""
        return frozenset(suffix for name in self.formats for suffix in SUFFIXES[name])


def wishes(
    size: int | tuple[int, int] | None = None,
    resize: str | None = None,
    *,
    formats: Sequence[str] | None = None,
    max_pixels: int | None = None,
    cache: str | Path | bool | None = None,
) -> Wishes:
    """Return checked wishes; one number as size is a square."""
    if resize is not None and size is None:
        raise UsageError(
            f"resize={resize!r} needs a size to come to: size=64, or (48, 64) for height and width (--size 64, --size 48x64)."
        )
    return Wishes(
        size=_pair(size),
        resize=resize,
        formats=FORMATS if formats is None else tuple(str(name).upper().replace("JPG", "JPEG") for name in formats),
        max_pixels=_most(max_pixels),
        cache=Path(cache) if isinstance(cache, str | Path) else None if cache in (None, True) else False,
    )


def _pair(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(n, int) and n > 0 for n in pair) or pair[0] * pair[1] > MAX_PIXELS:
        raise UsageError(
            f"size={size!r} is no size: give one number, or (height, width); at most {MAX_PIXELS:,} pixels."
        )
    return pair[0], pair[1]


def _most(max_pixels: int | None) -> int:
    """Return the cap: as given, from the environment, or the default."""
    if max_pixels is not None:
        return int(max_pixels)
    text = os.environ.get(MAX_PIXELS_VARIABLE, "")
    if not text:
        return MAX_PIXELS
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise UsageError(f"{MAX_PIXELS_VARIABLE}={text!r} is no number of pixels.") from None
