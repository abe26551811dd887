"""Data flows one way: a stage imports earlier stages and the shared values, never a later one."""

from __future__ import annotations

import ast
from pathlib import Path

import assent

ROOT = Path(assent.__file__).parent

# The rooms in the order of the pipeline; a room may import those before it and the ones that every stage may use.
STAGES = ("intake", "media", "known", "perceive", "gallery", "policy", "outbox")
# Sealing is what the database holds its rows by: intake stores events with it, long before a gallery is searched.
SHARED_FILES = {"gallery/keys.py", "gallery/template.py"}
# Where the ways in and out come together, and may see all rooms.
EDGES = {"intake/router.py"}


def imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, as `room/file.py` or `file.py`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    names = (name.removeprefix("assent.").replace(".", "/") for name in found if name.startswith("assent."))
    paths = {path for name in names for path in (f"{name}.py", f"{name}/__init__.py")}
    return {path for path in paths if (ROOT / path).is_file()}


def test_no_stage_imports_a_later_one() -> None:
    wrong = []
    for number, room in enumerate(STAGES):
        for path in (ROOT / room).glob("*.py"):
            name = f"{room}/{path.name}"
            later = {f"{other}/" for other in STAGES[number + 1 :]}
            for imported in imports(path) - SHARED_FILES:
                if name not in EDGES and any(imported.startswith(other) for other in later):
                    wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_the_check_sees_imports() -> None:
    assert "policy/decide.py" in imports(ROOT / "pipeline.py")
    assert "media/fetch.py" in imports(ROOT / "pipeline.py")


def test_values_and_errors_import_nothing_of_ours() -> None:
    for name in ("values.py", "errors.py", "taxonomy.py"):
        assert imports(ROOT / name) <= {"values.py"}


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
