"""The run folder: what a fit leaves behind, written at once or not at all, read without running anything.

::

    config.json          parameters, versions, what "auto" became, data fingerprint, findings
    kind.json            types, scales and names of the data
    weights.safetensors  the networks
    log.jsonl            a line per report
    report.json          the results, where they were computed
    README.md            a model card
    *.png                pictures
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from engram.errors import RunError

SCHEMA = 1
UNFINISHED = "unfinished.json"  # in the folder of a fit that has not ended: what it was begun with
LARGEST_JSON = 64 << 20  # bytes of a config.json or kind.json that are still read
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}  # schema n -> the config as schema n + 1 has it


class Config(BaseModel):
    """What ``config.json`` holds; an unknown or missing field is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: int
    engram: str
    model: str
    parameters: dict[str, Any]
    modules: list[str]
    shapes: dict[str, Any]
    settings: dict[str, Any]
    kind: str
    data: dict[str, Any]
    fitted: dict[str, Any]
    findings: list[dict[str, str]]
    versions: dict[str, str]


def claim(path: str | Path, *, resume: bool = False) -> Path:
    """Check that a run folder can be written at ``path`` before any work is done, and return it."""
    path = Path(path)
    if resume:
        if not path.is_dir():
            raise RunError(f"there is no run folder {str(path)!r} to resume. Leave resume out to begin a new fit.")
        if (path / "config.json").exists():
            raise RunError(
                f"the fit in {str(path)!r} is finished, so there is nothing to resume. Load it with engram.load."
            )
    elif path.exists() and not (path.is_dir() and not any(path.iterdir())):
        if (path / UNFINISHED).exists() and not (path / "config.json").exists():
            raise RunError(
                f"{str(path)!r} holds a fit that was interrupted. Go on with resume=True (--resume), or choose another folder."
            )
        raise RunError(
            f"{str(path)!r} exists already. Choose another folder, or replace a run folder with force (--force)."
        )
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise RunError(f"cannot write {str(path)!r}: {str(parent)!r} is a file. Choose another folder.")
    if not os.access(parent, os.W_OK):
        raise RunError(f"cannot write into {str(parent)!r}. Choose another folder, or change its permissions.")
    return path


def begin(path: Path, told: dict[str, Any], *, resume: bool) -> dict[str, Any]:
    """Note in the run folder what is being fitted, and return the note: the one already there when a fit is resumed.

    Raises `RunError` where a resumed fit would not be the same: other parameters or other rows.
    """
    note = path / UNFINISHED
    if resume and note.exists():
        before = read_json(path, UNFINISHED)
        differing = [
            name for name, value in json.loads(dumps(told)).items() if name != "seed" and before.get(name) != value
        ]
        if differing:
            raise RunError(
                f"cannot resume {str(path)!r}: {', '.join(differing)} differ from when it was begun. Begin a new fit instead."
            )
        return before
    try:
        path.mkdir(parents=True, exist_ok=True)
        add(path, UNFINISHED, dumps(told))
    except OSError as error:
        abandon(path)
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Choose another folder.") from None
    return told


def abandon(path: Path) -> None:
    """Free the folder of a fit that failed before its first checkpoint: there is nothing to resume."""
    if (path / "checkpoint").exists():
        return
    for name in (UNFINISHED, f".{UNFINISHED}.tmp"):
        (path / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: it is not ours to remove
        path.rmdir()


def finish(path: Path, files: dict[str, bytes]) -> None:
    """Put the files of a finished fit into its folder, ``config.json`` last: where it is, the folder is whole."""
    try:
        for name in sorted(files, key=lambda name: name == "config.json"):
            add(path, name, files[name])
        sync_folder(path)
        (path / UNFINISHED).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot write {str(path)!r}: {error.strerror}. The checkpoint in it is whole; resume when there is room."
        ) from None


