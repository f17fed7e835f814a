"""A run folder with its report: put together beside its place, moved there by one rename."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engram.errors import RunError

if TYPE_CHECKING:
    from engram.models.model import Model


def claimed(output: str, *, force: bool) -> Path:
    """Check that a run folder can be written before any work is done, and return its path."""
    from engram.training.run import claim

    path = Path(output)
    if force and path.is_dir() and any(path.iterdir()):
        if not (path / "config.json").is_file() or path.is_symlink():
            raise RunError(f"{output!r} is not a run folder, so it is not replaced. Choose another folder.")
        if not os.access(path.absolute().parent, os.W_OK):
            raise RunError(f"cannot write into {str(path.absolute().parent)!r}. Choose another folder.")
        return path
    return claim(path)


@contextmanager
def written(model: Model, path: Path, *, force: bool) -> Iterator[Path]:
    """Save a model, give its folder for more files, and move it to ``path`` at the end; on an error leave nothing."""
    parent = path.absolute().parent
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=parent))
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Choose another folder.") from None
    done = False
    try:
        model.save(stage / "run")
        yield stage / "run"
        if path.exists():
            claimed(str(path), force=force)
            path.rename(stage / "old")
        (stage / "run").rename(path)
        done = True
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Nothing was changed there.") from None
    finally:
        if not done and (stage / "old").exists() and not path.exists():
            (stage / "old").rename(path)
        shutil.rmtree(stage, ignore_errors=True)
        if not done:
            for folder in missing:
                folder.rmdir()
