"""Damage files at random and read them: only Engram's own errors or a working result, no crash, no hang, bounded memory.

    python tests/proofs/fuzz.py --count 100000 --seconds 3600

Files of run folders (models and checkpoints) are damaged byte by byte and, as JSON, in structure; so are CSV, Parquet, .npy and
.npz files that are read, taken for a table and encoded. Every attempt follows from the seed and its number; ``--only NUMBER`` repeats
one. The work is done by a second process with at most 6 GiB of address space; where it dies, that is a finding, and another one goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import math
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

MEMORY = 6 << 30  # bytes of address space
PATIENCE = 60  # seconds after which an attempt hangs
NUMBERS = [0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 10**12]
TEXTS = [b"999999999999", b"-1", b"1e999", b"NaN", b"null", b"\xff\xfe", b"\0", b'"', b",", b"\n", b"{}", b"[" * 40]
VALUES: list[Any] = [None, True, False, -1, 0, 0.5, 1, 7, 10**6, 10**30, -(10**400), 1e308, 1e-320, math.nan, math.inf]
VALUES += ["", "x" * 5000, "../../../etc/passwd", "os:system", "float64", "object", "U1000000000", "category", "\ud800"]
VALUES += [[], {}, [1, 2], [10**9, 10**9], [1] * 5000, {"a": 1}, [[[[[[[[[]]]]]]]]], "datetime64[fortnight]", "nümber"]


class HangError(BaseException):
    """An attempt did not end."""


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return bytes with one to eight random mutations."""
    found = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        at = chance.randrange(len(found) + 1)
        if chance.random() < 0.5:
            at = min(at, chance.randrange(1, 400))  # heads are where the sizes stand
        match chance.randrange(8):
            case 0 if at < len(found):
                found[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(found):
                found[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x2C, 0x30, 0x2D, 0x5B, 0x7B])
            case 2:
                del found[at : at + chance.choice([1, 4, 100])]
            case 3:
                found[at:at] = found[at : at + chance.choice([1, 8, 200])]
            case 4:
                found[at:at] = chance.randbytes(chance.choice([1, 4, 50]))
            case 5:
                del found[at:]
            case 6:
                text = chance.choice(TEXTS)
                found[at : at + chance.choice([0, len(text)])] = text
            case _:
                number = struct.pack(chance.choice("<>") + "q", chance.choice(NUMBERS))
                found[at : at + 8] = number if chance.random() < 0.5 else number[:4]
    return bytes(found)


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, inner in items for place in places(inner, (*here, key)))]


def restructured(content: bytes, chance: random.Random) -> bytes:
    """Return JSON with one to three values replaced, removed, added or moved."""
    value = json.loads(content)
    for _ in range(chance.choice([1, 1, 2, 3])):
        *way, last = chance.choice(places(value)[1:])
        holder = value
        for key in way:
            holder = holder[key]
        match chance.randrange(5):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, dict):
                holder[chance.choice([*holder, "more", "__class__", "../x"])] = copy.deepcopy(chance.choice(VALUES))
            case 2:
                holder[last] = [holder[last]]
            case _:
                holder[last] = copy.deepcopy(chance.choice(VALUES))
        if len(places(value)) < 2:
            break
    text = json.dumps(value)
    if chance.random() < 0.05:
        text = text.replace(": {", ': {"model": 1, "model": 2, ', 1)
    if chance.random() < 0.02:
        text = text[:-1] + ', "deep": ' + "[" * 100_000 + "]" * 100_000 + "}"
    return text.encode(errors="surrogatepass")


