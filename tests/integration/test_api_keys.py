"""Keys of the API are made with the scopes that were asked for, shown once, and revoked."""

from __future__ import annotations

import pytest

from assent.core.errors import Forbidden, Unauthorized
from assent.db.pool import Pool, transaction
from assent.http.api_keys import authenticate
from assent.keys.keystore import Keystore
from tests.command import assent, failing
from tests.events import leaves


def test_a_key_holds_its_scopes_until_it_is_revoked(
    environment: dict[str, str], pool: Pool, keystore: Keystore
) -> None:
    key = assent(environment, "api-key", "add", "--scope", "review").strip()
    with transaction(pool) as conn:
        by = authenticate(conn, keystore, key)
    by.must("review")
    with pytest.raises(Forbidden):
        by.must("images:tag")
    assert by.key_id in assent(environment, "api-key", "list")
    assent(environment, "api-key", "revoke", by.key_id)
    with pytest.raises(Unauthorized), transaction(pool) as conn:
        authenticate(conn, keystore, key)
    assert failing(environment, "api-key", "revoke", by.key_id).startswith("not_found ")
    [added] = leaves(pool, "api-key.added")
    assert added["scopes"] == ["review"]
    assert len(leaves(pool, "api-key.revoked")) == 1


def test_a_scope_that_does_not_exist_is_refused(environment: dict[str, str]) -> None:
    assert failing(environment, "api-key", "add", "--scope", "everything").startswith("bad_request ")
