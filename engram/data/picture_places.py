"""Where picture files lie: a folder with all below it, a list of files, a .zip archive. Nothing is decoded or unpacked here."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from engram.errors import DataError

MOST_BYTES = 256 << 20  # of one file
MOST_MEMBERS = 200_000  # of an archive
MOST_DIRECTORY = 32 << 20  # bytes of an archive's table of contents
MOST_RATIO = 200  # between a member and what it takes in the archive; photos do not shrink, blank bitmaps do
PIECE = 1 << 20  # bytes unpacked at once
HIDDEN = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")


@dataclass(frozen=True)
class PictureFile:
    """One file that may be a picture: its name below the place, what tells it from another version, and how to open it."""

    name: str
    size: int
    version: str
    opened: Callable[[], IO[bytes]]


@dataclass
class Place:
    """What was found in a place.

    Parameters
    ----------
    name : str
        What to call it in messages.
    what : str
        What it is: "a folder", ...
    identity : str
        What tells it from other places with files of the same names.
    files : list of PictureFile
        In the order of their names.
    skipped : dict
        Files that are left out, and why.
    others : dict
        Endings of files that are no pictures by their name, counted.
    """

    name: str
    what: str
    identity: str
    files: list[PictureFile] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)

    def digest(self, *more: str) -> str:
        """Return what changes when a file is added, removed or changed, or when it is to be read in another way."""
        found = hashlib.sha256(repr((self.identity, *more)).encode(errors="backslashreplace"))
        for file in self.files:
            found.update(repr((file.name, file.size, file.version)).encode(errors="backslashreplace"))
        return found.hexdigest()[:40]

    def other(self, name: str) -> None:
        """Count a file that is no picture by its name."""
        suffix = PurePosixPath(name).suffix.lower()
        self.others[suffix] = self.others.get(suffix, 0) + 1

    def add(self, file: PictureFile) -> None:
        """Take a file, or skip it for its size."""
        if file.size == 0:
            self.skipped[file.name] = "an empty file"
        elif file.size > MOST_BYTES:
            self.skipped[file.name] = f"{file.size >> 20} MiB, more than the {MOST_BYTES >> 20} allowed"
        else:
            self.files.append(file)


def folder(root: Path, suffixes: frozenset[str]) -> Place:
    """Look through a folder and all below it. Links are followed to files inside it only; hidden files are passed over."""
    home = root.resolve()
    place = Place(root.name or str(root), "a folder", str(home))
    for path in _walk(home, place):
        name = path.relative_to(home).as_posix()
        if path.suffix.lower() not in suffixes:
            place.other(name)
            continue
        if path.is_symlink() and not _inside(path, home):
            place.skipped[name] = "a link that leads out of the folder"
            continue
        _take(place, name, path)
    place.files.sort(key=lambda file: file.name)
    return place


def _walk(home: Path, place: Place) -> Iterator[Path]:
    """Yield what lies below a folder and is not a folder itself."""

    def unreadable(error: OSError) -> None:
        path = Path(error.filename or home)
        place.skipped[path.relative_to(home).as_posix() + "/"] = error.strerror or "cannot be read"

    for at, folders, names in os.walk(home, onerror=unreadable):
        for name in [n for n in folders if (Path(at) / n).is_symlink()]:
            place.skipped[(Path(at) / name).relative_to(home).as_posix() + "/"] = "a link to a folder"
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield from (Path(at) / name for name in names if not _is_hidden(name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in HIDDEN


def _inside(path: Path, home: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(home)
    except (OSError, RuntimeError):  # it leads nowhere, or in a circle
        return False


def _take(place: Place, name: str, path: Path) -> None:
    """Add a file on the disk; devices and pipes would never end."""
    try:
        found = path.stat()
    except OSError as error:
        place.skipped[name] = error.strerror or "cannot be read"
        return
    if not stat.S_ISREG(found.st_mode):
        place.skipped[name] = "not a regular file"
        return
    place.add(PictureFile(name, found.st_size, str(found.st_mtime_ns), lambda: path.open("rb")))


def listed(given: Iterable[str | Path]) -> Place:
    """Take a list of files, in the order given; what is missing is skipped like a damaged file."""
    paths = [Path(path) for path in given]
    one = len(paths) == 1
    place = Place(paths[0].name if one else "the list", "a file" if one else "a list of files", "")
    for path in paths:
        name = path.as_posix()
        if path.is_dir():
            place.skipped[name] = "a folder, where files are listed"
        else:
            _take(place, name, path.absolute())
    return place


# --- archives ---


class _Bounded(io.FileIO):
    """A file that refuses to be read in huge pieces: an archive's table of contents is read at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_DIRECTORY:
            raise zipfile.BadZipFile(f"its table of contents is larger than {MOST_DIRECTORY >> 20} MiB")
        return super().read(-1 if size is None else size)


@contextmanager
def archive(path: Path, suffixes: frozenset[str]) -> Iterator[Place]:
    """Look through a .zip archive; its members are read into memory one by one and never unpacked to the disk."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(zipfile.ZipFile(stack.enter_context(_Bounded(path))))
            place = _members(path, opened, suffixes)
        except DataError:
            raise
        except Exception as error:  # whatever a damaged table of contents leads to
            told = str(error).rstrip(".") or type(error).__name__
            raise DataError(f"{path.name!r} is no archive that can be read: {told}. Is it damaged?") from None
        yield place


def _members(path: Path, opened: zipfile.ZipFile, suffixes: frozenset[str]) -> Place:
    members = [member for member in opened.infolist() if not member.is_dir()]
    if len(members) > MOST_MEMBERS:
        raise DataError(
            f"{path.name!r} holds {len(members):,} files, more than {MOST_MEMBERS:,}. Unpack it and give the folder."
        )
    place = Place(path.name, "an archive", str(path.resolve()))
    for member in members:
        name = member.filename
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if any(_is_hidden(part) for part in parts if part != ".."):
            continue
        if PurePosixPath(name).suffix.lower() not in suffixes:
            place.other(name)
            continue
        reason = _refused(member, parts)
        if reason:
            place.skipped[name] = reason
        else:
            place.add(PictureFile(name, member.file_size, f"{member.CRC:08x}", _reader(opened, member)))
    place.files.sort(key=lambda file: file.name)
    return place


def _refused(member: zipfile.ZipInfo, parts: tuple[str, ...]) -> str:
    """Return why a member is not read, or nothing."""
    name = member.orig_filename
    if ".." in parts or name.startswith(("/", "\\")) or name[1:2] == ":" or "\0" in name:
        return "its name leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link"
    if member.flag_bits & 1:
        return "encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "packed in another way than deflate"
    if member.file_size > MOST_RATIO * max(member.compress_size, 1):
        return f"it unpacks to more than {MOST_RATIO} times its size"
    return ""


def _reader(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    def read() -> IO[bytes]:
        with opened.open(member) as stream:  # piece by piece: a member that lies about its size would fill the memory
            return io.BytesIO(b"".join(iter(lambda: stream.read(PIECE), b"")))

    return read


def labels(names: list[str]) -> list[str] | None:
    """Return the sub-folder of each file: the first in which they differ; None where all lie in one folder."""
    parts = [PurePosixPath(name).parts[:-1] for name in names]
    shared = 0
    while parts and len({part[shared : shared + 1] for part in parts}) == 1 and len(parts[0]) > shared:
        shared += 1
    found = [part[shared] if len(part) > shared else "." for part in parts]
    return None if set(found) <= {"."} else found


def shown(name: Any) -> str:
    """Return a name that can be printed and written: bytes that are no UTF-8 are spelled out."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")
