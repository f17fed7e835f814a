"""The project's pages, and what stands in their code blocks."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "engram"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Parameters
    ----------
    page : Path
        Where it stands.
    line : int
        The line of its fence.
    language : str
        What stands behind the fence, in lower case.
    text : str
        Its lines.
    file : str
        The path in an ``<!-- example: path -->`` before it: such a block is a file, not a snippet.
    """

    page: Path
    line: int
    language: str
    text: str
    file: str

    @property
    def place(self) -> str:
        return f"{name_of(self.page)}:{self.line}"

    @property
    def is_complete(self) -> bool:
        """Whether it can run as it stands: it imports what it uses."""
        return any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(self.text).body)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    found = re.finditer(
        r"(?:^<!-- example: (?P<file>\S+) -->\n)?^(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=fence)[ ]*$",
        content := page.read_text(encoding="utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
    return [
        Block(
            page,
            content.count("\n", 0, m.start("fence")) + 1,
            m["language"].strip().lower(),
            m["text"],
            m["file"] or "",
        )
        for m in found
    ]


def python_blocks(page: Path) -> list[Block]:
    """Return the blocks of Python that are snippets, not files."""
    return [block for block in blocks(page) if block.language in ("python", "py") and not block.file]


def commands(page: Path) -> list[str]:
    """Return the lines of code blocks that call the program, in order."""
    lines = [line.strip().removeprefix("$ ") for block in blocks(page) for line in block.text.splitlines()]
    return [line for line in lines if line.startswith("engram ")]


def has_placeholder(command: str) -> bool:
    """Whether a word in capitals stands for something of the reader's."""
    return any(re.fullmatch(r"[A-Z]{2,}(\.\w+)?", word) for word in re.split(r"[\s=]", command))
