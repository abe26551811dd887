"""Keys of the API are made with the scopes that were asked for, shown once, and revoked."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from assent.apikeys import authenticate
from assent.cli import app
from assent.errors import BadRequest, Forbidden, NotFound, Unauthorized
from assent.settings import Settings
from assent.setup import Made
from assent.store.pool import Pool, transaction


@pytest.fixture
def assent(settings: Settings, made: Made, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """The command on the test's installation."""
    assert settings.database_url is not None
    monkeypatch.setenv("ASSENT_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("ASSENT_DATABASE_URL", settings.database_url.get_secret_value())
    return CliRunner()


def test_a_key_holds_its_scopes_until_it_is_revoked(assent: CliRunner, pool: Pool) -> None:
    done = assent.invoke(app, ["apikey", "add", "--scope", "review"])
    assert done.exit_code == 0, done.output
    key = done.output.strip()
    with transaction(pool) as conn:
        by = authenticate(conn, key)
    by.must("review")
    with pytest.raises(Forbidden):
        by.must("images:tag")
    assert by.key_id in assent.invoke(app, ["apikey", "list"]).output
    assert assent.invoke(app, ["apikey", "revoke", by.key_id]).exit_code == 0
    with pytest.raises(Unauthorized), transaction(pool) as conn:
        authenticate(conn, key)
    again = assent.invoke(app, ["apikey", "revoke", by.key_id])
    assert isinstance(again.exception, NotFound)
    with transaction(pool) as conn:
        leaves = [json.loads(leaf) for (leaf,) in conn.execute("SELECT leaf FROM audit_leaf ORDER BY seq")]
    assert [leaf["action"] for leaf in leaves[-2:]] == ["api-key.added", "api-key.revoked"]
    assert leaves[-2]["scopes"] == ["review"]


def test_a_scope_that_does_not_exist_is_refused(assent: CliRunner) -> None:
    done = assent.invoke(app, ["apikey", "add", "--scope", "everything"])
    assert isinstance(done.exception, BadRequest)
