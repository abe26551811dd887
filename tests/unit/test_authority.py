"""The MAC of a row that gives power covers each of its columns, in a form that no other row has."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from assent.keys.authority import AUTHORITATIVE, Authority, authority_mac, begin_macs, holds_mac, mac_of_raw

KEY, ID = bytes(range(32)), UUID(int=7)
AT = datetime(2026, 11, 26, 21, tzinfo=UTC)
ROWS: dict[Authority, dict[str, Any]] = {
    "api_key": {
        "tenant": "club",
        "id": "0a1b",
        "sha256": b"\x01" * 32,
        "scopes": ["review", "audit:read"],
        "revoked": False,
    },
    "consent": {
        "tenant": "club",
        "id": ID,
        "pid": b"p" * 32,
        "purpose": "face-match",
        "scope": "own",
        "series": ID,
        "n": 1,
        "given_at": AT,
        "expires_at": AT + timedelta(days=365),
        "withdrawn_at": None,
        "expired_at": None,
    },
    "template": {"tenant": "club", "id": ID, "pid": b"p" * 32, "model": "m@1", "consent_id": ID, "version": 1},
    "endpoint": {"tenant": "club", "name": "app", "url": "https://a.example/", "audience": "platform"},
    "staff": {
        "tenant": "club",
        "id": ID,
        "version": 1,
        "roles": ["moderator", "senior"],
        "queues": ["review"],
        "external": b"e" * 32,
        "password_hash": "$argon2id$",
        "totp_sealed": b"t" * 32,
        "disabled": False,
    },
    "staff_key": {"tenant": "club", "id": b"i" * 16, "staff": ID, "public_key": b"k" * 77},
}


def other(value: Any) -> Any:
    match value:
        case None:
            return AT
        case bool():
            return not value
        case int():
            return value + 1
        case UUID():
            return UUID(int=value.int + 1)
        case datetime():
            return value + timedelta(microseconds=1)
    return value[:-1]


@pytest.mark.parametrize("kind", AUTHORITATIVE)
def test_every_column_counts(kind: Authority) -> None:
    row = ROWS[kind]
    assert tuple(row) == AUTHORITATIVE[kind]
    mac = authority_mac(KEY, kind, row)
    assert holds_mac(KEY, kind, row | {"mac": mac})
    assert not holds_mac(KEY, kind, row | {"mac": None})
    assert not holds_mac(bytes(32), kind, row | {"mac": mac})
    for column, value in row.items():
        assert not holds_mac(KEY, kind, row | {column: other(value), "mac": mac}), column


def test_neighbouring_columns_do_not_run_into_each_other() -> None:
    row = ROWS["endpoint"]
    shifted = row | {"name": "apph", "url": "ttps://a.example/"}
    assert authority_mac(KEY, "endpoint", row) != authority_mac(KEY, "endpoint", shifted)
    assert authority_mac(KEY, "api_key", ROWS["api_key"] | {"scopes": ["ab"]}) != authority_mac(
        KEY, "api_key", ROWS["api_key"] | {"scopes": ["a", "b"]}
    )


def test_the_order_of_scopes_does_not_matter_and_a_time_reads_as_postgresql_sends_it() -> None:
    row = ROWS["api_key"]
    assert authority_mac(KEY, "api_key", row | {"scopes": row["scopes"][::-1]}) == authority_mac(KEY, "api_key", row)
    sent = (int((AT - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000).to_bytes(8, "big")
    consent = ROWS["consent"]
    assert authority_mac(KEY, "consent", consent | {"given_at": sent}) == authority_mac(KEY, "consent", consent)


def test_a_row_in_bytes_has_the_mac_of_its_values_which_is_hmac_sha256() -> None:
    names = b"Zo\xc3\xab", b"p" * 32, "mädchen@1".encode()
    row = {"tenant": "Zoë", "id": ID, "pid": names[1], "model": "mädchen@1", "consent_id": ID, "version": 258}
    raw = names[0], ID.bytes, names[1], names[2], ID.bytes, bytes(6) + b"\1\2"
    framed = b"template" + b"".join(len(value).to_bytes(4, "big") for value in raw) + b"".join(raw)
    mac = hmac.digest(KEY, framed, "sha256")
    assert authority_mac(KEY, "template", row) == mac_of_raw(begin_macs(KEY), "template", raw) == mac


@pytest.mark.parametrize("scopes", [[None], [["images:tag"]], {"a": 1}, 1.5])
def test_a_row_that_nobody_here_could_have_written_has_no_mac_that_holds(scopes: object) -> None:
    assert not holds_mac(KEY, "api_key", ROWS["api_key"] | {"scopes": scopes, "mac": bytes(32)})
