"""Tables of an application's own in a report's page: a title, a head, rows of texts."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any


def fact_tables(facts: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (anchor, title, content) of each table under ``facts["tables"]``: {"title": str, "head": [str], "rows": [[str]]}."""
    for number, table in enumerate(facts.get("tables", [])):
        head = "".join(f"<th>{escape(str(name))}</th>" for name in table["head"])
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in table["rows"]
        )
        content = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        yield f"table-{number}", escape(str(table["title"])), content
