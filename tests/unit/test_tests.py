"""What tests share lies in modules that are no tests, and each fixture has one home."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
# Fixtures of `tests/fixtures` of which a test module has its own, and why.
OVERRIDES = {
    "adversarial/test_api_rates.py::app": "its limits are the subject",
    "adversarial/test_api_rates.py::client": "time stands still for its limits",
    "adversarial/test_api_tenants.py::client": "without a key, and without limits",
    "adversarial/test_intake_forms.py::client": "to be dropped: it is the shared one",
    "adversarial/test_intake_json.py::client": "without a key",
    "adversarial/test_intake_wire.py::web": "to be dropped: it is `platform`",
    "adversarial/test_outbox_endpoint.py::made": "an endpoint that listens from the first",
    "adversarial/test_outbox_endpoint.py::web": "to be dropped: it is the shared one",
    "integration/test_audit_database.py::keys": "of one log of 37 leaves, which takes longer to write than to verify",
    "integration/test_enrol_live.py::models": "another pack is the subject",
    "integration/test_enrol_live.py::models_dir": "another pack is the subject",
    "integration/test_models_used.py::models": "another pack is the subject",
    "integration/test_outbox_delivery.py::pool": "a database without an installation",
    "integration/test_upgrade.py::album": "nobody posts the group photo",
    "integration/test_upgrade.py::database_url": "the database of an older version",
    "integration/test_upgrade.py::made": "the tenant is there already",
    "integration/test_upgrade.py::settings": "the keystore of an older version",
}
# What still imports from a test; to be emptied.
IMPORTS = {
    "adversarial/test_api_schema.py": ["tests.adversarial.test_api_tenants"],
    "adversarial/test_decode_recorded.py": ["tests.adversarial.test_decode_disagree"],
}


@cache
def parsed() -> dict[str, ast.Module]:
    """Every module of the tests, by its path below `tests/`."""
    paths = sorted(TESTS.rglob("*.py"))
    return {path.relative_to(TESTS).as_posix(): ast.parse(path.read_bytes()) for path in paths}


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def is_test(module: str) -> bool:
    parts = module.split(".")
    path = TESTS.joinpath(*parts[1:]).with_suffix(".py")
    return parts[0] == "tests" and parts[-1].startswith("test_") and path.is_file()


def fixtures(tree: ast.Module) -> Iterator[str]:
    """Names of the fixtures that a module defines."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(
            "pytest.fixture" in ast.unparse(one) for one in node.decorator_list
        ):
            yield node.name


def shared() -> dict[str, list[str]]:
    """The modules of `tests/fixtures` that define each fixture."""
    homes = defaultdict(list)
    for path, tree in parsed().items():
        if path.startswith("fixtures/"):
            for name in fixtures(tree):
                homes[name].append(path)
    return homes


def test_nothing_is_imported_from_a_test() -> None:
    found = {path: sorted({one for one in imported(tree) if is_test(one)}) for path, tree in parsed().items()}
    assert {path: those for path, those in found.items() if those} == IMPORTS


def test_plugins_are_registered_in_one_place() -> None:
    def names(tree: ast.Module) -> Iterator[str]:
        for node in tree.body:
            for target in node.targets if isinstance(node, ast.Assign) else ():
                yield ast.unparse(target)

    assert [path for path, tree in parsed().items() if "pytest_plugins" in names(tree)] == ["conftest.py"]


def test_each_shared_fixture_has_one_home() -> None:
    homes = shared()
    assert len(homes) >= 30
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_who_has_another_one_says_why() -> None:
    homes = shared()
    own = {
        f"{path}::{name}"
        for path, tree in parsed().items()
        if not path.startswith("fixtures/")
        for name in fixtures(tree)
        if name in homes
    }
    assert own == set(OVERRIDES)