def write(path: Path, files: dict[str, bytes], *, force: bool) -> None:
    """Write a run folder: all files into a hidden folder beside it, synced to disk, then one rename."""
    if path.exists():
        if not force:
            claim(path)
        elif any(path.iterdir() if path.is_dir() else [path]) and not (path / "config.json").is_file():
            raise RunError(f"{str(path)!r} is not a run folder, so it is not replaced. Choose another folder.")
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.absolute().parent))
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Choose another folder.") from None
    try:
        made.chmod(0o755)
        for name, content in files.items():
            write_synced(made / name, content)
        sync_folder(made)
        _exchange(made, path)
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Nothing was changed there.") from None
    finally:
        if made.exists():
            shutil.rmtree(made, ignore_errors=True)


def _exchange(made: Path, path: Path) -> None:
    """Rename ``made`` to ``path``; what was there is removed afterwards, or put back where renaming fails."""
    old = made.with_name(made.name + ".old") if path.exists() else None
    if old is not None:
        path.rename(old)
    try:
        made.rename(path)
    except OSError:
        if old is not None:
            old.rename(path)
        raise
    try:
        sync_folder(path.absolute().parent)
    finally:
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def add(path: Path, name: str, content: bytes) -> None:
    """Write one more file into a run folder, at once or not at all."""
    made = path / f".{name}.tmp"
    write_synced(made, content)
    made.replace(path / name)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until a folder's list of files is on disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def dumps(value: Any) -> bytes:
    """Return strict JSON: what is not finite becomes null."""
    return (json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def tensors_to_bytes(tensors: dict[str, Tensor]) -> bytes:
    """Return tensors in the safetensors format."""
    return save_tensors({name: t.detach().contiguous() for name, t in tensors.items()})


def read_file(folder: Path, name: str, limit: int | None = None) -> bytes:
    """Return the bytes of a file of a run folder; links are refused."""
    if not folder.exists():
        raise RunError(f"there is no run folder {str(folder)!r}. `engram fit` and `model.save` write one.")
    path = folder / name
    if folder.is_symlink() or path.is_symlink():
        raise RunError(f"{str(path)!r} is a link; run folders with links are not read. Copy the folder itself.")
    if not path.is_file():
        raise RunError(
            f"{str(folder)!r} is not a run folder: {name} is missing. `engram fit` and `model.save` write one."
        )
    if limit is not None and path.stat().st_size > limit:
        raise RunError(
            f"{str(path)!r} is {path.stat().st_size} bytes, more than any that Engram writes ({limit}). It is not read."
        )
    return path.read_bytes()


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Return a JSON object of a run folder; NaN and infinities are refused."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        value = json.loads(read_file(folder, name, LARGEST_JSON), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{str(folder / name)!r} is damaged: {error}. Restore the folder from a copy, or fit again."
        ) from None
    if not isinstance(value, dict):
        raise RunError(
            f"{str(folder / name)!r} is damaged: it holds no JSON object. Restore the folder from a copy, or fit again."
        )
    return value


def read_config(folder: Path) -> Config:
    """Return the checked ``config.json``, brought to this version's schema."""
    raw = read_json(folder, "config.json")
    version = raw.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise RunError(
            f"{str(folder)!r} is damaged: schema_version is {version!r}, expected a number from 1 to {SCHEMA}."
        )
    if version > SCHEMA:
        raise RunError(
            f"{str(folder)!r} was written by a newer Engram (schema {version}; this one reads up to {SCHEMA}). Upgrade Engram."
        )
    while version < SCHEMA:
        if version not in MIGRATIONS:
            raise RunError(f"{str(folder)!r} has schema {version}, which this Engram can no longer read. Fit again.")
        raw = MIGRATIONS[version](raw)
        version += 1
    try:
        return Config.model_validate({**raw, "schema_version": version})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "config"
        raise RunError(f"{str(folder / 'config.json')!r} is damaged: {place}: {first['msg']}.") from None


def read_tensors(folder: Path, name: str = "weights.safetensors") -> dict[str, Tensor]:
    """Return the tensors of a run folder."""
    try:
        return load_tensors(read_file(folder, name))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{str(folder / name)!r} is damaged: {error}. Restore the folder from a copy, or fit again."
        ) from None


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the reports of ``log.jsonl``."""
    try:
        return [json.loads(line) for line in read_file(folder, "log.jsonl").decode().splitlines()]
    except ValueError as error:
        raise RunError(f"{str(folder / 'log.jsonl')!r} is damaged: {error}.") from None
