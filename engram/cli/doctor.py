"""``engram doctor``: what this installation and this machine are, and whether a fit works here."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from engram.cli.console import aligned, console
from engram.cli.options import common
from engram.version import VERSION

PYTHON = ((3, 11), (3, 14))  # from, below
LEAST_DISK = 1 << 28  # bytes: less is a problem
LEAST_MEMORY = 1 << 29  # bytes: less is told
LIBRARIES = (  # where the package's metadata are not there to say it
    *("torch", "numpy", "scipy", "pandas", "pyarrow", "scikit-learn"),
    *("safetensors", "pydantic", "click", "rich", "matplotlib", "pillow"),
)
Problem = tuple[str, str]  # what is wrong, what to do


@click.command()
@common
def doctor() -> int:
    """Say what this installation and this machine are, and try a small fit.

    Versions, extras, device, threads, memory, disk, and a self-test: fit a small model, save it, load it, compare. Ends
    with 0 if all is well, else with 1 and what to do.
    """
    versions, extras, problems = libraries()
    machine, found = examined(Path())
    problems += found
    tested, found = self_test()
    problems += found
    result = {
        "ok": not problems,
        "versions": {"engram": VERSION, "python": platform.python_version(), **versions},
        "extras": extras,
        **machine,
        "self_test": tested,
        "problems": [{"message": message, "advice": advice} for message, advice in problems],
    }
    console().finish("doctor", result, in_words(result))
    return int(bool(problems))


# --- what is installed ---


def required() -> list[tuple[str, str, str]]:
    """Return (library, least version, extra or "") of all that the package asks for."""
    try:
        asked = metadata.requires("engram") or []
    except metadata.PackageNotFoundError:
        return [(name, "0", "") for name in LIBRARIES]
    found = []
    for text in asked:
        name, least, rest = re.match(r"([\w.-]+)(?:>=([\d.]+))?(.*)", text).groups()  # type: ignore[union-attr]
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)", rest)
        found.append((name, least or "0", extra[1] if extra else ""))
    return found


def libraries() -> tuple[dict[str, str | None], dict[str, Any], list[Problem]]:
    """Return versions of the libraries, which extras are complete, and what is missing or too old."""
    versions: dict[str, str | None] = {}
    extras: dict[str, dict[str, Any]] = {}
    problems = []
    for name, least, extra in required():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = None
        is_fine = version is not None and numbers(version) >= numbers(least)
        if extra:
            lacking = extras.setdefault(extra, {"installed": True, "missing": []})["missing"]
            lacking += [] if is_fine else [name]
            extras[extra]["installed"] = not lacking
            continue
        versions[name] = version
        if not is_fine:
            told = "is not installed" if version is None else f"is {version}, and {least} is needed"
            problems.append((f"{name} {told}", f"Run: pip install '{name}>={least}'"))
    if not PYTHON[0] <= sys.version_info[:2] < PYTHON[1]:
        told = f"Python is {platform.python_version()}, which was not tested"
        problems.append((told, "Use Python 3.11 to 3.13"))
    return versions, extras, problems


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, to be compared."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


# --- what the machine is ---


def examined(folder: Path) -> tuple[dict[str, Any], list[Problem]]:
    """Return facts about the machine and the current folder, and what is wrong with them."""
    device, problems = devices()
    free, writable = room(folder)
    if not writable:
        problems.append(("this folder cannot be written", "Go to another folder, or change its permissions"))
    elif free is not None and free < LEAST_DISK:
        problems.append((f"only {size(free)} of disk are free here", "Remove files, or go to another folder"))
    memory = memory_of_machine()
    if memory["free"] is not None and memory["free"] < LEAST_MEMORY:
        console().note(f"only {size(memory['free'])} of memory are free; large fits may not have enough")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}".strip(),
        "cores": {"usable": cores, "all": os.cpu_count()},
        "memory": memory,
        "disk": {"free": free, "writable": writable},
        **device,
    }, problems


def devices() -> tuple[dict[str, Any], list[Problem]]:
    """Return the devices and threads that torch sees; a torch that does not load is a problem."""
    given = os.environ.get("OMP_NUM_THREADS")
    try:
        import torch

        found = ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
        auto, threads = ("cuda" if len(found) > 1 else "cpu"), torch.get_num_threads()
    except Exception as error:
        nothing = {"device": {"auto": None, "found": []}, "threads": {"torch": None, "OMP_NUM_THREADS": given}}
        return nothing, [(f"torch does not load: {first_line(error)}", "Install torch again, for this Python")]
    return {"device": {"auto": auto, "found": found}, "threads": {"torch": threads, "OMP_NUM_THREADS": given}}, []


def room(folder: Path) -> tuple[int | None, bool]:
    """Return the free bytes at a folder, and whether it can be written."""
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"engram")
    except OSError:
        return None, False
    return free, True


def memory_of_machine() -> dict[str, int | None]:
    """Return bytes of memory: all, free, and the limit of the container if there is one; None where it cannot be told."""
    told: dict[str, int] = {}
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            told[name] = int(value.split()[0]) << 10
    except (OSError, ValueError, IndexError):
        told = {}
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):  # there is none, or it is "max"
        limit = None
    return {"all": told.get("MemTotal"), "free": told.get("MemAvailable"), "limit": limit}


# --- whether it works ---


def self_test() -> tuple[dict[str, Any], list[Problem]]:
    """Fit a small autoencoder, save it, load it and compare the codes to the bit."""
    advice = "Run engram doctor --debug to see where, and report it"
    try:
        equal, seconds = _loads_as_saved()
    except Exception as error:
        if console().debug:
            raise
        return {"ok": False, "seconds": None}, [(f"the self-test failed: {first_line(error)}", advice)]
    problems = [] if equal else [("the self-test failed: a loaded model gives other codes than the saved one", advice)]
    return {"ok": equal, "seconds": round(seconds, 2)}, problems


def _loads_as_saved() -> tuple[bool, float]:
    """Return whether the codes are equal, and the seconds that it took once all libraries were loaded."""
    import numpy as np

    from engram.models.autoencoder import Autoencoder
    from engram.models.saving import load_model

    began = time.perf_counter()
    rows = np.random.default_rng(0).normal(size=(64, 2)) @ np.array([[1.0, 0.5, -1.0], [0.0, 1.0, 0.5]])
    model = Autoencoder(code_size=2, hidden=(8,), max_epochs=3, random_state=0).fit(rows)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "run")
        again = load_model(Path(folder) / "run")
        equal = np.array_equal(model.transform(rows), again.transform(rows))
    return bool(equal), time.perf_counter() - began


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its name."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


# --- in words ---


def in_words(result: dict[str, Any]) -> str:
    """Return what was found as text."""
    versions = [(name, version or "not installed") for name, version in result["versions"].items()]
    extras = [
        (name, "installed" if told["installed"] else f"not installed: {', '.join(told['missing'])} missing")
        for name, told in result["extras"].items()
    ]
    parts = [("versions", versions), ("extras", extras or [("none", "the package's metadata are not installed")])]
    parts += [("machine", _machine(result)), ("self-test", [_tested(result["self_test"])])]
    text = "\n\n".join(f"{heading}\n{aligned(rows)}" for heading, rows in parts)
    problems = [f"  - {problem['message']}. {problem['advice']}." for problem in result["problems"]]
    return "\n".join([text, "", *(["problems", *problems] if problems else ["all is well"])])


def _machine(result: dict[str, Any]) -> list[tuple[str, str]]:
    cores, memory, disk, threads = (result[name] for name in ("cores", "memory", "disk", "threads"))
    limit = "" if memory["limit"] is None else f", limited to {size(memory['limit'])}"
    gpus = [name for name in result["device"]["found"] if name != "cpu"]
    writable = "can" if disk["writable"] else "cannot"
    return [
        ("system", result["system"]),
        ("cores", f"{cores['usable']} of {cores['all']} usable"),
        ("memory", f"{size(memory['all'])}, {size(memory['free'])} free{limit}"),
        ("disk", f"{size(disk['free'])} free here; this folder {writable} be written"),
        ("device", ", ".join(gpus) or "cpu; torch sees no GPU"),
        ("threads", f"torch {threads['torch']}, OMP_NUM_THREADS {threads['OMP_NUM_THREADS'] or 'not set'}"),
    ]


def _tested(told: dict[str, Any]) -> tuple[str, str]:
    """Return the outcome of the self-test."""
    done = "fit, save, load"
    return (done, f"equal to the bit, {told['seconds']:.1f} s") if told["ok"] else (done, "failed")


def size(n: int | None) -> str:
    """Return bytes in words."""
    return "unknown" if n is None else f"{n / 2**30:.1f} GiB"
