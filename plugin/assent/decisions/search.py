"""Finds a tenant's media items by the labels, action and time of their newest decisions, and by the PDQ hash.

What is found by is what the platform reads in a decision. Nobody is found by a face, a match or a person.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from psycopg import sql

from assent.core.clock import rfc3339
from assent.core.errors import BadRequest, LabelUnknown
from assent.core.taxonomy import BY_NAME, label_hint
from assent.core.values import ActionName
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import from_json
from assent.decisions.search_index import ALL, KEY_BITS, near_parts, pdq_bits
from assent.hashlists.search import DISTANCE
from assent.keys.keystore import TenantKeys
from assent.policy.input import above

MOST = 200  # media items of one page
WALKED = 4000  # media items of the rarest of several labels that are looked at for one page
_LAST_ID = 2**63 - 1
_NEVER = datetime.max.replace(tzinfo=UTC)
_MAC_BYTES = 16
_Q = named_queries("search")


@dataclass(frozen=True, slots=True)
class Search:
    """Describes what to look for; every part that is given must hold.

    `labels`: labels or groups; `since` ≤ a decision's time < `until`; `pdq`: 64 hex digits, within 31 bits.
    """

    labels: tuple[str, ...] = ()
    action: ActionName | None = None
    since: datetime | None = None
    until: datetime | None = None
    pdq: str | None = None


class Found(NamedTuple):
    """A page, as JSON values: `media`, `next` (the cursor of the next page or None) and `complete`."""

    media: list[dict[str, Any]]
    next: str | None
    complete: bool

    def document(self) -> dict[str, Any]:
        return self._asdict()


class _Place(NamedTuple):
    """The end of a page: a decision's time or a distance, and the number in the index (0: all of that time)."""

    by: str | int
    id: int


def search_media(conn: Conn, keys: TenantKeys, search: Search, limit: int = 50, cursor: str | None = None) -> Found:
    """Returns a page of what fits: the nearest first where a PDQ hash is given, else the newest.

    A page goes on behind the last media item of the one before, whatever was decided meanwhile. With several labels it
    may hold fewer than `limit`, or none, and have a next one: no page looks at more than WALKED. Raises LabelUnknown,
    BadRequest for a cursor of another search, DecisionUnreadable.
    """
    _check_labels(conn, keys.tenant, search.labels)
    place = _open_cursor(keys, search, cursor) if cursor is not None else None
    complete = fetch_one(conn, _Q["is_backlog_left"], tenant=keys.tenant) is None
    rows, end = first_rows(conn, keys.tenant, search, limit, place)
    return Found(_documents(conn, keys.tenant, rows), _cursor(keys, search, end) if end else None, complete)


def _check_labels(conn: Conn, tenant: str, labels: tuple[str, ...]) -> None:
    """Raises LabelUnknown, with the nearest name, for what neither the taxonomy nor a decision has."""
    known = {group for name, label in BY_NAME.items() if label.category != "face" for group in above(name)}
    for label in labels:
        used = label and fetch_one(conn, _Q["is_label_used"], tenant=tenant, label=label) is not None
        if label not in known and not used:
            raise LabelUnknown(f"{label!r} is no label{label_hint(label, known)}")


def first_rows(
    conn: Conn, tenant: str, search: Search, limit: int, place: _Place | None = None
) -> tuple[list[Row], _Place | None]:
    """Returns what fits behind a place, as rows of the index, and the place to go on behind, if there is more."""
    execute(conn, _Q["set_planner_by_index"])
    rows, end = (_near if search.pdq else _newest)(conn, tenant, search, place, limit + 1)
    return (rows[:limit], _place(rows[limit - 1])) if len(rows) > limit else (rows, end)


def _place(row: Row) -> _Place:
    return _Place(row["decided_at"].isoformat() if row["distance"] is None else row["distance"], row["id"])


