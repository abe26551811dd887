"""Names, sizes and first words of the package, held to what a reader can take in."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import assent

ROOT = Path(assent.__file__).parent
LONGEST_FUNCTION, LONGEST_FILE, MOST_PARAMETERS = 60, 400, 6
Function = ast.FunctionDef | ast.AsyncFunctionDef

# Public names that two modules or more define at top level, outside of `cli/`, and why they may.
SHARED = {
    "router": "each file of routes has one, and `app.py` joins them",
}
# Functions with more parameters than MOST_PARAMETERS.
WIDE = {
    "cli/hash_lists.py:import_",
    "cli/review.py:decide",
    "cli/review.py:correct",
    "cli/train.py:train",
    "cli/search.py:search",
    "http/routes/search.py:find_media",
}


Trees = dict[str, ast.Module]  # by file


@pytest.fixture(scope="module")
def trees() -> Trees:
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in sorted(ROOT.rglob("*.py"))}


def functions(trees: Trees) -> Iterator[tuple[str, Function]]:
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield f"{file}:{node.name}", node


def public_names(tree: ast.Module) -> set[str]:
    """Lists what a module defines at top level and does not begin with an underscore."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def test_a_public_name_has_one_meaning(trees: Trees) -> None:
    modules = defaultdict(list)
    for file, tree in trees.items():
        if not file.startswith("cli/"):
            for name in public_names(tree):
                modules[name].append(file)
    shared = {name: files for name, files in modules.items() if len(files) > 1}
    assert set(shared) == set(SHARED), shared
    assert len(SHARED) <= 10


def test_functions_and_files_are_short(trees: Trees) -> None:
    lengths = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in functions(trees)}
    assert [name for name, length in lengths.items() if length > LONGEST_FUNCTION] == []
    ordered = sorted(lengths.values())
    assert ordered[len(ordered) // 2] <= 9
    assert ordered[len(ordered) * 9 // 10] <= 22
    files = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in ROOT.rglob("*.py")}
    assert [file for file, length in files.items() if length > LONGEST_FILE] == []


def test_functions_take_few_parameters(trees: Trees) -> None:
    wide = set()
    for name, node in functions(trees):
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        if len([argument for argument in named if argument.arg not in ("self", "cls")]) > MOST_PARAMETERS:
            wide.add(name)
    assert wide == WIDE
    assert len(WIDE) <= 8


def test_docstrings_begin_with_a_verb(trees: Trees) -> None:
    wrong = []
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, Function | ast.ClassDef | ast.Module):
                text = ast.get_docstring(node) or ""
                if re.match(r"(What|Who|Whoever|Whose|That|The same|Which|How)\b", text):
                    wrong.append(f"{file}: {text.splitlines()[0]}")
    assert wrong == []
