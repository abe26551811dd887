"""Checkpoints: C2SP signed notes, strictly read."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest

from assent.audit import checkpoint
from assent.audit.checkpoint import Checkpoint
from assent.core.errors import AuditBroken, ProofUnreadable
from assent.keys.keystore import TenantKeys, create_keystore

ROOT = sha256(b"any root").digest()
# Published by the Go checksum database; its hash was computed by other software.
GO_SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


def note(keys: TenantKeys, text: str, *, name: str | None = None) -> str:
    """Signs any text, put together here from the specification."""
    key = checkpoint.verifier(keys)
    raw = keys.log_key.public_key().public_bytes_raw()
    key_id = sha256(key.name.encode() + b"\n\x01" + raw).digest()[:4]
    signature = base64.b64encode(key_id + keys.log_key.sign(text.encode())).decode()
    return f"{text}\n— {name or key.name} {signature}\n"


def test_a_checkpoint_is_the_note_that_the_specification_describes(tenant_keys: TenantKeys) -> None:
    text = f"assent/acme\n1841\n{base64.b64encode(ROOT).decode()}\n"
    made = checkpoint.sign_checkpoint(tenant_keys, 1841, ROOT)
    assert made == note(tenant_keys, text)  # Ed25519 signatures are deterministic
    assert checkpoint.verify_checkpoint(made, checkpoint.verifier(tenant_keys)) == Checkpoint("assent/acme", 1841, ROOT)


def test_verifier_keys_are_read_and_written() -> None:
    key = checkpoint.parse_verifier(GO_SUMDB)
    assert key.name == "sum.golang.org"
    assert key.id.hex() == "033de0ae"
    assert str(key) == GO_SUMDB


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sum.golang.org",
        GO_SUMDB.replace("033de0ae", "033de0af"),
        GO_SUMDB.replace("sum.golang.org", "sum.golang.net"),
        GO_SUMDB.replace("sum.golang.org", ""),
        GO_SUMDB[:-4],
        GO_SUMDB + "é",
        "a+00000000+" + base64.b64encode(b"\x02" + bytes(32)).decode(),
    ],
)
def test_no_other_verifier_key_is_read(text: str) -> None:
    with pytest.raises(ProofUnreadable):
        checkpoint.parse_verifier(text)


def test_signatures_of_unknown_keys_and_extension_lines_are_passed_over(tenant_keys: TenantKeys) -> None:
    key = checkpoint.verifier(tenant_keys)
    other = f"— witness.example {base64.b64encode(bytes(76)).decode()}\n"
    same_name = f"— {key.name} {base64.b64encode(bytes(68)).decode()}\n"
    made = checkpoint.sign_checkpoint(tenant_keys, 3, ROOT)
    assert checkpoint.verify_checkpoint(made + other + same_name, key).size == 3
    text = f"assent/acme\n3\n{base64.b64encode(ROOT).decode()}\nan extension\n"
    assert checkpoint.verify_checkpoint(note(tenant_keys, text), key).size == 3


def test_the_epoch_of_a_restored_log_stands_in_an_extension_line(tenant_keys: TenantKeys) -> None:
    key, text = checkpoint.verifier(tenant_keys), f"assent/acme\n7\n{base64.b64encode(ROOT).decode()}\nepoch 2\n"
    made = checkpoint.sign_checkpoint(tenant_keys, 7, ROOT, 2)
    assert made == note(tenant_keys, text)
    assert checkpoint.verify_checkpoint(made, key) == Checkpoint("assent/acme", 7, ROOT, 2)
    for other in ("epoch 1\n", "epoch 02\n", "epoch x\n"):  # no extension of ours
        assert checkpoint.verify_checkpoint(note(tenant_keys, text.replace("epoch 2\n", other)), key).epoch == 1
    with pytest.raises(ProofUnreadable, match="two epochs"):
        checkpoint.verify_checkpoint(note(tenant_keys, text + "epoch 3\n"), key)


def test_another_key_or_a_false_signature_is_refused(tenant_keys: TenantKeys, tmp_path: Path) -> None:
    other = create_keystore(tmp_path / "other", uuid4()).add_tenant("acme")
    made = checkpoint.sign_checkpoint(tenant_keys, 3, ROOT)
    with pytest.raises(AuditBroken, match="not signed by the key"):
        checkpoint.verify_checkpoint(made, checkpoint.verifier(other))
    with pytest.raises(AuditBroken, match="signature by assent/acme is false"):
        checkpoint.verify_checkpoint(made.replace("\n3\n", "\n4\n"), checkpoint.verifier(tenant_keys))
    # A good signature does not excuse a false one of the same key beside it.
    _, _, line = checkpoint.sign_checkpoint(tenant_keys, 4, ROOT).rpartition("\n\n")
    with pytest.raises(AuditBroken, match="is false"):
        checkpoint.verify_checkpoint(made + line, checkpoint.verifier(tenant_keys))


ENCODED = base64.b64encode(ROOT).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"assent/other\n3\n{ENCODED}\n",
        f"assent/acme\n03\n{ENCODED}\n",
        f"assent/acme\n-3\n{ENCODED}\n",
        f"assent/acme\n３\n{ENCODED}\n",
        f"assent/acme\n{'9' * 20}\n{ENCODED}\n",
        f"assent/acme\n3\n{ENCODED[:-4]}\n",
        "assent/acme\n3\nnot base64!\n",
        "assent/acme\n3\n",
        f"assent/acme\n3\n{ENCODED}\n\nafter a gap\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(tenant_keys: TenantKeys, text: str) -> None:
    with pytest.raises((AuditBroken, ProofUnreadable)):
        checkpoint.verify_checkpoint(note(tenant_keys, text), checkpoint.verifier(tenant_keys))


def test_what_is_no_signed_note_is_refused(tenant_keys: TenantKeys) -> None:
    key, made = checkpoint.verifier(tenant_keys), checkpoint.sign_checkpoint(tenant_keys, 3, ROOT)
    for bad in (
        "",
        made.removesuffix("\n"),
        made.replace("\n\n", "\n"),
        made.replace("— ", "- "),
        made.replace("— ", "—  "),
        made.replace("\n", "\r\n"),
        made + "not a signature line\n",
        made + f"— {key.name} !!!!\n",
        made + "— a b\n" * 5_000,
    ):
        with pytest.raises(ProofUnreadable):
            checkpoint.verify_checkpoint(bad, key)
