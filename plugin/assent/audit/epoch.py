"""Reads and makes the leaf that begins an epoch of the log: it says that a restore lost leaves that were signed.

The epoch of a log that was never set back is 1. Leaf `log.restored` stands on the restored leaves and names the head
that the keystore remembered (`old`) and the head that came back (`restored`), each with size and root (hex).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from assent.core.errors import AuditBroken
from assent.db.pool import Conn, fetch
from assent.db.queries import named_queries

RESTORED = "log.restored"
_MARK = b'"action":"log.restored"'  # as RFC 8785 writes it: looked for before a leaf is parsed
_Q = named_queries("audit")


class LogHead(NamedTuple):
    """A head of the log: its epoch, how many leaves, their 32-byte root."""

    epoch: int
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Restoration:
    """One leaf `log.restored`: the head that was signed last before it, and the head on which the leaf stands.

    `restored.epoch` is the epoch that the leaf begins; the leaf's number is `restored.size`.
    """

    at: str
    old: LogHead
    restored: LogHead

    def body(self) -> dict[str, Any]:
        """Returns the fields of the leaf."""
        old, restored = self.old, self.restored
        return {
            "epoch": restored.epoch,
            "old": {"epoch": old.epoch, "size": old.size, "root": old.root.hex()},
            "restored": {"size": restored.size, "root": restored.root.hex()},
        }

    def __str__(self) -> str:
        return (
            f"epoch {self.restored.epoch} begins at leaf {self.restored.size}, {self.at}: of {self.old.size} signed"
            f" leaves (root {self.old.root.hex()}) a restore brought back {self.restored.size}"
        )


def read_restoration(leaf: bytes) -> Restoration | None:
    """Returns what a leaf says of a restore, or None for a leaf of another action. Raises AuditBroken."""
    if _MARK not in leaf:
        return None
    try:
        fields: Mapping[str, Any] = json.loads(leaf)
        old, restored = fields["old"], fields["restored"]
        read = Restoration(
            str(fields["at"]),
            LogHead(int(old["epoch"]), int(old["size"]), bytes.fromhex(old["root"])),
            LogHead(int(fields["epoch"]), int(restored["size"]), bytes.fromhex(restored["root"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise AuditBroken("a leaf log.restored is malformed") from error
    return read if fields["action"] == RESTORED else None


def stored_epoch(conn: Conn, tenant: str) -> int:
    """Returns the epoch that the newest leaf `log.restored` in the database began, 1 without one.

    Reads the whole log, so ask it only where the keystore remembers no checkpoint, and at a restore.
    """
    rows = fetch(conn, _Q["list_restorations"], tenant=tenant, mark=_MARK)
    read = [restoration for row in rows if (restoration := read_restoration(row["leaf"]))]
    return read[-1].restored.epoch if read else 1
