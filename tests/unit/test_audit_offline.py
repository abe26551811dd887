"""Verifying an export without the database that it came from."""

from __future__ import annotations

import base64
import io
import json
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from assent.audit import checkpoint, tree
from assent.audit.epoch import RESTORED as ACTION
from assent.audit.epoch import LogHead, Restoration
from assent.audit.log import leaf_bytes
from assent.audit.verify import EXPORT_FORMAT, VerifyReport, verify_log
from assent.cli import app
from assent.core.errors import AuditBroken, ProofUnreadable
from assent.keys.keystore import TenantKeys, create_keystore

LEAVES = [f'{{"n":{n}}}'.encode() for n in range(41)]


def root_of(leaves: Sequence[bytes]) -> bytes:
    peaks: list[bytes] = []
    for seq, leaf in enumerate(leaves):
        peaks, _ = tree.grow(peaks, seq, tree.leaf_hash(leaf))
    return tree.root(peaks)


def signed(keys: TenantKeys, leaves: Sequence[bytes], epoch: int = 1) -> str:
    return checkpoint.sign_checkpoint(keys, len(leaves), root_of(leaves), epoch)


def restored(old: Sequence[bytes], leaves: Sequence[bytes], old_epoch: int = 1, epoch: int = 2) -> list[bytes]:
    """What came back of a log, and the leaf that says which log was lost."""
    lost, back = (LogHead(n, len(part), root_of(part)) for n, part in ((old_epoch, old), (epoch, leaves)))
    body = Restoration("", lost, back).body()
    return [*leaves, leaf_bytes(ACTION, body, [], datetime(2026, 1, 31, 12, tzinfo=UTC))]


def exported(keys: TenantKeys, leaves: Sequence[bytes], *, note: str | None = None, **header: str) -> str:
    first = {
        "format": EXPORT_FORMAT,
        "tenant": "acme",
        "key": str(checkpoint.verifier(keys)),
        "checkpoint": note or signed(keys, leaves),
    }
    return "\n".join([json.dumps(first | header), *(base64.b64encode(leaf).decode() for leaf in leaves), ""])


def check(export: str, old: str | None = None) -> VerifyReport:
    return verify_log(io.StringIO(export), old)


def test_an_honest_export_verifies_alone_and_against_every_older_checkpoint(tenant_keys: TenantKeys) -> None:
    export = exported(tenant_keys, LEAVES)
    assert check(export).witnessed is None
    for size in range(len(LEAVES) + 1):
        report = check(export, signed(tenant_keys, LEAVES[:size]))
        assert (report.witnessed, report.head.size) == (size, len(LEAVES))


def test_an_empty_log_verifies(tenant_keys: TenantKeys) -> None:
    assert check(exported(tenant_keys, []), signed(tenant_keys, [])).head.root == tree.EMPTY_ROOT


def test_missing_and_surplus_leaves_are_counted(tenant_keys: TenantKeys) -> None:
    note = signed(tenant_keys, LEAVES)
    with pytest.raises(AuditBroken, match="there are 40 leaves, the checkpoint is of 41"):
        check(exported(tenant_keys, LEAVES[:-1], note=note))
    with pytest.raises(AuditBroken, match="there are 42 leaves"):
        check(exported(tenant_keys, [*LEAVES, b"more", b"and more"], note=note))


def test_an_altered_leaf_is_bracketed_by_the_older_checkpoint(tenant_keys: TenantKeys) -> None:
    note, old = signed(tenant_keys, LEAVES), signed(tenant_keys, LEAVES[:20])
    early, late = [*LEAVES], [*LEAVES]
    early[7], late[30] = b"altered", b"altered"
    with pytest.raises(AuditBroken, match="one of the first 20 leaves was altered"):
        check(exported(tenant_keys, early, note=note), old)
    with pytest.raises(AuditBroken, match="a leaf from number 20 on was altered"):
        check(exported(tenant_keys, late, note=note), old)
    with pytest.raises(AuditBroken, match="one of the 41 leaves was altered"):
        check(exported(tenant_keys, late, note=note))


def test_two_leaves_in_the_other_order_are_noticed(tenant_keys: TenantKeys) -> None:
    swapped = [LEAVES[1], LEAVES[0], *LEAVES[2:]]
    with pytest.raises(AuditBroken, match="was altered"):
        check(exported(tenant_keys, swapped, note=signed(tenant_keys, LEAVES)))


