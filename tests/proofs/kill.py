"""Kill -9 at random moments of `engram fit`: the run folder loads, resumes or is absent, and ends to the bit as if nothing had been.

    python tests/proofs/kill.py --kills 40                  whole processes, as a user starts them
    python tests/proofs/kill.py --kills 200 --fork          forked from a process that has imported everything: many more a minute

Half of the kills fall anywhere between the start and the end, a quarter in the last tenth, a quarter right after a file that is being
written was seen. A resumed fit may be killed again. Variants: one thread, two threads, averaged weights, a model with two turns.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BETWEEN = 0.05  # seconds between two checkpoints, so that there are many to be killed in
AGAIN = 0.4  # share of resumed fits that are killed again
SEEN = (".weights.safetensors.tmp", ".config.json.tmp", "checkpoint/*.tmp", "checkpoint/step-*", ".lock", "report.json")
FLAGS = ["--hidden", "16,16", "--code-size", "3", "--batch-size", "16", "--max-epochs", "30", "--seed", "5", "--quiet"]
VARIANTS: dict[str, list[str]] = {
    "plain": ["vae", *FLAGS],
    "two-threads": ["autoencoder", *FLAGS, "--threads", "2", "--corruption", "gaussian"],
    "averaged": ["autoencoder", *FLAGS, "--ema", "0.2", "--dropout", "0.1"],
    "two-turns": [],
}


def write_rows(path: Path) -> None:
    """Write a table with numbers, a category and holes."""
    chance = random.Random(0)
    lines = ["height,weight,age,city"]
    for _ in range(300):
        height = chance.gauss(170, 10)
        weight = "" if chance.random() < 0.1 else f"{height - 100 + chance.gauss(0, 8):.1f}"
        lines.append(f"{height:.1f},{weight},{chance.randint(18, 80)},{chance.choice(['Basel', 'Lima', 'Oslo'])}")
    path.write_text("\n".join(lines) + "\n")


def register_game() -> type:
    """Enter a toy model with two turns, a generator against a discriminator with noise, dropout and batch statistics."""
    from dataclasses import dataclass as data

    import torch
    from torch import nn
    from torch.nn.functional import softplus

    from engram.models.model import Model
    from engram.registry import MODELS
    from engram.training import Turn

    @MODELS.register("toy-game")
    @data(eq=False, repr=False, kw_only=True)
    class Game(Model):
        """A toy GAN."""

        def roles(self, shapes: Any) -> dict[str, nn.Module]:
            size = shapes.row[0]
            generator = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Linear(16, size))
            judge = nn.Sequential(nn.Linear(size, 16), nn.SiLU(), nn.Dropout(0.2), nn.Linear(16, 1))
            return {"generator": generator, "discriminator": judge}

        def turns(self, step: int) -> list[Turn]:
            return [
                Turn("discriminate", ("discriminator",), repeats=2, betas=(0.0, 0.9)),
                Turn("generate", ("generator",), every=2, betas=(0.0, 0.9)),
            ]

        def terms(self, turn: Turn, nets: Any, batch: Any) -> dict[str, torch.Tensor]:
            fake = nets.discriminator(nets.generator(torch.randn(len(batch), 2)))[:, 0]
            if turn.name == "generate":
                return {"fool": softplus(-fake)}
            return {"real": softplus(-nets.discriminator(batch.x)[:, 0]), "fake": softplus(fake)}

    return Game


def fit(variant: str, rows: Path, run: Path, *, resume: bool) -> int:
    """Fit in this process, as the command line would, and return the exit code."""
    from engram.errors import EngramError
    from engram.training import checkpoint, staging

    checkpoint.EVERY = BETWEEN
    staging.YOUNG = 0.0  # nobody else writes here, so that no stage is one that is just being made
    try:
        if variant == "two-turns":
            game = register_game()(max_epochs=30, batch_size=16, ema=0.1, early_stopping=False, random_state=5)
            game.fit(rows, run=run, resume=resume)
            return 0
        from engram.__main__ import main

        name, *flags = VARIANTS[variant]
        sys.argv = ["engram", "fit", name, str(rows), "-o", str(run), *flags, *(["--resume"] if resume else [])]
        main()
    except EngramError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@dataclass
class Child:
    """A process that fits: a new one, or a fork of this one."""

    number: int
    log: Path
    ended: int | None = None

    def poll(self) -> int | None:
        """Return how it ended: an exit code, the negative number of a signal, or None while it runs."""
        if self.ended is None:
            found, status = os.waitpid(self.number, os.WNOHANG)
            if found:
                self.ended = os.waitstatus_to_exitcode(status)
        return self.ended

    def wait(self) -> int:
        """Wait for it."""
        while self.poll() is None:
            time.sleep(0.002)
        return int(self.ended or 0)

    def kill(self) -> None:
        """Kill it as the out-of-memory killer or a power cut would."""
        if self.poll() is None:
            os.kill(self.number, signal.SIGKILL)
            self.wait()


def forked(work: Callable[[], int], log: Path) -> Child:
    """Begin some work in a fork of this process, which itself computes nothing: a thread that it had would be lost in the next fork."""
    number = os.fork()
    if number:
        return Child(number, log)
    code = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(output, stream)
        code = work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def load(run: Path) -> int:
    """Load a run folder; return 0, or the exit code of our error."""
    import engram
    from engram.errors import RunError

    try:
        engram.load(run)
    except RunError as error:
        return error.exit_code
    return 0


def started(variant: str, rows: Path, run: Path, *, resume: bool, fork: bool) -> Child:
    """Begin a fit in a process of its own."""
    log = run.parent.parent / "log.txt"
    if not fork:
        command = [sys.executable, __file__, "--child", variant, str(rows), str(run), *(["--resume"] if resume else [])]
        with log.open("wb") as file:
            return Child(subprocess.Popen(command, stdout=file, stderr=file).pid, log)
    return forked(lambda: fit(variant, rows, run, resume=resume), log)


@dataclass
class Proof:
    """Kills fits of one variant and finishes what is left of each."""

    variant: str
    home: Path
    fork: bool
    chance: random.Random
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rows = self.home / "rows.csv"
        write_rows(self.rows)
        begun = time.monotonic()
        reference = self._finished(self.home / "whole" / "run", resume=False)
        self.takes = time.monotonic() - begun
        self.weights = (reference / "weights.safetensors").read_bytes()
        self.names = sorted(p.name for p in reference.iterdir())

    def _start(self, run: Path, *, resume: bool) -> Child:
        run.parent.mkdir(exist_ok=True)
        return started(self.variant, self.rows, run, resume=resume, fork=self.fork)

    def _finished(self, run: Path, *, resume: bool) -> Path:
        child = self._start(run, resume=resume)
        code = child.wait()
        assert code == 0, f"exit code {code}: {child.log.read_text()}"
        return run

    def _killed(self, run: Path, *, resume: bool) -> bool:
        """Start a fit and kill it at a moment; return False where it had ended before."""
        way = self.chance.choices(["anywhere", "end", "write"], [2, 1, 1])[0]
        child = self._start(run, resume=resume)
        if way == "write":
            self._wait_for(child, run)
        else:
            share = self.chance.uniform(0.0 if way == "anywhere" else 0.9, 1.0)
            until = time.monotonic() + share * self.takes
            while child.poll() is None and time.monotonic() < until:
                time.sleep(0.001)
        child.kill()
        if child.ended != -signal.SIGKILL:
            assert child.ended == 0, f"exit code {child.ended}: {child.log.read_text()}"
            return False
        self.seen["kills"] += 1
        self.seen[f"kills: {way}"] += 1
        return True

    def _wait_for(self, child: Child, run: Path) -> None:
        """Wait until a file of a random name is seen for a random number of times, and a few milliseconds more."""
        pattern, times = self.chance.choice(SEEN), self.chance.randint(1, 3)
        while child.poll() is None and times:
            times -= any(True for _ in run.glob(pattern))
            time.sleep(0.0003)
        time.sleep(self.chance.uniform(0, 0.01))

    def once(self) -> None:
        """Kill one fit, finish it whatever is left, and check that it is as if it had not been killed."""
        run = self.home / str(self.seen["fits"]) / "run"
        self.seen["fits"] += 1
        resume = False
        while self._killed(run, resume=resume):
            if self._state(run) and (self.variant == "two-turns" or (run / "report.json").exists()):
                child = self._start(run, resume=True)
                assert child.wait() == 4, child.log.read_text()  # nothing to resume; what is left over is cleared away
                break
            resume = run.exists() and any(run.iterdir())
            if self.chance.random() >= AGAIN:
                self._finished(run, resume=resume)
                break
        self._check(run)

    def _state(self, run: Path) -> bool:
        """Count what a kill left, and return whether it loads; whatever loads is the whole fit."""
        if not run.exists():
            self.seen["left: nothing"] += 1
            return False
        child = forked(lambda: load(run), self.home / "log.txt")
        assert child.wait() in (0, 4), child.log.read_text()
        if child.ended:
            assert not (run / "config.json").exists(), f"half a fit in {run}"
            kept = any(run.glob("checkpoint/step-*[0-9]/manifest.json"))
            self.seen["left: a checkpoint" if kept else "left: no checkpoint yet"] += 1
            return False
        judged = self.variant == "two-turns" or (run / "report.json").exists()
        self.seen["left: a whole run" if judged else "left: a fit without its report"] += 1
        return True

    def _check(self, run: Path) -> None:
        assert forked(lambda: load(run), self.home / "log.txt").wait() == 0
        assert (run / "weights.safetensors").read_bytes() == self.weights, f"other weights in {run}"
        names = sorted(p.name for p in run.iterdir())
        assert names == self.names, f"{names} in {run}"
        assert [p.name for p in run.parent.iterdir()] == ["run"], f"left over beside {run}"


def prove(kills: int, variants: list[str], *, fork: bool, seed: int, tell: Callable[[str], None]) -> Counter[str]:
    """Kill until there were so many kills, in turn over the variants; return what was seen."""
    seen: Counter[str] = Counter()
    for i, variant in enumerate(variants):
        share = kills // len(variants) + (i < kills % len(variants))
        with tempfile.TemporaryDirectory() as home:
            proof = Proof(variant, Path(home), fork, random.Random(f"{seed} {variant}"))
            while proof.seen["kills"] < share:
                proof.once()
        tell(f"{variant}: {json.dumps(dict(sorted(proof.seen.items())))}")
        seen.update(proof.seen)
    return seen


def main() -> int:
    """Run the proof, or one fit of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variant", action="append", choices=VARIANTS)
    parser.add_argument(
        "--fork", action="store_true", help="fork the fits from this process instead of starting them anew"
    )
    parser.add_argument("--child", nargs=3, metavar=("VARIANT", "ROWS", "RUN"), help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        variant, rows, run = given.child
        return fit(variant, Path(rows), Path(run), resume=given.resume)
    import engram.cli.program
    import engram.evaluation.pictures
    import engram.models.vae  # noqa: F401 - all three: what a fork need not import again

    register_game()
    seen = prove(given.kills, given.variant or list(VARIANTS), fork=given.fork, seed=given.seed, tell=print)
    print(
        f"{seen['kills']} kills, {seen['fits']} fits: all load, all weights are those of the fits that were not killed."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
