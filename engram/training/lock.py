"""One writer per run folder: an advisory lock, which the system takes back when its process ends, however it ends.

The lock is held on the file ``.lock`` in the folder, where its owner's number stands too. A file that a dead process left
is locked by nobody, so the next writer takes it over. Where a file system has no locks, the number and start of the owner's process decide.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from engram.errors import RunError

LOCK = ".lock"
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
ATTEMPTS = 8  # another writer may remove its file between our opening and locking it
_held: dict[str, int] = {}  # folder -> the open file that is locked

if sys.platform == "win32":
    import msvcrt

    AWAY = 1 << 20  # a locked byte cannot be read on Windows, so one behind the text is locked

    def _take(number: int) -> bool:
        os.lseek(number, AWAY, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _take(number: int) -> bool:
        """Lock an open file unless another holds it."""
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in NO_LOCKS:
                return not _lives(_owner(number))
            raise
        return True


def acquire(folder: Path) -> None:
    """Become the one writer of a folder that exists; raise `RunError` where another process is."""
    path = folder / LOCK
    for _ in range(ATTEMPTS):
        number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            if not _take(number):
                raise _busy(folder, _owner(number))
            if _is_at(number, path):
                with contextlib.suppress(OSError):  # who it is only stands in a message
                    _sign(number)
                _held[_key(folder)] = number
                number = -1
                return
        finally:
            if number >= 0:
                os.close(number)
    raise _busy(folder, {})


def release(folder: Path) -> None:
    """Stop being the writer of a folder, and remove the lock; without effect where this process is not."""
    number = _held.pop(_key(folder), None)
    if number is None:
        return
    try:
        if _is_at(number, folder / LOCK):
            (folder / LOCK).unlink()
    except OSError:
        pass  # an old lock is in nobody's way
    finally:
        os.close(number)
    if sys.platform == "win32":  # where an open file cannot be removed
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink()


def held(folder: Path) -> bool:
    """Whether this process is the writer of a folder."""
    return _key(folder) in _held


def check_free(folder: Path) -> None:
    """Raise `RunError` where a process is writing into a folder."""
    try:
        number = os.open(folder / LOCK, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return  # no lock, or not ours to read: writing will tell
    try:
        if not _take(number):
            raise _busy(folder, _owner(number))
    finally:
        os.close(number)


def _key(folder: Path) -> str:
    return str(folder.absolute())


def _is_at(number: int, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except OSError:
        return False


def _sign(number: int) -> None:
    """Write into the lock who holds it."""
    text = json.dumps({"process": os.getpid(), "started": _started(os.getpid()), "machine": platform.node()})
    os.ftruncate(number, 0)
    os.lseek(number, 0, os.SEEK_SET)
    os.write(number, text.encode())


def _owner(number: int) -> dict[str, Any]:
    """Return what the holder of a lock wrote into it."""
    try:
        os.lseek(number, 0, os.SEEK_SET)
        found = json.loads(os.read(number, 4096))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _lives(owner: dict[str, Any]) -> bool:
    """Whether the process that signed a lock still runs; one of another machine is taken to."""
    process = owner.get("process")
    if not isinstance(process, int) or isinstance(process, bool) or not 0 < process < 1 << 31:
        return False
    if owner.get("machine") != platform.node():
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it lives and belongs to somebody else
    return owner.get("started") == _started(process)


def _started(process: int) -> str:
    """Return when a process began, to tell it from a later one with the same number; empty where that is not known."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _busy(folder: Path, owner: dict[str, Any]) -> RunError:
    place = "" if owner.get("machine") in (None, platform.node()) else f" on {owner['machine']}"
    who = f"process {owner['process']}{place}" if "process" in owner else "another process"
    return RunError(f"{str(folder)!r} is being written by {who}. Wait until it ends, or choose another folder.")
