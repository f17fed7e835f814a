"""README's table of figures is what the committed results say."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_figure_on_the_front_page_is_a_row_of_the_committed_results() -> None:
    written = (ROOT / "README.md").read_text()
    assert runpy.run_path(str(ROOT / "benchmarks" / "front_page.py"))["page"](written) == written
