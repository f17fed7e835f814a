"""How Sphinx makes these pages: Markdown by MyST, the reference from docstrings and from the command line itself."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import command_line

from engram.version import VERSION

project = "Engram"
author = "The Engram developers"
copyright = author  # noqa: A001 - Sphinx's name for it
version = release = VERSION

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
smartquotes = False  # commands are copied from these pages

autodoc_typehints = "none"  # types stand in the docstrings
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
python_maximum_signature_line_length = 80

html_theme = "alabaster"
html_title = f"Engram {VERSION}"
html_theme_options = {
    "description": "Learn from data that nobody labelled.",
    "page_width": "1200px",
    "sidebar_width": "250px",
}
html_show_sourcelink = False
html_copy_source = False


def literal_formulas(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep what reStructuredText would take for markup: bars of norms and conditions, stars."""
    for number, line in enumerate(lines):
        parts = line.split("``")  # every second one is literal already
        parts[::2] = [re.sub(r"(?<!\\)([|*])", r"\\\1", part) for part in parts[::2]]
        lines[number] = "``".join(parts)


def setup(app: Any) -> None:
    """Write the command line's pages before any page is read."""
    app.connect("autodoc-process-docstring", literal_formulas, priority=400)  # before napoleon writes its own markup
    app.connect("builder-inited", lambda app: command_line.write(Path(app.srcdir) / "reference" / "_generated"))