class Bench:
    """Folders and files to damage, made once, and what is done with them."""

    def __init__(self, home: Path) -> None:
        import numpy as np
        import pandas as pd

        import engram
        from engram.training.checkpoint import Checkpoints

        self.home = home
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.normal(size=(40, 3)), columns=["a", "b", "größe"])
        frame["city"] = rng.choice(["Basel", "Lima", "東京"], 40)
        frame["member"] = rng.random(40) < 0.4
        frame["day"] = pd.Timestamp("2024-02-28") + pd.to_timedelta(rng.integers(0, 500, 40), unit="D")
        frame.loc[::7, "a"] = np.nan
        self.pictures = rng.random((12, 8, 9))
        self.frame = frame
        small: dict[str, Any] = {"code_size": 2, "hidden": (4,), "max_epochs": 2, "random_state": 0}
        engram.VAE(**small).fit(frame).save(home / "vae")
        engram.Autoencoder(**{**small, "network": "conv"}).fit(self.pictures).save(home / "conv")
        (home / "begun").mkdir()
        Checkpoints(home / "begun").save(3, engram.VAE(**small).fit(frame).network_.state_dict(), {"step": 3})
        frame.to_csv(home / "t.csv", index=False)
        frame.to_csv(home / "semicolons.csv", index=False, sep=";", decimal=",")
        frame.to_parquet(home / "t.parquet")
        np.save(home / "n.npy", rng.normal(size=(20, 4)))
        np.save(home / "texts.npy", np.array([["a", "1"], ["b", "2"]] * 8))
        np.savez(home / "z.npz", X=rng.normal(size=(20, 4)), y=rng.integers(0, 2, 20))
        np.savez_compressed(home / "c.npz", X=rng.integers(0, 9, size=(20, 4)))
        self.targets = self._targets()
        self.contents = {path: path.read_bytes() for path, *_ in self.targets}

    def _targets(self) -> list[tuple[Path, Callable[[], Any]]]:
        found: list[tuple[Path, Callable[[], Any]]] = []
        for name, rows in (("vae", self.frame), ("conv", self.pictures)):
            run = self.home / name
            names = ("config.json", "kind.json", "config.json", "kind.json", "weights.safetensors", "log.jsonl")
            found += [(run / file, partial(self._model, run, rows)) for file in names]
        step = self.home / "begun" / "checkpoint" / "step-3"
        found += [(step / name, self._checkpoint) for name in ("state.safetensors", "state.json", "manifest.json")]
        for name in ("t.csv", "semicolons.csv", "t.parquet", "n.npy", "texts.npy", "z.npz", "c.npz"):
            found += [(self.home / name, partial(self._table, self.home / name))] * 2
        return found

    @staticmethod
    def _model(run: Path, rows: Any) -> str:
        """Load a run folder and use what comes."""
        import engram
        from engram.models.saving import run_files

        model: Any = engram.load(run)
        model.transform(rows[:3])
        model.reconstruct(rows[:3])
        model.score_samples(rows[:3])
        run_files(model), model.kind_.findings(), model.kind_.describe()
        if isinstance(model, engram.VAE):
            model.sample(2, random_state=0)
        return "works"

    def _checkpoint(self) -> str:
        from engram.training.checkpoint import Checkpoints

        return "none" if Checkpoints(self.home / "begun").latest() is None else "works"

    @staticmethod
    def _table(path: Path) -> str:
        """Read rows, find out their columns, encode them."""
        from engram.data import Table
        from engram.data.kind import as_kind
        from engram.data.source import read

        rows = read(path).rows
        kind, raw = as_kind(rows)
        if isinstance(kind, Table):
            raw = raw.sample()[1] if hasattr(raw, "sample") and hasattr(raw, "chunks") else raw
        kind.fit(raw)
        kind.encode(kind.conform(raw))
        return "works"

    def attempt(self, number: int, seed: int) -> tuple[str, str]:
        """Make one attempt; return (file, what came out: "works" or the name of one of our errors)."""
        from engram.errors import EngramError

        chance = random.Random(f"{seed} {number}")
        path, use = chance.choice(self.targets)
        whole = self.contents[path]
        structured = path.suffix == ".json" and chance.random() < 0.6
        path.write_bytes((restructured if structured else damaged)(whole, chance))
        name = f"{path.parent.name}/{path.name}" if path.parent != self.home else path.name
        try:
            return name, use()
        except EngramError as error:
            return name, type(error).__name__
        except (Exception, HangError) as error:
            error.add_note(name)
            raise
        finally:
            path.write_bytes(whole)


def hangs(number: int, frame: Any) -> None:
    """End an attempt that takes too long."""
    raise HangError


def work(first: int, last: int, seed: int, until: float, progress: Path) -> None:
    """Make attempts in this process; write findings as lines of JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, hangs)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as home, progress.open("r+b", buffering=0) as at:
        bench = Bench(Path(home))
        seen: Counter[str] = Counter()
        for number in range(first, last):
            if time.monotonic() > until:
                break
            os.pwrite(at.fileno(), b"%20d" % number, 0)
            signal.alarm(PATIENCE)
            try:
                seen[" ".join(bench.attempt(number, seed))] += 1
            except (Exception, HangError) as error:
                frames = [f"{Path(f.filename).name}:{f.name}" for f in traceback.extract_tb(error.__traceback__)]
                ours = [f for f in frames if not f.startswith(("fuzz.py", "<"))]
                told = {"number": number, "error": type(error).__name__, "what": str(error)[:200]}
                told |= {"file": getattr(error, "__notes__", ["?"])[0], "where": ours[-4:]}
                print(json.dumps({"finding": told}), flush=True)
            finally:
                signal.alarm(0)
        os.pwrite(at.fileno(), b"%20d" % last, 0)
        print(json.dumps({"seen": seen}), flush=True)


def fuzz(count: int, seed: int, seconds: float, first: int = 0) -> tuple[int, list[dict[str, Any]], Counter[str]]:
    """Let processes make attempts; return (attempts, findings, what came out)."""
    until = time.monotonic() + seconds
    findings: list[dict[str, Any]] = []
    seen: Counter[str] = Counter()
    last = first + count
    at = first
    with tempfile.NamedTemporaryFile() as progress:
        while at < last and time.monotonic() < until:
            progress.seek(0)
            progress.write(b"%20d" % at)
            progress.flush()
            left = until - time.monotonic()
            command = [sys.executable, __file__, "--work", str(at), str(last), str(left), progress.name]
            done = subprocess.run([*command, "--seed", str(seed)], capture_output=True, check=False)
            for line in done.stdout.splitlines():
                with contextlib.suppress(ValueError):
                    told = json.loads(line)
                    findings += [told["finding"]] if "finding" in told else []
                    seen.update(told.get("seen", {}))
            reached = int(Path(progress.name).read_bytes())
            if done.returncode == 0:
                break
            detail = done.stderr.decode(errors="replace")[-300:]
            findings.append({"number": reached, "error": f"process ended with {done.returncode}", "what": detail})
            at = reached + 1
    return sum(seen.values()) + len(findings), findings, seen


def main() -> int:
    """Fuzz, and tell what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="repeat one attempt in this process")
    parser.add_argument("--work", nargs=4, metavar=("FIRST", "LAST", "SECONDS", "PROGRESS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        first, last, seconds, progress = given.work
        work(int(first), int(last), given.seed, time.monotonic() + float(seconds), Path(progress))
        return 0
    if given.only is not None:
        with tempfile.TemporaryDirectory() as home:
            print(*Bench(Path(home)).attempt(given.only, given.seed))
        return 0
    done, findings, seen = fuzz(given.count, given.seed, given.seconds)
    out = io.StringIO()
    for name, times in sorted(seen.items()):
        out.write(f"{times:7d} {name}\n")
    for finding in findings:
        out.write(f"FOUND {json.dumps(finding)}\n")
    print(f"{out.getvalue()}{done} attempts, {len(findings)} findings.")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
