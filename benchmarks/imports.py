"""What starting costs: ``import engram`` and ``engram --help`` beside a bare interpreter."""

from __future__ import annotations

import resource
import subprocess
import sys

from measure import Goal, Options, Page, Row, Spread, Table, paired, run_script

NAMES = ("Engram, s", "bare, s")
COMMANDS = {
    "`import engram`": (["-c", "import engram"], 0.15),
    "`engram --help`": (["-m", "engram", "--help"], 0.4),
    "`engram --version`": (["-m", "engram", "--version"], 0.4),
}
TEXT = """\
CPU time (user and system, with all children) of a new Python process that runs the command, and of one that runs
`python -c pass`; pairs measured in turn after one run of each, so that byte code and files are cached; `engram ...`
is run as `python -m engram ...`; 'over bare' is the median of the differences.
"""


def seconds(arguments: list[str]) -> float:
    """CPU time of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(options: Options) -> Page:
    rows = []
    for what, (arguments, limit) in COMMANDS.items():

        def ours(given: list[str] = arguments) -> float:
            return seconds(given)

        def bare() -> float:
            return seconds(["-c", "pass"])

        ours(), bare()
        cells = paired(ours, bare, options.pairs, NAMES)
        over = [a - b for a, b in zip(cells[NAMES[0]].values, cells[NAMES[1]].values, strict=True)]
        del cells["ratio"]
        cells["over bare, s"] = Spread.of(over)
        rows.append(Row(what, cells, (Goal("over bare, s", limit, below=True),)))
    return Page("imports", "What starting Engram costs", TEXT, [Table("Starting", rows, show=("median", "max"))])


if __name__ == "__main__":
    run_script(measure)
