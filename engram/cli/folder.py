"""A run folder with its report: put together beside its place, moved there by one rename."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engram.cli.judge import is_unjudged
from engram.errors import RunError

if TYPE_CHECKING:
    from engram.models.model import Model


def claimed(output: str, *, force: bool = False, resume: bool = False) -> Path:
    """Check that a run folder can be written before any work is done, and return its path."""
    from engram.training.lock import check_free
    from engram.training.run import UNFINISHED, claim

    path = Path(output)
    if resume and is_unjudged(path):
        check_free(path)
        return path
    if force and path.is_dir() and any(path.iterdir()):
        known = any((path / name).is_file() for name in ("config.json", UNFINISHED))
        if not known or path.is_symlink():
            raise RunError(f"{output!r} is not a run folder, so it is not replaced. Choose another folder.")
        check_free(path)
        if not os.access(path.absolute().parent, os.W_OK):
            raise RunError(f"cannot write into {str(path.absolute().parent)!r}. Choose another folder.")
        return path
    return claim(path, resume=resume)


def _missing(path: Path) -> list[Path]:
    """Return the folders above a path that do not exist, the deepest first."""
    return [folder for folder in path.absolute().parents if not folder.exists()]


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def as_before_on_error(path: Path) -> Iterator[None]:
    """When a fit into ``path`` fails, leave the folders around it as they were.

    The run folder itself is freed by the fit, which alone knows whether it was the one that wrote there and whether it can be resumed.
    """
    existed, missing = path.exists(), _missing(path)
    try:
        yield
    except BaseException:
        if existed:
            path.mkdir(exist_ok=True)
        _remove_empty(missing)
        raise


@contextmanager
def written(model: Model, path: Path, *, force: bool) -> Iterator[Path]:
    """Save a model, give its folder for more files, and move it to ``path`` at the end; on an error leave nothing."""
    from engram.models.saving import run_files
    from engram.training.staging import staged, write_synced

    missing = _missing(path)
    try:
        with staged(path) as folder:
            for name, content in run_files(model).items():
                write_synced(folder / name, content)
            yield folder
            if path.exists():
                claimed(str(path), force=force)
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Nothing was changed there.") from None
    finally:
        _remove_empty(missing)