def test_a_rewritten_and_newly_signed_history_is_a_fork(tenant_keys: TenantKeys) -> None:
    rewritten = [*LEAVES]
    rewritten[7] = b"it never happened"
    assert check(exported(tenant_keys, rewritten)).witnessed is None  # without a witness nobody can tell
    with pytest.raises(AuditBroken, match="fork: the log's first 20 leaves"):
        check(exported(tenant_keys, rewritten), signed(tenant_keys, LEAVES[:20]))


def test_a_log_cut_short_and_newly_signed_is_noticed(tenant_keys: TenantKeys) -> None:
    with pytest.raises(AuditBroken, match="leaves were taken away"):
        check(exported(tenant_keys, LEAVES[:10]), signed(tenant_keys, LEAVES[:20]))


def test_an_export_under_another_key_does_not_fit_the_older_checkpoint(tenant_keys: TenantKeys, tmp_path: Path) -> None:
    other = create_keystore(tmp_path / "other", uuid4()).add_tenant("acme")
    with pytest.raises(AuditBroken, match="older checkpoint does not fit this log's key"):
        check(exported(other, LEAVES), signed(tenant_keys, LEAVES))
    with pytest.raises(AuditBroken, match="not signed by the key"):
        check(exported(tenant_keys, LEAVES, key=str(checkpoint.verifier(other))))


# After a restore

RESTORED = [*restored(LEAVES, LEAVES[:30]), b'{"n":"later"}', b'{"n":"later still"}', *LEAVES]


def test_checkpoints_of_what_came_back_vouch_and_those_of_what_was_lost_are_accounted_for(
    tenant_keys: TenantKeys,
) -> None:
    export = exported(tenant_keys, RESTORED, note=signed(tenant_keys, RESTORED, 2))
    for size in range(len(LEAVES) + 1):
        report = check(export, signed(tenant_keys, LEAVES[:size]))
        if size <= 30:
            assert (report.witnessed, report.lost_by) == (size, None)
        else:
            assert (report.witnessed, report.lost_by) == (None, report.restorations[0])
    for size in range(31, len(RESTORED) + 1):
        assert check(export, signed(tenant_keys, RESTORED[:size], 2)).witnessed == size


def test_a_restore_excuses_no_other_checkpoint(tenant_keys: TenantKeys) -> None:
    export = exported(tenant_keys, RESTORED, note=signed(tenant_keys, RESTORED, 2))
    longer, other = [*LEAVES, b"more"], [b"other", *LEAVES[1:]]
    for foreign in (longer, other, other[:20], other[:30]):  # beyond what was lost, another head, what came back
        with pytest.raises(AuditBroken, match="fork"):
            check(export, signed(tenant_keys, foreign))
    with pytest.raises(AuditBroken, match="fork"):
        check(export, signed(tenant_keys, [*RESTORED[:33], b"other"], 2))
    with pytest.raises(AuditBroken, match="leaves were taken away"):
        check(export, signed(tenant_keys, [*RESTORED, b"more"], 2))


def test_a_restore_of_a_backup_older_than_the_last_one_accounts_for_both_epochs(tenant_keys: TenantKeys) -> None:
    second = [*restored(LEAVES, LEAVES[:30]), b"of the second epoch"]
    third = [*restored(second, LEAVES[:20], 2, 3), b"of the third epoch"]
    export = exported(tenant_keys, third, note=signed(tenant_keys, third, 3))
    for note, lost in (
        (signed(tenant_keys, LEAVES[:20]), False),
        (signed(tenant_keys, LEAVES[:35]), True),
        (signed(tenant_keys, second[:31], 2), True),
        (signed(tenant_keys, second, 2), True),
        (signed(tenant_keys, third, 3), False),
    ):
        assert (check(export, note).lost_by is not None) == lost
    with pytest.raises(AuditBroken, match="taken away"):
        check(export, signed(tenant_keys, [*second, b"more"], 2))


@pytest.mark.parametrize(
    "leaves",
    [
        [b"surplus", *RESTORED],
        [*LEAVES[:29], *RESTORED[29:30], RESTORED[30].replace(b'"size":30', b'"size":29')],
        [*RESTORED[:31], RESTORED[30]],
        restored(LEAVES, LEAVES[:30], 2, 2),
        restored(LEAVES, LEAVES[:30], 1, 1),
        [*LEAVES, b'{"action":"log.restored"}'],
        [*LEAVES, b'"action":"log.restored"'],
    ],
)
def test_a_leaf_that_claims_a_restore_which_does_not_fit_is_refused(
    tenant_keys: TenantKeys, leaves: list[bytes]
) -> None:
    for epoch in (1, 2):
        with pytest.raises(AuditBroken, match=r"speaks of a restore|log.restored is malformed"):
            check(exported(tenant_keys, leaves, note=signed(tenant_keys, leaves, epoch)))


