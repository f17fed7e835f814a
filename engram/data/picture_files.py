"""Pictures from files: found, looked at, made equal as asked, decoded once, with names and labels.

Two passes: the headers decide the size, the number of channels and the type of a value that all pictures can have; then each
is decoded into that form. A file that cannot be read is left out and told about, with the reason.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL

from engram.data.picture_cache import Entry, Facts, InMemory, cache_folder, load
from engram.data.picture_decoding import CLOSED, Form, Header, Pixels, UnreadableError, decoded, header, quiet
from engram.data.picture_places import PictureFile, Place, archive, folder, labels, listed, shown
from engram.data.picture_wishes import MAX_PIXELS_VARIABLE, SUFFIXES, Wishes
from engram.data.source import TEXTS, Source
from engram.errors import DataError, tell

VERSION = "1"  # of what a file becomes: another number makes earlier entries of the cache unknown
WORKERS = 4  # threads that decode; each holds one picture
NAMED = 5  # skipped files that are named in a message
SIZES = 5  # sizes that are named in a message
T = TypeVar("T")


def read_pictures(source: Path | list[Any], wishes: Wishes) -> Source:
    """Read a folder, a .zip archive, one file or a list of files; warn of what was left out or changed.

    Raises `DataError` where no picture can be read, or where they are not of one size and no way to make them so was asked for.
    """
    suffixes = wishes.suffixes()
    with quiet():
        if not isinstance(source, Path):
            found = _read(listed(source), wishes)
        elif source.is_dir():
            found = _read(folder(source, suffixes), wishes)
        elif source.suffix.lower() == ".zip":
            with archive(source, suffixes) as place:
                found = _read(place, wishes)
        else:
            found = _read(listed([source]), wishes)
    from engram.data.kind import DataWarning

    for note in found.notes:
        tell(note, DataWarning)
    return found


def _read(place: Place, wishes: Wishes) -> Source:
    if not place.files:
        raise DataError(_nothing(place, place.skipped, wishes))
    array, facts = _pictures(place, wishes)
    unreadable = dict(facts.skipped)
    names = [file.name for i, file in enumerate(place.files) if i not in unreadable]
    skipped = place.skipped | {place.files[i].name: reason for i, reason in facts.skipped}
    notes = [f"{note} ({n} picture{'s' * (n > 1)})" for note, n in facts.notes.items()]
    if skipped:
        notes.insert(0, _told(place, skipped, len(names)))
    if place.others:
        notes.append(_others(place))
    y = labels(names)
    return Source(
        place.name,
        array,
        None if y is None else np.array([shown(text) for text in y], dtype=object),
        names=[shown(name) for name in names],
        notes=tuple(notes),
        skipped={shown(name): reason for name, reason in skipped.items()},
    )


def _pictures(place: Place, wishes: Wishes) -> tuple[Pixels, Facts]:
    """Return all pictures as one array: mapped from the cache, decoded into it, or decoded into memory."""
    at = cache_folder() if wishes.cache is None else wishes.cache if isinstance(wishes.cache, Path) else None
    key = place.digest(VERSION, PIL.__version__, wishes.described())
    known = None if at is None else load(at, key)
    if known is not None and _is_true(place, *known):
        return known
    headers, skipped = _headers(place, wishes)
    form = _form(place, headers, wishes)
    if at is not None:
        expected = len(headers) * form.size[0] * form.size[1] * form.channels * np.dtype(form.depth).itemsize
        try:
            with Entry(at, key, expected) as entry:
                return _decode(place, headers, dict(skipped), wishes, form, entry)
        except OSError:  # read-only, full: the pictures are still worth having
            pass
    return _decode(place, headers, dict(skipped), wishes, form, InMemory(len(headers)))


def _is_true(place: Place, array: Pixels, facts: Facts) -> bool:
    """Whether an entry of the cache can be of this place, and whatever could not be opened still cannot."""
    numbers = {i for i, _ in facts.skipped}
    closed = [i for i, reason in facts.skipped if reason.startswith(CLOSED)]
    whole = numbers <= set(range(len(place.files))) and len(array) + len(numbers) == len(place.files)
    return whole and not any(_opens(place.files[i]) for i in closed)


def _opens(file: PictureFile) -> bool:
    try:
        file.opened().close()
    except Exception:
        return False
    return True


def _headers(place: Place, wishes: Wishes) -> tuple[dict[int, Header], dict[int, str]]:
    """Return the headers of readable files by their number, and why the others are not."""
    headers, skipped = {}, {}
    for i, found in _each(lambda i: header(place.files[i], wishes), range(len(place.files))):
        if isinstance(found, UnreadableError):
            skipped[i] = str(found)
        else:
            headers[i] = found
    if not headers:
        raise DataError(
            _nothing(place, place.skipped | {place.files[i].name: why for i, why in skipped.items()}, wishes)
        )
    return headers, skipped


def _each(work: Callable[[int], T], numbers: Any) -> Iterator[tuple[int, T | UnreadableError]]:
    """Do the work for every number, some at once, and yield the results in order."""

    def safely(i: int) -> T | UnreadableError:
        try:
            return work(i)
        except UnreadableError as error:
            return error

    workers = min(WORKERS, os.cpu_count() or 1)
    waiting: deque[tuple[int, Any]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for i in numbers:
                waiting.append((i, pool.submit(safely, i)))
                if len(waiting) > 2 * workers:
                    number, future = waiting.popleft()
                    yield number, future.result()
            for number, future in waiting:
                yield number, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode(
    place: Place,
    headers: dict[int, Header],
    skipped: dict[int, str],
    wishes: Wishes,
    form: Form,
    store: Entry | InMemory,
) -> tuple[Pixels, Facts]:
    """Decode into a store; channels that no picture uses are dropped at the end."""
    notes: Counter[str] = Counter()
    transparent = colour = False
    for i, found in _each(lambda i: decoded(place.files[i], wishes, form), headers):
        if isinstance(found, UnreadableError):
            skipped[i] = str(found)
            continue
        picture, told = found
        store.append(picture)
        notes.update([*headers[i].notes, *told])
        colour |= not headers[i].grey
        transparent |= form.channels == 4 and bool((picture[:, :, 3] != _opaque(picture)).any())
    if not store.rows:
        raise DataError(
            _nothing(place, place.skipped | {place.files[i].name: why for i, why in skipped.items()}, wishes)
        )
    channels = wishes.channels or (4 if transparent else 3 if colour else 1)
    if channels > 1:
        notes.update("grey turned into RGB" for i, one in headers.items() if one.grey and i not in skipped)
    facts = Facts(skipped=sorted(skipped.items()), notes=dict(notes))
    return store.keep(channels, facts), facts


def _opaque(picture: Pixels) -> float:
    return 1.0 if picture.dtype.kind == "f" else float(np.iinfo(picture.dtype).max)


# --- what all pictures can be ---


def _form(place: Place, headers: dict[int, Header], wishes: Wishes) -> Form:
    """Return the form that every picture is brought to; raise `DataError` where they have none in common."""
    sizes = Counter((one.height, one.width) for one in headers.values())
    size = wishes.size or next(iter(sizes))
    if wishes.resize is None and set(sizes) != {size}:
        raise DataError(_unequal(place, headers, sizes, wishes))
    alpha = any(one.alpha for one in headers.values())
    colour = any(not one.grey for one in headers.values())
    channels = wishes.channels or (4 if alpha else 3 if colour else 1)
    depths = {one.depth: i for i, one in headers.items()}
    depth = wishes.depth or ("float32" if "float32" in depths else "uint16" if "uint16" in depths else "uint8")
    if "float32" in depths and (len(depths) > 1 or depth != "float32"):
        others = {name: i for name, i in depths.items() if name != "float32"}
        beside = (
            f"{place.files[next(iter(others.values()))].name!r} of whole numbers" if others else f"{depth} is expected"
        )
        raise DataError(
            f"{place.files[depths['float32']].name!r} in {place.name!r} has pixels of floating point or 32 bits, and {beside}: "
            "they have no scale in common. Save them all in one type."
        )
    return Form(size, wishes.resize, channels, depth)


def _unequal(place: Place, headers: dict[int, Header], sizes: Counter[tuple[int, int]], wishes: Wishes) -> str:
    """Say which sizes were seen, how many of each, and what to write."""
    example = {(one.height, one.width): place.files[i].name for i, one in headers.items()}
    parts = [f"{n} of {h} x {w} (such as {example[h, w]!r})" for (h, w), n in sizes.most_common(SIZES)]
    if len(sizes) > SIZES:
        parts.append(f"and {len(sizes) - SIZES} more sizes")
    seen = f"the pictures in {place.name!r} are, height x width: {', '.join(parts)}"
    if wishes.size is not None:
        high, wide = wishes.size
        text, pair = f"{high}" if high == wide else f"{high}x{wide}", f"{high}" if high == wide else f"({high}, {wide})"
        return (
            f"{seen}; {high} x {wide} is expected. Say how to bring them there: --size {text} --resize crop (or pad, or resize); "
            f"in Python Images.from_folder(path, size={pair}, resize='crop'). A model fitted so does it by itself."
        )
    side = min(64, *(min(pair) for pair in sizes))
    return (
        f"{seen}. Say how to make them equal: --size {side} --resize crop (or pad, or resize; {side}x{2 * side} is height x width); "
        f"in Python Images.from_folder(path, size={side}, resize='crop')."
    )


# --- words ---


def _told(place: Place, skipped: dict[str, str], n_read: int) -> str:
    """Say which files were skipped and why."""
    shown_ones = [f"{shown(name)!r}: {reason}" for name, reason in sorted(skipped.items())[:NAMED]]
    if len(skipped) > NAMED:
        shown_ones.append(f"and {len(skipped) - NAMED} more")
    n = len(skipped)
    return f"{n} of {n_read + n} files in {place.name!r} {'were' if n > 1 else 'was'} skipped ({'; '.join(shown_ones)})"


def _others(place: Place) -> str:
    n = sum(place.others.values())
    return f"{n} file{'s' * (n > 1)} in {place.name!r} with other endings {'were' if n > 1 else 'was'} left alone ({_endings(place)})"


def _endings(place: Place) -> str:
    return ", ".join(f"{n} x {shown(suffix) or 'none'}" for suffix, n in sorted(place.others.items())[:SIZES])


def _nothing(place: Place, skipped: dict[str, str], wishes: Wishes) -> str:
    """Say that there is no readable picture, and what there is."""
    endings = " ".join(suffix for name in wishes.formats for suffix in SUFFIXES[name][:1])
    told = f"{place.name!r} is {place.what} without a picture that can be read"
    if skipped:
        told += f": {_told(place, skipped, 0)}"
    if place.others:
        told += f"; other endings: {_endings(place)}"
    if any("megapixels" in reason for reason in skipped.values()):
        told += f". More pixels are allowed by max_pixels=, or by {MAX_PIXELS_VARIABLE}=100e6 in the environment"
    if any(ending in place.others for ending in TEXTS):
        told += ". A folder of texts is for topics: TopicModel().fit(folder), engram fit topics FOLDER"
    return f"{told}. Give pictures ({endings}), a CSV, Parquet, .npy or .npz file."