def _newest(
    conn: Conn, tenant: str, search: Search, place: _Place | None, most: int
) -> tuple[list[Row], _Place | None]:
    labels = sorted(set(search.labels)) or [ALL]
    after = {"after_at": place.by if place else "infinity", "after_id": place.id if place else _LAST_ID}
    values = {"tenant": tenant, "action": search.action, **_times(search), **after}
    of_action = "_of_action" if search.action else ""
    end = None
    if len(labels) > 1:
        labels, last = _rarest_first(conn, _Q["walk_label" + of_action], labels, values)
        if last is not None:
            values["since"], end = last, _Place(last.isoformat(), 0)
    return fetch(conn, _Q["list_found" + of_action], **values, label=labels[0], others=labels[1:], most=most), end


def _rarest_first(
    conn: Conn, walk: sql.SQL, labels: list[str], values: dict[str, Any]
) -> tuple[list[str], datetime | None]:
    """Returns the labels, the rarest behind a place first: its rows are walked through, and down to which time.

    Without a time they are fewer than WALKED. Of labels with more that is the rarest whose rows reach back farthest.
    """
    walks = {label: fetch(conn, walk, **values, label=label, most=WALKED)[0] for label in labels}
    first, *others = sorted(labels, key=lambda label: (walks[label]["count"], walks[label]["last"] or _NEVER))
    return [first, *others], walks[first]["last"] if walks[first]["count"] == WALKED else None


def _near(conn: Conn, tenant: str, search: Search, place: _Place | None, most: int) -> tuple[list[Row], None]:
    pdq = search.pdq or ""
    after = {"after_distance": place.by if place else -1, "after_id": place.id if place else _LAST_ID}
    hashes = {"pdq": pdq_bits(pdq), "bands": near_parts(pdq), "key_bits": KEY_BITS, "distance": DISTANCE}
    values = {"labels": sorted(set(search.labels)), "action": search.action, "most": most}
    return fetch(conn, _Q["list_near"], tenant=tenant, **values, **hashes, **_times(search), **after), None


def _times(search: Search) -> dict[str, Any]:
    return {"since": search.since or "-infinity", "until": search.until or "infinity"}


def _documents(conn: Conn, tenant: str, found: list[Row]) -> list[dict[str, Any]]:
    sources, ids = [row["source"] for row in found], [row["media_id"] for row in found]
    decisions = fetch(conn, _Q["list_newest_decisions"], tenant=tenant, sources=sources, ids=ids)
    distances = {(row["source"], row["media_id"]): row["distance"] for row in found}
    return [_document(row, distances[row["source"], row["media_id"]]) for row in decisions]


def _document(row: Row, distance: int | None) -> dict[str, Any]:
    decision = from_json(row["document"])
    return {
        "media": row["media_id"],
        "source": row["source"],
        "revision": row["revision"],
        "action": decision.action,
        "tags": sorted({tag.name for tag in decision.tags}),
        "decided_at": rfc3339(row["decided_at"]),
        **({} if distance is None else {"distance": distance}),
    }


def _cursor(keys: TenantKeys, search: Search, place: _Place) -> str:
    payload = json.dumps(place).encode()
    return urlsafe_b64encode(_mac(keys, search, payload) + payload).decode()


def _open_cursor(keys: TenantKeys, search: Search, cursor: str) -> _Place:
    """Reads a cursor of the same search. Raises BadRequest for any other."""
    try:
        sent = urlsafe_b64decode(cursor.encode("ascii"))
    except ValueError:
        sent = b""
    mac, payload = sent[:_MAC_BYTES], sent[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(keys, search, payload)):
        raise BadRequest("cursor: it is not the `next` of this search")
    return _Place(*json.loads(payload))


def _mac(keys: TenantKeys, search: Search, payload: bytes) -> bytes:
    times = [at.timestamp() if at else None for at in (search.since, search.until)]
    asked = json.dumps([sorted(set(search.labels)), search.action, *times, search.pdq])
    message = b"search\x00" + asked.encode() + b"\x00" + payload
    return hmac.digest(keys.pseudonym_key, message, hashlib.sha256)[:_MAC_BYTES]
