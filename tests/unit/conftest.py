"""Keeps the tests of this folder fast."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.guarding import GUARD, refuse_shared


@pytest.fixture(autouse=True, scope="session")
def _own_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    GUARD.own = tmp_path_factory.getbasetemp()


# The last of the wrappers, so that the others have begun and may end. A teardown is not watched: it may be that of a
# server which tests of another folder shared.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with GUARD.on():
        refuse_shared(getattr(item, "fixturenames", ()))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with GUARD.on():
        yield
