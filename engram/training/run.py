"""The run folder: what a fit leaves behind, written at once or not at all, read without running anything.

::

    config.json          parameters, versions, what "auto" became, data fingerprint, findings
    kind.json            types, scales and names of the data
    weights.safetensors  the networks
    log.jsonl            a line per report
    report.json          the results, where they were computed
    README.md            a model card
    *.png                pictures
    samples/             of a game of pictures: what it drew on the way
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from engram.errors import RunError
from engram.training.lock import LOCK, acquire, check_free, held, release
from engram.training.staging import SUFFIX, put, staged, sweep, sync_folder, write_synced

SCHEMA = 1
FILES = ("config.json", "kind.json", "weights.safetensors", "log.jsonl", "README.md")  # what a fit writes at its end
CHECKPOINTS = "checkpoint"  # the folder of an unfinished fit's checkpoints
SAMPLES = "samples"  # the folder of what a game of pictures drew on the way
UNFINISHED = "unfinished.json"  # in the folder of a fit that has not ended: what it was begun with
RESTORE = "Restore the folder from a copy, or fit again."
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
    if path.is_dir():
        check_free(path)
    _check(path, resume=resume)
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise RunError(f"cannot write {str(path)!r}: {str(parent)!r} is a file. Choose another folder.")
    for folder in (parent, *([path] if path.exists() else [])):
        if not os.access(folder, os.W_OK):
            raise RunError(f"cannot write into {str(folder)!r}. Choose another folder, or change its permissions.")
    return path


def _check(path: Path, *, resume: bool) -> None:
    """Raise `RunError` where there is nothing to resume at ``path``, or, for a new fit, where something is."""
    if resume:
        if not path.is_dir():
            raise RunError(f"there is no run folder {str(path)!r} to resume. Leave resume out to begin a new fit.")
        if (path / "config.json").exists():
            _tidied(path)
            raise RunError(
                f"the fit in {str(path)!r} is finished, so there is nothing to resume. Load it with engram.load."
            )
        if not (path / UNFINISHED).exists() and not _is_empty(path):
            raise RunError(f"{str(path)!r} is not a run folder, so there is nothing to resume. Choose another folder.")
    elif path.is_symlink() or (path.exists() and not _is_empty(path)):
        if (path / UNFINISHED).exists() and not (path / "config.json").exists():
            raise RunError(
                f"{str(path)!r} holds a fit that was interrupted. Go on with resume=True (--resume), or choose another folder."
            )
        raise RunError(
            f"{str(path)!r} exists already. Choose another folder, or replace a run folder with force (--force)."
        )


def _is_empty(path: Path) -> bool:
    """Whether a folder holds nothing but what a fit killed at its very beginning leaves."""
    return path.is_dir() and {p.name for p in path.iterdir()} <= {LOCK, f".{UNFINISHED}{SUFFIX}"}


def begin(path: Path, told: dict[str, Any], *, resume: bool) -> dict[str, Any]:
    """Become the writer of a run folder, note in it what is being fitted, and return the note: the one already there when a fit is resumed.

    Raises `RunError` where another process writes there, or where a resumed fit would not be the same: other parameters or other rows.
    """
    sweep(path)
    fresh = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        acquire(path)
    except OSError as error:
        if isinstance(error, RunError):
            raise
        if fresh:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Choose another folder.") from None
    try:
        _check(path, resume=resume)  # once more, now that nobody else can write
        before = read_json(path, UNFINISHED) if (path / UNFINISHED).exists() else None
        if before is not None:
            _compare(path, before, json.loads(dumps(told)))
            return before
    except BaseException:
        release(path)
        raise
    try:
        put(path / UNFINISHED, dumps(told))
        sync_folder(path)
    except OSError as error:
        abandon(path)
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Choose another folder.") from None
    return told


def _compare(path: Path, before: dict[str, Any], told: dict[str, Any]) -> None:
    """Raise `RunError` where a fit that was begun is not the one that is to be resumed."""
    differing = [name for name, value in told.items() if name != "seed" and before.get(name) != value]
    if differing:
        raise RunError(
            f"cannot resume {str(path)!r}: {', '.join(differing)} differ from when it was begun. Begin a new fit instead."
        )
    seed = before.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 1 << 31:
        raise RunError(
            f"cannot resume {str(path)!r}: {UNFINISHED} is damaged (seed {seed!r}). Begin a new fit instead."
        )


def abandon(path: Path, *, hopeless: bool = False) -> None:
    """Leave the folder of a fit that failed: as it is where there is a checkpoint to resume from, else free.

    ``hopeless`` says that resuming would fail again, so that nothing is kept. A folder that this process is not writing is left alone.
    """
    if not held(path):
        return
    if not (path / "config.json").exists() and (hopeless or not resumable(path)):
        for folder in (CHECKPOINTS, SAMPLES):
            shutil.rmtree(path / folder, ignore_errors=True)
        for name in (*FILES, UNFINISHED):
            for left in (path / name, path / f".{name}{SUFFIX}"):
                with contextlib.suppress(OSError):
                    left.unlink()
    release(path)
    with contextlib.suppress(OSError):  # not empty: what is in it is to stay, or not ours to remove
        path.rmdir()


def resumable(path: Path) -> bool:
    """Whether a run folder holds a checkpoint."""
    return any(p.parent.name[len("step-") :].isdigit() for p in (path / CHECKPOINTS).glob("step-*/manifest.json"))


def finish(path: Path, files: dict[str, bytes]) -> None:
    """Put the files of a finished fit into its folder, ``config.json`` last: where it is, the folder is whole."""
    mine = held(path)
    try:
        if not mine:
            acquire(path)
        for name in sorted(files, key=lambda name: name == "config.json"):
            if name == "config.json":
                sync_folder(path)
            put(path / name, files[name])
        sync_folder(path)
    except OSError as error:
        if not mine:
            release(path)
        if isinstance(error, RunError):
            raise
        raise RunError(_unfinished(path, error)) from None
    _tidy(path)
    release(path)


def _unfinished(path: Path, error: OSError) -> str:
    """Say what is left where a finished fit could not be written."""
    if not path.is_dir():
        told = f"{str(path)!r} was removed while the fit was going on, so it cannot be written."
    elif resumable(path):
        told = (
            f"cannot write {str(path)!r}: {error.strerror}. The checkpoint in it is whole; resume when that is mended."
        )
    else:
        told = f"cannot write {str(path)!r}: {error.strerror}. Nothing half-written is left; fit again when that is mended."
    return told + " In Python, the fitted model can still be saved elsewhere."


def _tidy(path: Path) -> None:
    """Remove from a finished run folder what only an unfinished one needs."""
    shutil.rmtree(path / CHECKPOINTS, ignore_errors=True)
    for left in (path / UNFINISHED, *path.glob(f".*{SUFFIX}")):
        with contextlib.suppress(OSError):
            left.unlink()


def _tidied(path: Path) -> None:
    """Tidy the folder of a fit that was killed after its last file was written."""
    if held(path):
        _tidy(path)
        return
    with contextlib.suppress(OSError):
        acquire(path)
        _tidy(path)
        release(path)


def write(path: Path, files: dict[str, bytes], *, force: bool) -> None:
    """Write a run folder: all files into a hidden folder beside it, synced to disk, then one rename."""
    if path.exists():
        if path.is_dir():
            check_free(path)
        if not force:
            claim(path)
        elif any(path.iterdir() if path.is_dir() else [path]) and not (path / "config.json").is_file():
            raise RunError(f"{str(path)!r} is not a run folder, so it is not replaced. Choose another folder.")
    try:
        with staged(path) as made:
            for name, content in files.items():
                write_synced(made / name, content)
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}. Nothing was changed there.") from None


def add(path: Path, name: str, content: bytes) -> None:
    """Write one more file into a run folder, at once or not at all."""
    put(path / name, content)


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
    """Return a JSON object of a run folder; what is not strict JSON is refused, see `parsed_json`."""
    return parsed_json(read_file(folder, name, LARGEST_JSON), folder / name)


def parsed_json(content: bytes, path: Path) -> dict[str, Any]:
    """Return the JSON object in some bytes; refused are NaN, infinities, numbers that overflow and names that occur twice."""
    try:
        value = json.loads(content, parse_constant=_no_constant, parse_float=_finite_float, object_pairs_hook=_once)
        if b"\\u" in content:
            json.dumps(value, ensure_ascii=False).encode()  # fails for half a character, which no text can hold
    except (ValueError, RecursionError) as error:
        raise RunError(f"{str(path)!r} is damaged: {error}. {RESTORE}") from None
    if not isinstance(value, dict):
        raise RunError(f"{str(path)!r} is damaged: it holds no JSON object. {RESTORE}")
    return value


def _no_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in an object")
    return found


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
    return parsed_tensors(read_file(folder, name), folder / name)


def parsed_tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    """Return the tensors in some bytes of the safetensors format."""
    try:
        return load_tensors(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        detail = str(error).partition("\n")[0]
        raise RunError(f"{str(path)!r} is damaged: {detail}. {RESTORE}") from None


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the reports of ``log.jsonl``."""
    return [parsed_json(line, folder / "log.jsonl") for line in read_file(folder, "log.jsonl").splitlines()]
