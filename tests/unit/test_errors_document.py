"""`docs/errors.md` lists every error that has a code, as the error tree has it. `make errors` writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from assent.core import audit_errors, enrolment_errors, errors, host_errors, http_errors, media_errors, review_errors
from assent.core.errors import AssentError

FILE = Path(__file__).parents[2] / "docs" / "errors.md"
# A test may define errors of its own.
_DEFINING = (errors, audit_errors, enrolment_errors, host_errors, http_errors, media_errors, review_errors)
MODULES = tuple(module.__name__ for module in _DEFINING)
HEAD = """# Errors

Every error answer of the API is `application/problem+json` (RFC 9457) with one of these codes (a person's own pages
answer in words); the same codes stand in decisions that failed and are printed by the commands. A retry may help where
the third column says so.

| code | status | retry | what to do |
|---|---|---|---|
"""


def classes(kind: type[AssentError] = AssentError) -> Iterator[type[AssentError]]:
    """The class and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from classes(below)


def document() -> str:
    """The page, one row a code, in alphabetical order."""
    kinds = {kind.code: kind for kind in classes() if kind.__module__ in MODULES}
    rows = (
        f"| `{code}` | {kind.status} | {'yes' if kind.retryable else ''} | {kind.remedy} |\n"
        for code, kind in sorted(kinds.items())
    )
    return HEAD + "".join(rows)


def test_the_page_is_what_the_tree_says() -> None:
    assert FILE.read_text() == document(), "make errors"


def test_no_code_has_two_meanings() -> None:
    counts = Counter(kind.code for kind in classes() if kind.__module__ in MODULES)
    assert [code for code, count in counts.items() if count > 1] == []


if __name__ == "__main__":
    FILE.write_text(document())
