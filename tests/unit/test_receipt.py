"""A receipt is checked offline, and nothing in it can be altered."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import rfc8785

from assent.audit import checkpoint, log, receipt, tree
from assent.core.clock import rfc3339
from assent.core.errors import AuditBroken, ProofUnreadable
from assent.keys.keystore import TenantKeys, create_keystore
from tests.command import Done, invoke

ERASURE = UUID(int=7)
ASKED, DONE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 3, 40, tzinfo=UTC)
INDEX, SIZE = 5, 11


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def made(keys: TenantKeys, action: str = "subject.erased", of: UUID = ERASURE, **changes: Any) -> dict[str, Any]:
    """A receipt for leaf 5 of a log of 11."""
    opening = b"s" * 32 + rfc8785.dumps({"erasure": str(of)})
    mine = log.leaf_bytes(action, {}, [sha256(opening).digest()], ASKED)
    leaves = [mine if n == INDEX else f'{{"n":{n}}}'.encode() for n in range(SIZE)]
    nodes: dict[tree.NodeId, bytes] = {}
    peaks: list[bytes] = []
    for seq, leaf in enumerate(leaves):
        peaks, fresh = tree.grow(peaks, seq, tree.leaf_hash(leaf))
        nodes |= {(node.level, node.n): node.hash for node in fresh}
    proof = tree.node_hashes(tree.inclusion_spans(INDEX, SIZE), nodes)
    said = {
        "tenant": "acme",
        "erasure": str(ERASURE),
        "requested_at": rfc3339(ASKED),
        "completed_at": rfc3339(DONE),
        "destroyed_epochs": [1, 2],
        "leaf": {"index": INDEX, "bytes": b64(mine), "opening": b64(opening), "proof": [b64(part) for part in proof]},
        "checkpoint": checkpoint.sign_checkpoint(keys, SIZE, tree.root(peaks)),
    }
    return receipt.sign_receipt(keys, said | changes)


def check(said: dict[str, Any], **given: Any) -> receipt.VerifiedReceipt:
    return receipt.verify_receipt(json.dumps(said).encode(), **given)


def test_an_honest_receipt_is_verified_with_its_own_key_and_with_the_known_one(tenant_keys: TenantKeys) -> None:
    said = made(tenant_keys)
    found = check(said)
    assert (found.tenant, found.erasure, found.index, found.head.size) == ("acme", str(ERASURE), INDEX, SIZE)
    assert found.destroyed_epochs == (1, 2)
    assert not found.pinned
    assert check(said, key=checkpoint.verifier(tenant_keys)).pinned


def altered(value: Any) -> Iterator[Any]:
    """The value with one thing in it changed, taken away or added, each in turn."""
    if isinstance(value, dict):
        for name in value:
            yield {other: value[other] for other in value if other != name}
            yield from ({**value, name: other} for other in altered(value[name]))
        yield {**value, "more": 1}
    elif isinstance(value, list):
        for n in range(len(value)):
            yield value[:n] + value[n + 1 :]
            yield from ([*value[:n], other, *value[n + 1 :]] for other in altered(value[n]))
        yield [*value, *value[:1]]
    elif isinstance(value, int):
        yield from (value + 1, value - 1, str(value), float(value), True, None)
    else:
        middle = len(value) // 2
        yield from (value + "x", value[:-1], value[:middle] + chr(ord(value[middle]) ^ 1) + value[middle + 1 :], None)


def test_no_field_can_be_altered(tenant_keys: TenantKeys) -> None:
    said = made(tenant_keys)
    cases = list(altered(said))
    assert len(cases) > 80
    for case in cases:
        assert case != said or json.dumps(case) != json.dumps(said)
        with pytest.raises((AuditBroken, ProofUnreadable)) as refused:
            check(case)
        assert refused.value.detail != refused.value.remedy


def test_no_byte_of_the_file_can_be_altered(tenant_keys: TenantKeys) -> None:
    file = rfc8785.dumps(made(tenant_keys))
    receipt.verify_receipt(file)
    passed = []
    for n in range(len(file)):
        for other in {file[n] ^ 1, file[n] ^ 0x20, 0x20} - {file[n]}:
            try:
                receipt.verify_receipt(file[:n] + bytes([other]) + file[n + 1 :])
            except (AuditBroken, ProofUnreadable):
                continue
            passed.append((n, bytes([other])))
    assert passed == []


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_file_that_is_cut_is_refused(tenant_keys: TenantKeys, length: int) -> None:
    with pytest.raises(ProofUnreadable):
        receipt.verify_receipt(rfc8785.dumps(made(tenant_keys))[:length])


@pytest.mark.parametrize("data", [b"[]", b"1", b"null", b"\xff", b"[" * 100_000, b'{"a":1,"a":1}', b" " * (1 << 21)])
def test_what_is_no_receipt_is_refused(data: bytes) -> None:
    with pytest.raises(ProofUnreadable):
        receipt.verify_receipt(data)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"destroyed_epochs": []}, "no destroyed epoch"),
        ({"destroyed_epochs": [0]}, "no destroyed epoch"),
        ({"completed_at": "2025-01-01T00:00:00.000000Z"}, "before the beginning"),
        ({"completed_at": "yesterday"}, "times"),
        ({"requested_at": rfc3339(DONE)}, "another action"),
        ({"erasure": str(uuid4())}, "another action"),
        ({"tenant": "other"}, "not the key of"),
    ],
)
def test_an_operator_cannot_sign_nonsense_either(tenant_keys: TenantKeys, changes: dict[str, Any], why: str) -> None:
    with pytest.raises((AuditBroken, ProofUnreadable), match=why):
        check(made(tenant_keys, **changes))


def test_a_leaf_of_another_action_or_erasure_is_refused(tenant_keys: TenantKeys) -> None:
    for said in (made(tenant_keys, action="consent.given"), made(tenant_keys, of=UUID(int=8))):
        with pytest.raises(AuditBroken, match="another action"):
            check(said)


def test_another_houses_receipt_is_refused_for_the_known_key(tenant_keys: TenantKeys, tmp_path: Path) -> None:
    other = create_keystore(tmp_path / "other", uuid4()).add_tenant("acme")
    said = made(other)
    assert check(said).key == checkpoint.verifier(other)  # honest by itself: that is why the key should be given
    with pytest.raises(AuditBroken, match="another key"):
        check(said, key=checkpoint.verifier(tenant_keys))


def verify_receipt(*words: str) -> Done:
    return invoke({}, "audit", "verify-receipt", *words)


def test_the_command_says_what_was_verified_and_what_was_not(tenant_keys: TenantKeys, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_bytes(rfc8785.dumps(made(tenant_keys)))
    done = verify_receipt(str(file), "--key", str(checkpoint.verifier(tenant_keys)))
    assert done.status == 0, done.stderr
    assert f"ok: erasure {ERASURE}" in done.stdout
    assert "leaf 5 of the log of 11 leaves" in done.stdout
    assert "epoch 1, 2 were destroyed" in done.stdout
    assert "Not proved" in done.stdout
    assert "--key" not in done.stdout
    assert "--key" in verify_receipt(str(file)).stdout


def test_the_command_ends_with_1_and_the_reason(tenant_keys: TenantKeys, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_bytes(rfc8785.dumps(made(tenant_keys) | {"completed_at": rfc3339(ASKED)}))
    done = verify_receipt(str(file))
    assert (done.status, done.stdout) == (1, "")
    assert "the signature does not fit" in done.stderr