def test_the_checkpoints_epoch_is_the_logs(tenant_keys: TenantKeys) -> None:
    for leaves, epoch in ((RESTORED, 1), (RESTORED, 3), (LEAVES, 2)):
        with pytest.raises(AuditBroken, match=f"the checkpoint is of epoch {epoch}"):
            check(exported(tenant_keys, leaves, note=signed(tenant_keys, leaves, epoch)))


# The key that the reader knows


def test_with_a_key_nothing_but_that_key_counts(tenant_keys: TenantKeys, tmp_path: Path) -> None:
    forger = create_keystore(tmp_path / "other", uuid4()).add_tenant("acme")
    file, known = tmp_path / "export.jsonl", str(checkpoint.verifier(tenant_keys))
    file.write_text(exported(forger, LEAVES))  # a log of the forger's own, whole and signed
    runner = CliRunner()
    believed = runner.invoke(app, ["audit", "verify", str(file)])
    assert (believed.exit_code, "not checked: give the one that you know with --key" in believed.output) == (0, True)
    refused = runner.invoke(app, ["audit", "verify", str(file), "--key", known])
    assert isinstance(refused.exception, AuditBroken)
    assert refused.exception.detail == "the log is signed by another key than the one that was given"
    file.write_text(exported(tenant_keys, RESTORED, note=signed(tenant_keys, RESTORED, 2)))
    (tmp_path / "kept").write_text(signed(tenant_keys, LEAVES))
    done = runner.invoke(app, ["audit", "verify", str(file), "--key", known, "--checkpoint", str(tmp_path / "kept")])
    assert (done.exit_code, "--key" in done.output) == (0, False), done.output
    assert f"the one that you gave: {known}" in done.output
    assert "The log was set back: epoch 2 begins at leaf 30" in done.output
    assert "were lost when epoch 2 began" in done.output


@pytest.mark.parametrize("key", ["", "acme", "assent/acme+00000000+AAAA"])
def test_what_is_no_key_pins_nothing(tenant_keys: TenantKeys, tmp_path: Path, key: str) -> None:
    (tmp_path / "export").write_text(exported(tenant_keys, LEAVES))
    done = CliRunner().invoke(app, ["audit", "verify", str(tmp_path / "export"), "--key", key])
    assert isinstance(done.exception, ProofUnreadable)


def test_an_empty_older_checkpoint_with_another_root_is_a_fork(tenant_keys: TenantKeys) -> None:
    with pytest.raises(AuditBroken, match="fork"):
        check(exported(tenant_keys, LEAVES), checkpoint.sign_checkpoint(tenant_keys, 0, bytes(32)))


@pytest.mark.parametrize(
    "header", [{"format": "assent.audit/2"}, {"tenant": "other"}, {"key": "no key"}, {"checkpoint": "no note"}]
)
def test_a_false_header_is_refused(tenant_keys: TenantKeys, header: dict[str, str]) -> None:
    with pytest.raises((AuditBroken, ProofUnreadable)):
        check(exported(tenant_keys, LEAVES, **header))


@pytest.mark.parametrize("start", ["", "\n", "[]\n", "{}\n", "no json\n", "[" * 100_000 + "\n"])
def test_what_is_no_export_is_refused(start: str) -> None:
    with pytest.raises(ProofUnreadable, match="does not begin"):
        check(start)


def test_a_leaf_that_is_no_base64_is_named(tenant_keys: TenantKeys) -> None:
    lines = exported(tenant_keys, LEAVES).split("\n")
    lines[6] = lines[6][:-1] + "*"
    with pytest.raises(ProofUnreadable, match="leaf 5 is no base64"):
        check("\n".join(lines))


def test_memory_does_not_grow_with_the_log(tenant_keys: TenantKeys, tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    leaves = [b'{"n":%d,"filler":"%s"}' % (n, b"." * 400) for n in range(12_000)]
    file.write_text(exported(tenant_keys, leaves))
    done: list[int] = []
    with file.open() as stream:
        tracemalloc.start()
        verify_log(stream, None, done.append)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert file.stat().st_size > 6_000_000
    assert peak < 300_000
    assert done == [4096, 8192, 12_000]
