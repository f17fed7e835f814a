"""A run folder with its report: put together beside its place, moved there by one rename."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engram.errors import RunError, StoppedError

if TYPE_CHECKING:
    from engram.models.model import Model


def claimed(output: str, *, force: bool = False, resume: bool = False) -> Path:
    """Check that a run folder can be written before any work is done, and return its path."""
    from engram.training.run import UNFINISHED, claim

    path = Path(output)
    if force and path.is_dir() and any(path.iterdir()):
        known = any((path / name).is_file() for name in ("config.json", UNFINISHED))
        if not known or path.is_symlink():
            raise RunError(f"{output!r} is not a run folder, so it is not replaced. Choose another folder.")
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
def removed_on_error(path: Path, *, keep: bool) -> Iterator[None]:
    """Remove what a fit left at ``path`` when it fails; one that was stopped keeps its checkpoint, to be resumed."""
    existed, missing = path.exists(), _missing(path)
    try:
        yield
    except StoppedError:
        raise
    except BaseException:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)
            if existed:
                path.mkdir(exist_ok=True)
            _remove_empty(missing)
        raise


@contextmanager
def written(model: Model, path: Path, *, force: bool) -> Iterator[Path]:
    """Save a model, give its folder for more files, and move it to ``path`` at the end; on an error leave nothing."""
    missing = _missing(path)
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.absolute().parent))
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Choose another folder.") from None
    try:
        model.save(stage / "run")
        yield stage / "run"
        if path.exists():
            claimed(str(path), force=force)
            path.rename(stage / "old")
        (stage / "run").rename(path)
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Nothing was changed there.") from None
    finally:
        if (stage / "old").exists() and not path.exists():
            (stage / "old").rename(path)
        shutil.rmtree(stage, ignore_errors=True)
        _remove_empty(missing)
