"""Makes texts that users, their files or receivers chose safe for tables on a terminal."""

from __future__ import annotations

from rich.markup import escape

from assent.core.display import visible


def cell(text: str) -> str:
    """Returns a text for rich to print as it is: no markup, no character that acts on the terminal."""
    return escape(visible(text))
