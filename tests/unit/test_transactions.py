"""No transaction is left half-way in a pipeline of statements."""

from __future__ import annotations

import ast
from pathlib import Path

import assent

ROOT = Path(assent.__file__).parent


def test_no_transaction_is_held_in_a_pipeline() -> None:
    """A client stopped between the statements of a pipeline counts as active: no limit on idle transactions ends it,
    and what it locked stays locked."""
    refused = {"pipeline", "executemany"}
    texts = [path.read_text() for path in ROOT.rglob("*.py")]
    assert len(texts) > 100
    named = [text for text in texts if any(name in text for name in refused)]  # to parse all of them takes seconds
    calls = (node.func for text in named for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    names = {function.attr for function in calls if isinstance(function, ast.Attribute)}
    assert not names & refused
